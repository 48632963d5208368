package archive

import (
	"context"
	"errors"
	"time"

	"github.com/protodaemon/protodaemon/register"
	"github.com/protodaemon/protodaemon/sign"
)

// pause is when a step that failed is due again.
type pause struct {
	until time.Time // zero: when a person asks for it
	last  time.Duration
}

// pauseAfter has a step wait that failed. What stands in the way of every
// closing stops the step for all; at a destination the one that met it waits
// longest, so that another is tried first: it may have been the package after
// all.
func (k *keeper) pauseAfter(s *step, c register.Closing, err error) time.Time {
	own := s.name + " " + c.ID
	if !byItself(err) {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.pauses[s.name] = pause{}
		return time.Time{}
	}
	wait := retryFirst
	var later interface{ RetryAfter() time.Duration }
	if errors.As(err, &later) && later.RetryAfter() > 0 {
		wait = min(later.RetryAfter(), retryMax)
	}
	if !forAll(err) {
		return k.pause(own, wait)
	}
	if s.outside {
		k.pause(own, min(2*wait, retryMax))
	}
	return k.pause(s.name, wait)
}

// forAll tells whether an error stands in the way of the same step of every
// closing.
func forAll(err error) bool {
	var d *deliveryError
	if errors.As(err, &d) {
		return d.shared || errors.Is(err, context.DeadlineExceeded)
	}
	for _, e := range []error{sign.ErrUnreachable, sign.ErrPIN, sign.ErrLocked, sign.ErrExpired, sign.ErrUnusable, context.DeadlineExceeded} {
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

// pause has a step wait: first for the first time, then twice as long as before,
// up to retryMax.
func (k *keeper) pause(key string, first time.Duration) time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	wait := first
	if before := k.pauses[key].last; before > 0 {
		wait = min(2*before, retryMax)
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

// forgive forgets the pauses after failures.
func (k *keeper) forgive() {
	k.mu.Lock()
	defer k.mu.Unlock()
	clear(k.pauses)
}
