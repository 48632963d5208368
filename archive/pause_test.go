package archive_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/protodaemon/protodaemon/archive"
	"github.com/protodaemon/protodaemon/register"
	"github.com/protodaemon/protodaemon/sign"
)

// While a key does not answer, days are closed all the same, at once.
func TestClosingWaitsForNoKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, register.ClosingRules{EmptyDays: "none"})
		h.conf.OpenKey = func(ctx context.Context) (sign.Key, error) {
			<-ctx.Done()
			return nil, errors.New("connection closed")
		}
		if err := h.archive.Reload([]archive.Register{h.conf}); err != nil {
			t.Fatal(err)
		}
		until(at(1, 3, 9))
		h.enter("Istanza")
		until(at(1, 4, 9))
		first := h.closeDays("")[0]
		worked := make(chan error, 1)
		go func() { worked <- h.work() }()
		synctest.Wait()
		h.enter("Seconda")
		before := time.Now()
		if made := h.closeDays("2000-01-04"); len(made) != 1 || !time.Now().Equal(before) {
			t.Errorf("closed are %v, after %s", ids(made), time.Since(before))
		}
		if err := <-worked; err == nil || time.Since(before) > 10*time.Minute {
			t.Errorf("a key that never answers: %v, after %s", err, time.Since(before))
		}
		if c := h.closing(first.ID); c.Trouble == nil || c.Trouble.Code != "unreachable" {
			t.Errorf("its trouble is %+v", c.Trouble)
		}
	})
}

// What is the matter with a destination is met by one package and not by all,
// and another is tried before it the next time; what is the matter with one
// package stops no other.
func TestOnePackageMeetsTheDestination(t *testing.T) {
	s := newConservator(t)
	h, c := outgoing(t)
	h.enter("Seconda")
	other := h.closeDays(c.Day)[0]
	tried := func() (n int) {
		for _, id := range []string{c.ID, other.ID} {
			if trouble := h.closing(id).Trouble; trouble != nil && trouble.Step == "deliver" && trouble.Code != "destination-missing" {
				n++
			}
		}
		return n
	}
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	d := s.delivery()
	d.URL = "https://" + l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	h.fails(c.ID, d, "unreachable")
	if n := tried(); n != 1 {
		t.Errorf("%d packages were brought to a server that is not there", n)
	}
	s.set(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.Header.Get("Idempotency-Key"), "PdV-"+c.Name) {
			says(http.StatusInternalServerError, "")(w, r)
		} else {
			says(http.StatusOK, "")(w, r)
		}
	})
	h.fails(c.ID, s.delivery(), "unreachable", "500")
	if got := h.closing(other.ID); got.State != register.ClosingDelivered {
		t.Errorf("the other stands at %s: %+v", got.State, got.Trouble)
	}
}

// A wrong PIN of a token that two registers share is tried once, and once more
// when a person orders it; then both go on.
func TestSharedTokenIsNotLocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const second = "secondo"
		h := newHall(t, register.ClosingRules{EmptyDays: "all"})
		h.setup.Organizations[0].Registers = append(h.setup.Organizations[0].Registers, register.Book{ID: second, Name: "Secondo", Closing: register.ClosingRules{EmptyDays: "all"}})
		if err := h.office.Reload(t.Context(), h.setup); err != nil {
			t.Fatal(err)
		}
		var tries atomic.Int64
		var right atomic.Bool
		open := h.conf.OpenKey
		h.conf.Lock, h.conf.Authorities, h.conf.Delivery = "token", nil, archive.Delivery{}
		h.conf.OpenKey = func(ctx context.Context) (sign.Key, error) {
			time.Sleep(time.Second) // both would be here
			tries.Add(1)
			if !right.Load() {
				return nil, fmt.Errorf("token: %w", sign.ErrPIN)
			}
			return open(ctx)
		}
		other := h.conf
		other.Register = second
		if err := h.archive.Reload([]archive.Register{h.conf, other}); err != nil {
			t.Fatal(err)
		}
		stop := h.run()
		defer func() { stop() }()
		until(at(1, 3, 16))
		if n := tries.Load(); n != 1 {
			t.Errorf("the wrong PIN was tried %d times", n)
		}
		newest := func(reg string) register.Closing {
			t.Helper()
			page, err := h.office.Closings(t.Context(), manager, org, reg, register.ClosingQuery{To: "2000-01-01"})
			if err != nil || len(page.Items) != 1 {
				t.Fatalf("%+v, %v", page.Items, err)
			}
			return page.Items[0]
		}
		for _, reg := range []string{book, second} {
			if c := newest(reg); c.Trouble == nil || c.Trouble.Code != "pin-wrong" {
				t.Errorf("%s stands at %s: %+v", reg, c.State, c.Trouble)
			}
		}
		retry := func() {
			t.Helper()
			if _, err := h.archive.Retry(t.Context(), manager, org, second, newest(second).ID, "PIN corretto"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
		}
		retry()
		if n := tries.Load(); n != 2 {
			t.Errorf("by order it was tried %d times", n-1)
		}
		right.Store(true)
		retry()
		for _, reg := range []string{book, second} {
			if c := newest(reg); c.State != register.ClosingSigned {
				t.Errorf("%s stands at %s: %+v", reg, c.State, c.Trouble)
			}
		}
	})
}
