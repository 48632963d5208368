package ingest

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are those of contract section 5 that only ingest knows.
type metrics struct {
	up     *prometheus.GaugeVec
	seen   *prometheus.GaugeVec
	failed *prometheus.CounterVec
}

// Reasons of protodaemon_messages_failed_total.
const (
	failFetch    = "fetch"    // the server did not deliver the whole message
	failSize     = "size"     // its sizes contradict each other
	failStore    = "store"    // the bytes could not be kept
	failRegister = "register" // the register did not take it
)

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	box := []string{"organization", "mailbox"}
	m := &metrics{
		up: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "protodaemon_mailbox_up", Help: "1 while the mailbox is watched or polled.",
		}, box),
		seen: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "protodaemon_mailbox_last_seen_timestamp_seconds", Help: "When the watched folder was last compared.",
		}, box),
		failed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "protodaemon_messages_failed_total", Help: "Messages that could not be taken in three attempts.",
		}, append(box, "reason")),
	}
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.up, m.seen, m.failed} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *metrics) setUp(b Mailbox, up bool) {
	v := 0.0
	if up {
		v = 1
	}
	m.up.WithLabelValues(b.Organization, b.ID).Set(v)
}

func (m *metrics) saw(b Mailbox, at time.Time) {
	m.seen.WithLabelValues(b.Organization, b.ID).Set(float64(at.UnixMilli()) / 1000)
}

func (m *metrics) fail(b Mailbox, reason string) {
	m.failed.WithLabelValues(b.Organization, b.ID, reason).Inc()
}

// begin starts the series of a mailbox at 0, so that a first increase is seen.
func (m *metrics) begin(b Mailbox) {
	m.up.WithLabelValues(b.Organization, b.ID)
	m.seen.WithLabelValues(b.Organization, b.ID)
	for _, reason := range []string{failFetch, failSize, failStore, failRegister} {
		m.failed.WithLabelValues(b.Organization, b.ID, reason)
	}
}

// forget drops the series of a mailbox that is no longer configured.
func (m *metrics) forget(b Mailbox) {
	l := prometheus.Labels{"organization": b.Organization, "mailbox": b.ID}
	m.up.DeletePartialMatch(l)
	m.seen.DeletePartialMatch(l)
	m.failed.DeletePartialMatch(l)
}
