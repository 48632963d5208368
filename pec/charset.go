package pec

import (
	"bytes"
	"encoding/binary"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// doubt is how sure the reading of some bytes as text is.
type doubt uint8

const (
	// sure: as declared, or UTF-8 by the bytes themselves, whatever was declared.
	sure doubt = iota
	// guessed: the bytes are not what was declared, or nothing was; what is shown
	// is the likeliest reading.
	guessed
	// unnamed: a charset was declared that nobody knows.
	unnamed
)

// toUTF8 converts b from the declared charset; known is false for one that
// nobody knows.
func toUTF8(b []byte, declared string) (text string, known bool) {
	text, d := readText(b, declared)
	return text, d != unnamed
}

// readText turns bytes into text, with the repairs of what programs usually
// declare wrongly. What is valid UTF-8 with characters beyond ASCII is UTF-8
// whatever was declared (a chance match is all but impossible); what is
// declared UTF-8 or ASCII and is not, or not declared, is windows-1252, the
// usual truth in Italy. The text is valid UTF-8; bytes without meaning stand in
// it as U+FFFD, and then it is never sure.
func readText(b []byte, declared string) (string, doubt) {
	if plainASCII(b) {
		return string(b), sure
	}
	if text, ok := readMarked(b); ok {
		return text, sure
	}
	c, known := charsetOf(declared)
	text, d := c.read(b)
	if !known {
		d = unnamed
	}
	return text, d
}

// repairUTF8 is readText for the raw bytes of a header, in which no charset is
// declared and UTF-16 cannot be.
func repairUTF8(s string) (string, doubt) {
	if utf8.ValidString(s) {
		return s, sure
	}
	return damagedUTF8([]byte(s)), guessed
}

// plainASCII tells that b means the same in every charset: ASCII without the
// bytes by which UTF-7, UTF-16, HZ and ISO 2022 leave it.
func plainASCII(b []byte) bool {
	if beyondASCII(b) {
		return false
	}
	for _, c := range []byte{0, 0x0e, 0x1b, '+', '~'} {
		if bytes.IndexByte(b, c) >= 0 {
			return false
		}
	}
	return true
}

// readMarked reads what a byte order mark at its beginning explains.
func readMarked(b []byte) (string, bool) {
	if rest, ok := bytes.CutPrefix(b, []byte("\xef\xbb\xbf")); ok && utf8.Valid(rest) {
		return string(rest), true
	}
	if bytes.IndexByte(b, 0) < 0 || len(b)%2 != 0 {
		return "", false
	}
	rest, big, ok := cutUTF16Mark(b)
	if !ok {
		return "", false
	}
	text, lost := decodeUTF16(rest, big)
	return text, !lost
}

// read converts bytes that are declared to be in c.
func (c charset) read(b []byte) (string, doubt) {
	switch c.form {
	case utf16Form:
		if wideText(b) {
			return readUTF16(b, c.name)
		}
	case utf7Form:
		if text, ok := decodeUTF7(b); ok {
			return text, sure
		}
	case statefulForm:
		if !beyondASCII(b) {
			return c.decode(b)
		}
	case multibyteForm: // some of its words are UTF-8 by chance
		if !utf8.Valid(b) || !allWestern(b) {
			return c.decode(b)
		}
	case singleForm:
		if !beyondASCII(b) || !utf8.Valid(b) || c.byChance(b) {
			return c.decode(b)
		}
	}
	if !utf8.Valid(b) {
		return damagedUTF8(b), guessed
	}
	if c.form == utf16Form || c.form == utf7Form || c.form == statefulForm {
		return string(b), guessed
	}
	return string(b), sure
}

// byChance tells that valid UTF-8 may well be text in a charset of single
// bytes: one or two pairs that give letters nobody here writes. The old charsets
// of Apple and IBM have letters where the second byte of UTF-8 is; elsewhere
// there are signs, of which few go after a capital ("PERCHÉ…").
func (c charset) byChance(b []byte) bool {
	table, ok := c.encoding.(*charmap.Charmap)
	if !ok || allWestern(b) {
		return false
	}
	pairs := 0
	for i, x := range b {
		if x < 0xc0 {
			continue
		}
		if pairs++; pairs > 2 || x >= 0xe0 {
			return false
		}
		r := table.DecodeByte(b[i+1])
		if controlC1(r) {
			r = windows1252(b[i+1])
		}
		if !unicode.IsLetter(r) && !strings.ContainsRune("…’”–—»°™\u00a0", r) {
			return false
		}
	}
	return true
}

func beyondASCII(b []byte) bool {
	for ; len(b) >= 8; b = b[8:] { // as utf8.Valid does
		if binary.LittleEndian.Uint64(b)&0x8080808080808080 != 0 {
			return true
		}
	}
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return true
		}
	}
	return false
}

// decode converts without a second thought. A byte that the charset does not
// use may be one of windows-1252 that slipped in; where there is none either it
// is lost.
func (c charset) decode(b []byte) (string, doubt) {
	table, ok := c.encoding.(*charmap.Charmap)
	if !ok {
		out, err := c.encoding.NewDecoder().Bytes(b)
		text := strings.ToValidUTF8(string(out), "\uFFFD")
		if err != nil || strings.ContainsRune(text, utf8.RuneError) {
			return text, guessed
		}
		return text, sure
	}
	var out strings.Builder
	out.Grow(len(b) + len(b)/8)
	d := sure
	for _, x := range b {
		if x < utf8.RuneSelf {
			out.WriteByte(x)
			continue
		}
		r := table.DecodeByte(x)
		if r == utf8.RuneError || controlC1(r) {
			d, r = guessed, windows1252(x)
		}
		out.WriteRune(r)
	}
	return out.String(), d
}

func controlC1(r rune) bool { return 0x80 <= r && r <= 0x9f }

// windows1252 is the character of one byte, U+FFFD for the five without one.
func windows1252(b byte) rune {
	if r := charmap.Windows1252.DecodeByte(b); !controlC1(r) {
		return r
	}
	return utf8.RuneError
}

// damagedUTF8 reads what is not quite UTF-8: as UTF-8 what cannot be anything
// else, and every other byte in windows-1252. A pair such as "É»" is UTF-8 by
// chance; where single bytes prevail only pairs of Latin-1 characters, which as
// windows-1252 would begin with "Â" or "Ã", are taken for UTF-8.
func damagedUTF8(b []byte) string {
	single, multi := 0, 0
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		switch {
		case n > 1:
			multi++
		case r == utf8.RuneError:
			single++
		}
		i += n
	}
	var out strings.Builder
	out.Grow(len(b) + single)
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if n == 2 && r > 0xff && single >= multi || r == utf8.RuneError && n == 1 {
			r, n = rune(b[i]), 1
			if b[i] >= utf8.RuneSelf {
				r = windows1252(b[i])
			}
		}
		out.WriteRune(r)
		i += n
	}
	return out.String()
}

// undouble undoes a second encoding in UTF-8 ("perchÃ©"): text whose characters
// beyond ASCII, written in windows-1252, are all of them UTF-8 again, and that
// of Western letters and signs. One character that is not leaves all as it is.
func undouble(s string) (string, bool) {
	if !strings.ContainsAny(s, "ÂÃâ") {
		return s, false
	}
	b := make([]byte, 0, len(s))
	for _, r := range s {
		x, ok := byte(r), r <= 0xff
		if r > 0xff {
			x, ok = charmap.Windows1252.EncodeRune(r)
		}
		if !ok {
			return s, false
		}
		b = append(b, x)
	}
	if !utf8.Valid(b) || !allWestern(b) {
		return s, false
	}
	return string(b), true
}

func allWestern(b []byte) bool {
	for _, r := range string(b) {
		if r >= utf8.RuneSelf && !western(r) {
			return false
		}
	}
	return true
}

// western are the letters of Latin-1 and the signs that typing in windows-1252
// gives.
func western(r rune) bool {
	return 0xa0 <= r && r <= 0xff || r == '€' || r == '…' || r == '•' || r == '™' || 0x2013 <= r && r <= 0x201e
}

// cutRune is the beginning of a character at the end of b whose rest a bound
// cut off.
func cutRune(b []byte) []byte {
	for i := 1; i < utf8.UTFMax && i <= len(b); i++ {
		tail := b[len(b)-i:]
		if utf8.RuneStart(tail[0]) {
			if tail[0] >= utf8.RuneSelf && !utf8.FullRune(tail) {
				return tail
			}
			break
		}
	}
	return nil
}
