// Package storetest states and tests what package store promises. Every engine
// passes Run unchanged; what only one engine can do is tested beside it.
//
// Faulty is a double for the tests of those who use a store: it fails in the
// two ways in which storage fails.
package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/protodaemon/protodaemon/store"
)

// Engine is the place where an engine keeps its data, and the hands that a
// test lays on it. Each test gets a new, empty one.
type Engine interface {
	// Open opens the data, the first time and again after Close.
	Open(ctx context.Context) (store.Store, error)
	// Snapshot copies what the closed store holds of its journals, but not the
	// witness. restore puts the copy back under a closed store.
	Snapshot(t *testing.T) (restore func())
	// Full makes the disk below the open store look full, or free again.
	Full(s store.Store, full bool)
	// Break makes the next commit of the organization fail with an error of
	// the storage: kept says that the commit is stored nevertheless.
	Break(t *testing.T, s store.Store, org string, kept bool)
	// Age makes a blob look older.
	Age(t *testing.T, org string, d store.Digest, by time.Duration)
}

// Run tests an engine.
func Run(t *testing.T, engine func(t *testing.T) Engine) {
	for _, group := range [][]test{journalTests, rowTests, waitTests, leaseTests, noteTests, blobTests, faultTests, rollbackTests} {
		for _, tc := range group {
			t.Run(tc.name, func(t *testing.T) {
				tc.run(&fixture{T: t, engine: engine(t)})
			})
		}
	}
}

type test struct {
	name string
	run  func(f *fixture)
}

// fixture is one test's engine and the store that is open on it.
type fixture struct {
	*testing.T
	engine Engine
	store  store.Store
}

// open opens the store and sees to it that it is closed in the end.
func (f *fixture) open() store.Store {
	f.Helper()
	s, err := f.engine.Open(f.Context())
	if err != nil {
		f.Fatalf("opening the store: %v", err)
	}
	f.store = s
	f.Cleanup(func() {
		if err := s.Close(); err != nil {
			f.Errorf("closing the store: %v", err)
		}
	})
	return s
}

func (f *fixture) close() {
	f.Helper()
	if err := f.store.Close(); err != nil {
		f.Fatalf("closing the store: %v", err)
	}
}

func (f *fixture) reopen() store.Store {
	f.Helper()
	f.close()
	return f.open()
}

// journal opens a journal of the store that is open, or opens it.
func (f *fixture) journal(name string) store.Journal {
	f.Helper()
	if f.store == nil {
		f.open()
	}
	j, err := f.store.Journal(f.Context(), name)
	if err != nil {
		f.Fatalf("opening journal %s: %v", name, err)
	}
	return j
}

func (f *fixture) head(j store.Journal) store.Head {
	f.Helper()
	h, err := j.Head(f.Context())
	if err != nil {
		f.Fatalf("head of %s: %v", j.Name(), err)
	}
	return h
}

// append appends records behind the journal's head.
func (f *fixture) append(j store.Journal, records ...store.Record) store.Head {
	f.Helper()
	h, err := j.Append(f.Context(), store.Commit{Prev: f.head(j), Records: records})
	if err != nil {
		f.Fatalf("appending to %s: %v", j.Name(), err)
	}
	return h
}

// whole checks the journal and expects no problem and so many records.
func (f *fixture) whole(j store.Journal, records uint64) {
	f.Helper()
	got, err := j.Check(f.Context(), func(p store.Problem) { f.Errorf("%s: %s", p.Code, p.Detail) })
	if err != nil {
		f.Fatalf("checking %s: %v", j.Name(), err)
	}
	if got.Records != records {
		f.Errorf("%s: Check went through %d records, want %d", j.Name(), got.Records, records)
	}
}

func (f *fixture) is(err, want error) {
	f.Helper()
	if !errors.Is(err, want) {
		f.Fatalf("got error %v, want %v", err, want)
	}
}

func (f *fixture) ok(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

var start = time.Date(2026, 3, 29, 0, 59, 59, 123456789, time.UTC)

// event is a record that leaves a trace everywhere: a row, a counter and a
// note for the witness.
func event(n int) store.Record {
	return store.Record{
		Type: "event", Time: start.Add(time.Duration(n) * time.Second),
		Data:     json.RawMessage(fmt.Sprintf(`{"n": %d, "text": "<perché & così>"}`, n)),
		Rows:     []store.Row{{Kind: "event", Key: fmt.Sprintf("%04d", n), Value: json.RawMessage(fmt.Sprintf(`{"n":%d}`, n))}},
		Counters: map[string]uint64{"2026": uint64(n)},
		Witness:  json.RawMessage(fmt.Sprintf(`{"number":%d}`, n)),
	}
}

func sameHead(a, b store.Head) bool {
	if len(a.Counters) != len(b.Counters) {
		return false
	}
	for k, v := range a.Counters {
		if b.Counters[k] != v {
			return false
		}
	}
	return a.Seq == b.Seq && a.Hash == b.Hash && a.Time.Equal(b.Time)
}
