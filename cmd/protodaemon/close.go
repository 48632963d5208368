package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/protodaemon/protodaemon/archive"
	"github.com/protodaemon/protodaemon/register"
)

// place names a register, for commands that work on one.
type place struct {
	Organization string `json:"organization"`
	Register     string `json:"register"`
}

func placeFlags(cmd *cobra.Command, p *place) {
	cmd.Flags().StringVar(&p.Organization, "organization", "", "id of the organization")
	cmd.Flags().StringVar(&p.Register, "register", "", "id of the register")
}

type closing struct {
	place
	Through string `json:"through"`
}

// closed is what `close` prints.
type closed struct {
	Closings []register.Closing `json:"closings"`
	// Waiting is why what was closed is not signed or delivered yet.
	Waiting string `json:"waiting,omitempty"`
}

func closeDays(ctx context.Context, s *system, p closing) (closed, error) {
	made, err := s.archive.Close(ctx, register.System(), p.Organization, p.Register, p.Through)
	if err != nil {
		if errors.Is(err, register.ErrNotFound) || errors.Is(err, register.ErrInvalid) {
			err = usageError{err}
		}
		return closed{}, fmt.Errorf("closing %s/%s: %w", p.Organization, p.Register, err)
	}
	out := closed{Closings: made}
	if err := s.archive.Work(ctx, p.Organization, p.Register); err != nil {
		out.Waiting = err.Error()
	}
	for i, c := range made { // as they stand now
		if out.Closings[i], err = s.office.Closing(ctx, register.System(), c.Organization, c.Register, c.ID); err != nil {
			return out, err
		}
	}
	return out, nil
}

func closeCommand() *cobra.Command {
	var p closing
	cmd := &cobra.Command{
		Use:   "close --config FILE --organization O --register R [--through YYYY-MM-DD]",
		Short: "Close days: write, sign, stamp and deliver the daily register",
		Long: `Closes every day up to and including --through (default: yesterday) that is not
closed, in order, and prints the closings made. Signature, time stamp and
delivery follow at once where they can; what fails is tried again by the
daemon, and "waiting" says why. Closing a day again makes nothing new.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out, err := perform[closed](cmd, "close", p)
			if err != nil {
				return err
			}
			if asJSON(cmd) {
				return printDocument(cmd, out)
			}
			for _, c := range out.Closings {
				test := ""
				if c.Test {
					test = "  (test, without legal value)"
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s  %s  %d entries, %d changes  %s%s\n", c.Day, c.Name, c.Entries, c.Changes, c.State, test)
			}
			if len(out.Closings) == 0 {
				fmt.Fprintln(cmd.OutOrStdout(), "nothing was to be closed")
			}
			if out.Waiting != "" {
				return fmt.Errorf("closed, and not finished: %s", out.Waiting)
			}
			return nil
		},
	}
	configFlag(cmd)
	jsonFlag(cmd)
	placeFlags(cmd, &p.place)
	cmd.Flags().StringVar(&p.Through, "through", "", "last day to close (default: yesterday)")
	return requireFlags(cmd, "config", "organization", "register")
}

type proving struct {
	place
	Year   int    `json:"year"`
	Number string `json:"number"`
}

type proven struct {
	File  string          `json:"file"`
	Proof json.RawMessage `json:"proof"`
}

func prove(ctx context.Context, s *system, p proving) (proven, error) {
	name, proof, err := s.archive.Proof(ctx, register.System(), p.Organization, p.Register, p.Year, p.Number)
	if errors.Is(err, register.ErrNotFound) {
		err = usageError{err}
	}
	return proven{name, proof}, err
}

func proveCommand() *cobra.Command {
	var p proving
	cmd := &cobra.Command{
		Use:   "prove --config FILE --organization O --register R --year Y --number N",
		Short: "Print the proof that an entry stands in its closed day",
		Long: `Prints a file that proves one entry against its daily register, without showing
another entry. Check it with: protodaemon check-proof FILE`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out, err := perform[proven](cmd, "prove", p)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", out.Proof)
			return err
		},
	}
	configFlag(cmd)
	placeFlags(cmd, &p.place)
	cmd.Flags().IntVar(&p.Year, "year", 0, "year of the number")
	cmd.Flags().StringVar(&p.Number, "number", "", "number of the entry")
	return requireFlags(cmd, "config", "organization", "register", "year", "number")
}

func checkProofCommand() *cobra.Command {
	var ca, tsaCA string
	cmd := &cobra.Command{
		Use:   "check-proof [--ca FILE] [--tsa-ca FILE] FILE",
		Short: "Check the proof of an entry; needs nothing else",
		Long: `Checks that the entry in FILE leads to the root of its daily register, that
signature and time stamp of the closing fit, and tells what is proved. Without
--ca and --tsa-ca (certificates in PEM) it is not checked who signed and who
stamped, only told.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			in, err := os.Open(args[0])
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, in.Close()) }()
			roots, err := optionalRoots(ca)
			if err != nil {
				return err
			}
			stampRoots, err := optionalRoots(tsaCA)
			if err != nil {
				return err
			}
			events, err := archive.CheckProof(in, roots, stampRoots)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			if asJSON(cmd) {
				return printDocument(cmd, events)
			}
			for _, e := range events {
				fmt.Fprintln(cmd.OutOrStdout(), e)
			}
			return nil
		},
	}
	jsonFlag(cmd)
	cmd.Flags().StringVar(&ca, "ca", "", "certificates that the signer has to lead to")
	cmd.Flags().StringVar(&tsaCA, "tsa-ca", "", "certificates that the time stamping authority has to lead to")
	return cmd
}

type exporting struct {
	place
	Year int    `json:"year"`
	To   string `json:"to"` // absolute
}

// exportYear writes beside its destination and takes the name when all is there,
// so that a file of that name is whole, whatever ends the program.
func exportYear(ctx context.Context, s *system, p exporting) (_ none, err error) {
	if _, err := os.Lstat(p.To); err == nil {
		return none{}, fmt.Errorf("exporting to %s: %w", p.To, fs.ErrExist)
	}
	part := p.To + ".part"
	out, err := os.OpenFile(part, os.O_CREATE|os.O_TRUNC|os.O_WRONLY|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return none{}, fmt.Errorf("exporting to %s: %w", p.To, err)
	}
	err = s.archive.Export(ctx, register.System(), p.Organization, p.Register, p.Year, out)
	if err = errors.Join(err, out.Sync(), out.Close()); err == nil {
		err = os.Rename(part, p.To)
	}
	if err != nil {
		return none{}, errors.Join(err, os.Remove(part))
	}
	return none{}, nil
}

func exportCommand() *cobra.Command {
	var p exporting
	cmd := &cobra.Command{
		Use:   "export --config FILE --organization O --register R --year Y --to FILE",
		Short: "Write a year of daily registers as one package that verifies by itself",
		Long: `Writes a zip with every closing of the year: files, signatures, time stamps,
receipts, certificates, and a script that verifies all of it with openssl,
xmllint and sha256sum alone.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if p.To, err = filepath.Abs(p.To); err != nil {
				return err
			}
			_, err = perform[none](cmd, "export", p)
			return err
		},
	}
	configFlag(cmd)
	placeFlags(cmd, &p.place)
	cmd.Flags().IntVar(&p.Year, "year", 0, "year of the closings")
	cmd.Flags().StringVar(&p.To, "to", "", "file to write; it must not exist")
	return requireFlags(cmd, "config", "organization", "register", "year", "to")
}
