package sample

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"mime/quotedprintable"

	"golang.org/x/text/encoding/charmap"
)

// xml is the content of daticert.xml (RFC 6109 §4.4) in the dialect.
func (d *Dispatch) xml(n notice) []byte {
	form := d.dialect.Daticert
	charset := form.Charset
	if charset == "" {
		charset = "UTF-8"
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "<?xml version=\"1.0\" encoding=%q?>\n", charset)
	if form.Doctype {
		b.WriteString("<!DOCTYPE postacert SYSTEM \"daticert.dtd\">\n")
	}
	fmt.Fprintf(&b, "<postacert tipo=%q errore=%q%s>\n<intestazione>\n", n.tipo, n.failure(), form.Root)
	tag(&b, "mittente", "", d.sender)
	for _, r := range d.recipients {
		tag(&b, "destinatari", fmt.Sprintf(" tipo=%q", r.kind()), r.address)
	}
	tag(&b, "risposte", "", d.replyTo)
	b.WriteString(form.Stray)
	if d.plain != "" {
		tag(&b, "oggetto", "", d.plain)
	}
	b.WriteString("</intestazione>\n<dati>\n")
	d.data(&b, n)
	b.WriteString("</dati>\n</postacert>\n")
	if charset == "UTF-8" {
		return b.Bytes()
	}
	if latin, err := charmap.ISO8859_1.NewEncoder().Bytes(b.Bytes()); err == nil {
		return latin
	}
	// What the charset lacks stands as a character reference.
	var out []byte
	for _, r := range b.String() {
		if r < 0x100 {
			out = append(out, byte(r))
		} else {
			out = fmt.Appendf(out, "&#%d;", r)
		}
	}
	return out
}

// data are the elements of dati, in the order of the DTD.
func (d *Dispatch) data(b *bytes.Buffer, n notice) {
	tag(b, "gestore-emittente", "", d.provider)
	fmt.Fprintf(b, "<data zona=%q><giorno>%s</giorno><ora>%s</ora></data>\n", d.time.Format("-0700"), d.time.Format("02/01/2006"), d.time.Format("15:04:05"))
	tag(b, "identificativo", "", d.identifier)
	if d.reference != "" {
		id := "<" + d.reference + ">"
		if d.dialect.Daticert.Bare {
			id = d.reference
		}
		tag(b, "msgid", "", id)
	}
	if n.ricevuta != "" {
		fmt.Fprintf(b, "<ricevuta tipo=%q/>\n", n.ricevuta)
	}
	if n.delivered != "" {
		tag(b, "consegna", "", n.delivered)
	}
	if n.tipo == "presa-in-carico" {
		for _, r := range d.recipients {
			tag(b, "ricezione", "", r.address)
		}
	}
	if n.detail != "" {
		tag(b, "errore-esteso", "", n.detail)
	}
}

func tag(b *bytes.Buffer, name, attrs, text string) {
	fmt.Fprintf(b, "<%s%s>", name, attrs)
	_ = xml.EscapeText(b, []byte(text)) // a bytes.Buffer takes all
	fmt.Fprintf(b, "</%s>\n", name)
}

// part is daticert.xml as it stands in the message.
func (f Daticert) part(content []byte) []byte {
	head := f.Header
	if head == "" {
		head = "Content-Type: application/xml; name=\"daticert.xml\"\r\nContent-Disposition: inline; filename=\"daticert.xml\"\r\n"
	}
	encoding := f.Encoding
	if encoding == "" {
		encoding = "base64"
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%sContent-Transfer-Encoding: %s\r\n\r\n", head, encoding)
	switch encoding {
	case "base64":
		b.Write(base64Lines(content))
	case "quoted-printable":
		w := quotedprintable.NewWriter(&b)
		_, _ = w.Write(f.wire(content)) // a bytes.Buffer takes all
		_ = w.Close()
	default:
		b.Write(f.wire(content))
	}
	return b.Bytes()
}

// wire is the content as the reader gets it: what is not base64 is text, whose
// lines end with CRLF.
func (f Daticert) wire(content []byte) []byte {
	if f.Encoding == "" || f.Encoding == "base64" {
		return content
	}
	return bytes.ReplaceAll(content, []byte("\n"), []byte("\r\n"))
}
