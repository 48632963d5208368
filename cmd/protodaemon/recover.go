package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/protodaemon/protodaemon/ingest"
	"github.com/protodaemon/protodaemon/register"
	"github.com/protodaemon/protodaemon/store"
)

type recovery struct {
	Organization string   `json:"organization"`
	Register     string   `json:"register"`
	Reason       string   `json:"reason"`
	Authority    string   `json:"authority"`
	Backups      []string `json:"backups"` // absolute
}

func recoverNumbers(ctx context.Context, s *system, p recovery) (register.Recovered, error) {
	f := finder{system: s, organization: p.Organization, backups: p.Backups}
	r, err := s.office.Recover(ctx, register.System(), p.Organization, p.Register, register.Recovery{
		Reason: p.Reason, Authority: p.Authority, Find: f.find,
	})
	if errors.Is(err, register.ErrNotFound) {
		err = usageError{err}
	}
	if err == nil && r.Applied {
		err = s.lookAgain(ctx, p.Organization)
	}
	return r, err
}

// lookAgain asks for a look into the organization's mailboxes, whose messages
// could not be taken meanwhile.
func (s *system) lookAgain(ctx context.Context, organization string) error {
	for _, m := range mailboxesOf(s.config.Load()) {
		if m.Organization != organization {
			continue
		}
		if err := s.office.Sweep(ctx, register.System(), m.Organization, m.ID); err != nil {
			return err
		}
	}
	return nil
}

// finder looks for the bytes of lost messages where they may still be.
type finder struct {
	system       *system
	organization string
	backups      []string
}

// find looks into the backups and then into the mailbox's registered folder,
// and keeps what it finds. That a place cannot be searched is not an answer:
// it is returned, so that nothing is called lost for a wrong password.
func (f finder) find(ctx context.Context, mailbox string, message store.Digest) (bool, error) {
	for _, dir := range f.backups {
		found, err := f.inBackup(ctx, dir, message)
		if found || err != nil {
			return found, err
		}
	}
	m, ok := f.mailbox(mailbox)
	if !ok {
		return false, nil // a mailbox that is configured no more cannot be asked
	}
	found := false
	_, err := ingest.FindRegistered(ctx, m, message, func(r io.Reader) (err error) {
		found, err = f.keep(ctx, message, r)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("looking into the registered folder of mailbox %s: %w", mailbox, err)
	}
	return found, nil
}

func (f finder) mailbox(id string) (ingest.Mailbox, bool) {
	for _, m := range mailboxesOf(f.system.config.Load()) {
		if m.Organization == f.organization && m.ID == id {
			return m, true
		}
	}
	return ingest.Mailbox{}, false
}

// inBackup looks where a data directory, or a backup of one, keeps the file
// (docs/formats.md).
func (f finder) inBackup(ctx context.Context, dir string, message store.Digest) (bool, error) {
	name := message.String()
	file, err := os.Open(filepath.Join(dir, "blobs", f.organization, name[:2], name))
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("looking into backup %s: %w", dir, err)
	}
	defer file.Close()
	return f.keep(ctx, message, file)
}

// keep makes what r holds durable when it has the digest. Something else is no
// find, and not kept.
func (f finder) keep(ctx context.Context, message store.Digest, r io.Reader) (bool, error) {
	blob, err := f.system.office.CreateBlob(ctx, f.organization)
	if err != nil {
		return false, err
	}
	defer blob.Close()
	sum := sha256.New()
	if _, err := io.Copy(io.MultiWriter(blob, sum), r); err != nil {
		return false, err
	}
	if store.Digest(sum.Sum(nil)) != message {
		return false, nil
	}
	_, _, err = blob.Commit(ctx)
	return err == nil, err
}

func recoverCommand() *cobra.Command {
	var p recovery
	cmd := &cobra.Command{
		Use:   "recover --config FILE --organization O --register R",
		Short: "Find the way out after a store was put back to an older state",
		Long: `After a store was put back to an older state it gives no numbers, because its
witness knows of later ones. This names them. With --reason and --authority (who
decided it, by which deed) it enters each number again as the witness has it,
with the message's bytes from the registered folder or a backup, or marks it as
lost (perduta); then the register goes on after the last number.

Without --reason and --authority nothing is changed.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if (p.Reason == "") != (p.Authority == "") {
				return usageError{errors.New("--reason and --authority belong together; without both nothing is changed")}
			}
			for i, dir := range p.Backups {
				full, err := filepath.Abs(dir)
				if err != nil {
					return usageError{fmt.Errorf("--backup %s: %w", dir, err)}
				}
				if info, err := os.Stat(full); err != nil || !info.IsDir() {
					return usageError{fmt.Errorf("--backup %s: there is no such directory", dir)}
				}
				p.Backups[i] = full
			}
			r, err := perform[register.Recovered](cmd, "recover", p)
			if err != nil {
				return err
			}
			return printRecovered(cmd, r)
		},
	}
	configFlag(cmd)
	jsonFlag(cmd)
	f := cmd.Flags()
	f.StringVar(&p.Organization, "organization", "", "the organization's id")
	f.StringVar(&p.Register, "register", "", "the register's id")
	f.StringVar(&p.Reason, "reason", "", "why the numbers are entered again")
	f.StringVar(&p.Authority, "authority", "", "who ordered it, and by which deed")
	f.StringArrayVar(&p.Backups, "backup", nil, "a backup or an older data directory to search, may be repeated")
	return requireFlags(cmd, "config", "organization", "register")
}

func printRecovered(cmd *cobra.Command, r register.Recovered) error {
	if asJSON(cmd) {
		return printJSON(cmd.OutOrStdout(), r)
	}
	out := cmd.OutOrStdout()
	if len(r.Numbers) > 0 {
		err := printTable(out, "YEAR\tNUMBER\tOUTCOME\tDETAIL", r.Numbers, func(n register.RecoveredItem) string {
			return strings.Join([]string{fmt.Sprint(n.Year), n.Number, n.Outcome, n.Detail}, "\t")
		})
		if err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(out, recoveredText(r))
	return err
}

func recoveredText(r register.Recovered) string {
	switch {
	case r.Applied:
		return fmt.Sprintf("%s/%s gives numbers again.", r.Organization, r.Register)
	case len(r.Numbers) > 0:
		return "Nothing was changed. To enter these numbers again, repeat with --reason and --authority."
	default:
		return fmt.Sprintf("No number is lost in %s/%s. If it gives none all the same, repeat with --reason and --authority.", r.Organization, r.Register)
	}
}
