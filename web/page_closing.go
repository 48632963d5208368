package web

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/protodaemon/protodaemon/register"
)

// closingView puts a closing into words.
func (p *pages) closingView(b bookLink, c register.Closing, states []register.ClosingState, manages bool) closingView {
	out := closingView{Closing: c, Base: b.Base + "/chiusure/" + url.PathEscape(c.ID), Sentence: rangeSentence(c), Title: "Registro giornaliero n. " + fmt.Sprint(c.Progressive)}
	if c.Sequence > 0 {
		out.Title += fmt.Sprintf(", supplemento %d", c.Sequence)
	}
	out.Tone, out.Icon, out.Word = closingWord(c, states)
	out.Chain = p.chain(c, states)
	out.MayRetry = manages && (c.Reached == register.ClosingRejected || c.Trouble != nil)
	out.Retry = "Riprova adesso"
	if c.Reached == register.ClosingRejected {
		out.Retry = "Correggi e versa di nuovo"
	}
	out.MayReceive = manages && c.Reached == register.ClosingDelivered
	api := fmt.Sprintf("/api/v1/organizations/%s/registers/%s/closings/%s/files/", url.PathEscape(c.Organization), url.PathEscape(c.Register), url.PathEscape(c.ID))
	for _, f := range c.Files {
		k := media(f.MediaType, f.Name)
		out.Files = append(out.Files, file{Name: f.Name, Kind: fileWords[f.Role], Icon: k.Icon, Size: size(f.Size), Digest: shortDigest(f.SHA256), Link: api + url.PathEscape(f.Name)})
	}
	return out
}

// rangeSentence says what the daily register holds, in the words of the file
// itself.
func rangeSentence(c register.Closing) string {
	changes := ""
	if c.Changes > 0 {
		changes = " " + count(c.Changes, "annullamento o modifica", "annullamenti o modifiche") + "."
	}
	switch c.Entries {
	case 0:
		return "Nessuna registrazione." + changes
	case 1:
		return "Una registrazione, il n. " + bareNumber(c.FirstNumber) + "." + changes
	}
	continuity := "senza salti, senza doppi"
	if !continuous(c) {
		continuity = "con numeri che non sono continui"
	}
	return fmt.Sprintf("Dal n. %s al n. %s %s: %d registrazioni.%s", bareNumber(c.FirstNumber), bareNumber(c.LastNumber), continuity, c.Entries, changes)
}

// continuous tells whether the first and the last number leave room for no gap.
func continuous(c register.Closing) bool {
	first, errFirst := strconv.Atoi(c.FirstNumber)
	last, errLast := strconv.Atoi(c.LastNumber)
	return errFirst == nil && errLast == nil && last-first+1 == c.Entries
}

// fileWords say what each file of a closing is.
var fileWords = map[string]string{
	register.FileXML:             "Dati del registro, XML",
	register.FilePDF:             "Registro da leggere, PDF/A",
	register.FileImprints:        "Impronte dei due",
	register.FilePDFSigned:       "Registro firmato",
	register.FileImprintsSigned:  "Impronte firmate",
	register.FileXMLSigned:       "Dati firmati (XAdES)",
	register.FilePDFStamped:      "Registro firmato e marcato",
	register.FileImprintsStamped: "Impronte firmate e marcate",
	register.FilePackage:         "Pacchetto di versamento",
	register.FileReceipt:         "Rapporto di versamento",
	register.FileRenewal:         "Rinnovo delle prove",
	register.FileRenewalStamp:    "Marca del rinnovo",
}

// allStates are the links of the chain when nothing says which there are.
var allStates = []register.ClosingState{register.ClosingClosed, register.ClosingSigned, register.ClosingStamped, register.ClosingDelivered, register.ClosingAccepted}

var chainWords = map[register.ClosingState]struct{ done, coming string }{
	register.ClosingClosed:    {"Chiuso", "Da chiudere"},
	register.ClosingSigned:    {"Firmato", "Da firmare"},
	register.ClosingStamped:   {"Marcato", "Da marcare"},
	register.ClosingDelivered: {"Consegnato", "Da consegnare alla conservazione"},
	register.ClosingAccepted:  {"Accettato in conservazione", "Attende il rapporto di versamento"},
}

// chain are the steps that are done, the one that waits, and those to come.
func (p *pages) chain(c register.Closing, states []register.ClosingState) []chainStep {
	if len(states) == 0 {
		states = allStates
	}
	reached := slices.Index(states, c.Reached)
	if c.Reached == register.ClosingRejected {
		reached = slices.Index(states, register.ClosingDelivered)
	}
	var all []chainStep
	for i, s := range states {
		words := chainWords[s]
		switch {
		case i <= reached:
			all = append(all, chainStep{"", "it-check", words.done, p.stepText(c, s)})
		case i == reached+1 && c.Reached == register.ClosingRejected:
			all = append(all, chainStep{"stop", "it-error", "Respinto dalla conservazione", "«" + rejection(c) + "»"})
		case i == reached+1 && c.Trouble != nil:
			all = append(all, chainStep{"stop", "it-error", words.coming, troubleText(*c.Trouble) + ". " + troubleRemedy(*c.Trouble)})
		case i == reached+1:
			all = append(all, chainStep{"wait", "it-clock", words.coming, p.waitText(c, s)})
		default:
			all = append(all, chainStep{"next", "it-minus", words.coming, ""})
		}
	}
	for i := range all {
		if all[i].Class == "" && (i+1 == len(all) || all[i+1].Class != "") {
			all[i].Class = "edge"
		}
	}
	return all
}

// waitText says by when the next step has to be done.
func (p *pages) waitText(c register.Closing, s register.ClosingState) string {
	if s == register.ClosingAccepted {
		return "Consegnato, rapporto di versamento in attesa."
	}
	return p.countdown(c.Deadline)
}

// countdown says how long it is until a deadline, which is the end of a day.
func (p *pages) countdown(day string) string {
	t, err := time.ParseInLocation(time.DateOnly, day, p.zone)
	if err != nil {
		return ""
	}
	left := time.Until(t.AddDate(0, 0, 1))
	if left <= 0 {
		return "Il termine era il " + shortDay(day) + ": è in ritardo di " + age(-left) + "."
	}
	return "Il termine è il " + shortDay(day) + ": mancano " + age(left) + "."
}

// stepText says when a step was done and what proves it.
func (p *pages) stepText(c register.Closing, s register.ClosingState) string {
	for _, step := range slices.Backward(c.Steps) {
		if step.State != s || step.Detail["retry"] != "" || step.Detail["renewal"] != "" {
			continue // it stood there already
		}
		text, d := p.moment(step.At), step.Detail
		switch s {
		case register.ClosingClosed:
			who := "da solo"
			if by := c.ClosedBy; by.User != register.System().User {
				who = "da " + cmp.Or(fullName(by.Name, by.Surname), by.User)
			}
			text += ", " + who + ", a nome di " + fullName(c.Manager.Name, c.Manager.Surname)
			if c.Acting {
				text += " (vicario)"
			}
		case register.ClosingSigned:
			text += ", certificato di " + commonName(d["signer"])
		case register.ClosingStamped:
			text += ", marca temporale di " + d["authority"]
		case register.ClosingDelivered:
			if c.Parcel != nil {
				text += ", pacchetto " + c.Parcel.Identity
				if c.Parcel.Version > 1 {
					text += fmt.Sprintf(" (invio %d)", c.Parcel.Version)
				}
			}
		case register.ClosingAccepted:
			text += ", rapporto di versamento " + strings.TrimSpace(d["reference"]+" "+d["date"])
		}
		return text
	}
	return ""
}

// commonName is the CN of a name in the form of RFC 2253, or the whole.
func commonName(dn string) string {
	for part := range strings.SplitSeq(dn, ",") {
		if cn, ok := strings.CutPrefix(strings.TrimSpace(part), "CN="); ok {
			return cn
		}
	}
	return dn
}

// trouble are the words for why a step failed, and what a person does about
// it, by its code.
var trouble = map[string]struct{ text, todo string }{
	"certificate-expired":    {"il certificato di firma non è valido", "Chi amministra il sistema mette il certificato nuovo nella configurazione, poi si riprova."},
	"pin-wrong":              {"il PIN o la password della firma non è giusto", "Non si riprova da soli, perché il dispositivo si blocca: correggere il PIN, poi premere «Riprova adesso»."},
	"key-locked":             {"la chiave di firma è bloccata", "Va sbloccata con il PUK o dal prestatore del servizio, poi si riprova."},
	"key-unusable":           {"la chiave di firma non si può usare", "Chi amministra il sistema controlla file e configurazione della firma."},
	"unreachable":            {"il servizio non risponde", "Si riprova da soli, a intervalli sempre più lunghi."},
	"refused":                {"il servizio ha rifiutato la richiesta", "Chi amministra il sistema guarda che cosa ha risposto; nel frattempo si riprova da soli."},
	"destination-missing":    {"la cartella di destinazione non c’è", "Chi amministra il sistema la crea o corregge la configurazione; si riprova da soli."},
	"destination-full":       {"la destinazione è piena", "Va liberato spazio; si riprova da soli."},
	"destination-unwritable": {"nella destinazione non si può scrivere", "Chi amministra il sistema dà il permesso; si riprova da soli."},
	"another-file-there":     {"nella destinazione c’è già un altro file con lo stesso nome", "Va guardato che cos’è: non viene mai sovrascritto."},
	"host-key-unknown":       {"la chiave del server di versamento non è conosciuta", "Chi amministra il sistema la verifica con il conservatore e la aggiunge."},
	"host-key-changed":       {"la chiave del server di versamento è cambiata", "Non si consegna nulla finché il conservatore non conferma la chiave nuova."},
	"login-refused":          {"il server di versamento rifiuta l’accesso", "Controllare utente e credenziali con il conservatore."},
	"receipt-malformed":      {"il rapporto di versamento non si può leggere", "Chiederne un altro al conservatore, o consegnarlo qui come file."},
	register.TroubleOverdue:  {"atteso da troppo tempo", "Va chiesto al conservatore. Quando arriva si prende da solo, oppure si consegna qui come file."},
	"receipts-too-many":      {"fra i rapporti di versamento ci sono troppi file", "Chi amministra il sistema sposta altrove quelli vecchi; si riprova da soli."},
	"failed":                 {"il passo non è riuscito", "Si riprova da soli."},
}

var stepWords = map[string]string{"sign": "firma", "stamp": "marca temporale", "package": "pacchetto", "deliver": "consegna", "receipt": "rapporto di versamento"}

// overdue tells whether the receipt of a closing is missed.
func overdue(c register.Closing) bool {
	return c.Trouble != nil && c.Trouble.Code == register.TroubleOverdue
}

func troubleText(t register.ClosingTrouble) string {
	w, ok := trouble[t.Code]
	if !ok {
		w = trouble["failed"]
	}
	return stepWords[t.Step] + ", " + w.text
}

func troubleRemedy(t register.ClosingTrouble) string {
	if w, ok := trouble[t.Code]; ok {
		return w.todo
	}
	return trouble["failed"].todo
}
