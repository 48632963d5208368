package sample

import (
	"crypto"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/protodaemon/protodaemon/pec"
)

// ordinaryKinds are mails with the files that people send.
var ordinaryKinds = []kind{
	{"ordinaria-un-allegato-vuoto", attaching(File{Name: "vuoto.txt", MediaType: "text/plain"})},
	{"ordinaria-p7m", attachingSigned(Form{})},
	{"ordinaria-p7m-indefinito", attachingSigned(Form{Indefinite: true})},
	{"ordinaria-p7m-senza-attributi", attachingSigned(Form{NoAttributes: true, NoIssuers: true})},
	{"ordinaria-p7m-rotto", attaching(File{Name: "istanza.pdf.p7m", MediaType: "application/pkcs7-mime", Data: []byte("\x30\x80\x06\x09")})},
	{"ordinaria-p7s-accanto", attaching(File{Name: "istanza.pdf", MediaType: "application/pdf", Data: PDF(nil)}, File{Name: "istanza.pdf.p7s", MediaType: "application/pkcs7-signature", Data: []byte("\x30\x80")})},
	{"ordinaria-segnatura", attaching(File{Name: "Segnatura.xml", MediaType: "application/xml", Data: []byte("<?xml version=\"1.0\"?><Segnatura/>")})},
	{"ordinaria-fattura", attaching(File{Name: "IT01234567890_FPR03.xml.p7m", MediaType: "application/octet-stream", Data: []byte("\x30\x82")},
		File{Name: "IT01234567890_FPR03_MT_001.xml", MediaType: "application/octet-stream", Data: []byte("<FileMetadati/>")})},
	{"ordinaria-zip", attaching(File{Name: "documenti.zip", MediaType: "application/x-zip-compressed", Data: zipped(map[string]string{"a/b.txt": "b", "c.txt": "c"})})},
	{"ordinaria-winmail", attaching(File{Name: "winmail.dat", MediaType: "application/ms-tnef", Data: []byte("\x78\x9f\x3e\x22\x01\x00")})},
	{"ordinaria-trenta-allegati", attaching(numbered(30)...)},
	{"ordinaria-messaggio-allegato", func(m *mixer) (Message, error) {
		inner := m.mail()
		inner.Files = m.files()[:2]
		mail := m.mail()
		mail.Files = []File{{Name: "messaggio.eml", MediaType: "message/rfc822", Data: inner.Bytes()}}
		return ordinary(mail, append(knownFiles(mail.Files), knownFiles(inner.Files)...)...), nil
	}},
	{"ordinaria-messaggio-in-base64", func(m *mixer) (Message, error) {
		inner, mail := m.mail().Bytes(), m.mail()
		mail.Files = []File{{Header: "Content-Type: message/rfc822\r\nContent-Disposition: attachment; filename=\"codificato.eml\"\r\nContent-Transfer-Encoding: base64\r\n", Data: inner}}
		return ordinary(mail, knownFile("codificato.eml", inner)), nil
	}},
	{"ordinaria-cifrata", func(m *mixer) (Message, error) {
		mail := m.mail()
		mail.Body = fmt.Appendf(nil, "Content-Type: application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m\r\nContent-Transfer-Encoding: base64\r\n\r\n%s", base64Lines(Enveloped(m.bytes(800))))
		one := ordinary(mail, knownFile("smime.p7m", unfolded(mail.Body)))
		one.Expect.Warnings = []string{pec.Encrypted}
		return one, nil
	}},
	{"ordinaria-pgp-firmata", func(m *mixer) (Message, error) {
		mail := m.mail()
		mail.Body = joinedAs("multipart/signed", "; protocol=\"application/pgp-signature\"; micalg=pgp-sha256", "pgp", Mail{}.text("plain", bodyPhrase+"\n"),
			[]byte("Content-Type: application/pgp-signature; name=\"signature.asc\"\r\n\r\n-----BEGIN PGP SIGNATURE-----\r\n\r\niQEz\r\n-----END PGP SIGNATURE-----\r\n"))
		one := ordinary(mail)
		one.Expect.Status, one.Expect.Text = pec.SignatureError, bodyPhrase
		return one, nil
	}},
	{"ordinaria-pgp-cifrata", func(m *mixer) (Message, error) {
		mail := m.mail()
		mail.Body = joinedAs("multipart/encrypted", "; protocol=\"application/pgp-encrypted\"", "pgp",
			[]byte("Content-Type: application/pgp-encrypted; name=versione.txt\r\n\r\nVersion: 1\r\n"),
			[]byte("Content-Type: application/octet-stream; name=\"encrypted.asc\"\r\n\r\n-----BEGIN PGP MESSAGE-----\r\n\r\nhQEM\r\n-----END PGP MESSAGE-----\r\n"))
		return ordinary(mail, knownFile("versione.txt", []byte("Version: 1\r\n")), knownFile("encrypted.asc", []byte("-----BEGIN PGP MESSAGE-----\r\n\r\nhQEM\r\n-----END PGP MESSAGE-----\r\n"))), nil
	}},
}

// attaching is mail with these files.
func attaching(files ...File) func(*mixer) (Message, error) {
	return func(m *mixer) (Message, error) {
		mail := m.mail()
		mail.Files = files
		one := ordinary(mail, knownFiles(files)...)
		one.Expect.Text, one.Expect.From = bodyPhrase, "mario.rossi@pec.mittente.example"
		return one, nil
	}
}

// attachingSigned is mail with a document that its writer signed.
func attachingSigned(f Form) func(*mixer) (Message, error) {
	return func(m *mixer) (Message, error) {
		p7m, err := m.p7m(f)
		if err != nil {
			return Message{}, err
		}
		return attaching(File{Name: "istanza.pdf.p7m", MediaType: "application/pkcs7-mime", Data: p7m})(m)
	}
}

// p7m is a PDF in the signature of a person.
func (m *mixer) p7m(f Form) ([]byte, error) {
	by, err := m.p.person(m.mail().From, nil)
	if err != nil {
		return nil, err
	}
	f.Opaque, f.PSS = true, m.p.options.PSS
	if f.Digest == 0 {
		f.Digest = crypto.SHA256
	}
	return f.cms(PDF(m.bytes(800)), by)
}

func numbered(n int) []File {
	var files []File
	for i := range n {
		files = append(files, File{Name: fmt.Sprintf("pagina-%02d.txt", i), MediaType: "text/plain", Data: fmt.Appendf(nil, "pagina %d\n", i)})
	}
	return files
}

// unfolded is the decoded content of an entity in base64.
func unfolded(entity []byte) []byte {
	_, body, _ := strings.Cut(string(entity), "\r\n\r\n")
	b, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(body, "\r\n", ""))
	if err != nil {
		panic(err) // this package encoded it
	}
	return b
}

func (m *mixer) plain() (Message, error) { return ordinary(m.mail()), nil }

func (m *mixer) html() (Message, error) {
	mail := m.mail()
	mail.HTML = "<html><head><style>p{color:red}</style></head><body><p>Spettabile Ordine, <b>perché</b> no?</p><img src=\"cid:logo@x\"></body></html>"
	mail.Files = []File{{Name: "logo.png", MediaType: "image/png", Data: m.bytes(900), ContentID: "logo@x"}}
	return ordinary(mail, knownFiles(mail.Files)...), nil
}

func (m *mixer) latin() (Message, error) {
	mail := m.mail()
	mail.Charset = "iso-8859-15"
	mail.Subject = "Costo 100 € più IVA"
	mail.Text = "Il costo è di 100 €, perché così è.\n"
	return ordinary(mail), nil
}

func (m *mixer) withFiles() (Message, error) {
	mail := m.mail()
	mail.Files = m.files()
	return ordinary(mail, knownFiles(mail.Files)...), nil
}

// personal is ordinary mail that its writer signed.
func personal(f Form) func(*mixer) (Message, error) {
	return func(m *mixer) (Message, error) {
		mail := m.mail()
		raw, err := m.p.personal(mail, f, nil)
		one := ordinary(mail)
		one.Raw, one.Expect.Content, one.Expect.Text, one.Expect.From = raw, digest(raw), bodyPhrase, "mario.rossi@pec.mittente.example"
		one.Expect.Status, one.signed = pec.SignatureValid, []pec.Authenticity{pec.Unsigned}
		h := f.Digest
		if h == 0 {
			h = m.p.options.Digest
		}
		one.Expect.Warnings = weakDigest(h)
		return one, err
	}
}

// phrase is the first line of a notice's text.
func (n notice) phrase() string {
	first, _, _ := strings.Cut(n.text, "\n")
	return first
}

var extraFile = knownFile("logo.png", []byte("\x89PNG\r\n\x1a\n"))
