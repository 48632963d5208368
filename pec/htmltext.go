package pec

import (
	"bytes"
	"net/url"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/net/html"
	"golang.org/x/net/idna"
)

// silentElements have content that nobody reads.
var silentElements = map[string]bool{"script": true, "style": true, "title": true, "template": true, "noscript": true,
	"iframe": true, "noembed": true, "noframes": true}

// blockElements begin and end a line, or a paragraph.
var blockElements = map[string]lineBreak{"div": newLine, "tr": newLine, "li": newLine, "dt": newLine, "dd": newLine, "br": newLine,
	"section": newLine, "article": newLine, "header": newLine, "footer": newLine, "address": newLine, "center": newLine, "option": newLine,
	"p": paragraph, "ul": paragraph, "ol": paragraph, "dl": paragraph, "table": paragraph, "blockquote": paragraph, "pre": paragraph, "hr": paragraph,
	"h1": paragraph, "h2": paragraph, "h3": paragraph, "h4": paragraph, "h5": paragraph, "h6": paragraph, "caption": newLine}

type lineBreak uint8

const (
	noBreak lineBreak = iota
	newLine
	paragraph
)

// containers are the classes and ids, in lower case, by which mail programs tell
// what is in an element: Gmail, Thunderbird, Roundcube, Outlook and its web
// version, Yahoo, Proton Mail, Zimbra.
var containers = map[string]lineMark{
	"gmail_attr": introduces, "moz-cite-prefix": introduces, "reply-intro": introduces,
	"gmail_signature": signs, "moz-signature": signs, "ms-outlook-mobile-signature": signs, "signature": signs,
	"divrplyfwdmsg": beginsHistory, "outlookmessageheader": beginsHistory, "moz-forward-container": beginsHistory,
	"moz-email-headers-table": beginsHistory, "yahoo_quoted": beginsHistory, "protonmail_quote": beginsHistory, "zwchr": beginsHistory,
}

// htmlText is what an HTML document says, without its form, line by line: about
// limit bytes. Cells of a table stand beside each other, links have the host
// they really lead to after them, quotations have ">" before each line. cut
// tells that not all was read.
func htmlText(doc string, limit int) (lines []textLine, cut bool) {
	z := html.NewTokenizer(strings.NewReader(doc))
	z.SetMaxBuf(1 << 20)
	w := htmlWriter{}
	for w.size <= 2*limit {
		switch z.Next() {
		case html.ErrorToken:
			w.endLink()
			w.endLine()
			return w.lines, z.Err() == html.ErrBufferExceeded
		case html.TextToken:
			w.text(z.Text())
		case html.StartTagToken:
			w.start(readTag(z), false)
		case html.SelfClosingTagToken:
			w.start(readTag(z), true)
		case html.EndTagToken:
			name, _ := z.TagName()
			w.end(string(name))
		}
	}
	w.endLine()
	return w.lines, true
}

// tag is a start tag with the attributes that mean something here.
type tag struct{ name, class, id, kind, cite, style, href, start string }

// attributesMax bounds the attributes that are looked at, attributeMax each.
const (
	attributesMax = 64
	attributeMax  = 4096
)

// marked are the elements that programs mark.
var marked = map[string]bool{"div": true, "p": true, "pre": true, "hr": true, "blockquote": true}

func readTag(z *html.Tokenizer) tag {
	name, more := z.TagName()
	t := tag{name: string(name)}
	if t.name != "a" && t.name != "ol" && !marked[t.name] {
		return t
	}
	for i := 0; more && i < attributesMax; i++ {
		var key, value []byte
		key, value, more = z.TagAttr()
		if to := t.attribute(string(key)); to != nil && *to == "" {
			*to = string(value[:min(len(value), attributeMax)])
		}
	}
	return t
}

func (t *tag) attribute(name string) *string {
	switch name {
	case "class":
		return &t.class
	case "id":
		return &t.id
	case "type":
		return &t.kind
	case "cite":
		return &t.cite
	case "style":
		return &t.style
	case "href":
		return &t.href
	case "start":
		return &t.start
	}
	return nil
}

// mark tells what a mail program says about a container's content.
func (t tag) mark() lineMark {
	if !marked[t.name] {
		return 0
	}
	named := strings.ToLower(t.class + " " + t.id)
	for name := range strings.FieldsSeq(named) {
		for strings.HasPrefix(name, "x_") { // put before all names when a message is quoted
			name = name[2:]
		}
		if mark, ok := containers[strings.TrimRight(name, "_0123456789")]; ok {
			return mark
		}
	}
	if t.name != "blockquote" {
		return 0
	}
	style := strings.ReplaceAll(strings.ToLower(t.style), " ", "")
	switch {
	case strings.EqualFold(t.kind, "cite") || t.cite != "" || strings.Contains(named, "quote") || strings.Contains(named, "cite"):
		return cited
	case strings.Contains(style, "border:none") && strings.Contains(style, "40px"): // "increase indent" of a webmail
		return 0
	}
	return indented
}

// element is an open container.
type element struct {
	name string
	mark lineMark
	next int // number of the next item of an ordered list, 0 for others
}

// elementsMax bounds the containers that are kept; those nested more deeply
// mean nothing.
const elementsMax = 100

// htmlWriter makes lines of a document.
type htmlWriter struct {
	lines []textLine
	size  int // bytes in lines

	line   []byte
	mark   lineMark // of the line
	depth  int      // of the quotation it is in
	gap    string   // what goes before the next word of the line
	bullet string   // what goes before the first
	after  lineBreak
	begins lineMark // of the next line only

	silent   string // the element whose end is awaited
	elements []element
	beyond   int   // containers that were not kept
	pres     int   // elements in which blanks count
	rows     []row // of the tables that are open
	link     link
}

// row is a table row that is being read.
type row struct {
	filled bool // has a cell with text
	bare   bool // the cell that is open has none yet: nothing breaks its first line
	lines  int  // how many lines there were when the cell began
}

type link struct {
	host string
	from int // where its text begins
	line int
}

func (w *htmlWriter) start(t tag, closed bool) {
	if w.silent != "" {
		return
	}
	if silentElements[t.name] && !closed {
		w.silent = t.name
		return
	}
	w.breakAt(t.name)
	switch t.name {
	case "a":
		w.endLink()
		if w.after != noBreak {
			w.endLine()
		}
		w.link = link{host: linkHost(t.href), from: len(w.line), line: len(w.lines)}
		return
	case "li":
		w.item()
		return
	case "tr", "td", "th":
		w.cell(t.name == "tr")
		return
	case "table":
		if len(w.rows) < elementsMax {
			w.rows = append(w.rows, row{})
		}
		return
	}
	mark := t.mark()
	if mark == beginsHistory {
		w.begins |= mark
		mark = 0
	}
	switch t.name {
	case "div", "blockquote", "ul", "ol", "pre":
	case "p":
		if mark == 0 {
			return
		}
	default:
		return
	}
	if closed {
		return
	}
	if len(w.elements) >= elementsMax {
		w.beyond++
		return
	}
	e := element{name: t.name, mark: mark}
	if t.name == "ol" {
		n, _ := strconv.Atoi(t.start)
		e.next = max(1, min(n, 100_000))
	}
	if t.name == "pre" {
		w.pres++
	}
	w.elements = append(w.elements, e)
}

// keep forgets the containers after the first n.
func (w *htmlWriter) keep(n int) {
	for _, e := range w.elements[n:] {
		if e.name == "pre" {
			w.pres--
		}
	}
	w.elements = w.elements[:n]
}

func (w *htmlWriter) end(name string) {
	if w.silent != "" {
		if w.silent == name {
			w.silent = ""
		}
		return
	}
	switch name {
	case "a":
		w.endLink()
	case "td", "th", "tr":
		if n := len(w.rows); n > 0 {
			w.rows[n-1].bare = false
		}
	case "table":
		w.endTable()
	}
	w.close(name)
	w.breakAt(name)
}

// close ends the innermost container of that name and those in it.
func (w *htmlWriter) close(name string) {
	switch name {
	case "div", "blockquote", "ul", "ol", "pre":
		if w.beyond > 0 {
			w.beyond--
			return
		}
	case "p":
	default:
		return
	}
	for i := len(w.elements) - 1; i >= 0; i-- {
		if w.elements[i].name == name {
			w.keep(i)
			return
		}
	}
}

// breakAt ends the line, or the paragraph, before what is written next.
func (w *htmlWriter) breakAt(name string) {
	b := blockElements[name]
	if b == noBreak {
		return
	}
	if name == "br" && w.after >= newLine { // the second in a row is an empty line
		b = paragraph
	}
	if n := len(w.rows); n == 0 || !w.rows[n-1].bare {
		w.after = max(w.after, b)
	}
	if n := len(w.elements); n > 0 && name != "br" && w.elements[n-1].name == "p" { // nothing else closes it
		w.keep(n - 1)
	}
}

// item begins an item of the innermost list.
func (w *htmlWriter) item() {
	depth := 0
	w.bullet = "- "
	for i := range w.elements {
		e := &w.elements[i]
		if e.name != "ul" && e.name != "ol" {
			continue
		}
		depth++
		w.bullet = "- "
		if e.name == "ol" {
			w.bullet = strconv.Itoa(e.next) + ". "
		}
	}
	for i := len(w.elements) - 1; i >= 0; i-- {
		if e := &w.elements[i]; e.name == "ul" || e.name == "ol" {
			e.next++
			break
		}
	}
	w.bullet = strings.Repeat("  ", max(0, min(depth, 8)-1)) + w.bullet
}

// cell begins a row or a cell. A cell stands beside the one before when that is
// one line.
func (w *htmlWriter) cell(first bool) {
	if len(w.rows) == 0 {
		w.after = max(w.after, newLine)
		return
	}
	r := &w.rows[len(w.rows)-1]
	switch {
	case first:
		r.filled = false
	case r.filled && r.lines == len(w.lines):
		w.after, w.gap = noBreak, " | "
	default:
		w.after = max(w.after, newLine)
	}
	r.bare, r.lines = !first, len(w.lines)
	if w.after > noBreak && len(w.line) > 0 {
		r.lines++ // the line before is still to be written
	}
}

// endTable goes on in the row that the table stood in.
func (w *htmlWriter) endTable() {
	n := len(w.rows) - 1
	if n < 0 {
		return
	}
	if n > 0 && w.rows[n].filled {
		w.rows[n-1].filled, w.rows[n-1].bare = true, false
	}
	w.rows = w.rows[:n]
}

func (w *htmlWriter) text(b []byte) {
	if w.silent != "" {
		return
	}
	if w.pres > 0 {
		w.verbatim(string(b))
		return
	}
	for len(b) > 0 {
		from := bytes.IndexFunc(b, notBlank)
		if from != 0 {
			w.blank()
		}
		if from < 0 {
			return
		}
		b = b[from:]
		to := bytes.IndexFunc(b, unicode.IsSpace)
		if to < 0 {
			to = len(b)
		}
		w.begin()
		w.line = append(w.line, b[:to]...)
		b = b[to:]
	}
}

func notBlank(r rune) bool { return !unicode.IsSpace(r) }

func (w *htmlWriter) verbatim(s string) {
	for l := range strings.Lines(strings.ReplaceAll(s, "\r\n", "\n")) {
		text := strings.TrimRight(l, "\r\n")
		if strings.TrimSpace(text) != "" {
			w.write(text)
		}
		if len(text) < len(l) {
			w.breakAt("br")
		}
	}
}

func (w *htmlWriter) blank() {
	if w.gap == "" && len(w.line) > 0 {
		w.gap = " "
	}
}

// write writes a word.
func (w *htmlWriter) write(s string) {
	w.begin()
	w.line = append(w.line, s...)
}

// begin writes what goes before a word.
func (w *htmlWriter) begin() {
	if w.after != noBreak {
		w.endLine()
	}
	if len(w.line) == 0 {
		w.mark, w.depth = w.begins, 0
		w.begins = 0
		for _, e := range w.elements {
			w.mark |= e.mark
			if e.mark&(cited|indented) != 0 {
				w.depth++
			}
		}
		w.line = append(w.line, w.bullet...)
		w.bullet = ""
	} else {
		w.line = append(w.line, w.gap...)
	}
	w.gap = ""
	if n := len(w.rows); n > 0 {
		w.rows[n-1].filled, w.rows[n-1].bare = true, false
	}
}

// depthMax bounds the signs before a quotation.
const depthMax = 8

func (w *htmlWriter) endLine() {
	if text := string(w.line); text != "" {
		if !printable(text) {
			text = strings.Map(lineRune, text)
		}
		text = strings.Repeat("> ", min(w.depth, depthMax)) + text
		w.lines = append(w.lines, textLine{text: text, mark: w.mark})
		w.size += len(text) + 1
	}
	if w.after == paragraph && len(w.lines) > 0 && w.lines[len(w.lines)-1].text != "" {
		w.lines = append(w.lines, textLine{})
		w.size++
	}
	w.line = w.line[:0]
	w.after, w.gap = noBreak, ""
}

// endLink writes where a link leads, unless its text says so.
func (w *htmlWriter) endLink() {
	l := w.link
	w.link = link{}
	if l.host == "" {
		return
	}
	if l.line == len(w.lines) && l.from <= len(w.line) {
		if saidHost(string(w.line[l.from:])) == l.host {
			return
		}
	}
	if len(w.line) > 0 {
		w.gap = " "
	}
	w.write("[" + l.host + "]")
}

// saidHost is the host that the text of a link names, if it is nothing else.
func saidHost(text string) string {
	text = strings.ToLower(strings.TrimSpace(text))
	for _, scheme := range []string{"https://", "http://", "ftp://", "mailto:"} {
		text = strings.TrimPrefix(text, scheme)
	}
	if i := strings.IndexAny(text, "/?# "); i >= 0 {
		text = text[:i]
	}
	return text
}

// linkHost is where a link leads: the host in the form that hides no letter of
// another alphabet, or the address of a mailto link.
func linkHost(href string) string {
	href = strings.Map(func(r rune) rune {
		switch {
		case r == '\\': // as browsers read it
			return '/'
		case unicode.IsControl(r):
			return -1
		}
		return r
	}, strings.TrimSpace(href))
	u, err := url.Parse(href)
	if err != nil {
		return ""
	}
	switch strings.ToLower(u.Scheme) {
	case "mailto":
		address, err := url.PathUnescape(u.Opaque)
		if err != nil {
			address = u.Opaque
		}
		return strings.ToLower(cutText(line(address), 320))
	case "http", "https", "ftp", "":
	default:
		return ""
	}
	host := u.Hostname()
	if ascii, err := idna.Punycode.ToASCII(host); err == nil {
		host = ascii
	}
	return strings.ToLower(cutText(line(host), 253))
}
