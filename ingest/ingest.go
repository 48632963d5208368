// Package ingest is the front door: it watches mailboxes, takes every message
// that appears in their watched folder into the register's custody, and moves
// it on when the register has decided about it.
//
// Each mailbox has one owner goroutine with one connection. Its step is always
// the same and is repeated whenever the server or the register has news, and at
// every poll in any case:
//
//  1. look: list the watched folder (UID, size, date, \Deleted);
//  2. take: stream what is not known to a blob, analyse it, call Arrive;
//  3. compare: an undecided message that has left the folder is withdrawn;
//  4. move: do the acts that the register waits for, and look again.
//
// Nothing that the owner remembers is needed to reach the same state again.
// The position (which UID is which pending entry) saves work, and the notes on
// moves say which copies are ours; both are kept in the store's notes and may
// be lost.
//
// What is promised:
//
//   - a message counts as fetched only when as many bytes came as the server
//     announced, the command ended with OK, and the size agrees with
//     RFC822.SIZE; where it never does, what came three times alike is kept
//     in quarantine;
//   - a known (UIDVALIDITY, UID) is never identified again by its content;
//   - \Deleted in the watched folder means dragged out: such a message is not
//     taken and never touched, unless the mark is our own;
//   - a message is removed only after the server has confirmed its copy (by
//     COPYUID, or by finding the same bytes in the target folder), and only by
//     UID EXPUNGE of that message or by MOVE; EXPUNGE without UIDs is never
//     sent, \Seen is never changed;
//   - every wait on a server has an end, and everything it sends has a bound;
//   - one message, mailbox or organization in trouble does not stop another.
package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/protodaemon/protodaemon/pec"
	"github.com/protodaemon/protodaemon/register"
	"github.com/protodaemon/protodaemon/store"
)

// Office is what ingest asks of the register; *register.Office meets it, and
// its methods say what they promise.
type Office interface {
	CreateBlob(ctx context.Context, org string) (store.BlobWriter, error)
	Notes(ctx context.Context, org string) (store.Notes, error)
	Arrive(ctx context.Context, a register.Arrival) (register.Pending, error)
	Withdraw(ctx context.Context, id string) (register.Pending, error)
	Expected(ctx context.Context, org, mailbox string) ([]register.Pending, error)
	Due(ctx context.Context, org, mailbox string) ([]register.Due, error)
	Done(ctx context.Context, id string, p register.Place) error
	Blocked(ctx context.Context, id, reason string)
	News(org, mailbox string) <-chan struct{}
	Report(s register.MailboxStatus)
}

// Mailbox is a mailbox to watch and how to reach it.
type Mailbox struct {
	Organization, Register, ID, Kind, Address string

	IMAP    IMAP
	Folders Folders
	// Trust holds the anchors that its messages are judged by; nil: none.
	Trust *pec.Trust
}

// IMAP is an account on a server.
type IMAP struct {
	Host string
	Port int
	// TLS is implicit, starttls, or none, which is refused unless the server
	// turns out to be on the loopback interface.
	TLS    string
	CAFile string // PEM; empty: the system's authorities
	// Username and Password log in; Password is asked anew at each login, so
	// that a changed secret is taken up without a restart.
	Username string
	Password func() (string, error)
	Auth     string // password; others are refused
}

// Folders are named without the server's prefix; a slash separates levels.
type Folders struct{ Inbox, Pending, Registered string }

// Options say what to watch and how patiently. Zero values mean the defaults.
type Options struct {
	Office    Office
	Mailboxes []Mailbox
	Limits    pec.Limits
	// MaxMessage is the largest message that is fetched, in octets (default
	// 256 MiB); a larger one is recorded without its bytes.
	MaxMessage int64
	Timing     Timing
	Log        *slog.Logger
	Metrics    prometheus.Registerer // nil: none
}

// Timing holds every patience of the package.
type Timing struct {
	Poll      time.Duration // between two full compares (1 min)
	QuickPoll time.Duration // where the server does not push (10 s)
	IdleRenew time.Duration // longest IDLE (9 min: routers forget idle connections)
	Dial      time.Duration // connection and TLS (30 s)
	Command   time.Duration // answer to one command (30 s)
	Stall     time.Duration // silence in the middle of a body (1 min)
	Retry     time.Duration // first wait after a lost connection (1 s), doubling
	RetryMax  time.Duration // (5 min)
	// LoginRetry is the first wait after a refused login (1 min), doubling to
	// 30 min, so that the account is not locked by us.
	LoginRetry time.Duration
	Analysis   time.Duration // of one message (30 s)
	MoveRetry  time.Duration // first wait after a refused move (30 s)
}

func (t *Timing) defaults() {
	for _, d := range []struct {
		v   *time.Duration
		def time.Duration
	}{
		{&t.Poll, time.Minute}, {&t.QuickPoll, 10 * time.Second}, {&t.IdleRenew, 9 * time.Minute},
		{&t.Dial, 30 * time.Second}, {&t.Command, 30 * time.Second}, {&t.Stall, time.Minute},
		{&t.Retry, time.Second}, {&t.RetryMax, 5 * time.Minute}, {&t.LoginRetry, time.Minute},
		{&t.Analysis, 30 * time.Second}, {&t.MoveRetry, 30 * time.Second},
	} {
		if *d.v <= 0 {
			*d.v = d.def
		}
	}
}

const defaultMaxMessage = 256 << 20

// Ingest watches a set of mailboxes.
type Ingest struct {
	opt     Options
	metrics *metrics
	logins  chan struct{} // slots for those who connect at the same time
	reading chan struct{} // holds a token for each analysis under way

	reload chan []Mailbox
}

// Simultaneous work of all mailboxes together. A thousand mailboxes that
// start at once must neither storm one server nor fill the memory: an analysis
// reads its message in pieces, but holds some megabytes of what it looks into.
const (
	maxLogins   = 8
	maxReadings = 16
)

// New prepares a watch over opt.Mailboxes; Run starts it.
func New(opt Options) (*Ingest, error) {
	opt.Timing.defaults()
	if opt.MaxMessage <= 0 {
		opt.MaxMessage = defaultMaxMessage
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	m, err := newMetrics(opt.Metrics)
	if err != nil {
		return nil, fmt.Errorf("registering the metrics of mailboxes: %w", err)
	}
	return &Ingest{
		opt: opt, metrics: m,
		logins:  make(chan struct{}, maxLogins),
		reading: make(chan struct{}, maxReadings),
		reload:  make(chan []Mailbox, 1),
	}, nil
}

// Run watches opt.Mailboxes until ctx ends.
func Run(ctx context.Context, opt Options) error {
	in, err := New(opt)
	if err != nil {
		return err
	}
	return in.Run(ctx)
}

// Reload replaces the set of mailboxes. Connections of mailboxes that did not
// change stay as they are; a changed Password is used at the next login, and a
// changed Trust for the next message.
func (in *Ingest) Reload(boxes []Mailbox) {
	for {
		select {
		case in.reload <- boxes:
			return
		case <-in.reload: // superseded before it was taken up
		}
	}
}

// Run watches until ctx ends and every owner has stopped. It returns ctx's
// error: no trouble of a mailbox ends it.
func (in *Ingest) Run(ctx context.Context) error {
	var owners sync.WaitGroup
	defer owners.Wait()
	running := map[boxKey]*runningOwner{}
	boxes := in.opt.Mailboxes
	for {
		in.stop(running, boxes)
		fresh := 0
		for _, m := range boxes {
			if r := running[m.key()]; r != nil {
				r.owner.password.Store(&m.IMAP.Password)
				r.owner.trust.Store(m.Trust)
				continue
			}
			octx, cancel := context.WithCancel(ctx)
			r := &runningOwner{cancel: cancel, owner: newOwner(in, m), mailbox: m, done: make(chan struct{})}
			running[m.key()] = r
			delay := min(time.Duration(fresh)*10*time.Millisecond, 5*time.Second)
			fresh++
			owners.Go(func() {
				defer close(r.done)
				r.owner.run(octx, delay)
			})
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case boxes = <-in.reload:
		}
	}
}

type boxKey struct{ org, id string }

func (m Mailbox) key() boxKey { return boxKey{m.Organization, m.ID} }

// same tells whether a running owner can go on with n as its configuration.
func (m Mailbox) same(n Mailbox) bool {
	a, b := m.IMAP, n.IMAP
	a.Password, b.Password = nil, nil
	return m.Organization == n.Organization && m.Register == n.Register && m.ID == n.ID &&
		m.Kind == n.Kind && m.Address == n.Address && m.Folders == n.Folders &&
		a.Host == b.Host && a.Port == b.Port && a.TLS == b.TLS && a.CAFile == b.CAFile &&
		a.Username == b.Username && a.Auth == b.Auth
}

type runningOwner struct {
	owner   *owner
	mailbox Mailbox
	cancel  context.CancelFunc
	done    chan struct{}
}

// stop ends the owners that boxes no longer asks for as they are, and waits
// for them: two owners of one mailbox must never run at once.
func (in *Ingest) stop(running map[boxKey]*runningOwner, boxes []Mailbox) {
	want := map[boxKey]Mailbox{}
	for _, m := range boxes {
		want[m.key()] = m
	}
	var ended []*runningOwner
	for k, r := range running {
		if m, ok := want[k]; ok && r.mailbox.same(m) {
			continue
		}
		r.cancel()
		ended = append(ended, r)
		delete(running, k)
	}
	for _, r := range ended {
		<-r.done
		in.metrics.forget(r.mailbox)
	}
}

// errAuth refuses a way to log in that is not built in.
var errAuth = errors.New("only auth: password can be used")
