package demo

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"strconv"
	"strings"
	"time"

	"github.com/protodaemon/protodaemon/pec/sample"
)

// The two addresses of the demonstration.
const (
	pecAddress  = "ordine@pec.ordine-esempio.example"
	mailAddress = "segreteria@ordine-esempio.example"
)

// letter is one sample message: to which mailbox it came, whether somebody has
// dragged it already, how old it is, and how it is made.
type letter struct {
	mailbox string // pec or posta
	dragged bool
	age     time.Duration
	make    func(*post) ([]byte, error)
}

// post makes letters at one moment.
type post struct {
	provider *sample.Provider
	at       time.Time
	n        int
}

const (
	pdf  = "application/pdf"
	docx = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
)

// letters are what a professional order finds in its mail: every form of
// envelope and the usual receipts, and what should make an operator look twice.
var letters = []letter{
	{"pec", true, 50 * time.Hour, envelope("completa", "Studio Legale Ferri <studio.ferri@pec.studio-ferri.example>",
		"Domanda di trasferimento dell'avv. Elena Ferri",
		"Si trasmette la domanda di trasferimento dell'iscrizione con il nulla osta dell'ordine di provenienza.",
		sample.File{Name: "Domanda_trasferimento.pdf", MediaType: pdf, Data: page("Domanda di trasferimento")},
		sample.File{Name: "Nulla osta – ordine di provenienza.pdf", MediaType: pdf, Data: page("Nulla osta")})},
	{"pec", true, 27 * time.Hour, envelope("breve", "Comune di Borgolieto <protocollo@pec.comune.borgolieto.example>",
		"Richiesta di una terna di professionisti per il collaudo della scuola «Il Girasole»",
		"Si chiede la segnalazione di una terna di professionisti entro il giorno 9 del mese prossimo.",
		sample.File{Name: "Richiesta_terna.pdf", MediaType: pdf, Data: page("Richiesta di terna")},
		sample.File{Name: "Elenco requisiti.docx", MediaType: docx, Data: sample.Docx("Requisiti dei professionisti")})},
	{"pec", true, 5 * time.Hour, envelope("sintetica", "Tribunale di Valdemonte <prot@pec.tribunale-valdemonte.example>",
		"Nomina di consulente tecnico d'ufficio, R.G. 1184/{anno}",
		"Si comunica la nomina; l'udienza per il giuramento è indicata nel decreto allegato.",
		sample.File{Name: "decreto_nomina.pdf", MediaType: pdf, Data: page("Decreto di nomina")})},
	{"pec", true, 4*time.Hour + 30*time.Minute, withSegnatura},
	{"pec", true, 4 * time.Hour, tampered},
	{"pec", true, 3 * time.Hour, lookalike},
	{"pec", true, 2 * time.Hour, receipt("Convocazione dell'assemblea annuale", (*sample.Dispatch).Acceptance)},
	{"posta", true, 90 * time.Minute, newsletter},
	{"posta", true, time.Hour, latin},

	{"pec", false, 26 * time.Hour, nested},
	{"pec", false, 25 * time.Hour, anomaly},
	{"pec", false, 23 * time.Hour, receipt("Convocazione dell'assemblea annuale", func(d *sample.Dispatch) ([]byte, error) {
		return d.Delivery("iscritto@pec.avvocati.example", "completa")
	})},
	{"pec", false, 22 * time.Hour, receipt("Sollecito del contributo annuale", func(d *sample.Dispatch) ([]byte, error) {
		return d.Failure("iscritto@pec.avvocati.example", "no-dest")
	})},
	{"pec", false, 4 * time.Hour, envelope("completa", "Anna Bianchi <anna.bianchi@pec.avvocati.example>",
		"Istanza di accesso agli atti – perché è urgente",
		"Con la presente si chiede di prendere visione del verbale della seduta indicata nell'istanza.",
		sample.File{Name: "Istanza di accesso.pdf", MediaType: pdf, Data: page("Istanza di accesso agli atti")})},
	{"pec", false, 50 * time.Minute, invoice},
	{"pec", false, 40 * time.Minute, envelope("completa", "Cassa di Previdenza di Esempio <contributi@pec.cassa.example>",
		"Trasmissione elenco contributi, terzo trimestre",
		"Si trasmette l'elenco in oggetto.",
		sample.File{Name: "elenco.docx", MediaType: docx, Data: sample.Docx("Elenco dei contributi")})},
	{"pec", false, 10 * time.Minute, envelope("breve", "Luca Verdi <luca.verdi@pec.avvocati.example>",
		"Richiesta di certificato di iscrizione",
		"Chiedo il rilascio di un certificato di iscrizione all'albo in carta semplice.")},
	{"posta", false, 3 * time.Hour, ordinary("Fondazione Forense di Esempio <info@fondazione.example>",
		"Programma della giornata di studio", "In allegato il programma, con preghiera di diffusione agli iscritti.",
		sample.File{Name: "Programma.pdf", MediaType: pdf, Data: page("Programma della giornata di studio")})},
	{"posta", false, 20 * time.Minute, ordinary("Giulia Neri <giulia.neri@posta.example>",
		"Cambio di indirizzo dello studio", "Comunico che dal mese prossimo lo studio si trasferisce in via dei Tigli 4.")},
}

// page is a small PDF that a reader opens, with one line of text.
func page(text string) []byte {
	var b bytes.Buffer
	var offsets []int
	object := func(body string) {
		offsets = append(offsets, b.Len())
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", len(offsets), body)
	}
	b.WriteString("%PDF-1.4\n")
	stream := fmt.Sprintf("BT /F1 20 Tf 72 760 Td (%s) Tj ET", text)
	object("<< /Type /Catalog /Pages 2 0 R >>")
	object("<< /Type /Pages /Kids [3 0 R] /Count 1 >>")
	object("<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>")
	object(fmt.Sprintf("<< /Length %d >>\nstream\n%s\nendstream", len(stream), stream))
	object("<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>")
	table := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(offsets)+1)
	for _, at := range offsets {
		fmt.Fprintf(&b, "%010d 00000 n \n", at)
	}
	fmt.Fprintf(&b, "trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n", len(offsets)+1, table)
	return b.Bytes()
}

// mail is a message of now to one of the two mailboxes; {anno} in its subject is
// the year.
func (p *post) mail(from, to, subject, text string, files ...sample.File) sample.Mail {
	subject = strings.ReplaceAll(subject, "{anno}", strconv.Itoa(p.at.Year()))
	return sample.Mail{
		From: from, To: to, Subject: subject, Date: p.at, MessageID: fmt.Sprintf("demo-%d.%d@client.example", p.n, p.at.Unix()),
		Text: text + "\n\nDistinti saluti\n", Files: files,
	}
}

func (p *post) submit(m sample.Mail, receipt string) (*sample.Dispatch, error) {
	return p.provider.Submit(m.Bytes(), sample.Submission{Receipt: receipt, Time: p.at})
}

func envelope(receipt, from, subject, text string, files ...sample.File) func(*post) ([]byte, error) {
	return func(p *post) ([]byte, error) {
		d, err := p.submit(p.mail(from, pecAddress, subject, text, files...), receipt)
		if err != nil {
			return nil, err
		}
		return d.Envelope()
	}
}

// receipt is what the provider says about a message that the order has sent.
func receipt(subject string, about func(*sample.Dispatch) ([]byte, error)) func(*post) ([]byte, error) {
	return func(p *post) ([]byte, error) {
		m := p.mail("Ordine degli Avvocati di Esempio <"+pecAddress+">", "iscritto@pec.avvocati.example", subject, "Si trasmette quanto in oggetto.")
		d, err := p.submit(m, "completa")
		if err != nil {
			return nil, err
		}
		return about(d)
	}
}

func ordinary(from, subject, text string, files ...sample.File) func(*post) ([]byte, error) {
	return func(p *post) ([]byte, error) {
		return p.mail(from, mailAddress, subject, text, files...).Bytes(), nil
	}
}

// tampered is an envelope in which somebody changed an amount on the way.
func tampered(p *post) ([]byte, error) {
	raw, err := envelope("completa", "Impresa Edile Sasso <impresa.sasso@pec.imprese.example>",
		"Fattura n. 118/{anno} per lavori nella sede", "L'importo dovuto ammonta a 1100 euro, da versare entro trenta giorni.")(p)
	if err != nil {
		return nil, err
	}
	changed := bytes.Replace(raw, []byte("1100 euro"), []byte("9100 euro"), 1)
	if bytes.Equal(raw, changed) {
		return nil, fmt.Errorf("the amount to change is not in the sample")
	}
	return changed, nil
}

// lookalike has the looks of an envelope and no signature.
func lookalike(p *post) ([]byte, error) {
	m := p.mail(`"Per conto di: ufficio.fatture@pec.example" <posta-certificata@gestore-pec.example>`, pecAddress,
		"POSTA CERTIFICATA: Fattura n. 2291 scaduta", "Per evitare la mora aprire l'allegato e confermare i dati bancari.",
		sample.File{Name: "Fattura.pdf.exe", MediaType: "application/octet-stream", Data: []byte("MZ: un programma finto")})
	m.Headers = []string{"X-Trasporto: posta-certificata"}
	return m.Bytes(), nil
}

// nested is a PEC that somebody forwards inside another.
func nested(p *post) ([]byte, error) {
	inner, err := envelope("completa", "Anna Bianchi <anna.bianchi@pec.avvocati.example>", "Parcella e documenti", "In allegato quanto richiesto.",
		sample.File{Name: "parcella.pdf", MediaType: pdf, Data: page("Parcella")})(p)
	if err != nil {
		return nil, err
	}
	return envelope("completa", "Consiglio Distrettuale di Esempio <consiglio@pec.distretto.example>",
		"I: Parcella e documenti", "Si inoltra per competenza la PEC allegata.",
		sample.File{Name: "postacert-inoltrata.eml", MediaType: "message/rfc822", Data: inner})(p)
}

// anomaly is ordinary mail that reached the certified mailbox.
func anomaly(p *post) ([]byte, error) {
	m := p.mail("Marco Gialli <marco.gialli@posta.example>", pecAddress, "Informazioni sugli orari", "Vorrei sapere gli orari di apertura della segreteria.")
	return p.provider.Anomaly(m.Bytes(), p.at)
}

// newsletter has an HTML form with a picture inside.
func newsletter(p *post) ([]byte, error) {
	m := p.mail("Rivista Forense di Esempio <redazione@rivista.example>", mailAddress,
		"Il numero di questo mese", "Il numero di questo mese parla di notifiche digitali.")
	m.HTML = `<html><body><h1>Il numero di questo mese</h1><p>Parla di <b>notifiche digitali</b>.</p><img src="cid:copertina" alt="Copertina"></body></html>`
	picture, err := cover()
	if err != nil {
		return nil, err
	}
	m.Files = []sample.File{{Name: "copertina.png", MediaType: "image/png", Data: picture, ContentID: "copertina"}}
	return m.Bytes(), nil
}

// latin is a mail in ISO-8859-15, as old programs write it.
func latin(p *post) ([]byte, error) {
	m := p.mail("Università di Valdemonte <segreteria@uni-valdemonte.example>", mailAddress,
		"Tirocinio: perché è già tempo di convenzioni", "La quota è di 50 € per ciascun tirocinante; così è stato deciso.")
	m.Charset = "iso-8859-15"
	return m.Bytes(), nil
}

// cover is a picture of bands in the blues of a review.
func cover() ([]byte, error) {
	picture := image.NewRGBA(image.Rect(0, 0, 320, 160))
	for i := range 320 * 160 {
		x, y := i%320, i/320
		band := uint8((x/2 + y) / 40 * 24)
		picture.Set(x, y, color.RGBA{R: 16 + band/2, G: 60 + band/2, B: 110 + band/2, A: 255})
	}
	var b bytes.Buffer
	err := png.Encode(&b, picture)
	return b.Bytes(), err
}
