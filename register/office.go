// Package register holds the legal rules of the protocol register: what is
// pending, who gives a number to what, and what can be said about it later.
// (The full specification belongs here.)
package register

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/protodaemon/protodaemon/store"
)

// Setup is what the configuration says of the registers.
type Setup struct {
	Location      *time.Location // of the legal day
	Organizations []Organization
	Log           *slog.Logger
	Metrics       prometheus.Registerer // nil: none
}

// Organization is an ente (AOO) with its registers.
type Organization struct {
	ID, Name, IPACode, AOOCode, TaxCode string
	Registers                           []Book
}

// Book is the configuration of one register (gestione di protocollo).
type Book struct {
	ID, Name, IPACode, AOOCode, TaxCode string
	// Segnatura is the template of the text mark, with {ipa_code},
	// {aoo_code}, {register}, {number}, {year} and {date}; empty: the default.
	Segnatura string
	Mailboxes []Mailbox
}

// Mailbox is one mailbox linked to a register.
type Mailbox struct {
	Organization, Register, ID, Kind, Address string
}

// Office is the protocol office: all registers of one installation over one
// store. Its methods are safe for concurrent use.
type Office struct{}

// Open reads the heads of all journals, starts their committers and returns
// the office. An organization whose journals cannot be read is kept aside
// with its reason; the others serve.
func Open(ctx context.Context, st store.Store, s Setup) (*Office, error) { panic("not built") }

// Close stops the committers after the decisions they have taken are answered.
func (o *Office) Close() error { panic("not built") }

// Reload takes over a changed configuration.
func (o *Office) Reload(ctx context.Context, s Setup) error { panic("not built") }

// Health lists what stops numbers from being given, and where.
func (o *Office) Health(ctx context.Context) []Trouble { panic("not built") }

// Trouble is one reason why something stands still, for people.
type Trouble struct {
	Organization, Register string
	Code, Detail           string
}

// CreateBlob starts a durable file of the organization; what is committed to
// it must be named by a record within 7 days or it is collected.
func (o *Office) CreateBlob(ctx context.Context, org string) (store.BlobWriter, error) {
	panic("not built")
}

// OpenBlob opens a file of the organization without asking who reads it: for
// the daemon's own loops.
func (o *Office) OpenBlob(ctx context.Context, org string, d store.Digest) (store.Blob, error) {
	panic("not built")
}

// Notes is the organization's unchained memory (positions of mailboxes).
func (o *Office) Notes(ctx context.Context, org string) (store.Notes, error) { panic("not built") }

// OpenMessage opens the raw bytes of a pending entry for who may read it.
func (o *Office) OpenMessage(ctx context.Context, a Actor, id string) (store.Blob, error) {
	panic("not built")
}
