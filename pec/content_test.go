package pec_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/protodaemon/protodaemon/pec"
)

func readText(t *testing.T, raw string) *pec.Analysis {
	t.Helper()
	a := pec.Read(t.Context(), strings.NewReader(raw), int64(len(raw)), pec.Options{})
	checkComplete(t, []byte(raw), a)
	return a
}

func TestAttachmentNames(t *testing.T) {
	for header, want := range map[string]string{
		`Content-Disposition: attachment; filename="a b.pdf"`:                                     "a b.pdf",
		`Content-Disposition: attachment; filename=a b.pdf`:                                       "a b.pdf",
		`Content-Disposition: attachment; filename=IT0123_1.xml.p7m; size=3`:                      "IT0123_1.xml.p7m",
		`Content-Disposition: attachment; filename*=UTF-8''Perch%C3%A9.pdf`:                       "Perché.pdf",
		`Content-Disposition: attachment; filename*=iso-8859-1'it'Perch%E9.pdf`:                   "Perché.pdf",
		`Content-Disposition: attachment; filename*0="lun"; filename*1="go.pdf"`:                  "lungo.pdf",
		`Content-Disposition: attachment; filename*1*=%C3%A9.pdf; filename*0*=utf-8''Perch`:       "Perché.pdf",
		`Content-Disposition: attachment; filename="x.pdf"; filename*=utf-8''%C3%A8.pdf`:          "è.pdf",
		`Content-Disposition: attachment; filename="=?utf-8?Q?Perch=C3=A9?= =?utf-8?Q?_no.pdf?="`: "Perché no.pdf",
		`Content-Disposition: attachment; filename="=?utf-8?Q?Perch=C3?= =?utf-8?Q?=A9.pdf?="`:    "Perché.pdf",
		`Content-Type: application/pdf; name="=?iso-8859-15?Q?100_=A4.pdf?="`:                     "100 €.pdf",
		"Content-Disposition: attachment; filename=\"Perch\xe9.pdf\"":                             "Perché.pdf",
		`Content-Disposition: attachment; filename="../../etc/passwd"`:                            "passwd",
		`Content-Disposition: attachment; filename="C:\Users\x\contratto.pdf"`:                    "contratto.pdf",
		`Content-Disposition: attachment; filename*=utf-8''%2Fetc%2Fpasswd`:                       "passwd",
		`Content-Disposition: attachment; filename*=utf-8''fattura%E2%80%AEfdp.exe`:               "fatturafdp.exe",
		`Content-Disposition: attachment; filename*=utf-8''a%00b%0D%0Ac.pdf`:                      "ab c.pdf",
		`Content-Disposition: attachment; filename=".."`:                                          "parte-1.pdf",
		`Content-Disposition: attachment`:                                                         "parte-1.pdf",
		`Content-Disposition: attachment; filename="` + strings.Repeat("x", 5000) + `.pdf"`:       strings.Repeat("x", 196) + ".pdf",
	} {
		if !strings.Contains(header, "Content-Type") {
			header += "\r\nContent-Type: application/pdf"
		}
		a := readText(t, header+"\r\n\r\nx")
		if len(a.Attachments) != 1 || a.Attachments[0].Name != want {
			t.Errorf("%s\n got %+v\nwant %q", header, a.Attachments, want)
		}
	}
}

// TestNamedTextIsAFile: what has a name is no body, also where the header is
// written badly.
func TestNamedTextIsAFile(t *testing.T) {
	for _, header := range []string{`Content-Disposition: attachment; filename="x.txt"`, `Content-Disposition: attachment filename="x.txt"`, `Content-Disposition: attachment`,
		`Content-Disposition: inline; filename*=utf-8''x.txt`} {
		a := readText(t, "Content-Type: multipart/mixed; boundary=B\r\n\r\n--B\r\nContent-Type: text/plain\r\n"+header+"\r\n\r\nfile\r\n--B\r\nContent-Type: text/plain\r\n\r\ncorpo\r\n--B--\r\n")
		if a.Text != "corpo" || len(a.Attachments) != 1 {
			t.Errorf("%s: text %q, %d attachments", header, a.Text, len(a.Attachments))
		}
	}
}

func TestTextAndCharsets(t *testing.T) {
	for name, test := range map[string]struct{ header, body, want string }{
		"utf-8":                     {"text/plain; charset=utf-8", "perché", "perché"},
		"nothing declared":          {"text/plain", "perché", "perché"},
		"nothing declared, latin":   {"text/plain", "perch\xe9", "perché"},
		"windows-1252":              {"text/plain; charset=windows-1252", "100 \x80 \x93s\xec\x94", "100 € “sì”"},
		"iso-8859-1 is windows":     {"text/plain; charset=iso-8859-1", "100 \x80", "100 €"},
		"iso-8859-15":               {"text/plain; charset=\"ISO-8859-15\"", "100 \xa4", "100 €"},
		"utf-8 declared as latin":   {"text/plain; charset=iso-8859-15", "perché", "perché"},
		"latin declared as utf-8":   {"text/plain; charset=utf-8", "perch\xe9 no", "perché no"},
		"unknown charset":           {"text/plain; charset=x-inventato", "perché", "perché"},
		"quoted-printable":          {"text/plain\r\nContent-Transfer-Encoding: quoted-printable", "perch=C3=A9 =\r\nno=ZZ=3d", "perché no=ZZ="},
		"base64 with junk":          {"text/plain\r\nContent-Transfer-Encoding: base64", "cGVy!!Y2jD\r\nqQ==bm8=", "perchéno"},
		"controls":                  {"text/plain", "a\x00b\x1b[31mc\u202e", "ab[31mc"},
		"html":                      {"text/html", "<style>p{}</style><p>S&igrave;,&nbsp;<b>per</b>ch&eacute;</p><script>x()</script><p>&lt;no&gt;", "Sì, perché\n\n<no>"},
		"html with its own charset": {"text/html", "<meta charset=iso-8859-15><p>100 \xa4", "100 €"},
		"empty text, then html":     {"multipart/alternative; boundary=M", "--M\r\n\r\n \r\n--M\r\nContent-Type: text/html\r\n\r\n<b>ciao</b>\r\n--M--", "ciao"},
	} {
		a := readText(t, "Content-Type: "+test.header+"\r\n\r\n"+test.body)
		if a.Text != test.want || len(a.Attachments) > 0 {
			t.Errorf("%s: %q, want %q; %v", name, a.Text, test.want, a.Attachments)
		}
	}
}

func TestHeaders(t *testing.T) {
	a := readText(t, strings.Join([]string{
		"From: =?utf-8?B?TWFyw6w=?= Rossi <mario@pec.example>",
		`To: "Rossi, Mario" <a@b.it>, b@c.it (Bianchi), undisclosed:;, Ufficio: c@d.it, d@e.it;`,
		"Cc: Per conto di: x@y.it <posta-certificata@z.it>",
		"Subject: =?iso-8859-15?Q?Costo_=A4?= =?utf-8?Q?_perch=C3?=",
		" =?utf-8?Q?=A9?= =?x-none?Q?ok?= =?bad",
		"Date: Tue, 10 Mar 2026 09:30:00 +0100 (CET)",
		"Message-ID: <1@x>",
		"", "testo"}, "\r\n"))
	if a.From != (pec.Address{Name: "Marì Rossi", Address: "mario@pec.example"}) {
		t.Errorf("from %+v", a.From)
	}
	to := []pec.Address{{Name: "Rossi, Mario", Address: "a@b.it"}, {Name: "Bianchi", Address: "b@c.it"}, {Address: "c@d.it"}, {Address: "d@e.it"}}
	if !slices.Equal(a.To, to) || !slices.Equal(a.Cc, []pec.Address{{Name: "Per conto di: x@y.it", Address: "posta-certificata@z.it"}}) {
		t.Errorf("to %+v\ncc %+v", a.To, a.Cc)
	}
	if a.Subject != "Costo € perchéok =?bad" || !a.Date.Equal(now) || a.MessageID != "1@x" {
		t.Errorf("subject %q, date %v, id %q", a.Subject, a.Date, a.MessageID)
	}
}

// TestHostileTimes: what JSON cannot carry must not spoil the whole document.
func TestHostileTimes(t *testing.T) {
	for _, date := range []string{"Tue, 10 Mar 2026 09:30:00 +9999", "Tue, 10 Mar 0000 09:30:00 +0100", "never"} {
		if a := readText(t, "Date: "+date+"\r\n\r\nx"); a.Date != nil {
			t.Errorf("%s gives %v", date, a.Date)
		}
	}
}

// TestDaticertVariations: the field varies; what is certified must still be read.
func TestDaticertVariations(t *testing.T) {
	p := theProvider()
	raw := genuine(t, p)
	const body = `<postacert tipo="posta-certificata"><intestazione><mittente>mario@pec.example</mittente>` +
		`<destinatari>ordine@pec.example</destinatari><destinatari tipo="esterno">fuori@example.org</destinatari><risposte>r@pec.example</risposte>a` +
		`<oggetto>Istanza</oggetto></intestazione><dati><gestore-emittente>Gestore di prova SpA</gestore-emittente>` +
		`<data zona="+0100"><giorno>10/03/2026</giorno><ora>09:30:00</ora></data><identificativo>ID</identificativo><nuovo>x</nuovo></dati></postacert>`
	for name, test := range map[string]struct {
		xml  string
		want pec.Authenticity
	}{
		"not base64, no declaration": {body, pec.Certified},
		"byte order mark":            {"\xef\xbb\xbf<?xml version=\"1.0\" encoding=\"UTF-8\"?>" + body, pec.Certified},
		"latin":                      {"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>" + body, pec.Certified},
		"another root":               {strings.ReplaceAll(body, "postacert", "altro"), pec.Anomaly},
		"another root round it":      {"<x>" + body + "</x>", pec.Anomaly},
		"another tipo":               {strings.Replace(body, `"posta-certificata"`, `"accettazione"`, 1), pec.Anomaly},
		"no time":                    {strings.Replace(body, "10/03/2026", "ieri", 1), pec.Anomaly},
		"an entity":                  {`<!DOCTYPE x [<!ENTITY e "mario">]>` + strings.Replace(body, "mario", "&e;", 1), pec.Anomaly},
		"nested without end":         {strings.Repeat("<a>", 5000), pec.Anomaly},
		"too large":                  {body + strings.Repeat(" ", 2<<20), pec.Anomaly},
		"empty":                      {"", pec.Anomaly},
	} {
		t.Run(name, func(t *testing.T) {
			a := read(resign(t, p, raw, func(e string) string {
				d := daticertPart(e)
				head, _, _ := strings.Cut(d, "\r\n\r\n")
				return strings.Replace(e, d, strings.Replace(head, "base64", "7bit", 1)+"\r\n\r\n"+test.xml, 1)
			}), p)
			if a.Authenticity != test.want {
				t.Fatalf("%s, %v", a.Authenticity, a.Warnings)
			}
			if a.Authenticity != pec.Certified {
				return
			}
			recipients := []pec.Recipient{{Address: "ordine@pec.example", Kind: "certificato"}, {Address: "fuori@example.org", Kind: "esterno"}}
			if a.PEC.Identifier != "ID" || a.PEC.Error != "nessuno" || !a.PEC.Time.Equal(now) || a.PEC.ReplyTo != "r@pec.example" || !slices.Equal(a.PEC.Recipients, recipients) {
				t.Errorf("%+v", a.PEC)
			}
		})
	}
}

func TestOpenHTML(t *testing.T) {
	raw := "Content-Type: multipart/alternative; boundary=M\r\n\r\n--M\r\n\r\nx\r\n--M\r\nContent-Type: text/html; charset=iso-8859-15\r\n\r\n<b>\xa4</b>\r\n--M--\r\n"
	r, err := pec.OpenHTML(t.Context(), strings.NewReader(raw), int64(len(raw)))
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(r); err != nil || string(b) != "<b>€</b>" {
		t.Errorf("%q %v", b, err)
	}
	if _, err := pec.OpenHTML(t.Context(), strings.NewReader("\r\nx"), 3); err == nil {
		t.Error("HTML where there is none")
	}
	if _, _, err := pec.OpenPart(t.Context(), strings.NewReader("\r\nx"), 3, "7"); err == nil || !strings.Contains(err.Error(), `"7"`) {
		t.Errorf("a part that is not there: %v", err)
	}
}

func TestLoadTrust(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		writeFile(t, path, data)
		return path
	}
	empty := filepath.Join(dir, "vuota")
	if err := os.Mkdir(empty, 0o700); err != nil {
		t.Fatal(err)
	}
	ca := theProvider().CAPEM()
	key, err := theProvider().MarshalPEM()
	if err != nil {
		t.Fatal(err)
	}
	file("ca.pem", ca)
	for path, says := range map[string]string{
		filepath.Join(dir, "manca.pem"):                                       "manca.pem",
		file("testo.txt", []byte("x")):                                        "testo.txt: no certificate",
		file("chiave.txt", key):                                               "chiave.txt: PEM block \"PRIVATE KEY\"",
		file("rotto.txt", bytes.Replace(ca, []byte("MII"), []byte("MIJ"), 1)): "rotto.txt: certificate 1",
		empty: "vuota holds no",
	} {
		if _, err := pec.LoadTrust(anchors(path)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, err := pec.LoadTrust(anchors(filepath.Join(dir, "manca.pem"))); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("not told apart: %v", err)
	}
	trust, err := pec.LoadTrust(anchors(dir))
	if err != nil || trust.Empty() {
		t.Errorf("a directory: %v", err)
	}
	if none, err := pec.LoadTrust(pec.TrustFiles{}); err != nil || !none.Empty() || !(*pec.Trust)(nil).Empty() {
		t.Errorf("no path: %v", err)
	}
}
