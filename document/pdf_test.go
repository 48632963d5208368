package document

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // of adbe.pkcs7.sha1
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// plainPDF is a page of text that may be signed.
func plainPDF() []byte {
	var b bytes.Buffer
	b.WriteString("%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
	objects := []string{
		"<</Type/Catalog/Pages 2 0 R>>",
		"<</Type/Pages/Kids[3 0 R]/Count 1>>",
		"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Resources<<>>>>",
		"<</Length 9>>\nstream\n0 0 m S Q\nendstream",
	}
	var at []int
	for i, o := range objects {
		at = append(at, b.Len())
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", i+1, o)
	}
	xref := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(at)+1)
	for _, n := range at {
		fmt.Fprintf(&b, "%010d 00000 n \n", n)
	}
	fmt.Fprintf(&b, "trailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n", len(at)+1, xref)
	return b.Bytes()
}

const contentsSize = 12000 // bytes of room for a signature

// revise appends a revision to a PDF with a signature dictionary, and signs the
// bytes round its Contents (ISO 32000-1 §12.8.1). n counts the revisions; entries
// are those of the dictionary, or all of it with {range} and {contents}.
func revise(pdf []byte, n int, entries string, sign func(signed []byte) []byte) []byte {
	b := bytes.NewBuffer(slices.Clone(pdf))
	previous := lastNumber(pdf)
	first := 5 + 2*(n-1)
	var fields strings.Builder
	for k := 1; k <= n; k++ {
		fmt.Fprintf(&fields, "%d 0 R ", 6+2*(k-1))
	}
	var at []int
	object := func(number int, text string) {
		at = append(at, b.Len())
		fmt.Fprintf(b, "%d 0 obj\n%s\nendobj\n", number, text)
	}
	object(1, "<</Type/Catalog/Pages 2 0 R/AcroForm<</SigFlags 3/Fields["+fields.String()+"]>>>>")
	if !strings.Contains(entries, "{range}") {
		entries = "<<" + entries + "{range}{contents}>>"
	}
	object(first, strings.NewReplacer("{range}", "/ByteRange [0 0000000000 0000000000 0000000000]",
		"{contents}", "/Contents<"+strings.Repeat("0", 2*contentsSize)+">").Replace(entries))
	object(first+1, fmt.Sprintf("<</Type/Annot/Subtype/Widget/FT/Sig/T(Firma %d)/V %d 0 R/Rect[0 0 0 0]/P 3 0 R/F 132>>", n, first))
	xref := b.Len()
	fmt.Fprintf(b, "xref\n1 1\n%010d 00000 n \n%d 2\n%010d 00000 n \n%010d 00000 n \n", at[0], first, at[1], at[2])
	fmt.Fprintf(b, "trailer\n<</Size %d/Root 1 0 R/Prev %d>>\nstartxref\n%d\n%%%%EOF\n", first+2, previous, xref)
	out := b.Bytes()
	gap := at[1] + bytes.Index(out[at[1]:], []byte("/Contents<")) + len("/Contents")
	resume := gap + 2 + 2*contentsSize
	numbers := fmt.Sprintf("[0 %010d %010d %010d]", gap, resume, len(out)-resume)
	copy(out[at[1]+bytes.Index(out[at[1]:], []byte("[0 0000000000")):], numbers)
	hex.Encode(out[gap+1:], sign(slices.Concat(out[:gap], out[resume:])))
	return out
}

// lastNumber is where the last cross-reference table of a PDF stands.
func lastNumber(pdf []byte) (n int) {
	_, rest, _ := strings.Cut(string(pdf[bytes.LastIndex(pdf, []byte("startxref")):]), "\n")
	if _, err := fmt.Sscan(rest, &n); err != nil {
		panic(err)
	}
	return n
}

const padesEntries = "/Type/Sig/Filter/Adobe.PPKLite/SubFilter/ETSI.CAdES.detached/M(D:20260310103000+01'00')/Reason(per \\(presa\\) visione)"

func (p *signatory) pades(t testing.TB, pdf []byte, n int) []byte {
	return revise(pdf, n, padesEntries, func(b []byte) []byte { return p.sign(t, b, "-cades", "-nosmimecap") })
}

// pdfsig is what poppler says of each signature: valid or not, whole or not.
func pdfsig(t testing.TB, pdf []byte) (valid, whole []bool) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.pdf")
	if err := os.WriteFile(path, pdf, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("pdfsig", "-nocert", path)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir()) // without anybody's certificates
	out, err := cmd.CombinedOutput()
	if _, failed := err.(*exec.ExitError); err != nil && !failed {
		t.Fatalf("pdfsig: %v (on Debian: apt-get install poppler-utils)", err)
	}
	for l := range strings.Lines(string(out)) {
		if _, said, ok := strings.Cut(l, "Signature Validation: "); ok {
			valid = append(valid, strings.TrimSpace(said) == "Signature is Valid.")
		}
		switch strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(l), "- ")) {
		case "Total document signed":
			whole = append(whole, true)
		case "Not total document signed":
			whole = append(whole, false)
		}
	}
	return valid, whole
}

// Who signed a PDF, how far, and that poppler says the same.
func TestSignedPDF(t *testing.T) {
	ca := newAuthority(t)
	key, err := rsa.GenerateKey(rand.Reader, 2048) // poppler 22 verifies no other keys
	if err != nil {
		t.Fatal(err)
	}
	one, two := ca.signer(t, key, nil), ca.signer(t, key, func(c *x509.Certificate) { c.Subject.CommonName = "VERDI UGO" })
	signed := one.pades(t, plainPDF(), 1)
	both := two.pades(t, signed, 2)
	appended := append(slices.Clone(both), "% in coda\n"...)
	changed := bytes.Replace(both, []byte("0 0 m S Q"), []byte("9 0 m S Q"), 1)
	for name, c := range map[string]struct {
		pdf   []byte
		fits  []bool
		whole []bool
	}{
		"unsigned": {plainPDF(), nil, nil},
		"one":      {signed, []bool{true}, []bool{true}},
		"two":      {both, []bool{true, true}, []bool{false, true}},
		"appended": {appended, []bool{true, true}, []bool{false, false}},
		"changed":  {changed, []bool{false, false}, nil},
	} {
		facts := inspect(t, fileOf("x.pdf", c.pdf), Options{Anchors: ca.pool})
		valid, total := pdfsig(t, c.pdf)
		if facts.Format != "pdf" || len(facts.Signatures) != len(c.fits) || !slices.Equal(valid, c.fits) {
			t.Fatalf("%s: %+v; poppler: %v", name, facts, valid)
		}
		for n, s := range facts.Signatures {
			if s.Fits != c.fits[n] || s.Kind != "pades" || s.Signer != []string{"NERI ELENA", "VERDI UGO"}[n] || s.Time == nil || *s.Trusted != s.Fits {
				t.Errorf("%s %d: %+v", name, n, s)
			}
			if s.Fits && (len(s.Problems) > 0 || s.Covers != map[bool]string{true: "whole", false: "part"}[c.whole[n]] || total[n] != c.whole[n]) {
				t.Errorf("%s %d: %+v; poppler: %v", name, n, s, total)
			}
			if !s.Fits && !slices.Equal(s.Problems, []string{Changed}) {
				t.Errorf("%s %d: %+v", name, n, s)
			}
		}
	}
}

// No byte of a signed PDF may change but the room behind the signature.
func TestNoByteOfAPDFMayChange(t *testing.T) {
	ca := newAuthority(t)
	pdf := ca.signer(t, newKey(t), nil).pades(t, plainPDF(), 1)
	gap := bytes.Index(pdf, []byte("/Contents<")) + len("/Contents")
	for n := range pdf {
		if n > gap && n <= gap+2*contentsSize && n%97 != 0 { // of the room a sample
			continue
		}
		changed := slices.Clone(pdf)
		changed[n] ^= 1
		for _, s := range Inspect(t.Context(), fileOf("x.pdf", changed), Options{}).Signatures {
			if s.Fits && (n <= gap || n > gap+2*contentsSize) {
				t.Errorf("byte %d (%q) changed: %+v", n, pdf[max(0, n-10):n+10], s)
			}
		}
	}
}

// Signatures of other kinds: the older ones, and document time stamps.
func TestPDFSubFilters(t *testing.T) {
	ca := newAuthority(t)
	p, tsa := ca.signer(t, newKey(t), nil), ca.stamper(t)
	entries := func(filter string) string {
		return "/Type/Sig/Filter/Adobe.PPKLite/M(D:20260310093000Z)/SubFilter/" + filter
	}
	for filter, c := range map[string]struct {
		sign     func(b []byte) []byte
		fits     bool
		problems []string
	}{
		"adbe.pkcs7.detached": {func(b []byte) []byte { return p.sign(t, b, "-noattr") }, true, []string{NotBound}},
		"adbe.pkcs7.sha1": {func(b []byte) []byte {
			digest := sha1.Sum(b)
			return p.sign(t, digest[:], "-nodetach")
		}, true, []string{WeakDigest, NotBound}},
		"ETSI.RFC3161":        {func(b []byte) []byte { return tsa.token(t, b, signedAt) }, true, nil},
		"adbe.x509.rsa_sha1":  {func(b []byte) []byte { return []byte("x") }, false, []string{Unsupported}},
		"ETSI.CAdES.detached": {func(b []byte) []byte { return []byte("nothing of the kind") }, false, []string{Damaged}},
	} {
		s := inspect(t, fileOf("x.pdf", revise(plainPDF(), 1, entries(filter), c.sign)), Options{}).Signatures
		if len(s) != 1 || s[0].Fits != c.fits || !slices.Equal(s[0].Problems, append([]string{}, c.problems...)) || c.fits && s[0].Covers != "whole" {
			t.Errorf("%s: %+v", filter, s)
			continue
		}
		if filter == "ETSI.RFC3161" && (s[0].Kind != "timestamp" || s[0].Stamp == nil || !s[0].Stamp.Time.Equal(signedAt)) {
			t.Errorf("%+v", s)
		}
	}
	// The SHA-1 of something else inside.
	if s := inspect(t, fileOf("x.pdf", revise(plainPDF(), 1, entries("adbe.pkcs7.sha1"), func([]byte) []byte { return p.sign(t, make([]byte, 20), "-nodetach") })), Options{}).Signatures; s[0].Fits {
		t.Errorf("%+v", s)
	}
}

// Dictionaries are written in many ways.
func TestPDFLayouts(t *testing.T) {
	ca := newAuthority(t)
	p := ca.signer(t, newKey(t), nil)
	const filter = "/SubFilter/ETSI.CAdES.detached"
	for name, c := range map[string]struct {
		dictionary string
		fits       bool
	}{
		"contents first": {"<</Type/Sig" + filter + "{contents}{range}>>", true},
		"spaces":         {"<< % commento >> \n/Type /Sig\r" + filter + "\t{range} \n {contents} /Name (A \\) ( B ) C) /X <41> >>", true},
		"nested":         {"<</FT/Sig/T(x)/V<</Type/Sig" + filter + "/Prop_Build<</App<</Name/X/R 131/REx[(a) 1 0 R]>>>>{range}{contents}/P 3 0 R>>/Ff 1>>", true},
		"array":          {"[<</Type/Sig" + filter + "{range}{contents}>>]", true},
		"other keys":     {"<</Type/Sig" + filter + "{range}/Content 1{contents}/ContentsX(y)/Reference[<</TransformMethod/DocMDP>>]>>", true},
		"two filters":    {"<</Type/Sig" + filter + filter + "{range}{contents}>>", false},
		"other object":   {"<</Type/Sig" + filter + "{range}>>\nendobj\n9 0 obj\n<<{contents}>>", false},
		"other nested":   {"<</Type/Sig" + filter + "{range}/X<<{contents}>>>>", false},
		"no key":         {"<</Type/Sig" + filter + "{range}/X[{contents}]>>", false},
		"in a string":    {"<</Type/Sig" + filter + "{range}/X({contents})>>", false},
		"deep":           {strings.Repeat("<</A", 40) + "<</Type/Sig" + filter + "{range}{contents}>>" + strings.Repeat(">>", 40), false},
	} {
		s := inspect(t, fileOf("x.pdf", revise(plainPDF(), 1, c.dictionary, func(b []byte) []byte { return p.sign(t, b, "-cades") })), Options{}).Signatures
		if len(s) != 1 || s[0].Fits != c.fits || !c.fits && !slices.Equal(s[0].Problems, []string{ByteRange}) {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

// What a ByteRange may not be: anything but all round the Contents of its own
// dictionary.
func TestHostileByteRanges(t *testing.T) {
	ca := newAuthority(t)
	pdf := ca.signer(t, newKey(t), nil).pades(t, plainPDF(), 1)
	at := bytes.Index(pdf, []byte("/ByteRange"))
	gap := bytes.Index(pdf, []byte("/Contents<")) + len("/Contents")
	resume := gap + 2 + 2*contentsSize
	for _, numbers := range []string{
		"", "0", "0 1 2", "0 1 2 3 4", "0 0 0 0", fmt.Sprintf("1 %d %d %d", gap-1, resume, len(pdf)-resume),
		fmt.Sprintf("0 %d %d %d", gap, resume, len(pdf)-resume+1), fmt.Sprintf("0 %d %d -1", gap, resume),
		fmt.Sprintf("0 %d %d 9223372036854775807", gap, resume), fmt.Sprintf("0 %d 9223372036854775807 1", gap),
		fmt.Sprintf("0 %d %d %d", gap+1, resume, len(pdf)-resume), fmt.Sprintf("0 %d %d %d", gap, resume-1, len(pdf)-resume),
		fmt.Sprintf("0 %d %d %d", gap-5, resume, len(pdf)-resume), fmt.Sprintf("0 %d %d %d", gap, resume+3, len(pdf)-resume-3),
		fmt.Sprintf("0 %d %d %d", resume, gap, len(pdf)-gap), "0 18446744073709551617 1 1", "a b c d", "0 10 20 1e3",
	} {
		changed := slices.Concat(pdf[:at], []byte("/ByteRange ["+numbers+"]"), pdf[at+len("/ByteRange [0 0000000000 0000000000 0000000000]"):])
		s := inspect(t, fileOf("x.pdf", changed), Options{}).Signatures
		if len(s) != 1 || s[0].Fits || !slices.Equal(s[0].Problems, []string{ByteRange}) {
			t.Errorf("%s: %+v", numbers, s)
		}
	}
	// A second ByteRange in the dictionary, before and behind the right one.
	for _, place := range []int{at, gap - len("/Contents")} {
		twice := slices.Concat(pdf[:place], []byte("/ByteRange [0 1 2 3]"), pdf[place:])
		for _, s := range inspect(t, fileOf("x.pdf", twice), Options{}).Signatures {
			if s.Fits {
				t.Errorf("%+v", s)
			}
		}
	}
}

// Thousands of places that look like signatures, all over one large file: the
// work is bounded and the facts say that they are partial.
func TestManyByteRanges(t *testing.T) {
	const size = 8 << 20
	line := fmt.Sprintf("1 0 obj<</Contents<00>/ByteRange [0 100 200 %d]>>\n", size-300)
	b := append([]byte("%PDF-1.7\n"), bytes.Repeat([]byte(line), size/len(line))...)
	facts := inspect(t, fileOf("x.pdf", b), Options{})
	if len(facts.Signatures) != DefaultLimits.Signers || !hasWarning(facts, TooMany) {
		t.Errorf("%d signatures, %+v", len(facts.Signatures), facts.Warnings)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if facts := Inspect(ctx, fileOf("x.pdf", b), Options{}); !hasWarning(facts, Interrupted) || len(facts.Signatures) > 0 {
		t.Errorf("%+v", facts)
	}
}

// Signatures are found across the pages that are read at once.
func TestPDFSignatureAcrossPages(t *testing.T) {
	ca := newAuthority(t)
	p := ca.signer(t, newKey(t), nil)
	for _, shift := range []int{-15, -11, -10, -9, -5, -1, 0, 1} {
		pdf := plainPDF()
		at := bytes.Index(revise(pdf, 1, padesEntries, func([]byte) []byte { return nil }), []byte("/ByteRange"))
		pad := pdfPage + shift - at
		padding := []byte("%" + strings.Repeat("x", pad) + "\xe2")
		padded := p.pades(t, bytes.Replace(pdf, []byte("%\xe2"), padding, 1), 1)
		if got := bytes.Index(padded, []byte("/ByteRange")); got != pdfPage+shift {
			t.Fatalf("at %d", got)
		}
		if s := inspect(t, fileOf("x.pdf", padded), Options{}).Signatures; len(s) != 1 || !s[0].Fits {
			t.Errorf("%d: %+v", shift, s)
		}
	}
}
