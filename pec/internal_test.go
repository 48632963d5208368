package pec

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"mime/quotedprintable"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"
)

// FuzzDaticert: what is read can be written as JSON, is valid text, and a
// certificate without error names its kind and time.
func FuzzDaticert(f *testing.F) {
	f.Add([]byte(`<postacert tipo="accettazione" errore="nessuno"><intestazione><mittente>a</mittente><destinatari tipo="esterno">b</destinatari></intestazione><dati><data zona="+0100"><giorno>01/01/2026</giorno><ora>00:00:00</ora></data><ricevuta tipo="breve"/></dati></postacert>`))
	f.Add([]byte(`<?xml version="1.0" encoding="ISO-8859-1"?><postacert tipo="x">` + "\xe9"))
	f.Add([]byte(`<postacert><dati><data zona="+9999"><giorno>1/1/0000</giorno>`))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := parseDaticert(b)
		if err == nil && (c.Type == "" || c.Time == nil) {
			t.Errorf("accepted without kind or time: %+v", c)
		}
		if c.Recipients == nil {
			t.Error("recipients are null")
		}
		if _, err := json.Marshal(c); err != nil {
			t.Error(err)
		}
		for _, text := range []string{c.Type, c.Subject, c.Sender, c.ErrorDetail, c.Identifier} {
			if !utf8.ValidString(text) || strings.ContainsAny(text, "\x00\r\n") {
				t.Errorf("unclean text %q", text)
			}
		}
	})
}

// FuzzTransfer: what the standard encoders write comes back, however the
// reader is asked, and junk never stops a decoder.
func FuzzTransfer(f *testing.F) {
	f.Add([]byte("perché\r\n= \t\r\nx"), "QUJD\r\n=RA==\r\n!")
	f.Add(bytes.Repeat([]byte("abcdefg = "), 9000), strings.Repeat("=", 40000))
	f.Fuzz(func(t *testing.T, data []byte, junk string) {
		var q bytes.Buffer
		w := quotedprintable.NewWriter(&q)
		w.Binary = true
		w.Write(data)
		w.Close()
		for encoding, body := range map[string]string{"quoted-printable": q.String(), "base64": lines76(base64.StdEncoding.EncodeToString(data))} {
			got, err := io.ReadAll(iotest.HalfReader(encodedPart(encoding, body).decoded()))
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("%s: %d bytes in, %d out, %v", encoding, len(data), len(got), err)
			}
			one, _ := io.ReadAll(encodedPart(encoding, junk).decoded())
			two, err := io.ReadAll(iotest.OneByteReader(encodedPart(encoding, junk).decoded()))
			if err != nil || !bytes.Equal(one, two) {
				t.Errorf("%s of junk: %q %q %v", encoding, one, two, err)
			}
		}
	})
}

func encodedPart(encoding, body string) *part {
	raw := []byte("Content-Transfer-Encoding: " + encoding + "\r\n\r\n" + body)
	p := &part{doc: &source{src: bytes.NewReader(raw), size: len(raw)}, body: len(raw) - len(body), end: len(raw)}
	p.header.fields = []field{{"content-transfer-encoding", encoding}}
	return p
}

func lines76(s string) string {
	var b strings.Builder
	for len(s) > 76 {
		b.WriteString(s[:76] + "\r\n")
		s = s[76:]
	}
	return b.String() + s
}

// TestNoticesAreToldApart by errore-esteso, and only notices of overdue delivery.
func TestNoticesAreToldApart(t *testing.T) {
	const overdue = "preavviso-errore-consegna"
	for _, c := range []struct{ kind, detail, want string }{
		{overdue, "5.4.1 - InfoCert S.p.A. - il messaggio non è stato consegnato nelle prime 12 ore", "24h"},
		{overdue, "il messaggio non è stato consegnato nelle prime dodici ore dal suo invio", "12h"},
		{overdue, "non consegnato entro 12 ore", "12h"}, {overdue, "Non consegnato nelle 24 ore", "24h"},
		{overdue, "codice 15.4.1", ""}, {overdue, "", ""}, {"errore-consegna", "5.4.1", ""},
	} {
		if got := (&Certificate{Type: c.kind, ErrorDetail: c.detail}).notice(); got != c.want {
			t.Errorf("%s %q: %q, want %q", c.kind, c.detail, got, c.want)
		}
	}
}
