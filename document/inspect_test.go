package document

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
)

// A signature in an archive is about the file beside it.
func TestDetachedInArchive(t *testing.T) {
	ca := newAuthority(t)
	p7s := ca.signer(t, newKey(t), nil).sign(t, pdfText, "-cades")
	token := ca.stamper(t).token(t, pdfText, signedAt)
	facts := inspect(t, input("x.zip", rawZip(
		packed("a/x.pdf.p7s", p7s), packed("a/x.pdf", pdfText), stored("a/x.pdf.tst", string(token)),
		stored("b/x.pdf.p7s", string(p7s)), stored("b/x.pdf", "un'altra cosa"), packed("c/x.pdf.p7s", p7s),
	)), Options{Anchors: ca.pool})
	var got []string
	for _, f := range facts.Files {
		for _, s := range f.Signatures {
			got = append(got, fmt.Sprint(f.Folder, " ", s.Kind, " ", s.Fits, " ", s.Problems))
		}
	}
	want := []string{"a cades true []", "a timestamp true []", "b cades false [changed]", "c cades false [content-missing]"}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// noise are bytes that do not pack.
func noise(n int) []byte {
	b := make([]byte, n)
	if _, err := rand.NewChaCha8([32]byte{}).Read(b); err != nil {
		panic(err)
	}
	return b
}

// A packed file that is too large to be held is unpacked as often as it takes,
// within its bound, and says the same.
func TestPackedFileLargerThanMemory(t *testing.T) {
	ca := newAuthority(t)
	content := append(slices.Clone(pdfText), noise(heldMax+100_000)...)
	archive := rawZip(packed("x.pdf.p7m", ca.signer(t, newKey(t), nil).sign(t, content, "-nodetach", "-stream")))
	facts := inspect(t, input("x.zip", archive), Options{Anchors: ca.pool})
	f := onlyFile(t, onlyFile(t, facts).Facts)
	if s := facts.Files[0].Signatures; len(s) != 1 || !s[0].Fits || f.SHA256 != sha(content) || f.Format != "pdf" {
		t.Errorf("%+v", facts)
	}
	facts = inspect(t, input("x.zip", archive), Options{Limits: Limits{Inflated: heldMax}})
	if f := onlyFile(t, facts); f.SHA256 != "" || !hasWarning(f.Facts, NotUnpacked) || f.Files != nil {
		t.Errorf("%+v", facts)
	}
}

// All depths share the bounds.
func TestSharedBounds(t *testing.T) {
	ca := newAuthority(t)
	p7m := ca.signer(t, newKey(t), nil).cades(t, pdfText)
	var inner, outer []rawEntry
	for n := range 5 {
		inner = append(inner, packed(fmt.Sprint(n, ".pdf.p7m"), p7m))
	}
	for n := range 5 {
		outer = append(outer, packed(fmt.Sprint(n, ".zip"), []byte(rawZip(inner...))))
	}
	archive := rawZip(outer...)
	count := func(o Options) (files, hashed, signatures int, codes []string) {
		for _, f := range allFiles(inspect(t, input("x.zip", archive), o).Files) {
			files++
			signatures += len(f.Signatures)
			if f.SHA256 != "" {
				hashed++
			}
			for _, w := range f.Warnings {
				if !slices.Contains(codes, w.Code) {
					codes = append(codes, w.Code)
				}
			}
		}
		return files, hashed, signatures, codes
	}
	if files, hashed, signatures, codes := count(Options{}); files != 55 || hashed != 55 || signatures != 25 || codes != nil {
		t.Errorf("%d %d %d %q", files, hashed, signatures, codes)
	}
	if files, _, signatures, codes := count(Options{Limits: Limits{Files: 30}}); files != 30 || signatures > 25 || !slices.Equal(codes, []string{TooMany}) {
		t.Errorf("%d %d %q", files, signatures, codes)
	}
	if _, _, signatures, codes := count(Options{Limits: Limits{Signers: 7}}); signatures != 7 || !slices.Equal(codes, []string{TooMany}) {
		t.Errorf("%d %q", signatures, codes)
	}
	if files, hashed, _, codes := count(Options{Limits: Limits{Inflated: int64(len(archive))}}); files == hashed || hashed == 0 || !slices.Contains(codes, NotUnpacked) {
		t.Errorf("%d %d %q", files, hashed, codes)
	}
	if files, _, signatures, codes := count(Options{Limits: Limits{Depth: 1}}); files != 5 || signatures != 0 || !slices.Equal(codes, []string{TooDeep}) {
		t.Errorf("%d %d %q", files, signatures, codes)
	}
}

// Bounds of less than nothing let nothing through.
func TestNegativeLimits(t *testing.T) {
	ca := newAuthority(t)
	p7m := ca.signer(t, newKey(t), nil).cades(t, pdfText)
	for _, b := range []string{rawZip(packed("x.p7m", p7m)), string(p7m), "<a/>", event("SUMMARY:x"), sampleTNEF().String()} {
		facts := inspect(t, input("x", b), Options{Limits: Limits{-1, -1, -1, -1, -1, -1}})
		if len(facts.Files) > 0 || len(facts.Signatures) > 0 {
			t.Errorf("%+v", facts)
		}
	}
}

// A PDF with more signatures than its bytes are read for says so.
func TestDigestsAreBounded(t *testing.T) {
	ca := newAuthority(t)
	p := ca.signer(t, newKey(t), nil)
	pdf := plainPDF()
	for n := 1; n <= passes+4; n++ {
		pdf = p.pades(t, pdf, n)
	}
	facts := inspect(t, fileOf("x.pdf", pdf), Options{Limits: Limits{Inflated: -1}})
	if len(facts.Signatures) != passes+4 || hasWarning(facts, NotRead) {
		t.Errorf("%d signatures, %+v", len(facts.Signatures), facts.Warnings) // together they cover half of passes times the file
	}
	// All over all of it.
	pdf = bytes.Replace(plainPDF(), []byte("%\xe2"), []byte("%"+strings.Repeat("x", 1<<20)+"\xe2"), 1)
	signed := revise(pdf, 1, padesEntries, func(b []byte) []byte { return p.sign(t, b, "-cades") })
	i := newInspector(t.Context(), fileOf("x.pdf", signed), Options{Limits: Limits{Inflated: -1}})
	var r reading
	for range passes + 1 {
		i.pdfSignatures(&r, fileOf("x.pdf", signed))
	}
	if last := r.Signatures[passes]; last.Fits || !slices.Equal(last.Problems, []string{NoContent}) || !hasWarning(r.Facts, NotRead) || !r.Signatures[0].Fits {
		t.Errorf("%+v, %+v", last, r.Warnings)
	}
}

// broken fails from a place on.
type broken struct {
	io.ReaderAt
	from int64
}

func (b broken) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > b.from {
		return 0, errors.New("input/output error")
	}
	return b.ReaderAt.ReadAt(p, off)
}

// What cannot be read is a warning, of the file that it concerns.
func TestUnreadable(t *testing.T) {
	ca := newAuthority(t)
	p7m := ca.signer(t, newKey(t), nil).cades(t, append(slices.Clone(pdfText), noise(200_000)...))
	archive := []byte(rawZip(stored("x.pdf.p7m", string(p7m))))
	for name, b := range map[string][]byte{"p7m": p7m, "zip": archive, "xml": []byte(strings.Repeat("<a>", 100_000)), "ics": []byte(event("SUMMARY:x\n" + strings.Repeat("X:y\n", 50_000)))} {
		for _, from := range []int64{0, 100, 50_000} {
			in := Input{Name: "x", Content: broken{bytes.NewReader(b), from}, Size: int64(len(b))}
			facts := Inspect(t.Context(), in, Options{})
			warned := len(facts.Warnings) > 0
			for _, f := range allFiles(facts.Files) {
				warned = warned || len(f.Warnings) > 0
			}
			for _, s := range facts.Signatures {
				if s.Fits {
					t.Errorf("%s from %d: %+v", name, from, s)
				}
			}
			if !warned {
				t.Errorf("%s from %d: %+v", name, from, facts)
			}
		}
	}
	flipped := slices.Clone(archive)
	flipped[len(flipped)/2] ^= 1
	if f := onlyFile(t, inspect(t, fileOf("x.zip", flipped), Options{})); f.Signatures[0].Fits {
		t.Errorf("%+v", f)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if facts := Inspect(ctx, fileOf("x.zip", archive), Options{}); !hasWarning(facts, Interrupted) {
		t.Errorf("%+v", facts)
	}
}

// An XML tells its signatures, and how far they go.
func TestSignedXML(t *testing.T) {
	for name, want := range map[string]string{
		"xades.xml": "xades true whole", "whole.xml": "xmldsig true whole", "part.xml": "xmldsig true part",
	} {
		b, err := os.ReadFile("../xmldsig/testdata/signed/" + name)
		if err != nil {
			t.Fatal(err)
		}
		facts := inspect(t, fileOf(name, b), Options{})
		if len(facts.Signatures) != 1 || facts.Format != "xml" {
			t.Fatalf("%s: %+v", name, facts)
		}
		if s := facts.Signatures[0]; fmt.Sprint(s.Kind, " ", s.Fits, " ", s.Covers) != want || s.Signer == "" {
			t.Errorf("%s: %+v", name, s)
		}
	}
	if facts := inspect(t, input("x.xml", `<!DOCTYPE a><a xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:Signature/></a>`), Options{}); !hasWarning(facts, SignaturesUnread) {
		t.Errorf("%+v", facts)
	}
	xades, err := os.ReadFile("../xmldsig/testdata/signed/xades.xml")
	if err != nil {
		t.Fatal(err)
	}
	if facts := inspect(t, fileOf("x.xml", xades), Options{Limits: Limits{Parsed: 1000}}); !hasWarning(facts, SignaturesUnread) {
		t.Errorf("%+v", facts)
	}
}

// Formats are told by content, whatever the name says.
func TestFormats(t *testing.T) {
	ca := newAuthority(t)
	p := ca.signer(t, newKey(t), nil)
	for want, b := range map[string]string{
		"": "testo", "pdf": "\r\n%PDF-1.4", "zip": rawZip(stored("a", "b")), "7z": "7z\xbc\xaf\x27\x1c", "rar": "Rar!\x1a\x07\x00",
		"xml": "\ufeff<?xml version='1.0'?><a/>", "ics": event("SUMMARY:x"), "p7m": string(p.cades(t, pdfText)), "p7s": string(p.sign(t, pdfText)),
		"tnef": sampleTNEF().String(), "tst": string(ca.stamper(t).token(t, nil, signedAt)),
	} {
		for _, name := range []string{"", "x.pdf", "x.p7m", "x.xml"} {
			if got := inspect(t, input(name, b), Options{}).Format; got != want {
				t.Errorf("%q as %q: %q", want, name, got)
			}
		}
	}
	// What begins like a signature and is none: a certificate, a key, a PKCS#12.
	key := p.openssl(t, nil, "pkey", "-in", "key.pem", "-outform", "DER", "-out", "out")
	p12 := p.openssl(t, nil, "pkcs12", "-export", "-in", "cert.pem", "-inkey", "key.pem", "-passout", "pass:", "-out", "out")
	for _, b := range [][]byte{p.leaf.Raw, key, p12, nil, []byte("MII"), []byte("MIAGCSqGSIb3")} {
		if facts := inspect(t, fileOf("x.p7m", b), Options{}); facts.Format != "" || len(facts.Warnings) > 0 {
			t.Errorf("%.20x: %+v", b, facts)
		}
	}
}
