// Package document says what a file is that somebody attached: what its bytes
// are, who signed it and when, what lies in it, and whether it is a document
// that office systems exchange (segnatura, electronic invoice, notification). It
// opens nothing and keeps nothing: bytes in, facts out.
//
// What is believed. The format is told by the content; name and declared type
// only decide between contents that look alike. A signature is reported with
// what it proves: that it fits the bytes (Fits), and, where anchors are given,
// that its certificate leads to one. A fact never says more than the bytes do:
// what cannot be verified here is a problem by name, never invalid.
//
// Bounds. Every size, count, depth and ratio is bounded (Limits), over a file
// and all that lies in it together; the time is linear in what is read. Past a
// bound the facts are partial and a warning names it. Nothing in a file makes
// Inspect fail. Content is read through io.ReaderAt in pieces: memory does not
// grow with the file.
package document

import (
	"crypto/x509"
	"io"
	"time"
)

// Input is one file.
type Input struct {
	Name      string // as the message has it, made safe
	MediaType string // as declared, lower case
	Content   io.ReaderAt
	Size      int64
}

// Options are the anchors and bounds of one inspection. The zero value has no
// anchors and the default bounds.
type Options struct {
	// Anchors are those that signers' certificates must lead to to be called
	// trusted; nil: trust is not judged.
	Anchors *x509.CertPool
	// Beside is the file that a detached signature (.p7s) is about; nil: none is
	// known.
	Beside *Input
	// At is when the file was sent: a signature that does not say when it was made
	// is judged by it, and one without a time stamp was made by then; zero: not
	// known.
	At     time.Time
	Limits Limits
}

// Limits bound one inspection; a zero field means the default.
type Limits struct {
	Depth    int   // files in files
	Files    int   // listed, all depths together
	Inflated int64 // bytes unpacked, all depths together
	Ratio    int64 // unpacked to packed, for each file
	Parsed   int64 // bytes of one file that is held in memory to be read (XML, TNEF)
	Signers  int   // verified, all depths together
}

// DefaultLimits are far beyond what offices send.
var DefaultLimits = Limits{Depth: 5, Files: 2000, Inflated: 64 << 20, Ratio: 100, Parsed: 8 << 20, Signers: 50}

// Facts is what a file says. Its zero value says nothing.
type Facts struct {
	// Format is what the content is, in one word: p7m, p7s, tsd, tst, pdf, zip,
	// tnef, xml, ics, ooxml, odf…; "" when it is none of those that are known.
	Format     string      `json:"format,omitempty"`
	Signatures []Signature `json:"signatures,omitempty"`
	// Files are those that lie in it: the content of a .p7m or .tsd, the files of
	// an archive or of winmail.dat.
	Files    []File    `json:"files,omitempty"`
	Record   *Record   `json:"record,omitempty"`
	Event    *Event    `json:"event,omitempty"`
	Message  *Message  `json:"message,omitempty"`
	Warnings []Warning `json:"warnings,omitempty"`
}

// File is a file in a file.
type File struct {
	// Path names it for Open: the places, counted from 1 and joined with "~",
	// from the outermost file inwards.
	Path      string `json:"path"`
	Name      string `json:"name"`             // safe for people and file systems
	Folder    string `json:"folder,omitempty"` // in an archive, safe, joined with "/"
	MediaType string `json:"media_type"`
	Size      int64  `json:"size"`
	SHA256    string `json:"sha256,omitempty"` // empty: listed, not read
	Facts
}

// Signature is one signature or one time stamp over a file.
type Signature struct {
	// Kind: cades, pades, xades, which name their certificate as the law's formats
	// want; cms, pdf, xmldsig; timestamp.
	Kind string `json:"kind"`
	// Fits: digest and signature value fit the bytes.
	Fits         bool   `json:"fits"`
	Signer       string `json:"signer"`       // common name
	TaxCode      string `json:"tax_code"`     // codice fiscale, from the certificate's serialNumber (TINIT-…, IT:…) or subject
	Organization string `json:"organization"` //
	Email        string `json:"email,omitempty"`
	Issuer       string `json:"issuer"`
	Algorithm    string `json:"algorithm"`
	// NotBefore and NotAfter are the certificate's.
	NotBefore *time.Time `json:"not_before"`
	NotAfter  *time.Time `json:"not_after"`
	Time      *time.Time `json:"time"`  // what the signer says
	Stamp     *Stamp     `json:"stamp"` // a time stamp over the signature value that fits
	// Trusted: the certificate leads to an anchor and was valid at the stamp's
	// time, else at the signer's; null where no anchors are given.
	Trusted *bool `json:"trusted"`
	// Covers, of a PDF or an XML, is whole or part: the PDF went on after the
	// signature, or there is more in the XML.
	Covers string `json:"covers,omitempty"`
	// Problems are codes, as Changed; a signature can fit and have some.
	Problems []string `json:"problems"`
}

// Stamp is a time stamp (RFC 3161) that fits; of a signature that is itself a
// time stamp, what it says, also where what it stamped is not there.
type Stamp struct {
	Time      time.Time `json:"time"`
	Authority string    `json:"authority"`
	Policy    string    `json:"policy"`
	Serial    string    `json:"serial"`
}

// Record is a document that office systems exchange, read into the fields that a
// registration is filled from. Nothing in it is certified.
type Record struct {
	// Kind: segnatura, conferma-ricezione, aggiornamento-conferma,
	// notifica-eccezione, annullamento-protocollazione, fattura, notifica-sdi.
	Kind string `json:"kind"`
	// Version: 3.0.0, 2013 (Circolare 60/2013), 2001 (Circolare 28/2001); of an
	// invoice its transmission format (FPA12, FPR12, FSM10).
	Version string `json:"version,omitempty"`

	Sender    *Reference `json:"sender,omitempty"`   // number and date that the sender gave
	Original  *Reference `json:"original,omitempty"` // PrimaRegistrazione
	Concerns  *Reference `json:"concerns,omitempty"` // what it answers to; of a return message: what was received
	Subject   string     `json:"subject,omitempty"`  // oggetto
	Class     string     `json:"class,omitempty"`    // code, with its levels joined by "."
	ClassName string     `json:"class_name,omitempty"`
	// Dossier is the code of the fascicolo, DossierName what it is called.
	Dossier     string   `json:"dossier,omitempty"`
	DossierName string   `json:"dossier_name,omitempty"`
	Reserved    bool     `json:"reserved,omitempty"`
	Parties     []Party  `json:"parties,omitempty"`
	Files       []Listed `json:"files,omitempty"` // primary document first
	Reason      string   `json:"reason,omitempty"`
	Measure     string   `json:"measure,omitempty"` // provvedimento of an annulment
	// Confirm: the sender asks for a conferma di ricezione.
	Confirm bool `json:"confirm,omitempty"`

	// Of an invoice and a notification of the SdI.
	Type     string `json:"type,omitempty"` // TipoDocumento (TD01), or RC, NS, MC, NE, DT, AT, EC, SE, MT
	SdI      string `json:"sdi,omitempty"`  // IdentificativoSdI
	FileName string `json:"file_name,omitempty"`
	Number   string `json:"number,omitempty"` // with Date, Type and Total of the first invoice in the file
	Date     string `json:"date,omitempty"`   // YYYY-MM-DD
	Total    string `json:"total,omitempty"`
	// TotalComputed: the invoice states no total; it is the sum of its riepilogo.
	TotalComputed bool       `json:"total_computed,omitempty"`
	Currency      string     `json:"currency,omitempty"`
	Invoices      int        `json:"invoices,omitempty"` // bodies in the file
	Time          *time.Time `json:"time,omitempty"`     // when the SdI delivered it, else when it received it
	Outcome       string     `json:"outcome,omitempty"`  // EC01 accepted, EC02 refused
	Errors        []string   `json:"errors,omitempty"`   // code and words
}

// Reference is a registration elsewhere.
type Reference struct {
	Administration string `json:"administration,omitempty"` // IPA code
	AOO            string `json:"aoo,omitempty"`
	Register       string `json:"register,omitempty"`
	Number         string `json:"number,omitempty"`
	Date           string `json:"date,omitempty"` // YYYY-MM-DD
}

// Party is who a record names.
type Party struct {
	Role string `json:"role"` // sender, recipient, copy, supplier, customer
	// Kind: amministrazione, amministrazione-estera, persona-giuridica,
	// persona-fisica; "" when the record does not say.
	Kind    string `json:"kind,omitempty"`
	Name    string `json:"name"`
	TaxCode string `json:"tax_code,omitempty"`
	VAT     string `json:"vat,omitempty"` // with the country: IT01234567890
	IPACode string `json:"ipa_code,omitempty"`
	AOO     string `json:"aoo,omitempty"`
	Unit    string `json:"unit,omitempty"`    // office within
	Address string `json:"address,omitempty"` // e-mail
}

// Listed is a file that a segnatura names.
type Listed struct {
	Name   string `json:"name"` // safe; "" for what is no file
	Title  string `json:"title,omitempty"`
	Digest string `json:"digest,omitempty"` // hexadecimal SHA-256
	// Elsewhere: cartaceo or telematico, for what is not in the message.
	Elsewhere string `json:"elsewhere,omitempty"`
	// Fits tells whether the message has a file of that name with that digest;
	// null where it cannot be told.
	Fits *bool `json:"fits"`
}

// Event is the first one of a calendar (RFC 5545).
type Event struct {
	Method    string     `json:"method,omitempty"`
	Summary   string     `json:"summary"`
	Start     *time.Time `json:"start"`
	End       *time.Time `json:"end"`
	AllDay    bool       `json:"all_day,omitempty"`
	Location  string     `json:"location,omitempty"`
	Organizer string     `json:"organizer,omitempty"`
	Events    int        `json:"events"` // in the calendar
}

// Warning is something a reader should know; Code is stable.
type Warning struct {
	Code   string `json:"code"`
	Detail string `json:"detail"`
}
