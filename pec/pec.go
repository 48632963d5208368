// Package pec says what a message is, who vouches for it, and what a person
// wrote and attached. It opens nothing and keeps nothing: bytes in, analysis out.
//
// Kinds. The kind is decided by the top-level headers and the structure alone
// (RFC 6109 §3): X-Trasporto first, then X-Ricevuta. Without an S/MIME structure
// a message is ordinary mail, whatever its headers say (RFC 6109 §2.2.2), and
// what makes it look like PEC is the warning pec-lookalike.
//
// What is believed. daticert.xml counts only as a direct child of the signed
// multipart, and only when it is the one daticert.xml in the signed part; one
// inside another message describes that other message. Subject, From, To, Cc,
// Date, MessageID, Text and Attachments of a transport or anomaly envelope are
// those of the original message in it, which the signature covers. Of a receipt
// Subject, To and Date come from daticert.xml, the provider's text is Boilerplate, and
// the attachments are those of the original where the receipt carries it.
// EnvelopeSubject is always the subject as received, which nobody signs.
//
// Authenticity follows one table:
//
//	unsigned   ordinary mail, also when a person signed it
//	broken     the signature does not fit the bytes
//	untrusted  it fits, or cannot be judged here, but nobody trusted vouches
//	           for it: chain, time, purpose or From address
//	anomaly    a valid provider signature round what is not certified: an
//	           anomaly envelope, or daticert.xml missing, repeated, malformed
//	           or of another type than the header says
//	certified  a valid provider signature round daticert.xml (REM: evidence)
//
// Of registered mail (REM) both signatures have to be valid, the S/MIME round the
// message and the XAdES in the evidence about the latest event, which has to cover
// all of that evidence; both certificates have to lead to a service of registered
// mail that a trusted list tells to be in force at the time of the event. Anchors
// of PEC providers count for nothing there, nor services of REM for PEC.
//
// The signature is verified over the exact bytes of the first part with CRLF
// line ends; bare LF is read as CRLF, as S/MIME and openssl have it. Validity is
// judged at the time of the event (daticert.xml's, else signingTime, else Date)
// or at signingTime.
//
// Bounds. Every size, count and depth is bounded (Limits); time is linear in the
// message. Past a bound the analysis is partial and a warning names it. Nothing
// in a message makes Read fail.
//
// How it is read. Nothing is held: the structure is found in one pass (mime.go),
// and in a second one the bytes pass by all who take digests of them, of the
// message, of what is signed, of the original and of each file (passing.go). What
// was encoded is read at any place without being held (source.go). So memory does
// not grow with the message.
package pec

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/protodaemon/protodaemon/cms"
	"github.com/protodaemon/protodaemon/document"
)

// Options are the trust anchors and bounds of one reading. The zero value has
// no anchors (nothing is certified) and the default bounds.
type Options struct {
	Trust  *Trust
	Limits Limits
	// Digested: the caller has taken the message's digest when it stored it. The
	// analysis has no SHA256 then, nor a ContentSHA256 where that would be the
	// same.
	Digested bool
}

// Limits bound one analysis; a zero field means the default.
type Limits struct {
	Size   int64 // bytes of the message
	Parts  int   // MIME parts
	Depth  int   // nesting of parts and messages
	Header int64 // bytes of one part's header
	XML    int64 // bytes of daticert.xml
	Text   int   // bytes of the preview
}

// DefaultLimits are far beyond what providers accept (30 MB, RFC 6109 §3.1.1).
var DefaultLimits = Limits{Size: 256 << 20, Parts: 10_000, Depth: 50, Header: 256 << 10, XML: 1 << 20, Text: 64 << 10}

// orDefault fills the zero fields.
func (l Limits) orDefault() Limits {
	fill(&l.Size, DefaultLimits.Size)
	fill(&l.Parts, DefaultLimits.Parts)
	fill(&l.Depth, DefaultLimits.Depth)
	fill(&l.Header, DefaultLimits.Header)
	fill(&l.XML, DefaultLimits.XML)
	fill(&l.Text, DefaultLimits.Text)
	return l
}

func fill[T int | int64](v *T, fallback T) {
	if *v <= 0 {
		*v = fallback
	}
}

// Read analyses the message in m (size bytes, read more than once). It never
// fails: what is malformed, beyond a bound, or cut short by ctx leaves a
// partial analysis with a warning naming it.
func Read(ctx context.Context, m io.ReaderAt, size int64, o Options) *Analysis {
	a := newAnalysis()
	r := &reader{ctx: ctx, limits: o.Limits.orDefault(), warn: a.warn, chains: cms.NewChains(), digested: o.Digested}
	doc := &source{src: m, size: int(max(size, 0))}
	p := &passing{}
	if size > r.limits.Size {
		r.warn(MessageTooLarge, fmt.Sprintf("the message has %d bytes; only messages up to %d are read", size, r.limits.Size))
		r.see(a, doc, size, p)
		return a
	}
	e := r.message(doc)
	a.Kind = e.kind
	p.watch(e)
	files := r.list(e, p)
	inner := r.contained(e, p)
	r.see(a, doc, size, p)
	a.Contained = r.judgeContained(inner, o.Trust)
	e.wrapped = slices.ContainsFunc(inner, func(c *contained) bool { return c.wrapped && c.Authenticity == Certified })
	e.seen()
	r.envelope(a, e, o.Trust)
	r.describe(a, e)
	r.written(a, e)
	r.attachments(a, files, o.Trust, eventTime(a, e))
	return a
}

func newAnalysis() *Analysis {
	return &Analysis{Kind: Email, Authenticity: Unsigned, To: []Address{}, Cc: []Address{},
		Signature:   Signature{Status: SignatureAbsent, Problems: []string{}},
		Attachments: []Attachment{}, Warnings: []Warning{}}
}

// warningsMax bounds the warnings of one code, so that a hostile message does
// not fill the page.
const warningsMax = 3

// warn adds a warning once.
func (a *Analysis) warn(code, detail string) {
	same := 0
	for _, w := range a.Warnings {
		if w.Code == code {
			if same++; w.Detail == detail || same >= warningsMax {
				return
			}
		}
	}
	a.Warnings = append(a.Warnings, Warning{code, detail})
}

// errNoPart: the message has no such part.
var errNoPart = errors.New("the message has no such part")

// message reads the structure of a message and of those that lie in it.
func (r *reader) message(doc *source) *envelope {
	root := r.walk(doc).root
	e := r.locate(root, &root.header)
	r.openMessages(e.files)
	return e
}

// open reads a message's structure without judging it.
func open(ctx context.Context, m io.ReaderAt, size int64) (*envelope, error) {
	if size > DefaultLimits.Size {
		return nil, fmt.Errorf("reading the message: it has %d bytes, more than %d", size, DefaultLimits.Size)
	}
	r := &reader{ctx: ctx, limits: DefaultLimits, warn: func(string, string) {}}
	doc := &source{src: m, size: int(max(size, 0))}
	e := r.message(doc)
	if err := context.Cause(ctx); err != nil {
		return nil, fmt.Errorf("reading the message: %w", err)
	}
	if int64(doc.size) < size {
		return nil, fmt.Errorf("reading the message: only %d of %d bytes could be read", doc.size, size)
	}
	return e, nil
}

// OpenPart opens the decoded bytes of the attachment that Read, under the
// default limits, named part; after a "~" follows the path of a file in it. They
// have the digest that Read gave.
func OpenPart(ctx context.Context, m io.ReaderAt, size int64, part string) (Attachment, io.Reader, error) {
	e, err := open(ctx, m, size)
	if err != nil {
		return Attachment{}, nil, err
	}
	part, inner, deeper := strings.Cut(part, "~")
	if e.files != nil {
		for l := range attachmentsOf(e.files) {
			if l.path != part {
				continue
			}
			p, f := &passing{}, newFile(l)
			p.see(f)
			if err := p.run(ctx); err != nil {
				return Attachment{}, nil, fmt.Errorf("reading attachment %s: %w", part, err)
			}
			f.seen()
			if deeper {
				return f.open(ctx, inner)
			}
			return f.Attachment, l.decoded(), nil
		}
	}
	return Attachment{}, nil, fmt.Errorf("attachment %q: %w", line(part), errNoPart)
}

// HasPart tells whether OpenPart finds a part.
func (a *Analysis) HasPart(part string) bool {
	part, inner, deeper := strings.Cut(part, "~")
	return slices.ContainsFunc(a.Attachments, func(one Attachment) bool {
		return one.Part == part && (!deeper || hasFile(one.Files, inner))
	})
}

func hasFile(files []document.File, path string) bool {
	return slices.ContainsFunc(files, func(f document.File) bool { return f.Path == path || hasFile(f.Files, path) })
}

// OpenHTML opens the HTML body that Read found (Analysis.HTML), in UTF-8 and as
// hostile as it came.
func OpenHTML(ctx context.Context, m io.ReaderAt, size int64) (io.Reader, error) {
	e, err := open(ctx, m, size)
	if err != nil {
		return nil, err
	}
	b := bodiesOf(e.body)
	if b.html == nil {
		return nil, fmt.Errorf("the HTML body: %w", errNoPart)
	}
	return htmlReader(b.html), nil
}
