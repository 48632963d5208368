package storetest

import (
	"fmt"

	"github.com/protodaemon/protodaemon/store"
)

var rollbackTests = []test{
	{"rollback/noticed, told, resumed", func(f *fixture) { testRollback(f, 3) }},
	{"rollback/of everything", func(f *fixture) { testRollback(f, 0) }},
	{"rollback/resuming is a commit like others", testResumeRefused},
	{"rollback/twice", testRollbackTwice},
	{"rollback/a lost resumption", func(f *fixture) { testResumeFault(f, false) }},
	{"rollback/a kept resumption", func(f *fixture) { testResumeFault(f, true) }},
}

// rolledBack writes events up to n, then three more in two commits, and puts
// the state after n back.
func (f *fixture) rolledBack(n int) store.Journal {
	f.Helper()
	f.open()
	for i := range n {
		f.append(f.journal("org/reg"), event(i+1))
		f.append(f.journal("calm/reg"), event(i+1))
	}
	f.close()
	restore := f.engine.Snapshot(f.T)
	f.open()
	f.append(f.journal("org/reg"), event(n+1))
	f.append(f.journal("org/reg"), event(n+2), event(n+3))
	f.close()
	restore()
	f.open()
	return f.journal("org/reg")
}

func testRollback(f *fixture, n int) {
	j := f.rolledBack(n)
	f.is(j.Writable(), store.ErrRolledBack)
	head := f.head(j)
	if head.Seq != uint64(n) {
		f.Fatalf("the head is at %d, want %d", head.Seq, n)
	}
	_, err := j.Append(f.Context(), store.Commit{Prev: head, Records: []store.Record{event(9)}})
	f.is(err, store.ErrRolledBack)
	if n > 0 {
		_, err = j.Get(f.Context(), "event", "0001") // it can still be read
		f.ok(err)
	}
	f.reported(j, store.CodeRolledBack)
	f.ok(f.journal("calm/reg").Writable())

	f.lost(j, n)
	h, err := j.Resume(f.Context(), store.Commit{Prev: head, Records: []store.Record{event(20), event(21)}})
	f.ok(err)
	if h.Seq != head.Seq+2 {
		f.Errorf("resumed at %d, want %d", h.Seq, head.Seq+2)
	}
	for range 2 { // now, and after a restart
		f.ok(j.Writable())
		if lost, err := j.Witnessed(f.Context()); err != nil || len(lost) != 0 {
			f.Errorf("after resuming the witness still knows of %d lost commits, %v", len(lost), err)
		}
		f.append(j, event(30))
		f.reopen()
		j = f.journal("org/reg")
	}
	f.whole(j, uint64(n)+4)
}

// lost expects the witness to know the two commits that were put away.
func (f *fixture) lost(j store.Journal, n int) {
	f.Helper()
	lost, err := j.Witnessed(f.Context())
	f.ok(err)
	var notes []string
	for _, l := range lost {
		for _, note := range l.Notes {
			notes = append(notes, string(note))
		}
	}
	want := []string{fmt.Sprintf(`{"number":%d}`, n+1), fmt.Sprintf(`{"number":%d}`, n+2), fmt.Sprintf(`{"number":%d}`, n+3)}
	if fmt.Sprint(notes) != fmt.Sprint(want) {
		f.Errorf("the witness remembers %s, want %s", notes, want)
	}
	if len(lost) == 0 {
		f.Fatal("the witness knows of nothing")
	}
	last := lost[len(lost)-1]
	if last.Seq != uint64(n)+3 || !last.Time.Equal(event(n+3).Time) || last.Hash == (store.Digest{}) {
		f.Errorf("the last testimony is %+v", last)
	}
}

// reported expects Check to find exactly this.
func (f *fixture) reported(j store.Journal, code string) {
	f.Helper()
	found := 0
	_, err := j.Check(f.Context(), func(p store.Problem) {
		if p.Code == code {
			found++
		} else {
			f.Errorf("unexpected problem %s: %s", p.Code, p.Detail)
		}
	})
	if err != nil || found != 1 {
		f.Errorf("Check reports %s %d times, %v", code, found, err)
	}
}

func testResumeRefused(f *fixture) {
	j := f.rolledBack(2)
	_, err := j.Resume(f.Context(), store.Commit{Records: []store.Record{event(9)}})
	f.is(err, store.ErrConflict)
	f.is(j.Writable(), store.ErrRolledBack)
	f.engine.Full(f.store, true)
	_, err = j.Resume(f.Context(), store.Commit{Prev: f.head(j), Records: []store.Record{event(9)}})
	f.is(err, store.ErrNoSpace)
	f.engine.Full(f.store, false)
	calm := f.journal("calm/reg")
	if _, err := calm.Resume(f.Context(), store.Commit{Prev: f.head(calm), Records: []store.Record{event(9)}}); err == nil {
		f.Error("a journal that is not rolled back was resumed")
	}
	f.whole(calm, 2)
}

// testRollbackTwice puts the same old state back under a witness that has
// already seen one resumption.
func testRollbackTwice(f *fixture) {
	f.open()
	f.append(f.journal("org/reg"), event(1))
	f.append(f.journal("org/reg"), event(2))
	f.close()
	restore := f.engine.Snapshot(f.T)
	f.open()
	for n := range 5 {
		f.append(f.journal("org/reg"), event(10+n))
	}
	for round := range 2 {
		f.close()
		restore()
		f.open()
		j := f.journal("org/reg")
		f.is(j.Writable(), store.ErrRolledBack)
		lost, err := j.Witnessed(f.Context())
		f.ok(err)
		// First the five commits; then the resumption and what followed it.
		if want := 5 - 3*round; len(lost) != want {
			f.Errorf("round %d: %d commits are lost, want %d", round, len(lost), want)
		}
		_, err = j.Resume(f.Context(), store.Commit{Prev: f.head(j), Records: []store.Record{event(20 + round)}})
		f.ok(err)
		f.append(j, event(30+round))
		f.whole(j, 4)
	}
}

func testResumeFault(f *fixture, kept bool) {
	j := f.rolledBack(2)
	f.engine.Break(f.T, f.store, "org", kept)
	_, err := j.Resume(f.Context(), store.Commit{Prev: f.head(j), Records: []store.Record{event(9)}})
	f.is(err, store.ErrUnknown)
	// The witness has not heard of it: it is still rolled back.
	f.is(j.Writable(), store.ErrRolledBack)
	f.lost(j, 2)
	_, err = j.Resume(f.Context(), store.Commit{Prev: f.head(j), Records: []store.Record{event(9)}})
	f.ok(err)
	f.append(j, event(10))
	f.reopen()
	n := uint64(4)
	if kept {
		n++
	}
	f.whole(f.journal("org/reg"), n)
}
