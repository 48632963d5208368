package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/protodaemon/protodaemon/register"
)

func verify(ctx context.Context, s *system, _ none) (register.Verdict, error) {
	v, err := s.office.Verify(ctx)
	if err != nil {
		return v, fmt.Errorf("verifying: %w", err)
	}
	more, err := s.archive.Verify(ctx)
	if err != nil {
		return v, fmt.Errorf("verifying the closings: %w", err)
	}
	v.Problems = append(v.Problems, more...)
	v.OK = len(v.Problems) == 0
	return v, nil
}

func verifyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "verify --config FILE",
		Short: "Check every invariant on the stored data",
		Long: `Re-reads everything that is kept and checks it: numbering without gaps or
repeats, the chains of records, rows and heads against them, the second
witness, every file against its SHA-256, and every closing: its files are
derived again and compared, its signatures and time stamps verified. Changes
nothing.

Prints {"ok","entries","events","blobs","closings","problems"}; exit status 1
when not everything is as it should be.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v, err := perform[register.Verdict](cmd, "verify", none{})
			if err != nil {
				return err
			}
			if err := printDocument(cmd, v); err != nil {
				return err
			}
			return verdictError(v)
		},
	}
	configFlag(cmd)
	jsonFlag(cmd)
	return requireFlags(cmd, "config")
}

func verdictError(v register.Verdict) error {
	switch {
	case v.OK:
		return nil
	case len(v.Problems) == 0:
		return errors.New("verify: not everything could be checked; look at the daemon's log")
	default:
		p := v.Problems[0]
		return fmt.Errorf("verify: %d problems, the first: %s: %s; keep a copy of the data as it is before anything else", len(v.Problems), p.Code, p.Detail)
	}
}
