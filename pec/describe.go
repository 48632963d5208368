package pec

import (
	"encoding/hex"
	"io"
	"strings"
	"time"
)

// describe fills in what a person wrote: the original's own header for an
// envelope, daticert.xml's words for a receipt, the message's for other mail.
func (r *reader) describe(a *Analysis, e *envelope) {
	a.EnvelopeSubject = headerText(e.head, "subject")
	h := e.head
	if e.postacert != nil && e.kind != PECReceipt {
		h = &e.postacert.header
	}
	a.Subject = headerText(h, "subject")
	r.doubtful(h, "subject", "from", "to", "cc")
	a.To, a.Cc = addresses(h, "to"), addresses(h, "cc")
	a.Date = parseDate(h.get("date"))
	a.MessageID = messageID(h.get("message-id"))
	if from := addresses(h, "from"); len(from) > 0 {
		a.From = from[0]
	}
	if e.kind == PECReceipt && a.PEC != nil {
		a.receipt()
	}
	if e.original != nil && e.kind != PECReceipt {
		a.ContentSHA256 = hex.EncodeToString(e.original.Sum(nil))
	}
}

// written fills in the text of the body.
func (r *reader) written(a *Analysis, e *envelope) {
	b := bodiesOf(e.body)
	a.HTML = b.html != nil
	r.say(a, r.preview(b), e.kind != Email && e.body == e.content)
}

// toService are the receipts that one provider sends to another's service
// mailbox instead of the sender (RFC 6109 §3.2.1, §3.2.3).
var toService = map[string]bool{"presa-in-carico": true, "rilevazione-virus": true}

// receipt replaces what nobody signed in a receipt by daticert.xml's words.
func (a *Analysis) receipt() {
	c := a.PEC
	a.Subject = c.Subject
	if c.Time != nil {
		a.Date = c.Time
	}
	a.From.Name = c.Provider
	a.Cc = []Address{}
	if !toService[c.Type] && c.Sender != "" {
		a.To = []Address{{Address: c.Sender}}
	}
}

// hashBudget is how many times the size of the message is decoded at most:
// each nesting of attached messages repeats the bytes inside.
const hashBudget = 8

// list names the files of the message, whose digests are taken in passing.
func (r *reader) list(e *envelope, p *passing) (files []*file) {
	if e.files == nil {
		return nil
	}
	left := hashBudget*e.top.doc.size + 1<<20
	for l := range attachmentsOf(e.files) {
		f := newFile(l)
		if left -= l.end - l.body; left < 0 {
			r.warn(Unhashed, "attached messages repeat their content too often; the files from "+f.Part+" on are not listed")
			break
		}
		p.see(f)
		files = append(files, f)
	}
	return files
}

// newFile names a leaf without reading it.
func newFile(l leaf) *file {
	name, changed := attachmentName(l)
	return &file{leaf: l, Attachment: Attachment{Part: l.path, Name: name, MediaType: cutText(line(l.media), 200)}, changed: changed}
}

// attachments tells of the files that have passed by.
func (r *reader) attachments(a *Analysis, files []*file, t *Trust, at time.Time) {
	if r.ctx.Err() != nil {
		return
	}
	for _, f := range files {
		f.seen()
	}
	r.inspect(files, t, at)
	for _, f := range files {
		r.nameWarnings(f.leaf, f.Name, f.changed)
		a.Attachments = append(a.Attachments, f.Attachment)
	}
	a.Prefill = prefill(a.Attachments)
}

// htmlReader is an HTML part in UTF-8.
func htmlReader(p *part) io.Reader {
	r := &reader{warn: func(string, string) {}}
	raw, _ := readUpTo(p.decoded(), htmlMax)
	return strings.NewReader(r.text(p, raw))
}
