package document

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/encoding/unicode"
)

var (
	bomUTF8    = []byte("\xef\xbb\xbf")
	bomUTF16LE = []byte("\xff\xfe")
	bomUTF16BE = []byte("\xfe\xff")
)

// toUTF8 converts b from the declared charset, with the repairs of package pec:
// what is valid UTF-8 with characters beyond ASCII is UTF-8 whatever was
// declared (a chance match is all but impossible), and what is declared UTF-8
// but is not is windows-1252, the usual truth in Italy. A byte order mark
// decides before both.
func toUTF8(b []byte, charset string) string {
	switch {
	case bytes.HasPrefix(b, bomUTF8):
		b, charset = b[len(bomUTF8):], "utf-8"
	case bytes.HasPrefix(b, bomUTF16LE), bytes.HasPrefix(b, bomUTF16BE):
		return decode(b, unicode.UTF16(unicode.LittleEndian, unicode.UseBOM))
	}
	charset = strings.ToLower(strings.Trim(charset, " \t\"'"))
	enc := lookupCharset(charset)
	if enc != nil && !strings.HasPrefix(charset, "utf-16") && !strings.HasPrefix(charset, "iso-2022") && utf8Text(b) {
		enc = nil
	}
	if enc == nil {
		if utf8.Valid(b) {
			return string(b)
		}
		enc = charmap.Windows1252
	}
	return decode(b, enc)
}

func decode(b []byte, enc encoding.Encoding) string {
	out, err := enc.NewDecoder().Bytes(b)
	if err != nil {
		out = b
	}
	return strings.ToValidUTF8(string(out), "\uFFFD")
}

// lookupCharset takes the names of the web first (iso-8859-1 is windows-1252
// there, as in practice), then those of IANA; nil for UTF-8, for none, and for
// one that nobody knows.
func lookupCharset(name string) encoding.Encoding {
	switch name {
	case "", "utf-8", "utf8", "us-ascii", "ascii":
		return nil
	}
	if e, err := htmlindex.Get(name); err == nil {
		return e
	}
	if e, err := ianaindex.MIME.Encoding(name); err == nil {
		return e
	}
	return nil
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

// codepage names a Windows code page as a charset.
func codepage(n uint32) string {
	named := map[uint32]string{
		874: "windows-874", 932: "shift_jis", 936: "gbk", 949: "euc-kr", 950: "big5", 1200: "utf-16le", 1201: "utf-16be",
		20127: "us-ascii", 20866: "koi8-r", 21866: "koi8-u", 50220: "iso-2022-jp", 51932: "euc-jp", 54936: "gb18030", 65001: "utf-8",
	}
	number := strconv.Itoa(int(n))
	switch {
	case named[n] != "":
		return named[n]
	case 1250 <= n && n <= 1258:
		return "windows-" + number
	case 28591 <= n && n <= 28606:
		return "iso-8859-" + strconv.Itoa(int(n-28590))
	case 437 <= n && n <= 869:
		return "ibm" + number
	}
	return "windows-1252"
}
