package xmldsig_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/protodaemon/protodaemon/sign"
)

const xadesSpace = "http://uri.etsi.org/01903/v1.3.2#"

// properties is a template of QualifyingProperties naming a certificate.
func properties(c *x509.Certificate, element, unsigned string) string {
	digest := sha256.Sum256(c.Raw)
	return `<ds:Object><xades:QualifyingProperties xmlns:xades="` + xadesSpace + `" Target="#firma"><xades:SignedProperties Id="sp"><xades:SignedSignatureProperties>` +
		`<xades:SigningTime>2026-03-10T09:30:00+01:00</xades:SigningTime><xades:` + element + `><xades:Cert><xades:CertDigest><ds:DigestMethod Algorithm="` + enc + `sha256"/><ds:DigestValue>` +
		base64.StdEncoding.EncodeToString(digest[:]) + `</ds:DigestValue></xades:CertDigest></xades:Cert></xades:` + element + `></xades:SignedSignatureProperties></xades:SignedProperties>` +
		unsigned + `</xades:QualifyingProperties></ds:Object>`
}

const propertiesType = ` Type="http://uri.etsi.org/01903#SignedProperties"`

// TestXAdES: what the SignedProperties say counts only when they are covered.
func TestXAdES(t *testing.T) {
	id, other := identityOf(t, "rsa"), identityOf(t, "p256")
	content := reference("", "", transform(enveloped, "")+transform(exclusive, ""), enc+"sha256")
	covered := reference("#sp", propertiesType, transform(exclusive, ""), enc+"sha256")
	unsigned := `<xades:UnsignedProperties><xades:UnsignedSignatureProperties><xades:SignatureTimeStamp><ds:CanonicalizationMethod Algorithm="` + exclusive +
		`"/><xades:EncapsulatedTimeStamp>VE9LRU4=</xades:EncapsulatedTimeStamp></xades:SignatureTimeStamp><xades:CertificateValues><xades:EncapsulatedX509Certificate>` +
		base64.StdEncoding.EncodeToString(other.certificate.Raw) + `</xades:EncapsulatedX509Certificate></xades:CertificateValues></xades:UnsignedSignatureProperties></xades:UnsignedProperties>`
	for name, c := range map[string]struct {
		references, object    string
		xades, bound, stamped bool
	}{
		"V2":                   {content + covered, properties(id.certificate, "SigningCertificateV2", ""), true, true, false},
		"with a time stamp":    {content + covered, properties(id.certificate, "SigningCertificate", unsigned), true, true, true},
		"not covered":          {content, properties(id.certificate, "SigningCertificateV2", unsigned), false, false, false},
		"certificate unnamed":  {content + covered, strings.ReplaceAll(properties(id.certificate, "SigningCertificateV2", ""), "CertDigest", "Altro"), true, false, false},
		"another one named":    {content + covered, properties(other.certificate, "SigningCertificateV2", ""), true, false, false},
		"of another signature": {content + covered, strings.Replace(properties(id.certificate, "SigningCertificateV2", ""), "#firma", "#altra", 1), false, false, false},
		"twice":                {content + covered, properties(id.certificate, "SigningCertificateV2", "") + `<ds:Object><xades:QualifyingProperties xmlns:xades="` + xadesSpace + `"/></ds:Object>`, false, false, false},
	} {
		signed := xmlsecSign(t, id, document(signature(exclusive, more+"rsa-sha256", c.references, c.object)))
		doc, s := verifyOne(t, signed)
		if !s.Fits || !s.Covers(doc.Root) || s.XAdES != c.xades || s.Bound != c.bound || (s.SigningTime != nil) != c.xades || (s.Stamp != nil) != c.stamped {
			t.Errorf("%s: %+v", name, s)
		}
		if c.xades && !s.SigningTime.Equal(time.Date(2026, 3, 10, 8, 30, 0, 0, time.UTC)) {
			t.Errorf("%s: signing time %v", name, s.SigningTime)
		}
		if (len(s.Problems) > 0) != !c.bound {
			t.Errorf("%s: problems %q", name, s.Problems)
		}
		if !c.stamped {
			continue
		}
		_, rest, _ := strings.Cut(string(signed), "<ds:SignatureValue>")
		value, _, _ := strings.Cut(rest, "</ds:SignatureValue>")
		want := `<ds:SignatureValue xmlns:ds="` + ds + `">` + value + `</ds:SignatureValue>`
		if string(s.Stamp) != "TOKEN" || string(s.Stamped) != want || len(s.Certificates) != 2 {
			t.Errorf("%s: stamp %q of %q, %d certificates", name, s.Stamp, s.Stamped, len(s.Certificates))
		}
		if _, s := verifyOne(t, bytes.Replace(signed, []byte("T09:30"), []byte("T08:30"), 1)); s.Fits || s.SigningTime != nil || s.Stamp != nil {
			t.Errorf("another signing time: %+v", s)
		}
	}
}

// keyOf makes a test identity sign as closings are signed.
type keyOf struct{ identity }

func (k keyOf) Chain(context.Context) ([]*x509.Certificate, error) {
	return []*x509.Certificate{k.certificate}, nil
}

func (k keyOf) Sign(_ context.Context, digests [][]byte) ([][]byte, error) {
	var values [][]byte
	for _, digest := range digests {
		value, err := k.key.Sign(rand.Reader, digest, crypto.SHA256)
		if err != nil {
			return nil, err
		}
		values = append(values, value)
	}
	return values, nil
}

func (keyOf) Close() error { return nil }

// TestOurOwnXAdES: what the daily register is signed with is read here too.
func TestOurOwnXAdES(t *testing.T) {
	for _, name := range []string{"rsa", "p256"} {
		id := identityOf(t, name)
		files, _, err := sign.Sign(t.Context(), keyOf{id}, time.Now(), []sign.Document{{Format: sign.XAdES, Content: []byte(`<r xmlns="urn:r"><v>uno</v></r>`)}})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		doc, s := verifyOne(t, files[0])
		if !s.Fits || !s.Covers(doc.Root) || !s.XAdES || !s.Bound || s.SigningTime == nil {
			t.Errorf("%s: %+v", name, s)
		}
	}
}
