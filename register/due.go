package register

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/protodaemon/protodaemon/store"
)

// maxChain bounds how many former occurrences of one message are looked at.
const maxChain = 1000

// Due is an act on the mail server that the register waits for.
type Due struct {
	Pending Pending
	Kind    DueKind
	Decided time.Time
	// Elsewhere are target UIDs that belong to other occurrences of the same
	// message and must not be taken for this one's copy.
	Elsewhere []Place
}

// DueKind is move (to the registered folder) or return (to the inbox).
type DueKind string

// The two due acts.
const (
	DueMove   DueKind = "move"
	DueReturn DueKind = "return"
)

// Expected lists what should be in the mailbox's watched folder: undecided
// entries, and decided ones whose act on the server is due.
func (o *Office) Expected(ctx context.Context, org, mailbox string) ([]Pending, error) {
	b, _, err := o.mailbox(org, mailbox)
	if err != nil {
		return nil, err
	}
	waiting, err := b.named(ctx, rowWaiting, mailbox)
	if err != nil {
		return nil, err
	}
	due, err := b.named(ctx, rowDue, mailbox)
	if err != nil {
		return nil, err
	}
	// One that was decided between the two reads is in both.
	seen := map[string]bool{}
	var all []Pending
	for _, p := range append(waiting, due...) {
		if !seen[p.ID] && (p.State.undecided() || p.State == StateConfirming || p.due()) {
			seen[p.ID] = true
			all = append(all, p)
		}
	}
	return all, nil
}

// named reads the pending entries of a mailbox that an index names.
func (b *book) named(ctx context.Context, kind, mailbox string) ([]Pending, error) {
	var all []Pending
	r := store.Range{Kind: kind, Prefix: prefix(mailbox)}
	err := eachRow(ctx, b.journal, r, func(row store.Row) (bool, error) {
		p, err := b.pending(ctx, lastPart(row.Key))
		if err == nil {
			all = append(all, p)
		}
		return err == nil, err
	})
	return all, err
}

// Due lists the acts that the mailbox's owner has to do, oldest first.
func (o *Office) Due(ctx context.Context, org, mailbox string) ([]Due, error) {
	b, _, err := o.mailbox(org, mailbox)
	if err != nil {
		return nil, err
	}
	waiting, err := b.named(ctx, rowDue, mailbox)
	if err != nil {
		return nil, err
	}
	var all []Due
	for _, p := range waiting {
		if !p.due() {
			continue // done since the index was read
		}
		due := Due{Pending: p, Kind: dueKind(p), Decided: p.Decided.At}
		if due.Elsewhere, err = b.elsewhere(ctx, p); err != nil {
			return nil, err
		}
		all = append(all, due)
	}
	return all, nil
}

func dueKind(p Pending) DueKind {
	if p.State == StateRejected {
		return DueReturn
	}
	return DueMove
}

func (b *book) elsewhere(ctx context.Context, p Pending) ([]Place, error) {
	var places []Place
	for range maxChain {
		if p.Previous == "" {
			break
		}
		var err error
		if p, err = b.pending(ctx, p.Previous); err != nil {
			return nil, err
		}
		if p.Place != nil && len(p.Place.UIDs) > 0 {
			places = append(places, *p.Place)
		}
	}
	return places, nil
}

// endings are the outcomes that end each act.
var endings = map[DueKind]map[Outcome]bool{
	DueMove:   {Moved: true, Copied: true},
	DueReturn: {Returned: true, Filed: true, Copied: true},
}

// Done records how a due act ended. Recording it twice changes nothing.
func (o *Office) Done(ctx context.Context, id string, place Place) error {
	b, err := o.bookOf(id)
	if err != nil {
		return err
	}
	place.Note = tidy(place.Note, maxNotes)
	err = b.do(ctx, nil, func(d *draft) error { return d.done(id, place) })
	if err != nil {
		return fmt.Errorf("recording where the message of %s is: %w", id, err)
	}
	o.desk.blocked(id, "")
	return nil
}

func (d *draft) done(id string, place Place) error {
	p, err := d.pending(id)
	switch {
	case err != nil:
		return err
	case !p.State.decided():
		return &StateError{ID: id, State: p.State}
	case p.Place != nil:
		return nil
	case !endings[dueKind(p)][place.Outcome]:
		return &FieldError{"outcome", fmt.Sprintf("%q does not end a %s", place.Outcome, dueKind(p))}
	}
	before := p
	if place.At.IsZero() {
		place.At = d.at
	}
	place.At = stamp(place.At)
	p.Place = &place
	d.add(change{
		typ:  typeMessageMoved,
		fact: fact{By: systemUser, Mailbox: p.Mailbox, Pending: id, Entry: p.Entry, Detail: encode(place)},
		rows: pendingRows(&before, p),
	})
	return nil
}

// Blocked notes why a due act could not be done yet; it is shown, not kept.
func (o *Office) Blocked(ctx context.Context, id, reason string) {
	o.desk.blocked(id, tidy(reason, maxNotes))
}

// News returns a channel that receives a value when the mailbox's owner should
// look: a due act has appeared, or somebody asked for a sweep. It holds at
// most one value.
func (o *Office) News(org, mailbox string) <-chan struct{} {
	return o.desk.news(mailboxName{org, mailbox})
}

// Sweep asks the mailbox's owner to look now (Carica da email).
func (o *Office) Sweep(ctx context.Context, a Actor, org, mailbox string) error {
	b, _, err := o.mailbox(org, mailbox)
	if err != nil {
		if errors.Is(err, ErrNotFound) && !a.Can(Read, org, "") {
			return fmt.Errorf("%w: mailboxes of %q", ErrForbidden, org)
		}
		return err
	}
	if err := b.may(a, Work); err != nil {
		return err
	}
	o.desk.wake(mailboxName{org, mailbox})
	return nil
}
