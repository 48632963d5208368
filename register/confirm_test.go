package register_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/protodaemon/protodaemon/register"
)

func TestConfirm(t *testing.T) {
	d := open(t)
	p := d.arrive(box, "one")
	if p.Entry != "" || p.State != register.StatePending || len(p.ID) != 32 {
		t.Fatalf("a new pending entry is %+v", p)
	}
	e := d.confirm(p.ID)
	if e.Number != "0000001" || e.Direction != register.Incoming || e.Subject != "Istanza one" || e.State != register.Registered {
		t.Errorf("the entry is %+v", e)
	}
	if len(e.Parties) != 1 || e.Parties[0].Role != "sender" || e.Parties[0].Address != "mario@pec.example.it" {
		t.Errorf("its parties are %+v", e.Parties)
	}
	if want := "oaes|AOO1|istituzionale|0000001|" + e.Day; e.Segnatura != want {
		t.Errorf("segnatura %q, want %q", e.Segnatura, want)
	}
	if e.ConfirmedBy.By != "anna" || e.ConfirmedBy.Name != "Anna Bianchi" || !e.ConfirmedBy.At.Equal(e.RegisteredAt) {
		t.Errorf("confirmed by %+v", e.ConfirmedBy)
	}
	again, err := d.Confirm(t.Context(), manager, p.ID, register.Confirmation{Classification: "2.1"})
	if err != nil || !again.Already || again.Entry.Number != e.Number || again.Entry.Classification != "1.1" {
		t.Errorf("confirming again: %+v, %v", again, err)
	}
	if e := d.confirm(d.arrive(box, "two").ID); e.Number != "0000002" {
		t.Errorf("the second number is %s", e.Number)
	}
	if e, err := d.Confirm(t.Context(), manager, d.arrive("pec-fondazione", "one").ID, register.Confirmation{Classification: "1.1"}); err != nil || e.Entry.Number != "0000001" || !strings.HasPrefix(e.Entry.Segnatura, "fond|AOO1|fondazione|") {
		t.Errorf("the other register: %+v, %v", e.Entry, err)
	}
	d.reopen()
	got, err := d.Entry(t.Context(), auditor, org, book, e.Year, "1")
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, ev := range got.History {
		told = append(told, ev.Type+" "+ev.By)
	}
	if fmt.Sprint(told) != "[pending.created system pending.confirmed anna]" || got.Moved != "no" {
		t.Errorf("history %v, moved %s", told, got.Moved)
	}
	d.sound()
}

func TestIdempotencyKey(t *testing.T) {
	d := open(t)
	p := d.arrive(box, "one")
	c := register.Confirmation{Classification: "1.1", Key: "k1"}
	for range 2 {
		r, err := d.Confirm(t.Context(), operator, p.ID, c)
		if err != nil || r.Already || r.Entry.Number != "0000001" {
			t.Fatalf("%+v, %v", r, err)
		}
	}
	c.Key = "k2"
	if r, err := d.Confirm(t.Context(), operator, p.ID, c); err != nil || !r.Already {
		t.Errorf("another request: %+v, %v", r, err)
	}
}

func TestConfirmRefuses(t *testing.T) {
	d, number := open(t), 0
	text := func(s string) *string { return &s }
	for name, tc := range map[string]struct {
		give  func(*register.Confirmation, *register.Arrival)
		field string
	}{
		"no class":           {func(c *register.Confirmation, _ *register.Arrival) { c.Classification = "" }, "classification"},
		"unknown class":      {func(c *register.Confirmation, _ *register.Arrival) { c.Classification = "99.9" }, "classification"},
		"unknown dossier":    {func(c *register.Confirmation, _ *register.Arrival) { c.Dossiers = []string{"2026/1"} }, "dossiers"},
		"empty subject":      {func(c *register.Confirmation, _ *register.Arrival) { c.Subject = text("  ") }, "subject"},
		"long subject":       {func(c *register.Confirmation, _ *register.Arrival) { c.Subject = text(strings.Repeat("è", 2001)) }, "subject"},
		"control characters": {func(c *register.Confirmation, _ *register.Arrival) { c.Subject = text("a\x1b[2Jb") }, "subject"},
		"reordered text":     {func(c *register.Confirmation, _ *register.Arrival) { c.Subject = text("a\u202eb") }, "subject"},
		"no subject at all":  {func(_ *register.Confirmation, a *register.Arrival) { a.Summary.Subject = "" }, "subject"},
		"no sender at all":   {func(_ *register.Confirmation, a *register.Arrival) { a.Summary.From = register.Party{} }, "parties"},
		"no sender given": {func(c *register.Confirmation, _ *register.Arrival) {
			c.Parties = []register.Party{{Name: "X", Role: "recipient"}}
		}, "parties"},
		"empty party": {func(c *register.Confirmation, _ *register.Arrival) { c.Parties = []register.Party{{}} }, "parties[0]"},
		"unknown role": {func(c *register.Confirmation, _ *register.Arrival) {
			c.Parties = []register.Party{{Name: "X", Role: "boss"}}
		}, "parties[0].role"},
		"wrong date": {func(c *register.Confirmation, _ *register.Arrival) {
			c.SenderReference = &register.Reference{Date: "1/2/2026"}
		}, "sender_reference.date"},
		"long notes": {func(c *register.Confirmation, _ *register.Arrival) { c.Notes = strings.Repeat("x", 10001) }, "notes"},
		"quarantined": {func(_ *register.Confirmation, a *register.Arrival) {
			a.State, a.Summary = register.StateQuarantined, register.Summary{}
		}, "subject"},
		"key too long": {func(c *register.Confirmation, _ *register.Arrival) { c.Key = strings.Repeat("k", 201) }, "Idempotency-Key"},
		"too many":     {func(c *register.Confirmation, _ *register.Arrival) { c.Parties = make([]register.Party, 201) }, "parties"},
	} {
		t.Run(name, func(t *testing.T) {
			a, c := d.arrival(box, name), register.Confirmation{Classification: "1.1"}
			tc.give(&c, &a)
			p := d.take(a)
			_, err := d.Confirm(t.Context(), operator, p.ID, c)
			var field *register.FieldError
			if !errors.As(err, &field) || field.Field != tc.field || !errors.Is(err, register.ErrInvalid) {
				t.Fatalf("error %v, want one of field %s", err, tc.field)
			}
			full := register.Confirmation{Classification: "1.1", Subject: text("Oggetto"), Notes: "riga\nriga", Parties: []register.Party{{Name: "Mittente"}}}
			number++
			if r, err := d.Confirm(t.Context(), operator, p.ID, full); err != nil || r.Entry.Number != fmt.Sprintf("%07d", number) {
				t.Errorf("put right: %+v, %v: a refusal must cost no number", r.Entry, err)
			}
		})
	}
}

func TestWhatCannotBeConfirmed(t *testing.T) {
	d := open(t)
	withdrawn := d.arrive(box, "withdrawn")
	if _, err := d.Withdraw(t.Context(), withdrawn.ID); err != nil {
		t.Fatal(err)
	}
	rejected := d.arrive(box, "rejected")
	if _, err := d.Reject(t.Context(), operator, rejected.ID, "non di competenza"); err != nil {
		t.Fatal(err)
	}
	a := d.arrival(box, "oversized")
	a.State, a.Reason = register.StateOversized, "200 MiB"
	oversized := d.take(a)
	for _, p := range []register.Pending{withdrawn, rejected, oversized} {
		_, err := d.Confirm(t.Context(), operator, p.ID, register.Confirmation{Classification: "1.1"})
		var state *register.StateError
		if !errors.As(err, &state) || !strings.Contains(err.Error(), string(state.State)) {
			t.Errorf("%s: %v", p.Summary.Subject, err)
		}
		if p.ID == rejected.ID && (state.Decided == nil || state.Decided.By != "anna") {
			t.Errorf("the refusal does not say who rejected it: %+v", state)
		}
	}
	if _, err := d.Confirm(t.Context(), operator, strings.Repeat("a", 32), register.Confirmation{Classification: "1.1"}); !errors.Is(err, register.ErrNotFound) {
		t.Errorf("an unknown id: %v", err)
	}
	if _, err := d.Reject(t.Context(), operator, d.confirmed("x"), "troppo tardi"); !errors.Is(err, register.ErrState) {
		t.Errorf("rejecting what is confirmed: %v", err)
	}
	if _, err := d.OpenMessage(t.Context(), operator, oversized.ID); !errors.Is(err, register.ErrNotFound) {
		t.Errorf("reading an oversized message: %v", err)
	}
	d.sound()
}

func (d *desk) confirmed(text string) string {
	d.t.Helper()
	p := d.arrive(box, text)
	d.confirm(p.ID)
	return p.ID
}

func TestConfirmMany(t *testing.T) {
	d, j := openFaulty(t)
	var items []register.Item
	add := func(id, class string) {
		items = append(items, register.Item{ID: id, Confirmation: register.Confirmation{Classification: class}})
	}
	for i := range 5 {
		add(d.arrive(box, fmt.Sprint(i)).ID, "1.1")
	}
	add(d.arrive(box, "bad class").ID, "99")
	add(items[0].ID, "1.1") // twice in one call
	add(d.arrive("pec-fondazione", "elsewhere").ID, "1.1")
	add("nonsense", "1.1")
	add(d.arrive(box, "last").ID, "1.1")
	j.set(func() { j.batch = nil })
	results := d.ConfirmMany(t.Context(), manager, items)
	want := []string{"0000001", "0000002", "0000003", "0000004", "0000005", "", "0000001", "0000001", "", "0000006"}
	for i, r := range results {
		if r.ID != items[i].ID || r.Entry.Number != want[i] || (r.Err != nil) != (want[i] == "") || r.Already != (i == 6) {
			t.Errorf("item %d: number %q already %v err %v, want %q", i, r.Entry.Number, r.Already, r.Err, want[i])
		}
	}
	if fmt.Sprint(j.batch) != "[6]" {
		t.Errorf("commits of %v records, want one of 6", j.batch)
	}
	tooMany := make([]register.Item, 501)
	for i := range tooMany {
		tooMany[i] = items[0]
	}
	for _, r := range d.ConfirmMany(t.Context(), manager, tooMany) {
		if !errors.Is(r.Err, register.ErrInvalid) {
			t.Fatalf("501 items: %v", r.Err)
		}
	}
	d.sound()
}

func TestManyAtOnce(t *testing.T) {
	const messages, clients = 200, 64
	d := open(t)
	ids := make(chan string, messages)
	var arriving sync.WaitGroup
	for c := range 8 {
		arriving.Go(func() {
			for i := c; i < messages; i += 8 {
				ids <- d.arrive(box, fmt.Sprint(i)).ID
			}
		})
	}
	arriving.Wait()
	close(ids)
	var mu sync.Mutex
	numbers := map[string]int{}
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for id := range ids {
				r, err := d.Confirm(t.Context(), operator, id, register.Confirmation{Classification: "1.1"})
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				numbers[r.Entry.Number]++
				mu.Unlock()
			}
		})
	}
	all.Wait()
	for n := 1; n <= messages; n++ {
		if numbers[fmt.Sprintf("%07d", n)] != 1 {
			t.Errorf("number %d was given %d times", n, numbers[fmt.Sprintf("%07d", n)])
		}
	}
	if v := d.sound(); v.Entries != messages || v.Blobs != messages {
		t.Errorf("%d entries and %d files", v.Entries, v.Blobs)
	}
}
