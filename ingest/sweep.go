package ingest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/protodaemon/protodaemon/register"
)

func sorted(found map[imap.UID]item) []item {
	return slices.SortedFunc(maps.Values(found), func(a, b item) int { return int(int64(a.uid) - int64(b.uid)) })
}

// pass looks once and does what follows from it. It tells whether anything
// was done after which one has to look again.
func (o *owner) pass(ctx context.Context) (again bool, err error) {
	noticed := o.noticed.Swap(0)
	items, err := o.s.list(ctx)
	if err != nil {
		return false, fmt.Errorf("listing the folder: %w", err)
	}
	when := time.Now()
	if noticed != 0 {
		when = time.Unix(0, noticed)
	}
	present := map[imap.UID]item{}
	for _, it := range items {
		present[it.uid] = it
	}
	o.noticeLeaving(present)
	for uid := range o.failing {
		if _, ok := present[uid]; !ok {
			delete(o.failing, uid)
		}
	}
	took, err := o.take(ctx, o.unknown(items), when)
	if err != nil {
		return false, err
	}
	compared := false
	if o.mustCompare {
		if compared, err = o.compare(ctx, present); err != nil {
			return false, err
		}
	}
	moved, err := o.move(ctx, present)
	return took || compared || moved, errors.Join(err, o.pos.save(ctx))
}

// noticeLeaving forgets what is no longer there, and asks for a comparison
// when a message has left since the last pass or its mark has changed. Asking
// the register what it expects costs a read of every entry that waits, so it
// is not done for each message that comes.
func (o *owner) noticeLeaving(present map[imap.UID]item) {
	marked := 0
	for uid := range o.pos.known {
		it, ok := present[uid]
		if !ok {
			o.mustCompare = true
			o.pos.forget(uid)
		} else if it.deleted {
			marked++
		}
	}
	if marked != o.marked {
		o.mustCompare = true
	}
	o.marked = marked
}

// unknown are the messages to be taken now: at most one chunk, those that
// failed before at the end.
func (o *owner) unknown(items []item) []item {
	var fresh, failed []item
	for _, it := range items {
		_, is := o.pos.known[it.uid]
		r := o.failing[it.uid]
		switch {
		case is || it.deleted:
		case r == nil:
			fresh = append(fresh, it)
		case !r.waiting():
			failed = append(failed, it)
		}
	}
	all := append(fresh, failed...)
	return all[:min(len(all), chunkMessages)]
}

// compare withdraws what has left the folder, and forgets what is known of a
// message that the register does not expect: the position may be newer than
// the journal, and then the message has to be taken again.
func (o *owner) compare(ctx context.Context, present map[imap.UID]item) (again bool, err error) {
	expected, err := o.in.opt.Office.Expected(ctx, o.m.Organization, o.m.ID)
	if err != nil {
		return false, &registerError{fmt.Errorf("asking what should be in the folder: %w", err)}
	}
	here := map[string]bool{}
	byID := map[string]bool{}
	for _, p := range expected {
		byID[p.ID] = true
	}
	for uid, k := range o.pos.known {
		if present[uid].deleted {
			continue
		}
		here[k.ID] = true
		if !byID[k.ID] && !k.Spent && o.unexpected[uid] != k.ID {
			o.unexpected[uid] = k.ID
			o.pos.forget(uid)
			again = true
		}
	}
	if again {
		return true, nil
	}
	o.mustCompare = false
	var gone []register.Pending
	for _, p := range expected {
		switch {
		case !undecided[p.State] || here[p.ID]:
		case o.maybeUnidentified(present, p):
			o.mustCompare = true
		default:
			gone = append(gone, p)
		}
	}
	if len(gone) == 0 {
		return false, nil
	}
	return o.withdraw(ctx, present, gone)
}

var undecided = map[register.State]bool{
	register.StatePending: true, register.StateQuarantined: true, register.StateOversized: true,
}

// maybeUnidentified tells whether p may be one of the messages that are in the
// folder and not identified yet. One that keeps failing stands only for
// entries of its own size.
func (o *owner) maybeUnidentified(present map[imap.UID]item, p register.Pending) bool {
	for uid, it := range present {
		if _, is := o.pos.known[uid]; is || it.deleted {
			continue
		}
		r := o.failing[uid]
		if r == nil || r.tries < 3 || it.size == p.Size || o.odd[uid].times > 0 {
			return true
		}
	}
	return false
}

// withdraw records what has left the folder, if a second listing agrees with
// the first.
func (o *owner) withdraw(ctx context.Context, present map[imap.UID]item, gone []register.Pending) (again bool, err error) {
	items, err := o.s.list(ctx)
	if err != nil {
		return false, fmt.Errorf("listing the folder again: %w", err)
	}
	if !slices.EqualFunc(items, sorted(present), func(a, b item) bool { return a.uid == b.uid && a.deleted == b.deleted }) {
		o.mustCompare = true
		return true, nil
	}
	for _, p := range gone {
		if _, err := o.in.opt.Office.Withdraw(ctx, p.ID); err != nil {
			return false, &registerError{fmt.Errorf("recording that %s has left the folder: %w", p.ID, err)}
		}
		// What is only marked \Deleted comes back to life when the mark goes.
		for uid, k := range o.pos.known {
			if k.ID == p.ID {
				o.pos.forget(uid)
			}
		}
	}
	return false, nil
}
