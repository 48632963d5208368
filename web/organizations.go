package web

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/protodaemon/protodaemon/register"
)

type organization struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	IPACode   string `json:"ipa_code"`
	AOOCode   string `json:"aoo_code"`
	Registers []book `json:"registers"`
}

type book struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

func (s *Server) organizations(w http.ResponseWriter, r *http.Request, a register.Actor) error {
	q, err := readQuery(r)
	if err != nil {
		return err
	}
	all := pageOf(s.office.Organizations(a), "", func(o register.Organization) organization {
		books := pageOf(o.Registers, "", func(b register.Book) book { return book{b.ID, b.Name} })
		return organization{o.ID, o.Name, o.IPACode, o.AOOCode, books.Items}
	})
	return writeJSON(w, http.StatusOK, cut(all.Items, q, func(o organization) string { return o.ID }))
}

func (s *Server) filingPlan(w http.ResponseWriter, r *http.Request, a register.Actor) error {
	q, err := readQuery(r)
	if err != nil {
		return err
	}
	classes, err := s.office.Classes(r.Context(), a, r.PathValue("org"))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, cut(classes, q, func(c register.Class) string { return classKey(c.Code) }))
}

// classKey sorts 1.2 before 1.10.
func classKey(code string) string {
	levels := strings.Split(code, ".")
	for i, l := range levels {
		levels[i] = fmt.Sprintf("%06s", l)
	}
	return strings.Join(levels, ".")
}

type mailbox struct {
	ID           string                `json:"id"`
	Organization string                `json:"organization"`
	Register     string                `json:"register"`
	Kind         string                `json:"kind"`
	Address      string                `json:"address"`
	State        register.MailboxState `json:"state"`
	LastSeen     *time.Time            `json:"last_seen"`
	LastError    string                `json:"last_error"`
	Pending      int                   `json:"pending"`
}

func (s *Server) mailboxes(w http.ResponseWriter, r *http.Request, a register.Actor) error {
	q, err := readQuery(r)
	if err != nil {
		return err
	}
	found, err := s.office.Mailboxes(r.Context(), a)
	if err != nil {
		return err
	}
	all := pageOf(found, "", func(m register.MailboxStatus) mailbox {
		return mailbox{
			ID: m.ID, Organization: m.Organization, Register: m.Register, Kind: m.Kind, Address: m.Address,
			State: m.State, LastSeen: s.moment(m.LastSeen), LastError: m.LastError, Pending: m.Pending,
		}
	})
	return writeJSON(w, http.StatusOK, cut(all.Items, q, func(m mailbox) string { return m.Organization + "/" + m.ID }))
}

// sweep asks for a look now; the answer does not wait for it.
func (s *Server) sweep(w http.ResponseWriter, r *http.Request, a register.Actor) error {
	org, id := r.PathValue("org"), r.PathValue("id")
	if err := s.office.Sweep(r.Context(), a, org, id); err != nil {
		return err
	}
	return writeJSON(w, http.StatusAccepted, struct {
		Organization string `json:"organization"`
		ID           string `json:"id"`
	}{org, id})
}

// legal returns t in the legal time zone.
func (s *Server) legal(t time.Time) time.Time { return t.In(s.zone) }

// moment is legal for a time that may be unknown.
func (s *Server) moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = s.legal(t)
	return &t
}

func (s *Server) momentOf(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	return s.moment(*t)
}
