package pdfa

import (
	"fmt"
	"strconv"
	"strings"
)

// tree is the logical structure. Elements are written when they are complete;
// of the open ones only the numbers of their children are kept.
type tree struct {
	stack   []*element
	parents []int // the array of each page's structure parents
	root    []int
	leaf    *leaf  // whose marked content is open
	role    string // its role
}

type element struct {
	object int
	role   string
	kids   []int
}

func (t *tree) open(role string) {
	t.stack = append(t.stack, &element{role: role})
}

// parent is the number of the innermost open element. Numbers are given late,
// so that New has no need to know them.
func (t *tree) parent(d *Document) int {
	for i, e := range t.stack {
		if e.object == 0 {
			e.object = d.reserve()
			if i > 0 {
				t.stack[i-1].kids = append(t.stack[i-1].kids, e.object)
			} else {
				t.root = append(t.root, e.object)
			}
		}
	}
	if len(t.stack) == 0 {
		return objStructure
	}
	return t.stack[len(t.stack)-1].object
}

// close writes the innermost open element.
func (t *tree) close(d *Document) {
	object := t.parent(d)
	e := t.stack[len(t.stack)-1]
	t.stack = t.stack[:len(t.stack)-1]
	up := objStructure
	if len(t.stack) > 0 {
		up = t.stack[len(t.stack)-1].object
	}
	d.small(object, "<</Type/StructElem/S/", e.role, "/P ", strconv.Itoa(up), " 0 R/K[", refs(e.kids), "]>>")
}

func refs(objects []int) string {
	var b []byte
	for i, n := range objects {
		if i > 0 {
			b = append(b, ' ')
		}
		b = append(strconv.AppendInt(b, int64(n), 10), " 0 R"...)
	}
	return string(b)
}

// leaf is an element that holds marked contents, of one page or more.
type leaf struct {
	object int
	kids   []string
}

// tagged draws something as one element.
func (d *Document) tagged(role string, height float64, draw func()) {
	d.space(height + 14)
	d.content(role, "", draw)
}

// cell draws the content of a table cell.
func (d *Document) cell(role, scope string, draw func()) { d.content(role, scope, draw) }

func (d *Document) content(role, scope string, draw func()) {
	parent := d.tree.parent(d)
	l := &leaf{object: d.reserve()}
	if n := len(d.tree.stack); n > 0 {
		d.tree.stack[n-1].kids = append(d.tree.stack[n-1].kids, l.object)
	} else {
		d.tree.root = append(d.tree.root, l.object)
	}
	d.tree.role = role
	d.begin(l)
	d.tree.leaf = l
	draw()
	d.page.content.WriteString("EMC\n")
	attributes := ""
	if scope != "" {
		attributes = "/A<</O/Table/Scope/" + scope + ">>"
	}
	d.small(l.object, "<</Type/StructElem/S/", role, "/P ", strconv.Itoa(parent), " 0 R", attributes, "/K[", strings.Join(l.kids, " "), "]>>")
	d.tree.leaf = nil
}

// begin opens a marked content on the page for an element.
func (d *Document) begin(l *leaf) {
	id := strconv.Itoa(d.page.marked)
	d.page.write("/", d.tree.role, " <</MCID ", id, ">> BDC\n")
	l.kids = append(l.kids, "<</Type/MCR/Pg "+strconv.Itoa(d.page.object)+" 0 R/MCID "+id+">>")
	d.page.parents = append(d.page.parents, l.object)
	d.page.marked++
}

// split goes on with the open element on another page.
func (d *Document) split() {
	d.page.content.WriteString("EMC\n")
	d.newPage()
	d.begin(d.tree.leaf)
}

// page writes which elements the marked contents of a page belong to.
func (t *tree) page(d *Document, p *page) {
	n := d.reserve()
	d.small(n, "[", refs(p.parents), "]")
	t.parents = append(t.parents, n)
}

// structure ends the tree: one Document over everything.
func (d *Document) structure() {
	var numbers strings.Builder
	for i, n := range d.tree.parents {
		fmt.Fprintf(&numbers, "%d %d 0 R ", i, n)
	}
	d.object(objParents, "<</Nums["+numbers.String()+"]>>")
	d.object(objStructure, fmt.Sprintf("<</Type/StructTreeRoot/ParentTree %d 0 R/ParentTreeNextKey %d/K[%s]>>",
		objParents, len(d.tree.parents), refs(d.tree.root)))
}
