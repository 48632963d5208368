package web

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/protodaemon/protodaemon/pec"
	"github.com/protodaemon/protodaemon/pec/sample"
	"github.com/protodaemon/protodaemon/register"
	"github.com/protodaemon/protodaemon/store"
)

// browserWait bounds every wait for a page.
const browserWait = 20 * time.Second

// desk is a served office with people and a provider, and a real Chromium.
type desk struct {
	*Server
	t       *testing.T
	url     string
	client  *http.Client
	browser context.Context
	gestore *sample.Provider
	trust   *pec.Trust

	closings *testArchive
}

var officeOfPages = []register.Organization{{ID: "ordine", Name: "Ordine degli Architetti di Valdemonte", IPACode: "oarva", AOOCode: "AOO1", Manager: managerOfTests,
	Registers: []register.Book{
		{ID: "ist", Name: "Affari istituzionali", Mailboxes: []register.Mailbox{{ID: "pec", Kind: "pec", Address: "ordine@pec.example.it"}}},
		{ID: "dis", Name: "Consiglio di disciplina", Mailboxes: []register.Mailbox{{ID: "dis", Kind: "pec", Address: "disciplina@pec.example.it"}}},
	}}}

const password = "una password lunga"

// newDesk is a desk with a browser, newOfficeDesk one without, and newServer
// one that listens nowhere and has no certificates.
func newDesk(t *testing.T) *desk {
	t.Helper()
	d := newOfficeDesk(t)
	d.browser = chromium(t)
	return d
}

func newOfficeDesk(t *testing.T) *desk {
	t.Helper()
	d := newServer(t)
	server := httptest.NewUnstartedServer(d)
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	t.Cleanup(d.endStreams)
	t.Cleanup(d.pages.close)
	d.url, d.client = server.URL, server.Client()
	var err error
	if d.gestore, err = sample.NewProvider(sample.Options{Name: "Postasicura Alfa S.p.A.", ECDSA: true, Now: time.Now().Add(-30 * time.Hour)}); err != nil {
		t.Fatal(err)
	}
	d.trust = pec.NewTrust(d.gestore.CA())
	return d
}

func newServer(t *testing.T) *desk {
	t.Helper()
	st, err := store.OpenBolt(t.Context(), store.Options{Dir: t.TempDir(), Reserve: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	zone, err := time.LoadLocation("Europe/Rome")
	if err != nil {
		t.Fatal(err)
	}
	office, err := register.Open(t.Context(), st, register.Setup{Location: zone, Organizations: officeOfPages})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = office.Close() })
	closings := newArchive(t, office, "ist")
	f, err := New(Options{Office: office, Location: zone, Archive: closings})
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range []register.User{
		{Name: "g.rossi", GivenName: "Giulia", Surname: "Rossi", Grants: []register.Grant{{Role: register.Operator, Organization: "ordine"}}},
		{Name: "e.neri", GivenName: "Elena", Surname: "Neri", Grants: []register.Grant{{Role: register.Manager, Organization: "ordine"}}},
		{Name: "l.bianchi", GivenName: "Luca", Surname: "Bianchi", Grants: []register.Grant{{Role: register.Operator, Organization: "ordine"}}},
	} {
		if err := office.AddUser(t.Context(), register.System(), u, password); err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range []register.MailboxStatus{
		{Mailbox: register.Mailbox{Organization: "ordine", Register: "ist", ID: "pec"}, State: register.Watching},
		{Mailbox: register.Mailbox{Organization: "ordine", Register: "dis", ID: "dis"}, State: register.Failed, LastError: "the server refused the password (AUTHENTICATIONFAILED)"},
	} {
		m.LastSeen = time.Now()
		office.Report(m)
	}
	return &desk{Server: f, t: t, closings: closings}
}

// chromium starts a browser of the test's own.
func chromium(t *testing.T) context.Context {
	t.Helper()
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.DisableGPU, chromedp.IgnoreCertErrors, chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(1440, 900),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.Flag("lang", "it-IT"), chromedp.Flag("hide-scrollbars", true))
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	all, cancelAll := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, cancel := chromedp.NewContext(all)
	t.Cleanup(func() { cancel(); cancelAll() })
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("starting Chromium (./dev test installs it): %v", err)
	}
	return ctx
}

// deliver takes a message into custody as ingestion does, arrived some time
// ago.
func (d *desk) deliver(raw []byte, ago time.Duration) register.Pending {
	d.t.Helper()
	ctx := d.t.Context()
	w, err := d.office.CreateBlob(ctx, "ordine")
	if err != nil {
		d.t.Fatal(err)
	}
	defer w.Close()
	if _, err := w.Write(raw); err != nil {
		d.t.Fatal(err)
	}
	digest, size, err := w.Commit(ctx)
	if err != nil {
		d.t.Fatal(err)
	}
	a := pec.Read(ctx, bytes.NewReader(raw), size, pec.Options{Trust: d.trust})
	analysis, err := json.Marshal(a)
	if err != nil {
		d.t.Fatal(err)
	}
	s := register.Summary{Kind: string(a.Kind), Authenticity: string(a.Authenticity), Subject: a.Subject,
		From: register.Party{Name: a.From.Name, Address: a.From.Address, Role: "sender"}, MessageID: a.MessageID, Content: digest}
	_ = s.Content.UnmarshalText([]byte(a.ContentSHA256))
	if a.PEC != nil {
		s.Certified, s.Identifier = a.PEC.Time, a.PEC.Identifier
	}
	for _, at := range a.Attachments {
		doc := register.Document{Part: at.Part, Name: at.Name, MediaType: at.MediaType, Size: at.Size}
		if err := doc.SHA256.UnmarshalText([]byte(at.SHA256)); err != nil {
			d.t.Fatal(err)
		}
		s.Attachments = append(s.Attachments, doc)
	}
	for _, w := range a.Warnings {
		s.LookAlike = s.LookAlike || w.Code == pec.PECLookalike
	}
	p, err := d.office.Arrive(ctx, register.Arrival{Organization: "ordine", Mailbox: "pec", Message: digest, Size: size,
		ArrivedAt: time.Now().Add(-ago), Noticed: time.Now(), State: register.StatePending, Summary: s, Analysis: analysis})
	if err != nil {
		d.t.Fatal(err)
	}
	return p
}

// certified is a PEC message in its envelope.
func (d *desk) certified(m sample.Mail) []byte {
	d.t.Helper()
	sent, err := d.gestore.Submit(m.Bytes(), sample.Submission{Time: m.Date})
	if err != nil {
		d.t.Fatal(err)
	}
	raw, err := sent.Envelope()
	if err != nil {
		d.t.Fatal(err)
	}
	return raw
}

func mail(from, subject, text string, ago time.Duration, files ...sample.File) sample.Mail {
	return sample.Mail{From: from, To: "ordine@pec.example.it", Subject: subject, Text: text, Date: time.Now().Add(-ago),
		MessageID: fmt.Sprintf("%x@example.it", subject), Files: files}
}

// tab is one person's browser window. complaints are what the browser said
// against the page: refused by the policy, or failed in a script.
type tab struct {
	*desk
	ctx        context.Context
	t          *testing.T
	mu         sync.Mutex
	complaints []string
}

// tab opens a window with cookies of its own.
func (d *desk) tab(t *testing.T) *tab {
	t.Helper()
	b := &tab{desk: d, t: t}
	ctx, cancel := chromedp.NewContext(d.browser, chromedp.WithNewBrowserContext(), chromedp.WithListener(b.hear))
	t.Cleanup(cancel)
	b.ctx = ctx
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(1440, 900)); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, log.Enable, cdp.Empty{}); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, runtime.Enable, cdp.Empty{}); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *tab) hear(ev any) {
	var said string
	switch e := ev.(type) {
	case *log.EventEntryAdded:
		said = e.Entry.Text
	case *runtime.EventExceptionThrown:
		said = "exception: " + e.ExceptionDetails.Text
		if e.ExceptionDetails.Exception != nil {
			said += " " + e.ExceptionDetails.Exception.Description
		}
	default:
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.complaints = append(b.complaints, said)
}

// calm fails when the browser complained about anything but what is allowed.
func (b *tab) calm(allowed ...string) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.complaints {
		if !slices.ContainsFunc(allowed, func(a string) bool { return strings.Contains(c, a) }) {
			b.t.Errorf("the browser says: %s", c)
		}
	}
	b.complaints = nil
}

func (b *tab) within() (context.Context, context.CancelFunc) {
	return context.WithTimeout(b.ctx, browserWait)
}

func (b *tab) open(path string) {
	b.t.Helper()
	ctx, cancel := b.within()
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.Navigate(b.url+path)); err != nil {
		b.t.Fatalf("opening %s: %v", path, err)
	}
}

func (b *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := b.within()
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.t.Fatalf("%v; the page says:\n%s", err, b.text())
	}
}

// wait returns when the JavaScript condition holds, on this page or the one
// that follows it.
func (b *tab) wait(condition string) {
	b.t.Helper()
	ctx, cancel := b.within()
	defer cancel()
	script := `new Promise(done => {
		const look = () => { try { if (` + condition + `) { done(true); return true } } catch {} return false };
		if (look()) return;
		new MutationObserver(look).observe(document, {subtree: true, childList: true, attributes: true, characterData: true});
		addEventListener("load", look);
	})`
	for ctx.Err() == nil {
		// An error means that the page was left meanwhile.
		ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool](script, chromedp.EvalAwaitPromise))
		if err == nil && ok {
			return
		}
	}
	b.t.Fatalf("waiting for %s; the page says:\n%s", condition, b.text())
}

// see waits for words.
func (b *tab) see(words string) {
	b.t.Helper()
	quoted, err := json.Marshal(words)
	if err != nil {
		b.t.Fatal(err)
	}
	b.wait(`document.body.innerText.replace(/\s+/g, " ").includes(` + string(quoted) + `)`)
}

func (b *tab) click(selector string) {
	b.t.Helper()
	b.do(chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible))
}

func (b *tab) fill(selector, value string) {
	b.t.Helper()
	b.do(chromedp.SetValue(chromedp.CSS(selector), value))
}

func (b *tab) text() string {
	ctx, cancel := context.WithTimeout(b.ctx, 5*time.Second)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](`location.href + "\n" + document.body.innerText`))
	if err != nil {
		return err.Error()
	}
	return text
}

func evaluate[T any](b *tab, script string) T {
	b.t.Helper()
	ctx, cancel := b.within()
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("%s: %v", script, err)
	}
	return v
}

// signIn opens the page as somebody who has just come.
func (b *tab) signIn(user string) {
	b.t.Helper()
	b.open("/")
	b.see("Accesso al protocollo")
	b.fill("#u", user)
	b.fill("#p", password)
	b.click("button[type=submit]")
	b.wait(`document.querySelector(".pd-nav")`)
}

// listening returns when the page hears of news.
func (b *tab) listening() {
	b.t.Helper()
	b.wait(`document.documentElement.dataset.live`)
}

// shoot keeps a picture of the page for people to look at, when
// PROTODAEMON_SHOTS names a folder.
func (b *tab) shoot(name string, width int64) {
	b.t.Helper()
	folder := os.Getenv("PROTODAEMON_SHOTS")
	if folder == "" {
		return
	}
	picture, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("%s-%d.png", name, width)), picture, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

func (b *tab) width(w int64) {
	b.t.Helper()
	height := int64(900)
	if w < 700 {
		height = 740
	} else if w < 1000 {
		height = 1024
	}
	b.do(chromedp.EmulateViewport(w, height))
}

// axe is the source of the accessibility checker.
var axe = sync.OnceValues(func() (string, error) {
	b, err := os.ReadFile(filepath.Join("assets", "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		return "", fmt.Errorf("axe-core is missing: run ./dev test, or npm ci in web/assets (%w)", err)
	}
	return string(b), nil
})

// accessible checks the page as it is against WCAG 2.2 AA and good practice,
// and that nothing needs sideways scrolling.
func (b *tab) accessible(name string) {
	b.t.Helper()
	source, err := axe()
	if err != nil {
		b.t.Fatal(err)
	}
	for _, w := range []int64{1440, 768, 360, 320} {
		b.width(w)
		evaluate[int](b, source+"\n;0")
		found := evaluate[[]string](b, `axe.run(document, {runOnly: ["wcag2a","wcag2aa","wcag21a","wcag21aa","wcag22aa","best-practice"]}).then(r => r.violations.map(v => v.id + ": " + v.nodes.slice(0, 3).map(n => n.target.join(" ") + " " + (n.any[0]?.message || "")).join(" | ")))`)
		for _, f := range found {
			b.t.Errorf("%s at %d px: %s", name, w, f)
		}
		if wide := evaluate[int64](b, `document.documentElement.scrollWidth`); wide > w {
			b.t.Errorf("%s at %d px is %d px wide", name, w, wide)
		}
		if w != 320 {
			b.shoot(name, w)
		}
	}
	b.width(1440)
}
