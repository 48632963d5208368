// Package register holds the legal rules of the protocol register: what is
// pending, who gives a number to what, and what can be said about it later.
//
// What it promises:
//
//   - Number, date, entry and audit record are one durable commit, and nobody
//     hears of a number before it (DPR 445/2000 arts. 53 and 57). Numbers run
//     per register and legal year from 1, without gap or repeat, and are never
//     given back. A pending entry has no number.
//   - The time of a record is the later of the clock and the record before, so
//     that days are contiguous in a journal. A clock more than two minutes
//     behind the last record gives no numbers (ErrClock). The time zone of the
//     legal day is kept with a register's first number, and no other one gives
//     numbers after it.
//   - A message is known by (mailbox, digest, n). Until its move or return is
//     recorded, each occurrence of the digest belongs to n; a later one is n+1
//     and names n. Taking it twice is the same pending entry, with the same id.
//   - Confirming is idempotent by pending id, whatever failed in between.
//   - Each journal has one committer, the only goroutine that appends to it.
//     It takes all decisions that wait, checks each against the current state
//     together with what those before it changed, and makes one Append. A
//     decision that fails fails alone. When the outcome of an Append is
//     unknown, the journal is read again until it is known: only then is
//     anything else written, and what was stored is not decided twice. A
//     caller who goes away does not stop a decision.
//   - Journals fail apart: an organization whose store cannot be read is kept
//     aside with its reason, and the others serve (Health).
//   - Every journal, "installation", "ORG" or "ORG/REGISTER", proves its
//     history; Verify holds rows, numbers, indexes and files against it, and
//     Recover is the way out when a store knows less than its witness.
//
// The id of a pending entry is 8 characters that stand for its organization
// and register, and 24 that stand for (mailbox, digest, n). Records, rows and
// witness notes are described in docs/formats.md.
package register

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/protodaemon/protodaemon/store"
)

// Setup is what the configuration says of the registers.
type Setup struct {
	Location      *time.Location // of the legal day
	Organizations []Organization
	Log           *slog.Logger
	Metrics       prometheus.Registerer // nil: none
}

// Organization is an ente (AOO) with its registers.
type Organization struct {
	ID, Name, IPACode, AOOCode, TaxCode string
	Manager, Deputy                     Officer
	Registers                           []Book
}

// Book is the configuration of one register (gestione di protocollo).
type Book struct {
	ID, Name, IPACode, AOOCode, TaxCode string
	// Segnatura is the template of the text mark, with {ipa_code},
	// {aoo_code}, {register}, {number}, {year} and {date}; empty: the default.
	Segnatura string
	Closing   ClosingRules
	Mailboxes []Mailbox
}

// Mailbox is one mailbox linked to a register.
type Mailbox struct {
	Organization, Register, ID, Kind, Address string
}

// Office is the protocol office: all registers of one installation over one
// store. Its methods are safe for concurrent use.
type Office struct {
	store   store.Store
	log     *slog.Logger
	metrics *metrics
	desk    desk
	guard   guard
	hub     hub

	life context.Context // ends with Close
	end  context.CancelFunc

	installation *ledger
	view         atomic.Pointer[view]

	mu      sync.Mutex // held while the configuration is taken over
	closed  bool
	ledgers map[string]*ledger
}

// Open reads the heads of all journals, starts their committers and returns
// the office. An organization whose journals cannot be read is kept aside
// with its reason; the others serve.
func Open(ctx context.Context, st store.Store, s Setup) (*Office, error) {
	o := &Office{store: st, log: s.Log, ledgers: map[string]*ledger{}}
	if o.log == nil {
		o.log = slog.New(slog.DiscardHandler)
	}
	o.life, o.end = context.WithCancel(context.WithoutCancel(ctx))
	o.guard.init()
	var err error
	if o.installation, err = o.ledger(ctx, installation); err != nil {
		o.end()
		return nil, fmt.Errorf("opening the journal of the installation: %w", err)
	}
	if o.metrics, err = newMetrics(o, s.Metrics); err != nil {
		return nil, errors.Join(err, o.Close())
	}
	if err := o.Reload(ctx, s); err != nil {
		return nil, errors.Join(err, o.Close())
	}
	return o, nil
}

// Close stops the committers after the decisions they have taken are answered.
func (o *Office) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return nil
	}
	o.closed = true
	o.end()
	for _, l := range o.ledgers {
		l.close()
	}
	o.metrics.close()
	return nil
}

// Reload takes over a changed configuration: what is new is opened, what is
// gone is closed, an organization that was kept aside is tried again. On an
// error the former configuration stays.
func (o *Office) Reload(ctx context.Context, s Setup) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return errClosed
	}
	if err := s.check(); err != nil {
		return err
	}
	next := &view{
		loc: s.Location, agencies: map[string]*agency{},
		books: map[string]*book{}, mailboxes: map[mailboxName]*book{},
	}
	used := map[string]bool{installation: true}
	for _, conf := range s.Organizations {
		a := o.openAgency(ctx, conf, s.Location)
		next.add(a)
		for _, b := range a.books {
			used[b.name] = true
		}
		used[conf.ID] = true
	}
	former := o.view.Swap(next)
	o.metrics.follow(former, next)
	for name := range maps.Clone(o.ledgers) {
		if !used[name] {
			o.ledgers[name].close()
			delete(o.ledgers, name)
		}
	}
	return nil
}

// check refuses what configs should have refused already, because here it
// would mix registers up.
func (s Setup) check() error {
	if s.Location == nil {
		return errors.New("a register needs the time zone of its legal day")
	}
	journals, prefixes, boxes := map[string]bool{}, map[string]bool{}, map[mailboxName]bool{}
	for _, org := range s.Organizations {
		if org.ID == "" || org.ID == installation || journals[org.ID] {
			return fmt.Errorf("organization id %q is missing, reserved or repeated", org.ID)
		}
		journals[org.ID] = true
		for _, b := range org.Registers {
			name, id := org.ID+"/"+b.ID, idPrefix(org.ID, b.ID)
			if b.ID == "" || journals[name] || prefixes[id] {
				return fmt.Errorf("register id %q is missing or repeated", name)
			}
			journals[name], prefixes[id] = true, true
			for _, m := range b.Mailboxes {
				box := mailboxName{org.ID, m.ID}
				if m.ID == "" || boxes[box] {
					return fmt.Errorf("mailbox id %q of %s is missing or repeated", m.ID, name)
				}
				boxes[box] = true
			}
		}
	}
	return nil
}

// ledger returns the named journal with its committer running.
func (o *Office) ledger(ctx context.Context, name string) (*ledger, error) {
	if l := o.ledgers[name]; l != nil {
		return l, nil
	}
	j, err := o.store.Journal(ctx, name)
	if err != nil {
		return nil, err
	}
	head, err := j.Head(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the head of %s: %w", name, err)
	}
	l := newLedger(o.life, name, j, o.log)
	if org, register, isBook := cutJournal(name); isBook {
		l.tasks.Go(func() { o.follow(l, head.Seq, org, register) })
	}
	o.ledgers[name] = l
	return l, nil
}
