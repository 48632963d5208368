package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/protodaemon/protodaemon/pec"
	"github.com/protodaemon/protodaemon/register"
)

// pendingItem is a pending entry in a list. Its members mean what they mean
// in pendingDetail.
type pendingItem struct {
	custody
	SHA256       string      `json:"sha256"`
	Size         int64       `json:"size"`
	Kind         string      `json:"kind"`
	Authenticity string      `json:"authenticity"`
	Subject      string      `json:"subject"`
	From         pec.Address `json:"from"`
	MessageID    string      `json:"message_id"`
	// CertifiedAt and Identifier are the provider's pec.time and
	// pec.identifier.
	CertifiedAt *time.Time `json:"certified_at,omitempty"`
	Identifier  string     `json:"identifier,omitempty"`
	Attachments int        `json:"attachment_count"`
	Warnings    int        `json:"warning_count"`
}

// pendingDetail is a pending entry read alone: the analysis of contract
// section 4 at the top level, and what the register knows beside it.
type pendingDetail struct {
	*pec.Analysis
	custody
	Duplicates  []register.Duplicate  `json:"duplicates"`
	Suggestions []register.Suggestion `json:"suggestions"`
	Blocked     string                `json:"blocked,omitempty"`
}

// custody is what the register knows of a message that it keeps.
type custody struct {
	ID           string         `json:"id"`
	Organization string         `json:"organization"`
	Register     string         `json:"register"`
	Mailbox      string         `json:"mailbox"`
	State        register.State `json:"state"`
	Reason       string         `json:"reason,omitempty"`
	ArrivedAt    time.Time      `json:"arrived_at"`
	IngestedAt   time.Time      `json:"ingested_at"`
	Occurrence   int            `json:"occurrence"`
	Previous     string         `json:"previous,omitempty"`
	Entry        string         `json:"entry,omitempty"`
	Decided      *decision      `json:"decided,omitempty"`
	Place        *place         `json:"place,omitempty"`
}

type decision struct {
	By     string    `json:"by"`
	Name   string    `json:"name,omitempty"`
	At     time.Time `json:"at"`
	Reason string    `json:"reason,omitempty"`
}

type place struct {
	Outcome register.Outcome `json:"outcome"`
	At      time.Time        `json:"at"`
	Note    string           `json:"note,omitempty"`
}

func (s *Server) custody(p register.Pending) custody {
	c := custody{
		ID: p.ID, Organization: p.Organization, Register: p.Register, Mailbox: p.Mailbox,
		State: p.State, Reason: p.Reason, ArrivedAt: s.legal(p.ArrivedAt), IngestedAt: s.legal(p.IngestedAt),
		Occurrence: p.Occurrence, Previous: p.Previous, Entry: p.Entry,
	}
	if d := p.Decided; d != nil {
		c.Decided = &decision{d.By, d.Name, s.legal(d.At), d.Reason}
	}
	if at := p.Place; at != nil {
		c.Place = &place{at.Outcome, s.legal(at.At), at.Note}
	}
	return c
}

func (s *Server) pendingItem(p register.Pending) pendingItem {
	m := p.Summary
	return pendingItem{
		custody: s.custody(p), SHA256: p.Message.String(), Size: p.Size,
		Kind: m.Kind, Authenticity: m.Authenticity, Subject: m.Subject,
		From: pec.Address{Name: m.From.Name, Address: m.From.Address}, MessageID: m.MessageID,
		CertifiedAt: s.momentOf(m.Certified), Identifier: m.Identifier,
		Attachments: len(m.Attachments), Warnings: m.Warnings,
	}
}

func (s *Server) pendingList(w http.ResponseWriter, r *http.Request, a register.Actor) error {
	q, err := readQuery(r, "state")
	if err != nil {
		return err
	}
	state, err := oneOf(q, "state", register.StatePending, register.StateConfirming, register.StateQuarantined,
		register.StateOversized, register.StateConfirmed, register.StateRejected, register.StateWithdrawn)
	if err != nil {
		return err
	}
	found, err := s.office.PendingList(r.Context(), a, r.PathValue("org"), r.PathValue("register"),
		register.PendingQuery{State: state, Cursor: q.cursor, Limit: q.limit})
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, pageOf(found.Items, found.Next, s.pendingItem))
}

func (s *Server) pending(w http.ResponseWriter, r *http.Request, a register.Actor) error {
	d, err := s.office.Pending(r.Context(), a, r.PathValue("id"))
	if err != nil {
		return err
	}
	analysis, err := analysisOf(d)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, pendingDetail{
		Analysis: analysis, custody: s.custody(d.Pending),
		Duplicates:  append([]register.Duplicate{}, d.Duplicates...),
		Suggestions: append([]register.Suggestion{}, d.Suggestions...),
		Blocked:     d.Blocked,
	})
}

// analysisOf reads the analysis kept with a message. Where there is none (an
// oversized message, or one whose analysis was erased), what the register
// knows by itself takes its place.
func analysisOf(d register.Detail) (*pec.Analysis, error) {
	m := d.Summary
	a := &pec.Analysis{
		Kind: pec.Kind(m.Kind), Authenticity: pec.Authenticity(m.Authenticity), Subject: m.Subject,
		From: pec.Address{Name: m.From.Name, Address: m.From.Address}, MessageID: m.MessageID,
		Signature: pec.Signature{Status: pec.SignatureAbsent}, ContentSHA256: m.Content.String(),
	}
	if len(d.Analysis) > 0 && string(d.Analysis) != "null" {
		a = new(pec.Analysis)
		if err := json.Unmarshal(d.Analysis, a); err != nil {
			return nil, fmt.Errorf("reading the analysis of %s: %w", d.ID, err)
		}
	}
	// The name of a file that ingestion used is nobody's concern.
	a.File, a.SHA256, a.Size = "", d.Message.String(), d.Size
	return listsOf(a), nil
}

// listsOf makes every list of the analysis one that JSON shows as a list.
func listsOf(a *pec.Analysis) *pec.Analysis {
	a.To, a.Cc = notNil(a.To), notNil(a.Cc)
	a.Attachments, a.Warnings = notNil(a.Attachments), notNil(a.Warnings)
	a.Signature.Problems = notNil(a.Signature.Problems)
	if a.PEC != nil {
		a.PEC.Recipients = notNil(a.PEC.Recipients)
	}
	return a
}

func notNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
