package xmldsig

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
)

// Parse reads a document as XML 1.0 with Namespaces have it, strictly: where
// programs differ in what they make of a document, a signature proves nothing.
func Parse(data []byte, limits Limits) (*Document, error) {
	limits = limits.orDefault()
	if len(data) > limits.Bytes {
		return nil, fmt.Errorf("%w: it has %d bytes, %d are read", ErrBounds, len(data), limits.Bytes)
	}
	text, err := decode(data)
	if err != nil {
		return nil, err
	}
	p := &parser{s: text, limits: limits, doc: &Document{size: len(data)},
		scope: map[string][]string{"xml": {nsXML}, "": {""}}}
	if err := p.document(); err != nil {
		return nil, err
	}
	return p.doc, nil
}

func (l Limits) orDefault() Limits {
	fill(&l.Bytes, DefaultLimits.Bytes)
	fill(&l.Elements, DefaultLimits.Elements)
	fill(&l.Depth, DefaultLimits.Depth)
	return l
}

func fill(v *int, fallback int) {
	if *v <= 0 {
		*v = fallback
	}
}

// charsets are the encodings that are read beside UTF-8.
var charsets = map[string]encoding.Encoding{
	"us-ascii": nil, "ascii": nil, "utf-8": nil, "utf8": nil,
	"iso-8859-1": charmap.ISO8859_1, "iso-8859-15": charmap.ISO8859_15, "windows-1252": charmap.Windows1252,
}

// decode turns the document into UTF-8 with LF line ends (XML 1.0 §2.11) and
// refuses characters that XML does not have (§2.2).
func decode(data []byte) (string, error) {
	var charset encoding.Encoding
	switch {
	case bytes.HasPrefix(data, []byte("\xef\xbb\xbf")):
		data = data[3:]
		if name := declaredEncoding(data); name != "" && charsets[name] != nil {
			return "", fmt.Errorf("%w: it begins as UTF-8 and says that it is %s", ErrMalformed, name)
		}
	case bytes.HasPrefix(data, []byte("\xfe\xff")), bytes.HasPrefix(data, []byte("\xff\xfe")):
		charset = unicode.UTF16(unicode.BigEndian, unicode.ExpectBOM)
	default:
		name := declaredEncoding(data)
		known := false
		if charset, known = charsets[name]; !known && name != "" {
			return "", fmt.Errorf("%w: the character set %.40q", ErrUnsupported, name)
		}
	}
	if charset != nil {
		out, err := charset.NewDecoder().Bytes(data)
		if err != nil {
			return "", fmt.Errorf("%w: its characters cannot be read: %w", ErrMalformed, err)
		}
		data = out
	}
	text := string(data)
	if !utf8.ValidString(text) || strings.Contains(text, "\ufffe") || strings.Contains(text, "\uffff") {
		return "", fmt.Errorf("%w: it holds bytes that are no characters", ErrMalformed)
	}
	for i := range len(text) {
		if c := text[i]; c < ' ' && c != '\t' && c != '\n' && c != '\r' {
			return "", fmt.Errorf("%w: it holds the control character %#02x", ErrMalformed, c)
		}
	}
	if strings.IndexByte(text, '\r') >= 0 {
		text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
	}
	return text, nil
}

// declaredEncoding is the lower-case name in the XML declaration.
func declaredEncoding(data []byte) string {
	head, _, ok := bytes.Cut(data[:min(len(data), 256)], []byte("?>"))
	if !ok || !bytes.HasPrefix(head, []byte("<?xml")) {
		return ""
	}
	_, rest, ok := bytes.Cut(head, []byte("encoding"))
	if !ok {
		return ""
	}
	rest = bytes.TrimLeft(rest, "= \t\r\n")
	if len(rest) == 0 || rest[0] != '"' && rest[0] != '\'' {
		return ""
	}
	name, _, _ := bytes.Cut(rest[1:], rest[:1])
	return strings.ToLower(string(name))
}

type parser struct {
	s      string
	at     int
	limits Limits
	doc    *Document
	open   *Element // nil outside the root
	depth  int
	count  int
	scope  map[string][]string // URIs of each prefix, the innermost last
}

func (p *parser) bad(format string, args ...any) error {
	return fmt.Errorf("%w: line %d: %s", ErrMalformed, 1+strings.Count(p.s[:p.at], "\n"), fmt.Sprintf(format, args...))
}

func (p *parser) document() error {
	if err := p.declaration(); err != nil {
		return err
	}
	for p.at < len(p.s) {
		if err := p.next(); err != nil {
			return err
		}
	}
	switch {
	case p.open != nil:
		return p.bad("the element %s is not closed", p.open.Local)
	case p.doc.Root == nil:
		return p.bad("it has no element")
	}
	return nil
}

// declaration passes over the XML declaration (§2.8), if there is one.
func (p *parser) declaration() error {
	if !strings.HasPrefix(p.s, "<?xml") || len(p.s) > 5 && !isSpace(p.s[5]) {
		return nil
	}
	inside, _, ok := strings.Cut(p.s[5:], "?>")
	if !ok {
		return p.bad("the XML declaration has no end")
	}
	q := &parser{s: inside}
	place := 0
	names := []string{"version", "encoding", "standalone"}
	for {
		space := q.space()
		if q.at == len(q.s) {
			break
		}
		if !space {
			return p.bad("the XML declaration cannot be read")
		}
		name, value, err := q.pair()
		i := slices.Index(names, name)
		if err != nil || i < place || place == 0 && i != 0 || strings.Contains(inside, "&") ||
			name == "standalone" && value != "yes" && value != "no" {
			return p.bad("the XML declaration cannot be read")
		}
		if name == "version" && value != "1.0" {
			return fmt.Errorf("%w: XML %.10q", ErrUnsupported, value)
		}
		place = i + 1
	}
	if place == 0 {
		return p.bad("the XML declaration names no version")
	}
	p.at = 5 + len(inside) + 2
	return nil
}

// next reads what stands next: a run of text, or one piece of markup.
func (p *parser) next() error {
	rest := p.s[p.at:]
	switch {
	case rest[0] != '<':
		return p.text()
	case strings.HasPrefix(rest, "<!--"):
		return p.comment()
	case strings.HasPrefix(rest, "<![CDATA["):
		return p.cdata()
	case strings.HasPrefix(rest, "<!DOCTYPE"):
		return ErrDoctype
	case strings.HasPrefix(rest, "<?"):
		return p.instruction()
	case strings.HasPrefix(rest, "</"):
		return p.end()
	}
	return p.start()
}

// add puts a node where the parser stands.
func (p *parser) add(n node) {
	switch {
	case p.open != nil:
		p.open.nodes = append(p.open.nodes, n)
	case p.doc.Root == nil:
		p.doc.before = append(p.doc.before, n)
	default:
		p.doc.after = append(p.doc.after, n)
	}
}

// spend counts a node that is no text against the bound of elements.
func (p *parser) spend() error {
	if p.count++; p.count > p.limits.Elements {
		return fmt.Errorf("%w: more than %d elements", ErrBounds, p.limits.Elements)
	}
	return nil
}

func (p *parser) text() error {
	run := p.s[p.at:]
	if i := strings.IndexByte(run, '<'); i >= 0 {
		run = run[:i]
	}
	if p.open == nil {
		if strings.Trim(run, " \t\n") != "" {
			return p.bad("text outside the root element")
		}
		p.at += len(run)
		return nil
	}
	if strings.Contains(run, "]]>") {
		return p.bad("]]> in text")
	}
	text, err := p.expand(run)
	if err != nil {
		return err
	}
	p.at += len(run)
	p.add(node{kind: textNode, text: text})
	return nil
}

func (p *parser) comment() error {
	text, _, ok := strings.Cut(p.s[p.at+4:], "-->")
	if !ok || strings.Contains(text, "--") || strings.HasSuffix(text, "-") {
		return p.bad("a comment has no end, or -- in it")
	}
	p.at += 4 + len(text) + 3
	p.add(node{kind: commentNode, text: text})
	return p.spend()
}

func (p *parser) cdata() error {
	text, _, ok := strings.Cut(p.s[p.at+9:], "]]>")
	if !ok || p.open == nil {
		return p.bad("a CDATA section has no end, or stands outside the root element")
	}
	p.at += 9 + len(text) + 3
	p.add(node{kind: textNode, text: text})
	return p.spend()
}

func (p *parser) instruction() error {
	inside, _, ok := strings.Cut(p.s[p.at+2:], "?>")
	if !ok {
		return p.bad("a processing instruction has no end")
	}
	target := inside[:nameLength(inside)]
	data := inside[len(target):]
	switch {
	case target == "" || strings.EqualFold(target, "xml") || strings.Contains(target, ":"):
		return p.bad("a processing instruction has no proper target")
	case data != "" && !isSpace(data[0]):
		return p.bad("a processing instruction has no proper target")
	}
	if data = strings.TrimLeft(data, " \t\n"); data != "" {
		target += " " + data
	}
	p.at += 2 + len(inside) + 2
	p.add(node{kind: instructionNode, text: target})
	return p.spend()
}

// start reads a start tag or an empty element.
func (p *parser) start() error {
	if p.doc.Root != nil && p.open == nil {
		return p.bad("a second root element")
	}
	if err := p.spend(); err != nil {
		return err
	}
	if p.depth++; p.depth > p.limits.Depth {
		return fmt.Errorf("%w: nested more than %d deep", ErrBounds, p.limits.Depth)
	}
	p.at++
	name, err := p.name()
	if err != nil {
		return err
	}
	e := &Element{Parent: p.open}
	if e.prefix, e.Local, err = p.split(name); err != nil {
		return err
	}
	empty, err := p.attributes(e)
	if err != nil {
		return err
	}
	if err := p.resolve(e); err != nil {
		return err
	}
	if p.doc.Root == nil {
		p.doc.Root = e
	} else {
		p.add(node{kind: elementNode, element: e})
	}
	p.open = e
	if empty {
		p.close()
	}
	return nil
}

// attributes reads those of a start tag up to its end.
func (p *parser) attributes(e *Element) (empty bool, err error) {
	for {
		space := p.space()
		switch rest := p.s[p.at:]; {
		case strings.HasPrefix(rest, ">"):
			p.at++
			return false, nil
		case strings.HasPrefix(rest, "/>"):
			p.at += 2
			return true, nil
		case rest == "" || !space:
			return false, p.bad("a start tag cannot be read")
		}
		name, value, err := p.pair()
		if err != nil {
			return false, err
		}
		if len(e.attrs)+len(e.decls) == maxAttributes {
			return false, fmt.Errorf("%w: more than %d attributes", ErrBounds, maxAttributes)
		}
		prefix, local, err := p.split(name)
		switch {
		case err != nil:
			return false, err
		case prefix == "" && local == "xmlns":
			err = p.declare(e, "", value)
		case prefix == "xmlns":
			err = p.declare(e, local, value)
		default:
			e.attrs = append(e.attrs, attr{prefix: prefix, local: local, value: value})
		}
		if err != nil {
			return false, err
		}
	}
}

// declare takes a namespace declaration (Namespaces in XML 1.0 §3).
func (p *parser) declare(e *Element, prefix, uri string) error {
	switch {
	case prefix == "xmlns", prefix == "xml" && uri != nsXML, prefix != "xml" && uri == nsXML,
		uri == "http://www.w3.org/2000/xmlns/", prefix != "" && uri == "":
		return p.bad("the prefix %q cannot be declared so", prefix)
	}
	for _, d := range e.decls {
		if d.prefix == prefix {
			return p.bad("the prefix %q is declared twice", prefix)
		}
	}
	e.decls = append(e.decls, decl{prefix, uri})
	return nil
}

// resolve gives the names of an element their namespaces.
func (p *parser) resolve(e *Element) error {
	for _, d := range e.decls {
		p.scope[d.prefix] = append(p.scope[d.prefix], d.uri)
	}
	var err error
	if e.Space, err = p.namespace(e.prefix); err != nil {
		return err
	}
	for i := range e.attrs {
		if a := &e.attrs[i]; a.prefix != "" {
			if a.space, err = p.namespace(a.prefix); err != nil {
				return err
			}
		}
	}
	if twice := repeated(e.attrs); twice != "" {
		return p.bad("the attribute %s stands twice", twice)
	}
	return nil
}

// repeated is the local name of an attribute that stands twice.
func repeated(attrs []attr) string {
	if len(attrs) <= 16 { // most have few, for which a map is slow
		for i := range attrs {
			for j := range i {
				if attrs[i].local == attrs[j].local && attrs[i].space == attrs[j].space {
					return attrs[i].local
				}
			}
		}
		return ""
	}
	type name struct{ space, local string }
	seen := make(map[name]bool, len(attrs))
	for i := range attrs {
		n := name{attrs[i].space, attrs[i].local}
		if seen[n] {
			return n.local
		}
		seen[n] = true
	}
	return ""
}

func (p *parser) namespace(prefix string) (string, error) {
	stack := p.scope[prefix]
	if len(stack) == 0 {
		return "", p.bad("the prefix %q is not declared", prefix)
	}
	return stack[len(stack)-1], nil
}

func (p *parser) end() error {
	p.at += 2
	name, err := p.name()
	if err != nil {
		return err
	}
	p.space()
	if !strings.HasPrefix(p.s[p.at:], ">") {
		return p.bad("an end tag cannot be read")
	}
	p.at++
	if p.open == nil {
		return p.bad("an end tag without a start")
	}
	if prefix, local, err := p.split(name); err != nil || prefix != p.open.prefix || local != p.open.Local {
		return p.bad("the end tag %s does not fit its start", name)
	}
	p.close()
	return nil
}

func (p *parser) close() {
	for _, d := range p.open.decls {
		stack := p.scope[d.prefix]
		p.scope[d.prefix] = stack[:len(stack)-1]
	}
	p.open = p.open.Parent
	p.depth--
}

// pair reads name="value".
func (p *parser) pair() (name, value string, err error) {
	if name, err = p.name(); err != nil {
		return "", "", err
	}
	p.space()
	if !strings.HasPrefix(p.s[p.at:], "=") {
		return "", "", p.bad("the attribute %s has no value", name)
	}
	p.at++
	p.space()
	rest := p.s[p.at:]
	if rest == "" || rest[0] != '"' && rest[0] != '\'' {
		return "", "", p.bad("the value of the attribute %s is not quoted", name)
	}
	raw, _, ok := strings.Cut(rest[1:], rest[:1])
	if !ok || strings.IndexByte(raw, '<') >= 0 {
		return "", "", p.bad("the value of the attribute %s has no end, or < in it", name)
	}
	// Attribute-value normalization (§3.3.3): white space as it stands is a
	// space, what a reference gives stays.
	spaced := raw
	if strings.ContainsAny(raw, "\t\n") {
		spaced = strings.Map(func(r rune) rune {
			if r == '\t' || r == '\n' {
				return ' '
			}
			return r
		}, raw)
	}
	if value, err = p.expand(spaced); err != nil {
		return "", "", err
	}
	p.at += len(raw) + 2
	return name, value, nil
}

var entities = map[string]string{"lt": "<", "gt": ">", "amp": "&", "apos": "'", "quot": `"`}

// expand replaces character references and the five entities of XML; there
// are no others, so nothing grows.
func (p *parser) expand(raw string) (string, error) {
	first := strings.IndexByte(raw, '&')
	if first < 0 {
		return raw, nil
	}
	var b strings.Builder
	b.Grow(len(raw))
	for {
		i := strings.IndexByte(raw, '&')
		if i < 0 {
			b.WriteString(raw)
			return b.String(), nil
		}
		b.WriteString(raw[:i])
		raw = raw[i+1:]
		end := strings.IndexByte(raw[:min(len(raw), 16)], ';')
		if end < 0 {
			return "", p.bad("& without an entity")
		}
		name := raw[:end]
		raw = raw[end+1:]
		if text, ok := entities[name]; ok {
			b.WriteString(text)
			continue
		}
		r, ok := characterReference(name)
		if !ok {
			return "", p.bad("the entity &%s; is not known", name)
		}
		b.WriteRune(r)
	}
}

func characterReference(name string) (rune, bool) {
	digits, ok := strings.CutPrefix(name, "#")
	base := 10
	if hex, is := strings.CutPrefix(digits, "x"); is {
		digits, base = hex, 16
	}
	n, err := strconv.ParseUint(digits, base, 32)
	if !ok || err != nil || digits[0] == '+' {
		return 0, false
	}
	r := rune(n)
	return r, n <= utf8.MaxRune && utf8.ValidRune(r) && r != 0xfffe && r != 0xffff && (r >= ' ' || r == '\t' || r == '\n' || r == '\r')
}

func (p *parser) name() (string, error) {
	n := nameLength(p.s[p.at:])
	if n == 0 {
		return "", p.bad("a name is missing")
	}
	name := p.s[p.at : p.at+n]
	p.at += n
	return name, nil
}

// split cuts a qualified name (Namespaces in XML 1.0 §4).
func (p *parser) split(name string) (prefix, local string, err error) {
	prefix, local, ok := strings.Cut(name, ":")
	if !ok {
		return "", name, nil
	}
	if prefix == "" || nameLength(local) != len(local) || local == "" || strings.Contains(local, ":") {
		return "", "", p.bad("%s is no proper name", name)
	}
	return prefix, local, nil
}

// space passes over white space and tells whether there was any.
func (p *parser) space() bool {
	from := p.at
	for p.at < len(p.s) && isSpace(p.s[p.at]) {
		p.at++
	}
	return p.at > from
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// nameLength is the length of the Name (XML 1.0 §2.3) at the beginning.
func nameLength(s string) int {
	for i, r := range s {
		if !nameRune(r, i == 0) {
			return i
		}
	}
	return len(s)
}

func nameRune(r rune, first bool) bool {
	switch {
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', r == '_', r == ':':
		return true
	case '0' <= r && r <= '9', r == '-', r == '.', r == 0xb7, 0x300 <= r && r <= 0x36f, r == 0x203f, r == 0x2040:
		return !first
	case r < 0xc0 || r == 0xd7 || r == 0xf7 || r == 0x37e:
		return false
	}
	return r <= 0x2ff || 0x370 <= r && r <= 0x1fff || r == 0x200c || r == 0x200d || 0x2070 <= r && r <= 0x218f ||
		0x2c00 <= r && r <= 0x2fef || 0x3001 <= r && r <= 0xd7ff || 0xf900 <= r && r <= 0xfdcf || 0xfdf0 <= r && r <= 0xfffd || r >= 0x10000 && r <= 0xeffff
}
