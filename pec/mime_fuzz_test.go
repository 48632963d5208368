package pec

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// FuzzWalk: the tree of any bytes is a tree of ranges that lie in each other and
// in their order, within the bounds, and it is the same however the document is
// read.
func FuzzWalk(f *testing.F) {
	for _, raw := range []string{
		"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n\r\nx\r\n--a\r\nContent-Type: message/rfc822\r\n\r\nSubject: y\r\n\r\nz\r\n--a--\r\nepilogue",
		"Content-Type: multipart/signed; boundary=\"a b\"\n\n--a b \n\nx\n--a b--",
		"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\nContent-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n--a--\r\n--a--",
		"Content-Type: multipart/mixed; boundary=a--\r\n\r\n--a--\r\n\r\nx\r\n--a----\r\n",
		"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\nX: y\r\n--b--", // headers that a delimiter cuts short
		"X: y\r\n continued\r\n--a\r\n\r\n", "\r\n", "", "--a", ":\r\n:\r\n \r\nx",
		"Content-Type: multipart/digest; boundary=d\r\n\r\n--d\r\n\r\nSubject: a\r\n\r\nb\r\n--d--",
		nestedWalk(12),
	} {
		f.Add([]byte(raw), byte(3))
	}
	f.Fuzz(func(t *testing.T, raw []byte, size byte) {
		limits := Limits{Parts: 60, Depth: 10, Header: 300}.orDefault()
		read := func(size int) (*source, []string) {
			var warned []string
			r := &reader{ctx: t.Context(), limits: limits, warn: func(code, _ string) { warned = append(warned, code) }}
			doc := r.walkBy(&source{src: bytes.NewReader(raw), size: len(raw)}, size)
			return doc, warned
		}
		whole, warned := read(len(raw) + 10)
		pieces, again := read(int(size))
		var a, b strings.Builder
		parts := drawTree(&a, whole.root, 0)
		drawTree(&b, pieces.root, 0)
		if a.String() != b.String() || fmt.Sprint(warned) != fmt.Sprint(again) {
			t.Errorf("in pieces of %d:\n%s%v\nwhole:\n%s%v", size, b.String(), again, a.String(), warned)
		}
		if parts > 2*limits.Parts+limits.Depth {
			t.Errorf("%d parts", parts)
		}
		checkRanges(t, whole.root, 0, len(raw), 0, limits.Depth)
	})
}

func nestedWalk(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
	}
	return b.String()
}

// drawTree writes a tree down and counts its parts.
func drawTree(b *strings.Builder, p *part, depth int) int {
	n := 1
	fmt.Fprintf(b, "%*s%s [%d %d %d) closed %v %q\n", depth, "", p.media, p.start, p.body, p.end, p.closed, p.header.fields)
	for _, c := range p.children {
		n += drawTree(b, c, depth+1)
	}
	if p.message != nil {
		n += drawTree(b, p.message, depth+1)
	}
	return n
}

// checkRanges: each part lies in the content of the one above, after the one
// before.
func checkRanges(t *testing.T, p *part, from, to, depth, most int) {
	if p.start < from || p.body < p.start || p.end < p.body || p.end > to || depth > most {
		t.Fatalf("[%d %d %d) in [%d, %d), depth %d", p.start, p.body, p.end, from, to, depth)
	}
	at := p.body
	for _, c := range p.children {
		checkRanges(t, c, at, p.end, depth+1, most)
		at = c.end
	}
	if p.message != nil {
		checkRanges(t, p.message, p.body, p.end, depth+1, most)
	}
}

// TestDelimiterKeepsItsLineEnd: the line end before a delimiter belongs to it,
// hence not to what is signed, also where it cuts a header short or follows
// another at once (RFC 2046 §5.1.1).
func TestDelimiterKeepsItsLineEnd(t *testing.T) {
	for part, want := range map[string]string{"X: y\r\n": "X: y", "X: y\r\n\r\nz\r\n": "X: y\r\n\r\nz", "X: y\n\nz\n": "X: y\n\nz", "": ""} {
		raw := "Content-Type: multipart/signed; boundary=a\r\n\r\n--a\r\n" + part + "--a\r\n\r\n--a--"
		r := &reader{ctx: t.Context(), limits: DefaultLimits, warn: func(string, string) {}}
		root := r.walk(&source{src: strings.NewReader(raw), size: len(raw)}).root
		if len(root.children) != 2 {
			t.Errorf("%q: %d parts", part, len(root.children))
			continue
		}
		if p := root.children[0]; raw[p.start:p.end] != want {
			t.Errorf("%q: the part is %q, want %q", part, raw[p.start:p.end], want)
		}
	}
}
