package document

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/protodaemon/protodaemon/cms"
)

var pdfText = []byte("%PDF-1.7\n1 0 obj\n<</Type/Catalog>>\nendobj\ntrailer <</Root 1 0 R>>\n%%EOF\n")

func inspect(t testing.TB, in Input, o Options) Facts {
	t.Helper()
	facts := Inspect(t.Context(), in, o)
	checkFiles(t, in, o, facts.Files)
	return facts
}

// checkFiles: Open gives of every listed file exactly the bytes that have the
// listed digest.
func checkFiles(t testing.TB, in Input, o Options, files []File) {
	t.Helper()
	for _, f := range files {
		if f.SHA256 != "" {
			got, r, err := Open(t.Context(), in, f.Path, o)
			if err != nil {
				t.Errorf("Open %s: %v", f.Path, err)
				continue
			}
			h := sha256.New()
			n, err := io.Copy(h, r)
			if err != nil || n != f.Size || fmt.Sprintf("%x", h.Sum(nil)) != f.SHA256 || got.Name != f.Name || got.Path != f.Path {
				t.Errorf("Open %s gives %d bytes of %q, %v; listed is %+v", f.Path, n, got.Name, err, f)
			}
		}
		checkFiles(t, in, o, f.Files)
	}
}

func sha(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b)) }

// onlyFile is the one file in a file.
func onlyFile(t testing.TB, facts Facts) File {
	t.Helper()
	if len(facts.Files) != 1 {
		t.Fatalf("%d files: %+v", len(facts.Files), facts)
	}
	return facts.Files[0]
}

// Every form in which a signature round its content comes is opened.
func TestSignedFiles(t *testing.T) {
	ca := newAuthority(t)
	p := ca.signer(t, newKey(t), nil)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	holder := ca.signer(t, key, nil)
	large := append(slices.Clone(pdfText), bytes.Repeat([]byte("% riempitivo\n"), 40000)...)
	der := p.cades(t, large)
	b64 := base64.StdEncoding.EncodeToString(der)
	for name, c := range map[string]struct {
		content   []byte
		algorithm string
		kind      string
	}{
		"DER":            {der, "ECDSA-SHA256", "cades"},
		"BER":            {holder.sign(t, large, "-nodetach", "-stream", "-cades"), "SHA256-RSA", "cades"},
		"PSS":            {holder.sign(t, large, "-nodetach", "-keyopt", "rsa_padding_mode:pss", "-keyopt", "rsa_mgf1_md:sha1"), "SHA256-RSAPSS", "cms"},
		"P-384":          {ca.signer(t, p384, nil).sign(t, large, "-nodetach", "-stream", "-cades", "-md", "sha384"), "ECDSA-SHA384", "cades"},
		"PEM":            {holder.sign(t, large, "-nodetach", "-cades", "-outform", "PEM"), "SHA256-RSA", "cades"},
		"PEM, BER":       {holder.sign(t, large, "-nodetach", "-cades", "-outform", "PEM", "-stream"), "SHA256-RSA", "cades"},
		"base64":         {[]byte(b64), "ECDSA-SHA256", "cades"},
		"base64 lines":   {[]byte(strings.Join(slices.Collect(chunks(b64, 76)), "\r\n") + "\r\n"), "ECDSA-SHA256", "cades"},
		"base64 odd":     {[]byte("\n " + strings.Join(slices.Collect(chunks(strings.TrimRight(b64, "="), 61)), " \n")), "ECDSA-SHA256", "cades"},
		"followed by 0s": {append(slices.Clone(der), 0, 0, '\n'), "ECDSA-SHA256", "cades"},
	} {
		t.Run(name, func(t *testing.T) {
			facts := inspect(t, fileOf("delibera.pdf.p7m", c.content), Options{Anchors: ca.pool, At: signedAt})
			f := onlyFile(t, facts)
			if facts.Format != "p7m" || f.Name != "delibera.pdf" || f.MediaType != "application/pdf" || f.Format != "pdf" || f.Size != int64(len(large)) || f.SHA256 != sha(large) || len(facts.Warnings) > 0 {
				t.Errorf("%+v", facts)
			}
			if len(facts.Signatures) != 1 {
				t.Fatalf("%+v", facts.Signatures)
			}
			s := facts.Signatures[0]
			if !s.Fits || s.Kind != c.kind || s.Signer != "NERI ELENA" || s.TaxCode != "NRELNE80A41H501K" || s.Organization != "Ordine di Prova" ||
				s.Email != "elena@example.it" || s.Issuer != "Prova CA qualificata" || s.Algorithm != c.algorithm || s.Time == nil ||
				s.Trusted == nil || !*s.Trusted || !s.NotAfter.Equal(signedAt.AddDate(2, 0, 0)) || s.Stamp != nil {
				t.Errorf("%+v", s)
			}
			if want := map[bool][]string{true: {}, false: {NotBound}}[c.kind == "cades"]; !slices.Equal(s.Problems, want) {
				t.Errorf("problems %q", s.Problems)
			}
		})
	}
}

func chunks(s string, n int) func(func(string) bool) {
	return func(yield func(string) bool) {
		for c := range slices.Chunk([]byte(s), n) {
			if !yield(string(c)) {
				return
			}
		}
	}
}

// A changed byte of the content is seen whatever the form.
func TestChangedContent(t *testing.T) {
	ca := newAuthority(t)
	p := ca.signer(t, newKey(t), nil)
	for name, b := range map[string][]byte{"DER": p.cades(t, pdfText), "BER": p.sign(t, pdfText, "-nodetach", "-stream")} {
		changed := bytes.Replace(b, []byte("Catalog"), []byte("Cataloc"), 1)
		if bytes.Equal(changed, b) {
			t.Fatal("nothing was changed")
		}
		s := inspect(t, fileOf("x.p7m", changed), Options{Anchors: ca.pool}).Signatures
		if len(s) != 1 || s[0].Fits || *s[0].Trusted || !slices.Contains(s[0].Problems, Changed) || s[0].Signer != "NERI ELENA" {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

// Signatures in signatures are opened down to the depth, and no further.
func TestNestedSignatures(t *testing.T) {
	ca := newAuthority(t)
	content, name := pdfText, "atto.pdf"
	for n := range 7 {
		p := ca.signer(t, newKey(t), func(c *x509.Certificate) { c.Subject.CommonName = fmt.Sprint("FIRMATARIO ", n) })
		content, name = p.cades(t, content), name+".p7m"
		if n%2 == 1 { // and in base64 as well
			content = []byte(base64.StdEncoding.EncodeToString(content))
		}
	}
	facts := inspect(t, fileOf(name, content), Options{})
	for n := range 5 {
		if len(facts.Signatures) != 1 || !facts.Signatures[0].Fits || facts.Signatures[0].Signer != fmt.Sprint("FIRMATARIO ", 6-n) || facts.Signatures[0].Trusted != nil {
			t.Fatalf("%d: %+v", n, facts.Signatures)
		}
		f := onlyFile(t, facts)
		if f.Path != strings.TrimPrefix(strings.Repeat("~1", n+1), "~") || f.Name != "atto.pdf"+strings.Repeat(".p7m", 6-n) {
			t.Errorf("%q at %s", f.Name, f.Path)
		}
		facts = f.Facts
	}
	if facts.Files != nil || !hasWarning(facts, TooDeep) {
		t.Errorf("%+v", facts)
	}
	if _, _, err := Open(t.Context(), fileOf(name, content), "1~1~1~1~1~1", Options{}); err == nil {
		t.Error("what is too deep is opened")
	}
	for _, path := range []string{"", "0", "2", "-1", "1~", "~1", "1~2", "x", "1~1~1~1~1~1~1~1~1"} {
		if _, _, err := Open(t.Context(), fileOf(name, content), path, Options{}); err == nil {
			t.Errorf("%q is opened", path)
		}
	}
}

func hasWarning(f Facts, code string) bool {
	return slices.ContainsFunc(f.Warnings, func(w Warning) bool { return w.Code == code })
}

// What a signer's certificate says is told, and what speaks against it.
func TestSigners(t *testing.T) {
	ca := newAuthority(t)
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change   func(*x509.Certificate)
		weak     bool
		options  []string
		trusted  bool
		taxCode  string
		problems []string
	}{
		"qualified": {func(*x509.Certificate) {}, false, nil, true, "NRELNE80A41H501K", nil},
		"old style": {func(c *x509.Certificate) { c.Subject.SerialNumber = "IT:NRELNE80A41H501K" }, false, nil, true, "NRELNE80A41H501K", nil},
		"plain":     {func(c *x509.Certificate) { c.Subject.SerialNumber = "nrelne80a41h501k" }, false, nil, true, "NRELNE80A41H501K", nil},
		"card": {func(c *x509.Certificate) {
			c.Subject = pkix.Name{CommonName: "NRELNE80A41H501K/6090001234567890.abc="}
			c.KeyUsage = x509.KeyUsageDigitalSignature
		}, false, nil, true, "NRELNE80A41H501K", []string{KeyUsage}},
		"foreign":     {func(c *x509.Certificate) { c.Subject.SerialNumber = "PNODE-1234567" }, false, nil, true, "", nil},
		"expired":     {func(c *x509.Certificate) { c.NotAfter = signedAt.AddDate(0, 0, -1) }, false, nil, false, "NRELNE80A41H501K", []string{Expired}},
		"not yet":     {func(c *x509.Certificate) { c.NotBefore = signedAt.AddDate(0, 0, 1) }, false, nil, false, "NRELNE80A41H501K", []string{Expired}},
		"authority":   {func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true }, false, nil, true, "NRELNE80A41H501K", []string{AuthorityKey}},
		"short key":   {func(*x509.Certificate) {}, true, nil, true, "NRELNE80A41H501K", []string{WeakKey}},
		"SHA-1":       {func(*x509.Certificate) {}, false, []string{"-md", "sha1"}, true, "NRELNE80A41H501K", []string{WeakDigest, NotBound}},
		"no time":     {func(*x509.Certificate) {}, false, []string{"-noattr"}, true, "NRELNE80A41H501K", []string{NotBound}},
		"unknown CA":  {nil, false, nil, false, "NRELNE80A41H501K", []string{Untrusted}},
		"SHA-1 chain": {func(c *x509.Certificate) { c.SignatureAlgorithm = x509.ECDSAWithSHA1 }, false, nil, false, "NRELNE80A41H501K", []string{WeakCertificate, Untrusted}},
	} {
		t.Run(name, func(t *testing.T) {
			authority := ca
			if c.change == nil {
				authority = newAuthority(t)
			}
			p := authority.signer(t, newKey(t), c.change)
			if c.weak {
				p = authority.signer(t, weak, c.change)
			}
			p7m := p.cades(t, pdfText)
			if c.options != nil {
				p7m = p.sign(t, pdfText, append(c.options, "-nodetach")...)
			}
			s := inspect(t, fileOf("x.pdf.p7m", p7m), Options{Anchors: ca.pool, At: signedAt}).Signatures[0]
			if !s.Fits || *s.Trusted != c.trusted || s.TaxCode != c.taxCode || !slices.Equal(s.Problems, append([]string{}, c.problems...)) {
				t.Errorf("%+v", s)
			}
		})
	}
}

// Nothing says when: neither the signer nor the caller.
func TestTimeUnknown(t *testing.T) {
	ca := newAuthority(t)
	p7m := ca.signer(t, newKey(t), nil).sign(t, pdfText, "-nodetach", "-noattr")
	if s := inspect(t, fileOf("x", p7m), Options{Anchors: ca.pool}).Signatures[0]; !s.Fits || *s.Trusted || !slices.Contains(s.Problems, TimeUnknown) {
		t.Errorf("%+v", s)
	}
}

// A certificate that ran out before the file was sent: only a time stamp proves
// that the signature is older.
func TestExpiredSince(t *testing.T) {
	ca := newAuthority(t)
	p7m := ca.signer(t, newKey(t), func(c *x509.Certificate) { c.NotAfter = signedAt.Add(24 * time.Hour) }).cades(t, pdfText)
	o := Options{Anchors: ca.pool, At: signedAt.AddDate(0, 0, 30)}
	if s := inspect(t, fileOf("x.p7m", p7m), o).Signatures[0]; !*s.Trusted || !slices.Equal(s.Problems, []string{ExpiredSince}) {
		t.Errorf("%+v", s)
	}
	if s := inspect(t, fileOf("x.p7m", ca.stamper(t).stamp(t, p7m, signedAt)), o).Signatures[0]; !*s.Trusted || len(s.Problems) > 0 {
		t.Errorf("%+v", s)
	}
}

// A time stamp counts instead of what the signer says, if its authority is one.
func TestTimeStamps(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	before := func(c *x509.Certificate) { c.NotAfter = signedAt.Add(24 * time.Hour) }
	p := ca.signer(t, newKey(t), before)
	p7m := p.cades(t, pdfText)
	late := signedAt.Add(48 * time.Hour)
	wrong := ca.stamper(t)
	wrong.Chain[0] = ca.signer(t, newKey(t), nil).leaf
	wrong.Key = newKey(t)
	for name, c := range map[string]struct {
		p7m      []byte
		trusted  bool
		stamped  bool
		problems []string
	}{
		"in time":     {ca.stamper(t).stamp(t, p7m, signedAt.Add(time.Minute)), true, true, nil},
		"late":        {ca.stamper(t).stamp(t, p7m, late), false, true, []string{Expired}},
		"before":      {ca.stamper(t).stamp(t, p7m, signedAt.Add(-time.Hour)), true, true, []string{TimeAfterStamp}},
		"unknown TSA": {other.stamper(t).stamp(t, p7m, late), true, true, []string{StampUntrusted}},
		"another":     {transplant(t, p7m, ca.stamper(t).token(t, []byte("x"), signedAt)), true, false, []string{StampChanged}},
		"garbage":     {transplant(t, p7m, []byte("\x30\x03\x02\x01\x05")), true, false, []string{StampUnverified}},
	} {
		t.Run(name, func(t *testing.T) {
			s := inspect(t, fileOf("x.p7m", c.p7m), Options{Anchors: ca.pool}).Signatures[0]
			if !s.Fits || *s.Trusted != c.trusted || (s.Stamp != nil) != c.stamped || !slices.Equal(s.Problems, append([]string{}, c.problems...)) {
				t.Errorf("%+v", s)
			}
			if s.Stamp != nil && (s.Stamp.Authority != "Prova TSA" || s.Stamp.Policy != "1.2.3" || s.Stamp.Serial != "4711") {
				t.Errorf("%+v", s.Stamp)
			}
		})
	}
}

// transplant puts any token into a signature.
func transplant(t *testing.T, p7m, token []byte) []byte {
	t.Helper()
	out, err := cms.AddToken(p7m, token)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Several signers of one content are all told.
func TestParallelSigners(t *testing.T) {
	ca := newAuthority(t)
	one, two := ca.signer(t, newKey(t), nil), ca.signer(t, newKey(t), func(c *x509.Certificate) { c.Subject.CommonName = "VERDI UGO" })
	both := two.openssl(t, one.cades(t, pdfText), "cms", "-resign", "-inform", "DER", "-outform", "DER", "-in", "in", "-out", "out", "-signer", "cert.pem", "-inkey", "key.pem", "-cades")
	facts := inspect(t, fileOf("x.pdf.p7m", both), Options{Anchors: ca.pool})
	var names []string
	for _, s := range facts.Signatures {
		if !s.Fits || s.Kind != "cades" {
			t.Errorf("%+v", s)
		}
		names = append(names, s.Signer)
	}
	slices.Sort(names)
	if !slices.Equal(names, []string{"NERI ELENA", "VERDI UGO"}) {
		t.Errorf("%q", names)
	}
}

// A signature beside its file is verified over that file and over no other.
func TestDetached(t *testing.T) {
	ca := newAuthority(t)
	p := ca.signer(t, newKey(t), nil)
	p7s := p.sign(t, pdfText, "-cades")
	pemForm := pem.EncodeToMemory(&pem.Block{Type: "PKCS7", Bytes: p7s})
	beside, other := fileOf("x.pdf", pdfText), fileOf("x.pdf", []byte("x"))
	for name, c := range map[string]struct {
		content []byte
		beside  *Input
		problem string
	}{"right": {p7s, &beside, ""}, "PEM": {pemForm, &beside, ""}, "other": {p7s, &other, Changed}, "none": {p7s, nil, NoContent}} {
		facts := inspect(t, fileOf("x.pdf.p7s", c.content), Options{Beside: c.beside, Anchors: ca.pool})
		if facts.Format != "p7s" || facts.Files != nil || len(facts.Signatures) != 1 {
			t.Fatalf("%s: %+v", name, facts)
		}
		s := facts.Signatures[0]
		if s.Fits != (c.problem == "") || s.Signer != "NERI ELENA" || s.Kind != "cades" || s.Time == nil || c.problem != "" && !slices.Equal(s.Problems, []string{c.problem}) {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

func TestEncryptedAndBroken(t *testing.T) {
	ca := newAuthority(t)
	p := ca.signer(t, newKey(t), nil)
	whole := p.cades(t, pdfText)
	for name, c := range map[string]struct {
		b    []byte
		code string
	}{
		"encrypted": {p.openssl(t, pdfText, "cms", "-encrypt", "-binary", "-outform", "DER", "-in", "in", "-out", "out", "cert.pem"), Encrypted},
		"cut":       {whole[:len(whole)-10], Malformed},
		"deep":      {append(whole[:15:15], bytes.Repeat([]byte{0x30, 0x80}, 1000)...), TooLarge},
		"base64":    {[]byte(base64.StdEncoding.EncodeToString(whole)[:600] + "*"), Malformed},
		"text":      {[]byte(base64.StdEncoding.EncodeToString(whole) + "\n-- \nmario"), TrailingData},
		"trailing":  {append(slices.Clone(whole), "<script>"...), TrailingData},
	} {
		if facts := inspect(t, fileOf("x.p7m", c.b), Options{}); facts.Format != "p7m" || !hasWarning(facts, c.code) {
			t.Errorf("%s: %+v", name, facts)
		}
	}
}
