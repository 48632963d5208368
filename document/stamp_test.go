package document

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// der is one element with what is in it.
func der(tag byte, parts ...[]byte) []byte {
	content := slices.Concat(parts...)
	n := len(content)
	head := []byte{tag, 0x83, byte(n >> 16), byte(n >> 8), byte(n)} // BER: the length need not be the shortest
	return append(head, content...)
}

// timeStamped is a .tsd (RFC 5544) round a file.
func timeStamped(t testing.TB, s *stamper, content []byte, name string, protected bool) []byte {
	t.Helper()
	id, err := asn1.Marshal(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 31})
	if err != nil {
		t.Fatal(err)
	}
	meta, stamped := []byte(nil), content
	if name != "" {
		meta, err = asn1.Marshal(struct {
			Protected bool
			Name      string `asn1:"utf8"`
		}{protected, name})
		if err != nil {
			t.Fatal(err)
		}
		if protected {
			stamped = slices.Concat(meta, content)
		}
	}
	token := s.token(t, stamped, signedAt)
	return der(0x30, id, der(0xa0, der(0x30, []byte{2, 1, 1}, meta, der(0x04, content), der(0xa0, der(0x30, token)))))
}

// A file with its time stamp: the file is opened, the stamp verified over it.
func TestTimeStampedFile(t *testing.T) {
	ca := newAuthority(t)
	p, s := ca.signer(t, newKey(t), nil), ca.stamper(t)
	signed := p.cades(t, pdfText)
	for name, c := range map[string]struct {
		tsd  []byte
		name string
		fits bool
	}{
		"plain":     {timeStamped(t, s, signed, "", false), "atto.pdf.p7m", true},
		"named":     {timeStamped(t, s, signed, "altro.pdf.p7m", false), "atto.pdf.p7m", true},
		"protected": {timeStamped(t, s, signed, "../altro.pdf.p7m", true), "altro.pdf.p7m", true},
		"changed":   {bytes.Replace(timeStamped(t, s, signed, "", false), []byte("Catalog"), []byte("Cataloc"), 1), "atto.pdf.p7m", false},
	} {
		facts := inspect(t, fileOf("atto.pdf.p7m.tsd", c.tsd), Options{Anchors: ca.pool})
		f := onlyFile(t, facts)
		if facts.Format != "tsd" || f.Name != c.name || f.Format != "p7m" || f.MediaType != "application/pkcs7-mime" || len(facts.Signatures) != 1 || len(facts.Warnings) > 0 {
			t.Fatalf("%s: %+v", name, facts)
		}
		got := facts.Signatures[0]
		if got.Fits != c.fits || *got.Trusted != c.fits || got.Kind != "timestamp" || (got.Stamp != nil) != c.fits || c.fits && (got.Signer != "Prova TSA" || len(got.Problems) > 0 || !got.Stamp.Time.Equal(signedAt)) {
			t.Errorf("%s: %+v", name, got)
		}
		if inner := onlyFile(t, f.Facts); inner.Name != f.Name[:len(f.Name)-4] || f.Signatures[0].Fits != c.fits {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

// Time stamps that are files, with and without what they are of.
func TestStampFiles(t *testing.T) {
	ca := newAuthority(t)
	s := ca.stamper(t)
	token := s.token(t, pdfText, signedAt)
	response := der(0x30, der(0x30, []byte{2, 1, 0}), token)
	beside, other := fileOf("x.pdf", pdfText), fileOf("x.pdf", []byte("x"))
	for name, c := range map[string]struct {
		b        []byte
		format   string
		beside   *Input
		fits     bool
		problems []string
	}{
		"token":            {token, "tst", &beside, true, nil},
		"response":         {response, "tsr", &beside, true, nil},
		"without its file": {token, "tst", nil, false, []string{NoContent}},
		"another file":     {token, "tst", &other, false, []string{Changed}},
	} {
		facts := inspect(t, fileOf("x.pdf.tsr", c.b), Options{Beside: c.beside, Anchors: ca.pool})
		if facts.Format != c.format || len(facts.Signatures) != 1 {
			t.Fatalf("%s: %+v", name, facts)
		}
		got := facts.Signatures[0]
		if got.Fits != c.fits || *got.Trusted != c.fits || !slices.Equal(got.Problems, append([]string{}, c.problems...)) || (got.Stamp == nil) != (name == "another file") {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if facts := inspect(t, fileOf("x.tsr", der(0x30, der(0x30, []byte{2, 1, 2}))), Options{}); facts.Format != "tsr" || !hasWarning(facts, Malformed) {
		t.Errorf("a refusal: %+v", facts)
	}
}

// An authority that may do other things as well stamps nothing, and its time
// does not count.
func TestStampAuthority(t *testing.T) {
	ca := newAuthority(t)
	s := ca.stamper(t)
	p := ca.signer(t, newKey(t), func(c *x509.Certificate) {
		c.Subject, c.KeyUsage = pkix.Name{CommonName: "Prova TSA"}, x509.KeyUsageDigitalSignature
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageTimeStamping, x509.ExtKeyUsageEmailProtection}
	})
	s.Key, s.Chain = p.key, []*x509.Certificate{p.leaf, ca.cert}
	signature := ca.signer(t, newKey(t), nil).cades(t, pdfText)
	got := inspect(t, fileOf("x.p7m", s.stamp(t, signature, signedAt)), Options{Anchors: ca.pool}).Signatures[0]
	if !got.Fits || got.Stamp != nil || !slices.Equal(got.Problems, []string{StampAuthority}) {
		t.Errorf("%+v", got)
	}
}

// What openssl stamps is read.
func TestOpenSSLStamp(t *testing.T) {
	ca := newAuthority(t)
	s := ca.stamper(t)
	p := &signatory{s.Key, s.Chain[0], ca}
	dir := t.TempDir()
	conf := filepath.Join(dir, "tsa.cnf")
	text := "[tsa]\ndefault_tsa=t\n[t]\nserial=" + dir + "/serial\nsigner_cert=cert.pem\ncerts=ca.pem\nsigner_key=key.pem\nsigner_digest=sha256\n" +
		"default_policy=1.2.3.4\ndigests=sha512\ness_cert_id_alg=sha256\n"
	for name, b := range map[string]string{conf: text, filepath.Join(dir, "serial"): "2F\n"} {
		if err := os.WriteFile(name, []byte(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	query := p.openssl(t, pdfText, "ts", "-query", "-data", "in", "-sha512", "-cert", "-out", "out")
	reply := p.openssl(t, query, "ts", "-reply", "-config", conf, "-queryfile", "in", "-out", "out")
	beside := fileOf("x.pdf", pdfText)
	facts := inspect(t, fileOf("x.pdf.tsr", reply), Options{Beside: &beside})
	if got := facts.Signatures[0]; facts.Format != "tsr" || !got.Fits || got.Stamp.Policy != "1.2.3.4" || got.Stamp.Serial != "30" {
		t.Errorf("%+v", facts)
	}
}
