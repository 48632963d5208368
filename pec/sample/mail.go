package sample

import (
	"bytes"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"time"

	"golang.org/x/text/encoding/charmap"
)

// Mail is a message a person writes.
type Mail struct {
	From, To, Cc string // header fields as they are to stand
	Subject      string
	Date         time.Time
	MessageID    string // without brackets; "" leaves the field out
	Charset      string // utf-8 (default), iso-8859-1 or iso-8859-15
	Text, HTML   string
	Files        []File
	Headers      []string // further fields, "Name: value"
	Body         []byte   // instead of text and files: an entity of its own
	SubjectField string   // the subject as it is to stand, instead of Subject encoded
}

// File is one attachment; with ContentID it is shown inside the HTML.
type File struct {
	Name      string
	MediaType string
	Data      []byte
	ContentID string
	Header    string // overrides name and type: the complete header lines, CRLF ended
}

// Bytes is the message on the wire.
func (m Mail) Bytes() []byte {
	var b bytes.Buffer
	put := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%s: %s\r\n", name, value)
		}
	}
	put("From", m.From)
	put("To", m.To)
	put("Cc", m.Cc)
	if m.SubjectField != "" {
		put("Subject", m.SubjectField)
	} else {
		put("Subject", m.encode(m.Subject))
	}
	if !m.Date.IsZero() {
		put("Date", m.Date.Format(time.RFC1123Z))
	}
	if m.MessageID != "" {
		put("Message-ID", "<"+m.MessageID+">")
	}
	for _, h := range m.Headers {
		b.WriteString(h + "\r\n")
	}
	put("MIME-Version", "1.0")
	b.Write(m.entity())
	return b.Bytes()
}

func (m Mail) charset() string {
	if m.Charset == "" {
		return "utf-8"
	}
	return m.Charset
}

var charmaps = map[string]*charmap.Charmap{"iso-8859-1": charmap.ISO8859_1, "iso-8859-15": charmap.ISO8859_15}

// encode makes encoded words of text beyond ASCII (RFC 2047).
func (m Mail) encode(s string) string {
	if _, ok := charmaps[m.charset()]; ok {
		return mime.QEncoding.Encode(m.charset(), string(m.bytes(s)))
	}
	return mime.QEncoding.Encode("utf-8", s)
}

func (m Mail) bytes(s string) []byte {
	if e, ok := charmaps[m.charset()]; ok {
		if b, err := e.NewEncoder().Bytes([]byte(s)); err == nil {
			return b
		}
	}
	return []byte(s)
}

// entity is the body with its Content-Type: alternative inside related inside
// mixed, as far as there is something to put there.
func (m Mail) entity() []byte {
	if m.Body != nil {
		return m.Body
	}
	body := m.text("plain", m.Text)
	if m.HTML != "" {
		body = joined("alternative", "alt", body, m.related())
	}
	parts := [][]byte{body}
	for _, f := range m.Files {
		if f.ContentID == "" {
			parts = append(parts, f.entity())
		}
	}
	if len(parts) == 1 {
		return body
	}
	return joined("mixed", "mix", parts...)
}

func (m Mail) related() []byte {
	parts := [][]byte{m.text("html", m.HTML)}
	for _, f := range m.Files {
		if f.ContentID != "" {
			parts = append(parts, f.entity())
		}
	}
	if len(parts) == 1 {
		return parts[0]
	}
	return joined("related", "rel", parts...)
}

func (m Mail) text(minor, s string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "Content-Type: text/%s; charset=%s\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n", minor, m.charset())
	w := quotedprintable.NewWriter(&b)
	_, _ = w.Write(bytes.ReplaceAll(m.bytes(s), []byte("\n"), []byte("\r\n"))) // a bytes.Buffer takes all
	_ = w.Close()
	b.WriteString("\r\n")
	return b.Bytes()
}

func (f File) entity() []byte {
	var b bytes.Buffer
	switch {
	case f.Header != "":
		b.WriteString(f.Header)
	case f.MediaType == "message/rfc822":
		fmt.Fprintf(&b, "Content-Type: message/rfc822\r\nContent-Disposition: attachment; filename=%q\r\n\r\n", f.Name)
		b.Write(f.Data)
		return b.Bytes()
	default:
		disposition := "attachment"
		if f.ContentID != "" {
			disposition = "inline"
			fmt.Fprintf(&b, "Content-ID: <%s>\r\n", f.ContentID)
		}
		fmt.Fprintf(&b, "Content-Type: %s\r\nContent-Disposition: %s\r\nContent-Transfer-Encoding: base64\r\n",
			mime.FormatMediaType(f.MediaType, map[string]string{"name": f.Name}),
			mime.FormatMediaType(disposition, map[string]string{"filename": f.Name}))
	}
	b.WriteString("\r\n")
	b.Write(base64Lines(f.Data))
	return b.Bytes()
}

// joined is a multipart of entities. The boundary depends on the content alone, so that
// equal messages are equal bytes and nested ones differ.
func joined(minor, tag string, parts ...[]byte) []byte {
	return joinedAs("multipart/"+minor, "", tag, parts...)
}

func joinedAs(media, params, tag string, parts ...[]byte) []byte {
	size := 0
	for _, p := range parts {
		size += len(p)
	}
	boundary := fmt.Sprintf("----=_%s_%d_%d", tag, len(parts), size)
	var b bytes.Buffer
	fmt.Fprintf(&b, "Content-Type: %s; boundary=%q%s\r\n\r\n", media, boundary, params)
	for _, p := range parts {
		fmt.Fprintf(&b, "--%s\r\n", boundary)
		b.Write(p)
		b.WriteString("\r\n")
	}
	fmt.Fprintf(&b, "--%s--\r\n", boundary)
	return b.Bytes()
}
