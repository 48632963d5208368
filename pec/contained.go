package pec

import (
	"iter"
	"strings"
	"time"
)

// Contained is a signed message inside another, judged for itself: by its own
// header, signature and daticert.xml. It says nothing of the message round it.
type Contained struct {
	// Part is where it lies, as Attachment.Part counts; "" when it is the original
	// message of the envelope.
	Part         string       `json:"part"`
	Kind         Kind         `json:"kind"`
	Authenticity Authenticity `json:"authenticity"`
	Subject      string       `json:"subject"`
	From         Address      `json:"from"`
	Date         *time.Time   `json:"date"`
	MessageID    string       `json:"message_id"`
	Signature    Signature    `json:"signature"`
	PEC          *Certificate `json:"pec"`
	Warnings     []Warning    `json:"warnings"`
}

// The bounds of what is opened and judged inside one message.
const (
	containedMax = 20
	openedMax    = 100
)

// contained is one on its way to its judgement.
type contained struct {
	path    string
	wrapped bool // a part of the message itself
	*envelope
	*Analysis
	*reader
}

// carried are files that are messages: .eml, and InfoCert's .m7m, a multipart of
// a signed file and its time stamp.
var carried = []string{".eml", ".m7m"}

func isMessage(p *part) bool {
	if p.media == "message/rfc822" || p.media == "message/global" {
		return true
	}
	name := strings.ToLower(fileName(p))
	for _, ext := range carried {
		if strings.HasSuffix(name, ext) {
			return true
		}
	}
	return false
}

// openMessages opens the messages that lie as files in one: those that are
// encoded, or not declared to be messages.
func (r *reader) openMessages(root *part) {
	if root == nil {
		return
	}
	opened, left := 0, layersMax*root.doc.size
	for l := range leaves(root, true) {
		if l.message != nil || !isMessage(l.part) || l.part == root {
			continue
		}
		if opened++; opened > openedMax || left < l.end-l.body {
			r.warn(TooManyParts, "the message carries more messages than are opened; those beyond are closed files")
			return
		}
		left -= l.end - l.body
		l.part.message = r.inside(l.part)
	}
}

// contained finds the signed messages inside one; their digests are taken in
// passing.
func (r *reader) contained(e *envelope, p *passing) (all []*contained) {
	left := hashBudget*e.top.doc.size + 1<<20
	for c := range r.signedInside(e) {
		if len(all) == containedMax {
			r.warn(TooManyParts, "the message carries more signed messages than are judged")
			break
		}
		c.Analysis = newAnalysis()
		c.reader = &reader{ctx: r.ctx, limits: r.limits, warn: c.Analysis.warn, chains: r.chains}
		c.envelope = c.locate(c.envelope.top, c.envelope.head)
		if left -= 2 * (c.envelope.top.end - c.envelope.top.start); left < 0 {
			r.warn(Unhashed, "signed messages repeat their content too often; not all are judged")
			break
		}
		p.watch(c.envelope)
		all = append(all, c)
	}
	return all
}

// signedInside yields what has a signature round it and is not the message
// itself.
func (r *reader) signedInside(e *envelope) iter.Seq[*contained] {
	return func(yield func(*contained) bool) {
		in := func(path string, root *part, itself bool) bool {
			for l := range signedParts(root, path) {
				if itself && l.part == e.top {
					continue
				}
				c := &contained{path: l.path, wrapped: itself, envelope: &envelope{top: l.part, head: &root.header}}
				if !yield(c) {
					return false
				}
			}
			return true
		}
		if e.kind == Email && !in("", e.top, true) || e.postacert != nil && !in("", e.postacert, false) || e.files == nil {
			return
		}
		for l := range leaves(e.files, true) {
			if l.message != nil && !in(l.path, l.message, false) {
				return
			}
		}
	}
}

// signedParts yields the signed parts of one message, itself if it is signed.
func signedParts(root *part, path string) iter.Seq[leaf] {
	return func(yield func(leaf) bool) { signedIn(root, path, yield) }
}

// signedIn recurses no deeper than the walk that made the tree.
func signedIn(p *part, path string, yield func(leaf) bool) bool {
	if p.media == "multipart/signed" && len(p.children) > 0 || opaqueMedia[p.media] && !signedFile(p) {
		return yield(leaf{part: p, path: path})
	}
	for i, c := range p.children {
		if !signedIn(c, below(path, i+1), yield) {
			return false
		}
	}
	return true
}

// signedFile tells that a part is a document that somebody signed and attached
// (istanza.pdf.p7m), not a message: of those the name is another (RFC 8551
// §3.2.1).
func signedFile(p *part) bool {
	name := strings.ToLower(fileName(p))
	return strings.HasSuffix(name, ".p7m") && name != "smime.p7m"
}

// judgeContained judges them when they have passed by. Of those without any
// PEC only signed ones are told.
func (r *reader) judgeContained(all []*contained, t *Trust) (told []Contained) {
	for _, c := range all {
		c.envelope.seen()
		c.reader.envelope(c.Analysis, c.envelope, t)
		c.Analysis.Kind = c.envelope.kind
		c.reader.describe(c.Analysis, c.envelope)
		if a := c.Analysis; a.Kind != Email || a.Signature.Status != SignatureAbsent {
			told = append(told, Contained{Part: c.path, Kind: a.Kind, Authenticity: a.Authenticity, Subject: a.Subject, From: a.From,
				Date: a.Date, MessageID: a.MessageID, Signature: a.Signature, PEC: a.PEC, Warnings: a.Warnings})
		}
	}
	return told
}
