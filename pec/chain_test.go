package pec_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/protodaemon/protodaemon/cms"
	"github.com/protodaemon/protodaemon/pec"
)

const address = "posta-certificata@pec.gestore.example"

// mailer changes a template to that of a provider's leaf (RFC 6109 §5.5): no
// basic constraints, the address in the alternative name.
func mailer(c *x509.Certificate) {
	c.EmailAddresses, c.ExtKeyUsage = []string{address}, []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}
}

// signedMail is a receipt about an event at a time, signed by a certificate with
// these others in the signature.
func signedMail(t testing.TB, leaf authority, at time.Time, others ...*x509.Certificate) []byte {
	t.Helper()
	daticert := `<postacert tipo="accettazione"><intestazione><mittente>a@pec.example</mittente><destinatari>b@pec.example</destinatari><risposte>a@pec.example</risposte><oggetto>x</oggetto></intestazione>` +
		`<dati><gestore-emittente>G</gestore-emittente><data zona="` + at.Format("-0700") + `"><giorno>` + at.Format("02/01/2006") + `</giorno><ora>` + at.Format("15:04:05") + `</ora></data><identificativo>1</identificativo></dati></postacert>`
	return smime(t, leaf, []string{"From: " + address, "X-Ricevuta: accettazione"}, "Content-Type: multipart/mixed; boundary=M\r\n\r\n--M\r\n\r\ntesto\r\n--M\r\nContent-Type: application/xml; name=daticert.xml\r\n\r\n"+daticert+"\r\n--M--\r\n", others...)
}

// smime signs an entity as an opaque S/MIME message (RFC 8551 §3.5.2).
func smime(t testing.TB, leaf authority, header []string, entity string, others ...*x509.Certificate) []byte {
	t.Helper()
	draft, err := cms.NewDraft([]byte(entity), append([]*x509.Certificate{leaf.certificate}, others...), now)
	if err != nil {
		t.Fatal(err)
	}
	value, err := leaf.key.Sign(rand.Reader, draft.Digest(), crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	der, err := draft.Assemble(value)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	for _, h := range header {
		b.WriteString(h + "\r\n")
	}
	b.WriteString("MIME-Version: 1.0\r\nContent-Type: application/pkcs7-mime; smime-type=signed-data; name=smime.p7m\r\nContent-Transfer-Encoding: base64\r\n\r\n")
	text := base64.StdEncoding.EncodeToString(der)
	for len(text) > 76 {
		b.WriteString(text[:76] + "\r\n")
		text = text[76:]
	}
	b.WriteString(text + "\r\n")
	return b.Bytes()
}

func readWith(trust *pec.Trust, raw []byte) *pec.Analysis {
	return pec.Read(context.Background(), bytes.NewReader(raw), int64(len(raw)), pec.Options{Trust: trust})
}

// TestChains: who counts as a provider by its certificate.
func TestChains(t *testing.T) {
	root, stranger := newAuthority(t, "Radice"), newAuthority(t, "Estranea")
	middle := func(change func(*x509.Certificate)) authority {
		return root.issue(t, "Intermedia", func(c *x509.Certificate) {
			c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign
			if change != nil {
				change(c)
			}
		})
	}
	plain := middle(nil)
	leafOf := func(a authority, change func(*x509.Certificate)) authority {
		return a.issue(t, "Posta Certificata", func(c *x509.Certificate) {
			mailer(c)
			if change != nil {
				change(c)
			}
		})
	}
	for name, c := range map[string]struct {
		issuer    authority
		leaf      func(*x509.Certificate)
		without   bool // the intermediate is not in the message
		status    pec.SignatureStatus
		problem   string
		authentic pec.Authenticity
	}{
		"as RFC 6109 has it":          {plain, nil, false, pec.SignatureValid, "", pec.Certified},
		"leaf with basic constraints": {plain, func(c *x509.Certificate) { c.BasicConstraintsValid = true }, false, pec.SignatureValid, "", pec.Certified},
		"of the root itself":          {root, nil, false, pec.SignatureValid, "", pec.Certified},
		"missing intermediate":        {plain, nil, true, pec.SignatureUntrusted, "nobody trusted is CN=Intermedia", pec.Untrusted},
		"stranger":                    {stranger, nil, false, pec.SignatureUntrusted, "nobody trusted is CN=Estranea", pec.Untrusted},
		"leaf that is a CA":           {plain, func(c *x509.Certificate) { c.BasicConstraintsValid, c.IsCA = true, true }, false, pec.SignatureUntrusted, "certification authority", pec.Untrusted},
		"not for signatures":          {plain, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment }, false, pec.SignatureUntrusted, "not for digital signatures", pec.Untrusted},
		"no purpose":                  {plain, func(c *x509.Certificate) { c.ExtKeyUsage = nil }, false, pec.SignatureUntrusted, "emailProtection", pec.Untrusted},
		"for servers":                 {plain, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }, false, pec.SignatureUntrusted, "emailProtection", pec.Untrusted},
		"another address":             {plain, func(c *x509.Certificate) { c.EmailAddresses = []string{"altri@pec.gestore.example"} }, false, pec.SignatureUntrusted, "is not the signer's", pec.Untrusted},
		"expired before":              {plain, func(c *x509.Certificate) { c.NotAfter = now.AddDate(0, 0, -1) }, false, pec.SignatureExpired, "not valid at the time", pec.Untrusted},
		"critical extension": {plain, func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}}}
		}, false, pec.SignatureUntrusted, "critical extension", pec.Untrusted},
		"names allowed": {middle(func(c *x509.Certificate) {
			c.PermittedDNSDomainsCritical, c.PermittedEmailAddresses = true, []string{"pec.gestore.example"}
		}), nil, false, pec.SignatureValid, "", pec.Certified},
		"names not allowed": {middle(func(c *x509.Certificate) {
			c.PermittedDNSDomainsCritical, c.PermittedEmailAddresses = true, []string{"pec.altro.example"}
		}), nil, false, pec.SignatureUntrusted, "not permitted", pec.Untrusted},
		"names excluded": {middle(func(c *x509.Certificate) {
			c.PermittedDNSDomainsCritical, c.ExcludedEmailAddresses = true, []string{"pec.gestore.example"}
		}), nil, false, pec.SignatureUntrusted, "excluded", pec.Untrusted},
		"intermediate for other purposes": {middle(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }), nil, false, pec.SignatureUntrusted, "key usage", pec.Untrusted},
		"intermediate that is no CA":      {root.issue(t, "Intermedia", nil), nil, false, pec.SignatureUntrusted, "does not lead to a trust anchor", pec.Untrusted},
		"intermediate that may not sign":  {middle(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature }), nil, false, pec.SignatureUntrusted, "does not lead", pec.Untrusted},
	} {
		t.Run(name, func(t *testing.T) {
			leaf := leafOf(c.issuer, c.leaf)
			others := []*x509.Certificate{c.issuer.certificate}
			if c.without {
				others = nil
			}
			a := readWith(loadTrust(t, anchors(root.file(t))), signedMail(t, leaf, now, others...))
			problems := strings.Join(a.Signature.Problems, "; ")
			if a.Signature.Status != c.status || a.Authenticity != c.authentic || !strings.Contains(problems, c.problem) || c.problem == "" && problems != "" {
				t.Errorf("%s %s %q, want %s %q", a.Authenticity, a.Signature.Status, problems, c.status, c.problem)
			}
		})
	}
	// A leaf that signs another certificate, as anybody with one could.
	leaf := leafOf(plain, nil)
	forged := leafOf(leaf, nil)
	if a := readWith(loadTrust(t, anchors(root.file(t))), signedMail(t, forged, now, leaf.certificate, plain.certificate)); a.Signature.Status != pec.SignatureUntrusted {
		t.Errorf("issued by a leaf: %+v", a.Signature)
	}
	// Anchors of PEC providers are not those of registered mail, and the other way
	// round.
	services := listedTrust(t, entry{kind: "EDS/REM/Q", status: "granted", since: now.AddDate(-1, 0, 0), certificates: []*x509.Certificate{root.certificate}})
	if a := readWith(services, signedMail(t, leaf, now, plain.certificate)); a.Authenticity != pec.Untrusted {
		t.Errorf("a PEC receipt of who is trusted for registered mail: %s", a.Authenticity)
	}
}

// TestRevocation: a serial number counts from its date on, and only on a list
// that its issuer signed.
func TestRevocation(t *testing.T) {
	root := newAuthority(t, "Radice")
	middle := root.issue(t, "Intermedia", func(c *x509.Certificate) {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign
	})
	leaf := middle.issue(t, "Posta Certificata", mailer)
	impostor := authority{middle.certificate, newAuthority(t, "x").key}
	at := func(days int) time.Time { return now.AddDate(0, 0, days) }
	entry := func(c authority, days, reason int, more ...pkix.Extension) x509.RevocationListEntry {
		return x509.RevocationListEntry{SerialNumber: c.certificate.SerialNumber, RevocationTime: at(days), ReasonCode: reason, ExtraExtensions: more}
	}
	invalidity := func(days int) pkix.Extension {
		value, err := asn1.MarshalWithParams(at(days).UTC(), "generalized")
		if err != nil {
			t.Fatal(err)
		}
		return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 24}, Value: value}
	}
	for name, c := range map[string]struct {
		crls    [][]byte
		problem string
		unknown bool
	}{
		"none configured":                 {nil, "", false},
		"not on it":                       {[][]byte{middle.crl(t, at(-1), at(30))}, "", false},
		"revoked before":                  {[][]byte{middle.crl(t, at(-1), at(30), entry(leaf, -2, 4))}, "CN=Posta Certificata was revoked on " + at(-2).UTC().Format(time.DateTime) + ": it was superseded", false},
		"revoked at the time":             {[][]byte{middle.crl(t, at(0), at(30), entry(leaf, 0, 0))}, "no reason given", false},
		"revoked after":                   {[][]byte{middle.crl(t, at(2), at(30), entry(leaf, 1, 1))}, "", false},
		"revoked after, key known before": {[][]byte{middle.crl(t, at(2), at(30), entry(leaf, 1, 1, invalidity(-3)))}, "the key was compromised", false},
		"the intermediate revoked":        {[][]byte{middle.crl(t, at(-1), at(30)), root.crl(t, at(-1), at(30), entry(middle, -5, 2))}, "CN=Intermedia was revoked", false},
		"too old":                         {[][]byte{middle.crl(t, at(-30), at(-1))}, "", true},
		"too old, but on it":              {[][]byte{middle.crl(t, at(-30), at(-1), entry(leaf, -40, 9))}, "the privilege was withdrawn", false},
		"of somebody else":                {[][]byte{root.crl(t, at(-1), at(30))}, "", true},
		"signed by an impostor":           {[][]byte{impostor.crl(t, at(-1), at(30), entry(leaf, -2, 1))}, "", true},
		"left out of a newer one":         {[][]byte{middle.crl(t, at(-1), at(30)), middle.crl(t, at(-9), at(-8), entry(leaf, -10, 1))}, "the key was compromised", false},
		"suspended":                       {[][]byte{middle.crl(t, at(-1), at(30), entry(leaf, -2, 6))}, "it was suspended", false},
		"no longer suspended":             {[][]byte{middle.crl(t, at(-1), at(30)), middle.crl(t, at(-9), at(-8), entry(leaf, -10, 6))}, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			f := anchors(root.file(t))
			for i, crl := range c.crls {
				if i%2 == 1 {
					crl = pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: crl})
				}
				writeFile(t, filepath.Join(dir, fmt.Sprint(i, ".crl")), crl)
				f.CRLs = []string{dir}
			}
			trust := loadTrust(t, f)
			for range 2 { // the second time the issuer is known
				a := readWith(trust, signedMail(t, leaf, now, middle.certificate))
				problems := strings.Join(a.Signature.Problems, "; ")
				if !strings.Contains(problems, c.problem) || (a.Signature.Status == pec.SignatureUntrusted) != (c.problem != "") || (a.Authenticity == pec.Certified) != (c.problem == "") {
					t.Errorf("%s %s %q, want %q", a.Authenticity, a.Signature.Status, problems, c.problem)
				}
				if slices.Contains(codes(a), pec.RevocationUnknown) != c.unknown {
					t.Errorf("warnings %v", a.Warnings)
				}
			}
		})
	}
}

// TestRevocationListIsRefused: what would mean something else than is read.
func TestRevocationListIsRefused(t *testing.T) {
	root := newAuthority(t, "Radice")
	good := root.crl(t, now, now.AddDate(0, 1, 0))
	for name, c := range map[string]struct {
		data []byte
		says string
	}{
		"nothing":   {nil, ""},
		"cut short": {good[:len(good)/2], ""},
		"other PEM": {root.pem(), "is no revocation list"},
		"delta":     {withExtension(t, root, asn1.ObjectIdentifier{2, 5, 29, 27}, []byte{2, 1, 1}), "critical extension 2.5.29.27"},
		"indirect":  {withExtension(t, root, asn1.ObjectIdentifier{2, 5, 29, 28}, []byte{0x30, 3, 0x84, 1, 0xff}), "indirect"},
		"too large": {make([]byte, 16<<20+1), "too large"},
	} {
		file := filepath.Join(t.TempDir(), "lista.crl")
		writeFile(t, file, c.data)
		if _, err := pec.LoadTrust(pec.TrustFiles{CRLs: []string{file}}); err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: %v", name, err)
		}
	}
	file := filepath.Join(t.TempDir(), "lista.crl")
	writeFile(t, file, good)
	trust := loadTrust(t, pec.TrustFiles{CRLs: []string{file}})
	if got := trust.Warnings(now.AddDate(0, 2, 0)); len(got) != 1 || !strings.Contains(got[0], "CN=Radice should have been replaced") || len(trust.Warnings(now)) != 0 {
		t.Errorf("warnings %q", got)
	}
	if trust.Count(now).CRLs != 1 || !trust.Empty() {
		t.Errorf("%+v", trust.Count(now))
	}
}

func withExtension(t testing.TB, a authority, id asn1.ObjectIdentifier, value []byte) []byte {
	t.Helper()
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: a.certificate.SerialNumber, ThisUpdate: now, NextUpdate: now.AddDate(0, 1, 0),
		ExtraExtensions: []pkix.Extension{{Id: id, Critical: true, Value: value}}}, a.certificate, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}
