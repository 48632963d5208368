package web

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/protodaemon/protodaemon/register"
)

// closingsPage is «Chiusure»: a month, and the chosen day beside it.
type closingsPage struct {
	Book             bookLink
	Month            string // «Novembre 2026»
	Before, After    string // addresses of the months beside it
	BeforeN, AfterN  string
	Notes            []closingNote
	Weeks            [][]calendarCell
	Chosen           *chosenDay
	AutoAt           string
	Manages          bool
	Open             []calendarCell // days that «Chiudi adesso» would close
	Yesterday, Today string         // YYYY-MM-DD
	Year             int            // of the month, for the export
	Exports          bool
}

// closingNote is a sentence above the calendar.
type closingNote struct {
	Tone, Strong, Text, Link string
}

// calendarCell is one day of the month; one of another month has no number.
type calendarCell struct {
	register.Day
	Number            int
	Weekday, Link     string
	Range, Text, Name string
	Tone, Icon        string
	Off, Today, Sel   bool
}

// chosenDay is a day with its closings in full.
type chosenDay struct {
	calendarCell
	Title    string
	Deadline string
	Closings []closingView
}

// closingView is one closing as the page tells it.
type closingView struct {
	register.Closing
	Title, Sentence string
	Tone, Icon      string
	Word            string
	Chain           []chainStep
	Files           []file
	Base            string
	MayRetry        bool
	MayReceive      bool
	Retry           string // what the button says
	Among           bool   // others of the day beside it
}

// chainStep is one link of Chiuso → Firmato → Marcato → Versato → Accettato.
type chainStep struct {
	Class, Icon, Name, Text string
}

func (p *pages) closingsPage(v *visit) error {
	b, err := p.book(v)
	if err != nil {
		return err
	}
	c, err := p.readClosings(v, b)
	if err != nil {
		return err
	}
	return p.render(v, http.StatusOK, "closings", view{Title: "Chiusure · " + b.Name, Section: "chiusure", Content: c})
}

// readClosings makes the page of the month and day that the address names.
func (p *pages) readClosings(v *visit, b bookLink) (*closingsPage, error) {
	now := time.Now().In(p.zone)
	today := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, time.UTC)
	month, chosen := today, time.Time{}
	if t, err := time.Parse(time.DateOnly, v.r.FormValue("giorno")); err == nil {
		month, chosen = t, t
	}
	if t, err := time.Parse("2006-01", v.r.FormValue("mese")); err == nil {
		month = t
	}
	month = month.AddDate(0, 0, 1-month.Day())
	_, autoAt := p.way(b)
	c := &closingsPage{Book: b, Month: monthName(month), AutoAt: autoAt,
		Manages:   v.actor.Can(register.Manage, b.Organization, b.ID) && p.archive != nil,
		Yesterday: today.AddDate(0, 0, -1).Format(time.DateOnly), Today: today.Format(time.DateOnly), Year: month.Year()}
	before, after := month.AddDate(0, -1, 0), month.AddDate(0, 1, 0)
	c.Before, c.BeforeN = b.Base+"/chiusure?mese="+before.Format("2006-01"), monthName(before)
	c.After, c.AfterN = b.Base+"/chiusure?mese="+after.Format("2006-01"), monthName(after)
	days, err := p.monthOf(v, b, month)
	if err != nil {
		return nil, err
	}
	if chosen.IsZero() {
		chosen = lastClosed(days, today)
	}
	c.fill(p, b, days, today, chosen)
	if err := p.closingNotes(v, b, c); err != nil {
		return nil, err
	}
	return c, nil
}

func (p *pages) way(b bookLink) ([]register.ClosingState, string) {
	if p.archive == nil {
		return nil, ""
	}
	return p.archive.Way(b.Organization, b.ID)
}

func monthName(t time.Time) string {
	name := months[t.Month()-1]
	return strings.ToUpper(name[:1]) + name[1:] + t.Format(" 2006")
}

// monthOf are the days of a month.
func (p *pages) monthOf(v *visit, b bookLink, month time.Time) ([]register.Day, error) {
	return p.office.Days(v.r.Context(), v.actor, b.Organization, b.ID,
		month.Format(time.DateOnly), month.AddDate(0, 1, -1).Format(time.DateOnly))
}

// lastClosed is the newest day of the month that has a closing, else today.
func lastClosed(days []register.Day, today time.Time) time.Time {
	for _, d := range slices.Backward(days) {
		if len(d.Closings) > 0 {
			t, _ := time.Parse(time.DateOnly, d.Day)
			return t
		}
	}
	return today
}

// fill lays the days into weeks from Monday on.
func (c *closingsPage) fill(p *pages, b bookLink, days []register.Day, today, chosen time.Time) {
	states, _ := p.way(b)
	var week []calendarCell
	for i, d := range days {
		t, err := time.Parse(time.DateOnly, d.Day)
		if err != nil {
			continue
		}
		if i == 0 {
			week = make([]calendarCell, (int(t.Weekday())+6)%7)
		}
		cell := p.cell(b, d, t, states)
		cell.Today, cell.Sel = t.Equal(today), t.Equal(chosen)
		week = append(week, cell)
		if cell.Sel {
			c.Chosen = p.chosen(b, cell, t, states, c.Manages)
		}
		if len(week) == 7 || i == len(days)-1 {
			c.Weeks = append(c.Weeks, append(week, make([]calendarCell, 7-len(week))...))
			week = nil
		}
		c.Exports = c.Exports || len(d.Closings) > 0
	}
}

// cell puts a day into the few words of the calendar.
func (p *pages) cell(b bookLink, d register.Day, t time.Time, states []register.ClosingState) calendarCell {
	c := calendarCell{Day: d, Number: t.Day(), Weekday: lower(weekdays[t.Weekday()]), Off: !d.Working,
		Link: b.Base + "/chiusure?giorno=" + d.Day, Name: fmt.Sprintf("%s %d %s", lower(weekdays[t.Weekday()]), t.Day(), months[t.Month()-1])}
	if d.First != "" {
		c.Range = bareNumber(d.First)
		if d.Last != d.First {
			c.Range += "–" + bareNumber(d.Last)
		}
	}
	switch {
	case len(d.Closings) > 0:
		c.Tone, c.Icon, c.Text = standingOf(d, states)
	case d.Late:
		c.Tone, c.Icon, c.Text = "bad", "it-error", "Da chiudere, in ritardo"
	case d.Due:
		c.Tone, c.Icon, c.Text = "warn", "it-clock", "Da chiudere"
	case d.Open && d.Entries > 0:
		c.Tone, c.Icon, c.Text = "muted", "it-pencil", "Aperto"
	case d.Holiday != "":
		c.Text = d.Holiday
	}
	return c
}

// bareNumber is a number without its leading zeros.
func bareNumber(number string) string {
	if n := strings.TrimLeft(number, "0"); n != "" {
		return n
	}
	return number
}

// standingOf is the worst of what the closings of a day say.
func standingOf(d register.Day, states []register.ClosingState) (tone, icon, text string) {
	worst := -1
	for _, c := range d.Closings {
		t, i, w := closingWord(c, states)
		if rank := slices.Index([]string{"ok", "warn", "bad"}, t); rank > worst {
			worst, tone, icon, text = rank, t, i, w
		}
	}
	empty := !slices.ContainsFunc(d.Closings, func(c register.Closing) bool { return c.Entries+c.Changes > 0 })
	if empty {
		text += ", vuoto"
	}
	if d.Late {
		tone, icon, text = "bad", "it-error", text+", in ritardo"
	}
	return tone, icon, text
}

// closingWords are the words of the calendar for how far a closing has come.
var closingWords = map[register.ClosingState]string{
	register.ClosingClosed: "Chiuso", register.ClosingSigned: "Firmato", register.ClosingStamped: "Marcato",
	register.ClosingDelivered: "Consegnato, attende", register.ClosingAccepted: "Accettato", register.ClosingRejected: "Respinto",
}

// closingWord says where one closing stands; with states, whether more is to
// come.
func closingWord(c register.Closing, states []register.ClosingState) (tone, icon, text string) {
	text = closingWords[c.Reached]
	last := len(states) > 0 && c.Reached == states[len(states)-1]
	switch {
	case c.Reached == register.ClosingRejected:
		return "bad", "it-error", text
	case c.State == register.ClosingFailed:
		return "bad", "it-error", text + ", da guardare"
	case overdue(c):
		return "bad", "it-error", "Consegnato, senza rapporto"
	case c.Reached == register.ClosingAccepted, last:
		return "ok", "it-check-circle", text
	}
	return "warn", "it-clock", text
}

// chosen is a day in full.
func (p *pages) chosen(b bookLink, cell calendarCell, t time.Time, states []register.ClosingState, manages bool) *chosenDay {
	d := &chosenDay{calendarCell: cell, Title: fmt.Sprintf("%s %d %s", weekdays[t.Weekday()], t.Day(), months[t.Month()-1])}
	d.Deadline = p.countdown(cell.Day.Deadline)
	for _, c := range cell.Day.Closings {
		shown := p.closingView(b, c, states, manages)
		shown.Among = len(cell.Day.Closings) > 1
		d.Closings = append(d.Closings, shown)
	}
	return d
}

// closingNotes says what is wrong or late, whichever month is shown.
func (p *pages) closingNotes(v *visit, b bookLink, c *closingsPage) error {
	var nobody *register.OfficerError
	if _, _, err := p.office.InOffice(v.actor, b.Organization, b.ID); errors.As(err, &nobody) {
		c.Notes = append(c.Notes, closingNote{"bad", officerMissing, officerText(nobody), ""})
	}
	unfinished, err := p.office.UnfinishedClosings(v.r.Context(), b.Organization, b.ID)
	if err != nil {
		return err
	}
	for _, u := range unfinished {
		day := shortDay(u.Day)
		link := b.Base + "/chiusure?giorno=" + u.Day
		switch {
		case u.Reached == register.ClosingRejected:
			c.Notes = append(c.Notes, closingNote{"bad", "Il registro del " + day + " è stato respinto dalla conservazione.",
				"«" + rejection(u) + "» I file firmati non cambiano: si corregge il dato e si versa di nuovo.", link})
		case overdue(u):
			c.Notes = append(c.Notes, closingNote{"bad", "Del registro del " + day + " manca il rapporto di versamento.", troubleRemedy(*u.Trouble), link})
		case u.Trouble != nil:
			c.Notes = append(c.Notes, closingNote{"bad", "Il registro del " + day + " è fermo: " + troubleText(*u.Trouble) + ".",
				troubleRemedy(*u.Trouble), link})
		}
	}
	now := time.Now().In(p.zone)
	days, err := p.office.Days(v.r.Context(), v.actor, b.Organization, b.ID, now.AddDate(0, 0, -60).Format(time.DateOnly), now.Format(time.DateOnly))
	if err != nil {
		return err
	}
	for _, d := range days {
		if note, ok := p.deadlineNote(b, d); ok {
			c.Notes = append(c.Notes, note)
		}
		if d.Due || d.Open && d.Entries > 0 {
			t, err := time.Parse(time.DateOnly, d.Day)
			if err == nil {
				c.Open = append(c.Open, p.cell(b, d, t, nil))
			}
		}
	}
	const most = 5
	if more := len(c.Notes) - most; more > 0 {
		c.Notes = append(c.Notes[:most], closingNote{Tone: "bad", Strong: fmt.Sprintf("E altri %d avvisi: sono nel calendario.", more)})
	}
	return nil
}

// deadlineNote tells that the deadline of a day comes near, or is over.
func (p *pages) deadlineNote(b bookLink, d register.Day) (closingNote, bool) {
	link := b.Base + "/chiusure?giorno=" + d.Day
	switch {
	case d.Late:
		return closingNote{"bad", "Il registro del " + shortDay(d.Day) + " doveva essere versato entro il " + shortDay(d.Deadline) + ".", lateText(d), link}, true
	case d.Near:
		return closingNote{"warn", "Il registro del " + shortDay(d.Day) + " va versato entro oggi.", p.countdown(d.Deadline) + " " + lateText(d), link}, true
	}
	return closingNote{}, false
}

func lateText(d register.Day) string {
	if len(d.Closings) == 0 {
		return "Non è ancora stato chiuso."
	}
	return "È chiuso, ma non ancora consegnato alla conservazione."
}

func shortDay(day string) string {
	t, err := time.Parse(time.DateOnly, day)
	if err != nil {
		return day
	}
	return t.Format("02/01/2006")
}

// doClose closes up to the day that the form names.
func (p *pages) doClose(v *visit) error {
	b, err := p.book(v)
	if err != nil {
		return err
	}
	archive, err := p.archiver()
	if err != nil {
		return err
	}
	made, err := archive.Close(v.r.Context(), v.actor, b.Organization, b.ID, v.r.PostFormValue("fino"))
	if err != nil {
		return err
	}
	to := b.Base + "/chiusure"
	if len(made) > 0 {
		to += "?giorno=" + made[len(made)-1].Day
	}
	return redirect(v, to)
}

// doRetry has the next step tried again.
func (p *pages) doRetry(v *visit) error {
	b, err := p.book(v)
	if err != nil {
		return err
	}
	archive, err := p.archiver()
	if err != nil {
		return err
	}
	c, err := archive.Retry(v.r.Context(), v.actor, b.Organization, b.ID, v.r.PathValue("id"), strings.TrimSpace(v.r.PostFormValue("motivo")))
	if err != nil {
		return err
	}
	return redirect(v, b.Base+"/chiusure?giorno="+url.QueryEscape(c.Day))
}

// doReceive takes the rapporto di versamento as a file.
func (p *pages) doReceive(v *visit) error {
	b, err := p.book(v)
	if err != nil {
		return err
	}
	archive, err := p.archiver()
	if err != nil {
		return err
	}
	f, _, err := v.r.FormFile("rapporto")
	if errors.Is(err, http.ErrMissingFile) {
		return &register.FieldError{Field: "rapporto", Detail: "is required"}
	}
	if err != nil {
		return bodyProblem(err)
	}
	defer f.Close()
	rdv, err := io.ReadAll(f)
	if err != nil {
		return bodyProblem(err)
	}
	c, err := archive.Receive(v.r.Context(), v.actor, b.Organization, b.ID, v.r.PathValue("id"), rdv)
	if err != nil {
		return err
	}
	return redirect(v, b.Base+"/chiusure?giorno="+url.QueryEscape(c.Day))
}
