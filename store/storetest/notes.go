package storetest

import (
	"fmt"
	"slices"

	"github.com/protodaemon/protodaemon/store"
)

var noteTests = []test{
	{"notes/set, get, delete", func(f *fixture) {
		n := f.notes("org")
		_, err := n.Get(f.Context(), "a")
		f.is(err, store.ErrNotFound)
		value := []byte("1")
		f.ok(n.Set(f.Context(), map[string][]byte{"a": value, "b": {}, "c": []byte("3")}))
		value[0] = 'x' // the caller may use its buffer again
		f.note(n, "a", "1")
		f.note(n, "b", "")
		f.ok(n.Set(f.Context(), map[string][]byte{"a": []byte("2"), "c": nil}))
		f.note(n, "a", "2")
		_, err = n.Get(f.Context(), "c")
		f.is(err, store.ErrNotFound)
		_, err = f.notes("org2").Get(f.Context(), "a")
		f.is(err, store.ErrNotFound)
	}},
	{"notes/survive an orderly end", func(f *fixture) {
		f.ok(f.notes("org").Set(f.Context(), map[string][]byte{"a": []byte("1"), "b": {}, "c": []byte("3")}))
		f.ok(f.notes("installation").Set(f.Context(), map[string][]byte{"session": []byte("s")}))
		f.reopen()
		n := f.notes("org")
		f.note(n, "a", "1")
		f.note(n, "b", "")
		f.note(f.notes("installation"), "session", "s")
		f.ok(n.Set(f.Context(), map[string][]byte{"a": nil, "c": nil, "d": []byte("4")}))
		f.scan(n, "", "b", "d")
		f.reopen()
		f.scan(f.notes("org"), "", "b", "d")
	}},
	{"notes/scan", func(f *fixture) {
		n := f.notes("org")
		values := map[string][]byte{}
		var want []string
		for i := range 1000 {
			k := fmt.Sprintf("seen/%04d", i)
			values[k] = []byte(k)
			want = append(want, k)
		}
		f.ok(n.Set(f.Context(), values))
		f.reopen()
		n = f.notes("org")
		f.ok(n.Set(f.Context(), map[string][]byte{"a": []byte("a"), "seen": []byte("seen"), "z": []byte("z"), "seen/0500": nil, "seen/9999": []byte("seen/9999")}))
		want = append(slices.Delete(want, 500, 501), "seen/9999")
		f.scan(n, "seen/", want...)
		f.scan(n, "seen/099", want[989:999]...)
		f.scan(n, "none")
		calls := 0
		f.ok(n.Scan(f.Context(), "seen/", func(string, []byte) bool { calls++; return calls < 3 }))
		if calls != 3 {
			f.Errorf("Scan called %d times, want 3", calls)
		}
		// The caller's code may use the notes itself.
		f.ok(n.Scan(f.Context(), "seen/000", func(k string, _ []byte) bool {
			f.ok(n.Set(f.Context(), map[string][]byte{k: nil}))
			return true
		}))
		f.scan(n, "seen/000")
	}},
}

func (f *fixture) notes(org string) store.Notes {
	f.Helper()
	if f.store == nil {
		f.open()
	}
	n, err := f.store.Notes(f.Context(), org)
	if err != nil {
		f.Fatalf("opening the notes of %s: %v", org, err)
	}
	return n
}

func (f *fixture) note(n store.Notes, key, want string) {
	f.Helper()
	got, err := n.Get(f.Context(), key)
	if err != nil || string(got) != want {
		f.Errorf("note %s is %q, %v; want %q", key, got, err, want)
	}
}

func (f *fixture) scan(n store.Notes, prefix string, want ...string) {
	f.Helper()
	var got []string
	f.ok(n.Scan(f.Context(), prefix, func(k string, _ []byte) bool {
		got = append(got, k)
		return true
	}))
	if !slices.Equal(got, want) {
		f.Errorf("scanning %q gives %d keys %.80q, want %d %.80q", prefix, len(got), got, len(want), want)
	}
}
