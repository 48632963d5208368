package ingest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// copy makes and confirms the copies of the messages that have none.
func (o *owner) copy(ctx context.Context, jobs []*job, _ map[imap.UID]item) error {
	for _, folder := range []string{o.places.registered, o.places.inbox} {
		b := batch{folder: folder, of: map[imap.UID]*job{}}
		for _, j := range jobs {
			if j.folder(o.places) != folder || j.act.waiting() {
				continue
			}
			for _, uid := range j.live {
				if !slices.Contains(j.act.Copied, uid) || j.act.Source != o.pos.valid {
					b.of[uid] = j
				}
			}
			if len(b.of) >= copyMessages {
				if err := o.copyBatch(ctx, b); err != nil {
					return err
				}
				b.of = map[imap.UID]*job{}
			}
		}
		if err := o.copyBatch(ctx, b); err != nil {
			return err
		}
	}
	return nil
}

// batch are messages to be copied with one command.
type batch struct {
	folder string
	of     map[imap.UID]*job
}

func (b batch) uids() (set imap.UIDSet) {
	for uid := range b.of {
		set.AddNum(uid)
	}
	return set
}

func (b batch) jobs() []*job {
	var l []*job
	for _, j := range b.of {
		if !slices.Contains(l, j) {
			l = append(l, j)
		}
	}
	return l
}

// copyBatch copies, or moves where copying cannot be followed by a removal,
// and learns which copies the server confirms. A batch that is refused is
// tried message by message.
func (o *owner) copyBatch(ctx context.Context, b batch) error {
	if len(b.of) == 0 {
		return nil
	}
	if err := o.noteBefore(ctx, b); err != nil {
		if !answered(err) {
			return err
		}
		o.refused(ctx, b, err)
		return nil
	}
	got, err := o.transfer(ctx, b)
	switch {
	case err == nil:
		return o.confirm(ctx, b, got)
	case !answered(err):
		return fmt.Errorf("copying messages: %w", err)
	}
	for _, j := range b.jobs() {
		j.act.look = false // the server said that it has done nothing
	}
	if len(b.of) == 1 {
		o.refused(ctx, b, err)
		return nil
	}
	return o.copySingly(ctx, b)
}

func (o *owner) refused(ctx context.Context, b batch, err error) {
	for _, j := range b.jobs() {
		o.blocked(ctx, j, fmt.Errorf("the server refuses the copy into %s: %w", b.folder, err))
	}
}

// copySingly stops when the server has refused three in a row: then it will
// refuse the rest for the same reason.
func (o *owner) copySingly(ctx context.Context, b batch) error {
	row := 0
	uids, _ := b.uids().Nums()
	for _, uid := range uids {
		j := b.of[uid]
		if row == 3 {
			j.act.after = time.Now().Add(o.in.opt.Timing.MoveRetry)
			continue
		}
		if err := o.copyBatch(ctx, batch{folder: b.folder, of: map[imap.UID]*job{uid: j}}); err != nil {
			return err
		}
		if row++; slices.Contains(j.act.Copied, uid) {
			row = 0
		}
	}
	return nil
}

// noteBefore notes where the target folder stands, so that the copies can be
// told from what was there before, and makes the folder if somebody removed it.
func (o *owner) noteBefore(ctx context.Context, b batch) error {
	st, err := o.s.status(ctx, b.folder)
	if answered(err) && b.folder == o.places.registered {
		var p places
		if p, err = o.s.resolve(ctx, o.m.Folders, true); err == nil && p.registered == b.folder {
			st, err = o.s.status(ctx, b.folder)
		} else if err == nil {
			return fmt.Errorf("%w: the registered folder is now %s", errReset, p.registered)
		}
	}
	if err != nil {
		return fmt.Errorf("asking about the folder %s: %w", b.folder, err)
	}
	for _, j := range b.jobs() {
		// After an earlier attempt its own beginning still counts.
		if j.act.Validity != st.UIDValidity || j.act.Next == 0 {
			j.act.Validity, j.act.Next = st.UIDValidity, st.UIDNext
		}
		j.act.look = true // until the answer is here
		o.pos.noteAct(j.due.Pending.ID)
	}
	return o.pos.save(ctx)
}

// transfer sends COPY, or MOVE where the server has MOVE and either no UIDPLUS
// to remove an original with or no room for a copy.
func (o *owner) transfer(ctx context.Context, b batch) (copied, error) {
	set, d := b.uids(), o.in.opt.Timing.Command*4
	if !o.s.caps.Has(imap.CapUIDPlus) && o.s.caps.Has(imap.CapMove) {
		return o.s.moveMessages(ctx, d, set, b.folder)
	}
	got, err := o.s.copyMessages(ctx, d, set, b.folder)
	var no *imap.Error
	if errors.As(err, &no) && no.Code == imap.ResponseCodeOverQuota && o.s.caps.Has(imap.CapMove) {
		return o.s.moveMessages(ctx, d, set, b.folder)
	}
	return got, err
}

// copied is what COPYUID says; empty when the server said nothing.
type copied struct {
	validity uint32
	from, to imap.UIDSet
}

func (s *session) copyMessages(ctx context.Context, d time.Duration, set imap.UIDSet, folder string) (c copied, err error) {
	err = s.do(ctx, d, func() error {
		data, err := s.c.Copy(set, folder).Wait()
		c = copied{data.UIDValidity, data.SourceUIDs, data.DestUIDs}
		return err
	})
	return c, err
}

// moveMessages is the only place that calls Client.Move, which on a server
// without MOVE destroys a message whose copy fails: it sends COPY, STORE and
// EXPUNGE without waiting. So the capabilities are read anew, and the wire
// lets nothing but UID MOVE through.
func (s *session) moveMessages(ctx context.Context, d time.Duration, set imap.UIDSet, folder string) (c copied, err error) {
	err = s.do(ctx, s.t.Command, func() (err error) {
		s.caps, err = s.c.Capability().Wait()
		return err
	})
	if err != nil {
		return c, err
	}
	if !s.caps.Has(imap.CapMove) {
		return c, &imap.Error{Type: imap.StatusResponseTypeNo, Text: errNoMove.Error()}
	}
	err = s.do(ctx, d, func() error {
		s.w.onlyMove(true)
		defer s.w.onlyMove(false)
		data, err := s.c.Move(set, folder).Wait()
		if err == nil {
			c = moved(data)
		}
		return err
	})
	return c, err
}

func moved(d *imapclient.MoveData) copied {
	from, _ := d.SourceUIDs.(imap.UIDSet)
	to, _ := d.DestUIDs.(imap.UIDSet)
	return copied{d.UIDValidity, from, to}
}

// target returns the copy of the message uid. The two sets name originals and
// copies in the same order (RFC 4315 section 3).
func (c copied) target(uid imap.UID) (imap.UID, bool) {
	nth := uint64(0)
	found := false
	for _, r := range c.from {
		if r.Start <= uid && uid <= r.Stop {
			nth, found = nth+uint64(uid-r.Start), true
			break
		}
		nth += uint64(r.Stop-r.Start) + 1
	}
	if !found {
		return 0, false
	}
	for _, r := range c.to {
		if n := uint64(r.Stop-r.Start) + 1; nth >= n {
			nth -= n
			continue
		}
		return r.Start + imap.UID(nth), true
	}
	return 0, false
}

// confirm takes note of the copies that COPYUID names. Where it names none of
// a message, the copy has to be found in the target folder.
func (o *owner) confirm(ctx context.Context, b batch, got copied) error {
	var unnamed []*job
	for _, j := range b.jobs() {
		named := true
		for _, uid := range j.live {
			if b.of[uid] != j {
				continue
			}
			if to, ok := got.target(uid); ok && got.validity == j.act.Validity {
				o.copyIs(j, uid, uint32(to))
			} else {
				named = false
			}
		}
		if !named {
			unnamed = append(unnamed, j)
		}
		j.act.look = false
	}
	at, err := o.find(ctx, b.folder, unnamed, nil)
	if err != nil {
		return err
	}
	for _, j := range unnamed {
		o.confirmFound(ctx, j, b, at.copies[j])
	}
	return o.pos.save(ctx)
}

// confirmFound counts a copy found in the target for each message without one.
func (o *owner) confirmFound(ctx context.Context, j *job, b batch, copies []uint32) {
	copies = slices.DeleteFunc(copies, func(c uint32) bool { return slices.Contains(j.act.Copies, c) })
	for _, uid := range j.live {
		if b.of[uid] != j || slices.Contains(j.act.Copied, uid) {
			continue
		}
		if len(copies) == 0 {
			o.blocked(ctx, j, errNoCopy)
			return
		}
		o.copyIs(j, uid, copies[0])
		copies = copies[1:]
	}
}

func (o *owner) copyIs(j *job, uid imap.UID, to uint32) {
	if j.act.Source != o.pos.valid {
		j.act.Source, j.act.Copied = o.pos.valid, nil
	}
	j.act.Copied = append(j.act.Copied, uid)
	j.act.Copies = append(j.act.Copies, to)
	j.remove = append(j.remove, uid)
	o.pos.noteAct(j.due.Pending.ID)
}
