package register

import (
	"context"
	"encoding/json"
	"time"
)

// MailboxState is the state of a mailbox's connection.
type MailboxState string

// The states of contract section 3.
const (
	Connecting MailboxState = "connecting"
	Watching   MailboxState = "watching"
	Polling    MailboxState = "polling"
	Backoff    MailboxState = "backoff"
	Failed     MailboxState = "failed"
)

// MailboxStatus is what a mailbox's owner reports; it is not kept.
type MailboxStatus struct {
	Mailbox
	State     MailboxState
	LastSeen  time.Time
	LastError string
	Pending   int // filled by Mailboxes
}

// Report takes a mailbox's state; subscribers hear of changes of State and
// LastError.
func (o *Office) Report(s MailboxStatus) { panic("not built") }

// Mailboxes lists the mailboxes that the actor may see.
func (o *Office) Mailboxes(ctx context.Context, a Actor) ([]MailboxStatus, error) {
	panic("not built")
}

// Organizations lists what the actor may see.
func (o *Office) Organizations(a Actor) []Organization { panic("not built") }

// Event is one recorded act, for a history or the event stream.
type Event struct {
	Type         string          `json:"type"` // as in contract section 3 for the stream
	At           time.Time       `json:"at"`
	By           string          `json:"by,omitempty"`
	Organization string          `json:"organization,omitempty"`
	Register     string          `json:"register,omitempty"`
	Mailbox      string          `json:"mailbox,omitempty"`
	Pending      string          `json:"pending,omitempty"`
	Entry        string          `json:"entry,omitempty"`
	Data         json.RawMessage `json:"data,omitempty"`
}

// Subscribe calls yield for every event that the actor may see from now on,
// until ctx ends or yield returns false. A subscriber that is too slow loses
// events and gets one of type "resync" instead.
func (o *Office) Subscribe(ctx context.Context, a Actor, yield func(Event) bool) error {
	panic("not built")
}
