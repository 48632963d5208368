package pec

import (
	"bytes"
	"io"
	"strings"
	"unicode"

	"golang.org/x/net/html"
)

// htmlMax bounds the HTML that is turned into text or shown.
const htmlMax = 8 << 20

// preview is the text of the body, from text/plain if it says anything, else
// from HTML, at most limit bytes.
func (r *reader) preview(b bodies) string {
	limit := r.limits.Text
	if b.plain != nil {
		raw, more := readUpTo(b.plain.decoded(), 4*limit)
		if text, cut := tidy(r.text(b.plain, raw), limit); text != "" {
			r.truncated(cut || more)
			return text
		}
	}
	if b.html != nil {
		raw, more := readUpTo(b.html.decoded(), min(htmlMax, 64*limit))
		text, cut := tidy(htmlText(r.text(b.html, raw), limit), limit)
		r.truncated(cut || more)
		return text
	}
	return ""
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

// text converts a text part's bytes from its charset.
func (r *reader) text(p *part, raw []byte) string {
	charset := p.params["charset"]
	if charset == "" && p.media == "text/html" {
		charset = metaCharset(raw)
	}
	text, known := toUTF8(raw, charset)
	if !known {
		r.warn(UnknownCharset, "text in an unknown character set: "+line(charset))
	}
	return text
}

// metaCharset finds the charset an HTML document declares in itself.
func metaCharset(raw []byte) string {
	head := bytes.ToLower(raw[:min(len(raw), 2048)])
	_, rest, ok := bytes.Cut(head, []byte("charset="))
	if !ok {
		return ""
	}
	rest = bytes.TrimLeft(rest, `"' `)
	if i := bytes.IndexAny(rest, `"'> ;/`); i >= 0 {
		rest = rest[:i]
	}
	return string(rest[:min(len(rest), 40)])
}

// tidy drops control and bidi characters, unifies line ends and joins runs of
// empty lines; cut tells that limit was passed.
func tidy(s string, limit int) (text string, cut bool) {
	s = strings.ReplaceAll(s, "\r\n", "\n")
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\r':
			return '\n'
		case r == '\n' || r == '\t':
			return r
		case r == '\u00a0':
			return ' '
		case unicode.IsControl(r) || bidiControl(r) || r == '\uFFFE' || r == '\uFFFF':
			return -1
		}
		return r
	}, s)
	var out strings.Builder
	empty := 0
	for l := range strings.Lines(s) {
		l = strings.TrimRight(l, " \t\n")
		if l == "" {
			empty++
			continue
		}
		if empty > 0 && out.Len() > 0 {
			out.WriteByte('\n')
		}
		empty = 0
		out.WriteString(l)
		out.WriteByte('\n')
		if out.Len() > limit {
			break
		}
	}
	text = strings.TrimRight(out.String(), "\n")
	if len(text) > limit {
		return strings.TrimRight(cutText(text, limit), " \n"), true
	}
	return text, false
}

// silent elements have content that nobody reads; block elements begin a line.
var (
	silentElements = map[string]bool{"script": true, "style": true, "head": true, "title": true,
		"template": true, "noscript": true, "svg": true, "iframe": true, "object": true}
	blockElements = map[string]bool{"p": true, "div": true, "br": true, "tr": true, "li": true, "ul": true,
		"ol": true, "table": true, "h1": true, "h2": true, "h3": true, "h4": true, "h5": true, "h6": true,
		"blockquote": true, "pre": true, "hr": true, "section": true, "article": true, "header": true, "footer": true}
)

// htmlText is what an HTML document says, without its form: about limit bytes.
func htmlText(doc string, limit int) string {
	z := html.NewTokenizer(strings.NewReader(doc))
	z.SetMaxBuf(1 << 20)
	var out strings.Builder
	silent := "" // the element whose end is awaited
	for out.Len() <= 2*limit {
		switch z.Next() {
		case html.ErrorToken:
			return out.String()
		case html.TextToken:
			if silent == "" {
				writeWords(&out, string(z.Text()))
			}
		case html.StartTagToken:
			tag := tagName(z)
			switch {
			case tag == "body": // also where nobody closed the head
				silent = ""
			case silent == "" && silentElements[tag]:
				silent = tag
			}
			breakAt(&out, tag)
		case html.SelfClosingTagToken:
			breakAt(&out, tagName(z))
		case html.EndTagToken:
			tag := tagName(z)
			if tag == silent {
				silent = ""
			}
			breakAt(&out, tag)
		}
	}
	return out.String()
}

func tagName(z *html.Tokenizer) string {
	name, _ := z.TagName()
	return string(name)
}

func breakAt(out *strings.Builder, tag string) {
	switch {
	case blockElements[tag]:
		out.WriteByte('\n')
	case tag == "td" || tag == "th":
		out.WriteByte(' ')
	}
}

// writeWords joins the blanks of HTML text, which mean one each.
func writeWords(out *strings.Builder, s string) {
	words := strings.Fields(s)
	if len(words) == 0 {
		if s != "" {
			out.WriteByte(' ')
		}
		return
	}
	if unicode.IsSpace(rune(s[0])) {
		out.WriteByte(' ')
	}
	out.WriteString(strings.Join(words, " "))
	if unicode.IsSpace(rune(s[len(s)-1])) {
		out.WriteByte(' ')
	}
}
