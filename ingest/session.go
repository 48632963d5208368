package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-sasl"
)

var (
	errSilent     = errors.New("the server does not answer")
	errPreauth    = errors.New("the server greets with PREAUTH")
	errIncomplete = errors.New("the server's list of messages is incomplete")
	errTruncated  = errors.New("the connection ended in the middle of a message")
	errReset      = errors.New("the watched folder has been replaced by another one (UIDVALIDITY)")
)

// loginError is a login that the server refused for good.
type loginError struct{ err error }

func (e *loginError) Error() string { return "login refused: " + e.err.Error() }
func (e *loginError) Unwrap() error { return e.err }

// secretError is a password that could not be read.
type secretError struct{ err error }

func (e *secretError) Error() string { return "reading the password: " + e.err.Error() }
func (e *secretError) Unwrap() error { return e.err }

// session is one logged-in connection. go-imap takes no context and has no
// time limit, so every call of the client happens inside do or stream.
type session struct {
	c    *imapclient.Client
	w    *wire
	caps imap.CapSet
	t    Timing
	// noIdle: the server offers IDLE and refuses it.
	noIdle bool
}

// connect dials and logs in. news is called from the client's reader whenever
// the server says something that was not asked for; it must not block.
func connect(ctx context.Context, m IMAP, password string, t Timing, maxBody int64, news func()) (*session, error) {
	dctx, cancel := context.WithTimeoutCause(ctx, t.Dial, errSilent)
	defer cancel()
	w, err := dial(dctx, m, maxBody)
	if err != nil {
		return nil, err
	}
	return start(ctx, w, m, password, t, news)
}

func start(ctx context.Context, w *wire, m IMAP, password string, t Timing, news func()) (*session, error) {
	s := &session{w: w, t: t}
	s.c = imapclient.New(w, &imapclient.Options{UnilateralDataHandler: &imapclient.UnilateralDataHandler{
		Expunge: func(uint32) { news() },
		Mailbox: func(d *imapclient.UnilateralDataMailbox) {
			if d.NumMessages != nil {
				news()
			}
		},
		Fetch: func(d *imapclient.FetchMessageData) {
			for d.Next() != nil {
			}
			news()
		},
	}})
	if err := s.login(ctx, m, password); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// close ends the connection at once and waits for the client's reader.
func (s *session) close() {
	s.w.Close()
	<-s.c.Closed()
}

// logout says good-bye, but not for long.
func (s *session) logout(ctx context.Context) {
	d := min(s.t.Command, 2*time.Second)
	_ = s.do(context.WithoutCancel(ctx), d, func() error { return s.c.Logout().Wait() })
	s.close()
}

// do runs f, which talks to the server, for no longer than d: then, or when
// ctx ends, it closes the connection, which ends f.
func (s *session) do(ctx context.Context, d time.Duration, f func() error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, d, errSilent)
	defer cancel()
	return s.until(ctx, f)
}

func (s *session) until(ctx context.Context, f func() error) error {
	s.w.lines.Store(maxPerCommand)
	stop := context.AfterFunc(ctx, func() { s.w.Close() })
	err := f()
	if !stop() {
		return fmt.Errorf("%w (%v)", context.Cause(ctx), err)
	}
	return err
}

// stream runs f, which receives up to size octets, for as long as octets keep
// coming and the whole is not absurdly slow (4 KiB/s).
func (s *session) stream(ctx context.Context, size int64, f func() error) error {
	total := s.t.Command + s.t.Stall + time.Duration(size/4096)*time.Second
	ctx, cancel := context.WithTimeoutCause(ctx, total, errSilent)
	defer cancel()
	ctx, fail := context.WithCancelCause(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		tick := time.NewTicker(s.t.Stall)
		defer tick.Stop()
		for before := int64(-1); ; {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			now := s.w.received.Load()
			if now == before {
				fail(errSilent)
			}
			before = now
		}
	}()
	err := s.until(ctx, f)
	fail(nil)
	<-watched
	return err
}

func (s *session) login(ctx context.Context, m IMAP, password string) error {
	err := s.do(ctx, s.t.Command, func() error {
		if err := s.c.WaitGreeting(); err != nil {
			return err
		}
		if s.c.State() != imap.ConnStateNotAuthenticated {
			return errPreauth
		}
		return s.authenticate(m, password)
	})
	if err != nil {
		return err
	}
	return s.do(ctx, s.t.Command, func() (err error) {
		s.caps, err = s.c.Capability().Wait()
		return err
	})
}

func (s *session) authenticate(m IMAP, password string) error {
	if m.Auth != "" && m.Auth != "password" {
		return &loginError{fmt.Errorf("auth: %s: %w", m.Auth, errAuth)}
	}
	caps := s.c.Caps()
	var err error
	if caps.Has(imap.AuthCap("PLAIN")) {
		err = s.c.Authenticate(sasl.NewPlainClient("", m.Username, password))
	} else {
		err = s.c.Login(m.Username, password).Wait()
	}
	var no *imap.Error
	if errors.As(err, &no) && !temporary[no.Code] {
		return &loginError{err}
	}
	return err
}

// temporary are the codes of a refusal that says nothing about the account
// (RFC 5530).
var temporary = map[imap.ResponseCode]bool{
	imap.ResponseCodeUnavailable: true, imap.ResponseCodeInUse: true,
	imap.ResponseCodeLimit: true, imap.ResponseCodeServerBug: true,
}

// open selects a folder and returns its UIDVALIDITY. To examine is to select
// without the right to change.
func (s *session) open(ctx context.Context, folder string, examine bool) (*imap.SelectData, error) {
	var data *imap.SelectData
	err := s.do(ctx, s.t.Command, func() (err error) {
		data, err = s.c.Select(folder, &imap.SelectOptions{ReadOnly: examine}).Wait()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("opening the folder %s: %w", folder, err)
	}
	return data, nil
}

// status asks for UIDVALIDITY and UIDNEXT of a folder (UIDNEXT is 0 where the
// server does not tell) and the number of messages.
func (s *session) status(ctx context.Context, folder string) (st imap.StatusData, err error) {
	err = s.do(ctx, s.t.Command, func() error {
		d, err := s.c.Status(folder, &imap.StatusOptions{UIDValidity: true, UIDNext: true, NumMessages: true}).Wait()
		st = *d
		return err
	})
	return st, err
}

// item is one message as a listing shows it.
type item struct {
	uid     imap.UID
	size    int64
	date    time.Time // INTERNALDATE
	deleted bool
}

// list returns all messages of the open folder, in UID order. A listing from
// which anything is missing is an error: what is not in a listing is taken to
// have left the folder.
func (s *session) list(ctx context.Context) ([]item, error) {
	err := s.do(ctx, s.t.Command, func() error { return s.c.Noop().Wait() })
	if err != nil {
		return nil, err
	}
	exists := s.c.Mailbox()
	if exists == nil {
		return nil, errReset
	}
	if exists.NumMessages == 0 {
		return nil, nil
	}
	found := map[imap.UID]item{}
	ask := imap.UIDSet{imap.UIDRange{Start: 1}}
	for range 3 {
		if err := s.listInto(ctx, ask, found); err != nil {
			return nil, err
		}
		// A change of flags that the server mentions while it answers can
		// take the place of the answer for that message.
		ask = nil
		for uid, it := range found {
			if it.size < 0 {
				ask.AddNum(uid)
			}
		}
		if len(ask) == 0 {
			return sorted(found), nil
		}
	}
	return nil, errIncomplete
}

func (s *session) listInto(ctx context.Context, set imap.UIDSet, found map[imap.UID]item) error {
	return s.stream(ctx, maxPerCommand, func() error {
		cmd := s.c.Fetch(set, &imap.FetchOptions{UID: true, Flags: true, InternalDate: true, RFC822Size: true})
		for msg := cmd.Next(); msg != nil; msg = cmd.Next() {
			it := readItem(msg)
			if it.uid != 0 {
				found[it.uid] = it
			}
		}
		return cmd.Close()
	})
}

// readItem reads a message of a listing; the size stays -1 unless all that
// was asked for is there.
func readItem(msg *imapclient.FetchMessageData) item {
	it := item{size: -1}
	flags, size := false, int64(-1)
	for d := msg.Next(); d != nil; d = msg.Next() {
		switch d := d.(type) {
		case imapclient.FetchItemDataUID:
			it.uid = d.UID
		case imapclient.FetchItemDataRFC822Size:
			size = d.Size
		case imapclient.FetchItemDataInternalDate:
			it.date = d.Time
		case imapclient.FetchItemDataFlags:
			flags = true
			for _, f := range d.Flags {
				it.deleted = it.deleted || f == imap.FlagDeleted
			}
		}
	}
	if flags {
		it.size = size
	}
	return it
}

// bodies fetches whole messages, or their first limit octets when that is
// positive, and hands each to sink, which must read all of it. The error is
// that of the command: nothing that sink received counts unless it is nil.
func (s *session) bodies(ctx context.Context, items []item, limit int64, sink func(imap.UID, imap.LiteralReader)) error {
	section := &imap.FetchItemBodySection{Peek: true}
	if limit > 0 {
		section.Partial = &imap.SectionPartial{Size: limit}
	}
	var set imap.UIDSet
	var size int64
	for _, it := range items {
		set.AddNum(it.uid)
		size += max(it.size, 0)
	}
	return s.stream(ctx, size, func() error {
		cmd := s.c.Fetch(set, &imap.FetchOptions{UID: true, BodySection: []*imap.FetchItemBodySection{section}})
		for msg := cmd.Next(); msg != nil; msg = cmd.Next() {
			var uid imap.UID
			for d := msg.Next(); d != nil; d = msg.Next() {
				switch d := d.(type) {
				case imapclient.FetchItemDataUID:
					uid = d.UID
				case imapclient.FetchItemDataBodySection:
					if d.Literal == nil || uid == 0 {
						continue
					}
					lit := &literal{LiteralReader: d.Literal}
					sink(uid, lit)
					// After the end of the stream the client's reader
					// has gone on: asking the literal or the command
					// for more would race with it.
					if lit.broken {
						s.w.Close()
						return errTruncated
					}
				}
			}
		}
		return cmd.Close()
	})
}

// literal notices when the stream ends before the announced size.
type literal struct {
	imap.LiteralReader
	read   int64
	broken bool
}

func (l *literal) Read(b []byte) (int, error) {
	if l.broken {
		return 0, io.ErrUnexpectedEOF
	}
	n, err := l.LiteralReader.Read(b)
	l.read += int64(n)
	if err != nil && (err != io.EOF || l.read != l.Size()) {
		l.broken = true
		return n, io.ErrUnexpectedEOF
	}
	return n, err
}
