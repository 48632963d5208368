package ingest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/emersion/go-imap/v2"
	"golang.org/x/sync/errgroup"

	"github.com/protodaemon/protodaemon/register"
)

// copyMessages is how many messages are copied with one command, and doneAtOnce
// how many ends of acts are recorded at the same time, to share their syncs.
const (
	copyMessages = 200
	doneAtOnce   = 64
)

var (
	errNoCopy   = errors.New("the server said OK to the copy, and there is no copy")
	errNoMove   = errors.New("the server has no MOVE")
	errNotGone  = errors.New("the server said OK to the removal, and the message is still there")
	errNowhere  = errors.New("the message is neither in the watched folder nor where it should be; it will be moved when it is back")
	errTakenOut = errors.New("somebody has marked the message deleted in the watched folder; it will be moved when the mark is taken away")
)

// job is a due act together with the messages that belong to it.
type job struct {
	due register.Due
	act *act
	// live are the messages of this act in the watched folder, marked those
	// that have the mark \Deleted.
	live, marked []imap.UID
	// remove are those of them whose copy is confirmed.
	remove []imap.UID
}

// folder is where the message of the act belongs.
func (j *job) folder(p places) string {
	if j.act.Outcome == register.Returned {
		return p.inbox
	}
	return p.registered
}

// move does what is due. The register is told that an act has ended only when
// a listing, made after everything was done, shows no message of it: so an act
// takes two passes.
func (o *owner) move(ctx context.Context, present map[imap.UID]item) (again bool, err error) {
	due, err := o.in.opt.Office.Due(ctx, o.m.Organization, o.m.ID)
	if err != nil {
		return false, &registerError{fmt.Errorf("asking what is due: %w", err)}
	}
	o.pos.endActs(due)
	jobs := o.jobs(due, present)
	if len(jobs) == 0 {
		return false, nil
	}
	for _, step := range []func(context.Context, []*job, map[imap.UID]item) error{
		o.decide, o.lookFirst, o.finish, o.copy,
	} {
		if err := step(ctx, jobs, present); err != nil {
			return false, err
		}
	}
	return o.remove(ctx, jobs, present)
}

func (o *owner) jobs(due []register.Due, present map[imap.UID]item) []*job {
	first := !o.askedDue
	o.askedDue = true
	var jobs []*job
	byID := map[string]*job{}
	for _, d := range due {
		a := o.pos.acts[d.Pending.ID]
		if a == nil {
			// What is due when the owner starts may have been begun by the
			// one before, whose notes were lost. What comes later was not.
			a = &act{look: first}
			o.pos.acts[d.Pending.ID] = a
		}
		if a.waiting() {
			continue
		}
		if a.Outcome == "" && d.Kind == register.DueMove {
			a.Outcome = register.Moved
		}
		j := &job{due: d, act: a}
		byID[d.Pending.ID] = j
		jobs = append(jobs, j)
	}
	for uid, it := range present {
		j := byID[o.pos.known[uid].ID]
		if j == nil {
			continue
		}
		if it.deleted {
			j.marked = append(j.marked, uid)
		} else {
			j.live = append(j.live, uid)
		}
	}
	for _, j := range jobs {
		slices.Sort(j.live)
		if len(j.act.Copies) > 0 && j.act.Source != o.pos.valid {
			// The folder was replaced after the copy: what is here is its
			// original under another UID.
			j.act.Source, j.act.Copied = o.pos.valid, slices.Clone(j.live)
		}
	}
	return jobs
}

// decide chooses where rejected messages go: back to the inbox, or, when that
// still holds the same message, to the registered folder.
func (o *owner) decide(ctx context.Context, jobs []*job, _ map[imap.UID]item) error {
	open := filter(jobs, func(j *job) bool { return j.act.Outcome == "" })
	at, err := o.find(ctx, o.places.inbox, open, nil)
	if err != nil {
		return err
	}
	for _, j := range open {
		copies := at.copies[j]
		switch {
		case len(copies) > 0 && len(j.live) > 0:
			j.act.Outcome, j.act.look = register.Filed, true
		case len(copies) > 0: // already there, by somebody's hand or ours
			j.act.Outcome, j.act.Validity, j.act.Copies = register.Returned, at.validity, copies
		case len(j.live) > 0:
			j.act.Outcome, j.act.look = register.Returned, false
		default:
			j.act.Outcome, j.act.look = register.Filed, true
		}
		o.pos.noteAct(j.due.Pending.ID)
	}
	return nil
}

// lookFirst searches the target folder where a copy may exist that nobody
// told us of: after a crash, a lost connection, or when the message is gone.
func (o *owner) lookFirst(ctx context.Context, jobs []*job, present map[imap.UID]item) error {
	for _, folder := range []string{o.places.registered, o.places.inbox} {
		look := filter(jobs, func(j *job) bool {
			return j.folder(o.places) == folder && len(j.act.Copies) == 0 && (j.act.look || len(j.live) == 0)
		})
		at, err := o.find(ctx, folder, look, present)
		if err != nil {
			return err
		}
		for _, j := range look {
			j.act.look = false
			if copies := at.copies[j]; len(copies) > 0 {
				j.act.Validity, j.act.Copies = at.validity, copies
				// The bytes are in the target: what lies here is the
				// original of that copy, also where the mark of our own
				// unfinished removal is on it.
				j.act.Source, j.act.Copied = o.pos.valid, slices.Concat(j.live, j.marked, at.marked[j])
				j.marked = append(j.marked, at.marked[j]...)
				o.pos.noteAct(j.due.Pending.ID)
			}
		}
	}
	return nil
}

// finish records the acts of which nothing is left to do, and says of the
// others why they stand still.
func (o *owner) finish(ctx context.Context, jobs []*job, present map[imap.UID]item) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(doneAtOnce)
	for _, j := range jobs {
		j.remove = o.removable(j, present)
		switch {
		case len(j.live) > 0 || len(j.remove) > 0:
		case len(j.act.Copies) > 0:
			o.spend(j)
			g.Go(func() error { return o.in.opt.Office.Done(gctx, j.due.Pending.ID, o.place(j)) })
		case len(j.marked) > 0:
			o.blocked(ctx, j, errTakenOut)
		default:
			if j.due.Kind == register.DueReturn {
				j.act.Outcome = "" // to be decided anew when it is back
			}
			o.blocked(ctx, j, errNowhere)
		}
	}
	if err := g.Wait(); err != nil {
		return &registerError{fmt.Errorf("recording a move: %w", err)}
	}
	return nil
}

// spend notes the originals that stay, marked by us, after the act is over.
// What somebody else has marked is another occurrence if it comes back.
func (o *owner) spend(j *job) {
	for _, uid := range j.marked {
		if slices.Contains(j.act.Copied, uid) {
			o.pos.learn(uid, known{ID: j.due.Pending.ID, Message: j.due.Pending.Message, Spent: true})
		} else {
			o.pos.forget(uid)
		}
	}
}

// removable are the messages whose copy is confirmed and that the server can
// still remove: without UIDPLUS, those that have no mark yet.
func (o *owner) removable(j *job, present map[imap.UID]item) (uids []imap.UID) {
	if j.act.Source != o.pos.valid {
		return nil
	}
	for _, uid := range j.act.Copied {
		if it, ok := present[uid]; ok && (!it.deleted || o.s.caps.Has(imap.CapUIDPlus)) {
			uids = append(uids, uid)
		}
	}
	return uids
}

func (o *owner) place(j *job) register.Place {
	p := register.Place{Outcome: j.act.Outcome, At: time.Now(), UIDValidity: j.act.Validity, UIDs: j.act.Copies}
	if len(j.marked) > 0 && !o.s.caps.Has(imap.CapUIDPlus) {
		p.Note = "the server can neither move a message nor remove one alone: the original stays in the watched folder, marked deleted"
		if p.Outcome == register.Moved {
			p.Outcome = register.Copied
		}
	}
	return p
}

// blocked tells the register why an act stands still, and puts the next
// attempt off.
func (o *owner) blocked(ctx context.Context, j *job, why error) {
	j.act.later(o.in.opt.Timing.MoveRetry, j.act.tries)
	j.act.tries++
	reason := oneLine(why)
	o.in.opt.Office.Blocked(ctx, j.due.Pending.ID, reason)
	if j.act.tries == 1 {
		o.log.Warn("a message cannot be moved yet", "pending", j.due.Pending.ID, "err", reason)
	}
}

// remove marks the originals whose copies are confirmed and expunges exactly
// them. Without UIDPLUS the mark is all: EXPUNGE would also take what others
// have marked.
func (o *owner) remove(ctx context.Context, jobs []*job, present map[imap.UID]item) (again bool, err error) {
	var set imap.UIDSet
	for _, j := range jobs {
		if len(j.remove) == 0 {
			continue
		}
		if j.act.removals++; j.act.removals > 3 {
			j.act.removals = 0
			o.blocked(ctx, j, errNotGone)
			continue
		}
		set.AddNum(j.remove...)
	}
	if len(set) == 0 {
		return false, o.pos.save(ctx)
	}
	d := o.in.opt.Timing.Command * 2
	err = o.s.do(ctx, d, func() error {
		return o.s.c.Store(set, &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagDeleted}}, nil).Close()
	})
	if err == nil && o.s.caps.Has(imap.CapUIDPlus) {
		err = o.s.do(ctx, d, func() error { return o.s.c.UIDExpunge(set).Close() })
	}
	if answered(err) {
		for _, j := range jobs {
			if len(j.remove) > 0 {
				o.blocked(ctx, j, fmt.Errorf("the copy is made, and the server refuses to remove the original: %w", err))
			}
		}
		return false, o.pos.save(ctx)
	}
	return true, errors.Join(err, o.pos.save(context.WithoutCancel(ctx)))
}

func filter(jobs []*job, keep func(*job) bool) (l []*job) {
	for _, j := range jobs {
		if keep(j) {
			l = append(l, j)
		}
	}
	return l
}
