package pec

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/protodaemon/protodaemon/cms"
)

var errXMLTooLarge = errors.New("it is larger than is read")

// envelope fills in who vouches for the message and what the provider
// certifies: signature, PEC, Authenticity and the cross-checks.
func (r *reader) envelope(a *Analysis, e *envelope, t *Trust) {
	sound := r.certificate(a, e)
	if e.detached || e.opaque {
		at := eventTime(a, e)
		j := t.judge(r.chains, e.purpose(), e.sign, at, addresses(e.head, "from"))
		if e.kind == Email && j.Status == SignatureUntrusted { // a person's, then
			if again := t.judge(r.chains, persons, e.sign, at, addresses(e.head, "from")); again.Status != SignatureUntrusted {
				j = again
			}
		}
		a.Signature = j.Signature
		if j.later {
			r.warn(SignedAnotherTime, fmt.Sprintf("the certificate was not valid at the time of the event (%s), but when the signature says it was made",
				at.UTC().Format(time.DateTime)))
		}
		if j.unknown != "" {
			r.warn(RevocationUnknown, j.unknown)
		}
		r.signatureWarnings(a, e)
	}
	r.ambiguities(a, e)
	r.senderName(e)
	if e.kind == Email {
		r.lookalike(e)
		return
	}
	if e.kind == REM {
		sound = r.judgeEvidences(a, e, t) && sound
	}
	a.Authenticity = authenticity(a.Signature.Status, sound)
	r.crossCheck(a, e)
}

// purpose is what the signer of a message of this kind has to be trusted for.
func (e *envelope) purpose() purpose {
	if e.kind == REM {
		return services
	}
	return providers
}

// certificate reads what the provider states. sound tells that it is complete,
// alone, and about a message of this kind.
func (r *reader) certificate(a *Analysis, e *envelope) (sound bool) {
	switch {
	case e.kind == PECAnomaly:
		a.PEC = &Certificate{Type: "anomalia", Recipients: []Recipient{}}
		return false
	case e.kind == REM:
		return r.evidences(a, e)
	case e.daticert != nil:
		var err error
		a.PEC, err = r.readDaticert(e.daticert)
		ok := r.sound(err) && r.sameType(a.PEC, e)
		return ok && (e.kind != PECTransport || e.postacert != nil)
	}
	if e.kind != Email {
		a.PEC = &Certificate{Recipients: []Recipient{}}
	}
	return false
}

func (r *reader) sound(err error) bool {
	switch {
	case err == nil:
		return true
	case errors.Is(err, errXMLTooLarge):
		r.warn(DaticertTooLarge, "daticert.xml "+strings.TrimPrefix(err.Error(), "it "))
	default:
		r.warn(DaticertMalformed, "daticert.xml: "+line(err.Error()))
	}
	return false
}

// receiptTypes are the tipo values of receipts (RFC 6109 §4.4).
var receiptTypes = []string{"accettazione", "non-accettazione", "presa-in-carico", "avvenuta-consegna",
	"errore-consegna", "preavviso-errore-consegna", "rilevazione-virus"}

// sameType compares the header, which anybody on the way can change, with the
// signed tipo: a receipt shown as an envelope would pass our own message off as
// one that somebody sent.
func (r *reader) sameType(c *Certificate, e *envelope) bool {
	said := c.Type
	switch {
	case e.kind == PECTransport:
		said = transportType
	case e.head.has("x-ricevuta"):
		said = e.head.word("x-ricevuta")
	}
	if c.Type != said {
		r.warn(TypeDiffers, fmt.Sprintf("the header says %q, daticert.xml says %q", line(said), c.Type))
		return false
	}
	if e.kind == PECReceipt && !slices.Contains(receiptTypes, c.Type) {
		r.warn(UnknownType, "daticert.xml has an unknown tipo: "+c.Type)
		return c.Type != transportType
	}
	return true
}

// eventTime is when the signature has to have been good.
func eventTime(a *Analysis, e *envelope) time.Time {
	if a.PEC != nil && a.PEC.Time != nil {
		return *a.PEC.Time
	}
	for _, s := range e.sign.signers {
		if s.Time != nil {
			return *s.Time
		}
	}
	if t := parseDate(e.head.get("date")); t != nil {
		return *t
	}
	return time.Now()
}

// authenticity is the table of the package comment, for all but ordinary mail.
func authenticity(s SignatureStatus, sound bool) Authenticity {
	switch s {
	case SignatureValid:
		if sound {
			return Certified
		}
		return Anomaly
	case SignatureInvalid:
		return Broken
	case SignatureAbsent:
		return Unsigned
	}
	return Untrusted
}

func (r *reader) signatureWarnings(a *Analysis, e *envelope) {
	if errors.Is(e.sign.err, errTooLarge) || errors.Is(e.sign.err, cms.ErrBounds) {
		r.warn(SignatureTooLarge, "the signature is beyond the bounds of what is verified")
	}
	if e.sign.status != SignatureValid {
		return
	}
	for _, s := range e.sign.signers {
		if s.Weak {
			r.warn(WeakDigest, "the signature rests on SHA-1")
		}
	}
	if e.sign.lineEnds {
		r.warn(LineEndsChanged, "line ends were changed on the way; the signature fits with them restored")
	}
	if certifies[e.kind] && a.Signature.Status == SignatureValid && !strings.HasPrefix(strings.ToLower(a.Signature.Email), "posta-certificata@") {
		problem := "the signer " + a.Signature.Email + " is not a posta-certificata address, as a provider's is"
		r.warn(SignerNoProvider, problem)
		a.Signature.spoil(problem)
	}
}

// certifies are the kinds that only a provider may sign, from an address of
// that name (RFC 6109 §2.1). Persons have certificates of the same authorities.
var certifies = map[Kind]bool{PECTransport: true, PECAnomaly: true, PECReceipt: true}

// single are the fields on which kind, trust and structure rest. Twice, or in a
// header too long to be read, they can mean one thing here and another elsewhere.
var single = []string{"from", "content-type", "content-transfer-encoding", "x-trasporto", "x-ricevuta"}

// ambiguities spoil an otherwise valid signature.
func (r *reader) ambiguities(a *Analysis, e *envelope) {
	h := e.head
	for _, name := range append([]string{"subject", "date", "message-id"}, single...) {
		if h.count(name) <= 1 {
			continue
		}
		detail := fmt.Sprintf("the header has %d fields %s", h.count(name), name)
		r.warn(DuplicateHeader, detail)
		if slices.Contains(single, name) {
			a.Signature.spoil(detail)
		}
	}
	if h.cut {
		a.Signature.spoil("the header is too long to be judged")
	}
	if boundaries(e.top.header.get("content-type")) > 1 {
		const detail = "Content-Type names its boundary more than once"
		r.warn(MalformedHeader, detail)
		a.Signature.spoil(detail)
	}
	if e.top.multipart() && !identityCoded(e.top) {
		r.warn(MalformedHeader, "a multipart is declared to be encoded, which it cannot be")
	}
	for _, f := range h.fields {
		if !strings.ContainsAny(f.value, "\r\x00") {
			continue
		}
		detail := "the field " + line(f.name) + " holds a control character"
		r.warn(MalformedHeader, detail)
		if slices.Contains(single, f.name) || hides(f.value) {
			a.Signature.spoil(detail)
		}
	}
}

// hides tells that for a program that ends lines at a bare CR another field
// stands in this one.
func hides(value string) bool {
	for _, l := range strings.Split(value, "\r")[1:] {
		if name, _ := splitField([]byte(l)); slices.Contains(single, strings.TrimSpace(name)) {
			return true
		}
	}
	return false
}

// boundaries counts the ways in which a Content-Type names its boundary; the
// pieces of RFC 2231 §3 are one.
func boundaries(contentType string) (n int) {
	_, rest := cutParam(contentType)
	pieces := map[string]bool{}
	for rest != "" {
		var item string
		item, rest = cutParam(rest)
		key, _, _ := strings.Cut(item, "=")
		name, piece, extended := strings.Cut(strings.ToLower(strings.TrimSpace(key)), "*")
		if name != "boundary" {
			continue
		}
		piece = strings.TrimSuffix(piece, "*")
		if piece == "" {
			piece = "0"
		}
		if !extended || len(pieces) == 0 || pieces[piece] {
			n++
		}
		if extended {
			pieces[piece] = true
		}
	}
	return n
}

func (s *Signature) spoil(problem string) {
	if s.Status != SignatureAbsent {
		s.fail(SignatureUntrusted, problem)
	}
}

// prefixes are the subjects of RFC 6109 §3, longest first where one begins
// another.
var prefixes = []string{
	"POSTA CERTIFICATA:", "ANOMALIA MESSAGGIO:", "ACCETTAZIONE:", "CONSEGNA:", "PRESA IN CARICO:",
	"AVVISO DI NON ACCETTAZIONE PER VIRUS:", "AVVISO DI NON ACCETTAZIONE:", "PROBLEMA DI SICUREZZA:",
	"AVVISO DI MANCATA CONSEGNA PER SUP. TEMPO MASSIMO:", "AVVISO DI MANCATA CONSEGNA PER VIRUS:",
	"AVVISO DI MANCATA CONSEGNA:",
}

// lookalike warns of ordinary mail that could be taken for PEC.
func (r *reader) lookalike(e *envelope) {
	h := e.head
	var why []string
	for _, name := range []string{"x-trasporto", "x-ricevuta"} {
		if h.has(name) {
			why = append(why, "it has a header "+name)
		}
	}
	if _, ok := cutPrefix(headerText(h, "subject")); ok {
		why = append(why, "its subject is that of an envelope or a receipt")
	}
	for l := range leaves(e.top, false) {
		name := strings.ToLower(fileName(l.part))
		if daticertNames[name] || name == "postacert.eml" {
			why = append(why, "it has a part "+name)
			break
		}
	}
	for _, from := range addresses(h, "from") {
		if strings.HasPrefix(strings.ToLower(from.Address), "posta-certificata@") {
			why = append(why, "its sender is "+from.Address)
			break
		}
	}
	switch {
	case len(why) == 0:
	case e.wrapped:
		r.warn(PECWrapped, "something was put round a certified message on its way; only what stands in that part is certified")
	default:
		r.warn(PECLookalike, "the message looks like PEC but no provider signed it: "+strings.Join(why, "; "))
	}
}

func cutPrefix(subject string) (rest string, ok bool) {
	for _, p := range prefixes {
		if len(subject) >= len(p) && strings.EqualFold(subject[:len(p)], p) {
			return strings.TrimSpace(subject[len(p):]), true
		}
	}
	return subject, false
}
