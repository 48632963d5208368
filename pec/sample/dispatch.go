package sample

import (
	"bytes"
	"fmt"
	"net/mail"
	"strings"
	"time"
)

// Dispatch is one message in the provider's hands: what it carries, and every
// envelope and receipt about it.
type Dispatch struct {
	p          *Provider
	dialect    Dialect
	form       Form    // of the signatures
	by         *signer // who signs instead of the provider
	original   []byte  // with the provider's Message-ID
	identifier string
	reference  string // the writer's Message-ID
	sender     string
	replyTo    string // default the sender
	provider   string // gestore-emittente
	recipients []recipient
	to         string // header field as written
	subject    string // header field as written
	plain      string // subject decoded
	receipt    string // completa, breve or sintetica: what the sender asked for
	time       time.Time
}

type recipient struct {
	address  string
	external bool // not a PEC address
}

// kind is the recipient's tipo in daticert.xml.
func (r recipient) kind() string {
	if r.external {
		return "esterno"
	}
	return "certificato"
}

// Submission says how a message is handed in.
type Submission struct {
	Receipt  string    // completa (default), breve or sintetica
	Time     time.Time // of the event; default the provider's Now
	External []string  // recipients that are not PEC
}

// Submit takes a message from its writer, whose Message-ID it replaces (RFC
// 6109 §2.2.1).
func (p *Provider) Submit(original []byte, s Submission) (*Dispatch, error) {
	m, err := mail.ReadMessage(bytes.NewReader(original))
	if err != nil {
		return nil, fmt.Errorf("reading the message to send: %w", err)
	}
	from, err := mail.ParseAddress(m.Header.Get("From"))
	if err != nil {
		return nil, fmt.Errorf("reading its From: %w", err)
	}
	d := &Dispatch{p: p, dialect: p.options.Dialect, provider: p.options.Name, replyTo: from.Address, sender: from.Address, to: m.Header.Get("To"), subject: m.Header.Get("Subject"),
		reference: strings.Trim(m.Header.Get("Message-Id"), "<>"), receipt: s.Receipt, time: s.Time}
	if reply, err := mail.ParseAddress(m.Header.Get("Reply-To")); err == nil {
		d.replyTo = reply.Address
	}
	if d.receipt == "" {
		d.receipt = "completa"
	}
	if d.time.IsZero() {
		d.time = p.options.Now
	}
	d.plain = decodeSubject(d.subject)
	for _, name := range []string{"To", "Cc"} {
		list, _ := m.Header.AddressList(name) // an absent field is no recipient
		for _, a := range list {
			external := false
			for _, e := range s.External {
				external = external || e == a.Address
			}
			d.recipients = append(d.recipients, recipient{a.Address, external})
		}
	}
	d.identifier = p.identifier(d.time)
	d.original = replaceMessageID(original, d.identifier, d.reference)
	return d, nil
}

// Identifier is the identificativo PEC, the Message-ID of the envelope.
func (d *Dispatch) Identifier() string { return d.identifier }

// replaceMessageID gives the original the provider's identifier and keeps the
// writer's in X-Riferimento-Message-ID.
func replaceMessageID(original []byte, identifier, reference string) []byte {
	head, body, _ := bytes.Cut(original, []byte("\r\n\r\n"))
	var b bytes.Buffer
	for l := range bytes.SplitSeq(head, []byte("\r\n")) {
		if !bytes.HasPrefix(bytes.ToLower(l), []byte("message-id:")) {
			b.Write(l)
			b.WriteString("\r\n")
		}
	}
	fmt.Fprintf(&b, "Message-ID: <%s>\r\n", identifier)
	if reference != "" {
		fmt.Fprintf(&b, "X-Riferimento-Message-ID: <%s>\r\n", reference)
	}
	b.WriteString("\r\n")
	b.Write(body)
	return b.Bytes()
}

// build makes the signed message of a notice.
func (d *Dispatch) build(n notice) ([]byte, error) {
	by := d.p.signer()
	if d.by != nil {
		by = *d.by
	}
	return d.p.signed(d.dialect, d.header(n), d.entity(n), d.form, by)
}

// entity is what the provider signs: text, daticert.xml, the original.
func (d *Dispatch) entity(n notice) []byte {
	parts := [][]byte{d.dialect.text(n.text), d.dialect.Daticert.part(d.xml(n))}
	if n.bare {
		parts = parts[:1]
	}
	if n.original != nil {
		parts = append(parts, d.dialect.original(n.original))
	}
	if d.dialect.OriginalFirst && len(parts) == 3 {
		parts[1], parts[2] = parts[2], parts[1]
	}
	if d.dialect.ExtraPart != "" {
		parts = append(parts, []byte(d.dialect.ExtraPart))
	}
	return joined("mixed", "pec", parts...)
}

// header are the top-level fields of a notice, but those of MIME.
func (d *Dispatch) header(n notice) []string {
	fields := [][2]string{
		{"Date", d.time.Format(time.RFC1123Z)},
		{"From", fromField(n.from, d.p.Address())},
		{"To", n.to},
		{"Subject", n.prefix + d.subject},
		{"Message-ID", "<" + n.id + ">"},
	}
	fields = append(fields, n.header...)
	if d.reference != "" {
		fields = append(fields, [2]string{"X-Riferimento-Message-ID", "<" + d.reference + ">"})
	}
	var header []string
	for _, f := range fields {
		header = append(header, d.dialect.field(f[0], f[1]))
	}
	return append(header, d.dialect.Extra...)
}

func fromField(name, address string) string {
	if name == "" {
		return address
	}
	return fmt.Sprintf("%q <%s>", name, address)
}
