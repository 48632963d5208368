// Package bench measures the whole program: the real binary, over a real
// Dovecot, through its API. ./dev bench ./bench prints the figures;
// docs/benchmarks.md keeps those of one day with the machine they were taken on.
package bench

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/protodaemon/protodaemon/internal/dovecot"
	"github.com/protodaemon/protodaemon/pec/sample"
)

// binary is the program, built once and without the race detector.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binary = filepath.Join(dir, "protodaemon")
	if out, err := exec.Command("go", "build", "-o", binary, "../cmd/protodaemon").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the program: %v\n%s", err, out)
		os.Exit(1)
	}
	status := m.Run()
	os.RemoveAll(dir)
	os.Exit(status)
}

// bed is a mail server, a configuration for some of its users, and what the
// daemon over it is reached by.
type bed struct {
	b       *testing.B
	mail    *dovecot.Server
	samples *sample.Provider
	config  string
	daemon  *exec.Cmd
	log     bytes.Buffer
	url     string
	token   string
	client  *http.Client
}

const (
	watched = "INBOX.sfera_msg_da_prot"
	book    = "/api/v1/organizations/ordine/registers/istituzionale"
)

// newBed configures the first so many users, over TLS or plain.
func newBed(b *testing.B, users int, plain bool) *bed {
	b.Helper()
	s := &bed{b: b, mail: dovecot.Start(b, dovecot.Options{Users: max(users, 4)})}
	var err error
	if s.samples, err = sample.NewProvider(sample.Options{}); err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	s.config = filepath.Join(dir, "protodaemon.yaml")
	s.write("secret", []byte(dovecot.Password))
	s.write("anchor.pem", s.samples.CAPEM())
	addr, mode := s.mail.TLSAddr, "implicit"
	if plain {
		addr, mode = s.mail.Addr, "none"
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		b.Fatal(err)
	}
	var text strings.Builder
	fmt.Fprintf(&text, `data_dir: %s/data
log: {format: json}
http: {listen: "127.0.0.1:0"}
pec: {trust: [anchor.pem]}
organizations:
  - id: ordine
    name: Ordine di Esempio
    ipa_code: oaes
    aoo_code: AOO1
    registers:
      - id: istituzionale
        name: Affari istituzionali
        mailboxes:
`, dir)
	for n := range users {
		fmt.Fprintf(&text, `          - id: box%d
            address: box%d@pec.example.it
            imap: {host: 127.0.0.1, port: %s, tls: %s, ca_file: %s, username: u%d, password_file: secret}
`, n+1, n+1, port, mode, s.mail.CAFile, n+1)
	}
	s.write("protodaemon.yaml", []byte(text.String()))
	s.run("user", "add", "--config", s.config, "--user", "anna", "--role", "manager")
	s.token = s.run("token", "create", "--config", s.config, "--user", "anna")
	s.client = &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		TLSClientConfig:     &tls.Config{InsecureSkipVerify: true}, // on loopback, with a fresh certificate
		MaxIdleConnsPerHost: 64,
	}}
	return s
}

func (s *bed) write(name string, data []byte) {
	s.b.Helper()
	if err := os.WriteFile(filepath.Join(filepath.Dir(s.config), name), data, 0o600); err != nil {
		s.b.Fatal(err)
	}
}

func (s *bed) run(args ...string) string {
	s.b.Helper()
	out, err := exec.Command(binary, args...).Output()
	if err != nil {
		s.b.Fatalf("%v: %v", args, err)
	}
	return strings.TrimSpace(string(out))
}

var serving = regexp.MustCompile(`"msg":"serving","address":"([^"]+)"`)

// start starts the daemon and returns when it serves.
func (s *bed) start() {
	s.b.Helper()
	s.daemon = exec.Command(binary, "serve", "--config", s.config)
	said, err := s.daemon.StderrPipe()
	if err != nil {
		s.b.Fatal(err)
	}
	if err := s.daemon.Start(); err != nil {
		s.b.Fatal(err)
	}
	ready, drained := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(drained)
		buf := make([]byte, 64<<10)
		for {
			n, err := said.Read(buf)
			s.log.Write(buf[:n])
			if m := serving.FindSubmatch(s.log.Bytes()); m != nil {
				select {
				case ready <- string(m[1]):
				default:
				}
				s.log.Reset()
			}
			if err != nil {
				return
			}
		}
	}()
	s.b.Cleanup(func() {
		_ = s.daemon.Process.Signal(syscall.SIGTERM)
		<-drained
		_ = s.daemon.Wait()
	})
	select {
	case addr := <-ready:
		s.url = "https://" + addr
	case <-drained:
		s.b.Fatalf("the daemon ended: %s", s.log.String())
	}
}

// call sends a request and decodes the answer into v.
func (s *bed) call(method, path, body string, v any) error {
	r, err := http.NewRequestWithContext(context.Background(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+s.token)
	answer, err := s.client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %d %s", method, path, answer.StatusCode, data)
	}
	return json.Unmarshal(data, v)
}

// mailboxes are the states of all mailboxes and how many entries are pending.
func (s *bed) mailboxes() (watching, pending int) {
	s.b.Helper()
	var boxes struct {
		Items []struct {
			State   string `json:"state"`
			Pending int    `json:"pending"`
		} `json:"items"`
	}
	if err := s.call(http.MethodGet, "/api/v1/mailboxes", "", &boxes); err != nil {
		s.b.Fatal(err)
	}
	for _, m := range boxes.Items {
		if pending += m.Pending; m.State == "watching" {
			watching++
		}
	}
	return watching, pending
}

// until polls until done; it is the smallest thing that is measured here.
func until(done func() bool) {
	for !done() {
		time.Sleep(time.Millisecond)
	}
}

// fill puts n different messages into the watched folder of u1.
func (s *bed) fill(n int) {
	s.b.Helper()
	mix, err := sample.Mix(s.samples, n, 1)
	if err != nil {
		s.b.Fatal(err)
	}
	if err := s.mail.Create("u1", watched); err != nil {
		s.b.Fatal(err)
	}
	c, err := s.mail.Login("u1")
	if err != nil {
		s.b.Fatal(err)
	}
	defer c.Close()
	for _, m := range mix {
		if err := c.Append(watched, m.Raw); err != nil {
			s.b.Fatal(err)
		}
	}
}
