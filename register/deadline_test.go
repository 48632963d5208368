package register_test

import (
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/protodaemon/protodaemon/register"
)

// measured are the gauges of the register of the tests, by name and state.
func measured(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			here, state := false, ""
			for _, l := range m.GetLabel() {
				here = here || l.GetName() == "register" && l.GetValue() == book
				if l.GetName() == "state" {
					state = " " + l.GetValue()
				}
			}
			if here {
				all[f.GetName()+state] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	return all
}

// The deadline of what is not delivered is told hours before it is over: in the
// calendar, in a record that is made once, and in a metric.
func TestDeadlineIsToldBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewPedanticRegistry()
		d := &desk{t: t, dir: filepath.Join(t.TempDir(), "data"), setup: setup()}
		d.setup.Metrics, d.setup.Organizations[0].Manager = reg, inOffice
		d.setup.Organizations[0].Registers[0].Closing = register.ClosingRules{EmptyDays: "none"}
		d.open()
		defer d.close()
		until(at(3, 9)) // Monday
		d.confirmed("one")
		const metric = "protodaemon_closing_deadline_seconds"
		if _, there := measured(t, reg)[metric]; there {
			t.Error("a day that goes on has a deadline")
		}
		// told holds what is said at a time against what has to be.
		told := func(when time.Time, near, late bool, records uint64) {
			t.Helper()
			until(when)
			before := d.sound().Events
			for range 2 {
				if err := d.WarnDeadline(t.Context(), org, book); err != nil {
					t.Fatal(err)
				}
			}
			if made := d.sound().Events - before; made != records {
				t.Errorf("at %s %d records are made, not %d", when, made, records)
			}
			days, err := d.Days(t.Context(), auditor, org, book, "2000-01-03", "2000-01-03")
			if err != nil || days[0].Near != near || days[0].Late != late {
				t.Errorf("at %s the calendar says %+v, %v", when, days, err)
			}
			if got, want := measured(t, reg)[metric], at(5, 0).Sub(when).Seconds(); got != want {
				t.Errorf("at %s %v seconds are left, not %v", when, got, want)
			}
		}
		told(at(4, 9), false, false, 0) // not closed yet
		c := d.closeThrough("")[0]
		told(at(4, 16).Add(-time.Second), false, false, 0)
		told(at(4, 16), true, false, 1)
		told(at(5, 0).Add(-time.Second), true, false, 0)
		told(at(5, 0), false, true, 0)
		told(at(7, 0), false, true, 0)
		if _, err := d.AdvanceClosing(t.Context(), org, book, c.ID, register.Advance{From: register.ClosingClosed, To: register.ClosingDelivered}); err != nil {
			t.Fatal(err)
		}
		before := d.sound().Events
		if err := d.WarnDeadline(t.Context(), org, book); err != nil || d.sound().Events != before {
			t.Errorf("of what is delivered something is told: %v", err)
		}
		if left, there := measured(t, reg)[metric]; there {
			t.Errorf("what is delivered has %v seconds left", left)
		}
	})
}

// While nobody is in office that is recorded once a day, and measured.
func TestRefusalIsAnAlarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewPedanticRegistry()
		d := &desk{t: t, dir: filepath.Join(t.TempDir(), "data"), setup: setup()}
		d.setup.Metrics = reg
		d.open()
		defer d.close()
		refused := func(reason string, records uint64) {
			t.Helper()
			before := d.sound().Events
			if err := d.RefuseClosing(t.Context(), org, book, reason); err != nil {
				t.Fatal(err)
			}
			if made := d.sound().Events - before; made != records {
				t.Errorf("%s: %d records are made, not %d", reason, made, records)
			}
		}
		refused("nobody", 1)
		refused("nobody", 0)
		refused("nobody, for another reason", 1)
		until(at(2, 1))
		refused("nobody, for another reason", 1)
		if n := measured(t, reg)["protodaemon_closing_refused"]; n != 1 {
			t.Errorf("it is measured as %v", n)
		}
		d.setup.Organizations[0].Manager = inOffice
		if err := d.Reload(t.Context(), d.setup); err != nil {
			t.Fatal(err)
		}
		if n := measured(t, reg)["protodaemon_closing_refused"]; n != 0 {
			t.Errorf("with a manager it is measured as %v", n)
		}
	})
}

// A receipt that is missed is told and leaves the closing delivered; what failed
// is counted as failed.
func TestMissedReceiptIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewPedanticRegistry()
		d := &desk{t: t, dir: filepath.Join(t.TempDir(), "data"), setup: setup()}
		d.setup.Metrics, d.setup.Organizations[0].Manager = reg, inOffice
		d.setup.Organizations[0].Registers[0].Closing = register.ClosingRules{EmptyDays: "all"}
		d.open()
		defer d.close()
		until(at(2, 9))
		c := d.closeThrough("")[0]
		step := func(a register.Advance) register.Closing {
			t.Helper()
			after, err := d.AdvanceClosing(t.Context(), org, book, c.ID, a)
			if err != nil {
				t.Fatal(err)
			}
			return after
		}
		step(register.Advance{From: register.ClosingClosed, To: register.ClosingDelivered})
		missed := &register.ClosingTrouble{Step: "receipt", Code: register.TroubleOverdue, Detail: "no receipt has come"}
		before := d.sound().Events
		for range 2 {
			if got := step(register.Advance{From: register.ClosingDelivered, Trouble: missed}); got.State != register.ClosingDelivered || got.Trouble == nil {
				t.Errorf("it stands at %s: %+v", got.State, got.Trouble)
			}
		}
		if made := d.sound().Events - before; made != 1 {
			t.Errorf("%d records are made", made)
		}
		counted := func(state register.ClosingState, waiting, total float64) {
			t.Helper()
			m := measured(t, reg)
			if w, n := m["protodaemon_closings_waiting "+string(state)], m["protodaemon_closings_total "+string(state)]; w != waiting || n != total {
				t.Errorf("%s: %v wait, %v were counted; want %v and %v", state, w, n, waiting, total)
			}
		}
		counted(register.ClosingDelivered, 1, 1)
		counted(register.ClosingFailed, 0, 0)
		missed = &register.ClosingTrouble{Step: "receipt", Code: "unreachable", Detail: "it does not answer"}
		step(register.Advance{From: register.ClosingDelivered, Trouble: missed})
		counted(register.ClosingFailed, 1, 1)
		if got := step(register.Advance{From: register.ClosingDelivered, To: register.ClosingAccepted}); got.Trouble != nil {
			t.Errorf("accepted, its trouble is %+v", got.Trouble)
		}
		counted(register.ClosingFailed, 0, 1)
	})
}
