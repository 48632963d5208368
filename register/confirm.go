package register

import (
	"context"
	"time"

	"github.com/protodaemon/protodaemon/store"
)

// Confirmation is what the operator decided; empty fields take the message's.
type Confirmation struct {
	Subject         *string    `json:"subject,omitempty"`
	Classification  string     `json:"classification"`
	Parties         []Party    `json:"parties,omitempty"`
	Dossiers        []string   `json:"dossiers,omitempty"`
	Notes           string     `json:"notes,omitempty"`
	SenderReference *Reference `json:"sender_reference,omitempty"`
	Reserved        bool       `json:"reserved,omitempty"`
	Key             string     `json:"-"` // Idempotency-Key
}

// Reference is the sender's own number and date (art. 53 c. 1 e).
type Reference struct {
	Number string `json:"number,omitempty"`
	Date   string `json:"date,omitempty"` // YYYY-MM-DD
}

// Item is one confirmation of many.
type Item struct {
	ID string `json:"id"`
	Confirmation
}

// Result is the outcome of one confirmation: Err, or an entry. Already: it was
// confirmed before, by whom and when the entry says.
type Result struct {
	ID      string
	Entry   Entry
	Already bool
	Err     error
}

// Confirm gives the pending entry its number: number, date, entry and audit
// record are one durable commit (DPR 445/2000 art. 53 c. 3). Confirming twice
// returns the same entry with Already set.
func (o *Office) Confirm(ctx context.Context, a Actor, id string, c Confirmation) (Result, error) {
	panic("not built")
}

// ConfirmMany confirms several, in one durable commit for each register
// concerned; the items that cannot be confirmed fail alone. The numbers of one
// call in one register are consecutive, in the order of the items.
func (o *Office) ConfirmMany(ctx context.Context, a Actor, items []Item) []Result {
	panic("not built")
}

// Reject sends the message back to the inbox.
func (o *Office) Reject(ctx context.Context, a Actor, id, reason string) (Pending, error) {
	panic("not built")
}

// Direction of an entry.
type Direction string

// Incoming, outgoing or internal.
const (
	Incoming Direction = "incoming"
	Outgoing Direction = "outgoing"
	Internal Direction = "internal"
)

// Entry is a registrazione di protocollo.
type Entry struct {
	Organization    string       `json:"organization"`
	Register        string       `json:"register"`
	Number          string       `json:"number"` // at least 7 digits (art. 57)
	Year            int          `json:"year"`
	Day             string       `json:"day"` // legal day, YYYY-MM-DD
	RegisteredAt    time.Time    `json:"registered_at"`
	Direction       Direction    `json:"direction"`
	Subject         string       `json:"subject"`
	Parties         []Party      `json:"parties"`
	Classification  string       `json:"classification"`
	Attachments     []Document   `json:"attachments"`
	Dossiers        []string     `json:"dossiers"`
	Notes           string       `json:"notes,omitempty"`
	SenderReference *Reference   `json:"sender_reference,omitempty"`
	Reserved        bool         `json:"reserved,omitempty"`
	Segnatura       string       `json:"segnatura"`
	State           EntryState   `json:"state"`
	Message         store.Digest `json:"message"` // raw bytes of the message
	Size            int64        `json:"size"`
	Origin          *Origin      `json:"origin,omitempty"`
	ConfirmedBy     Decision     `json:"confirmed_by"`
	// Lost is set by Recover when the document could not be found again.
	Lost *Loss `json:"lost,omitempty"`
}

// EntryState is registered, annulled or lost (perduta, see Recover).
type EntryState string

// The states of an entry.
const (
	Registered EntryState = "registered"
	Annulled   EntryState = "annulled"
	Lost       EntryState = "lost"
)

// Origin is the message an entry was made from.
type Origin struct {
	Pending      string     `json:"pending"`
	Mailbox      string     `json:"mailbox"`
	Kind         string     `json:"kind"`
	Authenticity string     `json:"authenticity"`
	MessageID    string     `json:"message_id,omitempty"`
	Identifier   string     `json:"identifier,omitempty"`
	Certified    *time.Time `json:"certified,omitempty"`
	ArrivedAt    time.Time  `json:"arrived_at"`
}

// Loss tells what Recover could not bring back and on whose authority the
// number was marked so.
type Loss struct {
	Reason    string    `json:"reason"`
	Authority string    `json:"authority"`
	At        time.Time `json:"at"`
}

// EntryDetail is an entry with what is read beside it.
type EntryDetail struct {
	Entry
	Moved   string // no, yes or copied
	Place   *Place
	Blocked string
	History []Event
}

// EntryQuery selects entries; zero fields select all.
type EntryQuery struct {
	Q, Party, Classification, Dossier string
	Direction                         Direction
	State                             EntryState
	From, To                          string // legal days, inclusive
	Year                              int
	Number                            string
	Cursor                            string
	Limit                             int
}

// Entries lists a register's entries, newest first.
func (o *Office) Entries(ctx context.Context, a Actor, org, register string, q EntryQuery) (Page[Entry], error) {
	panic("not built")
}

// Entry reads one entry.
func (o *Office) Entry(ctx context.Context, a Actor, org, register string, year int, number string) (EntryDetail, error) {
	panic("not built")
}

// Classes lists the organization's filing plan.
func (o *Office) Classes(ctx context.Context, a Actor, org string) ([]Class, error) {
	panic("not built")
}

// Class is one voce of the filing plan.
type Class struct {
	Code  string `json:"code"`
	Title string `json:"title"`
}
