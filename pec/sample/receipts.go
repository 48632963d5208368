package sample

import "github.com/protodaemon/protodaemon/pec"

// receiptKinds are receipts beyond those of a Mix: as providers word them, and
// values that no rule knows.
var receiptKinds = []kind{
	{"accettazione-piu-destinatari", about(several, (*Dispatch).acceptance)},
	{"presa-in-carico-piu-destinatari", about(several, (*Dispatch).takenInCharge)},
	{"accettazione-senza-message-id", receipt((*Dispatch).acceptance, func(d *Dispatch) { d.reference = "" })},
	{"accettazione-daticert-quoted-printable", receipt((*Dispatch).acceptance, daticert(Daticert{Encoding: "quoted-printable"}))},
	{"accettazione-daticert-latino", receipt((*Dispatch).acceptance, daticert(Daticert{Encoding: "8bit", Charset: "ISO-8859-1"}))},
	{"accettazione-stile-namirial", receipt((*Dispatch).acceptance, func(d *Dispatch) { d.dialect = NamirialLike() })},
	{"accettazione-senza-tipo", warned(receipt((*Dispatch).acceptance, drop("X-Ricevuta")), pec.TypeHeaderMissing)},
	{"accettazione-senza-daticert", func(m *mixer) (Message, error) {
		one, err := receipt(func(d *Dispatch) notice {
			n := d.acceptance()
			n.bare = true
			return n
		})(m)
		e := one.Expect
		one.Expect = Expect{Authenticity: pec.Anomaly, Status: e.Status, Warnings: append(e.Warnings, pec.DaticertMissing, pec.EnvelopeSubjectDiffers), Text: e.Text}
		return one, err
	}},
	{"consegna-originale-prima", deliver("completa", func(d *Dispatch) { d.dialect.OriginalFirst = true })},
	{"consegna-originale-base64", deliver("completa", func(d *Dispatch) { d.dialect.OriginalCoded = true })},
	{"consegna-completa-senza-allegati", func(m *mixer) (Message, error) { return m.delivered(m.mail(), nil, "completa") }},
	{"consegna-breve-senza-allegati", func(m *mixer) (Message, error) { return m.delivered(m.mail(), nil, "breve") }},
	{"consegna-breve-html", func(m *mixer) (Message, error) {
		mail := m.mail()
		mail.HTML = "<p>" + bodyPhrase + "<img src=\"cid:logo@x\"></p>"
		mail.Files = []File{{Name: "logo.png", MediaType: "image/png", Data: m.bytes(900), ContentID: "logo@x"}, {Name: "atto.pdf", MediaType: "application/pdf", Data: PDF(m.bytes(500))}}
		return m.delivered(mail, nil, "breve")
	}},
	{"consegna-breve-con-messaggio", func(m *mixer) (Message, error) {
		mail, inner := m.mail(), m.mail()
		mail.Files = []File{{Name: "inoltrato.eml", MediaType: "message/rfc822", Data: inner.Bytes()}}
		return m.delivered(mail, nil, "breve")
	}},
	{"consegna-breve-con-p7m", func(m *mixer) (Message, error) {
		p7m, err := m.p7m(Form{})
		if err != nil {
			return Message{}, err
		}
		mail := m.mail()
		mail.Files = []File{{Name: "istanza.pdf.p7m", MediaType: "application/pkcs7-mime", Data: p7m}, {Name: "atto.pdf", MediaType: "application/pdf", Data: PDF(m.bytes(500))}}
		return m.delivered(mail, nil, "breve")
	}},
	{"consegna-altro-destinatario", warned(receipt(func(d *Dispatch) notice {
		n, _ := d.delivery("altri@pec.ordine.example", "sintetica") // only a short one can fail
		return n
	}), pec.DeliveredToDiffers)},
	{"consegna-indirizzo-maiuscolo", receipt(func(d *Dispatch) notice {
		n, _ := d.delivery("Ordine@PEC.Ordine.example", "sintetica") // only a short one can fail
		return n
	})},
	{"mancata-consegna-parole-aruba", extended("errore-consegna", "altro", "5.1.1 - ARUBA PEC S.p.A. - indirizzo non valido")},
	{"mancata-consegna-virus-aruba", extended("errore-consegna", "virus", "5.5.1, Aruba Pec S.p.A., presenza di un virus nel messaggio")},
	{"mancata-consegna-casella-piena", extended("errore-consegna", "altro", "5.2.2 - mailbox full; casella piena, perché non svuotata")},
	{"preavviso-24h-a-capo", extended("preavviso-errore-consegna", "altro", "\n  5.4.1 - Namirial S.p.A. - il messaggio non è stato consegnato entro 24 ore\n")},
	{"preavviso-12h-senza-testo", extended("preavviso-errore-consegna", "altro", "")},
	{"preavviso-24h-senza-errore", extended("preavviso-errore-consegna", "nessuno", "5.4.1 - tempo massimo superato")},
	{"errore-sconosciuto", extended("errore-consegna", "quarantena", "messaggio in quarantena")},
	{"tipo-sconosciuto", warned(receipt(func(d *Dispatch) notice {
		n := d.acceptance()
		n.header, n.tipo = [][2]string{{"X-Ricevuta", "lettura-messaggio"}}, "lettura-messaggio"
		return n
	}), pec.UnknownType)},
	{"ricevuta-maiuscola", receipt(func(d *Dispatch) notice {
		n := d.acceptance()
		n.header = [][2]string{{"X-Ricevuta", "Accettazione"}}
		return n
	})},
}

// about is a receipt of a mail to several, one of them outside PEC.
func about(to string, what func(*Dispatch) notice) func(*mixer) (Message, error) {
	return func(m *mixer) (Message, error) {
		mail := m.mail()
		mail.To = to
		d, err := m.submit(mail, Submission{External: []string{"fuori@ditta.example"}})
		if err != nil {
			return Message{}, err
		}
		return d.told(what(d), nil)
	}
}

// extended is a notice of failure with these words in errore-esteso.
func extended(tipo, errore, detail string) func(*mixer) (Message, error) {
	return receipt(func(d *Dispatch) notice {
		n := d.failure(recipientAddress, errore)
		if tipo != "errore-consegna" {
			n = d.overdue(recipientAddress, 24)
		}
		n.errore, n.detail = errore, detail
		return n
	})
}
