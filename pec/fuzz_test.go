package pec_test

import (
	"bytes"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/protodaemon/protodaemon/pec"
	"github.com/protodaemon/protodaemon/pec/sample"
)

// FuzzRead holds what must be true of every message there can be: reading it
// again says the same, the attachments' bytes are those of OpenPart, nothing
// is null, and it is certified only if a sample was and its signed part is
// whole.
func FuzzRead(f *testing.F) {
	p := theProvider()
	mix, err := sample.Mix(p, sample.Kinds(), 2)
	if err != nil {
		f.Fatal(err)
	}
	var signed [][]byte
	for _, m := range mix {
		if len(m.Raw) < 100<<10 {
			f.Add(m.Raw)
		}
		if m.Expect.Authenticity == pec.Certified || m.Expect.Authenticity == pec.Anomaly {
			for at := range m.Raw { // also those inside
				if bytes.HasPrefix(m.Raw[at:], []byte("Content-Type: multipart/signed")) {
					_, entity := cut(f, m.Raw[at:])
					signed = append(signed, entity)
				}
			}
		}
	}
	for _, raw := range []string{nestedMultiparts(60), "Content-Type: multipart/mixed; boundary=\"\"\r\n\r\n--\r\n\r\n----",
		"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nRnJvbTogYQ==", "From: a@b\r\nSubject: =?utf-8?Q?=C3?= =?utf-8?Q?=A9?=\r\n"} {
		f.Add([]byte(raw))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		a := read(raw, p)
		checkComplete(t, raw, a)
		first, _ := json.Marshal(a)
		again, _ := json.Marshal(read(raw, p))
		if !bytes.Equal(first, again) {
			t.Errorf("read twice:\n%s\n%s", first, again)
		}
		genuine := func(raw []byte) bool {
			return slices.ContainsFunc(signed, func(entity []byte) bool { return bytes.Contains(crlf(raw), crlf(entity)) })
		}
		if a.Authenticity == pec.Certified && !genuine(raw) {
			t.Error("certified, but no provider signed this")
		}
		for _, c := range a.Contained {
			if c.Authenticity == pec.Certified && !genuine(raw) && !genuine(partOf(t, raw, c.Part)) {
				t.Errorf("part %s is certified, but no provider signed it", c.Part)
			}
		}
	})
}

// partOf is the file that a contained message lies in, itself or one round it.
func partOf(t *testing.T, raw []byte, part string) []byte {
	for {
		if _, r, err := pec.OpenPart(t.Context(), bytes.NewReader(raw), int64(len(raw)), part); err == nil {
			b, err := io.ReadAll(r)
			if err != nil {
				t.Error(err)
			}
			return b
		}
		i := strings.LastIndexByte(part, '.')
		if i < 0 {
			return nil
		}
		part = part[:i]
	}
}

func crlf(b []byte) []byte {
	return bytes.ReplaceAll(bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n"))
}

// FuzzSignedPart changes one byte of the signed part of a genuine envelope; it
// is never certified again.
func FuzzSignedPart(f *testing.F) {
	p := theProvider()
	raw := genuine(f, p)
	_, entity := cut(f, raw)
	from := bytes.Index(raw, entity)
	for _, i := range []uint{0, 10, 60, 400, 900, 1500} {
		f.Add(i, byte(1))
		f.Add(i, byte('\r'))
	}
	f.Fuzz(func(t *testing.T, i uint, mask byte) {
		if mask == 0 {
			return
		}
		changed := bytes.Clone(raw)
		changed[from+int(i%uint(len(entity)))] ^= mask
		if a := read(changed, p); a.Authenticity == pec.Certified {
			t.Errorf("byte %d with mask %#x: still certified", i, mask)
		}
	})
}

// FuzzCMS mutates a genuine signature; it never fits content that nobody
// signed, and what cannot be verified is invalid or an error.
func FuzzCMS(f *testing.F) {
	raw := genuine(f, theProvider())
	_, signature, _ := splitSignature(f, raw)
	_, entity := cut(f, raw)
	if s := pec.CheckCMS(signature, entity); s != pec.SignatureValid {
		f.Fatalf("the genuine signature is %s", s)
	}
	f.Add(signature)
	f.Add([]byte("\x30\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02\xa0\x80\x30\x80\x02\x01\x01\x31\x00\x30\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01\x00\x00\x31\x00\x00\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, ber []byte) {
		switch s := pec.CheckCMS(ber, []byte("nobody signed this")); s {
		case pec.SignatureInvalid, pec.SignatureError:
		default:
			t.Errorf("content nobody signed is %s", s)
		}
	})
}
