package archive

import (
	"context"
	"errors"
	"time"

	"github.com/protodaemon/protodaemon/register"
)

// auto closes the days whose hour has come and tells when the next comes. It
// looks at the deadline too, whoever closes.
func (k *keeper) auto(ctx context.Context) time.Time {
	defer k.warn(ctx)
	now := time.Now().In(k.archive.location)
	if k.conf.AutoAt == "" {
		return now.Add(retryMax) // only a person closes
	}
	through, next := k.reach(now)
	_, err := k.closeDays(ctx, register.System(), through)
	switch {
	case err == nil || ctx.Err() != nil:
		return next
	case errors.Is(err, register.ErrNoManager):
		k.log.Error("a day cannot be closed", "through", through, "err", err)
		if err := k.archive.office.RefuseClosing(ctx, k.conf.Organization, k.conf.Register, err.Error()); err != nil {
			k.log.Error("the refusal could not be recorded", "err", err)
		}
		return earlier(next, now.Add(retryMax))
	}
	k.log.Error("closing failed, it is tried again", "through", through, "err", err)
	return earlier(next, now.Add(retryFirst))
}

// warn records that a deadline comes near.
func (k *keeper) warn(ctx context.Context) {
	if err := k.archive.office.WarnDeadline(ctx, k.conf.Organization, k.conf.Register); err != nil && ctx.Err() == nil {
		k.log.Error("the deadline could not be looked at", "err", err)
	}
}

// reach is the last day whose hour has come at now, and when the next one
// comes: a day's hour is AutoAt on the following day, by the clock on the wall.
func (k *keeper) reach(now time.Time) (through string, next time.Time) {
	hour := func(days int) time.Time {
		y, m, d := now.Date()
		return time.Date(y, m, d+days, int(k.at.Hours()), int(k.at.Minutes())%60, 0, 0, now.Location())
	}
	y, m, d := now.Date()
	today := time.Date(y, m, d, 12, 0, 0, 0, time.UTC)
	if now.Before(hour(0)) {
		return today.AddDate(0, 0, -2).Format(time.DateOnly), hour(0)
	}
	return today.AddDate(0, 0, -1).Format(time.DateOnly), hour(1)
}
