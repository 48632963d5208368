package sample

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"mime/quotedprintable"
	"strings"

	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/unicode"

	"github.com/protodaemon/protodaemon/pec"
)

const (
	accents = "Perché è già così: città, però, più"
	euro    = accents + " – 100 €"
)

// charsetKinds are texts in the character sets in use in Italy, and with the
// usual wrong declarations: what is declared, what the bytes are.
var charsetKinds = []kind{
	text("utf-8", "utf-8", "utf-8", "quoted-printable", euro),
	text("utf-8-base64", "UTF-8", "utf-8", "base64", euro),
	text("utf-8-8bit", "\"utf-8\"", "utf-8", "8bit", euro),
	text("utf-8-bom", "utf-8", "utf-8", "8bit", "\ufeff"+accents),
	text("iso-8859-1", "iso-8859-1", "windows-1252", "quoted-printable", accents),
	text("iso-8859-1-con-euro", "ISO-8859-1", "windows-1252", "8bit", euro),
	text("iso-8859-15", "ISO-8859-15", "iso-8859-15", "8bit", accents+" 100 €"),
	text("windows-1252", "Windows-1252", "windows-1252", "base64", euro),
	text("cp1252", "cp1252", "windows-1252", "quoted-printable", euro),
	text("macintosh", "macintosh", "macintosh", "quoted-printable", euro),
	text("utf-16", "utf-16le", "utf-16le", "base64", euro),
	text("koi8-r", "koi8-r", "koi8-r", "8bit", "Привет, Ордине"),
	text("gb2312", "gb2312", "gb2312", "base64", "意大利"),
	text("iso-2022-jp", "iso-2022-jp", "iso-2022-jp", "7bit", "イタリア"),
	text("ascii", "us-ascii", "utf-8", "7bit", "Perche' e' cosi'"),
	text("niente-utf-8", "", "utf-8", "8bit", euro),
	text("niente-latino", "", "windows-1252", "8bit", euro).warning(pec.CharsetGuessed),
	text("ascii-ma-latino", "us-ascii", "windows-1252", "8bit", euro).warning(pec.CharsetGuessed),
	text("latino-ma-utf-8", "iso-8859-15", "utf-8", "8bit", euro),
	text("utf-8-ma-latino", "utf-8", "windows-1252", "quoted-printable", euro).warning(pec.CharsetGuessed),
	text("unknown-8bit", "unknown-8bit", "windows-1252", "8bit", euro).warning(pec.CharsetGuessed),
	text("inventato", "x-inventato", "utf-8", "8bit", euro).warning(pec.UnknownCharset),
	subject("q", "=?utf-8?Q?Perch=C3=A9_=C3=A8_cos=C3=AC?=", "Perché è così"),
	subject("b-iso-8859-15", "=?iso-8859-15?B?MTAwIKQ=?=", "100 €"),
	subject("b-windows-1252", "=?windows-1252?B?MTAwIIA=?=", "100 €"),
	subject("due-parole", "=?utf-8?Q?Perch=C3=A9?= =?iso-8859-1?Q?_cos=EC?=", "Perché così"),
	subject("carattere-spezzato", "=?utf-8?Q?Perch=C3?= =?utf-8?Q?=A9?=", "Perché"),
	subject("parola-e-testo", "Re: =?utf-8?Q?citt=C3=A0?= nuova", "Re: città nuova"),
	subject("8bit-utf-8", "Perché è così", "Perché è così"),
	subject("8bit-latino", "Perch\xe9 \xe8 cos\xec", "Perché è così").warning(pec.CharsetGuessed),
	subject("piegato", "Richiesta\r\n di\r\n\taccesso", "Richiesta di accesso"),
	subject("parola-rotta", "=?utf-8?Q?senza fine", "=?utf-8?Q?senza fine"),
	subject("lingua", "=?utf-8*it?Q?Perch=C3=A9?=", "Perché"),
	subject("bidi", "fattura \u202efdp.exe", "fattura fdp.exe"),
}

// text is a mail whose bytes are in one charset and declared in another.
func text(name, declared, real, encoding, s string) kind {
	return kind{"testo-" + name, func(m *mixer) (Message, error) {
		b, err := encoded(s, real)
		if err != nil {
			return Message{}, err
		}
		mail := m.mail()
		head := "Content-Type: text/plain"
		if declared != "" {
			head += "; charset=" + declared
		}
		mail.Body = fmt.Appendf(nil, "%s\r\nContent-Transfer-Encoding: %s\r\n\r\n%s\r\n", head, encoding, transferred(b, encoding))
		one := ordinary(mail)
		one.Expect.Text = strings.TrimPrefix(s, "\ufeff")
		return one, nil
	}}
}

func encoded(s, charset string) ([]byte, error) {
	if charset == "utf-16le" {
		return unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM).NewEncoder().Bytes([]byte(s))
	}
	e, err := htmlindex.Get(charset)
	if err != nil {
		return nil, fmt.Errorf("the charset of a sample: %w", err)
	}
	return e.NewEncoder().Bytes([]byte(s))
}

func transferred(b []byte, encoding string) []byte {
	switch encoding {
	case "base64":
		return []byte(base64.StdEncoding.EncodeToString(b))
	case "quoted-printable":
		var out bytes.Buffer
		w := quotedprintable.NewWriter(&out)
		_, _ = w.Write(b) // a bytes.Buffer takes all
		_ = w.Close()
		return out.Bytes()
	}
	return b
}

// subject is a mail whose Subject stands in a certain form.
func subject(name, field, want string) kind {
	return kind{"oggetto-" + name, func(m *mixer) (Message, error) {
		mail := m.mail()
		mail.SubjectField, mail.Subject = field, want
		return ordinary(mail), nil
	}}
}
