package web

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/protodaemon/protodaemon/pec"
	"github.com/protodaemon/protodaemon/register"
)

// The queue is read as a whole, oldest first, up to queueRead messages, and
// shown by queueShown.
const queueRead, queueShown = 500, 50

// undecided are the states whose messages wait for a decision.
var undecided = []register.State{register.StatePending, register.StateQuarantined, register.StateOversized, register.StateConfirming}

// queue is the list of what waits in a register.
type queue struct {
	Rows   []row
	Total  int // before filters
	Query  queueQuery
	More   string // address of the list with more rows
	Boxes  []register.Mailbox
	Base   string
	Now    time.Time
	Filter bool
}

// Suffix is what links to messages carry on.
func (q queue) Suffix() string { return q.Query.String() }

// queueQuery is what the address says of order and filters.
type queueQuery struct {
	Order, Box, Kind string
	Files            bool
	Shown            int
}

// String is the query as the links of the queue carry it on.
func (q queueQuery) String() string {
	v := make(url.Values)
	set := func(name, value string) {
		if value != "" {
			v.Set(name, value)
		}
	}
	set("ordine", q.Order)
	set("casella", q.Box)
	set("tipo", q.Kind)
	if q.Files {
		v.Set("allegati", "1")
	}
	if q.Shown > queueShown {
		v.Set("mostra", fmt.Sprint(q.Shown))
	}
	if len(v) == 0 {
		return ""
	}
	return "?" + v.Encode()
}

func readQueueQuery(r *http.Request) queueQuery {
	q := queueQuery{Order: r.FormValue("ordine"), Box: r.FormValue("casella"), Kind: r.FormValue("tipo"),
		Files: r.FormValue("allegati") != "", Shown: queueShown}
	if q.Order != "recenti" && q.Order != "casella" {
		q.Order = ""
	}
	if _, err := fmt.Sscan(r.FormValue("mostra"), &q.Shown); err != nil || q.Shown < queueShown {
		q.Shown = queueShown
	}
	return q
}

// row is one message of the queue, in the words of the list.
type row struct {
	ID, Who, Subject string
	Since            time.Time
	Age, Late        string
	Tags             []tag
	Files            int
	Box              string
	Watched          string // by whom it is being confirmed
	Current          bool
}

// tag is a state in a word, a shape and a tone.
type tag struct{ Tone, Icon, Text string }

// readQueue reads what waits, but for what the person is just confirming.
func (p *pages) readQueue(ctx context.Context, v *visit, b bookLink) (queue, error) {
	q := queue{Query: readQueueQuery(v.r), Base: b.Base, Boxes: b.Boxes, Now: time.Now()}
	var all []register.Pending
	for _, state := range undecided {
		page, err := p.office.PendingList(ctx, v.actor, b.Organization, b.ID,
			register.PendingQuery{State: state, Limit: queueRead})
		if err != nil {
			return queue{}, err
		}
		all = append(all, page.Items...)
	}
	for _, m := range all {
		w, waiting := p.waits.on(m.ID)
		if waiting && w.User == v.actor.User {
			continue
		}
		q.Total++
		if !q.Query.fits(m) {
			q.Filter = true
			continue
		}
		line := p.row(m, q)
		if waiting {
			line.Watched = w.UserName
		}
		q.Rows = append(q.Rows, line)
	}
	q.sort()
	if len(q.Rows) > q.Query.Shown {
		more := q.Query
		more.Shown += queueShown
		q.More = b.Base + "/da-protocollare" + more.String()
	}
	return q, nil
}

func (q queueQuery) fits(m register.Pending) bool {
	kinds := map[string][]string{
		"pec": {string(pec.PECTransport), string(pec.PECAnomaly), string(pec.REM)}, "ricevute": {string(pec.PECReceipt)}, "email": {string(pec.Email)}}
	return (q.Box == "" || q.Box == m.Mailbox) && (!q.Files || len(m.Summary.Attachments) > 0) &&
		(q.Kind == "" || slices.Contains(kinds[q.Kind], m.Summary.Kind))
}

func (q *queue) sort() {
	slices.SortStableFunc(q.Rows, func(a, b row) int {
		switch q.Query.Order {
		case "recenti":
			return b.Since.Compare(a.Since)
		case "casella":
			return cmp.Or(strings.Compare(a.Box, b.Box), a.Since.Compare(b.Since))
		}
		return a.Since.Compare(b.Since)
	})
}

func (p *pages) row(m register.Pending, q queue) row {
	// The wait counts from the certified time, not from the drag.
	since := m.ArrivedAt
	if m.Summary.Certified != nil && m.Summary.Authenticity == string(pec.Certified) {
		since = *m.Summary.Certified
	}
	if since.IsZero() || since.After(q.Now) {
		since = m.IngestedAt
	}
	return row{
		ID: m.ID, Who: sender(m.Summary), Subject: subject(m.Summary), Since: since,
		Age: age(q.Now.Sub(since)), Late: lateness(since, q.Now, p.zone),
		Tags: tags(m), Files: len(m.Summary.Attachments), Box: boxAddress(q.Boxes, m.Mailbox),
	}
}

func boxAddress(boxes []register.Mailbox, id string) string {
	for _, b := range boxes {
		if b.ID == id {
			return b.Address
		}
	}
	return id
}

func sender(s register.Summary) string {
	return cmp.Or(strings.TrimSpace(s.From.Name), s.From.Address, "(mittente non leggibile)")
}

func subject(s register.Summary) string {
	return cmp.Or(strings.TrimSpace(s.Subject), "(senza oggetto)")
}

// marks are the badges for what the provider's signature is worth.
var marks = map[string]tag{
	string(pec.Certified): {"ok", "it-check-circle", "PEC"},
	string(pec.Anomaly):   {"warn", "it-warning-circle", "Busta di anomalia"},
	string(pec.Broken):    {"bad", "it-close-circle", "PEC alterata"},
	string(pec.Untrusted): {"warn", "it-help-circle", "PEC da verificare"},
	string(pec.Unsigned):  {"", "it-mail", "E-mail"},
}

func tags(m register.Pending) []tag {
	var all []tag
	switch {
	case m.Summary.LookAlike:
		all = append(all, tag{"bad", "it-error", "Imita una PEC"})
	default:
		if t, ok := marks[m.Summary.Authenticity]; ok {
			all = append(all, t)
		}
	}
	if m.Summary.Kind == string(pec.PECReceipt) {
		all = append(all, tag{"info", "it-files", "Ricevuta"})
	}
	switch m.State {
	case register.StateQuarantined:
		all = append(all, tag{"warn", "it-warning-circle", "Letto solo in parte"})
	case register.StateOversized:
		all = append(all, tag{"warn", "it-warning-circle", "Troppo grande"})
	case register.StateConfirming:
		all = append(all, tag{"warn", "it-clock", "In verifica"})
	}
	if m.Previous != "" {
		all = append(all, tag{"warn", "it-copy", "Già visto"})
	}
	return all
}

// triage is the page «Da protocollare»: the queue and the message that is
// open.
type triage struct {
	Queue   queue
	Open    *message // nil: nothing waits
	List    bool     // on a narrow screen the list is shown, not the message
	Undo    *undoBar
	Done    *doneLine
	Today   *todayNumbers
	Folder  string
	Sweeps  bool
	Problem string
}

// undoBar is the newest confirmation on its way, and how many others are.
type undoBar struct {
	wait
	Base   string
	Others int
	Whole  int
}

func (b undoBar) Seconds() int { return b.seconds() }
func (b undoBar) Held() bool   { return b.Left > 0 }

func (p *pages) queue(v *visit) error {
	ctx := v.r.Context()
	b, err := p.book(v)
	if err != nil {
		return err
	}
	q, err := p.readQueue(ctx, v, b)
	if err != nil {
		return err
	}
	t := triage{Queue: q, Folder: "sfera_msg_da_prot", Sweeps: v.actor.Can(register.Work, b.Organization, b.ID)}
	id := v.r.PathValue("id")
	if id == "" {
		t.List = true
		if len(q.Rows) > 0 {
			id = q.Rows[0].ID
		}
	}
	if id != "" {
		if t.Open, err = p.message(ctx, v, b, id, &t.Queue); err != nil {
			return err
		}
	} else if t.Today, err = p.todayNumbers(ctx, v, b); err != nil {
		return err
	}
	t.Undo = p.undoBar(v, b)
	if t.Done, err = p.doneLine(ctx, v, b, t.Open); err != nil {
		return err
	}
	t.Queue.cut()
	title := "Da protocollare · " + b.Name
	if q.Total > 0 {
		title = fmt.Sprintf("(%d) %s", q.Total, title)
	}
	return p.render(v, http.StatusOK, "queue", view{Title: title, Section: "da-protocollare", Content: t})
}

// cut leaves the rows that are shown. It comes last: neighbours and positions
// are those of the whole queue.
func (q *queue) cut() { q.Rows = q.Rows[:min(len(q.Rows), q.Query.Shown)] }

func (p *pages) undoBar(v *visit, b bookLink) *undoBar {
	all := p.waits.of(v.actor.User)
	if len(all) == 0 {
		return nil
	}
	return &undoBar{wait: all[0], Others: len(all) - 1, Whole: int(p.waits.undo / time.Second),
		Base: bookBase(all[0].Organization, all[0].Register) + "/da-protocollare/" + all[0].ID}
}

// demoBar says on every page of a demonstration that it is one; Waiting is how
// many messages can still be dragged.
type demoBar struct{ Waiting int }

// drag moves a message of the demonstration's inbox, for people without a mail
// program at hand.
func (p *pages) drag(v *visit) error {
	b, err := p.book(v)
	if err != nil {
		return err
	}
	if p.demo == nil {
		return problem(http.StatusNotFound, "not-found", "this is no demonstration")
	}
	if _, err := p.demo.Drag(); err != nil {
		return fmt.Errorf("dragging a message of the demonstration: %w", err)
	}
	return redirect(v, b.Base+"/da-protocollare")
}

// lookAll is «Carica da email»: the register's mailboxes are looked at now.
func (p *pages) lookAll(v *visit) error {
	b, err := p.book(v)
	if err != nil {
		return err
	}
	boxes, err := p.office.Mailboxes(v.r.Context(), v.actor)
	if err != nil {
		return err
	}
	for _, m := range boxes {
		if m.Organization != b.Organization || m.Register != b.ID {
			continue
		}
		if err := p.office.Sweep(v.r.Context(), v.actor, m.Organization, m.ID); err != nil {
			return err
		}
	}
	return redirect(v, b.Base+"/da-protocollare"+readQueueQuery(v.r).String())
}
