package sample

import (
	"strings"

	"github.com/protodaemon/protodaemon/pec"
)

// headerTricks change the header that nobody signs.
var headerTricks = []trick{
	// A rewritten field changes nothing that is certified.
	{"oggetto-riscritto", func(f *forge) string { return f.field("Subject", "POSTA CERTIFICATA: "+Canary) }, certified(pec.EnvelopeSubjectDiffers)},
	{"oggetto-senza-prefisso", func(f *forge) string { return f.field("Subject", Canary) }, certified(pec.EnvelopeSubjectDiffers)},
	{"destinatario-riscritto", func(f *forge) string { return f.field("To", evil) }, certified()},
	{"copia-aggiunta", func(f *forge) string { return f.above("Cc: " + evil) }, certified()},
	{"message-id-riscritto", func(f *forge) string { return f.field("Message-ID", "<"+evil+">") }, certified(pec.IdentifierDiffers)},
	{"message-id-tolto", func(f *forge) string { return f.replace("\r\nMessage-ID: <", "\r\nX-Id: <") }, certified(pec.IdentifierDiffers)},
	{"riferimento-riscritto", func(f *forge) string { return f.field("X-Riferimento-Message-ID", "<"+evil+">") }, certified(pec.ReferenceDiffers)},
	{"data-riscritta", func(f *forge) string { return f.field("Date", "Tue, 10 Mar 2015 09:30:00 +0100") }, certified()},
	{"risposta-riscritta", func(f *forge) string { return f.field("Reply-To", evil) }, certified()},
	{"mittente-tecnico-aggiunto", func(f *forge) string { return f.above("Sender: " + evil) }, certified()},
	{"nome-del-mittente-riscritto", func(f *forge) string { return f.field("From", "\"Per conto di: "+evil+"\" <"+f.m.p.Address()+">") }, certified()},
	{"tipo-ricevuta-riscritto", func(f *forge) string { return f.field("X-TipoRicevuta", "sintetica") }, certified()},
	{"oggetto-doppio", func(f *forge) string { return f.above("Subject: POSTA CERTIFICATA: " + Canary) }, certified(pec.DuplicateHeader, pec.EnvelopeSubjectDiffers)},
	{"oggetto-doppio-sotto", func(f *forge) string {
		return f.replace("MIME-Version:", "Subject: POSTA CERTIFICATA: "+Canary+"\r\nMIME-Version:")
	}, certified(pec.DuplicateHeader)},
	{"data-doppia", func(f *forge) string { return f.above("Date: Tue, 10 Mar 2015 09:30:00 +0100") }, certified(pec.DuplicateHeader)},
	{"message-id-doppio", func(f *forge) string { return f.above("Message-ID: <" + evil + ">") }, certified(pec.DuplicateHeader, pec.IdentifierDiffers)},
	{"intestazione-lf", func(f *forge) string {
		head, body, _ := strings.Cut(f.raw, "\r\n\r\n")
		return strings.ReplaceAll(head, "\r\n", "\n") + "\n\n" + body
	}, certified()},
	{"intestazione-con-nul", func(f *forge) string { return f.above("X-Altro: " + Canary + "\x00" + Canary) }, certified(pec.MalformedHeader)},
	{"riga-senza-due-punti", func(f *forge) string { return f.replace("\r\nTo:", "\r\n"+Canary+"\r\nTo:") }, certified()},
	{"riga-mbox", func(f *forge) string { return "From " + evil + " Tue Mar 10 09:30:00 2026\r\n" + f.raw }, certified()},
	{"senza-mime-version", func(f *forge) string { return f.replace("MIME-Version: 1.0\r\n", "") }, certified()},

	// Fields on which kind and trust rest.
	{"trasporto-doppio", func(f *forge) string {
		return f.replace("X-Trasporto: posta-certificata", "X-Trasporto: posta-certificata\r\nX-Trasporto: errore")
	}, distrusted(pec.DuplicateHeader)},
	{"trasporto-doppio-con-spazio", func(f *forge) string { return f.above("X-Trasporto : posta-certificata") }, distrusted(pec.DuplicateHeader)},
	{"trasporto-anomalia", func(f *forge) string { return f.field("X-Trasporto", "errore") }, verdict{pec.PECAnomaly, pec.Anomaly, pec.SignatureValid, nil}},
	{"trasporto-inventato", func(f *forge) string { return f.field("X-Trasporto", Canary) }, certified(pec.UnknownType, pec.TypeHeaderMissing)},
	{"trasporto-con-nul", func(f *forge) string { return f.field("X-Trasporto", "posta-certificata\x00") }, distrusted(pec.MalformedHeader, pec.TypeHeaderMissing, pec.UnknownType)},
	{"trasporto-tolto", func(f *forge) string { return f.replace("X-Trasporto: posta-certificata\r\n", "") }, certified(pec.TypeHeaderMissing)},
	{"ricevuta-aggiunta", func(f *forge) string { return f.above("X-Ricevuta: avvenuta-consegna") }, certified()},
	{"ricevuta-per-busta", func(f *forge) string {
		return f.replace("X-Trasporto: posta-certificata", "X-Ricevuta: avvenuta-consegna")
	}, verdict{pec.PECReceipt, pec.Anomaly, pec.SignatureValid, []string{pec.TypeDiffers}}},
	{"busta-per-ricevuta", func(f *forge) string {
		n, err := f.d.delivery(recipientAddress, "completa")
		if err != nil {
			f.err = err
		}
		return f.from(n, "X-Ricevuta: avvenuta-consegna", "X-Trasporto: posta-certificata")
	}, anomalous(pec.TypeDiffers, pec.IdentifierDiffers)},
	{"busta-per-anomalia", func(f *forge) string {
		raw, err := f.m.p.anomaly(Dialect{}, f.d.original, f.m.at)
		if err != nil {
			f.err = err
		}
		f.honest.Raw = raw
		return strings.Replace(string(raw), "X-Trasporto: errore", "X-Trasporto: posta-certificata", 1)
	}, anomalous(pec.DaticertMissing)},
	{"content-type-doppio", func(f *forge) string { return f.above("Content-Type: text/plain") }, unsigned(pec.DuplicateHeader)},
	{"content-type-doppio-sotto", func(f *forge) string {
		return f.replace("\r\n\r\n", "\r\nContent-Type: text/plain\r\n\r\n")
	}, distrusted(pec.DuplicateHeader)},
	{"content-type-doppio-con-spazio", func(f *forge) string { return f.above("Content-Type : text/plain") }, unsigned(pec.DuplicateHeader)},
	{"codifica-doppia", func(f *forge) string {
		return f.above("Content-Transfer-Encoding: 7bit", "Content-Transfer-Encoding: base64")
	}, distrusted(pec.DuplicateHeader)},
	{"content-type-lontano", func(f *forge) string {
		return f.above(strings.TrimSuffix(strings.Repeat("X-Lungo: "+strings.Repeat("x", 900)+"\r\n", 300), "\r\n"))
	}, verdict{pec.Email, pec.Unsigned, pec.SignatureAbsent, []string{pec.HeaderTooLong}}},
	{"from-lontano", func(f *forge) string {
		return f.replace("MIME-Version:", "X-Lungo: "+strings.Repeat("x", 300<<10)+"\r\nFrom: "+evil+"\r\nMIME-Version:")
	}, unsigned(pec.HeaderTooLong)},
}

// from is another honest notice of the same dispatch with one text changed in
// its header.
func (f *forge) from(n notice, old, new string) string {
	raw, err := f.d.build(n)
	if err != nil {
		f.err = err
	}
	f.honest.Raw = raw
	return strings.Replace(string(raw), old, new, 1)
}
