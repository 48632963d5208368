package archive

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/protodaemon/protodaemon/register"
	"github.com/protodaemon/protodaemon/sign"
)

const (
	// renewBefore is how long before the certificate of a closing's newest time
	// stamp expires its evidence is renewed.
	renewBefore = 90 * 24 * time.Hour
	// renewEvery is how often that is looked at.
	renewEvery = 24 * time.Hour
	// renewGain is how much later than the old stamp's certificate the new one's
	// has to expire: an authority may go on with an old certificate.
	renewGain = 7 * 24 * time.Hour
	// renewAtOnce bounds the closings that one stamp renews.
	renewAtOnce = 500
)

// Evidence renewal, after the idea of RFC 4998 and plain enough for sha256sum
// and openssl: a list of the SHA-256 of all files of many closings, those of
// earlier renewals included, in the format of sha256sum, and one time stamp
// over the list. Packages are left out: they only
// hold the others. As long as each list is stamped before the stamp inside it
// expires, the newest one proves them all.
//
// renew renews what is about to expire and tells when to look again.
func (k *keeper) renew(ctx context.Context) (time.Time, error) {
	again := time.Now().Add(renewEvery)
	release, err := hold(ctx, k.stepping)
	if err != nil {
		return again, err
	}
	defer release()
	look, err := k.look(ctx, time.Now().Add(renewBefore))
	if err != nil || len(look.expiring) == 0 || len(k.conf.Authorities) == 0 {
		return again, err
	}
	for batch := range slices.Chunk(look.expiring, renewAtOnce) {
		err := errNoGain
		if look.mayGain(batch[0]) {
			err = k.renewTogether(ctx, batch)
		}
		if errors.Is(err, errNoGain) {
			return time.Now().Add(renewGain), err
		}
		if err != nil {
			return time.Now().Add(retryMax), fmt.Errorf("renewing the evidence of %d closings: %w", len(batch), err)
		}
	}
	_, err = k.look(ctx, time.Now()) // what it rests on now
	return again, err
}

// look is what a look at the evidence of a register's closings finds.
type look struct {
	expiring    []register.Closing // oldest first
	newest, end time.Time          // of the newest stamp: when it was made, when its certificate expires
}

// mayGain tells whether a new stamp may hold longer than that of a closing: one
// of these days says already what certificate the authority stamps with, and
// stamps cost money.
func (l look) mayGain(c register.Closing) bool {
	return time.Since(l.newest) > renewGain || l.end.Sub(evidenceUntil(c)) >= renewGain
}

// look looks for the closings whose evidence expires before a time, and keeps
// when the first of all does. One register is looked at at a time: each takes
// memory.
func (k *keeper) look(ctx context.Context, before time.Time) (l look, err error) {
	release, err := hold(ctx, k.archive.looking)
	if err != nil {
		return l, err
	}
	defer release()
	var soonest time.Time
	q := register.ClosingQuery{Limit: 100}
	for {
		page, err := k.archive.office.Closings(ctx, register.System(), k.name.organization, k.name.register, q)
		if err != nil {
			return l, err
		}
		for _, c := range page.Items {
			made, end := newestStamp(c)
			if end.IsZero() {
				continue
			}
			if soonest.IsZero() || end.Before(soonest) {
				soonest = end
			}
			if made.After(l.newest) {
				l.newest, l.end = made, end
			}
			if end.Before(before) {
				l.expiring = append(l.expiring, c)
			}
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			break
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.evidence = soonest
	slices.Reverse(l.expiring)
	return l, nil
}

// newestStamp is when a closing's newest time stamp was made and when its
// certificate expires; zero when it has none.
func newestStamp(c register.Closing) (made, end time.Time) {
	for _, s := range c.Steps {
		if s.Detail["authority"] == "" {
			continue
		}
		if at, err := time.Parse(time.RFC3339, s.Detail["not_after"]); err == nil {
			made, end = s.At, at
		}
	}
	return made, end
}

func evidenceUntil(c register.Closing) time.Time {
	_, end := newestStamp(c)
	return end
}

// errNoGain: the authority still stamps with a certificate that expires as
// soon.
var errNoGain = errors.New("the time stamping authority's certificate expires as soon as that of the stamps to be renewed; name another authority")

// renewTogether stamps one list for the closings and records it with each.
func (k *keeper) renewTogether(ctx context.Context, closings []register.Closing) error {
	var list strings.Builder
	number := 0 // of the closing that was renewed most often
	for _, c := range closings {
		before := 0
		for _, f := range c.Files {
			if f.Role == register.FilePackage {
				continue // holds the others, and is the conservator's to keep
			}
			fmt.Fprintf(&list, "%s  %s/%s\n", f.SHA256, c.Name, f.Name)
			if f.Role == register.FileRenewal {
				before++
			}
		}
		number = max(number, before)
	}
	first := closings[0]
	stem := fmt.Sprintf("rinnovo-%s-%s-%03d", first.Register, time.Now().UTC().Format("20060102"), number+1)
	authorities, err := k.authorities()
	if err != nil {
		return err
	}
	digest := sha256.Sum256([]byte(list.String()))
	token, err := sign.Stamp(ctx, authorities, digest[:])
	if err != nil {
		return err
	}
	k.archive.metrics.stamped()
	if token.Certificate == nil || token.Certificate.NotAfter.Sub(evidenceUntil(first)) < renewGain {
		return errNoGain
	}
	plain, err := k.keepBytes(ctx, stem+".txt", "text/plain", register.FileRenewal, []byte(list.String()))
	if err != nil {
		return err
	}
	stamped, err := k.keepBytes(ctx, stem+".tst", "application/timestamp-token", register.FileRenewalStamp, token.Token)
	if err != nil {
		return err
	}
	detail := map[string]string{"renewal": stem}
	stampDetail(detail, token)
	for _, c := range closings {
		_, err := k.record(ctx, c, register.Advance{
			From: c.Reached, Files: []register.ClosingFile{plain, stamped}, Detail: detail,
		})
		if err != nil {
			return err
		}
	}
	return nil
}
