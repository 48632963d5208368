package pec

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// decodeWords turns the encoded words of RFC 2047 into text; what is none
// passes as it is, repaired to UTF-8. It takes what programs write against the
// rule: characters and base64 groups cut in two between words, blanks inside
// words, words glued to text or inside quotes, a last word without its end.
func decodeWords(s string) string {
	text, _ := readWords(s)
	return text
}

// readWords decodes like decodeWords and tells the worst doubt on the way.
func readWords(s string) (string, doubt) {
	if !strings.Contains(s, "=?") {
		return repairUTF8(s)
	}
	d := wordDecoder{s: s}
	d.run()
	return d.out.String(), d.doubt
}

// wordDecoder goes once through a header field. Words that follow each other
// in one charset are held until that ends, because some programs cut
// characters in two.
type wordDecoder struct {
	s     string
	out   strings.Builder
	doubt doubt
	end   int // of the first "?=" at or after a place seen so far; len(s): none

	charset string
	held    []byte // the held words, each decoded by itself
	joined  []byte // their base64 as if it were one; kept while all of them are B
	split   bool   // one of them does not end where a base64 group does
	words   int
}

func (d *wordDecoder) run() {
	from := 0 // what is before is written or held
	for at := 0; ; {
		i := strings.Index(d.s[at:], "=?")
		if i < 0 {
			break
		}
		at += i
		w, next, ok := d.word(at)
		if !ok {
			at += 2
			continue
		}
		// Blanks between two encoded words are not part of the text (§6.2).
		if d.words == 0 || !blank(d.s[from:at]) {
			d.plain(d.s[from:at])
		}
		d.hold(w)
		from, at = next, next
	}
	d.plain(d.s[from:])
}

func blank(s string) bool { return strings.TrimLeft(s, " \t\r\n") == "" }

// plain writes what is no encoded word, after the words held.
func (d *wordDecoder) plain(s string) {
	d.flush()
	d.write(repairUTF8(s))
}

func (d *wordDecoder) write(text string, doubt doubt) {
	d.doubt = max(d.doubt, doubt)
	d.out.WriteString(text)
}

// hold adds a word to those of its charset. UTF-7 words end their own shifts.
func (d *wordDecoder) hold(w encodedWord) {
	if d.words > 0 && (!strings.EqualFold(w.charset, d.charset) || charsetForm(w.charset) == utf7Form) {
		d.flush()
	}
	if d.words == 0 {
		d.charset, d.split, d.joined = w.charset, false, nil
	}
	if w.base64 && (d.words == 0 || d.joined != nil) {
		d.joined = append(d.joined, w.body...)
		d.split = d.split || len(w.body)%4 != 0 && !strings.HasSuffix(w.body, "=")
	} else {
		d.joined = nil
	}
	d.words++
	if w.base64 {
		d.held = appendBase64(d.held, w.body)
	} else {
		d.held = appendQ(d.held, w.body)
	}
}

// flush writes the words held. Base64 that was cut anywhere into several words
// makes sense only when it is put together again.
func (d *wordDecoder) flush() {
	if d.words == 0 {
		return
	}
	text := d.held
	if d.split && d.words > 1 && d.joined != nil {
		checked := charsetForm(d.charset) == utf8Form
		if whole := appendBase64(nil, string(d.joined)); !checked || !utf8.Valid(text) && utf8.Valid(whole) {
			text = whole
		}
	}
	d.write(readText(text, d.charset))
	d.held, d.words = d.held[:0], 0
}

func charsetForm(name string) form {
	c, _ := charsetOf(name)
	return c.form
}

// encodedWord is "=?charset?B|Q?body?=".
type encodedWord struct {
	charset string
	base64  bool
	body    string
}

// charsetMax bounds the name of a charset.
const charsetMax = 40

// word reads the encoded word at s[at:] and returns where it ends. A word that
// another one begins in is none; one that nothing ends does so with the field.
func (d *wordDecoder) word(at int) (encodedWord, int, bool) {
	head := d.s[at+2 : min(len(d.s), at+2+charsetMax+3)]
	n := strings.IndexByte(head, '?')
	if n <= 0 || n+2 >= len(head) || head[n+2] != '?' {
		return encodedWord{}, 0, false
	}
	charset, _, _ := strings.Cut(head[:n], "*") // RFC 2231 §5: a language after it
	w := encodedWord{charset: charset}
	switch head[n+1] {
	case 'b', 'B':
		w.base64 = true
	case 'q', 'Q':
	default:
		return encodedWord{}, 0, false
	}
	from := at + 2 + n + 3
	end, next := d.endAfter(from)
	w.body = d.s[from:end]
	if strings.Contains(w.body, "=?") || next == end && strings.ContainsAny(w.body, " \t") {
		return encodedWord{}, 0, false
	}
	return w, next, true
}

// endAfter finds the "?=" at or after from. It is asked for ever later places.
func (d *wordDecoder) endAfter(from int) (end, next int) {
	if d.end < from {
		d.end = len(d.s)
		if i := strings.Index(d.s[from:], "?="); i >= 0 {
			d.end = from + i
		}
	}
	return d.end, min(d.end+2, len(d.s))
}

// appendBase64 decodes what there is of base64 in s, without regard to padding
// and to what does not belong there.
func appendBase64(out []byte, s string) []byte {
	bits, n := uint32(0), 0
	for i := 0; i < len(s); i++ {
		if s[i] == '=' { // the end of a piece
			bits, n = 0, 0
			continue
		}
		v := base64Value(s[i])
		if v < 0 {
			continue
		}
		bits = bits<<6 | uint32(v)
		if n += 6; n >= 8 {
			n -= 8
			out = append(out, byte(bits>>n))
			bits &= 1<<n - 1
		}
	}
	return out
}

// appendQ decodes the Q encoding of RFC 2047 §4.2.
func appendQ(out []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '_':
			out = append(out, ' ')
		case s[i] == '=' && i+2 < len(s) && unhex(s[i+1]) >= 0 && unhex(s[i+2]) >= 0:
			out = append(out, byte(unhex(s[i+1])<<4|unhex(s[i+2])))
			i += 2
		default:
			out = append(out, s[i])
		}
	}
	return out
}

// doubtful warns of fields whose characters are guessed.
func (r *reader) doubtful(h *header, names ...string) {
	for _, f := range h.fields {
		if !slices.Contains(names, f.name) {
			continue
		}
		if _, d := readWords(f.value); d != sure {
			r.warn(CharsetGuessed, "the characters in the field "+f.name+" are guessed")
		}
	}
}

// lineMax bounds what one header field shows.
const lineMax = 8 << 10

// line makes one line of clean text for people: nothing that is not seen and
// changes what is (hidden), blanks joined, at most lineMax bytes.
func line(s string) string {
	if cleanLine(s) {
		return s
	}
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case hidden(r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(cutText(s, 4*lineMax), "\uFFFD"))
	return strings.TrimRight(cutText(strings.Join(strings.Fields(s), " "), lineMax), " ")
}

// cleanLine tells that s is printable ASCII without blanks to be joined.
func cleanLine(s string) bool {
	if len(s) > lineMax {
		return false
	}
	before := byte(' ')
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] >= 0x7f || s[i] == ' ' && before == ' ' {
			return false
		}
		before = s[i]
	}
	return before != ' ' || s == ""
}

// hidden are characters that nobody sees: control characters, those that
// reorder text (Unicode bidi controls, which let a name lie about itself), the
// tags that spell words invisibly, and what is no character at all.
func hidden(r rune) bool {
	switch {
	case r < 0x20, 0x7f <= r && r <= 0x9f:
		return true
	case r < 0x061c:
		return false
	}
	return bidiControl(r) || r == 0xfeff || 0x206a <= r && r <= 0x206f || 0xfff9 <= r && r <= 0xfffb ||
		0xe0000 <= r && r <= 0xe007f || r&0xfffe == 0xfffe || 0xfdd0 <= r && r <= 0xfdef
}

func bidiControl(r rune) bool {
	return r == 0x061C || r == 0x200E || r == 0x200F || 0x202A <= r && r <= 0x202E || 0x2066 <= r && r <= 0x2069
}

// cutText cuts s to at most n bytes, never inside a character.
func cutText(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// headerText is a decoded header field for people.
func headerText(h *header, name string) string { return line(decodeWords(h.get(name))) }

// messageID is the identifier without its angle brackets.
func messageID(s string) string {
	s = line(s)
	if i := strings.IndexByte(s, '<'); i >= 0 {
		s = s[i+1:]
		if j := strings.IndexByte(s, '>'); j >= 0 {
			s = s[:j]
		}
	}
	return strings.TrimSpace(s)
}
