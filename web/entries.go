package web

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/protodaemon/protodaemon/register"
)

// entry is a registrazione di protocollo. History is told where an entry is
// read alone, Already where it was there before it was asked for.
type entry struct {
	Organization    string              `json:"organization"`
	Register        string              `json:"register"`
	Number          string              `json:"number"`
	Year            int                 `json:"year"`
	Day             string              `json:"day"`
	RegisteredAt    time.Time           `json:"registered_at"`
	Direction       register.Direction  `json:"direction"`
	Subject         string              `json:"subject"`
	Parties         []register.Party    `json:"parties"`
	Classification  string              `json:"classification"`
	Attachments     []attachment        `json:"attachments"`
	Dossiers        []string            `json:"dossiers"`
	Notes           string              `json:"notes,omitempty"`
	SenderReference *register.Reference `json:"sender_reference,omitempty"`
	Reserved        bool                `json:"reserved,omitempty"`
	Segnatura       string              `json:"segnatura"`
	State           register.EntryState `json:"state"`
	SHA256          string              `json:"sha256"`
	Size            int64               `json:"size"`
	Origin          *origin             `json:"origin,omitempty"`
	ConfirmedBy     string              `json:"confirmed_by,omitempty"`
	ConfirmedAt     *time.Time          `json:"confirmed_at,omitempty"`
	Annulment       *annulment          `json:"annulment,omitempty"`
	Lost            *register.Loss      `json:"lost,omitempty"`
	Already         bool                `json:"already,omitempty"`
	Moved           string              `json:"moved,omitempty"`
	Blocked         string              `json:"blocked,omitempty"`
	History         []event             `json:"history,omitempty"`
}

type annulment struct {
	Reason        string    `json:"reason"`
	Authorization string    `json:"authorization"`
	By            string    `json:"by"`
	At            time.Time `json:"at"`
}

type attachment struct {
	Name      string `json:"name"`
	MediaType string `json:"media_type"`
	Size      int64  `json:"size"`
	SHA256    string `json:"sha256"`
}

type origin struct {
	Pending      string     `json:"pending"`
	Mailbox      string     `json:"mailbox"`
	Kind         string     `json:"kind"`
	Authenticity string     `json:"authenticity"`
	MessageID    string     `json:"message_id,omitempty"`
	Identifier   string     `json:"identifier,omitempty"`
	CertifiedAt  *time.Time `json:"certified_at,omitempty"`
	ArrivedAt    time.Time  `json:"arrived_at"`
}

// event is one act in a history, or one piece of news in the stream.
type event struct {
	Type         string          `json:"type"`
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

func (s *Server) event(e register.Event) event {
	if e.At.IsZero() {
		e.At = time.Now() // of a mailbox that was never seen
	}
	return event{e.Type, s.legal(e.At), e.By, e.Organization, e.Register, e.Mailbox, e.Pending, e.Entry, e.Closing, e.Data}
}

func (s *Server) entryOf(e register.Entry) entry {
	out := entry{
		Organization: e.Organization, Register: e.Register, Number: e.Number, Year: e.Year, Day: e.Day,
		RegisteredAt: s.legal(e.RegisteredAt), Direction: e.Direction, Subject: e.Subject,
		Parties: notNil(e.Parties), Classification: e.Classification,
		Attachments: make([]attachment, 0, len(e.Attachments)), Dossiers: notNil(e.Dossiers),
		Notes: e.Notes, SenderReference: e.SenderReference, Reserved: e.Reserved,
		Segnatura: e.Segnatura, State: e.State, SHA256: e.Message.String(), Size: e.Size,
		ConfirmedBy: e.ConfirmedBy.By, ConfirmedAt: s.moment(e.ConfirmedBy.At),
	}
	for _, d := range e.Attachments {
		out.Attachments = append(out.Attachments, attachment{d.Name, d.MediaType, d.Size, d.SHA256.String()})
	}
	if o := e.Origin; o != nil {
		out.Origin = &origin{
			o.Pending, o.Mailbox, o.Kind, o.Authenticity, o.MessageID, o.Identifier,
			s.momentOf(o.Certified), s.legal(o.ArrivedAt),
		}
	}
	if n := e.Annulment; n != nil {
		out.Annulment = &annulment{n.Reason, n.Authorization, n.By, s.legal(n.At)}
	}
	if l := e.Lost; l != nil {
		out.Lost = &register.Loss{Reason: l.Reason, Authority: l.Authority, At: s.legal(l.At)}
	}
	return out
}

// entryDetail is an entry with the place of its message.
func (s *Server) entryDetail(d register.EntryDetail) entry {
	e := s.entryOf(d.Entry)
	e.Moved, e.Blocked = d.Moved, d.Blocked
	return e
}

func (s *Server) entries(w http.ResponseWriter, r *http.Request, a register.Actor) error {
	q, err := readQuery(r, "q", "direction", "from", "to", "party", "classification", "dossier", "year", "number", "state")
	if err != nil {
		return err
	}
	selected, err := entryQuery(q)
	if err != nil {
		return err
	}
	found, err := s.office.Entries(r.Context(), a, r.PathValue("org"), r.PathValue("register"), selected)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, pageOf(found.Items, found.Next, s.entryDetail))
}

func entryQuery(q query) (register.EntryQuery, error) {
	e := register.EntryQuery{
		Q: q.filter["q"], Party: q.filter["party"], Classification: q.filter["classification"],
		Dossier: q.filter["dossier"], From: q.filter["from"], To: q.filter["to"],
		Number: q.filter["number"], Cursor: q.cursor, Limit: q.limit,
	}
	var err error
	if e.Direction, err = oneOf(q, "direction", register.Incoming, register.Outgoing, register.Internal); err != nil {
		return e, err
	}
	if e.State, err = oneOf(q, "state", register.Registered, register.Annulled, register.Lost); err != nil {
		return e, err
	}
	for _, name := range []string{"from", "to"} {
		if day := q.filter[name]; day != "" {
			if _, err := time.Parse(time.DateOnly, day); err != nil {
				return e, invalidParameter(name, "a day like 2026-01-31 is wanted")
			}
		}
	}
	if year := q.filter["year"]; year != "" {
		if e.Year, err = strconv.Atoi(year); err != nil || e.Year < 1 || e.Year > 9999 {
			return e, invalidParameter("year", "a year like 2026 is wanted")
		}
	}
	return e, nil
}

func (s *Server) entry(w http.ResponseWriter, r *http.Request, a register.Actor) error {
	d, err := s.readEntry(r, a)
	if err != nil {
		return err
	}
	e := s.entryDetail(d)
	e.History = pageOf(d.History, "", s.event).Items
	return writeJSON(w, http.StatusOK, e)
}

// readEntry reads the entry that the path names.
func (s *Server) readEntry(r *http.Request, a register.Actor) (register.EntryDetail, error) {
	year, err := pathYear(r)
	if err != nil {
		return register.EntryDetail{}, err
	}
	return s.office.Entry(r.Context(), a, r.PathValue("org"), r.PathValue("register"), year, r.PathValue("number"))
}

func pathYear(r *http.Request) (int, error) {
	year, err := strconv.Atoi(r.PathValue("year"))
	if err != nil || year < 1 || year > 9999 {
		return 0, problem(http.StatusNotFound, "not-found", "there is no such year")
	}
	return year, nil
}

// annul answers with the entry as it then is.
func (s *Server) annul(w http.ResponseWriter, r *http.Request, a register.Actor) error {
	year, err := pathYear(r)
	if err != nil {
		return err
	}
	var n register.Annulment
	if err := readJSON(r, &n); err != nil {
		return err
	}
	e, err := s.office.Annul(r.Context(), a, r.PathValue("org"), r.PathValue("register"), year, r.PathValue("number"), n)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, s.entryOf(e))
}
