package register

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/protodaemon/protodaemon/store"
)

// maxItems bounds one ConfirmMany, so that it fits one commit.
const maxItems = 500

// Confirmation is what the operator decided; empty fields take the message's.
type Confirmation struct {
	Subject         *string    `json:"subject,omitempty"`
	Classification  string     `json:"classification"`
	Parties         []Party    `json:"parties,omitempty"`
	Dossiers        []string   `json:"dossiers,omitempty"`
	Notes           string     `json:"notes,omitempty"`
	SenderReference *Reference `json:"sender_reference,omitempty"`
	Reserved        bool       `json:"reserved,omitempty"`
	Key             string     `json:"-"` // Idempotency-Key
}

// Reference is the sender's own number and date (art. 53 c. 1 e).
type Reference struct {
	Number string `json:"number,omitempty"`
	Date   string `json:"date,omitempty"` // YYYY-MM-DD
}

// Item is one confirmation of many.
type Item struct {
	ID string `json:"id"`
	Confirmation
}

// Result is the outcome of one confirmation: Err, or an entry. Already: it was
// confirmed before, by whom and when the entry says.
type Result struct {
	ID      string
	Entry   Entry
	Already bool
	Err     error
}

// Confirm gives the pending entry its number: number, date, entry and audit
// record are one durable commit (DPR 445/2000 art. 53 c. 3). Confirming twice
// returns the same entry with Already set, unless both came with the same Key:
// then it is the same request, and gets the same answer.
func (o *Office) Confirm(ctx context.Context, a Actor, id string, c Confirmation) (Result, error) {
	r := o.ConfirmMany(ctx, a, []Item{{ID: id, Confirmation: c}})[0]
	return r, r.Err
}

// ConfirmMany confirms several, in one durable commit for each register
// concerned; the items that cannot be confirmed fail alone. The numbers of one
// call in one register are consecutive, in the order of the items.
func (o *Office) ConfirmMany(ctx context.Context, a Actor, items []Item) []Result {
	begun := time.Now()
	results := make([]Result, len(items))
	perBook := map[*book][]int{}
	for i, item := range items {
		results[i].ID = item.ID
		b, err := o.confirmable(ctx, a, item)
		if len(items) > maxItems {
			err = &FieldError{"items", fmt.Sprintf("more than %d at once", maxItems)}
		}
		if results[i].Err = err; err == nil {
			perBook[b] = append(perBook[b], i)
		}
	}
	var all sync.WaitGroup
	for b, places := range perBook {
		all.Go(func() { o.confirmIn(ctx, a, b, items, places, results) })
	}
	all.Wait()
	for _, r := range results {
		if r.Err == nil && !r.Already {
			o.metrics.confirmed(r.Entry, time.Since(begun))
		}
	}
	return results
}

// confirmable checks what does not depend on the state of the entry.
func (o *Office) confirmable(ctx context.Context, a Actor, item Item) (*book, error) {
	b, err := o.bookOf(item.ID)
	if err != nil {
		return nil, err
	}
	if err := b.may(a, Work); err != nil {
		return nil, err
	}
	if b.doubtful(item.ID) {
		return nil, &StateError{ID: item.ID, State: StateConfirming}
	}
	return b, nil
}

// confirmIn confirms the items at the given places, all of one register.
func (o *Office) confirmIn(ctx context.Context, a Actor, b *book, items []Item, places []int, results []Result) {
	about := make([]string, 0, len(places))
	made := make([]Result, len(places))
	for _, i := range places {
		about = append(about, items[i].ID)
	}
	err := b.do(ctx, about, func(d *draft) error {
		for k, i := range places {
			made[k] = Result{ID: items[i].ID}
			made[k].Err = d.try(func() (err error) {
				made[k].Entry, made[k].Already, err = d.confirm(b, a, items[i])
				return err
			})
		}
		return nil
	})
	for k, i := range places {
		if err != nil {
			results[i].Err = fmt.Errorf("confirming %s: %w", items[i].ID, err)
			continue
		}
		results[i] = made[k]
	}
}

func (d *draft) confirm(b *book, a Actor, item Item) (e Entry, already bool, err error) {
	p, err := d.pending(item.ID)
	if err != nil {
		return Entry{}, false, err
	}
	switch p.State {
	case StateConfirmed:
		e, err = d.entry(p.Entry)
		retried := item.Key != "" && item.Key == p.Key && p.Decided.By == a.User
		return e, !retried, err
	case StatePending, StateQuarantined:
	default: // also oversized: there are no bytes to be registered
		return Entry{}, false, &StateError{ID: p.ID, State: p.State, Decided: p.Decided}
	}
	e, err = item.Confirmation.entry(p)
	if err == nil {
		err = b.agency.checkClass(d.ctx, e.Classification)
	}
	if err != nil {
		return Entry{}, false, err
	}
	n, err := d.number(b)
	if err != nil {
		return Entry{}, false, err
	}
	e.Organization, e.Register = b.agency.conf.ID, b.conf.ID
	e.Number, e.Year, e.Day, e.RegisteredAt = n.digits(), n.year, n.day, n.at
	e.Segnatura = b.conf.segnatura(e)
	e.ConfirmedBy = Decision{By: a.User, Name: a.Name, At: n.at}
	return e, false, d.register(b, p, e, n, item.Key)
}

// register adds the record that makes e an entry.
func (d *draft) register(b *book, p Pending, e Entry, n number, key string) error {
	before := p
	p.State, p.Decided, p.Key = StateConfirmed, &e.ConfirmedBy, key
	p.Entry = entryRef(e.Register, e.Year, e.Number)
	row := encode(e)
	rows := append(pendingRows(&before, p), store.Row{Kind: rowEntry, Key: entryKey(n.year, n.n), Value: row})
	zone, err := d.raw(rowSetting, settingZone)
	if err != nil {
		return err
	}
	if zone == nil {
		rows = append(rows, store.Row{Kind: rowSetting, Key: settingZone, Value: encode(b.loc.String())})
	}
	d.add(change{
		typ:      typePendingConfirmed,
		fact:     fact{By: e.ConfirmedBy.By, Name: e.ConfirmedBy.Name, Mailbox: p.Mailbox, Pending: p.ID, Entry: p.Entry},
		rows:     rows,
		counters: map[string]uint64{counterName(n.year): n.n},
		witness:  encode(note{Kind: noteEntry, Entry: row, Pending: pendingJSON(p)}),
	})
	return nil
}

// Reject sends the message back to the inbox.
func (o *Office) Reject(ctx context.Context, a Actor, id, reason string) (Pending, error) {
	b, err := o.bookOf(id)
	if err != nil {
		return Pending{}, err
	}
	if err := b.may(a, Work); err != nil {
		return Pending{}, err
	}
	if b.doubtful(id) {
		return Pending{}, &StateError{ID: id, State: StateConfirming}
	}
	if reason == "" {
		return Pending{}, &FieldError{"reason", "is required"}
	}
	if err := checkLines("reason", reason, maxNotes); err != nil {
		return Pending{}, err
	}
	var p Pending
	err = b.do(ctx, []string{id}, func(d *draft) (err error) {
		p, err = d.reject(a, id, reason)
		return err
	})
	if err != nil {
		return Pending{}, fmt.Errorf("rejecting %s: %w", id, err)
	}
	return p, nil
}

// reject is idempotent: the same user rejecting twice finds it rejected.
func (d *draft) reject(a Actor, id, reason string) (Pending, error) {
	p, err := d.pending(id)
	switch {
	case err != nil:
		return Pending{}, err
	case p.State == StateRejected && p.Decided.By == a.User && p.Decided.Reason == reason:
		return p, nil
	case !p.State.undecided():
		return Pending{}, &StateError{ID: id, State: p.State, Decided: p.Decided}
	}
	before := p
	p.State = StateRejected
	p.Decided = &Decision{By: a.User, Name: a.Name, At: d.at, Reason: reason}
	d.add(change{
		typ: typePendingChanged,
		fact: fact{By: a.User, Name: a.Name, Mailbox: p.Mailbox, Pending: id,
			Detail: encode(pendingChange{Change: "rejected", State: p.State, Reason: reason})},
		rows: pendingRows(&before, p),
	})
	return p, nil
}
