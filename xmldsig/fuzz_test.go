package xmldsig_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/protodaemon/protodaemon/xmldsig"
)

// FuzzVerify: whatever is done to documents that one key signed, what fits and
// is covered under that key reads as it did when it was signed. The seeds in
// testdata were signed once by xmlsec1 with a key that is not kept.
func FuzzVerify(f *testing.F) {
	seeds, err := filepath.Glob("testdata/signed/*.xml")
	if err != nil || len(seeds) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	meanings := map[string]bool{}
	var pinned *x509.Certificate
	for _, name := range seeds {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		doc, s := verifyOne(f, data)
		if !s.Fits || pinned != nil && !s.Certificate.Equal(pinned) {
			f.Fatalf("%s: %+v", name, s)
		}
		pinned = s.Certificate
		for e := range all(doc.Root) {
			if s.Covers(e) {
				meanings[meaning(e)] = true
			}
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		doc, err := xmldsig.Parse(data, xmldsig.Limits{Bytes: 1 << 20})
		if err != nil {
			return
		}
		signatures, _ := doc.Verify()
		for i := range signatures {
			s := &signatures[i]
			if s.Fits != (s.Err == nil) || !s.Fits && (s.XAdES || s.Bound || s.Stamp != nil || len(s.Problems) == 0) {
				t.Fatalf("it contradicts itself: %+v", s)
			}
			if !s.Fits || !s.Certificate.Equal(pinned) {
				continue
			}
			for e := range all(doc.Root) {
				if s.Covers(e) && !meanings[meaning(e)] {
					t.Fatalf("covered, and never signed: %s", e.Path())
				}
			}
		}
	})
}

// all are an element and those below it.
func all(e *xmldsig.Element) func(func(*xmldsig.Element) bool) {
	return func(yield func(*xmldsig.Element) bool) { visit(e, yield) }
}

func visit(e *xmldsig.Element, yield func(*xmldsig.Element) bool) bool {
	if !yield(e) {
		return false
	}
	for c := range e.Elements() {
		if !visit(c, yield) {
			return false
		}
	}
	return true
}

// meaning is what a reader can learn of an element and what is below it but
// for signatures: names, attributes, texts.
func meaning(e *xmldsig.Element) string {
	h := sha256.New()
	var walk func(e *xmldsig.Element)
	walk = func(e *xmldsig.Element) {
		h.Write([]byte("<" + e.Space + " " + e.Local + "\x00" + e.Text() + "\x00"))
		for _, name := range []string{"Id", "q", "x"} {
			h.Write([]byte(e.Attr("", name) + "\x00"))
		}
		for c := range e.Elements() {
			if !c.Is(ds, "Signature") {
				walk(c)
			}
		}
		h.Write([]byte(">"))
	}
	walk(e)
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// TestEveryByte: a change of any byte of a covered element never fits, unless
// it reads the same.
func TestEveryByte(t *testing.T) {
	seeds, err := filepath.Glob("testdata/signed/*.xml")
	if err != nil || len(seeds) == 0 {
		t.Fatalf("no seeds: %v", err)
	}
	for _, name := range seeds {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		doc, s := verifyOne(t, data)
		covered := map[string]bool{}
		for e := range all(doc.Root) {
			if s.Covers(e) {
				covered[meaning(e)] = true
			}
		}
		for at := range data {
			for _, bit := range []byte{1, 0x20} {
				changed := bytes.Clone(data)
				changed[at] ^= bit
				doc, err := xmldsig.Parse(changed, xmldsig.Limits{})
				if err != nil {
					continue
				}
				signatures, _ := doc.Verify()
				for i := range signatures {
					for e := range all(doc.Root) {
						if signatures[i].Covers(e) && !covered[meaning(e)] {
							t.Fatalf("%s, byte %d (%q): %s still fits", name, at, strings.ToValidUTF8(string(changed[max(0, at-10):min(len(data), at+10)]), "?"), e.Path())
						}
					}
				}
			}
		}
	}
}
