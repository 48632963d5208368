package register

import (
	"context"
	"errors"
	"fmt"

	"github.com/protodaemon/protodaemon/store"
)

func rolledBack(l *ledger) bool { return errors.Is(l.journal.Writable(), store.ErrRolledBack) }

// resume ends a rolled-back state with one commit: a record that tells of it,
// and what fill adds. Its time is not before anything the witness knows.
func (l *ledger) resume(ctx context.Context, a Actor, r Recovery, lost []store.Testimony, fill func(*draft) error) error {
	return l.alone(ctx, func(ctx context.Context) error {
		head, err := l.journal.Head(ctx)
		if err != nil {
			return err
		}
		d := newDraft(ctx, l.journal, head)
		detail := recovery{Change: "resumed", Reason: r.Reason, Authority: r.Authority}
		if len(lost) > 0 {
			last := lost[len(lost)-1]
			detail.LostFrom, detail.LostTo = lost[0].Seq, last.Seq
			if last.Time.After(d.at) {
				d.at = last.Time
			}
		}
		d.add(change{typ: typeRegisterRecovered, fact: fact{By: a.User, Name: a.Name, Detail: encode(detail)}})
		if err := fill(d); err != nil {
			return err
		}
		_, err = l.journal.Resume(ctx, store.Commit{Prev: head, Records: d.records})
		return err
	})
}

// resumeOthers resumes the journals above the register's, from which no number
// can be missing.
func (o *Office) resumeOthers(ctx context.Context, a Actor, b *book, r Recovery) error {
	if rolledBack(b.agency.ledger) {
		err := b.agency.ledger.resume(ctx, a, r, nil, (*draft).restorePlan)
		if err != nil {
			return fmt.Errorf("resuming %s: %w", b.agency.ledger.name, err)
		}
	}
	if !rolledBack(o.installation) || !a.governs() {
		return nil
	}
	lost, err := o.installation.journal.Witnessed(ctx)
	if err == nil {
		err = o.installation.resume(ctx, a, r, lost, func(d *draft) error { return d.shutOut(a, lost) })
	}
	if err != nil {
		return fmt.Errorf("resuming %s: %w", installation, err)
	}
	return nil
}

// restorePlan adds the shipped filing plan where even that is lost.
func (d *draft) restorePlan() error {
	classes, err := d.journal.List(d.ctx, store.Range{Kind: rowClass, Limit: 1})
	if err == nil && len(classes) == 0 {
		d.add(change{typ: typePlanCreated, fact: fact{By: systemUser}, rows: defaultPlan()})
	}
	return err
}

// shutOut disables and revokes again what the witness knows to have been.
func (d *draft) shutOut(a Actor, lost []store.Testimony) error {
	for n := range eachNote(lost) {
		var err error
		switch n.Kind {
		case noteDisabled:
			err = d.disable(a, n.User)
		case noteRevoked:
			var t Token
			if ok, _ := d.get(rowToken, n.Token, &t); ok {
				err = d.revoke(a, n.Token, t)
			}
		}
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
	}
	return nil
}
