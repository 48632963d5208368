package archive_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"

	"github.com/protodaemon/protodaemon/archive"
	"github.com/protodaemon/protodaemon/register"
)

// forget puts the journals back to what they were when it was called; files and
// witness stay as they are then.
func (h *hall) forget() (back func()) {
	h.t.Helper()
	data, kept := filepath.Join(h.dir, "data"), filepath.Join(h.t.TempDir(), "kept")
	h.close()
	if err := os.CopyFS(kept, os.DirFS(data)); err != nil {
		h.t.Fatal(err)
	}
	h.open()
	return func() {
		h.t.Helper()
		h.close()
		for _, name := range []string{"witness", "blobs"} {
			if err := os.RemoveAll(filepath.Join(kept, name)); err != nil {
				h.t.Fatal(err)
			}
		}
		for _, e := range must(os.ReadDir(kept)) {
			if err := os.RemoveAll(filepath.Join(data, e.Name())); err != nil {
				h.t.Fatal(err)
			}
		}
		if err := os.CopyFS(data, os.DirFS(kept)); err != nil {
			h.t.Fatal(err)
		}
		h.open()
	}
}

// An entry that was lost and entered again is proved from the closing that tells
// of it: that of a later day, or, where its own was made and its records are
// lost, only from what later ones tell.
func TestProofAfterARecovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, register.ClosingRules{EmptyDays: "none"})
		prove := func(e register.Entry) ([]archive.CheckedEvent, error) {
			t.Helper()
			_, proof, err := h.archive.Proof(t.Context(), manager, org, book, e.Year, e.Number)
			if err != nil {
				return nil, err
			}
			return archive.CheckProof(bytes.NewReader(proof), nil, nil)
		}
		until(at(1, 3, 9))
		h.enter("Prima")
		until(at(1, 4, 9))
		h.closeDays("")
		back := h.forget()
		told := h.enter("Chiusa, e poi perduta")
		h.closeDays("2000-01-04")
		open := h.enter("Perduta, e mai chiusa")
		back()
		until(at(1, 5, 9))
		recovery := register.Recovery{Reason: "disco sostituito", Authority: "decreto n. 5"}
		if _, err := h.office.Recover(t.Context(), manager, org, book, recovery); err != nil {
			t.Fatal(err)
		}
		for _, e := range []register.Entry{told, open} {
			if events, err := prove(e); !errors.Is(err, archive.ErrNotClosed) {
				t.Errorf("before a day is closed that tells of it: %+v, %v", events, err)
			}
		}
		until(at(1, 6, 9))
		if made := h.closeDays(""); len(made) != 1 || made[0].Entries != 1 || made[0].Changes != 1 {
			t.Fatalf("closed %+v", made)
		}
		for _, e := range []register.Entry{told, open} {
			events, err := prove(e)
			if err != nil || len(events) != 1 || events[0].Entry.Subject != e.Subject || events[0].Day != "2000-01-05" {
				t.Errorf("%s: it proves %+v, %v", e.Number, events, err)
			}
		}
		until(at(1, 7, 9))
		back = h.forget()
		alone := h.enter("Perduta da sola")
		back()
		until(at(1, 10, 9))
		if _, err := h.office.Recover(t.Context(), manager, org, book, recovery); err != nil {
			t.Fatal(err)
		}
		if made := h.closeDays("2000-01-10"); len(made) != 1 || made[0].Entries != 1 || made[0].Changes != 0 {
			t.Fatalf("closed %+v", made)
		}
		if events, err := prove(alone); err != nil || len(events) != 1 || events[0].Day != "2000-01-10" {
			t.Errorf("%s: it proves %+v, %v", alone.Number, events, err)
		}
	})
}
