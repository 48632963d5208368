package pec

import (
	"bytes"
	"context"
	"io"
	"strings"

	"github.com/protodaemon/protodaemon/cms"
)

// part is one node of the MIME tree (RFC 2045, 2046): header at [start, body),
// content at [body, end). The line end before a delimiter belongs to the
// delimiter (RFC 2046 §5.1.1), hence not to what a signature covers either.
type part struct {
	doc              *source
	start, body, end int
	header           header
	media            string // lower-case type/subtype
	params           map[string]string
	children         []*part // of a multipart
	message          *part   // in a message/rfc822
	closed           bool    // a multipart whose closing delimiter was seen
}

// content is the body as it stands, still encoded.
func (p *part) content() *io.SectionReader { return p.doc.section(p.body, p.end) }

func (p *part) multipart() bool { return strings.HasPrefix(p.media, "multipart/") }

// boundaryMax is more than the 70 characters of RFC 2046 §5.1.1, because some
// generators exceed them; a longer line is not taken for a delimiter.
const boundaryMax = 200

// walker builds the tree of one document in one pass over its bytes. All the
// parts not yet ended are on one stack, and one map knows the boundaries of the
// multiparts among them, so the time is linear whatever the nesting.
type walker struct {
	*reader
	window
	open   []*part        // parts not ended, outermost first
	active map[string]int // boundary -> place in open of the outermost multipart that has it
	parts  int
	// headers is how much of headers may still be kept.
	headers int
}

// headersMax bounds the headers that are kept of one document.
const headersMax = 16 << 20

// reader is one reading: how far it goes and whom it tells.
type reader struct {
	ctx      context.Context
	limits   Limits
	warn     func(code, detail string)
	chains   *cms.Chains // of all signers together
	digested bool        // the message itself is not hashed
	piece    []byte      // that documents are read into, one after the other
}

// walk reads the structure of a document. It never fails: past a bound the tree
// is incomplete and warn has been told.
func (r *reader) walk(doc *source) *source { return r.walkBy(doc, pieceSize) }

// walkBy is walk with pieces of another size, which make no difference.
func (r *reader) walkBy(doc *source, size int) *source {
	w := &walker{reader: r, window: window{ctx: r.ctx, doc: doc, size: size, buf: r.piece[:0]}, active: map[string]int{}, headers: headersMax}
	var pos int
	doc.root, pos = w.begin(0, "text/plain")
	w.run(pos)
	r.piece = w.buf
	return doc
}

// run goes from delimiter to delimiter until the document ends.
func (w *walker) run(pos int) {
	for w.window.ctx.Err() == nil {
		d, ok := w.next(pos)
		if !ok {
			break
		}
		w.endAfter(d.owner, d.line)
		owner := w.open[d.owner]
		pos = d.next
		switch {
		case d.closing:
			owner.closed = true
			w.deactivate(d.owner)
		case w.full(d.owner):
			w.warn(TooManyParts, "the message has more parts than are read; those beyond are not shown")
		default:
			var child *part
			child, pos = w.begin(pos, defaultMedia(owner))
			owner.children = append(owner.children, child)
		}
	}
	if w.window.ctx.Err() != nil {
		w.warn(Interrupted, "the analysis was stopped before the end of the message")
	}
	w.endAfter(-1, w.doc.size)
}

// full tells that no more parts are taken. The first two parts of the
// outermost multipart always are: the second is the signature.
func (w *walker) full(owner int) bool {
	return w.parts >= w.limits.Parts && (owner > 0 || len(w.open[0].children) >= 2)
}

// defaultMedia is the type of a part that names none (RFC 2046 §5.1.5).
func defaultMedia(owner *part) string {
	if owner.media == "multipart/digest" {
		return "message/rfc822"
	}
	return "text/plain"
}

// begin opens the part at pos, and the message in it if it is one, and so on
// inwards. It returns the part and where the innermost body begins.
func (w *walker) begin(pos int, media string) (*part, int) {
	outer := w.push(pos, media)
	p := outer
	for p.media == "message/rfc822" && identityCoded(p) {
		if len(w.open) >= w.limits.Depth {
			w.tooDeep()
			break
		}
		p.message = w.push(p.body, "text/plain")
		p = p.message
	}
	return outer, p.body
}

// push reads one header at pos and puts the part on the stack.
func (w *walker) push(pos int, media string) *part {
	p := &part{doc: w.doc, start: pos, end: w.doc.size}
	w.parts++
	p.body = w.readHeader(p)
	p.media, p.params = p.header.contentType(media)
	at := len(w.open)
	w.open = append(w.open, p)
	if !p.multipart() {
		return p
	}
	boundary := p.params["boundary"]
	switch {
	case boundary == "" || len(boundary) > boundaryMax:
		w.warn(MalformedStructure, "a multipart names no usable boundary; its parts are not separated")
	case len(w.open) >= w.limits.Depth:
		w.tooDeep()
	default:
		// Two nested multiparts with one boundary: its lines end the outer one
		// (RFC 2046 §5.1.2), which is the one a signature may be round.
		if _, taken := w.active[boundary]; !taken {
			w.active[boundary] = at
		}
	}
	return p
}

func (w *walker) tooDeep() {
	w.warn(TooDeep, "the message is nested more deeply than is read; what lies deeper is one closed part")
}

// endAfter ends every open part after place keep, at the line end before line.
func (w *walker) endAfter(keep, line int) {
	end := line
	if line < w.doc.size {
		end = w.beforeLineEnd(line)
	}
	for i := len(w.open) - 1; i > keep; i-- {
		p := w.open[i]
		// A header that the delimiter cut short has no line end of its own.
		p.start, p.body, p.end = min(p.start, end), min(p.body, end), end
		if _, ok := w.activeAt(i); ok {
			w.warn(MalformedStructure, "a multipart is cut short: its closing delimiter is missing")
			w.deactivate(i)
		}
	}
	w.open = w.open[:keep+1]
}

// beforeLineEnd is the offset of the line end just before line, if any.
func (w *walker) beforeLineEnd(line int) int {
	from := max(0, line-2)
	before := w.from(from, line-from)[:line-from]
	switch {
	case bytes.HasSuffix(before, []byte("\r\n")):
		return line - 2
	case bytes.HasSuffix(before, []byte("\n")):
		return line - 1
	}
	return line
}

func (w *walker) activeAt(i int) (string, bool) {
	boundary := w.open[i].params["boundary"]
	at, ok := w.active[boundary]
	return boundary, ok && at == i
}

func (w *walker) deactivate(i int) {
	if boundary, ok := w.activeAt(i); ok {
		delete(w.active, boundary)
	}
}

// delimiter is one boundary line of an open multipart.
type delimiter struct {
	owner      int // place of the multipart in walker.open
	line, next int // offsets of the line and of what follows it
	closing    bool
}

// next finds the first delimiter line at or after pos, a line's start.
func (w *walker) next(pos int) (delimiter, bool) {
	for len(w.active) > 0 && pos < w.doc.size {
		if d, ok := w.delimiterAt(pos); ok {
			return d, true
		}
		pos = w.after(pos, "\n--")
	}
	return delimiter{}, false
}

// delimiterAt reads the line at pos as a delimiter. Trailing blanks are
// allowed (RFC 2046 §5.1.1). Of two readings the outermost multipart's counts.
func (w *walker) delimiterAt(pos int) (delimiter, bool) {
	if len(w.active) == 0 || !bytes.HasPrefix(w.from(pos, 2), []byte("--")) {
		return delimiter{}, false
	}
	line := w.from(pos, 2*boundaryMax)
	line = line[2:min(len(line), 2*boundaryMax)]
	next := w.doc.size
	if i := bytes.IndexByte(line, '\n'); i >= 0 {
		line, next = line[:i], pos+2+i+1
	} else if pos+2+len(line) < w.doc.size {
		return delimiter{}, false
	}
	line = bytes.TrimRight(line, " \t\r")
	d := delimiter{line: pos, next: next}
	owner, found := w.active[string(line)]
	if bare, ok := bytes.CutSuffix(line, []byte("--")); ok {
		if i, ok := w.active[string(bare)]; ok && (!found || i < owner) {
			owner, found, d.closing = i, true, true
		}
	}
	d.owner = owner
	return d, found
}
