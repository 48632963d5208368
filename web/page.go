package web

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/protodaemon/protodaemon/register"
)

//go:embed templates/*.html
var templateFiles embed.FS

// pages is the door for people: Italian pages made here, of plain links and
// forms. A GET shows, a POST calls one method of the register and redirects.
// The script of assets/app.js only makes them quicker to use: it asks for the
// same pages again and replaces what has changed.
type pages struct {
	*Server
	sessions *sessions
	waits    *waits
	drafts   drafts
	assets   *assets
	views    map[string]*template.Template
	// publicTLS: browsers reach us over TLS, whoever ends it.
	publicTLS bool
	demo      Demo // nil: this is no demonstration
}

func newPages(s *Server, publicURL string, demo Demo) (*pages, error) {
	a, err := loadAssets(embedded)
	if err != nil {
		return nil, err
	}
	p := &pages{Server: s, sessions: newSessions(context.Background(), s.office),
		publicTLS: strings.HasPrefix(publicURL, "https:"), waits: newWaits(s.office, s.log), assets: a, demo: demo}
	if p.views, err = p.parse(templateFiles); err != nil {
		return nil, err
	}
	return p, nil
}

// parse makes one template set for each page: the frame of all pages, the
// shared pieces, and the page.
func (p *pages) parse(files fs.FS) (map[string]*template.Template, error) {
	shared, err := template.New("").Funcs(p.functions()).ParseFS(files, "templates/layout.html", "templates/parts.html")
	if err != nil {
		return nil, fmt.Errorf("parsing the templates: %w", err)
	}
	all, err := fs.Glob(files, "templates/page_*.html")
	if err != nil {
		return nil, fmt.Errorf("parsing the templates: %w", err)
	}
	views := make(map[string]*template.Template)
	for _, f := range all {
		v, err := template.Must(shared.Clone()).ParseFS(files, f)
		if err != nil {
			return nil, fmt.Errorf("parsing the templates: %w", err)
		}
		name := strings.TrimSuffix(strings.TrimPrefix(path.Base(f), "page_"), ".html")
		views[name] = v
	}
	return views, nil
}

// open takes up what an earlier run left on its way, and close stops every
// clock.
func (p *pages) open(ctx context.Context) error { return p.waits.resume(ctx) }
func (p *pages) close()                         { p.waits.close() }

// unknown answers a browser at an address that no page has.
func (p *pages) unknown(w http.ResponseWriter, r *http.Request) {
	p.handler(pageRoute{"", "none", signedIn, func(*visit) error {
		return problem(http.StatusNotFound, "not-found", "there is no such page")
	}}).ServeHTTP(w, r)
}

const inBook = "/{org}/{register}"

// routes is the list of all pages.
func (p *pages) routes() []pageRoute {
	return []pageRoute{
		{"GET", "/accesso", anyone, p.signIn},
		{"POST", "/accesso", anyone, p.doSignIn},
		{"POST", "/esci", anyone, p.signOut},
		{"GET", "/assets/{name}", anyone, p.asset},

		{"GET", "/{$}", signedIn, p.start},
		{"GET", "/caselle", signedIn, p.mailboxesPage},
		{"POST", "/caselle/controlla", signedIn, p.look},

		{"GET", inBook + "/{$}", signedIn, p.today},
		{"GET", inBook + "/da-protocollare", signedIn, p.queue},
		{"GET", inBook + "/da-protocollare/{id}", signedIn, p.queue},
		{"GET", inBook + "/da-protocollare/{id}/corpo", signedIn, p.body},
		{"GET", inBook + "/da-protocollare/{id}/detto", signedIn, p.said},
		{"GET", inBook + "/da-protocollare/{id}/controlla", signedIn, p.check},
		{"GET", inBook + "/da-protocollare/{id}/rifiuta", signedIn, p.refuseForm},
		{"POST", inBook + "/da-protocollare/{id}", signedIn, p.submit},
		{"POST", inBook + "/da-protocollare/{id}/protocolla", signedIn, p.number},
		{"POST", inBook + "/da-protocollare/{id}/rifiuta", signedIn, p.doRefuse},
		{"POST", inBook + "/da-protocollare/{id}/attesa", signedIn, p.undo},
		{"POST", inBook + "/da-protocollare/carica", signedIn, p.lookAll},
		{"POST", inBook + "/da-protocollare/trascina", signedIn, p.drag},
		{"GET", inBook + "/da-protocollare/insieme", signedIn, p.bulk},
		{"POST", inBook + "/da-protocollare/insieme", signedIn, p.doBulk},
		{"GET", inBook + "/da-protocollare/insieme/esito", signedIn, p.bulkOutcome},
		{"GET", inBook + "/registro", signedIn, p.registerPage},
		{"GET", inBook + "/registro/{year}/{number}", signedIn, p.entryPage},
		{"GET", inBook + "/registro/{year}/{number}/annulla", signedIn, p.annulForm},
		{"POST", inBook + "/registro/{year}/{number}/annulla", signedIn, p.doAnnul},
		{"GET", inBook + "/chiusure", signedIn, p.closingsPage},
		{"POST", inBook + "/chiusure", signedIn, p.doClose},
		{"POST", inBook + "/chiusure/{id}/riprova", signedIn, p.doRetry},
		{"POST", inBook + "/chiusure/{id}/rapporto", signedIn, p.doReceive},
	}
}

// pageRoute is one line of the list of pages.
type pageRoute struct {
	method, path string
	access       access
	serve        func(*visit) error
}

// visit is one request for a page, and who makes it.
type visit struct {
	w     http.ResponseWriter
	r     *http.Request
	actor register.Actor
	ends  time.Time // of the session
}

// handler puts what every page has in common round it. What goes wrong is a
// page too.
func (p *pages) handler(rt pageRoute) http.Handler {
	shown := route{method: rt.method, path: rt.path, access: rt.access}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		out := &response{ResponseWriter: w, control: http.NewResponseController(w)}
		defer func() { p.finish(shown, r, out, start, recover()) }()
		pageHeaders(out.Header())
		r.Body = http.MaxBytesReader(out, r.Body, bodyBound(rt.path))
		if r.ContentLength != 0 {
			_ = out.control.SetReadDeadline(start.Add(bodyWait))
		}
		v := &visit{w: out, r: r}
		if err := p.answerPage(rt, v); err != nil {
			p.refusePage(v, out, err)
		}
	})
}

func (p *pages) answerPage(rt pageRoute, v *visit) error {
	if err := p.origins.Check(v.r); err != nil {
		return problem(http.StatusForbidden, "cross-origin", "a page of another site asked for this")
	}
	if rt.access == signedIn {
		var err error
		v.actor, v.ends, err = p.sessions.find(v.r)
		if errors.Is(err, register.ErrCredentials) {
			return p.toSignIn(v)
		}
		if err != nil {
			return err
		}
	}
	return rt.serve(v)
}

// policy is the content security policy of every page. Nothing may run or be
// shown but what we ship, and nobody may frame it.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; " +
	"connect-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

func pageHeaders(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", policy)
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}

// view is what every page shows round its own content.
type view struct {
	Title    string
	Section  string // of the navigation
	User     string
	Session  int // seconds until it ends
	Books    []bookLink
	Book     *bookLink // the one in use; nil: none
	Content  any
	Disabled bool     // no frame round the content
	Demo     *demoBar // nil: this is no demonstration
}

// bookLink is a register as the switch in the bar shows it.
type bookLink struct {
	Organization, ID   string
	Office, Name, Base string
	Pending            int
	Boxes              []register.Mailbox
}

// render runs the page's template into a buffer: half a page is worse than
// none.
func (p *pages) render(v *visit, status int, name string, page view) error {
	if p.demo != nil {
		page.Demo = &demoBar{p.demo.Waiting()}
	}
	if v.actor.User != "" {
		page.User = v.actor.Name
		if page.User == "" {
			page.User = v.actor.User
		}
		page.Session = int(time.Until(v.ends) / time.Second)
		if err := p.books(v, &page); err != nil {
			return err
		}
	}
	var b bytes.Buffer
	if err := p.views[name].ExecuteTemplate(&b, "layout", page); err != nil {
		return fmt.Errorf("rendering %s: %w", name, err)
	}
	v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	v.w.WriteHeader(status)
	_, _ = v.w.Write(b.Bytes())
	return nil
}

// books fills the switch of registers, with what waits in each.
func (p *pages) books(v *visit, page *view) error {
	boxes, err := p.office.Mailboxes(v.r.Context(), v.actor)
	if err != nil {
		return err
	}
	waiting := make(map[string]int)
	for _, b := range boxes {
		waiting[bookBase(b.Organization, b.Register)] += b.Pending
	}
	page.Books = p.bookLinks(v.actor)
	for i, l := range page.Books {
		page.Books[i].Pending = waiting[l.Base]
		if l.Organization == v.r.PathValue("org") && l.ID == v.r.PathValue("register") {
			page.Book = &page.Books[i]
		}
	}
	if page.Book == nil && len(page.Books) > 0 {
		page.Book = &page.Books[p.lastBook(v, page.Books)]
	}
	return nil
}

func (p *pages) bookLinks(a register.Actor) []bookLink {
	var all []bookLink
	for _, o := range p.office.Organizations(a) {
		for _, b := range o.Registers {
			all = append(all, bookLink{o.ID, b.ID, o.Name, b.Name, bookBase(o.ID, b.ID), 0, b.Mailboxes})
		}
	}
	return all
}

func bookBase(org, register string) string {
	return "/" + url.PathEscape(org) + "/" + url.PathEscape(register)
}

// lastBookCookie remembers the register that was used last, so that nobody
// has to choose again in every other page.
const lastBookCookie = "protodaemon-gestione"

func (p *pages) lastBook(v *visit, books []bookLink) int {
	if c, err := v.r.Cookie(lastBookCookie); err == nil {
		for i, b := range books {
			if url.QueryEscape(b.Base) == c.Value {
				return i
			}
		}
	}
	return 0
}

// book returns the register that the address names, and remembers it.
func (p *pages) book(v *visit) (bookLink, error) {
	org, reg := v.r.PathValue("org"), v.r.PathValue("register")
	for _, b := range p.bookLinks(v.actor) {
		if b.Organization == org && b.ID == reg {
			if c, err := v.r.Cookie(lastBookCookie); err != nil || c.Value != url.QueryEscape(b.Base) {
				http.SetCookie(v.w, cookie(lastBookCookie, url.QueryEscape(b.Base), p.secure(v.r), int(sessionWhole/time.Second)*60))
			}
			return b, nil
		}
	}
	return bookLink{}, fmt.Errorf("register %s/%s: %w", org, reg, register.ErrNotFound)
}

// secure tells whether the browser reached us over TLS.
func (p *pages) secure(r *http.Request) bool {
	return r.TLS != nil || p.publicTLS
}

func redirect(v *visit, to string) error {
	http.Redirect(v.w, v.r, to, http.StatusSeeOther)
	return nil
}

// start goes to the register used last.
func (p *pages) start(v *visit) error {
	books := p.bookLinks(v.actor)
	if len(books) == 0 {
		return fmt.Errorf("%w: no register", register.ErrForbidden)
	}
	return redirect(v, books[p.lastBook(v, books)].Base+"/")
}

func (p *pages) asset(v *visit) error { return p.assets.serve(v.w, v.r) }

// drafts are what people typed and have not confirmed, per person and
// message, in bounded memory.
type drafts struct {
	mu  sync.Mutex
	all map[string]*form
}

const draftsKept = 4096

func (d *drafts) put(user, id string, f *form) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.all == nil || len(d.all) >= draftsKept {
		d.all = make(map[string]*form)
	}
	d.all[user+"\x00"+id] = f
}

func (d *drafts) get(user, id string) *form {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.all[user+"\x00"+id]
}

func (d *drafts) drop(user, id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.all, user+"\x00"+id)
}
