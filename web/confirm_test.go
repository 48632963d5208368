package web

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/protodaemon/protodaemon/register"
)

const plain = `{"classification":"1.1"}`

func confirmPath(p register.Pending) string { return "/api/v1/pending/" + p.ID + "/confirm" }

func TestConfirmingGivesANumber(t *testing.T) {
	f := newFixture(t)
	p := f.arrive("ordine", "pec", letter("Istanza"))
	a := f.post(201, confirmPath(p), `{"subject":"Istanza di accesso agli atti","classification":"1.1","notes":"urgente",
		"sender_reference":{"number":"77/A","date":"2026-01-10"}}`)
	var e entry
	a.read(t, &e)
	if e.Number != "0000001" || e.Subject != "Istanza di accesso agli atti" || e.Direction != "incoming" || e.Already ||
		e.ConfirmedBy != "capo" || e.ConfirmedAt == nil || e.State != "registered" || e.Moved != "no" ||
		len(e.Parties) != 1 || e.Parties[0].Address != "anna@example.it" || len(e.Attachments) != 2 ||
		e.Origin == nil || e.Origin.Pending != p.ID || e.SenderReference.Number != "77/A" {
		t.Errorf("%s", a.body)
	}
	if e.Segnatura != fmt.Sprintf("oaes|AOO1|ist|0000001|%s", e.Day) {
		t.Errorf("segnatura %s", e.Segnatura)
	}
	if at := a.Header.Get("Location"); at != fmt.Sprintf("/api/v1/organizations/ordine/registers/ist/entries/%d/0000001", e.Year) {
		t.Errorf("Location %s", at)
	}
	f.get(200, a.Header.Get("Location"))
	var d struct{ State, Entry string }
	f.get(200, "/api/v1/pending/"+p.ID).read(t, &d)
	if d.State != "confirmed" || d.Entry != fmt.Sprintf("ist/%d/0000001", e.Year) {
		t.Errorf("%+v", d)
	}
}

func TestConfirmingTwiceFindsTheSameEntry(t *testing.T) {
	f := newFixture(t)
	p := f.arrive("ordine", "pec", letter("Istanza"))
	f.post(201, confirmPath(p), plain)
	a := f.post(200, confirmPath(p), `{"classification":"9.9.9","subject":"Altro"}`, f.as("altra")...)
	var e entry
	a.read(t, &e)
	if e.Number != "0000001" || e.Subject != "Istanza" || !e.Already || e.ConfirmedBy != "capo" || e.ConfirmedAt == nil {
		t.Errorf("%s", a.body)
	}
}

func TestARetryWithItsKeyGetsTheFirstAnswer(t *testing.T) {
	f := newFixture(t)
	p := f.arrive("ordine", "pec", letter("Istanza"))
	first := f.post(201, confirmPath(p), plain, "Idempotency-Key", "k-1")
	again := f.post(201, confirmPath(p), plain, "Idempotency-Key", "k-1")
	if string(first.body) != string(again.body) {
		t.Errorf("%s\n%s", first.body, again.body)
	}
	f.post(200, confirmPath(p), plain, "Idempotency-Key", "k-2")
	if p := f.post(400, confirmPath(p), plain, "Idempotency-Key", strings.Repeat("k", 201)).problem(); p.Field != "Idempotency-Key" {
		t.Errorf("%+v", p)
	}
}

func TestWhatCannotBeConfirmedSaysWhy(t *testing.T) {
	f := newFixture(t)
	p := f.arrive("ordine", "pec", letter("Istanza"))
	withdrawn := f.arrive("ordine", "pec", letter("Ritirata"))
	if _, err := f.office.Withdraw(t.Context(), withdrawn.ID); err != nil {
		t.Fatal(err)
	}
	rejected := f.arrive("ordine", "pec", letter("Respinta"))
	f.post(200, "/api/v1/pending/"+rejected.ID+"/reject", `{"reason":"non di competenza"}`)
	for _, c := range []struct {
		name, path, body string
		header           []string
		status           int
		code, field      string
	}{
		{"unknown class", confirmPath(p), `{"classification":"9.9.9"}`, nil, 422, "unknown-class", "classification"},
		{"no class", confirmPath(p), `{}`, nil, 422, "invalid", "classification"},
		{"empty subject", confirmPath(p), `{"classification":"1.1","subject":" "}`, nil, 422, "invalid", "subject"},
		{"unknown member", confirmPath(p), `{"classificazione":"1.1"}`, nil, 400, "unknown-field", "classificazione"},
		{"broken", confirmPath(p), `{"classification"`, nil, 400, "bad-json", ""},
		{"a form", confirmPath(p), `classification=1.1`, []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, "unsupported-media-type", ""},
		{"auditor", confirmPath(p), plain, f.as("revisore"), 403, "forbidden", ""},
		{"unknown", "/api/v1/pending/nessuno/confirm", plain, nil, 404, "not-found", ""},
		{"withdrawn", confirmPath(withdrawn), plain, nil, 409, "withdrawn", ""},
		{"rejected", confirmPath(rejected), plain, nil, 409, "rejected", ""},
		{"no reason", "/api/v1/pending/" + p.ID + "/reject", `{"reason":""}`, nil, 422, "invalid", "reason"},
		{"auditor rejects", "/api/v1/pending/" + p.ID + "/reject", `{"reason":"x"}`, f.as("revisore"), 403, "forbidden", ""},
	} {
		got := f.post(c.status, c.path, c.body, c.header...).problem()
		if got.Code != c.code || got.Field != c.field {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
	got := f.post(409, confirmPath(rejected), plain).problem()
	if got.State != "rejected" || got.DecidedBy != "capo" || got.DecidedAt == nil {
		t.Errorf("%+v", got)
	}
	f.post(201, confirmPath(p), plain)
	if got := f.post(409, "/api/v1/pending/"+p.ID+"/reject", `{"reason":"tardi"}`).problem(); got.Code != "already-confirmed" {
		t.Errorf("%+v", got)
	}
	var e entry
	f.post(200, confirmPath(p), plain).read(t, &e)
	if e.Number != "0000001" {
		t.Errorf("what was refused has cost a number: %s", e.Number)
	}
}

func TestTheUnknownClassIsNamed(t *testing.T) {
	f := newFixture(t)
	p := f.arrive("ordine", "pec", letter("Istanza"))
	if got := f.post(422, confirmPath(p), `{"classification":"7.77"}`).problem(); !strings.Contains(got.Detail, "7.77") {
		t.Errorf("%+v", got)
	}
}

func TestManyAreConfirmedTogetherAndFailAlone(t *testing.T) {
	f := newFixture(t)
	var items []string
	for i := range 3 {
		p := f.arrive("ordine", "pec", letter(fmt.Sprintf("Istanza %d", i)))
		items = append(items, fmt.Sprintf(`{"id":%q,"classification":"1.1"}`, p.ID))
	}
	bad := f.arrive("ordine", "pec", letter("Senza classe"))
	done := f.arrive("ordine", "pec", letter("Fatta"))
	f.post(201, confirmPath(done), plain)
	items = append(items, fmt.Sprintf(`{"id":%q,"classification":"9.9.9"}`, bad.ID), `{"id":"nessuno","classification":"1.1"}`,
		fmt.Sprintf(`{"id":%q,"classification":"1.1"}`, done.ID))
	var got struct {
		Results []itemResult `json:"results"`
	}
	a := f.post(200, "/api/v1/pending/confirm", `{"items":[`+strings.Join(items, ",")+`]}`)
	a.read(t, &got)
	if len(got.Results) != len(items) {
		t.Fatalf("%s", a.body)
	}
	for i, want := range []struct {
		status       int
		number, code string
	}{{201, "0000002", ""}, {201, "0000003", ""}, {201, "0000004", ""}, {422, "", "unknown-class"}, {404, "", "not-found"}, {200, "0000001", ""}} {
		r := got.Results[i]
		var number, code string
		if r.Entry != nil {
			number = r.Entry.Number
		}
		if r.Problem != nil {
			code = r.Problem.Code
		}
		if r.Status != want.status || number != want.number || code != want.code {
			t.Errorf("item %d: %d %q %q, want %+v", i, r.Status, number, code, want)
		}
	}
	if !got.Results[5].Entry.Already {
		t.Error("the one that was confirmed before does not say so")
	}
}

func TestABulkThatNobodyCanMeanIsRefusedWhole(t *testing.T) {
	f := newFixture(t)
	p := f.arrive("ordine", "pec", letter("Istanza"))
	item := fmt.Sprintf(`{"id":%q,"classification":"1.1"}`, p.ID)
	many := make([]json.RawMessage, maxItems+1)
	for i := range many {
		many[i] = json.RawMessage(fmt.Sprintf(`{"id":"p%d","classification":"1.1"}`, i))
	}
	tooMany, _ := json.Marshal(map[string]any{"items": many})
	for body, field := range map[string]string{
		`{"items":[]}`: "items", string(tooMany): "items",
		`{"items":[` + item + `,` + item + `]}`: "items[1].id", `{"items":[{"classification":"1.1"}]}`: "items[0].id",
	} {
		if got := f.post(422, "/api/v1/pending/confirm", body).problem(); got.Code != "invalid" || got.Field != field {
			t.Errorf("%.60s: %+v", body, got)
		}
	}
	var d struct{ State string }
	f.get(200, "/api/v1/pending/"+p.ID).read(t, &d)
	if d.State != "pending" {
		t.Errorf("state %s", d.State)
	}
}

func TestRejectingSaysWhoAndWhy(t *testing.T) {
	f := newFixture(t)
	p := f.arrive("ordine", "pec", letter("Pubblicità"))
	var item pendingItem
	f.post(200, "/api/v1/pending/"+p.ID+"/reject", `{"reason":"non è un documento"}`).read(t, &item)
	if item.State != "rejected" || item.Decided == nil || item.Decided.By != "capo" || item.Decided.Reason != "non è un documento" {
		t.Errorf("%+v", item)
	}
}
