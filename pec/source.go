package pec

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"sort"
)

// source is one sequence of bytes that holds a message: the message itself,
// or what had to be decoded before it could be walked (an opaque signature's
// content, a postacert.eml in base64). It is read in pieces and never held; its
// parts are ranges of it.
type source struct {
	src  io.ReaderAt
	size int
	root *part
	// layers is how many encodings lie between the message and src.
	layers int
}

// section is the range [from, to) of a document.
func (d *source) section(from, to int) *io.SectionReader {
	return io.NewSectionReader(d.src, int64(from), int64(to-from))
}

// window reads a document forwards, a piece at a time.
type window struct {
	ctx  context.Context
	doc  *source
	size int // of a piece
	buf  []byte
	at   int // offset of buf
}

// from is what is read of the document from pos on: at least the next least
// bytes, or all there are.
func (w *window) from(pos, least int) []byte {
	end := min(pos+least, w.doc.size)
	if pos < w.at || end > w.at+len(w.buf) {
		w.fill(pos, least)
	}
	if pos >= w.at+len(w.buf) {
		return nil
	}
	return w.buf[pos-w.at:]
}

// fill reads the piece round pos. The two bytes before it stay at hand: a line
// end may have to be looked at again. A document that ends early is shorter from
// then on.
func (w *window) fill(pos, least int) {
	w.at = max(0, pos-2)
	n := min(max(w.size, least+2), w.doc.size-w.at)
	if w.ctx.Err() != nil || n <= 0 {
		w.buf = w.buf[:0]
		return
	}
	w.buf = slices.Grow(w.buf[:0], n)[:n]
	got, _ := w.doc.src.ReadAt(w.buf, int64(w.at))
	if w.buf = w.buf[:got]; got < n {
		w.doc.size = w.at + got
	}
}

// after is the offset that follows the next occurrence of what at or after pos,
// less the rest of what beyond its first byte: where the line begins that a
// "\n--" ends before. Without one it is the document's end.
func (w *window) after(pos int, what string) int {
	for {
		b := w.from(pos, len(what))
		if i := bytes.Index(b, []byte(what)); i >= 0 {
			return pos + i + 1
		}
		if pos+len(b) >= w.doc.size || len(b) < len(what) {
			return w.doc.size
		}
		pos += len(b) - len(what) + 1
	}
}

// line is the line at pos without its end, at most most bytes of it, and where
// the next begins.
func (w *window) line(pos, most int) (line []byte, next int) {
	b := w.from(pos, 1)
	i := bytes.IndexByte(b, '\n')
	if i < 0 && pos+len(b) < w.doc.size {
		b = w.from(pos, most)
		i = bytes.IndexByte(b, '\n')
	}
	switch {
	case i >= 0:
		return bytes.TrimSuffix(b[:i], []byte("\r")), pos + i + 1
	case pos+len(b) >= w.doc.size:
		return b, w.doc.size
	}
	line = bytes.Clone(b)
	return line, w.after(pos+len(b), "\n")
}

// span is a range of a document that somebody wants to see pass by.
type span struct {
	from, to int
	sink     io.Writer // its errors are ignored: sinks here have none
}

// pass reads a document once, in order, and shows each span its bytes. It
// returns how many bytes could be read. buf may be used for them.
func (d *source) pass(ctx context.Context, spans []span, buf []byte) (int, error) {
	sort.SliceStable(spans, func(i, j int) bool { return spans[i].from < spans[j].from })
	if n := min(pieceSize, d.size); cap(buf) < n {
		buf = make([]byte, n)
	} else {
		buf = buf[:n]
	}
	var open []span
	pos := 0
	for pos < d.size {
		if len(open) == 0 { // nobody wants what lies between
			if len(spans) == 0 {
				break
			}
			if pos = max(pos, spans[0].from); pos >= d.size {
				break
			}
		}
		if err := ctx.Err(); err != nil {
			return pos, err
		}
		n, err := d.src.ReadAt(buf[:min(len(buf), d.size-pos)], int64(pos))
		piece := buf[:n]
		for len(spans) > 0 && spans[0].from < pos+n {
			open, spans = append(open, spans[0]), spans[1:]
		}
		open = slices.DeleteFunc(open, func(s span) bool {
			from, to := max(s.from, pos), min(s.to, pos+n)
			if from < to {
				_, _ = s.sink.Write(piece[from-pos : to-pos])
			}
			return s.to <= pos+n
		})
		pos += n
		if n == 0 || err != nil && !errors.Is(err, io.EOF) {
			return pos, err
		}
	}
	return pos, nil
}

// mark is a place where a part's decoding can begin.
type mark struct{ raw, decoded int }

// unpacked is the decoded content of a part, read at any place. A decoder runs
// through the part and begins again at the mark before a place that lies
// behind it. It is not safe for concurrent use.
type unpacked struct {
	part  *part
	size  int
	marks []mark

	dec   decoder
	raw   int    // where the decoder goes on
	block []byte // what came out last
	at    int    // offset of block
	in    []byte
}

// unpack makes a part readable at any place; sized parts and marks come from a
// pass that has seen them. junk tells that something in it is no base64.
func (p *part) unpack(ctx context.Context) (src io.ReaderAt, size int, junk bool, err error) {
	if p.decoder() == nil {
		return p.content(), p.end - p.body, false, nil
	}
	s := newDecodedSink(p, nil, new([]byte))
	if _, err = p.doc.pass(ctx, []span{{p.body, p.end, s}}, nil); err != nil {
		return nil, 0, false, err
	}
	s.end()
	b, _ := s.dec.(*base64Decoder)
	return p.unpacked(s), s.size, b != nil && b.junk, nil
}

// unpacked is the content that a sink has seen.
func (p *part) unpacked(s *decodedSink) io.ReaderAt {
	if p.decoder() == nil {
		return p.content()
	}
	return &unpacked{part: p, size: s.size, marks: s.marks, dec: p.decoder(), raw: p.body}
}

func (u *unpacked) ReadAt(b []byte, off int64) (n int, err error) {
	for n < len(b) {
		place := int(off) + n
		if place >= u.size {
			return n, io.EOF
		}
		if place < u.at || u.raw >= u.part.end && place >= u.at+len(u.block) {
			u.seek(place)
		}
		for place >= u.at+len(u.block) {
			if err := u.step(place); err != nil {
				return n, err
			}
		}
		n += copy(b[n:], u.block[place-u.at:])
	}
	return n, nil
}

// seek begins anew at the last mark before place.
func (u *unpacked) seek(place int) {
	i := sort.Search(len(u.marks), func(i int) bool { return u.marks[i].decoded > place })
	from := mark{raw: u.part.body}
	if i > 0 {
		from = u.marks[i-1]
	}
	u.dec, u.raw, u.at, u.block = u.part.decoder(), from.raw, from.decoded, u.block[:0]
}

// step decodes the next piece, from a mark nearer to place where there is one.
func (u *unpacked) step(place int) error {
	i := sort.Search(len(u.marks), func(i int) bool { return u.marks[i].decoded > place })
	if i > 0 && u.marks[i-1].decoded > u.at+len(u.block) {
		u.seek(place)
	}
	if u.raw >= u.part.end {
		return io.ErrUnexpectedEOF
	}
	if u.in == nil {
		u.in = make([]byte, min(pieceSize, u.part.end-u.part.body))
	}
	n, err := u.part.doc.src.ReadAt(u.in[:min(len(u.in), u.part.end-u.raw)], int64(u.raw))
	if n == 0 {
		return errors.Join(io.ErrUnexpectedEOF, err)
	}
	u.at += len(u.block)
	u.block = u.dec.decode(u.block[:0], u.in[:n])
	if u.raw += n; u.raw >= u.part.end {
		u.block = u.dec.end(u.block)
	}
	return nil
}

// markEvery is the distance of marks, in encoded bytes.
const markEvery = 256 << 10

// decodedSink decodes what it is shown and shows it to another. It remembers
// where decoding could begin again.
type decodedSink struct {
	dec    decoder   // nil: it stands as it is
	to     io.Writer // nil: only marks and size are wanted
	seen   int       // encoded bytes
	size   int       // decoded bytes
	base   int       // offset of the part in its document
	marks  []mark
	marked int
	buf    *[]byte // what came out last; sinks of one pass share it
}

func newDecodedSink(p *part, to io.Writer, buf *[]byte) *decodedSink {
	return &decodedSink{dec: p.decoder(), to: to, base: p.body, marked: p.body, buf: buf}
}

func (s *decodedSink) Write(b []byte) (int, error) {
	s.seen += len(b)
	if s.dec == nil {
		s.show(b)
		return len(b), nil
	}
	*s.buf = s.dec.decode((*s.buf)[:0], b)
	s.show(*s.buf)
	if at := s.base + s.seen; at-s.marked >= markEvery && s.dec.held() >= 0 {
		s.marks = append(s.marks, mark{at - s.dec.held(), s.size})
		s.marked = at
	}
	return len(b), nil
}

func (s *decodedSink) end() {
	if s.dec != nil {
		s.show(s.dec.end(nil))
	}
}

func (s *decodedSink) show(b []byte) {
	s.size += len(b)
	if s.to != nil && len(b) > 0 {
		_, _ = s.to.Write(b)
	}
}
