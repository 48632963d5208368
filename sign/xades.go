package sign

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/protodaemon/protodaemon/cms"
)

// XAdES B-B enveloped (EN 319 132-1). The documents signed here are our own and
// written in canonical form (Exclusive XML Canonicalization 1.0, without
// comments), so their bytes after the XML declaration are what is digested, and
// the signature is written in canonical form too: no tree is built, and a
// document of many megabytes takes no more memory than its bytes. That a
// document is canonical is for its writer to see to; xmlsec1 tells in the
// tests, and any verifier.

const (
	nsDS    = "http://www.w3.org/2000/09/xmldsig#"
	nsXAdES = "http://uri.etsi.org/01903/v1.3.2#"
	algC14N = "http://www.w3.org/2001/10/xml-exc-c14n#"
	algSHA2 = "http://www.w3.org/2001/04/xmlenc#sha256"
	algRSA  = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
	algEC   = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"
	algSelf = "http://www.w3.org/2000/09/xmldsig#enveloped-signature"
)

type xadesDraft struct {
	before, after []byte // the document round the place of the signature
	chain         []*x509.Certificate
	properties    string // SignedProperties, canonical
	info          string // SignedInfo, canonical
}

// The ends of a signature that is made here. No text of a canonical document
// holds them, because there a < that is no markup is written &lt;.
const (
	signatureStart = `<ds:Signature xmlns:ds="` + nsDS + `" Id="firma">`
	signatureEnd   = `</ds:Signature>`
)

var errCanonical = errors.New("the document is not XML in canonical form")

// strange is what a canonical document, of elements and text alone and not
// signed yet, never holds. A second signature would have the same identifiers.
var strange = []string{"<!", "<?", "\r", "<ds:Signature", "<xades:"}

// canonical finds the root element of a document and its end tag. What it does
// not see (the order of attributes, empty elements, needless namespaces) is for
// the document's writer to see to.
func canonical(content []byte) (root []byte, end int, err error) {
	root = content
	if after, ok := bytes.CutPrefix(content, []byte("<?xml ")); ok {
		declaration, rest, ok := bytes.Cut(after, []byte("?>"))
		if !ok || bytes.Contains(declaration, []byte("encoding")) && !bytes.Contains(declaration, []byte(`"UTF-8"`)) {
			return nil, 0, fmt.Errorf("%w: its declaration is another than <?xml version=\"1.0\" encoding=\"UTF-8\"?>", errCanonical)
		}
		root = bytes.TrimPrefix(rest, []byte("\n"))
	}
	for _, s := range strange {
		if bytes.Contains(root, []byte(s)) {
			return nil, 0, fmt.Errorf("%w: %q is in it", errCanonical, s)
		}
	}
	end = bytes.LastIndex(root, []byte("</"))
	if end < 0 || !utf8.Valid(root) {
		return nil, 0, errCanonical
	}
	name := bytes.TrimSuffix(root[end+2:], []byte(">"))
	start, ok := bytes.CutPrefix(root, append([]byte("<"), name...))
	if !ok || len(name) == 0 || root[len(root)-1] != '>' || start[0] != '>' && start[0] != ' ' {
		return nil, 0, fmt.Errorf("%w: it does not end with the end of its first element", errCanonical)
	}
	return root, end, nil
}

func newXAdES(content []byte, chain []*x509.Certificate, at time.Time) (*xadesDraft, error) {
	root, end, err := canonical(content)
	if err != nil {
		return nil, err
	}
	algorithm, err := xmlAlgorithm(chain[0])
	if err != nil {
		return nil, err
	}
	split := len(content) - len(root) + end
	d := &xadesDraft{before: content[:split], after: content[split:], chain: chain}
	digest := sha256.Sum256(root)
	d.properties = signedProperties(chain[0], at)
	properties := sha256.Sum256([]byte(d.properties))
	d.info = `<ds:SignedInfo xmlns:ds="` + nsDS + `">` +
		element("ds:CanonicalizationMethod", `Algorithm="`+algC14N+`"`, "") +
		element("ds:SignatureMethod", `Algorithm="`+algorithm+`"`, "") +
		element("ds:Reference", `Id="documento" URI=""`,
			element("ds:Transforms", "", element("ds:Transform", `Algorithm="`+algSelf+`"`, "")+element("ds:Transform", `Algorithm="`+algC14N+`"`, ""))+
				element("ds:DigestMethod", `Algorithm="`+algSHA2+`"`, "")+element("ds:DigestValue", "", encode64(digest[:]))) +
		element("ds:Reference", `Type="http://uri.etsi.org/01903#SignedProperties" URI="#proprieta"`,
			element("ds:Transforms", "", element("ds:Transform", `Algorithm="`+algC14N+`"`, ""))+
				element("ds:DigestMethod", `Algorithm="`+algSHA2+`"`, "")+element("ds:DigestValue", "", encode64(properties[:]))) +
		`</ds:SignedInfo>`
	return d, nil
}

// signedProperties is what the signature says of itself.
func signedProperties(c *x509.Certificate, at time.Time) string {
	digest := sha256.Sum256(c.Raw)
	ds := ` xmlns:ds="` + nsDS + `"`
	return `<xades:SignedProperties xmlns:xades="` + nsXAdES + `" Id="proprieta">` +
		element("xades:SignedSignatureProperties", "",
			element("xades:SigningTime", "", at.UTC().Format(time.RFC3339))+
				element("xades:SigningCertificateV2", "", element("xades:Cert", "", element("xades:CertDigest", "",
					`<ds:DigestMethod`+ds+` Algorithm="`+algSHA2+`"></ds:DigestMethod>`+
						`<ds:DigestValue`+ds+`>`+encode64(digest[:])+`</ds:DigestValue>`)+
					element("xades:IssuerSerialV2", "", encode64(issuerSerial(c)))))) +
		element("xades:SignedDataObjectProperties", "",
			element("xades:DataObjectFormat", `ObjectReference="#documento"`, element("xades:MimeType", "", "application/xml"))) +
		`</xades:SignedProperties>`
}

// issuerSerial is RFC 5035's IssuerSerial in DER.
func issuerSerial(c *x509.Certificate) []byte {
	name := asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 4, IsCompound: true, Bytes: c.RawIssuer}
	b, err := asn1.Marshal(struct {
		Issuer []asn1.RawValue
		Serial *big.Int
	}{[]asn1.RawValue{name}, c.SerialNumber})
	if err != nil {
		return nil
	}
	return b
}

func xmlAlgorithm(c *x509.Certificate) (string, error) {
	switch c.PublicKey.(type) {
	case *rsa.PublicKey:
		return algRSA, nil
	case *ecdsa.PublicKey:
		return algEC, nil
	}
	return "", fmt.Errorf("%w: a key %s is not supported, RSA and ECDSA are", ErrUnusable, c.PublicKeyAlgorithm)
}

// element writes one in canonical form.
func element(name, attributes, content string) string {
	if attributes != "" {
		attributes = " " + attributes
	}
	return "<" + name + attributes + ">" + content + "</" + name + ">"
}

func encode64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

func (d *xadesDraft) Digest() []byte {
	digest := sha256.Sum256([]byte(d.info))
	return digest[:]
}

// Assemble puts the signature before the end of the root element.
func (d *xadesDraft) Assemble(value []byte) ([]byte, error) {
	if err := checkValue(d.chain[0], d.Digest(), value); err != nil {
		return nil, err
	}
	if key, ok := d.chain[0].PublicKey.(*ecdsa.PublicKey); ok {
		var err error
		if value, err = rawECDSA(value, width(key)); err != nil {
			return nil, err
		}
	}
	var certificates strings.Builder
	for _, c := range d.chain {
		certificates.WriteString(element("ds:X509Certificate", "", encode64(c.Raw)))
	}
	signature := signatureStart + d.info +
		element("ds:SignatureValue", "", encode64(value)) +
		element("ds:KeyInfo", "", element("ds:X509Data", "", certificates.String())) +
		element("ds:Object", "", `<xades:QualifyingProperties xmlns:xades="`+nsXAdES+`" Target="#firma">`+d.properties+`</xades:QualifyingProperties>`) +
		signatureEnd
	out := make([]byte, 0, len(d.before)+len(signature)+len(d.after))
	return append(append(append(out, d.before...), signature...), d.after...), nil
}

// width is how many bytes each of the two numbers of a value has.
func width(key *ecdsa.PublicKey) int { return (key.Curve.Params().BitSize + 7) / 8 }

// checkValue verifies a signature value over a SHA-256.
func checkValue(c *x509.Certificate, digest, value []byte) error {
	ok := false
	switch key := c.PublicKey.(type) {
	case *rsa.PublicKey:
		ok = rsa.VerifyPKCS1v15(key, crypto.SHA256, digest, value) == nil
	case *ecdsa.PublicKey:
		ok = ecdsa.VerifyASN1(key, digest, value)
	}
	if !ok {
		return fmt.Errorf("the signature does not fit the certificate of %s: %w", subject(c), cms.ErrMismatch)
	}
	return nil
}

// rawECDSA turns the two numbers of an ECDSA value into the fixed width that
// XML signatures have (XML Signature 1.1 §6.4.3).
func rawECDSA(der []byte, width int) ([]byte, error) {
	var v struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &v); err != nil {
		return nil, fmt.Errorf("%w: the ECDSA value: %w", ErrUnusable, err)
	}
	out := make([]byte, 2*width)
	v.R.FillBytes(out[:width])
	v.S.FillBytes(out[width:])
	return out, nil
}
