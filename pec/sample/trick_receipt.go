package sample

import (
	"strings"
	"time"

	"github.com/protodaemon/protodaemon/pec"
)

// receiptTricks change the header of receipts and of anomaly envelopes, which
// nobody signs either.
var receiptTricks = []trick{
	{"ricevuta-con-altro-oggetto", accepted("Subject", "ACCETTAZIONE: "+Canary), attested(pec.EnvelopeSubjectDiffers)},
	{"ricevuta-ad-altri", accepted("To", evil), attested()},
	{"ricevuta-di-altra-data", accepted("Date", time.Unix(1e9, 0).UTC().Format(time.RFC1123Z)), attested()},
	{"ricevuta-con-altro-identificativo", accepted("Message-ID", "<"+evil+">"), attested()},
	{"ricevuta-di-altro-messaggio", accepted("X-Riferimento-Message-ID", "<"+evil+">"), attested(pec.ReferenceDiffers)},
	{"ricevuta-di-altro-tipo", accepted("X-Ricevuta", "avvenuta-consegna"), verdict{pec.PECReceipt, pec.Anomaly, pec.SignatureValid, []string{pec.TypeDiffers}}},
	{"ricevuta-di-tipo-inventato", accepted("X-Ricevuta", Canary), verdict{pec.PECReceipt, pec.Anomaly, pec.SignatureValid, []string{pec.TypeDiffers}}},
	{"ricevuta-con-altro-from", accepted("From", evil), verdict{pec.PECReceipt, pec.Untrusted, pec.SignatureUntrusted, nil}},
	{"ricevuta-con-nome-nel-from", func(f *forge) string {
		return accepted("From", Canary+" <"+f.m.p.Address()+">")(f)
	}, attested()},
	{"ricevuta-con-copia", func(f *forge) string { return "Cc: " + evil + "\r\n" + f.from(f.d.acceptance(), "", "") }, attested()},
	{"consegna-con-altro-oggetto", func(f *forge) string {
		n, err := f.d.delivery(recipientAddress, "completa")
		if err != nil {
			f.err = err
		}
		return f.from(n, "Subject: CONSEGNA: ", "Subject: CONSEGNA: "+Canary)
	}, attested(pec.EnvelopeSubjectDiffers)},
	{"anomalia-con-altro-oggetto", func(f *forge) string {
		raw, err := f.m.p.anomaly(Dialect{}, f.d.original, f.m.at)
		if err != nil {
			f.err = err
		}
		f.honest.Raw = raw
		return strings.Replace(string(raw), "Subject: ANOMALIA MESSAGGIO: ", "Subject: ANOMALIA MESSAGGIO: "+Canary, 1)
	}, verdict{pec.PECAnomaly, pec.Anomaly, pec.SignatureValid, []string{pec.EnvelopeSubjectDiffers}}},
}

// attested is the verdict on a receipt that says what it said before.
func attested(codes ...string) verdict {
	return verdict{pec.PECReceipt, pec.Certified, pec.SignatureValid, codes}
}

// accepted is an honest ricevuta di accettazione with one field rewritten.
func accepted(field, value string) func(*forge) string {
	return func(f *forge) string {
		n := f.d.acceptance()
		for _, l := range f.d.header(n) {
			if strings.HasPrefix(l, field+":") {
				return f.from(n, l, field+": "+value)
			}
		}
		f.err = errNoField
		return f.raw
	}
}
