package archive

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/protodaemon/protodaemon/register"
)

var (
	signerGauge = prometheus.NewDesc("protodaemon_signing_certificate_expiry_timestamp_seconds",
		"When the certificate that signed the newest closing expires; absent until one is signed.", []string{"organization", "register"}, nil)
	lotGauge = prometheus.NewDesc("protodaemon_timestamps_remaining",
		"Time stamps left of the lot bought from an authority, by what was used since.", []string{"authority"}, nil)
	overdueGauge = prometheus.NewDesc("protodaemon_receipt_overdue",
		"Closings delivered longer ago than a receipt may take, and without one.", []string{"organization", "register"}, nil)
	evidenceGauge = prometheus.NewDesc("protodaemon_evidence_expiry_timestamp_seconds",
		"When the first certificate of a time stamp expires on which the evidence of a closing rests; absent where nothing is stamped.", []string{"organization", "register"}, nil)
)

// recount is how often the stamps used are counted again.
const recount = 10 * time.Minute

// metrics tells what the register does not know of closings.
type metrics struct {
	archive    *Archive
	registerer prometheus.Registerer

	mu      sync.Mutex
	used    map[string]int // stamps, by authority
	counted time.Time
}

func newMetrics(a *Archive, to prometheus.Registerer) (*metrics, error) {
	m := &metrics{archive: a, registerer: to}
	if to == nil {
		return m, nil
	}
	return m, to.Register(m)
}

func (m *metrics) close() {
	if m.registerer != nil {
		m.registerer.Unregister(m)
	}
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{signerGauge, lotGauge, overdueGauge, evidenceGauge} {
		ch <- d
	}
}

// Collect implements prometheus.Collector. What cannot be read is left out;
// the register's health tells why.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	lots := map[string]Authority{}
	for _, k := range m.archive.kept() {
		for _, a := range k.conf.Authorities {
			if b := lots[a.Name]; a.Lot > 0 && (a.LotFrom > b.LotFrom || a.LotFrom == b.LotFrom && a.Lot > b.Lot) {
				lots[a.Name] = a // of several under one name, the newest
			}
		}
		if at, ok := k.signerExpiry(ctx); ok {
			gauge(signerGauge, float64(at.Unix()), k.name.organization, k.name.register)
		}
		if n, err := k.overdue(ctx, time.Now()); err == nil {
			gauge(overdueGauge, float64(n), k.name.organization, k.name.register)
		}
		if at := k.evidenceEnd(); !at.IsZero() {
			gauge(evidenceGauge, float64(at.Unix()), k.name.organization, k.name.register)
		}
	}
	used, err := m.stamps(ctx, lots)
	if err != nil {
		return
	}
	for name, a := range lots {
		gauge(lotGauge, float64(a.Lot-used[name]), name)
	}
}

// evidenceEnd is when the first evidence expires, as of the last look at it.
func (k *keeper) evidenceEnd() time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.evidence
}

// signerExpiry reads it from the newest closing that is signed.
func (k *keeper) signerExpiry(ctx context.Context) (time.Time, bool) {
	page, err := k.archive.office.Closings(ctx, register.System(), k.name.organization, k.name.register, register.ClosingQuery{Limit: 20})
	if err != nil {
		return time.Time{}, false
	}
	for _, c := range page.Items {
		for _, s := range c.Steps {
			if at, err := time.Parse(time.RFC3339, s.Detail["not_after"]); s.State == register.ClosingSigned && err == nil {
				return at, true
			}
		}
	}
	return time.Time{}, false
}

// overdue counts the closings whose receipt is missed.
func (k *keeper) overdue(ctx context.Context, now time.Time) (n int, err error) {
	closings, err := k.archive.office.UnfinishedClosings(ctx, k.name.organization, k.name.register)
	for _, c := range closings {
		if c.Overdue(now, k.conf.Overdue) {
			n++
		}
	}
	return n, err
}

// stamps counts what was used of each lot since it was bought.
func (m *metrics) stamps(ctx context.Context, lots map[string]Authority) (map[string]int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.used != nil && time.Since(m.counted) < recount {
		return m.used, nil
	}
	used := map[string]int{}
	for _, k := range m.archive.kept() {
		if err := k.countStamps(ctx, lots, used); err != nil {
			return nil, err
		}
	}
	m.used, m.counted = used, time.Now()
	return used, nil
}

// stamped has the stamps counted again.
func (m *metrics) stamped() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.used = nil
}

func (k *keeper) countStamps(ctx context.Context, lots map[string]Authority, used map[string]int) error {
	q := register.ClosingQuery{Limit: 500}
	seen := map[string]bool{} // renewals
	for {
		page, err := k.archive.office.Closings(ctx, register.System(), k.name.organization, k.name.register, q)
		if err != nil {
			return err
		}
		for _, c := range page.Items {
			for _, s := range c.Steps {
				if s.Detail["renewal"] != "" { // one stamp for many closings
					stamp := s.Detail["authority"] + " " + s.Detail["serial"]
					if seen[stamp] {
						continue
					}
					seen[stamp] = true
				}
				lot, counts := lots[s.Detail["authority"]]
				if counts && s.At.In(k.archive.location).Format(time.DateOnly) >= lot.LotFrom {
					used[lot.Name] += len(strings.Fields(s.Detail["serial"]))
				}
			}
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			return nil
		}
	}
}
