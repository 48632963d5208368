package pec

import "github.com/protodaemon/protodaemon/document"

// Prefill is what a registration may be filled with beforehand, read from a
// document that the sender's office system made (segnatura.xml, an electronic
// invoice). It is the sender's word: nothing of it is certified.
type Prefill struct {
	Part string `json:"part"` // the file it was read from, as OpenPart takes it
	Name string `json:"name"` // of that file
	Kind string `json:"kind"` // as document.Record has it
	// Reference is the sender's own number and date (DPR 445/2000 art. 53 c. 1 e).
	Reference *document.Reference `json:"reference,omitempty"`
	Subject   string              `json:"subject,omitempty"`
	Class     string              `json:"class,omitempty"` // of the sender's filing plan
	ClassName string              `json:"class_name,omitempty"`
	Dossier   string              `json:"dossier,omitempty"`
	Reserved  bool                `json:"reserved,omitempty"`
	Parties   []document.Party    `json:"parties,omitempty"`
}

// prefilling are the kinds of records that fill a registration, the best first.
var prefilling = []string{"segnatura", "annullamento-protocollazione", "notifica-eccezione", "aggiornamento-conferma",
	"conferma-ricezione", "fattura", "notifica-sdi"}

// prefill picks the best record among the files, at whatever depth; nil: there is
// none.
func prefill(files []Attachment) *Prefill {
	best, rank := (*Prefill)(nil), len(prefilling)
	take := func(part, name string, r *document.Record) {
		for i, kind := range prefilling[:rank] {
			if r.Kind == kind {
				best, rank = prefillFrom(part, name, r), i
				return
			}
		}
	}
	for _, f := range files {
		eachRecord(f.Part, f.Name, f.Part+"~", f.Facts, take)
	}
	return best
}

func eachRecord(part, name, base string, f document.Facts, take func(part, name string, r *document.Record)) {
	if f.Record != nil {
		take(part, name, f.Record)
	}
	for _, in := range f.Files {
		eachRecord(base+in.Path, in.Name, base, in.Facts, take)
	}
}

func prefillFrom(part, name string, r *document.Record) *Prefill {
	p := &Prefill{Part: part, Name: name, Kind: r.Kind, Reference: r.Sender, Subject: r.Subject, Class: r.Class, ClassName: r.ClassName,
		Dossier: r.Dossier, Reserved: r.Reserved, Parties: r.Parties}
	if p.Reference == nil && r.Number != "" {
		p.Reference = &document.Reference{Number: r.Number, Date: r.Date}
	}
	return p
}
