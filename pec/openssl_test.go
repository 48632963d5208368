package pec_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/protodaemon/protodaemon/pec"
	"github.com/protodaemon/protodaemon/pec/sample"
)

// openssl runs the real program; a missing one fails the test.
func openssl(t testing.TB, args ...string) error {
	t.Helper()
	cmd := exec.Command("openssl", args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if _, ran := err.(*exec.ExitError); err != nil && !ran {
		t.Fatalf("openssl: %v", err)
	}
	if err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(out.String()))
	}
	return nil
}

// opensslVerifies is the reference verdict: signature, chain and purpose at the
// time of the samples.
func opensslVerifies(t testing.TB, raw []byte, ca string) error {
	t.Helper()
	file := filepath.Join(t.TempDir(), "message.eml")
	writeFile(t, file, raw)
	return openssl(t, "cms", "-verify", "-in", file, "-CAfile", ca, "-purpose", "smimesign",
		"-attime", fmt.Sprint(now.Add(time.Hour).Unix()), "-out", os.DevNull)
}

func writeFile(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func caFile(t testing.TB, p *sample.Provider) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ca.pem")
	writeFile(t, file, p.CAPEM())
	return file
}

func TestOpenSSLAgreesOnSamples(t *testing.T) {
	for _, o := range []sample.Options{{ECDSA: true}, {Digest: crypto.SHA1}} {
		p := newProvider(t, o)
		ca := caFile(t, p)
		mix, err := sample.Mix(p, sample.Kinds(), 11)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range mix {
			agree(t, m.Name, m.Raw, p, ca)
		}
	}
}

// agree fails where the two verdicts differ. Only valid is compared: openssl
// does not say why, and knows nothing of From addresses.
func agree(t *testing.T, name string, raw []byte, p *sample.Provider, ca string) (valid bool) {
	t.Helper()
	ours := read(raw, p)
	theirs := opensslVerifies(t, raw, ca)
	valid = ours.Signature.Status == pec.SignatureValid
	if valid != (theirs == nil) {
		t.Errorf("%s: we say %s %q, openssl says %v", name, ours.Signature.Status, ours.Signature.Problems, theirs)
	}
	return valid
}

func TestOpenSSLAgreesOnTampered(t *testing.T) {
	p := newProvider(t, sample.Options{})
	ca := caFile(t, p)
	mix, err := sample.Mix(p, 2, 3)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mix {
		for name, raw := range tampered(t, m.Raw, p) {
			if agree(t, m.Name+" "+name, raw, p, ca) {
				t.Errorf("%s %s: a changed message is valid", m.Name, name)
			}
		}
	}
}

// tampered flips bits in the signed part, in the signer's certificate and in
// the signature value.
func tampered(t *testing.T, raw []byte, p *sample.Provider) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	head, signature, tail := splitSignature(t, raw)
	from, to := bytes.Index(head, []byte("Content-Type: multipart/mixed")), bytes.LastIndex(head, []byte("\r\n------=_sig"))
	for i := from; i < to; i += (to - from) / 9 {
		changed := bytes.Clone(raw)
		changed[i] ^= 1
		out[fmt.Sprintf("signed byte %d", i)] = changed
	}
	flip := func(name string, i int) {
		changed := bytes.Clone(signature)
		changed[i] ^= 1
		out[fmt.Sprintf("%s byte %d", name, i)] = joinSignature(head, changed, tail)
	}
	leaf := bytes.Index(signature, p.Certificate().Raw)
	for i := 60; i < len(p.Certificate().Raw); i += 97 {
		flip("certificate", leaf+i)
	}
	for i := 1; i < 256; i += 51 {
		flip("signature", len(signature)-i)
	}
	return out
}

// splitSignature cuts a message round the decoded signature.
func splitSignature(t testing.TB, raw []byte) (head, signature, tail []byte) {
	t.Helper()
	i := bytes.LastIndex(raw, []byte("smime.p7s\"\r\n\r\n"))
	if i < 0 {
		t.Fatal("the sample has no signature")
	}
	i += len("smime.p7s\"\r\n\r\n")
	j := i + bytes.Index(raw[i:], []byte("\r\n--"))
	text := strings.NewReplacer("\r", "", "\n", "").Replace(string(raw[i:j]))
	signature, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return raw[:i], signature, raw[j:]
}

func joinSignature(head, signature, tail []byte) []byte {
	var b bytes.Buffer
	b.Write(head)
	text := base64.StdEncoding.EncodeToString(signature)
	for len(text) > 76 {
		b.WriteString(text[:76] + "\r\n")
		text = text[76:]
	}
	b.WriteString(text + "\r\n")
	b.Write(tail)
	return b.Bytes()
}

// TestOpenSSLForms verifies what openssl signs in all the forms a signature may
// have, and the same with one letter changed.
func TestOpenSSLForms(t *testing.T) {
	ecdsaKey := func(c elliptic.Curve) func() (crypto.Signer, error) {
		return func() (crypto.Signer, error) { return ecdsa.GenerateKey(c, rand.Reader) }
	}
	rsa := newProvider(t, sample.Options{})
	forms := []struct {
		name string
		p    *sample.Provider
		args []string
		want pec.SignatureStatus
	}{
		{"rsa sha1", rsa, []string{"-md", "sha1"}, pec.SignatureValid},
		{"rsa sha224", rsa, []string{"-md", "sha224"}, pec.SignatureValid},
		{"rsa sha256", rsa, []string{"-md", "sha256"}, pec.SignatureValid},
		{"rsa sha384", rsa, []string{"-md", "sha384"}, pec.SignatureValid},
		{"rsa sha512", rsa, []string{"-md", "sha512"}, pec.SignatureValid},
		{"pss", rsa, []string{"-md", "sha256", "-keyopt", "rsa_padding_mode:pss"}, pec.SignatureValid},
		{"pss sha512", rsa, []string{"-md", "sha512", "-keyopt", "rsa_padding_mode:pss", "-keyopt", "rsa_pss_saltlen:20"}, pec.SignatureValid},
		{"no attributes", rsa, []string{"-noattr"}, pec.SignatureValid},
		{"indefinite lengths", rsa, []string{"-stream"}, pec.SignatureValid},
		{"opaque", rsa, []string{"-nodetach"}, pec.SignatureValid},
		{"opaque, indefinite lengths", rsa, []string{"-nodetach", "-stream"}, pec.SignatureValid},
		{"opaque, no attributes", rsa, []string{"-nodetach", "-noattr"}, pec.SignatureValid},
		{"CRLF line ends", rsa, []string{"-crlfeol"}, pec.SignatureValid},
		{"p256", newProvider(t, sample.Options{ECDSA: true}), nil, pec.SignatureValid},
		{"p384", newProvider(t, sample.Options{Key: ecdsaKey(elliptic.P384())}), []string{"-md", "sha384"}, pec.SignatureValid},
		{"p521", newProvider(t, sample.Options{Key: ecdsaKey(elliptic.P521())}), []string{"-md", "sha512"}, pec.SignatureValid},
		{"key identifier", newProvider(t, sample.Options{ECDSA: true, Leaf: func(c *x509.Certificate) { c.SubjectKeyId = []byte{1, 2, 3, 4} }}), []string{"-keyid"}, pec.SignatureValid},
		{"without certificate", rsa, []string{"-nocerts"}, pec.SignatureError},
	}
	for _, f := range forms {
		t.Run(f.name, func(t *testing.T) {
			raw := opensslSigns(t, f.p, f.args...)
			a := read(raw, f.p)
			if a.Signature.Status != f.want {
				t.Fatalf("status %s %q, want %s", a.Signature.Status, a.Signature.Problems, f.want)
			}
			ca := caFile(t, f.p)
			agree(t, "genuine", raw, f.p, ca)
			if a.Text != "perché signed" || len(a.Attachments) != 0 {
				t.Errorf("text %q, attachments %v", a.Text, a.Attachments)
			}
			agree(t, "altered", alter(t, raw), f.p, ca)
			if got := read(alter(t, raw), f.p).Signature.Status; got == pec.SignatureValid {
				t.Error("altered text is valid")
			}
		})
	}
}

const signedEntity = "Content-Type: text/plain; charset=utf-8\r\n\r\nperché signed\r\n"

// opensslSigns makes a message in the provider's name.
func opensslSigns(t testing.TB, p *sample.Provider, args ...string) []byte {
	t.Helper()
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "entity"), []byte(signedEntity))
	writeFile(t, filepath.Join(dir, "leaf.pem"), leafPEM(t, p))
	all := append([]string{"cms", "-sign", "-in", filepath.Join(dir, "entity"), "-signer", filepath.Join(dir, "leaf.pem"), "-out", filepath.Join(dir, "out")}, args...)
	if err := openssl(t, all...); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	head := "From: " + p.Address() + "\nDate: " + now.Format(time.RFC1123Z) + "\n"
	return append([]byte(head), raw...)
}

// leafPEM is the provider's certificate and key.
func leafPEM(t testing.TB, p *sample.Provider) []byte {
	t.Helper()
	all, err := p.MarshalPEM()
	if err != nil {
		t.Fatal(err)
	}
	_, rest := pem.Decode(all)
	_, rest = pem.Decode(rest)
	return rest
}

// alter changes one letter of the signed text, also where it is in base64.
func alter(t testing.TB, raw []byte) []byte {
	t.Helper()
	if bytes.Contains(raw, []byte("perch")) {
		return bytes.Replace(raw, []byte("perch"), []byte("Perch"), 1)
	}
	head, body, _ := bytes.Cut(raw, []byte("\n\n"))
	der, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(string(body), "\n", ""))
	if err != nil || !bytes.Contains(der, []byte("perch")) {
		t.Fatalf("nothing to alter: %v", err)
	}
	der = bytes.Replace(der, []byte("perch"), []byte("Perch"), 1)
	return fmt.Appendf(nil, "%s\n\n%s\n", head, wrap(base64.StdEncoding.EncodeToString(der)))
}

func wrap(s string) string {
	var b strings.Builder
	for len(s) > 64 {
		b.WriteString(s[:64] + "\n")
		s = s[64:]
	}
	return b.String() + s
}

// TestTwoSigners: both must fit and be trusted.
func TestTwoSigners(t *testing.T) {
	one, two := newProvider(t, sample.Options{ECDSA: true}), newProvider(t, sample.Options{ECDSA: true, Domain: "altro.example"})
	second := filepath.Join(t.TempDir(), "second.pem")
	writeFile(t, second, leafPEM(t, two))
	raw := opensslSigns(t, one, "-signer", second)
	both := filepath.Join(t.TempDir(), "both.pem")
	writeFile(t, both, append(one.CAPEM(), two.CAPEM()...))
	trust, err := pec.LoadTrust(anchors(both))
	if err != nil {
		t.Fatal(err)
	}
	a := pec.Read(context.Background(), bytes.NewReader(raw), int64(len(raw)), pec.Options{Trust: trust})
	if err := opensslVerifies(t, raw, both); err != nil || a.Signature.Status != pec.SignatureValid || a.Signature.Email != one.Address() {
		t.Errorf("with both anchors: we say %+v, openssl says %v", a.Signature, err)
	}
	if agree(t, "one anchor", raw, one, caFile(t, one)) {
		t.Error("valid although nobody trusts the second signer")
	}
	if agree(t, "altered", alter(t, raw), one, both) {
		t.Error("valid although altered")
	}
}

// TestLineEnds: S/MIME signs CRLF lines, so a message stored with LF is
// genuine, and a signature over LF bytes is not.
func TestLineEnds(t *testing.T) {
	p := theProvider()
	ca := caFile(t, p)
	mix, err := sample.Mix(p, 1, 5)
	if err != nil {
		t.Fatal(err)
	}
	lf := bytes.ReplaceAll(mix[0].Raw, []byte("\r\n"), []byte("\n"))
	if !agree(t, "LF only", lf, p, ca) {
		t.Error("a message stored with LF is not valid")
	}
	if a := read(lf, p); !slices.Contains(codes(a), pec.LineEndsChanged) {
		t.Errorf("warnings %v", codes(a))
	}
	binary, err := p.Sign([]string{"From: " + p.Address(), "X-Trasporto: posta-certificata"}, []byte("Content-Type: text/plain\r\n\r\na\nb\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	if agree(t, "signed LF", binary, p, ca) {
		t.Error("a signature over bare LF is valid")
	}
}
