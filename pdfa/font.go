package pdfa

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/gomono"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"
)

// Style is one of the three fonts.
type Style int

// The fonts are the Go fonts, which are free to embed.
const (
	Regular Style = iota
	Bold
	Mono
)

// replacement is drawn for a character that the font lacks: .notdef must not
// be used in PDF/A.
const replacement = '□'

type source struct {
	name string
	ttf  []byte
}

var faces = [3]source{{"GoRegular", goregular.TTF}, {"GoBold", gobold.TTF}, {"GoMono", gomono.TTF}}

// face is a font of one document, and what of it is used.
type face struct {
	source
	font   *sfnt.Font
	buffer sfnt.Buffer
	units  float64
	shapes map[rune]shape
	latin  [256]shape // those of shapes that are wanted most
	used   map[uint16]rune
}

// shape is a glyph and how wide it is.
type shape struct {
	glyph uint16
	width float64 // thousandths of the size; 0: not known yet
}

func (s source) open() (*face, error) {
	f, err := sfnt.Parse(s.ttf)
	if err != nil {
		return nil, err
	}
	return &face{source: s, font: f, units: float64(f.UnitsPerEm()),
		shapes: map[rune]shape{}, used: map[uint16]rune{}}, nil
}

// glyph is the shape of a character, and how wide it is.
func (f *face) glyph(r rune) (uint16, float64) {
	if 0 <= r && int(r) < len(f.latin) {
		s := &f.latin[r]
		if s.width == 0 {
			*s = f.look(r)
		}
		return s.glyph, s.width
	}
	s, ok := f.shapes[r]
	if !ok {
		s = f.look(r)
		f.shapes[r] = s
	}
	return s.glyph, s.width
}

// look asks the font.
func (f *face) look(r rune) shape {
	g, err := f.font.GlyphIndex(&f.buffer, r)
	if (err != nil || g == 0) && r != replacement {
		n, w := f.glyph(replacement)
		return shape{n, w}
	}
	w, err := f.font.GlyphAdvance(&f.buffer, g, fixed.I(int(f.units)), font.HintingNone)
	if err != nil {
		w = fixed.I(int(f.units) / 2)
	}
	return shape{uint16(g), float64(w) / 64 * 1000 / f.units}
}

// width of a text in points.
func (f *face) width(s string, size float64) (w float64) {
	for _, r := range s {
		_, one := f.glyph(r)
		w += one
	}
	return w * size / 1000
}

// encode writes a text as its glyphs and remembers them.
func (f *face) encode(s string) string {
	const digits = "0123456789ABCDEF"
	b := make([]byte, 1, 4*len(s)+2)
	b[0] = '<'
	missing, _ := f.glyph(replacement)
	for _, r := range s {
		g, _ := f.glyph(r)
		if g == missing {
			r = replacement
		}
		if before, there := f.used[g]; !there || r < before {
			f.used[g] = r
		}
		b = append(b, digits[g>>12], digits[g>>8&15], digits[g>>4&15], digits[g&15])
	}
	return string(append(b, '>'))
}

// embed writes the font with the shapes that were used.
func (f *face) embed(d *Document, n int) {
	file, descriptor, child, unicode := d.reserve(), d.reserve(), d.reserve(), d.reserve()
	glyphs := slices.Sorted(maps.Keys(f.used))
	program, err := subset(f.ttf, glyphs)
	d.err = errors.Join(d.err, err)
	d.stream(file, fmt.Sprintf("/Length1 %d", len(program)), true, strings.NewReader(string(program)))
	name, set := subsetTag(glyphs)+f.name, ""
	if d.o.Level == A1B { // ISO 19005-1 §6.3.5; the later parts do without
		n := d.reserve()
		d.stream(n, "", true, strings.NewReader(cidSet(glyphs)))
		set = fmt.Sprintf("/CIDSet %d 0 R", n)
	}
	d.object(descriptor, fmt.Sprintf("<</Type/FontDescriptor/FontName/%s/Flags 4/FontBBox[-500 -300 1300 1100]/ItalicAngle 0/Ascent 950/Descent -210/CapHeight 720/StemV 80/FontFile2 %d 0 R%s>>", name, file, set))
	var widths strings.Builder
	for _, g := range glyphs {
		_, w := f.glyph(f.used[g])
		fmt.Fprintf(&widths, "%d[%d]", g, int(w+0.5))
	}
	d.object(child, fmt.Sprintf("<</Type/Font/Subtype/CIDFontType2/BaseFont/%s/CIDSystemInfo<</Registry(Adobe)/Ordering(Identity)/Supplement 0>>/FontDescriptor %d 0 R/DW 0/W[%s]/CIDToGIDMap/Identity>>", name, descriptor, widths.String()))
	d.stream(unicode, "", true, strings.NewReader(f.toUnicode(glyphs)))
	d.object(n, fmt.Sprintf("<</Type/Font/Subtype/Type0/BaseFont/%s/Encoding/Identity-H/DescendantFonts[%d 0 R]/ToUnicode %d 0 R>>", name, child, unicode))
}

// subsetTag is six letters that stand for the glyphs (ISO 32000 §9.6.4).
func subsetTag(glyphs []uint16) string {
	sum := uint32(2166136261)
	for _, g := range glyphs {
		sum = (sum ^ uint32(g)) * 16777619
	}
	tag := make([]byte, 6)
	for i := range tag {
		tag[i] = 'A' + byte(sum%26)
		sum /= 26
	}
	return string(tag) + "+"
}

// cidSet has a bit for each glyph that is there.
func cidSet(glyphs []uint16) string {
	set := make([]byte, int(slices.Max(append([]uint16{0}, glyphs...)))/8+1)
	set[0] |= 0x80
	for _, g := range glyphs {
		set[g/8] |= 0x80 >> (g % 8)
	}
	return string(set)
}

// toUnicode maps glyphs back to characters.
func (f *face) toUnicode(glyphs []uint16) string {
	var b strings.Builder
	b.WriteString("/CIDInit/ProcSet findresource begin 12 dict begin begincmap/CIDSystemInfo<</Registry(Adobe)/Ordering(UCS)/Supplement 0>>def/CMapName/Adobe-Identity-UCS def/CMapType 2 def\n1 begincodespacerange<0000><FFFF>endcodespacerange\n")
	for chunk := range slices.Chunk(glyphs, 100) {
		fmt.Fprintf(&b, "%d beginbfchar\n", len(chunk))
		for _, g := range chunk {
			text := strings.TrimPrefix(strings.TrimSuffix(pdfText(string(f.used[g])), ">"), "<FEFF")
			fmt.Fprintf(&b, "<%04X><%s>\n", g, text)
		}
		b.WriteString("endbfchar\n")
	}
	b.WriteString("endcmap CMapName currentdict/CMap defineresource pop end end")
	return b.String()
}

var errFont = errors.New("the font is not as TrueType has it")

// subset keeps the numbers of all glyphs and the shapes of those given and of
// what they are composed of.
func subset(ttf []byte, glyphs []uint16) ([]byte, error) {
	tables, err := readTables(ttf)
	if err != nil {
		return nil, err
	}
	head, maxp, loca, glyf := tables["head"], tables["maxp"], tables["loca"], tables["glyf"]
	if len(head) < 54 || len(maxp) < 6 {
		return nil, errFont
	}
	be := binary.BigEndian
	count := int(be.Uint16(maxp[4:]))
	long := be.Uint16(head[50:]) == 1
	offset := func(g int) int {
		if long {
			return int(be.Uint32(loca[4*g:]))
		}
		return 2 * int(be.Uint16(loca[2*g:]))
	}
	keep := map[int]bool{0: true}
	for todo := slices.Clone(glyphs); len(todo) > 0; todo = todo[1:] {
		g := int(todo[0])
		if g >= count || keep[g] && g != 0 {
			continue
		}
		keep[g] = true
		todo = append(todo, components(glyf[offset(g):offset(g+1)])...)
	}
	var shapes []byte
	index := make([]byte, 0, 4*(count+1))
	for g := range count {
		index = be.AppendUint32(index, uint32(len(shapes)))
		if keep[g] {
			shapes = append(shapes, glyf[offset(g):offset(g+1)]...)
			for len(shapes)%4 != 0 {
				shapes = append(shapes, 0)
			}
		}
	}
	index = be.AppendUint32(index, uint32(len(shapes)))
	head = slices.Clone(head)
	be.PutUint16(head[50:], 1) // long offsets
	be.PutUint32(head[8:], 0)  // the checksum of all, below
	tables["head"], tables["loca"], tables["glyf"] = head, index, shapes
	return writeTables(tables), nil
}

// components are the glyphs that a composite one is made of.
func components(shape []byte) (parts []uint16) {
	be := binary.BigEndian
	if len(shape) < 10 || int16(be.Uint16(shape)) >= 0 {
		return nil
	}
	for p := shape[10:]; len(p) >= 4; {
		flags := be.Uint16(p)
		parts = append(parts, be.Uint16(p[2:]))
		size := 6
		if flags&1 != 0 {
			size += 2
		}
		switch {
		case flags&0x08 != 0:
			size += 2
		case flags&0x40 != 0:
			size += 4
		case flags&0x80 != 0:
			size += 8
		}
		if flags&0x20 == 0 || len(p) < size {
			break
		}
		p = p[size:]
	}
	return parts
}

// kept are the tables that a reader of an embedded font needs.
var kept = []string{"cvt ", "fpgm", "glyf", "head", "hhea", "hmtx", "loca", "maxp", "prep"}

func readTables(ttf []byte) (map[string][]byte, error) {
	be := binary.BigEndian
	if len(ttf) < 12 {
		return nil, errFont
	}
	tables := map[string][]byte{}
	for i := range int(be.Uint16(ttf[4:])) {
		entry := ttf[12+16*i:]
		at, length := be.Uint32(entry[8:]), be.Uint32(entry[12:])
		if int(at+length) > len(ttf) {
			return nil, errFont
		}
		tables[string(entry[:4])] = ttf[at : at+length]
	}
	return tables, nil
}

func writeTables(tables map[string][]byte) []byte {
	be := binary.BigEndian
	var names []string
	for _, n := range kept {
		if tables[n] != nil {
			names = append(names, n)
		}
	}
	power, bits := 1, 0
	for power*2 <= len(names) {
		power, bits = power*2, bits+1
	}
	out := be.AppendUint32(nil, 0x00010000)
	for _, v := range []int{len(names), power * 16, bits, len(names)*16 - power*16} {
		out = be.AppendUint16(out, uint16(v))
	}
	at := 12 + 16*len(names)
	headAt := 0
	var body []byte
	for _, n := range names {
		t := tables[n]
		if n == "head" {
			headAt = at + len(body)
		}
		out = append(out, n...)
		for _, v := range []uint32{checksum(t), uint32(at + len(body)), uint32(len(t))} {
			out = be.AppendUint32(out, v)
		}
		body = append(body, t...)
		for len(body)%4 != 0 {
			body = append(body, 0)
		}
	}
	out = append(out, body...)
	be.PutUint32(out[headAt+8:], 0xb1b0afba-checksum(out))
	return out
}

func checksum(b []byte) (sum uint32) {
	for len(b) >= 4 {
		sum += binary.BigEndian.Uint32(b)
		b = b[4:]
	}
	var rest [4]byte
	copy(rest[:], b)
	return sum + binary.BigEndian.Uint32(rest[:])
}
