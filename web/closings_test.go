package web

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/protodaemon/protodaemon/archive"
	"github.com/protodaemon/protodaemon/register"
	"github.com/protodaemon/protodaemon/sign"
	"github.com/protodaemon/protodaemon/store"
)

// testArchive is a real archive of the organization "ordine" that signs with a
// key in memory, stamps nothing and delivers into a folder.
type testArchive struct {
	*archive.Archive
	t      *testing.T
	folder string
}

func newArchive(t *testing.T, office *register.Office, books ...string) *testArchive {
	t.Helper()
	a := &testArchive{t: t, folder: filepath.Join(t.TempDir(), "conservazione")}
	a.mend()
	key := newKey(t)
	o := archive.Options{Office: office, Location: rome, Software: "protodaemon prova"}
	for _, b := range books {
		o.Registers = append(o.Registers, archive.Register{Organization: "ordine", Register: b, AutoAt: "15:00",
			Signing:  archive.Signing{OpenKey: func(context.Context) (sign.Key, error) { return key, nil }, XAdES: true},
			Delivery: archive.Delivery{Kind: "directory", Path: a.folder, Profile: archive.ProfileNeutral}})
	}
	o.Registers = append(o.Registers, archive.Register{Organization: "camera", Register: "ist"})
	var err error
	if a.Archive, err = archive.New(o); err != nil {
		t.Fatal(err)
	}
	return a
}

// mend makes the folder to which is delivered, breakDown takes it away.
func (a *testArchive) mend() {
	if err := os.MkdirAll(filepath.Join(a.folder, "ricevute"), 0o700); err != nil {
		a.t.Fatal(err)
	}
}

func (a *testArchive) breakDown() {
	if err := os.RemoveAll(a.folder); err != nil {
		a.t.Fatal(err)
	}
}

// work takes the steps that are due.
func (a *testArchive) work() error { return a.Work(a.t.Context(), "ordine", "ist") }

// memoryKey is a signing key in memory.
type memoryKey struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newKey(t *testing.T) memoryKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Elena Neri"}, KeyUsage: x509.KeyUsageContentCommitment,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return memoryKey{key, cert}
}

func (k memoryKey) Chain(context.Context) ([]*x509.Certificate, error) {
	return []*x509.Certificate{k.cert}, nil
}

func (k memoryKey) Sign(_ context.Context, digests [][]byte) (values [][]byte, err error) {
	for _, d := range digests {
		v, err := k.key.Sign(rand.Reader, d, crypto.SHA256)
		if err != nil {
			return nil, err
		}
		values = append(values, v)
	}
	return values, nil
}

func (memoryKey) Close() error { return nil }

const inBookOfTests = "/api/v1/organizations/ordine/registers/ist"

// closingFixture is a fixture with an archive and two entries of today.
func closingFixture(t *testing.T) (*fixture, *testArchive) {
	t.Helper()
	var a *testArchive
	f := newFixture(t, func(o *Options) {
		a = newArchive(t, o.Office, "ist")
		o.Archive = a
	})
	for _, subject := range []string{"Istanza", "Reclamo"} {
		f.post(201, confirmPath(f.arrive("ordine", "pec", letter(subject))), plain)
	}
	return f, a
}

func legalToday() string { return time.Now().In(rome).Format(time.DateOnly) }

func (f *fixture) closeToday(status int) page[closing] {
	f.t.Helper()
	var made page[closing]
	f.post(status, inBookOfTests+"/closings", `{"through":"`+legalToday()+`"}`, f.as("resp")...).read(f.t, &made)
	return made
}

func TestClosingADay(t *testing.T) {
	f, a := closingFixture(t)
	e := f.listen(f.as("resp")...)
	e.block()
	made := f.closeToday(201)
	if len(made.Items) != 1 || made.Items[0].Entries != 2 || made.Items[0].FirstNumber != "0000001" || made.Items[0].LastNumber != "0000002" ||
		made.Items[0].State != register.ClosingClosed || made.Items[0].ClosedBy != "resp" || made.Items[0].Manager != "Elena Neri" {
		t.Fatalf("it made %+v", made.Items)
	}
	id := made.Items[0].ID
	if news := e.until("closing.changed"); !strings.Contains(news, `"closing":"`+id+`"`) {
		t.Errorf("the news is %s", news)
	}
	if again := f.closeToday(200); len(again.Items) != 0 {
		t.Errorf("closing again makes %+v", again.Items)
	}
	if err := a.work(); err != nil {
		t.Fatal(err)
	}
	var c closing
	f.get(403, inBookOfTests+"/closings/"+id, f.as("dis")...)
	f.get(200, inBookOfTests+"/closings/"+id, f.as("ist")...).read(t, &c)
	if c.State != register.ClosingDelivered || c.Outcome != "consegnato, rapporto di versamento in attesa" || c.Package == nil || len(c.Steps) != 3 {
		t.Errorf("it stands at %+v", c)
	}
	if len(c.Files) != 7 {
		t.Errorf("it has %d files", len(c.Files))
	}
	for _, file := range c.Files {
		got := f.get(200, inBookOfTests+"/closings/"+id+"/files/"+file.Name, f.as("resp")...)
		if store.Sum(got.body) != file.SHA256 || !strings.Contains(got.Header.Get("Content-Disposition"), "attachment") {
			t.Errorf("%s is not what it says, or no download", file.Name)
		}
	}
	f.get(304, inBookOfTests+"/closings/"+id+"/files/"+c.Files[0].Name, append(f.as("resp"), "If-None-Match", `"`+c.Files[0].SHA256.String()+`"`)...)
	var list page[closing]
	f.get(200, inBookOfTests+"/closings?from="+legalToday()+"&to="+legalToday(), f.as("revisore")...).read(t, &list)
	if len(list.Items) != 1 || list.Items[0].ID != id {
		t.Errorf("the list is %+v", list.Items)
	}
}

func TestClosingsRefuse(t *testing.T) {
	f, _ := closingFixture(t)
	id := f.closeToday(201).Items[0].ID
	tomorrow := time.Now().In(rome).AddDate(0, 0, 1).Format(time.DateOnly)
	const closings = inBookOfTests + "/closings"
	resp := f.as("resp")
	for _, c := range []struct {
		status       int
		code         string
		method, path string
		body         string
		header       []string
	}{
		{422, "invalid", "POST", closings, `{"through":"ieri"}`, resp},
		{422, "invalid", "POST", closings, `{"through":"` + tomorrow + `"}`, resp},
		{400, "unknown-field", "POST", closings, `{"fino":"2026-01-01"}`, resp},
		{403, "forbidden", "POST", closings, `{}`, f.as("ist")},
		{403, "forbidden", "GET", closings, "", f.as("camera")},
		{409, "manager-missing", "POST", "/api/v1/organizations/camera/registers/ist/closings", `{"through":"` + legalToday() + `"}`, resp},
		{400, "invalid", "GET", closings + "?from=ieri", "", resp},
		{404, "not-found", "GET", closings + "/2026-01-01.0", "", resp},
		{404, "not-found", "GET", closings + "/..", "", resp},
		{404, "not-found", "GET", closings + "/" + id + "/files/altro.pdf", "", resp},
		{422, "invalid", "POST", closings + "/" + id + "/retry", `{"reason":""}`, resp},
		{403, "forbidden", "POST", closings + "/" + id + "/retry", `{"reason":"x"}`, f.as("ist")},
		{409, "wrong-state", "POST", closings + "/" + id + "/receipt", `<x/>`, resp},
		{404, "not-found", "GET", inBookOfTests + "/entries/x/0000001/proof", "", resp},
		{404, "not-found", "GET", inBookOfTests + "/exports/1999", "", resp},
		{400, "invalid", "GET", inBookOfTests + "/days?from=2026-01-01&to=2025-01-01", "", resp},
		{400, "invalid", "GET", inBookOfTests + "/days?from=2020-01-01&to=2025-01-01", "", resp},
	} {
		if c.code == "manager-missing" {
			f.post(201, confirmPath(f.arrive("camera", "pec", letter("Istanza"))), plain)
		}
		a := f.request(c.method, c.path, c.body, c.header...)
		if a.StatusCode != c.status || a.problem().Code != c.code {
			t.Errorf("%s %s %s: %d %s, want %d %s", c.method, c.path, c.body, a.StatusCode, a.body, c.status, c.code)
		}
	}
}

// A failed step is told in words and tried again with a reason, a receipt is
// handed in, and only then is anything called accepted.
func TestAClosingIsMended(t *testing.T) {
	f, a := closingFixture(t)
	id := f.closeToday(201).Items[0].ID
	a.breakDown()
	if err := a.work(); err == nil {
		t.Fatal("a folder that is missing goes unnoticed")
	}
	here := inBookOfTests + "/closings/" + id
	var c closing
	f.get(200, here, f.as("resp")...).read(t, &c)
	if c.State != register.ClosingFailed || c.Reached != register.ClosingSigned || c.Trouble == nil || c.Trouble.Code != "destination-missing" ||
		c.Outcome != "firmato; consegna, la cartella di destinazione non c’è" {
		t.Errorf("it stands at %+v, %q", c.Trouble, c.Outcome)
	}
	a.mend()
	f.post(200, here+"/retry", `{"reason":"cartella rifatta"}`, f.as("resp")...)
	if err := a.work(); err != nil {
		t.Fatal(err)
	}
	p := f.request("POST", here+"/receipt", "non è un rapporto", f.as("resp")...)
	if p.StatusCode != 422 || p.problem().Field != "receipt" {
		t.Errorf("a receipt that is none: %s", p.body)
	}
	f.get(200, here, f.as("resp")...).read(t, &c)
	if c.State != register.ClosingDelivered || strings.Contains(c.Outcome, "conservat") || strings.Contains(c.Outcome, "accettat") {
		t.Errorf("without a receipt it is called %q", c.Outcome)
	}
	if p := f.request("POST", here+"/receipt", strings.Repeat(" ", 10<<20), f.as("resp")...); p.StatusCode != 413 {
		t.Errorf("a receipt of 10 MiB: %s", p.body)
	}
	rdv := `<RapportoDiVersamento><IdentificativoPacchetto>` + c.Package.Identity + `</IdentificativoPacchetto><Esito>accettato</Esito>` + strings.Repeat(" ", 5<<20) + `</RapportoDiVersamento>`
	f.post(200, here+"/receipt", rdv, append(f.as("resp"), "Content-Type", "application/xml")...).read(t, &c)
	if c.State != register.ClosingAccepted || c.Outcome != "accettato in conservazione" {
		t.Errorf("with the receipt it is %s, %q", c.State, c.Outcome)
	}
	if p := f.request("POST", here+"/retry", `{"reason":"ancora"}`, f.as("resp")...); p.StatusCode != 409 {
		t.Errorf("what was accepted is tried again: %s", p.body)
	}
}

func TestTheCalendar(t *testing.T) {
	f, _ := closingFixture(t)
	read := func() calendarDay {
		t.Helper()
		var days page[calendarDay]
		f.get(200, inBookOfTests+"/days", f.as("ist")...).read(t, &days)
		if len(days.Items) != 31 {
			t.Fatalf("%d days", len(days.Items))
		}
		return days.Items[30]
	}
	today := read()
	if today.Day.Day != legalToday() || !today.Open || today.Entries != 2 || len(today.Closings) != 0 || today.Deadline <= today.Day.Day {
		t.Errorf("today is %+v", today)
	}
	f.closeToday(201)
	if today = read(); len(today.Closings) != 1 || today.Entries != 2 || today.Last != "0000002" {
		t.Errorf("closed, today is %+v", today)
	}
}

func TestProofAndExport(t *testing.T) {
	f, a := closingFixture(t)
	year := time.Now().In(rome).Year()
	here := fmt.Sprintf("%s/entries/%d/0000002/proof", inBookOfTests, year)
	if p := f.request("GET", here, "", f.as("ist")...); p.StatusCode != 409 || p.problem().Code != "wrong-state" {
		t.Errorf("before the day is closed: %s", p.body)
	}
	f.closeToday(201)
	if err := a.work(); err != nil {
		t.Fatal(err)
	}
	proof := f.get(200, here, f.as("ist")...)
	events, err := archive.CheckProof(bytes.NewReader(proof.body), nil, nil)
	if err != nil || len(events) != 1 || events[0].Entry.Subject != "Reclamo" || bytes.Contains(proof.body, []byte("Istanza")) {
		t.Errorf("it proves %+v, %v", events, err)
	}
	f.get(403, here, f.as("camera")...)
	got := f.get(200, fmt.Sprintf("%s/exports/%d", inBookOfTests, year), f.as("revisore")...)
	z, err := zip.NewReader(bytes.NewReader(got.body), int64(len(got.body)))
	if err != nil || !slices.ContainsFunc(z.File, func(f *zip.File) bool { return strings.HasSuffix(f.Name, "/verifica.sh") }) {
		t.Errorf("the export is no package: %v", err)
	}
}

func TestAnnulling(t *testing.T) {
	f, _ := closingFixture(t)
	here := fmt.Sprintf("%s/entries/%d/0000001", inBookOfTests, time.Now().In(rome).Year())
	const order = `{"reason":"registrata due volte","authorization":"determina n. 4"}`
	f.want(403, f.request("POST", here+"/annul", order, f.as("ist")...))
	if p := f.request("POST", here+"/annul", `{"reason":"x"}`, f.as("resp")...); p.StatusCode != 422 || p.problem().Field != "authorization" {
		t.Errorf("without authorization: %s", p.body)
	}
	var e entry
	f.post(200, here+"/annul", order, f.as("resp")...).read(t, &e)
	if e.State != register.Annulled || e.Annulment == nil || e.Annulment.Reason != "registrata due volte" || e.Annulment.By != "resp" || e.Subject != "Istanza" {
		t.Errorf("it is %+v", e)
	}
	f.post(200, here+"/annul", order, f.as("resp")...)
	f.want(409, f.request("POST", here+"/annul", `{"reason":"altro","authorization":"altra"}`, f.as("resp")...))
	f.want(404, f.request("POST", strings.Replace(here, "0000001", "0000009", 1)+"/annul", order, f.as("resp")...))
	f.get(200, here, f.as("ist")...).read(t, &e)
	if e.Annulment == nil || !slices.ContainsFunc(e.History, func(h event) bool { return h.Type == "entry.changed" }) {
		t.Errorf("read again it is %+v", e)
	}
}
