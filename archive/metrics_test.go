package archive_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/protodaemon/protodaemon/archive"
	"github.com/protodaemon/protodaemon/register"
)

// measured opens the hall's archive again, with metrics.
func measured(t *testing.T, h *hall) *prometheus.Registry {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	var err error
	h.archive, err = archive.New(archive.Options{Office: h.office, Location: rome, Software: "protodaemon prova", Registers: []archive.Register{h.conf}, Metrics: reg})
	if err != nil {
		t.Fatal(err)
	}
	return reg
}

// gauge is the value of a metric, and whether it is there.
func gauge(t *testing.T, reg *prometheus.Registry, name string) (float64, bool) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue(), true
		}
	}
	return 0, false
}

// What is left of the stamps that were bought is counted from what the closings
// say was used, also by a new process; expiries and missed receipts are told.
func TestMetricsOfClosings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, register.ClosingRules{EmptyDays: "none"})
		h.conf.XAdES, h.conf.Authorities[0].Lot, h.conf.Authorities[0].LotFrom = false, 10, "2000-01-01"
		reg := measured(t, h)
		const left, signer, evidence, missed = "protodaemon_timestamps_remaining", "protodaemon_signing_certificate_expiry_timestamp_seconds",
			"protodaemon_evidence_expiry_timestamp_seconds", "protodaemon_receipt_overdue"
		expect := func(name string, want float64) {
			t.Helper()
			if got, there := gauge(t, reg, name); !there || got != want {
				t.Errorf("%s is %v (there: %t), not %v", name, got, there, want)
			}
		}
		expect(left, 10)
		expect(missed, 0)
		for _, name := range []string{signer, evidence} {
			if got, there := gauge(t, reg, name); there {
				t.Errorf("before the first closing %s is %v", name, got)
			}
		}
		until(at(1, 3, 9))
		h.enter("Istanza")
		until(at(1, 4, 9))
		c := h.closeDays("")[0]
		if err := h.work(); err != nil {
			t.Fatal(err)
		}
		expect(left, 8)
		expect(signer, float64(authority().signer.NotAfter.Unix()))
		stop := h.run()
		synctest.Wait()
		expect(evidence, float64(authority().tsa.NotAfter.Unix()))
		until(at(1, 6, 9))
		expect(missed, 0)
		time.Sleep(2 * time.Hour)
		expect(missed, 1)
		stop()
		if now := h.closing(c.ID); now.State != register.ClosingDelivered || now.Trouble == nil || now.Trouble.Code != register.TroubleOverdue || !strings.Contains(now.Trouble.Detail, "2000-01-04T09:00:00+01:00") {
			t.Errorf("it stands at %s: %+v", now.State, now.Trouble)
		}
		h.archive.Unregister()
		reg = measured(t, h) // a new process
		expect(left, 8)
		h.conf.Authorities[0].LotFrom = "2000-01-05" // another lot
		h.archive.Unregister()
		reg = measured(t, h)
		expect(left, 10)
		h.receipt(h.closing(c.ID), "accettato", "")
		time.Sleep(2 * time.Hour)
		if err := h.work(); err != nil {
			t.Fatal(err)
		}
		expect(missed, 0)
		if now := h.closing(c.ID); now.State != register.ClosingAccepted || now.Trouble != nil {
			t.Errorf("with the receipt it stands at %s: %+v", now.State, now.Trouble)
		}
		if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
			t.Errorf("%v, %v", problems, err)
		}
	})
}

// What cannot be counted is not told: a full lot would hide an empty one.
func TestMetricsOfWhatCannotBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, register.ClosingRules{EmptyDays: "none"})
		reg := measured(t, h)
		if err := errors.Join(h.office.Close(), h.st.Close()); err != nil {
			t.Fatal(err)
		}
		if got, there := gauge(t, reg, "protodaemon_timestamps_remaining"); there {
			t.Errorf("of a store that is closed it tells %v", got)
		}
		h.office = nil // is closed
	})
}
