package sample

import (
	"strings"

	"github.com/protodaemon/protodaemon/pec"
)

// envelopeKinds are transport envelopes: what writers vary, what providers vary
// (domain facts 1.3 to 1.6), and what does not agree in them.
var envelopeKinds = []kind{
	// What the writer does.
	{"busta-piu-destinatari", written(func(m *Mail) { m.To, m.Cc = several, "Terzo <terzo@pec.ordine.example>" }, Submission{External: []string{"fuori@ditta.example"}})},
	{"busta-cento-destinatari", written(func(m *Mail) { m.To = many(100) }, Submission{})},
	{"busta-senza-message-id", written(func(m *Mail) { m.MessageID = "" }, Submission{})},
	{"busta-senza-oggetto", written(func(m *Mail) { m.Subject = "" }, Submission{})},
	{"busta-oggetto-lungo", written(func(m *Mail) { m.Subject = strings.Repeat("oggetto che non finisce più ", 20) + "fine" }, Submission{})},
	{"busta-oggetto-euro", written(func(m *Mail) { m.Charset, m.Subject = "iso-8859-15", "Costo 100 € perché così" }, Submission{})},
	{"busta-oggetto-base64", written(func(m *Mail) {
		m.Subject, m.SubjectField = "Perché è così, città", "=?UTF-8?B?UGVyY2jDqSDDqCBjb3PDrA==?= =?UTF-8?B?LCBjaXR0w6A=?="
	}, Submission{})},
	{"busta-oggetto-piegato", written(func(m *Mail) {
		m.Subject, m.SubjectField = "Richiesta di accesso agli atti", "Richiesta di\r\n accesso\r\n\tagli atti"
	}, Submission{})},
	{"busta-rispondi-a", written(func(m *Mail) { m.Headers = []string{"Reply-To: Ufficio <ufficio@pec.mittente.example>"} }, Submission{})},
	{"busta-html", written(func(m *Mail) { m.HTML = "<p>" + bodyPhrase + "</p>" }, Submission{})},
	{"busta-vuota", func(m *mixer) (Message, error) {
		one, err := written(func(m *Mail) { m.Text = "" }, Submission{})(m)
		one.Expect.Text = ""
		return one, err
	}},

	// What the provider does, by law or not.
	{"busta-senza-tiporicevuta", envelope("completa", false, func(d *Dispatch) { d.dialect.ReceiptType = "-" })},
	{"busta-daticert-quoted-printable", envelope("completa", true, daticert(Daticert{Encoding: "quoted-printable"}))},
	{"busta-daticert-8bit", envelope("completa", true, daticert(Daticert{Encoding: "8bit"}))},
	{"busta-daticert-binary", envelope("completa", true, daticert(Daticert{Encoding: "binary"}))},
	{"busta-daticert-latino", envelope("completa", true, daticert(Daticert{Encoding: "8bit", Charset: "ISO-8859-1"}))},
	{"busta-daticert-latino-base64", envelope("completa", true, daticert(Daticert{Charset: "ISO-8859-1"}))},
	{"busta-daticert-testo-estraneo", envelope("completa", true, daticert(Daticert{Stray: "a"}))},
	{"busta-daticert-dtd", envelope("completa", true, daticert(Daticert{Doctype: true}))},
	{"busta-daticert-attributi-nuovi", envelope("completa", true, daticert(Daticert{Root: ` versione="2" xmlns:x="urn:x" x:y="z"`}))},
	{"busta-daticert-msgid-nudo", envelope("completa", true, daticert(Daticert{Bare: true}))},
	{"busta-daticert-solo-name", envelope("completa", true, daticert(Daticert{Header: "Content-Type: application/xml; name=daticert.xml\r\n"}))},
	{"busta-daticert-solo-filename", envelope("completa", true, daticert(Daticert{Header: "Content-Type: application/xml\r\nContent-Disposition: attachment; filename=\"daticert.xml\"\r\n"}))},
	{"busta-daticert-text-xml", envelope("completa", true, daticert(Daticert{Header: "Content-Type: text/xml; charset=UTF-8; name=\"daticert.xml\"\r\nContent-Disposition: inline; filename=\"daticert.xml\"\r\n"}))},
	{"busta-daticert-octet-stream", envelope("completa", true, daticert(Daticert{Header: "Content-Type: application/octet-stream; name=\"daticert.xml\"\r\nContent-Disposition: attachment; filename=\"daticert.xml\"\r\n"}))},
	{"busta-originale-prima", envelope("completa", true, func(d *Dispatch) { d.dialect.OriginalFirst = true })},
	{"busta-originale-base64", envelope("completa", true, func(d *Dispatch) { d.dialect.OriginalCoded = true })},
	{"busta-originale-octet-stream", envelope("completa", true, func(d *Dispatch) {
		d.dialect.OriginalCoded, d.dialect.Original = true, "Content-Type: application/octet-stream; name=\"postacert.eml\"\r\nContent-Disposition: attachment; filename=\"postacert.eml\"\r\n"
	})},
	{"busta-originale-senza-nome", envelope("completa", true, func(d *Dispatch) { d.dialect.Original = "Content-Type: message/rfc822\r\n" })},
	{"busta-parte-in-piu", envelope("completa", true, func(d *Dispatch) {
		d.dialect.ExtraPart = "Content-Type: text/plain; name=\"note.txt\"\r\nContent-Disposition: attachment; filename=\"note.txt\"\r\n\r\nNote del gestore\r\n"
	})},
	{"busta-intestazioni-maiuscole", envelope("completa", false, func(d *Dispatch) { d.dialect.Names = strings.ToUpper })},
	{"busta-intestazioni-minuscole", envelope("completa", false, func(d *Dispatch) { d.dialect.Names = strings.ToLower })},
	{"busta-stile-aruba", envelope("completa", true, func(d *Dispatch) { d.dialect = ArubaLike() })},
	{"busta-stile-legalmail", envelope("completa", true, func(d *Dispatch) { d.dialect = LegalmailLike() })},
	{"busta-stile-namirial", envelope("completa", true, func(d *Dispatch) { d.dialect = NamirialLike() })},
	{"busta-stile-sogei", envelope("completa", true, func(d *Dispatch) { d.dialect = SogeiLike() })},
	{"busta-stile-poste", envelope("completa", true, func(d *Dispatch) { d.dialect = PosteLike() })},
	{"busta-micalg-inventato", envelope("completa", true, func(d *Dispatch) { d.dialect.Micalg = "md5, sha-3" })},
	{"busta-p7s-una-riga", envelope("completa", false, func(d *Dispatch) { d.dialect.OneLine = true })},

	// What does not agree in it, or is missing.
	{"busta-senza-tipo", warned(envelope("completa", true, drop("X-Trasporto")), pec.TypeHeaderMissing)},
	{"busta-oggetto-esterno-diverso", warned(altered(envelope("completa", true), "POSTA CERTIFICATA: ", "POSTA CERTIFICATA: ALTRO "), pec.EnvelopeSubjectDiffers)},
	{"busta-identificativo-diverso", warned(altered(envelope("completa", true), ": <", ": <x."), pec.IdentifierDiffers)},
	{"busta-mittente-diverso", warned(told(func(d *Dispatch) { d.sender = "altro@pec.mittente.example" }), pec.SenderDiffers)},
	{"busta-oggetto-diverso", warned(told(func(d *Dispatch) { d.plain = "Un altro oggetto" }), pec.SubjectDiffers)},
	{"busta-gestore-diverso", warned(told(func(d *Dispatch) { d.provider = "Tutt'altra Ditta S.r.l." }), pec.ProviderDiffers)},
	{"busta-senza-daticert", uncertified(func(n *notice) { n.bare = true }, pec.DaticertMissing)},
	{"busta-senza-originale", uncertified(func(n *notice) { n.original = nil }, pec.PostacertMissing, pec.EnvelopeSubjectDiffers)},
}

const several = "Ordine di Esempio <" + recipientAddress + ">, \"Rossi, Anna\" <anna@pec.ordine.example>, fuori@ditta.example"

func many(n int) string {
	var list []string
	for i := range n {
		list = append(list, "destinatario"+strings.Repeat("x", i%7)+string(rune('a'+i%26))+"@pec.ordine.example")
	}
	return strings.Join(list, ",\r\n ")
}

// written is an envelope whose mail is changed.
func written(change func(*Mail), s Submission) func(*mixer) (Message, error) {
	return func(m *mixer) (Message, error) {
		mail := m.mail()
		change(&mail)
		d, err := m.submit(mail, s)
		if err != nil {
			return Message{}, err
		}
		one, err := d.told(d.envelope(), knownFiles(mail.Files))
		one.Expect.Subject = mail.Subject
		return one, err
	}
}

func daticert(f Daticert) func(*Dispatch) { return func(d *Dispatch) { d.dialect.Daticert = f } }

// drop leaves out a marker field.
func drop(name string) func(*Dispatch) {
	return func(d *Dispatch) {
		names := d.dialect.Names
		d.dialect.Names = func(s string) string {
			if s == name {
				return "X-Altro"
			}
			if names != nil {
				return names(s)
			}
			return s
		}
	}
}

// told is an envelope whose daticert.xml says something that the original does
// not.
func told(change func(*Dispatch)) func(*mixer) (Message, error) {
	return func(m *mixer) (Message, error) {
		d, err := m.submit(m.mail(), Submission{})
		if err != nil {
			return Message{}, err
		}
		n := d.envelope()
		sender, subject := d.sender, d.plain
		change(d)
		one, err := d.told(n, nil)
		one.Expect.From, one.Expect.Subject = sender, subject
		return one, err
	}
}

// altered is a message with one text replaced after it was signed, in the header
// where nothing is signed.
func altered(make func(*mixer) (Message, error), old, new string) func(*mixer) (Message, error) {
	return func(m *mixer) (Message, error) {
		one, err := make(m)
		one.Raw = []byte(strings.Replace(string(one.Raw), old, new, 1))
		return one, err
	}
}

// warned adds warnings that have to be given.
func warned(make func(*mixer) (Message, error), codes ...string) func(*mixer) (Message, error) {
	return func(m *mixer) (Message, error) {
		one, err := make(m)
		one.Expect.Warnings = append(one.Expect.Warnings, codes...)
		return one, err
	}
}

// uncertified is an envelope that lacks a part: signed, but nothing certified.
func uncertified(change func(*notice), codes ...string) func(*mixer) (Message, error) {
	return func(m *mixer) (Message, error) {
		d, err := m.submit(m.mail(), Submission{})
		if err != nil {
			return Message{}, err
		}
		n := d.envelope()
		change(&n)
		one, err := d.told(n, nil)
		e := &one.Expect
		e.Authenticity = pec.Anomaly
		e.Warnings = append(e.Warnings, codes...)
		if n.bare {
			*e = Expect{Authenticity: e.Authenticity, Status: e.Status, Subject: e.Subject, Warnings: e.Warnings, From: e.From, Content: e.Content, Text: e.Text}
		}
		if n.original == nil {
			e.Subject, e.From, e.Content, e.Text = outerSubject(one.Raw), "", "", n.phrase()
		}
		return one, err
	}
}
