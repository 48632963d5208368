package ingest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/emersion/go-imap/v2"
)

// ProbeResult is what a trial login found.
type ProbeResult struct {
	Organization string `json:"organization"`
	Mailbox      string `json:"mailbox"`
	OK           bool   `json:"ok"`
	// Code and Error say what is wrong and what to do.
	Code  string `json:"code,omitempty"`
	Error string `json:"error,omitempty"`

	Capabilities []string     `json:"capabilities,omitempty"`
	Prefix       string       `json:"prefix"`
	Delimiter    string       `json:"delimiter"`
	Folders      ProbeFolders `json:"folders"`
	// Warnings are things that work, but less well.
	Warnings []string `json:"warnings,omitempty"`
	// Echo is how news was noticed: idle, or poll where the server does not
	// push; EchoMillis how long that took.
	Echo       string `json:"echo,omitempty"`
	EchoMillis int64  `json:"echo_ms,omitempty"`
}

// ProbeFolders are the full names of the folders; empty: not there yet (the
// daemon makes the two of its own).
type ProbeFolders struct {
	Inbox      string `json:"inbox"`
	Pending    string `json:"pending"`
	Registered string `json:"registered"`
}

// echoPatience is how long pushed news may take: Courier's takes a minute.
const echoPatience = 5 * time.Second

// Probe logs in to a mailbox and says what it finds. It changes nothing on the
// server, except with echo, which proves that news arrives: in a folder that
// it creates and deletes, never in the watched one.
func Probe(ctx context.Context, m Mailbox, echo bool) ProbeResult {
	r := ProbeResult{Organization: m.Organization, Mailbox: m.ID}
	if err := r.probe(ctx, m, echo); err != nil {
		why := explain(err, m)
		r.Code, r.Error = why.Code, why.Text
		return r
	}
	r.OK = true
	return r
}

func (r *ProbeResult) probe(ctx context.Context, m Mailbox, echo bool) error {
	var t Timing
	t.defaults()
	news := make(chan struct{}, 1)
	s, err := loginTo(ctx, m, t, defaultMaxMessage, func() {
		select {
		case news <- struct{}{}:
		default:
		}
	})
	if err != nil {
		return err
	}
	defer s.logout(ctx)
	for _, c := range slices.Sorted(maps.Keys(s.caps)) {
		r.Capabilities = append(r.Capabilities, string(c))
	}
	r.warn(s.caps)
	ns, err := s.namespace(ctx)
	if err != nil {
		return fmt.Errorf("asking for the namespace: %w", err)
	}
	r.Prefix, r.Delimiter = ns.prefix, ns.delim
	if err := r.findFolders(ctx, s, ns, m.Folders); err != nil {
		return err
	}
	if !echo {
		return nil
	}
	return r.echo(ctx, s, m, ns, news)
}

func (r *ProbeResult) warn(caps imap.CapSet) {
	if !caps.Has(imap.CapIdle) {
		r.Warnings = append(r.Warnings, "the server has no IDLE: the mailbox is polled")
	}
	switch {
	case caps.Has(imap.CapUIDPlus):
	case caps.Has(imap.CapMove):
		r.Warnings = append(r.Warnings, "the server has no UIDPLUS: messages are moved with MOVE")
	default:
		r.Warnings = append(r.Warnings, "the server has neither MOVE nor UIDPLUS: registered messages are copied, and the original stays in the watched folder, marked deleted")
	}
}

// findFolders looks for the three folders. Only the inbox has to be there.
func (r *ProbeResult) findFolders(ctx context.Context, s *session, ns namespace, f Folders) error {
	for _, one := range []struct {
		to   *string
		name string
		must bool
	}{{&r.Folders.Inbox, f.Inbox, true}, {&r.Folders.Pending, f.Pending, false}, {&r.Folders.Registered, f.Registered, false}} {
		if one.name == "" {
			one.name = "INBOX"
		}
		full, err := s.folder(ctx, ns, one.name, false)
		if err != nil && (one.must || !errors.Is(err, errNoFolder)) {
			return err
		}
		*one.to = full
		if full == "" {
			continue
		}
		if _, err := s.open(ctx, full, true); err != nil {
			return &folderError{one.name, err}
		}
	}
	return nil
}

// echo appends a message to a folder of its own on a second connection and
// waits to hear of it.
func (r *ProbeResult) echo(ctx context.Context, s *session, m Mailbox, ns namespace, news <-chan struct{}) (err error) {
	folder, err := s.folder(ctx, ns, "protodaemon-check-"+rand.Text()[:8], true)
	if err != nil {
		return err
	}
	second, err := loginTo(ctx, m, s.t, defaultMaxMessage, func() {})
	if err != nil {
		return fmt.Errorf("logging in a second time: %w", err)
	}
	defer second.logout(ctx)
	defer func() { err = errors.Join(err, second.discard(context.WithoutCancel(ctx), s, folder)) }()
	if _, err := s.open(ctx, folder, true); err != nil {
		return err
	}
	if r.Echo, r.EchoMillis, err = s.hear(ctx, second, folder, news); err == nil && r.Echo == "poll" && s.caps.Has(imap.CapIdle) {
		r.Warnings = append(r.Warnings, "the server accepts IDLE and announces nothing: the mailbox is polled")
	}
	return err
}

// hear tells how, and after how long, s notices what second appends.
func (s *session) hear(ctx context.Context, second *session, folder string, news <-chan struct{}) (how string, ms int64, err error) {
	start := time.Now()
	if !s.caps.Has(imap.CapIdle) {
		if err := second.appendTest(ctx, folder); err != nil {
			return "", 0, err
		}
		return s.pollOnce(ctx, start)
	}
	var stop func() error
	err = s.do(ctx, s.t.Command, func() error {
		cmd, err := s.c.Idle()
		stop = func() error { return errors.Join(cmd.Close(), cmd.Wait()) }
		return err
	})
	if err != nil {
		return "", 0, fmt.Errorf("entering IDLE: %w", err)
	}
	select { // what was said before
	case <-news:
	default:
	}
	start = time.Now()
	appended := second.appendTest(ctx, folder)
	heard := false
	timer := time.NewTimer(echoPatience)
	defer timer.Stop()
	select {
	case <-news:
		heard = true
	case <-timer.C:
	case <-ctx.Done():
	}
	ms = time.Since(start).Milliseconds()
	if err := errors.Join(appended, s.do(ctx, s.t.Command, stop)); err != nil {
		return "", 0, err
	}
	if heard {
		return "idle", ms, nil
	}
	return s.pollOnce(ctx, start)
}

func (s *session) pollOnce(ctx context.Context, start time.Time) (string, int64, error) {
	items, err := s.list(ctx)
	if err == nil && len(items) == 0 {
		err = errors.New("a message that was just appended is not in the folder")
	}
	return "poll", time.Since(start).Milliseconds(), err
}

const testMessage = "From: <protodaemon@localhost>\r\nTo: <protodaemon@localhost>\r\nSubject: protodaemon check\r\n\r\nThis message may be deleted.\r\n"

func (s *session) appendTest(ctx context.Context, folder string) error {
	err := s.do(ctx, s.t.Command, func() error {
		cmd := s.c.Append(folder, int64(len(testMessage)), nil)
		if _, err := cmd.Write([]byte(testMessage)); err != nil {
			return err
		}
		if err := cmd.Close(); err != nil {
			return err
		}
		_, err := cmd.Wait()
		return err
	})
	if err != nil {
		return fmt.Errorf("appending a test message: %w", err)
	}
	return nil
}

// discard deletes the test folder after the one that has it open left it.
func (s *session) discard(ctx context.Context, open *session, folder string) error {
	_, left := open.open(ctx, "INBOX", true)
	err := s.do(ctx, s.t.Command, func() error {
		return errors.Join(s.c.Unsubscribe(folder).Wait(), s.c.Delete(folder).Wait())
	})
	if err != nil {
		return fmt.Errorf("deleting the test folder %s: %w", folder, errors.Join(err, left))
	}
	return nil
}
