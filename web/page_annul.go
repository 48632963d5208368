package web

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/protodaemon/protodaemon/register"
)

// annulPage is «Annulla il n. …».
type annulPage struct {
	register.Entry
	Link                  string
	Reason, Authorization string
	Errors                map[string]string
}

// annulFields are the form's names for the fields of an annulment.
var annulFields = map[string]string{"reason": "motivo", "authorization": "autorizzazione"}

func (p *pages) annulForm(v *visit) error {
	page, err := p.readAnnul(v)
	if err != nil {
		return err
	}
	return p.showAnnul(v, page)
}

// readAnnul reads the entry that the path names. One that cannot be annulled
// is shown as it is instead.
func (p *pages) readAnnul(v *visit) (*annulPage, error) {
	b, err := p.book(v)
	if err != nil {
		return nil, err
	}
	if !v.actor.Can(register.Manage, b.Organization, b.ID) {
		return nil, fmt.Errorf("%w: annulling in %s", register.ErrForbidden, b.ID)
	}
	year, err := strconv.Atoi(v.r.PathValue("year"))
	if err != nil {
		return nil, fmt.Errorf("year %q: %w", v.r.PathValue("year"), register.ErrNotFound)
	}
	d, err := p.office.Entry(v.r.Context(), v.actor, b.Organization, b.ID, year, v.r.PathValue("number"))
	if err != nil {
		return nil, err
	}
	return &annulPage{Entry: d.Entry, Link: p.entryRow(b, d.Entry).Link}, nil
}

func (p *pages) showAnnul(v *visit, page *annulPage) error {
	if page.State != register.Registered {
		return redirect(v, page.Link)
	}
	return p.render(v, http.StatusOK, "annul", view{Title: "Annulla il n. " + page.Number, Section: "registro", Content: page})
}

func (p *pages) doAnnul(v *visit) error {
	page, err := p.readAnnul(v)
	if err != nil {
		return err
	}
	page.Reason, page.Authorization = strings.TrimSpace(v.r.PostFormValue("motivo")), strings.TrimSpace(v.r.PostFormValue("autorizzazione"))
	_, err = p.office.Annul(v.r.Context(), v.actor, page.Organization, page.Register, page.Year, page.Number,
		register.Annulment{Reason: page.Reason, Authorization: page.Authorization})
	var field *register.FieldError
	if errors.As(err, &field) && annulFields[field.Field] != "" {
		text := "Campo obbligatorio."
		if field.Detail != "is required" {
			text = "Troppo lungo, o con caratteri che non si possono scrivere."
		}
		page.Errors = map[string]string{annulFields[field.Field]: text}
		return p.showAnnul(v, page)
	}
	if err != nil {
		return err
	}
	return redirect(v, page.Link)
}

// proofView is «Prova» on the page of an entry.
type proofView struct {
	Link string // of the file; empty: not yet
	Day  string // of the daily register that it stands in
	When string // when the day will be closed
}

// proofView tells where the entry stands in a daily register, or when it will.
func (p *pages) proofView(v *visit, b bookLink, e register.Entry) (proofView, error) {
	out := proofView{Day: shortDay(e.Day)}
	told, err := p.told(v, e)
	if err != nil {
		return out, err
	}
	if told {
		out.Link = fmt.Sprintf("/api/v1/organizations/%s/registers/%s/entries/%d/%s/proof",
			url.PathEscape(e.Organization), url.PathEscape(e.Register), e.Year, url.PathEscape(e.Number))
	}
	if _, at := p.way(b); at != "" {
		t, err := time.Parse(time.DateOnly, e.Day)
		if err == nil {
			out.When = t.AddDate(0, 0, 1).Format("02/01/2006") + " alle " + at
		}
	}
	return out, nil
}

// told tells whether a daily register tells of an entry: that of its day, or
// after a recovery a later one.
func (p *pages) told(v *visit, e register.Entry) (bool, error) {
	for _, q := range []register.ClosingQuery{{From: e.Day, To: e.Day, Limit: 100}, {From: e.Day, Limit: 500}} {
		page, err := p.office.Closings(v.r.Context(), v.actor, e.Organization, e.Register, q)
		if err != nil {
			return false, err
		}
		if slices.ContainsFunc(page.Items, func(c register.Closing) bool { return holds(c, e) }) {
			return true, nil
		}
	}
	return false, nil
}

// holds tells whether an entry was registered within a closing.
func holds(c register.Closing, e register.Entry) bool {
	first, errFirst := strconv.Atoi(c.FirstNumber)
	last, errLast := strconv.Atoi(c.LastNumber)
	n, err := strconv.Atoi(e.Number)
	return errFirst == nil && errLast == nil && err == nil && first <= n && n <= last && strings.HasPrefix(c.Day, strconv.Itoa(e.Year))
}
