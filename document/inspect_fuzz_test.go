package document

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"testing"
)

// inspected holds what must be true of every inspection, whatever the file.
type inspected struct {
	in     Input
	o      Options
	signed map[string]bool // SHA-256 of what the tests' signers signed
	pdfs   [][]byte        // that they signed
	files  int
	size   int64 // of what was unpacked
	fit    int   // signatures
}

// file checks the facts of a file with these bytes; beside are the files in its
// folder.
func (c *inspected) file(t *testing.T, facts Facts, content []byte, beside []string) {
	t.Helper()
	var inside []string
	for _, f := range facts.Files {
		inside = append(inside, f.SHA256)
	}
	for _, s := range facts.Signatures {
		if !s.Fits {
			continue
		}
		c.fit++
		switch facts.Format {
		case "p7m", "tsd":
			if !c.signed[inside[0]] {
				t.Errorf("a signature fits %s, which nobody signed: %+v", inside[0], s)
			}
		case "p7s", "tst", "tsr":
			if !slices.ContainsFunc(beside, func(sum string) bool { return c.signed[sum] }) {
				t.Errorf("a signature fits, and what was signed is not beside it: %+v", s)
			}
		case "pdf":
			if !slices.ContainsFunc(c.pdfs, func(pdf []byte) bool { return sameSigned(content, pdf) }) {
				t.Errorf("a signature fits a PDF that nobody signed: %+v", s)
			}
		}
	}
	for _, f := range facts.Files {
		c.files++
		if f.Name == "" || f.Name != safeName(f.Name) {
			t.Errorf("the name %q", f.Name)
		}
		if f.SHA256 == "" {
			if f.Files != nil || f.Signatures != nil || f.Size > 0 && len(f.Warnings) == 0 {
				t.Errorf("not read, and nothing is said of it: %+v", f)
			}
			continue
		}
		c.size += f.Size
		got, r, err := Open(t.Context(), c.in, f.Path, c.o)
		if err != nil {
			t.Fatalf("%s: %v", f.Path, err)
		}
		b, err := io.ReadAll(r)
		if err != nil || fmt.Sprintf("%x", sha256.Sum256(b)) != f.SHA256 || int64(len(b)) != f.Size || got.Name != f.Name {
			t.Fatalf("%s: %d bytes of %d, %v", f.Path, len(b), f.Size, err)
		}
		c.file(t, f.Facts, b, inside)
	}
}

// sameSigned tells that a PDF is one that was signed, but for the room of the
// last signature, and goes on after it perhaps.
func sameSigned(pdf, signed []byte) bool {
	for at := range signed {
		if !bytes.HasPrefix(signed[at:], []byte("/Contents<0")) && !bytes.HasPrefix(signed[at:], []byte("/Contents<3")) {
			continue
		}
		gap := at + len("/Contents")
		resume := gap + 2 + 2*contentsSize
		end := resume + bytes.Index(signed[resume:], []byte("%%EOF\n")) + len("%%EOF\n")
		if len(pdf) >= end && bytes.Equal(pdf[:gap], signed[:gap]) && bytes.Equal(pdf[resume:end], signed[resume:end]) {
			return true
		}
	}
	return false
}

// FuzzInspect edits files of all forms in two places. Read twice, they say the
// same; what is listed is bounded, and Open gives exactly it; text is clean; no
// signature fits what was not signed.
func FuzzInspect(f *testing.F) {
	ca := newAuthority(f)
	p, s := ca.signer(f, newKey(f), nil), ca.stamper(f)
	text := []byte("<a>testo firmato</a>")
	p7m := s.stamp(f, p.cades(f, text), signedAt)
	p7s, ber := p.sign(f, text), p.sign(f, pdfText, "-nodetach", "-stream")
	pdf := p.pades(f, plainPDF(), 1)
	twice := p.pades(f, pdf, 2)
	token := s.token(f, text, signedAt)
	tsd := timeStamped(f, s, p7m, "x.p7m", false)
	record, err := os.ReadFile("testdata/fattura/IT00000000998_00001.xml")
	if err != nil {
		f.Fatal(err)
	}
	xml, err := os.ReadFile("../xmldsig/testdata/signed/xades.xml")
	if err != nil {
		f.Fatal(err)
	}
	archive := rawZip(packed("a/x.xml.p7m", p7m), packed("x.xml.p7s", p7s), stored("x.xml", string(text)), stored("x.xml.tst", string(token)), packed("y.pdf", pdf), packed("z.zip", []byte(rawZip(stored("b.p7m", string(ber))))))
	bases := [][]byte{
		p7m, ber, p7s, token, tsd, pdf, twice, xml, []byte(archive), sampleTNEF().attach("x.p7m", p7m).Bytes(),
		[]byte(base64.StdEncoding.EncodeToString(p7m)), p.sign(f, text, "-nodetach", "-outform", "PEM"), p.cades(f, p7m), p.cades(f, record),
		[]byte(event("SUMMARY:x")), der(0x30, der(0x30, []byte{2, 1, 0}), token),
	}
	c := inspected{o: Options{Anchors: ca.pool, At: signedAt, Limits: Limits{Depth: 4, Files: 12, Inflated: 1 << 20, Ratio: 50, Parsed: 64 << 10, Signers: 6}},
		signed: map[string]bool{sha(text): true, sha(p7m): true, sha(pdfText): true, sha(record): true}, pdfs: [][]byte{pdf, twice}}
	fits := 0
	for n, b := range bases {
		f.Add(uint8(n), uint16(0), uint16(0), []byte(nil), uint16(0), byte(0))
		f.Add(uint8(n), uint16(len(b)/2), uint16(1), []byte("x"), uint16(len(b)/3), byte(1))
		fits += len(Inspect(f.Context(), fileOf("x", b), c.o).Signatures)
	}
	if fits < 10 {
		f.Fatalf("the seeds have %d signatures", fits)
	}
	f.Fuzz(func(t *testing.T, base uint8, from, drop uint16, insert []byte, at uint16, flip byte) {
		b := bases[int(base)%len(bases)]
		start := int(from) % (len(b) + 1)
		b = slices.Concat(b[:start], insert, b[min(start+int(drop), len(b)):])
		if len(b) > 0 {
			b[int(at)%len(b)] ^= flip
		}
		in := fileOf("x.p7m", b)
		facts := Inspect(t.Context(), in, c.o)
		c := c // each counts for itself
		c.in = in
		c.file(t, facts, b, nil)
		checkText(t, reflect.ValueOf(facts), lineMax+200)
		if c.files > c.o.Limits.Files || c.fit > 2*c.o.Limits.Signers || c.size > c.o.Limits.Inflated+int64(c.o.Limits.Depth*len(b)) {
			t.Errorf("%d files of %d bytes, %d signatures in %d bytes", c.files, c.size, c.fit, len(b))
		}
		if first, again := asJSON(t, facts), asJSON(t, Inspect(t.Context(), in, c.o)); first != again {
			t.Errorf("read twice:\n%s\n%s", first, again)
		}
	})
}
