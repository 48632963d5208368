package pec

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/xml"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/protodaemon/protodaemon/cms"
	"github.com/protodaemon/protodaemon/xmldsig"
)

// Registered electronic mail (REM, EN 319 532) is known by its evidence (EN 319
// 522-3, or TS 102 640-2 before it): an XML file among the parts that the
// provider signed, with a signature of its own. The header fields and part types
// that begin with REM- or X-REM- are nowhere looked at: nobody signs those of the
// message, and the evidence says it better.

// nsEvidence and nsOldEvidence are the two schemas.
const (
	nsEvidence    = "http://uri.etsi.org/19522/v1#"
	nsOldEvidence = "http://uri.etsi.org/02640/v2#"
)

// evidencesMax bounds the evidences that are read in one message.
const evidencesMax = 16

// evidenceLimits hold any evidence: they have some 20 KB.
var evidenceLimits = xmldsig.Limits{Bytes: 1 << 20, Elements: 20_000, Depth: 50}

// Evidence is what a provider of registered mail certifies, with the outcome
// of verifying the XAdES signature in it.
type Evidence struct {
	Event      string     `json:"event"` // as EN 319 522-1 names it; other ones as they are written
	Type       string     `json:"type"`  // its counterpart among the PEC types; the event where there is none
	Identifier string     `json:"identifier"`
	Time       *time.Time `json:"time"`
	Submitted  *time.Time `json:"submitted"` // when the sender handed the message over
	Signature  Signature  `json:"signature"`
}

// event is what is known of one (EN 319 522-1 §6).
type event struct {
	tipo    string // PEC counterpart; "": none, it keeps its name
	failed  bool
	hands   bool // it is about one recipient, to whom the message came or did not
	carries bool // a message that carries the original with it is on its way to the recipient
	outside bool // it is about somebody outside registered mail
}

var events = map[string]event{
	"SubmissionAcceptance":             {tipo: "accettazione", carries: true},
	"SubmissionRejection":              {tipo: "non-accettazione", failed: true},
	"RelayAcceptance":                  {tipo: "presa-in-carico", carries: true},
	"RelayRejection":                   {failed: true},
	"RelayFailure":                     {tipo: "preavviso-errore-consegna", failed: true},
	"NotificationForAcceptance":        {},
	"NotificationForAcceptanceFailure": {failed: true},
	"NotificationDelivered":            {},
	"NotificationAccessTracking":       {},
	"ConsignmentAcceptance":            {hands: true},
	"ConsignmentRejection":             {failed: true, hands: true},
	"AcceptanceRejectionExpiry":        {failed: true, hands: true},
	"ContentConsignment":               {tipo: "avvenuta-consegna", hands: true},
	"ContentConsignmentFailure":        {tipo: "errore-consegna", failed: true, hands: true},
	"ConsignmentNotification":          {hands: true},
	"ConsignmentNotificationFailure":   {failed: true, hands: true},
	"ContentHandover":                  {hands: true},
	"ContentHandoverFailure":           {failed: true, hands: true},
	"ContentAccessTracking":            {hands: true},
	"RelayToNonERDS":                   {outside: true},
	"RelayToNonERDSFailure":            {failed: true, outside: true},
	"ReceivedFromNonERDS":              {carries: true},
}

// oldEvents are the evidences of TS 102 640-2 by element, with the event for
// each EventCode (annex B.1.1, the part after #); "" where there is none.
var oldEvents = map[string]map[string]string{
	"SubmissionAcceptanceRejection":    {"Acceptance": "SubmissionAcceptance", "Rejection": "SubmissionRejection"},
	"RelayREMMDAcceptanceRejection":    {"Acceptance": "RelayAcceptance", "Rejection": "RelayRejection"},
	"RelayREMMDFailure":                {"": "RelayFailure", "DeliveryExpiration": "RelayFailure"},
	"DeliveryNonDeliveryToRecipient":   {"Delivery": "ContentConsignment", "NonDelivery": "ContentConsignmentFailure", "DeliveryExpiration": "ContentConsignmentFailure"},
	"DownloadNonDownloadByRecipient":   {"Download": "ContentHandover", "NonDownload": "ContentHandoverFailure", "DownloadExpiration": "ContentHandoverFailure"},
	"RetrievalNonRetrievalByRecipient": {"Retrieval": "ContentHandover", "NonRetrieval": "ContentHandoverFailure", "RetrievalExpiration": "ContentHandoverFailure"},
	"AcceptanceRejectionByRecipient":   {"Acceptance": "ConsignmentAcceptance", "Rejection": "ConsignmentRejection"},
	"RelayToNonREMSystem":              {"": "RelayToNonERDS"},
	"ReceivedFromNonREMSystem":         {"": "ReceivedFromNonERDS"},
}

// isEvidence tells by the root element that data is a REM evidence.
func isEvidence(data []byte) bool {
	d := xml.NewDecoder(bytes.NewReader(repairXML(data)))
	d.CharsetReader = xmlCharset
	for range 20 { // declarations and comments may come first
		token, err := d.Token()
		if err != nil {
			return false
		}
		if start, ok := token.(xml.StartElement); ok {
			return start.Name.Space == nsEvidence || start.Name.Space == nsOldEvidence
		}
	}
	return false
}

// evidence is one on its way to its judgement.
type evidence struct {
	Evidence
	event
	certificate *Certificate
	root        *xmldsig.Element
	signatures  []xmldsig.Signature
}

// readEvidence reads and verifies one, without trust. Beside an error it
// returns what could be read.
func readEvidence(data []byte) (*evidence, error) {
	e := &evidence{certificate: &Certificate{Recipients: []Recipient{}, Error: "nessuno"},
		Evidence: Evidence{Signature: Signature{Status: SignatureAbsent, Problems: []string{}}}}
	doc, err := xmldsig.Parse(bytes.TrimSpace(data), evidenceLimits)
	if err != nil {
		return e, err
	}
	e.root = doc.Root
	if e.signatures, err = doc.Verify(); err != nil {
		return e, err
	}
	e.read()
	if e.Time == nil {
		return e, errors.New("it has no readable EventTime")
	}
	return e, nil
}

// read takes over the fields that have a place in Certificate. The elements of
// both schemas are looked for by their local names: programs write those of EN
// 319 522-3 with and without its namespace.
func (e *evidence) read() {
	c, root := e.certificate, e.root
	e.Event = eventOf(root)
	e.event = events[e.Event]
	e.Type = cmp.Or(e.tipo, e.Event)
	e.Identifier = textAt(root, "EvidenceIdentifier")
	e.Time, e.Submitted = timeAt(root, "EventTime"), timeAt(root, "SubmissionTime")
	c.Type, c.Identifier, c.Time = e.Type, e.Identifier, e.Time
	c.Provider = nameOf(at(root, "EvidenceIssuerDetails"))
	c.Sender = addressOf(at(root, "SenderDetails"))
	c.ReplyTo = plainAddress(cmp.Or(textAt(root, "ReplyToAddress"), textAt(root, "ReplyTo")))
	message := at(root, "SenderMessageDetails")
	c.Subject = textAt(message, "MessageSubject")
	c.MessageID = messageID(cmp.Or(textAt(root, "MessageIdentifier"), textAt(message, "MessageIdentifierByREMMD")))
	c.Reference = messageID(cmp.Or(textAt(root, "UAMessageIdentifier"), textAt(message, "UAMessageIdentifier"), c.MessageID))
	e.readRecipients()
	c.ErrorDetail = reasonsOf(at(root, "EventReasons"))
	if e.failed {
		c.Error = "altro"
	}
}

// eventOf is the name of the event: the last element of ERDSEventId, or what
// element and EventCode of the older evidence mean.
func eventOf(root *xmldsig.Element) string {
	if id := textAt(root, "ERDSEventId"); id != "" {
		return id[strings.LastIndexAny(id, "/#")+1:]
	}
	code := textAt(root, "EventCode")
	code = code[strings.LastIndexAny(code, "/#")+1:]
	if name := oldEvents[root.Local][code]; name != "" {
		return name
	}
	if code == "" {
		return line(root.Local)
	}
	return line(root.Local) + "#" + code
}

// readRecipients reads RecipientDetails, one for each, or RecipientsDetails with
// one EntityDetails for each.
func (e *evidence) readRecipients() {
	c := e.certificate
	kind := "certificato"
	if e.outside {
		kind = "esterno"
	}
	for details := range e.root.Elements() {
		switch details.Local {
		case "RecipientDetails":
			c.Recipients = append(c.Recipients, Recipient{addressOf(details), kind})
		case "RecipientsDetails":
			for one := range details.Elements() {
				c.Recipients = append(c.Recipients, Recipient{addressOf(one), kind})
			}
		}
		c.Recipients = c.Recipients[:min(len(c.Recipients), recipientsMax)]
	}
	if !e.hands {
		return
	}
	n, err := strconv.Atoi(textAt(e.root, "EvidenceRefersToRecipient"))
	switch {
	case err == nil && n >= 1 && n <= len(c.Recipients):
		c.DeliveredTo = c.Recipients[n-1].Address
	case len(c.Recipients) == 1:
		c.DeliveredTo = c.Recipients[0].Address
	}
}

// at is the first child of that local name; nil when there is none.
func at(e *xmldsig.Element, local string) *xmldsig.Element {
	for c := range e.Elements() {
		if c.Local == local {
			return c
		}
	}
	return nil
}

func textAt(e *xmldsig.Element, local string) string {
	return line(at(e, local).Text())
}

func timeAt(e *xmldsig.Element, local string) *time.Time {
	t, err := time.Parse(time.RFC3339Nano, textAt(e, local))
	if err != nil {
		return nil
	}
	return sensible(t)
}

// addressOf is the electronic address in the details of somebody.
func addressOf(details *xmldsig.Element) string {
	for _, local := range []string{"AttributedElectronicAddress", "ElectronicAddress", "Identifier"} {
		if text := textAt(details, local); text != "" {
			return plainAddress(text)
		}
	}
	return plainAddress(line(details.Text()))
}

func plainAddress(s string) string {
	if len(s) > 7 && strings.EqualFold(s[:7], "mailto:") {
		return s[7:]
	}
	return s
}

// nameOf is the name in the details of somebody: a SAML attribute of the
// identity, the name of TS 102 640-2, else what identifies him.
func nameOf(details *xmldsig.Element) string {
	for attribute := range at(details, "Identity").Elements() {
		name := cmp.Or(attribute.Attr("", "FriendlyName"), attribute.Attr("", "Name"))
		if name = name[strings.LastIndexAny(name, "/:")+1:]; strings.EqualFold(name, "LegalName") {
			return textAt(attribute, "AttributeValue")
		}
	}
	if name := textAt(at(at(at(details, "NamesPostalAddresses"), "NamePostalAddress"), "EntityName"), "Name"); name != "" {
		return name
	}
	return addressOf(details)
}

// reasonsOf writes the reasons of an event as one text.
func reasonsOf(reasons *xmldsig.Element) string {
	var all []string
	for reason := range reasons.Elements() {
		if len(all) == 10 {
			break
		}
		all = append(all, strings.Join(slices.DeleteFunc([]string{textAt(reason, "Code"), textAt(reason, "Details")}, func(s string) bool { return s == "" }), " - "))
	}
	return cutText(strings.Join(all, "; "), 2000)
}

// evidences reads those of a message; the one about the latest event is what
// the message is about. A message that carries the original on its way to the
// recipient is the counterpart of a transport envelope, else it is a receipt.
func (r *reader) evidences(a *Analysis, e *envelope) (sound bool) {
	var shown *evidence
	for _, p := range e.evidence {
		data, err := readBounded(p.decoded(), min(r.limits.XML, int64(evidenceLimits.Bytes)))
		if err != nil {
			r.warn(DaticertTooLarge, "an evidence "+errXMLTooLarge.Error())
			continue
		}
		one, err := readEvidence(data)
		if err != nil {
			r.warn(DaticertMalformed, "an evidence: "+line(err.Error()))
		}
		e.read = append(e.read, one)
		if one.Time != nil && (shown == nil || !one.Time.Before(*shown.Time)) {
			shown = one
		}
	}
	if shown == nil {
		a.PEC = &Certificate{Recipients: []Recipient{}}
		return false
	}
	e.shown = shown
	a.PEC = shown.certificate
	if shown.carries && e.postacert != nil {
		a.PEC.Type = transportType
	}
	return true
}

// judgeEvidences fills in the outcome of their signatures and tells whether
// what the message is about is certified by a valid one.
func (r *reader) judgeEvidences(a *Analysis, e *envelope, t *Trust) (certified bool) {
	for _, one := range e.read {
		weak := one.judge(r.chains, t)
		if weak {
			r.warn(WeakDigest, "the signature of an evidence rests on SHA-1")
		}
		a.Evidences = append(a.Evidences, one.Evidence)
	}
	if e.shown == nil {
		return false
	}
	s := e.shown.Signature
	if s.Status != SignatureValid {
		r.warn(EvidenceUnsigned, fmt.Sprintf("the evidence is not certified (its signature is %s): %s", s.Status, strings.Join(s.Problems, "; ")))
	}
	return s.Status == SignatureValid
}

// judge judges the signatures in an evidence. One is enough that is valid: it
// fits, covers the whole evidence, and leads to a service of registered mail that
// was in force at the time of the event.
func (e *evidence) judge(v *cms.Chains, t *Trust) (weak bool) {
	for i := range e.signatures {
		if e.signatures[i].Element.Parent != e.root {
			continue // a countersignature says nothing of the evidence
		}
		s := e.judgeOne(v, &e.signatures[i], t)
		if e.Signature.Status == SignatureAbsent || s.Status == SignatureValid {
			e.Signature, weak = s, e.signatures[i].Weak
		}
		if s.Status == SignatureValid {
			return weak
		}
	}
	if e.Signature.Status == SignatureAbsent {
		e.Signature.Problems = append(e.Signature.Problems, "the evidence is not signed")
	}
	return weak
}

func (e *evidence) judgeOne(v *cms.Chains, s *xmldsig.Signature, t *Trust) Signature {
	out := Signature{Status: SignatureValid, Problems: []string{}}
	for _, problem := range s.Problems {
		out.Problems = append(out.Problems, line(problem))
	}
	if s.Certificate != nil {
		out.describe(s.Certificate, s.Algorithm, nil)
	}
	switch {
	case errors.Is(s.Err, xmldsig.ErrMismatch), errors.Is(s.Err, xmldsig.ErrMalformed):
		out.Status = SignatureInvalid
		return out
	case !s.Fits:
		out.Status = SignatureError
		return out
	case !s.Covers(e.root):
		out.fail(SignatureInvalid, "the signature does not cover the whole evidence")
		return out
	}
	when := time.Now()
	if at := cmp.Or(e.Time, s.SigningTime); at != nil {
		when = *at
	}
	c := t.chainAt(v, services, anyUsage, s.Certificate, s.SigningTime, s.Certificates, when)
	out.fail(c.status, c.problem)
	if s.Certificate.BasicConstraintsValid && s.Certificate.IsCA {
		out.fail(SignatureUntrusted, "the signer's certificate is that of a certification authority")
	}
	if s.Certificate.KeyUsage&signing == 0 {
		out.fail(SignatureUntrusted, "the signer's certificate is not for digital signatures")
	}
	if s.Stamp != nil {
		digest := sha256.Sum256(s.Stamped)
		if _, err := cms.VerifyStamp(s.Stamp, digest[:], t.Stamps(when)); err != nil {
			out.Problems = append(out.Problems, "the time stamp of the signature: "+line(err.Error())) // the signature holds without it
		}
	}
	return out
}
