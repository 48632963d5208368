package web

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/protodaemon/protodaemon/register"
)

// bulkMost is how many messages are confirmed together.
const bulkMost = 100

// bulkPage is «Conferma di più messaggi»: every row says what will happen to
// it before any number exists.
type bulkPage struct {
	Rows             []bulkRow
	Plan             []register.Class
	Ready, Missing   int
	Twice, Excluded  int
	Base, List, Said string
}

type bulkRow struct {
	row
	Class    string // chosen or suggested
	Number   string // of an entry that looks the same
	Link     string
	State    string // ready, class, twice, excluded
	Decided  string
	Selected bool
}

func (p *pages) bulk(v *visit) error {
	b, err := p.book(v)
	if err != nil {
		return err
	}
	page := bulkPage{Base: b.Base + "/da-protocollare/insieme", List: b.Base + "/da-protocollare", Said: v.r.FormValue("manca")}
	if page.Plan, err = p.office.Classes(v.r.Context(), v.actor, b.Organization); err != nil {
		return err
	}
	q, err := p.readQueue(v.r.Context(), v, b)
	if err != nil {
		return err
	}
	for _, id := range chosen(v.r.URL.Query()["id"]) {
		d, err := p.office.Pending(v.r.Context(), v.actor, id)
		if err != nil {
			return err
		}
		r := bulkRow{row: p.row(d.Pending, q), Selected: true}
		r.Class = p.bulkClass(v, page.Plan, d)
		page.judge(&r, b, d, p)
		page.Rows = append(page.Rows, r)
	}
	if len(page.Rows) == 0 {
		return redirect(v, page.List)
	}
	title := "Conferma di " + count(len(page.Rows), "messaggio", "messaggi")
	return p.render(v, http.StatusOK, "bulk", view{Title: title + " · " + b.Name, Section: "da-protocollare", Content: page})
}

func chosen(ids []string) []string {
	seen := make(map[string]bool)
	var all []string
	for _, id := range ids {
		if !seen[id] && len(all) < bulkMost {
			seen[id] = true
			all = append(all, id)
		}
	}
	return all
}

// bulkClass is what the person chose before, else the first suggestion.
func (p *pages) bulkClass(v *visit, plan []register.Class, d register.Detail) string {
	if f := p.drafts.get(v.actor.User, d.ID); f != nil && className(plan, classCode(f.Class)) != "" {
		return classCode(f.Class)
	}
	for _, s := range d.Suggestions {
		if s.Field == "classification" && className(plan, s.Value) != "" {
			return s.Value
		}
	}
	return ""
}

func (page *bulkPage) judge(r *bulkRow, b bookLink, d register.Detail, p *pages) {
	for _, t := range d.Duplicates {
		if t.Entry != "" {
			r.Number, r.Link = numberOf(t.Entry), entryPath(b.Organization, t.Entry)
		}
	}
	switch {
	case d.State != register.StatePending && d.State != register.StateQuarantined:
		r.State, r.Decided = "excluded", p.standing(d.State, d.Decided)
		page.Excluded++
	case d.Summary.LookAlike:
		r.State = "excluded"
		page.Excluded++
	case r.Number != "":
		r.State, r.Selected = "twice", false
		page.Twice++
	case r.Class == "":
		r.State = "class"
		page.Missing++
	default:
		r.State = "ready"
		page.Ready++
	}
}

// doBulk confirms what is ticked and has a class, in one commit.
func (p *pages) doBulk(v *visit) error {
	b, err := p.book(v)
	if err != nil {
		return err
	}
	if err := v.r.ParseForm(); err != nil {
		return problem(http.StatusBadRequest, "incomplete", "the form did not arrive whole")
	}
	back := b.Base + "/da-protocollare/insieme"
	ids := chosen(v.r.PostForm["id"])
	all := url.Values{"id": chosen(v.r.PostForm["tutti"])}
	var items []register.Item
	missing := 0
	for _, id := range ids {
		class := cmp.Or(v.r.PostFormValue("classe-"+id), v.r.PostFormValue("classe"))
		if class == "" {
			missing++
			continue
		}
		// What imitates certified mail is never confirmed with others.
		if d, err := p.office.Pending(v.r.Context(), v.actor, id); err != nil || d.Summary.LookAlike {
			continue
		}
		items = append(items, register.Item{ID: id, Confirmation: register.Confirmation{Classification: class}})
	}
	if missing > 0 || len(items) == 0 {
		all.Set("manca", "1")
		return redirect(v, back+"?"+all.Encode())
	}
	done := make(url.Values)
	for _, r := range p.office.ConfirmMany(v.r.Context(), v.actor, items) {
		done.Add("id", r.ID)
		// What failed alone is told on the next page; the rest is in the register.
		if r.Err != nil {
			p.drafts.put(v.actor.User, r.ID, &form{Said: p.failure(r.Err)})
		} else {
			p.drafts.drop(v.actor.User, r.ID)
		}
	}
	return redirect(v, back+"/esito?"+done.Encode())
}

// bulkResult is the page after a confirmation of many.
type bulkResult struct {
	Title, Range, List, Numbers string
	Rows                        []bulkOutcomeRow
}

type bulkOutcomeRow struct {
	Number, Link, Who, Subject, Text, Tone, Icon string
}

// bulkOutcome reads from the register what became of the messages.
func (p *pages) bulkOutcome(v *visit) error {
	b, err := p.book(v)
	if err != nil {
		return err
	}
	out := bulkResult{List: b.Base + "/da-protocollare"}
	mine, before := 0, 0
	var numbers []string
	for _, id := range chosen(v.r.URL.Query()["id"]) {
		d, err := p.office.Pending(v.r.Context(), v.actor, id)
		if err != nil {
			return err
		}
		r := bulkOutcomeRow{Who: sender(d.Summary), Subject: subject(d.Summary), Tone: "bad", Icon: "it-error", Text: "non protocollato"}
		if f := p.drafts.get(v.actor.User, id); f != nil && f.Said != "" {
			r.Text = "non protocollato: " + f.Said
		}
		if d.State == register.StateConfirmed && d.Decided != nil {
			r.Number, r.Link = numberOf(d.Entry), entryPath(b.Organization, d.Entry)
			if d.Decided.By == v.actor.User {
				mine++
				numbers = append(numbers, r.Number)
				r.Text, r.Tone = p.moved(d.Place, d.Blocked)
				r.Icon = map[string]string{"ok": "it-check-circle", "warn": "it-clock", "bad": "it-error"}[r.Tone]
			} else {
				before++
				r.Text = "già protocollato da " + person(d.Decided.Name, d.Decided.By) + " alle " + d.Decided.At.In(p.zone).Format("15:04:05")
				r.Tone, r.Icon = "muted", "it-user"
			}
		}
		out.Rows = append(out.Rows, r)
	}
	if len(out.Rows) == 0 {
		return redirect(v, out.List)
	}
	out.Title = count(mine, "messaggio protocollato", "messaggi protocollati")
	if before > 0 {
		out.Title += ", " + count(before, "lo era già", "lo erano già")
	}
	out.Numbers = strings.Join(numbers, ", ")
	switch len(numbers) {
	case 0:
	case 1:
		out.Range = "Numero " + numbers[0] + "."
	default:
		out.Range = fmt.Sprintf("Numeri da %s a %s.", numbers[0], numbers[len(numbers)-1])
	}
	return p.render(v, http.StatusOK, "bulk_outcome", view{Title: out.Title + " · " + b.Name, Section: "da-protocollare", Content: out})
}
