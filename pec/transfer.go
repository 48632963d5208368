package pec

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"io"
	"strings"
)

// identityCoded tells that a part's content stands as it is (RFC 2045 §6.2).
func identityCoded(p *part) bool {
	switch p.encoding() {
	case "base64", "quoted-printable":
		return false
	}
	return true
}

func (p *part) encoding() string {
	value, _ := cutParam(p.header.word("content-transfer-encoding"))
	return strings.TrimSpace(value)
}

// decoded streams the content of p without its transfer encoding. Malformed
// input never stops it: base64 skips what is not of its alphabet (RFC 2045
// §6.8), quoted-printable leaves as it is what it cannot read (§6.7).
func (p *part) decoded() io.Reader {
	r := bytes.NewReader(p.content())
	switch p.encoding() {
	case "base64":
		size := min(base64Chunk, len(p.content())+1)
		return &base64Reader{src: r, buf: make([]byte, size), dec: make([]byte, size)}
	case "quoted-printable":
		return &quotedReader{src: bufio.NewReaderSize(r, quotedMax)}
	}
	return r
}

// base64Chunk is how much is decoded at once.
const base64Chunk = 32 << 10

// base64Reader decodes leniently: padding ends a group, and what follows it
// goes on. A chunk that is clean goes through the standard library at its speed.
type base64Reader struct {
	src   io.Reader
	err   error
	buf   []byte
	keep  int // bytes in buf left over from the last read: an incomplete line
	carry []byte
	out   []byte // decoded, not yet read
	dec   []byte
}

func (r *base64Reader) Read(p []byte) (int, error) {
	for len(r.out) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		r.fill()
	}
	n := copy(p, r.out)
	r.out = r.out[n:]
	return n, nil
}

// fill decodes the next chunk, cut at a line end where there is one.
func (r *base64Reader) fill() {
	n, err := io.ReadFull(r.src, r.buf[r.keep:])
	chunk := r.buf[:r.keep+n]
	if err != nil {
		r.err, r.keep = io.EOF, 0
	} else {
		end := bytes.LastIndexByte(chunk, '\n') + 1
		if end == 0 {
			end = len(chunk)
		}
		r.keep = len(chunk) - end
		chunk = chunk[:end]
	}
	if len(r.carry) == 0 {
		if n, err := base64.StdEncoding.Decode(r.dec, chunk); err == nil {
			r.out = r.dec[:n]
			r.shift(len(chunk))
			return
		}
	}
	r.slow(chunk)
	r.shift(len(chunk))
}

// shift moves the incomplete line to the front.
func (r *base64Reader) shift(n int) { copy(r.buf, r.buf[n:n+r.keep]) }

// slow picks the alphabet out of chunk and decodes whole groups of four; an
// incomplete group is decoded at padding and at the end.
func (r *base64Reader) slow(chunk []byte) {
	clean := make([]byte, 0, len(r.carry)+len(chunk))
	clean = append(clean, r.carry...)
	var out []byte
	flush := func() {
		rest := len(clean) % 4
		if rest == 1 { // six bits are no byte
			clean = clean[:len(clean)-1]
		}
		out, _ = base64.RawStdEncoding.AppendDecode(out, clean)
		clean = clean[:0]
	}
	for _, c := range chunk {
		switch {
		case base64Alphabet[c]:
			clean = append(clean, c)
		case c == '=' && len(clean) > 0:
			flush()
		}
	}
	whole := len(clean) / 4 * 4
	rest := bytes.Clone(clean[whole:])
	if r.err != nil {
		flush()
		rest = nil
	} else {
		clean = clean[:whole]
		flush()
	}
	r.carry, r.out = rest, out
}

var base64Alphabet = func() (set [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") {
		set[c] = true
	}
	return set
}()

// quotedMax is the longest piece of a line that is decoded at once.
const quotedMax = 16 << 10

// quotedReader decodes quoted-printable line by line.
type quotedReader struct {
	src *bufio.Reader // buffers quotedMax
	out []byte        // decoded, not yet read
	buf []byte
}

func (r *quotedReader) Read(p []byte) (int, error) {
	for len(r.out) == 0 {
		piece, err := r.src.Peek(quotedMax)
		if len(piece) == 0 {
			return 0, err
		}
		if i := bytes.IndexByte(piece, '\n'); i >= 0 {
			piece = piece[:i+1]
		} else if err == nil {
			piece = piece[:wholeEscapes(piece)]
		}
		r.buf = appendQuoted(r.buf[:0], piece)
		r.out = r.buf
		_, _ = r.src.Discard(len(piece)) // cannot fail: it was peeked
	}
	n := copy(p, r.out)
	r.out = r.out[n:]
	return n, nil
}

// wholeEscapes is where an overlong line can be cut without cutting an escape
// or blanks that may stand before a line end.
func wholeEscapes(piece []byte) int {
	end := len(bytes.TrimRight(piece, " \t\r"))
	if i := bytes.LastIndexByte(piece[:end], '='); i >= 0 && i >= end-2 {
		end = i
	}
	if end == 0 {
		return len(piece)
	}
	return end
}

// appendQuoted decodes one line with its end. Blanks before the end were added
// in transport (RFC 2045 §6.7 rule 3); "=" at the end joins the next line.
func appendQuoted(out, line []byte) []byte {
	text := bytes.TrimRight(line, "\r\n")
	end := line[len(text):]
	if len(end) > 0 {
		text = bytes.TrimRight(text, " \t")
	}
	if soft, ok := bytes.CutSuffix(text, []byte("=")); ok {
		text, end = soft, nil
	}
	for i := 0; i < len(text); i++ {
		if text[i] == '=' && i+2 < len(text) && unhex(text[i+1]) >= 0 && unhex(text[i+2]) >= 0 {
			out = append(out, byte(unhex(text[i+1])<<4|unhex(text[i+2])))
			i += 2
			continue
		}
		out = append(out, text[i])
	}
	return append(out, end...)
}
