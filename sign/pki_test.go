package sign_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// The keys of the tests are made once: an RSA key takes its time.
var (
	rsaKey   = sync.OnceValue(func() crypto.Signer { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	ec256Key = sync.OnceValue(func() crypto.Signer { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
	ec384Key = sync.OnceValue(func() crypto.Signer { return must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)) })
)

// kinds are the keys that sign.
var kinds = map[string]func() crypto.Signer{"RSA": rsaKey, "P-256": ec256Key, "P-384": ec384Key}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// pki is a root, an authority under it, and what that has issued.
type pki struct {
	key           crypto.Signer // of both authorities
	root, between *x509.Certificate
	serial        int64
}

func newPKI() *pki {
	p := &pki{key: must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))}
	template := func(name string) *x509.Certificate {
		return &x509.Certificate{Subject: pkix.Name{CommonName: name, Country: []string{"IT"}},
			IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}
	}
	root := template("Prova Radice")
	p.root = p.make(root, root, p.key.Public())
	p.between = p.make(template("Prova Firma"), p.root, p.key.Public())
	return p
}

// make issues a certificate; the times that are not given are around now.
func (p *pki) make(template, parent *x509.Certificate, public crypto.PublicKey) *x509.Certificate {
	now := time.Now()
	p.serial++
	template.SerialNumber = big.NewInt(0x1000 + p.serial)
	if template.NotBefore.IsZero() {
		template.NotBefore = now.Add(-time.Hour)
	}
	if template.NotAfter.IsZero() {
		template.NotAfter = now.Add(24 * time.Hour)
	}
	return must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, template, parent, public, p.key))))
}

// issue issues a certificate of a signer, of which something may be changed.
func (p *pki) issue(public crypto.PublicKey, change func(*x509.Certificate)) *x509.Certificate {
	template := &x509.Certificate{Subject: pkix.Name{CommonName: "Elena Neri", SerialNumber: "TINIT-NRELNE70A41H501X", Country: []string{"IT"}},
		KeyUsage: x509.KeyUsageContentCommitment}
	if change != nil {
		change(template)
	}
	return p.make(template, p.between, public)
}

// chain is a certificate with those above it.
func (p *pki) chain(leaf *x509.Certificate) []*x509.Certificate {
	return []*x509.Certificate{leaf, p.between, p.root}
}

func (p *pki) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(p.root)
	return pool
}

// write puts a file into a folder of the test.
func write(t testing.TB, name string, b []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func pemOf(certificates ...*x509.Certificate) []byte {
	var b []byte
	for _, c := range certificates {
		b = append(b, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return b
}

func keyPEM(key crypto.Signer) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(key))})
}

// run runs a program; one that is missing fails the test.
func run(t testing.TB, program string, args ...string) (string, error) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Fatalf("%s is missing: ./dev test installs what the tests use", program)
	}
	out, err := exec.CommandContext(t.Context(), program, args...).CombinedOutput()
	return string(out), err
}

// ran is run for what has to succeed.
func ran(t testing.TB, program string, args ...string) string {
	t.Helper()
	out, err := run(t, program, args...)
	if err != nil {
		t.Fatalf("%s %v: %v: %s", program, args, err, out)
	}
	return out
}
