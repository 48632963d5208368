package storetest

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/protodaemon/protodaemon/store"
)

var faultTests = []test{
	{"fault/lost", func(f *fixture) { testBroken(f, false) }},
	{"fault/kept", func(f *fixture) { testBroken(f, true) }},
	{"fault/commits of one transaction share its doubt, others go on", testSharedDoubt},
	{"fault/the double loses and keeps", testFaulty},
	{"space/a full disk takes nothing and says so, and recovers", testFull},
}

// testBroken has the storage itself fail in the middle of a history. After
// each failure the head tells what is true, and things go on, in the same
// process and after a restart.
func testBroken(f *fixture, kept bool) {
	j, calm := f.journal("org/reg"), f.journal("calm/reg")
	f.append(j, event(1))
	f.append(calm, event(1))
	n := uint64(1)
	for round := range 4 {
		f.engine.Break(f.T, f.store, "org", kept)
		before := f.head(j)
		_, err := j.Append(f.Context(), store.Commit{Prev: before, Records: []store.Record{event(100 + round), event(200 + round)}})
		f.is(err, store.ErrUnknown)
		if kept {
			n += 2
		}
		now := f.head(j)
		if now.Seq != n {
			f.Fatalf("kept %v: the head is at %d, want %d", kept, now.Seq, n)
		}
		if kept == sameHead(before, now) {
			f.Fatalf("kept %v: the head was %+v and is %+v", kept, before, now)
		}
		_, err = j.Get(f.Context(), "event", fmt.Sprintf("%04d", 100+round))
		if kept {
			f.ok(err)
			f.ok(j.Wait(f.Context(), before.Seq))
		} else {
			f.is(err, store.ErrNotFound)
		}
		f.ok(j.Writable())
		f.whole(j, n)
		if round == 2 {
			f.reopen()
			j, calm = f.journal("org/reg"), f.journal("calm/reg")
			f.whole(j, n)
		}
		f.append(j, event(10+round))
		n++
		f.append(calm, event(10+round))
	}
	f.reopen()
	f.whole(f.journal("org/reg"), n)
	f.whole(f.journal("calm/reg"), 5)
}

// testSharedDoubt breaks a commit while many journals append. Whoever gets an
// error finds out from the head; nobody's acknowledged record is missing.
func testSharedDoubt(f *fixture) {
	const journals, each = 8, 12
	f.open()
	var wg sync.WaitGroup
	want := make([]uint64, journals)
	for i := range journals {
		j := f.journal(fmt.Sprintf("org/reg%d", i))
		wg.Go(func() {
			for n := range each {
				head, err := j.Head(f.Context())
				if err != nil {
					f.Errorf("reading the head: %v", err)
					return
				}
				if i == 0 && n%4 == 2 {
					f.engine.Break(f.T, f.store, "org", n%8 == 2)
				}
				next, err := j.Append(f.Context(), store.Commit{Prev: head, Records: []store.Record{event(n)}})
				if errors.Is(err, store.ErrUnknown) {
					next, err = j.Head(f.Context())
				}
				if err != nil || next.Seq < head.Seq || next.Seq > head.Seq+1 {
					f.Errorf("appending behind %d: %d, %v", head.Seq, next.Seq, err)
					return
				}
				want[i] = next.Seq
			}
		})
	}
	wg.Wait()
	f.reopen()
	for i := range journals {
		f.whole(f.journal(fmt.Sprintf("org/reg%d", i)), want[i])
	}
}

func testFaulty(f *fixture) {
	s := &Faulty{Store: f.open()}
	j, err := s.Journal(f.Context(), "org/reg")
	f.ok(err)
	h, err := j.Append(f.Context(), store.Commit{Records: []store.Record{event(1)}})
	f.ok(err)
	for _, kept := range []bool{false, true} {
		s.Fail("org/reg", kept)
		_, err := j.Append(f.Context(), store.Commit{Prev: h, Records: []store.Record{event(2)}})
		f.is(err, store.ErrUnknown)
		if now := f.head(j); kept == sameHead(now, h) {
			f.Errorf("kept %v: the head is %+v", kept, now)
		}
		h = f.append(j, event(3))
	}
	f.reopen()
	f.whole(f.journal("org/reg"), 4)
}

func testFull(f *fixture) {
	j := f.journal("org/reg")
	f.append(j, event(1))
	b := f.blobs("org")
	d := f.put(b, []byte("before"))
	f.engine.Full(f.store, true)
	_, err := j.Append(f.Context(), store.Commit{Prev: f.head(j), Records: []store.Record{event(2)}})
	f.is(err, store.ErrNoSpace)
	f.is(j.Writable(), store.ErrNoSpace)
	_, err = b.Create(f.Context())
	f.is(err, store.ErrNoSpace)

	if _, err := j.Get(f.Context(), "event", "0001"); err != nil {
		f.Errorf("reading from a full disk: %v", err)
	}
	f.holds(b, d, []byte("before"))
	f.whole(j, 1)
	if _, err := f.store.Acquire(f.Context(), "org", "watch", "a", time.Minute); err != nil {
		f.Errorf("a lease on a full disk: %v", err)
	}

	f.engine.Full(f.store, false)
	f.ok(j.Writable())
	f.append(j, event(2))
	f.whole(j, 2)
}
