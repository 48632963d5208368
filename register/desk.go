package register

import (
	"context"
	"sync"

	"github.com/protodaemon/protodaemon/store"
)

// maxBlocked bounds the reasons that are remembered.
const maxBlocked = 10000

// desk is what the owners of mailboxes and the register tell each other; it
// is forgotten at the end. Its zero value works.
type desk struct {
	mu      sync.Mutex
	bells   map[mailboxName]chan struct{}
	reports map[mailboxName]MailboxStatus
	reasons map[string]string // why the act due for a pending entry is not done
}

func (d *desk) news(m mailboxName) chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.bells == nil {
		d.bells = map[mailboxName]chan struct{}{}
	}
	if d.bells[m] == nil {
		d.bells[m] = make(chan struct{}, 1)
	}
	return d.bells[m]
}

func (d *desk) wake(m mailboxName) {
	select {
	case d.news(m) <- struct{}{}:
	default:
	}
}

// blocked notes a reason; an empty one takes it back.
func (d *desk) blocked(id, reason string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case reason == "":
		delete(d.reasons, id)
	case d.reasons == nil:
		d.reasons = map[string]string{id: reason}
	case len(d.reasons) < maxBlocked || d.reasons[id] != "":
		d.reasons[id] = reason
	}
}

func (d *desk) reason(id string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.reasons[id]
}

// report keeps a status and tells whether people should hear of it.
func (d *desk) report(s MailboxStatus) (changed bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.reports == nil {
		d.reports = map[mailboxName]MailboxStatus{}
	}
	name := mailboxName{s.Organization, s.ID}
	before, known := d.reports[name]
	d.reports[name] = s
	return !known || before.State != s.State || before.LastError != s.LastError
}

func (d *desk) status(m Mailbox) MailboxStatus {
	d.mu.Lock()
	defer d.mu.Unlock()
	s, known := d.reports[mailboxName{m.Organization, m.ID}]
	if !known {
		s.State = Connecting
	}
	s.Mailbox = m
	return s
}

// Report takes a mailbox's state; subscribers hear of changes of State and
// LastError.
func (o *Office) Report(s MailboxStatus) {
	b, m, err := o.mailbox(s.Organization, s.ID)
	if err != nil {
		return // unlinked meanwhile
	}
	s.Mailbox, s.LastError = m, tidy(s.LastError, maxNotes)
	if !o.desk.report(s) {
		return
	}
	o.hub.publish(Event{
		Type: typeMailboxChanged, At: stamp(s.LastSeen),
		Organization: b.agency.conf.ID, Register: b.conf.ID, Mailbox: m.ID,
		Data: encode(mailboxChange{State: s.State, LastError: s.LastError}),
	})
}

// mailboxChange is the data of mailbox.changed.
type mailboxChange struct {
	State     MailboxState `json:"state"`
	LastError string       `json:"last_error,omitempty"`
}

// Mailboxes lists the mailboxes that the actor may see. One whose organization
// is kept aside is listed without what only the store knows.
func (o *Office) Mailboxes(ctx context.Context, a Actor) ([]MailboxStatus, error) {
	v := o.view.Load()
	var all []MailboxStatus
	for _, org := range o.Organizations(a) {
		for _, conf := range org.Registers {
			for _, m := range conf.Mailboxes {
				s := o.desk.status(m)
				if b := v.mailboxes[mailboxName{m.Organization, m.ID}]; b != nil {
					n, err := b.count(ctx, rowWaiting, prefix(m.ID))
					if err != nil {
						return nil, err
					}
					s.Pending = n
				}
				all = append(all, s)
			}
		}
	}
	return all, nil
}

// count counts the rows of a kind with a prefix.
func (b *book) count(ctx context.Context, kind, prefix string) (n int, err error) {
	err = eachRow(ctx, b.journal, store.Range{Kind: kind, Prefix: prefix}, func(store.Row) (bool, error) {
		n++
		return true, nil
	})
	return n, err
}
