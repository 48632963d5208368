package pec

import (
	"bytes"
	"io"
	"strings"
	"unicode"
)

// htmlMax bounds the HTML that is turned into text or shown.
const htmlMax = 8 << 20

// textLine is one line of the preview.
type textLine struct {
	text string
	mark lineMark
}

// lineMark is what the markup of a message says of a line.
type lineMark uint8

const (
	cited         lineMark = 1 << iota // in the quotation of another message
	indented                           // in a quotation of anything
	introduces                         // the line before a quotation
	beginsHistory                      // from here on other messages are repeated
	signs                              // in a signature
)

// preview is the text of the body, from text/plain if it says anything, else
// from HTML, at most Limits.Text bytes.
func (r *reader) preview(b bodies) []textLine {
	limit := r.limits.Text
	if b.plain != nil {
		raw, more := readUpTo(b.plain.decoded(), 4*limit)
		text := r.text(b.plain, raw)
		if strings.EqualFold(b.plain.params["format"], "flowed") {
			text = unflow(text, strings.EqualFold(b.plain.params["delsp"], "yes"))
		}
		if lines, cut := bounded(plainLines(text), limit); len(lines) > 0 {
			r.truncated(cut || more)
			return lines
		}
	}
	if b.html != nil {
		raw, more := readUpTo(b.html.decoded(), min(htmlMax, 64*limit))
		lines, unread := htmlText(r.text(b.html, raw), limit)
		lines, cut := bounded(lines, limit)
		r.truncated(cut || more || unread)
		return lines
	}
	return nil
}

// say fills in the three texts; byProvider: all of it is the provider's.
func (r *reader) say(a *Analysis, lines []textLine, byProvider bool) {
	if byProvider {
		s := separation{lines: lines, kinds: make([]lineKind, len(lines))}
		a.Boilerplate = s.join(own)
		return
	}
	a.Text, a.QuotedText, a.Boilerplate = separate(lines)
}

func (r *reader) truncated(yes bool) {
	if yes {
		r.warn(TextTruncated, "the text is longer than is shown here")
	}
}

// readUpTo reads n bytes at most, not ending inside a UTF-8 character.
func readUpTo(r io.Reader, n int) (b []byte, more bool) {
	b, _ = io.ReadAll(io.LimitReader(r, int64(n)+1)) // decoders of bytes in memory do not fail
	if len(b) > n {
		b = b[:n]
		return bytes.TrimSuffix(b, cutRune(b)), true
	}
	return b, false
}

// text converts a text part's bytes from its charset. HTML declares one in
// itself too; that counts where the header's is missing or does not fit.
func (r *reader) text(p *part, raw []byte) string {
	declared := p.params["charset"]
	text, d := readText(raw, declared)
	if d != sure && p.media == "text/html" {
		if own := metaCharset(raw); own != "" {
			if other, better := readText(raw, own); better == sure {
				text, d = other, sure
			}
		}
	}
	if repaired, ok := undouble(text); ok {
		r.warn(CharsetGuessed, "the text was encoded in UTF-8 twice; it is shown as it was before")
		return repaired
	}
	switch {
	case d == unnamed:
		r.warn(UnknownCharset, "text in an unknown character set: "+cutText(line(declared), 100))
	case d == guessed && declared == "":
		r.warn(CharsetGuessed, "no character set is declared for the text; it is shown in the likeliest one")
	case d == guessed:
		r.warn(CharsetGuessed, "the text is not in "+cutText(line(declared), 100)+", as is declared; it is shown in the likeliest character set")
	}
	return text
}

// metaCharset finds the charset an HTML document declares in itself. A document
// in which it can be found is not in UTF-16.
func metaCharset(raw []byte) string {
	head := bytes.ToLower(raw[:min(len(raw), 4096)])
	for _, sign := range []string{"charset", "encoding"} {
		_, rest, ok := bytes.Cut(head, []byte(sign))
		if !ok {
			continue
		}
		if rest, ok = bytes.CutPrefix(bytes.TrimLeft(rest, " \t\r\n"), []byte("=")); !ok {
			continue
		}
		rest = bytes.TrimLeft(rest, " \t\r\n\"'")
		if i := bytes.IndexAny(rest, "\"'> ;/?\r\n"); i >= 0 {
			rest = rest[:i]
		}
		name := string(rest[:min(len(rest), charsetMax)])
		if c, _ := charsetOf(name); c.form == utf16Form {
			return "utf-8"
		}
		return name
	}
	return ""
}

// plainLines cleans a text and splits it.
func plainLines(s string) []textLine {
	lines := make([]textLine, 0, 1+strings.Count(s, "\n"))
	for l := range strings.Lines(s) {
		l = strings.TrimSuffix(strings.TrimSuffix(l, "\n"), "\r")
		if printable(l) {
			lines = append(lines, textLine{text: l})
			continue
		}
		for piece := range strings.SplitSeq(strings.Map(textRune, l), "\n") {
			lines = append(lines, textLine{text: piece})
		}
	}
	return lines
}

// printable tells that a line is plain ASCII.
func printable(l string) bool {
	for i := 0; i < len(l); i++ {
		if (l[i] < ' ' || l[i] > '~') && l[i] != '\t' {
			return false
		}
	}
	return true
}

// textRune drops what nobody sees and unifies line ends and blanks.
func textRune(r rune) rune {
	switch {
	case r == '\n' || r == '\t':
		return r
	case r == '\r' || r == '\v' || r == '\f' || r == '\u0085' || r == '\u2028' || r == '\u2029':
		return '\n'
	case r == '\u00a0' || r > 0x7f && unicode.IsSpace(r):
		return ' '
	case hidden(r):
		return -1
	}
	return r
}

// lineRune is textRune inside a line: HTML spells line ends as entities.
func lineRune(r rune) rune {
	if r = textRune(r); r == '\n' {
		return ' '
	}
	return r
}

// bounded joins runs of empty lines, drops blanks at the ends, and cuts at
// limit bytes; cut tells that there was more.
func bounded(lines []textLine, limit int) (kept []textLine, cut bool) {
	size, empty := 0, false
	for _, l := range lines {
		l.text = strings.TrimRight(l.text, " \t")
		if l.text == "" {
			empty = len(kept) > 0
			continue
		}
		if empty {
			kept = append(kept, textLine{})
			size++
			empty = false
		}
		if size+len(l.text) > limit {
			if l.text = strings.TrimRight(cutText(l.text, max(0, limit-size)), " \t"); l.text != "" {
				kept = append(kept, l)
			}
			return trimEmpty(kept), true
		}
		kept = append(kept, l)
		size += len(l.text) + 1
	}
	return kept, false
}

// trimEmpty drops the empty lines at the end.
func trimEmpty(lines []textLine) []textLine {
	for len(lines) > 0 && lines[len(lines)-1].text == "" {
		lines = lines[:len(lines)-1]
	}
	return lines
}

// unflow joins the lines of format=flowed (RFC 3676 §4.2): one that ends with a
// blank goes on in the next, if that is quoted as deeply. delsp drops the blank.
func unflow(s string, delsp bool) string {
	var out strings.Builder
	out.Grow(len(s))
	open, depth := false, 0
	for l := range strings.Lines(strings.ReplaceAll(s, "\r\n", "\n")) {
		l = strings.TrimSuffix(l, "\n")
		text := strings.TrimLeft(l, ">")
		d := len(l) - len(text)
		text = strings.TrimPrefix(text, " ") // stuffed
		signature := text == "-- "
		if open && (d != depth || signature) {
			out.WriteByte('\n')
			open = false
		}
		if !open && d > 0 {
			out.WriteString(strings.Repeat(">", d) + " ")
		}
		open = strings.HasSuffix(text, " ") && !signature
		depth = d
		if open && delsp {
			text = text[:len(text)-1]
		}
		out.WriteString(text)
		if !open {
			out.WriteByte('\n')
		}
	}
	return out.String()
}
