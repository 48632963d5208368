package storetest

import (
	"sync"
	"time"

	"github.com/protodaemon/protodaemon/store"
)

const long = time.Hour

var leaseTests = []test{
	{"lease/taken, renewed, refused to others", func(f *fixture) {
		s := f.open()
		first, err := s.Acquire(f.Context(), "org", "watch", "a", long)
		f.ok(err)
		if first.Token == 0 || first.Holder != "a" || first.Org != "org" || first.Name != "watch" || !first.Until.After(time.Now()) {
			f.Errorf("the lease is %+v", first)
		}
		again, err := s.Acquire(f.Context(), "org", "watch", "a", 2*long)
		f.ok(err)
		if again.Token != first.Token || !again.Until.After(first.Until) {
			f.Errorf("renewed: %+v, before: %+v", again, first)
		}
		_, err = s.Acquire(f.Context(), "org", "watch", "b", long)
		f.is(err, store.ErrLease)
		_, err = s.Acquire(f.Context(), "org", "archive", "b", long)
		f.ok(err)
		_, err = s.Acquire(f.Context(), "org2", "watch", "b", long)
		f.ok(err)
	}},
	{"lease/the token grows with each holder, over restarts", func(f *fixture) {
		var last uint64
		for _, holder := range []string{"a", "b", "b", "a"} {
			s := f.open()
			l, err := s.Acquire(f.Context(), "org", "watch", holder, long)
			f.ok(err)
			if l.Token <= last {
				f.Errorf("%s got token %d after %d", holder, l.Token, last)
			}
			last = l.Token
			_, err = s.Acquire(f.Context(), "org", "watch", holder, 0) // given back
			f.ok(err)
			f.close()
		}
	}},
	{"lease/a commit under a lost lease changes nothing", testLeaseCommit},
	{"lease/one of many gets it", func(f *fixture) {
		s := f.open()
		var wg sync.WaitGroup
		var mu sync.Mutex
		got := 0
		for _, holder := range []string{"a", "b", "c", "d", "e", "f"} {
			wg.Go(func() {
				if _, err := s.Acquire(f.Context(), "org", "watch", holder, long); err == nil {
					mu.Lock()
					got++
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if got != 1 {
			f.Errorf("%d holders got the lease", got)
		}
	}},
}

func testLeaseCommit(f *fixture) {
	j := f.journal("org/reg")
	acquire := func(holder string, ttl time.Duration) store.Lease {
		l, err := f.store.Acquire(f.Context(), "org", "watch", holder, ttl)
		f.ok(err)
		return l
	}
	under := func(l store.Lease) error {
		_, err := j.Append(f.Context(), store.Commit{Prev: f.head(j), Records: []store.Record{event(1)}, Lease: l})
		return err
	}
	old := acquire("a", long)
	f.ok(under(old))
	acquire("a", 0)
	f.is(under(old), store.ErrLease)
	held := acquire("b", long)
	f.is(under(old), store.ErrLease)
	f.ok(under(held))
	for name, l := range map[string]store.Lease{
		"another token":        {Org: held.Org, Name: held.Name, Holder: held.Holder, Token: held.Token + 1, Until: held.Until},
		"another holder":       {Org: held.Org, Name: held.Name, Holder: "c", Token: held.Token, Until: held.Until},
		"another organization": {Org: "org2", Name: held.Name, Holder: held.Holder, Token: held.Token, Until: held.Until},
		"never given":          {Org: "org", Name: "archive", Holder: "b", Token: 1, Until: held.Until},
	} {
		f.Logf("%s", name)
		f.is(under(l), store.ErrLease)
	}
	f.whole(j, 2)
}
