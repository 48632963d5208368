package cms

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"slices"
	"time"
)

var (
	oidData          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidSignedData    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	oidEnveloped     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 3}
	oidAuthEnveloped = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 23}
	oidContentType   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}
	oidMessageDigest = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}
	oidSigningTime   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 5}
)

// Verify checks signer i against content: the digest, the attributes, the
// signature value. Trust in the certificate is another matter. The certificate
// is given also with an error, when it is known.
func (sd *SignedData) Verify(i int, content []byte) (Signer, error) {
	return sd.VerifyDigest(i, func(h crypto.Hash) []byte { return sum(h, content) })
}

// VerifyDigest is Verify for who took the digests of the content in passing:
// digest gives the one that the signer used, which is one of Digests.
func (sd *SignedData) VerifyDigest(i int, digest func(crypto.Hash) []byte) (Signer, error) {
	si := &sd.Signers[i]
	hash, ok := digestAlgorithms[si.Digest.Algorithm.String()]
	s := Signer{Certificate: sd.certificate(si.SID), Weak: hash == crypto.SHA1, Signature: si.Signature}
	s.Token, s.Counters = si.unsigned()
	switch {
	case !ok:
		return s, fmt.Errorf("%w: digest %v", ErrUnsupported, si.Digest.Algorithm)
	case s.Certificate == nil:
		return s, ErrNoCertificate
	case !sd.announced(si.Digest.Algorithm):
		return s, fmt.Errorf("%w: the signer's digest is not announced", ErrMismatch)
	}
	var attrs attributes
	if si.SignedAttrs.FullBytes != nil {
		var err error
		if attrs, err = parseAttributes(si.SignedAttrs.Bytes); err != nil {
			return s, err
		}
		s.Time = attrs.signingTime()
		s.Bound = attrs.bind(s.Certificate)
	}
	m := message{hash: hash, digest: digest(hash)}
	switch {
	case len(m.digest) != hash.Size():
		return s, fmt.Errorf("%w: there is no %s of the content", ErrUnsupported, hashName(hash))
	case attrs != nil:
		if err := attrs.check(sd.ContentType, m.digest); err != nil {
			return s, err
		}
		// What is signed is the SET OF encoding, not the [0] (RFC 5652 §5.4).
		m.whole = retag(si.SignedAttrs.FullBytes, 0x31)
		m.digest = sum(hash, m.whole)
	case !sd.ContentType.Equal(oidData):
		return s, fmt.Errorf("%w: signed attributes are missing", ErrMismatch) // RFC 5652 §5.3
	}
	var err error
	s.Algorithm, err = m.verify(publicKey(s.Certificate), si.Algorithm, si.Signature)
	return s, err
}

// announced tells that the digest is one of digestAlgorithms, without which a
// stream could not be verified; openssl insists on it as well.
func (sd *SignedData) announced(digest asn1.ObjectIdentifier) bool {
	return slices.ContainsFunc(sd.digests, func(a pkix.AlgorithmIdentifier) bool { return a.Algorithm.Equal(digest) })
}

// certificate finds the one a SignerIdentifier means, by issuer and serial
// number or by subject key identifier.
func (sd *SignedData) certificate(sid asn1.RawValue) *x509.Certificate {
	if sid.Class == asn1.ClassContextSpecific && sid.Tag == 0 {
		for _, c := range sd.Certificates {
			if len(sid.Bytes) > 0 && bytes.Equal(c.SubjectKeyId, sid.Bytes) {
				return c
			}
		}
		return nil
	}
	var is struct {
		Issuer asn1.RawValue
		Serial *big.Int
	}
	if _, err := asn1.Unmarshal(sid.FullBytes, &is); err != nil {
		return nil
	}
	for _, c := range sd.Certificates {
		if c.SerialNumber.Cmp(is.Serial) == 0 && bytes.Equal(c.RawIssuer, is.Issuer.FullBytes) {
			return c
		}
	}
	return nil
}

// attributes are the values of each signed attribute, by type.
type attributes map[string][]asn1.RawValue

func parseAttributes(b []byte) (attributes, error) {
	all, err := elements(b, maxAttributes)
	if err != nil {
		return nil, err
	}
	attrs := attributes{}
	for _, one := range all {
		var a struct {
			Type   asn1.ObjectIdentifier
			Values asn1.RawValue
		}
		if err := exact(one, &a); err != nil {
			return nil, err
		}
		values, err := setOfValues[asn1.RawValue](a.Values, maxValues)
		if err != nil {
			return nil, err
		}
		attrs[a.Type.String()] = append(attrs[a.Type.String()], values...)
	}
	return attrs, nil
}

// check requires the two attributes of RFC 5652 §5.3 once each, with these
// values.
func (a attributes) check(contentType asn1.ObjectIdentifier, digest []byte) error {
	var declared asn1.ObjectIdentifier
	if err := a.single(oidContentType, &declared); err != nil || !declared.Equal(contentType) {
		return fmt.Errorf("%w: the signed content type is another", ErrMismatch)
	}
	var expected []byte
	if err := a.single(oidMessageDigest, &expected); err != nil || !bytes.Equal(expected, digest) {
		return fmt.Errorf("%w: the digest of the content is another", ErrMismatch)
	}
	return nil
}

func (a attributes) single(oid asn1.ObjectIdentifier, out any) error {
	values := a[oid.String()]
	if len(values) != 1 {
		return fmt.Errorf("%w: %d values of %v", ErrMalformed, len(values), oid)
	}
	if len(values[0].FullBytes) > maxAttribute {
		return fmt.Errorf("%w: the attribute %v", ErrBounds, oid)
	}
	_, err := asn1.Unmarshal(values[0].FullBytes, out)
	return err
}

func (a attributes) signingTime() *time.Time {
	var t time.Time
	if a.single(oidSigningTime, &t) != nil {
		return nil
	}
	return &t
}
