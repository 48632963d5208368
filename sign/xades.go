package sign

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"fmt"
	"math/big"
	"strings"
	"time"

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

func newXAdES(content []byte, chain []*x509.Certificate, at time.Time) (*xadesDraft, error) {
	root := content
	if bytes.HasPrefix(content, []byte("<?xml")) {
		end := bytes.Index(content, []byte("?>"))
		if end < 0 {
			return nil, fmt.Errorf("%w: the XML declaration has no end", ErrUnusable)
		}
		root = bytes.TrimPrefix(content[end+2:], []byte("\n"))
	}
	last := bytes.LastIndex(root, []byte("</"))
	if len(root) == 0 || root[0] != '<' || last < 0 || root[len(root)-1] != '>' {
		return nil, fmt.Errorf("%w: the document to be signed is not XML in canonical form", ErrUnusable)
	}
	algorithm, err := xmlAlgorithm(chain[0])
	if err != nil {
		return nil, err
	}
	split := len(content) - len(root) + last
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
		if value, err = rawECDSA(value, (key.Curve.Params().BitSize+7)/8); err != nil {
			return nil, err
		}
	}
	var certificates strings.Builder
	for _, c := range d.chain {
		certificates.WriteString(element("ds:X509Certificate", "", encode64(c.Raw)))
	}
	signature := `<ds:Signature xmlns:ds="` + nsDS + `" Id="firma">` + d.info +
		element("ds:SignatureValue", "", encode64(value)) +
		element("ds:KeyInfo", "", element("ds:X509Data", "", certificates.String())) +
		element("ds:Object", "", `<xades:QualifyingProperties xmlns:xades="`+nsXAdES+`" Target="#firma">`+d.properties+`</xades:QualifyingProperties>`) +
		`</ds:Signature>`
	out := make([]byte, 0, len(d.before)+len(signature)+len(d.after))
	return append(append(append(out, d.before...), signature...), d.after...), nil
}

// checkValue verifies a signature value over a SHA-256.
func checkValue(c *x509.Certificate, digest, value []byte) error {
	ok := false
	switch key := c.PublicKey.(type) {
	case *rsa.PublicKey:
		ok = rsa.VerifyPKCS1v15(key, sha2, digest, value) == nil
	case *ecdsa.PublicKey:
		ok = ecdsa.VerifyASN1(key, digest, value)
	}
	if !ok {
		return fmt.Errorf("the signature does not fit the certificate of %s: %w", c.Subject, cms.ErrMismatch)
	}
	return nil
}

// rawECDSA turns the two numbers of an ECDSA value into the fixed width that
// XML signatures have (RFC 4050).
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
