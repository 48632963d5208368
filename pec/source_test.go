package pec

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"mime/quotedprintable"
	"strings"
	"testing"
)

// TestUnpackedIsReadAtAnyPlace: in whatever order places are asked for, they are
// those of the whole decoded content; also where the encoding is untidy.
func TestUnpackedIsReadAtAnyPlace(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	data := make([]byte, 5<<20)
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	tidy := lines76(base64.StdEncoding.EncodeToString(data))
	untidy := strings.ReplaceAll(tidy[:len(tidy)/2], "\r\n", "\r\n \r\n") + "!!" + tidy[len(tidy)/2:]
	var quoted bytes.Buffer
	w := quotedprintable.NewWriter(&quoted)
	w.Write(data[:1<<20])
	w.Close()
	for name, p := range map[string]*part{
		"base64":           encodedPart("base64", tidy),
		"untidy base64":    encodedPart("base64", untidy),
		"one line":         encodedPart("base64", base64.StdEncoding.EncodeToString(data)),
		"quoted-printable": encodedPart("quoted-printable", quoted.String()),
		"as it stands":     encodedPart("binary", string(data)),
		"empty":            encodedPart("base64", ""),
	} {
		t.Run(name, func(t *testing.T) {
			whole, err := io.ReadAll(p.decoded())
			if err != nil {
				t.Fatal(err)
			}
			src, size, _, err := p.unpack(t.Context())
			if err != nil || size != len(whole) {
				t.Fatalf("%d bytes, %v; the stream has %d", size, err, len(whole))
			}
			for i := range 60 {
				off := r.IntN(size + 1)
				if i == 0 {
					off = 0
				}
				b := make([]byte, r.IntN(100_000))
				n, err := src.ReadAt(b, int64(off))
				if want := whole[off:min(off+len(b), size)]; !bytes.Equal(b[:n], want) || (err != nil) != (n < len(b)) || err != nil && !errors.Is(err, io.EOF) {
					t.Fatalf("%d bytes at %d: %d, %v, equal %v", len(b), off, n, err, bytes.Equal(b[:n], want))
				}
			}
		})
	}
}

// TestJunkInBase64 is what makes a signature's encoding a changed one.
func TestJunkInBase64(t *testing.T) {
	for body, want := range map[string]bool{
		"QUJD\r\nREVG":   false,
		"QUI=":           false,
		"QQ==\r\n \t":    false,
		"QUJD\r\nREV*G":  true,
		"QUI=QUJD":       true,
		"QUJDR":          true,
		"QUJD\x00":       true,
		"--QUJD":         true,
		"QUJD\xc2\xa0QQ": true,
	} {
		_, _, junk, err := encodedPart("base64", body).unpack(t.Context())
		if err != nil || junk != want {
			t.Errorf("%q: junk %v, %v", body, junk, err)
		}
	}
}

// TestPassShowsEverySpanItsBytes: spans that overlap, touch, are empty or reach
// beyond the end.
func TestPassShowsEverySpanItsBytes(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	raw := make([]byte, 3*pieceSize+17)
	for i := range raw {
		raw[i] = byte(r.Uint32())
	}
	doc := &source{src: bytes.NewReader(raw), size: len(raw)}
	var spans []span
	var got []*bytes.Buffer
	add := func(from, to int) {
		got = append(got, new(bytes.Buffer))
		spans = append(spans, span{from, to, got[len(got)-1]})
	}
	add(0, len(raw))
	add(pieceSize, pieceSize)
	add(pieceSize-1, pieceSize+1)
	add(len(raw)-1, len(raw))
	for range 100 {
		from := r.IntN(len(raw))
		add(from, from+r.IntN(len(raw)-from)+1)
	}
	want := append([]span{}, spans...) // pass sorts
	if n, err := doc.pass(t.Context(), spans, nil); err != nil || n != len(raw) {
		t.Fatal(n, err)
	}
	for i, s := range want {
		if !bytes.Equal(got[i].Bytes(), raw[s.from:s.to]) {
			t.Errorf("[%d, %d): %d bytes of %d", s.from, s.to, got[i].Len(), s.to-s.from)
		}
	}
}

// TestCanonicalLines: however the content is cut, each line end is CRLF.
func TestCanonicalLines(t *testing.T) {
	for text, want := range map[string]string{
		"":                "",
		"a\r\nb\r\n":      "a\r\nb\r\n",
		"a\nb\n":          "a\r\nb\r\n",
		"\n\r\n\n":        "\r\n\r\n\r\n",
		"a\r\r\n\rb\nc\r": "a\r\r\n\rb\r\nc\r",
	} {
		for size := 1; size <= len(text)+1; size++ {
			var out bytes.Buffer
			c := canonicalLines{to: &out}
			for rest := []byte(text); len(rest) > 0; {
				n := min(size, len(rest))
				c.Write(rest[:n])
				rest = rest[n:]
			}
			if out.String() != want || c.changed != (text != want) {
				t.Errorf("%q in pieces of %d: %q, changed %v", text, size, out.String(), c.changed)
			}
		}
	}
}

// cutShort ends before the size that was announced, or fails.
type cutShort struct {
	io.ReaderAt
	at   int64
	fail error
}

func (c cutShort) ReadAt(b []byte, off int64) (int, error) {
	left := c.at - off
	if left <= 0 {
		return 0, c.fail
	}
	n, err := c.ReaderAt.ReadAt(b[:min(int64(len(b)), left)], off)
	if n < len(b) {
		err = c.fail
	}
	return n, err
}

// TestMessageThatCannotBeReadToItsEnd is analysed as far as it goes.
func TestMessageThatCannotBeReadToItsEnd(t *testing.T) {
	raw := "Subject: x\r\nContent-Type: multipart/mixed; boundary=B\r\n\r\n--B\r\n\r\ntesto\r\n--B\r\nContent-Type: application/pdf\r\n\r\n" +
		strings.Repeat("x", 3*pieceSize) + "\r\n--B--\r\n"
	for _, fail := range []error{io.EOF, errors.New("the disk is gone")} {
		for _, at := range []int{0, 5, 60, 70, len(raw) / 2, len(raw) - 3} {
			a := Read(t.Context(), cutShort{strings.NewReader(raw), int64(at), fail}, int64(len(raw)), Options{})
			if a.Size != int64(at) || len(a.Warnings) == 0 || a.Warnings[0].Code != MessageTruncated && a.Warnings[len(a.Warnings)-1].Code != MessageTruncated {
				t.Errorf("%d of %d bytes, %v: size %d, warnings %v", at, len(raw), fail, a.Size, a.Warnings)
			}
			if at >= 60 && a.Subject != "x" {
				t.Errorf("%d bytes: subject %q", at, a.Subject)
			}
		}
	}
}

// TestHeadersAreBoundedTogether: many headers that are each within their bound.
func TestHeadersAreBoundedTogether(t *testing.T) {
	var b strings.Builder
	b.WriteString("Content-Type: multipart/mixed; boundary=B\r\n\r\n")
	for i := range 200 {
		fmt.Fprintf(&b, "--B\r\nX-Long: %s\r\n\r\n%d\r\n", strings.Repeat("x", 200<<10), i)
	}
	raw := b.String()
	a := Read(t.Context(), strings.NewReader(raw), int64(len(raw)), Options{})
	for _, w := range a.Warnings {
		if w.Code == HeaderTooLong {
			return
		}
	}
	t.Errorf("warnings %v", a.Warnings)
}
