package register

import (
	"encoding/json"
	"time"

	"github.com/protodaemon/protodaemon/store"
)

// State is where a pending entry stands.
type State string

// The states of contract section 3. Confirming: a confirmation's outcome is
// not known yet (the store is being re-read).
const (
	StatePending     State = "pending"
	StateConfirming  State = "confirming"
	StateQuarantined State = "quarantined"
	StateOversized   State = "oversized"
	StateConfirmed   State = "confirmed"
	StateRejected    State = "rejected"
	StateWithdrawn   State = "withdrawn"
)

// undecided tells whether nobody has confirmed or rejected it and it should be
// in the watched folder.
func (s State) undecided() bool {
	return s == StatePending || s == StateQuarantined || s == StateOversized
}

// decided tells whether an operator has acted.
func (s State) decided() bool { return s == StateConfirmed || s == StateRejected }

// Summary is what the register itself needs to know of a message; the whole
// analysis is kept beside it as a payload that can be erased.
type Summary struct {
	Kind         string       `json:"kind"`
	Authenticity string       `json:"authenticity"`
	Subject      string       `json:"subject"`
	From         Party        `json:"from"`
	To           []Party      `json:"to,omitempty"`
	MessageID    string       `json:"message_id,omitempty"`
	Content      store.Digest `json:"content"`             // of the message a person wrote
	Certified    *time.Time   `json:"certified,omitempty"` // the provider's time
	Identifier   string       `json:"identifier,omitempty"`
	Attachments  []Document   `json:"attachments,omitempty"`
	LookAlike    bool         `json:"look_alike,omitempty"`
	Warnings     int          `json:"warnings,omitempty"`
}

// Party is a sender or recipient as it was when registered.
type Party struct {
	ID      string `json:"id,omitempty"`
	Name    string `json:"name,omitempty"`
	Address string `json:"address,omitempty"`
	TaxCode string `json:"tax_code,omitempty"`
	// Role is sender, recipient or copy.
	Role string `json:"role,omitempty"`
}

// Document is a file of a message or entry. Part is its place in the raw
// message, or empty when it is a blob of its own.
type Document struct {
	Part      string       `json:"part,omitempty"`
	Name      string       `json:"name"`
	MediaType string       `json:"media_type"`
	Size      int64        `json:"size"`
	SHA256    store.Digest `json:"sha256"`
}

// Arrival is a message that a mailbox's owner found in the watched folder and
// whose bytes are durable already.
type Arrival struct {
	Organization, Mailbox string
	// Message is the digest of the raw bytes; for an oversized message, of
	// what identifies it.
	Message   store.Digest
	Size      int64
	ArrivedAt time.Time // INTERNALDATE
	// Noticed is when the server's news reached us; for the latency metric.
	Noticed  time.Time
	State    State  // StatePending, StateQuarantined or StateOversized
	Reason   string // why quarantined or oversized
	Summary  Summary
	Analysis json.RawMessage
}

// Pending is a message in the register's custody, with or without a number.
type Pending struct {
	ID           string       `json:"id"`
	Organization string       `json:"organization"`
	Register     string       `json:"register"`
	Mailbox      string       `json:"mailbox"`
	Message      store.Digest `json:"message"`
	Occurrence   int          `json:"occurrence"`         // n of invariant 2, from 1
	Previous     string       `json:"previous,omitempty"` // id of occurrence n-1
	Size         int64        `json:"size"`
	State        State        `json:"state"`
	Reason       string       `json:"reason,omitempty"`
	ArrivedAt    time.Time    `json:"arrived_at"`
	IngestedAt   time.Time    `json:"ingested_at"`
	Summary      Summary      `json:"summary"`
	// Entry is "register/year/number" once confirmed.
	Entry   string    `json:"entry,omitempty"`
	Decided *Decision `json:"decided,omitempty"` // who confirmed or rejected, when
	// Place is what is known of the message on the server after the decision.
	Place *Place `json:"place,omitempty"`
	// Key is the Idempotency-Key of the confirmation.
	Key string `json:"key,omitempty"`
}

// due tells whether an act on the mail server is due.
func (p Pending) due() bool { return p.State.decided() && p.Place == nil }

// Decision is an operator's act.
type Decision struct {
	By     string    `json:"by"`
	Name   string    `json:"name,omitempty"`
	At     time.Time `json:"at"`
	Reason string    `json:"reason,omitempty"`
}

// Place tells how the act on the mail server ended.
type Place struct {
	Outcome     Outcome   `json:"outcome"`
	At          time.Time `json:"at"`
	UIDValidity uint32    `json:"uid_validity,omitempty"`
	UIDs        []uint32  `json:"uids,omitempty"` // of the copies in the target folder
	Note        string    `json:"note,omitempty"`
}

// Outcome is how a due act on the mail server ended.
type Outcome string

// Outcomes. Moved and Returned are recorded only after a look at the watched
// folder found no occurrence left; Copied ends an act on a server with neither
// MOVE nor UIDPLUS; Filed is a rejected message whose twin is still in the
// inbox, so that it went to the registered folder.
const (
	Moved    Outcome = "moved"
	Copied   Outcome = "copied"
	Returned Outcome = "returned"
	Filed    Outcome = "filed"
)
