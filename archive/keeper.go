package archive

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/protodaemon/protodaemon/register"
)

const (
	// A step that failed is tried again after retryFirst, each time after twice
	// as long, up to retryMax.
	retryFirst = time.Minute
	retryMax   = time.Hour
	// Receipts are asked for every pollFirst, and more seldom the longer it takes:
	// after a tenth of the time since the delivery, up to pollMax.
	pollFirst = 15 * time.Second
	pollMax   = time.Hour
	// attempt bounds one act outside.
	attempt = 5 * time.Minute
	// staleTries is how often a day is written again because the journal went
	// on meanwhile.
	staleTries = 5
)

// keeper does the closings of one register. Days are closed and steps are taken
// side by side: a destination that does not answer holds up no closing.
type keeper struct {
	archive *Archive
	conf    Register
	name    name
	at      time.Duration // of AutoAt since midnight
	carrier carrier
	log     *slog.Logger
	bell    chan struct{} // there are steps to be taken
	// closing is held by whoever closes days, stepping by whoever takes steps:
	// one at a time.
	closing, stepping chan struct{}

	renewal time.Time // when evidence is looked at again; only run touches it

	mu       sync.Mutex
	pauses   map[string]pause // by step, or step and closing
	evidence time.Time        // when the first evidence expires, as of the last look
}

func (a *Archive) newKeeper(r Register) (*keeper, error) {
	k := &keeper{
		archive: a, conf: r, name: name{r.Organization, r.Register},
		log:     a.log.With("organization", r.Organization, "register", r.Register),
		bell:    make(chan struct{}, 1),
		closing: make(chan struct{}, 1), stepping: make(chan struct{}, 1),
		pauses: map[string]pause{},
	}
	if r.AutoAt != "" {
		at, err := time.Parse("15:04", r.AutoAt)
		if err != nil {
			return nil, fmt.Errorf("auto_at %q is not a time like 15:00", r.AutoAt)
		}
		k.at = time.Duration(at.Hour())*time.Hour + time.Duration(at.Minute())*time.Minute
	}
	var err error
	if r.Delivery.Kind != "" {
		k.carrier, err = newCarrier(r.Delivery)
	}
	return k, err
}

// ring has the keeper look at once.
func (k *keeper) ring() {
	select {
	case k.bell <- struct{}{}:
	default:
	}
}

// hold takes a lock; it is given back with release.
func hold(ctx context.Context, lock chan struct{}) (release func(), err error) {
	select {
	case lock <- struct{}{}:
		return func() { <-lock }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// run closes at the hour and takes the steps that are due until ctx ends.
func (k *keeper) run(ctx context.Context) {
	var both sync.WaitGroup
	both.Go(func() { loop(ctx, nil, k.auto) })
	both.Go(func() { loop(ctx, k.bell, k.turn) })
	both.Wait()
}

// loop does what is due, and again when turn says or the bell rings. It looks
// once an hour at least: a timer does not hear of a clock that is set forward.
func loop(ctx context.Context, bell <-chan struct{}, turn func(context.Context) time.Time) {
	for ctx.Err() == nil {
		timer := time.NewTimer(min(time.Until(turn(ctx)), retryMax))
		select {
		case <-ctx.Done():
		case <-bell:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// turn takes all steps that are due and tells when one is due again.
func (k *keeper) turn(ctx context.Context) time.Time {
	steps, err := k.work(ctx)
	if err != nil && ctx.Err() == nil {
		k.log.Debug("a closing waits", "err", err)
	}
	if !time.Now().Before(k.renewal) {
		next, err := k.renew(ctx)
		if ctx.Err() != nil {
			return time.Time{}
		}
		if k.renewal = next; err != nil {
			k.log.Error("evidence could not be renewed, it is tried again", "err", err)
		}
	}
	return earlier(steps, k.renewal)
}

// earlier is the earlier of two times; a zero one is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		a = b
	}
	if a.IsZero() {
		return time.Now().Add(retryMax)
	}
	return a
}

// closeDays closes every day up to through that is to be closed.
func (k *keeper) closeDays(ctx context.Context, by register.Actor, through string) ([]register.Closing, error) {
	release, err := hold(ctx, k.closing)
	if err != nil {
		return nil, err
	}
	defer release()
	defer k.ring()
	made := []register.Closing{}
	for stale := 0; ; {
		c, err := k.closeNext(ctx, by, through)
		switch {
		case register.IsStale(err) && stale < staleTries:
			stale++
			continue
		case err != nil || c == nil:
			return made, err
		}
		stale = 0
		made = append(made, *c)
		k.log.Info("day closed", "day", c.Day, "closing", c.ID, "entries", c.Entries)
	}
}

// closeNext closes one day, or returns nil when there is none to be closed.
func (k *keeper) closeNext(ctx context.Context, by register.Actor, through string) (*register.Closing, error) {
	c, err := k.archive.office.NextClosing(ctx, by, k.conf.Organization, k.conf.Register, through)
	if c == nil || err != nil {
		return nil, err
	}
	c.Software, c.Test, c.Recipient = k.archive.software, k.conf.Test, k.conf.Delivery.Conservator
	select {
	case k.archive.composing <- struct{}{}:
		defer func() { <-k.archive.composing }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	written, err := compose(ctx, *c, k.happenings(ctx, *c), k.keep, k.open)
	if err != nil {
		return nil, fmt.Errorf("writing the daily register %s: %w", c.Name, err)
	}
	made, _, err := k.archive.office.CloseDay(ctx, by, written)
	if err != nil {
		return nil, err
	}
	return &made, nil
}

// work takes the steps that are due and tells when the next is. What is done
// here comes before what is done at a destination, so that one that does not
// answer holds up no signature.
func (k *keeper) work(ctx context.Context) (next time.Time, err error) {
	release, err := hold(ctx, k.stepping)
	if err != nil {
		return time.Time{}, err
	}
	defer release()
	closings, err := k.archive.office.UnfinishedClosings(ctx, k.conf.Organization, k.conf.Register)
	if err != nil {
		return time.Now().Add(retryFirst), err
	}
	var first error
	for _, outside := range []bool{false, true} {
		for i, c := range closings {
			after, due, err := k.advance(ctx, c, outside)
			closings[i] = after
			if !due.IsZero() {
				next = earlier(next, due)
			}
			if first == nil {
				first = err
			}
			if ctx.Err() != nil {
				return next, first
			}
		}
	}
	return next, first
}

// advance takes a closing as far as it goes now; outside: also to a destination.
// The time is when it is due again; zero: not by itself.
func (k *keeper) advance(ctx context.Context, c register.Closing, outside bool) (register.Closing, time.Time, error) {
	for {
		s := k.next(c)
		if s == nil || s.outside && !outside {
			return c, time.Time{}, nil
		}
		if at, paused := k.paused(s.name, c.ID); paused {
			return c, at, nil
		}
		after, err := k.try(ctx, s, c)
		if err == nil && after.Reached == c.Reached && len(after.Files) == len(c.Files) {
			return after, k.poll(s.name+" "+c.ID, after), nil // a receipt is not there yet
		}
		if err != nil {
			return c, k.failed(ctx, s, c, err), err
		}
		k.resumed(s.name, c.ID)
		c = after
	}
}

// try takes one step, within its time.
func (k *keeper) try(ctx context.Context, s *step, c register.Closing) (register.Closing, error) {
	ctx, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	after, err := s.do(k, ctx, c)
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", context.Cause(ctx), err) // whatever else it is called
	}
	return after, err
}

// failed records why a step failed and tells when it is due again.
func (k *keeper) failed(ctx context.Context, s *step, c register.Closing, err error) time.Time {
	if ctx.Err() != nil {
		return time.Time{}
	}
	code := troubleCode(err)
	k.log.Warn("a step of a closing failed", "closing", c.ID, "step", s.name, "code", code, "err", err)
	_, recording := k.archive.office.AdvanceClosing(ctx, c.Organization, c.Register, c.ID, register.Advance{
		From: c.Reached, Trouble: &register.ClosingTrouble{Step: s.name, Code: code, Detail: err.Error()},
	})
	if recording != nil {
		k.log.Error("a failure could not be recorded", "closing", c.ID, "err", recording)
	}
	return k.pauseAfter(s, c, err)
}
