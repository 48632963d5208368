package web

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/protodaemon/protodaemon/register"
)

// healthz answers as long as requests are answered at all.
func (s *Server) healthz(w http.ResponseWriter, _ *http.Request, _ register.Actor) error {
	return writeJSON(w, http.StatusOK, struct {
		Status string `json:"status"`
	}{"ok"})
}

type readiness struct {
	Ready   bool     `json:"ready"`
	Reasons []reason `json:"reasons"`
}

type reason struct {
	Organization string `json:"organization,omitempty"`
	Register     string `json:"register,omitempty"`
	Code         string `json:"code"`
	Detail       string `json:"detail,omitempty"`
}

// readyz tells whether the daemon can do its work, and what keeps it from it.
// Details may name files and servers: they are for this machine and for
// users.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request, _ register.Actor) error {
	open := s.local(r)
	if !open && bearer(r) != "" {
		_, err := s.authenticate(r)
		open = err == nil
	}
	answer := readiness{Reasons: []reason{}}
	for _, t := range s.ready(r.Context()) {
		why := reason{Organization: t.Organization, Register: t.Register, Code: t.Code}
		if open {
			why.Detail = t.Detail
		}
		answer.Reasons = append(answer.Reasons, why)
	}
	answer.Ready = len(answer.Reasons) == 0
	status := http.StatusOK
	if !answer.Ready {
		status = http.StatusServiceUnavailable
	}
	return writeJSON(w, status, answer)
}

// showMetrics is for a program on this machine, or for a user.
func (s *Server) showMetrics(w http.ResponseWriter, r *http.Request, _ register.Actor) error {
	if !s.local(r) {
		if _, err := s.authenticate(r); err != nil {
			return err
		}
	}
	s.metrics.ServeHTTP(w, r)
	return nil
}

// measure prepares /metrics and the metrics of the requests.
func (s *Server) measure(g prometheus.Gatherer, r prometheus.Registerer) error {
	if g == nil {
		g = prometheus.NewRegistry()
	}
	s.metrics = promhttp.HandlerFor(g, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
	if r == nil {
		return nil
	}
	s.durations = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "protodaemon_http_request_duration_seconds",
		Help:    "Time from a request's head to the end of its answer.",
		Buckets: []float64{.001, .005, .02, .1, .5, 2, 10, 60},
	}, []string{"method", "route", "status"})
	if err := r.Register(s.durations); err != nil {
		var again prometheus.AlreadyRegisteredError
		if !errors.As(err, &again) {
			return fmt.Errorf("registering the metrics of requests: %w", err)
		}
		s.durations = again.ExistingCollector.(*prometheus.HistogramVec)
	}
	return nil
}
