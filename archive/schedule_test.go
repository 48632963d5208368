package archive_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/protodaemon/protodaemon/archive"
	"github.com/protodaemon/protodaemon/register"
)

// plainHall is a hall whose closings are neither signed nor sent.
func plainHall(t testing.TB, autoAt string, rules register.ClosingRules) *hall {
	t.Helper()
	h := newHall(t, rules)
	h.conf.AutoAt, h.conf.Signing, h.conf.Authorities, h.conf.Delivery = autoAt, archive.Signing{}, nil, archive.Delivery{}
	if err := h.archive.Reload([]archive.Register{h.conf}); err != nil {
		t.Fatal(err)
	}
	return h
}

// closings are all there are, oldest first.
func (h *hall) closings() []register.Closing {
	h.t.Helper()
	page, err := h.office.Closings(h.t.Context(), manager, org, book, register.ClosingQuery{Limit: 500})
	if err != nil || page.Next != "" {
		h.t.Fatalf("%v, next %q", err, page.Next)
	}
	slices.Reverse(page.Items)
	return page.Items
}

func ids(closings []register.Closing) (all []string) {
	for _, c := range closings {
		all = append(all, c.ID)
	}
	return all
}

var listed = regexp.MustCompile(`<Registrazione>\s*(?:<Evento>\d+</Evento>\s*)?<Numero>(\d+)</Numero>`)

// coverage holds the closings against each other: each begins where the one
// before ended, names it, and has the next number; and each of the numbers up
// to the last stands in exactly one.
func (h *hall) coverage(numbers int) {
	h.t.Helper()
	seen := map[string]int{}
	var before *register.Closing
	for _, c := range h.closings() {
		if before == nil && (c.After != 0 || c.Previous != nil) || before != nil &&
			(c.After != before.Through || c.Previous == nil || c.Previous.ID != before.ID || c.Progressive != before.Progressive+1 || c.Day < before.Day) {
			h.t.Errorf("%s does not follow: %+v", c.ID, c)
		}
		for _, m := range listed.FindAllStringSubmatch(string(h.read(c, register.FileXML)), -1) {
			seen[m[1]]++
		}
		before = &c
	}
	for n := 1; n <= numbers; n++ {
		if seen[fmt.Sprintf("%07d", n)] != 1 {
			h.t.Errorf("number %d is in %d daily registers", n, seen[fmt.Sprintf("%07d", n)])
		}
	}
	if len(seen) != numbers {
		h.t.Errorf("the daily registers have %d numbers, %d were given", len(seen), numbers)
	}
	h.sound()
}

// On the nights on which the clock changes each day is closed once, at its hour
// by the clock on the wall; an hour that is not on it is the one beside it.
func TestHourAcrossClockChanges(t *testing.T) {
	for _, hour := range []string{"00:00", "02:30", "15:00"} {
		t.Run(hour, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := plainHall(t, hour, register.ClosingRules{EmptyDays: "none"})
				until(at(3, 25, 12))
				stop := h.run()
				numbers := 0
				// The clock goes forward on 26 March at 2 and back on 29 October at 3.
				for _, first := range []time.Time{at(3, 25, 12), at(10, 28, 12)} {
					for n := range 2 {
						until(first.AddDate(0, 0, n))
						h.enter("Istanza")
						numbers++
					}
					until(first.AddDate(0, 0, 4))
				}
				stop()
				closings := h.closings()
				if want := []string{"2000-03-25.0", "2000-03-26.0", "2000-10-28.0", "2000-10-29.0"}; !slices.Equal(ids(closings), want) {
					t.Errorf("closed are %v", ids(closings))
				}
				for _, c := range closings {
					day := must(time.Parse(time.DateOnly, c.Day)).AddDate(0, 0, 1)
					at := c.ClosedAt.In(rome)
					want := day.Format(time.DateOnly) + " " + hour
					if got := at.Format("2006-01-02 15:04"); got != want && (want != "2000-03-26 02:30" || got != "2000-03-26 03:30" && got != "2000-03-26 01:30") {
						t.Errorf("%s was closed at %s, not at %s", c.ID, got, want)
					}
				}
				h.coverage(numbers)
			})
		})
	}
}

// Days that passed while the daemon was down are closed at its start, one after
// the other, each with what belongs to it.
func TestMissedDaysAreClosedInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		until(at(1, 10, 8)) // a register begins on the day on which it is made
		h := plainHall(t, "15:00", register.ClosingRules{EmptyDays: "working"})
		for _, day := range []int{10, 11, 11, 13, 15} { // Monday, Tuesday, Thursday, Saturday
			until(at(1, day, 9+h.arrived))
			h.enter("Istanza")
		}
		h.close()
		until(at(1, 18, 9)) // Tuesday: Monday's hour has not come
		h.open()
		stop := h.run()
		synctest.Wait()
		if got, want := ids(h.closings()), []string{"2000-01-10.0", "2000-01-11.0", "2000-01-12.0", "2000-01-13.0", "2000-01-14.0", "2000-01-15.0"}; !slices.Equal(got, want) {
			t.Errorf("closed are %v", got)
		}
		for i, c := range h.closings() {
			if !c.ClosedAt.Equal(at(1, 18, 9)) || c.Entries != []int{1, 2, 0, 1, 0, 1}[i] || c.Progressive != i+1 {
				t.Errorf("%s: closed at %s with %d entries, number %d", c.ID, c.ClosedAt, c.Entries, c.Progressive)
			}
		}
		until(at(1, 18, 15))
		synctest.Wait()
		if got := ids(h.closings()); got[len(got)-1] != "2000-01-17.0" || len(got) != 7 {
			t.Errorf("at the hour closed are %v", got)
		}
		stop()
		h.coverage(5)
	})
}

// The deadline is the next working day of the place, and empty registers are
// written for working days only.
func TestHolidays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		until(at(4, 20, 9))
		h := plainHall(t, "", register.ClosingRules{EmptyDays: "working", Patron: "04-26", Holidays: []string{"2000-04-28"}})
		h.enter("Giovedì")
		until(at(4, 22, 9))
		h.enter("Sabato")
		until(at(5, 3, 9))
		h.closeDays("")
		var got []string
		for _, c := range h.closings() {
			got = append(got, c.Day[5:]+" by "+c.Deadline[5:])
		}
		// 23 April was Easter; 24, 25 and 1 May are holidays, 26 the patron's day,
		// on 28 the office was shut.
		want := []string{"04-20 by 04-21", "04-21 by 04-27", "04-22 by 04-27", "04-27 by 05-02", "05-02 by 05-03"}
		if !slices.Equal(got, want) {
			t.Errorf("closed are %v, not %v", got, want)
		}
		h.coverage(2)
	})
}

// Two managers, two programs and the clock close at once, while entries are
// registered: each record is in exactly one closing.
func TestClosingAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := plainHall(t, "15:00", register.ClosingRules{EmptyDays: "none", SameDay: "supplement"})
		second, err := archive.New(archive.Options{Office: h.office, Location: rome, Software: "protodaemon prova", Registers: []archive.Register{h.conf}})
		if err != nil {
			t.Fatal(err)
		}
		stop := h.run()
		numbers := 0
		for day := 10; day < 14; day++ {
			until(at(1, day, 9))
			for range 3 {
				h.enter("Istanza")
				numbers++
			}
			until(at(1, day, 15)) // the hour of the day before
			var all sync.WaitGroup
			today := at(1, day, 15).Format(time.DateOnly)
			for n, a := range []*archive.Archive{h.archive, h.archive, second, second} {
				by := manager
				by.User = fmt.Sprint("manager", n)
				all.Go(func() {
					for _, through := range []string{"", today} {
						if _, err := a.Close(t.Context(), by, org, book, through); err != nil {
							t.Errorf("%s closes through %q: %v", by.User, through, err)
						}
					}
				})
			}
			all.Go(func() {
				if err := h.archive.Reload([]archive.Register{h.conf}); err != nil {
					t.Error(err)
				}
			})
			for range 3 {
				h.enter("Mentre si chiude")
				numbers++
			}
			all.Wait()
		}
		until(at(1, 15, 16))
		synctest.Wait()
		stop()
		if n := len(h.closings()); n < 4 {
			t.Errorf("there are %d closings", n)
		}
		h.coverage(numbers)
	})
}

// What comes after a day was closed before its end goes into a supplement; or
// waits until midnight, where the register is set so.
func TestSameDay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		until(at(1, 10, 9))
		h := plainHall(t, "", register.ClosingRules{EmptyDays: "none", SameDay: "supplement"})
		first := h.enter("Prima")
		h.closeDays("2000-01-10")
		h.annul(first)
		h.closeDays("2000-01-10")
		if again := h.closeDays("2000-01-10"); len(again) != 0 {
			t.Errorf("a supplement of nothing: %v", ids(again))
		}
		h.enter("Terza")
		until(at(1, 11, 9))
		h.closeDays("")
		var got []string
		for _, c := range h.closings() {
			got = append(got, fmt.Sprintf("%s %d+%d n. %d", c.ID, c.Entries, c.Changes, c.Progressive))
		}
		if want := []string{"2000-01-10.0 1+0 n. 1", "2000-01-10.1 0+1 n. 2", "2000-01-10.2 1+0 n. 3"}; !slices.Equal(got, want) {
			t.Errorf("closed are %q", got)
		}
		for _, through := range []string{"2000-01-12", "2000-1-9", "ieri"} {
			var refused *register.FieldError
			if _, err := h.archive.Close(t.Context(), manager, org, book, through); !errors.As(err, &refused) || refused.Field != "through" {
				t.Errorf("closing through %s: %v", through, err)
			}
		}
		h.coverage(2)
	})
}

// Where the register is set so, a closed day gets no more numbers.
func TestSameDayRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		until(at(1, 10, 9))
		h := plainHall(t, "15:00", register.ClosingRules{EmptyDays: "none", SameDay: "refuse"})
		h.enter("Prima")
		h.closeDays("2000-01-10")
		p := h.arrive("Seconda")
		confirm := func() error {
			_, err := h.office.Confirm(t.Context(), manager, p.ID, register.Confirmation{Classification: "1.1"})
			return err
		}
		if err := confirm(); !errors.Is(err, register.ErrClosedDay) {
			t.Errorf("on a closed day: %v", err)
		}
		until(at(1, 11, 0))
		if err := confirm(); err != nil {
			t.Error(err)
		}
		until(at(1, 12, 0))
		if made := h.closeDays(""); len(made) != 1 || made[0].ID != "2000-01-11.0" || made[0].Entries != 1 {
			t.Errorf("closed are %+v", made)
		}
		h.coverage(2)
	})
}

// aged is the data of a hall that was closed at a time, for one whose clock
// was set back: each bubble begins on the first of January 2000.
func aged(t *testing.T, grow func(*hall)) string {
	t.Helper()
	data := filepath.Join(t.TempDir(), "data")
	synctest.Test(t, func(t *testing.T) {
		h := plainHall(t, "15:00", register.ClosingRules{EmptyDays: "none"})
		grow(h)
		h.close()
		if err := os.CopyFS(data, os.DirFS(filepath.Join(h.dir, "data"))); err != nil {
			t.Fatal(err)
		}
	})
	return data
}

// young opens that data in another bubble.
func young(t *testing.T, data string) *hall {
	t.Helper()
	h := plainHall(t, "15:00", register.ClosingRules{EmptyDays: "none"})
	h.close()
	if err := errors.Join(os.RemoveAll(filepath.Join(h.dir, "data")), os.CopyFS(filepath.Join(h.dir, "data"), os.DirFS(data))); err != nil {
		t.Fatal(err)
	}
	h.open()
	return h
}

// A clock that was set far back closes nothing, neither by itself nor by order,
// and all goes on when it is right again.
func TestClockSetBack(t *testing.T) {
	data := aged(t, func(h *hall) {
		until(at(1, 3, 9))
		h.enter("Istanza")
		until(at(1, 4, 9))
		h.closeDays("")
		h.enter("Seconda")
	})
	synctest.Test(t, func(t *testing.T) {
		h := young(t, data)
		stop := h.run()
		until(at(1, 2, 9))
		if _, err := h.archive.Close(t.Context(), manager, org, book, ""); !errors.Is(err, register.ErrClock) {
			t.Errorf("closing with a clock of the day before yesterday: %v", err)
		}
		if got := ids(h.closings()); len(got) != 1 {
			t.Errorf("closed are %v", got)
		}
		until(at(1, 5, 16))
		synctest.Wait()
		stop()
		if got := ids(h.closings()); !slices.Equal(got, []string{"2000-01-03.0", "2000-01-04.0"}) {
			t.Errorf("closed are %v", got)
		}
		h.coverage(2)
	})
}

// A clock that was set back by a minute does not reach behind the records.
func TestClockSetBackALittle(t *testing.T) {
	data := aged(t, func(h *hall) {
		time.Sleep(90 * time.Second)
		h.enter("Istanza")
		h.closeDays("2000-01-01")
	})
	synctest.Test(t, func(t *testing.T) {
		h := young(t, data)
		h.arrived = 1
		h.enter("Seconda")
		made := h.closeDays("2000-01-01")
		if len(made) != 1 || made[0].ID != "2000-01-01.1" || made[0].ClosedAt.Before(h.closings()[0].ClosedAt) {
			t.Errorf("closed are %+v", made)
		}
		h.coverage(2)
	})
}
