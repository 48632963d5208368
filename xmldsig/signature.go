package xmldsig

import (
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
)

// parts are the children of a ds:Signature (XMLDSig §4.1).
type parts struct {
	info, value, key *Element
	objects          []*Element
}

// partsOf takes a signature apart. The order is the schema's: with two
// SignedInfo, programs would verify different ones.
func partsOf(e *Element) (parts, error) {
	var p parts
	order := []string{"SignedInfo", "SignatureValue", "KeyInfo", "Object"}
	place := -1
	for c := range e.Elements() {
		i := slices.Index(order, c.Local)
		if c.Space != nsDS || i < place || i == place && i != 3 {
			return p, fmt.Errorf("%w: %s stands where it may not in the signature", ErrMalformed, c.Local)
		}
		if place < 0 && i != 0 || place == 0 && i != 1 {
			return p, fmt.Errorf("%w: the signature has no SignedInfo or no value", ErrMalformed)
		}
		place = i
		switch i {
		case 0:
			p.info = c
		case 1:
			p.value = c
		case 2:
			p.key = c
		default:
			p.objects = append(p.objects, c)
		}
	}
	if p.value == nil {
		return p, fmt.Errorf("%w: the signature has no SignedInfo or no value", ErrMalformed)
	}
	return p, nil
}

// signature verifies one.
func (v *verifier) signature(e *Element) Signature {
	s := Signature{Element: e}
	p, err := partsOf(e)
	if err != nil {
		s.fail("", err)
		return s
	}
	s.Certificates = certificatesOf(p)
	digest, m := v.signedInfo(&s, p.info)
	v.references(&s, p.info)
	x := xadesOf(e, p.objects)
	if digest != nil {
		v.value(&s, p.value, m, digest, x)
	}
	s.Fits = s.Err == nil
	v.properties(&s, p, x)
	return s
}

// fail notes why a signature does not fit; that something was changed is worse
// than that something is not known.
func (s *Signature) fail(what string, err error) {
	s.problem(what, err)
	if s.Err == nil || errors.Is(err, ErrMismatch) && !errors.Is(s.Err, ErrMismatch) {
		s.Err = err
	}
}

// signedInfo takes the digest of SignedInfo; nil when it cannot.
func (v *verifier) signedInfo(s *Signature, info *Element) ([]byte, signatureMethod) {
	methodElement, signing := info.Child(nsDS, "CanonicalizationMethod"), info.Child(nsDS, "SignatureMethod")
	c, ok := methods[methodElement.Attr("", "Algorithm")]
	if !ok || signing == nil {
		s.fail("", fmt.Errorf("%w: the canonicalization %.80q", ErrUnsupported, methodElement.Attr("", "Algorithm")))
		return nil, signatureMethod{}
	}
	c, err := c.with(methodElement)
	if err != nil {
		s.fail("", err)
		return nil, signatureMethod{}
	}
	m, err := methodOf(signing)
	if err != nil {
		s.fail("", err)
		return nil, m
	}
	h := m.digest.New()
	if err := v.doc.canonicalize(h, info, false, c, nil, &v.left); err != nil {
		s.fail("SignedInfo", err)
		return nil, m
	}
	return h.Sum(nil), m
}

func (v *verifier) references(s *Signature, info *Element) {
	for c := range info.Elements() {
		switch {
		case c.Is(nsDS, "CanonicalizationMethod"), c.Is(nsDS, "SignatureMethod"):
			continue
		case !c.Is(nsDS, "Reference"):
			s.fail("", fmt.Errorf("%w: %s in SignedInfo", ErrMalformed, c.Local))
			return
		case len(s.References) == maxReferences:
			s.fail("", fmt.Errorf("%w: more than %d references", ErrBounds, maxReferences))
			return
		}
		r, weak := v.reference(c, s.Element)
		s.References = append(s.References, r)
		s.Weak = s.Weak || weak
		if r.Err != nil {
			s.fail(fmt.Sprintf("the reference %.80q", r.URI), r.Err)
		}
	}
	if len(s.References) == 0 {
		s.fail("", fmt.Errorf("%w: the signature has no reference", ErrMalformed))
	}
}

// value finds the signer's certificate and verifies the signature value: the
// certificate that SigningCertificate names, else the one whose key fits.
func (v *verifier) value(s *Signature, e *Element, m signatureMethod, digest []byte, x *xades) {
	s.Weak = s.Weak || m.digest == crypto.SHA1
	value, err := base64Of(e)
	if err != nil {
		s.fail("the signature value", err)
		return
	}
	candidates := s.Certificates
	if named := x.named(s.Certificates); named != nil {
		candidates = []*x509.Certificate{named}
	}
	if len(candidates) == 0 {
		s.fail("", ErrNoCertificate)
		return
	}
	var first error
	for _, c := range candidates {
		name, err := m.verify(c.PublicKey, digest, value)
		if err == nil {
			s.Certificate, s.Algorithm = c, name
			return
		}
		if first == nil {
			s.Certificate, s.Algorithm, first = c, name, err
		}
	}
	s.fail("the signature value", first)
}

// certificatesOf reads the certificates in KeyInfo. One that cannot be read is
// left out: the signer's own must be there.
func certificatesOf(p parts) []*x509.Certificate {
	var list []*x509.Certificate
	for data := range p.key.Elements() {
		if !data.Is(nsDS, "X509Data") {
			continue
		}
		for c := range data.Elements() {
			if c.Is(nsDS, "X509Certificate") {
				list = addCertificate(list, c)
			}
		}
	}
	return list
}

// addCertificate adds one that is in base64 in an element.
func addCertificate(list []*x509.Certificate, e *Element) []*x509.Certificate {
	if len(list) == maxCertificates {
		return list
	}
	der, err := base64Of(e)
	if err != nil {
		return list
	}
	c, err := x509.ParseCertificate(der)
	if err != nil || slices.ContainsFunc(list, c.Equal) {
		return list
	}
	return append(list, c)
}
