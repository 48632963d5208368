package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/protodaemon/protodaemon/ingest"
	"github.com/protodaemon/protodaemon/pec"
)

// checksAtOnce bounds the logins that run at a time.
const checksAtOnce = 8

// trusted is how many are trusted by a register at present.
type trusted struct {
	Organization string `json:"organization"`
	Register     string `json:"register"`
	pec.TrustCount
}

// checked is what "check" prints.
type checked struct {
	OK        bool                 `json:"ok"`
	Warnings  []string             `json:"warnings"`
	Trust     []trusted            `json:"trust"`
	Mailboxes []ingest.ProbeResult `json:"mailboxes"`
}

func checkCommand() *cobra.Command {
	var echo bool
	cmd := &cobra.Command{
		Use:   "check --config FILE",
		Short: "Validate the configuration and try every mailbox",
		Long: `Validates the configuration, logs in to every mailbox, and shows what its
server can do and where the folders are. Opens nothing for writing. Counts whom
is trusted, and warns when no trust anchor is configured, or a trusted list or
revocation list has run out. Exit status 1 if any mailbox fails.

With --echo it also proves that news arrives: in a temporary folder that it
creates and deletes, never in the watched one.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			trust, err := loadTrust(cfg)
			if err != nil {
				return err
			}
			c := check(cmd.Context(), trust.mailboxes(cfg), echo)
			if err := cmd.Context().Err(); err != nil {
				return err
			}
			if asJSON(cmd) {
				err = printJSON(cmd.OutOrStdout(), c)
			} else {
				err = printChecked(cmd.OutOrStdout(), c)
			}
			return errors.Join(err, c.err())
		},
	}
	configFlag(cmd)
	jsonFlag(cmd)
	cmd.Flags().BoolVar(&echo, "echo", false, "prove that news arrives, in a temporary folder")
	return requireFlags(cmd, "config")
}

// check tries all mailboxes, in the order of the configuration.
func check(ctx context.Context, boxes []ingest.Mailbox, echo bool) checked {
	c := checked{OK: true, Warnings: []string{}, Trust: []trusted{}, Mailboxes: make([]ingest.ProbeResult, len(boxes))}
	for _, m := range boxes {
		c.trust(m, time.Now())
	}
	var tries errgroup.Group
	tries.SetLimit(checksAtOnce)
	for i, m := range boxes {
		tries.Go(func() error {
			c.Mailboxes[i] = ingest.Probe(ctx, m, echo)
			return nil
		})
	}
	_ = tries.Wait() // each has its own outcome
	for _, m := range c.Mailboxes {
		c.OK = c.OK && m.OK
	}
	return c
}

// trust tells whom the register of a mailbox trusts, and what is amiss there.
func (c *checked) trust(m ingest.Mailbox, now time.Time) {
	t := trusted{m.Organization, m.Register, m.Trust.Count(now)}
	switch {
	case m.Kind != "pec":
	case m.Trust.Empty():
		c.Warnings = append(c.Warnings, fmt.Sprintf("%s/%s: pec.trust is empty: no message will be certified; put the certificate of the PEC providers' issuer there (README)",
			m.Organization, m.ID))
	case t.Providers == 0:
		c.Warnings = append(c.Warnings, fmt.Sprintf("%s/%s: pec.trust has no certificate in a PEM file: no PEC will be certified; put that of the PEC providers' issuer there (README)",
			m.Organization, m.ID))
	}
	if slices.ContainsFunc(c.Trust, func(o trusted) bool { return o.Organization == t.Organization && o.Register == t.Register }) {
		return
	}
	c.Trust = append(c.Trust, t)
	for _, warning := range m.Trust.Warnings(now) {
		if !slices.Contains(c.Warnings, warning) {
			c.Warnings = append(c.Warnings, warning)
		}
	}
}

// err names the mailboxes that failed, one a line.
func (c checked) err() error {
	var failed []error
	for _, m := range c.Mailboxes {
		if !m.OK {
			failed = append(failed, fmt.Errorf("mailbox %s/%s: %s", m.Organization, m.Mailbox, m.Error))
		}
	}
	return errors.Join(failed...)
}

func printChecked(w io.Writer, c checked) error {
	var b strings.Builder
	for _, warning := range c.Warnings {
		fmt.Fprintf(&b, "warning: %s\n", warning)
	}
	for _, t := range c.Trust {
		fmt.Fprintf(&b, "%s/%s trusts %d issuers of PEC providers, %d registered mail services, %d qualified CAs, %d time stamping authorities; %d trusted lists, %d revocation lists\n",
			t.Organization, t.Register, t.Providers, t.Services, t.Persons, t.Stamps, t.Lists, t.CRLs)
	}
	for _, m := range c.Mailboxes {
		writeMailbox(&b, m)
	}
	if len(c.Mailboxes) == 0 {
		b.WriteString("the configuration holds; it names no mailbox\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func writeMailbox(b *strings.Builder, m ingest.ProbeResult) {
	state := "ok"
	if !m.OK {
		state = "FAILED " + m.Code
	}
	fmt.Fprintf(b, "%s/%s: %s\n", m.Organization, m.Mailbox, state)
	if !m.OK {
		return
	}
	fmt.Fprintf(b, "  capabilities  %s\n", strings.Join(m.Capabilities, " "))
	for _, f := range []struct{ what, name string }{
		{"inbox", m.Folders.Inbox}, {"pending", m.Folders.Pending}, {"registered", m.Folders.Registered},
	} {
		if f.name == "" {
			f.name = "not there yet; the daemon makes it"
		}
		fmt.Fprintf(b, "  %-12s  %s\n", f.what, f.name)
	}
	if m.Echo != "" {
		fmt.Fprintf(b, "  news          by %s after %d ms\n", m.Echo, m.EchoMillis)
	}
	for _, warning := range m.Warnings {
		fmt.Fprintf(b, "  warning       %s\n", warning)
	}
}
