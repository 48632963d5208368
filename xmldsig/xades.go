package xmldsig

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// xadesSpaces are EN 319 132-1 (which is 1.3.2) and the versions of TS 101 903
// before it.
var xadesSpaces = []string{"http://uri.etsi.org/01903/v1.3.2#", "http://uri.etsi.org/01903/v1.2.2#", "http://uri.etsi.org/01903/v1.1.1#"}

// xades are the QualifyingProperties of one signature.
type xades struct {
	space              string
	signed, unsigned   *Element
	certificateDigests *Element // CertDigest of the first one in SigningCertificate
}

// Why nothing that XAdES says is taken.
var (
	errProperties = errors.New("the signature has no SignedProperties, or several QualifyingProperties")
	errUncovered  = errors.New("the SignedProperties are not covered by the signature; nothing in them is taken")
	errUnbound    = errors.New("the SignedProperties do not name the signer's certificate")
)

// xadesOf finds them in the objects of a signature; nil when there are none.
func xadesOf(signature *Element, objects []*Element) *xades {
	var found *xades
	for _, object := range objects {
		for q := range object.Elements() {
			if q.Local != "QualifyingProperties" || !slices.Contains(xadesSpaces, q.Space) {
				continue
			}
			target := strings.TrimPrefix(q.Attr("", "Target"), "#")
			if found != nil || target != "" && target != signature.Attr("", "Id") {
				return &xades{} // of which nothing is signed
			}
			found = &xades{space: q.Space, signed: q.Child(q.Space, "SignedProperties"),
				unsigned: q.Find(q.Space, "UnsignedProperties", "UnsignedSignatureProperties")}
		}
	}
	if found != nil {
		of := found.signed.Child(found.space, "SignedSignatureProperties")
		certificate := of.Child(found.space, "SigningCertificateV2")
		if certificate == nil {
			certificate = of.Child(found.space, "SigningCertificate")
		}
		found.certificateDigests = certificate.Find(found.space, "Cert", "CertDigest")
	}
	return found
}

// named is the certificate that SigningCertificate names first; nil when it
// names none that is here.
func (x *xades) named(list []*x509.Certificate) *x509.Certificate {
	if x == nil || x.certificateDigests == nil {
		return nil
	}
	hash, want, err := digestOf(x.certificateDigests)
	if err != nil {
		return nil
	}
	for _, c := range list {
		h := hash.New()
		h.Write(c.Raw)
		if bytes.Equal(h.Sum(nil), want) {
			return c
		}
	}
	return nil
}

// properties takes over what XAdES says, if the signature fits and covers it.
func (v *verifier) properties(s *Signature, p parts, x *xades) {
	switch {
	case x == nil || !s.Fits:
		return
	case x.signed == nil:
		s.problem("", errProperties)
		return
	case !s.Covers(x.signed):
		s.problem("", errUncovered)
		return
	}
	s.XAdES = true
	signed := x.signed.Child(x.space, "SignedSignatureProperties")
	if at, err := time.Parse(time.RFC3339Nano, strings.TrimSpace(signed.Child(x.space, "SigningTime").Text())); err == nil {
		s.SigningTime = &at
	}
	s.Bound = s.Certificate != nil && x.named([]*x509.Certificate{s.Certificate}) != nil
	if !s.Bound {
		s.problem("", errUnbound)
	}
	for c := range x.unsigned.Find(x.space, "CertificateValues").Elements() {
		if c.Is(x.space, "EncapsulatedX509Certificate") {
			s.Certificates = addCertificate(s.Certificates, c)
		}
	}
	if stamp := x.unsigned.Child(x.space, "SignatureTimeStamp"); stamp != nil {
		if err := v.stamp(s, p.value, stamp, x.space); err != nil {
			s.problem("the time stamp", err)
		}
	}
}

// stamp takes the token out of a SignatureTimeStamp, and the bytes that it is
// of: the canonical SignatureValue (EN 319 132-1 §5.3).
func (v *verifier) stamp(s *Signature, value, stamp *Element, space string) error {
	for c := range stamp.Elements() {
		id := strings.TrimPrefix(c.Attr("", "URI"), "#")
		if c.Local != "Include" || id != "" && id == value.Attr("", "Id") {
			continue
		}
		return fmt.Errorf("%w: it is of something else than the signature value", ErrUnsupported)
	}
	m := methods["http://www.w3.org/TR/2001/REC-xml-c14n-20010315"]
	if e := stamp.Child(nsDS, "CanonicalizationMethod"); e != nil {
		var ok bool
		var err error
		if m, ok = methods[e.Attr("", "Algorithm")]; !ok {
			return fmt.Errorf("%w: its canonicalization", ErrUnsupported)
		}
		if m, err = m.with(e); err != nil {
			return err
		}
	}
	token, err := base64Of(stamp.Child(space, "EncapsulatedTimeStamp"))
	if err != nil || len(token) == 0 {
		return fmt.Errorf("%w: it has no token", ErrMalformed)
	}
	var b bytes.Buffer
	if err := v.doc.canonicalize(&b, value, false, m, nil, &v.left); err != nil {
		return err
	}
	s.Stamp, s.Stamped = token, b.Bytes()
	return nil
}
