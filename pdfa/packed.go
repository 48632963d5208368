package pdfa

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// A register of 10,000 entries has some 300,000 elements in its structure tree,
// which would be four fifths of the file. From PDF 1.5 on (levels 2b and 3b)
// they are written together in compressed object streams (ISO 32000-1 §7.5.7),
// and where they are stands in a cross-reference stream (§7.5.8).

// packedMost is how many objects go into one object stream; an index of them
// has to fit a byte.
const packedMost = 200

// pack collects objects for an object stream.
type pack struct {
	stream int // its number; 0: none is begun
	count  int
	index  []byte // number and offset of each
	bodies []byte
}

// small writes an object that is one of very many.
func (d *Document) small(n int, body ...string) {
	if d.o.Level == A1B {
		d.marks[n] = d.at
		d.write(strconv.Itoa(n), " 0 obj\n")
		d.write(body...)
		d.write("\nendobj\n")
		return
	}
	p := &d.pack
	if p.stream == 0 {
		p.stream = d.reserve()
	}
	d.marks[n] = packedMark(p.stream, p.count)
	p.index = strconv.AppendInt(p.index, int64(n), 10)
	p.index = append(p.index, ' ')
	p.index = strconv.AppendInt(p.index, int64(len(p.bodies)), 10)
	p.index = append(p.index, ' ')
	for _, s := range body {
		p.bodies = append(p.bodies, s...)
	}
	p.bodies = append(p.bodies, '\n')
	if p.count++; p.count == packedMost {
		d.endPack()
	}
}

// endPack writes the object stream that was begun.
func (d *Document) endPack() {
	p := &d.pack
	if p.count == 0 {
		return
	}
	keys := fmt.Sprintf("/Type/ObjStm/N %d/First %d", p.count, len(p.index))
	d.stream(p.stream, keys, true, bytes.NewReader(append(p.index, p.bodies...)))
	p.stream, p.count, p.index, p.bodies = 0, 0, p.index[:0], p.bodies[:0]
}

// packedMark is what stands in marks for an object in an object stream, where
// others have their offset.
func packedMark(stream, index int) int64 { return -int64(stream)<<8 - int64(index) }

// references writes the cross-reference stream and the end of the file.
func (d *Document) references(id string) error {
	self, start := d.reserve(), d.at
	d.marks[self] = start
	table := []byte{0, 0, 0, 0, 0, 0, 0}
	for n, at := range d.marks[1:] {
		kind, second, third := byte(1), uint64(at), byte(0)
		switch {
		case at == 0 && d.err == nil:
			return fmt.Errorf("object %d was not written", n+1)
		case at < 0:
			kind, second, third = 2, uint64(-at)>>8, byte(-at)
		}
		table = append(table, kind, byte(second>>32), byte(second>>24), byte(second>>16), byte(second>>8), byte(second), third)
	}
	var packed bytes.Buffer
	z := newDeflater(&packed)
	_, err := z.Write(table)
	d.err = errors.Join(d.err, err, z.Close())
	d.write(fmt.Sprintf("%d 0 obj\n<</Type/XRef/Size %d/W[1 5 1]/Root %d 0 R/Info %d 0 R/ID[<%s><%s>]/Filter/FlateDecode/Length %d>>\nstream\n",
		self, len(d.marks), objCatalog, objInfo, id, id, packed.Len()))
	d.write(packed.String())
	d.write("\nendstream\nendobj\nstartxref\n", strconv.FormatInt(start, 10), "\n%%EOF\n")
	return errors.Join(d.err, d.out.Flush())
}
