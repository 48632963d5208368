package pec

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"strings"
)

// describe fills in what a person wrote: the original's own header for an
// envelope, daticert.xml's words for a receipt, the message's for other mail.
func (r *reader) describe(a *Analysis, e *envelope) {
	a.EnvelopeSubject = headerText(&e.top.header, "subject")
	shown := e.top
	if e.postacert != nil && e.kind != PECReceipt {
		shown = e.postacert
	}
	h := &shown.header
	a.Subject = headerText(h, "subject")
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
		sum := sha256.Sum256(e.original)
		a.ContentSHA256 = hex.EncodeToString(sum[:])
	}
	b := bodiesOf(e.body)
	a.HTML = b.html != nil
	a.Text = r.preview(b)
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

// attachments lists the files and takes their digests.
func (r *reader) attachments(a *Analysis, e *envelope) {
	if e.files == nil {
		return
	}
	left := hashBudget*a.Size + 1<<20
	for l := range attachmentsOf(e.files) {
		one, changed := attachment(l)
		if changed {
			r.warn(NameCleaned, "the name of attachment "+one.Part+" was not safe as it stood; shown as "+one.Name)
		}
		if left -= int64(len(l.content())); left < 0 {
			r.warn(Unhashed, "attached messages repeat their content too often; the files from "+one.Part+" on are not listed")
			return
		}
		hashPart(&one, contextReader{r.ctx, l.decoded()})
		if r.ctx.Err() != nil {
			r.warn(Interrupted, "the analysis was stopped before the end of the message")
			return
		}
		a.Attachments = append(a.Attachments, one)
	}
}

// attachment names a leaf without reading it.
func attachment(l leaf) (Attachment, bool) {
	name, changed := attachmentName(l)
	return Attachment{Part: l.path, Name: name, MediaType: cutText(line(l.media), 200)}, changed
}

func hashPart(a *Attachment, r io.Reader) {
	var h hash.Hash = sha256.New()
	a.Size, _ = io.Copy(h, r) // stops early only with the context, which the caller asks
	a.SHA256 = hex.EncodeToString(h.Sum(nil))
}

// htmlReader is an HTML part in UTF-8.
func htmlReader(p *part) io.Reader {
	r := &reader{warn: func(string, string) {}}
	raw, _ := readUpTo(p.decoded(), htmlMax)
	return strings.NewReader(r.text(p, raw))
}
