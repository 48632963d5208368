package ingest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"
)

// folderError is a folder that is not there and could not be made.
type folderError struct {
	name string
	err  error
}

func (e *folderError) Error() string { return fmt.Sprintf("folder %s: %v", e.name, e.err) }
func (e *folderError) Unwrap() error { return e.err }

var errNoFolder = errors.New("there is no such folder")

// namespace is how the server writes the names of personal folders.
type namespace struct {
	prefix string
	delim  string // empty: no hierarchy
}

// places are the three folders by their full names.
type places struct{ inbox, pending, registered string }

// resolve finds the three folders, and with create makes and subscribes the
// two that belong to the register.
func (s *session) resolve(ctx context.Context, f Folders, create bool) (p places, err error) {
	ns, err := s.namespace(ctx)
	if err != nil {
		return p, fmt.Errorf("asking for the namespace: %w", err)
	}
	inbox := f.Inbox
	if inbox == "" {
		inbox = "INBOX"
	}
	for _, one := range []struct {
		to     *string
		name   string
		create bool
	}{{&p.inbox, inbox, false}, {&p.pending, f.Pending, create}, {&p.registered, f.Registered, create}} {
		if *one.to, err = s.folder(ctx, ns, one.name, one.create); err != nil {
			return p, err
		}
	}
	return p, nil
}

// namespace asks for the personal namespace (RFC 2342), or failing that for
// the hierarchy delimiter alone.
func (s *session) namespace(ctx context.Context) (ns namespace, err error) {
	var data *imap.NamespaceData
	if s.caps.Has(imap.CapNamespace) {
		err = s.do(ctx, s.t.Command, func() (err error) {
			data, err = s.c.Namespace().Wait()
			return err
		})
		if err != nil && !answered(err) {
			return ns, err
		}
	}
	if data != nil && len(data.Personal) > 0 {
		first := data.Personal[0]
		return namespace{first.Prefix, delimiter(first.Delim)}, nil
	}
	root, _, err := s.listed(ctx, "")
	return namespace{delim: delimiter(root.Delim)}, err
}

func delimiter(r rune) string {
	if r == 0 {
		return ""
	}
	return string(r)
}

// candidates are the names that a folder may have: below the inbox, and beside
// it. On servers with the prefix "INBOX." both are the same.
func (ns namespace) candidates(name string, below bool) []string {
	if strings.EqualFold(name, "INBOX") {
		return []string{"INBOX"}
	}
	if ns.delim != "" {
		name = strings.ReplaceAll(name, "/", ns.delim)
		if in := "INBOX" + ns.delim; len(name) > len(in) && strings.EqualFold(name[:len(in)], in) {
			return []string{name}
		}
	}
	beside := ns.prefix + name
	if ns.delim == "" || !below {
		return []string{beside}
	}
	return slices.Compact([]string{"INBOX" + ns.delim + name, beside})
}

// folder returns the full name of a folder. Whether it exists is decided by
// LIST and never by the answer to CREATE, whose codes differ between servers.
func (s *session) folder(ctx context.Context, ns namespace, name string, create bool) (string, error) {
	inbox, _, err := s.listed(ctx, "INBOX")
	if err != nil {
		return "", fmt.Errorf("listing folders: %w", err)
	}
	below := !slices.Contains(inbox.Attrs, imap.MailboxAttrNoInferiors)
	names := ns.candidates(name, below)
	full, err := s.firstOf(ctx, ns.candidates(name, true))
	if full == "" && err == nil && create {
		full, err = s.create(ctx, names)
	}
	switch {
	case err != nil:
		return "", &folderError{name, err}
	case full == "":
		return "", &folderError{name, errNoFolder}
	case create:
		// Mail programs show only subscribed folders.
		err = s.do(ctx, s.t.Command, func() error { return s.c.Subscribe(full).Wait() })
		if err != nil && !answered(err) {
			return "", err
		}
	}
	return full, nil
}

func (s *session) firstOf(ctx context.Context, names []string) (string, error) {
	for _, n := range names {
		l, ok, err := s.listed(ctx, n)
		if err != nil {
			return "", err
		}
		if ok && selectable(l) {
			return n, nil
		}
	}
	return "", nil
}

func selectable(l imap.ListData) bool {
	return !slices.Contains(l.Attrs, imap.MailboxAttrNoSelect) && !slices.Contains(l.Attrs, imap.MailboxAttrNonExistent)
}

// create makes the first of the names that the server allows.
func (s *session) create(ctx context.Context, names []string) (string, error) {
	var refused error
	for _, n := range names {
		err := s.do(ctx, s.t.Command, func() error { return s.c.Create(n, nil).Wait() })
		if err != nil && !answered(err) {
			return "", err
		}
		refused = errors.Join(refused, err)
		if full, err := s.firstOf(ctx, []string{n}); err != nil || full != "" {
			return full, err
		}
	}
	return "", refused
}

// listed looks a name up. A name with a wildcard in it may bring others along.
func (s *session) listed(ctx context.Context, name string) (found imap.ListData, ok bool, err error) {
	err = s.do(ctx, s.t.Command, func() error {
		cmd := s.c.List("", name, nil)
		for l := cmd.Next(); l != nil; l = cmd.Next() {
			if sameFolder(l.Mailbox, name) || name == "" {
				found, ok = *l, true
			}
		}
		return cmd.Close()
	})
	return found, ok, err
}

// sameFolder compares names; only INBOX is the same in any case
// (RFC 9051 section 5.1).
func sameFolder(a, b string) bool {
	const inbox = len("INBOX")
	if len(a) >= inbox && len(b) >= inbox && strings.EqualFold(a[:inbox], "INBOX") && strings.EqualFold(b[:inbox], "INBOX") {
		return a[inbox:] == b[inbox:]
	}
	return a == b
}

// answered tells that err is the server's NO or BAD: the connection is well.
func answered(err error) bool {
	var no *imap.Error
	return errors.As(err, &no) && no.Type != imap.StatusResponseTypeBye
}
