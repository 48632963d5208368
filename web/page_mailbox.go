package web

import (
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/protodaemon/protodaemon/register"
)

// boxGroup is a register with its mailboxes, as «Caselle» shows them.
type boxGroup struct {
	Office, Name string
	Boxes        []box
}

type box struct {
	register.MailboxStatus
	Tone, Icon, Text, Sign string
	Detail, Todo           string
	How, HowMore           string
	MayLook                bool
}

func (p *pages) mailboxesPage(v *visit) error {
	all, err := p.office.Mailboxes(v.r.Context(), v.actor)
	if err != nil {
		return err
	}
	var groups []boxGroup
	tones := make(map[string]int)
	for _, b := range p.bookLinks(v.actor) {
		g := boxGroup{Office: b.Office, Name: b.Name}
		for _, m := range all {
			if m.Organization == b.Organization && m.Register == b.ID {
				shown := p.boxState(m)
				shown.MayLook = v.actor.Can(register.Work, b.Organization, b.ID)
				tones[shown.Tone]++
				g.Boxes = append(g.Boxes, shown)
			}
		}
		groups = append(groups, g)
	}
	return p.render(v, http.StatusOK, "mailboxes", view{Title: "Caselle", Section: "caselle", Content: struct {
		Groups  []boxGroup
		Summary string
	}{groups, boxSummary(tones)}})
}

func boxSummary(tones map[string]int) string {
	parts := []string{fmt.Sprintf("%d in ascolto", tones["ok"])}
	if n := tones["warn"]; n > 0 {
		parts = append(parts, fmt.Sprintf("%d da guardare", n))
	}
	if n := tones["bad"]; n > 0 {
		parts = append(parts, count(n, "non raggiungibile", "non raggiungibili"))
	}
	return strings.Join(parts, ", ") + "."
}

// boxState puts the state of a mailbox into words, and says what to do.
func (p *pages) boxState(m register.MailboxStatus) box {
	b := box{MailboxStatus: m, Sign: "ancora nessun segno di vita"}
	if !m.LastSeen.IsZero() {
		b.Sign = "ultimo segno di vita " + p.shortTime(m.LastSeen)
	}
	since := ""
	if !m.LastSeen.IsZero() {
		since = " dalle " + p.shortTime(m.LastSeen)
	}
	b.How, b.HowMore = "In attesa", "si saprà al primo collegamento"
	switch m.State {
	case register.Watching:
		b.Tone, b.Icon, b.Text = "ok", "it-check-circle", "In ascolto"
		b.How, b.HowMore = "Avviso immediato (IDLE)", ""
	case register.Polling:
		b.Tone, b.Icon, b.Text = "ok", "it-check-circle", "In ascolto a intervalli"
		b.How, b.HowMore = "Controllo a intervalli brevi", "il server non manda avvisi, o li promette e non li manda"
	case register.Connecting:
		b.Tone, b.Icon, b.Text = "warn", "it-refresh", "Si collega"
	case register.Backoff:
		b.Tone, b.Icon, b.Text = "warn", "it-clock", "Si ricollega"
		if m.LastSeen.IsZero() || time.Since(m.LastSeen) > 2*time.Minute {
			b.Tone, b.Icon, b.Text = "bad", "it-error", "Non raggiungibile"+since
		}
	case register.Failed:
		b.Tone, b.Icon, b.Text = "bad", "it-error", "Non raggiungibile"+since
	default:
		b.Tone, b.Icon, b.Text = "warn", "it-clock", "Non ancora controllata"
	}
	if b.Tone != "ok" && m.LastError != "" {
		b.Detail, b.Todo = m.LastError, remedy(m.LastError)
	}
	return b
}

// boxRemedies say what a person can do about what a server or network answered.
var boxRemedies = []struct{ sign, todo string }{
	{"auth", "Quasi sempre è scaduta la «password per programmi di posta» o è stata cambiata la password della casella. Creare una nuova password nel sito del gestore e passarla a chi amministra il sistema: la casella riparte da sola."},
	{"password", "Quasi sempre è scaduta la «password per programmi di posta» o è stata cambiata la password della casella. Creare una nuova password nel sito del gestore e passarla a chi amministra il sistema: la casella riparte da sola."},
	{"login", "Il server non accetta l’accesso: controllare con il gestore che la casella sia attiva e la password valida."},
	{"certificate", "Il certificato del server di posta non è valido o non è riconosciuto: avvisare chi amministra il sistema, che controlla indirizzo e certificati."},
	{"no such host", "Il nome del server di posta non esiste: avvisare chi amministra il sistema, che controlla la configurazione."},
	{"refused", "Il server di posta non risponde a quell’indirizzo. Si riprova da soli; se dura, chiedere al gestore se c’è un guasto."},
	{"quota", "La casella è piena: liberare spazio o ampliarla, perché il gestore può respingere la posta."},
	{"space", "Manca spazio sul disco del server: avvisare subito chi amministra il sistema."},
}

func remedy(problem string) string {
	text := strings.ToLower(problem)
	for _, r := range boxRemedies {
		if strings.Contains(text, r.sign) {
			return r.todo
		}
	}
	return "Si riprova da soli, a intervalli sempre più lunghi. Se dura più di qualche minuto, avvisare chi amministra il sistema."
}

func (p *pages) shortTime(t time.Time) string {
	t = t.In(p.zone)
	if time.Since(t) > 20*time.Hour {
		return t.Format("02/01 15:04")
	}
	return t.Format("15:04:05")
}

func lower(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToLower(r)) + s[n:]
}

// look asks a mailbox's owner to look now.
func (p *pages) look(v *visit) error {
	org, id := v.r.PostFormValue("ente"), v.r.PostFormValue("casella")
	if err := p.office.Sweep(v.r.Context(), v.actor, org, id); err != nil {
		return err
	}
	return redirect(v, "/caselle")
}
