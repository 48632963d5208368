package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
	"software.sslmate.com/src/go-pkcs12"

	"github.com/protodaemon/protodaemon/register"
)

// A mistake in the configuration of closings is found by every command that
// reads it, before anything is opened.
func TestBadClosingConfiguration(t *testing.T) {
	for name, test := range map[string]struct{ old, replacement, says string }{
		"patron":         {"empty_days: none", `patron: "29-06"`, `closing.patron: "29-06" is not a day of the year; write month and day, like 06-29`},
		"holiday":        {"empty_days: none", "holidays: [24-12-2026]", `closing.holidays[0]: "24-12-2026" is not a day; write it like 2026-01-31`},
		"empty days":     {"empty_days: none", "empty_days: never", `closing.empty_days: "never" is not known; choose one of working, all, none`},
		"hour":           {`auto_at: ""`, `auto_at: "25:00"`, `closing.auto_at: "25:00" is not a time of day; write it like "15:00", or "" to switch it off`},
		"TSA":            {`url: "http://`, `url: "ftp://`, "closing.timestamp.url: is not a URL; begin it with https:// or http://"},
		"two keys":       {"sign: {", "sign: {csc: {url: \"https://csc.example.it\", credential: c}, ", "closing.sign: names more than one signing key; keep one of pkcs12_file, pkcs11 and csc"},
		"a secret":       {"password_file:", "password:", "closing.sign.password: unknown key; a secret is never written here: put it in a file and name that in password_file"},
		"kind":           {"kind: directory", "kind: ftp", `closing.deliver.kind: "ftp" is not known; choose one of directory, sftp, http`},
		"sftp":           {"kind: directory", "kind: sftp, url: \"sftp://s.example.it\", username: u, key_file: k", "closing.deliver.known_hosts_file: missing"},
		"readable":       {"kind: directory", "kind: http, url: \"http://s.example.it/\"", "closing.deliver.url: is not encrypted; begin it with https://; http:// is for this machine only"},
		"manager's days": {`from: "2020-01-01"`, "from: 1/1/2020", `manager.from: "1/1/2020" is not a day; write it like 2026-01-31`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := openCloser(t)
			edit(t, c.config, test.old, test.replacement)
			for _, order := range []string{"serve", "check", "close"} {
				o := command(t, order, "--config", c.config)
				if order == "close" {
					o = c.order(t, order)
				}
				if o.status != exitUsage || o.stdout != "" || !strings.Contains(o.stderr, test.says+"\n") {
					t.Errorf("%s: status %d, %q; want %q", order, o.status, o.stderr, test.says)
				}
			}
			if _, err := os.Stat(filepath.Join(c.dir, "data")); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("there is a data directory (%v)", err)
			}
		})
	}
}

// What is found only when it is used stops at that step: the day is closed, the
// command fails and says what to do, nothing is sent; when it is put right, the
// same closing goes on.
func TestStepsThatCannotBeDone(t *testing.T) {
	pin := func(c *closer) string { return filepath.Join(c.dir, "pin") }
	for name, test := range map[string]struct {
		spoil   func(t *testing.T, c *closer) (mend func())
		reached register.ClosingState
		code    string
		says    string // DIR stands for the directory
	}{
		"no key": {func(t *testing.T, c *closer) func() { return away(t, filepath.Join(c.dir, "firma.p12")) },
			register.ClosingClosed, "key-unusable", "opening the signing key: the key cannot be used: there is no file \"DIR/firma.p12\""},
		"no password": {func(t *testing.T, c *closer) func() { return away(t, pin(c)) },
			register.ClosingClosed, "key-unusable", "opening the signing key: the key cannot be used: reading a secret: stat DIR/pin: no such file or directory"},
		"wrong password": {func(t *testing.T, c *closer) func() {
			writeFile(t, pin(c), "sbagliata")
			return func() { writeFile(t, pin(c), keyPassword) }
		}, register.ClosingClosed, "pin-wrong", "opening the signing key: wrong PIN or password of DIR/firma.p12"},
		"expired": {expiredKey, register.ClosingClosed, "certificate-expired", "the certificate is not valid now: the certificate of CN=Elena Neri expired on 2021-01-01T00:00:00Z; renew it"},
		"others may write the key": {func(t *testing.T, c *closer) func() {
			key := filepath.Join(c.dir, "firma.p12")
			chmod(t, key, 0o666)
			return func() { chmod(t, key, 0o600) }
		}, register.ClosingClosed, "key-unusable", "others may write DIR/firma.p12; run: chmod go-w DIR/firma.p12"},
		"TSA away": {func(t *testing.T, c *closer) func() {
			c.stamps.set(func(s *stamps) { s.away = true })
			return func() { c.stamps.set(func(s *stamps) { s.away = false }) }
		}, register.ClosingSigned, "unreachable", "time stamping authority 127.0.0.1: the service does not answer now: it says 503 Service Unavailable"},
		"TSA of nobody we trust": {func(t *testing.T, c *closer) func() {
			edit(t, c.config, "ca_file: "+c.ca, "ca_file: "+filepath.Join(c.dir, "firma.pem"))
			return func() { edit(t, c.config, "ca_file: "+filepath.Join(c.dir, "firma.pem"), "ca_file: "+c.ca) }
		}, register.ClosingSigned, "refused", "time stamping authority 127.0.0.1: the service refused: "},
		"no TSA certificate": {func(t *testing.T, c *closer) func() { return away(t, c.ca) },
			register.ClosingSigned, "key-unusable", "time stamping authority 127.0.0.1: the key cannot be used: reading trusted certificates: open DIR/ca.pem: no such file or directory"},
		"no directory": {func(t *testing.T, c *closer) func() { return away(t, c.destination) },
			register.ClosingStamped, "destination-missing", "the directory DIR/conservazione is not there; is its disk mounted?"},
		"a file in its place": {func(t *testing.T, c *closer) func() { // cannot be written, for root too
			back := away(t, c.destination)
			writeFile(t, c.destination, "")
			return func() {
				if err := os.Remove(c.destination); err != nil {
					t.Fatal(err)
				}
				back()
			}
		}, register.ClosingStamped, "destination-missing", "the directory DIR/conservazione is not there; is its disk mounted?"},
		"host key unknown": {strangeHost, register.ClosingStamped, "host-key-unknown", "is not in DIR/known_hosts; compare it with what the conservator says, and add it"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := openCloser(t)
			c.enter(t, noonOf(t, 1), 1)
			mend := test.spoil(t, c)
			says := strings.ReplaceAll(test.says, "DIR", c.dir)
			o := c.order(t, "close")
			if o.status != exitFailed || !strings.Contains(o.stdout, "  1 entries, 0 changes  failed\n") || !strings.Contains(o.stderr, "protodaemon: closed, and not finished: ") || !strings.Contains(o.stderr, says) {
				t.Errorf("want %q: status %d, %s%s", says, o.status, o.stdout, o.stderr)
			}
			stopped := c.closings(t)
			if len(stopped) != 1 || stopped[0].Reached != test.reached || stopped[0].Trouble == nil || stopped[0].Trouble.Code != test.code {
				t.Errorf("it stands at %+v; want %s after %s", stopped, test.code, test.reached)
			}
			mend()
			if got := c.packages(t); len(got) != 0 {
				t.Errorf("there are packages %v", got)
			}
			if o := c.order(t, "close"); o.status != 0 || o.stdout != "nothing was to be closed\n" {
				t.Errorf("when it is put right: %+v", o)
			}
			done := c.closings(t)
			if len(done) != 1 || len(stopped) != 1 || done[0].State != register.ClosingDelivered || done[0].Files[0] != stopped[0].Files[0] {
				t.Errorf("when it is put right: %+v", done)
			}
			c.sound(t, 1, 1)
		})
	}
}

// away puts a file out of the way until the returned function is called.
func away(t *testing.T, name string) (back func()) {
	t.Helper()
	rename := func(from, to string) {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	rename(name, name+".away")
	return func() { rename(name+".away", name) }
}

func chmod(t *testing.T, name string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(name, mode); err != nil {
		t.Fatal(err)
	}
}

// expiredKey puts another key into the place of the signer's, with a
// certificate of 2020.
func expiredKey(t *testing.T, c *closer) (mend func()) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Elena Neri"}, KeyUsage: x509.KeyUsageContentCommitment,
		NotBefore: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2021, 1, 1, 0, 0, 0, 0, time.UTC)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	p12, err := pkcs12.Modern.Encode(key, leaf, nil, keyPassword)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(c.dir, "firma.p12")
	back := away(t, file)
	writeFile(t, file, string(p12))
	return back // over it
}

// strangeHost has the package brought to a server whose key is not the known
// one's: the file names another server.
func strangeHost(t *testing.T, c *closer) (mend func()) {
	t.Helper()
	newKey := func() ssh.Signer {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		signer, err := ssh.NewSignerFromKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return signer
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	server := &ssh.ServerConfig{PasswordCallback: func(ssh.ConnMetadata, []byte) (*ssh.Permissions, error) {
		t.Error("the password was given to a server whose key is not known")
		return nil, errors.New("no")
	}}
	server.AddHostKey(newKey())
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _, _, _ = ssh.NewServerConn(conn, server) // the other side leaves
			conn.Close()
		}
	}()
	hosts := filepath.Join(c.dir, "known_hosts")
	writeFile(t, hosts, knownhosts.Line([]string{"sftp.example.it"}, newKey().PublicKey())+"\n")
	local, remote := "{kind: directory, path: "+c.destination+"}", `{kind: sftp, url: "sftp://`+l.Addr().String()+`", username: u, password_file: `+filepath.Join(c.dir, "pin")+`, known_hosts_file: `+hosts+`}`
	edit(t, c.config, local, remote)
	return func() { edit(t, c.config, remote, local) }
}
