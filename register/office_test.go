package register_test

import (
	"context"
	"errors"
	"flag"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/protodaemon/protodaemon/register"
	"github.com/protodaemon/protodaemon/store"
)

func TestMain(m *testing.M) {
	// Walks on a real disk are slow; -rapid.checks=N asks for more of them.
	if err := flag.Set("rapid.checks", "25"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

const (
	org   = "ordine"
	book  = "istituzionale"
	other = "fondazione"
	box   = "pec"
)

var rome = func() *time.Location {
	l, err := time.LoadLocation("Europe/Rome")
	if err != nil {
		panic(err)
	}
	return l
}()

// desk is an office over a real store, and how to open both again.
type desk struct {
	*register.Office
	t     testing.TB
	dir   string
	setup register.Setup
	wrap  func(store.Store) store.Store
	st    *store.Bolt
}

func setup() register.Setup {
	return register.Setup{Location: rome, Organizations: []register.Organization{{
		ID: org, Name: "Ordine di Esempio", IPACode: "oaes", AOOCode: "AOO1",
		Registers: []register.Book{
			{ID: book, Name: "Affari istituzionali", Mailboxes: []register.Mailbox{{ID: box, Kind: "pec"}, {ID: "email", Kind: "email"}}},
			{ID: other, Name: "Fondazione", IPACode: "fond", Mailboxes: []register.Mailbox{{ID: "pec-fondazione", Kind: "pec"}}},
		},
	}}}
}

func open(t testing.TB) *desk {
	d := &desk{t: t, dir: filepath.Join(t.TempDir(), "data"), setup: setup()}
	d.open()
	t.Cleanup(d.close)
	return d
}

func (d *desk) open() {
	d.t.Helper()
	var err error
	d.st, err = store.OpenBolt(d.t.Context(), store.Options{Dir: d.dir, Reserve: -1})
	if err != nil {
		d.t.Fatal(err)
	}
	var st store.Store = d.st
	if d.wrap != nil {
		st = d.wrap(st)
	}
	if d.Office, err = register.Open(d.t.Context(), st, d.setup); err != nil {
		d.t.Fatal(errors.Join(err, d.st.Close()))
	}
}

func (d *desk) close() {
	d.t.Helper()
	if d.Office == nil {
		return
	}
	if err := errors.Join(d.Office.Close(), d.st.Close()); err != nil {
		d.t.Fatal(err)
	}
	d.Office = nil
}

func (d *desk) reopen() {
	d.t.Helper()
	d.close()
	d.open()
}

// arrival keeps the message's bytes and tells of them.
func (d *desk) arrival(mailbox, text string) register.Arrival {
	d.t.Helper()
	w, err := d.CreateBlob(d.t.Context(), org)
	if err != nil {
		d.t.Fatal(err)
	}
	defer w.Close()
	if _, err := w.Write([]byte(text)); err != nil {
		d.t.Fatal(err)
	}
	digest, size, err := w.Commit(d.t.Context())
	if err != nil {
		d.t.Fatal(err)
	}
	return register.Arrival{
		Organization: org, Mailbox: mailbox, Message: digest, Size: size,
		ArrivedAt: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC), State: register.StatePending,
		Analysis: []byte(`{"kind":"pec-transport"}`),
		Summary: register.Summary{
			Kind: "pec-transport", Authenticity: "certified", Subject: "Istanza " + text,
			From:        register.Party{Name: "Mario Rossi", Address: "mario@pec.example.it"},
			Content:     store.Sum([]byte("content of " + text)),
			Attachments: []register.Document{{Part: "1.2", Name: "a.pdf", MediaType: "application/pdf", Size: 3, SHA256: store.Sum([]byte("pdf"))}},
		},
	}
}

func (d *desk) arrive(mailbox, text string) register.Pending {
	d.t.Helper()
	return d.take(d.arrival(mailbox, text))
}

func (d *desk) take(a register.Arrival) register.Pending {
	d.t.Helper()
	p, err := d.Arrive(d.t.Context(), a)
	if err != nil {
		d.t.Fatal(err)
	}
	return p
}

func (d *desk) confirm(id string) register.Entry {
	d.t.Helper()
	r, err := d.Confirm(d.t.Context(), operator, id, register.Confirmation{Classification: "1.1"})
	if err != nil {
		d.t.Fatal(err)
	}
	return r.Entry
}

func (d *desk) done(id string, o register.Outcome) {
	d.t.Helper()
	if err := d.Done(d.t.Context(), id, register.Place{Outcome: o}); err != nil {
		d.t.Fatal(err)
	}
}

func (d *desk) verdict() register.Verdict {
	d.t.Helper()
	v, err := d.Verify(d.t.Context())
	if err != nil {
		d.t.Fatal(err)
	}
	return v
}

func (d *desk) sound() register.Verdict {
	d.t.Helper()
	v := d.verdict()
	if !v.OK {
		d.t.Fatalf("not sound: %+v", v.Problems)
	}
	return v
}

// codes are those of the problems found, each once.
func codes(v register.Verdict) []string {
	var all []string
	for _, p := range v.Problems {
		all = append(all, p.Code)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

var (
	operator = register.Actor{User: "anna", Name: "Anna Bianchi", Grants: []register.Grant{{Role: register.Operator, Organization: org, Register: book}}}
	manager  = register.Actor{User: "rosa", Name: "Rosa Verdi", Grants: []register.Grant{{Role: register.Manager, Organization: org}}}
	auditor  = register.Actor{User: "ugo", Grants: []register.Grant{{Role: register.Auditor, Organization: org}}}
)

func TestNewOffice(t *testing.T) {
	d := open(t)
	classes, err := d.Classes(t.Context(), operator, org)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(classes, func(c register.Class) bool { return c.Code == "1.1" }) || len(classes) < 25 {
		t.Errorf("the filing plan has %d classes: %v", len(classes), classes)
	}
	if h := d.Health(t.Context()); len(h) != 0 {
		t.Errorf("a new office has troubles: %v", h)
	}
	v := d.sound()
	if v.Entries != 0 || v.Events != 3 {
		t.Errorf("a new office has %d entries and %d events, want 0 and 3 (two registers, one plan)", v.Entries, v.Events)
	}
	d.reopen()
	if again := d.sound(); again.Events != 3 {
		t.Errorf("opening again made %d events", again.Events-3)
	}
}

func TestSetupIsChecked(t *testing.T) {
	d := open(t)
	for name, spoil := range map[string]func(*register.Setup){
		"no zone":             func(s *register.Setup) { s.Location = nil },
		"repeated register":   func(s *register.Setup) { s.Organizations[0].Registers[1].ID = book },
		"repeated mailbox":    func(s *register.Setup) { s.Organizations[0].Registers[1].Mailboxes[0].ID = box },
		"reserved id":         func(s *register.Setup) { s.Organizations[0].ID = "installation" },
		"repeated id":         func(s *register.Setup) { s.Organizations = append(s.Organizations, s.Organizations[0]) },
		"mailbox without id":  func(s *register.Setup) { s.Organizations[0].Registers[0].Mailboxes[0].ID = "" },
		"register without id": func(s *register.Setup) { s.Organizations[0].Registers[0].ID = "" },
	} {
		t.Run(name, func(t *testing.T) {
			bad := setup()
			spoil(&bad)
			if err := d.Reload(t.Context(), bad); err == nil {
				t.Error("the configuration was taken")
			}
			d.arrive(box, "still working with "+name)
		})
	}
}

func TestReload(t *testing.T) {
	d := open(t)
	p := d.arrive(box, "one")
	s := setup()
	s.Organizations[0].Registers = s.Organizations[0].Registers[:1]
	s.Organizations[0].Registers[0].Mailboxes = append(s.Organizations[0].Registers[0].Mailboxes, register.Mailbox{ID: "nuova", Kind: "pec"})
	s.Organizations = append(s.Organizations, register.Organization{ID: "secondo", Registers: []register.Book{{ID: "r"}}})
	if err := d.Reload(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	d.arrive("nuova", "two")
	if _, err := d.Arrive(t.Context(), d.arrival("pec-fondazione", "x")); !errors.Is(err, register.ErrNotFound) {
		t.Errorf("a mailbox that was removed takes messages: %v", err)
	}
	if _, err := d.Classes(t.Context(), register.System(), "secondo"); err != nil {
		t.Errorf("the new organization has no filing plan: %v", err)
	}
	if e := d.confirm(p.ID); e.Number != "0000001" {
		t.Errorf("number %s", e.Number)
	}
	if err := d.Reload(t.Context(), setup()); err != nil {
		t.Fatal(err)
	}
	d.arrive("pec-fondazione", "three")
	d.sound()
}

// brokenOrg is a store that cannot open one organization.
type brokenOrg struct {
	store.Store
	name string
}

func (b brokenOrg) Journal(ctx context.Context, name string) (store.Journal, error) {
	if strings.HasPrefix(name, b.name) {
		return nil, errors.New("page 3: bad checksum")
	}
	return b.Store.Journal(ctx, name)
}

func TestOneOrganizationAside(t *testing.T) {
	d := &desk{t: t, dir: filepath.Join(t.TempDir(), "data"), setup: setup()}
	d.setup.Organizations = append(d.setup.Organizations, register.Organization{ID: "rotto", Registers: []register.Book{{ID: "r", Mailboxes: []register.Mailbox{{ID: "m"}}}}})
	d.wrap = func(st store.Store) store.Store { return brokenOrg{st, "rotto"} }
	d.open()
	t.Cleanup(d.close)
	d.confirm(d.arrive(box, "one").ID)
	h := d.Health(t.Context())
	if len(h) != 1 || h[0].Organization != "rotto" || h[0].Code != "aside" || !strings.Contains(h[0].Detail, "bad checksum") {
		t.Errorf("health is %+v", h)
	}
	if _, err := d.PendingList(t.Context(), register.System(), "rotto", "r", register.PendingQuery{}); !errors.Is(err, register.ErrUnavailable) {
		t.Errorf("reading it: %v", err)
	}
	if _, err := d.Mailboxes(t.Context(), register.System()); err != nil {
		t.Errorf("listing mailboxes: %v", err)
	}
	if v := d.verdict(); v.OK || !slices.Contains(codes(v), "unreadable") {
		t.Errorf("verify is %+v", v)
	}
}
