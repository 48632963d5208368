package web

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/protodaemon/protodaemon/register"
	"github.com/protodaemon/protodaemon/store"
)

const entriesOf = "/api/v1/organizations/ordine/registers/ist/entries"

// registered confirms letters with the subjects and returns the last entry.
func registered(f *fixture, subjects ...string) (last entry) {
	f.t.Helper()
	for _, s := range subjects {
		p := f.arrive("ordine", "pec", letter(s))
		f.post(201, confirmPath(p), plain).read(f.t, &last)
	}
	return last
}

func TestEntriesAreListedNewestFirstAndPaged(t *testing.T) {
	f := newFixture(t)
	registered(f, "Una", "Due", "Tre", "Quattro", "Cinque")
	var got []string
	path := entriesOf + "?limit=2"
	for range 4 {
		var p page[entry]
		f.get(200, path).read(t, &p)
		for _, e := range p.Items {
			got = append(got, e.Number)
		}
		if p.Next == "" {
			break
		}
		path = entriesOf + "?limit=2&cursor=" + url.QueryEscape(p.Next)
	}
	if strings.Join(got, " ") != "0000005 0000004 0000003 0000002 0000001" {
		t.Errorf("%v", got)
	}
}

func TestEntriesAreFound(t *testing.T) {
	f := newFixture(t)
	last := registered(f, "Nulla osta", "Istanza di accesso")
	for query, want := range map[string]int{
		"?q=accesso": 1, "?q=manca": 0, "?number=1": 1, "?direction=incoming": 2, "?direction=outgoing": 0,
		"?classification=1.1": 2, "?party=anna": 2, "?state=registered": 2, "?state=annulled": 0,
		"?from=" + last.Day + "&to=" + last.Day: 2, "?to=2001-01-01": 0, "?year=" + last.Day[:4]: 2, "?year=1999": 0,
	} {
		var p page[entry]
		if f.get(200, entriesOf+query).read(t, &p); len(p.Items) != want {
			t.Errorf("%s finds %d, want %d", query, len(p.Items), want)
		}
	}
	for query, field := range map[string]string{
		"?direction=in": "direction", "?state=x": "state", "?from=ieri": "from", "?to=2026-02-30": "to",
		"?year=MMXXVI": "year", "?number=uno": "number", "?qq=x": "qq", "?limit=-1": "limit",
	} {
		if p := f.get(400, entriesOf+query).problem(); p.Code != "invalid" || p.Field != field {
			t.Errorf("%s: %+v", query, p)
		}
	}
}

func TestOneEntryTellsItsHistory(t *testing.T) {
	f := newFixture(t)
	e := registered(f, "Istanza")
	path := fmt.Sprintf("%s/%d/", entriesOf, e.Year)
	var got entry
	a := f.get(200, path+"0000001")
	a.read(t, &got)
	if got.Number != "0000001" || got.Moved != "no" || len(got.History) < 2 || got.Origin == nil {
		t.Errorf("%s", a.body)
	}
	if err := f.office.Done(t.Context(), got.Origin.Pending, register.Place{Outcome: register.Moved, At: got.RegisteredAt}); err != nil {
		t.Fatal(err)
	}
	f.get(200, path+"1").read(t, &got)
	if got.Moved != "yes" {
		t.Errorf("moved is %q", got.Moved)
	}
	for _, missing := range []string{path + "2", path + "x", entriesOf + "/1999/1", entriesOf + "/MMXXVI/1"} {
		f.get(404, missing)
	}
	f.get(403, path+"1", f.as("dis")...)
	f.get(403, path+"1/attachments/1", f.as("dis")...)
}

func TestTheAttachmentsOfAnEntry(t *testing.T) {
	f := newFixture(t)
	e := registered(f, "Istanza")
	path := fmt.Sprintf("%s/%d/%s/attachments/", entriesOf, e.Year, e.Number)
	for i, want := range e.Attachments {
		a := f.request("GET", fmt.Sprint(path, i+1), "")
		if a.StatusCode != 200 || store.Sum(a.body).String() != want.SHA256 || !strings.HasPrefix(a.Header.Get("Content-Disposition"), "attachment;") {
			t.Errorf("%d: %d %v", i+1, a.StatusCode, a.Header)
		}
	}
	for _, n := range []string{"0", "3", "-1", "x"} {
		f.get(404, path+n)
	}
}
