package storetest

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/protodaemon/protodaemon/store"
)

var waitTests = []test{
	{"wait/returns at once when there is news", func(f *fixture) {
		j := f.journal("org/reg")
		f.append(j, event(1), event(2))
		f.ok(j.Wait(f.Context(), 1))
		f.reopen()
		f.ok(f.journal("org/reg").Wait(f.Context(), 1))
	}},
	{"wait/many wake on one append", func(f *fixture) {
		j := f.journal("org/reg")
		f.append(j, event(1))
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				if err := j.Wait(f.Context(), 1); err != nil {
					f.Errorf("waiting: %v", err)
				}
			})
			wg.Go(func() { // by another handle of the same journal
				other, err := f.store.Journal(f.Context(), "org/reg")
				if err == nil {
					err = other.Wait(f.Context(), 1)
				}
				if err != nil {
					f.Errorf("waiting: %v", err)
				}
			})
		}
		f.append(j, event(2))
		wg.Wait()
	}},
	{"wait/another journal's news is none", func(f *fixture) {
		j := f.journal("org/reg")
		ctx, cancel := context.WithTimeout(f.Context(), 20*time.Millisecond)
		defer cancel()
		f.append(f.journal("org/other"), event(1))
		f.is(j.Wait(ctx, 0), context.DeadlineExceeded)
	}},
	{"wait/gives the reason of its context", func(f *fixture) {
		why := errors.New("the shop closes")
		ctx, cancel := context.WithCancelCause(f.Context())
		cancel(why)
		f.is(f.journal("org/reg").Wait(ctx, 0), why)
	}},
	{"wait/ends with the store", func(f *fixture) {
		j := f.journal("org/reg")
		done := make(chan error)
		go func() { done <- j.Wait(context.WithoutCancel(f.Context()), 0) }()
		f.close()
		if err := <-done; err == nil {
			f.Error("a wait on a closed store returned as if there were news")
		}
	}},
	{"wait/a cancelled context appends nothing", func(f *fixture) {
		j := f.journal("org/reg")
		ctx, cancel := context.WithCancel(f.Context())
		cancel()
		head, err := j.Append(ctx, store.Commit{Records: []store.Record{event(1)}})
		if now := f.head(j); (err == nil) != (now.Seq == 1) {
			f.Errorf("Append said %v, %v and the head is %+v", head, err, now)
		}
	}},
	{"ping/answers while the store is open", func(f *fixture) {
		s := f.open()
		f.ok(s.Ping(f.Context()))
		f.close()
		if s.Ping(f.Context()) == nil {
			f.Error("a closed store answers Ping")
		}
	}},
}
