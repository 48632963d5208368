package register

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/protodaemon/protodaemon/store"
)

// metrics are those of contract section 5 that the register knows. Their
// labels are ids of the configuration and values of closed lists.
type metrics struct {
	office     *Office
	registerer prometheus.Registerer
	own        []prometheus.Collector

	messages       *prometheus.CounterVec
	entries        *prometheus.CounterVec
	closings       *prometheus.CounterVec
	ingestLatency  prometheus.Histogram
	confirmLatency prometheus.Histogram
}

// kinds are those of contract section 4; all else is counted as other.
var kinds = map[string]bool{
	"email": true, "pec-transport": true, "pec-anomaly": true, "pec-receipt": true, "rem": true,
}

const otherKind = "other"

var closingStates = []ClosingState{
	ClosingClosed, ClosingSigned, ClosingStamped, ClosingDelivered, ClosingAccepted, ClosingRejected, ClosingFailed,
}

var directions = []Direction{Incoming, Outgoing, Internal}

var (
	pendingGauge = prometheus.NewDesc("protodaemon_pending",
		"Messages in custody that nobody has decided on.", []string{"organization", "register"}, nil)
	oldestGauge = prometheus.NewDesc("protodaemon_pending_oldest_age_seconds",
		"Time since the oldest of them arrived at the mail server; 0 when there is none.", []string{"organization", "register"}, nil)
	movesGauge = prometheus.NewDesc("protodaemon_moves_outstanding",
		"Acts on the mail server (moves and returns) that are due.", []string{"organization", "mailbox"}, nil)
	unclosedGauge = prometheus.NewDesc("protodaemon_unclosed_days",
		"Legal days before today that are to be closed and are not.", []string{"organization", "register"}, nil)
	deadlineGauge = prometheus.NewDesc("protodaemon_closing_deadline_seconds",
		"Time until the oldest day that is not closed or not delivered is late; negative when it is; absent when there is none.",
		[]string{"organization", "register"}, nil)
	waitingGauge = prometheus.NewDesc("protodaemon_closings_waiting",
		"Closings that are not accepted yet, by the state they stand at.", []string{"organization", "register", "state"}, nil)
	refusedGauge = prometheus.NewDesc("protodaemon_closing_refused",
		"1 while nobody is in office in whose name a day could be closed.", []string{"organization", "register"}, nil)
)

func newMetrics(o *Office, to prometheus.Registerer) (*metrics, error) {
	latencies := []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}
	m := &metrics{
		office: o, registerer: to,
		messages: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "protodaemon_messages_ingested_total", Help: "Messages taken into custody.",
		}, []string{"organization", "mailbox", "kind"}),
		entries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "protodaemon_entries_total", Help: "Entries registered by this process.",
		}, []string{"organization", "register", "direction"}),
		closings: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "protodaemon_closings_total", Help: "Closings of days by the state they reached.",
		}, []string{"organization", "register", "state"}),
		ingestLatency: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "protodaemon_ingest_latency_seconds", Help: "From the mail server's notification to the durable pending entry.",
			Buckets: latencies,
		}),
		confirmLatency: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "protodaemon_confirm_latency_seconds", Help: "From a confirmation to its durable number.",
			Buckets: latencies,
		}),
	}
	if to == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m, m.messages, m.entries, m.closings, m.ingestLatency, m.confirmLatency} {
		if err := to.Register(c); err != nil {
			m.close()
			return nil, err
		}
		m.own = append(m.own, c)
	}
	return m, nil
}

// close takes the metrics back; it may be called on none.
func (m *metrics) close() {
	if m == nil {
		return
	}
	for _, c := range m.own {
		m.registerer.Unregister(c)
	}
}

// follow begins the counters of what is new in the configuration at 0, so that
// a first increase is seen, and drops those of what is gone.
func (m *metrics) follow(former, next *view) {
	if former != nil {
		for _, b := range former.books {
			org := b.agency.conf.ID
			if next.books[idPrefix(org, b.conf.ID)] == nil {
				gone := prometheus.Labels{"organization": org, "register": b.conf.ID}
				m.entries.DeletePartialMatch(gone)
				m.closings.DeletePartialMatch(gone)
			}
		}
		for name := range former.mailboxes {
			if next.mailboxes[name] == nil {
				m.messages.DeletePartialMatch(prometheus.Labels{"organization": name.org, "mailbox": name.id})
			}
		}
	}
	for _, b := range next.books {
		for _, d := range directions {
			m.entries.WithLabelValues(b.agency.conf.ID, b.conf.ID, string(d))
		}
		for _, s := range closingStates {
			m.closings.WithLabelValues(b.agency.conf.ID, b.conf.ID, string(s))
		}
	}
	for name := range next.mailboxes {
		for kind := range kinds {
			m.messages.WithLabelValues(name.org, name.id, kind)
		}
	}
}

func (m *metrics) ingested(a Arrival) {
	kind := a.Summary.Kind
	if !kinds[kind] {
		kind = otherKind
	}
	m.messages.WithLabelValues(a.Organization, a.Mailbox, kind).Inc()
	if !a.Noticed.IsZero() {
		m.ingestLatency.Observe(time.Since(a.Noticed).Seconds())
	}
}

func (m *metrics) confirmed(e Entry, took time.Duration) {
	m.entries.WithLabelValues(e.Organization, e.Register, string(e.Direction)).Inc()
	m.confirmLatency.Observe(took.Seconds())
}

// closed counts the state that a closing has reached.
func (m *metrics) closed(c Closing) {
	m.closings.WithLabelValues(c.Organization, c.Register, string(c.State)).Inc()
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{pendingGauge, oldestGauge, movesGauge, unclosedGauge, deadlineGauge, waitingGauge, refusedGauge} {
		ch <- d
	}
}

// Collect implements prometheus.Collector: it counts what waits now. What
// cannot be counted is left out; Health tells why.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	v := m.office.view.Load()
	if v == nil {
		return
	}
	ctx, cancel := context.WithTimeout(m.office.life, 5*time.Second)
	defer cancel()
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	for _, b := range v.books {
		if n, err := b.count(ctx, rowWaiting, ""); err == nil {
			gauge(pendingGauge, float64(n), b.agency.conf.ID, b.conf.ID)
		}
		if oldest, err := b.oldest(ctx); err == nil {
			gauge(oldestGauge, oldest.Seconds(), b.agency.conf.ID, b.conf.ID)
		}
		b.collectDays(ctx, time.Now(), func(d *prometheus.Desc, value float64, more ...string) {
			gauge(d, value, append([]string{b.agency.conf.ID, b.conf.ID}, more...)...)
		})
	}
	for name, b := range v.mailboxes {
		if n, err := b.count(ctx, rowDue, prefix(name.id)); err == nil {
			gauge(movesGauge, float64(n), name.org, name.id)
		}
	}
}

// oldest is the age of the oldest undecided pending entry.
func (b *book) oldest(ctx context.Context) (age time.Duration, err error) {
	for _, s := range []State{StatePending, StateQuarantined, StateOversized} {
		rows, err := b.journal.List(ctx, store.Range{Kind: rowState, Prefix: prefix(string(s)), Limit: 1})
		if err != nil {
			return 0, err
		}
		for _, row := range rows {
			p, err := b.pending(ctx, lastPart(row.Key))
			if err != nil {
				return 0, err
			}
			age = max(age, time.Since(p.ArrivedAt))
		}
	}
	return age, nil
}
