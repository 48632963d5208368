package main

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/protodaemon/protodaemon/cms"
	"github.com/protodaemon/protodaemon/configs"
	"github.com/protodaemon/protodaemon/register"
	"github.com/protodaemon/protodaemon/store"
)

// closer is an installation whose days are closed: a key in PKCS#12 made by
// openssl, a time stamping authority over HTTP, a directory for the packages.
type closer struct {
	dir, config string
	ca          string // file: the authority above signer and time stamps
	destination string
	stamps      *stamps
	arrived     int
}

const (
	keyPassword = "prova"
	inOffice    = "    manager: {name: Elena, surname: Neri, tax_code: NRELNE70A41H501X, deed: decreto n. 1 del 2020, from: \"2020-01-01\"}\n"
)

// openCloser makes all of it. Days are closed only when somebody orders it.
func openCloser(t *testing.T) *closer {
	t.Helper()
	c := &closer{config: nowhere(t)}
	c.dir = filepath.Dir(c.config)
	c.ca, c.destination = filepath.Join(c.dir, "ca.pem"), filepath.Join(c.dir, "conservazione")
	if err := os.Mkdir(c.destination, 0o700); err != nil {
		t.Fatal(err)
	}
	c.copyKeys(t)
	c.stamps = newStamps(t, c.dir)
	writeFile(t, filepath.Join(c.dir, "pin"), keyPassword)
	edit(t, c.config, "    aoo_code: AOO1\n", "    aoo_code: AOO1\n"+inOffice+`    closing:
      auto_at: ""
      empty_days: none
      sign: {pkcs12_file: `+filepath.Join(c.dir, "firma.p12")+`, password_file: `+filepath.Join(c.dir, "pin")+`}
      timestamp: {url: "`+c.stamps.url+`", ca_file: `+c.ca+`}
      deliver: {kind: directory, path: `+c.destination+`}
`)
	return c
}

// keysOnce makes the keys of all tests, beside the program under test: they
// take a while.
var keysOnce sync.Once

// copyKeys gives the installation the files of an authority, a signer's PKCS#12
// and a time stamping authority.
func (c *closer) copyKeys(t *testing.T) {
	t.Helper()
	dir := filepath.Join(filepath.Dir(binary), "keys")
	keysOnce.Do(func() { makeKeys(t, dir) })
	for _, name := range []string{"ca.pem", "firma.pem", "firma.p12", "tsa.pem", "tsa.key"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(c.dir, name), string(b))
	}
}

// makeKeys has openssl make them.
func makeKeys(t *testing.T, dir string) {
	t.Helper()
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	openssl := func(args ...string) { runIn(t, dir, "openssl", args...) }
	ec := []string{"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"}
	openssl(append([]string{"req", "-x509", "-subj", "/CN=Prova CA", "-days", "3650", "-keyout", "ca.key", "-out", "ca.pem"}, ec...)...)
	for _, k := range []struct {
		file, subject, usage string
		kind                 []string
	}{
		{"firma", "/C=IT/O=Ordine di Esempio/CN=Elena Neri", "keyUsage=critical,nonRepudiation\n", []string{"-newkey", "rsa:2048", "-nodes"}},
		{"tsa", "/C=IT/CN=Prova TSA", "keyUsage=critical,digitalSignature\nextendedKeyUsage=critical,timeStamping\n", ec},
	} {
		writeFile(t, filepath.Join(dir, k.file+".ext"), k.usage)
		openssl(append([]string{"req", "-new", "-subj", k.subject, "-keyout", k.file + ".key", "-out", k.file + ".csr"}, k.kind...)...)
		openssl("x509", "-req", "-in", k.file+".csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
			"-days", "3650", "-extfile", k.file+".ext", "-out", k.file+".pem")
	}
	openssl("pkcs12", "-export", "-inkey", "firma.key", "-in", "firma.pem", "-certfile", "ca.pem", "-passout", "pass:"+keyPassword, "-out", "firma.p12")
}

// runIn runs a program that has to succeed and returns what it wrote; a missing
// one fails the test.
func runIn(t *testing.T, dir, program string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v (./dev test installs what is missing)\n%s", program, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// stamps is a time stamping authority over HTTP.
type stamps struct {
	url string

	mu     sync.Mutex
	serial int64
	away   bool
	// asked is called with every request, answered when its stamp has been sent.
	asked, answered func()
}

func newStamps(t *testing.T, dir string) *stamps {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "tsa.pem"), filepath.Join(dir, "tsa.key"))
	if err != nil {
		t.Fatal(err)
	}
	s := &stamps{}
	r := cms.Responder{Key: pair.PrivateKey.(crypto.Signer), Chain: []*x509.Certificate{pair.Leaf}, Policy: asn1.ObjectIdentifier{1, 2, 3}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) { s.answer(w, q, r) }))
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

func (s *stamps) answer(w http.ResponseWriter, q *http.Request, r cms.Responder) {
	s.mu.Lock()
	s.serial++
	serial, away, asked, answered := s.serial, s.away, s.asked, s.answered
	s.mu.Unlock()
	if asked != nil {
		asked()
	}
	request, err := io.ReadAll(q.Body)
	if err != nil || away {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	reply, err := r.Respond(request, big.NewInt(serial), time.Now())
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	_, _ = w.Write(reply)
	if answered != nil {
		_ = http.NewResponseController(w).Flush()
		answered()
	}
}

// set changes how requests are met.
func (s *stamps) set(change func(*stamps)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

// enter registers n entries at a time, while no daemon runs: under a clock of
// its own, so that the time may be any in the past.
func (c *closer) enter(t *testing.T, at time.Time, n int) (entries []register.Entry) {
	t.Helper()
	c.inside(t, at, func(t *testing.T, s *system) {
		for range n {
			c.arrived++
			e, err := enterOne(t, s, c.arrived)
			if err != nil {
				t.Fatal(err)
			}
			entries = append(entries, e)
		}
	})
	return entries
}

// closings reads what the register knows of them, newest first, while no daemon
// runs.
func (c *closer) closings(t *testing.T) (all []register.Closing) {
	t.Helper()
	c.inside(t, time.Now(), func(t *testing.T, s *system) {
		page, err := s.office.Closings(t.Context(), register.System(), "ordine", "istituzionale", register.ClosingQuery{Limit: 500})
		if err != nil {
			t.Fatal(err)
		}
		all = page.Items
	})
	return all
}

// inside opens the data in this process at a time.
func (c *closer) inside(t *testing.T, at time.Time, do func(*testing.T, *system)) {
	t.Helper()
	cfg, err := configs.Load(c.config)
	if err != nil {
		t.Fatal(err)
	}
	// A process that another test starts meanwhile would hold the lock of the
	// data until it executes its program.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(at))
		s, err := openSystem(t.Context(), cfg, slog.New(slog.DiscardHandler), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := s.close(); err != nil {
				t.Error(err)
			}
		}()
		do(t, s)
	})
}

func enterOne(t *testing.T, s *system, n int) (e register.Entry, err error) {
	w, err := s.office.CreateBlob(t.Context(), "ordine")
	if err != nil {
		return e, err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	if _, err := fmt.Fprintf(w, "messaggio %d", n); err != nil {
		return e, err
	}
	message, size, err := w.Commit(t.Context())
	if err != nil {
		return e, err
	}
	p, err := s.office.Arrive(t.Context(), register.Arrival{
		Organization: "ordine", Mailbox: "pec", Message: message, Size: size, ArrivedAt: time.Now(), State: register.StatePending, Analysis: []byte(`{}`),
		Summary: register.Summary{Kind: "pec-transport", Authenticity: "certified", Subject: fmt.Sprintf("Istanza n. %d", n),
			From:        register.Party{Name: "Mario Rossi", Address: "mario.rossi@pec.example"},
			Attachments: []register.Document{{Part: "2", Name: "istanza.pdf", MediaType: "application/pdf", Size: 3, SHA256: store.Sum([]byte("pdf"))}}},
	})
	if err != nil {
		return e, err
	}
	clerk := register.Actor{User: "bruno", Grants: []register.Grant{{Role: register.Operator, Organization: "ordine"}}}
	r, err := s.office.Confirm(t.Context(), clerk, p.ID, register.Confirmation{Classification: "1.1"})
	return r.Entry, err
}

// noonOf is noon so many days ago, where the register is kept.
func noonOf(t *testing.T, daysAgo int) time.Time {
	t.Helper()
	rome, err := time.LoadLocation("Europe/Rome")
	if err != nil {
		t.Fatal(err)
	}
	y, m, d := time.Now().In(rome).AddDate(0, 0, -daysAgo).Date()
	return time.Date(y, m, d, 12, 0, 0, 0, rome)
}

// order has a command done with the configuration, on the one register.
func (c *closer) order(t *testing.T, name string, args ...string) outcome {
	t.Helper()
	return command(t, append([]string{name, "--config", c.config, "--organization", "ordine", "--register", "istituzionale"}, args...)...)
}

// close orders the closing of days and returns what it made.
func (c *closer) close(t *testing.T, args ...string) closed {
	t.Helper()
	o := c.order(t, "close", append([]string{"--json"}, args...)...)
	var out closed
	if err := json.Unmarshal([]byte(o.stdout), &out); err != nil || o.status != 0 {
		t.Fatalf("close: status %d, %q (%v)\n%s", o.status, o.stdout, err, o.stderr)
	}
	return out
}

// packages are the digests of what lies at the destination, by name. Anything
// but packages is an error.
func (c *closer) packages(t *testing.T) map[string]store.Digest {
	t.Helper()
	entries, err := os.ReadDir(c.destination)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]store.Digest{}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), "PdV-") || !strings.HasSuffix(e.Name(), ".zip") {
			t.Errorf("there is a file %s at the destination", e.Name())
		}
		b, err := os.ReadFile(filepath.Join(c.destination, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[e.Name()] = store.Sum(b)
	}
	return all
}
