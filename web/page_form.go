package web

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/protodaemon/protodaemon/document"
	"github.com/protodaemon/protodaemon/register"
)

// form is what a person typed into «Dati della registrazione».
type form struct {
	Subject, Class, Name, Address, Reference, Notes string
	Reserved                                        bool
	// Restored: it was typed before, and is shown again.
	Restored bool
	Said     string // a sentence above the fields
	Errors   map[string]string
}

// The order of the fields, for the focus and the summary.
var fieldOrder = []string{"oggetto", "mittente", "classe", "riferimento", "note"}

// First is the first field that does not hold.
func (f *form) First() string {
	for _, name := range fieldOrder {
		if f.Errors[name] != "" {
			return name
		}
	}
	return ""
}

const maxField = 4000 // characters of one field

func readForm(r *http.Request) *form {
	get := func(name string) string {
		s := strings.TrimSpace(r.PostFormValue(name))
		if runes := []rune(s); len(runes) > maxField {
			s = string(runes[:maxField])
		}
		return s
	}
	return &form{
		Subject: strings.Join(strings.Fields(get("oggetto")), " "), Class: get("classe"),
		Name: get("mittente"), Address: get("indirizzo"), Reference: get("riferimento"), Notes: get("note"),
		Reserved: r.PostFormValue("riservato") != "", Restored: true,
	}
}

// check finds what does not hold before the register is asked.
func (f *form) check(plan []register.Class, year int) bool {
	f.Errors = make(map[string]string)
	if f.Subject == "" {
		f.Errors["oggetto"] = "Scrivere l’oggetto."
	}
	if f.Name == "" && f.Address == "" {
		f.Errors["mittente"] = "Indicare il mittente: nome o indirizzo."
	}
	switch code := classCode(f.Class); {
	case code == "":
		f.Errors["classe"] = "Scegliere una classificazione del titolario."
	case className(plan, code) == "":
		f.Errors["classe"] = fmt.Sprintf("La classe %s non esiste nel titolario %d.", code, year)
	}
	if _, err := reference(f.Reference); err != nil {
		f.Errors["riferimento"] = "Scrivere numero e data, per esempio: 18422 del 23/11/2026."
	}
	return len(f.Errors) == 0
}

// classCode is the code in what was chosen or typed: «3.2 Terne» is 3.2.
func classCode(s string) string {
	code, _, _ := strings.Cut(strings.TrimSpace(s), " ")
	return code
}

func className(plan []register.Class, code string) string {
	for _, c := range plan {
		if c.Code == code {
			return c.Code + " " + c.Title
		}
	}
	return ""
}

var referenceForm = regexp.MustCompile(`^(.*?)\s+del\s+(\d{1,2}/\d{1,2}/\d{4})$`)

// reference reads the sender's number and date.
func reference(s string) (*register.Reference, error) {
	if s == "" {
		return nil, nil
	}
	m := referenceForm.FindStringSubmatch(s)
	if m == nil {
		if strings.Contains(s, " del ") {
			return nil, errors.New("a date is wanted after del")
		}
		return &register.Reference{Number: s}, nil
	}
	day, err := time.Parse("2/1/2006", m[2])
	if err != nil {
		return nil, err
	}
	return &register.Reference{Number: m[1], Date: day.Format(time.DateOnly)}, nil
}

// senderReference writes a number and date in the way that the form reads.
func senderReference(r *document.Reference) string {
	if day, err := time.Parse(time.DateOnly, r.Date); err == nil && r.Number != "" {
		return r.Number + " del " + day.Format("02/01/2006")
	}
	return r.Number
}

// confirmation is what the register is asked for.
func (f *form) confirmation(d register.Detail) register.Confirmation {
	c := register.Confirmation{Subject: &f.Subject, Classification: classCode(f.Class), Notes: f.Notes, Reserved: f.Reserved}
	c.SenderReference, _ = reference(f.Reference) // checked before
	from := d.Summary.From
	if f.Name != from.Name || f.Address != from.Address {
		c.Parties = []register.Party{{Name: f.Name, Address: f.Address, Role: "sender"}}
	}
	return c
}

// openForm fills the form: with what was typed before, else from the message
// and from what such messages were given before.
func (p *pages) openForm(ctx context.Context, v *visit, b bookLink, m *message) error {
	var err error
	if m.Plan, err = p.office.Classes(ctx, v.actor, b.Organization); err != nil {
		return err
	}
	if m.LastNumber, err = p.lastNumber(ctx, v, b); err != nil {
		return err
	}
	m.Form = p.drafts.get(v.actor.User, m.ID)
	if m.Form == nil {
		m.Form = &form{Subject: m.Summary.Subject, Name: m.Summary.From.Name, Address: m.Summary.From.Address}
		if f := m.Said.Prefill; f != nil && f.Reference != nil {
			m.Form.Reference, m.ReadFrom = senderReference(f.Reference), f.Name
		}
	}
	for _, s := range m.Suggestions {
		if s.Field != "classification" || len(m.Chips) == 3 {
			continue
		}
		name := cmp.Or(className(m.Plan, s.Value), s.Value)
		// Filled in advance only when nine of ten, and five at least, agree.
		if m.Form.Class == "" && !m.Form.Restored && s.Hits >= 5 && s.Hits*10 >= s.Of*9 {
			m.Form.Class = name
		}
		m.Because = s.Because
		m.Chips = append(m.Chips, chip{Key: len(m.Chips) + 1, Value: name, Text: name,
			Why: fmt.Sprintf("%d su %d", s.Hits, s.Of), Taken: m.Form.Class == name})
	}
	return nil
}

func (p *pages) lastNumber(ctx context.Context, v *visit, b bookLink) (string, error) {
	last, err := p.office.Entries(ctx, v.actor, b.Organization, b.ID, register.EntryQuery{Limit: 1})
	if err != nil || len(last.Items) == 0 {
		return "", err
	}
	return last.Items[0].Number, nil
}

// submit takes what was typed. With the script it starts the clock of ten
// seconds and goes on to the next message; without, and for what should be
// looked at twice, it leads to «Controlla e protocolla».
func (p *pages) submit(v *visit) error {
	ctx, id := v.r.Context(), v.r.PathValue("id")
	b, m, err := p.toDecide(v)
	if err != nil || m == nil {
		return err
	}
	query := readQueueQuery(v.r).String()
	f := readForm(v.r)
	p.drafts.put(v.actor.User, id, f)
	if !f.check(m.Plan, time.Now().In(p.zone).Year()) {
		return redirect(v, m.Base+query)
	}
	if v.r.PostFormValue("attesa") == "" || m.Risky {
		return redirect(v, m.Base+"/controlla"+query)
	}
	by, err := p.waits.place(ctx, wait{Organization: b.Organization, Register: b.ID, ID: id, User: v.actor.User,
		UserName: person(v.actor.Name, v.actor.User), Subject: f.Subject, Confirmation: f.confirmation(m.Detail)})
	if err != nil {
		return err
	}
	if by != "" {
		f.Said = by + " la sta già protocollando: fra pochi secondi si vedrà qui il numero."
		return redirect(v, m.Base+query)
	}
	if m.Next != "" {
		return redirect(v, m.Next)
	}
	if m.Prev != "" {
		return redirect(v, m.Prev)
	}
	return redirect(v, m.Base+query)
}

// toDecide reads the message that a form is about. One that was decided
// meanwhile has its own page, which says how: m is nil then.
func (p *pages) toDecide(v *visit) (bookLink, *message, error) {
	b, err := p.book(v)
	if err != nil {
		return b, nil, err
	}
	q, err := p.readQueue(v.r.Context(), v, b)
	if err != nil {
		return b, nil, err
	}
	m, err := p.message(v.r.Context(), v, b, v.r.PathValue("id"), &q)
	if err != nil {
		return b, nil, err
	}
	if m.Form == nil {
		return b, nil, redirect(v, m.Base)
	}
	return b, m, nil
}

// checked is the page «Controlla e protocolla».
type checked struct {
	*message
	Class string
}

func (p *pages) check(v *visit) error {
	b, m, err := p.toDecide(v)
	if err != nil || m == nil {
		return err
	}
	if !m.Form.Restored || !m.Form.check(m.Plan, time.Now().In(p.zone).Year()) {
		return redirect(v, m.Base)
	}
	return p.render(v, http.StatusOK, "check", view{Title: "Controlla e protocolla · " + b.Name, Section: "da-protocollare",
		Content: checked{m, className(m.Plan, classCode(m.Form.Class))}})
}

// number gives the number at once, from the page that was checked.
func (p *pages) number(v *visit) error {
	ctx := v.r.Context()
	_, m, err := p.toDecide(v)
	if err != nil || m == nil {
		return err
	}
	f := m.Form
	if !f.Restored || !f.check(m.Plan, time.Now().In(p.zone).Year()) {
		return redirect(v, m.Base)
	}
	r, err := p.office.Confirm(ctx, v.actor, m.ID, f.confirmation(m.Detail))
	var field *register.FieldError
	if errors.As(err, &field) {
		f.Errors = map[string]string{formField(field.Field): "Non accettato: " + field.Detail}
		return redirect(v, m.Base)
	}
	if err != nil {
		return err
	}
	p.drafts.drop(v.actor.User, m.ID)
	p.waits.ended(v.actor.User, outcome{ID: m.ID, Subject: f.Subject, Entry: r.Entry, Already: r.Already})
	return redirect(v, m.Base)
}

// formField is our name of a field of the register.
func formField(name string) string {
	names := map[string]string{"subject": "oggetto", "classification": "classe", "parties": "mittente", "notes": "note", "sender_reference": "riferimento"}
	first, _, _ := strings.Cut(name, ".")
	first, _, _ = strings.Cut(first, "[")
	return cmp.Or(names[first], "oggetto")
}

// doRefuse sends the message back to the inbox.
func (p *pages) doRefuse(v *visit) error {
	_, m, err := p.toDecide(v)
	if err != nil || m == nil {
		return err
	}
	reason := cmp.Or(strings.TrimSpace(v.r.PostFormValue("motivo")), v.r.PostFormValue("scelto"))
	if reason == "" {
		return redirect(v, m.Base+"/rifiuta?manca=1")
	}
	if _, err := p.office.Reject(v.r.Context(), v.actor, m.ID, reason); err != nil {
		return err
	}
	p.drafts.drop(v.actor.User, m.ID)
	return redirect(v, m.Base)
}

// undo acts on a confirmation on its way: calls it back, stops or starts its
// clock, or gives the number at once.
func (p *pages) undo(v *visit) error {
	ctx, id, user := v.r.Context(), v.r.PathValue("id"), v.actor.User
	b, err := p.book(v)
	if err != nil {
		return err
	}
	here := b.Base + "/da-protocollare/" + id
	back := here
	if from, err := url.Parse(v.r.PostFormValue("qui")); err == nil && strings.HasPrefix(from.Path, b.Base+"/") {
		back = local(from.RequestURI())
	}
	switch v.r.PostFormValue("fai") {
	case "annulla":
		var w wait
		if w, err = p.waits.cancel(ctx, user, id); err == nil {
			p.called(user, w)
		}
		back = here
	case "sospendi":
		err = p.waits.hold(ctx, user, id)
	case "riprendi":
		err = p.waits.goOn(ctx, user, id)
	case "subito":
		err = p.waits.now(user, id)
	default:
		return problem(http.StatusBadRequest, "invalid", "fai: not an act")
	}
	if err != nil && !errors.Is(err, errTooLate) {
		return err
	}
	return redirect(v, back)
}

// called puts back the form of a confirmation that was called back.
func (p *pages) called(user string, w wait) {
	f := p.drafts.get(user, w.ID)
	if f == nil {
		// The daemon was restarted meanwhile: only the decision is left.
		f = &form{Subject: w.Subject, Class: w.Confirmation.Classification, Notes: w.Confirmation.Notes,
			Reserved: w.Confirmation.Reserved, Restored: true}
		for _, party := range w.Confirmation.Parties {
			f.Name, f.Address = party.Name, party.Address
		}
	}
	f.Said = "Annullato: nessun numero assegnato."
	p.drafts.put(user, w.ID, f)
}

// doneLine is the line that says how the person's last confirmation ended.
type doneLine struct {
	Number, Year, Link, Sender, Subject string
	Already                             string // who was first, when
	Moved, MovedTone                    string
	Failed                              string
	Back                                string
}

// doneShown is how long the line stays when nothing follows it.
const doneShown = 15 * time.Minute

func (p *pages) doneLine(ctx context.Context, v *visit, b bookLink, open *message) (*doneLine, error) {
	o, ok := p.waits.lastOf(v.actor.User)
	if !ok || time.Since(o.At) > doneShown || (open != nil && open.ID == o.ID && open.Entry != nil) {
		return nil, nil
	}
	d, err := p.office.Pending(ctx, v.actor, o.ID)
	if err != nil {
		return nil, nil // no longer this person's to see
	}
	if d.Organization != b.Organization || d.Register != b.ID {
		return nil, nil
	}
	back := bookBase(d.Organization, d.Register) + "/da-protocollare/" + d.ID
	if o.Err != nil {
		return &doneLine{Subject: o.Subject, Failed: p.failure(o.Err), Back: back}, nil
	}
	line := &doneLine{Number: o.Entry.Number, Year: fmt.Sprint(o.Entry.Year), Subject: o.Entry.Subject,
		Link: fmt.Sprintf("%s/registro/%d/%s", b.Base, o.Entry.Year, o.Entry.Number), Back: back}
	for _, party := range o.Entry.Parties {
		if party.Role == "sender" {
			line.Sender = person(party.Name, party.Address)
		}
	}
	if o.Already {
		c := o.Entry.ConfirmedBy
		line.Already = person(c.Name, c.By) + ", " + c.At.In(p.zone).Format("15:04:05")
	}
	line.Moved, line.MovedTone = p.moved(d.Place, d.Blocked)
	return line, nil
}

// moved says in a few words where the message is.
func (p *pages) moved(at *register.Place, blocked string) (text, tone string) {
	switch {
	case at == nil && blocked != "":
		return "non ancora spostato: " + blocked, "bad"
	case at == nil:
		return "spostamento in corso", "warn"
	case at.Outcome == register.Copied:
		return "copiato, l’originale resta segnato come eliminato", "warn"
	}
	return "spostato", "ok"
}

// failure says why a number was not given.
func (p *pages) failure(err error) string {
	var state *register.StateError
	switch {
	case errors.As(err, &state):
		return p.standing(state.State, state.Decided)
	case errors.Is(err, register.ErrForbidden):
		return "Manca il permesso di protocollare."
	case errors.Is(err, register.ErrClock):
		return mishaps[http.StatusServiceUnavailable].Strong + " L’orologio del server è indietro."
	case errors.Is(err, register.ErrUnavailable):
		return mishaps[http.StatusServiceUnavailable].Strong
	case errors.Is(err, register.ErrInvalid):
		return "Un dato non va bene: aprire il messaggio e correggerlo."
	}
	return "Non si sa se il numero è stato dato. " + unknownOutcome
}
