package pec

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"
)

// toUTF8 converts b from the declared charset. What is valid UTF-8 with
// characters beyond ASCII is UTF-8 whatever was declared (a chance match is all
// but impossible), and what is declared UTF-8 but is not is windows-1252, the
// usual truth in Italy. known is false for a charset nobody knows.
func toUTF8(b []byte, charset string) (text string, known bool) {
	charset = strings.ToLower(strings.Trim(charset, " \t\"'"))
	known = true
	var enc encoding.Encoding
	switch charset {
	case "", "utf-8", "utf8", "us-ascii", "ascii", "8bit", "unknown-8bit":
	default:
		enc, known = lookupCharset(charset)
	}
	if enc != nil && ambiguous(charset) && utf8Text(b) {
		enc = nil
	}
	if enc == nil {
		if utf8.Valid(b) {
			return string(b), known
		}
		enc = charmap.Windows1252
	}
	out, err := enc.NewDecoder().Bytes(b)
	if err != nil {
		return strings.ToValidUTF8(string(b), "\uFFFD"), known
	}
	return strings.ToValidUTF8(string(out), "\uFFFD"), known
}

// lookupCharset takes the names of the web first (iso-8859-1 is windows-1252
// there, as in practice), then those of IANA.
func lookupCharset(name string) (encoding.Encoding, bool) {
	if e, err := htmlindex.Get(name); err == nil {
		return e, true
	}
	if e, err := ianaindex.MIME.Encoding(name); err == nil && e != nil {
		return e, true
	}
	return nil, false
}

// ambiguous tells that text in this charset can be told from UTF-8 by its
// bytes; in 7-bit charsets such as ISO-2022-JP and in UTF-16 it cannot.
func ambiguous(charset string) bool {
	return !strings.HasPrefix(charset, "utf-16") && !strings.HasPrefix(charset, "iso-2022") && charset != "utf-7"
}

// utf8Text tells that b is UTF-8 and more than ASCII.
func utf8Text(b []byte) bool {
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return utf8.Valid(b)
		}
	}
	return false
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
