package web

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/protodaemon/protodaemon/register"
	"github.com/protodaemon/protodaemon/store"
)

// closing is a chiusura giornaliera as the API tells it.
type closing struct {
	ID           string                   `json:"id"`
	Organization string                   `json:"organization"`
	Register     string                   `json:"register"`
	Day          string                   `json:"day"`
	Sequence     int                      `json:"sequence"`
	Progressive  int                      `json:"progressive"`
	Name         string                   `json:"name"`
	Test         bool                     `json:"test,omitempty"`
	FirstNumber  string                   `json:"first_number,omitempty"`
	LastNumber   string                   `json:"last_number,omitempty"`
	Entries      int                      `json:"entries"`
	Changes      int                      `json:"changes"`
	State        register.ClosingState    `json:"state"`
	Reached      register.ClosingState    `json:"reached"`
	Outcome      string                   `json:"outcome"` // in Italian words
	Deadline     string                   `json:"deadline"`
	ClosedAt     time.Time                `json:"closed_at"`
	ClosedBy     string                   `json:"closed_by"`
	Manager      string                   `json:"manager"`
	Acting       bool                     `json:"acting,omitempty"` // the manager's deputy
	Files        []register.ClosingFile   `json:"files"`
	Steps        []register.ClosingStep   `json:"steps"`
	Trouble      *register.ClosingTrouble `json:"trouble,omitempty"`
	Package      *closingPackage          `json:"package,omitempty"`
	Root         string                   `json:"root"`
	Chain        string                   `json:"chain"`
	Previous     *register.ClosingLink    `json:"previous,omitempty"`
}

type closingPackage struct {
	Identity string     `json:"identity"`
	Version  int        `json:"version"`
	SentAt   *time.Time `json:"sent_at,omitempty"`
}

func (s *Server) closingOf(c register.Closing) closing {
	out := closing{
		ID: c.ID, Organization: c.Organization, Register: c.Register, Day: c.Day, Sequence: c.Sequence,
		Progressive: c.Progressive, Name: c.Name, Test: c.Test, FirstNumber: c.FirstNumber, LastNumber: c.LastNumber,
		Entries: c.Entries, Changes: c.Changes, State: c.State, Reached: c.Reached, Outcome: closingOutcome(c),
		Deadline: c.Deadline, ClosedAt: s.legal(c.ClosedAt), ClosedBy: c.ClosedBy.User,
		Manager: fullName(c.Manager.Name, c.Manager.Surname), Acting: c.Acting,
		Files: notNil(c.Files), Root: c.Root.String(), Chain: c.Chain.String(), Previous: c.Previous,
	}
	out.Steps = make([]register.ClosingStep, 0, len(c.Steps))
	for _, step := range c.Steps {
		step.At = s.legal(step.At)
		out.Steps = append(out.Steps, step)
	}
	if c.Trouble != nil {
		t := *c.Trouble
		t.At = s.legal(t.At)
		out.Trouble = &t
	}
	if p := c.Parcel; p != nil {
		out.Package = &closingPackage{p.Identity, p.Version, s.momentOf(p.SentAt)}
	}
	return out
}

func fullName(name, surname string) string { return strings.TrimSpace(name + " " + surname) }

// outcomes are the words for how far a closing has come. Nothing is called
// accepted by conservation without its receipt (rapporto di versamento).
var outcomes = map[register.ClosingState]string{
	register.ClosingClosed:    "chiuso",
	register.ClosingSigned:    "firmato",
	register.ClosingStamped:   "firmato e marcato",
	register.ClosingDelivered: "consegnato, rapporto di versamento in attesa",
	register.ClosingAccepted:  "accettato in conservazione",
	register.ClosingRejected:  "respinto dalla conservazione",
}

// closingOutcome says in words where a closing stands, and why it stands still.
func closingOutcome(c register.Closing) string {
	text := outcomes[c.Reached]
	if reason := rejection(c); reason != "" {
		text += ": " + reason
	}
	if c.Trouble != nil {
		text += "; " + troubleText(*c.Trouble)
	}
	return text
}

// rejection is the conservator's reason, where the package was refused.
func rejection(c register.Closing) string {
	if c.Reached != register.ClosingRejected {
		return ""
	}
	for _, s := range slices.Backward(c.Steps) {
		if s.State == register.ClosingRejected && s.Detail["reason"] != "" {
			return s.Detail["reason"]
		}
	}
	return ""
}

func (s *Server) archiver() (Archive, error) {
	if s.archive == nil {
		return nil, problem(http.StatusNotFound, "not-found", "days are not closed here")
	}
	return s.archive, nil
}

func (s *Server) closings(w http.ResponseWriter, r *http.Request, a register.Actor) error {
	q, err := readQuery(r, "from", "to")
	if err != nil {
		return err
	}
	found, err := s.office.Closings(r.Context(), a, r.PathValue("org"), r.PathValue("register"),
		register.ClosingQuery{From: q.filter["from"], To: q.filter["to"], Cursor: q.cursor, Limit: q.limit})
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, pageOf(found.Items, found.Next, s.closingOf))
}

// closeDays closes up to a day. Days that were closed before stay as they are,
// so that asking twice does no harm: then the answer is 200 and names none.
func (s *Server) closeDays(w http.ResponseWriter, r *http.Request, a register.Actor) error {
	archive, err := s.archiver()
	if err != nil {
		return err
	}
	var order struct {
		Through string `json:"through"`
	}
	if err := readJSON(r, &order); err != nil {
		return err
	}
	made, err := archive.Close(r.Context(), a, r.PathValue("org"), r.PathValue("register"), order.Through)
	if err != nil {
		return err
	}
	status := http.StatusCreated
	if len(made) == 0 {
		status = http.StatusOK
	}
	return writeJSON(w, status, pageOf(made, "", s.closingOf))
}

func (s *Server) readClosing(r *http.Request, a register.Actor) (register.Closing, error) {
	return s.office.Closing(r.Context(), a, r.PathValue("org"), r.PathValue("register"), r.PathValue("id"))
}

func (s *Server) showClosing(w http.ResponseWriter, r *http.Request, a register.Actor) error {
	c, err := s.readClosing(r, a)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, s.closingOf(c))
}

func (s *Server) closingFile(w http.ResponseWriter, r *http.Request, a register.Actor) error {
	b, f, err := s.office.OpenClosingFile(r.Context(), a, r.PathValue("org"), r.PathValue("register"), r.PathValue("id"), r.PathValue("name"))
	if err != nil {
		return err
	}
	defer b.Close()
	downloadHeaders(w.Header(), f.Name, f.MediaType, f.SHA256.String())
	http.ServeContent(w, r, "", time.Time{}, b)
	return nil
}

func (s *Server) retryClosing(w http.ResponseWriter, r *http.Request, a register.Actor) error {
	archive, err := s.archiver()
	if err != nil {
		return err
	}
	var order struct {
		Reason string `json:"reason"`
	}
	if err := readJSON(r, &order); err != nil {
		return err
	}
	c, err := archive.Retry(r.Context(), a, r.PathValue("org"), r.PathValue("register"), r.PathValue("id"), order.Reason)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, s.closingOf(c))
}

// largeBodies are the routes that take a receipt, which may have 8 MiB, with what
// a form puts round it.
var largeBodies = map[string]int64{
	inRegister + "/closings/{id}/receipt": 9 << 20,
	inBook + "/chiusure/{id}/rapporto":    9 << 20,
}

// bodyBound is how many bytes of a body a route reads.
func bodyBound(path string) int64 { return max(largeBodies[path], maxBody) }

// receiveReceipt takes a rapporto di versamento as it came: XML, JSON, or
// either in a signature.
func (s *Server) receiveReceipt(w http.ResponseWriter, r *http.Request, a register.Actor) error {
	archive, err := s.archiver()
	if err != nil {
		return err
	}
	rdv, err := io.ReadAll(r.Body)
	if err != nil {
		return bodyProblem(err)
	}
	c, err := archive.Receive(r.Context(), a, r.PathValue("org"), r.PathValue("register"), r.PathValue("id"), rdv)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, s.closingOf(c))
}

// day is one legal day of a register's calendar.
type calendarDay struct {
	register.Day
	Closings []closing `json:"closings"`
}

func (s *Server) days(w http.ResponseWriter, r *http.Request, a register.Actor) error {
	q, err := readQuery(r, "from", "to")
	if err != nil {
		return err
	}
	today := time.Now().In(s.zone)
	from := cmp.Or(q.filter["from"], today.AddDate(0, 0, -30).Format(time.DateOnly))
	to := cmp.Or(q.filter["to"], today.Format(time.DateOnly))
	found, err := s.office.Days(r.Context(), a, r.PathValue("org"), r.PathValue("register"), from, to)
	if err != nil {
		return err
	}
	all := pageOf(found, "", func(d register.Day) calendarDay {
		return calendarDay{d, pageOf(d.Closings, "", s.closingOf).Items}
	})
	return writeJSON(w, http.StatusOK, cut(all.Items, q, func(d calendarDay) string { return d.Day.Day }))
}

// proof answers with a file that proves one entry and shows no other.
func (s *Server) proof(w http.ResponseWriter, r *http.Request, a register.Actor) error {
	archive, err := s.archiver()
	if err != nil {
		return err
	}
	year, err := pathYear(r)
	if err != nil {
		return err
	}
	name, proof, err := archive.Proof(r.Context(), a, r.PathValue("org"), r.PathValue("register"), year, r.PathValue("number"))
	if err != nil {
		return err
	}
	downloadHeaders(w.Header(), name, "", store.Sum(proof).String())
	w.Header().Set("Content-Type", "application/json")
	_, err = w.Write(proof)
	return err
}

// export answers with a whole year as one zip that verifies without this
// program. When something fails half-way the connection is cut, so that nobody
// takes a piece for the whole.
func (s *Server) export(w http.ResponseWriter, r *http.Request, a register.Actor) error {
	archive, err := s.archiver()
	if err != nil {
		return err
	}
	year, err := pathYear(r)
	if err != nil {
		return err
	}
	downloadHeaders(w.Header(), fmt.Sprintf("registro-%s-%d.zip", r.PathValue("register"), year), "application/zip", "")
	return archive.Export(r.Context(), a, r.PathValue("org"), r.PathValue("register"), year, w)
}
