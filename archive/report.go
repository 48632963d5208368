package archive

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/protodaemon/protodaemon/pdfa"
	"github.com/protodaemon/protodaemon/register"
)

// pdf writes the daily register for people, with the XML inside.
func (w writing) pdf(to io.Writer, data io.Reader) error {
	c := w.c
	o := pdfa.Options{
		Title:  "Registro giornaliero di protocollo " + w.day(c.Day) + " – " + c.Holder.Name,
		Author: c.Holder.Name, Subject: c.Name, Producer: c.Software, Created: c.ClosedAt, Landscape: true,
		Header: c.Holder.Name + " – " + c.Holder.RegisterName + " – registro giornaliero del " + w.day(c.Day),
		Footer: c.Name,
	}
	if c.Test {
		o.Mark = "PROVA"
	}
	d, err := pdfa.New(to, o)
	if err != nil {
		return err
	}
	d.Heading(1, "Registro giornaliero di protocollo del "+w.day(c.Day))
	if c.Test {
		d.Notice("Documento di prova, firmato con un certificato di prova: non ha valore legale.")
	}
	if c.Sequence > 0 {
		d.Notice(fmt.Sprintf("Supplemento n. %d: contiene quanto è avvenuto dopo la prima chiusura dello stesso giorno.", c.Sequence))
	}
	d.Facts(w.facts())
	var failed error
	d.Heading(2, "Registrazioni")
	if c.Entries == 0 {
		d.Paragraph("Nessuna registrazione.")
	} else {
		d.Table(pdfa.Table{Columns: entryColumns, Rows: w.rows(&failed, w.entryRow)})
		d.Paragraph(w.continuity())
	}
	if c.Changes > 0 {
		d.Heading(2, "Annullamenti e rettifiche")
		d.Table(pdfa.Table{Columns: changeColumns, Rows: w.rows(&failed, w.changeRow)})
	}
	if c.Entries > 0 {
		d.Heading(2, "Impronte dei documenti (SHA-256)")
		d.Table(pdfa.Table{Columns: digestColumns, Rows: w.rows(&failed, w.digestRows)})
	}
	d.Heading(2, "Prova di integrità")
	d.Facts(w.proof())
	d.Paragraph("I dati del registro sono allegati a questo documento nel file " + c.Name + ".xml, di cui questo è la forma leggibile.")
	d.Attach(pdfa.Attachment{
		Name: c.Name + ".xml", MediaType: mediaXML, Description: "Dati del registro giornaliero", Relationship: "Source",
		Modified: c.ClosedAt, Content: data,
	})
	return errors.Join(failed, d.Close())
}

// day writes YYYY-MM-DD as Italians do.
func (w writing) day(s string) string {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return s
	}
	return t.Format("02/01/2006")
}

func (w writing) clock(t time.Time) string { return t.In(w.location).Format("02/01/2006 15:04:05") }

func (w writing) facts() []pdfa.Fact {
	c := w.c
	facts := []pdfa.Fact{
		{Label: "Identificativo", Value: c.Name},
		{Label: "Amministrazione", Value: joined(" – ", c.Holder.Name, named("codice IPA ", c.Holder.IPACode), named("AOO ", c.Holder.AOOCode), named("codice fiscale ", c.Holder.TaxCode))},
		{Label: "Registro", Value: fmt.Sprintf("%s (codice %s), registro n. %d dell'anno %s", c.Holder.RegisterName, c.Register, c.Progressive, c.Day[:4])},
		{Label: "Chiuso il", Value: w.clock(c.ClosedAt) + " (ora di " + c.Holder.Timezone + ")"},
		{Label: officerLabel(c), Value: fmt.Sprintf("%s %s, codice fiscale %s, %s dal %s", c.Manager.Name, c.Manager.Surname, c.Manager.TaxCode, c.Manager.Deed, w.day(c.Manager.From))},
		{Label: "Soggetto produttore", Value: producer(c)},
		{Label: "Destinatario", Value: joined(", ", recipient(c).Name, named("codice fiscale ", recipient(c).TaxCode))},
		{Label: "Contenuto", Value: joined(" ", w.continuity(), changesSentence(c.Changes))},
		{Label: "Registrazioni riservate", Value: reservedWord(c)},
	}
	return facts
}

func officerLabel(c register.Closing) string {
	if c.Acting {
		return "Vicario del responsabile"
	}
	return "Responsabile"
}

func producer(c register.Closing) string {
	by := c.ClosedBy
	if by.User == register.System().User {
		return "chiusura automatica del sistema (" + c.Software + ")"
	}
	return joined(", ", or(by.Name+" "+by.Surname, "utente "+by.User), named("codice fiscale ", by.TaxCode), "con "+c.Software)
}

func changesSentence(n int) string {
	switch n {
	case 0:
		return ""
	case 1:
		return "Un annullamento o rettifica."
	}
	return fmt.Sprintf("%d annullamenti o rettifiche.", n)
}

func named(label, value string) string {
	if value == "" {
		return ""
	}
	return label + value
}

func joined(separator string, parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), separator)
}

func (w writing) proof() []pdfa.Fact {
	c := w.c
	facts := []pdfa.Fact{
		{Label: "Eventi del giornale", Value: fmt.Sprintf("dal n. %d al n. %d", c.After+1, c.Through)},
		{Label: "Impronta della catena", Value: c.Chain.String()},
		{Label: "Radice di Merkle", Value: c.Root.String()},
	}
	if c.Previous != nil {
		facts = append(facts, pdfa.Fact{Label: "Chiusura precedente", Value: c.Previous.Name + ", impronta " + c.Previous.SHA256.String()})
	}
	return facts
}

// rows are the rows that a function makes of each happening.
func (w writing) rows(failed *error, make func(register.Happening) [][]string) func(func([]string) bool) {
	stop := errors.New("enough")
	return func(yield func([]string) bool) {
		err := w.ev(func(h register.Happening) error {
			for _, r := range make(h) {
				if !yield(r) {
					return stop
				}
			}
			return nil
		})
		if err != nil && !errors.Is(err, stop) {
			*failed = errors.Join(*failed, err)
		}
	}
}

var entryColumns = []pdfa.Column{
	{Title: "Numero", Width: 8, Mono: true, Head: true}, {Title: "Ora", Width: 7}, {Title: "Verso", Width: 7},
	{Title: "Mittente o destinatario", Width: 23}, {Title: "Oggetto", Width: 32}, {Title: "Class.", Width: 6}, {Title: "Documento ricevuto", Width: 11},
	{Title: "Allegati", Width: 6, Right: true},
}

var directionWords = map[register.Direction]string{register.Incoming: "entrata", register.Outgoing: "uscita", register.Internal: "interno"}

func (w writing) entryRow(h register.Happening) [][]string {
	if h.Change != nil {
		return nil
	}
	e := h.Entry
	row := []string{e.Number, e.RegisteredAt.In(w.location).Format("15:04:05"), directionWords[e.Direction]}
	who, subject, more := parties(e), e.Subject, []string{e.Classification, "", fmt.Sprint(len(e.Attachments))}
	if r := e.SenderReference; r != nil {
		more[1] = joined(" del ", r.Number, w.day(r.Date))
	}
	if w.masked(e) {
		who, subject, more = maskedParty, maskedSubject, []string{"", "", ""}
	}
	if e.State == register.Lost {
		subject = joined(" – ", "PERDUTA", subject)
	}
	if e.Annulment != nil {
		subject = joined(" – ", "ANNULLATO", subject)
	}
	if h.Recovery != nil {
		subject = joined(" – ", subject, "registrata il "+w.day(e.Day)+", ripresa dopo un ripristino")
	}
	return [][]string{slices.Concat(row, []string{who, subject}, more)}
}

func parties(e register.Entry) string {
	var all []string
	for _, p := range e.Parties {
		name := joined(", ", p.Name, p.Address)
		if p.Role == "copy" {
			name += " (per conoscenza)"
		}
		all = append(all, name)
	}
	return strings.Join(all, "; ")
}

var changeColumns = []pdfa.Column{
	{Title: "Numero", Width: 12, Mono: true, Head: true}, {Title: "Del", Width: 8}, {Title: "Tipo", Width: 10}, {Title: "Ora", Width: 12},
	{Title: "Operatore", Width: 10}, {Title: "Motivo", Width: 20}, {Title: "Autorizzazione", Width: 14}, {Title: "Dati cambiati", Width: 20},
}

func (w writing) changeRow(h register.Happening) [][]string {
	if h.Change == nil {
		return nil
	}
	var fields []string
	for _, f := range h.Change.Fields {
		if w.masked(h.Entry) {
			f.Before, f.After = maskedParty, maskedParty
		}
		fields = append(fields, fmt.Sprintf("%s: da «%s» a «%s»", f.Field, f.Before, f.After))
	}
	kind := or(changes[h.Change.Kind], h.Change.Kind)
	if h.Change.Kind == "annulled" {
		kind = "ANNULLATO"
	}
	return [][]string{{fmt.Sprintf("%s/%d", h.Entry.Number, h.Entry.Year), w.day(h.Entry.Day), kind, w.clock(h.At),
		or(h.ByName, h.By), h.Change.Reason, h.Change.Authority, strings.Join(fields, "; ")}}
}

var digestColumns = []pdfa.Column{
	{Title: "Numero", Width: 8, Mono: true, Head: true}, {Title: "Documento", Width: 30}, {Title: "Byte", Width: 8, Right: true}, {Title: "SHA-256", Width: 46, Mono: true},
}

func (w writing) digestRows(h register.Happening) (rows [][]string) {
	e := h.Entry
	if h.Change != nil {
		return nil
	}
	if e.Size > 0 {
		rows = append(rows, []string{e.Number, "messaggio originale", fmt.Sprint(e.Size), e.Message.String()})
	}
	if w.masked(e) {
		return rows
	}
	for _, a := range e.Attachments {
		rows = append(rows, []string{e.Number, a.Name, fmt.Sprint(a.Size), a.SHA256.String()})
	}
	return rows
}
