package pec

import (
	"strings"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/encoding/unicode"
)

// charset is one way to read bytes.
type charset struct {
	name     string // of htmlindex, IANA or this file
	form     form
	encoding encoding.Encoding // nil for UTF-7
}

// form is what the bytes of a charset look like, which decides how far a
// declaration can be checked against them.
type form uint8

const (
	utf8Form      form = iota // or ASCII, or undeclared
	singleForm                // a byte a character
	multibyteForm             // of East Asia
	statefulForm              // 7 bits with escapes: ISO 2022, HZ
	utf7Form
	utf16Form
)

// charsetNames are the names in the field, without case and all but letters and
// digits, of the charsets in use in Italy. ISO 8859-1 is windows-1252: where they
// differ one has control characters and the other what was meant (the WHATWG
// Encoding Standard has it so too).
var charsetNames = map[string]string{
	"utf8": "utf-8", "utf8mb4": "utf-8", "unicode11utf8": "utf-8", "cp65001": "utf-8", "65001": "utf-8", "utf8bom": "utf-8", "xutf8": "utf-8",
	"usascii": "us-ascii", "ascii": "us-ascii", "ansix341968": "us-ascii", "iso646us": "us-ascii", "iso646": "us-ascii", "646": "us-ascii", "us": "us-ascii",
	"iso88591": "windows-1252", "latin1": "windows-1252", "isolatin1": "windows-1252", "l1": "windows-1252", "88591": "windows-1252", "iso8859": "windows-1252",
	"cp819": "windows-1252", "ibm819": "windows-1252", "iso885911987": "windows-1252", "windows1252": "windows-1252", "win1252": "windows-1252",
	"cp1252": "windows-1252", "1252": "windows-1252", "xcp1252": "windows-1252", "ansi": "windows-1252", "xansi": "windows-1252", "msansi": "windows-1252",
	"iso885915": "iso-8859-15", "latin9": "iso-8859-15", "latin0": "iso-8859-15", "l9": "iso-8859-15", "885915": "iso-8859-15", "iso885915euro": "iso-8859-15",
	"macintosh": "macintosh", "mac": "macintosh", "macroman": "macintosh", "xmacroman": "macintosh", "xmacintosh": "macintosh", "applemacintosh": "macintosh",
	"ibm850": "ibm850", "cp850": "ibm850", "850": "ibm850", "xcp850": "ibm850", "dos850": "ibm850", "pc850": "ibm850", "cspc850multilingual": "ibm850",
	"ibm858": "ibm858", "cp858": "ibm858", "858": "ibm858", "ibm00858": "ibm858", "ccsid00858": "ibm858", "pcmultilingual850euro": "ibm858",
	"ibm437": "ibm437", "cp437": "ibm437", "437": "ibm437", "xcp437": "ibm437", "dos437": "ibm437", "pc8": "ibm437", "cspc8codepage437": "ibm437",
	"utf7": "utf-7", "unicode11utf7": "utf-7", "unicode20utf7": "utf-7", "csutf7": "utf-7",
	"utf16": "utf-16", "unicode": "utf-16", "ucs2": "utf-16", "iso10646ucs2": "utf-16", "csunicode": "utf-16", "utf16le": "utf-16le", "utf16be": "utf-16be",
	"unicodefffe": "utf-16be", "unicodelittle": "utf-16le", "unicodebig": "utf-16be",
	// Programs write these when they do not know.
	"": "", "unknown8bit": "", "unknown": "", "xunknown": "", "none": "", "default": "", "defaultcharset": "", "charset": "", "7bit": "", "8bit": "", "binary": "",
	"quotedprintable": "", "base64": "", "iso": "", "text": "",
}

var charsetTables = map[string]charset{
	"windows-1252": {"windows-1252", singleForm, charmap.Windows1252},
	"iso-8859-15":  {"iso-8859-15", singleForm, charmap.ISO8859_15},
	"macintosh":    {"macintosh", singleForm, charmap.Macintosh},
	"ibm850":       {"ibm850", singleForm, charmap.CodePage850},
	"ibm858":       {"ibm858", singleForm, charmap.CodePage858},
	"ibm437":       {"ibm437", singleForm, charmap.CodePage437},
	"utf-7":        {"utf-7", utf7Form, nil},
	"utf-16":       {"utf-16", utf16Form, unicode.UTF16(unicode.BigEndian, unicode.UseBOM)},
	"utf-16le":     {"utf-16le", utf16Form, unicode.UTF16(unicode.LittleEndian, unicode.UseBOM)},
	"utf-16be":     {"utf-16be", utf16Form, unicode.UTF16(unicode.BigEndian, unicode.UseBOM)},
}

// lookupCharset is the encoding of a charset by name, for who reads a stream.
func lookupCharset(name string) (encoding.Encoding, bool) {
	c, known := charsetOf(name)
	return c.encoding, known && c.encoding != nil
}

// charsetOf finds what a declaration means. UTF-8 stands for what is undeclared
// too; known is false for a name that nobody knows.
func charsetOf(declared string) (c charset, known bool) {
	if len(declared) > 200 {
		declared = declared[:200]
	}
	declared = strings.Trim(strings.ToLower(declared), " \t\r\n\"'<>=;,.")
	if i := strings.IndexAny(declared, "; ,(\"@"); i > 0 { // "utf-8; format=flowed", "iso-8859-15@euro"
		declared = declared[:i]
	}
	if name, ok := charsetNames[squeezed(declared)]; ok {
		if c, ok := charsetTables[name]; ok {
			return c, true
		}
		return charset{name: name, encoding: unicode.UTF8}, true
	}
	return registered(declared)
}

func squeezed(s string) string {
	return strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || '0' <= r && r <= '9' {
			return r
		}
		return -1
	}, s)
}

// registered looks for the rest of the world's charsets: the names of the web
// first, then those of IANA, then what the usual misspellings stand for.
func registered(name string) (charset, bool) {
	for _, n := range append([]string{name}, respelled(squeezed(name))...) {
		e, err := htmlindex.Get(n)
		if err != nil {
			e, err = ianaindex.MIME.Encoding(n)
		}
		if err == nil && e != nil && !refused[e] {
			if proper, err := htmlindex.Name(e); err == nil {
				n = proper
			}
			return charset{n, formOf(n, e), e}, true
		}
	}
	return charset{name: name, encoding: unicode.UTF8}, false
}

// refused are encodings in which ASCII is something else (EBCDIC), and those
// that stand for text nobody may read.
var refused = map[encoding.Encoding]bool{
	charmap.CodePage037: true, charmap.CodePage1047: true, charmap.CodePage1140: true,
	charmap.XUserDefined: true, encoding.Replacement: true,
}

// respelled are the registered forms of a squeezed name.
func respelled(s string) []string {
	s = strings.TrimPrefix(s, "x")
	var all []string
	for _, p := range []struct{ wrong, right string }{
		{"iso8859", "iso-8859-"}, {"8859", "iso-8859-"}, {"windows", "windows-"}, {"win", "windows-"}, {"cp125", "windows-125"},
		{"cp", "ibm"}, {"ibm", "ibm"}, {"koi8", "koi8-"}, {"mac", "x-mac-"}, {"iso2022", "iso-2022-"},
	} {
		if rest, ok := strings.CutPrefix(s, p.wrong); ok {
			all = append(all, p.right+rest)
		}
	}
	return all
}

func formOf(name string, e encoding.Encoding) form {
	switch {
	case strings.HasPrefix(name, "iso-2022") || strings.HasPrefix(name, "hz"):
		return statefulForm
	case strings.HasPrefix(name, "utf-16"):
		return utf16Form
	}
	if _, ok := e.(*charmap.Charmap); ok || strings.HasPrefix(name, "iso-8859") {
		return singleForm
	}
	return multibyteForm
}
