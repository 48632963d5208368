package web

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// answering serves "here" on l until the test ends.
func answering(t *testing.T, l net.Listener) {
	t.Helper()
	s := &Server{log: slog.New(slog.DiscardHandler), closing: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- s.serve(ctx, l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte("here"))
		}))
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("serving ended with %v", err)
		}
	})
}

// trusting returns a client that trusts the certificate in the file alone.
func trusting(t *testing.T, certFile string) *http.Client {
	t.Helper()
	pem, err := os.ReadFile(certFile)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		t.Fatalf("%s holds no certificate", certFile)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func TestASelfSignedCertificateIsMadeOnceAndBrowsersCanTrustIt(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tls")
	o := ListenOptions{Addr: "127.0.0.1:0", SelfSigned: true, Dir: dir, Hosts: []string{"protocollo.example.it"}}
	l, err := Listen(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	answering(t, l)
	if info, err := os.Stat(filepath.Join(dir, "key.pem")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key file: %v, %v; only its owner may read it", info.Mode(), err)
	}
	client := trusting(t, l.CertFile)
	_, port, _ := net.SplitHostPort(l.Addr().String())
	for _, host := range []string{"127.0.0.1", "localhost"} {
		r, err := client.Get("https://" + net.JoinHostPort(host, port))
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if r.ProtoMajor != 2 {
			t.Errorf("%s spoke %s, not HTTP/2", host, r.Proto)
		}
		leaf := r.TLS.PeerCertificates[0]
		if err := leaf.VerifyHostname("protocollo.example.it"); err != nil {
			t.Error(err)
		}
		if valid := leaf.NotAfter.Sub(leaf.NotBefore); valid > 398*24*time.Hour {
			t.Errorf("valid for %s, longer than browsers accept", valid)
		}
	}
	first, err := os.ReadFile(l.CertFile)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Listen(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
	if now, _ := os.ReadFile(l.CertFile); !bytes.Equal(first, now) {
		t.Error("a second start made another certificate")
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	l, err := Listen(t.Context(), ListenOptions{Addr: "127.0.0.1:0", SelfSigned: true, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	answering(t, l)
	c, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{
		InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11,
	})
	if err == nil {
		c.Close()
		t.Error("TLS 1.1 was accepted")
	}
}

func TestASelfSignedCertificateIsRenewedBeforeItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		certs, err := openCertificates(ListenOptions{SelfSigned: true, Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		first, _ := certs.get(nil)
		time.Sleep(366 * 24 * time.Hour)
		if same, _ := certs.get(nil); same != first {
			t.Error("renewed although a month was left")
		}
		time.Sleep(2 * 24 * time.Hour)
		second, _ := certs.get(nil)
		if second == first || time.Until(second.Leaf.NotAfter) < 360*24*time.Hour {
			t.Errorf("with less than a month left the certificate until %s is offered", second.Leaf.NotAfter)
		}
	})
}

func TestWhatIsLeftOfAnInterruptedRenewalIsReplaced(t *testing.T) {
	dir := t.TempDir()
	o := ListenOptions{SelfSigned: true, Dir: dir}
	if _, err := openCertificates(o); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(dir, "other")
	if _, err := openCertificates(ListenOptions{SelfSigned: true, Dir: other}); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(other, "key.pem"), filepath.Join(dir, "key.pem")); err != nil {
		t.Fatal(err)
	}
	if _, err := openCertificates(o); err != nil {
		t.Errorf("a key without its certificate: %v", err)
	}
}

func TestACertificateThatNamesOtherHostsIsReplaced(t *testing.T) {
	o := ListenOptions{SelfSigned: true, Dir: t.TempDir()}
	if _, err := openCertificates(o); err != nil {
		t.Fatal(err)
	}
	o.Hosts = []string{"nuovo.example.it"}
	certs, err := openCertificates(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := certs.current.Leaf.VerifyHostname("nuovo.example.it"); err != nil {
		t.Error(err)
	}
}

func TestChangedCertificateFilesAreTakenWithoutARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		pair := func(name string) (string, string) {
			sub := filepath.Join(dir, name)
			if _, err := openCertificates(ListenOptions{SelfSigned: true, Dir: sub, Hosts: []string{name + ".example.it"}}); err != nil {
				t.Fatal(err)
			}
			return filepath.Join(sub, "cert.pem"), filepath.Join(sub, "key.pem")
		}
		oldCert, oldKey := pair("old")
		newCert, newKey := pair("new-and-longer")
		var log bytes.Buffer
		certs, err := openCertificates(ListenOptions{CertFile: oldCert, KeyFile: oldKey, Log: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		offered := func() string {
			time.Sleep(lookAgain)
			c, err := certs.get(nil)
			if err != nil {
				t.Fatal(err)
			}
			return c.Leaf.DNSNames[1]
		}
		if err := os.Rename(newCert, oldCert); err != nil {
			t.Fatal(err)
		}
		if got := offered(); got != "old.example.it" {
			t.Errorf("with a certificate without its key, %s is offered", got)
		}
		if got := offered(); got != "old.example.it" || strings.Count(log.String(), "level=ERROR") != 1 {
			t.Errorf("%s is offered; the log says %s", got, &log)
		}
		if err := os.Rename(newKey, oldKey); err != nil {
			t.Fatal(err)
		}
		if got := offered(); got != "new-and-longer.example.it" {
			t.Errorf("after both files changed, %s is offered", got)
		}
	})
}

func TestListenSaysWhatToDo(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "bad.pem"), []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		o    ListenOptions
		want []string
	}{
		"port taken":     {ListenOptions{Addr: taken.Addr().String()}, []string{"http.listen", taken.Addr().String(), "another port"}},
		"foreign":        {ListenOptions{Addr: "203.0.113.7:8443", SelfSigned: true, Dir: dir}, []string{"203.0.113.7:8443", "does not have the address"}},
		"plain, open":    {ListenOptions{Addr: "0.0.0.0:0"}, []string{"0.0.0.0:0", "without TLS", "self_signed"}},
		"plain, no host": {ListenOptions{Addr: ":0"}, []string{"without TLS"}},
		"half a pair":    {ListenOptions{Addr: "127.0.0.1:0", CertFile: "c.pem"}, []string{"cert_file", "key_file"}},
		"no such file":   {ListenOptions{Addr: "127.0.0.1:0", CertFile: "/nowhere/c.pem", KeyFile: "/nowhere/k.pem"}, []string{"/nowhere/c.pem"}},
		"not a pair":     {ListenOptions{Addr: "127.0.0.1:0", CertFile: filepath.Join(dir, "bad.pem"), KeyFile: filepath.Join(dir, "bad.pem")}, []string{"bad.pem"}},
		"bad address":    {ListenOptions{Addr: "nonsense"}, []string{"http.listen nonsense"}},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := Listen(t.Context(), c.o)
			if err == nil {
				l.Close()
				t.Fatal("no error")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
		})
	}
}

func TestPlainHTTPIsAllowedOnLoopback(t *testing.T) {
	l, err := Listen(t.Context(), ListenOptions{Addr: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	answering(t, l)
	r, err := http.Get(l.URL)
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	http.DefaultClient.CloseIdleConnections()
}

func TestMetricsListenNamesItsOwnKey(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if _, err := ListenMetrics(t.Context(), taken.Addr().String()); err == nil || !strings.Contains(err.Error(), "http.metrics_listen") {
		t.Errorf("port taken: %v", err)
	}
}
