package pec

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
)

// passing is what is taken of a message while its bytes pass by, once for each
// document: digests of the whole, of what is signed, of the original message
// and of every file.
type passing struct {
	spans map[*source][]span
	order []*source
	buf   []byte // that the sinks decode into, one after the other
	piece []byte // that the documents are read into
}

func (p *passing) add(doc *source, from, to int, sink io.Writer) {
	if p.spans == nil {
		p.spans = map[*source][]span{}
	}
	if p.spans[doc] == nil {
		p.order = append(p.order, doc)
	}
	p.spans[doc] = append(p.spans[doc], span{from, to, sink})
}

// run has the documents pass by.
func (p *passing) run(ctx context.Context) error {
	for _, doc := range p.order {
		if _, err := doc.pass(ctx, p.spans[doc], p.piece); err != nil {
			return err
		}
	}
	return nil
}

// file is an attachment whose content passes by.
type file struct {
	leaf
	Attachment
	changed bool // its name was not safe
	content *fileSink
	sink    *decodedSink
}

// see takes a file's digest.
func (p *passing) see(f *file) {
	f.content = newFileSink()
	f.sink = newDecodedSink(f.part, f.content, &p.buf)
	p.add(f.part.doc, f.part.body, f.part.end, f.sink)
}

// seen completes the attachment.
func (f *file) seen() {
	f.sink.end()
	f.Size = int64(f.sink.size)
	f.SHA256 = hex.EncodeToString(f.content.Sum(nil))
}

// watch prepares what an envelope needs: the digests under its signature, and
// that of the original message.
func (p *passing) watch(e *envelope) {
	if e.waits != nil {
		p.add(e.top.doc, e.content.start, e.content.end, &e.waits.lines)
	}
	if e.originalPart != nil {
		e.original = sha256.New()
		e.originalSink = newDecodedSink(e.originalPart, e.original, &p.buf)
		p.add(e.originalPart.doc, e.originalPart.body, e.originalPart.end, e.originalSink)
	}
}

// seen completes an envelope.
func (e *envelope) seen() {
	if e.waits != nil {
		e.sign = e.waits.verdict()
	}
	if e.original != nil {
		e.originalSink.end()
	}
}

// see has the message pass by: its size and digest are known after it.
func (r *reader) see(a *Analysis, doc *source, size int64, p *passing) {
	whole := sha256.New()
	p.piece = r.piece
	if !r.digested {
		p.add(doc, 0, doc.size, whole)
	}
	err := p.run(r.ctx)
	a.Size = int64(doc.size)
	switch {
	case r.ctx.Err() != nil:
		r.warn(Interrupted, "the analysis was stopped before the end of the message")
	case err != nil || a.Size < size:
		r.warn(MessageTruncated, fmt.Sprintf("only %d of %d bytes could be read", a.Size, size))
	}
	if !r.digested {
		a.SHA256 = hex.EncodeToString(whole.Sum(nil))
		a.ContentSHA256 = a.SHA256
	}
}

// contextReader ends with its context.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
