package sample

import (
	"archive/zip"
	"bytes"
	"crypto"
	"crypto/x509"
	"fmt"
	"math/rand/v2"
	"net/mail"
	"time"

	"github.com/protodaemon/protodaemon/pec"
)

// Message is one sample and what has to be found in it by a reader that trusts
// the provider's CA.
type Message struct {
	Name   string // unique in its mix, usable as a file name
	Raw    []byte
	Kind   pec.Kind
	Expect Expect
}

// Expect is the truth about a sample.
type Expect struct {
	Authenticity pec.Authenticity
	Status       pec.SignatureStatus
	Type         string // daticert.xml's tipo; anomalia for an anomaly; "" for ordinary mail
	Detail       string // completa, breve or sintetica
	Error        string // daticert.xml's errore
	Subject      string // of the message a person wrote
	Files        []string
	Warnings     []string // codes, in any order
}

// Mix is n messages (at least one of each of Kinds when n allows), the same for
// the same seed but for signatures. Sizes vary as in a real mailbox: most
// attachments have tens of kilobytes, some a megabyte.
func Mix(p *Provider, n int, seed uint64) ([]Message, error) {
	m := &mixer{p: p, r: rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15)), at: p.options.Now}
	list := make([]Message, 0, n)
	for i := range n {
		k := kinds[i%len(kinds)]
		m.n = i
		m.at = p.options.Now.Add(time.Duration(i) * time.Minute)
		one, err := k.make(m)
		if err != nil {
			return nil, fmt.Errorf("making sample %s: %w", k.name, err)
		}
		one.Name = fmt.Sprintf("%04d-%s", i, k.name)
		list = append(list, one)
	}
	return list, nil
}

// Kinds is how many kinds of message Mix knows.
func Kinds() int { return len(kinds) }

// mixer makes the messages of one Mix.
type mixer struct {
	p  *Provider
	r  *rand.Rand
	n  int
	at time.Time

	stranger *Provider // made when first needed
}

// kinds are all messages a mailbox can hold, in the order Mix makes them.
var kinds = []struct {
	name string
	make func(*mixer) (Message, error)
}{
	{"busta-completa", envelope("completa", false)},
	{"accettazione", receipt("accettazione", "completa", "", func(d *Dispatch) ([]byte, error) { return d.Acceptance() })},
	{"consegna-completa", receipt("avvenuta-consegna", "completa", "", deliver("completa"))},
	{"ordinaria-semplice", (*mixer).plain},
	{"busta-allegati", envelope("completa", true)},
	{"busta-breve", envelope("breve", true)},
	{"busta-sintetica", envelope("sintetica", false)},
	{"consegna-breve", receipt("avvenuta-consegna", "breve", "", deliver("breve"))},
	{"consegna-sintetica", receipt("avvenuta-consegna", "sintetica", "", deliver("sintetica"))},
	{"non-accettazione", receipt("non-accettazione", "", "altro", func(d *Dispatch) ([]byte, error) { return d.NonAcceptance(false) })},
	{"non-accettazione-virus", receipt("non-accettazione", "", "virus", func(d *Dispatch) ([]byte, error) { return d.NonAcceptance(true) })},
	{"presa-in-carico", receipt("presa-in-carico", "", "", func(d *Dispatch) ([]byte, error) { return d.TakenInCharge() })},
	{"rilevazione-virus", receipt("rilevazione-virus", "", "virus", func(d *Dispatch) ([]byte, error) { return d.VirusFound() })},
	{"mancata-consegna-no-dest", receipt("errore-consegna", "", "no-dest", failTo("no-dest"))},
	{"mancata-consegna-no-dominio", receipt("errore-consegna", "", "no-dominio", failTo("no-dominio"))},
	{"mancata-consegna-virus", receipt("errore-consegna", "", "virus", failTo("virus"))},
	{"mancata-consegna-altro", receipt("errore-consegna", "", "altro", failTo("altro"))},
	{"preavviso-12h", receipt("preavviso-errore-consegna", "", "altro", func(d *Dispatch) ([]byte, error) { return d.Overdue(recipientAddress, 12) })},
	{"preavviso-24h", receipt("preavviso-errore-consegna", "", "altro", func(d *Dispatch) ([]byte, error) { return d.Overdue(recipientAddress, 24) })},
	{"anomalia", (*mixer).anomaly},
	{"anomalia-con-pec", (*mixer).anomalyRoundPEC},
	{"pec-in-pec", (*mixer).nested},
	{"alterata", (*mixer).tampered},
	{"sosia", (*mixer).lookalike},
	{"firmatario-estraneo", (*mixer).foreign},
	{"firmata-da-persona", (*mixer).personal},
	{"ordinaria-html", (*mixer).html},
	{"ordinaria-iso-8859-15", (*mixer).latin},
	{"ordinaria-allegati", (*mixer).withFiles},
}

const recipientAddress = "ordine@pec.ordine.example"

var subjects = []string{
	"Richiesta di iscrizione all'albo", "Trasmissione bilancio di esercizio", "Istanza di accesso agli atti",
	"Comunicazione variazione indirizzo", "Invito all'assemblea", "Fattura n. 42/2026", "Deposito documenti: perché è urgente",
}

// mail is a plain message in this mix.
func (m *mixer) mail() Mail {
	subject := fmt.Sprintf("%s (%d)", subjects[m.r.IntN(len(subjects))], m.n)
	return Mail{
		From: "Mario Rossi <mario.rossi@pec.mittente.example>", To: "Ordine di Esempio <" + recipientAddress + ">",
		Subject: subject, Date: m.at.Add(-time.Minute), MessageID: fmt.Sprintf("%d.%d@mittente.example", m.r.Uint32(), m.n),
		Text: "Spettabile Ordine,\n\nsi trasmette quanto in oggetto. Perché sia più chiaro, è allegata la documentazione.\n\nDistinti saluti\nMario Rossi\n",
	}
}

// files are a PDF, an office document and one whose name has accents.
func (m *mixer) files() ([]File, []string) {
	size := 20_000 + m.r.IntN(60_000)
	if m.r.IntN(8) == 0 {
		size = 1 << 20
	}
	list := []File{
		{Name: "documento.pdf", MediaType: "application/pdf", Data: PDF(m.bytes(size))},
		{Name: "relazione.docx", MediaType: "application/vnd.openxmlformats-officedocument.wordprocessingml.document", Data: Docx(string(m.bytes(4000)))},
		{Name: "Perché è così – verbale.pdf", MediaType: "application/pdf", Data: PDF(m.bytes(3000))},
	}
	return list, []string{"documento.pdf", "relazione.docx", "Perché è così – verbale.pdf"}
}

func (m *mixer) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(m.r.Uint32())
	}
	return b
}

// PDF is a file with the head and tail of a PDF round filler.
func PDF(filler []byte) []byte {
	return bytes.Join([][]byte{[]byte("%PDF-1.7\n1 0 obj<</Length " + fmt.Sprint(len(filler)) + ">>stream\n"), filler, []byte("\nendstream endobj\ntrailer<<>>\n%%EOF\n")}, nil)
}

// Docx is a zip laid out as an office document.
func Docx(text string) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, name := range []string{"[Content_Types].xml", "word/document.xml"} {
		w, err := z.Create(name)
		if err == nil {
			_, err = w.Write([]byte(text))
		}
		if err != nil { // a bytes.Buffer takes all
			panic(err)
		}
	}
	if err := z.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func (m *mixer) submit(mail Mail, receipt string) (*Dispatch, error) {
	return m.p.Submit(mail.Bytes(), Submission{Receipt: receipt, Time: m.at})
}

// weak is the warning that comes with a provider's old digest.
func (m *mixer) weak() []string {
	if m.p.options.Digest == crypto.SHA1 {
		return []string{pec.WeakDigest}
	}
	return nil
}

func (m *mixer) certified(kind pec.Kind, raw []byte, e Expect) Message {
	e.Authenticity, e.Status = pec.Certified, pec.SignatureValid
	e.Warnings = append(e.Warnings, m.weak()...)
	if e.Error == "" {
		e.Error = "nessuno"
	}
	return Message{Raw: raw, Kind: kind, Expect: e}
}

func envelope(receipt string, files bool) func(*mixer) (Message, error) {
	return func(m *mixer) (Message, error) {
		mail := m.mail()
		e := Expect{Type: "posta-certificata", Detail: receipt, Subject: mail.Subject}
		if files {
			mail.Files, e.Files = m.files()
		}
		d, err := m.submit(mail, receipt)
		if err != nil {
			return Message{}, err
		}
		raw, err := d.Envelope()
		return m.certified(pec.PECTransport, raw, e), err
	}
}

func receipt(tipo, detail, errore string, make func(*Dispatch) ([]byte, error)) func(*mixer) (Message, error) {
	return func(m *mixer) (Message, error) {
		mail := m.mail()
		e := Expect{Type: tipo, Detail: detail, Error: errore, Subject: mail.Subject}
		if tipo == "avvenuta-consegna" && detail != "sintetica" {
			mail.Files, e.Files = m.files()
			if detail == "breve" {
				for i := range e.Files {
					e.Files[i] += ".hash"
				}
			}
		}
		d, err := m.submit(mail, "completa")
		if err != nil {
			return Message{}, err
		}
		raw, err := make(d)
		return m.certified(pec.PECReceipt, raw, e), err
	}
}

func deliver(detail string) func(*Dispatch) ([]byte, error) {
	return func(d *Dispatch) ([]byte, error) { return d.Delivery(recipientAddress, detail) }
}

func failTo(errore string) func(*Dispatch) ([]byte, error) {
	return func(d *Dispatch) ([]byte, error) { return d.Failure(recipientAddress, errore) }
}

func (m *mixer) anomaly() (Message, error) {
	mail := m.mail()
	mail.From = "Ditta <info@ditta.example>"
	var e Expect
	mail.Files, e.Files = m.files()
	raw, err := m.p.Anomaly(mail.Bytes(), m.at)
	e.Subject = mail.Subject
	return m.anomalous(raw, e), err
}

// anomalyRoundPEC is a PEC that came back as ordinary mail: its daticert.xml is
// not the envelope's.
func (m *mixer) anomalyRoundPEC() (Message, error) {
	inner, err := envelope("completa", false)(m)
	if err != nil {
		return Message{}, err
	}
	raw, err := m.p.Anomaly(inner.Raw, m.at)
	return m.anomalous(raw, Expect{Subject: "POSTA CERTIFICATA: " + inner.Expect.Subject, Files: []string{"daticert.xml", "postacert.eml"}}), err
}

func (m *mixer) anomalous(raw []byte, e Expect) Message {
	e.Authenticity, e.Status, e.Type = pec.Anomaly, pec.SignatureValid, "anomalia"
	e.Warnings = append(e.Warnings, m.weak()...)
	return Message{Raw: raw, Kind: pec.PECAnomaly, Expect: e}
}

// nested is a PEC forwarded by PEC as an attachment.
func (m *mixer) nested() (Message, error) {
	inner, err := envelope("completa", true)(m)
	if err != nil {
		return Message{}, err
	}
	mail := m.mail()
	mail.Subject = "I: " + mail.Subject
	mail.Files = []File{{Name: "inoltrato.eml", MediaType: "message/rfc822", Data: inner.Raw}}
	d, err := m.submit(mail, "completa")
	if err != nil {
		return Message{}, err
	}
	raw, err := d.Envelope()
	files := append([]string{"inoltrato.eml", "daticert.xml", "postacert.eml"}, inner.Expect.Files...)
	return m.certified(pec.PECTransport, raw, Expect{Type: "posta-certificata", Detail: "completa", Subject: mail.Subject, Files: files}), err
}

// tampered has one letter of the signed text changed.
func (m *mixer) tampered() (Message, error) {
	one, err := envelope("completa", false)(m)
	one.Raw = bytes.Replace(one.Raw, []byte("Distinti saluti"), []byte("Distinti Saluti"), 1)
	one.Expect.Authenticity, one.Expect.Status, one.Expect.Warnings = pec.Broken, pec.SignatureInvalid, nil
	return one, err
}

// lookalike has all of an envelope but the signature.
func (m *mixer) lookalike() (Message, error) {
	mail := m.mail()
	d, err := m.submit(mail, "completa")
	if err != nil {
		return Message{}, err
	}
	fake := mail
	fake.From = fromField("Per conto di: "+d.sender, m.p.Address())
	fake.Subject = "POSTA CERTIFICATA: " + mail.Subject
	fake.Headers = []string{"X-Trasporto: posta-certificata", "X-TipoRicevuta: completa"}
	fake.Files = []File{{Name: "postacert.eml", MediaType: "message/rfc822", Data: d.original}}
	return Message{Raw: fake.Bytes(), Kind: pec.Email, Expect: Expect{Authenticity: pec.Unsigned, Status: pec.SignatureAbsent,
		Subject: fake.Subject, Files: []string{"postacert.eml"}, Warnings: []string{pec.PECLookalike}}}, nil
}

// foreign is a complete envelope of a provider with the same name and address
// from another CA.
func (m *mixer) foreign() (Message, error) {
	if m.stranger == nil {
		stranger, err := NewProvider(m.p.options)
		if err != nil {
			return Message{}, err
		}
		m.stranger = stranger
	}
	one, err := envelope("completa", false)(&mixer{p: m.stranger, r: m.r, n: m.n, at: m.at})
	one.Expect.Authenticity, one.Expect.Status = pec.Untrusted, pec.SignatureUntrusted
	return one, err
}

// personal is ordinary mail that its writer signed.
func (m *mixer) personal() (Message, error) {
	mail := m.mail()
	raw, err := m.p.Personal(mail, nil)
	return Message{Raw: raw, Kind: pec.Email, Expect: Expect{Authenticity: pec.Unsigned, Status: pec.SignatureValid,
		Subject: mail.Subject, Warnings: m.weak()}}, err
}

// Personal signs a mail in its writer's name, with a certificate of the
// provider's CA that change may spoil.
func (p *Provider) Personal(m Mail, change func(*x509.Certificate)) ([]byte, error) {
	from, err := mail.ParseAddress(m.From)
	if err != nil {
		return nil, fmt.Errorf("reading the From of the mail: %w", err)
	}
	cert, key, err := p.issue("", from.Name, from.Address, change)
	if err != nil {
		return nil, fmt.Errorf("making a personal certificate: %w", err)
	}
	body := m.entity()
	head := bytes.TrimSuffix(m.Bytes(), append([]byte("MIME-Version: 1.0\r\n"), body...))
	header := bytes.Split(bytes.TrimSuffix(head, []byte("\r\n")), []byte("\r\n"))
	lines := make([]string, len(header))
	for i, h := range header {
		lines[i] = string(h)
	}
	return signed(lines, body, p.options.Digest, cert, key, p.ca)
}

func ordinary(mail Mail, files ...string) Message {
	return Message{Raw: mail.Bytes(), Kind: pec.Email, Expect: Expect{Authenticity: pec.Unsigned, Status: pec.SignatureAbsent, Subject: mail.Subject, Files: files}}
}

func (m *mixer) plain() (Message, error) { return ordinary(m.mail()), nil }

func (m *mixer) html() (Message, error) {
	mail := m.mail()
	mail.HTML = "<html><head><style>p{color:red}</style></head><body><p>Spettabile Ordine, <b>perché</b> no?</p><img src=\"cid:logo@x\"></body></html>"
	mail.Files = []File{{Name: "logo.png", MediaType: "image/png", Data: m.bytes(900), ContentID: "logo@x"}}
	return ordinary(mail, "logo.png"), nil
}

func (m *mixer) latin() (Message, error) {
	mail := m.mail()
	mail.Charset = "iso-8859-15"
	mail.Subject = "Costo 100 € più IVA"
	mail.Text = "Il costo è di 100 €, perché così è.\n"
	return ordinary(mail), nil
}

func (m *mixer) withFiles() (Message, error) {
	mail := m.mail()
	var names []string
	mail.Files, names = m.files()
	return ordinary(mail, names...), nil
}
