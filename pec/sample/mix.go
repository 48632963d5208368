package sample

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"
)

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
		one.Of, one.Name = k.name, fmt.Sprintf("%04d-%s", i, k.name)
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

	small    bool      // attachments are of a few kilobytes
	corpus   *Corpus   // nil in a Mix
	stranger *Provider // made when first needed
}

// kind is one kind of message.
type kind struct {
	name string
	make func(*mixer) (Message, error)
}

// kinds are the messages of a Mix, in its order.
var kinds = []kind{
	{"busta-completa", envelope("completa", false)},
	{"accettazione", receipt((*Dispatch).acceptance)},
	{"consegna-completa", deliver("completa")},
	{"ordinaria-semplice", (*mixer).plain},
	{"busta-allegati", envelope("completa", true)},
	{"busta-breve", envelope("breve", true)},
	{"busta-sintetica", envelope("sintetica", false)},
	{"consegna-breve", deliver("breve")},
	{"consegna-sintetica", deliver("sintetica")},
	{"non-accettazione", receipt(func(d *Dispatch) notice { return d.nonAcceptance(false) })},
	{"non-accettazione-virus", receipt(func(d *Dispatch) notice { return d.nonAcceptance(true) })},
	{"presa-in-carico", receipt((*Dispatch).takenInCharge)},
	{"rilevazione-virus", receipt((*Dispatch).virusFound)},
	{"mancata-consegna-no-dest", failTo("no-dest")},
	{"mancata-consegna-no-dominio", failTo("no-dominio")},
	{"mancata-consegna-virus", failTo("virus")},
	{"mancata-consegna-altro", failTo("altro")},
	{"preavviso-12h", receipt(func(d *Dispatch) notice { return d.overdue(recipientAddress, 12) })},
	{"preavviso-24h", receipt(func(d *Dispatch) notice { return d.overdue(recipientAddress, 24) })},
	{"anomalia", (*mixer).anomaly},
	{"anomalia-con-pec", anomalyRound(envelope("completa", false))},
	{"pec-in-pec", nested(1)},
	{"alterata", (*mixer).tampered},
	{"sosia", (*mixer).lookalike},
	{"firmatario-estraneo", (*mixer).foreign},
	{"firmata-da-persona", personal(Form{})},
	{"ordinaria-html", (*mixer).html},
	{"ordinaria-iso-8859-15", (*mixer).latin},
	{"ordinaria-allegati", (*mixer).withFiles},
}

const recipientAddress = "ordine@pec.ordine.example"

var subjects = []string{
	"Richiesta di iscrizione all'albo", "Trasmissione bilancio di esercizio", "Istanza di accesso agli atti",
	"Comunicazione variazione indirizzo", "Invito all'assemblea", "Fattura n. 42/2026", "Deposito documenti: perché è urgente",
}

// bodyPhrase stands in the text of every mail that mixer.mail makes.
const bodyPhrase = "si trasmette quanto in oggetto"

// mail is a plain message in this mix.
func (m *mixer) mail() Mail {
	subject := fmt.Sprintf("%s (%d)", subjects[m.r.IntN(len(subjects))], m.n)
	return Mail{
		From: "Mario Rossi <mario.rossi@pec.mittente.example>", To: "Ordine di Esempio <" + recipientAddress + ">",
		Subject: subject, Date: m.at.Add(-time.Minute), MessageID: fmt.Sprintf("%d.%d@mittente.example", m.r.Uint32(), m.n),
		Text: "Spettabile Ordine,\n\n" + bodyPhrase + ". Perché sia più chiaro, è allegata la documentazione.\n\nDistinti saluti\nMario Rossi\n",
	}
}

// files are a PDF, an office document and one whose name has accents.
func (m *mixer) files() []File {
	size := 20_000 + m.r.IntN(60_000)
	if m.r.IntN(8) == 0 {
		size = 1 << 20
	}
	if m.small {
		size = 2000 + size%4000
	}
	return []File{
		{Name: "documento.pdf", MediaType: "application/pdf", Data: PDF(m.bytes(size))},
		{Name: "relazione.docx", MediaType: "application/vnd.openxmlformats-officedocument.wordprocessingml.document", Data: Docx(string(m.bytes(size / 10)))},
		{Name: "Perché è così – verbale.pdf", MediaType: "application/pdf", Data: PDF(m.bytes(size / 10))},
	}
}

func knownFiles(files []File) []known {
	var all []known
	for _, f := range files {
		all = append(all, knownFile(f.Name, f.Data))
	}
	return all
}

func (m *mixer) bytes(n int) []byte {
	b := make([]byte, 0, n+8)
	for len(b) < n {
		b = binary.LittleEndian.AppendUint64(b, m.r.Uint64())
	}
	return b[:n]
}

// PDF is a file with the head and tail of a PDF round filler.
func PDF(filler []byte) []byte {
	return bytes.Join([][]byte{[]byte("%PDF-1.7\n1 0 obj<</Length " + fmt.Sprint(len(filler)) + ">>stream\n"), filler, []byte("\nendstream endobj\ntrailer<<>>\n%%EOF\n")}, nil)
}

// Docx is a zip laid out as an office document.
func Docx(text string) []byte {
	return zipped(map[string]string{"[Content_Types].xml": text, "word/document.xml": text})
}

// zipped is an archive of these files, in the order of their names.
func zipped(files map[string]string) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		w, err := z.Create(name)
		if err == nil {
			_, err = w.Write([]byte(files[name]))
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
