package web

import (
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/protodaemon/protodaemon/register"
)

// reader is a browser without a script.
type reader struct {
	*desk
	t *testing.T
	*http.Client
}

func (d *desk) reader(t *testing.T) *reader {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	c := *d.client
	c.Jar = jar
	return &reader{desk: d, t: t, Client: &c}
}

// get and post follow redirects, as browsers do, and return the page.
func (r *reader) get(status int, path string) string {
	r.t.Helper()
	return r.ask(status, "GET", path, nil)
}

func (r *reader) post(status int, path string, values ...string) string {
	r.t.Helper()
	form := make(url.Values)
	for i := 0; i < len(values); i += 2 {
		form.Add(values[i], values[i+1])
	}
	return r.ask(status, "POST", path, form)
}

func (r *reader) ask(status int, method, path string, form url.Values) string {
	r.t.Helper()
	q, err := http.NewRequestWithContext(r.t.Context(), method, r.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		r.t.Fatal(err)
	}
	q.Header.Set("Accept", "text/html")
	if method == "POST" {
		q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		q.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	a, err := r.Do(q)
	if err != nil {
		r.t.Fatal(err)
	}
	defer a.Body.Close()
	page, err := io.ReadAll(a.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	if a.StatusCode != status {
		r.t.Errorf("%s %s: status %d, want %d\n%s", method, path, a.StatusCode, status, words(string(page)))
	}
	return string(page)
}

var spaces = regexp.MustCompile(`\s+`)

// words are what a page says.
func words(page string) string {
	return spaces.ReplaceAllString(anyTag.ReplaceAllString(page, " "), " ")
}

func (r *reader) says(page, want string) {
	r.t.Helper()
	if !strings.Contains(words(page), want) {
		r.t.Errorf("the page does not say %q:\n%s", want, words(page))
	}
}

func (r *reader) signIn(user string) string {
	r.t.Helper()
	return r.post(200, "/accesso", "utente", user, "password", password)
}

func TestPagesWithoutScript(t *testing.T) {
	d := newOfficeDesk(t)
	p := d.deliver(d.certified(mail("Comune di Borgolieto <protocollo@pec.example.it>", "Richiesta terna", "Testo.", time.Hour, pdf("a.pdf"))), time.Hour)
	unwanted := d.deliver(mail("x@example.it", "Offerta imperdibile", "Comprate.", time.Hour).Bytes(), time.Hour)
	one, two := d.reader(t), d.reader(t)
	one.says(one.get(200, inQueue), "Accesso al protocollo")
	one.says(one.signIn("g.rossi"), "Da protocollare")
	two.signIn("l.bianchi")

	here := inQueue + "/" + p.ID
	page := one.get(200, here)
	one.says(page, "PEC certificata. Ora certificata")
	one.says(page, "Controlla e protocolla")
	one.says(one.post(200, here, "oggetto", "", "mittente", "Comune", "classe", "9.9 Niente"), "2 campi da completare")
	one.says(one.get(200, here), "La classe 9.9 non esiste nel titolario")
	page = one.post(200, here, "oggetto", "Terna per il collaudo", "mittente", "Comune di Borgolieto", "classe", "1.1 Organi", "riferimento", "18422 del 23/11/2026")
	one.says(page, "Nessun numero è ancora assegnato.")
	one.says(page, "Terna per il collaudo")
	page = one.post(200, here+"/protocolla")
	one.says(page, "Protocollato")
	one.says(page, "0000001 /2026")
	year := time.Now().In(d.zone).Format("2006")
	page = one.get(200, "/ordine/ist/registro/"+year+"/0000001")
	one.says(page, "18422 del 23/11/2026")
	one.says(page, "Protocollata con il n. 0000001 da Giulia Rossi")

	// Who comes second is told who was first, and nothing of his is used.
	two.says(two.post(200, here, "oggetto", "Altro", "mittente", "x", "classe", "1.1"), "0000001")
	two.says(two.get(200, here), "Giulia Rossi")
	two.says(two.post(200, inQueue+"/"+unwanted.ID+"/rifiuta", "motivo", ""), "Scegliere o scrivere il motivo.")
	two.says(two.post(200, inQueue+"/"+unwanted.ID+"/rifiuta", "scelto", "Pubblicità"), "È già stato rifiutato da Luca Bianchi")
	one.says(one.post(200, inQueue+"/"+unwanted.ID, "oggetto", "x", "mittente", "x", "classe", "1.1"), "È già stato rifiutato da Luca Bianchi")

	one.says(one.get(404, "/ordine/ist/registro/"+year+"/0000999"), "Il numero 0000999/"+year+" non è ancora stato dato.")
	one.says(one.get(404, "/ordine/altro/"), "Questa pagina non c’è.")
	one.says(one.get(404, "/niente"), "Questa pagina non c’è.")
	one.says(one.get(200, "/ordine/ist/registro?q=terna"), "Terna per il collaudo")
	one.says(one.get(200, "/ordine/ist/registro?dal=ieri"), "non è una data")
}

func TestManyAreConfirmedTogether(t *testing.T) {
	d := newOfficeDesk(t)
	var ids []string
	for _, s := range []string{"Primo", "Secondo", "Terzo"} {
		ids = append(ids, d.deliver(d.certified(mail("a@pec.example.it", s, "Testo.", time.Hour)), time.Hour).ID)
	}
	fake := d.deliver(mail("Posta Certificata <x@y.example>", "POSTA CERTIFICATA: fattura", "Pagare.", time.Hour).Bytes(), time.Hour)
	r, other := d.reader(t), d.reader(t)
	r.signIn("g.rossi")
	other.signIn("l.bianchi")
	all := inQueue + "/insieme"
	page := r.get(200, all+"?id="+strings.Join(append(ids, fake.ID), "&id="))
	r.says(page, "Conferma di 4 messaggi: controllo prima dei numeri")
	r.says(page, "Escluso: imita una PEC")
	r.says(r.post(200, all, "id", ids[0], "tutti", ids[0]), "Nulla è stato protocollato:")
	// The second is confirmed by somebody else a moment before.
	a, err := d.office.Account(t.Context(), "l.bianchi")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.office.Confirm(t.Context(), a, ids[1], register.Confirmation{Classification: "1.1"}); err != nil {
		t.Fatal(err)
	}
	page = r.post(200, all, "id", ids[0], "id", ids[1], "id", ids[2], "id", fake.ID, "classe", "1.1")
	r.says(page, "2 messaggi protocollati, 1 lo era già")
	r.says(page, "Numeri da 0000002 a 0000003.")
	r.says(page, "già protocollato da Luca Bianchi")
	if p, err := d.office.Pending(t.Context(), register.System(), fake.ID); err != nil || p.State != register.StatePending {
		t.Errorf("the look-alike is %s, %v", p.State, err)
	}
}

func TestSignIn(t *testing.T) {
	d := newOfficeDesk(t)
	r := d.reader(t)
	r.says(r.post(401, "/accesso", "utente", "g.rossi", "password", "no"), "Nome o password non corretti.")
	r.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	for _, away := range []string{"https://evil.example", "//evil.example/x", `/\evil.example`, "/ok?x=1"} {
		q, err := r.PostForm(r.url+"/accesso", url.Values{"utente": {"g.rossi"}, "password": {password}, "da": {away}})
		if err != nil {
			t.Fatal(err)
		}
		q.Body.Close()
		want := "/"
		if away == "/ok?x=1" {
			want = away
		}
		if got := q.Header.Get("Location"); q.StatusCode != http.StatusSeeOther || got != want {
			t.Errorf("after %q: %d to %q", away, q.StatusCode, got)
		}
		for _, c := range q.Cookies() {
			if c.Name != "__Host-protodaemon" || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || len(c.Value) < 26 {
				t.Errorf("the cookie is %v", c)
			}
		}
	}
	r.get(200, "/caselle")

	// Another site can make nothing happen.
	q, err := http.NewRequestWithContext(t.Context(), "POST", r.url+"/esci", nil)
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Sec-Fetch-Site", "cross-site")
	if a, err := r.Do(q); err != nil || a.StatusCode != http.StatusForbidden {
		t.Errorf("a request of another site: %v %v", a.StatusCode, err)
	}
	r.get(200, "/caselle")

	// The API knows the session; a new password ends it.
	r.get(200, "/api/v1/organizations")
	if err := d.office.SetPassword(t.Context(), register.System(), "g.rossi", "un’altra password lunga"); err != nil {
		t.Fatal(err)
	}
	r.get(303, "/caselle")
	r.get(401, "/api/v1/organizations")
	r.post(303, "/accesso", "utente", "g.rossi", "password", "un’altra password lunga")
	r.get(200, "/caselle")
	r.post(303, "/esci")
	r.get(303, "/caselle")
}

func TestSessionsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newServer(t)
		a, err := d.office.Account(t.Context(), "g.rossi")
		if err != nil {
			t.Fatal(err)
		}
		token, err := d.pages.sessions.open(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		ask := func(header ...string) error {
			r := httptest.NewRequest("GET", "/", nil)
			r.AddCookie(cookie(sessionCookie(true), token, true, 0))
			for _, h := range header {
				r.Header.Set(h, "1")
			}
			_, _, err := d.pages.sessions.find(r)
			return err
		}
		for range 5 { // in use
			time.Sleep(sessionIdle - time.Minute)
			if err := ask(); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(sessionIdle - time.Minute)
		if err := ask(liveHeader); err != nil {
			t.Fatal(err)
		}
		// What the page asked by itself has prolonged nothing.
		time.Sleep(2 * time.Minute)
		if err := ask(); !errors.Is(err, register.ErrCredentials) {
			t.Errorf("unused, it holds: %v", err)
		}
		if token, err = d.pages.sessions.open(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		for began := time.Now(); time.Since(began) < sessionWhole; time.Sleep(time.Hour) {
			if err := ask(); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Second)
		if err := ask(); !errors.Is(err, register.ErrCredentials) {
			t.Errorf("after a whole day it holds: %v", err)
		}
	})
}

func TestPageHeaders(t *testing.T) {
	d := newOfficeDesk(t)
	r := d.reader(t)
	r.signIn("g.rossi")
	for _, path := range []string{"/accesso", "/ordine/ist/", inQueue, "/ordine/ist/registro", "/caselle", "/niente"} {
		q, err := http.NewRequestWithContext(t.Context(), "GET", r.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		q.Header.Set("Accept", "text/html")
		a, err := r.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		page, err := io.ReadAll(a.Body)
		a.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]string{"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff",
			"Referrer-Policy": "same-origin", "Cache-Control": "no-store"} {
			if got := a.Header.Get(name); got != want {
				t.Errorf("%s: %s is %q", path, name, got)
			}
		}
		if regexp.MustCompile(`<script>|<style|\sstyle=|\son[a-z]+=|javascript:`).Match(page) {
			t.Errorf("%s has something inline", path)
		}
	}
}

func TestAssets(t *testing.T) {
	d := newOfficeDesk(t)
	for _, name := range []string{"app.css", "app.js", "frame.css", "icon.svg"} {
		at := d.pages.assets.url(name)
		w := httptest.NewRecorder()
		q := httptest.NewRequest("GET", at, nil)
		q.Header.Set("Accept-Encoding", "gzip")
		d.ServeHTTP(w, q)
		if w.Code != 200 || w.Body.Len() == 0 {
			t.Errorf("%s: %d", at, w.Code)
		}
		if built := d.pages.assets.names != nil; built && (w.Header().Get("Content-Encoding") != "gzip" || !strings.Contains(w.Header().Get("Cache-Control"), "immutable")) {
			t.Errorf("%s: %v", at, w.Header())
		}
	}
	for _, path := range []string{"/assets/niente.js", "/assets/..%2fassets.go", "/assets/manifest", "/assets/app.css.gz"} {
		w := httptest.NewRecorder()
		d.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}

func TestLateness(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Rome")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 24, 9, 41, 0, 0, zone) // a Tuesday
	for _, c := range []struct {
		since     time.Time
		age, late string
	}{
		{now.Add(-30 * time.Second), "ora", ""},
		{now.Add(-99 * time.Minute), "1 h 39 min", ""},
		{time.Date(2026, 11, 23, 17, 42, 0, 0, zone), "15 h", "soon"},
		{time.Date(2026, 11, 23, 8, 12, 0, 0, zone), "1 g 1 h", "late"},
		{time.Date(2026, 11, 20, 23, 0, 0, 0, zone), "3 g 10 h", "late"},
	} {
		if got := age(now.Sub(c.since)); got != c.age {
			t.Errorf("%v: age %q, want %q", c.since, got, c.age)
		}
		if got := lateness(c.since, now, zone); got != c.late {
			t.Errorf("%v: %q, want %q", c.since, got, c.late)
		}
	}
	friday := time.Date(2026, 11, 20, 18, 0, 0, 0, zone)
	if got := lateness(friday, time.Date(2026, 11, 22, 20, 0, 0, 0, zone), zone); got != "" {
		t.Errorf("a weekend counts: %q", got)
	}
}

func TestCleanBody(t *testing.T) {
	for in, want := range map[string]string{
		`<p onclick="x()">a <a href="https://real.example/x">banca.example</a></p>`:      `<p>a banca.example <span class="host">real.example</span></p>`,
		`<img src="https://spy.example/p.gif"><img src="cid:1">b`:                        `b`,
		`<style>p{color:red}</style><script>x</script>c`:                                 `c`,
		`<a href="javascript:alert(1)">d</a>`:                                            `d`,
		`<div style="position:fixed" class="host" id="contenuto">e</div>`:                `<div>e</div>`,
		`<a href="mailto:a@b.example">scrivi</a>`:                                        `scrivi <span class="host">a@b.example</span>`,
		`<table><tr><td colspan="2" bgcolor="red">f</td></tr></table>`:                   `<table><tr><td colspan="2">f</td></tr></table>`,
		`<iframe src="/accesso"></iframe><form action="/esci"><button>g</button></form>`: `g`,
		`<meta http-equiv=refresh content="0;url=//x"><base href="//x"><link rel=x>h`:    `h`,
	} {
		if got, _ := cleanBody(in); strings.TrimSpace(got) != want {
			t.Errorf("%s\n gives %s\n  want %s", in, got, want)
		}
	}
	if _, remote := cleanBody(`<img src="http://a/1"><img src="https://b/2"><img src="cid:3">`); remote != 2 {
		t.Errorf("%d remote images", remote)
	}
}

// TestWaits: the number is given when it is due and not before, a clock that
// is stopped waits, and what an earlier run left on its way is completed.
func TestWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newServer(t)
		p := d.deliver(mail("a@example.it", "Prova", "Testo.", 0).Bytes(), 0)
		state := func() register.State {
			t.Helper()
			now, err := d.office.Pending(t.Context(), register.System(), p.ID)
			if err != nil {
				t.Fatal(err)
			}
			return now.State
		}
		s := d.pages.waits
		w := wait{Organization: "ordine", Register: "ist", ID: p.ID, User: "g.rossi", UserName: "Giulia Rossi", Subject: "Prova",
			Confirmation: register.Confirmation{Classification: "1.1"}}
		place := func() {
			t.Helper()
			if by, err := s.place(t.Context(), w); by != "" || err != nil {
				t.Fatal(by, err)
			}
		}
		place()
		if by, _ := s.place(t.Context(), wait{ID: p.ID, User: "l.bianchi"}); by != "Giulia Rossi" {
			t.Errorf("the second is told of %q", by)
		}
		if _, err := s.cancel(t.Context(), "l.bianchi", p.ID); err == nil {
			t.Error("somebody else can call it back")
		}
		time.Sleep(undoTime - time.Second)
		if _, err := s.cancel(t.Context(), "g.rossi", p.ID); err != nil {
			t.Fatal(err)
		}
		time.Sleep(undoTime)
		if got := state(); got != register.StatePending {
			t.Errorf("called back, it is %s", got)
		}
		place()
		time.Sleep(5 * time.Second)
		if err := s.hold(t.Context(), "g.rossi", p.ID); err != nil {
			t.Fatal(err)
		}
		time.Sleep(holdTime - time.Second)
		if got := s.of("g.rossi")[0].seconds(); got != 5 || state() != register.StatePending {
			t.Errorf("stopped, the clock shows %d, the message is %s", got, state())
		}
		// The daemon ends and begins again.
		s.close()
		again := newWaits(d.office, d.log)
		if err := again.resume(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := again.goOn(t.Context(), "g.rossi", p.ID); err != nil {
			t.Fatal(err)
		}
		time.Sleep(4 * time.Second)
		if got := state(); got != register.StatePending {
			t.Errorf("a second before, it is %s", got)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		again.close()
		if got := state(); got != register.StateConfirmed {
			t.Errorf("after its time it is %s", got)
		}
		if o, ok := again.lastOf("g.rossi"); !ok || o.Err != nil || o.Entry.Number != "0000001" {
			t.Errorf("the outcome is %+v", o)
		}
		if third := newWaits(d.office, d.log); third.resume(t.Context()) != nil || len(third.all) != 0 {
			t.Errorf("%d are noted for ever", len(third.all))
		}
	})
}
