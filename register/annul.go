package register

import (
	"context"
	"fmt"
	"time"

	"github.com/protodaemon/protodaemon/store"
)

// Annulment is why an entry is annulled and who authorized it (DPR 445/2000
// art. 54): the deed with its number, date and author.
type Annulment struct {
	Reason        string `json:"reason"`
	Authorization string `json:"authorization"`
}

// EntryAnnulment is what an annulled entry carries beside all that it said before.
type EntryAnnulment struct {
	Reason        string    `json:"reason"`
	Authorization string    `json:"authorization"`
	By            string    `json:"by"`
	ByName        string    `json:"by_name,omitempty"`
	At            time.Time `json:"at"`
}

func (n Annulment) check() error {
	for _, f := range []struct{ name, value string }{{"reason", n.Reason}, {"authorization", n.Authorization}} {
		if f.value == "" {
			return &FieldError{f.name, "is required"}
		}
		if err := checkLines(f.name, f.value, maxNotes); err != nil {
			return err
		}
	}
	return nil
}

// Annul marks an entry as annulled: its number stays, and all it said stays
// readable. Annulling twice returns the same entry; once annulled with another
// reason it is an ErrState. An ErrClosedDay: today is closed already, and the
// register is set to take nothing more until midnight.
func (o *Office) Annul(ctx context.Context, a Actor, org, register string, year int, number string, n Annulment) (Entry, error) {
	b, err := o.bookFor(a, Manage, org, register)
	if err != nil {
		return Entry{}, err
	}
	if err := n.check(); err != nil {
		return Entry{}, err
	}
	ref := entryRef(register, year, number)
	if _, _, err := parseRef(ref); err != nil {
		return Entry{}, fmt.Errorf("entry %s: %w", clip(ref, maxCode), ErrNotFound)
	}
	var e Entry
	err = b.do(ctx, nil, func(d *draft) (err error) {
		e, err = d.annul(b, a, ref, n)
		return err
	})
	if err != nil {
		return Entry{}, fmt.Errorf("annulling %s: %w", ref, err)
	}
	return e, nil
}

func (d *draft) annul(b *book, a Actor, ref string, n Annulment) (Entry, error) {
	e, err := d.entry(ref)
	switch was := e.Annulment; {
	case err != nil:
		return Entry{}, err
	case was != nil && was.By == a.User && was.Reason == n.Reason && was.Authorization == n.Authorization:
		return e, nil
	case was != nil:
		return Entry{}, fmt.Errorf("%w: it was annulled by %s on %s", ErrState, was.By, was.At.Format(time.RFC3339))
	case e.State != Registered:
		return Entry{}, fmt.Errorf("%w: it is %s", ErrState, e.State)
	}
	if err := d.clock(); err != nil {
		return Entry{}, err
	}
	if err := d.dayOpen(b, d.at.In(b.loc).Format(time.DateOnly)); err != nil {
		return Entry{}, err
	}
	e.State = Annulled
	e.Annulment = &EntryAnnulment{Reason: n.Reason, Authorization: n.Authorization, By: a.User, ByName: a.Name, At: d.at}
	d.change(a, e, Change{Kind: changeAnnulled, Reason: n.Reason, Authority: n.Authorization})
	return e, nil
}

// The kinds of Change.
const (
	changeAnnulled  = "annulled"
	changeCorrected = "corrected"
	changeRecovered = "recovered"
	changeLost      = "lost"
)

// change adds the record by which an entry became e. The witness keeps the
// entry, so that a store that was put back does not lose an annulment.
func (d *draft) change(a Actor, e Entry, c Change) {
	year, n, err := parseRef(entryRef(e.Register, e.Year, e.Number))
	if err != nil {
		panic("register: an entry without a number: " + err.Error())
	}
	row := encode(e)
	f := fact{By: a.User, Name: a.Name, Entry: entryRef(e.Register, e.Year, e.Number), Detail: encode(c)}
	if e.Origin != nil {
		f.Pending = e.Origin.Pending // under which its history is kept
	}
	d.add(change{
		typ:     typeEntryChanged,
		fact:    f,
		rows:    []store.Row{{Kind: rowEntry, Key: entryKey(year, n), Value: row}},
		witness: encode(note{Kind: noteEntry, Entry: row, Changed: true}),
	})
}
