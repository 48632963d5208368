package archive

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/protodaemon/protodaemon/register"
	"github.com/protodaemon/protodaemon/sign"
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

// keeper does the closings of one register. What only run and work touch is
// guarded by busy.
type keeper struct {
	archive *Archive
	conf    Register
	name    name
	at      time.Duration // of AutoAt since midnight
	carrier carrier
	log     *slog.Logger
	bell    chan struct{}
	// busy is held by whoever closes or takes steps: one at a time.
	busy chan struct{}

	renewal time.Time // when evidence is looked at again; only run touches it

	mu     sync.Mutex
	pauses map[string]pause // by step, or step and closing
}

// pause is when a step that failed is due again.
type pause struct {
	until time.Time // zero: when a person asks for it
	last  time.Duration
}

func (a *Archive) newKeeper(r Register) (*keeper, error) {
	k := &keeper{
		archive: a, conf: r, name: name{r.Organization, r.Register},
		log:    a.log.With("organization", r.Organization, "register", r.Register),
		bell:   make(chan struct{}, 1),
		busy:   make(chan struct{}, 1),
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

// forgive forgets the pauses after failures.
func (k *keeper) forgive() {
	k.mu.Lock()
	defer k.mu.Unlock()
	clear(k.pauses)
}

// hold takes the register for closing or stepping.
func (k *keeper) hold(ctx context.Context) (release func(), err error) {
	select {
	case k.busy <- struct{}{}:
		return func() { <-k.busy }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// run closes at the hour and takes the steps that are due until ctx ends.
func (k *keeper) run(ctx context.Context) {
	for {
		next := k.turn(ctx)
		timer := time.NewTimer(time.Until(next))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-k.bell:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// turn does all that is due and tells when something is due again.
func (k *keeper) turn(ctx context.Context) time.Time {
	auto := k.auto(ctx)
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
	return earlier(earlier(auto, steps), k.renewal)
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
	release, err := k.hold(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
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
	c.Software, c.Test = k.archive.software, k.conf.Test
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

// work takes the steps that are due and tells when the next is.
func (k *keeper) work(ctx context.Context) (next time.Time, err error) {
	release, err := k.hold(ctx)
	if err != nil {
		return time.Time{}, err
	}
	defer release()
	closings, err := k.archive.office.UnfinishedClosings(ctx, k.conf.Organization, k.conf.Register)
	if err != nil {
		return time.Now().Add(retryFirst), err
	}
	var first error
	for _, c := range closings {
		due, err := k.advance(ctx, c)
		if !due.IsZero() {
			next = earlier(next, due)
		}
		if first == nil {
			first = err
		}
		if ctx.Err() != nil {
			break
		}
	}
	return next, first
}

// advance takes a closing as far as it goes now. The time is when it is due
// again; zero: not by itself.
func (k *keeper) advance(ctx context.Context, c register.Closing) (time.Time, error) {
	for {
		s := k.next(c)
		if s == nil {
			return time.Time{}, nil
		}
		if at, paused := k.paused(s.name, c.ID); paused {
			return at, nil
		}
		after, err := k.try(ctx, s, c)
		if err == nil && after.Reached == c.Reached && len(after.Files) == len(c.Files) {
			return k.poll(s.name+" "+c.ID, after), nil // a receipt is not there yet
		}
		if err != nil {
			return k.failed(ctx, s, c, err), err
		}
		k.resumed(s.name, c.ID)
		c = after
	}
}

// try takes one step, within its time.
func (k *keeper) try(ctx context.Context, s *step, c register.Closing) (register.Closing, error) {
	ctx, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	return s.do(k, ctx, c)
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
	key := s.name + " " + c.ID
	if forAll(err) {
		key = s.name
	}
	if !byItself(err) {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.pauses[key] = pause{}
		return time.Time{}
	}
	var later interface{ RetryAfter() time.Duration }
	if errors.As(err, &later) && later.RetryAfter() > 0 {
		return k.pause(key, min(later.RetryAfter(), retryMax), retryMax)
	}
	return k.pause(key, retryFirst, retryMax)
}

// forAll tells whether an error stands in the way of the same step of every
// closing.
func forAll(err error) bool {
	for _, e := range []error{sign.ErrUnreachable, sign.ErrPIN, sign.ErrLocked, sign.ErrExpired, sign.ErrUnusable} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// byItself tells whether a step may be tried again without a person: a second
// wrong PIN may lock a token.
func byItself(err error) bool {
	return !errors.Is(err, sign.ErrPIN) && !errors.Is(err, sign.ErrLocked)
}

// paused tells whether a step waits, and until when.
func (k *keeper) paused(step, id string) (until time.Time, waits bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, key := range []string{step, step + " " + id} {
		p, ok := k.pauses[key]
		if ok && (p.until.IsZero() || p.until.After(time.Now())) {
			return p.until, true
		}
	}
	return time.Time{}, false
}

// pause has a step wait: first for the first time, then twice as long as
// before, up to most.
func (k *keeper) pause(key string, first, most time.Duration) time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	wait := first
	if before := k.pauses[key].last; before > 0 {
		wait = min(2*before, most)
	}
	p := pause{until: time.Now().Add(wait), last: wait}
	k.pauses[key] = p
	return p.until
}

// poll has the step wait that asks for the receipt of a delivered closing.
func (k *keeper) poll(key string, c register.Closing) time.Time {
	wait := pollFirst
	if c.Parcel != nil && c.Parcel.SentAt != nil {
		wait = min(max(time.Since(*c.Parcel.SentAt)/10, pollFirst), pollMax)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	p := pause{until: time.Now().Add(wait)}
	k.pauses[key] = p
	return p.until
}

// resumed forgets the pauses of a step that succeeded.
func (k *keeper) resumed(step, id string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.pauses, step)
	delete(k.pauses, step+" "+id)
}
