package sample

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/protodaemon/protodaemon/pec"
)

// Canary stands in all that a trick adds to a message where a reader could show
// it. It must never be shown as certified.
const Canary = "canarino"

// evil is the address a trick speaks for.
const evil = Canary + "@ladri.example"

// trick is one way to make a message seem to be what it is not. The first
// tricks need no key: they are what anybody on the way can do to an honest
// envelope. The others show what even a provider's signature does not cover.
type trick struct {
	name string
	make func(*forge) string
	want verdict
}

// verdict is what a reader has to say of it.
type verdict struct {
	kind         pec.Kind
	authenticity pec.Authenticity
	status       pec.SignatureStatus
	warnings     []string
}

// The verdicts that most tricks meet.
func certified(codes ...string) verdict {
	return verdict{pec.PECTransport, pec.Certified, pec.SignatureValid, codes}
}
func anomalous(codes ...string) verdict {
	return verdict{pec.PECTransport, pec.Anomaly, pec.SignatureValid, codes}
}
func broken(codes ...string) verdict {
	return verdict{pec.PECTransport, pec.Broken, pec.SignatureInvalid, codes}
}
func distrusted(codes ...string) verdict {
	return verdict{pec.PECTransport, pec.Untrusted, pec.SignatureUntrusted, codes}
}
func misplaced(codes ...string) verdict {
	return broken(append(codes, pec.DaticertMissing, pec.PostacertMissing, pec.EnvelopeSubjectDiffers)...)
}
func wrapping(codes ...string) verdict {
	return verdict{pec.Email, pec.Unsigned, pec.SignatureAbsent, append(codes, pec.PECWrapped)}
}
func unsigned(codes ...string) verdict {
	return verdict{pec.Email, pec.Unsigned, pec.SignatureAbsent, append(codes, pec.PECLookalike)}
}

// trickKinds are all tricks as kinds of a corpus.
var trickKinds = slices.Concat(
	kindsOf(true, headerTricks, receiptTricks, senderTricks, boundaryTricks, structureTricks),
	kindsOf(false, signatureTricks, contentTricks))

func kindsOf(keyless bool, tables ...[]trick) []kind {
	var all []kind
	for _, t := range slices.Concat(tables...) {
		all = append(all, kind{"trucco-" + t.name, func(m *mixer) (Message, error) {
			one, err := t.message(m)
			one.Keyless = keyless
			return one, err
		}})
	}
	return all
}

// message plays the trick on an honest envelope.
func (t trick) message(m *mixer) (Message, error) {
	f, err := m.forge()
	if err != nil {
		return Message{}, err
	}
	raw := t.make(f)
	if f.err == nil && raw == f.raw {
		f.err = fmt.Errorf("the trick %s changes nothing", t.name)
	}
	w := t.want
	e := Expect{Authenticity: w.authenticity, Status: w.status, Warnings: slices.Clone(w.warnings)}
	if w.status == pec.SignatureValid || w.status == pec.SignatureUntrusted {
		e.Warnings = append(e.Warnings, weakDigest(m.p.options.Digest)...)
	}
	return Message{Raw: []byte(raw), Kind: w.kind, Expect: e, Time: m.at, Genuine: f.honest.Raw}, f.err
}

// forge is an honest envelope in parts, to make another of.
type forge struct {
	m        *mixer
	d        *Dispatch
	honest   Message
	raw      string
	header   []string // but those of MIME
	boundary string   // of the multipart/signed
	entity   string   // the signed part
	p7s      string   // the signature part with its header
	inner    string   // boundary inside the entity
	err      error
}

// forge sends an envelope in the plainest dialect.
func (m *mixer) forge() (*forge, error) {
	mail := m.mail()
	mail.Files = []File{{Name: "atto.pdf", MediaType: "application/pdf", Data: PDF(m.bytes(200))}}
	d, err := m.submit(mail, Submission{}, func(d *Dispatch) { d.dialect = Dialect{} })
	if err != nil {
		return nil, err
	}
	honest, err := d.told(d.envelope(), knownFiles(mail.Files))
	if err != nil {
		return nil, err
	}
	f := &forge{m: m, d: d, honest: honest, raw: string(honest.Raw)}
	head, body, _ := strings.Cut(f.raw, "\r\n\r\n")
	for l := range strings.SplitSeq(head, "\r\n") {
		if !strings.HasPrefix(l, "Content-Type:") && !strings.HasPrefix(l, "MIME-Version:") {
			f.header = append(f.header, l)
		}
	}
	f.boundary = boundaryOf(head)
	parts := strings.Split("\r\n"+body, "\r\n--"+f.boundary)
	f.entity, f.p7s = strings.TrimPrefix(parts[1], "\r\n"), strings.TrimPrefix(parts[2], "\r\n")
	f.inner = boundaryOf(f.entity)
	return f, nil
}

func boundaryOf(s string) string {
	_, s, _ = strings.Cut(s, "boundary=\"")
	s, _, _ = strings.Cut(s, "\"")
	return s
}

var errNoField = errors.New("the sample has no such field")

// replace changes one text in the message.
func (f *forge) replace(old, new string) string {
	if !strings.Contains(f.raw, old) {
		f.err = fmt.Errorf("the sample has no %q", old)
	}
	return strings.Replace(f.raw, old, new, 1)
}

// above puts header lines above all others.
func (f *forge) above(lines ...string) string { return strings.Join(lines, "\r\n") + "\r\n" + f.raw }

// field changes one header field.
func (f *forge) field(name, value string) string {
	i := slices.IndexFunc(f.header, func(l string) bool { return strings.HasPrefix(l, name+":") })
	if i < 0 {
		f.err = fmt.Errorf("%s: %w", name, errNoField)
		return f.raw
	}
	return f.replace(f.header[i], name+": "+value)
}

// contentType is the field that names the outer boundary.
func (f *forge) contentType() string {
	i := strings.Index(f.raw, "Content-Type: multipart/signed")
	l, _, _ := strings.Cut(f.raw[i:], "\r\n\r\n")
	return l
}

// outer rebuilds the message round other parts; the first line of typed is its
// Content-Type.
func (f *forge) outer(typed string, parts ...string) string {
	var b strings.Builder
	b.WriteString(strings.Join(f.header, "\r\n") + "\r\nMIME-Version: 1.0\r\n" + typed + "\r\n\r\n")
	for _, p := range parts {
		b.WriteString("--" + f.boundary + "\r\n" + p + "\r\n")
	}
	b.WriteString("--" + f.boundary + "--\r\n")
	return b.String()
}

// resigned is the envelope with a changed entity that the provider signs.
func (f *forge) resigned(entity string) string { return f.signedBy(entity, Form{}, f.m.p.signer()) }

func (f *forge) signedBy(entity string, form Form, by signer) string {
	raw, err := f.m.p.signed(Dialect{}, f.header, []byte(entity), form, by)
	if err != nil {
		f.err = err
	}
	return string(raw)
}

// swap changes one text in the entity and has it signed.
func (f *forge) swap(old, new string) string {
	if !strings.Contains(f.entity, old) {
		f.err = fmt.Errorf("the signed part has no %q", old)
	}
	return f.resigned(strings.Replace(f.entity, old, new, 1))
}

// daticert is the daticert.xml part of the entity, from its delimiter on.
func (f *forge) daticert() string {
	delimiter := "\r\n--" + f.inner
	i := strings.Index(f.entity, delimiter+"\r\nContent-Type: application/xml")
	j := strings.Index(f.entity[i+len(delimiter):], delimiter)
	return f.entity[i : i+len(delimiter)+j]
}

// lie is a daticert.xml part, without its delimiter, that says what the trick
// wants.
func (f *forge) lie() string {
	other := *f.d
	other.sender, other.plain = evil, Canary
	n := f.d.envelope()
	return string(bytes.TrimSuffix(Daticert{}.part(other.xml(n)), []byte("\r\n")))
}

// page is a part with a text of the trick's.
func page() string {
	return "Content-Type: text/plain\r\n\r\n" + Canary + ": pagare subito\r\n"
}

// ladder is a whole multipart/mixed of the trick's, boundary and all.
func (f *forge) ladder(boundary string) string {
	return "--" + boundary + "\r\n" + page() + "\r\n--" + boundary + "\r\n" + f.lie() + "\r\n--" + boundary + "--\r\n"
}
