package web

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/protodaemon/protodaemon/register"
)

// mishap is what a page of refusal says: the fact, what to do, and what only
// who gives assistance can read.
type mishap struct {
	Strong, Text string
	Details      string
	Retry        string // where the same can be asked again
}

// mishaps are the words for each status; what a refusal knows better replaces
// them.
var mishaps = map[int]mishap{
	http.StatusForbidden:             {Strong: "Questa parte è riservata.", Text: "Chi amministra il sistema può dare il permesso."},
	http.StatusNotFound:              {Strong: "Questa pagina non c’è.", Text: "L’indirizzo è sbagliato, oppure riguarda una gestione a cui non si è abilitati."},
	http.StatusConflict:              {Strong: "Non si può più fare.", Text: "Lo stato del messaggio è cambiato nel frattempo."},
	http.StatusUnprocessableEntity:   {Strong: "Un dato non va bene."},
	http.StatusBadRequest:            {Strong: "La richiesta non è arrivata intera.", Text: "Tornare indietro e riprovare."},
	http.StatusRequestEntityTooLarge: {Strong: "È troppo grande.", Text: "Si può mandare al massimo 1 MB di testo."},
	http.StatusServiceUnavailable: {Strong: "Il registro è fermo per sicurezza.",
		Text: "Nessun numero viene dato finché non è controllato. La posta continua ad arrivare."},
	http.StatusInternalServerError: {Strong: "Qualcosa non ha funzionato.",
		Text: "Nulla è andato perso: si può riprovare. Se succede ancora, dire a chi assiste il codice qui sotto."},
}

// unknownOutcome is said when nobody knows yet whether the number exists.
const unknownOutcome = "Non ripetere a mano: il sistema riparte, controlla e mostra qui l’esito."

// refusePage answers with a page that says in words what went wrong.
func (p *pages) refusePage(v *visit, w *response, err error) {
	if v.r.Context().Err() != nil && w.status == 0 {
		w.status = statusGone
		return
	}
	if w.status != 0 {
		panic(http.ErrAbortHandler)
	}
	refusal := p.problemOf(err, v.r.Method)
	page := view{Title: "Non riuscito", Content: p.mishap(v, refusal, err)}
	if again := p.render(v, refusal.Status, "error", page); again != nil {
		p.log.Error("the page of a refusal failed", "err", again)
		http.Error(w, "Qualcosa non ha funzionato. Riprovare fra poco.", http.StatusInternalServerError)
	}
}

func (p *pages) mishap(v *visit, refusal *Problem, err error) mishap {
	m, ok := mishaps[refusal.Status]
	if !ok {
		m = mishaps[http.StatusInternalServerError]
	}
	m.Details = strings.TrimSpace(fmt.Sprintf("%d %s %s", refusal.Status, refusal.Code, refusal.Incident))
	if v.r.Method == http.MethodGet {
		m.Retry = v.r.URL.RequestURI()
	}
	var missing *missingNumber
	if errors.As(err, &missing) {
		m.Text = "Il numero " + missing.number + "/" + missing.year + " non è ancora stato dato."
	}
	var state *register.StateError
	if errors.As(err, &state) {
		m.Strong, m.Text = p.standing(state.State, state.Decided), ""
	}
	var nobody *register.OfficerError
	if errors.As(err, &nobody) {
		m.Strong, m.Text = officerMissing, officerText(nobody)
	}
	if errors.Is(err, register.ErrClosedDay) {
		m.Strong, m.Text = "La giornata è già chiusa.", "Si registra e si annulla di nuovo dopo mezzanotte."
	}
	if errors.Is(err, register.ErrClock) {
		m.Text = "L’orologio del server è indietro rispetto all’ultima registrazione: nessun numero viene dato finché non è corretto. La posta continua ad arrivare."
	}
	return m
}

const officerMissing = "Manca il responsabile in carica: i giorni non si possono chiudere."

// officerFields are the Italian names of what an appointment says.
var officerFields = map[string]string{"name": "nome", "surname": "cognome", "tax_code": "codice fiscale", "deed": "atto di nomina", "from": "data di nomina"}

// officerText says what stands in the way of the manager and of the deputy.
func officerText(e *register.OfficerError) string {
	lack := func(l register.OfficerLack) string {
		switch {
		case l.Unnamed:
			return "non indicato"
		case len(l.Missing) > 0:
			var fields []string
			for _, f := range l.Missing {
				fields = append(fields, officerFields[f])
			}
			return "senza " + strings.Join(fields, ", ")
		}
		return "non in carica in questa data"
	}
	return "Responsabile " + lack(e.Manager) + ", vicario " + lack(e.Deputy) + ". Chi amministra il sistema completa la nomina nella configurazione."
}

// missingNumber is the error for an entry that does not exist.
type missingNumber struct {
	year, number string
	err          error
}

func (e *missingNumber) Error() string {
	return "entry " + e.year + "/" + e.number + ": " + e.err.Error()
}
func (e *missingNumber) Unwrap() error { return e.err }

// toSignIn sends a browser without a session to the sign-in, and back
// afterwards. What the page asks by itself only learns that it has to.
func (p *pages) toSignIn(v *visit) error {
	if v.r.Header.Get(liveHeader) != "" {
		http.Error(v.w, "Sessione scaduta", http.StatusUnauthorized)
		return nil
	}
	q := make(url.Values)
	if back := v.r.URL.RequestURI(); v.r.Method == http.MethodGet {
		q.Set("da", back)
	} else if from, err := url.Parse(v.r.Referer()); err == nil && from.Path != "" {
		q.Set("da", from.RequestURI())
	}
	if sessionToken(v.r) != "" {
		q.Set("scaduta", "1")
	}
	return redirect(v, "/accesso?"+q.Encode())
}
