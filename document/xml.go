package document

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
)

// Bounds of an XML document, beside Limits.Parsed for its bytes. Segnature have
// a few hundred elements, invoices without their lines and attachments a few
// thousand, ten levels deep.
const (
	xmlDepth = 64
	xmlTag   = 64 << 10 // bytes of one tag with its attributes
	xmlNodes = 50_000   // elements kept
	xmlText  = 16 << 10 // bytes of text kept of one element
)

var (
	errXMLDepth  = fmt.Errorf("it is nested more deeply than %d elements", xmlDepth)
	errXMLTag    = fmt.Errorf("one of its tags is longer than %d bytes", xmlTag)
	errXMLNodes  = fmt.Errorf("it has more than %d elements", xmlNodes)
	errXMLNoRoot = errors.New("it has no element")
)

// node is an element of an XML document. Its names are looked up without regard
// to namespace and case: schemas and senders differ in both.
type node struct {
	space, name string
	attrs       []xml.Attr
	text        []byte // its own, without that of its children
	children    []*node
}

// parseXML reads a document into a tree. Elements named in what skip returns,
// which is asked once the root element is known, are left out with all that is
// in them; nil ends the reading there. A DOCTYPE is passed over: nothing in it
// is processed or fetched, and an entity beyond XML's five is an error. Beside
// an error it returns what was read until there.
func parseXML(data []byte, skip func(root *node) map[string]bool) (*node, error) {
	d := xml.NewDecoder(&tagReader{text: withoutDeclaration(xmlUTF8(data))})
	t := tree{ask: skip}
	for !t.done {
		token, err := d.Token()
		switch {
		case errors.Is(err, io.EOF):
			err = errXMLNoRoot
		case err == nil:
			err = t.add(token)
		}
		if err != nil {
			return t.root, err
		}
	}
	return t.root, nil
}

// tree is made while the elements are read.
type tree struct {
	root     *node
	ask      func(*node) map[string]bool
	skip     map[string]bool
	open     []*node
	skipping int // elements open below one that is left out
	nodes    int
	done     bool
}

func (t *tree) add(token xml.Token) error {
	switch x := token.(type) {
	case xml.StartElement:
		if len(t.open)+t.skipping >= xmlDepth {
			return errXMLDepth
		}
		if t.skipping > 0 || t.skip[x.Name.Local] {
			t.skipping++
			return nil
		}
		return t.start(x)
	case xml.EndElement:
		if t.skipping > 0 {
			t.skipping--
			return nil
		}
		t.open = t.open[:len(t.open)-1]
		t.done = len(t.open) == 0
	case xml.CharData:
		if len(t.open) > 0 && t.skipping == 0 {
			n := t.open[len(t.open)-1]
			n.text = append(n.text, x[:min(len(x), xmlText-len(n.text))]...)
		}
	}
	return nil
}

func (t *tree) start(x xml.StartElement) error {
	if t.nodes++; t.nodes > xmlNodes {
		return errXMLNodes
	}
	n := &node{space: x.Name.Space, name: x.Name.Local, attrs: x.Attr}
	t.open = append(t.open, n)
	if t.root != nil {
		parent := t.open[len(t.open)-2]
		parent.children = append(parent.children, n)
		return nil
	}
	t.root = n
	t.skip = t.ask(n)
	t.done = t.skip == nil
	return nil
}

// tagReader feeds the decoder and ends the reading at a tag that is too long,
// for the decoder holds all attributes of a tag.
type tagReader struct {
	text  string
	pos   int
	plain int // up to here no tag begins: the inside of a comment, CDATA or instruction
	tag   int // where the open tag began, 0 outside of one
	quote byte
}

func (r *tagReader) ReadByte() (byte, error) {
	if r.pos == len(r.text) {
		return 0, io.EOF
	}
	c := r.text[r.pos]
	r.pos++
	switch {
	case r.pos <= r.plain:
	case r.tag == 0:
		if c == '<' {
			r.begin()
		}
	case r.quote != 0:
		if c == r.quote {
			r.quote = 0
		}
	case c == '"' || c == '\'':
		r.quote = c
	case c == '>':
		r.tag = 0
	}
	if r.tag > 0 && r.pos-r.tag > xmlTag {
		return 0, errXMLTag
	}
	return c, nil
}

// begin looks at what follows "<".
func (r *tagReader) begin() {
	rest := r.text[r.pos:]
	for _, x := range []struct{ open, end string }{{"!--", "-->"}, {"![CDATA[", "]]>"}, {"?", "?>"}} {
		if strings.HasPrefix(rest, x.open) {
			r.plain = len(r.text)
			if i := strings.Index(rest, x.end); i >= 0 {
				r.plain = r.pos + i
			}
			return
		}
	}
	if !strings.HasPrefix(rest, "!") {
		r.tag = r.pos
	}
}

// Read is what the decoder asks for before it finds ReadByte.
func (r *tagReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	c, err := r.ReadByte()
	if err != nil {
		return 0, err
	}
	p[0] = c
	return 1, nil
}

// xmlUTF8 turns a document into UTF-8, from the charset it declares or must
// have, with blanks for the control characters that XML 1.0 §2.2 forbids.
func xmlUTF8(data []byte) string {
	charset := ""
	switch {
	case bytes.HasPrefix(data, []byte("<\x00")): // XML 1.0 appendix F
		charset = "utf-16le"
	case bytes.HasPrefix(data, []byte("\x00<")):
		charset = "utf-16be"
	}
	head := strings.ToLower(string(data[:min(len(data), 200)]))
	if _, decl, ok := strings.Cut(head, "encoding="); ok && len(decl) > 1 {
		charset, _, _ = strings.Cut(decl[1:], decl[:1])
		if strings.HasPrefix(charset, "utf-16") { // it could not be read as it was: programs write this into UTF-8
			charset = ""
		}
	}
	text := toUTF8(data, charset)
	if strings.ContainsFunc(text, forbidden) {
		text = strings.Map(func(r rune) rune {
			if forbidden(r) {
				return ' '
			}
			return r
		}, text)
	}
	return strings.TrimLeft(text, " \t\r\n\ufeff")
}

func xmlDeclared(text string) bool {
	return strings.HasPrefix(text, "<?xml") && len(text) > 5 && strings.ContainsRune(" \t\r\n", rune(text[5]))
}

// withoutDeclaration is what follows the declaration, which says nothing any
// more of a text in UTF-8.
func withoutDeclaration(text string) string {
	if xmlDeclared(text) {
		if _, rest, ok := strings.Cut(text, "?>"); ok {
			return rest
		}
	}
	return text
}

func forbidden(r rune) bool {
	return r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0xFFFE || r == 0xFFFF
}

// child is the first element at a path of names, nil without one.
func (n *node) child(path ...string) *node {
	for _, name := range path {
		if n == nil {
			return nil
		}
		next := (*node)(nil)
		for _, c := range n.children {
			if strings.EqualFold(c.name, name) {
				next = c
				break
			}
		}
		n = next
	}
	return n
}

// named yields the children that have one of the names, in order.
func (n *node) named(names ...string) iter.Seq[*node] {
	return func(yield func(*node) bool) {
		if n == nil {
			return
		}
		for _, c := range n.children {
			if slices.ContainsFunc(names, func(name string) bool { return strings.EqualFold(c.name, name) }) && !yield(c) {
				return
			}
		}
	}
}

// first is the text of the first child that has one of the names and text; the
// names are tried in turn.
func (n *node) first(names ...string) string {
	for _, name := range names {
		for c := range n.named(name) {
			if s := c.line(); s != "" {
				return s
			}
		}
	}
	return ""
}

// line is the text of the element as one clean line.
func (n *node) line() string {
	if n == nil {
		return ""
	}
	return line(string(n.text))
}

// attr is an attribute as one clean line, the first of that name.
func (n *node) attr(name string) string {
	if n == nil {
		return ""
	}
	for _, a := range n.attrs {
		if strings.EqualFold(a.Name.Local, name) && a.Name.Space != "xmlns" {
			return line(a.Value)
		}
	}
	return ""
}
