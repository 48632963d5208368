package register

import (
	"time"

	"github.com/protodaemon/protodaemon/store"
)

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
	// Annulment is set when it is annulled (art. 54).
	Annulment *EntryAnnulment `json:"annulment,omitempty"`
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
