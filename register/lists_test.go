package register_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/protodaemon/protodaemon/register"
)

func TestPendingList(t *testing.T) {
	d := open(t)
	var want []string
	for i := range 7 {
		a := d.arrival(box, fmt.Sprint(i))
		a.ArrivedAt = a.ArrivedAt.Add(time.Duration(-i) * time.Nanosecond * 1000)
		want = append(want, d.take(a).ID)
	}
	slices.Reverse(want) // oldest arrival first
	d.confirm(want[3])
	want = slices.Delete(want, 3, 4)
	var got []string
	q := register.PendingQuery{Limit: 2}
	for pages := 0; ; pages++ {
		page, err := d.PendingList(t.Context(), auditor, org, book, q)
		if err != nil || pages > 3 {
			t.Fatal(pages, err)
		}
		for _, p := range page.Items {
			got = append(got, p.ID)
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			break
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("listed %v, want %v", got, want)
	}
	if page, err := d.PendingList(t.Context(), auditor, org, book, register.PendingQuery{State: register.StateConfirmed}); err != nil || len(page.Items) != 1 || page.Next != "" {
		t.Errorf("confirmed are %+v, %v", page, err)
	}
	for _, bad := range []register.PendingQuery{{State: "nope"}, {Limit: 501}, {Limit: -1}, {Cursor: strings.Repeat("x", 501)}} {
		if _, err := d.PendingList(t.Context(), auditor, org, book, bad); !errors.Is(err, register.ErrInvalid) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	for _, odd := range []string{"zzz", "\x00", "/", "9999/x", "\xff"} {
		if _, err := d.PendingList(t.Context(), auditor, org, book, register.PendingQuery{Cursor: odd}); err != nil {
			t.Errorf("cursor %q: %v", odd, err)
		}
		if _, err := d.Entries(t.Context(), auditor, org, book, register.EntryQuery{Cursor: odd, Year: 2026}); err != nil {
			t.Errorf("cursor %q of entries: %v", odd, err)
		}
	}
	if _, err := d.PendingList(t.Context(), register.System(), org, "x", register.PendingQuery{}); !errors.Is(err, register.ErrNotFound) {
		t.Errorf("an unknown register: %v", err)
	}
}

func TestDetail(t *testing.T) {
	d := open(t)
	p := d.arrive(box, "one")
	d.arrive("email", "one")
	e, err := d.Confirm(t.Context(), manager, d.arrive("pec-fondazione", "one").ID, register.Confirmation{Classification: "1.1"})
	if err != nil {
		t.Fatal(err)
	}
	like := d.arrival(box, "other bytes")
	like.Summary.Content = p.Summary.Content
	copied := d.take(like)
	got, err := d.Pending(t.Context(), manager, p.ID)
	if err != nil {
		t.Fatal(err)
	}
	if string(got.Analysis) != `{"kind":"pec-transport"}` || got.Summary.Attachments[0].Name != "a.pdf" {
		t.Errorf("the analysis is %s, the summary %+v", got.Analysis, got.Summary)
	}
	var kinds []string
	for _, dup := range got.Duplicates {
		kinds = append(kinds, dup.Kind+" "+dup.Entry)
	}
	slices.Sort(kinds)
	if want := []string{"content ", "message ", "message " + other + "/" + fmt.Sprint(e.Entry.Year) + "/0000001"}; !slices.Equal(kinds, want) {
		t.Errorf("duplicates %q, want %q", kinds, want)
	}
	masked, err := d.Pending(t.Context(), operator, p.ID)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(masked.Duplicates, register.Duplicate{Kind: "message", Elsewhere: "altro registro"}) || strings.Contains(fmt.Sprint(masked.Duplicates), "0000001") {
		t.Errorf("who may not see the other register sees %+v", masked.Duplicates)
	}
	if !slices.ContainsFunc(masked.Duplicates, func(x register.Duplicate) bool { return x.Pending == copied.ID && x.Kind == "content" }) {
		t.Errorf("the same content is not named: %+v", masked.Duplicates)
	}
	blob, err := d.OpenMessage(t.Context(), operator, p.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer blob.Close()
	if raw, err := io.ReadAll(blob); string(raw) != "one" || err != nil {
		t.Errorf("the message is %q, %v", raw, err)
	}
}

func TestHostileSummary(t *testing.T) {
	d := open(t)
	a := d.arrival(box, "hostile")
	a.Summary.Subject = "Ur\u202egente\x00\r\nBcc: x" + strings.Repeat("à", 1<<20)
	a.Summary.From.Name = string([]byte{'a', 0xff, 'b'})
	a.Summary.To = make([]register.Party, 100000)
	a.Summary.Attachments = make([]register.Document, 100000)
	a.Analysis = json.RawMessage(`{"text":"` + strings.Repeat("x", 5<<20) + `"}`)
	p := d.take(a)
	if !strings.HasPrefix(p.Summary.Subject, "Ur gente Bcc: x") || len([]rune(p.Summary.Subject)) != 2000 || p.Summary.From.Name != "a b" {
		t.Errorf("kept %.40q and %q", p.Summary.Subject, p.Summary.From.Name)
	}
	if p.State != register.StateQuarantined || p.Reason == "" || len(p.Summary.Attachments) != 1000 {
		t.Errorf("kept as %s (%s) with %d attachments", p.State, p.Reason, len(p.Summary.Attachments))
	}
	d.confirm(p.ID)
	d.sound()
	a.State = register.StateConfirmed
	if _, err := d.Arrive(t.Context(), a); !errors.Is(err, register.ErrInvalid) {
		t.Errorf("arriving confirmed: %v", err)
	}
}

func TestEntries(t *testing.T) {
	d := open(t)
	subjects := []string{"Iscrizione all'albo", "Fattura elettronica", "Iscrizione al registro praticanti"}
	classes := []string{"2.1", "7.4", "2.5"}
	var year int
	for i, s := range subjects {
		r, err := d.Confirm(t.Context(), operator, d.arrive(box, s).ID, register.Confirmation{Subject: &s, Classification: classes[i], Notes: "nota:" + fmt.Sprint(i)})
		if err != nil {
			t.Fatal(err)
		}
		year = r.Entry.Year
	}
	for name, tc := range map[string]struct {
		q    register.EntryQuery
		want string
	}{
		"all, newest first": {register.EntryQuery{}, "3 2 1"},
		"words":             {register.EntryQuery{Q: "iscrizione ALBO"}, "1"},
		"notes":             {register.EntryQuery{Q: "nota:1"}, "2"},
		"number as words":   {register.EntryQuery{Q: "0000003"}, "3"},
		"class and below":   {register.EntryQuery{Classification: "2"}, "3 1"},
		"no other class":    {register.EntryQuery{Classification: "2."}, ""},
		"party":             {register.EntryQuery{Party: "ROSSI"}, "3 2 1"},
		"number":            {register.EntryQuery{Number: "2"}, "2"},
		"year":              {register.EntryQuery{Year: year, Number: "0000001"}, "1"},
		"another year":      {register.EntryQuery{Year: year - 1}, ""},
		"from tomorrow":     {register.EntryQuery{From: "9999-01-01"}, ""},
		"direction":         {register.EntryQuery{Direction: register.Outgoing}, ""},
		"state":             {register.EntryQuery{State: register.Registered}, "3 2 1"},
		"dossier":           {register.EntryQuery{Dossier: "x"}, ""},
	} {
		var got []string
		tc.q.Limit = 1
		for {
			page, err := d.Entries(t.Context(), auditor, org, book, tc.q)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range page.Items {
				got = append(got, strings.TrimLeft(e.Number, "0"))
			}
			if tc.q.Cursor = page.Next; tc.q.Cursor == "" {
				break
			}
		}
		if strings.Join(got, " ") != tc.want {
			t.Errorf("%s: %v, want %s", name, got, tc.want)
		}
	}
	if _, err := d.Entries(t.Context(), auditor, org, book, register.EntryQuery{Number: "x"}); !errors.Is(err, register.ErrInvalid) {
		t.Errorf("a number that is none: %v", err)
	}
	for _, n := range []string{"4", "x", "-1"} {
		if _, err := d.Entry(t.Context(), auditor, org, book, year, n); !errors.Is(err, register.ErrNotFound) {
			t.Errorf("entry %s: %v", n, err)
		}
	}
}

func TestNewsAndMoves(t *testing.T) {
	d := open(t)
	news := d.News(org, box)
	p := d.arrive(box, "one")
	if err := d.Sweep(t.Context(), operator, org, box); err != nil {
		t.Fatal(err)
	}
	<-news
	d.confirm(p.ID)
	<-news
	due, err := d.Due(t.Context(), org, box)
	if err != nil || len(due) != 1 || due[0].Kind != register.DueMove || due[0].Pending.ID != p.ID {
		t.Fatalf("due is %+v, %v", due, err)
	}
	d.Blocked(t.Context(), p.ID, "la cartella non c'è")
	e := d.entry(p.ID)
	if e.Blocked != "la cartella non c'è" || e.Moved != "no" {
		t.Errorf("blocked %q, moved %s", e.Blocked, e.Moved)
	}
	place := register.Place{Outcome: register.Moved, UIDValidity: 7, UIDs: []uint32{42}}
	for range 2 {
		if err := d.Done(t.Context(), p.ID, place); err != nil {
			t.Fatal(err)
		}
	}
	if e := d.entry(p.ID); e.Moved != "yes" || e.Blocked != "" || e.Place.UIDs[0] != 42 {
		t.Errorf("afterwards: %+v", e)
	}
	again := d.arrive(box, "one")
	if again.Occurrence != 2 || again.Previous != p.ID {
		t.Errorf("dragged in again: %+v", again)
	}
	if _, err := d.Reject(t.Context(), operator, again.ID, ""); !errors.Is(err, register.ErrInvalid) {
		t.Errorf("rejecting without a reason: %v", err)
	}
	if _, err := d.Reject(t.Context(), operator, again.ID, "doppio"); err != nil {
		t.Fatal(err)
	}
	<-news
	due, err = d.Due(t.Context(), org, box)
	if err != nil || len(due) != 1 || due[0].Kind != register.DueReturn || len(due[0].Elsewhere) != 1 || due[0].Elsewhere[0].UIDs[0] != 42 {
		t.Errorf("due is %+v, %v", due, err)
	}
	if err := d.Done(t.Context(), again.ID, register.Place{Outcome: register.Moved}); !errors.Is(err, register.ErrInvalid) {
		t.Errorf("a rejected message was moved: %v", err)
	}
	if err := d.Done(t.Context(), d.arrive(box, "undecided").ID, place); !errors.Is(err, register.ErrState) {
		t.Errorf("an undecided message was moved: %v", err)
	}
	d.done(again.ID, register.Filed)
	d.sound()
}

// entry reads the entry of a confirmed message.
func (d *desk) entry(id string) register.EntryDetail {
	d.t.Helper()
	p, err := d.Pending(d.t.Context(), operator, id)
	if err != nil {
		d.t.Fatal(err)
	}
	parts := strings.Split(p.Entry, "/")
	var year int
	fmt.Sscanf(parts[1], "%d", &year)
	e, err := d.Entry(d.t.Context(), operator, org, parts[0], year, parts[2])
	if err != nil {
		d.t.Fatal(err)
	}
	return e
}

func TestSubscribe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := open(t)
		ctx, cancel := context.WithCancel(t.Context())
		var got []string
		ended := make(chan error, 1)
		news := d.Subscribe(operator)
		go func() {
			ended <- news.Listen(ctx, func(e register.Event) bool {
				if e.Organization != org || e.Register != book || e.Mailbox != box {
					t.Errorf("event %+v", e)
				}
				got = append(got, e.Type+" "+e.By+" "+e.Entry+string(e.Data))
				return true
			})
		}()
		d.Report(register.MailboxStatus{Mailbox: register.Mailbox{Organization: org, ID: box}, State: register.Watching})
		d.Report(register.MailboxStatus{Mailbox: register.Mailbox{Organization: org, ID: box}, State: register.Watching, LastSeen: time.Now()})
		p := d.arrive(box, "one")
		d.arrive("pec-fondazione", "not hers")
		d.confirm(p.ID)
		synctest.Wait()
		if _, err := d.Withdraw(t.Context(), d.arrive(box, "two").ID); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		want := []string{
			`mailbox.changed  {"state":"watching"}`, "pending.created system ",
			"pending.confirmed anna istituzionale/2000/0000001",
			"pending.created system ", "pending.withdrawn system ",
		}
		if !slices.Equal(got, want) {
			t.Errorf("events %q, want %q", got, want)
		}
	})
}

func TestSlowSubscriber(t *testing.T) {
	d := open(t)
	slow, first := make(chan struct{}), make(chan struct{})
	types := map[string]int{}
	ended := make(chan error, 1)
	news := d.Subscribe(manager)
	go func() {
		ended <- news.Listen(t.Context(), func(e register.Event) bool {
			if types[e.Type]++; types[e.Type] == 1 && e.Type != "resync" {
				close(first)
				<-slow
			}
			return e.Type != "resync"
		})
	}()
	report := func(n int) {
		d.Report(register.MailboxStatus{Mailbox: register.Mailbox{Organization: org, ID: box}, State: register.Backoff, LastError: fmt.Sprint(n)})
	}
	for n := 0; ; n++ {
		report(n)
		select {
		case <-first:
		default:
			continue
		}
		break
	}
	for n := range 1000 {
		report(n)
	}
	close(slow)
	if err := <-ended; err != nil || types["resync"] != 1 || types["mailbox.changed"] > 300 {
		t.Errorf("heard %v, %v", types, err)
	}
}

func TestMailboxes(t *testing.T) {
	d := open(t)
	d.arrive(box, "one")
	p := d.arrive(box, "two")
	d.confirm(p.ID)
	d.Report(register.MailboxStatus{Mailbox: register.Mailbox{Organization: org, ID: box}, State: register.Failed, LastError: "wrong\npassword"})
	d.Report(register.MailboxStatus{Mailbox: register.Mailbox{Organization: org, ID: "unlinked"}, State: register.Failed})
	all, err := d.Mailboxes(t.Context(), operator)
	if err != nil || len(all) != 2 {
		t.Fatalf("%+v, %v", all, err)
	}
	if m := all[0]; m.ID != box || m.State != register.Failed || m.LastError != "wrong password" || m.Pending != 1 || m.Register != book {
		t.Errorf("%+v", m)
	}
	if m := all[1]; m.State != register.Connecting || m.Pending != 0 {
		t.Errorf("%+v", m)
	}
}

func TestMetrics(t *testing.T) {
	d := &desk{t: t, dir: t.TempDir(), setup: setup()}
	reg := prometheus.NewPedanticRegistry()
	d.setup.Metrics = reg
	d.open()
	t.Cleanup(d.close)
	a := d.arrival(box, "one")
	a.Noticed, a.ArrivedAt = time.Now(), time.Now().Add(-time.Hour)
	d.take(a)
	d.confirmed("two")
	want := `
# HELP protodaemon_entries_total Entries registered by this process.
# TYPE protodaemon_entries_total counter
protodaemon_entries_total{direction="incoming",organization="ordine",register="fondazione"} 0
protodaemon_entries_total{direction="incoming",organization="ordine",register="istituzionale"} 1
protodaemon_entries_total{direction="internal",organization="ordine",register="fondazione"} 0
protodaemon_entries_total{direction="internal",organization="ordine",register="istituzionale"} 0
protodaemon_entries_total{direction="outgoing",organization="ordine",register="fondazione"} 0
protodaemon_entries_total{direction="outgoing",organization="ordine",register="istituzionale"} 0
# HELP protodaemon_moves_outstanding Acts on the mail server (moves and returns) that are due.
# TYPE protodaemon_moves_outstanding gauge
protodaemon_moves_outstanding{mailbox="email",organization="ordine"} 0
protodaemon_moves_outstanding{mailbox="pec",organization="ordine"} 1
protodaemon_moves_outstanding{mailbox="pec-fondazione",organization="ordine"} 0
# HELP protodaemon_pending Messages in custody that nobody has decided on.
# TYPE protodaemon_pending gauge
protodaemon_pending{organization="ordine",register="fondazione"} 0
protodaemon_pending{organization="ordine",register="istituzionale"} 1
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "protodaemon_entries_total", "protodaemon_moves_outstanding", "protodaemon_pending"); err != nil {
		t.Error(err)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			values[f.GetName()] += m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	if age := values["protodaemon_pending_oldest_age_seconds"]; age < 3600 || age > 3700 {
		t.Errorf("the oldest is %v seconds old", age)
	}
	if values["protodaemon_messages_ingested_total"] != 2 || values["protodaemon_ingest_latency_seconds"] != 1 || values["protodaemon_confirm_latency_seconds"] != 1 {
		t.Errorf("%v", values)
	}
	d.reopen() // the same registry again
}

// A day with entries is unclosed from the next midnight on; a day without any,
// and today, do not count.
func TestUnclosedDays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewPedanticRegistry()
		d := &desk{t: t, dir: filepath.Join(t.TempDir(), "data"), setup: setup()}
		d.setup.Metrics = reg
		d.open()
		defer d.close()
		unclosed := func(want int) {
			t.Helper()
			families, err := reg.Gather()
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range families {
				for _, m := range f.GetMetric() {
					for _, l := range m.GetLabel() {
						if f.GetName() == "protodaemon_unclosed_days" && l.GetValue() == book && int(m.GetGauge().GetValue()) != want {
							t.Errorf("at %s %v days are unclosed, want %d", time.Now().In(rome), m.GetGauge().GetValue(), want)
						}
					}
				}
			}
		}
		unclosed(0)
		for n, days := range []time.Duration{0, 1, 3} {
			time.Sleep(days * 24 * time.Hour)
			d.confirm(d.arrive(box, fmt.Sprint("message ", n, "a")).ID)
			d.confirm(d.arrive(box, fmt.Sprint("message ", n, "b")).ID)
			unclosed(n)
		}
		time.Sleep(24 * time.Hour)
		unclosed(3)
	})
}
