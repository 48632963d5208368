package web

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/protodaemon/protodaemon/register"
)

// eventReader reads an event stream.
type eventReader struct {
	t    *testing.T
	scan *bufio.Scanner
	stop context.CancelFunc
	resp *http.Response
}

func (f *fixture) listen(header ...string) *eventReader {
	f.t.Helper()
	ctx, stop := context.WithCancel(f.t.Context())
	f.t.Cleanup(stop)
	r, err := http.NewRequestWithContext(ctx, "GET", f.url+"/api/v1/events", nil)
	if err != nil {
		f.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+f.admin)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := f.client.Do(r)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { resp.Body.Close() })
	return &eventReader{f.t, bufio.NewScanner(resp.Body), stop, resp}
}

// block returns the next block of lines, or "" at the end.
func (e *eventReader) block() string {
	var lines []string
	for e.scan.Scan() {
		if e.scan.Text() == "" {
			break
		}
		lines = append(lines, e.scan.Text())
	}
	return strings.Join(lines, "\n")
}

// until reads on to the first block of an event of the type.
func (e *eventReader) until(typ string) string {
	e.t.Helper()
	for {
		b := e.block()
		if b == "" {
			e.t.Fatalf("the stream ended before %s", typ)
		}
		if strings.HasPrefix(b, "event: "+typ+"\n") {
			return b
		}
	}
}

// arrivals lets messages come to a mailbox until the test ends: who begins to
// listen hears of the next one.
func (f *fixture) arrivals(org, mailbox string) {
	ctx, stop := context.WithCancel(context.WithoutCancel(f.t.Context()))
	ended := make(chan error, 1)
	go func() {
		for i := 0; ctx.Err() == nil; i++ {
			_, err := f.take(context.WithoutCancel(ctx), org, mailbox, letter(fmt.Sprintf("%s %s %d", org, mailbox, i)))
			if err != nil {
				ended <- err
				return
			}
		}
		ended <- nil
	}()
	f.t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			f.t.Error(err)
		}
	})
}

func TestTheStreamTellsOfWhatHappens(t *testing.T) {
	f := newFixture(t)
	p := f.arrive("ordine", "pec", letter("Istanza"))
	e := f.listen()
	h := e.resp.Header
	if h.Get("Content-Type") != "text/event-stream" || h.Get("X-Accel-Buffering") != "no" || h.Get("Cache-Control") != "no-store" {
		t.Errorf("%v", h)
	}
	if first := e.block(); first != "retry: 3000" {
		t.Errorf("the stream begins with %q", first)
	}
	f.arrivals("camera", "pec")
	created := e.until("pending.created")
	for strings.Contains(created, p.ID) { // news of before may still have been on its way
		created = e.until("pending.created")
	}
	if !strings.Contains(created, `"organization":"camera"`) || !strings.Contains(created, `"mailbox":"pec"`) || !strings.Contains(created, `"pending":"`) {
		t.Errorf("%s", created)
	}
	f.post(201, confirmPath(p), plain)
	confirmed := e.until("pending.confirmed")
	if !strings.Contains(confirmed, p.ID) || !strings.Contains(confirmed, `"by":"capo"`) || !strings.Contains(confirmed, `/0000001"`) {
		t.Errorf("%s", confirmed)
	}
}

func TestTheStreamTellsNobodyOfOtherRegisters(t *testing.T) {
	f := newFixture(t)
	e := f.listen(f.as("camera")...)
	f.arrivals("ordine", "pec")
	f.arrivals("camera", "pec")
	for range 5 {
		if b := e.until("pending.created"); !strings.Contains(b, `"organization":"camera"`) {
			t.Errorf("%s", b)
		}
	}
}

func TestWhoConnectsAgainIsToldToReadAnew(t *testing.T) {
	f := newFixture(t)
	e := f.listen("Last-Event-ID", "1")
	e.until("resync")
}

func TestAHeadOfTheStreamEnds(t *testing.T) {
	f := newFixture(t)
	if a := f.request("HEAD", "/api/v1/events", ""); a.StatusCode != 200 || a.Header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("%d %v", a.StatusCode, a.Header)
	}
}

func TestOneUserHasABoundedNumberOfStreams(t *testing.T) {
	f := newFixture(t)
	var open []*eventReader
	for range streamsPerUser {
		open = append(open, f.listen())
	}
	if a := f.get(429, "/api/v1/events"); a.problem().Code != "too-many-streams" || a.Header.Get("Retry-After") == "" {
		t.Errorf("%s", a.body)
	}
	if r := f.listen(f.as("altra")...).resp; r.StatusCode != 200 {
		t.Errorf("another user's stream: %d", r.StatusCode)
	}
	for _, e := range open {
		e.stop()
	}
	f.endStreams()
	for _, e := range open {
		for e.block() != "" {
		}
	}
}

// TestAStreamBeatsAndEndsWithItsRight runs in a clock of its own: a token is
// revoked while its stream is open.
func TestAStreamBeatsAndEndsWithItsRight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := fixtureIn(t, t.TempDir())
		ctx := t.Context()
		secret, err := addUser(f.office, "capo", register.Grant{Role: register.Admin})
		if err != nil {
			t.Fatal(err)
		}
		tokens, err := f.office.Tokens(ctx, register.System())
		if err != nil || len(tokens) != 1 {
			t.Fatalf("%v, %v", tokens, err)
		}
		r := httptest.NewRequest("GET", "/api/v1/events", nil)
		r.Header.Set("Authorization", "Bearer "+secret)
		w, begun := httptest.NewRecorder(), time.Now()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			f.ServeHTTP(w, r)
		}()
		time.Sleep(3*heartbeat + time.Second)
		if err := f.office.RevokeToken(ctx, register.System(), tokens[0].ID); err != nil {
			t.Fatal(err)
		}
		<-ended
		if n := strings.Count(w.Body.String(), "event: heartbeat\n"); n != 3 {
			t.Errorf("%d heartbeats in 46 seconds: %s", n, w.Body)
		}
		if lived := time.Since(begun); lived != 4*heartbeat {
			t.Errorf("the stream of a revoked token ended after %s", lived)
		}
	})
}

// TestAStreamLeftOpenDoesNotKeepASessionAlive runs in a clock of its own.
func TestAStreamLeftOpenDoesNotKeepASessionAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := fixtureIn(t, t.TempDir())
		if _, err := addUser(f.office, "capo", register.Grant{Role: register.Admin}); err != nil {
			t.Fatal(err)
		}
		a, err := f.office.Account(t.Context(), "capo")
		if err != nil {
			t.Fatal(err)
		}
		token, err := f.pages.sessions.open(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest("GET", "/api/v1/events", nil)
		r.AddCookie(cookie(sessionCookie(true), token, true, 0))
		begun := time.Now()
		f.ServeHTTP(httptest.NewRecorder(), r)
		if lived := time.Since(begun); lived < sessionIdle || lived > sessionIdle+heartbeat {
			t.Errorf("the stream of a session that nobody used ended after %s", lived)
		}
	})
}
