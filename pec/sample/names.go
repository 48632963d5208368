package sample

import (
	"strings"

	"github.com/protodaemon/protodaemon/pec"
)

// nameKinds are files whose names stand in all the forms of RFC 2231 and RFC
// 2047, in the wrong mixtures of both that programs write, and in forms that
// are meant to mislead.
var nameKinds = []kind{
	named("fra-virgolette", `Content-Disposition: attachment; filename="a b.pdf"`, "a b.pdf"),
	named("senza-virgolette", `Content-Disposition: attachment; filename=a b.pdf`, "a b.pdf"),
	named("con-parametri", `Content-Disposition: attachment; filename=IT0123_1.xml.p7m; size=3`, "IT0123_1.xml.p7m"),
	named("rfc2231", `Content-Disposition: attachment; filename*=UTF-8''Perch%C3%A9.pdf`, "Perché.pdf"),
	named("rfc2231-latino", `Content-Disposition: attachment; filename*=iso-8859-1'it'Perch%E9.pdf`, "Perché.pdf"),
	named("rfc2231-pezzi", `Content-Disposition: attachment; filename*0="lun"; filename*1="go.pdf"`, "lungo.pdf"),
	named("rfc2231-pezzi-codificati", `Content-Disposition: attachment; filename*0*=utf-8''Perch; filename*1*=%C3%A9.pdf`, "Perché.pdf"),
	named("rfc2231-pezzi-scambiati", `Content-Disposition: attachment; filename*1*=%C3%A9.pdf; filename*0*=utf-8''Perch`, "Perché.pdf"),
	named("rfc2231-e-semplice", `Content-Disposition: attachment; filename="x.pdf"; filename*=utf-8''%C3%A8.pdf`, "è.pdf"),
	named("rfc2047-fra-virgolette", `Content-Disposition: attachment; filename="=?utf-8?Q?Perch=C3=A9?= =?utf-8?Q?_no.pdf?="`, "Perché no.pdf"),
	named("rfc2047-carattere-spezzato", `Content-Disposition: attachment; filename="=?utf-8?Q?Perch=C3?= =?utf-8?Q?=A9.pdf?="`, "Perché.pdf"),
	named("rfc2047-nel-tipo", `Content-Type: application/pdf; name="=?iso-8859-15?Q?100_=A4.pdf?="`, "100 €.pdf"),
	named("rfc2047-base64", `Content-Disposition: attachment; filename="=?UTF-8?B?UGVyY2jDqS5wZGY=?="`, "Perché.pdf"),
	named("8bit-latino", "Content-Disposition: attachment; filename=\"Perch\xe9.pdf\"", "Perché.pdf").warning(pec.CharsetGuessed),
	named("8bit-utf-8", "Content-Disposition: attachment; filename=\"Perché.pdf\"", "Perché.pdf"),
	named("piegato", "Content-Disposition: attachment;\r\n\tfilename=\"a\r\n b.pdf\"", "a b.pdf"),
	named("solo-nel-tipo", `Content-Type: application/pdf; name=solo.pdf`, "solo.pdf"),
	named("diverso-nel-tipo", "Content-Type: application/pdf; name=uno.pdf\r\nContent-Disposition: attachment; filename=due.pdf", "due.pdf"),
	named("percorso", `Content-Disposition: attachment; filename="../../etc/passwd"`, "passwd").warning(pec.NameCleaned),
	named("percorso-windows", `Content-Disposition: attachment; filename="C:\Users\x\contratto.pdf"`, "contratto.pdf").warning(pec.NameCleaned),
	named("bidi", `Content-Disposition: attachment; filename*=utf-8''fattura%E2%80%AEfdp.exe`, "fatturafdp.exe").warning(pec.NameCleaned),
	named("controlli", `Content-Disposition: attachment; filename*=utf-8''a%00b%0D%0Ac.pdf`, "ab c.pdf").warning(pec.NameCleaned),
	named("punto-iniziale", `Content-Disposition: attachment; filename=".profile"`, "profile").warning(pec.NameCleaned),
	named("lungo", `Content-Disposition: attachment; filename="`+strings.Repeat("x", 5000)+`.pdf"`, strings.Repeat("x", 196)+".pdf").warning(pec.NameCleaned),
	named("assente", `Content-Disposition: attachment`, "parte-2.pdf"),
	named("due-filename", `Content-Disposition: attachment; filename="uno.pdf"; filename="due.pdf"`, "uno.pdf"),
	named("maiuscole", `CONTENT-DISPOSITION: ATTACHMENT; FILENAME="Grande.PDF"`, "Grande.PDF"),
}

// named is a mail with a file whose header is given.
func named(name, header, want string) kind {
	if !strings.Contains(header, "Content-Type") {
		header += "\r\nContent-Type: application/pdf"
	}
	return kind{"nome-" + name, func(m *mixer) (Message, error) {
		data := PDF(m.bytes(100))
		mail := m.mail()
		mail.Files = []File{{Header: header + "\r\nContent-Transfer-Encoding: base64\r\n", Data: data}}
		return ordinary(mail, knownFile(want, data)), nil
	}}
}
