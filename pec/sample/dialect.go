package sample

import (
	"crypto"
	"encoding/base64"
	"fmt"
	"html"
	"strings"
	"time"
)

// Dialect is how a provider writes what RFC 6109 leaves open, and where it
// departs from it. The zero value is plain: text in ISO-8859-15, daticert.xml in
// base64, then the original, a detached signature.
type Dialect struct {
	Name string

	Style         Style               // of the text for people
	Charset       string              // of it: utf-8, iso-8859-1 or iso-8859-15 (default)
	Note          string              // below every text
	Signature     string              // media type; default application/x-pkcs7-signature
	Micalg        string              // as written; default by the digest
	OneLine       bool                // the signature's base64 is not broken into lines
	Daticert      Daticert            // the XML part
	OriginalFirst bool                // postacert.eml before daticert.xml
	Original      string              // header of postacert.eml, CRLF ended; default as RFC 6109 has it
	OriginalCoded bool                // postacert.eml in base64, against RFC 2046 §5.2.1
	ReceiptType   string              // name of X-TipoRicevuta as written; "-" leaves it out
	Names         func(string) string // changes the names of the header fields
	Dotted        bool                // identifiers in dotted hexadecimal
	Extra         []string            // further header fields
	ExtraPart     string              // a further part of the provider's, header and body
}

// Style is the form of the text for people.
type Style int

// The styles seen: text alone, text with plain HTML beside it, text with a
// styled page beside it.
const (
	TextOnly Style = iota
	Alternative
	Styled
)

// Daticert is how daticert.xml stands in its part.
type Daticert struct {
	Encoding string // base64 (default), quoted-printable, 8bit, 7bit
	Charset  string // UTF-8 (default) or ISO-8859-1
	Header   string // Content-Type and Content-Disposition, CRLF ended; default as RFC 6109 has it
	Bare     bool   // msgid without angle brackets
	Stray    string // text between two elements
	Doctype  bool   // names the DTD
	Root     string // further attributes of the root element
}

// ArubaLike is the platform that most providers rent.
func ArubaLike() Dialect {
	return Dialect{
		Name: "aruba", Charset: "iso-8859-1", Micalg: "sha1", Extra: []string{"X-Mailer: postacert 2.0"},
		Note: "\nL'allegato daticert.xml contiene informazioni di servizio sulla trasmissione.\nL'allegato smime.p7s contiene la firma elettronica del gestore.\n",
	}
}

// LegalmailLike writes HTML beside the text and dotted identifiers.
func LegalmailLike() Dialect {
	return Dialect{
		Name: "legalmail", Style: Alternative, Signature: "application/pkcs7-signature", Dotted: true,
		Daticert: Daticert{Encoding: "quoted-printable"},
	}
}

// NamirialLike writes a styled page and puts the original first.
func NamirialLike() Dialect {
	return Dialect{
		Name: "namirial", Style: Styled, Charset: "utf-8", Micalg: "sha1", OriginalFirst: true,
		Extra: []string{"X-Namirial-Details: 1;0;0", "X-Namirial-Checker-Version: 2.4"},
	}
}

// SogeiLike is the exchange system's provider: another case of one field, an
// XML in 8 bits.
func SogeiLike() Dialect {
	return Dialect{
		Name: "sogei", ReceiptType: "X-Tiporicevuta", Daticert: Daticert{Encoding: "8bit"},
		Extra: []string{"X-Fattura-PA: Yes"},
	}
}

// PosteLike writes no brackets round msgid, an old charset, and one more part.
func PosteLike() Dialect {
	return Dialect{
		Name: "poste", Dotted: true, Daticert: Daticert{Encoding: "quoted-printable", Charset: "ISO-8859-1", Bare: true},
		ExtraPart: "Content-Type: image/png; name=\"logo.png\"\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: inline; filename=\"logo.png\"\r\n\r\niVBORw0KGgo=\r\n",
	}
}

// LowercaseLike writes every field's name in lower case.
func LowercaseLike() Dialect {
	return Dialect{Name: "minuscole", Names: strings.ToLower, Style: Alternative, Daticert: Daticert{Stray: "a"}}
}

func (d Dialect) signature() string {
	if d.Signature == "" {
		return "application/x-pkcs7-signature"
	}
	return d.Signature
}

func (d Dialect) micalg(h crypto.Hash) string {
	if d.Micalg == "" {
		return micalgs[h]
	}
	return d.Micalg
}

// field is one header field of the dialect.
func (d Dialect) field(name, value string) string {
	if d.Names != nil {
		name = d.Names(name)
	}
	return name + ": " + value
}

// text is the part for people: always the first (RFC 6109 §4.3).
func (d Dialect) text(s string) []byte {
	s += d.Note
	m := Mail{Charset: d.Charset}
	if d.Charset == "" {
		m.Charset = "iso-8859-15"
	}
	plain := m.text("plain", s)
	page := "<p>" + strings.ReplaceAll(html.EscapeString(strings.TrimSpace(s)), "\n", "<br>\n") + "</p>"
	switch d.Style {
	case Alternative:
		return joined("alternative", "alt", plain, m.text("html", "<html><body>"+page+"</body></html>"))
	case Styled:
		return joined("alternative", "alt", plain, m.text("html", "<!DOCTYPE html><html><head><style>body{font:14px sans-serif}.g{border:1px solid #ccc}</style></head>"+
			"<body><table class=\"g\" width=\"600\"><tr><td><b>Posta Elettronica Certificata</b></td></tr><tr><td>"+page+"</td></tr></table></body></html>"))
	}
	return plain
}

// original is postacert.eml as a part.
func (d Dialect) original(raw []byte) []byte {
	head := d.Original
	if head == "" {
		head = "Content-Type: message/rfc822; name=\"postacert.eml\"\r\nContent-Disposition: inline; filename=\"postacert.eml\"\r\n"
	}
	if d.OriginalCoded {
		text := strings.TrimSuffix(string(base64Lines(raw)), "\r\n")
		return []byte(head + "Content-Transfer-Encoding: base64\r\n\r\n" + text)
	}
	return append([]byte(head+"Content-Transfer-Encoding: 7bit\r\n\r\n"), raw...)
}

// identifier is in the style of the most common platform, or in dotted
// hexadecimal.
func (p *Provider) identifier(t time.Time) string {
	n := p.serial.Add(1)
	if p.options.Dialect.Dotted {
		return fmt.Sprintf("%08X.%08X.%08X.%08X.posta-certificata@%s", 100+p.options.Seed, t.Unix(), n, n^0x5bd1e995, p.options.Domain)
	}
	return fmt.Sprintf("opec%d.%s.%05d@%s", 100+p.options.Seed, t.Format("20060102150405"), n, p.options.Domain)
}

// base64Lines is data in lines of 76 characters.
func base64Lines(data []byte) []byte {
	const width = 57 // bytes in 76 characters
	out := make([]byte, 0, len(data)*4/3+len(data)/width*2+8)
	for len(data) > width {
		out = append(base64.StdEncoding.AppendEncode(out, data[:width]), '\r', '\n')
		data = data[width:]
	}
	return append(base64.StdEncoding.AppendEncode(out, data), '\r', '\n')
}
