package register

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/protodaemon/protodaemon/store"
)

// typeMailboxChanged and typeResync are events that no journal holds.
const (
	typeMailboxChanged = "mailbox.changed"
	typeResync         = "resync"
)

// streamed are the types of records that subscribers hear of (contract
// section 3).
var streamed = map[string]bool{
	typePendingCreated: true, typePendingChanged: true, typePendingConfirmed: true,
	typePendingWithdrawn: true, typeMessageMoved: true, typeEntryChanged: true,
	typeClosingChanged: true,
}

// hub hands events to subscribers. Its zero value works.
type hub struct {
	mu   sync.Mutex
	subs map[*Subscription]struct{}
}

// Subscription collects events for one listener from the moment Subscribe
// returns it.
type Subscription struct {
	office *Office
	actor  Actor
	queue  chan Event
	lost   bool // events had to be dropped; guarded by hub.mu
}

const subscriberQueue = 256

func (h *hub) join(s *Subscription) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.subs == nil {
		h.subs = map[*Subscription]struct{}{}
	}
	h.subs[s] = struct{}{}
}

func (h *hub) leave(s *Subscription) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.subs, s)
}

func (h *hub) publish(e Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.subs {
		if s.lost || !s.actor.Can(Read, e.Organization, e.Register) {
			continue
		}
		select {
		case s.queue <- e:
		default:
			s.lost = true
		}
	}
}

// caughtUp tells whether the subscriber, whose queue is empty, has lost events
// since it was asked last.
func (h *hub) caughtUp(s *Subscription) (lost bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(s.queue) > 0 {
		return false
	}
	lost, s.lost = s.lost, false
	return lost
}

// Subscribe begins to collect every event that the actor may see; the caller
// takes them with Listen, or gives the subscription back with Close. A listener
// who is too slow loses events and gets one of type "resync" instead.
func (o *Office) Subscribe(a Actor) *Subscription {
	s := &Subscription{office: o, actor: a, queue: make(chan Event, subscriberQueue)}
	o.hub.join(s)
	return s
}

// Close ends the subscription; Listen does so itself.
func (s *Subscription) Close() { s.office.hub.leave(s) }

// Listen calls yield for every event until ctx ends or yield returns false.
func (s *Subscription) Listen(ctx context.Context, yield func(Event) bool) error {
	o := s.office
	defer s.Close()
	for {
		if o.hub.caughtUp(s) && !yield(Event{Type: typeResync, At: stamp(time.Now())}) {
			return nil
		}
		select {
		case e := <-s.queue:
			if !yield(e) {
				return nil
			}
		case <-ctx.Done():
			return ctx.Err()
		case <-o.life.Done():
			return errClosed
		}
	}
}

// follow tells of every record that a register's journal gets, from whichever
// daemon, until the ledger is closed.
func (o *Office) follow(l *ledger, after uint64, org, register string) {
	const chunk = 100
	for l.life.Err() == nil {
		err := l.journal.Wait(l.life, after)
		var records []store.Stored
		if err == nil {
			records, err = l.journal.Records(l.life, after, chunk)
		}
		if err != nil {
			if l.pause(time.Second) {
				l.log.Warn("following a journal", "err", err)
			}
			continue
		}
		for _, r := range records {
			after = r.Seq
			o.tell(r, org, register)
		}
	}
}

// tell publishes a record and wakes who has to act on it.
func (o *Office) tell(r store.Stored, org, register string) {
	e, err := event(r, org, register)
	if err != nil {
		o.log.Error("a record cannot be read", "journal", org+"/"+register, "seq", r.Seq, "err", err)
		return
	}
	if streamed[r.Type] {
		o.hub.publish(e)
	}
	if causesAct[r.Type] && e.Mailbox != "" {
		o.desk.wake(mailboxName{org, e.Mailbox})
	}
}

// causesAct are the records after which something may be due in a mailbox.
var causesAct = map[string]bool{
	typePendingConfirmed: true, typePendingChanged: true, typeEntryChanged: true,
}

// event is what a record tells.
func event(r store.Stored, org, register string) (Event, error) {
	var f fact
	if err := json.Unmarshal(r.Data, &f); err != nil {
		return Event{}, fmt.Errorf("decoding record %d: %w", r.Seq, err)
	}
	return Event{
		Type: r.Type, At: r.Time, By: f.By, Organization: org, Register: register,
		Mailbox: f.Mailbox, Pending: f.Pending, Entry: f.Entry, Closing: f.Closing, Data: f.Detail,
	}, nil
}
