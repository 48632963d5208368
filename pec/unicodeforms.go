package pec

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// wideText tells that bytes declared UTF-16 are: that text always has zero
// bytes or bytes no UTF-8 text has, and an even number of bytes.
func wideText(b []byte) bool {
	if len(b)%2 != 0 {
		return false
	}
	for _, c := range b {
		if c == 0 {
			return true
		}
	}
	return !utf8.Valid(b)
}

// cutUTF16Mark takes a byte order mark away.
func cutUTF16Mark(b []byte) (rest []byte, big, ok bool) {
	if len(b) < 2 || b[0]|b[1] != 0xff || b[0]&b[1] != 0xfe {
		return b, false, false
	}
	return b[2:], b[0] == 0xfe, true
}

// readUTF16 reads UTF-16. Without a byte order mark RFC 2781 §4.3 takes it for
// big endian; what programs write is told by where the zero bytes of its ASCII
// characters are.
func readUTF16(b []byte, name string) (string, doubt) {
	if rest, big, ok := cutUTF16Mark(b); ok {
		text, lost := decodeUTF16(rest, big)
		if lost {
			return text, guessed
		}
		return text, sure
	}
	var zeros [2]int
	for i, c := range b {
		if c == 0 {
			zeros[i%2]++
		}
	}
	little, unclear, d := zeros[1] > zeros[0], zeros[0] == zeros[1], sure
	switch stated := name == "utf-16le"; {
	case name == "utf-16":
		if unclear {
			d = guessed
		}
	case unclear || max(zeros[0], zeros[1]) < max(2, len(b)/4):
		little = stated
	case little != stated: // and most characters are ASCII that way
		d = guessed
	}
	text, lost := decodeUTF16(b, !little)
	if lost {
		d = guessed
	}
	return text, d
}

func decodeUTF16(b []byte, big bool) (text string, lost bool) {
	var out strings.Builder
	out.Grow(len(b))
	unit := func(i int) rune {
		if big {
			return rune(b[i])<<8 | rune(b[i+1])
		}
		return rune(b[i+1])<<8 | rune(b[i])
	}
	for i := 0; i+1 < len(b); i += 2 {
		r := unit(i)
		if utf16.IsSurrogate(r) {
			next := rune(0)
			if i+3 < len(b) {
				next = unit(i + 2)
			}
			if r = utf16.DecodeRune(r, next); r == utf8.RuneError {
				lost = true
			} else {
				i += 2
			}
		}
		out.WriteRune(r)
	}
	return out.String(), lost || len(b)%2 != 0
}

// decodeUTF7 reads UTF-7 (RFC 2152): ASCII, and between "+" and "-" or any
// character outside base64 UTF-16 in base64 without padding. A "+" that begins
// nothing of that kind stays. ok is false for what cannot be UTF-7.
func decodeUTF7(b []byte) (text string, ok bool) {
	var out strings.Builder
	out.Grow(len(b))
	for i := 0; i < len(b); {
		if b[i] >= utf8.RuneSelf {
			return "", false
		}
		if b[i] != '+' {
			out.WriteByte(b[i])
			i++
			continue
		}
		n := i + 1
		for n < len(b) && base64Value(b[n]) >= 0 {
			n++
		}
		shifted, whole := utf16Base64(b[i+1 : n])
		switch {
		case n == i+1 && n < len(b) && b[n] == '-':
			out.WriteByte('+')
		case n == i+1 || !whole && shifted == "": // "a + b", "+1"
			out.Write(b[i:n])
			i = n
			continue
		case !whole:
			return "", false
		default:
			out.WriteString(shifted)
		}
		i = n
		if i < len(b) && b[i] == '-' {
			i++
		}
	}
	return out.String(), true
}

// utf16Base64 decodes the inside of a shifted sequence. whole tells that it
// ends where a character does, with zero bits after it.
func utf16Base64(b []byte) (text string, whole bool) {
	raw := make([]byte, 0, len(b)*6/8+1)
	bits, n := uint32(0), 0
	for _, c := range b {
		bits = bits<<6 | uint32(base64Value(c))
		if n += 6; n >= 8 {
			n -= 8
			raw = append(raw, byte(bits>>n))
			bits &= 1<<n - 1
		}
	}
	text, lost := decodeUTF16(raw[:len(raw)&^1], true)
	return text, !lost && len(raw) > 0 && len(raw)%2 == 0 && n < 6 && bits == 0
}

func base64Value(c byte) int {
	switch {
	case 'A' <= c && c <= 'Z':
		return int(c - 'A')
	case 'a' <= c && c <= 'z':
		return int(c-'a') + 26
	case '0' <= c && c <= '9':
		return int(c-'0') + 52
	case c == '+':
		return 62
	case c == '/':
		return 63
	}
	return -1
}
