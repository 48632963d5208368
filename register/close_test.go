package register_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/protodaemon/protodaemon/register"
	"github.com/protodaemon/protodaemon/store"
)

var inOffice = register.Officer{
	Name: "Elena", Surname: "Neri", TaxCode: "NRELNE70A41H501X", Deed: "decreto n. 1 del 1999", From: "1999-01-01",
}

// openAt opens an office whose days are closed by the rules given.
func openAt(t testing.TB, rules register.ClosingRules) *desk {
	t.Helper()
	d := &desk{t: t, dir: filepath.Join(t.TempDir(), "data"), setup: setup()}
	d.setup.Organizations[0].Manager = inOffice
	for i := range d.setup.Organizations[0].Registers {
		d.setup.Organizations[0].Registers[i].Closing = rules
	}
	d.open()
	t.Cleanup(d.close)
	return d
}

// write writes the files of a closing as far as the register is concerned:
// what its records hold, and a file that tells of it.
func (d *desk) write(c register.Closing) register.Closing {
	d.t.Helper()
	text := c.Name + "\n"
	err := d.Happenings(d.t.Context(), c, func(h register.Happening) error {
		switch {
		case h.Change != nil:
			c.Changes++
		case c.Entries == 0:
			c.FirstNumber = h.Entry.Number
			fallthrough
		default:
			c.LastNumber = h.Entry.Number
			c.Entries++
		}
		text += fmt.Sprintln(h.Seq, h.Entry.Number)
		return nil
	})
	if err != nil {
		d.t.Fatal(err)
	}
	w, err := d.CreateBlob(d.t.Context(), org)
	if err != nil {
		d.t.Fatal(err)
	}
	defer w.Close()
	if _, err := w.Write([]byte(text)); err != nil {
		d.t.Fatal(err)
	}
	digest, size, err := w.Commit(d.t.Context())
	if err != nil {
		d.t.Fatal(err)
	}
	c.Files = []register.ClosingFile{{Name: c.Name + "-impronte.xml", MediaType: "application/xml", Size: size, SHA256: digest, Role: register.FileImprints}}
	return c
}

// next is the next closing of the register, or nil.
func (d *desk) next(through string) *register.Closing {
	d.t.Helper()
	c, err := d.NextClosing(d.t.Context(), manager, org, book, through)
	if err != nil {
		d.t.Fatal(err)
	}
	return c
}

// closeThrough closes all days up to through.
func (d *desk) closeThrough(through string) (made []register.Closing) {
	d.t.Helper()
	for c := d.next(through); c != nil; c = d.next(through) {
		done, already, err := d.CloseDay(d.t.Context(), manager, d.write(*c))
		if err != nil || already {
			d.t.Fatalf("closing %s: already %v, %v", c.ID, already, err)
		}
		made = append(made, done)
	}
	return made
}

func closingIDs(closings []register.Closing) string {
	var ids []string
	for _, c := range closings {
		ids = append(ids, c.ID)
	}
	return strings.Join(ids, " ")
}

func until(t time.Time) { time.Sleep(time.Until(t)) }

func at(day, hour int) time.Time { return time.Date(2000, 1, day, hour, 0, 0, 0, rome) }

// The bubble begins on Saturday 1 January 2000; 6 January is a holiday.
func TestDaysAreClosedInOrder(t *testing.T) {
	for rule, want := range map[string]string{
		"working": "2000-01-03.0 2000-01-04.0 2000-01-05.0 2000-01-07.0 2000-01-08.0",
		"all":     "2000-01-01.0 2000-01-02.0 2000-01-03.0 2000-01-04.0 2000-01-05.0 2000-01-06.0 2000-01-07.0 2000-01-08.0 2000-01-09.0",
		"none":    "2000-01-04.0 2000-01-08.0",
	} {
		t.Run(rule, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := openAt(t, register.ClosingRules{EmptyDays: rule})
				until(at(4, 9))
				d.confirmed("one")
				d.confirmed("two")
				until(at(8, 9))
				d.confirmed("three, on a Saturday")
				until(at(10, 0))
				made := d.closeThrough("")
				if got := closingIDs(made); got != want {
					t.Fatalf("closed %s, want %s", got, want)
				}
				var after uint64
				for i, c := range made {
					if c.After != after || c.Progressive != i+1 {
						t.Errorf("%s: number %d, records after %d, want %d and %d", c.ID, c.Progressive, c.After, i+1, after)
					}
					after = c.Through
				}
				c := made[slices.IndexFunc(made, func(c register.Closing) bool { return c.Day == "2000-01-04" })]
				if c.Entries != 2 || c.FirstNumber != "0000001" || c.LastNumber != "0000002" || c.Deadline != "2000-01-05" {
					t.Errorf("%s holds %d, %s to %s, due %s", c.ID, c.Entries, c.FirstNumber, c.LastNumber, c.Deadline)
				}
				if want := fmt.Sprintf("oaes-AOO1-istituzionale-20000104-%03d", c.Progressive); c.Name != want {
					t.Errorf("it is called %s, want %s", c.Name, want)
				}
				if v := d.sound(); v.Closings != uint64(len(made)) {
					t.Errorf("verify counts %d closings", v.Closings)
				}
				if c := d.next(""); c != nil {
					t.Errorf("%s is to be closed again", c.ID)
				}
			})
		})
	}
}

func TestClosingTodayMakesSupplements(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := openAt(t, register.ClosingRules{EmptyDays: "none", SameDay: "supplement"})
		until(at(3, 9))
		first := d.confirmed("one")
		today := d.closeThrough("2000-01-03")
		d.confirmed("later the same day")
		more := d.closeThrough("2000-01-03")
		if got := closingIDs(append(today, more...)); got != "2000-01-03.0 2000-01-03.1" {
			t.Fatalf("closed %s", got)
		}
		until(at(4, 9))
		e := d.entry(first)
		if _, err := d.Annul(t.Context(), manager, org, book, e.Year, e.Number, register.Annulment{Reason: "doppio", Authorization: "atto n. 1"}); err != nil {
			t.Fatal(err)
		}
		c := d.next("2000-01-04")
		if done := d.write(*c); c.Day != "2000-01-04" || done.Entries != 0 || done.Changes != 1 {
			t.Errorf("the annulment is in %s with %d entries and %d changes", c.ID, done.Entries, done.Changes)
		}
		d.closeThrough("2000-01-04")
		d.sound()
		if _, err := d.NextClosing(t.Context(), manager, org, book, "2000-01-05"); !errors.Is(err, register.ErrInvalid) {
			t.Errorf("tomorrow can be closed: %v", err)
		}
	})
}

func TestClosedTodayRefusesUntilMidnight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := openAt(t, register.ClosingRules{EmptyDays: "none", SameDay: "refuse"})
		until(at(3, 9))
		d.confirmed("one")
		late := d.arrive(box, "late")
		d.closeThrough("2000-01-03")
		if _, err := d.Confirm(t.Context(), operator, late.ID, register.Confirmation{Classification: "1.1"}); !errors.Is(err, register.ErrClosedDay) {
			t.Errorf("a number was given on a closed day: %v", err)
		}
		annul := func() error {
			_, err := d.Annul(t.Context(), manager, org, book, 2000, "0000001", register.Annulment{Reason: "doppio", Authorization: "atto n. 1"})
			return err
		}
		if err := annul(); !errors.Is(err, register.ErrClosedDay) {
			t.Errorf("an entry was annulled on a closed day: %v", err)
		}
		until(at(4, 0))
		if err := annul(); err != nil {
			t.Error(err)
		}
		if e := d.confirm(late.ID); e.Day != "2000-01-04" || e.Number != "0000002" {
			t.Errorf("after midnight it is %s of %s", e.Number, e.Day)
		}
		d.sound()
	})
}

// Two managers close at once: one closing, and both are told of it.
func TestTwoManagersCloseAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := openAt(t, register.ClosingRules{EmptyDays: "none"})
		until(at(3, 9))
		d.confirmed("one")
		until(at(4, 9))
		c := d.write(*d.next(""))
		var made [8]register.Closing
		var first [8]bool
		var all sync.WaitGroup
		for i := range made {
			all.Go(func() {
				mine := c
				mine.ClosedBy.User = fmt.Sprint("manager-", i)
				done, already, err := d.CloseDay(t.Context(), manager, mine)
				if err != nil {
					t.Error(err)
				}
				made[i], first[i] = done, !already
			})
		}
		all.Wait()
		n := 0
		for i := range made {
			if first[i] {
				n++
			}
			if made[i].ClosedBy != made[0].ClosedBy {
				t.Errorf("%q and %q were both told that they closed", made[i].ClosedBy.User, made[0].ClosedBy.User)
			}
		}
		if n != 1 {
			t.Errorf("%d closings were made of one day", n)
		}
	})
}

// What was written before the journal went on within the day is refused.
func TestStaleClosingIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := openAt(t, register.ClosingRules{EmptyDays: "none"})
		until(at(3, 9))
		d.confirmed("one")
		c := d.write(*d.next("2000-01-03"))
		d.confirmed("two")
		until(at(4, 9))
		if _, _, err := d.CloseDay(t.Context(), manager, c); !register.IsStale(err) {
			t.Errorf("a closing that leaves out a number of its day was taken: %v", err)
		}
		if made := d.closeThrough(""); len(made) != 1 || made[0].Entries != 2 {
			t.Errorf("closed %+v", made)
		}
		// Written before midnight and recorded after it, when the journal is in the
		// next day already.
		d.confirmed("three")
		c = d.write(*d.next("2000-01-04"))
		d.confirmed("four, of the same day")
		until(at(5, 0))
		d.confirmed("five, of the next")
		if _, _, err := d.CloseDay(t.Context(), manager, c); !register.IsStale(err) {
			t.Errorf("a closing that leaves out a number before midnight was taken: %v", err)
		}
		if made := d.closeThrough("2000-01-04"); closingIDs(made) != "2000-01-04.0" || made[0].Entries != 2 {
			t.Errorf("closed %+v", made)
		}
		d.sound()
	})
}

// Where there may be no supplement, what comes while today is written is in the
// closing too; what is no entry does not hold it up.
func TestNoSupplementWhereItIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := openAt(t, register.ClosingRules{EmptyDays: "none", SameDay: "refuse"})
		until(at(3, 9))
		d.confirmed("one")
		c := d.write(*d.next("2000-01-03"))
		d.confirmed("two")
		if _, _, err := d.CloseDay(t.Context(), manager, c); !register.IsStale(err) {
			t.Errorf("a closing that leaves a number to a supplement was taken: %v", err)
		}
		c = d.write(*d.next("2000-01-03"))
		d.arrive(box, "a message")
		made, already, err := d.CloseDay(t.Context(), manager, c)
		if err != nil || already || made.Entries != 2 {
			t.Errorf("closed %+v, already %v, %v", made, already, err)
		}
		d.sound()
	})
}

func TestNobodyInOffice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := openAt(t, register.ClosingRules{EmptyDays: "working"})
		deputy := inOffice
		deputy.Name, deputy.From = "Luca", "2000-01-01"
		for _, c := range []struct {
			name            string
			manager, deputy register.Officer
			says            string // "" = can close
			acting          bool
		}{
			{"manager", inOffice, register.Officer{}, "", false},
			{"nobody", register.Officer{}, register.Officer{}, "the manager is not named", false},
			{"without tax code", register.Officer{Name: "Elena", Surname: "Neri", Deed: "x", From: "1999-01-01"}, register.Officer{}, "has no tax_code", false},
			{"not any more", ended(inOffice, "1999-12-31"), register.Officer{}, "is not in office on that day", false},
			{"not yet", begun(inOffice, "2000-01-06"), begun(deputy, "2000-01-06"), "the manager is not in office on that day; the deputy is not in office on that day", false},
			{"first day", begun(inOffice, "2000-01-05"), register.Officer{}, "", false},
			{"deputy", ended(inOffice, "1999-12-31"), deputy, "", true},
			{"last day", ended(inOffice, "2000-01-05"), register.Officer{}, "", false},
		} {
			d.setup.Organizations[0].Manager, d.setup.Organizations[0].Deputy = c.manager, c.deputy
			if err := d.Reload(t.Context(), d.setup); err != nil {
				t.Fatal(err)
			}
			until(at(5, 9))
			got, err := d.NextClosing(t.Context(), manager, org, book, "")
			if c.says == "" {
				if err != nil || got == nil || got.Acting != c.acting {
					t.Errorf("%s: %+v, %v", c.name, got, err)
				}
				continue
			}
			if !errors.Is(err, register.ErrNoManager) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: %v", c.name, err)
			}
		}
	})
}

func begun(o register.Officer, day string) register.Officer {
	o.From = day
	return o
}

func ended(o register.Officer, day string) register.Officer {
	o.To = day
	return o
}

func TestCalendar(t *testing.T) {
	d := openAt(t, register.ClosingRules{EmptyDays: "none", Patron: "06-29", Holidays: []string{"2026-12-24"}})
	days, err := d.Days(t.Context(), auditor, org, book, "2026-01-01", "2026-12-31")
	if err != nil {
		t.Fatal(err)
	}
	if len(days) != 365 {
		t.Fatalf("2026 has %d days", len(days))
	}
	var holidays []string
	deadlines := map[string]string{}
	for _, day := range days {
		deadlines[day.Day] = day.Deadline
		if day.Holiday != "" {
			holidays = append(holidays, day.Day[5:])
		}
		if day.Working != (day.Deadline != "" && day.Holiday == "" && weekday(day.Day)) {
			t.Errorf("%s: working %v", day.Day, day.Working)
		}
	}
	want := "01-01 01-06 04-05 04-06 04-25 05-01 06-02 06-29 08-15 10-04 11-01 12-08 12-24 12-25 12-26"
	if got := strings.Join(holidays, " "); got != want {
		t.Errorf("holidays %s, want %s", got, want)
	}
	for day, want := range map[string]string{
		"2026-11-23": "2026-11-24", "2026-11-27": "2026-11-30", // a Friday
		"2026-12-23": "2026-12-28", // Thursday to Saturday shut, then Sunday
		"2026-04-03": "2026-04-07", // Good Friday
	} {
		if deadlines[day] != want {
			t.Errorf("the register of %s is due %s, want %s", day, deadlines[day], want)
		}
	}
	for year, easter := range map[int]string{2000: "04-23", 2008: "03-23", 2011: "04-24", 2024: "03-31", 2027: "03-28", 2038: "04-25"} {
		day := fmt.Sprintf("%d-%s", year, easter)
		got, err := d.Days(t.Context(), auditor, org, book, day, day)
		if err != nil || got[0].Holiday != "Pasqua" {
			t.Errorf("%s is %q: %v", day, got[0].Holiday, err)
		}
	}
}

func weekday(day string) bool {
	t, err := time.Parse(time.DateOnly, day)
	return err == nil && t.Weekday() != time.Saturday && t.Weekday() != time.Sunday
}

// A clock behind the journal closes nothing.
func TestClosingWithTheClockBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, j := openFaulty(t)
		d.setup.Organizations[0].Manager = inOffice
		if err := d.Reload(t.Context(), d.setup); err != nil {
			t.Fatal(err)
		}
		d.confirmed("one")
		ahead := time.Now().Add(72 * time.Hour).UTC()
		j.set(func() { j.heads = func(h store.Head) store.Head { h.Time = ahead; return h } })
		defer j.set(func() { j.heads = nil })
		if _, err := d.NextClosing(t.Context(), manager, org, book, "2000-01-01"); !errors.Is(err, register.ErrClock) {
			t.Errorf("a day was closed by a clock that is three days behind: %v", err)
		}
	})
}

// Days are those of the zone in which the numbers were given.
func TestClosingInAnotherZone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := openAt(t, register.ClosingRules{EmptyDays: "none"})
		until(at(3, 9))
		d.confirmed("one")
		until(at(4, 9))
		d.setup.Location = time.FixedZone("Asia/Tokyo", 9*3600)
		if err := d.Reload(t.Context(), d.setup); err != nil {
			t.Fatal(err)
		}
		if c, err := d.NextClosing(t.Context(), manager, org, book, ""); !errors.Is(err, register.ErrUnavailable) || !strings.Contains(err.Error(), "time zone") {
			t.Errorf("in another zone it closes %+v, %v", c, err)
		}
		d.setup.Location = rome
		if err := d.Reload(t.Context(), d.setup); err != nil {
			t.Fatal(err)
		}
		if made := d.closeThrough(""); closingIDs(made) != "2000-01-03.0" {
			t.Errorf("closed %s", closingIDs(made))
		}
	})
}

func TestOnlyWhoManagesCloses(t *testing.T) {
	d := openAt(t, register.ClosingRules{EmptyDays: "none"})
	for _, a := range []register.Actor{operator, auditor} {
		if _, err := d.NextClosing(t.Context(), a, org, book, ""); !errors.Is(err, register.ErrForbidden) {
			t.Errorf("%s may close: %v", a.User, err)
		}
		if _, _, err := d.CloseDay(t.Context(), a, register.Closing{Organization: org, Register: book}); !errors.Is(err, register.ErrForbidden) {
			t.Errorf("%s may record a closing: %v", a.User, err)
		}
		if _, err := d.RetryClosing(t.Context(), a, org, book, "2000-01-01.0", "x"); !errors.Is(err, register.ErrForbidden) {
			t.Errorf("%s may retry: %v", a.User, err)
		}
		if _, err := d.Annul(t.Context(), a, org, book, 2000, "0000001", register.Annulment{Reason: "x", Authorization: "y"}); !errors.Is(err, register.ErrForbidden) {
			t.Errorf("%s may annul: %v", a.User, err)
		}
	}
	if _, err := d.Closings(t.Context(), auditor, org, book, register.ClosingQuery{}); err != nil {
		t.Errorf("an auditor cannot read the closings: %v", err)
	}
}
