// Command protodaemon watches mailboxes, keeps the protocol register of one
// or more organizations and serves the pages and the API to work with it.
//
// Results go to stdout, logs to stderr. The exit status is 0 when the work is
// done, 1 when it failed and 2 when it was asked for wrongly: an unknown
// flag, or a configuration that does not hold. Every failure ends with one
// line on stderr saying what failed, where, and what to do; a configuration's
// problems come one a line.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	_ "time/tzdata" // the legal day is Europe/Rome on a minimal image too

	"github.com/spf13/cobra"
)

// Exit statuses of contract section 1.
const (
	exitFailed = 1
	exitUsage  = 2
)

// usageError is a wrong command line or configuration.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	err := rootCommand().ExecuteContext(ctx)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = errors.New("interrupted before it was done")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "protodaemon: "+errorText(err))
	}
	os.Exit(exitStatus(err))
}

func exitStatus(err error) int {
	var usage usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &usage):
		return exitUsage
	default:
		return exitFailed
	}
}

// errorText is the error as a person reads it: one line, or for joined
// problems one line each.
func errorText(err error) string {
	return strings.TrimSpace(err.Error())
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "protodaemon",
		Short: "The protocol register of public bodies, fed from their mailboxes",
		Long: `protodaemon watches PEC and e-mail mailboxes, keeps the protocol register
(registro di protocollo, DPR 445/2000) of one or more organizations, and
serves the pages and the API to work with it.

Results go to standard output, logs to standard error. Exit status: 0 done,
1 failed, 2 wrong usage or configuration.

While "serve" runs, the commands that need its data talk to it through a
socket in data_dir that only its owner can use; otherwise they open the data
themselves.`,
		Args:          noArguments,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w; see: %s --help", err, cmd.CommandPath())}
	})
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(
		demoCommand(),
		serveCommand(),
		checkCommand(),
		parseCommand(),
		configCommand(),
		userCommand(),
		tokenCommand(),
		closeCommand(),
		proveCommand(),
		checkProofCommand(),
		exportCommand(),
		verifyCommand(),
		recoverCommand(),
		versionCommand(),
	)
	return root
}

// noArguments refuses positional arguments, and names what was not
// understood.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if cmd.HasSubCommands() {
		text := fmt.Sprintf("there is no command %q; see: %s --help", cmd.CommandPath()+" "+args[0], cmd.CommandPath())
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			text = fmt.Sprintf("there is no command %q; did you mean %q?", cmd.CommandPath()+" "+args[0], near[0])
		}
		return usageError{errors.New(text)}
	}
	return usageError{fmt.Errorf("%q is one argument too many; see: %s --help", args[0], cmd.CommandPath())}
}

// requireFlags makes the named flags mandatory. Cobra's own check would end
// with the status of a failure.
func requireFlags(cmd *cobra.Command, names ...string) *cobra.Command {
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		for _, name := range names {
			if !cmd.Flags().Changed(name) {
				return usageError{fmt.Errorf("--%s is missing; see: %s --help", name, cmd.CommandPath())}
			}
		}
		return run(cmd, args)
	}
	return cmd
}

// newLogger writes to w as log.level and log.format say; format "auto" (or
// empty) is text on a terminal and JSON otherwise.
func newLogger(w io.Writer, level, format string) (*slog.Logger, error) {
	var o slog.HandlerOptions
	if level != "" {
		var l slog.Level
		if err := l.UnmarshalText([]byte(level)); err != nil {
			return nil, usageError{fmt.Errorf("log.level: %w; use debug, info, warn or error", err)}
		}
		o.Level = l
	}
	switch {
	case format == "text", (format == "auto" || format == "") && isTerminal(w):
		return slog.New(slog.NewTextHandler(w, &o)), nil
	case format == "json", format == "auto", format == "":
		return slog.New(slog.NewJSONHandler(w, &o)), nil
	default:
		return nil, usageError{fmt.Errorf("log.format: %q is not auto, text or json", format)}
	}
}

// isTerminal tells whether a person is likely to read w as it is written.
func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
