package pec

import (
	"time"

	"github.com/protodaemon/protodaemon/document"
)

// Analysis is what a message says, in the shape that `protodaemon parse`
// prints and the API returns. Everything certified in it (PEC, and Subject,
// From, To, Cc, Date, MessageID, Text and Attachments of a transport envelope)
// was read from bytes the provider's signature covers; EnvelopeSubject was not.
type Analysis struct {
	File            string       `json:"file,omitempty"`
	SHA256          string       `json:"sha256"`
	Size            int64        `json:"size"`
	Kind            Kind         `json:"kind"`
	Subject         string       `json:"subject"`
	EnvelopeSubject string       `json:"envelope_subject"`
	From            Address      `json:"from"`
	To              []Address    `json:"to"`
	Cc              []Address    `json:"cc"`
	Date            *time.Time   `json:"date"`
	MessageID       string       `json:"message_id"`
	Authenticity    Authenticity `json:"authenticity"`
	Signature       Signature    `json:"signature"`
	PEC             *Certificate `json:"pec"`
	// Text is what a person wrote, QuotedText the earlier messages that it
	// repeats, Boilerplate the texts of providers and the signatures and notices
	// at the end. Together they are the whole preview. Text is empty only where
	// nobody wrote anything: the text of a receipt is the provider's.
	Text        string `json:"text"`
	QuotedText  string `json:"quoted_text"`
	Boilerplate string `json:"boilerplate"`
	// HTML tells that the body a person wrote has an HTML form (shown only
	// sanitised, from HTMLPart).
	HTML        bool         `json:"html"`
	Attachments []Attachment `json:"attachments"`
	// Brief is what MatchBrief found, for who asked it.
	Brief []BriefPart `json:"brief,omitempty"`
	// Prefill is what a registration may be filled with, from a document of the
	// sender's office system.
	Prefill *Prefill `json:"prefill,omitempty"`
	// Contained are the messages inside this one that somebody signed, each with
	// its own judgement: a PEC that was forwarded, wrapped by a mailing list, or is
	// the original of an envelope.
	Contained []Contained `json:"contained,omitempty"`
	// Evidences are those of a REM, in the order of its parts; PEC is what the one
	// about the latest event says.
	Evidences []Evidence `json:"evidences,omitempty"`
	Warnings  []Warning  `json:"warnings"`

	// ContentSHA256 is the digest of the message a person wrote: postacert.eml
	// of an envelope, else the whole message. Two deliveries of one message
	// share it.
	ContentSHA256 string `json:"content_sha256"`
}

// Kind is what a message is, decided by its top-level headers and structure
// only, never by its subject or text (RFC 6109 §3).
type Kind string

// The kinds of contract section 4.
const (
	Email        Kind = "email"
	PECTransport Kind = "pec-transport"
	PECAnomaly   Kind = "pec-anomaly"
	PECReceipt   Kind = "pec-receipt"
	REM          Kind = "rem"
)

// Authenticity is the one-word judgement of contract section 4.
type Authenticity string

// The five judgements; see contract section 4 for their exact conditions.
const (
	Certified Authenticity = "certified"
	Anomaly   Authenticity = "anomaly"
	Broken    Authenticity = "broken"
	Untrusted Authenticity = "untrusted"
	Unsigned  Authenticity = "unsigned"
)

// Address is one mailbox of a header; Name is decoded.
type Address struct {
	Name    string `json:"name"`
	Address string `json:"address"`
}

// Signature is the outcome of verifying the S/MIME signature round the message.
type Signature struct {
	Status    SignatureStatus `json:"status"`
	Signer    string          `json:"signer"`
	Issuer    string          `json:"issuer"`
	Email     string          `json:"email"`
	Algorithm string          `json:"algorithm"`
	NotAfter  *time.Time      `json:"not_after"`
	Problems  []string        `json:"problems"`
}

// SignatureStatus is valid, invalid, untrusted, expired, absent or error (the
// last: not verifiable here, which is never the same as invalid).
type SignatureStatus string

// The states of a signature.
const (
	SignatureValid     SignatureStatus = "valid"
	SignatureInvalid   SignatureStatus = "invalid"
	SignatureUntrusted SignatureStatus = "untrusted"
	SignatureExpired   SignatureStatus = "expired"
	SignatureAbsent    SignatureStatus = "absent"
	SignatureError     SignatureStatus = "error"
)

// Certificate is the content of daticert.xml (RFC 6109 §4.4). Type, Detail
// and Error hold the XML's words; values outside the standard are kept as text.
type Certificate struct {
	Type   string `json:"type"`
	Detail string `json:"detail"`
	// Notice tells the two notices of an overdue delivery apart: 12h, the first
	// one, or 24h, after which the provider gives up (RFC 6109 §3.1.6).
	Notice      string      `json:"notice,omitempty"`
	Identifier  string      `json:"identifier"`
	MessageID   string      `json:"message_id"`
	Reference   string      `json:"reference"`
	Provider    string      `json:"provider"`
	Sender      string      `json:"sender"`
	Recipients  []Recipient `json:"recipients"`
	ReplyTo     string      `json:"reply_to"`
	Subject     string      `json:"subject"`
	Time        *time.Time  `json:"time"`
	DeliveredTo string      `json:"delivered_to"`
	Error       string      `json:"error"`
	ErrorDetail string      `json:"error_detail"`
}

// Recipient is one destinatari element: Kind is certificato or esterno.
type Recipient struct {
	Address string `json:"address"`
	Kind    string `json:"kind"`
}

// Attachment is one file of the message a person wrote. Part names it for
// OpenPart and stays the same for the same bytes.
type Attachment struct {
	Part      string `json:"part"`
	Name      string `json:"name"`
	MediaType string `json:"media_type"`
	Size      int64  `json:"size"`
	SHA256    string `json:"sha256"`
	// Signed: it holds signatures and all of them fit; nil: it holds none.
	Signed *bool `json:"signed"`
	document.Facts
}

// Warning is something a reader should know; Code is stable and listed in
// docs/formats.md, Detail is for people.
type Warning struct {
	Code   string `json:"code"`
	Detail string `json:"detail"`
}
