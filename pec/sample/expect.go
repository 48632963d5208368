package sample

import (
	"crypto"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/protodaemon/protodaemon/pec"
)

// Message is one sample and what has to be found in it by a reader that trusts
// the anchors it was made for.
type Message struct {
	Name   string // unique in its mix or corpus, usable as a file name
	Of     string // the kind of sample: Name without its number
	Raw    []byte
	Kind   pec.Kind
	Expect Expect

	// Genuine is the honest message that a trick was made of; nil for others. Of
	// a trick Expect tells kind, authenticity, status and warnings. What a reader
	// shows of it as certified has to be what it shows of Genuine.
	Genuine []byte
	// Keyless: the trick needs nobody's key. Whatever signature still fits such a
	// message covers what Genuine says.
	Keyless bool

	// Time is when its signature has to be judged: the event's.
	Time time.Time

	inside []known            // the files a reader lists in it where it is attached to another
	signed []pec.Authenticity // and the signed messages it judges there: itself first, when it is one
}

// Expect is the truth about a sample. From the field From on, what is empty is
// not told, and there may be more of it.
type Expect struct {
	Authenticity pec.Authenticity
	Status       pec.SignatureStatus
	Type         string // daticert.xml's tipo; anomalia for an anomaly; "" for ordinary mail
	Detail       string // completa, breve or sintetica
	Error        string // daticert.xml's errore
	Subject      string // of the message a person wrote
	Files        []string
	Warnings     []string // codes, in any order

	// Contained are the judgements of the signed messages that lie in it, from the
	// outermost inwards; not told of a trick.
	Contained []pec.Authenticity

	From        string   // address of who wrote it
	SHA256      []string // of Files
	Content     string   // SHA-256 of the message a person wrote
	Text        string   // stands in the text that is shown
	ErrorDetail string
	Sender      string
	Recipients  []pec.Recipient
	DeliveredTo string
	Identifier  string
	Reference   string // the writer's Message-ID
	Provider    string
}

// known is a file of a message: what a reader lists it as.
type known struct{ name, sha256 string }

func knownFile(name string, data []byte) known { return known{name, digest(data)} }

func digest(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// list sets the files that have to be found.
func (e *Expect) list(files []known) {
	e.Files, e.SHA256 = nil, nil
	for _, f := range files {
		e.Files, e.SHA256 = append(e.Files, f.name), append(e.SHA256, f.sha256)
	}
}

// told makes the sample of a notice: what it says is what has to be found.
// files are those of the original it carries.
func (d *Dispatch) told(n notice, files []known) (Message, error) {
	raw, err := d.build(n)
	if err != nil {
		return Message{}, err
	}
	e := Expect{
		Authenticity: pec.Certified, Status: pec.SignatureValid, Type: n.tipo, Detail: n.ricevuta, Error: n.failure(), Subject: d.plain,
		Warnings: d.weak(), ErrorDetail: n.detail, Sender: d.sender, DeliveredTo: n.delivered,
		Identifier: d.identifier, Reference: d.reference, Provider: d.provider,
	}
	for _, r := range d.recipients {
		e.Recipients = append(e.Recipients, pec.Recipient{Address: r.address, Kind: r.kind()})
	}
	m := Message{Raw: raw, Kind: pec.PECReceipt, Time: d.time, inside: d.inside(n, files), signed: []pec.Authenticity{pec.Certified}}
	if n.original != nil {
		e.list(files)
	}
	if n.tipo == "posta-certificata" {
		m.Kind = pec.PECTransport
		e.From, e.Content, e.Text = d.sender, digest(n.original), bodyPhrase
	} else {
		e.Content, e.Text = digest(raw), n.phrase()
	}
	m.Expect = e
	return m, nil
}

// inside are the files of a notice for who gets it as an attachment.
func (d *Dispatch) inside(n notice, files []known) []known {
	certificate := []known{knownFile("daticert.xml", d.dialect.Daticert.wire(d.xml(n)))}
	if n.bare {
		certificate = nil
	}
	var original []known
	if n.original != nil {
		original = append([]known{knownFile("postacert.eml", n.original)}, files...)
	}
	all := append(certificate, original...)
	if d.dialect.OriginalFirst {
		all = append(original, certificate...)
	}
	if d.dialect.ExtraPart != "" {
		all = append(all, extraFile)
	}
	return all
}

// weak is the warning that comes with an old digest.
func (d *Dispatch) weak() []string {
	h := d.form.Digest
	if h == 0 {
		h = d.p.options.Digest
	}
	return weakDigest(h)
}

func weakDigest(h crypto.Hash) []string {
	if h == crypto.SHA1 {
		return []string{pec.WeakDigest}
	}
	return nil
}

// carrying is a message that another one lies in.
func (m Message) carrying(inner Message) Message {
	m.Expect.Contained = inner.signed
	m.signed = append(m.signed, inner.signed...)
	return m
}

// ordinary is the sample of unsigned mail.
func ordinary(mail Mail, files ...known) Message {
	raw := mail.Bytes()
	m := Message{Raw: raw, Kind: pec.Email, Time: mail.Date, inside: files, Expect: Expect{
		Authenticity: pec.Unsigned, Status: pec.SignatureAbsent, Subject: mail.Subject, Content: digest(raw)}}
	m.Expect.list(files)
	return m
}
