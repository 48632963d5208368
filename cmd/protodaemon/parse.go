package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/protodaemon/protodaemon/pec"
)

func parseCommand() *cobra.Command {
	var trust pec.TrustFiles
	var jsonl bool
	var original string
	cmd := &cobra.Command{
		Use:   "parse [--trust PATH]... [--trust-list-signer PATH]... [--crl PATH]... [--original FILE] [--jsonl] FILE…|DIR",
		Short: "Analyse messages as ingestion would, and print what they say",
		Long: `parse reads messages from files, or all the files below a directory, and
prints one JSON document for each: kind, subject, authenticity, signature,
daticert.xml's content, attachments, warnings. With --jsonl each is one line.
Files are analysed in parallel and printed in the order of their paths.

A broken or hostile message is analysed all the same and its warnings say what
is wrong; the exit status is 1 only when a file cannot be read. Without --trust
nothing is ever "certified". With --original a short delivery receipt (ricevuta
breve) is compared with the message that was sent: "brief" says for each of its
parts whether it is the same. Trusted lists and revocation lists are read from
files; nothing is fetched.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{fmt.Errorf("which message? name a file or a directory; see: %s --help", cmd.CommandPath())}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			anchors, err := pec.LoadTrust(trust)
			if err != nil {
				return usageError{err}
			}
			for _, warning := range anchors.Warnings(time.Now()) {
				fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s\n", warning)
			}
			files, unreadable := messageFiles(args)
			out := cmd.OutOrStdout()
			var unmatched error
			err = parseFiles(cmd.Context(), files, pec.Options{Trust: anchors}, func(a *pec.Analysis) error {
				if original != "" {
					unmatched = errors.Join(unmatched, matchBrief(cmd.Context(), a, original))
				}
				return printAnalysis(out, a, jsonl)
			})
			return errors.Join(unreadable, err, unmatched)
		},
	}
	cmd.Flags().StringArrayVar(&trust.Anchors, "trust", nil, "PEM file of trust anchors, signed trusted list (.xml), or directory of them (repeatable)")
	cmd.Flags().StringArrayVar(&trust.ListSigners, "trust-list-signer", nil, "PEM file or directory: who may sign the trusted lists (repeatable)")
	cmd.Flags().StringArrayVar(&trust.CRLs, "crl", nil, "revocation list, or directory of them (repeatable)")
	cmd.Flags().StringVar(&original, "original", "", "the message that was sent, to compare a short delivery receipt with")
	cmd.Flags().BoolVar(&jsonl, "jsonl", false, "print one line a message")
	return cmd
}

// messageFiles lists the regular files that the arguments name, directories
// walked, in path order and each once. What cannot be listed is an error
// beside the rest.
func messageFiles(args []string) ([]string, error) {
	var files []string
	var errs []error
	for _, arg := range args {
		err := filepath.WalkDir(arg, func(path string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				errs = append(errs, fmt.Errorf("reading %s: %w", path, errors.Unwrap(err)))
			case path == arg && !d.IsDir(), d.Type().IsRegular(): // a named symlink is followed
				files = append(files, path)
			}
			return nil
		})
		errs = append(errs, err)
	}
	slices.Sort(files)
	return slices.Compact(files), errors.Join(errs...)
}

// parseFiles analyses the files in parallel and hands the results to print in
// their order. A file that cannot be read is passed over and reported at the
// end.
func parseFiles(ctx context.Context, files []string, o pec.Options, print func(*pec.Analysis) error) error {
	type result struct {
		analysis *pec.Analysis
		err      error
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// Each file gets a slot; the queue's length bounds how far ahead of the
	// printing the analysis runs.
	queue := make(chan chan result, runtime.GOMAXPROCS(0))
	go func() {
		defer close(queue)
		for _, file := range files {
			slot := make(chan result, 1)
			select {
			case queue <- slot:
			case <-ctx.Done():
				return
			}
			go func() {
				a, err := parseFile(ctx, file, o)
				slot <- result{a, err}
			}()
		}
	}()
	var errs []error
	for slot := range queue {
		r := <-slot
		switch {
		case ctx.Err() != nil: // drain
		case r.err != nil:
			errs = append(errs, r.err)
		default:
			if err := print(r.analysis); err != nil {
				errs = append(errs, fmt.Errorf("writing the analysis of %s: %w", r.analysis.File, err))
				cancel()
			}
		}
	}
	if err := context.Cause(ctx); err != nil && len(errs) == 0 {
		errs = append(errs, fmt.Errorf("stopped: %w", err))
	}
	return errors.Join(errs...)
}

// parseFile analyses one file; its error names it.
func parseFile(ctx context.Context, file string, o pec.Options) (*pec.Analysis, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", file, errors.Unwrap(err))
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", file, errors.Unwrap(err))
	}
	// Something that is no regular file has no size to trust.
	m, size := io.ReaderAt(f), info.Size()
	if !info.Mode().IsRegular() {
		raw, err := io.ReadAll(io.LimitReader(f, pec.DefaultLimits.Size+1))
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", file, err)
		}
		m, size = bytes.NewReader(raw), int64(len(raw))
	}
	a := pec.Read(ctx, m, size, o)
	a.File = file
	return a, nil
}

// matchBrief compares a short receipt with the message that it is about; of other
// messages nothing is asked.
func matchBrief(ctx context.Context, a *pec.Analysis, original string) error {
	if a.Kind != pec.PECReceipt || a.PEC == nil || a.PEC.Detail != "breve" {
		return nil
	}
	receipt, size, err := openRegular(a.File)
	if err != nil {
		return err
	}
	defer receipt.Close()
	sent, sentSize, err := openRegular(original)
	if err != nil {
		return err
	}
	defer sent.Close()
	if a.Brief, err = pec.MatchBrief(ctx, receipt, size, sent, sentSize); err != nil {
		return fmt.Errorf("comparing %s with %s: %w", a.File, original, err)
	}
	return nil
}

func openRegular(name string) (*os.File, int64, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, 0, fmt.Errorf("reading %s: %w", name, errors.Unwrap(err))
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is no regular file")
	}
	if err != nil {
		return nil, 0, fmt.Errorf("reading %s: %w", name, errors.Join(err, f.Close()))
	}
	return f, info.Size(), nil
}

func printAnalysis(w io.Writer, a *pec.Analysis, oneLine bool) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	if !oneLine {
		e.SetIndent("", "  ")
	}
	return e.Encode(a)
}
