package pdfa

import (
	"fmt"
	"iter"
	"strings"
	"unicode"
)

// Sizes in points.
const (
	textSize  = 9.0
	tableSize = 7.5
	leading   = 1.32
	cellPad   = 3.0
)

// Heading writes a heading; level 1 is the title.
func (d *Document) Heading(level int, text string) {
	size := map[int]float64{1: 16, 2: 12}[level]
	if size == 0 {
		size = 10
	}
	lines := d.fonts[Bold].wrap(clean(text), d.inner(), size)
	d.space(float64(len(lines))*size*leading + 30) // not alone at the foot of a page
	d.y -= size * 0.5
	d.tagged(fmt.Sprintf("H%d", level), 0, func() {
		for _, l := range lines {
			d.y -= size * leading
			d.page.text(d.fonts[Bold], Bold, margin, d.y, size, l, navy)
		}
	})
	d.y -= size * 0.35
}

// Paragraph writes a text.
func (d *Document) Paragraph(text string) { d.paragraph(text, Regular, black) }

// Notice writes a text in a box, for what must not be overlooked.
func (d *Document) Notice(text string) {
	lines := d.fonts[Bold].wrap(clean(text), d.inner()-16, textSize)
	height := float64(len(lines))*textSize*leading + 10
	d.space(height + 6)
	d.page.box(margin, d.y-height, d.inner(), height, paper, red)
	top := d.y
	d.y -= 4
	d.tagged("P", 0, func() {
		for _, l := range lines {
			d.y -= textSize * leading
			d.page.text(d.fonts[Bold], Bold, margin+8, d.y, textSize, l, red)
		}
	})
	d.y = top - height - 6
}

func (d *Document) paragraph(text string, style Style, color string) {
	lines := d.fonts[style].wrap(clean(text), d.inner(), textSize)
	d.tagged("P", 0, func() {
		for _, l := range lines {
			d.line(l, style, color)
		}
	})
	d.y -= textSize * 0.5
}

// line writes one line of a paragraph, on the next page if need be.
func (d *Document) line(text string, style Style, color string) {
	if d.y-textSize*leading < margin+headSpace/2 {
		d.split()
	}
	d.y -= textSize * leading
	d.page.text(d.fonts[style], style, margin, d.y, textSize, text, color)
}

// Facts writes a list of labels and values as a table of two columns.
func (d *Document) Facts(facts []Fact) {
	d.Table(Table{
		Columns: []Column{{Title: "", Width: 30, Head: true}, {Title: "", Width: 70}},
		Rows: func(yield func([]string) bool) {
			for _, f := range facts {
				if !yield([]string{f.Label, f.Value}) {
					return
				}
			}
		},
	})
}

// Table of rows that are asked for one at a time.
type Table struct {
	Columns []Column
	Rows    iter.Seq[[]string]
}

// Column of a table. Width is its share of the page's.
type Column struct {
	Title string
	Width float64
	Mono  bool
	Right bool // numbers
	Head  bool // its cells are the headings of their rows
}

type column struct {
	Column
	x, width float64
	style    Style
}

// Table writes the rows; the titles are repeated on every page.
func (d *Document) Table(t Table) {
	columns, titled := d.columns(t.Columns)
	d.space(40)
	d.tree.open("Table")
	defer func() {
		d.tree.close(d)
		d.y -= 6
	}()
	fresh := true
	n := 0
	for row := range t.Rows {
		lines := d.cells(columns, row)
		for len(lines) > 0 {
			fit := int((d.y - margin - headSpace/2 - 2*cellPad) / (tableSize * leading))
			if fresh && titled {
				fit -= 2
			}
			if fit < min(len(lines), 3) && d.y < d.top()-1 {
				d.newPage()
				fresh = true
				continue
			}
			if fresh && titled {
				d.titles(columns)
			}
			fresh = false
			take := min(max(fit, 1), len(lines))
			d.row(columns, lines[:take], n%2 == 1, false)
			lines = lines[take:]
		}
		n++
	}
	if n == 0 && titled {
		d.titles(columns)
	}
}

func (d *Document) columns(list []Column) (columns []column, titled bool) {
	total := 0.0
	for _, c := range list {
		total += c.Width
	}
	x := margin
	for _, c := range list {
		w := d.inner() * c.Width / total
		style := Regular
		switch {
		case c.Mono:
			style = Mono
		case c.Head:
			style = Bold
		}
		columns = append(columns, column{c, x, w, style})
		x += w
		titled = titled || c.Title != ""
	}
	return columns, titled
}

// cells wraps the values of a row: lines of cells.
func (d *Document) cells(columns []column, row []string) [][]string {
	lines := make([][]string, 1)
	for i, c := range columns {
		value := ""
		if i < len(row) {
			value = row[i]
		}
		wrapped := d.fonts[c.style].wrap(clean(value), c.width-2*cellPad, tableSize)
		for len(lines) < len(wrapped) {
			lines = append(lines, nil)
		}
		for k := range lines {
			text := ""
			if k < len(wrapped) {
				text = wrapped[k]
			}
			for len(lines[k]) <= i {
				lines[k] = append(lines[k], "")
			}
			lines[k][i] = text
		}
	}
	return lines
}

func (d *Document) titles(columns []column) {
	var titles []string
	bold := make([]column, len(columns))
	for i, c := range columns {
		titles = append(titles, c.Title)
		c.style, c.Head = Bold, true
		bold[i] = c
	}
	d.row(bold, d.cells(bold, titles), false, true)
}

// row draws lines of cells as one row.
func (d *Document) row(columns []column, lines [][]string, shaded, titles bool) {
	height := float64(len(lines))*tableSize*leading + 2*cellPad
	switch {
	case titles:
		d.page.box(margin, d.y-height, d.inner(), height, head, "")
	case shaded:
		d.page.box(margin, d.y-height, d.inner(), height, shade, "")
	}
	d.page.rule(margin, d.y-height, d.inner())
	d.tree.open("TR")
	for i, c := range columns {
		role := "TD"
		if c.Head {
			role = "TH"
		}
		scope := ""
		if titles {
			scope = "Column"
		} else if c.Head {
			scope = "Row"
		}
		d.cell(role, scope, func() {
			for k, l := range lines {
				x := c.x + cellPad
				if c.Right {
					x = c.x + c.width - cellPad - d.fonts[c.style].width(l[i], tableSize)
				}
				y := d.y - cellPad - float64(k+1)*tableSize*leading + tableSize*0.3
				if l[i] != "" {
					d.page.text(d.fonts[c.style], c.style, x, y, tableSize, l[i], black)
				}
			}
		})
	}
	d.tree.close(d)
	d.y -= height
}

// wrap breaks a text into lines of a width; a word that is too long is broken
// where it must be.
func (f *face) wrap(s string, width, size float64) (lines []string) {
	var line strings.Builder
	used := 0.0
	space := f.width(" ", size)
	flush := func() {
		lines = append(lines, line.String())
		line.Reset()
		used = 0
	}
	for word := range strings.FieldsFuncSeq(s, unicode.IsSpace) {
		w := f.width(word, size)
		if used > 0 && used+space+w > width {
			flush()
		}
		if used > 0 {
			line.WriteByte(' ')
			used += space
		}
		for w > width {
			begin := f.fitting(word, width, size)
			line.WriteString(word[:begin])
			flush()
			word = word[begin:]
			w = f.width(word, size)
		}
		line.WriteString(word)
		used += w
	}
	if line.Len() > 0 || len(lines) == 0 {
		flush()
	}
	return lines
}

// fitting is how many bytes of a word fit, at least one character.
func (f *face) fitting(word string, width, size float64) int {
	w := 0.0
	for i, r := range word {
		_, one := f.glyph(r)
		w += one * size / 1000
		if w > width && i > 0 {
			return i
		}
	}
	return len(word)
}
