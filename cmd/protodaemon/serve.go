package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/protodaemon/protodaemon/configs"
	"github.com/protodaemon/protodaemon/ingest"
	"github.com/protodaemon/protodaemon/web"
)

// stopPatience bounds the orderly end: every part bounds its own, and what is
// not done by then is as safe as after a kill.
const stopPatience = 45 * time.Second

func serveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve --config FILE",
		Short: "Watch the mailboxes, keep the registers, serve pages and API",
		Long: `Watches the mailboxes, keeps the registers, and serves pages and API until
SIGINT or SIGTERM. SIGHUP re-reads organizations, mailboxes and trust anchors
without dropping the connections that did not change; a configuration that
does not hold is refused and logged, and the old one stays.

A service manager is told READY=1 when the data is open and the listener
accepts, and its watchdog is served.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			log, err := newLogger(cmd.ErrOrStderr(), cfg.Log.Level, cfg.Log.Format)
			if err != nil {
				return err
			}
			ctx := cmd.Context()
			return unlessEnded(ctx, serve(ctx, cfg, func() (*configs.Config, error) { return loadConfig(cmd) }, log, extras{}))
		},
	}
	configFlag(cmd)
	return requireFlags(cmd, "config")
}

// extras are what the demonstration adds to the daemon.
type extras struct {
	demo  web.Demo
	ready func(pages net.Addr) error // nil: nobody else is told
}

// serve is the daemon: it opens, starts, and waits until ctx ends or a part
// fails. load reads the configuration again.
func serve(ctx context.Context, cfg *configs.Config, load func() (*configs.Config, error), log *slog.Logger, more extras) (err error) {
	parts, ctx := errgroup.WithContext(ctx)
	defer endWithin(ctx, stopPatience, log)()

	trust, err := loadTrust(cfg)
	if err != nil {
		return err
	}
	metrics := newMetrics()
	trust.watched(metrics, log)
	sys, err := openSystem(ctx, cfg, log, metrics)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sys.close()) }()

	doors, err := listen(ctx, cfg)
	if err != nil {
		return err
	}
	defer doors.close()
	pages, err := web.New(webOptions(cfg, sys, metrics, log, more.demo))
	if err != nil {
		return usageError{err}
	}
	mail, err := ingest.New(ingestOptions(cfg, sys, trust.mailboxes(cfg), metrics, log))
	if err != nil {
		return err
	}
	orders := control{listener: doors.control, path: filepath.Join(cfg.DataDir, controlName), run: sys.run, log: log}
	again := reloader{system: sys, mail: mail, trust: trust, load: load, log: log}

	parts.Go(func() error { return unlessEnded(ctx, mail.Run(ctx)) })
	parts.Go(func() error { return sys.archive.Run(ctx) })
	parts.Go(func() error { return pages.Serve(ctx, doors.web) })
	if doors.metrics != nil {
		parts.Go(func() error { return pages.ServeMetrics(ctx, doors.metrics) })
	}
	parts.Go(func() error { return orders.serve(ctx) })
	parts.Go(func() error { return again.run(ctx) })
	parts.Go(func() error { return again.watchTrust(ctx) })
	parts.Go(func() error { return feedWatchdog(ctx, log, sys.answers) })

	log.Info("serving", "address", doors.web.Addr().String(), "data_dir", cfg.DataDir, "version", thisBuild().version)
	notify(log, daemon.SdNotifyReady)
	if more.ready != nil {
		parts.Go(func() error { return more.ready(doors.web.Addr()) })
	}
	return parts.Wait()
}

// unlessEnded drops the error by which a part says that ctx has ended.
func unlessEnded(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}

// endWithin tells of the end when ctx ends, and ends the process when what
// follows takes longer than limit. The returned function is called when
// everything has ended.
func endWithin(ctx context.Context, limit time.Duration, log *slog.Logger) func() {
	ended := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		select {
		case <-ctx.Done():
		case <-ended:
		}
		if ctx.Err() == nil {
			return // it never started
		}
		log.Info("stopping")
		notify(log, daemon.SdNotifyStopping)
		late := time.NewTimer(limit)
		defer late.Stop()
		select {
		case <-ended:
		case <-late.C:
			log.Error("the orderly end took too long; everything acknowledged is safe", "limit", limit.String())
			os.Exit(exitFailed)
		}
	})
	return func() {
		close(ended)
		watch.Wait()
	}
}
