package sample

import (
	"bytes"
	"fmt"
	"net/mail"
	"time"
)

// notice is what differs between the envelopes and receipts.
type notice struct {
	header    [][2]string // marker fields
	to        string
	from      string // display name
	prefix    string // of the subject
	text      string
	tipo      string
	errore    string
	detail    string // of errore-esteso
	delivered string // consegna
	ricevuta  string
	id        string // Message-ID
	original  []byte // postacert.eml, nil for none
	bare      bool   // without daticert.xml
}

// failure is errore as daticert.xml has it.
func (n notice) failure() string {
	if n.errore == "" {
		return "nessuno"
	}
	return n.errore
}

var unsafe = [2]string{"X-VerificaSicurezza", "errore"}

// Envelope is the busta di trasporto (RFC 6109 §3.1.5).
func (d *Dispatch) Envelope() ([]byte, error) { return d.build(d.envelope()) }

func (d *Dispatch) envelope() notice {
	n := notice{
		header: [][2]string{{"X-Trasporto", "posta-certificata"}},
		to:     d.to, from: "Per conto di: " + d.sender, prefix: "POSTA CERTIFICATA: ",
		text: "Messaggio di posta certificata\n\nIl giorno " + d.day() + " il messaggio \"" + d.plain + "\" è stato inviato da \"" + d.sender +
			"\".\nIl messaggio originale è incluso in allegato.\n",
		tipo: "posta-certificata", ricevuta: d.receipt, id: d.identifier, original: d.original,
	}
	switch d.dialect.ReceiptType {
	case "-":
	case "":
		n.header = append(n.header, [2]string{"X-TipoRicevuta", d.receipt})
	default:
		n.header = append(n.header, [2]string{d.dialect.ReceiptType, d.receipt})
	}
	n.header = append(n.header, [2]string{"Reply-To", d.replyTo})
	return n
}

// Acceptance is the ricevuta di accettazione (§3.1.4).
func (d *Dispatch) Acceptance() ([]byte, error) { return d.build(d.acceptance()) }

func (d *Dispatch) acceptance() notice {
	return d.receiptOf("accettazione", "ACCETTAZIONE: ", "Ricevuta di accettazione\n\nIl messaggio \""+d.plain+"\" è stato accettato dal sistema.\n", notice{ricevuta: d.receipt})
}

// NonAcceptance is the avviso di non accettazione (§3.1.2), for a virus §3.1.3.
func (d *Dispatch) NonAcceptance(virus bool) ([]byte, error) { return d.build(d.nonAcceptance(virus)) }

func (d *Dispatch) nonAcceptance(virus bool) notice {
	if virus {
		return d.receiptOf("non-accettazione", "AVVISO DI NON ACCETTAZIONE PER VIRUS: ", "Errore nell'accettazione del messaggio\n\nÈ stato rilevato un virus.\n",
			notice{header: [][2]string{unsafe}, errore: "virus", detail: "5.5.1 - " + d.p.options.Name + " - presenza di un virus nel messaggio"})
	}
	return d.receiptOf("non-accettazione", "AVVISO DI NON ACCETTAZIONE: ", "Errore nell'accettazione del messaggio\n",
		notice{errore: "altro", detail: "5.7.1 - " + d.p.options.Name + " - il messaggio non rispetta le regole"})
}

// TakenInCharge is the presa in carico between providers (§3.2.1).
func (d *Dispatch) TakenInCharge() ([]byte, error) { return d.build(d.takenInCharge()) }

func (d *Dispatch) takenInCharge() notice {
	return d.receiptOf("presa-in-carico", "PRESA IN CARICO: ", "Ricevuta di presa in carico\n", notice{to: "ricevute@" + d.p.options.Domain})
}

// VirusFound is the rilevazione virus between providers (§3.2.3).
func (d *Dispatch) VirusFound() ([]byte, error) { return d.build(d.virusFound()) }

func (d *Dispatch) virusFound() notice {
	return d.receiptOf("rilevazione-virus", "PROBLEMA DI SICUREZZA: ", "Nel messaggio è stato rilevato un virus.\n",
		notice{to: "ricevute@" + d.p.options.Domain, header: [][2]string{{"X-Mittente", d.sender}}, errore: "virus"})
}

// Delivery is the ricevuta di avvenuta consegna for one recipient (§3.3.2):
// completa, breve or sintetica.
func (d *Dispatch) Delivery(to, detail string) ([]byte, error) {
	n, err := d.delivery(to, detail)
	if err != nil {
		return nil, err
	}
	return d.build(n)
}

func (d *Dispatch) delivery(to, detail string) (notice, error) {
	n := notice{delivered: to, ricevuta: detail}
	switch detail {
	case "completa":
		n.original = d.original
	case "breve":
		short, err := brief(d.original)
		if err != nil {
			return n, err
		}
		n.original = short
	}
	return d.receiptOf("avvenuta-consegna", "CONSEGNA: ", "Ricevuta di avvenuta consegna\n\nIl messaggio \""+d.plain+"\" è stato consegnato nella casella di destinazione "+to+".\n", n), nil
}

// Failure is the avviso di mancata consegna (§3.3.3): errore is no-dest,
// no-dominio, virus or altro.
func (d *Dispatch) Failure(to, errore string) ([]byte, error) { return d.build(d.failure(to, errore)) }

func (d *Dispatch) failure(to, errore string) notice {
	n := notice{delivered: to, errore: errore, detail: "5.1.1 - " + d.p.options.Name + " - indirizzo non valido"}
	prefix := "AVVISO DI MANCATA CONSEGNA: "
	if errore == "virus" {
		prefix = "AVVISO DI MANCATA CONSEGNA PER VIRUS: "
		n.header = [][2]string{unsafe}
		n.detail = "5.5.1 - " + d.p.options.Name + " - presenza di un virus nel messaggio"
	}
	return d.receiptOf("errore-consegna", prefix, "Avviso di mancata consegna\n\nIl messaggio \""+d.plain+"\" destinato a "+to+" non è stato consegnato.\n", n)
}

// Overdue is the avviso per superamento tempi (§3.1.6), after 12 or 24 hours.
func (d *Dispatch) Overdue(to string, hours int) ([]byte, error) {
	return d.build(d.overdue(to, hours))
}

func (d *Dispatch) overdue(to string, hours int) notice {
	detail := "il messaggio non è stato consegnato nelle prime dodici ore dal suo invio"
	if hours >= 24 {
		detail = "5.4.1 - " + d.p.options.Name + " - il messaggio non è stato consegnato entro 24 ore"
	}
	return d.receiptOf("preavviso-errore-consegna", "AVVISO DI MANCATA CONSEGNA PER SUP. TEMPO MASSIMO: ", "Avviso di mancata consegna\n",
		notice{delivered: to, errore: "altro", detail: detail})
}

// receiptOf fills in what all receipts share.
func (d *Dispatch) receiptOf(tipo, prefix, text string, n notice) notice {
	n.header = append([][2]string{{"X-Ricevuta", tipo}}, n.header...)
	n.tipo, n.prefix, n.text, n.id = tipo, prefix, text, d.p.identifier(d.time)
	if n.to == "" {
		n.to = d.sender
	}
	return n
}

func (d *Dispatch) day() string { return d.time.Format("02/01/2006 alle ore 15:04:05 (-0700)") }

// Anomaly is the busta di anomalia round ordinary mail that came in (§3.2.2).
func (p *Provider) Anomaly(received []byte, at time.Time) ([]byte, error) {
	return p.anomaly(p.options.Dialect, received, at)
}

func (p *Provider) anomaly(d Dialect, received []byte, at time.Time) ([]byte, error) {
	m, err := mail.ReadMessage(bytes.NewReader(received))
	if err != nil {
		return nil, fmt.Errorf("reading the message received: %w", err)
	}
	from, err := mail.ParseAddress(m.Header.Get("From"))
	if err != nil {
		return nil, fmt.Errorf("reading its From: %w", err)
	}
	header := []string{
		d.field("X-Trasporto", "errore"),
		d.field("Date", at.Format(time.RFC1123Z)),
		d.field("From", fromField("Per conto di: "+from.Address, p.Address())),
		d.field("Reply-To", from.Address),
		d.field("To", m.Header.Get("To")),
		d.field("Subject", "ANOMALIA MESSAGGIO: "+m.Header.Get("Subject")),
	}
	if id := m.Header.Get("Message-Id"); id != "" {
		header = append(header, d.field("Message-ID", id))
	}
	text := d.text("Anomalia nel messaggio\n\nIl messaggio \"" + decodeSubject(m.Header.Get("Subject")) + "\" non è certificato.\n")
	return p.signed(d, append(header, d.Extra...), joined("mixed", "pec", text, d.original(received)), Form{}, p.signer())
}
