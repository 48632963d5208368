package pec_test

import (
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/protodaemon/protodaemon/pec"
)

// evidenceOf is an evidence of EN 319 522-3 in canonical form, not signed.
func evidenceOf(event string, at time.Time, inside string) string {
	return `<e:Evidence xmlns:e="http://uri.etsi.org/19522/v1#" version="1.2.1"><e:EvidenceIdentifier>EV-1</e:EvidenceIdentifier>` +
		`<e:ERDSEventId>http://uri.etsi.org/19522/Event/` + event + `</e:ERDSEventId><EventTime>` + at.UTC().Format(time.RFC3339) + `</EventTime>` + inside + `</e:Evidence>`
}

const details = `<e:EventReasons><e:EventReason><Code>RB03</Code><Details>casella piena</Details></e:EventReason><e:EventReason><Code>RB04</Code></e:EventReason></e:EventReasons>` +
	`<e:EvidenceIssuerDetails><Identifier>x</Identifier><e:Identity><saml:Attribute xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" FriendlyName="LegalName"><saml:AttributeValue>Recapito S.p.A.</saml:AttributeValue></saml:Attribute></e:Identity></e:EvidenceIssuerDetails>` +
	`<e:SenderDetails><Identifier IdentifierSchemeName="mailto">mailto:a@rem.example</Identifier></e:SenderDetails>` +
	`<e:RecipientDetails><Identifier>b@rem.example</Identifier></e:RecipientDetails><e:RecipientDetails><Identifier>c@rem.example</Identifier></e:RecipientDetails>` +
	`<e:EvidenceRefersToRecipient>2</e:EvidenceRefersToRecipient><e:SubmissionTime>2026-03-10T08:00:00Z</e:SubmissionTime><MessageIdentifier>&lt;m1@rem.example&gt;</MessageIdentifier>`

// remService is a trusted service of registered mail with the key that signs
// both mail and evidence.
type remService struct {
	ca, leaf authority
	trust    *pec.Trust
}

func newREM(t testing.TB) remService {
	t.Helper()
	ca := newAuthority(t, "CA di recapito")
	leaf := ca.issue(t, "Recapito S.p.A.", func(c *x509.Certificate) {
		c.EmailAddresses, c.KeyUsage = []string{address}, x509.KeyUsageContentCommitment // a qualified seal
	})
	return remService{ca, leaf, listedTrust(t, entry{kind: "EDS/REM/Q", status: "granted", since: now.AddDate(0, 0, -10), certificates: []*x509.Certificate{leaf.certificate}})}
}

// message is a REM message with these evidences and, of a dispatch, an original.
func (s remService) message(t testing.TB, original bool, evidences ...[]byte) []byte {
	t.Helper()
	var b strings.Builder
	b.WriteString("Content-Type: multipart/mixed; boundary=R\r\n\r\n--R\r\nREM-Section-Type: rem_message/introduction\r\n\r\ntesto")
	for i, e := range evidences {
		fmt.Fprintf(&b, "\r\n--R\r\nContent-Type: application/xml; name=evidence%d.xml\r\nREM-Section-Type: rem_message/rem_evidence\r\nContent-Transfer-Encoding: base64\r\n\r\n%s", i, base64.StdEncoding.EncodeToString(e))
	}
	if original {
		b.WriteString("\r\n--R\r\nContent-Type: message/rfc822\r\n\r\nSubject: Dentro\r\nFrom: a@rem.example\r\n\r\nciao")
	}
	b.WriteString("\r\n--R--\r\n")
	return smime(t, s.leaf, []string{"From: " + address, "Subject: REM", "X-REM-Msg-Type: Dispatch"}, b.String(), s.ca.certificate)
}

// TestEvidence: what an evidence says, in the words of PEC.
func TestEvidence(t *testing.T) {
	s := newREM(t)
	a := readWith(s.trust, s.message(t, false, s.leaf.signXML(t, evidenceOf("ContentConsignmentFailure", now, details), now)))
	if a.Kind != pec.REM || a.Authenticity != pec.Certified || a.Signature.Status != pec.SignatureValid || len(a.Warnings) > 0 {
		t.Fatalf("%s %s %+v %v", a.Kind, a.Authenticity, a.Signature, a.Warnings)
	}
	c := *a.PEC
	want := pec.Certificate{Type: "errore-consegna", Identifier: "EV-1", MessageID: "m1@rem.example", Reference: "m1@rem.example", Provider: "Recapito S.p.A.", Sender: "a@rem.example",
		Recipients: []pec.Recipient{{Address: "b@rem.example", Kind: "certificato"}, {Address: "c@rem.example", Kind: "certificato"}}, Time: c.Time,
		DeliveredTo: "c@rem.example", Error: "altro", ErrorDetail: "RB03 - casella piena; RB04"}
	if fmt.Sprintf("%+v", c) != fmt.Sprintf("%+v", want) || !c.Time.Equal(now) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
	if len(a.Evidences) != 1 {
		t.Fatalf("%d evidences", len(a.Evidences))
	}
	e := a.Evidences[0]
	if e.Event != "ContentConsignmentFailure" || e.Type != "errore-consegna" || e.Identifier != "EV-1" || !e.Submitted.Equal(time.Date(2026, 3, 10, 8, 0, 0, 0, time.UTC)) ||
		e.Signature.Status != pec.SignatureValid || e.Signature.Algorithm != "ECDSA-SHA256" || e.Signature.Signer != "CN=Recapito S.p.A." || e.Signature.Email != address || len(e.Signature.Problems) > 0 {
		t.Errorf("%+v", e)
	}
}

// TestEvents: every event of EN 319 522-1, those of TS 102 640-2, and unknown
// ones, which are kept as they are.
func TestEvents(t *testing.T) {
	s := newREM(t)
	old := func(element, code string) string {
		if code != "" {
			code = "<r:EventCode>http:uri.etsi.org/02640/Event#" + code + "</r:EventCode>"
		}
		return `<r:` + element + ` xmlns:r="http://uri.etsi.org/02640/v2#" version="2.1.1">` + code + `<r:EvidenceIdentifier>E</r:EvidenceIdentifier><r:EventTime>` + now.UTC().Format(time.RFC3339) + `</r:EventTime>` +
			`<r:EvidenceIssuerDetails><r:NamesPostalAddresses><r:NamePostalAddress><r:EntityName><r:Name>Recapito</r:Name></r:EntityName></r:NamePostalAddress></r:NamesPostalAddresses></r:EvidenceIssuerDetails>` +
			`<r:SenderDetails><r:AttributedElectronicAddress scheme="mailto">a@rem.example</r:AttributedElectronicAddress></r:SenderDetails>` +
			`<r:RecipientsDetails><r:EntityDetails><r:ElectronicAddress>b@rem.example</r:ElectronicAddress></r:EntityDetails></r:RecipientsDetails>` +
			`<r:SenderMessageDetails isNotification="false"><r:MessageSubject>Oggetto</r:MessageSubject><r:UAMessageIdentifier>ua@rem.example</r:UAMessageIdentifier><r:MessageIdentifierByREMMD>md@rem.example</r:MessageIdentifierByREMMD></r:SenderMessageDetails></r:` + element + `>`
	}
	for name, want := range map[string][3]string{ // event, type, error
		"SubmissionAcceptance":             {"SubmissionAcceptance", "accettazione", "nessuno"},
		"SubmissionRejection":              {"SubmissionRejection", "non-accettazione", "altro"},
		"RelayAcceptance":                  {"RelayAcceptance", "presa-in-carico", "nessuno"},
		"RelayRejection":                   {"RelayRejection", "RelayRejection", "altro"},
		"RelayFailure":                     {"RelayFailure", "preavviso-errore-consegna", "altro"},
		"NotificationForAcceptance":        {"NotificationForAcceptance", "NotificationForAcceptance", "nessuno"},
		"NotificationForAcceptanceFailure": {"NotificationForAcceptanceFailure", "NotificationForAcceptanceFailure", "altro"},
		"NotificationDelivered":            {"NotificationDelivered", "NotificationDelivered", "nessuno"},
		"NotificationAccessTracking":       {"NotificationAccessTracking", "NotificationAccessTracking", "nessuno"},
		"ConsignmentAcceptance":            {"ConsignmentAcceptance", "ConsignmentAcceptance", "nessuno"},
		"ConsignmentRejection":             {"ConsignmentRejection", "ConsignmentRejection", "altro"},
		"AcceptanceRejectionExpiry":        {"AcceptanceRejectionExpiry", "AcceptanceRejectionExpiry", "altro"},
		"ContentConsignment":               {"ContentConsignment", "avvenuta-consegna", "nessuno"},
		"ContentConsignmentFailure":        {"ContentConsignmentFailure", "errore-consegna", "altro"},
		"ConsignmentNotification":          {"ConsignmentNotification", "ConsignmentNotification", "nessuno"},
		"ConsignmentNotificationFailure":   {"ConsignmentNotificationFailure", "ConsignmentNotificationFailure", "altro"},
		"ContentHandover":                  {"ContentHandover", "ContentHandover", "nessuno"},
		"ContentHandoverFailure":           {"ContentHandoverFailure", "ContentHandoverFailure", "altro"},
		"ContentAccessTracking":            {"ContentAccessTracking", "ContentAccessTracking", "nessuno"},
		"RelayToNonERDS":                   {"RelayToNonERDS", "RelayToNonERDS", "nessuno"},
		"RelayToNonERDSFailure":            {"RelayToNonERDSFailure", "RelayToNonERDSFailure", "altro"},
		"ReceivedFromNonERDS":              {"ReceivedFromNonERDS", "ReceivedFromNonERDS", "nessuno"},
		"EventoNuovo":                      {"EventoNuovo", "EventoNuovo", "nessuno"},

		"SubmissionAcceptanceRejection Acceptance":             {"SubmissionAcceptance", "accettazione", "nessuno"},
		"SubmissionAcceptanceRejection Rejection":              {"SubmissionRejection", "non-accettazione", "altro"},
		"RelayREMMDAcceptanceRejection Acceptance":             {"RelayAcceptance", "presa-in-carico", "nessuno"},
		"RelayREMMDAcceptanceRejection Rejection":              {"RelayRejection", "RelayRejection", "altro"},
		"RelayREMMDFailure DeliveryExpiration":                 {"RelayFailure", "preavviso-errore-consegna", "altro"},
		"RelayREMMDFailure ":                                   {"RelayFailure", "preavviso-errore-consegna", "altro"},
		"DeliveryNonDeliveryToRecipient Delivery":              {"ContentConsignment", "avvenuta-consegna", "nessuno"},
		"DeliveryNonDeliveryToRecipient NonDelivery":           {"ContentConsignmentFailure", "errore-consegna", "altro"},
		"RetrievalNonRetrievalByRecipient Retrieval":           {"ContentHandover", "ContentHandover", "nessuno"},
		"RetrievalNonRetrievalByRecipient RetrievalExpiration": {"ContentHandoverFailure", "ContentHandoverFailure", "altro"},
		"AcceptanceRejectionByRecipient Rejection":             {"ConsignmentRejection", "ConsignmentRejection", "altro"},
		"RelayToNonREMSystem ":                                 {"RelayToNonERDS", "RelayToNonERDS", "nessuno"},
		"ReceivedFromNonREMSystem ":                            {"ReceivedFromNonERDS", "ReceivedFromNonERDS", "nessuno"},
		"DeliveryNonDeliveryToRecipient Nuovo":                 {"DeliveryNonDeliveryToRecipient#Nuovo", "DeliveryNonDeliveryToRecipient#Nuovo", "nessuno"},
		"EvidenzaNuova ":                                       {"EvidenzaNuova", "EvidenzaNuova", "nessuno"},
	} {
		text := evidenceOf(name, now, details)
		element, code, isOld := strings.Cut(name, " ")
		if isOld {
			text = old(element, code)
		}
		a := readWith(s.trust, s.message(t, false, s.leaf.signXML(t, text, now)))
		if a.Authenticity != pec.Certified || len(a.Evidences) != 1 || a.Evidences[0].Event != want[0] || a.PEC.Type != want[1] || a.PEC.Error != want[2] {
			t.Errorf("%s: %s %+v %+v, want %v", name, a.Authenticity, a.Evidences, a.PEC, want)
			continue
		}
		outside := strings.HasPrefix(want[0], "RelayToNon")
		if (a.PEC.Recipients[0].Kind == "esterno") != outside {
			t.Errorf("%s: %v", name, a.PEC.Recipients)
		}
		if c := a.PEC; isOld && (c.Sender != "a@rem.example" || c.Subject != "Oggetto" || c.MessageID != "md@rem.example" || c.Reference != "ua@rem.example" || c.Provider != "Recapito") {
			t.Errorf("%s: %+v", name, c)
		}
	}
}

// TestDispatchAndReceipt: what carries the original on its way to the recipient
// is no receipt; of several evidences the latest counts.
func TestDispatchAndReceipt(t *testing.T) {
	s := newREM(t)
	signed := func(event string, at time.Time) []byte { return s.leaf.signXML(t, evidenceOf(event, at, details), at) }
	earlier := now.Add(-time.Hour)
	for name, c := range map[string]struct {
		original  bool
		evidences [][]byte
		tipo      string
	}{
		"dispatch":              {true, [][]byte{signed("SubmissionAcceptance", now)}, "posta-certificata"},
		"dispatch, relayed":     {true, [][]byte{signed("RelayAcceptance", now), signed("SubmissionAcceptance", earlier)}, "posta-certificata"},
		"receipt":               {false, [][]byte{signed("SubmissionAcceptance", now)}, "accettazione"},
		"receipt with original": {true, [][]byte{signed("ContentConsignment", now)}, "avvenuta-consegna"},
		"receipt of two events": {false, [][]byte{signed("ContentConsignment", now), signed("SubmissionAcceptance", earlier)}, "avvenuta-consegna"},
		"failed, with original": {true, [][]byte{signed("SubmissionAcceptance", earlier), signed("RelayFailure", now)}, "preavviso-errore-consegna"},
	} {
		a := readWith(s.trust, s.message(t, c.original, c.evidences...))
		if a.Authenticity != pec.Certified || a.PEC.Type != c.tipo || len(a.Evidences) != len(c.evidences) || (a.Subject == "Dentro") != c.original {
			t.Errorf("%s: %s %s %q, want %s; %v", name, a.Authenticity, a.PEC.Type, a.Subject, c.tipo, a.Warnings)
		}
	}
}

// TestEvidenceIsCertifiedOnlyBySignature: each way in which an evidence is not
// one of a trusted service; the message round it is always signed as it should be.
func TestEvidenceIsCertifiedOnlyBySignature(t *testing.T) {
	s, stranger := newREM(t), newREM(t)
	text := evidenceOf("ContentConsignment", now, details)
	good := string(s.leaf.signXML(t, text, now))
	issued := func(change func(*x509.Certificate)) string {
		return string(s.leaf.issue(t, "Altro", change).signXML(t, text, now))
	}
	later := evidenceOf("ContentConsignment", now.AddDate(0, 0, -11), details)
	for name, c := range map[string]struct {
		evidence string
		status   pec.SignatureStatus
		says     string
	}{
		"not signed":            {text, pec.SignatureAbsent, "is not signed"},
		"changed":               {strings.Replace(good, "c@rem.example", "d@rem.example", 1), pec.SignatureInvalid, "changed"},
		"changed reason":        {strings.Replace(good, "casella piena", "casella vuota", 1), pec.SignatureInvalid, "changed"},
		"of a stranger":         {string(stranger.leaf.signXML(t, text, now, stranger.ca.certificate)), pec.SignatureUntrusted, "does not lead"},
		"issued by the leaf":    {issued(nil), pec.SignatureUntrusted, "does not lead"},
		"before it was granted": {string(s.leaf.signXML(t, later, now.AddDate(0, 0, -11))), pec.SignatureUntrusted, "was not in force at the time"},
		"wrapped":               {evidenceOf("ContentConsignment", now, details+"<e:Extensions>"+good+"</e:Extensions>"), pec.SignatureAbsent, "is not signed"},
		"signature moved up": {strings.Replace(text, "</e:Evidence>", "<e:Extensions>"+strings.Replace(good, good[strings.Index(good, "<ds:Signature"):], "", 1)+"</e:Evidence></e:Extensions>"+
			strings.TrimSuffix(good[strings.Index(good, "<ds:Signature"):], "</e:Evidence>")+"</e:Evidence>", 1), pec.SignatureInvalid, "changed"},
	} {
		a := readWith(s.trust, s.message(t, false, []byte(c.evidence)))
		if a.Kind != pec.REM || a.Authenticity == pec.Certified || !slices.Contains(codes(a), pec.EvidenceUnsigned) || len(a.Evidences) != 1 {
			t.Errorf("%s: %s %s %v", name, a.Kind, a.Authenticity, codes(a))
			continue
		}
		got := a.Evidences[0].Signature
		if got.Status != c.status || !strings.Contains(strings.Join(got.Problems, "; "), c.says) {
			t.Errorf("%s: %+v, want %s %q", name, got, c.status, c.says)
		}
	}
	// Whoever is trusted only for PEC certifies no registered mail.
	pem := loadTrust(t, anchors(s.ca.file(t)))
	if a := readWith(pem, s.message(t, false, []byte(good))); a.Authenticity != pec.Untrusted || a.Evidences[0].Signature.Status != pec.SignatureUntrusted {
		t.Errorf("anchors of PEC: %s %+v", a.Authenticity, a.Evidences[0].Signature)
	}
	if a := readWith(nil, s.message(t, false, []byte(good))); a.Authenticity != pec.Untrusted {
		t.Errorf("nobody trusted: %s", a.Authenticity)
	}
	// A good evidence beside a bad one that is about something later.
	forged := evidenceOf("ContentConsignment", now.Add(time.Minute), details)
	if a := readWith(s.trust, s.message(t, false, []byte(good), []byte(forged))); a.Authenticity == pec.Certified || a.Evidences[0].Signature.Status != pec.SignatureValid {
		t.Errorf("a later one without a signature: %s", a.Authenticity)
	}
	for _, broken := range []string{"<!DOCTYPE e>" + good, good[:len(good)/2], strings.Replace(good, "<EventTime>", "<EventTime>x", 1)} {
		if a := readWith(s.trust, s.message(t, false, []byte(broken))); a.Authenticity == pec.Certified || a.Kind == pec.REM && !slices.Contains(codes(a), pec.DaticertMalformed) {
			t.Errorf("%.40s: %s %v", broken, a.Authenticity, codes(a))
		}
	}
}

// FuzzEvidence: whatever is done to an evidence that a trusted service signed,
// it is certified only if it says what was signed.
func FuzzEvidence(f *testing.F) {
	s := newREM(f)
	type words struct{ event, sender, to, id, detail string }
	signed := map[words]bool{}
	of := func(a *pec.Analysis) words {
		return words{a.Evidences[0].Event, a.PEC.Sender, fmt.Sprint(a.PEC.Recipients, a.PEC.DeliveredTo, a.PEC.Provider, a.PEC.Subject), a.PEC.Identifier, a.PEC.ErrorDetail}
	}
	for _, event := range []string{"SubmissionAcceptance", "ContentConsignmentFailure", "Nuovo"} {
		xml := s.leaf.signXML(f, evidenceOf(event, now, details), now)
		f.Add(xml)
		signed[of(readWith(s.trust, s.message(f, false, xml)))] = true
	}
	f.Fuzz(func(t *testing.T, xml []byte) {
		if len(xml) > 1<<20 {
			return
		}
		a := readWith(s.trust, s.message(t, false, xml))
		if a.Authenticity == pec.Certified && !signed[of(a)] {
			t.Errorf("certified, and never signed: %+v", a.PEC)
		}
	})
}
