package archive

import (
	"io"
	"strconv"
	"strings"

	"github.com/protodaemon/protodaemon/register"
	"github.com/protodaemon/protodaemon/store"
)

// namespace is that of the schema in xsd/, version 1 of the format.
const namespace = "urn:protodaemon:registro-giornaliero:1"

const rootRegister = "RegistroGiornaliero"

// flows are the codes of TipologiaDiFlusso (AgID, allegato 5).
var flows = map[register.Direction]string{register.Incoming: "E", register.Outgoing: "U", register.Internal: "I"}

// changes are the words for the kinds of a change.
var changes = map[string]string{
	"annulled": "annullamento", "corrected": "rettifica", "recovered": "recupero", "lost": "perdita",
}

var stateWords = map[register.EntryState]string{
	register.Registered: "registrata", register.Annulled: "annullata", register.Lost: "perduta",
}

// xml writes the daily register for machines.
func (w writing) xml(to io.Writer) error {
	x := newXML(to, rootRegister, namespace)
	x.in("Identificazione", func() { w.identification(x) })
	x.in("Riepilogo", func() { w.summary(x) })
	x.in("Giornale", func() { writeJournal(x, w.c) })
	if err := w.list(x, "Registrazioni", false, w.entry); err != nil {
		return err
	}
	if err := w.list(x, "Modifiche", true, w.change); err != nil {
		return err
	}
	return x.end(rootRegister)
}

// list writes the happenings that are changes, or those that are not, each with
// its leaf.
func (w writing) list(x *xmlWriter, name string, changed bool, write func(*xmlWriter, register.Happening, store.Digest)) (err error) {
	x.in(name, func() {
		n := 0
		err = w.ev(func(h register.Happening) error {
			if (h.Change != nil) == changed {
				write(x, h, w.s.leaves[n])
			}
			n++
			return x.err
		})
	})
	return err
}

func (w writing) identification(x *xmlWriter) {
	c := w.c
	x.put("Identificativo", c.Name)
	x.num("Formato", int64(c.Format))
	if c.Test {
		x.put("Prova", "true")
	}
	x.put("Oggetto", "Registro giornaliero di protocollo")
	x.put("Data", c.Day)
	x.num("Supplemento", int64(c.Sequence))
	x.put("Anno", c.Day[:4])
	x.num("ProgressivoAnnuo", int64(c.Progressive))
	x.put("DataChiusura", w.local(c.ClosedAt))
	x.in("Amministrazione", func() {
		x.put("Denominazione", c.Holder.Name)
		x.some("CodiceIPA", c.Holder.IPACode)
		x.some("CodiceAOO", c.Holder.AOOCode)
		x.some("CodiceFiscale", c.Holder.TaxCode)
	})
	x.in("Registro", func() {
		x.put("Codice", c.Register)
		x.put("Denominazione", c.Holder.RegisterName)
	})
	x.in("Responsabile", func() {
		x.put("Qualita", quality(c))
		x.put("Nome", c.Manager.Name)
		x.put("Cognome", c.Manager.Surname)
		x.put("CodiceFiscale", c.Manager.TaxCode)
		x.put("Atto", c.Manager.Deed)
		x.put("DataInizio", c.Manager.From)
		x.some("DataFine", c.Manager.To)
	})
	x.in("SoggettoProduttore", func() {
		x.put("Utente", c.ClosedBy.User)
		x.some("Nome", c.ClosedBy.Name)
		x.some("Cognome", c.ClosedBy.Surname)
		x.some("CodiceFiscale", c.ClosedBy.TaxCode)
	})
	x.in("Destinatario", func() {
		to := recipient(c)
		x.put("Denominazione", to.Name)
		x.some("CodiceFiscale", to.TaxCode)
	})
	x.put("ProdottoSoftware", c.Software)
	x.put("FusoOrario", c.Holder.Timezone)
	x.put("Riservate", reservedWord(c))
}

// recipient is for whom the daily register is made.
func recipient(c register.Closing) register.Recipient {
	if c.Recipient != nil {
		return *c.Recipient
	}
	return register.Recipient{Name: c.Holder.Name, TaxCode: c.Holder.TaxCode}
}

func quality(c register.Closing) string {
	if c.Acting {
		return "vicario"
	}
	return "responsabile"
}

func reservedWord(c register.Closing) string {
	if c.Reserved == "full" {
		return "in chiaro"
	}
	return "mascherate"
}

func (w writing) summary(x *xmlWriter) {
	x.num("NumeroRegistrazioni", int64(w.c.Entries))
	if w.c.Entries > 0 {
		x.put("PrimoNumero", w.c.FirstNumber)
		x.put("UltimoNumero", w.c.LastNumber)
		x.put("PrimaRegistrazione", w.local(w.s.first.RegisteredAt))
		x.put("UltimaRegistrazione", w.local(w.s.last.RegisteredAt))
	}
	x.num("NumeroModifiche", int64(w.c.Changes))
	x.put("Continuita", w.continuity())
}

// writeJournal names the records that the closing tells of, and what proves
// them.
func writeJournal(x *xmlWriter, c register.Closing) {
	x.put("DopoEvento", strconv.FormatUint(c.After, 10))
	x.put("UltimoEvento", strconv.FormatUint(c.Through, 10))
	x.put("ImprontaCatena", c.Chain.String())
	x.put("RadiceMerkle", c.Root.String())
	if c.Previous != nil {
		x.in("ChiusuraPrecedente", func() {
			x.put("Identificativo", c.Previous.Name)
			x.put("Impronta", c.Previous.SHA256.String())
		})
	}
}

func (w writing) entry(x *xmlWriter, h register.Happening, leaf store.Digest) {
	e := h.Entry
	x.in("Registrazione", func() {
		x.put("Evento", strconv.FormatUint(h.Seq, 10))
		x.put("Numero", e.Number)
		x.put("Anno", strconv.Itoa(e.Year))
		x.put("Data", e.Day)
		x.put("Ora", w.local(e.RegisteredAt))
		x.some("Flusso", flows[e.Direction]) // of a lost number nobody knows it
		x.put("Stato", stateWords[e.State])
		x.put("Riservata", strconv.FormatBool(e.Reserved))
		x.put("Segnatura", e.Segnatura)
		if w.masked(e) {
			x.put("Oggetto", maskedSubject)
			x.in("Soggetti", func() { x.in("Soggetto", func() { x.put("Ruolo", "riservato"); x.put("Denominazione", maskedParty) }) })
			writeMessage(x, e)
		} else {
			w.content(x, e)
		}
		x.put("Registrante", or(e.ConfirmedBy.By, "ignoto"))
		w.later(x, h)
		x.put("Foglia", leaf.String())
	})
}

// later is what became of an entry before its first daily register: only one
// that was lost with an older state of the store can have been annulled by then.
func (w writing) later(x *xmlWriter, h register.Happening) {
	if r := h.Recovery; r != nil {
		x.in("Recupero", func() {
			x.put("Ora", w.local(h.At))
			x.put("Operatore", h.By)
			x.put("Motivo", r.Reason)
			x.put("Autorizzazione", r.Authority)
		})
	}
	if n := h.Entry.Annulment; n != nil {
		x.in("Annullamento", func() {
			x.put("Ora", w.local(n.At))
			x.put("Operatore", n.By)
			x.put("Motivo", n.Reason)
			x.put("Autorizzazione", n.Authorization)
		})
	}
}

// writeMessage is the imprint of the document: it tells nothing of it, and
// stands for reserved entries too.
func writeMessage(x *xmlWriter, e register.Entry) {
	if e.Message == (store.Digest{}) {
		return
	}
	x.in("Documento", func() {
		x.num("Dimensione", e.Size)
		x.put("Impronta", e.Message.String())
	})
}

var roles = map[string]string{"sender": "mittente", "recipient": "destinatario", "copy": "per conoscenza"}

// content is what a reserved entry does not tell.
func (w writing) content(x *xmlWriter, e register.Entry) {
	x.put("Oggetto", e.Subject)
	x.in("Soggetti", func() {
		for _, p := range e.Parties {
			x.in("Soggetto", func() {
				x.put("Ruolo", or(roles[p.Role], "altro"))
				x.some("Denominazione", p.Name)
				x.some("Indirizzo", p.Address)
				x.some("CodiceFiscale", p.TaxCode)
			})
		}
	})
	if r := e.SenderReference; r != nil && (r.Number != "" || r.Date != "") {
		x.in("ProtocolloMittente", func() {
			x.some("Numero", r.Number)
			x.some("Data", r.Date)
		})
	}
	x.some("Classificazione", e.Classification)
	for _, d := range e.Dossiers {
		x.put("Fascicolo", d)
	}
	writeMessage(x, e)
	for _, a := range e.Attachments {
		x.in("Allegato", func() {
			x.put("Nome", a.Name)
			x.put("Tipo", a.MediaType)
			x.num("Dimensione", a.Size)
			x.put("Impronta", a.SHA256.String())
		})
	}
	if o := e.Origin; o != nil {
		x.in("Origine", func() {
			x.put("Casella", o.Mailbox)
			x.put("Tipo", o.Kind)
			x.put("Autenticita", o.Authenticity)
			x.some("MessageID", o.MessageID)
			x.some("IdentificativoPEC", o.Identifier)
			if o.Certified != nil {
				x.put("OraCertificata", w.local(*o.Certified))
			}
			x.put("ArrivoInCasella", w.local(o.ArrivedAt))
		})
	}
}

func (w writing) change(x *xmlWriter, h register.Happening, leaf store.Digest) {
	x.in("Modifica", func() {
		x.put("Evento", strconv.FormatUint(h.Seq, 10))
		x.put("Tipo", or(changes[h.Change.Kind], h.Change.Kind))
		x.put("Numero", h.Entry.Number)
		x.put("Anno", strconv.Itoa(h.Entry.Year))
		x.put("DataRegistrazione", h.Entry.Day)
		x.put("Ora", w.local(h.At))
		x.put("Operatore", h.By)
		x.put("Motivo", h.Change.Reason)
		x.put("Autorizzazione", h.Change.Authority)
		for _, f := range h.Change.Fields {
			if w.masked(h.Entry) {
				f.Before, f.After = maskedParty, maskedParty
			}
			x.in("Campo", func() {
				x.put("Nome", f.Field)
				x.put("Prima", f.Before)
				x.put("Dopo", f.After)
			})
		}
		x.put("Foglia", leaf.String())
	})
}

func or(s, otherwise string) string {
	if s = strings.TrimSpace(s); s == "" {
		return otherwise
	}
	return s
}
