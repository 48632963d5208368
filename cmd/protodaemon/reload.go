package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"reflect"
	"sync"
	"syscall"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/protodaemon/protodaemon/archive"
	"github.com/protodaemon/protodaemon/configs"
	"github.com/protodaemon/protodaemon/ingest"
)

// reloader takes a changed configuration over at SIGHUP: organizations,
// mailboxes and trust anchors.
type reloader struct {
	system *system
	mail   *ingest.Ingest
	trust  *trust
	load   func() (*configs.Config, error)
	log    *slog.Logger

	mailboxes sync.Mutex // of what mail is told: the latest is the last
}

func (r *reloader) run(ctx context.Context) error {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-hangup:
		}
		notify(r.log, daemon.SdNotifyReloading)
		if err := r.reload(ctx); err != nil {
			r.log.Error("the changed configuration is refused, the old one goes on", "err", err)
		} else {
			r.log.Info("the changed configuration is in force")
		}
		notify(r.log, daemon.SdNotifyReady)
	}
}

// reload changes nothing unless all of the new configuration holds. What only
// a restart can bring into force stays as it is, and is named in the log.
func (r *reloader) reload(ctx context.Context) error {
	cfg, err := r.load()
	if err != nil {
		return err
	}
	trust, err := loadTrust(cfg)
	if err != nil {
		return err
	}
	setup := setupOf(cfg, r.system.location)
	setup.Log, setup.Metrics = r.system.log, r.system.metrics
	if err := archive.Check(archiveRegisters(cfg)); err != nil {
		return err
	}
	if err := r.system.office.Reload(ctx, setup); err != nil {
		return err
	}
	for _, key := range needRestart(r.system.config.Load(), cfg) {
		r.log.Warn("a changed part of the configuration needs a restart", "key", key)
	}
	if err := r.system.archive.Reload(archiveRegisters(cfg)); err != nil {
		return err
	}
	r.mailboxes.Lock()
	defer r.mailboxes.Unlock()
	r.system.config.Store(cfg)
	r.trust.replace(trust)
	r.mail.Reload(r.trust.mailboxes(cfg))
	return nil
}

// watchTrust takes over changed files of trust anchors, trusted lists and
// revocation lists until ctx ends.
func (r *reloader) watchTrust(ctx context.Context) error {
	r.trust.watch(ctx, trustEvery, func() {
		r.mailboxes.Lock()
		defer r.mailboxes.Unlock()
		r.mail.Reload(r.trust.mailboxes(r.system.config.Load()))
	})
	return nil
}

// needRestart lists the changed parts that a running daemon cannot take over.
func needRestart(old, cfg *configs.Config) []string {
	var keys []string
	for _, c := range []struct {
		key      string
		old, now any
	}{
		{"data_dir", old.DataDir, cfg.DataDir},
		{"timezone", old.Timezone, cfg.Timezone},
		{"log", old.Log, cfg.Log},
		{"http", old.HTTP, cfg.HTTP},
		{"store", old.Store, cfg.Store},
		{"ingest", old.Ingest, cfg.Ingest},
	} {
		if !reflect.DeepEqual(c.old, c.now) {
			keys = append(keys, c.key)
		}
	}
	return keys
}
