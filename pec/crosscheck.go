package pec

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// crossCheck warns where what nobody signed, or what two signed places say,
// does not agree. Nothing here changes what is certified.
func (r *reader) crossCheck(a *Analysis, e *envelope) {
	outer := headerText(e.head, "subject")
	rest, _ := cutPrefix(outer)
	inner := &header{}
	if e.postacert != nil {
		inner = &e.postacert.header
	}
	subject := headerText(inner, "subject")
	c := a.PEC
	if e.kind == PECReceipt && c != nil {
		subject = c.Subject
	}
	r.differ(EnvelopeSubjectDiffers, "subject as received", rest, "signed subject", subject, e.kind != REM && subject+rest != "")
	if c == nil || e.daticert == nil {
		return
	}
	r.crossCheckHeaders(c, e)
	if e.postacert != nil {
		r.differ(SubjectDiffers, "oggetto in daticert.xml", c.Subject, "subject of the original", headerText(inner, "subject"), c.Subject != "")
		from := ""
		if list := addresses(inner, "from"); len(list) > 0 {
			from = list[0].Address
		}
		r.differ(SenderDiffers, "mittente in daticert.xml", c.Sender, "From of the original", from, true)
		r.crossCheckRecipients(c, inner)
	}
	if c.DeliveredTo != "" && !slices.ContainsFunc(c.Recipients, func(x Recipient) bool { return sameAddress(x.Address, c.DeliveredTo) }) {
		r.warn(DeliveredToDiffers, "consegna "+c.DeliveredTo+" is none of the destinatari")
	}
	if s := a.Signature.Signer; s != "" && c.Provider != "" && !sameOrganization(c.Provider, s) {
		r.warn(ProviderDiffers, fmt.Sprintf("gestore-emittente is %q, the signer is %q", c.Provider, s))
	}
}

// crossCheckHeaders compares daticert.xml with the outer header fields that RFC
// 6109 §2.2.1 ties to it.
func (r *reader) crossCheckHeaders(c *Certificate, e *envelope) {
	h := e.head
	if e.kind == PECTransport {
		r.differ(IdentifierDiffers, "Message-ID", messageID(h.get("message-id")), "identificativo", c.Identifier, true)
	}
	reference := messageID(h.get("x-riferimento-message-id"))
	r.differ(ReferenceDiffers, "X-Riferimento-Message-ID", reference, "msgid", c.MessageID, reference+c.MessageID != "")
}

// crossCheckRecipients compares the destinatari with To and Cc of the original,
// which have to name them all: a hidden copy is refused (RFC 6109 §2.1).
func (r *reader) crossCheckRecipients(c *Certificate, original *header) {
	named := map[string]bool{}
	for _, field := range []string{"to", "cc"} {
		for _, a := range addresses(original, field) {
			named[strings.ToLower(a.Address)] = true
		}
	}
	for _, to := range c.Recipients {
		if !named[strings.ToLower(to.Address)] {
			r.warn(RecipientsDiffer, "the destinatario "+to.Address+" is neither in To nor in Cc of the original")
		}
	}
}

// senderName warns of a sender whose name is another address, which many
// programs show instead of the address. Providers' own names ("Per conto di:
// a@b.it") are not meant: what only looks like theirs is a look-alike.
func (r *reader) senderName(e *envelope) {
	h := e.head
	if e.kind != Email {
		if e.kind == PECReceipt || e.postacert == nil {
			return
		}
		h = &e.postacert.header
	}
	for _, from := range addresses(h, "from") {
		if strings.HasPrefix(strings.ToLower(from.Address), "posta-certificata@") {
			continue
		}
		if displayAddress(from.Name, from.Address) != "" {
			r.warn(SenderNameDiffers, fmt.Sprintf("the sender's name is %q, the address is %q", cutText(from.Name, 200), cutText(from.Address, 200)))
			return
		}
	}
}

// differ warns when two texts are not the same but for case and blanks.
func (r *reader) differ(code, nameA, a, nameB, b string, compare bool) {
	if compare && !strings.EqualFold(a, b) {
		r.warn(code, fmt.Sprintf("%s is %q, %s is %q", nameA, cutText(a, 200), nameB, cutText(b, 200)))
	}
}

// common words say nothing about which organization is meant.
var common = []string{"spa", "srl", "posta", "certificata", "pec", "gestore", "gruppo", "servizi", "italia", "italiane"}

// sameOrganization is a rough comparison: providers write their name one way in
// daticert.xml and another in their certificate ("Sogei SpA", "Sogei S.p.A.").
func sameOrganization(name, subject string) bool {
	in := words(subject)
	of := words(name)
	for _, w := range of {
		if slices.Contains(in, w) {
			return true
		}
	}
	return len(of) == 0
}

func words(s string) []string {
	s = strings.ToLower(strings.ReplaceAll(s, ".", ""))
	all := strings.FieldsFunc(s, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	return slices.DeleteFunc(all, func(w string) bool { return len(w) < 3 || slices.Contains(common, w) })
}
