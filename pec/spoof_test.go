package pec_test

import (
	"bytes"
	"crypto/x509"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/protodaemon/protodaemon/pec"
	"github.com/protodaemon/protodaemon/pec/sample"
)

// genuine is a transport envelope with one attachment.
func genuine(t testing.TB, p *sample.Provider) []byte {
	return dispatched(t, p, (*sample.Dispatch).Envelope)
}

func dispatched(t testing.TB, p *sample.Provider, form func(*sample.Dispatch) ([]byte, error)) []byte {
	t.Helper()
	mail := sample.Mail{From: "Mario Rossi <mario@pec.example>", To: "ordine@pec.example", Subject: "Istanza", Date: now,
		MessageID: "1@pec.example", Text: "Buongiorno\n", Files: []sample.File{{Name: "a.pdf", MediaType: "application/pdf", Data: sample.PDF(nil)}}}
	d, err := p.Submit(mail.Bytes(), sample.Submission{})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := form(d)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// cut returns header lines, signed entity and the rest of a signed message.
func cut(t testing.TB, raw []byte) (header []string, entity []byte) {
	t.Helper()
	head, body, _ := bytes.Cut(raw, []byte("\r\n\r\n"))
	delimiter, rest, _ := bytes.Cut(body, []byte("\r\n"))
	entity, _, ok := bytes.Cut(rest, append([]byte("\r\n"), delimiter...))
	if !ok {
		t.Fatal("not a signed message")
	}
	for l := range strings.SplitSeq(string(head), "\r\n") {
		if !strings.HasPrefix(l, "Content-Type:") && !strings.HasPrefix(l, "MIME-Version:") {
			header = append(header, l)
		}
	}
	return header, entity
}

// resign signs a changed entity as the provider, which an attacker cannot: it
// shows what even then is not believed.
func resign(t testing.TB, p *sample.Provider, raw []byte, change func(entity string) string) []byte {
	t.Helper()
	header, entity := cut(t, raw)
	out, err := p.Sign(header, []byte(change(string(entity))))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func replaced(old, new string) func(testing.TB, []byte) []byte {
	return func(t testing.TB, raw []byte) []byte {
		t.Helper()
		if !bytes.Contains(raw, []byte(old)) {
			t.Fatalf("the sample has no %q", old)
		}
		return bytes.Replace(raw, []byte(old), []byte(new), 1)
	}
}

// daticertPart is the first daticert.xml part of an entity with its delimiter.
func daticertPart(entity string) string {
	delimiter := "\r\n--" + strings.Split(strings.SplitN(entity, "boundary=\"", 2)[1], "\"")[0]
	i := strings.Index(entity, delimiter+"\r\nContent-Type: application/xml")
	j := i + len(delimiter) + strings.Index(entity[i+len(delimiter):], delimiter)
	return entity[i:j]
}

// TestNeverCertified: each of these is a genuine envelope with one thing wrong.
func TestNeverCertified(t *testing.T) {
	p := theProvider()
	raw := genuine(t, p)
	if a := read(raw, p); a.Authenticity != pec.Certified || len(a.Warnings) > 0 {
		t.Fatalf("the genuine one is %s, %v", a.Authenticity, a.Warnings)
	}
	from := "From: \"Per conto di: mario@pec.example\" <" + p.Address() + ">"
	for name, test := range map[string]struct {
		change func(testing.TB, []byte) []byte
		want   pec.Authenticity
		code   string
	}{
		"a part after the signature": {func(t testing.TB, raw []byte) []byte {
			i := bytes.LastIndex(raw, []byte("\r\n------=_sig"))
			delimiter := strings.TrimSuffix(strings.TrimSpace(string(raw[i:])), "--")
			return slices.Concat(raw[:i], []byte("\r\n"+delimiter+"\r\nContent-Type: text/plain\r\n\r\npay here"), raw[i:])
		}, pec.Broken, ""},
		"a part before the signed one": {func(t testing.TB, raw []byte) []byte {
			head, body, _ := bytes.Cut(raw, []byte("\r\n\r\n"))
			delimiter, _, _ := bytes.Cut(body, []byte("\r\n"))
			return slices.Concat(head, []byte("\r\n\r\n"), delimiter, []byte("\r\n\r\npay here\r\n"), body)
		}, pec.Broken, ""},
		"wrapped in another multipart": {func(t testing.TB, raw []byte) []byte {
			head, body, _ := bytes.Cut(raw, []byte("Content-Type: multipart/signed"))
			return slices.Concat(head, []byte("Content-Type: multipart/mixed; boundary=W\r\n\r\n--W\r\n\r\npay here\r\n--W\r\nContent-Type: multipart/signed"), body, []byte("\r\n--W--\r\n"))
		}, pec.Unsigned, pec.PECWrapped},
		"signature part removed": {func(t testing.TB, raw []byte) []byte {
			i := bytes.Index(raw, []byte("Content-Type: application/x-pkcs7-signature"))
			return raw[:i]
		}, pec.Broken, ""},
		"another From":                {replaced(from, "From: Posta Certificata <evil@example.org>"), pec.Untrusted, ""},
		"a name that is an address":   {replaced(from, "From: \""+p.Address()+"\" <evil@example.org>"), pec.Untrusted, ""},
		"an address in the comment":   {replaced(from, "From: evil@example.org ("+p.Address()+")"), pec.Untrusted, ""},
		"two From fields":             {replaced("From: ", "From: evil@example.org\r\nFrom: "), pec.Untrusted, pec.DuplicateHeader},
		"two From fields, old syntax": {replaced("From: ", "FROM : evil@example.org\r\nFrom: "), pec.Untrusted, pec.DuplicateHeader},
		"two From addresses":          {replaced("From: ", "From: evil@example.org, "), pec.Untrusted, ""},
		"two angle addresses":         {replaced("From: ", "From: <evil@example.org> "), pec.Untrusted, ""},
		"a group":                     {replaced("From: ", "From: x: evil@example.org; "), pec.Untrusted, ""},
		"no From":                     {replaced(from+"\r\n", ""), pec.Untrusted, ""},
		"a bare CR in From":           {replaced(from, from+"\rFrom: evil@example.org"), pec.Untrusted, pec.MalformedHeader},
		"a second From far below":     {replaced("MIME-Version:", "X-Long: "+strings.Repeat("x", 300<<10)+"\r\nFrom: evil@example.org\r\nMIME-Version:"), pec.Unsigned, pec.HeaderTooLong},
		"From below a long header":    {replaced(from, strings.Repeat("X-Long: "+strings.Repeat("x", 1000)+"\r\n", 100)+from+"\r\nX: "+strings.Repeat("x", 200<<10)), pec.Unsigned, pec.HeaderTooLong},
		"two content types":           {replaced("Content-Type: multipart/signed", "Content-Type: text/html\r\nContent-Type: multipart/signed"), pec.Unsigned, pec.DuplicateHeader},
		"two transfer encodings":      {replaced("MIME-Version: 1.0\r\n", "MIME-Version: 1.0\r\nContent-Transfer-Encoding: 7bit\r\nContent-Transfer-Encoding: base64\r\n"), pec.Untrusted, pec.DuplicateHeader},
		"header says receipt":         {replaced("X-Trasporto: posta-certificata", "X-Ricevuta: avvenuta-consegna"), pec.Anomaly, pec.TypeDiffers},
		"header says anomaly":         {replaced("X-Trasporto: posta-certificata", "X-Trasporto: errore"), pec.Anomaly, ""},
		"two X-Trasporto":             {replaced("X-Trasporto: posta-certificata", "X-Trasporto: posta-certificata\r\nX-Trasporto: errore"), pec.Untrusted, pec.DuplicateHeader},
		"a line end in the text":      {replaced("Buongiorno", "Buon\ngiorno"), pec.Broken, ""},
		"a CR in the text":            {replaced("Buongiorno\r\n", "Buongiorno\r\r\n"), pec.Broken, ""},
		"a blank at a line end":       {replaced("Buongiorno\r\n", "Buongiorno \r\n"), pec.Broken, ""},
		"two daticert.xml": {func(t testing.TB, raw []byte) []byte {
			return resign(t, p, raw, func(e string) string { d := daticertPart(e); return strings.Replace(e, d, d+d, 1) })
		}, pec.Anomaly, pec.DaticertSeveral},
		"a second daticert.xml deeper": {func(t testing.TB, raw []byte) []byte {
			return resign(t, p, raw, func(e string) string {
				d := daticertPart(e)
				delimiter := d[:strings.Index(d[2:], "\r\n")+2]
				inner := "Content-Type: multipart/mixed; boundary=I\r\n\r\n--I\r\n" + d[len(delimiter)+2:] + "\r\n--I--\r\n"
				return strings.Replace(e, d, d+delimiter+"\r\n"+inner, 1)
			})
		}, pec.Anomaly, pec.DaticertSeveral},
		"no daticert.xml": {func(t testing.TB, raw []byte) []byte {
			return resign(t, p, raw, func(e string) string { return strings.Replace(e, daticertPart(e), "", 1) })
		}, pec.Anomaly, pec.DaticertMissing},
		"daticert.xml only inside the original": {func(t testing.TB, raw []byte) []byte {
			return resign(t, p, raw, func(e string) string {
				d := daticertPart(e)
				return strings.Replace(strings.Replace(e, d, "", 1), "Content-Type: application/pdf", strings.SplitN(d, "\r\n", 3)[2]+"\r\nX:", 1)
			})
		}, pec.Anomaly, pec.DaticertMissing},
		"daticert.xml cut short": {func(t testing.TB, raw []byte) []byte {
			return resign(t, p, raw, func(e string) string {
				d := daticertPart(e)
				return strings.Replace(e, d, d[:len(d)-400], 1)
			})
		}, pec.Anomaly, pec.DaticertMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			a := read(test.change(t, raw), p)
			if a.Authenticity != test.want || test.code != "" && !slices.Contains(codes(a), test.code) {
				t.Errorf("%s, %+v, warnings %v; want %s %s", a.Authenticity, a.Signature, a.Warnings, test.want, test.code)
			}
		})
	}
}

// TestReceiptIsNoEnvelope: a genuine receipt with our own message in it must
// not pass as a message that somebody sent us.
func TestReceiptIsNoEnvelope(t *testing.T) {
	p := theProvider()
	raw := dispatched(t, p, func(d *sample.Dispatch) ([]byte, error) { return d.Delivery("ordine@pec.example", "completa") })
	a := read(replaced("X-Ricevuta: avvenuta-consegna", "X-Trasporto: posta-certificata")(t, raw), p)
	if a.Authenticity != pec.Anomaly || !slices.Contains(codes(a), pec.TypeDiffers) {
		t.Errorf("%s %v", a.Authenticity, codes(a))
	}
}

// TestOuterHeadersAreNotBelieved: nobody signs them; they change nothing that
// is certified, and each difference is a warning.
func TestOuterHeadersAreNotBelieved(t *testing.T) {
	p := theProvider()
	raw := genuine(t, p)
	for old, fake := range map[string]struct{ line, code string }{
		"Subject: POSTA CERTIFICATA: Istanza":       {"Subject: POSTA CERTIFICATA: Sfratto", pec.EnvelopeSubjectDiffers},
		"X-Riferimento-Message-ID: <1@pec.example>": {"X-Riferimento-Message-ID: <2@pec.example>", pec.ReferenceDiffers},
		"Message-ID: <opec":                         {"Message-ID: <x.opec", pec.IdentifierDiffers},
		"To: ordine@pec.example":                    {"To: altri@pec.example", ""},
	} {
		was, now := read(raw, p), read(replaced(old, fake.line)(t, raw), p)
		if now.Authenticity != pec.Certified || fake.code != "" && !slices.Equal(codes(now), []string{fake.code}) {
			t.Errorf("%s: %s %v", fake.line, now.Authenticity, now.Warnings)
		}
		if now.Subject != was.Subject || now.To[0] != was.To[0] || now.MessageID != was.MessageID || now.PEC.Identifier != was.PEC.Identifier {
			t.Errorf("%s changes what is certified: %+v", fake.line, now)
		}
	}
}

// TestSignerMustBeFitForMail: the chain is good, the certificate is not.
func TestSignerMustBeFitForMail(t *testing.T) {
	for name, test := range map[string]struct {
		leaf func(*x509.Certificate)
		want pec.SignatureStatus
	}{
		"no emailProtection": {func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }, pec.SignatureUntrusted},
		"no purpose":         {func(c *x509.Certificate) { c.ExtKeyUsage = nil }, pec.SignatureUntrusted},
		"a CA":               {func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true }, pec.SignatureUntrusted},
		"no signatures":      {func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment }, pec.SignatureUntrusted},
		"another address":    {func(c *x509.Certificate) { c.EmailAddresses = []string{"posta-certificata@altro.example"} }, pec.SignatureUntrusted},
		"no address":         {func(c *x509.Certificate) { c.EmailAddresses = nil }, pec.SignatureUntrusted},
		"expired":            {func(c *x509.Certificate) { c.NotAfter = now.AddDate(0, 0, -1) }, pec.SignatureExpired},
		"not valid yet":      {func(c *x509.Certificate) { c.NotBefore = time.Now().AddDate(0, 0, 1) }, pec.SignatureExpired},
		"valid since then":   {func(c *x509.Certificate) { c.NotBefore = now.AddDate(0, 0, 1) }, pec.SignatureValid},
		"not a CA, said so":  {func(c *x509.Certificate) { c.BasicConstraintsValid = true }, pec.SignatureValid},
		"domain in capitals": {func(c *x509.Certificate) { c.EmailAddresses = []string{"posta-certificata@PEC.GESTORE.EXAMPLE"} }, pec.SignatureValid},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProvider(t, sample.Options{ECDSA: true, Leaf: test.leaf})
			a := read(genuine(t, p), p)
			certified := a.Authenticity == pec.Certified
			if a.Signature.Status != test.want || certified != (test.want == pec.SignatureValid) || certified == (len(a.Signature.Problems) > 0) {
				t.Errorf("%s, %+v", a.Authenticity, a.Signature)
			}
			if later := slices.ContainsFunc(a.Warnings, func(w pec.Warning) bool { return w.Code == pec.SignedAnotherTime }); later != (name == "valid since then") {
				t.Errorf("warnings %v", a.Warnings)
			}
		})
	}
}

func TestNothingIsCertifiedWithoutAnchors(t *testing.T) {
	raw := genuine(t, theProvider())
	a := pec.Read(t.Context(), bytes.NewReader(raw), int64(len(raw)), pec.Options{})
	if a.Authenticity != pec.Untrusted || a.Signature.Status != pec.SignatureUntrusted {
		t.Errorf("%s %+v", a.Authenticity, a.Signature)
	}
}

// TestAnchorNeedNotBeARoot: the issuing CA's certificate from another root, and
// the provider's own certificate, are anchors as good as a root.
func TestAnchorNeedNotBeARoot(t *testing.T) {
	p, root := theProvider(), newProvider(t, sample.Options{ECDSA: true, Name: "Radice"})
	raw := genuine(t, p)
	crossed, err := root.CrossSign(p)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		anchor *x509.Certificate
		want   pec.Authenticity
	}{
		"issuing CA": {crossed, pec.Certified},
		"leaf":       {p.Certificate(), pec.Certified},
		"the root above, its certificate for the CA not in the message": {root.CA(), pec.Untrusted},
	} {
		a := pec.Read(t.Context(), bytes.NewReader(raw), int64(len(raw)), pec.Options{Trust: pec.NewTrust(test.anchor)})
		if a.Authenticity != test.want {
			t.Errorf("%s: %s %+v", name, a.Authenticity, a.Signature)
		}
	}
}
