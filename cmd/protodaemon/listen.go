package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/protodaemon/protodaemon/configs"
	"github.com/protodaemon/protodaemon/web"
)

// listeners are the doors of the daemon. Their servers close them; close is
// for a start that fails half-way.
type listeners struct {
	web     *web.Listener
	metrics net.Listener // nil: on the main listener
	control *net.UnixListener
}

func listen(ctx context.Context, cfg *configs.Config) (_ *listeners, err error) {
	key, err := cfg.HTTP.TLS.KeyFile.Path()
	if err != nil {
		return nil, usageError{fmt.Errorf("http.tls.key_file: %w", err)}
	}
	var l listeners
	defer func() {
		if err != nil {
			l.close()
		}
	}()
	l.web, err = web.Listen(ctx, web.ListenOptions{
		Addr:       cfg.HTTP.Listen,
		CertFile:   cfg.HTTP.TLS.CertFile,
		KeyFile:    key,
		SelfSigned: cfg.HTTP.TLS.SelfSigned,
		Dir:        filepath.Join(cfg.DataDir, "tls"),
		Hosts:      hostNames(cfg),
	})
	if err != nil {
		return nil, err
	}
	if cfg.HTTP.MetricsListen != "" {
		if l.metrics, err = web.ListenMetrics(ctx, cfg.HTTP.MetricsListen); err != nil {
			return nil, err
		}
	}
	if l.control, err = listenControl(cfg.DataDir); err != nil {
		return nil, err
	}
	return &l, nil
}

func (l *listeners) close() {
	if l.web != nil {
		l.web.Close()
	}
	if l.metrics != nil {
		l.metrics.Close()
	}
	if l.control != nil {
		l.control.Close()
	}
}

// hostNames are the names that a certificate of our own should have.
func hostNames(cfg *configs.Config) []string {
	var names []string
	if name, err := os.Hostname(); err == nil {
		names = append(names, name)
	}
	host, _, err := net.SplitHostPort(cfg.HTTP.Listen)
	if ip := net.ParseIP(host); err == nil && host != "" && (ip == nil || !ip.IsUnspecified()) {
		names = append(names, host)
	}
	if u, err := url.Parse(cfg.HTTP.PublicURL); err == nil && u.Hostname() != "" {
		names = append(names, u.Hostname())
	}
	return names
}

func webOptions(cfg *configs.Config, s *system, metrics *prometheus.Registry, log *slog.Logger, demo web.Demo) web.Options {
	return web.Options{
		Office:         s.office,
		Archive:        s.archive,
		Log:            log,
		Location:       s.location,
		Gatherer:       metrics,
		Registerer:     metrics,
		PublicURL:      cfg.HTTP.PublicURL,
		TrustedProxies: cfg.HTTP.TrustedProxies,
		Version:        thisBuild().version,
		Demo:           demo,
	}
}
