package web

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/protodaemon/protodaemon/pec"
	"github.com/protodaemon/protodaemon/register"
)

// entriesShown is how many entries a page of the register has.
const entriesShown = 50

// registerPage is «Registro»: the list with its filters in the address.
type registerPage struct {
	Year      int
	Years     []int
	Book      bookLink
	Summary   string
	Filter    entryFilter
	Plan      []register.Class
	Rows      []entryRow
	More      string
	First     int // index of the first row that is new, for the focus
	Filtered  bool
	PrintedAt time.Time
	PrintedBy string
	Problem   string
}

// entryFilter is what the form of the filters holds.
type entryFilter struct {
	Q, Direction, From, To, Class, State string
	Year                                 int
}

// entryRow is an entry in the words of the list.
type entryRow struct {
	register.Entry
	Link, Who, Verb, Arrow string
	Masked                 bool
}

// directions are the words and arrows of the register.
var directions = map[register.Direction]struct{ word, icon string }{
	register.Incoming: {"Entrata", "it-arrow-down"},
	register.Outgoing: {"Uscita", "it-arrow-up"},
	register.Internal: {"Interno", "it-refresh"},
}

func (p *pages) registerPage(v *visit) error {
	ctx := v.r.Context()
	b, err := p.book(v)
	if err != nil {
		return err
	}
	this := time.Now().In(p.zone).Year()
	r := registerPage{Book: b, PrintedAt: time.Now(), PrintedBy: person(v.actor.Name, v.actor.User),
		Years: []int{this, this - 1, this - 2}}
	q, err := r.read(v.r, this)
	if err != nil {
		r.Problem = err.Error()
	}
	if r.Plan, err = p.office.Classes(ctx, v.actor, b.Organization); err != nil {
		return err
	}
	// «Mostra altre 50» gives the rows shown before, too: the page is whole
	// without the script.
	pages := 1
	if n, err := strconv.Atoi(v.r.FormValue("pagine")); err == nil {
		pages = min(max(n, 1), 100)
	}
	for range pages {
		found, err := p.office.Entries(ctx, v.actor, b.Organization, b.ID, q)
		if err != nil {
			return err
		}
		r.First = len(r.Rows)
		for _, e := range found.Items {
			r.Rows = append(r.Rows, p.entryRow(b, e.Entry))
		}
		if q.Cursor = found.Next; q.Cursor == "" {
			break
		}
	}
	if q.Cursor != "" {
		r.More = r.link(b, pages+1)
	}
	last, err := p.office.Entries(ctx, v.actor, b.Organization, b.ID, register.EntryQuery{Year: r.Year, Limit: 1})
	if err != nil {
		return err
	}
	r.Summary = "nessuna registrazione"
	if len(last.Items) > 0 {
		n := strings.TrimLeft(last.Items[0].Number, "0")
		r.Summary = n + " registrazioni, dal n. 1 al n. " + n + " senza salti"
		if n == "1" {
			r.Summary = "1 registrazione"
		}
	}
	return p.render(v, http.StatusOK, "register", view{Title: fmt.Sprintf("Registro %d · %s", r.Year, b.Name), Section: "registro", Content: r})
}

// read takes the filters from the address.
func (r *registerPage) read(req *http.Request, this int) (register.EntryQuery, error) {
	f := entryFilter{Q: strings.TrimSpace(req.FormValue("q")), Direction: req.FormValue("verso"), From: req.FormValue("dal"),
		To: req.FormValue("al"), Class: req.FormValue("classe"), State: req.FormValue("stato"), Year: this}
	if y, err := strconv.Atoi(req.FormValue("anno")); err == nil && y > 1900 && y < 10000 {
		f.Year = y
	}
	if !slices.Contains(r.Years, f.Year) {
		r.Years = append(r.Years, f.Year)
	}
	r.Filter, r.Year = f, f.Year
	r.Filtered = f.Q+f.Direction+f.From+f.To+f.Class+f.State != ""
	q := register.EntryQuery{Q: f.Q, Classification: f.Class, Year: f.Year, Limit: entriesShown}
	if _, ok := directions[register.Direction(f.Direction)]; ok {
		q.Direction = register.Direction(f.Direction)
	}
	if s := register.EntryState(f.State); s == register.Annulled || s == register.Lost {
		q.State = s
	}
	var errFrom, errTo error
	q.From, errFrom = day(f.From)
	q.To, errTo = day(f.To)
	return q, errors.Join(errFrom, errTo)
}

// day reads a day as people write it.
func day(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	for _, layout := range []string{"2/1/2006", time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.Format(time.DateOnly), nil
		}
	}
	return "", fmt.Errorf("«%s» non è una data: scrivere gg/mm/aaaa", s)
}

func (r *registerPage) link(b bookLink, pages int) string {
	v := make(url.Values)
	for name, value := range map[string]string{"q": r.Filter.Q, "verso": r.Filter.Direction, "dal": r.Filter.From, "al": r.Filter.To,
		"classe": r.Filter.Class, "stato": r.Filter.State, "anno": strconv.Itoa(r.Filter.Year), "pagine": strconv.Itoa(pages)} {
		if value != "" {
			v.Set(name, value)
		}
	}
	return b.Base + "/registro?" + v.Encode()
}

func (p *pages) entryRow(b bookLink, e register.Entry) entryRow {
	d := directions[e.Direction]
	return entryRow{Entry: e, Link: fmt.Sprintf("%s/registro/%d/%s", b.Base, e.Year, e.Number), Who: correspondent(e),
		Verb: d.word, Arrow: d.icon}
}

// correspondent is who the entry is from, or to.
func correspondent(e register.Entry) string {
	role := "sender"
	if e.Direction == register.Outgoing {
		role = "recipient"
	}
	var names []string
	for _, party := range e.Parties {
		if party.Role == role {
			names = append(names, person(party.Name, party.Address))
		}
	}
	switch len(names) {
	case 0:
		return "—"
	case 1, 2, 3:
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s e altri %d", names[0], len(names)-1)
}

// entryView is an entry as its own page, and the page after a confirmation,
// show it.
type entryView struct {
	register.EntryDetail
	Base, Link, Who, Address string
	Verb, Arrow              string
	Class                    string
	Mark                     tag
	Provider                 string
	Reference                string
	MovedText, MovedTone     string
	Files                    []file
	Story                    []step
	Raw                      string
	Mailbox                  string
	Proof                    proofView
	Annul                    string // where a manager annuls it; empty: not here
}

func (p *pages) entryView(b bookLink, d register.EntryDetail) entryView {
	row := p.entryRow(b, d.Entry)
	e := entryView{EntryDetail: d, Base: b.Base, Link: row.Link, Who: row.Who, Verb: row.Verb, Arrow: row.Arrow, Class: d.Classification}
	for _, party := range d.Parties {
		if party.Role == "sender" && party.Name != "" {
			e.Address = party.Address
		}
	}
	if r := d.SenderReference; r != nil {
		e.Reference = r.Number
		if t, err := time.Parse(time.DateOnly, r.Date); err == nil {
			e.Reference = strings.TrimSpace(r.Number + " del " + t.Format("02/01/2006"))
		}
	}
	api := fmt.Sprintf("/api/v1/organizations/%s/registers/%s/entries/%d/%s/attachments/", url.PathEscape(d.Organization), url.PathEscape(d.Register), d.Year, d.Number)
	for i, a := range d.Attachments {
		k := media(a.MediaType, a.Name)
		e.Files = append(e.Files, file{Name: cmp.Or(strings.TrimSpace(a.Name), "(senza nome)"), Kind: k.Name, Icon: k.Icon, Size: size(a.Size),
			Digest: shortDigest(a.SHA256), Danger: danger(a.Name, a.MediaType), Link: api + strconv.Itoa(i+1)})
	}
	if o := d.Origin; o != nil {
		e.Mailbox = boxAddress(b.Boxes, o.Mailbox)
		e.Mark = marks[o.Authenticity]
		if o.Authenticity == string(pec.Certified) {
			e.Mark.Text = "PEC certificata"
		}
		e.Raw = "/api/v1/pending/" + o.Pending + "/raw"
	}
	e.MovedText, e.MovedTone = p.movedLong(d)
	e.Story = p.entryStory(d, e.Mailbox)
	return e
}

// movedLong is the whole sentence on where the message is.
func (p *pages) movedLong(d register.EntryDetail) (text, tone string) {
	switch {
	case d.Origin == nil:
		return "", ""
	case d.Place != nil:
		tone := "ok"
		if d.Place.Outcome == register.Copied {
			tone = "warn"
		}
		return placed[d.Place.Outcome] + " alle " + p.shortTime(d.Place.At), tone
	case d.Blocked != "":
		return "Messaggio non ancora spostato: " + d.Blocked + "; si riprova da soli", "bad"
	}
	return "Messaggio da spostare in sfera_msg_prot: spostamento in corso", "warn"
}

// acts are the words of a history. What is not here is told by its fields.
var acts = map[string]string{
	"pending.created":    "Presa in carico, originale conservato",
	"pending.changed":    "Riletta",
	"pending.withdrawn":  "Trascinata fuori dalla cartella",
	"pending.confirmed":  "Protocollata",
	"message.moved":      "Messaggio spostato in sfera_msg_prot",
	"entry.changed":      "Registrazione cambiata",
	"register.recovered": "Registro ripreso dopo un ripristino",
}

func (p *pages) entryStory(d register.EntryDetail, box string) []step {
	var all []step
	if o := d.Origin; o != nil {
		if o.Certified != nil && o.Authenticity == string(pec.Certified) {
			all = append(all, step{At: *o.Certified, Text: "Ora certificata dal gestore"})
		}
		all = append(all, step{At: o.ArrivedAt, Text: "Arrivata nella casella " + box})
	}
	for _, e := range d.History {
		s := step{At: e.At, Text: acts[e.Type], Important: e.Type == "pending.confirmed"}
		if s.Text == "" {
			continue
		}
		if e.Type == "pending.confirmed" {
			s.Text = "Protocollata con il n. " + d.Number + " da " + person(d.ConfirmedBy.Name, d.ConfirmedBy.By)
		}
		if n := d.Annulment; n != nil && e.Type == "entry.changed" && e.At.Equal(n.At) {
			s.Text, s.Important = "Annullata da "+person(n.ByName, n.By)+", "+n.Authorization, true
		}
		if e.Type == "message.moved" {
			s.Text = placeText(e.Data, d.Place)
		}
		all = append(all, s)
	}
	slices.SortStableFunc(all, func(a, b step) int { return a.At.Compare(b.At) })
	return all
}

func placeText(data json.RawMessage, known *register.Place) string {
	var at register.Place
	if json.Unmarshal(data, &at) == nil && placed[at.Outcome] != "" {
		return placed[at.Outcome]
	}
	if known != nil {
		return placed[known.Outcome]
	}
	return acts["message.moved"]
}

func splitEntry(entry string) (year int, number string, err error) {
	year, err = strconv.Atoi(path.Base(path.Dir(entry)))
	if err != nil {
		return 0, "", fmt.Errorf("entry %q: %w", entry, err)
	}
	return year, path.Base(entry), nil
}

func (p *pages) entryPage(v *visit) error {
	ctx := v.r.Context()
	b, err := p.book(v)
	if err != nil {
		return err
	}
	year, number := v.r.PathValue("year"), v.r.PathValue("number")
	y, err := strconv.Atoi(year)
	if err != nil {
		return fmt.Errorf("year %q: %w", year, register.ErrNotFound)
	}
	d, err := p.office.Entry(ctx, v.actor, b.Organization, b.ID, y, number)
	if errors.Is(err, register.ErrNotFound) {
		return &missingNumber{year, number, err}
	}
	if err != nil {
		return err
	}
	e := p.entryView(b, d)
	plan, err := p.office.Classes(ctx, v.actor, b.Organization)
	if err != nil {
		return err
	}
	e.Class = cmp.Or(className(plan, d.Classification), d.Classification)
	if e.Proof, err = p.proofView(v, b, d.Entry); err != nil {
		return err
	}
	if d.State == register.Registered && v.actor.Can(register.Manage, b.Organization, b.ID) {
		e.Annul = e.Link + "/annulla"
	}
	return p.render(v, http.StatusOK, "entry", view{Title: d.Number + "/" + year + " · " + b.Name, Section: "registro", Content: e})
}
