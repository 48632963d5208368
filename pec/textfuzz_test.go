package pec

import (
	"bytes"
	"fmt"
	"mime"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// checkShown holds for every text that people see.
func checkShown(t *testing.T, what, s string) {
	t.Helper()
	if !utf8.ValidString(s) {
		t.Errorf("%s is not UTF-8: %q", what, s)
	}
	if i := strings.IndexFunc(s, func(r rune) bool { return r != '\n' && r != '\t' && hidden(r) }); i >= 0 {
		t.Errorf("%s holds %q: %q", what, s[i:min(len(s), i+4)], s)
	}
}

// checkName holds for every name of a file.
func checkName(t *testing.T, name string) {
	t.Helper()
	if name == "" {
		return
	}
	checkShown(t, "the name", name)
	again, more := cleanName(name)
	if again != name || more {
		t.Errorf("%q cleaned again is %q, %v", name, again, more)
	}
	if len(name) > nameMax || name != filepath.Base(name) || strings.ContainsAny(name, "<>:\"/\\|?*\n\t") || device(name) || !norm.NFC.IsNormalString(name) ||
		strings.Trim(name, ". ") != name || strings.Contains(name, "  ") || strings.IndexFunc(name, func(r rune) bool { return unicode.Is(unicode.Cf, r) }) >= 0 {
		t.Errorf("%q is not safe", name)
	}
}

// FuzzNames: whatever stands in a header, the name is safe everywhere and
// cleaning it again changes nothing; and a good name comes back from every way to
// encode it, cut anywhere.
func FuzzNames(f *testing.F) {
	for _, field := range []string{`attachment; filename="a b.pdf"`, `attachment; filename*0*=utf-8''Perch%C3; filename*1*=%A9.pdf`, `inline; filename==?utf-8?B?YS5wZGY=?=; size=1`,
		"attachment; filename=\"Allegato \"A\".pdf", "attachment; filename=\"CON .\xc3\xa9/..\\\u202enul.txt. .\"", `attachment; filename*=iso-8859-15'it'%A4`} {
		f.Add(field, "Perché no.pdf", 7)
	}
	f.Fuzz(func(t *testing.T, field, name string, at int) {
		for _, n := range namesGiven(field, field) {
			name, _ := decodeName(n.raw)
			name, _ = cleanName(name)
			checkName(t, name)
		}
		checkShown(t, "the other name", otherName(field, field))
		name, _ = cleanName(strings.ToValidUTF8(name, ""))
		if name == "" || strings.ContainsAny(name, "%=\uFFFD") || strings.ContainsAny(name, "ÂÃâ") {
			return // what looks encoded is decoded
		}
		checkName(t, name)
		cut := ((at % len(name)) + len(name)) % len(name)
		percent := strings.ReplaceAll(url.PathEscape(name), "'", "%27")
		middle := min(((at%len(percent))+len(percent))%len(percent), len(percent))
		for _, field := range []string{
			`attachment; filename="` + name + `"`,
			"attachment; filename*=UTF-8''" + percent,
			fmt.Sprintf(`attachment; filename*0*=UTF-8''%s; filename*1*=%s`, percent[:middle], percent[middle:]),
			fmt.Sprintf(`attachment; filename*1="%s"; filename*0="%s"`, name[cut:], name[:cut]),
			`attachment; filename="` + mime.QEncoding.Encode("utf-8", name) + `"`,
			`attachment; filename="` + mime.BEncoding.Encode("UTF-8", name) + `"`,
			`attachment; filename=` + mime.BEncoding.Encode("UTF-8", name+"é") + `; size=1`,
		} {
			got, _ := decodedName(field, "")
			got, _ = cleanName(got)
			if want := name; got != want && !strings.Contains(field, "; size=1") {
				t.Errorf("%s\n gives %q\n want %q", field, got, want)
			}
		}
	})
}

// FuzzText: of the preview of any HTML or text nothing is lost and nothing
// doubled by telling its parts apart; all of it can be shown; it has its bound;
// and made from itself it stays the same.
func FuzzText(f *testing.F) {
	for _, s := range separated {
		f.Add(s)
	}
	f.Add(`<div class="gmail_quote"><div class="gmail_attr">Anna ha scritto:</div><blockquote type=cite>uno<blockquote>due<ol><li>tre</blockquote><pre> a` + "\n" + `b</pre>`)
	f.Add(`<table><tr><td><p>a<td>b<table><tr><td>c</table><a href="http://x.it">x.it<a href=mailto:a@b>y</a></table><div id=divRplyFwdMsg>z`)
	f.Add("<p>a&#8238;&#0;&#x2028;b\u00a0\u202e<pre>&#13;&#11;x</pre>")
	f.Fuzz(func(t *testing.T, s string) {
		const limit = 2000
		s = strings.ToValidUTF8(s, "")
		lines, _ := htmlText(s, limit)
		if len(lines) > 4*limit {
			t.Errorf("%d lines", len(lines))
		}
		for _, preview := range [][]textLine{lines, plainLines(s), plainLines(unflow(s, false))} {
			preview, _ := bounded(preview, limit)
			text, quoted, boilerplate := separate(preview)
			var want, got []string
			for _, l := range preview {
				if l.text != "" {
					want = append(want, l.text)
				}
			}
			size := 0
			for _, part := range []string{text, quoted, boilerplate} {
				checkShown(t, "the text", part)
				got = append(got, nonEmpty(part)...)
				size += len(part)
			}
			slices.Sort(want)
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("%q\n is told apart as\n%q", want, got)
			}
			if text == "" && len(want) > 0 {
				t.Errorf("nobody wrote %q", want)
			}
			if size > limit {
				t.Errorf("%d bytes", size)
			}
			whole := lineTexts(preview)
			again, cut := bounded(plainLines(whole), limit)
			if lineTexts(again) != whole || cut {
				t.Errorf("%q\n made again is\n%q", whole, lineTexts(again))
			}
		}
	})
}

// FuzzCharset: bytes in any charset give text, of bounded length; lost bytes are
// never passed over; what a charset encodes it reads again.
func FuzzCharset(f *testing.F) {
	for _, charset := range []string{"utf-8", "iso-8859-1", "iso-8859-15", "macintosh", "cp850", "utf-7", "utf-16", "iso-2022-jp", "gbk", "shift_jis", "x", "UTF-8;"} {
		f.Add([]byte("perch\xc3\xa9 \xe9 +AOg- \x00\x1b$B"), charset)
	}
	f.Add([]byte("\xff\xfea\x00\xec\x00"), "")
	f.Add([]byte("+2D3eAA-+AA"), "utf-7")
	f.Fuzz(func(t *testing.T, raw []byte, declared string) {
		text, d := readText(raw, declared)
		if !utf8.ValidString(text) {
			t.Fatalf("%q is not UTF-8", text)
		}
		if len(text) > 4*len(raw) {
			t.Errorf("%d bytes of %d", len(text), len(raw))
		}
		c, known := charsetOf(declared)
		if d == sure && (c.form == singleForm || c.form == utf8Form) && strings.Contains(text, "\uFFFD") && !bytes.Contains(raw, []byte("\uFFFD")) && !bytes.Contains(raw, []byte{0}) {
			t.Errorf("%q: bytes are lost without a doubt: %q", raw, text)
		}
		if plainASCII(raw) && (text != string(raw) || d != sure) {
			t.Errorf("ASCII %q is %q, doubt %d", raw, text, d)
		}
		if again, doubt := readText([]byte(text), ""); !strings.HasPrefix(text, "\ufeff") && (again != text || doubt != sure) && !strings.HasPrefix(text, "\ufffe") {
			t.Errorf("%q read again is %q, doubt %d", text, again, doubt)
		}
		undoubled, _ := undouble(text)
		if !utf8.ValidString(undoubled) || len(undoubled) > len(text) {
			t.Errorf("%q undoubled is %q", text, undoubled)
		}
		if !known || c.form != singleForm || !utf8.Valid(raw) {
			return
		}
		encoded, err := c.encoding.NewEncoder().Bytes(raw)
		if err != nil || utf8.Valid(encoded) || strings.ContainsFunc(string(raw), controlC1) || strings.ContainsRune(string(raw), '\uFFFD') {
			return
		}
		if got, _ := readText(encoded, declared); got != string(raw) {
			t.Errorf("%q in %s comes back as %q", raw, c.name, got)
		}
	})
}

// FuzzAddresses: what is shown of any list can be shown, is bounded, and nothing
// that comes before an address, no quote, comment, bracket or group, hides it.
func FuzzAddresses(f *testing.F) {
	for _, s := range []string{`"Rossi, Mario" <a@b.it>`, `x: a@b.it, "c\"d"@e.it;`, `<@r:a@b.it> (c (d) \) e`, `"unclosed <a@b.it>`, `=?utf-8?Q?Mario_=3Ca=40b=3E?= <c@d.it`,
		"Per conto di: a@b.it <posta-certificata@p.it>", "a@b\xff\u202e.it c@d.it", `<"a>b"@c.it>d@e.it`, `"a@b"@c:d@e`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		list := parseAddresses(s)
		for _, a := range list {
			checkShown(t, "the name", a.Name)
			checkShown(t, "the address", a.Address)
			if strings.ContainsAny(a.Name+a.Address, "\n\t\r") || len(a.Name) > lineMax || len(a.Address) > lineMax {
				t.Errorf("%q is no line", a)
			}
			if found := displayAddress(a.Name, a.Address); found != "" && sameAddress(found, a.Address) {
				t.Errorf("%q holds another address: %q", a, found)
			}
		}
		if len(s) > lineMax/2 || len(list) >= addressesMax {
			return
		}
		const last = "ultimo@esempio.it"
		shown := fmt.Sprint(parseAddresses(s + ", " + last))
		if !strings.Contains(shown, last) {
			t.Errorf("%q hides what comes after it: %s", s, shown)
		}
	})
}
