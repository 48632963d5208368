package ingest

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/protodaemon/protodaemon/register"
	"github.com/protodaemon/protodaemon/store"
)

// How much is fetched with one command and is on its way at the same time.
const (
	batchMessages = 16
	batchBytes    = 8 << 20
	flightCount   = 32
	flightBytes   = 64 << 20
	chunkMessages = 1024 // taken before the register's acts get their turn
)

// identityPrefix is what an oversized message is identified by, with its size.
const identityPrefix = 64 << 10

// take fetches the messages and gives them into custody. What fails is noted
// with the message; an error means that one cannot go on for now.
func (o *owner) take(ctx context.Context, items []item, noticed time.Time) (took bool, err error) {
	f := newFlight()
	for len(items) > 0 && err == nil {
		n := o.batch(items)
		if items[0].size > o.in.opt.MaxMessage {
			err = o.takeOversized(ctx, items[0], noticed)
		} else {
			err = o.fetch(ctx, items[:n], noticed, f)
		}
		items, took = items[n:], true
	}
	if worse := f.land(ctx, o); err == nil {
		err = worse
	}
	return took, errors.Join(err, o.pos.save(context.WithoutCancel(ctx)))
}

// batch is how many of items are fetched with the next command: one alone if
// it is large, oversized, or has failed before.
func (o *owner) batch(items []item) int {
	n, size := 0, int64(0)
	for _, it := range items {
		alone := o.failing[it.uid] != nil || it.size > o.in.opt.MaxMessage
		if size += it.size; n > 0 && (alone || size > batchBytes || n == batchMessages) {
			break
		}
		n++
		if alone {
			break
		}
	}
	return n
}

// fetch receives the bodies and, when the server has confirmed the whole
// command, sends each on its way into custody.
func (o *owner) fetch(ctx context.Context, items []item, noticed time.Time, f *flight) error {
	got := map[imap.UID]parcel{}
	var current imap.UID
	defer func() {
		for _, p := range got {
			p.blob.Close()
		}
	}()
	var full error // the blobs', not the connection's
	err := o.s.bodies(ctx, items, 0, func(uid imap.UID, lit imap.LiteralReader) {
		i := slices.IndexFunc(items, func(it item) bool { return it.uid == uid })
		if _, twice := got[uid]; twice || i < 0 || full != nil {
			return
		}
		current = uid
		p := parcel{item: items[i], noticed: noticed}
		if p.blob, full = o.in.opt.Office.CreateBlob(ctx, o.m.Organization); full != nil {
			return
		}
		got[uid] = p
		var n int64
		n, full = io.Copy(p.blob, failsApart{lit})
		p.size = n
		got[uid] = p
		if n == lit.Size() {
			current = 0
		}
	})
	switch {
	case err != nil:
		return o.fetchFailed(items, got, current, err)
	case full != nil:
		return &registerError{fmt.Errorf("keeping a message: %w", full)}
	}
	for _, it := range items {
		p, ok := got[it.uid]
		if !ok {
			o.failed(it.uid, failFetch, errNoBody)
			continue
		}
		if p.size != it.size && !o.agreed(ctx, it, &p) {
			continue
		}
		delete(got, it.uid)
		f.send(ctx, o, p)
	}
	return nil
}

var (
	errNoBody = errors.New("the server sent no body and said OK")
	errSizes  = errors.New("the body has another size than the listing says")
)

// failsApart hides the errors of reading from who copies: bodies knows of
// them itself, so what io.Copy reports is an error of writing.
type failsApart struct{ r io.Reader }

func (r failsApart) Read(b []byte) (int, error) {
	n, err := r.r.Read(b)
	if err != nil {
		err = io.EOF
	}
	return n, err
}

// fetchFailed decides which message a failed command is due to. After NO each
// is tried alone; after a broken connection it is the one that was on its way,
// or the first that had not come.
func (o *owner) fetchFailed(items []item, got map[imap.UID]parcel, current imap.UID, err error) error {
	if answered(err) {
		for _, it := range items {
			if len(items) == 1 {
				o.failed(it.uid, failFetch, err)
			} else if o.failing[it.uid] == nil {
				o.failing[it.uid] = &retry{}
			}
		}
		return nil
	}
	for _, it := range items {
		if _, ok := got[it.uid]; it.uid == current || current == 0 && !ok {
			o.failed(it.uid, failFetch, err)
			break
		}
	}
	return fmt.Errorf("fetching messages: %w", err)
}

// oddBody is a body whose size is not RFC822.SIZE, and how often it came.
type oddBody struct {
	digest store.Digest
	times  int
}

// agreed settles a body whose size is not RFC822.SIZE: the server has lost
// count, or the body is cut. Only when three fetches bring the same bytes is
// it taken, and a person has to look at it.
func (o *owner) agreed(ctx context.Context, it item, p *parcel) bool {
	digest, _, err := p.blob.Commit(ctx)
	if err != nil {
		o.failed(it.uid, failStore, err)
		return false
	}
	p.digest = digest
	odd := o.odd[it.uid]
	if odd.digest != digest {
		odd = oddBody{digest: digest}
	}
	odd.times++
	o.odd[it.uid] = odd
	if odd.times == 3 {
		p.doubt = fmt.Sprintf("the server lists %d octets and delivers %d", it.size, p.size)
		return true
	}
	o.failed(it.uid, failSize, errSizes)
	return false
}

// takeOversized records a message that is larger than what is fetched. It is
// identified by its size and its beginning.
func (o *owner) takeOversized(ctx context.Context, it item, noticed time.Time) error {
	digest, err := o.prefixIdentity(ctx, it)
	if err == nil && digest == (store.Digest{}) {
		err = errNoBody
	}
	if err != nil {
		o.failed(it.uid, failFetch, err)
		if answered(err) || errors.Is(err, errNoBody) {
			return nil
		}
		return fmt.Errorf("fetching the beginning of uid %d: %w", it.uid, err)
	}
	a := o.arrival(it, digest, noticed)
	a.State = register.StateOversized
	a.Reason = fmt.Sprintf("the message has %d octets, more than the %d that are fetched", it.size, o.in.opt.MaxMessage)
	a.Summary = register.Summary{Kind: "email", Authenticity: "unsigned", Content: digest}
	k, err := o.arrive(ctx, a)
	if err != nil {
		return err
	}
	o.found++
	o.pos.learn(it.uid, k)
	return nil
}

// prefixIdentity is the identity of an oversized message: the SHA-256 of its
// RFC822.SIZE in decimal, a line feed and its first 64 KiB.
func (o *owner) prefixIdentity(ctx context.Context, it item) (d store.Digest, err error) {
	err = o.s.bodies(ctx, []item{{uid: it.uid, size: identityPrefix}}, identityPrefix, func(_ imap.UID, lit imap.LiteralReader) {
		h := sha256.New()
		fmt.Fprintf(h, "%d\n", it.size)
		_, _ = io.Copy(h, io.LimitReader(lit, identityPrefix))
		h.Sum(d[:0])
	})
	return d, err
}

// flight are the parcels on their way into custody at the same time. Only the
// owner sends and lands.
type flight struct {
	done  chan outcome
	n     int
	bytes int64
	out   []outcome
}

func newFlight() *flight { return &flight{done: make(chan outcome, flightCount)} }

// send lets p take off as soon as there is room.
func (f *flight) send(ctx context.Context, o *owner, p parcel) {
	for f.n > 0 && (f.n == flightCount || f.bytes+p.size > flightBytes) {
		f.receive()
	}
	f.n++
	f.bytes += p.size
	go func() { f.done <- o.keep(ctx, p) }()
}

func (f *flight) receive() {
	out := <-f.done
	f.n--
	f.bytes -= out.size
	f.out = append(f.out, out)
}

// land waits for all and notes what became of them. It returns an error when
// none was taken: then the trouble is not one message's.
func (f *flight) land(ctx context.Context, o *owner) error {
	for f.n > 0 {
		f.receive()
	}
	var first error
	taken := 0
	for _, out := range f.out {
		switch {
		case out.err == nil:
			taken++
			delete(o.failing, out.uid)
			delete(o.odd, out.uid)
			o.found++
			o.pos.learn(out.uid, out.known)
		case ctx.Err() != nil:
			first = ctx.Err()
		default:
			first = cmp.Or(first, out.err)
			o.failed(out.uid, out.reason, out.err)
		}
	}
	if taken > 0 && ctx.Err() == nil {
		return nil
	}
	return first
}
