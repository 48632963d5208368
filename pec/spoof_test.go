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

// daticertPart is the first daticert.xml part of an entity with its delimiter.
func daticertPart(entity string) string {
	delimiter := "\r\n--" + strings.Split(strings.SplitN(entity, "boundary=\"", 2)[1], "\"")[0]
	i := strings.Index(entity, delimiter+"\r\nContent-Type: application/xml")
	j := i + len(delimiter) + strings.Index(entity[i+len(delimiter):], delimiter)
	return entity[i:j]
}

// TestTricks: each trick on an honest envelope meets exactly its verdict, by a
// provider of the plainest kind.
func TestTricks(t *testing.T) {
	c, err := sample.NewCorpus(sample.CorpusOptions{Seed: 3, Now: now, Only: []string{"trucco-*"}})
	if err != nil {
		t.Fatal(err)
	}
	trust := pec.NewTrust(c.Anchors...)
	for _, m := range c.Messages {
		t.Run(strings.TrimPrefix(m.Of, "trucco-"), func(t *testing.T) {
			genuine := readAs(m.Genuine, trust)
			if genuine.Signature.Status != pec.SignatureValid {
				t.Fatalf("the honest message is %s: %+v %v", genuine.Authenticity, genuine.Signature, genuine.Warnings)
			}
			checkTrick(t, m, readAs(m.Raw, trust), genuine)
		})
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
