package web

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/protodaemon/protodaemon/register"
)

func TestHealthAndReadiness(t *testing.T) {
	f := newFixture(t)
	f.get(200, "/healthz", "Authorization", "")
	var ready readiness
	f.get(200, "/readyz", "Authorization", "").read(t, &ready)
	if !ready.Ready || len(ready.Reasons) != 0 {
		t.Errorf("%+v", ready)
	}
}

func TestReadinessGivesReasonsAndKeepsDetailsForThisMachine(t *testing.T) {
	f := newFixture(t, func(o *Options) {
		o.Ready = troubled(register.Trouble{Organization: "ordine", Register: "ist", Code: "no-space", Detail: "/var/lib is full"})
	})
	for _, c := range []struct {
		name, token, forwarded, detail string
	}{
		{"this machine", "", "", "/var/lib is full"},
		{"from outside", "", "192.0.2.1", ""},
		{"from outside with a wrong token", "Bearer wrong", "192.0.2.1", ""},
		{"from outside with a token", "Bearer " + f.admin, "192.0.2.1", "/var/lib is full"},
	} {
		var ready readiness
		f.get(503, "/readyz", "Authorization", c.token, "X-Forwarded-For", c.forwarded).read(t, &ready)
		if ready.Ready || len(ready.Reasons) != 1 || ready.Reasons[0].Code != "no-space" || ready.Reasons[0].Detail != c.detail {
			t.Errorf("%s: %+v", c.name, ready)
		}
	}
}

func TestMetricsAreForThisMachineAndForUsers(t *testing.T) {
	f := newFixture(t)
	f.get(200, "/api/v1/mailboxes")
	for _, c := range []struct {
		name, token, forwarded string
		status                 int
	}{
		{"this machine", "", "", 200},
		{"behind a proxy", "", "192.0.2.1", 401},
		{"with a token", "Bearer " + f.tokens["camera"], "192.0.2.1", 200},
	} {
		a := f.get(c.status, "/metrics", "Authorization", c.token, "X-Forwarded-For", c.forwarded)
		if has := strings.Contains(string(a.body), `protodaemon_http_request_duration_seconds_count{method="GET",route="/api/v1/mailboxes",status="200"} 1`); has != (c.status == 200) {
			t.Errorf("%s: %s", c.name, a.body)
		}
	}
}

func TestTheMetricsListenerShowsMetricsAndNothingElse(t *testing.T) {
	f := newFixture(t)
	l, err := ListenMetrics(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- f.ServeMetrics(ctx, l) }()
	for path, status := range map[string]int{"/metrics": 200, "/api/v1/mailboxes": 404, "/readyz": 404} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+l.Addr().String()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Forwarded-For", "192.0.2.1")
		resp, err := f.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != status {
			t.Errorf("%s: %d", path, resp.StatusCode)
		}
	}
	f.client.CloseIdleConnections()
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
