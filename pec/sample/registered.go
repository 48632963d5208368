package sample

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/protodaemon/protodaemon/pec"
)

// registeredKinds are registered electronic mail (REM, EN 319 532): dispatches
// with the original, receipts without it, each with an evidence (EN 319 522-3,
// and the older TS 102 640-2).
var registeredKinds = []kind{
	registered("dispaccio", true, evidence("SubmissionAcceptance"), "posta-certificata"),
	registered("dispaccio-consegna", true, evidence("ContentConsignment"), "avvenuta-consegna"),
	registered("ricevuta-accettazione", false, evidence("SubmissionAcceptance"), "accettazione"),
	registered("ricevuta-rifiuto", false, evidence("SubmissionRejection"), "non-accettazione"),
	registered("ricevuta-presa-in-carico", false, evidence("RelayAcceptance"), "presa-in-carico"),
	registered("ricevuta-mancato-inoltro", false, evidence("RelayFailure"), "preavviso-errore-consegna"),
	registered("ricevuta-consegna", false, evidence("ContentConsignment"), "avvenuta-consegna"),
	registered("ricevuta-mancata-consegna", false, evidence("ContentConsignmentFailure"), "errore-consegna"),
	registered("ricevuta-evento-nuovo", false, evidence("FutureEvent"), "FutureEvent"),
	registered("ricevuta-ts-102640", false, oldEvidence, "preavviso-errore-consegna"),
	{"rem-evidenza-illeggibile", func(m *mixer) (Message, error) {
		one, err := registered("", false, evidence("ContentConsignment")[:400], "").make(m)
		one.Expect = Expect{Authenticity: pec.Anomaly, Status: pec.SignatureValid, Subject: one.Expect.Subject,
			Warnings: append(weakDigest(m.p.options.Digest), pec.DaticertMalformed)}
		return one, err
	}},
}

// evidence is one of EN 319 522-3 about an event, in canonical form; %s stand for
// identifier, time, sender, recipient and Message-ID. Its own elements have no
// namespace where the schema leaves it out.
func evidence(event string) string {
	return `<?xml version="1.0" encoding="UTF-8"?>` + "\n" + `<e:Evidence xmlns:e="http://uri.etsi.org/19522/v1#" version="1.2.1">` +
		`<e:EvidenceIdentifier>%s</e:EvidenceIdentifier><e:ERDSEventId>http://uri.etsi.org/19522/Event/` + event + `</e:ERDSEventId>` +
		`<EventTime>%s</EventTime><e:EventReasons><e:EventReason><Code>RA01</Code><Details>prova</Details></e:EventReason></e:EventReasons>` +
		`<e:EvidenceIssuerDetails><Identifier>gestore</Identifier></e:EvidenceIssuerDetails>` +
		`<e:SenderDetails><Identifier IdentifierSchemeName="mailto">mailto:%s</Identifier></e:SenderDetails>` +
		`<e:RecipientDetails><Identifier IdentifierSchemeName="mailto">%s</Identifier></e:RecipientDetails>` +
		`<MessageIdentifier>%s</MessageIdentifier></e:Evidence>`
}

const oldEvidence = `<?xml version="1.0" encoding="UTF-8"?>` + "\n" + `<r:RelayREMMDFailure xmlns:r="http://uri.etsi.org/02640/v2#" version="v2.0">` +
	`<r:EvidenceIdentifier>%s</r:EvidenceIdentifier><r:EventTime>%s</r:EventTime><r:SenderDetails><r:AttributedElectronicAddress scheme="mailto">%s</r:AttributedElectronicAddress></r:SenderDetails>` +
	`<r:RecipientsDetails><r:EntityDetails><r:ElectronicAddress>%s</r:ElectronicAddress></r:EntityDetails></r:RecipientsDetails>` +
	`<r:SenderMessageDetails><r:MessageIdentifierByREMMD>%s</r:MessageIdentifierByREMMD></r:SenderMessageDetails></r:RelayREMMDFailure>`

// registered is a REM message: introduction, evidence, and the original of a
// dispatch, signed by the provider.
func registered(name string, dispatch bool, evidence, tipo string) kind {
	return kind{"rem-" + name, func(m *mixer) (Message, error) {
		mail := m.mail()
		mail.Files = m.files()
		original := mail.Bytes()
		id := fmt.Sprintf("REM-%d", m.n)
		xml := strings.Count(evidence, "%s")
		filled := []byte(fmt.Sprintf(evidence, []any{id, m.at.UTC().Format(time.RFC3339), "mario.rossi@pec.mittente.example", recipientAddress, mail.MessageID}[:xml]...))
		if bytes.HasSuffix(filled, []byte(">")) { // else it is cut short
			var err error
			if filled, err = m.p.SignXML(filled, m.at); err != nil {
				return Message{}, err
			}
		}
		parts := [][]byte{m.p.options.Dialect.text("Messaggio di posta elettronica certificata europea\n"),
			fmt.Appendf(nil, "Content-Type: application/xml; name=\"evidence.xml\"\r\nREM-Section-Type: rem_message/rem_evidence\r\nContent-Disposition: attachment; filename=\"evidence.xml\"\r\n"+
				"Content-Transfer-Encoding: base64\r\n\r\n%s", base64Lines(filled))}
		subject := "REM: " + mail.Subject
		if dispatch {
			parts = append(parts, append([]byte("Content-Type: message/rfc822\r\nREM-Section-Type: rem_message/original\r\n\r\n"), original...))
		}
		raw, err := m.p.Sign([]string{"Date: " + m.at.Format(time.RFC1123Z), "From: " + fromField("Per conto di: mario.rossi@pec.mittente.example", m.p.Address()),
			"To: " + mail.To, "Subject: " + Mail{}.encode(subject), "Message-ID: <" + id + "@" + m.p.Domain() + ">"}, joined("mixed", "rem", parts...))
		e := Expect{Authenticity: pec.Certified, Status: pec.SignatureValid, Type: tipo, Error: "nessuno", Subject: subject, Identifier: id,
			Sender: "mario.rossi@pec.mittente.example", Recipients: []pec.Recipient{{Address: recipientAddress, Kind: "certificato"}}, Reference: mail.MessageID,
			Warnings: weakDigest(m.p.options.Digest)}
		if strings.Contains(evidence, "Failure") || strings.Contains(evidence, "Rejection") {
			e.Error = "altro"
		}
		if dispatch {
			e.Subject, e.From, e.Text, e.Content = mail.Subject, "mario.rossi@pec.mittente.example", bodyPhrase, digest(original)
			e.list(knownFiles(mail.Files))
		}
		return Message{Raw: raw, Kind: pec.REM, Time: m.at, Expect: e}, err
	}}
}
