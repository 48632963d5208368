package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/protodaemon/protodaemon/configs"
	"github.com/protodaemon/protodaemon/ingest"
	"github.com/protodaemon/protodaemon/pec"
)

// trustEvery is how often changed files are looked for.
const trustEvery = time.Minute

// trust holds whom the registers trust: what is loaded of each set of files
// that one of them names. A running daemon takes changed files over; ones that do
// not hold leave the former in force.
type trust struct {
	log      *slog.Logger
	problems prometheus.Gauge

	mu   sync.Mutex
	sets map[string]*trustSet
}

// trustSet is one set of files; registers mostly name the same.
type trustSet struct {
	files  pec.TrustFiles
	state  string // of the files when they were last tried
	loaded *pec.Trust
	bad    string   // why the files, which have changed since, do not hold
	told   []string // warnings that the log has
}

// trustFiles are those that a register names.
func trustFiles(p configs.PEC) pec.TrustFiles {
	return pec.TrustFiles{Anchors: p.Trust, ListSigners: p.TrustListSigners, CRLs: p.CRL}
}

func trustKey(f pec.TrustFiles) string {
	return strings.Join([]string{strings.Join(f.Anchors, "\n"), strings.Join(f.ListSigners, "\n"), strings.Join(f.CRLs, "\n")}, "\n\n")
}

// loadTrust loads what the registers with mailboxes name; all of it has to hold.
func loadTrust(cfg *configs.Config) (*trust, error) {
	t := &trust{log: slog.New(slog.DiscardHandler), sets: map[string]*trustSet{}}
	for _, m := range mailboxesOf(cfg) {
		_, r := cfg.Find(m.Organization, m.Register)
		s := &trustSet{files: trustFiles(r.PEC)}
		key := trustKey(s.files)
		if t.sets[key] != nil {
			continue
		}
		s.state = s.files.State() // before the files are read: what changes then is seen later
		var err error
		if s.loaded, err = pec.LoadTrust(s.files); err != nil {
			return nil, usageError{fmt.Errorf("organization %s, register %s: pec.trust: %w", m.Organization, m.Register, err)}
		}
		t.sets[key] = s
	}
	return t, nil
}

// watched has a running daemon's log and metrics told.
func (t *trust) watched(r prometheus.Registerer, log *slog.Logger) {
	t.problems = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "protodaemon_trust_problems",
		Help: "Trust anchors, trusted lists and revocation lists that have run out, or were changed into what does not hold.",
	})
	r.MustRegister(t.problems)
	t.log = log
	t.mu.Lock()
	defer t.mu.Unlock()
	t.tell(time.Now())
}

// mailboxes are those of the configuration, each with whom its register trusts.
func (t *trust) mailboxes(cfg *configs.Config) []ingest.Mailbox {
	t.mu.Lock()
	defer t.mu.Unlock()
	boxes := mailboxesOf(cfg)
	for i, m := range boxes {
		_, r := cfg.Find(m.Organization, m.Register)
		if s := t.sets[trustKey(trustFiles(r.PEC))]; s != nil {
			boxes[i].Trust = s.loaded
		}
	}
	return boxes
}

// replace takes over what another configuration names.
func (t *trust) replace(other *trust) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sets = other.sets
	t.tell(time.Now())
}

// watch looks for changed files until ctx ends, and calls changed when some were
// taken over.
func (t *trust) watch(ctx context.Context, every time.Duration, changed func()) {
	look := time.NewTicker(every)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
		if t.refresh(time.Now()) {
			changed()
		}
	}
}

// refresh reads changed files again.
func (t *trust) refresh(now time.Time) (changed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.sets {
		state := s.files.State()
		if state == s.state {
			continue
		}
		s.state = state
		loaded, err := pec.LoadTrust(s.files)
		if err != nil {
			s.bad = err.Error()
			t.log.Error("changed trust files are refused, the former ones stay in force", "err", err)
			continue
		}
		c := loaded.Count(now)
		t.log.Info("changed trust files are in force", "providers", c.Providers, "services", c.Services, "persons", c.Persons, "stamps", c.Stamps,
			"lists", c.Lists, "crls", c.CRLs)
		s.loaded, s.bad, changed = loaded, "", true
	}
	t.tell(now)
	return changed
}

// tell has the log say each warning once, and counts what is amiss.
func (t *trust) tell(now time.Time) {
	n := 0
	for _, s := range t.sets {
		warnings := s.loaded.Warnings(now)
		for _, w := range warnings {
			if !slices.Contains(s.told, w) {
				t.log.Warn("trust files have run out", "what", w)
			}
		}
		s.told = warnings
		n += len(warnings)
		if s.bad != "" {
			n++
		}
	}
	if t.problems != nil {
		t.problems.Set(float64(n))
	}
}
