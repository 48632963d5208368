package pdfa

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// Colours, as operands of rg.
const (
	black = "0 0 0"
	navy  = "0.07 0.19 0.36"
	gray  = "0.35 0.38 0.42"
	red   = "0.70 0.08 0.12"
	paper = "1 0.96 0.96"
	head  = "0.88 0.92 0.96"
	shade = "0.97 0.98 0.99"
	line  = "0.75 0.79 0.83"
)

// page collects the content of one page.
type page struct {
	object  int
	content bytes.Buffer
	marked  int   // marked contents so far
	parents []int // structure element of each
}

func (p *page) write(parts ...string) {
	for _, s := range parts {
		p.content.WriteString(s)
	}
}

func (p *page) text(f *face, style Style, x, y, size float64, s, color string) {
	p.write("BT ", color, " rg /F", strconv.Itoa(int(style)), " ", num(size), " Tf ", num(x), " ", num(y), " Td ", f.encode(s), " Tj ET\n")
}

// box fills a rectangle, and draws its edge in another colour if there is one.
func (p *page) box(x, y, w, h float64, fill, edge string) {
	corners := num(x) + " " + num(y) + " " + num(w) + " " + num(h)
	p.write("/Artifact BMC ", fill, " rg ", corners, " re f")
	if edge != "" {
		p.write(" ", edge, " RG 0.8 w ", corners, " re S")
	}
	p.write(" EMC\n")
}

func (p *page) rule(x, y, w float64) {
	p.write("/Artifact BMC ", line, " RG 0.4 w ", num(x), " ", num(y), " m ", num(x+w), " ", num(y), " l S EMC\n")
}

// num writes a coordinate to a hundredth of a point.
func num(v float64) string {
	s := strconv.FormatFloat(v, 'f', 2, 64)
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}

func (d *Document) inner() float64 { return d.width - 2*margin }

func (d *Document) top() float64 { return d.height - margin - headSpace }

// space begins another page when less than h is left.
func (d *Document) space(h float64) {
	if d.page == nil || d.y-h < margin+headSpace/2 && d.y < d.top()-1 {
		d.newPage()
	}
}

func (d *Document) newPage() {
	d.endPage()
	d.page = &page{object: d.reserve(), content: d.spare}
	d.pages = append(d.pages, d.page.object)
	d.y = d.top()
	p := d.page
	p.content.WriteString("/Artifact <</Type/Pagination/Subtype/Header>> BDC\n")
	p.text(d.fonts[Regular], Regular, margin, d.height-margin, 7.5, clean(d.o.Header), gray)
	if d.o.Mark != "" {
		w := d.fonts[Bold].width(d.o.Mark, 11)
		p.text(d.fonts[Bold], Bold, d.width-margin-w, d.height-margin, 11, clean(d.o.Mark), red)
	}
	p.content.WriteString("EMC\n")
	p.rule(margin, d.height-margin-6, d.inner())
	p.content.WriteString("/Artifact <</Type/Pagination/Subtype/Footer>> BDC\n")
	p.text(d.fonts[Regular], Regular, margin, margin-12, 7, clean(d.o.Footer), gray)
	number := fmt.Sprintf("pagina %d di ", len(d.pages))
	x := d.width - margin - 22 - d.fonts[Regular].width(number, 7)
	p.text(d.fonts[Regular], Regular, x, margin-12, 7, number, gray)
	fmt.Fprintf(&p.content, "q 1 0 0 1 %s %s cm /Totale Do Q\nEMC\n", num(d.width-margin-22), num(margin-12))
}

// endPage writes the page.
func (d *Document) endPage() {
	p := d.page
	if p == nil {
		return
	}
	content := d.reserve()
	d.stream(content, "", true, &p.content)
	p.content.Reset()
	d.spare = p.content
	d.object(p.object, fmt.Sprintf("<</Type/Page/Parent %d 0 R/MediaBox[0 0 %s %s]/Contents %d 0 R/StructParents %d/Tabs/S/Resources<</Font<</F0 %d 0 R/F1 %d 0 R/F2 %d 0 R>>/XObject<</Totale %d 0 R>>>>>>",
		objPages, num(d.width), num(d.height), content, len(d.pages)-1, objFontBase, objFontBase+1, objFontBase+2, objTotals))
	d.tree.page(d, p)
	d.page = nil
}

// total writes the form that every page's footer ends with.
func (d *Document) total() {
	p := &page{}
	p.text(d.fonts[Regular], Regular, 0, 0, 7, fmt.Sprint(len(d.pages)), gray)
	d.stream(objTotals, fmt.Sprintf("/Type/XObject/Subtype/Form/BBox[-2 -4 40 12]/Resources<</Font<</F0 %d 0 R>>>>", objFontBase),
		true, &p.content)
}
