package storetest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/protodaemon/protodaemon/store"
)

var journalTests = []test{
	{"journal/begins empty", func(f *fixture) {
		j := f.journal("org/reg")
		if h := f.head(j); !sameHead(h, store.Head{}) {
			f.Errorf("the head of a new journal is %+v", h)
		}
		if j.Name() != "org/reg" {
			f.Errorf("the journal is called %q", j.Name())
		}
		f.ok(j.Writable())
		f.whole(j, 0)
	}},
	{"journal/names that are paths are refused", func(f *fixture) {
		s := f.open()
		for _, name := range []string{"", "..", "../x", "org/../x", "org/", "/reg", "a/b/c", "installation/reg", ".org", "org/.reg", "o rg", "org\x00", "città"} {
			if _, err := s.Journal(f.Context(), name); err == nil {
				f.Errorf("journal %q was opened", name)
			}
		}
		for _, org := range []string{"", "..", "a/b", "../x"} {
			if _, err := s.Notes(f.Context(), org); err == nil {
				f.Errorf("notes of %q were opened", org)
			}
			if _, err := s.Blobs(f.Context(), org); err == nil {
				f.Errorf("blobs of %q were opened", org)
			}
			if _, err := s.Acquire(f.Context(), org, "watch", "me", time.Minute); err == nil {
				f.Errorf("a lease of %q was given", org)
			}
		}
	}},
	{"journal/head follows records", testHead},
	{"journal/records are chained lines", testChain},
	{"journal/a stale head is refused and changes nothing", testStale},
	{"journal/all or nothing", testAllOrNothing},
	{"journal/bad commits are refused", testBadCommits},
	{"journal/paging", testPaging},
	{"journal/closing and opening changes nothing", testReopen},
	{"journal/journals do not mix", func(f *fixture) {
		for i, name := range []string{"installation", "a", "a/x", "a/y", "b/x"} {
			for n := range i + 1 {
				f.append(f.journal(name), event(n))
			}
		}
		f.reopen()
		for i, name := range []string{"installation", "a", "a/x", "a/y", "b/x"} {
			f.whole(f.journal(name), uint64(i+1))
		}
	}},
	{"journal/concurrent appenders on many journals", testConcurrent},
	{"journal/appenders of one journal: stale ones fail alone", testRace},
}

func testHead(f *fixture) {
	j := f.journal("org/reg")
	want := store.Head{Seq: 2, Time: event(7).Time, Counters: map[string]uint64{"2026": 7}}
	got := f.append(j, event(6), event(7))
	want.Hash = got.Hash
	if !sameHead(got, want) {
		f.Fatalf("Append returned %+v, want %+v", got, want)
	}
	if h := f.head(j); !sameHead(h, got) {
		f.Errorf("Head is %+v, Append said %+v", h, got)
	}
	// A counter that an event does not set stays; an event may set another.
	got = f.append(j, store.Record{Type: "other", Time: start, Counters: map[string]uint64{"2027": 1}})
	if got.Counters["2026"] != 7 || got.Counters["2027"] != 1 || got.Seq != 3 {
		f.Errorf("after another counter: %+v", got)
	}
	f.whole(j, 3)
}

func testChain(f *fixture) {
	j := f.journal("org/reg")
	f.append(j, event(1))
	head := f.append(j, event(2), event(3))
	records, err := j.Records(f.Context(), 0, 0)
	f.ok(err)
	if len(records) != 3 {
		f.Fatalf("%d records, want 3", len(records))
	}
	var prev store.Digest
	for i, r := range records {
		var line struct {
			Seq  uint64
			Prev store.Digest
		}
		f.ok(json.Unmarshal(r.Line, &line))
		if r.Seq != uint64(i+1) || line.Seq != r.Seq || line.Prev != prev {
			f.Errorf("record %d is %d and follows %s, want %s", i+1, line.Seq, line.Prev, prev)
		}
		if r.Hash != store.Sum(r.Line) || bytes.ContainsRune(r.Line, '\n') {
			f.Errorf("record %d: hash %s is not that of its line %s", i+1, r.Hash, r.Line)
		}
		want := event(i + 1)
		var compact bytes.Buffer
		f.ok(json.Compact(&compact, want.Data))
		if r.Type != want.Type || !r.Time.Equal(want.Time) || !bytes.Equal(r.Data, compact.Bytes()) {
			f.Errorf("record %d reads as %s %s %s", i+1, r.Type, r.Time, r.Data)
		}
		prev = r.Hash
	}
	if head.Hash != prev {
		f.Errorf("the head's hash is %s, the last record's %s", head.Hash, prev)
	}
}

func testStale(f *fixture) {
	j := f.journal("org/reg")
	first := f.append(j, event(1))
	second := f.append(j, event(2))
	forged := second
	forged.Hash[0] ^= 1
	for name, prev := range map[string]store.Head{"empty": {}, "older": first, "other hash": forged, "ahead": {Seq: 3, Hash: second.Hash}} {
		_, err := j.Append(f.Context(), store.Commit{Prev: prev, Records: []store.Record{event(9)}})
		if !errors.Is(err, store.ErrConflict) {
			f.Errorf("%s head: got %v, want ErrConflict", name, err)
		}
	}
	if h := f.head(j); !sameHead(h, second) {
		f.Errorf("the head moved to %+v", h)
	}
	_, err := j.Get(f.Context(), "event", "0009")
	f.is(err, store.ErrNotFound)
	f.whole(j, 2)
}

func testAllOrNothing(f *fixture) {
	j := f.journal("org/reg")
	before := f.append(j, event(1))
	bad := event(3)
	bad.Rows = append(bad.Rows, store.Row{Kind: "event", Key: "bad", Value: json.RawMessage(`{`)})
	if _, err := j.Append(f.Context(), store.Commit{Prev: before, Records: []store.Record{event(2), bad}}); err == nil {
		f.Fatal("a commit with a broken row was stored")
	}
	if h := f.head(j); !sameHead(h, before) {
		f.Errorf("the head moved to %+v", h)
	}
	_, err := j.Get(f.Context(), "event", "0002")
	f.is(err, store.ErrNotFound)
	f.reopen()
	f.whole(f.journal("org/reg"), 1)
}

func testBadCommits(f *fixture) {
	j := f.journal("org/reg")
	row := func(r store.Row) []store.Record {
		return []store.Record{{Type: "x", Time: start, Rows: []store.Row{r}}}
	}
	long := string(bytes.Repeat([]byte("k"), store.MaxKey))
	value := json.RawMessage(`1`)
	for name, records := range map[string][]store.Record{
		"no record":       nil,
		"no type":         {{Time: start}},
		"broken data":     {{Type: "x", Time: start, Data: json.RawMessage(`{"a":`)}},
		"broken note":     {{Type: "x", Time: start, Witness: json.RawMessage(`nul`)}},
		"no kind":         row(store.Row{Key: "k", Value: value}),
		"zero in a kind":  row(store.Row{Kind: "a\x00b", Key: "k", Value: value}),
		"long key":        row(store.Row{Kind: "k", Key: long, Value: value}),
		"broken row":      row(store.Row{Kind: "k", Key: "k", Value: json.RawMessage(``)}),
		"broken payload":  row(store.Row{Kind: "k", Key: "k", Value: json.RawMessage(`x`), Payload: true}),
		"enormous record": {{Type: "x", Time: start, Data: json.RawMessage(`"` + string(bytes.Repeat([]byte("a"), store.MaxLine)) + `"`)}},
	} {
		if _, err := j.Append(f.Context(), store.Commit{Records: records}); err == nil || errors.Is(err, store.ErrUnknown) {
			f.Errorf("%s: got error %v", name, err)
		}
	}
	f.whole(j, 0)
	f.append(j, event(1))
}

func testPaging(f *fixture) {
	j := f.journal("org/reg")
	for n := range 10 {
		f.append(j, event(2*n), event(2*n+1))
	}
	for _, c := range []struct {
		after       uint64
		limit       int
		first, last uint64
	}{
		{0, 0, 1, 20}, {0, 7, 1, 7}, {7, 7, 8, 14}, {14, 7, 15, 20}, {19, 100, 20, 20}, {20, 5, 0, 0}, {^uint64(0), 5, 0, 0},
	} {
		got, err := j.Records(f.Context(), c.after, c.limit)
		f.ok(err)
		var first, last uint64
		if len(got) > 0 {
			first, last = got[0].Seq, got[len(got)-1].Seq
		}
		if first != c.first || last != c.last {
			f.Errorf("Records(%d, %d) are %d to %d, want %d to %d", c.after, c.limit, first, last, c.first, c.last)
		}
	}
}

func testReopen(f *fixture) {
	j := f.journal("org/reg")
	f.append(j, event(1), event(2))
	head := f.append(j, store.Record{Type: "erase", Time: start, Rows: []store.Row{{Kind: "event", Key: "0001"}}})
	before, err := j.Records(f.Context(), 0, 0)
	f.ok(err)
	f.reopen()
	j = f.journal("org/reg")
	if h := f.head(j); !sameHead(h, head) {
		f.Errorf("the head is %+v, want %+v", h, head)
	}
	after, err := j.Records(f.Context(), 0, 0)
	f.ok(err)
	for i := range before {
		if !bytes.Equal(before[i].Line, after[i].Line) {
			f.Errorf("record %d was %s and is %s", i+1, before[i].Line, after[i].Line)
		}
	}
	rows, err := j.List(f.Context(), store.Range{Kind: "event"})
	f.ok(err)
	if len(rows) != 1 || rows[0].Key != "0002" {
		f.Errorf("the rows are %+v", rows)
	}
	f.whole(j, 3)
}

func testConcurrent(f *fixture) {
	const journals, each = 16, 20
	f.open()
	var wg sync.WaitGroup
	for i := range journals {
		j := f.journal(fmt.Sprintf("org%d/reg%d", i%3, i))
		wg.Go(func() {
			head := store.Head{}
			for n := range each {
				next, err := j.Append(f.Context(), store.Commit{Prev: head, Records: []store.Record{event(n)}})
				if err != nil || next.Seq != head.Seq+1 {
					f.Errorf("%s: record %d: head %+v, error %v", j.Name(), n, next, err)
					return
				}
				head = next
			}
		})
	}
	wg.Wait()
	f.reopen()
	for i := range journals {
		f.whole(f.journal(fmt.Sprintf("org%d/reg%d", i%3, i)), each)
	}
}

// testRace has many appenders on one journal, each deciding on the head it has
// read, beside one on another journal of the same organization that must not
// notice.
func testRace(f *fixture) {
	const appenders, each = 8, 10
	j, other := f.journal("org/reg"), f.journal("org/other")
	var wg sync.WaitGroup
	for range appenders {
		wg.Go(func() {
			for done := 0; done < each; {
				head, err := j.Head(f.Context())
				if err == nil {
					_, err = j.Append(f.Context(), store.Commit{Prev: head, Records: []store.Record{event(int(head.Seq))}})
				}
				if err == nil {
					done++
				} else if !errors.Is(err, store.ErrConflict) {
					f.Errorf("appending: %v", err)
					return
				}
			}
		})
	}
	wg.Go(func() {
		for n := range each {
			head, err := other.Head(f.Context())
			if err == nil {
				_, err = other.Append(f.Context(), store.Commit{Prev: head, Records: []store.Record{event(n)}})
			}
			if err != nil {
				f.Errorf("the other journal: %v", err)
			}
		}
	})
	wg.Wait()
	f.whole(j, appenders*each)
	f.whole(other, each)
	rows, err := j.List(f.Context(), store.Range{Kind: "event"})
	f.ok(err)
	if len(rows) != appenders*each {
		f.Errorf("%d rows, want one for each of %d records", len(rows), appenders*each)
	}
}
