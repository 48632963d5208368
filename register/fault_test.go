package register_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/protodaemon/protodaemon/register"
	"github.com/protodaemon/protodaemon/store"
)

// TestUnknownOutcome fails a commit in each way and looks at what the one who
// asked gets, what another one gets, and what is kept.
func TestUnknownOutcome(t *testing.T) {
	for name, fail := range map[string][]string{
		"lost": {"lost"}, "kept": {"kept"}, "conflict": {"conflict"},
		"lost twice, then kept": {"lost", "lost", "kept"},
		"conflict, then kept":   {"conflict", "kept"},
	} {
		t.Run(name, func(t *testing.T) {
			d, j := openFaulty(t)
			before := d.confirmed("before")
			p := d.arrive(box, "one")
			j.set(func() { j.fail = fail })
			r, err := d.Confirm(t.Context(), operator, p.ID, register.Confirmation{Classification: "1.1"})
			if err != nil || r.Already || r.Entry.Number != "0000002" {
				t.Errorf("who asked got %+v, %v", r, err)
			}
			again, err := d.Confirm(t.Context(), manager, p.ID, register.Confirmation{Classification: "1.1"})
			if err != nil || !again.Already || again.Entry.Number != "0000002" {
				t.Errorf("who asked next got %+v, %v", again, err)
			}
			for i, act := range []func() error{
				func() error { return d.Done(t.Context(), before, register.Place{Outcome: register.Moved}) },
				func() error { _, err := d.Arrive(t.Context(), d.arrival(box, "two")); return err },
				func() error { _, err := d.Reject(t.Context(), operator, d.arrive(box, "three").ID, "no"); return err },
				func() error { _, err := d.Withdraw(t.Context(), d.arrive(box, "four").ID); return err },
			} {
				j.set(func() { j.fail = fail })
				if err := act(); err != nil {
					t.Errorf("act %d: %v", i, err)
				}
				j.set(func() { j.fail = nil })
			}
			if e := d.confirm(d.arrive(box, "after").ID); e.Number != "0000003" {
				t.Errorf("the next number is %s", e.Number)
			}
			d.reopen()
			d.sound()
		})
	}
}

// TestKnownRefusal: nothing was stored, and that is certain.
func TestKnownRefusal(t *testing.T) {
	d, j := openFaulty(t)
	p := d.arrive(box, "one")
	j.set(func() { j.fail = []string{"full"} })
	_, err := d.Confirm(t.Context(), operator, p.ID, register.Confirmation{Classification: "1.1"})
	if !errors.Is(err, register.ErrUnavailable) || !errors.Is(err, store.ErrNoSpace) {
		t.Errorf("on a full disk: %v", err)
	}
	if e := d.confirm(p.ID); e.Number != "0000001" {
		t.Errorf("later it got %s", e.Number)
	}
	d.sound()
}

// TestNeverStored: a store that never takes anything ends the waiting.
func TestNeverStored(t *testing.T) {
	d, j := openFaulty(t)
	p := d.arrive(box, "one")
	j.set(func() { j.fail = slices.Repeat([]string{"lost"}, 100) })
	if _, err := d.Confirm(t.Context(), operator, p.ID, register.Confirmation{Classification: "1.1"}); !errors.Is(err, register.ErrUnavailable) {
		t.Errorf("a dead store: %v", err)
	}
	j.set(func() { j.fail = nil })
	if e := d.confirm(p.ID); e.Number != "0000001" {
		t.Errorf("later it got %s", e.Number)
	}
	d.sound()
}

// TestInDoubt: while nobody knows what became of a commit, the entry shows as
// confirming, nothing else is written, and a caller who goes away stops
// nothing.
func TestInDoubt(t *testing.T) {
	d, j := openFaulty(t)
	p, q := d.arrive(box, "one"), d.arrive(box, "two")
	sees := make(chan struct{})
	j.set(func() { j.fail, j.blind = []string{"kept"}, sees })
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() {
		_, err := d.Confirm(ctx, operator, p.ID, register.Confirmation{Classification: "1.1"})
		gone <- err
	}()
	for {
		got, err := d.Pending(t.Context(), operator, p.ID)
		if err != nil {
			t.Fatal(err)
		}
		if got.State == register.StateConfirming {
			break
		}
	}
	cancel()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("who went away got %v", err)
	}
	page, err := d.PendingList(t.Context(), operator, org, book, register.PendingQuery{State: register.StateConfirming})
	if err != nil || len(page.Items) != 1 || page.Items[0].ID != p.ID {
		t.Errorf("confirming are %+v, %v", page.Items, err)
	}
	_, err = d.Confirm(t.Context(), manager, p.ID, register.Confirmation{Classification: "1.1"})
	var state *register.StateError
	if !errors.As(err, &state) || state.State != register.StateConfirming {
		t.Errorf("confirming it meanwhile: %v", err)
	}
	if h := d.Health(t.Context()); len(h) == 0 || h[0].Code != "in-doubt" || h[0].Register != book {
		t.Errorf("health is %+v", h)
	}
	second := make(chan register.Entry, 1)
	go func() {
		r, err := d.Confirm(context.WithoutCancel(t.Context()), operator, q.ID, register.Confirmation{Classification: "1.1"})
		if err != nil {
			t.Error(err)
		}
		second <- r.Entry
	}()
	close(sees)
	if e := <-second; e.Number != "0000002" {
		t.Errorf("the next number is %s", e.Number)
	}
	r, err := d.Confirm(t.Context(), operator, p.ID, register.Confirmation{Classification: "1.1"})
	if err != nil || !r.Already || r.Entry.Number != "0000001" {
		t.Errorf("the doubtful one became %+v, %v", r, err)
	}
	d.sound()
}

// TestCloseInDoubt: an office can be closed while its store does not answer.
func TestCloseInDoubt(t *testing.T) {
	d, j := openFaulty(t)
	p := d.arrive(box, "one")
	sees := make(chan struct{})
	j.set(func() { j.fail, j.blind = []string{"kept"}, sees })
	failed := make(chan error, 1)
	go func() {
		_, err := d.Confirm(context.WithoutCancel(t.Context()), operator, p.ID, register.Confirmation{Classification: "1.1"})
		failed <- err
	}()
	for {
		if got, err := d.Pending(t.Context(), operator, p.ID); err != nil || got.State == register.StateConfirming {
			break
		}
	}
	d.close()
	if err := <-failed; !errors.Is(err, register.ErrUnavailable) {
		t.Errorf("who waited got %v", err)
	}
	d.wrap = nil
	d.open()
	if r, err := d.Confirm(t.Context(), operator, p.ID, register.Confirmation{Classification: "1.1"}); err != nil || !r.Already || r.Entry.Number != "0000001" {
		t.Errorf("afterwards it is %+v, %v", r, err)
	}
	d.sound()
}

// TestOneDecisionFailsAlone puts good and bad decisions into one commit.
func TestOneDecisionFailsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, j := openFaulty(t)
		const before, together = 16, 13
		waiting := d.arriveWithoutFiles(before + together)
		for range before { // one by one, until the committer expects no company
			d.confirm(<-waiting)
		}
		release := make(chan struct{})
		j.set(func() {
			j.batch = nil
			j.before = func(context.Context, store.Commit) error { <-release; return nil }
		})
		results := make([]register.Result, len(waiting))
		var all sync.WaitGroup
		confirm := func(i int) {
			all.Go(func() {
				c := register.Confirmation{Classification: "1.1"}
				if i%3 == 1 {
					c.Classification = "no such class"
				}
				results[i], _ = d.Confirm(t.Context(), operator, <-waiting, c)
			})
		}
		confirm(0)
		synctest.Wait() // the first commit is under way
		for i := 1; i < len(results); i++ {
			confirm(i)
		}
		synctest.Wait() // all others wait
		close(release)
		all.Wait()
		numbers := map[string]bool{}
		for i, r := range results {
			if bad := i%3 == 1; bad != errors.Is(r.Err, register.ErrInvalid) {
				t.Errorf("decision %d: %v", i, r.Err)
			} else if !bad {
				numbers[r.Entry.Number] = true
			}
		}
		for n := before + 1; n <= before+9; n++ {
			if !numbers[fmt.Sprintf("%07d", n)] {
				t.Errorf("number %d is missing of %v", n, numbers)
			}
		}
		if fmt.Sprint(j.batch) != "[1 8]" {
			t.Errorf("commits of %v records, want 1 and the other 8 together", j.batch)
		}
	})
}

// TestYearOfMidnights confirms at every midnight of a year, just before the
// months end and at both clock changes: the day is Rome's, the number begins again on 1 January only.
func TestYearOfMidnights(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := open(t)
		// The bubble begins at midnight UTC of 2000-01-01, an hour into the
		// Roman year.
		end := time.Date(2001, 1, 2, 12, 0, 0, 0, rome)
		waiting := d.arriveWithoutFiles(13 + 367 + 16)
		numbers := map[int]int{}
		confirm := func() {
			e := d.confirm(<-waiting)
			local := time.Now().In(rome)
			numbers[local.Year()]++
			if want := fmt.Sprintf("%07d", numbers[local.Year()]); e.Number != want || e.Year != local.Year() || e.Day != local.Format(time.DateOnly) {
				t.Fatalf("at %s: number %s of %d, day %s, want %s", local, e.Number, e.Year, e.Day, want)
			}
		}
		for {
			now := time.Now().In(rome)
			midnight := time.Date(now.Year(), now.Month(), now.Day()+1, 0, 0, 0, 0, rome)
			if midnight.After(end) {
				break
			}
			if midnight.Day() == 1 {
				time.Sleep(time.Until(midnight.Add(-time.Millisecond)))
				confirm()
			}
			time.Sleep(time.Until(midnight))
			confirm()
			for range changes[midnight.Format(time.DateOnly)] {
				time.Sleep(30 * time.Minute)
				confirm()
			}
		}
		if numbers[2000] != 12+365+16 || numbers[2001] != 2 {
			t.Errorf("numbers given: %v", numbers)
		}
		if v := d.verdict(); fmt.Sprint(codes(v)) != "[blob-missing]" {
			t.Errorf("problems %v", codes(v))
		}
	})
}

// arriveWithoutFiles takes n messages into custody whose bytes nobody keeps.
func (d *desk) arriveWithoutFiles(n int) <-chan string {
	like := d.arrival(box, "like")
	ids := make(chan string, n)
	var all sync.WaitGroup
	for i := range n {
		a := like
		a.Message = store.Sum([]byte(strconv.Itoa(i)))
		all.Go(func() { ids <- d.take(a).ID })
	}
	all.Wait()
	return ids
}

// changes are the days of 2000 on which the clock changes, and for how many
// half hours they are looked at.
var changes = map[string]int{"2000-03-26": 8, "2000-10-29": 8}

// TestClock shows a store whose last record is later than the clock.
func TestClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, j := openFaulty(t)
		p := d.arrive(box, "one")
		q := d.arrive(box, "two")
		ahead := func(by time.Duration) time.Time {
			at := time.Now().Add(by).UTC()
			j.set(func() {
				j.heads = func(h store.Head) store.Head { h.Time = at; return h }
				j.fail = []string{"conflict"} // the committer reads the head again
			})
			return at
		}
		at := ahead(time.Minute)
		if e := d.confirm(p.ID); !e.RegisteredAt.Equal(at) {
			t.Errorf("a minute behind, the time is %s, want the head's %s", e.RegisteredAt, at)
		}
		at = ahead(3 * time.Minute)
		if _, err := d.Confirm(t.Context(), operator, q.ID, register.Confirmation{Classification: "1.1"}); !errors.Is(err, register.ErrClock) {
			t.Errorf("three minutes behind: %v", err)
		}
		if h := d.Health(t.Context()); !slices.ContainsFunc(h, func(t register.Trouble) bool { return t.Code == "clock-behind" }) {
			t.Errorf("health is %+v", h)
		}
		if three := d.arrive(box, "three"); !three.IngestedAt.Equal(at) {
			t.Errorf("a message was taken at %s, want %s", three.IngestedAt, at)
		}
		time.Sleep(3 * time.Minute)
		if e := d.confirm(q.ID); e.Number != "0000002" {
			t.Errorf("when the clock is right again: %s", e.Number)
		}
	})
}

func TestTimeZoneStays(t *testing.T) {
	d := open(t)
	d.confirmed("one")
	d.setup.Location = time.UTC
	d.reopen()
	p := d.arrive(box, "two")
	_, err := d.Confirm(t.Context(), operator, p.ID, register.Confirmation{Classification: "1.1"})
	if !errors.Is(err, register.ErrUnavailable) || !strings.Contains(err.Error(), "Europe/Rome") {
		t.Errorf("in another zone: %v", err)
	}
	if h := d.Health(t.Context()); len(h) != 1 || h[0].Code != "timezone-changed" || h[0].Register != book {
		t.Errorf("health is %+v", h)
	}
	if _, err := d.Confirm(t.Context(), manager, d.arrive("pec-fondazione", "x").ID, register.Confirmation{Classification: "1.1"}); err != nil {
		t.Errorf("a register without numbers yet: %v", err)
	}
	d.setup.Location = rome
	if err := d.Reload(t.Context(), d.setup); err != nil {
		t.Fatal(err)
	}
	if e := d.confirm(p.ID); e.Number != "0000002" {
		t.Errorf("put back: %s", e.Number)
	}
}
