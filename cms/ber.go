package cms

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
)

// The bounds of one CMS structure, its content left out. What is DER already is
// no more to the scanner than a range, so only what has to be rewritten counts
// as an element. A PEC signature has 3 to 6 KB and some ten levels; one with
// revocation lists in it has megabytes.
const (
	berDepth     = 64
	berElements  = 100_000
	structureMax = 8 << 20
	// identifierMax bounds an OBJECT IDENTIFIER, of which encoding/asn1 makes
	// eight times as much memory.
	identifierMax = 256
)

// Errors of what cannot be read.
var (
	ErrMalformed = errors.New("the signature is not well-formed ASN.1")
	ErrBounds    = errors.New("the signature is larger or nested more deeply than is read")
)

// Identifier octets (X.690 §8.1.2) that the scanner knows.
const (
	octetString      = 0x04
	objectIdentifier = 0x06
	sequenceTag      = 0x30
	constructed      = 0x20
	explicit0        = 0xa0
	implicit1        = 0xa1
)

// kind is what becomes of an element.
type kind uint8

const (
	verbatim  kind = iota // DER: whole encodings, one or several in a row, as they stand
	primitive             // content as it stands, the length rewritten
	inner                 // its content is the elements behind it
	piece                 // of a constructed OCTET STRING: only the content counts
	joint                 // a constructed one within another: nothing of its own
	content               // of the SignedData: an empty OCTET STRING stands for it
)

// element is what is kept of the input, in its order; the children of an
// element follow it.
type element struct {
	start, end int64 // of the content; of the encodings when verbatim
	length     int64 // of the content in DER
	parent     int32
	tag        byte
	kind       kind
}

// frame is a constructed element that has not ended.
type frame struct {
	place    int32 // in the list
	at       int64 // where its identifier stands
	end      int64 // where it ends; -1: where its end-of-contents octets stand
	limit    int64 // where the innermost element of known length ends
	children int
	tag      byte
	changed  bool // has to be rewritten
	octets   bool // a constructed OCTET STRING, or within one
	content  bool // … of the SignedData
	skipped  bool // nothing of it is kept
}

// shape is what a scanner looks for content in.
type shape uint8

const (
	anything    shape = iota // has none
	signedData               // RFC 5652 §5.1; its CRLs, for which nobody asks, are left out
	timeStamped              // RFC 5544 §2
)

// scanner reads the first element of its input in one pass, with a stack of its
// own: no input exhausts the program's.
type scanner struct {
	in    window
	list  []element
	open  []frame
	shape shape
	found bool // the content
	runs  runs // of it
	pos   int64
}

// derFromBER rewrites the first element of b with definite lengths and whole
// octet strings, which is what encoding/asn1 reads. DER comes out as it went
// in.
func derFromBER(b []byte) ([]byte, error) {
	s := scanner{in: newWindow(bytes.NewReader(b), int64(len(b)))}
	if err := s.scan(); err != nil {
		return nil, err
	}
	return s.der()
}

// scan lists the elements of the first one; s.pos is then where it ends.
func (s *scanner) scan() error {
	for started := false; ; started = true {
		if err := s.close(); err != nil {
			return err
		}
		if started && len(s.open) == 0 {
			return nil
		}
		h, err := s.in.header(s.pos, s.limit())
		if err != nil {
			return err
		}
		if err := s.take(h); err != nil {
			return err
		}
		if len(s.open) > berDepth || len(s.list) > berElements {
			return ErrBounds
		}
	}
}

func (s *scanner) limit() int64 {
	if len(s.open) == 0 {
		return s.in.size
	}
	return s.open[len(s.open)-1].limit
}

// close ends the elements that end at pos.
func (s *scanner) close() error {
	for len(s.open) > 0 {
		f := s.open[len(s.open)-1]
		if f.end < 0 {
			ended, err := s.in.endOfContents(s.pos)
			if err != nil {
				return err
			}
			if !ended {
				return nil
			}
			s.pos += 2
		} else if f.end != s.pos {
			return nil
		}
		s.open = s.open[:len(s.open)-1]
		s.closed(f)
	}
	return nil
}

// closed forgets what is inside an element that is DER as a whole.
func (s *scanner) closed(f frame) {
	switch {
	case f.skipped || f.content:
	case !f.changed:
		s.list = s.list[:f.place]
		s.keep(f.at, s.pos)
	case len(s.open) > 0:
		s.open[len(s.open)-1].changed = true
	}
}

// keep lists an encoding that is DER, together with those before it.
func (s *scanner) keep(from, to int64) {
	parent := s.parent()
	if n := len(s.list); n > 0 {
		if last := &s.list[n-1]; last.kind == verbatim && last.parent == parent && last.end == from {
			last.end = to
			return
		}
	}
	s.list = append(s.list, element{kind: verbatim, start: from, end: to, parent: parent})
}

func (s *scanner) parent() int32 {
	if len(s.open) == 0 {
		return -1
	}
	return s.open[len(s.open)-1].place
}

// take lists the element at pos and goes on behind its header, or behind it all
// when it is primitive.
func (s *scanner) take(h header) error {
	if h.tag == objectIdentifier && h.end-h.start > identifierMax {
		return ErrBounds
	}
	f := frame{at: s.pos, tag: h.tag, end: h.end, limit: h.end, place: int32(len(s.list)), changed: !h.der}
	if h.end < 0 {
		f.limit = s.limit()
	}
	f.octets = h.tag == octetString|constructed
	f.changed = f.changed || f.octets
	if len(s.open) > 0 {
		up := &s.open[len(s.open)-1]
		if up.octets && h.tag&^constructed != octetString {
			return fmt.Errorf("%w: an octet string in pieces of another type", ErrMalformed)
		}
		f.octets = f.octets || up.octets
		f.content = up.content || s.atContent(h.tag)
		f.skipped = up.skipped || s.atCRLs(h.tag)
		if f.content != up.content || f.skipped != up.skipped {
			up.changed = true
		}
		up.children++
	}
	s.pos = h.end
	if h.tag&constructed != 0 {
		s.pos = h.start
	}
	if f.content && !s.inContent() {
		s.found = true
		s.list = append(s.list, element{kind: content, tag: octetString, parent: s.parent()})
	}
	switch {
	case f.content && h.tag&constructed == 0:
		return s.runs.add(h.start, h.end-h.start)
	case f.skipped || f.content:
	default:
		s.record(h, f)
	}
	if h.tag&constructed != 0 {
		s.open = append(s.open, f)
	}
	return nil
}

// record lists an element of the structure.
func (s *scanner) record(h header, f frame) {
	e := element{start: h.start, end: h.end, tag: h.tag, parent: s.parent()}
	within := len(s.open) > 0 && s.open[len(s.open)-1].octets
	switch isInner := h.tag&constructed != 0; {
	case within && isInner:
		e.kind = joint
	case within:
		e.kind = piece
	case isInner:
		e.kind = inner
		if f.octets {
			e.tag = octetString
		}
	case h.der:
		s.keep(f.at, h.end)
		return
	default:
		e.kind = primitive
		if len(s.open) > 0 {
			s.open[len(s.open)-1].changed = true
		}
	}
	s.list = append(s.list, e)
}

func (s *scanner) inContent() bool { return len(s.open) > 0 && s.open[len(s.open)-1].content }

// atContent tells that the next element is the content: of a SignedData the
// first thing in the [0] of its third field, of a TimeStampedData its first
// octet string.
func (s *scanner) atContent(tag byte) bool {
	if s.found || tag&^constructed != octetString || s.shape == anything {
		return false
	}
	open := s.open
	switch {
	case s.shape == timeStamped && len(open) == 3:
		return s.withinContentInfo()
	case s.shape == signedData && len(open) == 5:
		return open[4].tag == explicit0 && open[4].children == 0 && open[3].children == 2 &&
			open[3].tag == sequenceTag && open[2].children == 3 && s.withinContentInfo()
	}
	return false
}

// atCRLs tells that the next element is the field crls of a SignedData.
func (s *scanner) atCRLs(tag byte) bool {
	return s.shape == signedData && len(s.open) == 3 && tag == implicit1 && s.withinContentInfo()
}

// withinContentInfo tells that the first three elements open are ContentInfo,
// its [0] and what is in it.
func (s *scanner) withinContentInfo() bool {
	return s.open[2].tag == sequenceTag && s.open[1].children == 1 && s.open[1].tag == explicit0 && s.open[0].children == 2 &&
		s.open[0].tag == sequenceTag
}

// der writes what was scanned.
func (s *scanner) der() ([]byte, error) {
	for i, e := range slices.Backward(s.list) {
		if e.kind == verbatim || e.kind == primitive || e.kind == piece {
			s.list[i].length = e.end - e.start
		}
		if e.parent >= 0 {
			s.list[e.parent].length += s.list[i].length + int64(len(s.list[i].head()))
		}
	}
	total := s.list[0].length
	if total > structureMax {
		return nil, fmt.Errorf("%w: it has %d bytes beside its content", ErrBounds, total)
	}
	out := make([]byte, 0, total+16)
	for _, e := range s.list {
		out = append(out, e.head()...)
		if e.kind == verbatim || e.kind == primitive || e.kind == piece {
			from := len(out)
			out = out[:from+int(e.length)]
			if err := readFull(s.in.r, out[from:], e.start); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// head are the identifier and length octets to be written.
func (e element) head() []byte {
	if e.kind == verbatim || e.kind == piece || e.kind == joint {
		return nil
	}
	return append([]byte{e.tag}, lengthOctets(int(e.length))...)
}

// header is an element's identifier and length octets as read (X.690 §8.1).
type header struct {
	start, end int64 // of the content; end is -1 when indefinite
	tag        byte
	der        bool // the length is as DER has it
}

// header reads the one at pos; the element has to end at limit or before.
func (w *window) header(pos, limit int64) (header, error) {
	b, err := w.at(pos, min(limit-pos, 10))
	if err != nil {
		return header{}, err
	}
	if len(b) < 2 || b[0]&0x1f == 0x1f { // high tag numbers: CMS has none above 30
		return header{}, ErrMalformed
	}
	h := header{tag: b[0]}
	n := int(b[1] & 0x7f)
	switch {
	case b[1] == 0x80:
		if b[0]&constructed == 0 {
			return header{}, ErrMalformed
		}
		h.start, h.end = pos+2, -1
		return h, nil
	case b[1] < 0x80:
		h.start, h.end, h.der = pos+2, pos+2+int64(n), true
	case n > 8 || 2+n > len(b):
		return header{}, ErrMalformed
	default:
		size := uint64(0)
		for _, c := range b[2 : 2+n] {
			size = size<<8 | uint64(c)
		}
		h.start = pos + 2 + int64(n)
		if size > uint64(limit-h.start) {
			return header{}, ErrMalformed
		}
		h.end, h.der = h.start+int64(size), b[2] != 0 && size >= 0x80
	}
	if h.end > limit {
		return header{}, ErrMalformed
	}
	return h, nil
}

// endOfContents tells whether two zero octets stand at pos.
func (w *window) endOfContents(pos int64) (bool, error) {
	b, err := w.at(pos, min(w.size-pos, 2))
	return len(b) == 2 && b[0] == 0 && b[1] == 0, err
}

// window reads single bytes of a large input, in order.
type window struct {
	r    io.ReaderAt
	size int64
	buf  []byte
	from int64 // of buf
}

const windowSize = 32 << 10

func newWindow(r io.ReaderAt, size int64) window {
	return window{r: r, size: size, buf: make([]byte, 0, min(windowSize, max(size, 0)))}
}

// at returns n bytes at pos, until the next call; both lie within the input.
func (w *window) at(pos, n int64) ([]byte, error) {
	if n <= 0 {
		return nil, nil
	}
	if pos < w.from || pos+n > w.from+int64(len(w.buf)) {
		w.buf, w.from = w.buf[:min(int64(cap(w.buf)), w.size-pos)], pos
		if err := readFull(w.r, w.buf, pos); err != nil {
			w.buf = w.buf[:0]
			return nil, err
		}
	}
	return w.buf[pos-w.from:][:n], nil
}

// readFull reads all of p at off. An input that ends before its size is cut
// short, which is not for the reader of a signature to mend.
func readFull(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	switch {
	case n == len(p):
		return nil
	case err == nil, errors.Is(err, io.EOF):
		return fmt.Errorf("%w: it is cut short", ErrMalformed)
	}
	return fmt.Errorf("reading the signature: %w", err)
}

// lengthOctets is the DER form of a length (X.690 §10.1).
func lengthOctets(n int) []byte {
	if n < 0x80 {
		return []byte{byte(n)}
	}
	var out []byte
	for v := n; v > 0; v >>= 8 {
		out = append(out, byte(v))
	}
	out = append(out, 0x80|byte(len(out)))
	slices.Reverse(out)
	return out
}
