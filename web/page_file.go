package web

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/protodaemon/protodaemon/document"
	"github.com/protodaemon/protodaemon/pec"
	"github.com/protodaemon/protodaemon/register"
)

// file is one attachment, or a file in one, as a page shows it.
type file struct {
	Name, Kind, Icon, Size, Digest string
	// Said are lines about it: who signed it and whether that fits, what document
	// it is, what could not be read.
	Said    []remark
	Danger  string
	Blocked bool
	Link    string
	Inside  []file
}

// remark is one line; Tone is ok, warn, bad or empty.
type remark struct{ Tone, Text string }

// files prepares the attachments for the preview. Those of a look-alike that
// could run are not offered here.
func files(d register.Detail) []file {
	var analysis pec.Analysis
	facts := map[string]document.Facts{}
	if json.Unmarshal(d.Analysis, &analysis) == nil {
		for _, a := range analysis.Attachments {
			facts[a.Part] = a.Facts
		}
	}
	base := "/api/v1/pending/" + d.ID + "/attachments/"
	var all []file
	for _, a := range d.Summary.Attachments {
		f := oneFile(a.Name, a.MediaType, a.Size, base+a.Part)
		f.Digest = shortDigest(a.SHA256)
		f.tell(facts[a.Part], base+a.Part+"~")
		all = append(all, f)
	}
	if d.Summary.LookAlike {
		block(all)
	}
	return all
}

func block(all []file) {
	for i := range all {
		all[i].Blocked = all[i].Danger != ""
		block(all[i].Inside)
	}
}

func oneFile(name, mediaType string, n int64, link string) file {
	k := media(mediaType, name)
	f := file{Name: strings.TrimSpace(name), Kind: k.Name, Icon: k.Icon, Size: size(n), Danger: danger(name, mediaType), Link: link}
	if f.Name == "" {
		f.Name = "(senza nome)"
	}
	return f
}

// insideMost is how many of the files in a file a page lists.
const insideMost = 20

// tell adds what the file says; base is where the files in it are.
func (f *file) tell(facts document.Facts, base string) {
	for _, s := range facts.Signatures {
		f.Said = append(f.Said, signature(s))
	}
	if r := facts.Record; r != nil {
		f.Said = append(f.Said, record(r)...)
	}
	if e := facts.Event; e != nil {
		f.Said = append(f.Said, remark{"", appointment(e)})
	}
	for _, w := range facts.Warnings {
		f.Said = append(f.Said, remark{"warn", "Letto solo in parte: " + w.Detail})
	}
	for i, in := range facts.Files {
		if i == insideMost {
			f.Said = append(f.Said, remark{"", fmt.Sprintf("e altri %d file", len(facts.Files)-insideMost)})
			break
		}
		one := oneFile(in.Name, in.MediaType, in.Size, base+in.Path)
		one.tell(in.Facts, base)
		f.Inside = append(f.Inside, one)
	}
}

// signature says who signed and what that is worth.
func signature(s document.Signature) remark {
	who := cmp.Or(s.Signer, "firmatario sconosciuto")
	if s.TaxCode != "" {
		who += " (" + s.TaxCode + ")"
	}
	if s.Organization != "" && s.Organization != s.Signer {
		who += ", " + s.Organization
	}
	verb := "Firmato da "
	if s.Kind == "timestamp" {
		verb = "Marca temporale di "
	}
	line := remark{"ok", verb + who}
	if s.Time != nil {
		line.Text += " il " + s.Time.Format("02/01/2006")
	}
	switch {
	case !s.Fits:
		line.Tone = "bad"
		line.Text += ": la firma non corrisponde al contenuto o non si può verificare"
	case s.Trusted != nil && !*s.Trusted:
		line.Tone = "warn"
		line.Text += ": firma integra, certificato non riconosciuto o non valido a quella data"
	case s.Trusted == nil:
		line.Tone = ""
		line.Text += ": firma integra, certificato non confrontato con un elenco di fiducia"
	default:
		line.Text += ": firma valida"
	}
	if s.Covers == "part" {
		line.Tone = "warn"
		line.Text += "; il documento è stato modificato dopo la firma"
	}
	if s.Stamp != nil {
		line.Text += "; marca temporale del " + s.Stamp.Time.Format("02/01/2006 15:04")
	}
	return line
}

// records are the names of the documents that office systems exchange.
var records = map[string]string{
	"segnatura":                    "Segnatura di protocollo",
	"conferma-ricezione":           "Conferma di ricezione",
	"aggiornamento-conferma":       "Aggiornamento di conferma",
	"notifica-eccezione":           "Notifica di eccezione",
	"annullamento-protocollazione": "Annullamento di protocollazione",
	"fattura":                      "Fattura elettronica",
	"notifica-sdi":                 "Notifica del Sistema di Interscambio",
}

// record says what document it is, with what a registration needs of it.
func record(r *document.Record) (lines []remark) {
	text := cmp.Or(records[r.Kind], r.Kind)
	if r.Type != "" {
		text += " " + r.Type
	}
	number, date := r.Number, r.Date
	if r.Sender != nil {
		number, date = r.Sender.Number, r.Sender.Date
	}
	if number != "" {
		text += " n. " + number
	}
	if date != "" {
		text += " del " + dateWord(date)
	}
	for _, p := range r.Parties {
		if p.Role == "sender" || p.Role == "supplier" {
			text += ", " + p.Name
			break
		}
	}
	if r.Total != "" {
		text += ", totale " + strings.Replace(r.Total, ".", ",", 1) + " " + cmp.Or(r.Currency, "EUR")
	}
	lines = append(lines, remark{"", text})
	for _, l := range r.Files {
		if l.Fits != nil && !*l.Fits {
			lines = append(lines, remark{"bad", "L’impronta di " + l.Name + " nella segnatura non è quella del file ricevuto"})
		}
	}
	return lines
}

// dateWord writes a date as people do; one that is none stays.
func dateWord(s string) string {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return s
	}
	return t.Format("02/01/2006")
}

func appointment(e *document.Event) string {
	text := "Appuntamento"
	if e.Summary != "" {
		text += " «" + e.Summary + "»"
	}
	if e.Start != nil {
		layout := " il 02/01/2006 alle 15:04"
		if e.AllDay {
			layout = " il 02/01/2006"
		}
		text += e.Start.Format(layout)
	}
	if e.Location != "" {
		text += ", " + e.Location
	}
	return text
}

// insides says what signed messages lie in a message.
func insides(all []pec.Contained) (lines []remark) {
	for _, c := range all {
		what, ok := containedKinds[c.Kind]
		if !ok {
			continue
		}
		line := remark{"", what}
		if c.Subject != "" {
			line.Text += " «" + c.Subject + "»"
		}
		if c.PEC != nil && c.PEC.Sender != "" {
			line.Text += " di " + c.PEC.Sender
		}
		if c.PEC != nil && c.PEC.Time != nil && c.Authenticity == pec.Certified {
			line.Text += " del " + c.PEC.Time.Format("02/01/2006 alle 15:04:05")
		}
		j := containedWords[c.Authenticity]
		line.Tone = j.Tone
		line.Text += ": " + j.Text
		lines = append(lines, line)
	}
	return lines
}

var containedKinds = map[pec.Kind]string{
	pec.PECTransport: "Contiene una PEC", pec.PECReceipt: "Contiene una ricevuta PEC",
	pec.PECAnomaly: "Contiene una busta di anomalia", pec.REM: "Contiene un messaggio REM",
}

var containedWords = map[pec.Authenticity]remark{
	pec.Certified: {"ok", "quella è certificata, il messaggio intorno no"},
	pec.Broken:    {"bad", "è stata alterata"},
	pec.Untrusted: {"warn", "firmata da un gestore non riconosciuto"},
	pec.Anomaly:   {"warn", "non certificata"},
	pec.Unsigned:  {"warn", "senza firma"},
}
