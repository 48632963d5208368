package web

import (
	"errors"
	"net/http"
	"strings"

	"github.com/protodaemon/protodaemon/register"
)

// signInPage is what the page of the sign-in shows.
type signInPage struct {
	Office          string // the organization, when there is only one
	User, Back      string
	Error, ErrorMan string // the fact and what to do
	Expired         bool
}

func (p *pages) signIn(v *visit) error {
	if _, _, err := p.sessions.find(v.r); err == nil {
		return redirect(v, local(v.r.FormValue("da")))
	}
	return p.showSignIn(v, http.StatusOK, signInPage{
		Back: v.r.FormValue("da"), Expired: v.r.FormValue("scaduta") != ""})
}

func (p *pages) showSignIn(v *visit, status int, s signInPage) error {
	if all := p.office.Organizations(register.System()); len(all) == 1 {
		s.Office = all[0].Name
	}
	return p.render(v, status, "signin", view{Title: "Accesso", Content: s, Disabled: true})
}

// doSignIn opens a session. Attempts are throttled by the register, per name,
// and here, per address.
func (p *pages) doSignIn(v *visit) error {
	name, password := v.r.PostFormValue("utente"), v.r.PostFormValue("password")
	s := signInPage{User: name, Back: v.r.PostFormValue("da")}
	from := p.client(v.r)
	if p.throttle.wait(from) > 0 {
		return p.signInRefused(v, s, register.ErrThrottled)
	}
	a, err := p.office.Login(v.r.Context(), name, password)
	if errors.Is(err, register.ErrCredentials) {
		p.throttle.failed(from)
		return p.signInRefused(v, s, err)
	}
	if err != nil {
		return err
	}
	if err := p.sessions.end(v.r); err != nil {
		return err
	}
	token, err := p.sessions.open(v.r.Context(), a)
	if err != nil {
		return err
	}
	secure := p.secure(v.r)
	http.SetCookie(v.w, cookie(sessionCookie(secure), token, secure, 0))
	return redirect(v, local(s.Back))
}

func (p *pages) signInRefused(v *visit, s signInPage, err error) error {
	s.Error, s.ErrorMan = "Nome o password non corretti.", "Dopo alcuni tentativi sbagliati l’accesso si ferma per qualche minuto."
	status := http.StatusUnauthorized
	if errors.Is(err, register.ErrThrottled) {
		s.Error, s.ErrorMan = "Troppi tentativi.", "L’accesso è fermo per qualche minuto; poi si può riprovare."
		status = http.StatusTooManyRequests
	}
	return p.showSignIn(v, status, s)
}

func (p *pages) signOut(v *visit) error {
	if err := p.sessions.end(v.r); err != nil {
		return err
	}
	for _, secure := range []bool{true, false} {
		if secure && !p.secure(v.r) {
			continue
		}
		http.SetCookie(v.w, cookie(sessionCookie(secure), "", secure, -1))
	}
	return redirect(v, "/accesso")
}

// local keeps a redirect on this site: a path of ours, or the start.
func local(path string) string {
	if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.ContainsAny(path, "\\\r\n\t") {
		return "/"
	}
	return path
}
