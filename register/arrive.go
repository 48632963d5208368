package register

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/protodaemon/protodaemon/store"
)

// maxAnalysis is the largest analysis that is kept beside a pending entry.
const maxAnalysis = 4 << 20

// history of a pending entry: the details of pending.changed.
type pendingChange struct {
	Change string `json:"change"` // revived or rejected
	State  State  `json:"state"`
	Reason string `json:"reason,omitempty"`
}

// Arrive takes a message into custody, or recognises it: a withdrawn one comes
// back to life, one in custody (also confirmed and not yet moved) stays what it
// is, and after a recorded move or return a new occurrence is opened that names
// the former one. Calling it again changes nothing.
func (o *Office) Arrive(ctx context.Context, a Arrival) (Pending, error) {
	b, _, err := o.mailbox(a.Organization, a.Mailbox)
	if err != nil {
		return Pending{}, err
	}
	if err := a.bound(); err != nil {
		return Pending{}, err
	}
	var p Pending
	var created bool
	err = b.do(ctx, nil, func(d *draft) (err error) {
		p, created, err = d.arrive(b, a)
		return err
	})
	if err != nil {
		return Pending{}, fmt.Errorf("taking a message of %s/%s into custody: %w", a.Organization, a.Mailbox, err)
	}
	if created {
		o.metrics.ingested(a)
	}
	return p, nil
}

// bound makes an arrival fit to be kept, whatever the message holds.
func (a *Arrival) bound() error {
	if !a.State.undecided() {
		return &FieldError{"state", fmt.Sprintf("a message arrives pending, quarantined or oversized, not %q", a.State)}
	}
	if a.ArrivedAt.IsZero() {
		a.ArrivedAt = time.Now()
	}
	a.ArrivedAt = stamp(a.ArrivedAt)
	a.Summary = a.Summary.bounded()
	a.Reason = tidy(a.Reason, maxNotes)
	if len(a.Analysis) > maxAnalysis || len(a.Analysis) > 0 && !json.Valid(a.Analysis) {
		reason := fmt.Sprintf("its analysis (%d bytes) cannot be kept", len(a.Analysis))
		a.Analysis = nil
		if a.State == StatePending {
			a.State, a.Reason = StateQuarantined, reason
		}
	}
	return nil
}

func (d *draft) arrive(b *book, a Arrival) (p Pending, created bool, err error) {
	key := rowKey(a.Message.String(), a.Mailbox)
	var last identity
	known, err := d.get(rowIdentity, key, &last)
	if err != nil {
		return Pending{}, false, err
	}
	if !known {
		return d.open(b, a, key, nil), true, nil
	}
	if p, err = d.pending(last.ID); err != nil {
		return Pending{}, false, err
	}
	switch {
	case p.State == StateWithdrawn:
		p, err = d.revive(p, a)
		return p, false, err
	case p.State.decided() && !p.due():
		return d.open(b, a, key, &p), true, nil
	}
	return p, false, nil
}

// open begins an occurrence; former is the one before, if there was one.
func (d *draft) open(b *book, a Arrival, key string, former *Pending) Pending {
	p := Pending{
		Organization: b.agency.conf.ID, Register: b.conf.ID, Mailbox: a.Mailbox,
		Message: a.Message, Occurrence: 1, Size: a.Size,
		State: a.State, Reason: a.Reason,
		ArrivedAt: a.ArrivedAt, IngestedAt: d.at, Summary: a.Summary,
	}
	if former != nil {
		p.Occurrence, p.Previous = former.Occurrence+1, former.ID
	}
	p.ID = pendingID(p.Organization, p.Register, p.Mailbox, p.Message, p.Occurrence)
	rows := append(pendingRows(nil, p),
		store.Row{Kind: rowIdentity, Key: key, Value: encode(identity{p.Occurrence, p.ID})},
		store.Row{Kind: rowSummary, Key: p.ID, Value: encode(p.Summary), Payload: true})
	if len(a.Analysis) > 0 {
		rows = append(rows, store.Row{Kind: rowAnalysis, Key: p.ID, Value: a.Analysis, Payload: true})
	}
	if c := p.Summary.Content; c != (store.Digest{}) {
		rows = append(rows, store.Row{Kind: rowContent, Key: rowKey(c.String(), p.ID), Value: present})
	}
	d.add(change{
		typ:  typePendingCreated,
		fact: fact{By: systemUser, Mailbox: p.Mailbox, Pending: p.ID},
		rows: rows,
	})
	return p
}

// revive takes back a message that had left the folder. What may have been
// erased of it meanwhile is kept again.
func (d *draft) revive(p Pending, a Arrival) (Pending, error) {
	before := p
	p.State, p.Reason = a.State, a.Reason
	rows := pendingRows(&before, p)
	for _, payload := range []store.Row{
		{Kind: rowSummary, Key: p.ID, Value: encode(a.Summary), Payload: true},
		{Kind: rowAnalysis, Key: p.ID, Value: a.Analysis, Payload: true},
	} {
		kept, err := d.raw(payload.Kind, payload.Key)
		if err != nil {
			return Pending{}, err
		}
		if kept == nil && len(payload.Value) > 0 {
			rows = append(rows, payload)
		}
	}
	d.add(change{
		typ: typePendingChanged,
		fact: fact{By: systemUser, Mailbox: p.Mailbox, Pending: p.ID,
			Detail: encode(pendingChange{Change: "revived", State: p.State, Reason: p.Reason})},
		rows: rows,
	})
	return d.pending(p.ID)
}

// Withdraw records that an undecided message has left the watched folder. One
// that was decided meanwhile is returned as it is.
func (o *Office) Withdraw(ctx context.Context, id string) (Pending, error) {
	b, err := o.bookOf(id)
	if err != nil {
		return Pending{}, err
	}
	var p Pending
	err = b.do(ctx, nil, func(d *draft) (err error) {
		if p, err = d.pending(id); err != nil || !p.State.undecided() {
			return err
		}
		before := p
		p.State = StateWithdrawn
		d.add(change{
			typ:  typePendingWithdrawn,
			fact: fact{By: systemUser, Mailbox: p.Mailbox, Pending: id},
			rows: pendingRows(&before, p),
		})
		return nil
	})
	if err != nil {
		return Pending{}, fmt.Errorf("withdrawing %s: %w", id, err)
	}
	return p, nil
}
