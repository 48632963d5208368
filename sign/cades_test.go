package sign_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/protodaemon/protodaemon/cms"
	"github.com/protodaemon/protodaemon/sign"
)

// opensslCMS has openssl verify a .p7m as CAdES up to the root.
func opensslCMS(t testing.TB, p *pki, p7m []byte) (content []byte, said string, err error) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "content")
	said, err = run(t, "openssl", "cms", "-verify", "-cades", "-inform", "DER", "-in", write(t, "x.p7m", p7m),
		"-CAfile", write(t, "root.pem", pemOf(p.root)), "-purpose", "any", "-binary", "-out", out)
	content, _ = os.ReadFile(out)
	return content, said, err
}

func opensslVerifies(t testing.TB, p *pki, p7m, content []byte) {
	t.Helper()
	got, said, err := opensslCMS(t, p, p7m)
	if err != nil || !strings.Contains(said, "CAdES Verification successful") || !bytes.Equal(got, content) {
		t.Errorf("openssl: %v: %s; content of %d bytes", err, said, len(got))
	}
}

// signed signs one document with a key that is made for it.
func signed(t testing.TB, p *pki, kind string, at time.Time, doc sign.Document) []byte {
	t.Helper()
	key := kinds[kind]()
	files, _, err := sign.Sign(t.Context(), &memory{key: key, chain: p.chain(p.issue(key.Public(), nil))}, at, []sign.Document{doc})
	if err != nil {
		t.Fatal(err)
	}
	return files[0]
}

// CAdES B-B: openssl verifies each kind of key, and we what it verifies; neither
// takes a changed byte, wherever it is.
func TestCAdES(t *testing.T) {
	p := newPKI()
	content := bytes.Repeat([]byte("registro giornaliero\r\n"), 400)
	for kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			at := time.Now()
			p7m := signed(t, p, kind, at, sign.Document{Format: sign.CAdES, Content: content})
			opensslVerifies(t, p, p7m, content)
			v, err := sign.Verify(p7m, p.pool(), nil)
			if err != nil || !bytes.Equal(v.Content, content) || v.Signer.Subject.CommonName != "Elena Neri" || len(v.Certificates) != 3 ||
				!v.Time.Equal(at.Truncate(time.Second)) || v.Stamp != nil {
				t.Errorf("%v, %+v", err, v.Signer)
			}
			changed := bytes.Clone(p7m)
			changed[bytes.Index(changed, []byte("giornaliero"))] ^= 1
			if _, said, err := opensslCMS(t, p, changed); err == nil {
				t.Errorf("openssl takes a changed byte: %s", said)
			}
			if _, err := sign.Verify(changed, p.pool(), nil); !errors.Is(err, cms.ErrMismatch) {
				t.Errorf("a changed byte: %v", err)
			}
		})
	}
}

// No changed byte of a signature gives another content, signer or time.
func TestCAdESEveryByte(t *testing.T) {
	p := newPKI()
	at := time.Now()
	p7m := signed(t, p, "P-256", at, sign.Document{Format: sign.CAdES, Content: []byte("contenuto")})
	leaf := must(sign.Verify(p7m, p.pool(), nil)).Signer
	for n := range p7m {
		changed := bytes.Clone(p7m)
		changed[n] ^= 1 << (n % 8)
		v, err := sign.Verify(changed, p.pool(), nil)
		if err == nil && (string(v.Content) != "contenuto" || !v.Signer.Equal(leaf) || !v.Time.Equal(at.Truncate(time.Second))) {
			t.Fatalf("with byte %d changed it verifies as %q of %v at %v", n, v.Content, v.Signer.Subject, v.Time)
		}
	}
	for n := range len(p7m) - 1 {
		if _, err := sign.Verify(p7m[:n], p.pool(), nil); err == nil {
			t.Fatalf("cut after %d bytes it verifies", n)
		}
	}
}

// What openssl signs is verified, and refused where it is not what CAdES wants.
func TestVerifyOpenSSL(t *testing.T) {
	p := newPKI()
	leaf := p.issue(rsaKey().Public(), nil)
	key, certificate, above := write(t, "key.pem", keyPEM(rsaKey())), write(t, "leaf.pem", pemOf(leaf)), write(t, "above.pem", pemOf(p.between, p.root))
	second := p.issue(ec256Key().Public(), nil)
	content := write(t, "content", []byte("contenuto"))
	for name, c := range map[string]struct {
		options []string
		is      error
		says    string
	}{
		"CAdES":      {[]string{"-cades", "-nodetach", "-md", "sha256"}, nil, ""},
		"PSS":        {[]string{"-cades", "-nodetach", "-md", "sha256", "-keyopt", "rsa_padding_mode:pss"}, nil, ""},
		"not CAdES":  {[]string{"-nodetach", "-md", "sha256"}, cms.ErrMismatch, "does not name its certificate"},
		"detached":   {[]string{"-cades", "-md", "sha256"}, cms.ErrMalformed, "not one signature"},
		"SHA-1":      {[]string{"-cades", "-nodetach", "-md", "sha1"}, cms.ErrUnsupported, "SHA-1"},
		"two sign":   {[]string{"-cades", "-nodetach", "-md", "sha256", "-signer", write(t, "second.pem", pemOf(second)), "-inkey", write(t, "second.key", keyPEM(ec256Key()))}, cms.ErrMalformed, "not one signature"},
		"no issuers": {[]string{"-cades", "-nodetach", "-md", "sha256", "-nocerts"}, cms.ErrNoCertificate, ""},
	} {
		t.Run(name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "x.p7m")
			args := []string{"cms", "-sign", "-binary", "-outform", "DER", "-in", content, "-out", out, "-signer", certificate, "-inkey", key}
			if name == "PSS" { // its options go with the signer before them
				args = append(args, c.options[len(c.options)-2:]...)
				c.options = c.options[:len(c.options)-2]
			}
			ran(t, "openssl", append(append(args, "-certfile", above), c.options...)...)
			v, err := sign.Verify(must(os.ReadFile(out)), p.pool(), nil)
			if c.is == nil {
				if err != nil || string(v.Content) != "contenuto" || !v.Signer.Equal(leaf) {
					t.Errorf("%q, %v", v.Content, err)
				}
			} else if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) {
				t.Error(err)
			}
		})
	}
}

// The certificate is judged at the time of the signature, and its way up.
func TestVerifyCertificate(t *testing.T) {
	p, other := newPKI(), newPKI()
	now := time.Now()
	doc := []sign.Document{{Format: sign.CAdES, Content: []byte("x")}}
	expired := p.issue(ec256Key().Public(), func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Minute) })
	sealing := &memory{key: ec256Key(), chain: p.chain(expired)}
	// Signed while it was valid: it stays a signature.
	files, _, err := sign.Sign(t.Context(), sealing, now.Add(-30*time.Minute), doc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sign.Verify(files[0], p.pool(), nil); err != nil {
		t.Errorf("signed in time: %v", err)
	}
	if _, err := sign.Verify(unchecked(sealing, now), p.pool(), nil); !errors.Is(err, sign.ErrExpired) {
		t.Errorf("signed after it expired: %v", err)
	}
	if _, err := sign.Verify(files[0], other.pool(), nil); err == nil || !strings.Contains(err.Error(), "does not lead to a trusted certificate") {
		t.Errorf("under another root: %v", err)
	}
	tls := p.issue(ec256Key().Public(), func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyAgreement })
	server := &memory{key: ec256Key(), chain: p.chain(tls)}
	if _, err := sign.Verify(unchecked(server, now), p.pool(), nil); !errors.Is(err, sign.ErrUnusable) {
		t.Errorf("signed with a certificate that is for something else: %v", err)
	}
}

// unchecked signs with a certificate that Sign would not take.
func unchecked(k *memory, at time.Time) []byte {
	draft := must(cms.NewDraft([]byte("x"), k.chain, at))
	return must(draft.Assemble(must(k.key.Sign(rand.Reader, draft.Digest(), crypto.SHA256))))
}
