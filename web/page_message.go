package web

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/protodaemon/protodaemon/pec"
	"github.com/protodaemon/protodaemon/register"
)

// message is the open message of «Da protocollare»: what is known of it, the
// form, the preview, or how it was decided.
type message struct {
	register.Detail
	Base           string // of the message's addresses
	List           string // the address of the list, filters included
	Said           *pec.Analysis
	Title          string
	At, Of         int // place in the queue; 0: it is not in it
	Prev, Next     string
	Proof          proof
	Twins          []twin
	Receipt        string
	Risky          bool // the primary button is another one
	LookAlike      bool
	Standing       string
	Form           *form
	Plan           []register.Class
	Chips          []chip
	Because        string
	LastNumber     string
	Files          []file
	ReadFrom       string   // the file that the sender's number was read from
	Insides        []remark // what signed messages lie in it
	Paragraphs     []string
	ByProvider     bool     // nobody wrote them: the text is the provider's
	Earlier        []string // messages that are repeated
	Notes          []string // signature and notices
	Frame          string   // class of the frame's height; "": the body is text
	RemoteImages   int
	Story          []step
	Watching       string
	Mine           bool // on its way by the same person
	Entry          *entryView
	NextTitle      string
	Recent         []register.EntryDetail
	MayWork        bool
	Raw            string
	BoxAddress     string
	Undo           int
	RejectedReason string
}

// proof is the sentence of authenticity. State is the judgement, "lookalike"
// for what only looks like certified mail.
type proof struct {
	State, Tone, Icon string
	Certified         *time.Time
	Provider, Since   string
	Subject           string
	Clues             []string
}

// twin is another occurrence of the same message.
type twin struct{ Kind, Number, Link string }

// chip is a suggestion.
type chip struct {
	Key   int
	Value string
	Text  string
	Why   string
	Taken bool
}

// step is a moment of a message's or entry's history.
type step struct {
	At        time.Time
	Text      string
	Was, Is   string
	Important bool
}

func (p *pages) message(ctx context.Context, v *visit, b bookLink, id string, q *queue) (*message, error) {
	d, err := p.office.Pending(ctx, v.actor, id)
	if err != nil {
		return nil, err
	}
	if d.Organization != b.Organization || d.Register != b.ID {
		return nil, fmt.Errorf("pending entry %s: %w", id, register.ErrNotFound)
	}
	m := &message{Detail: d, Base: b.Base + "/da-protocollare/" + id, List: b.Base + "/da-protocollare" + q.Query.String(),
		Title: subject(d.Summary), Said: new(pec.Analysis), MayWork: v.actor.Can(register.Work, b.Organization, b.ID),
		Raw: "/api/v1/pending/" + id + "/raw", BoxAddress: boxAddress(q.Boxes, d.Mailbox), Undo: int(undoTime / time.Second)}
	if len(d.Analysis) > 0 {
		if err := json.Unmarshal(d.Analysis, m.Said); err != nil {
			return nil, fmt.Errorf("reading the analysis of %s: %w", id, err)
		}
	}
	m.place(q)
	m.LookAlike = d.Summary.LookAlike
	m.Risky = m.LookAlike || d.Summary.Authenticity == string(pec.Broken)
	m.Proof = p.proof(d)
	m.Files = files(d)
	m.Insides = insides(m.Said.Contained)
	m.Twins = twins(b, d.Duplicates)
	m.Receipt = receipt(m.Said)
	m.Story = p.story(d, m.BoxAddress)
	p.preview(ctx, v, m)
	if err := p.decided(ctx, v, b, m); err != nil {
		return nil, err
	}
	if m.Entry != nil || m.Standing != "" {
		return m, nil
	}
	return m, p.openForm(ctx, v, b, m)
}

// place finds the message's neighbours in the queue.
func (m *message) place(q *queue) {
	at := slices.IndexFunc(q.Rows, func(r row) bool { return r.ID == m.ID })
	m.Of = len(q.Rows)
	link := func(i int) string {
		return q.Base + "/da-protocollare/" + q.Rows[i].ID + q.Query.String()
	}
	if at < 0 {
		if len(q.Rows) > 0 {
			m.Next, m.NextTitle = link(0), q.Rows[0].Subject
		}
		return
	}
	q.Rows[at].Current = true
	m.At = at + 1
	if at > 0 {
		m.Prev = link(at - 1)
	}
	if at+1 < len(q.Rows) {
		m.Next, m.NextTitle = link(at+1), q.Rows[at+1].Subject
	}
}

// decided fills in how the message was decided, if it was.
func (p *pages) decided(ctx context.Context, v *visit, b bookLink, m *message) error {
	if w, ok := p.waits.on(m.ID); ok {
		m.Watching, m.Mine = w.UserName, w.User == v.actor.User
		if m.Mine {
			m.Standing = "Sta per avere il numero."
			return nil
		}
	}
	switch m.State {
	case register.StatePending, register.StateQuarantined:
		return nil
	case register.StateConfirmed:
		year, number, err := splitEntry(m.Detail.Entry)
		if err != nil {
			return err
		}
		e, err := p.office.Entry(ctx, v.actor, b.Organization, b.ID, year, number)
		if err != nil {
			return err
		}
		plan, err := p.office.Classes(ctx, v.actor, b.Organization)
		if err != nil {
			return err
		}
		shown := p.entryView(b, e)
		shown.Class = cmp.Or(className(plan, e.Classification), e.Classification)
		m.Entry = &shown
		recent, err := p.office.Entries(ctx, v.actor, b.Organization, b.ID, register.EntryQuery{Limit: 4})
		if err != nil {
			return err
		}
		m.Recent = slices.DeleteFunc(recent.Items, func(r register.EntryDetail) bool { return r.Number == e.Number && r.Year == e.Year })
		m.Recent = m.Recent[:min(3, len(m.Recent))]
		return nil
	}
	m.Standing = p.standing(m.State, m.Decided)
	if m.Decided != nil {
		m.RejectedReason = m.Decided.Reason
	}
	return nil
}

// said answers how a message was decided in two lines of text, for the row
// and for the page of whoever has it open: who confirms second is told who was
// first.
func (p *pages) said(v *visit) error {
	if _, err := p.book(v); err != nil {
		return err
	}
	d, err := p.office.Pending(v.r.Context(), v.actor, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	var by string
	if d.Decided != nil {
		by = person(d.Decided.Name, d.Decided.By)
	}
	short, long := "", ""
	switch d.State {
	case register.StateConfirmed:
		number := numberOf(d.Entry)
		short = "Protocollato da " + by + ": " + number
		long = "Era già protocollato: " + number + ", " + by + ", " + d.Decided.At.In(p.zone).Format("15:04:05") + "."
	case register.StateRejected:
		short, long = "Rifiutato da "+by, p.standing(d.State, d.Decided)
	case register.StateWithdrawn:
		short, long = "Ritirato dalla cartella", "Ritirato: il messaggio è stato trascinato fuori dalla cartella."
	}
	v.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(v.w, short+"\n"+long)
	return nil
}

// proof finds the words for what the provider's signature is worth.
func (p *pages) proof(d register.Detail) proof {
	s := d.Summary
	t := marks[s.Authenticity]
	out := proof{State: s.Authenticity, Tone: t.Tone, Icon: t.Icon, Certified: s.Certified, Since: p.since(d.ArrivedAt, s.Certified)}
	var said pec.Analysis
	if json.Unmarshal(d.Analysis, &said) == nil {
		out.Subject = said.EnvelopeSubject
		if said.PEC != nil {
			out.Provider = said.PEC.Provider
		}
		if out.Provider == "" {
			out.Provider = said.Signature.Signer
		}
		for _, w := range said.Warnings {
			if w.Code == "pec-lookalike" {
				out.Clues = append(out.Clues, w.Detail)
			}
		}
		if s.Authenticity == string(pec.Broken) || s.Authenticity == string(pec.Untrusted) {
			out.Clues = append(out.Clues, said.Signature.Problems...)
		}
	}
	switch {
	case s.LookAlike:
		out.State, out.Tone, out.Icon, out.Certified = "lookalike", "bad", "it-error", nil
	case s.Authenticity == string(pec.Unsigned):
		out.Tone = "grey"
	}
	if out.Certified == nil || s.Authenticity == string(pec.Broken) {
		out.Since = p.since(d.ArrivedAt, nil)
	}
	return out
}

func twins(b bookLink, all []register.Duplicate) []twin {
	var out []twin
	for _, d := range all {
		switch {
		case d.Entry != "":
			out = append(out, twin{d.Kind, numberOf(d.Entry), entryPath(b.Organization, d.Entry)})
		case d.Pending != "":
			out = append(out, twin{d.Kind, "", b.Base + "/da-protocollare/" + d.Pending})
		default:
			out = append(out, twin{d.Kind, "", ""})
		}
	}
	return out
}

// receipts are the names of what providers send about a message of ours
// (RFC 6109 §3).
var receipts = map[string]string{
	"accettazione":              "una ricevuta di accettazione",
	"non-accettazione":          "un avviso di non accettazione",
	"presa-in-carico":           "una ricevuta di presa in carico",
	"avvenuta-consegna":         "una ricevuta di consegna",
	"errore-consegna":           "un avviso di mancata consegna",
	"preavviso-errore-consegna": "un preavviso di mancata consegna",
	"rilevazione-virus":         "un avviso di virus",
}

func receipt(a *pec.Analysis) string {
	if a.Kind != pec.PECReceipt || a.PEC == nil {
		return ""
	}
	if name, ok := receipts[a.PEC.Type]; ok {
		return name
	}
	return "una ricevuta"
}

// story is what is known of a message's way, in order of time.
func (p *pages) story(d register.Detail, box string) []step {
	var all []step
	if d.Summary.Certified != nil && d.Summary.Authenticity == string(pec.Certified) {
		all = append(all, step{At: *d.Summary.Certified, Text: "Ora certificata dal gestore"})
	}
	all = append(all, step{At: d.ArrivedAt, Text: "Arrivata nella casella " + box},
		step{At: d.IngestedAt, Text: "Vista in sfera_msg_da_prot e presa in carico, originale conservato"})
	if c := d.Decided; c != nil {
		switch d.State {
		case register.StateRejected:
			all = append(all, step{At: c.At, Text: "Rifiutata da " + person(c.Name, c.By) + ": " + c.Reason, Important: true})
		case register.StateConfirmed:
			all = append(all, step{At: c.At, Text: "Protocollata con il n. " + numberOf(d.Entry) + " da " + person(c.Name, c.By), Important: true})
		}
	}
	if d.Place != nil {
		all = append(all, step{At: d.Place.At, Text: placed[d.Place.Outcome]})
	}
	return all
}

// placed says how the act on the mail server ended.
var placed = map[register.Outcome]string{
	register.Moved:    "Messaggio spostato in sfera_msg_prot, copia verificata",
	register.Copied:   "Messaggio copiato in sfera_msg_prot; l’originale resta segnato come eliminato, perché il server non sa spostare",
	register.Returned: "Messaggio tornato nella posta in arrivo",
	register.Filed:    "Messaggio messo in sfera_msg_prot: nella posta in arrivo c’è ancora l’originale",
}
