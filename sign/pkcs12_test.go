package sign_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/protodaemon/protodaemon/sign"
)

const password = "parola d'ordine"

// The forms of PKCS#12: RC2 and 3DES as of old, and what OpenSSL 3 writes.
var forms = map[string][]string{
	"RC2 and 3DES": {"-legacy"},
	"3DES":         {"-legacy", "-certpbe", "PBE-SHA1-3DES", "-keypbe", "PBE-SHA1-3DES"},
	"AES-256":      nil,
	"AES-128":      {"-certpbe", "AES-128-CBC", "-keypbe", "AES-128-CBC", "-macalg", "sha512"},
}

// exportP12 has openssl make a PKCS#12 file.
func exportP12(t testing.TB, key crypto.Signer, chain []*x509.Certificate, options ...string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "firma.p12")
	args := []string{"pkcs12", "-export", "-out", out, "-passout", "pass:" + password,
		"-inkey", write(t, "key.pem", keyPEM(key)), "-in", write(t, "leaf.pem", pemOf(chain[0]))}
	if len(chain) > 1 {
		args = append(args, "-certfile", write(t, "above.pem", pemOf(chain[1:]...)))
	}
	ran(t, "openssl", append(args, options...)...)
	return out
}

// encodeP12 makes PKCS#12 files that openssl does not make.
func encodeP12(key any, first *x509.Certificate, others []*x509.Certificate) []byte {
	return must(pkcs12.Modern2023.Encode(key, first, others, password))
}

func openP12(t testing.TB, file string) sign.Key {
	t.Helper()
	key, err := sign.OpenPKCS12(file, []byte(password))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := key.Close(); err != nil {
			t.Error(err)
		}
	})
	return key
}

// Every form that openssl writes opens, with the certificates in the order in
// which they lead upwards, and signs.
func TestPKCS12Forms(t *testing.T) {
	p, namesake := newPKI(), newPKI() // authorities of the same names
	for name, options := range forms {
		t.Run(name, func(t *testing.T) {
			leaf := p.issue(rsaKey().Public(), nil)
			stranger := p.issue(ec256Key().Public(), nil)
			key := openP12(t, exportP12(t, rsaKey(), []*x509.Certificate{leaf, stranger, namesake.between, namesake.root, p.root, p.between}, options...))
			chain, err := key.Chain(t.Context())
			if err != nil || len(chain) != 3 || !chain[0].Equal(leaf) || !chain[1].Equal(p.between) || !chain[2].Equal(p.root) {
				t.Fatalf("%d certificates, %v", len(chain), err)
			}
			files, _, err := sign.Sign(t.Context(), key, time.Now(), []sign.Document{{Format: sign.CAdES, Content: []byte("contenuto")}})
			if err != nil {
				t.Fatal(err)
			}
			opensslVerifies(t, p, files[0], []byte("contenuto"))
		})
	}
}

// The key's certificate is found wherever it stands: some programs write the
// authority's first.
func TestPKCS12Order(t *testing.T) {
	p := newPKI()
	leaf := p.issue(ec256Key().Public(), nil)
	file := filepath.Join(t.TempDir(), "firma.p12")
	// openssl puts the certificate of the key first, unless there is none.
	ran(t, "openssl", "pkcs12", "-export", "-out", file, "-passout", "pass:"+password, "-nocerts", "-inkey", write(t, "key.pem", keyPEM(ec256Key())))
	if _, err := sign.OpenPKCS12(file, []byte(password)); !errors.Is(err, sign.ErrUnusable) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("without a certificate: %v", err)
	}
	first := encodeP12(ec256Key(), p.between, []*x509.Certificate{p.root, leaf})
	key := openP12(t, write(t, "first.p12", first))
	if chain, err := key.Chain(t.Context()); err != nil || len(chain) != 3 || !chain[0].Equal(leaf) {
		t.Errorf("%d certificates, %v", len(chain), err)
	}
	foreign := encodeP12(rsaKey(), leaf, []*x509.Certificate{p.between})
	if _, err := sign.OpenPKCS12(write(t, "foreign.p12", foreign), []byte(password)); !errors.Is(err, sign.ErrUnusable) || !strings.Contains(err.Error(), "none belongs to the key") {
		t.Errorf("a certificate of another key: %v", err)
	}
}

func TestPKCS12Refused(t *testing.T) {
	p := newPKI()
	good := exportP12(t, ec256Key(), p.chain(p.issue(ec256Key().Public(), nil)))
	b := must(os.ReadFile(good))
	open := os.FileMode(0o660)
	writable := write(t, "writable.p12", b)
	if err := os.Chmod(writable, open); err != nil {
		t.Fatal(err)
	}
	pipe := filepath.Join(t.TempDir(), "pipe.p12")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	many := []*x509.Certificate{}
	for range 40 {
		many = append(many, p.issue(ec256Key().Public(), nil))
	}
	for name, c := range map[string]struct {
		file, password string
		is             error
		says           string
	}{
		"wrong password":  {good, "altra", sign.ErrPIN, good},
		"no password":     {good, "", sign.ErrPIN, good},
		"not there":       {good + "x", password, sign.ErrUnusable, "there is no file"},
		"a directory":     {filepath.Dir(good), password, sign.ErrUnusable, "not a regular file"},
		"a pipe":          {pipe, password, sign.ErrUnusable, "not a regular file"},
		"written by all":  {writable, password, sign.ErrUnusable, "chmod go-w " + writable},
		"not a PKCS#12":   {write(t, "a.p12", []byte("-----BEGIN CERTIFICATE-----")), password, sign.ErrUnusable, "as PKCS#12"},
		"empty":           {write(t, "b.p12", nil), password, sign.ErrUnusable, "as PKCS#12"},
		"cut":             {write(t, "c.p12", b[:len(b)/2]), password, sign.ErrUnusable, "as PKCS#12"},
		"too large":       {write(t, "d.p12", append(bytes.Clone(b), make([]byte, 1<<20)...)), password, sign.ErrUnusable, "larger than"},
		"40 certificates": {write(t, "e.p12", encodeP12(ec256Key(), many[0], many[1:])), password, sign.ErrUnusable, "40 certificates"},
	} {
		t.Run(name, func(t *testing.T) {
			key, err := sign.OpenPKCS12(c.file, []byte(c.password))
			if key != nil || !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v", err)
			}
			if strings.Contains(err.Error(), password) {
				t.Errorf("the password is in %v", err)
			}
		})
	}
	// A key of a kind that is not supported opens, and signs nothing.
	key := openP12(t, exportP12(t, edwards, []*x509.Certificate{p.issue(edwards.Public(), nil)}))
	if _, _, err := sign.Sign(t.Context(), key, time.Now(), []sign.Document{{Format: sign.CAdES, Content: []byte("x")}}); !errors.Is(err, sign.ErrUnusable) || !strings.Contains(err.Error(), "neither RSA nor ECDSA") {
		t.Errorf("Ed25519: %v", err)
	}
}

// A signature that nobody waits for any more is not made.
func TestPKCS12Cancelled(t *testing.T) {
	p := newPKI()
	key := openP12(t, exportP12(t, ec256Key(), p.chain(p.issue(ec256Key().Public(), nil))))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := sign.Sign(ctx, key, time.Now(), []sign.Document{{Format: sign.CAdES, Content: []byte("x")}}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
