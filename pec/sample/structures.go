package sample

import (
	"strings"

	"github.com/protodaemon/protodaemon/pec"
)

// structureKinds are mails whose MIME structure is unusual, from strange
// programs or from none.
var structureKinds = []kind{
	structure("senza-mime", "From: a@ditta.example\nSubject: Senza MIME\n\ntesto senza intestazioni MIME\n", "Senza MIME", "testo senza intestazioni MIME"),
	structure("senza-corpo", "From: a@ditta.example\nSubject: Senza corpo\n\n", "Senza corpo", ""),
	structure("solo-intestazione", "From: a@ditta.example\nSubject: Solo intestazione\n", "Solo intestazione", ""),
	structure("senza-intestazione", "\nsolo testo, nessuna intestazione\n", "", "solo testo, nessuna intestazione"),
	structure("riga-mbox", "From a@ditta.example Tue Mar 10 09:30:00 2026\nSubject: Da un mbox\n\ntesto\n", "Da un mbox", "testo"),
	structure("preambolo-ed-epilogo", "Subject: Preambolo\nContent-Type: multipart/mixed; boundary=P\n\npreambolo che nessuno legge\n--P\n\ntesto vero\n--P--\nepilogo che nessuno legge\n", "Preambolo", "testo vero"),
	structure("alternativa-in-mista", "Subject: Alternativa\nContent-Type: multipart/mixed; boundary=M\n\n--M\nContent-Type: multipart/alternative; boundary=A\n\n--A\n\ntesto\n--A\nContent-Type: text/html\n\n<b>testo</b>\n--A--\n"+
		"--M\nContent-Type: application/pdf; name=a.pdf\n\n%PDF\n--M--\n", "Alternativa", "testo", knownFile("a.pdf", []byte("%PDF"))),
	structure("solo-html", "Subject: Solo HTML\nContent-Type: text/html; charset=utf-8\n\n<html><body><p>Gentile <b>Ordine</b></p></body></html>\n", "Solo HTML", "Gentile Ordine"),
	structure("immagini-in-linea", "Subject: Immagini\nContent-Type: multipart/related; boundary=R\n\n--R\nContent-Type: text/html\n\n<img src=cid:1>ecco\n--R\nContent-Type: image/png\nContent-ID: <1>\nContent-Disposition: inline; filename=uno.png\nContent-Transfer-Encoding: base64\n\niVBORw==\n"+
		"--R\nContent-Type: image/gif; name=due.gif\nContent-ID: <2>\nContent-Transfer-Encoding: base64\n\nR0lGODlh\n--R--\n", "Immagini", "ecco", knownFile("uno.png", []byte("\x89PNG")), knownFile("due.gif", []byte("GIF89a"))),
	structure("invito", "Subject: Invito\nContent-Type: multipart/alternative; boundary=I\n\n--I\nContent-Type: text/plain\n\nassemblea\n--I\nContent-Type: text/calendar; method=REQUEST; charset=utf-8; name=invito.ics\n\nBEGIN:VCALENDAR\nEND:VCALENDAR\n--I--\n",
		"Invito", "assemblea", knownFile("invito.ics", []byte("BEGIN:VCALENDAR\r\nEND:VCALENDAR"))),
	structure("avviso-di-mancato-recapito", "From: MAILER-DAEMON@ditta.example\nSubject: Undelivered\nContent-Type: multipart/report; report-type=delivery-status; boundary=D\n\n--D\n\nnon recapitato\n--D\nContent-Type: message/delivery-status; name=stato.txt\n\nReporting-MTA: dns; x\n\nAction: failed\n"+
		"--D\nContent-Type: text/rfc822-headers; name=intestazioni.txt\n\nSubject: x\n--D--\n", "Undelivered", "non recapitato",
		knownFile("stato.txt", []byte("Reporting-MTA: dns; x\r\n\r\nAction: failed")), knownFile("intestazioni.txt", []byte("Subject: x"))),
	structure("corpo-esterno", "Subject: Esterno\nContent-Type: multipart/mixed; boundary=E\n\n--E\n\nfuori\n--E\nContent-Type: message/external-body; access-type=URL; URL=\"http://x.example/a\"; name=fuori.txt\n\nContent-Type: application/pdf\n\n--E--\n",
		"Esterno", "fuori", knownFile("fuori.txt", []byte("Content-Type: application/pdf\r\n"))),
	structure("parte-senza-fine", "Subject: Troncato\nContent-Type: multipart/mixed; boundary=T\n\n--T\n\nl'inizio\n--T\nContent-Type: application/pdf; name=meta.pdf\n\n%PDF meta", "Troncato", "l'inizio", knownFile("meta.pdf", []byte("%PDF meta"))).
		warning(pec.MalformedStructure),
	structure("senza-separatore", "Subject: Senza separatore\nContent-Type: multipart/mixed\n\n--X\n\ntesto\n--X--\n", "Senza separatore", "", knownFile("parte-1.bin", []byte("--X\r\n\r\ntesto\r\n--X--\r\n"))).
		warning(pec.MalformedStructure),
	structure("separatori-annidati-uguali", "Subject: Uguali\nContent-Type: multipart/mixed; boundary=U\n\n--U\nContent-Type: multipart/mixed; boundary=U\n\n--U\n\ndentro o fuori\n--U--\n", "Uguali", "dentro o fuori",
		knownFile("parte-1.bin", nil)),
	structure("tipo-inventato", "Subject: Inventato\nContent-Type: multipart/mixed; boundary=V\n\n--V\n\ntesto\n--V\nContent-Type: x-mai/vista; name=cosa.xyz\n\nbyte\n--V--\n", "Inventato", "testo", knownFile("cosa.xyz", []byte("byte"))),
	structure("tipo-illeggibile", "Subject: Illeggibile\nContent-Type: multipart/mixed; boundary=V\n\n--V\n\ntesto\n--V\nContent-Type: pdf; name=cosa.pdf\n\nbyte\n--V--\n", "Illeggibile", "testo", knownFile("cosa.pdf", []byte("byte"))),
	structure("base64-sporco", "Subject: Sporco\nContent-Type: application/octet-stream; name=s.bin\nContent-Transfer-Encoding: base64\n\nQUJD\n*!*\nREVG\n", "Sporco", "", knownFile("s.bin", []byte("ABCDEF"))),
	structure("base64-unito", "Subject: Unito\nContent-Type: application/octet-stream; name=u.bin\nContent-Transfer-Encoding: base64\n\nQQ==\nQkM=\n", "Unito", "", knownFile("u.bin", []byte("ABC"))),
	structure("quoted-printable-sporco", "Subject: QP\nContent-Type: application/octet-stream; name=q.bin\nContent-Transfer-Encoding: quoted-printable\n\na=3Db=ZZc  \nfine=\n", "QP", "", knownFile("q.bin", []byte("a=b=ZZc\r\nfine"))),
	structure("uuencode-nel-testo", "Subject: UU\n\nbegin 644 a.txt\n#86)C\n`\nend\n", "UU", "begin 644 a.txt"),
	structure("codifica-sconosciuta", "Subject: Ignota\nContent-Type: application/octet-stream; name=i.bin\nContent-Transfer-Encoding: x-ignota\n\nQUJD\n", "Ignota", "", knownFile("i.bin", []byte("QUJD\r\n"))),
	structure("testo-a-flusso", "Subject: Flusso\nContent-Type: text/plain; charset=utf-8; format=flowed; delsp=yes\n\nuna riga che \ncontinua\n", "Flusso", "una riga che"),
	structure("due-testi", "Subject: Due testi\nContent-Type: multipart/mixed; boundary=W\n\n--W\n\nprimo\n--W\n\nsecondo\n--W--\n", "Due testi", "primo", knownFile("parte-2.txt", []byte("secondo"))),
	structure("testo-come-allegato", "Subject: Allegato\nContent-Type: text/plain; name=lettera.txt\nContent-Disposition: attachment; filename=lettera.txt\n\nla lettera\n", "Allegato", "", knownFile("lettera.txt", []byte("la lettera\r\n"))),
	structure("profonda", deep(30), "Profonda", "in fondo"),
}

// structure is a mail as it stands, LF for CRLF, with what has to be found.
func structure(name, text, subject, phrase string, files ...known) kind {
	return kind{"struttura-" + name, func(m *mixer) (Message, error) {
		raw := []byte(strings.ReplaceAll(text, "\n", "\r\n"))
		one := Message{Raw: raw, Kind: pec.Email, Time: m.at, inside: files, Expect: Expect{
			Authenticity: pec.Unsigned, Status: pec.SignatureAbsent, Subject: subject, Text: phrase, Content: digest(raw)}}
		one.Expect.list(files)
		return one, nil
	}}
}

// warning is the kind with a warning that has to be given.
func (k kind) warning(code string) kind {
	k.make = warned(k.make, code)
	return k
}

// deep is a text n multiparts down.
func deep(n int) string {
	var b strings.Builder
	b.WriteString("Subject: Profonda\n")
	var end string
	for i := range n {
		boundary := "p" + strings.Repeat("x", i)
		b.WriteString("Content-Type: multipart/mixed; boundary=" + boundary + "\n\n--" + boundary + "\n")
		end = "\n--" + boundary + "--" + end
	}
	return b.String() + "\nin fondo" + end + "\n"
}
