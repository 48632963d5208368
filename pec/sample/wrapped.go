package sample

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/protodaemon/protodaemon/pec"
)

// wrappedKinds are messages in messages: PEC in PEC, in ordinary mail, behind a
// mailing list, and what came back as an anomaly.
var wrappedKinds = []kind{
	{"anomalia-con-ricevuta", anomalyRound(receipt((*Dispatch).acceptance))},
	{"anomalia-con-consegna", anomalyRound(deliver("completa"))},
	{"anomalia-con-lista", anomalyRound(listed(envelope("completa", true)))},
	{"anomalia-con-anomalia", anomalyRound((*mixer).anomaly)},
	{"anomalia-html", anomalyRound((*mixer).html)},
	{"anomalia-latina", anomalyRound((*mixer).latin)},
	{"anomalia-firmata-da-persona", anomalyRound(personal(Form{}))},
	{"pec-in-pec-2", nested(2)},
	{"pec-in-pec-3", nested(3)},
	{"pec-in-pec-6", nested(6)},
	{"pec-reindirizzata", redirected(envelope("completa", true))},
	{"pec-reindirizzata-due-volte", redirected(redirected(envelope("completa", true)))},
	{"ricevuta-reindirizzata", redirected(deliver("completa"))},
	{"inoltro-di-busta", forwarded(envelope("completa", true))},
	{"inoltro-di-consegna", forwarded(deliver("breve"))},
	{"inoltro-di-anomalia", forwarded((*mixer).anomaly)},
	{"inoltro-di-inoltro", forwarded(forwarded(nested(2)))},
	{"raccolta-di-pec", (*mixer).digested},
	{"lista-con-busta", listed(envelope("completa", true))},
	{"lista-con-ricevuta", listed(receipt((*Dispatch).acceptance))},
	{"lista-con-pec-in-pec", listed(nested(1))},
}

// anomaly is ordinary mail that came in at a provider.
func (m *mixer) anomaly() (Message, error) {
	mail := m.mail()
	mail.From = "Ditta <info@ditta.example>"
	mail.Files = m.files()
	return m.anomalous(ordinary(mail, knownFiles(mail.Files)...), "info@ditta.example", bodyPhrase)
}

// anomalyRound is a PEC that came back as ordinary mail: its daticert.xml is
// not the envelope's.
func anomalyRound(what func(*mixer) (Message, error)) func(*mixer) (Message, error) {
	return func(m *mixer) (Message, error) {
		inner, err := what(m)
		if err != nil {
			return Message{}, err
		}
		inner.Expect.Subject = outerSubject(inner.Raw)
		return m.anomalous(inner, "", "")
	}
}

// anomalous is the busta di anomalia round a message that came in.
func (m *mixer) anomalous(inner Message, from, phrase string) (Message, error) {
	raw, err := m.p.Anomaly(inner.Raw, m.at)
	e := Expect{Authenticity: pec.Anomaly, Status: pec.SignatureValid, Type: "anomalia", Subject: inner.Expect.Subject,
		Warnings: weakDigest(m.p.options.Digest), From: from, Content: digest(inner.Raw), Text: phrase}
	e.list(inner.inside)
	return Message{Raw: raw, Kind: pec.PECAnomaly, Expect: e, Time: m.at, inside: append([]known{knownFile("postacert.eml", inner.Raw)}, inner.inside...),
		signed: []pec.Authenticity{pec.Anomaly}}.carrying(inner), err
}

// outerSubject is the subject of a message as it was received.
func outerSubject(raw []byte) string { return decodeSubject(headerField(raw, "Subject")) }

// nested is a PEC forwarded by PEC as an attachment, and that again, as deep as
// levels says.
func nested(levels int) func(*mixer) (Message, error) {
	return func(m *mixer) (Message, error) {
		one, err := envelope("completa", true)(m)
		for i := 0; i < levels && err == nil; i++ {
			mail := m.mail()
			mail.Subject = "I: " + mail.Subject
			mail.Files = []File{{Name: "inoltrato.eml", MediaType: "message/rfc822", Data: one.Raw}}
			files := append(knownFiles(mail.Files), one.inside...)
			var d *Dispatch
			if d, err = m.submit(mail, Submission{}); err == nil {
				inner := one
				one, err = d.told(d.envelope(), files)
				one = one.carrying(inner)
			}
		}
		return one, err
	}
}

// redirected is a PEC whose original is a PEC: POSTA CERTIFICATA: POSTA
// CERTIFICATA: …
func redirected(what func(*mixer) (Message, error)) func(*mixer) (Message, error) {
	return func(m *mixer) (Message, error) {
		inner, err := what(m)
		if err != nil {
			return Message{}, err
		}
		mail := m.mail()
		mail.Subject = outerSubject(inner.Raw)
		mail.Body = mimeOf(inner.Raw)
		d, err := m.submit(mail, Submission{})
		if err != nil {
			return Message{}, err
		}
		one, err := d.told(d.envelope(), inner.inside)
		one.Expect.Text = ""
		if inner.signed != nil { // its own header is the writer's, and not the signer's
			inner.signed = append([]pec.Authenticity{pec.Untrusted}, inner.signed[1:]...)
		}
		return one.carrying(inner), err
	}
}

// mimeOf is a message without the fields that are not about its content.
func mimeOf(raw []byte) []byte {
	i := bytes.Index(bytes.ToLower(raw), []byte("\r\ncontent-type:"))
	return raw[i+2:]
}

// forwarded is ordinary mail with a PEC attached to it.
func forwarded(what func(*mixer) (Message, error)) func(*mixer) (Message, error) {
	return func(m *mixer) (Message, error) {
		inner, err := what(m)
		if err != nil {
			return Message{}, err
		}
		mail := m.mail()
		mail.Subject = "I: " + outerSubject(inner.Raw)
		mail.Files = []File{{Name: "inoltrato.eml", MediaType: "message/rfc822", Data: inner.Raw}}
		return ordinary(mail, append(knownFiles(mail.Files), inner.inside...)...).carrying(inner), nil
	}
}

// digested is a multipart/digest of PECs.
func (m *mixer) digested() (Message, error) {
	var files []known
	var parts [][]byte
	var signed []pec.Authenticity
	for i, what := range []func(*mixer) (Message, error){envelope("completa", false), receipt((*Dispatch).acceptance)} {
		inner, err := what(m)
		if err != nil {
			return Message{}, err
		}
		parts = append(parts, append([]byte("\r\n"), inner.Raw...))
		files = append(append(files, knownFile(fmt.Sprintf("parte-%d.eml", i+1), inner.Raw)), inner.inside...)
		signed = append(signed, inner.signed...)
	}
	mail := m.mail()
	mail.Body = joined("digest", "digest", parts...)
	return ordinary(mail, files...).carrying(Message{signed: signed}), nil
}

// listed is a PEC that went through a mailing list: the signature is no longer
// the message's, the subject has a prefix and there is a footer.
func listed(what func(*mixer) (Message, error)) func(*mixer) (Message, error) {
	return func(m *mixer) (Message, error) {
		inner, err := what(m)
		if err != nil {
			return Message{}, err
		}
		head, _, _ := bytes.Cut(inner.Raw, []byte("\r\nMIME-Version:"))
		subject := "[Lista] " + outerSubject(inner.Raw)
		var b bytes.Buffer
		for l := range strings.SplitSeq(string(head), "\r\n") {
			if strings.HasPrefix(strings.ToLower(l), "subject:") {
				l = "Subject: " + Mail{}.encode(subject)
			}
			b.WriteString(l + "\r\n")
		}
		b.WriteString("List-Id: <lista.esempio.example>\r\nMIME-Version: 1.0\r\n")
		footer := []byte("Content-Type: text/plain; charset=us-ascii\r\nContent-Disposition: inline\r\n\r\n_______________\r\nLista mailing list\r\n")
		b.Write(joined("mixed", "list", mimeOf(inner.Raw), footer))
		files := append(inner.inside, knownFile("parte-2.txt", []byte("_______________\r\nLista mailing list\r\n")))
		one := Message{Raw: b.Bytes(), Kind: pec.Email, Time: m.at, inside: files, Expect: Expect{Authenticity: pec.Unsigned,
			Status: pec.SignatureAbsent, Subject: subject, Warnings: []string{pec.PECWrapped}, Content: digest(b.Bytes())}}
		one.Expect.list(files)
		return one.carrying(inner), nil
	}
}
