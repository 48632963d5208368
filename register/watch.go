package register

import (
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
	Closing      string          `json:"closing,omitempty"`
	Data         json.RawMessage `json:"data,omitempty"`
}
