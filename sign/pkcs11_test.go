//go:build pkcs11

package sign_test

import (
	"context"
	"crypto/x509"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/protodaemon/protodaemon/sign"
)

// A key that a token made signs with it, wherever its certificate is; openssl
// and xmlsec1 verify the result. One login does it.
func TestPKCS11(t *testing.T) {
	for name, c := range map[string]struct {
		kind string // empty: a key P-384 that was put into the token
		keep func(h *hsm, leaf *x509.Certificate, conf *sign.PKCS11)
	}{
		"RSA, certificate in the token": {"rsa:2048", func(h *hsm, leaf *x509.Certificate, _ *sign.PKCS11) { h.keep(leaf, "firma", "01") }},
		"P-256, by the identifier":      {"EC:prime256v1", func(h *hsm, leaf *x509.Certificate, _ *sign.PKCS11) { h.keep(leaf, "certificato", "01") }},
		"P-256, by the label":           {"EC:prime256v1", func(h *hsm, leaf *x509.Certificate, _ *sign.PKCS11) { h.keep(leaf, "firma", "02") }},
		"P-384, in a file": {"", func(h *hsm, leaf *x509.Certificate, conf *sign.PKCS11) {
			// In any order, with a key that is not for us in front.
			conf.CertificateFile = write(h.t, "chain.pem", append(keyPEM(ec256Key()), pemOf(newPKI().root, leaf)...))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			h, p := newHSM(t), newPKI()
			p.between = p.root
			public := ec384Key().Public() // pkcs11-tool does not read one of these
			if c.kind == "" {
				h.put(ec384Key(), "firma", "01")
			} else {
				public = h.generate(c.kind, "firma", "01")
			}
			leaf := p.issue(public, nil)
			conf := h.conf()
			c.keep(h, leaf, &conf)
			key := h.open(conf)
			defer closeKey(t, key)
			files, signer, err := sign.Sign(t.Context(), key, time.Now(), threeDocs)
			if err != nil || !signer.Equal(leaf) {
				t.Fatalf("%v, %v", signer, err)
			}
			othersVerify(t, p, files)
			if n := h.logins(); n != 1 {
				t.Errorf("%d logins", n)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if _, _, err := sign.Sign(ctx, key, time.Now(), threeDocs); !errors.Is(err, context.Canceled) {
				t.Errorf("cancelled: %v", err)
			}
		})
	}
}

// Two closings may sign with one token at a time; the one that ends first does
// not log the other out.
func TestPKCS11Together(t *testing.T) {
	h, p := newHSM(t), newPKI()
	h.keep(p.issue(h.generate("EC:prime256v1", "firma", "01"), nil), "firma", "01")
	first, second := h.open(h.conf()), h.open(h.conf())
	closeKey(t, first)
	if _, _, err := sign.Sign(t.Context(), second, time.Now(), threeDocs); err != nil {
		t.Error(err)
	}
	closeKey(t, second)
	if _, _, err := sign.Sign(t.Context(), second, time.Now(), threeDocs); !errorIs(err, sign.ErrUnusable) {
		t.Errorf("after it was closed: %v", err)
	}
}

// What goes wrong is told apart, and no login is tried twice, or where it might
// lock the token.
func TestPKCS11Refused(t *testing.T) {
	h, p := newHSM(t), newPKI()
	public := h.generate("EC:prime256v1", "firma", "01")
	leaf := p.issue(public, nil)
	h.keep(leaf, "firma", "01")
	h.generate("EC:prime256v1", "senza certificato", "02")
	h.keep(p.issue(h.generate("EC:prime256v1", "a mano", "03", "--always-auth"), nil), "a mano", "03")
	h.generate("EC:prime256v1", "altrui", "04")
	h.keep(leaf, "altrui", "04")
	h.token("doppio")
	h.token("doppio")
	writable := write(t, "module.so", must(os.ReadFile(h.module)))
	if err := os.Chmod(writable, 0o602); err != nil {
		t.Fatal(err)
	}
	in := func(name, value string) func(*sign.PKCS11) { return func(*sign.PKCS11) { t.Setenv(name, value) } }
	for name, c := range map[string]struct {
		change func(*sign.PKCS11)
		is     error
		says   string
		logins int
	}{
		"wrong PIN":           {func(c *sign.PKCS11) { c.PIN = []byte("00000000") }, sign.ErrPIN, "protocollo", 1},
		"no PIN":              {func(c *sign.PKCS11) { c.PIN = nil }, sign.ErrPIN, "none is given", 0},
		"locked by that":      {in("SPY_LOGIN", "0xA4"), sign.ErrLocked, "CKR_PIN_LOCKED", 1},
		"expired PIN":         {in("SPY_LOGIN", "0xA3"), sign.ErrLocked, "CKR_PIN_EXPIRED", 1},
		"locked":              {in("SPY_FLAGS", "0x40000"), sign.ErrLocked, "its PIN is locked", 0},
		"one try left":        {in("SPY_FLAGS", "0x20000"), sign.ErrLocked, "one more wrong PIN locks it", 0},
		"removed":             {in("SPY_LOGIN", "0x32"), sign.ErrUnreachable, "CKR_DEVICE_REMOVED", 1},
		"no such token":       {func(c *sign.PKCS11) { c.Token = "altro" }, sign.ErrUnusable, `token "altro"`, 0},
		"no token named":      {func(c *sign.PKCS11) { c.Token = "" }, sign.ErrUnusable, "labels of a token and of a key", 0},
		"no key named":        {func(c *sign.PKCS11) { c.Key = "" }, sign.ErrUnusable, "labels of a token and of a key", 0},
		"two tokens":          {func(c *sign.PKCS11) { c.Token = "doppio" }, sign.ErrUnusable, "2 tokens have that label", 0},
		"no such key":         {func(c *sign.PKCS11) { c.Key = "altra" }, sign.ErrUnusable, `no key pair "altra"`, 1},
		"no module":           {func(c *sign.PKCS11) { c.Module += "x" }, sign.ErrUnusable, "there is no file", 0},
		"not a module":        {func(c *sign.PKCS11) { c.Module = write(t, "x.so", []byte("x")) }, sign.ErrUnusable, "failed to open module", 0},
		"module of all":       {func(c *sign.PKCS11) { c.Module = writable }, sign.ErrUnusable, "others may write", 0},
		"module that fails":   {in("SPY_MODULE", "/nowhere"), sign.ErrUnusable, "CKR_GENERAL_ERROR", 0},
		"no certificate":      {func(c *sign.PKCS11) { c.Key = "senza certificato" }, sign.ErrUnusable, "name a certificate_file", 1},
		"another's":           {func(c *sign.PKCS11) { c.Key = "altrui" }, sign.ErrUnusable, "none belongs to the key", 1},
		"PIN each time":       {func(c *sign.PKCS11) { c.Key = "a mano" }, sign.ErrUnusable, "CKA_ALWAYS_AUTHENTICATE", 1},
		"no file":             {func(c *sign.PKCS11) { c.CertificateFile = "/nowhere.pem" }, sign.ErrUnusable, "there is no file", 1},
		"nothing in the file": {func(c *sign.PKCS11) { c.CertificateFile = write(t, "a.pem", keyPEM(ec256Key())) }, sign.ErrUnusable, "no certificate (PEM)", 1},
		"file of another":     {func(c *sign.PKCS11) { c.CertificateFile = write(t, "b.pem", pemOf(p.root)) }, sign.ErrUnusable, "none belongs to the key", 1},
		"broken file": {func(c *sign.PKCS11) {
			c.CertificateFile = write(t, "c.pem", []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
		}, sign.ErrUnusable, "the certificate in", 1},
		"large file": {func(c *sign.PKCS11) { c.CertificateFile = write(t, "d.pem", make([]byte, 2<<20)) }, sign.ErrUnusable, "larger than", 1},
	} {
		for _, v := range []string{"SPY_LOGIN", "SPY_FLAGS"} {
			t.Setenv(v, "")
		}
		t.Setenv("SPY_MODULE", softHSM)
		conf := h.conf()
		c.change(&conf)
		key, err := sign.OpenPKCS11(conf)
		if key != nil || !errorIs(err, c.is) || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), tokenPIN) {
			t.Errorf("%s: %v", name, err)
		}
		if n := h.logins(); n != c.logins {
			t.Errorf("%s: %d logins", name, n)
		}
	}
	// After all that the token still opens.
	for _, v := range []string{"SPY_LOGIN", "SPY_FLAGS"} {
		t.Setenv(v, "")
	}
	t.Setenv("SPY_MODULE", softHSM)
	key := h.open(h.conf())
	defer closeKey(t, key)
	if _, _, err := sign.Sign(t.Context(), key, time.Now(), threeDocs); err != nil {
		t.Error(err)
	}
	// A token that is pulled out is not the key's fault.
	t.Setenv("SPY_SIGN", "0x32")
	if _, _, err := sign.Sign(t.Context(), key, time.Now(), threeDocs); !errorIs(err, sign.ErrUnreachable) {
		t.Errorf("pulled out: %v", err)
	}
}

// A token that takes a single session cannot be used, and does not end the
// program. The module stays loaded then, so it is tried in another process.
func TestPKCS11SingleSession(t *testing.T) {
	if module := os.Getenv("SPY_ALONE"); module != "" {
		_, err := sign.OpenPKCS11(sign.PKCS11{Module: module, Token: "protocollo", Key: "firma", PIN: []byte(tokenPIN)})
		if !errorIs(err, sign.ErrUnusable) || !strings.Contains(err.Error(), `opening token "protocollo"`) {
			t.Error(err)
		}
		return
	}
	h := newHSM(t)
	t.Setenv("SPY_RW", "1")
	t.Setenv("SPY_ALONE", h.module)
	said := ran(t, must(os.Executable()), "-test.run=^TestPKCS11SingleSession$", "-test.v")
	if !strings.Contains(said, "--- PASS: TestPKCS11SingleSession") || h.logins() != 0 {
		t.Error(said)
	}
}
