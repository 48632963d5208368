package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// notify tells the service manager, if there is one, how the daemon stands.
func notify(log *slog.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.Warn("the service manager could not be told", "state", state, "err", err)
	}
}

// feedWatchdog tells the service manager's watchdog, as often as it wants,
// that the daemon lives, for as long as alive says so: a daemon whose store
// does not answer is restarted.
func feedWatchdog(ctx context.Context, log *slog.Logger, alive func(context.Context) error) error {
	limit, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn("the service manager's watchdog cannot be served", "err", err)
	}
	if limit <= 0 {
		return nil
	}
	every := time.NewTicker(limit / 2)
	defer every.Stop()
	for {
		if err := aliveWithin(ctx, limit/4, alive); err == nil {
			notify(log, daemon.SdNotifyWatchdog)
		} else if ctx.Err() == nil {
			log.Error("the store does not answer; the service manager's watchdog is not fed", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-every.C:
		}
	}
}

func aliveWithin(ctx context.Context, limit time.Duration, alive func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return alive(ctx)
}
