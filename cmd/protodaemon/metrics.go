package main

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// newMetrics has what is known of the program itself.
func newMetrics() *prometheus.Registry {
	b := thisBuild()
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "protodaemon_build_info",
		Help:        "Always 1; the labels tell which program runs.",
		ConstLabels: prometheus.Labels{"version": b.version, "commit": b.commit, "go_version": b.goVersion},
	})
	info.Set(1)
	backup := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "protodaemon_backup_last_success_timestamp_seconds",
		Help: "When the last backup succeeded; 0: none since this process started.",
	})
	r := prometheus.NewRegistry()
	r.MustRegister(
		info,
		backup,
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return r
}
