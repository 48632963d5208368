package xmldsig

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

// method is a canonicalization: Canonical XML 1.0 or 1.1, or Exclusive 1.0.
type method struct {
	exclusive bool
	v11       bool
	comments  bool
	// prefixes are those that Exclusive C14N treats as Canonical XML does
	// (InclusiveNamespaces PrefixList); "" is the default namespace.
	prefixes []string
}

var methods = map[string]method{
	"http://www.w3.org/TR/2001/REC-xml-c14n-20010315":              {},
	"http://www.w3.org/TR/2001/REC-xml-c14n-20010315#WithComments": {comments: true},
	"http://www.w3.org/2006/12/xml-c14n11":                         {v11: true},
	"http://www.w3.org/2006/12/xml-c14n11#WithComments":            {v11: true, comments: true},
	nsExclusive:                  {exclusive: true},
	nsExclusive + "WithComments": {exclusive: true, comments: true},
}

const nsExclusive = "http://www.w3.org/2001/10/xml-exc-c14n#"

// canonical writes the canonical form of an element and what is below it.
type canonical struct {
	method
	out     *bufio.Writer
	left    *int64            // bytes that may still be written
	without []*Element        // left out with all below them; few
	shown   map[string]string // URI of each prefix as the output has it
	err     error
}

// canonicalize writes the canonical form of an element, or of the whole
// document when the element is its root and whole is set.
func (d *Document) canonicalize(w io.Writer, e *Element, whole bool, m method, without []*Element, left *int64) error {
	c := &canonical{method: m, out: bufio.NewWriterSize(w, 4096), left: left, without: without, shown: map[string]string{}}
	if whole {
		for _, n := range d.before {
			c.beside(n, "", "\n")
		}
	}
	c.element(e, true)
	if whole {
		for _, n := range d.after {
			c.beside(n, "\n", "")
		}
	}
	if err := c.out.Flush(); err != nil && c.err == nil {
		c.err = err
	}
	return c.err
}

func (c *canonical) write(s string) {
	if c.err != nil {
		return
	}
	if *c.left -= int64(len(s)); *c.left < 0 {
		c.err = fmt.Errorf("%w: its canonical form is too long", ErrBounds)
		return
	}
	_, c.err = c.out.WriteString(s)
}

// beside writes a comment or instruction outside the root element.
func (c *canonical) beside(n node, before, after string) {
	if n.kind == commentNode && !c.comments {
		return
	}
	c.write(before)
	c.node(n)
	c.write(after)
}

func (c *canonical) node(n node) {
	switch n.kind {
	case textNode:
		c.escape(n.text, "&<>\r")
	case elementNode:
		c.element(n.element, false)
	case commentNode:
		if c.comments {
			c.write("<!--" + n.text + "-->")
		}
	case instructionNode:
		c.write("<?" + n.text + "?>")
	}
}

// element writes one. top: its parent is not in the output.
func (c *canonical) element(e *Element, top bool) {
	if c.err != nil || slices.Contains(c.without, e) {
		return
	}
	decls := c.declarations(e, top)
	type change struct {
		prefix, uri string
		there       bool
	}
	undo := make([]change, 0, len(decls))
	name := e.Local
	if e.prefix != "" {
		name = e.prefix + ":" + e.Local
	}
	c.write("<" + name)
	for _, d := range decls {
		uri, there := c.shown[d.prefix]
		undo = append(undo, change{d.prefix, uri, there})
		c.shown[d.prefix] = d.uri
		if d.prefix == "" {
			c.write(` xmlns="`)
		} else {
			c.write(" xmlns:" + d.prefix + `="`)
		}
		c.escape(d.uri, "&<\"\t\n\r")
		c.write(`"`)
	}
	c.attributes(e, top)
	c.write(">")
	for i := range e.nodes {
		c.node(e.nodes[i])
	}
	c.write("</" + name + ">")
	for _, u := range undo {
		if u.there {
			c.shown[u.prefix] = u.uri
		} else {
			delete(c.shown, u.prefix)
		}
	}
}

// absolute is the form of an absolute URI (RFC 3986 §4.3), without &, which some
// programs escape in a namespace and some do not.
var absolute = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*:(?:[A-Za-z0-9._~:/?#@!$'()*+,;=-]|%[0-9A-Fa-f]{2})*$`)

// declarations are the namespaces that have to be written, sorted by prefix.
func (c *canonical) declarations(e *Element, top bool) []decl {
	var out []decl
	consider := func(prefix, uri string) {
		if prefix == "xml" || c.shown[prefix] == uri || slices.ContainsFunc(out, func(d decl) bool { return d.prefix == prefix }) {
			return
		}
		if uri != "" && !absolute.MatchString(uri) { // C14N §1.3
			c.fail(fmt.Errorf("%w: the namespace %.40q, which is no absolute URI", ErrUnsupported, uri))
		}
		out = append(out, decl{prefix, uri})
	}
	switch {
	case c.exclusive:
		consider(e.prefix, e.Space)
		for i := range e.attrs {
			if e.attrs[i].prefix != "" {
				consider(e.attrs[i].prefix, e.attrs[i].space)
			}
		}
		for _, prefix := range c.prefixes {
			if uri, ok := e.lookup(prefix); ok && (top || e.declares(prefix)) {
				consider(prefix, uri)
			}
		}
	case top:
		for prefix, uri := range e.scope() {
			consider(prefix, uri)
		}
	default:
		for _, d := range e.decls {
			consider(d.prefix, d.uri)
		}
	}
	slices.SortFunc(out, func(a, b decl) int { return cmp.Compare(a.prefix, b.prefix) })
	return out
}

func (c *canonical) fail(err error) {
	if c.err == nil {
		c.err = err
	}
}

func (e *Element) declares(prefix string) bool {
	return slices.ContainsFunc(e.decls, func(d decl) bool { return d.prefix == prefix })
}

// scope is the URI of every prefix that is declared where the element stands.
func (e *Element) scope() map[string]string {
	scope := map[string]string{}
	for ; e != nil; e = e.Parent {
		for _, d := range e.decls {
			if _, nearer := scope[d.prefix]; !nearer {
				scope[d.prefix] = d.uri
			}
		}
	}
	return scope
}

// attributes writes those of an element, sorted by namespace and name.
func (c *canonical) attributes(e *Element, top bool) {
	attrs := e.attrs
	if top && !c.exclusive && e.Parent != nil {
		attrs = append(slices.Clip(attrs), c.inherited(e)...)
	}
	if len(attrs) > 1 {
		attrs = slices.Clone(attrs)
		slices.SortFunc(attrs, func(a, b attr) int {
			return cmp.Or(cmp.Compare(a.space, b.space), cmp.Compare(a.local, b.local))
		})
	}
	for _, a := range attrs {
		c.write(" ")
		if a.prefix != "" {
			c.write(a.prefix + ":")
		}
		c.write(a.local + `="`)
		c.escape(a.value, "&<\"\t\n\r")
		c.write(`"`)
	}
}

// inherited are the xml: attributes that an element has from those above it,
// which are not in the output (C14N §2.4; C14N 1.1 §2.4: only lang and space).
func (c *canonical) inherited(e *Element) []attr {
	var out []attr
	has := func(attrs []attr, local string) bool {
		return slices.ContainsFunc(attrs, func(a attr) bool { return a.space == nsXML && a.local == local })
	}
	for at := e.Parent; at != nil; at = at.Parent {
		for _, a := range at.attrs {
			switch {
			case a.space != nsXML || has(e.attrs, a.local) && !(c.v11 && a.local == "base") || has(out, a.local):
			case c.v11 && a.local == "base":
				c.fail(fmt.Errorf("%w: xml:base in Canonical XML 1.1", ErrUnsupported))
			case !c.v11 || a.local == "lang" || a.local == "space":
				out = append(out, a)
			}
		}
	}
	return out
}

var escapes = map[byte]string{'&': "&amp;", '<': "&lt;", '>': "&gt;", '"': "&quot;", '\t': "&#x9;", '\n': "&#xA;", '\r': "&#xD;"}

// escape writes text with these characters as references.
func (c *canonical) escape(s, special string) {
	for {
		i := strings.IndexAny(s, special)
		if i < 0 {
			c.write(s)
			return
		}
		c.write(s[:i])
		c.write(escapes[s[i]])
		s = s[i+1:]
	}
}
