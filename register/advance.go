package register

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/protodaemon/protodaemon/store"
)

// Advance is one step of a closing that was done outside, or failed.
type Advance struct {
	// From is what Reached has to be; otherwise somebody was first, nothing
	// changes, and what was recorded first counts.
	From ClosingState
	// To is what it reaches; empty: it stays, and the rest is recorded.
	To     ClosingState
	Files  []ClosingFile
	Detail map[string]string
	Parcel *Parcel
	// Trouble: the attempt failed. It is recorded when it differs from the one
	// before.
	Trouble *ClosingTrouble
}

// AdvanceClosing records a step. It returns the closing as it then is.
func (o *Office) AdvanceClosing(ctx context.Context, org, register, id string, s Advance) (Closing, error) {
	b, err := o.book(org, register)
	if err != nil {
		return Closing{}, err
	}
	var c Closing
	var moved bool
	err = b.do(ctx, nil, func(d *draft) (err error) {
		c, moved, err = d.advance(id, s)
		return err
	})
	if err != nil {
		return Closing{}, fmt.Errorf("recording a step of closing %s of %s: %w", id, b.name, err)
	}
	if moved {
		o.metrics.closed(c)
	}
	return c, nil
}

func (d *draft) advance(id string, s Advance) (c Closing, moved bool, err error) {
	c, err = d.closing(id)
	if err != nil || c.Reached != s.From {
		return c, false, err
	}
	if t := s.Trouble; t != nil {
		t.Detail = tidy(t.Detail, maxNotes)
		if c.Trouble != nil && c.Trouble.Step == t.Step && c.Trouble.Code == t.Code && c.Trouble.Detail == t.Detail {
			return c, false, nil
		}
		t.At = d.at
		c.Trouble, c.State = t, ClosingFailed
		if t.Code == TroubleOverdue {
			c.State = c.Reached
		}
		d.recordClosing(Actor{User: systemUser}, c, closingChange{Change: t.Step, State: c.State, Reason: t.Detail})
		return c, c.State == ClosingFailed, nil
	}
	detail := make(map[string]string, len(s.Detail))
	for key, text := range s.Detail {
		detail[key] = tidy(text, maxNotes) // some of it comes from outside
	}
	for _, f := range s.Files {
		if slices.ContainsFunc(c.Files, func(g ClosingFile) bool { return g.Name == f.Name }) {
			return c, false, fmt.Errorf("%w: it has a file %s already", ErrState, f.Name)
		}
		c.Files = append(c.Files, f)
	}
	if s.Parcel != nil {
		c.Parcel = s.Parcel
	}
	what := closingChange{Change: "files"}
	if (s.To == ClosingSigned || s.To == ClosingStamped) && c.Parcel != nil {
		// A package that was made before and has not gone out lacks what is new.
		c.Parcel = &Parcel{Identity: c.Parcel.Identity, Version: c.Parcel.Version + 1}
	}
	if s.To != "" {
		c.Reached, what.Change = s.To, string(s.To)
	}
	if s.To != "" || len(detail) > 0 {
		c.Steps = append(c.Steps, ClosingStep{State: c.Reached, At: d.at, By: systemUser, Detail: detail})
	}
	c.State, c.Trouble = c.Reached, nil
	what.State, what.Reason = c.State, detail["reason"]
	d.recordClosing(Actor{User: systemUser}, c, what)
	return c, s.To != "", nil
}

// closing reads a closing as the commit would leave it.
func (d *draft) closing(id string) (Closing, error) {
	day, sequence, err := parseClosingID(id)
	if err != nil {
		return Closing{}, err
	}
	var c Closing
	ok, err := d.get(rowClosing, closingKey(day, sequence), &c)
	if err == nil && !ok {
		err = fmt.Errorf("closing %s: %w", id, ErrNotFound)
	}
	return c, err
}

// recordClosing adds the record by which a closing became c.
func (d *draft) recordClosing(a Actor, c Closing, what closingChange) {
	row := encode(c)
	d.add(change{
		typ:     typeClosingChanged,
		fact:    fact{By: a.User, Name: a.Name, Closing: c.ID, Detail: encode(what)},
		rows:    []store.Row{{Kind: rowClosing, Key: closingKey(c.Day, c.Sequence), Value: row}},
		witness: encode(note{Kind: noteClosing, Closing: row}),
	})
}

// RetryClosing has the next step tried again at once, for a reason. A closing
// that conservation rejected goes back to where it was before the delivery:
// its package is made again with the facts of today, under the same identity
// with the next version; the signed files do not change.
func (o *Office) RetryClosing(ctx context.Context, a Actor, org, register, id, reason string) (Closing, error) {
	b, err := o.bookFor(a, Manage, org, register)
	if err != nil {
		return Closing{}, err
	}
	if reason == "" {
		return Closing{}, &FieldError{"reason", "is required"}
	}
	if err := checkLines("reason", reason, maxNotes); err != nil {
		return Closing{}, err
	}
	var c Closing
	err = b.do(ctx, nil, func(d *draft) (err error) {
		c, err = d.retryClosing(a, id, reason)
		return err
	})
	if err != nil {
		return Closing{}, fmt.Errorf("trying closing %s of %s again: %w", id, b.name, err)
	}
	return c, nil
}

func (d *draft) retryClosing(a Actor, id, reason string) (Closing, error) {
	c, err := d.closing(id)
	if err != nil {
		return c, err
	}
	switch {
	case c.Reached == ClosingAccepted:
		return c, fmt.Errorf("%w: conservation has accepted it", ErrState)
	case c.Reached == ClosingRejected && c.Parcel != nil:
		c.Reached = c.beforeDelivery()
		c.Parcel = &Parcel{Identity: c.Parcel.Identity, Version: c.Parcel.Version + 1}
	}
	c.State, c.Trouble = c.Reached, nil
	c.Steps = append(c.Steps, ClosingStep{State: c.State, At: d.at, By: a.User, Detail: map[string]string{"retry": reason}})
	d.recordClosing(a, c, closingChange{Change: "retry", State: c.State, Reason: reason})
	return c, nil
}

// beforeDelivery is the last state before its package went out.
func (c Closing) beforeDelivery() ClosingState {
	state := ClosingClosed
	for _, s := range c.Steps {
		switch s.State {
		case ClosingSigned, ClosingStamped:
			state = s.State
		}
	}
	return state
}

// RefuseClosing records that a day could not be closed at all and why, once a
// day for each reason: it is an alarm.
func (o *Office) RefuseClosing(ctx context.Context, org, register, reason string) error {
	b, err := o.book(org, register)
	if err != nil {
		return err
	}
	reason = tidy(reason, maxNotes)
	err = b.do(ctx, nil, func(d *draft) error {
		now := refusal{Day: d.at.In(b.loc).Format(time.DateOnly), Reason: reason}
		var before refusal
		if _, err := d.get(rowSetting, settingRefused, &before); err != nil || before == now {
			return err
		}
		d.add(change{
			typ:  typeClosingRefused,
			fact: fact{By: systemUser, Detail: encode(now)},
			rows: []store.Row{{Kind: rowSetting, Key: settingRefused, Value: encode(now)}},
		})
		return nil
	})
	if err != nil {
		return fmt.Errorf("recording that a day of %s was not closed: %w", b.name, err)
	}
	return nil
}

// refusal is the value of settingRefused.
type refusal struct {
	Day    string `json:"day"`
	Reason string `json:"reason"`
}

// IsStale tells whether CloseDay refused a closing because the journal went on:
// it is to be made again.
func IsStale(err error) bool { return errors.Is(err, errStale) }
