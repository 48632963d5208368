package pec

import (
	"bytes"
	"encoding/binary"
	"io"
	"slices"
	"strings"
)

// identityCoded tells that a part's content stands as it is (RFC 2045 §6.2).
func identityCoded(p *part) bool { return p.decoder() == nil }

func (p *part) encoding() string {
	value, _ := cutParam(p.header.word("content-transfer-encoding"))
	return strings.TrimSpace(value)
}

// decoder undoes a transfer encoding piece by piece. Malformed input never
// stops it: base64 skips what is not of its alphabet (RFC 2045 §6.8),
// quoted-printable leaves as it is what it cannot read (§6.7). What comes out
// does not depend on how the input is cut.
type decoder interface {
	// decode appends what src says.
	decode(dst, src []byte) []byte
	// end appends what is left when nothing follows.
	end(dst []byte) []byte
	// held is how much of the input, at its end, a new decoder would have to be
	// given again to go on the same; -1: that cannot be told.
	held() int
}

// decoder is that of the part's encoding; nil: the content stands as it is.
func (p *part) decoder() decoder {
	switch p.encoding() {
	case "base64":
		return &base64Decoder{}
	case "quoted-printable":
		return &quotedDecoder{}
	}
	return nil
}

// decoded streams the content of p without its transfer encoding.
func (p *part) decoded() io.Reader {
	d := p.decoder()
	if d == nil {
		return p.content()
	}
	return &decodingReader{src: p.content(), dec: d, in: make([]byte, min(pieceSize, p.end-p.body+1))}
}

// pieceSize is how much is read, hashed and decoded at once: it stays in the
// processor's cache meanwhile.
const pieceSize = 64 << 10

// decodingReader reads through a decoder.
type decodingReader struct {
	src     io.Reader
	dec     decoder
	err     error
	in, buf []byte
	out     []byte // decoded, not yet read
}

func (r *decodingReader) Read(p []byte) (int, error) {
	for len(r.out) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		n, err := r.src.Read(r.in)
		r.buf = r.dec.decode(r.buf[:0], r.in[:n])
		if err != nil {
			r.err = err
			r.buf = r.dec.end(r.buf)
		}
		r.out = r.buf
	}
	n := copy(p, r.out)
	r.out = r.out[n:]
	return n, nil
}

// base64Decoder decodes leniently: padding ends a group, and what follows it
// goes on.
type base64Decoder struct {
	group uint32 // as far as it is complete
	count int    // characters in it
	// junk tells that something stood there that does not belong: a character
	// outside the alphabet, data after padding, six bits that are no byte.
	junk   bool
	padded bool
}

// invalid marks a character outside the alphabet in base64Shifted.
const invalid = 0xff000000

// base64Shifted holds each character's six bits at the four places of a group.
var base64Shifted = func() (t [4][256]uint32) {
	for place := range t {
		for c := range t[place] {
			t[place][c] = invalid
		}
		for v, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") {
			t[place][c] = uint32(v) << (18 - 6*place)
		}
	}
	return t
}()

func (d *base64Decoder) decode(dst, src []byte) []byte {
	dst = slices.Grow(dst, len(src)/4*3+8)
	for i := 0; i < len(src); i++ {
		if d.count == 0 && !d.padded {
			var used int
			dst, used = base64Groups(dst, src[i:])
			if i += used; i == len(src) {
				break
			}
		}
		c := src[i]
		v := base64Shifted[3][c]
		switch {
		case v != invalid:
			d.junk = d.junk || d.padded
			d.padded = false
			d.group, d.count = d.group<<6|v, d.count+1
			if d.count == 4 {
				dst = append(dst, byte(d.group>>16), byte(d.group>>8), byte(d.group))
				d.group, d.count = 0, 0
			}
		case c == '=':
			dst = d.flush(dst)
			d.padded = true
		case c != '\r' && c != '\n' && c != ' ' && c != '\t':
			d.junk = true
		}
	}
	return dst
}

// base64Groups decodes whole groups and skips line ends, as far as nothing else
// stands between them. dst has room for all of it.
func base64Groups(dst, src []byte) ([]byte, int) {
	t := &base64Shifted
	out := dst[:cap(dst)]
	n, i := len(dst), 0
	for i+8 <= len(src) && n+8 <= len(out) {
		s := src[i : i+8 : i+8]
		v := t[0][s[0]] | t[1][s[1]] | t[2][s[2]] | t[3][s[3]]
		w := t[0][s[4]] | t[1][s[5]] | t[2][s[6]] | t[3][s[7]]
		switch {
		case (v|w)&invalid == 0:
			binary.BigEndian.PutUint64(out[n:], uint64(v)<<40|uint64(w)<<16)
			n += 6
			i += 8
		case v&invalid == 0:
			out[n], out[n+1], out[n+2] = byte(v>>16), byte(v>>8), byte(v)
			n += 3
			i += 4
		case s[0] == '\r' || s[0] == '\n':
			i++
		default:
			return out[:n], i
		}
	}
	return out[:n], i
}

// flush decodes an incomplete group.
func (d *base64Decoder) flush(dst []byte) []byte {
	switch d.count {
	case 1: // six bits are no byte
		d.junk = true
	case 2:
		dst = append(dst, byte(d.group>>4))
	case 3:
		dst = append(dst, byte(d.group>>10), byte(d.group>>2))
	}
	d.group, d.count = 0, 0
	return dst
}

func (d *base64Decoder) end(dst []byte) []byte { return d.flush(dst) }

func (d *base64Decoder) held() int {
	if d.count == 0 && !d.padded {
		return 0
	}
	return -1
}

// quotedMax is the longest piece of a line that is decoded at once.
const quotedMax = 16 << 10

// quotedDecoder decodes quoted-printable line by line.
type quotedDecoder struct {
	line []byte // as far as it is complete, at most quotedMax
}

func (d *quotedDecoder) decode(dst, src []byte) []byte {
	for len(src) > 0 {
		n := bytes.IndexByte(src, '\n') + 1
		if n > 0 && len(d.line)+n <= quotedMax {
			if len(d.line) == 0 {
				dst = appendQuoted(dst, src[:n])
			} else {
				d.line = append(d.line, src[:n]...)
				dst = appendQuoted(dst, d.line)
				d.line = d.line[:0]
			}
			src = src[n:]
			continue
		}
		n = min(len(src), quotedMax-len(d.line))
		d.line = append(d.line, src[:n]...)
		src = src[n:]
		if len(d.line) == quotedMax {
			cut := wholeEscapes(d.line)
			dst = appendQuoted(dst, d.line[:cut])
			d.line = d.line[:copy(d.line, d.line[cut:])]
		}
	}
	return dst
}

func (d *quotedDecoder) end(dst []byte) []byte {
	dst = appendQuoted(dst, d.line)
	d.line = d.line[:0]
	return dst
}

func (d *quotedDecoder) held() int { return len(d.line) }

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
	for len(text) > 0 {
		if text[0] != '=' {
			n := bytes.IndexByte(text, '=')
			if n < 0 {
				n = len(text)
			}
			out, text = append(out, text[:n]...), text[n:]
			continue
		}
		if len(text) > 2 {
			if hi, lo := unhex(text[1]), unhex(text[2]); hi >= 0 && lo >= 0 {
				out, text = append(out, byte(hi<<4|lo)), text[3:]
				continue
			}
		}
		out, text = append(out, '='), text[1:]
	}
	return append(out, end...)
}
