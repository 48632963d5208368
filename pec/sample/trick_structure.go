package sample

import (
	"strings"

	"github.com/protodaemon/protodaemon/pec"
)

// structureTricks put something beside, before or round the signed part.
var structureTricks = []trick{
	{"parte-dopo", func(f *forge) string { return f.outer(f.contentType(), f.entity, f.p7s, page()) }, broken()},
	{"parte-prima", func(f *forge) string { return f.outer(f.contentType(), page(), f.entity, f.p7s) }, misplaced()},
	{"parte-in-mezzo", func(f *forge) string { return f.outer(f.contentType(), f.entity, page(), f.p7s) }, broken()},
	{"firma-prima", func(f *forge) string { return f.outer(f.contentType(), f.p7s, f.entity) }, misplaced()},
	{"firma-tolta", func(f *forge) string { return f.outer(f.contentType(), f.entity) }, broken()},
	{"due-firme", func(f *forge) string { return f.outer(f.contentType(), f.entity, f.p7s, f.p7s) }, broken()},
	{"firma-di-altro-tipo", func(f *forge) string {
		return f.outer(f.contentType(), f.entity, strings.Replace(f.p7s, "application/x-pkcs7-signature", "application/octet-stream", 1))
	}, broken()},
	{"firma-come-contenuto", func(f *forge) string {
		return f.outer(f.contentType(), f.entity, strings.Replace(f.p7s, "application/x-pkcs7-signature", "application/x-pkcs7-mime", 1))
	}, broken()},
	{"testo-cambiato", func(f *forge) string { return f.replace("Distinti saluti", Canary) }, broken()},
	{"riga-a-capo-nel-testo", func(f *forge) string { return f.replace("Distinti", "Dis\ntinti") }, broken()},
	{"cr-nel-testo", func(f *forge) string { return f.replace("Distinti saluti", "Distinti saluti\r") }, broken()},
	{"spazio-a-fine-riga", func(f *forge) string { return f.replace("Distinti saluti", "Distinti saluti ") }, broken()},
	{"parte-nella-firmata", func(f *forge) string {
		return f.replace("\r\n--"+f.inner+"--", "\r\n--"+f.inner+"\r\n"+page()+"\r\n--"+f.inner+"--")
	}, broken()},
	{"epilogo-della-firmata", func(f *forge) string { return f.replace("\r\n--"+f.inner+"--\r\n", "\r\n--"+f.inner+"--\r\n"+Canary) }, broken()},
	{"avvolta-in-mista", func(f *forge) string { return f.wrapped("multipart/mixed") }, wrapping()},
	{"avvolta-in-correlata", func(f *forge) string { return f.wrapped("multipart/related") }, wrapping()},
	{"avvolta-in-alternativa", func(f *forge) string { return f.wrapped("multipart/alternative") }, wrapping()},
	{"avvolta-in-inventata", func(f *forge) string { return f.wrapped("multipart/x-" + Canary) }, wrapping()},
	{"avvolta-in-firmata", func(f *forge) string { return f.wrapped("multipart/signed") }, misplaced()},
	{"tipo-mista", func(f *forge) string { return f.replace("multipart/signed;", "multipart/mixed;") }, unsigned()},
	{"come-messaggio", func(f *forge) string {
		return strings.Join(f.header, "\r\n") + "\r\nContent-Type: message/rfc822\r\n\r\n" + f.raw
	}, unsigned()},
	{"come-messaggio-base64", func(f *forge) string {
		return strings.Join(f.header, "\r\n") + "\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n" + string(base64Lines([]byte(f.raw)))
	}, unsigned()},
	{"codifica-del-contenitore", func(f *forge) string {
		return f.replace("MIME-Version: 1.0\r\n", "MIME-Version: 1.0\r\nContent-Transfer-Encoding: quoted-printable\r\n")
	}, certified(pec.MalformedHeader)},
	{"codifica-base64-del-contenitore", func(f *forge) string {
		return f.replace("MIME-Version: 1.0\r\n", "MIME-Version: 1.0\r\nContent-Transfer-Encoding: base64\r\n")
	}, certified(pec.MalformedHeader)},
	{"tutto-in-base64", func(f *forge) string {
		head, body, _ := strings.Cut(f.raw, "\r\n\r\n")
		return head + "\r\nContent-Transfer-Encoding: base64\r\n\r\n" + string(base64Lines([]byte(body)))
	}, unsigned(pec.MalformedHeader, pec.MalformedStructure)},
	{"corpo-per-primo", func(f *forge) string { return "\r\n" + page() + f.raw }, verdict{pec.Email, pec.Unsigned, pec.SignatureAbsent, nil}},
	{"riga-di-soli-spazi", func(f *forge) string { return f.replace("\r\nTo:", "\r\n \r\nTo:") }, certified()},
	{"troncato", func(f *forge) string { return f.raw[:strings.Index(f.raw, "Distinti saluti")] }, broken(pec.MalformedStructure)},
}

// wrapped puts the envelope beside a page of the trick's.
func (f *forge) wrapped(media string) string {
	signed := f.contentType() + "\r\n\r\n--" + f.boundary + "\r\n" + f.entity + "\r\n--" + f.boundary + "\r\n" + f.p7s + "\r\n--" + f.boundary + "--\r\n"
	return strings.Join(f.header, "\r\n") + "\r\nMIME-Version: 1.0\r\nContent-Type: " + media + "; boundary=W\r\n\r\n--W\r\n" + page() + "\r\n--W\r\n" + signed + "\r\n--W--\r\n"
}
