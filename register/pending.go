package register

import (
	"context"
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

// Due is an act on the mail server that the register waits for.
type Due struct {
	Pending Pending
	Kind    DueKind
	Decided time.Time
	// Elsewhere are target UIDs that belong to other occurrences of the same
	// message and must not be taken for this one's copy.
	Elsewhere []Place
}

// DueKind is move (to the registered folder) or return (to the inbox).
type DueKind string

// The two due acts.
const (
	DueMove   DueKind = "move"
	DueReturn DueKind = "return"
)

// Arrive takes a message into custody, or recognises it: a withdrawn one comes
// back to life, one in custody (also confirmed and not yet moved) stays what it
// is, and after a recorded move or return a new occurrence is opened that names
// the former one. Calling it again changes nothing.
func (o *Office) Arrive(ctx context.Context, a Arrival) (Pending, error) { panic("not built") }

// Withdraw records that an undecided message has left the watched folder. One
// that was decided meanwhile is returned as it is.
func (o *Office) Withdraw(ctx context.Context, id string) (Pending, error) { panic("not built") }

// Expected lists what should be in the mailbox's watched folder: undecided
// entries, and decided ones whose act on the server is due.
func (o *Office) Expected(ctx context.Context, org, mailbox string) ([]Pending, error) {
	panic("not built")
}

// Due lists the acts that the mailbox's owner has to do, oldest first.
func (o *Office) Due(ctx context.Context, org, mailbox string) ([]Due, error) { panic("not built") }

// Done records how a due act ended. Recording it twice changes nothing.
func (o *Office) Done(ctx context.Context, id string, p Place) error { panic("not built") }

// Blocked notes why a due act could not be done yet; it is shown, not kept.
func (o *Office) Blocked(ctx context.Context, id, reason string) { panic("not built") }

// News returns a channel that receives a value when the mailbox's owner should
// look: a due act has appeared, or somebody asked for a sweep. It holds at
// most one value.
func (o *Office) News(org, mailbox string) <-chan struct{} { panic("not built") }

// Sweep asks the mailbox's owner to look now (Carica da email).
func (o *Office) Sweep(ctx context.Context, a Actor, org, mailbox string) error { panic("not built") }

// PendingList lists a register's pending entries, oldest arrival first.
func (o *Office) PendingList(ctx context.Context, a Actor, org, register string, q PendingQuery) (Page[Pending], error) {
	panic("not built")
}

// PendingQuery selects pending entries; the zero State means StatePending.
type PendingQuery struct {
	State  State
	Cursor string
	Limit  int // 1 to 500; 0: 50
}

// Page is one page of a list; Next is empty at the end.
type Page[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty"`
}

// Detail is a pending entry with what is computed when it is read.
type Detail struct {
	Pending
	Analysis    json.RawMessage
	Duplicates  []Duplicate
	Suggestions []Suggestion
	Blocked     string // why the move is still due
}

// Duplicate names another occurrence: of the same bytes (message) or of the
// same inner message (content). What the caller may not see has only Elsewhere.
type Duplicate struct {
	Kind      string `json:"kind"`
	Pending   string `json:"pending,omitempty"`
	Entry     string `json:"entry,omitempty"`
	Elsewhere string `json:"elsewhere,omitempty"`
}

// Suggestion proposes a value of a field, and says from what.
type Suggestion struct {
	Field   string `json:"field"`
	Value   string `json:"value"`
	Hits    int    `json:"hits"`
	Of      int    `json:"of"`
	Because string `json:"because"`
}

// Pending reads one pending entry.
func (o *Office) Pending(ctx context.Context, a Actor, id string) (Detail, error) {
	panic("not built")
}
