package ingest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/protodaemon/protodaemon/internal/dovecot"
	"github.com/protodaemon/protodaemon/register"
)

// door is TLS in front of a server, with a certificate that can be renewed.
type door struct {
	addr, ca string
	key      *ecdsa.PrivateKey
	cert     atomic.Pointer[tls.Certificate]
}

func newDoor(t *testing.T, behind string) *door {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	d := &door{key: key, ca: filepath.Join(t.TempDir(), "ca.pem")}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return d.cert.Load(), nil }})
	if err != nil {
		t.Fatal(err)
	}
	d.addr = l.Addr().String()
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { through(conn, behind) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		conns.Wait()
	})
	return d
}

func through(client net.Conn, behind string) {
	defer client.Close()
	server, err := net.Dial("tcp", behind)
	if err != nil {
		return
	}
	var both sync.WaitGroup
	both.Go(func() {
		_, _ = io.Copy(server, client)
		server.Close()
	})
	_, _ = io.Copy(client, server)
	client.Close()
	both.Wait()
}

// renew makes a certificate for name that is valid until the given time, and
// lets ca_file hold it.
func (d *door) renew(t *testing.T, name string, until time.Time) {
	t.Helper()
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: until, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &d.key.PublicKey, d.key)
	if err != nil {
		t.Fatal(err)
	}
	d.cert.Store(&tls.Certificate{Certificate: [][]byte{der}, PrivateKey: d.key})
	if err := os.WriteFile(d.ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestCertificateRenewed(t *testing.T) {
	t.Parallel()
	sc := stage(t, dovecot.Options{Prefix: "INBOX.", Separator: "."})
	d := newDoor(t, sc.s.Addr)
	sc.box = at(sc.box, d.addr)
	sc.box.IMAP.CAFile = d.ca
	d.renew(t, "localhost", time.Now().Add(-time.Hour))
	sc.start()
	sc.reaches(register.Failed, "certificate-expired: ")
	d.renew(t, "altrove.example.it", time.Now().Add(time.Hour))
	sc.reaches(register.Failed, "certificate-name: ")
	d.renew(t, "localhost", time.Now().Add(time.Hour))
	sc.reaches(register.Watching, "")
}

func TestPasswordCorrected(t *testing.T) {
	t.Parallel()
	sc := stage(t, dovecot.Options{Prefix: "INBOX.", Separator: "."})
	var password atomic.Value
	password.Store("wrong")
	sc.box.IMAP.Password = func() (string, error) {
		if p := password.Load().(string); p != "" {
			return p, nil
		}
		return "", &fs.PathError{Op: "open", Path: "/etc/protodaemon/secrets/pec", Err: fs.ErrNotExist}
	}
	patient := impatient
	patient.LoginRetry = time.Hour
	_, sc.stop = watch(t, Options{Office: sc.desk, Mailboxes: []Mailbox{sc.box}, Timing: patient})
	sc.reaches(register.Failed, "login-refused: ")
	if e := sc.status().LastError; !strings.Contains(e, "password_file") || strings.Contains(e, "wrong") {
		t.Errorf("the error says %q", e)
	}
	password.Store("")
	password.Store(dovecot.Password)
	sc.reaches(register.Watching, "")
}

func TestProbe(t *testing.T) {
	t.Parallel()
	s := dovecot.Start(t, dovecot.Options{Prefix: "INBOX.", Separator: "."})
	poor := dovecot.Start(t, dovecot.Options{Without: []string{"MOVE", "UIDPLUS"}, SilentIdle: true})
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	ctx := context.Background()

	r := Probe(ctx, box(s, "u1"), true)
	if !r.OK || r.Prefix != "INBOX." || r.Delimiter != "." || r.Folders.Inbox != "INBOX" || r.Folders.Pending != "" ||
		r.Echo != "idle" || len(r.Warnings) != 0 || !slices.Contains(r.Capabilities, "UIDPLUS") {
		t.Errorf("%+v", r)
	}
	if l, err := s.Folders("u1", false); err != nil || len(l) != 1 {
		t.Errorf("the probe left %v, %v", l, err)
	}
	if err := s.Create("u1", folder(watched)); err != nil {
		t.Fatal(err)
	}
	if r := Probe(ctx, box(s, "u1"), false); r.Folders.Pending != folder(watched) {
		t.Errorf("%+v", r)
	}
	if r := Probe(ctx, box(poor, "u1"), true); !r.OK || r.Echo != "poll" || len(r.Warnings) != 2 {
		t.Errorf("%+v", r)
	}

	for _, c := range []struct {
		code   string
		change func(*Mailbox)
	}{
		{"login-refused", func(m *Mailbox) { m.IMAP.Password = func() (string, error) { return "wrong", nil } }},
		{"password-file", func(m *Mailbox) { m.IMAP.Password = func() (string, error) { return "", errors.New("no such file") } }},
		{"auth", func(m *Mailbox) { m.IMAP.Auth = "xoauth2" }},
		{"unknown-host", func(m *Mailbox) { m.IMAP.Host = "imaps.invalid" }},
		{"certificate-unknown", func(m *Mailbox) { m.IMAP.CAFile = poor.CAFile }},
		{"ca-file", func(m *Mailbox) { m.IMAP.CAFile = "/nowhere/ca.pem" }},
		{"refused", func(m *Mailbox) { *m = at(*m, closed.Addr().String()) }},
		{"tls", func(m *Mailbox) { *m = at(*m, s.Addr) }},
		{"folder", func(m *Mailbox) { m.Folders.Inbox = "nessuna" }},
	} {
		m := box(s, "u1")
		c.change(&m)
		r := Probe(ctx, m, false)
		if r.OK || r.Error == "" || r.Code != c.code && (c.code != "unknown-host" || r.Code != "name-service") {
			t.Errorf("%s: %+v", c.code, r)
		}
	}
}

func TestInClearOnlyOnLoopback(t *testing.T) {
	client, server := net.Pipe() // whose address is not loopback
	defer client.Close()
	defer server.Close()
	if _, err := secure(context.Background(), client, "none", nil, 0); !errors.Is(err, errNotLoopback) {
		t.Errorf("got %v", err)
	}
}
