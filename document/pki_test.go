package document

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/protodaemon/protodaemon/cms"
)

// signedAt is when the tests sign.
var signedAt = time.Date(2026, 3, 10, 9, 30, 0, 0, time.UTC)

// signatory is a signer of the tests, under a certification authority.
type signatory struct {
	key  crypto.Signer
	leaf *x509.Certificate
	ca   *authority
}

type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	pool *x509.CertPool
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{key: newKey(t), pool: x509.NewCertPool()}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Prova CA qualificata", Organization: []string{"Prova S.p.A."}, Country: []string{"IT"}},
		NotBefore: signedAt.AddDate(-2, 0, 0), NotAfter: signedAt.AddDate(10, 0, 0), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	a.cert = issue(t, tmpl, tmpl, a.key.Public(), a.key)
	a.pool.AddCert(a.cert)
	return a
}

func issue(t testing.TB, tmpl, parent *x509.Certificate, public any, key crypto.Signer) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, public, key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var serials atomic.Int64

// signer is Elena Neri, or whom change makes of her.
func (a *authority) signer(t testing.TB, key crypto.Signer, change func(*x509.Certificate)) *signatory {
	t.Helper()
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1000 + serials.Add(1)),
		Subject:      pkix.Name{CommonName: "NERI ELENA", SerialNumber: "TINIT-NRELNE80A41H501K", Organization: []string{"Ordine di Prova"}, Country: []string{"IT"}},
		NotBefore:    signedAt.AddDate(-1, 0, 0), NotAfter: signedAt.AddDate(2, 0, 0), KeyUsage: x509.KeyUsageContentCommitment,
		EmailAddresses: []string{"elena@example.it"},
	}
	if change != nil {
		change(tmpl)
	}
	return &signatory{key, issue(t, tmpl, a.cert, key.Public(), a.key), a}
}

// cades signs content in CAdES B-B.
func (p *signatory) cades(t testing.TB, content []byte) []byte {
	t.Helper()
	d, err := cms.NewDraft(content, []*x509.Certificate{p.leaf, p.ca.cert}, signedAt)
	if err != nil {
		t.Fatal(err)
	}
	value, err := p.key.Sign(rand.Reader, d.Digest(), crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	p7m, err := d.Assemble(value)
	if err != nil {
		t.Fatal(err)
	}
	return p7m
}

// stamper is a time stamping authority.
type stamper struct {
	cms.Responder
	ca *authority
}

func (a *authority) stamper(t testing.TB) *stamper {
	t.Helper()
	usage, err := asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 8}})
	if err != nil {
		t.Fatal(err)
	}
	p := a.signer(t, newKey(t), func(c *x509.Certificate) {
		c.Subject = pkix.Name{CommonName: "Prova TSA"}
		c.KeyUsage = x509.KeyUsageDigitalSignature
		c.EmailAddresses = nil
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true, Value: usage}}
	})
	return &stamper{cms.Responder{Key: p.key, Chain: []*x509.Certificate{p.leaf, a.cert}, Policy: asn1.ObjectIdentifier{1, 2, 3}}, a}
}

// token stamps the SHA-256 of bytes at a time.
func (s *stamper) token(t testing.TB, b []byte, at time.Time) []byte {
	t.Helper()
	digest := sha256.Sum256(b)
	request, err := cms.NewStampRequest(digest[:], nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := s.Respond(request.DER, big.NewInt(0x4711), at)
	if err != nil {
		t.Fatal(err)
	}
	token, err := request.Read(answer)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// stamp puts a time stamp into a signature.
func (s *stamper) stamp(t testing.TB, p7m []byte, at time.Time) []byte {
	t.Helper()
	sd, err := cms.Parse(p7m)
	if err != nil {
		t.Fatal(err)
	}
	out, err := cms.AddToken(p7m, s.token(t, sd.Signers[0].Signature, at))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// openssl runs it in a folder that has the signer's files; a missing one fails
// the test.
func (p *signatory) openssl(t testing.TB, content []byte, args ...string) []byte {
	t.Helper()
	dir := t.TempDir()
	der, err := x509.MarshalPKCS8PrivateKey(p.key)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, b []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	write("cert.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.leaf.Raw}))
	write("ca.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.ca.cert.Raw}))
	write("in", content)
	cmd := exec.Command("openssl", args...)
	cmd.Dir = dir
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("openssl %v: %v: %s (on Debian: apt-get install openssl)", args, err, said)
	}
	out, err := os.ReadFile(filepath.Join(dir, "out"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return out
}

// sign is a signature by openssl cms.
func (p *signatory) sign(t testing.TB, content []byte, options ...string) []byte {
	t.Helper()
	return p.openssl(t, content, append([]string{"cms", "-sign", "-binary", "-in", "in", "-out", "out", "-signer", "cert.pem",
		"-inkey", "key.pem", "-certfile", "ca.pem", "-outform", "DER"}, options...)...)
}

// file is an Input in memory.
func fileOf(name string, b []byte) Input {
	return Input{Name: name, Content: bytes.NewReader(b), Size: int64(len(b))}
}
