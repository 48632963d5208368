package web

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/protodaemon/protodaemon/register"
)

func TestWhoIsNotKnownSeesNothing(t *testing.T) {
	f := newFixture(t)
	paths := strings.NewReplacer("{org}", "ordine", "{register}", "ist", "{id}", "x", "{year}", "2026", "{number}", "1", "{n}", "1", "{part}", "2")
	for _, r := range f.routes() {
		if r.access == anyone || !isAPI(r.path) {
			continue
		}
		for _, header := range []string{"", "Bearer wrong", "Basic Y2FwbzpwYXNz"} {
			a := f.want(401, f.request(r.method, paths.Replace(r.path), "", "Authorization", header))
			if a.problem().Code != "unauthenticated" || a.Header.Get("WWW-Authenticate") == "" {
				t.Errorf("%s %s, %q: %s", r.method, r.path, header, a.body)
			}
		}
		// Each wrong token counts; the next route is another test's worth.
		f.throttle = throttle{}
	}
}

func TestWrongTokensAreThrottledAndARightOneWaitsToo(t *testing.T) {
	f := newFixture(t)
	for range failures {
		f.get(401, "/api/v1/mailboxes", bearing("wrong")...)
	}
	a := f.get(429, "/api/v1/mailboxes")
	if a.problem().Code != "too-many-attempts" || a.Header.Get("Retry-After") == "" {
		t.Errorf("%v %s", a.Header, a.body)
	}
}

func TestWhatNoRouteFitsIsAProblemToo(t *testing.T) {
	f := newFixture(t)
	for _, c := range []struct {
		method, path string
		status       int
		code, allow  string
	}{
		{"GET", "/api/v1/nothing", 404, "not-found", ""},
		{"GET", "/api/v1/organizations/ordine/parties", 404, "not-found", ""},
		{"DELETE", "/api/v1/mailboxes", 405, "method-not-allowed", "GET, HEAD"},
		{"GET", "/api/v1/mailboxes/ordine/pec/sweep", 405, "method-not-allowed", "POST"},
	} {
		a := f.want(c.status, f.request(c.method, c.path, ""))
		if a.problem().Code != c.code || a.Header.Get("Allow") != c.allow || a.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s %s: %v %s", c.method, c.path, a.Header, a.body)
		}
	}
}

func TestAPageOfAnotherSiteCannotAsk(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.PublicURL = "https://protocollo.example.it" })
	p := f.arrive("ordine", "pec", letter("Istanza"))
	path, body := "/api/v1/pending/"+p.ID+"/confirm", `{"classification":"1.1"}`
	foreign := []string{"Authorization", "", "Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}
	if a := f.post(403, path, body, foreign...); a.problem().Code != "cross-origin" {
		t.Errorf("%s", a.body)
	}
	own := []string{"Authorization", "", "Sec-Fetch-Site", "cross-site", "Origin", "https://protocollo.example.it"}
	f.post(401, path, body, own...)
	// A token is never sent by a browser on its own.
	f.post(201, path, body, "Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example")
}

func TestAPanicEndsOneRequest(t *testing.T) {
	f := newFixture(t)
	h := f.handler(route{"GET", "/boom", anyone, func(http.ResponseWriter, *http.Request, register.Actor) error { panic("boom") }})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/boom", nil))
	if w.Code != 500 || !strings.Contains(w.Body.String(), `"code":"internal"`) || strings.Contains(w.Body.String(), "boom") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if log := f.log.String(); !strings.Contains(log, "request panicked") || !strings.Contains(log, "handler_test.go") {
		t.Errorf("the log does not say where: %s", log)
	}
	cut := f.handler(route{"GET", "/cut", anyone, func(w http.ResponseWriter, _ *http.Request, _ register.Actor) error {
		_, _ = w.Write([]byte("half"))
		return fmt.Errorf("the rest is gone")
	}})
	defer func() {
		if recover() != http.ErrAbortHandler {
			t.Error("an answer that failed half-way was not cut off")
		}
	}()
	cut.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/cut", nil))
}

func TestAnErrorNobodyForesawIsNamedAndNotTold(t *testing.T) {
	f := newFixture(t)
	h := f.handler(route{"GET", "/odd", anyone, func(http.ResponseWriter, *http.Request, register.Actor) error {
		return fmt.Errorf("reading /var/secret: input/output error")
	}})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/odd", nil))
	p := answer{body: w.Body.Bytes()}.problem()
	if p.Code != "internal" || p.Incident == "" || strings.Contains(p.Detail, "secret") {
		t.Errorf("%s", w.Body)
	}
	if log := f.log.String(); strings.Count(log, "/var/secret") != 1 || !strings.Contains(log, p.Incident) {
		t.Errorf("the log does not name incident %s once: %s", p.Incident, log)
	}
}

func TestTheLogTellsNothingOfWhoOrWhat(t *testing.T) {
	f := newFixture(t)
	p := f.arrive("ordine", "pec", letter("Segretissimo"))
	f.get(200, "/api/v1/pending/"+p.ID)
	f.get(200, "/api/v1/organizations/ordine/registers/ist/entries?q=segretissimo")
	f.post(422, "/api/v1/pending/"+p.ID+"/confirm", `{"classification":"9.9.9","subject":"Segretissimo"}`)
	log := f.log.String()
	for _, secret := range []string{"egretissimo", f.admin, "anna@example.it", "127.0.0.1", p.ID} {
		if strings.Contains(log, secret) {
			t.Errorf("the log holds %q:\n%s", secret, log)
		}
	}
	if !strings.Contains(log, "method=GET route=/api/v1/pending/{id} status=200 duration=") {
		t.Errorf("the log does not tell of the request:\n%s", log)
	}
}

func TestEveryAnswerIsHarmlessToABrowser(t *testing.T) {
	f := newFixture(t)
	for _, path := range []string{"/healthz", "/api/v1/mailboxes", "/api/v1/nothing", "/api/v1/openapi.json"} {
		h := f.request("GET", path, "").Header
		if h.Get("X-Content-Type-Options") != "nosniff" || !strings.Contains(h.Get("Content-Security-Policy"), "sandbox") {
			t.Errorf("%s: %v", path, h)
		}
	}
}

func TestABodyThatIsTooLargeIsRefused(t *testing.T) {
	f := newFixture(t)
	p := f.arrive("ordine", "pec", letter("Grande"))
	a := f.post(413, "/api/v1/pending/"+p.ID+"/confirm", `{"classification":"1.1","notes":"`+strings.Repeat("x", maxBody)+`"}`)
	if a.problem().Code != "too-large" {
		t.Errorf("%s", a.body)
	}
}

func TestServeEndsOrderly(t *testing.T) {
	f := newFixture(t)
	l, err := Listen(t.Context(), ListenOptions{Addr: "127.0.0.1:0", SelfSigned: true, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- f.Serve(ctx, l) }()
	client := trusting(t, l.CertFile)
	r, err := http.NewRequestWithContext(t.Context(), "GET", l.URL+"/api/v1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+f.admin)
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	stop()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(closeWait / 2):
		t.Error("an open event stream keeps the server from ending")
	}
}

func TestOptionsThatDoNotHoldAreNamed(t *testing.T) {
	for name, o := range map[string]Options{
		"http.public_url":      {PublicURL: "protocollo"},
		"http.trusted_proxies": {TrustedProxies: []string{"10.0.0.0/99"}},
	} {
		o.Ready = troubled()
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
