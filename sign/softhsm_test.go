//go:build pkcs11

package sign_test

import (
	"crypto"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/protodaemon/protodaemon/sign"
)

const (
	softHSM  = "/usr/lib/softhsm/libsofthsm2.so"
	tokenPIN = "24681357"
)

// hsm is a SoftHSM with one token, behind a module that counts logins.
type hsm struct {
	t      testing.TB
	dir    string
	module string // the spy
}

func newHSM(t *testing.T) *hsm {
	t.Helper()
	if _, err := os.Stat(softHSM); err != nil {
		t.Fatalf("%v: ./dev test installs what the tests use", err)
	}
	h := &hsm{t: t, dir: t.TempDir()}
	conf := write(t, "softhsm2.conf", fmt.Appendf(nil, "directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n", h.dir))
	t.Setenv("SOFTHSM2_CONF", conf)
	h.module = filepath.Join(h.dir, "spy.so")
	ran(t, "gcc", "-shared", "-fPIC", "-o", h.module, "testdata/spy.c", "-ldl")
	t.Setenv("SPY_MODULE", softHSM)
	t.Setenv("SPY_LOG", filepath.Join(h.dir, "logins"))
	h.token("protocollo")
	return h
}

// token makes another token.
func (h *hsm) token(label string) {
	h.t.Helper()
	ran(h.t, "softhsm2-util", "--init-token", "--free", "--label", label, "--so-pin", "87654321", "--pin", tokenPIN)
}

// tool runs pkcs11-tool, logged in to the token.
func (h *hsm) tool(args ...string) {
	h.t.Helper()
	ran(h.t, "pkcs11-tool", append([]string{"--module", softHSM, "--token-label", "protocollo", "--login", "--pin", tokenPIN}, args...)...)
}

// generate has the token make a key pair, and returns its public half.
func (h *hsm) generate(kind, label, id string, options ...string) crypto.PublicKey {
	h.t.Helper()
	h.tool(append([]string{"--keypairgen", "--key-type", kind, "--label", label, "--id", id}, options...)...)
	out := filepath.Join(h.t.TempDir(), "public.der")
	h.tool("--read-object", "--type", "pubkey", "--id", id, "--output-file", out)
	return must(x509.ParsePKIXPublicKey(must(os.ReadFile(out))))
}

// put puts a key pair into the token.
func (h *hsm) put(key crypto.Signer, label, id string) {
	h.t.Helper()
	ran(h.t, "softhsm2-util", "--import", write(h.t, "key.pem", keyPEM(key)), "--token", "protocollo", "--label", label, "--id", id, "--pin", tokenPIN)
}

// keep puts a certificate into the token.
func (h *hsm) keep(c *x509.Certificate, label, id string) {
	h.t.Helper()
	h.tool("--write-object", write(h.t, "leaf.der", c.Raw), "--type", "cert", "--label", label, "--id", id)
}

// logins is how many were tried, since the last time.
func (h *hsm) logins() int {
	h.t.Helper()
	file := filepath.Join(h.dir, "logins")
	b, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		return 0
	}
	if err == nil {
		err = os.Remove(file)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	return strings.Count(string(b), "\n")
}

func (h *hsm) conf() sign.PKCS11 {
	return sign.PKCS11{Module: h.module, Token: "protocollo", Key: "firma", PIN: []byte(tokenPIN)}
}

func (h *hsm) open(conf sign.PKCS11) sign.Key {
	h.t.Helper()
	key, err := sign.OpenPKCS11(conf)
	if err != nil {
		h.t.Fatal(err)
	}
	return key
}

func closeKey(t testing.TB, key sign.Key) {
	t.Helper()
	if err := key.Close(); err != nil {
		t.Error(err)
	}
}
