package dovecot

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

const sample = "Subject: prova\r\n\r\nciao\r\n"

func login(t *testing.T, s *Server, user string) *Client {
	t.Helper()
	c, err := s.Login(user)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// trusting is a client's TLS configuration that trusts the CA file alone.
func trusting(t *testing.T, s *Server) *tls.Config {
	t.Helper()
	pem, err := os.ReadFile(s.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		t.Fatal("no certificate in the CA file")
	}
	return &tls.Config{RootCAs: roots, ServerName: "localhost"}
}

// outside is a connection as the code under test makes it: through the proxy,
// with verified TLS.
type outside struct {
	*Client
	t *testing.T
}

func dialPlain(t *testing.T, s *Server) outside {
	t.Helper()
	conn, err := net.Dial("tcp", s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	return greeted(t, conn)
}

func dialTLS(t *testing.T, s *Server) outside {
	t.Helper()
	conn, err := tls.Dial("tcp", s.TLSAddr, trusting(t, s))
	if err != nil {
		t.Fatal(err)
	}
	return greeted(t, conn)
}

func greeted(t *testing.T, conn net.Conn) outside {
	t.Helper()
	t.Cleanup(func() { conn.Close() })
	c := newClient(conn)
	if _, err := c.response(); err != nil {
		t.Fatal(err)
	}
	return outside{c, t}
}

// startTLS secures a plain connection.
func (o outside) startTLS(s *Server) outside {
	o.t.Helper()
	o.must("STARTTLS")
	return outside{newClient(tls.Client(o.conn, trusting(o.t, s))), o.t}
}

// must sends a command that has to succeed and returns all that was said.
func (o outside) must(command string) string {
	o.t.Helper()
	responses, err := o.Do(command)
	if err != nil {
		o.t.Fatal(err)
	}
	return said(responses)
}

// refused sends a command that must fail.
func (o outside) refused(command string) {
	o.t.Helper()
	if _, err := o.Do(command); err == nil {
		o.t.Errorf("%s was accepted", command)
	}
}

func said(responses []Response) string {
	var b strings.Builder
	for _, r := range responses {
		b.WriteString(r.Text + "\n")
	}
	return b.String()
}

var loginU1 = fmt.Sprintf("LOGIN u1 %q", Password)

func TestMessagesComeBackAsTheyWere(t *testing.T) {
	s := Start(t, Options{})
	if messages, err := s.Messages("u1", "INBOX"); err != nil || len(messages) != 0 {
		t.Fatalf("a new user has %v, %v", messages, err)
	}
	var want [][]byte
	for i := range 3 {
		raw := fmt.Appendf(nil, "Subject: %d\r\n\r\n%s\r\n", i, strings.Repeat("x", i*10000))
		want = append(want, raw)
		if err := s.Append("u1", "INBOX", raw); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := login(t, s, "u1").Do("SELECT INBOX"); err != nil {
		t.Fatal(err)
	}
	messages, err := s.Messages("u1", "INBOX")
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range messages {
		if m.UID != uint32(i+1) || !bytes.Equal(m.Raw, want[i]) || slices.Contains(m.Flags, `\Seen`) {
			t.Errorf("message %d: UID %d, flags %v, %d bytes", i, m.UID, m.Flags, len(m.Raw))
		}
	}
	if len(messages) != len(want) {
		t.Errorf("%d messages", len(messages))
	}
	if messages, err := s.Messages("u2", "INBOX"); err != nil || len(messages) != 0 {
		t.Errorf("another user sees %v, %v", messages, err)
	}
	if _, err := s.Messages("u1", "missing"); err == nil {
		t.Error("a missing folder was read")
	}
}

func TestLoginIsChecked(t *testing.T) {
	s := Start(t, Options{Users: 1})
	c := dialTLS(t, s)
	c.refused("LOGIN u1 wrong")
	c.refused(fmt.Sprintf("LOGIN u2 %q", Password))
	c.must(loginU1)
}

func TestNamespace(t *testing.T) {
	s := Start(t, Options{Prefix: "INBOX.", Separator: "."})
	c := login(t, s, "u1")
	responses, err := c.Do("NAMESPACE")
	if err != nil || !strings.Contains(said(responses), `(("INBOX." "."))`) {
		t.Errorf("%s%v", said(responses), err)
	}
	if err := s.Create("u1", s.Folder("sub")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Do("SUBSCRIBE INBOX.sub"); err != nil {
		t.Fatal(err)
	}
	if names, err := s.Folders("u1", false); err != nil || !slices.Contains(names, "INBOX.sub") || !slices.Contains(names, "INBOX") {
		t.Errorf("folders %q, %v", names, err)
	}
	if names, err := s.Folders("u1", true); err != nil || !slices.Equal(names, []string{"INBOX.sub"}) {
		t.Errorf("subscribed folders %q, %v", names, err)
	}
}

func TestSTARTTLSOnly(t *testing.T) {
	s := Start(t, Options{StartTLSOnly: true})
	c := dialPlain(t, s)
	if list := c.must("CAPABILITY"); !strings.Contains(list, "LOGINDISABLED") || !strings.Contains(list, "STARTTLS") {
		t.Errorf("before TLS: %s", list)
	}
	c.refused(loginU1)
	c = c.startTLS(s)
	if list := c.must("CAPABILITY"); strings.Contains(list, "LOGINDISABLED") || strings.Contains(list, "STARTTLS") {
		t.Errorf("after STARTTLS: %s", list)
	}
	c.must(loginU1)
}

func TestExpiredCertificate(t *testing.T) {
	s := Start(t, Options{CertNotAfter: time.Now().Add(-time.Hour)})
	_, err := tls.Dial("tcp", s.TLSAddr, trusting(t, s))
	if err == nil || !strings.Contains(err.Error(), "expired") {
		t.Errorf("got %v", err)
	}
	login(t, s, "u1") // which does not look at the certificate
}

func TestWithoutMOVEAndUIDPLUS(t *testing.T) {
	s := Start(t, Options{Without: []string{"MOVE", "UIDPLUS"}})
	for name, c := range map[string]outside{
		"TLS": dialTLS(t, s), "STARTTLS": dialPlain(t, s).startTLS(s), "in the clear": dialPlain(t, s),
	} {
		t.Run(name, func(t *testing.T) {
			c.t = t
			before := c.must("CAPABILITY")
			c.must(loginU1)
			after := c.must("CAPABILITY")
			if list := before + after; strings.Contains(list, "MOVE") || strings.Contains(list, "UIDPLUS") || !strings.Contains(after, "IDLE") {
				t.Errorf("capabilities: %s", list)
			}
			if err := c.Append("INBOX", []byte(sample)); err != nil {
				t.Fatal(err)
			}
			c.must("SELECT INBOX")
			c.refused("MOVE 1 Trash")
			c.refused("UID MOVE 1 Trash")
			c.refused("UID EXPUNGE 1")
			if fetched := c.must("UID FETCH 1 (UID BODY.PEEK[])"); !strings.Contains(fetched, fmt.Sprintf("{%d}", len(sample))) {
				t.Errorf("fetched %s", fetched)
			}
		})
	}
}

// TestNoCodesWithoutUIDPLUS reads the tagged answers themselves.
func TestNoCodesWithoutUIDPLUS(t *testing.T) {
	for name, test := range map[string]struct {
		without []string
		want    bool
	}{"with": {[]string{"XLIST"}, true}, "without": {[]string{"UIDPLUS"}, false}} {
		t.Run(name, func(t *testing.T) {
			s := Start(t, Options{Without: test.without})
			c := dialTLS(t, s)
			c.must(loginU1)
			var answers string
			for i, command := range []string{"CREATE target", "SELECT INBOX", fmt.Sprintf("APPEND INBOX {%d+}\r\n%s", len(sample), sample), "UID COPY 1 target"} {
				tag := fmt.Sprintf("x%d", i)
				if _, err := fmt.Fprintf(c.conn, "%s %s\r\n", tag, command); err != nil {
					t.Fatal(err)
				}
				for {
					r, err := c.response()
					if err != nil {
						t.Fatal(err)
					}
					if strings.HasPrefix(r.Text, tag) {
						answers += r.Text + "\n"
						break
					}
				}
			}
			if got := strings.Contains(answers, "[APPENDUID ") && strings.Contains(answers, "[COPYUID "); got != test.want || strings.Count(answers, " OK") != 4 {
				t.Errorf("answers:\n%s", answers)
			}
			if strings.Contains(answers, "UID ") != test.want {
				t.Errorf("answers:\n%s", answers)
			}
		})
	}
}

// idle enters IDLE, lets another client append, ends IDLE after waiting for
// the news and returns what came before and after DONE.
func idle(t *testing.T, s *Server, wait time.Duration) (during, after string) {
	t.Helper()
	c := dialTLS(t, s)
	c.must(loginU1)
	c.must("SELECT INBOX")
	if _, err := fmt.Fprint(c.conn, "i IDLE\r\n"); err != nil {
		t.Fatal(err)
	}
	if r, err := c.response(); err != nil || !strings.HasPrefix(r.Text, "+") {
		t.Fatalf("%s, %v", r.Text, err)
	}
	if err := s.Append("u1", "INBOX", []byte(sample)); err != nil {
		t.Fatal(err)
	}
	if err := c.conn.SetReadDeadline(time.Now().Add(wait)); err != nil {
		t.Fatal(err)
	}
	for !strings.Contains(during, "EXISTS") {
		r, err := c.response()
		if err != nil {
			break // nothing came
		}
		during += r.Text + "\n"
	}
	if err := c.conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprint(c.conn, "DONE\r\n"); err != nil {
		t.Fatal(err)
	}
	for !strings.HasPrefix(after, "i ") && !strings.Contains(after, "\ni ") {
		r, err := c.response()
		if err != nil {
			t.Fatal(err)
		}
		after += r.Text + "\n"
	}
	return during, after
}

func TestIDLETellsNews(t *testing.T) {
	if during, _ := idle(t, Start(t, Options{}), time.Minute); !strings.Contains(during, "* 1 EXISTS") {
		t.Errorf("told %q", during)
	}
}

func TestSilentIDLE(t *testing.T) {
	during, after := idle(t, Start(t, Options{SilentIdle: true}), time.Second)
	if during != "" || !strings.Contains(after, "* 1 EXISTS") || !strings.Contains(after, "i OK") {
		t.Errorf("told %q in IDLE and %q after it", during, after)
	}
}

func TestRefusedIDLE(t *testing.T) {
	c := dialTLS(t, Start(t, Options{Without: []string{"IDLE"}}))
	c.must(loginU1)
	if list := c.must("CAPABILITY"); strings.Contains(list, "IDLE") {
		t.Error(list)
	}
	c.refused("IDLE")
	c.must("NOOP")
}

func TestQuota(t *testing.T) {
	s := Start(t, Options{QuotaKiB: 10})
	if err := s.Append("u1", "INBOX", []byte(sample+strings.Repeat("x", 8<<10))); err != nil {
		t.Fatal(err)
	}
	if err := s.Append("u1", "INBOX", []byte(sample+strings.Repeat("x", 8<<10))); err == nil || !strings.Contains(err.Error(), "OVERQUOTA") {
		t.Errorf("got %v", err)
	}
}

func TestRestartAndStop(t *testing.T) {
	s := Start(t, Options{})
	if err := s.Append("u1", "INBOX", []byte(sample)); err != nil {
		t.Fatal(err)
	}
	c := dialTLS(t, s)
	if err := s.Restart(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Do("NOOP"); err == nil {
		t.Error("a connection outlived the restart")
	}
	if messages, err := s.Messages("u1", "INBOX"); err != nil || len(messages) != 1 {
		t.Errorf("after the restart: %d messages, %v", len(messages), err)
	}
	s.Stop()
	if conn, err := net.Dial("tcp", s.TLSAddr); err == nil {
		conn.Close()
		t.Error("a stopped server accepts")
	}
	if err := s.Restart(); err != nil {
		t.Fatal(err)
	}
	login(t, s, "u1")
}

func TestPause(t *testing.T) {
	s := Start(t, Options{})
	c := dialTLS(t, s)
	c.must(loginU1)
	s.Pause()
	answered := make(chan error, 1)
	go func() {
		_, err := c.Do("NOOP")
		answered <- err
	}()
	select {
	case err := <-answered:
		t.Fatalf("a frozen server answered: %v", err)
	case <-time.After(200 * time.Millisecond):
	}
	s.Continue()
	if err := <-answered; err != nil {
		t.Error(err)
	}
}

func TestNothingIsLeftBehind(t *testing.T) {
	s, err := Run(Options{Without: []string{"MOVE"}})
	if err != nil {
		t.Fatal(err)
	}
	c := dialTLS(t, s)
	c.must(loginU1)
	pid := s.pid
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(s.dir); !os.IsNotExist(err) {
		t.Errorf("%s is still there: %v", s.dir, err)
	}
	if processes := group(t, pid); len(processes) > 0 {
		t.Errorf("processes %v are left", processes)
	}
}

// group lists the living processes of a process group.
func group(t *testing.T, pgid int) []string {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, e := range entries {
		stat, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue // not a process, or gone meanwhile
		}
		// pid (name) state ppid pgrp …
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(fields) > 2 && fields[2] == fmt.Sprint(pgid) && fields[0] != "Z" {
			found = append(found, e.Name())
		}
	}
	return found
}

func TestMissingBinary(t *testing.T) {
	_, err := find([]string{"/nonexistent/dovecot"})
	if err == nil || !strings.Contains(err.Error(), "./dev test") {
		t.Errorf("the remedy is not told: %v", err)
	}
}

func TestSeveralAtOnce(t *testing.T) {
	servers := make(chan *Server, 4)
	for range cap(servers) {
		go func() {
			s, err := Run(Options{})
			if err != nil {
				t.Error(err)
			}
			servers <- s
		}()
	}
	seen := make(map[string]bool)
	for range cap(servers) {
		s := <-servers
		if s == nil {
			continue
		}
		seen[s.Addr], seen[s.TLSAddr] = true, true
		if err := s.Append("u1", "INBOX", []byte(sample)); err != nil {
			t.Error(err)
		}
		if messages, err := s.Messages("u1", "INBOX"); err != nil || len(messages) != 1 {
			t.Errorf("%d messages, %v", len(messages), err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if len(seen) != 2*cap(servers) {
		t.Errorf("%d different addresses", len(seen))
	}
}
