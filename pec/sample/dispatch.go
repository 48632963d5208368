package sample

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/xml"
	"fmt"
	"net/mail"
	"strings"
	"time"
)

// Dispatch is one message in the provider's hands: what it carries, and every
// envelope and receipt about it.
type Dispatch struct {
	p          *Provider
	original   []byte // with the provider's Message-ID
	identifier string
	reference  string // the writer's Message-ID
	sender     string
	recipients []recipient
	to         string // header field as written
	subject    string // header field as written
	plain      string // subject decoded
	receipt    string // completa, breve or sintetica: what the sender asked for
	time       time.Time
}

type recipient struct {
	address  string
	external bool // not a PEC address
}

// Submission says how a message is handed in.
type Submission struct {
	Receipt  string    // completa (default), breve or sintetica
	Time     time.Time // of the event; default the provider's Now
	External []string  // recipients that are not PEC
}

// Submit takes a message from its writer, whose Message-ID it replaces (RFC
// 6109 §2.2.1).
func (p *Provider) Submit(original []byte, s Submission) (*Dispatch, error) {
	m, err := mail.ReadMessage(bytes.NewReader(original))
	if err != nil {
		return nil, fmt.Errorf("reading the message to send: %w", err)
	}
	from, err := mail.ParseAddress(m.Header.Get("From"))
	if err != nil {
		return nil, fmt.Errorf("reading its From: %w", err)
	}
	d := &Dispatch{p: p, sender: from.Address, to: m.Header.Get("To"), subject: m.Header.Get("Subject"),
		reference: strings.Trim(m.Header.Get("Message-Id"), "<>"), receipt: s.Receipt, time: s.Time}
	if d.receipt == "" {
		d.receipt = "completa"
	}
	if d.time.IsZero() {
		d.time = p.options.Now
	}
	d.plain = decodeSubject(d.subject)
	for _, name := range []string{"To", "Cc"} {
		list, _ := m.Header.AddressList(name) // an absent field is no recipient
		for _, a := range list {
			external := false
			for _, e := range s.External {
				external = external || e == a.Address
			}
			d.recipients = append(d.recipients, recipient{a.Address, external})
		}
	}
	d.identifier = p.identifier(d.time)
	d.original = replaceMessageID(original, d.identifier, d.reference)
	return d, nil
}

// Identifier is the identificativo PEC, the Message-ID of the envelope.
func (d *Dispatch) Identifier() string { return d.identifier }

// identifier is in the style of the most common platform.
func (p *Provider) identifier(t time.Time) string {
	return fmt.Sprintf("opec%d.%s.%05d@%s", 100+p.options.Seed, t.Format("20060102150405"), p.serial.Add(1), p.options.Domain)
}

// replaceMessageID gives the original the provider's identifier and keeps the
// writer's in X-Riferimento-Message-ID.
func replaceMessageID(original []byte, identifier, reference string) []byte {
	head, body, _ := bytes.Cut(original, []byte("\r\n\r\n"))
	var b bytes.Buffer
	for l := range bytes.SplitSeq(head, []byte("\r\n")) {
		if !bytes.HasPrefix(bytes.ToLower(l), []byte("message-id:")) {
			b.Write(l)
			b.WriteString("\r\n")
		}
	}
	fmt.Fprintf(&b, "Message-ID: <%s>\r\n", identifier)
	if reference != "" {
		fmt.Fprintf(&b, "X-Riferimento-Message-ID: <%s>\r\n", reference)
	}
	b.WriteString("\r\n")
	b.Write(body)
	return b.Bytes()
}

// notice is what differs between the envelopes and receipts.
type notice struct {
	header    []string // marker fields
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
}

// Envelope is the busta di trasporto (RFC 6109 §3.1.5).
func (d *Dispatch) Envelope() ([]byte, error) {
	return d.build(notice{
		header: []string{"X-Trasporto: posta-certificata", "X-TipoRicevuta: " + d.receipt, "Reply-To: " + d.sender},
		to:     d.to, from: "Per conto di: " + d.sender, prefix: "POSTA CERTIFICATA: ",
		text: "Messaggio di posta certificata\n\nIl giorno " + d.day() + " il messaggio \"" + d.plain + "\" è stato inviato da \"" + d.sender +
			"\".\nIl messaggio originale è incluso in allegato.\n",
		tipo: "posta-certificata", ricevuta: d.receipt, id: d.identifier, original: d.original,
	})
}

// Acceptance is the ricevuta di accettazione (§3.1.4).
func (d *Dispatch) Acceptance() ([]byte, error) {
	return d.receiptOf("accettazione", "ACCETTAZIONE: ", "Ricevuta di accettazione\n\nIl messaggio \""+d.plain+"\" è stato accettato dal sistema.\n", notice{ricevuta: d.receipt})
}

// NonAcceptance is the avviso di non accettazione (§3.1.2), for a virus §3.1.3.
func (d *Dispatch) NonAcceptance(virus bool) ([]byte, error) {
	if virus {
		return d.receiptOf("non-accettazione", "AVVISO DI NON ACCETTAZIONE PER VIRUS: ", "Errore nell'accettazione del messaggio\n\nÈ stato rilevato un virus.\n",
			notice{header: []string{"X-VerificaSicurezza: errore"}, errore: "virus", detail: "5.5.1 - " + d.p.options.Name + " - presenza di un virus nel messaggio"})
	}
	return d.receiptOf("non-accettazione", "AVVISO DI NON ACCETTAZIONE: ", "Errore nell'accettazione del messaggio\n",
		notice{errore: "altro", detail: "5.7.1 - " + d.p.options.Name + " - il messaggio non rispetta le regole"})
}

// TakenInCharge is the presa in carico between providers (§3.2.1).
func (d *Dispatch) TakenInCharge() ([]byte, error) {
	return d.receiptOf("presa-in-carico", "PRESA IN CARICO: ", "Ricevuta di presa in carico\n", notice{to: "ricevute@" + d.p.options.Domain})
}

// VirusFound is the rilevazione virus between providers (§3.2.3).
func (d *Dispatch) VirusFound() ([]byte, error) {
	return d.receiptOf("rilevazione-virus", "PROBLEMA DI SICUREZZA: ", "Nel messaggio è stato rilevato un virus.\n",
		notice{to: "ricevute@" + d.p.options.Domain, header: []string{"X-Mittente: " + d.sender}, errore: "virus"})
}

// Delivery is the ricevuta di avvenuta consegna for one recipient (§3.3.2):
// completa, breve or sintetica.
func (d *Dispatch) Delivery(to, detail string) ([]byte, error) {
	n := notice{delivered: to, ricevuta: detail}
	switch detail {
	case "completa":
		n.original = d.original
	case "breve":
		short, err := brief(d.original)
		if err != nil {
			return nil, err
		}
		n.original = short
	}
	return d.receiptOf("avvenuta-consegna", "CONSEGNA: ", "Ricevuta di avvenuta consegna\n\nIl messaggio \""+d.plain+"\" è stato consegnato nella casella di destinazione "+to+".\n", n)
}

// Failure is the avviso di mancata consegna (§3.3.3): errore is no-dest,
// no-dominio, virus or altro.
func (d *Dispatch) Failure(to, errore string) ([]byte, error) {
	n := notice{delivered: to, errore: errore, detail: "5.1.1 - " + d.p.options.Name + " - indirizzo non valido"}
	prefix := "AVVISO DI MANCATA CONSEGNA: "
	if errore == "virus" {
		prefix = "AVVISO DI MANCATA CONSEGNA PER VIRUS: "
		n.header = []string{"X-VerificaSicurezza: errore"}
		n.detail = "5.5.1 - " + d.p.options.Name + " - presenza di un virus nel messaggio"
	}
	return d.receiptOf("errore-consegna", prefix, "Avviso di mancata consegna\n\nIl messaggio \""+d.plain+"\" destinato a "+to+" non è stato consegnato.\n", n)
}

// Overdue is the avviso per superamento tempi (§3.1.6), after 12 or 24 hours.
func (d *Dispatch) Overdue(to string, hours int) ([]byte, error) {
	detail := "il messaggio non è stato consegnato nelle prime dodici ore dal suo invio"
	if hours >= 24 {
		detail = "5.4.1 - " + d.p.options.Name + " - il messaggio non è stato consegnato entro 24 ore"
	}
	return d.receiptOf("preavviso-errore-consegna", "AVVISO DI MANCATA CONSEGNA PER SUP. TEMPO MASSIMO: ", "Avviso di mancata consegna\n",
		notice{delivered: to, errore: "altro", detail: detail})
}

// receiptOf fills in what all receipts share.
func (d *Dispatch) receiptOf(tipo, prefix, text string, n notice) ([]byte, error) {
	n.header = append([]string{"X-Ricevuta: " + tipo}, n.header...)
	n.tipo, n.prefix, n.text, n.id = tipo, prefix, text, d.p.identifier(d.time)
	if n.to == "" {
		n.to = d.sender
	}
	return d.build(n)
}

func (d *Dispatch) build(n notice) ([]byte, error) {
	parts := [][]byte{textPart(n.text), d.daticert(n)}
	if n.original != nil {
		parts = append(parts, originalPart(n.original))
	}
	header := append([]string{
		"Date: " + d.time.Format(time.RFC1123Z),
		"From: " + fromField(n.from, d.p.Address()),
		"To: " + n.to,
		"Subject: " + n.prefix + d.subject,
		"Message-ID: <" + n.id + ">",
	}, n.header...)
	if d.reference != "" {
		header = append(header, "X-Riferimento-Message-ID: <"+d.reference+">")
	}
	return d.p.Sign(header, joined("mixed", "pec", parts...))
}

func fromField(name, address string) string {
	if name == "" {
		return address
	}
	return fmt.Sprintf("%q <%s>", name, address)
}

// Sign puts an entity into a signed message with these header fields; it is
// how envelopes are made, and how tests make ones no honest provider would.
func (p *Provider) Sign(header []string, entity []byte) ([]byte, error) {
	return signed(header, entity, p.options.Digest, p.leaf, p.key, p.ca)
}

func signed(header []string, entity []byte, digest crypto.Hash, cert *x509.Certificate, key crypto.Signer, ca *x509.Certificate) ([]byte, error) {
	signature, err := cms(entity, digest, cert, key, ca)
	if err != nil {
		return nil, fmt.Errorf("signing a sample: %w", err)
	}
	part := append([]byte("Content-Type: application/x-pkcs7-signature; name=\"smime.p7s\"\r\n"+
		"Content-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=\"smime.p7s\"\r\n\r\n"), base64Lines(signature)...)
	var b bytes.Buffer
	for _, h := range header {
		b.WriteString(h + "\r\n")
	}
	b.WriteString("MIME-Version: 1.0\r\n")
	b.Write(joinedAs("multipart/signed", fmt.Sprintf("; protocol=\"application/x-pkcs7-signature\"; micalg=%q", micalgs[digest]), "sig", entity, part))
	return b.Bytes(), nil
}

func textPart(text string) []byte {
	return Mail{Text: text, Charset: "iso-8859-15"}.text("plain", text)
}

func originalPart(original []byte) []byte {
	return append([]byte("Content-Type: message/rfc822; name=\"postacert.eml\"\r\nContent-Disposition: inline; filename=\"postacert.eml\"\r\n"+
		"Content-Transfer-Encoding: 7bit\r\n\r\n"), original...)
}

// daticert is daticert.xml as a part (RFC 6109 §4.4).
func (d *Dispatch) daticert(n notice) []byte {
	errore := n.errore
	if errore == "" {
		errore = "nessuno"
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<postacert tipo=%q errore=%q>\n<intestazione>\n", n.tipo, errore)
	element(&b, "mittente", "", d.sender)
	for _, r := range d.recipients {
		kind := "certificato"
		if r.external {
			kind = "esterno"
		}
		element(&b, "destinatari", fmt.Sprintf(" tipo=%q", kind), r.address)
	}
	element(&b, "risposte", "", d.sender)
	element(&b, "oggetto", "", d.plain)
	b.WriteString("</intestazione>\n<dati>\n")
	element(&b, "gestore-emittente", "", d.p.options.Name)
	fmt.Fprintf(&b, "<data zona=%q><giorno>%s</giorno><ora>%s</ora></data>\n", d.time.Format("-0700"), d.time.Format("02/01/2006"), d.time.Format("15:04:05"))
	element(&b, "identificativo", "", d.identifier)
	if d.reference != "" {
		element(&b, "msgid", "", "<"+d.reference+">")
	}
	if n.ricevuta != "" {
		fmt.Fprintf(&b, "<ricevuta tipo=%q/>\n", n.ricevuta)
	}
	if n.delivered != "" {
		element(&b, "consegna", "", n.delivered)
	}
	if n.tipo == "presa-in-carico" {
		for _, r := range d.recipients {
			element(&b, "ricezione", "", r.address)
		}
	}
	if n.detail != "" {
		element(&b, "errore-esteso", "", n.detail)
	}
	b.WriteString("</dati>\n</postacert>\n")
	return append([]byte("Content-Type: application/xml; name=\"daticert.xml\"\r\nContent-Transfer-Encoding: base64\r\n"+
		"Content-Disposition: inline; filename=\"daticert.xml\"\r\n\r\n"), base64Lines(b.Bytes())...)
}

func element(b *bytes.Buffer, name, attrs, text string) {
	fmt.Fprintf(b, "<%s%s>", name, attrs)
	_ = xml.EscapeText(b, []byte(text)) // a bytes.Buffer takes all
	fmt.Fprintf(b, "</%s>\n", name)
}

func (d *Dispatch) day() string { return d.time.Format("02/01/2006 alle ore 15:04:05 (-0700)") }

// Anomaly is the busta di anomalia round ordinary mail that came in (§3.2.2).
func (p *Provider) Anomaly(received []byte, at time.Time) ([]byte, error) {
	m, err := mail.ReadMessage(bytes.NewReader(received))
	if err != nil {
		return nil, fmt.Errorf("reading the message received: %w", err)
	}
	from, err := mail.ParseAddress(m.Header.Get("From"))
	if err != nil {
		return nil, fmt.Errorf("reading its From: %w", err)
	}
	header := []string{
		"X-Trasporto: errore",
		"Date: " + at.Format(time.RFC1123Z),
		"From: " + fromField("Per conto di: "+from.Address, p.Address()),
		"Reply-To: " + from.Address,
		"To: " + m.Header.Get("To"),
		"Subject: ANOMALIA MESSAGGIO: " + m.Header.Get("Subject"),
	}
	if id := m.Header.Get("Message-Id"); id != "" {
		header = append(header, "Message-ID: "+id)
	}
	text := textPart("Anomalia nel messaggio\n\nIl messaggio \"" + decodeSubject(m.Header.Get("Subject")) + "\" non è certificato.\n")
	return p.Sign(header, joined("mixed", "pec", text, originalPart(received)))
}
