package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/protodaemon/protodaemon/register"
)

// todayPage is «Oggi»: the verdict first, then the numbers it comes from.
type todayPage struct {
	Tone, Icon, Verdict string
	When                string
	Elsewhere           []light // what is wrong in other registers
	Pending, Late       int
	Today               *todayNumbers
	ToMove              int
	Stuck               int
	Closing             closingTile
	Lights              []light
	Recent              []register.EntryDetail
	Base                string
}

// light is one line of the «Semaforo».
type light struct {
	Tone, Icon, Name, State, Text, Link, Button string
}

// todayNumbers are the numbers given today.
type todayNumbers struct {
	Count       int
	First, Last string
	Checked     time.Time // when the mailboxes gave the last sign of life
}

var lights = map[string]struct{ icon, state string }{
	"ok":   {"it-check-circle", "in ordine"},
	"warn": {"it-warning-circle", "da guardare"},
	"bad":  {"it-error", "urgente"},
}

func newLight(tone, name, text string) light {
	return light{Tone: tone, Icon: lights[tone].icon, Name: name, State: lights[tone].state, Text: text}
}

func (p *pages) today(v *visit) error {
	ctx := v.r.Context()
	b, err := p.book(v)
	if err != nil {
		return err
	}
	q, err := p.readQueue(ctx, v, b)
	if err != nil {
		return err
	}
	t := todayPage{Pending: q.Total, Base: b.Base, When: p.longDay(time.Now())}
	for _, r := range q.Rows {
		if r.Late == "late" {
			t.Late++
		}
	}
	if t.Today, err = p.todayNumbers(ctx, v, b); err != nil {
		return err
	}
	if err := p.toMove(ctx, b, &t); err != nil {
		return err
	}
	if err := p.mailLights(ctx, v, b, &t); err != nil {
		return err
	}
	p.queueLight(&t, q)
	p.numberLight(ctx, b, &t)
	if err := p.closingLight(ctx, v, b, &t); err != nil {
		return err
	}
	recent, err := p.office.Entries(ctx, v.actor, b.Organization, b.ID, register.EntryQuery{Limit: 5})
	if err != nil {
		return err
	}
	t.Recent = recent.Items
	t.judge()
	return p.render(v, http.StatusOK, "today", view{Title: "Oggi · " + b.Name, Section: "oggi", Content: t})
}

// todayNumbers counts what was registered on this legal day.
func (p *pages) todayNumbers(ctx context.Context, v *visit, b bookLink) (*todayNumbers, error) {
	t := new(todayNumbers)
	day := time.Now().In(p.zone).Format(time.DateOnly)
	query := register.EntryQuery{From: day, To: day, Limit: 500}
	for {
		page, err := p.office.Entries(ctx, v.actor, b.Organization, b.ID, query)
		if err != nil {
			return nil, err
		}
		if t.Count == 0 && len(page.Items) > 0 {
			t.Last = page.Items[0].Number
		}
		if t.Count += len(page.Items); len(page.Items) > 0 {
			t.First = page.Items[len(page.Items)-1].Number
		}
		if query.Cursor = page.Next; query.Cursor == "" {
			break
		}
	}
	boxes, err := p.office.Mailboxes(ctx, v.actor)
	if err != nil {
		return nil, err
	}
	for _, m := range boxes {
		if m.Organization == b.Organization && m.Register == b.ID && m.LastSeen.After(t.Checked) {
			t.Checked = m.LastSeen
		}
	}
	return t, nil
}

// toMove counts the messages that have a number and are not moved yet.
func (p *pages) toMove(ctx context.Context, b bookLink, t *todayPage) error {
	for _, m := range b.Boxes {
		due, err := p.office.Due(ctx, m.Organization, m.ID)
		if err != nil {
			return err
		}
		t.ToMove += len(due)
		for _, d := range due {
			if time.Since(d.Decided) > 5*time.Minute {
				t.Stuck++
			}
		}
	}
	return nil
}

// mailLights says how the mailboxes are: this register's in a line of the
// list, what fails in others under the verdict.
func (p *pages) mailLights(ctx context.Context, v *visit, b bookLink, t *todayPage) error {
	boxes, err := p.office.Mailboxes(ctx, v.actor)
	if err != nil {
		return err
	}
	names := make(map[string]bookLink)
	for _, l := range p.bookLinks(v.actor) {
		names[l.Base] = l
	}
	good, all, worst := 0, 0, "ok"
	var bad string
	for _, m := range boxes {
		s := p.boxState(m)
		l := names[bookBase(m.Organization, m.Register)]
		if l.Base != b.Base {
			if s.Tone == "bad" {
				t.Elsewhere = append(t.Elsewhere, light{Name: l.Name, Text: m.Address + ": " + lower(s.Text), Link: "/caselle"})
			}
			continue
		}
		all++
		switch s.Tone {
		case "ok":
			good++
		case "bad":
			worst, bad = "bad", m.Address+": "+lower(s.Text)+". "
		case "warn":
			if worst == "ok" {
				worst, bad = "warn", m.Address+": "+lower(s.Text)+". "
			}
		}
	}
	text := fmt.Sprintf("%s%d su %s in ascolto.", bad, good, count(all, "casella", "caselle"))
	if !t.Today.Checked.IsZero() {
		text += " Ultimo segno di vita alle " + t.Today.Checked.In(p.zone).Format("15:04:05") + "."
	}
	l := newLight(worst, "Posta in arrivo", text)
	if worst != "ok" {
		l.Link, l.Button = "/caselle", "Vedi caselle"
	}
	t.Lights = append(t.Lights, l)
	return nil
}

func (p *pages) queueLight(t *todayPage, q queue) {
	l := newLight("ok", "Da protocollare", "Tutto protocollato.")
	if q.Total > 0 {
		l.Text = count(q.Total, "messaggio", "messaggi") + ", nessuno da oltre un giorno lavorativo."
	}
	if t.Late > 0 {
		l = newLight("warn", "Da protocollare", fmt.Sprintf("%s; %s da oltre un giorno lavorativo.",
			count(q.Total, "messaggio", "messaggi"), count(t.Late, "aspetta", "aspettano")))
		l.Link, l.Button = t.Base+"/da-protocollare", "Protocolla"
	}
	t.Lights = append(t.Lights, l)
	move := newLight("ok", "Spostamenti", "Ogni messaggio protocollato è al suo posto.")
	if t.ToMove > 0 {
		move.Text = count(t.ToMove, "messaggio da spostare", "messaggi da spostare") + " in sfera_msg_prot: avviene da solo."
	}
	if t.Stuck > 0 {
		move = newLight("warn", "Spostamenti", count(t.Stuck, "messaggio protocollato non è ancora spostato", "messaggi protocollati non sono ancora spostati")+
			" da più di 5 minuti; il numero resta valido e si riprova da soli.")
		move.Link, move.Button = "/caselle", "Vedi caselle"
	}
	t.Lights = append(t.Lights, move)
}

// numberLight says whether numbers can be given.
func (p *pages) numberLight(ctx context.Context, b bookLink, t *todayPage) {
	l := newLight("ok", "Numeri", "I numeri vengono dati senza salti.")
	for _, trouble := range p.office.Health(ctx) {
		if (trouble.Organization == "" || trouble.Organization == b.Organization) && (trouble.Register == "" || trouble.Register == b.ID) {
			l = newLight("bad", "Numeri", "Il registro è fermo per sicurezza: nessun numero viene dato finché non è controllato. La posta continua ad arrivare.")
		}
	}
	t.Lights = append(t.Lights, l)
}

// closingTile is the last closing in short.
type closingTile struct {
	Word, Text, Tone string
}

// closingLight says whether the days are closed and on their way to
// conservation: what is late or stands still is urgent.
func (p *pages) closingLight(ctx context.Context, v *visit, b bookLink, t *todayPage) error {
	now := time.Now().In(p.zone)
	days, err := p.office.Days(ctx, v.actor, b.Organization, b.ID, now.AddDate(0, 0, -60).Format(time.DateOnly), now.Format(time.DateOnly))
	if err != nil {
		return err
	}
	states, at := p.way(b)
	due, near, late, stopped, waiting := 0, 0, 0, 0, 0
	t.Closing = closingTile{Word: "—", Text: "nessun giorno ancora chiuso"}
	for _, d := range days {
		if d.Due {
			due++
		}
		if d.Near {
			near++
		}
		if d.Late {
			late++
		}
		for _, c := range d.Closings {
			tone, _, word := closingWord(c, states)
			t.Closing = closingTile{word, "il registro del " + shortDay(c.Day), tone}
			switch tone {
			case "bad":
				stopped++
			case "warn":
				waiting++
			}
		}
	}
	l := newLight("ok", "Chiusure", "Tutti i giorni sono chiusi.")
	if at != "" {
		l.Text += " Il prossimo si chiude da solo alle " + at + "."
	}
	var nobody *register.OfficerError
	_, _, err = p.office.InOffice(v.actor, b.Organization, b.ID)
	switch {
	case errors.As(err, &nobody):
		l = newLight("bad", "Chiusure", officerMissing)
	case late+stopped > 0:
		l = newLight("bad", "Chiusure", strings.Join(said(
			count(late, "giorno in ritardo", "giorni in ritardo"), late,
			count(stopped, "chiusura ferma o respinta", "chiusure ferme o respinte"), stopped), ", ")+".")
	case near > 0:
		l = newLight("warn", "Chiusure", count(near, "giorno va versato entro oggi", "giorni vanno versati entro oggi")+".")
	case due > 0:
		l = newLight("warn", "Chiusure", count(due, "giorno da chiudere", "giorni da chiudere")+".")
		if at != "" {
			l.Text += " Avviene da solo alle " + at + "."
		}
	case waiting > 0:
		l.Text = count(waiting, "chiusura in corso", "chiusure in corso") + ": " + t.Closing.Text + ", " + lower(t.Closing.Word) + "."
	}
	if l.Tone != "ok" {
		l.Link, l.Button = b.Base+"/chiusure", "Vedi chiusure"
	}
	t.Lights = append(t.Lights, l)
	return nil
}

// said are the texts whose numbers are not zero.
func said(first string, n int, second string, m int) (all []string) {
	if n > 0 {
		all = append(all, first)
	}
	if m > 0 {
		all = append(all, second)
	}
	return all
}

// judge counts what has to be looked at.
func (t *todayPage) judge() {
	urgent, look := 0, 0
	for _, l := range t.Lights {
		switch l.Tone {
		case "bad":
			urgent++
		case "warn":
			look++
		}
	}
	urgent += len(t.Elsewhere)
	words := []string{"", "Una cosa", "Due cose", "Tre cose", "Quattro cose", "Cinque cose"}
	all := urgent + look
	name := fmt.Sprintf("%d cose", all)
	if all < len(words) {
		name = words[all]
	}
	switch {
	case all == 0:
		t.Tone, t.Verdict = "ok", "Tutto in ordine"
	case urgent == 0:
		t.Tone, t.Verdict = "warn", name+" da guardare"
	case urgent == 1 && all == 1:
		t.Tone, t.Verdict = "bad", "Una cosa da guardare, urgente"
	case urgent == 1:
		t.Tone, t.Verdict = "bad", name+" da guardare, una urgente"
	default:
		t.Tone, t.Verdict = "bad", fmt.Sprintf("%s da guardare, %d urgenti", name, urgent)
	}
	t.Icon = lights[t.Tone].icon
}

var (
	weekdays = []string{"Domenica", "Lunedì", "Martedì", "Mercoledì", "Giovedì", "Venerdì", "Sabato"}
	months   = []string{"gennaio", "febbraio", "marzo", "aprile", "maggio", "giugno", "luglio", "agosto", "settembre", "ottobre", "novembre", "dicembre"}
)

func (p *pages) longDay(t time.Time) string {
	t = t.In(p.zone)
	return fmt.Sprintf("%s %d %s %d, ore %s", weekdays[t.Weekday()], t.Day(), months[t.Month()-1], t.Year(), t.Format("15:04"))
}
