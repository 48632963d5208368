package ingest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/emersion/go-imap/v2"

	"github.com/protodaemon/protodaemon/register"
	"github.com/protodaemon/protodaemon/store"
)

// maxSearch bounds how many messages of one size are compared in one search.
const maxSearch = 10000

// findings are the copies of the messages of jobs in one folder.
type findings struct {
	validity uint32
	copies   map[*job][]uint32
	// marked are messages in the watched folder that have the same bytes and
	// the mark \Deleted, for jobs with a copy.
	marked map[*job][]imap.UID
}

// find searches the folder for the messages of jobs: the server narrows by
// size, then the bytes decide. Copies that belong to other occurrences, or
// were there before the act began, do not count. With present, it also looks
// for what our own unfinished removal has left behind in the watched folder.
// Afterwards the watched folder is open again.
func (o *owner) find(ctx context.Context, folder string, jobs []*job, present map[imap.UID]item) (at findings, err error) {
	at = findings{copies: map[*job][]uint32{}, marked: map[*job][]imap.UID{}}
	if len(jobs) == 0 {
		return at, nil
	}
	data, err := o.s.open(ctx, folder, true)
	if err == nil {
		at.validity = data.UIDValidity
		err = o.search(ctx, folder, jobs, &at)
	} else if answered(err) {
		err = nil // there is no such folder, and so no copy
	}
	if err != nil {
		return at, err
	}
	if data, err = o.s.open(ctx, o.places.pending, false); err != nil {
		return at, err
	}
	if data.UIDValidity != o.pos.valid {
		return at, errReset
	}
	return at, o.findMarked(ctx, jobs, present, &at)
}

func (o *owner) search(ctx context.Context, folder string, jobs []*job, at *findings) error {
	bySize := map[int64][]imap.UID{}
	var all []item
	for _, j := range jobs {
		size := j.due.Pending.Size
		if _, asked := bySize[size]; asked {
			continue
		}
		uids, err := o.s.ofSize(ctx, size)
		if err != nil {
			return fmt.Errorf("searching the folder %s: %w", folder, err)
		}
		bySize[size] = uids
		for _, uid := range uids {
			all = append(all, item{uid: uid, size: size})
		}
	}
	sums, err := o.identities(ctx, all)
	if err != nil {
		return fmt.Errorf("comparing messages in the folder %s: %w", folder, err)
	}
	for _, j := range jobs {
		others := elsewhere(j, at.validity)
		for _, uid := range bySize[j.due.Pending.Size] {
			before := j.act.Validity == at.validity && uid < j.act.Next
			if sums[uid] != j.due.Pending.Message || before || slices.Contains(others.uids, uint32(uid)) {
				continue
			}
			if others.unplaced > 0 { // one of these belongs to another occurrence
				others.unplaced--
				continue
			}
			at.copies[j] = append(at.copies[j], uint32(uid))
		}
	}
	return nil
}

// others are the copies that belong to other occurrences of the same message.
type others struct {
	uids     []uint32
	unplaced int // those whose UID there is no longer known
}

func elsewhere(j *job, validity uint32) (o others) {
	if j.act.Outcome == "" {
		return o // any message in the inbox will do
	}
	inbox := j.act.Outcome == register.Returned
	for _, p := range j.due.Elsewhere {
		switch {
		case (p.Outcome == register.Returned) != inbox:
		case p.UIDValidity == validity:
			o.uids = append(o.uids, p.UIDs...)
		default:
			o.unplaced += len(p.UIDs)
		}
	}
	return o
}

// ofSize asks for the messages of one size in the open folder.
func (s *session) ofSize(ctx context.Context, size int64) (uids []imap.UID, err error) {
	var data *imap.SearchData
	err = s.do(ctx, s.t.Command, func() (err error) {
		data, err = s.c.UIDSearch(&imap.SearchCriteria{Larger: size - 1, Smaller: size + 1}, nil).Wait()
		return err
	})
	if err != nil {
		return nil, err
	}
	set, _ := data.All.(imap.UIDSet)
	for _, r := range set {
		for uid := r.Start; uid <= r.Stop && uid != 0; uid++ {
			if uids = append(uids, uid); len(uids) > maxSearch {
				return nil, fmt.Errorf("%w: more than %d messages of one size", errFlood, maxSearch)
			}
		}
	}
	return uids, nil
}

// identities are the digests by which the register knows the messages.
func (o *owner) identities(ctx context.Context, items []item) (map[imap.UID]store.Digest, error) {
	sums := map[imap.UID]store.Digest{}
	for len(items) > 0 {
		n := o.batch(items)
		if items[0].size > o.in.opt.MaxMessage {
			d, err := o.prefixIdentity(ctx, items[0])
			if err != nil {
				return nil, err
			}
			sums[items[0].uid] = d
		} else if err := o.s.digests(ctx, items[:n], sums); err != nil {
			return nil, err
		}
		items = items[n:]
	}
	return sums, nil
}

// digests adds the SHA-256 of the messages to sums.
func (s *session) digests(ctx context.Context, items []item, sums map[imap.UID]store.Digest) error {
	return s.bodies(ctx, items, 0, func(uid imap.UID, lit imap.LiteralReader) {
		h := sha256.New()
		_, _ = io.Copy(h, lit)
		sums[uid] = store.Digest(h.Sum(nil))
	})
}

// findMarked looks for originals that a removal of ours marked \Deleted and
// did not expunge before it was cut off.
func (o *owner) findMarked(ctx context.Context, jobs []*job, present map[imap.UID]item, at *findings) error {
	var all []item
	for _, it := range present {
		if _, is := o.pos.known[it.uid]; it.deleted && !is && slices.ContainsFunc(jobs, func(j *job) bool {
			return len(at.copies[j]) > 0 && j.due.Pending.Size == it.size
		}) {
			all = append(all, it)
		}
	}
	sums, err := o.identities(ctx, all)
	if err != nil {
		return fmt.Errorf("comparing messages: %w", err)
	}
	for _, it := range all {
		for _, j := range jobs {
			if len(at.copies[j]) > 0 && sums[it.uid] == j.due.Pending.Message {
				at.marked[j] = append(at.marked[j], it.uid)
			}
		}
	}
	return nil
}

// FindRegistered looks for the message with the given digest in the
// registered folder, then in the watched one, newest first, and hands its
// bytes to put. It tells whether it did.
func FindRegistered(ctx context.Context, m Mailbox, message store.Digest, put func(io.Reader) error) (bool, error) {
	var t Timing
	t.defaults()
	s, err := loginTo(ctx, m, t, defaultMaxMessage, func() {})
	if err != nil {
		return false, errors.New(explain(err, m).String())
	}
	defer s.logout(ctx)
	p, err := s.resolve(ctx, m.Folders, false)
	if err != nil {
		return false, err
	}
	for _, folder := range []string{p.registered, p.pending} {
		if _, err := s.open(ctx, folder, true); err != nil {
			return false, err
		}
		if found, err := s.findDigest(ctx, message, put); found || err != nil {
			return found, err
		}
	}
	return false, nil
}

func (s *session) findDigest(ctx context.Context, message store.Digest, put func(io.Reader) error) (bool, error) {
	items, err := s.list(ctx)
	if err != nil {
		return false, err
	}
	items = slices.DeleteFunc(items, func(it item) bool { return it.size > defaultMaxMessage })
	slices.Reverse(items)
	for batch := range slices.Chunk(items, batchMessages) {
		sums := map[imap.UID]store.Digest{}
		if err := s.digests(ctx, batch, sums); err != nil {
			return false, err
		}
		for _, it := range batch {
			if sums[it.uid] == message {
				return true, s.hand(ctx, it, put)
			}
		}
	}
	return false, nil
}

// hand gives the bytes of one message to put.
func (s *session) hand(ctx context.Context, it item, put func(io.Reader) error) error {
	failed := errNoBody
	err := s.bodies(ctx, []item{it}, 0, func(_ imap.UID, lit imap.LiteralReader) { failed = put(lit) })
	return errors.Join(err, failed)
}
