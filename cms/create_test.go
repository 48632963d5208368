package cms

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// authority is a certification authority of the tests with one certificate.
type authority struct {
	root, leaf *x509.Certificate
	key        crypto.Signer
}

func newAuthority(t testing.TB, key crypto.Signer, change func(*x509.Certificate)) authority {
	t.Helper()
	rootKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Prova CA"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(0x77aa), Subject: pkix.Name{CommonName: "Elena Neri", Country: []string{"IT"}},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(12 * time.Hour), KeyUsage: x509.KeyUsageContentCommitment,
	}
	if change != nil {
		change(leaf)
	}
	a := authority{key: key}
	a.root = certificate(t, root, root, rootKey.Public(), rootKey)
	a.leaf = certificate(t, leaf, a.root, key.Public(), rootKey)
	return a
}

func certificate(t testing.TB, tmpl, parent *x509.Certificate, public any, key crypto.Signer) *x509.Certificate {
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

func (a authority) sign(t testing.TB, content []byte) []byte {
	t.Helper()
	d, err := NewDraft(content, []*x509.Certificate{a.leaf, a.root}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	value, err := a.key.Sign(rand.Reader, d.Digest(), crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	p7m, err := d.Assemble(value)
	if err != nil {
		t.Fatal(err)
	}
	return p7m
}

// file writes b into the test's folder.
func file(t testing.TB, name string, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func pemFile(t testing.TB, certs ...*x509.Certificate) string {
	t.Helper()
	var b []byte
	for _, c := range certs {
		b = append(b, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return file(t, "ca.pem", b)
}

// openssl runs it; a missing openssl fails the test.
func openssl(t testing.TB, args ...string) (string, error) {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Fatal("openssl is missing; on Debian: apt-get install openssl")
	}
	out, err := exec.Command("openssl", args...).CombinedOutput()
	return string(out), err
}

func keys(t testing.TB) map[string]crypto.Signer {
	t.Helper()
	all := map[string]crypto.Signer{}
	for name, curve := range map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384()} {
		k, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = k
	}
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	all["RSA"] = k
	return all
}

// What is made is CAdES to openssl, and one changed byte is not.
func TestOpenSSLVerifiesWhatIsMade(t *testing.T) {
	content := bytes.Repeat([]byte("registro giornaliero\n"), 500)
	for name, key := range keys(t) {
		t.Run(name, func(t *testing.T) {
			a := newAuthority(t, key, nil)
			p7m := a.sign(t, content)
			verify := func(der []byte) (string, error) {
				return openssl(t, "cms", "-verify", "-cades", "-inform", "DER", "-in", file(t, "x.p7m", der),
					"-CAfile", pemFile(t, a.root), "-purpose", "any", "-out", filepath.Join(t.TempDir(), "out"))
			}
			if out, err := verify(p7m); err != nil || !strings.Contains(out, "CAdES Verification successful") {
				t.Errorf("openssl: %v: %s", err, out)
			}
			sd, err := Parse(p7m)
			if err != nil {
				t.Fatal(err)
			}
			s, err := sd.Verify(0, sd.Content)
			if err != nil || !s.Bound || s.Time == nil || !bytes.Equal(sd.Content, content) || !s.Certificate.Equal(a.leaf) {
				t.Errorf("we: %+v, %v", s, err)
			}
			changed := bytes.Clone(p7m)
			changed[bytes.Index(changed, []byte("giornaliero"))] ^= 1
			if out, err := verify(changed); err == nil {
				t.Errorf("openssl accepts a changed byte: %s", out)
			}
			if sd, err := Parse(changed); err == nil {
				if _, err := sd.Verify(0, sd.Content); !errors.Is(err, ErrMismatch) {
					t.Errorf("we accept a changed byte: %v", err)
				}
			}
		})
	}
}

// A key that does not belong to the certificate makes no file.
func TestWrongKey(t *testing.T) {
	all := keys(t)
	a := newAuthority(t, all["P-256"], nil)
	d, err := NewDraft([]byte("x"), []*x509.Certificate{a.leaf}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range all {
		if name == "P-256" {
			continue
		}
		value, err := key.Sign(rand.Reader, d.Digest(), crypto.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Assemble(value); !errors.Is(err, ErrMismatch) {
			t.Errorf("a value of %s was taken: %v", name, err)
		}
	}
}

// The same input gives the same bytes.
func TestDeterministic(t *testing.T) {
	a := newAuthority(t, keys(t)["RSA"], nil)
	if !bytes.Equal(a.sign(t, []byte("x")), a.sign(t, []byte("x"))) {
		// The clock may have come to the next second between the two.
		if !bytes.Equal(a.sign(t, []byte("x")), a.sign(t, []byte("x"))) {
			t.Error("RSA signatures of one content at one time differ")
		}
	}
}

// tsa is a responder of openssl.
type tsa struct {
	authority
	dir string
}

func newTSA(t testing.TB, change func(*x509.Certificate)) tsa {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	s := tsa{dir: t.TempDir(), authority: newAuthority(t, key, func(c *x509.Certificate) {
		c.Subject.CommonName, c.KeyUsage = "Prova TSA", x509.KeyUsageDigitalSignature
		c.ExtraExtensions = []pkix.Extension{{Id: oidExtKeyUsage, Critical: true,
			Value: sequence(must(asn1.Marshal(asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 8})))}}
		if change != nil {
			change(c)
		}
	})}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, b []byte) {
		if err := os.WriteFile(filepath.Join(s.dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	write("tsa.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.leaf.Raw}))
	write("root.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.root.Raw}))
	write("serial", []byte("01\n"))
	write("tsa.cnf", []byte(strings.ReplaceAll(`[tsa]
default_tsa = t
[t]
serial = DIR/serial
signer_cert = DIR/tsa.pem
certs = DIR/root.pem
signer_key = DIR/key.pem
signer_digest = sha256
default_policy = 1.2.3.4.1
other_policies = 1.2.3.4.5
digests = sha256, sha384, sha512
accuracy = secs:1, millisecs:500
clock_precision_digits = 3
tsa_name = yes
ess_cert_id_chain = no
ess_cert_id_alg = sha256
`, "DIR", s.dir)))
	return s
}

func (s tsa) reply(t testing.TB, request []byte) []byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), "reply.tsr")
	said, err := openssl(t, "ts", "-reply", "-config", filepath.Join(s.dir, "tsa.cnf"), "-queryfile", file(t, "q.tsq", request), "-out", out)
	if err != nil {
		t.Fatalf("openssl ts -reply: %v: %s", err, said)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// stamp is a token over content, whose digest openssl takes.
func (s tsa) stamp(t testing.TB, content []byte, digest string) []byte {
	t.Helper()
	query := filepath.Join(t.TempDir(), "query")
	if said, err := openssl(t, "ts", "-query", "-data", file(t, "content", content), "-"+digest, "-cert", "-out", query); err != nil {
		t.Fatalf("openssl ts -query: %v: %s", err, said)
	}
	b, err := os.ReadFile(query)
	if err != nil {
		t.Fatal(err)
	}
	token, err := ResponseToken(s.reply(t, b))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func pool(c *x509.Certificate) *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(c)
	return p
}

// A stamp by openssl is read, verified, put into a signature, and found there
// again by openssl.
func TestStampByOpenSSL(t *testing.T) {
	s := newTSA(t, nil)
	a := newAuthority(t, keys(t)["P-256"], nil)
	p7m := a.sign(t, []byte("contenuto"))
	sd, err := Parse(p7m)
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(sd.Signers[0].Signature)
	policy := asn1.ObjectIdentifier{1, 2, 3, 4, 5}
	r, err := NewStampRequest(digest[:], policy)
	if err != nil {
		t.Fatal(err)
	}
	reply := s.reply(t, r.DER)
	token, err := r.Read(reply)
	if err != nil {
		t.Fatal(err)
	}
	stamp, err := VerifyStamp(token, digest[:], pool(s.root))
	if err != nil || !stamp.Certificate.Equal(s.leaf) || !stamp.Policy.Equal(policy) || time.Since(stamp.Time).Abs() > time.Minute {
		t.Errorf("%+v, %v", stamp, err)
	}
	stamped, err := AddToken(p7m, token)
	if err != nil {
		t.Fatal(err)
	}
	if sd, err = Parse(stamped); err != nil {
		t.Fatal(err)
	}
	one, err := sd.Verify(0, sd.Content)
	if err != nil || !bytes.Equal(one.Token, token) {
		t.Errorf("the token is not in the signature: %v", err)
	}
	out, err := openssl(t, "cms", "-verify", "-cades", "-inform", "DER", "-in", file(t, "t.p7m", stamped), "-CAfile", pemFile(t, a.root),
		"-purpose", "any", "-out", filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Errorf("openssl does not verify the stamped signature: %s", out)
	}
	out, err = openssl(t, "ts", "-verify", "-digest", hex.EncodeToString(digest[:]), "-in", file(t, "t.tst", token), "-token_in", "-CAfile", pemFile(t, s.root))
	if err != nil || !strings.Contains(out, "Verification: OK") {
		t.Errorf("openssl does not verify the token: %s", out)
	}
	if _, err := AddToken(stamped, token); !errors.Is(err, ErrMalformed) {
		t.Errorf("a second stamp was added: %v", err)
	}
	refusals(t, s, r, reply, token, digest[:])
}

// refusals are what Read and VerifyStamp do not take.
func refusals(t *testing.T, s tsa, r *StampRequest, reply, token, digest []byte) {
	t.Helper()
	other, err := NewStampRequest(digest, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Read(reply); !errors.Is(err, ErrMismatch) {
		t.Errorf("an answer to another request was taken: %v", err)
	}
	elsewhere := sha256.Sum256([]byte("another"))
	if _, err := VerifyStamp(token, elsewhere[:], nil); !errors.Is(err, ErrMismatch) {
		t.Errorf("a stamp over something else was taken: %v", err)
	}
	if _, err := VerifyStamp(token, digest, pool(newTSA(t, nil).root)); err == nil {
		t.Error("a stamp of an unknown authority was taken")
	}
	unknown := asn1.ObjectIdentifier{1, 2, 3, 99}
	refused, err := NewStampRequest(digest, unknown)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := refused.Read(s.reply(t, refused.DER)); err == nil || !strings.Contains(err.Error(), "policy is not accepted") {
		t.Errorf("a refusal reads %v", err)
	}
	for n := range token {
		changed := bytes.Clone(token)
		changed[n] ^= 0x10
		if got, err := VerifyStamp(changed, digest, pool(s.root)); err == nil && !got.Certificate.Equal(s.leaf) {
			t.Fatalf("a stamp with byte %d changed was taken", n)
		}
	}
	if _, err := r.Read(bytes.Repeat([]byte{0x30, 0x80}, 100000)); !errors.Is(err, ErrBounds) {
		t.Errorf("a deep answer: %v", err)
	}
}

// An authority whose certificate is for something else too stamps nothing.
func TestStampPurpose(t *testing.T) {
	s := newTSA(t, nil)
	digest := sha256.Sum256([]byte("x"))
	r, err := NewStampRequest(digest[:], nil)
	if err != nil {
		t.Fatal(err)
	}
	token, err := r.Read(s.reply(t, r.DER))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := VerifyStamp(token, digest[:], nil); err != nil {
		t.Fatal(err)
	}
	mail := *s.leaf
	mail.ExtKeyUsage = append(mail.ExtKeyUsage, x509.ExtKeyUsageEmailProtection)
	if stampsOnly(&mail) || !stampsOnly(s.leaf) || stampsOnly(newAuthority(t, s.key, nil).leaf) {
		t.Error("the purpose of a certificate is misjudged")
	}
}

// The responder of our own gives stamps that openssl verifies, and refuses what
// it does not know.
func TestResponder(t *testing.T) {
	s := newTSA(t, nil)
	r := Responder{Key: s.key, Chain: []*x509.Certificate{s.leaf, s.root}, Policy: asn1.ObjectIdentifier{1, 2, 3}}
	digest := sha256.Sum256([]byte("x"))
	for name, policy := range map[string]asn1.ObjectIdentifier{"own": nil, "named": r.Policy} {
		q, err := NewStampRequest(digest[:], policy)
		if err != nil {
			t.Fatal(err)
		}
		reply, err := r.Respond(q.DER, big.NewInt(7), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		token, err := q.Read(reply)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got, err := VerifyStamp(token, digest[:], pool(s.root)); err != nil || got.Serial.Int64() != 7 {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		out, err := openssl(t, "ts", "-verify", "-queryfile", file(t, "q", q.DER), "-in", file(t, "r", reply), "-CAfile", pemFile(t, s.root))
		if err != nil {
			t.Errorf("openssl: %s", out)
		}
	}
	other, err := NewStampRequest(digest[:], asn1.ObjectIdentifier{1, 9})
	if err == nil {
		_, err = NewStampRequest(digest[:5], nil)
	}
	if err == nil {
		t.Error("a digest of five bytes can be asked for")
	}
	for _, request := range [][]byte{nil, []byte("x"), unknownPolicy(t, digest[:])} {
		reply, err := r.Respond(request, big.NewInt(1), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := other.Read(reply); err == nil || !strings.Contains(err.Error(), "refused") {
			t.Errorf("%x was answered: %v", request, err)
		}
	}
}

func unknownPolicy(t *testing.T, digest []byte) []byte {
	t.Helper()
	q, err := NewStampRequest(digest, asn1.ObjectIdentifier{1, 9, 9})
	if err != nil {
		t.Fatal(err)
	}
	return q.DER
}
