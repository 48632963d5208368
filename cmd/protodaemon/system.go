package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/protodaemon/protodaemon/archive"
	"github.com/protodaemon/protodaemon/configs"
	"github.com/protodaemon/protodaemon/register"
	"github.com/protodaemon/protodaemon/store"
)

// system is the open data: what operations work on, in the daemon and
// without it.
type system struct {
	config   atomic.Pointer[configs.Config] // replaced when the daemon re-reads it
	location *time.Location
	store    store.Store
	office   *register.Office
	archive  *archive.Archive
	log      *slog.Logger
	metrics  prometheus.Registerer // nil: none
}

// openSystem opens the store and the register on it. metrics may be nil.
func openSystem(ctx context.Context, cfg *configs.Config, log *slog.Logger, metrics prometheus.Registerer) (*system, error) {
	location, err := cfg.Location()
	if err != nil {
		return nil, usageError{fmt.Errorf("timezone: %w", err)}
	}
	st, err := openStore(ctx, cfg, log)
	if err != nil {
		return nil, err
	}
	setup := setupOf(cfg, location)
	setup.Log, setup.Metrics = log, metrics
	office, err := register.Open(ctx, st, setup)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening the register: %w", err), st.Close())
	}
	s := &system{location: location, store: st, office: office, log: log, metrics: metrics}
	s.config.Store(cfg)
	if s.archive, err = archive.New(archiveOptions(cfg, s)); err != nil {
		return nil, errors.Join(usageError{err}, office.Close(), st.Close())
	}
	return s, nil
}

func openStore(ctx context.Context, cfg *configs.Config, log *slog.Logger) (store.Store, error) {
	if cfg.Store.Engine != "bolt" {
		return nil, usageError{fmt.Errorf("store.engine: %q is not part of this version; use bolt", cfg.Store.Engine)}
	}
	if cfg.Store.Blobs.Engine != "files" {
		return nil, usageError{fmt.Errorf("store.blobs.engine: %q is not part of this version; use files", cfg.Store.Blobs.Engine)}
	}
	st, err := store.OpenBolt(ctx, store.Options{
		Dir:        cfg.DataDir,
		WitnessDir: cfg.Store.Witness.Path,
		Reserve:    int64(cfg.Store.Reserve),
		Log:        log,
	})
	if err != nil {
		return nil, fmt.Errorf("opening the store: %w", err)
	}
	return st, nil
}

// answers returns an error only when the store stays silent; see feedWatchdog.
func (s *system) answers(ctx context.Context) error {
	if err := s.store.Ping(ctx); err != nil && ctx.Err() != nil {
		return err
	}
	return nil
}

// close ends the register first: it still writes what it has promised.
func (s *system) close() error {
	s.archive.Unregister()
	return errors.Join(s.office.Close(), s.store.Close())
}
