package register_test

import (
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/protodaemon/protodaemon/register"
	"github.com/protodaemon/protodaemon/store"
)

func TestAnnul(t *testing.T) {
	d := openAt(t, register.ClosingRules{})
	e := d.entry(d.confirmed("one")).Entry
	annul := func(reason, authorization string) (register.Entry, error) {
		return d.Annul(t.Context(), manager, org, book, e.Year, e.Number, register.Annulment{Reason: reason, Authorization: authorization})
	}
	for _, empty := range [][2]string{{"", "atto n. 3"}, {"registrata due volte", ""}} {
		if _, err := annul(empty[0], empty[1]); !errors.Is(err, register.ErrInvalid) {
			t.Errorf("annulled with reason %q and authorization %q: %v", empty[0], empty[1], err)
		}
	}
	got, err := annul("registrata due volte", "atto n. 3")
	if err != nil {
		t.Fatal(err)
	}
	if got.State != register.Annulled || got.Annulment == nil || got.Annulment.By != manager.User || got.Annulment.At.IsZero() {
		t.Errorf("it is %s, %+v", got.State, got.Annulment)
	}
	// All else stays readable as it was.
	got.State, got.Annulment = e.State, nil
	if asJSON(t, got) != asJSON(t, e) {
		t.Errorf("it became %s", asJSON(t, got))
	}
	again, err := annul("registrata due volte", "atto n. 3")
	if err != nil || again.Annulment == nil {
		t.Errorf("asking twice: %v", err)
	}
	if _, err := annul("un altro motivo", "atto n. 4"); !errors.Is(err, register.ErrState) {
		t.Errorf("it was annulled twice: %v", err)
	}
	if _, err := d.Annul(t.Context(), manager, org, book, e.Year, "0000099", register.Annulment{Reason: "x", Authorization: "y"}); !errors.Is(err, register.ErrNotFound) {
		t.Errorf("a number that was not given was annulled: %v", err)
	}
	detail, err := d.Entry(t.Context(), auditor, org, book, e.Year, e.Number)
	if err != nil {
		t.Fatal(err)
	}
	if h := detail.History; len(h) == 0 || h[len(h)-1].Type != "entry.changed" || !strings.Contains(string(h[len(h)-1].Data), "registrata due volte") {
		t.Errorf("its history does not tell: %+v", h)
	}
	if next := d.entry(d.confirmed("two")); next.Number != "0000002" {
		t.Errorf("the number was given back: %s", next.Number)
	}
	d.sound()
}

// A closing goes its way in recorded steps; what is recorded first counts.
func TestStepsOfAClosing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := openAt(t, register.ClosingRules{EmptyDays: "all"})
		until(at(2, 9))
		c := d.closeThrough("")[0]
		sub := d.Subscribe(auditor)
		defer sub.Close()
		advance := func(a register.Advance) register.Closing {
			t.Helper()
			after, err := d.AdvanceClosing(t.Context(), org, book, c.ID, a)
			if err != nil {
				t.Fatal(err)
			}
			return after
		}
		file := func(name, role string) []register.ClosingFile {
			f := c.Files[0]
			f.Name, f.Role = name, role
			return []register.ClosingFile{f}
		}
		trouble := &register.ClosingTrouble{Step: "sign", Code: "unreachable", Detail: "il servizio di firma non risponde"}
		if got := advance(register.Advance{From: register.ClosingClosed, Trouble: trouble}); got.State != register.ClosingFailed || got.Reached != register.ClosingClosed {
			t.Errorf("after a failure: %s, reached %s", got.State, got.Reached)
		}
		got := advance(register.Advance{From: register.ClosingClosed, To: register.ClosingSigned, Files: file("a.p7m", register.FilePDFSigned)})
		if got.State != register.ClosingSigned || got.Trouble != nil {
			t.Errorf("signed: %s, %+v", got.State, got.Trouble)
		}
		late := advance(register.Advance{From: register.ClosingClosed, To: register.ClosingSigned, Files: file("b.p7m", register.FilePDFSigned)})
		if len(late.Files) != 2 || late.Files[1].Name != "a.p7m" {
			t.Errorf("the second signature counts: %+v", late.Files)
		}
		if _, err := d.AdvanceClosing(t.Context(), org, book, c.ID, register.Advance{From: register.ClosingSigned, Files: file("a.p7m", register.FileXMLSigned)}); !errors.Is(err, register.ErrState) {
			t.Errorf("a file was replaced: %v", err)
		}
		advance(register.Advance{From: register.ClosingSigned, To: register.ClosingStamped})
		advance(register.Advance{From: register.ClosingStamped, Files: file("PdV.zip", register.FilePackage), Parcel: &register.Parcel{Identity: "PdV", Version: 1, File: "PdV.zip"}})
		advance(register.Advance{From: register.ClosingStamped, To: register.ClosingDelivered})
		advance(register.Advance{From: register.ClosingDelivered, To: register.ClosingRejected, Detail: map[string]string{"reason": "manca il codice fiscale"}})
		retried, err := d.RetryClosing(t.Context(), manager, org, book, c.ID, "corretto")
		if err != nil {
			t.Fatal(err)
		}
		if retried.Reached != register.ClosingStamped || retried.Parcel.Identity != "PdV" || retried.Parcel.Version != 2 || retried.Parcel.File != "" {
			t.Errorf("after a rejection: %s, %+v", retried.Reached, retried.Parcel)
		}
		advance(register.Advance{From: register.ClosingStamped, To: register.ClosingDelivered})
		advance(register.Advance{From: register.ClosingDelivered, To: register.ClosingAccepted})
		if _, err := d.RetryClosing(t.Context(), manager, org, book, c.ID, "ancora"); !errors.Is(err, register.ErrState) {
			t.Errorf("what was accepted is sent again: %v", err)
		}
		if all, err := d.UnfinishedClosings(t.Context(), org, book); err != nil || len(all) != 0 {
			t.Errorf("unfinished: %+v, %v", all, err)
		}
		d.sound()
	})
}

func TestReadClosings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := openAt(t, register.ClosingRules{EmptyDays: "all"})
		until(at(6, 9))
		made := d.closeThrough("")
		var got []register.Closing
		q := register.ClosingQuery{Limit: 2}
		for {
			page, err := d.Closings(t.Context(), auditor, org, book, q)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, page.Items...)
			if q.Cursor = page.Next; q.Cursor == "" {
				break
			}
		}
		slices.Reverse(made)
		if closingIDs(got) != closingIDs(made) {
			t.Errorf("listed %s, want %s", closingIDs(got), closingIDs(made))
		}
		page, err := d.Closings(t.Context(), auditor, org, book, register.ClosingQuery{From: "2000-01-02", To: "2000-01-03"})
		if err != nil || closingIDs(page.Items) != "2000-01-03.0 2000-01-02.0" {
			t.Errorf("from 2 to 3 January: %s, %v", closingIDs(page.Items), err)
		}
		c := made[0]
		blob, f, err := d.OpenClosingFile(t.Context(), auditor, org, book, c.ID, c.Files[0].Name)
		if err != nil {
			t.Fatal(err)
		}
		defer blob.Close()
		if b, err := io.ReadAll(blob); err != nil || store.Sum(b) != f.SHA256 {
			t.Errorf("the file is not what was kept: %v", err)
		}
		for _, wrong := range [][2]string{{c.ID, "x"}, {"2000-01-05.1", c.Files[0].Name}, {"2000-01-05", ""}, {"../x", ""}, {"2000-01-05.00", ""}} {
			if _, _, err := d.OpenClosingFile(t.Context(), auditor, org, book, wrong[0], wrong[1]); !errors.Is(err, register.ErrNotFound) {
				t.Errorf("%q: %v", wrong, err)
			}
		}
	})
}

func TestVerifyFindsWhatIsWrongWithClosings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, j := openFaulty(t)
		d.setup.Organizations[0].Manager = inOffice
		d.setup.Organizations[0].Registers[0].Closing.EmptyDays = "all"
		if err := d.Reload(t.Context(), d.setup); err != nil {
			t.Fatal(err)
		}
		until(at(2, 9))
		d.confirmed("one")
		d.confirmed("two")
		until(at(4, 9))
		d.closeThrough("")
		d.sound()
		for old, want := range map[string]string{
			`"entries":2`:          "closing-altered",
			`"progressive":2`:      "closing-altered",
			`"id":"2000-01-02.0"`:  "closing-altered",
			`"last_number":"00000`: "closing-altered",
			`"chain":"`:            "closing-altered",
			`"previous":{"id":"2`:  "closing-altered",
			`"after":`:             "closing-range",
			`"through":`:           "closing-range",
		} {
			j.set(func() {
				j.change = func(r store.Row) (store.Row, bool) {
					if r.Kind == "closing" && r.Key == "2000-01-02.000" {
						r.Value = json.RawMessage(strings.Replace(string(r.Value), old, altered(old), 1))
					}
					return r, true
				}
			})
			if v := d.verdict(); v.OK || !slices.Contains(codes(v), want) {
				t.Errorf("%s: found %+v, want %s", old, v.Problems, want)
			}
		}
		j.set(func() { j.change = nil })
		d.sound()
	})
}

// altered is a piece of JSON with another value.
func altered(s string) string {
	switch last := s[len(s)-1]; {
	case last == ':':
		return s + "9"
	case last == '"' && strings.HasPrefix(s, `"id"`):
		return `"id":"2000-01-02.1"`
	case last == '"':
		return s + strings.Repeat("0", 64) + `","x":"`
	case last == '0':
		return s[:len(s)-1] + "9"
	default:
		return s[:len(s)-1] + "7"
	}
}

// A store that is put back gets its closings again, and the next one begins
// where the store ended.
func TestRecoverClosings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := openAt(t, register.ClosingRules{EmptyDays: "none"})
		until(at(3, 9))
		first := d.entry(d.confirmed("one"))
		until(at(4, 9))
		early := d.closeThrough("")
		kept := d.yesterday()

		if _, err := d.AdvanceClosing(t.Context(), org, book, early[0].ID, register.Advance{From: register.ClosingClosed, To: register.ClosingSigned}); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Annul(t.Context(), manager, org, book, first.Year, first.Number, register.Annulment{Reason: "doppio", Authorization: "atto n. 1"}); err != nil {
			t.Fatal(err)
		}
		d.confirmed("two")
		until(at(5, 9))
		lost := d.closeThrough("")
		d.putBack(kept)

		if _, err := d.Recover(t.Context(), manager, org, book, register.Recovery{Reason: reason, Authority: authority}); err != nil {
			t.Fatal(err)
		}
		c, err := d.Closing(t.Context(), auditor, org, book, early[0].ID)
		if err != nil || c.Reached != register.ClosingSigned {
			t.Errorf("the first closing stands at %s: %v", c.Reached, err)
		}
		again, err := d.Closing(t.Context(), auditor, org, book, lost[0].ID)
		if err != nil || again.Name != lost[0].Name || again.Entries != 1 || again.Changes != 1 {
			t.Errorf("the lost closing is %+v: %v", again, err)
		}
		e, err := d.Entry(t.Context(), auditor, org, book, first.Year, first.Number)
		if err != nil || e.State != register.Annulled {
			t.Errorf("the annulment was lost: %s, %v", e.State, err)
		}
		until(at(6, 9))
		made := d.closeThrough("")
		if len(made) != 1 || made[0].Progressive != lost[0].Progressive+1 || made[0].After != again.Resume {
			t.Errorf("the next closing is %+v", made)
		}
		if v := d.verdict(); !v.OK {
			for _, p := range v.Problems {
				if p.Code != "blob-missing" { // the copy is from before those files
					t.Errorf("%+v", p)
				}
			}
		}
	})
}

// What was lost before any closing told of it is told as registered, under its
// own number, and not as a change of what nobody ever read.
func TestRecoveredEntriesAreRegistered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := openAt(t, register.ClosingRules{EmptyDays: "none"})
		until(at(3, 9))
		d.entry(d.confirmed("one"))
		until(at(4, 9))
		d.closeThrough("")
		kept := d.yesterday()
		two := d.entry(d.confirmed("two"))
		if _, err := d.Annul(t.Context(), manager, org, book, two.Year, two.Number, register.Annulment{Reason: "doppio", Authorization: "atto n. 1"}); err != nil {
			t.Fatal(err)
		}
		d.confirmed("three")
		d.putBack(kept)
		if _, err := d.Recover(t.Context(), manager, org, book, register.Recovery{Reason: reason, Authority: authority}); err != nil {
			t.Fatal(err)
		}
		d.confirmed("four")
		until(at(5, 9))
		made := d.closeThrough("")
		if len(made) != 1 || made[0].Entries != 3 || made[0].Changes != 0 || made[0].FirstNumber != "0000002" || made[0].LastNumber != "0000004" {
			t.Fatalf("the closing is %+v", made)
		}
		var told []register.Happening
		err := d.Happenings(t.Context(), made[0], func(h register.Happening) error {
			told = append(told, h)
			return nil
		})
		if err != nil || len(told) != 3 || told[0].Recovery == nil || told[0].Recovery.Reason != reason || told[0].Entry.Annulment == nil || told[1].Recovery == nil || told[2].Recovery != nil {
			t.Errorf("it tells %+v, %v", told, err)
		}
	})
}
