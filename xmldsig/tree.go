package xmldsig

import (
	"fmt"
	"iter"
	"strings"
)

// Document is a parsed document.
type Document struct {
	Root *Element

	size          int    // bytes
	before, after []node // comments and processing instructions beside the root
	ids           map[string][]*Element
}

// Element is a node of the tree; the same pointer is the same node.
type Element struct {
	Space, Local string // namespace and local name
	Parent       *Element

	prefix string
	attrs  []attr
	decls  []decl // namespace declarations
	nodes  []node
}

type attr struct {
	prefix, space, local, value string
}

type decl struct {
	prefix, uri string
}

// node is what stands in an element.
type node struct {
	kind    nodeKind
	element *Element
	text    string // of an instruction target and data, with a space between
}

type nodeKind uint8

const (
	textNode nodeKind = iota
	elementNode
	commentNode
	instructionNode
)

// Is tells the name.
func (e *Element) Is(space, local string) bool { return e.Local == local && e.Space == space }

// Elements are the children that are elements.
func (e *Element) Elements() iter.Seq[*Element] {
	return func(yield func(*Element) bool) {
		if e == nil {
			return
		}
		for i := range e.nodes {
			if e.nodes[i].kind == elementNode && !yield(e.nodes[i].element) {
				return
			}
		}
	}
}

// Child is the first child of that name; nil when there is none, also of nil.
func (e *Element) Child(space, local string) *Element {
	for c := range e.Elements() {
		if c.Is(space, local) {
			return c
		}
	}
	return nil
}

// Find follows a path of local names in one namespace, taking the first of
// each; nil where it ends.
func (e *Element) Find(space string, path ...string) *Element {
	for _, local := range path {
		e = e.Child(space, local)
	}
	return e
}

// Attr is the value of an attribute; "" when there is none.
func (e *Element) Attr(space, local string) string {
	if e == nil {
		return ""
	}
	for i := range e.attrs {
		if a := &e.attrs[i]; a.local == local && a.space == space {
			return a.value
		}
	}
	return ""
}

// Text is all character data directly in the element, comments and
// instructions between it left out.
func (e *Element) Text() string {
	if e == nil {
		return ""
	}
	var parts []string
	for i := range e.nodes {
		if e.nodes[i].kind == textNode {
			parts = append(parts, e.nodes[i].text)
		}
	}
	return strings.Join(parts, "")
}

// Path says where the element stands, for people: /Evidence/Signature[2].
func (e *Element) Path() string {
	if e == nil {
		return ""
	}
	if e.Parent == nil {
		return "/" + e.Local
	}
	place, same := 0, 0
	for c := range e.Parent.Elements() {
		if c.Local == e.Local {
			same++
		}
		if c == e {
			place = same
		}
	}
	if same == 1 {
		return e.Parent.Path() + "/" + e.Local
	}
	return fmt.Sprintf("%s/%s[%d]", e.Parent.Path(), e.Local, place)
}

// descendants are the element and all elements below it, in document order.
func (e *Element) descendants() iter.Seq[*Element] {
	return func(yield func(*Element) bool) { e.each(yield) }
}

func (e *Element) each(yield func(*Element) bool) bool {
	if !yield(e) {
		return false
	}
	for c := range e.Elements() {
		if !c.each(yield) {
			return false
		}
	}
	return true
}

// within tells that the element is top or below it.
func (e *Element) within(top *Element) bool {
	for ; e != nil; e = e.Parent {
		if e == top {
			return true
		}
	}
	return false
}

const nsXML = "http://www.w3.org/XML/1998/namespace"

// byID lists the elements that bear an Id. Without a document type it is a
// convention which attributes are Ids: those that signatures in use refer to.
func (d *Document) byID(id string) []*Element {
	if d.ids == nil {
		d.ids = map[string][]*Element{}
		for e := range d.Root.descendants() {
			for i := range e.attrs {
				if !e.attrs[i].isID() {
					continue
				}
				value := e.attrs[i].value
				if bearers := d.ids[value]; len(bearers) == 0 || bearers[len(bearers)-1] != e {
					d.ids[value] = append(bearers, e)
				}
			}
		}
	}
	return d.ids[id]
}

func (a *attr) isID() bool {
	switch a.space {
	case "":
		return a.local == "Id" || a.local == "ID" || a.local == "id"
	case nsXML:
		return a.local == "id"
	}
	return false
}

// lookup resolves a prefix where the element stands.
func (e *Element) lookup(prefix string) (uri string, ok bool) {
	for ; e != nil; e = e.Parent {
		for _, d := range e.decls {
			if d.prefix == prefix {
				return d.uri, true
			}
		}
	}
	return "", prefix == ""
}
