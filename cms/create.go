package cms

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Draft is a CAdES B-B signature that lacks its value.
type Draft struct {
	contentType asn1.ObjectIdentifier
	content     []byte
	chain       []*x509.Certificate
	attrs       []byte // SET OF Attribute, DER
}

// NewDraft begins the signature of content by chain[0], made at a time (to the
// second). The chain goes with it.
func NewDraft(content []byte, chain []*x509.Certificate, at time.Time) (*Draft, error) {
	return newDraft(oidData, content, chain, at)
}

func newDraft(contentType asn1.ObjectIdentifier, content []byte, chain []*x509.Certificate, at time.Time) (*Draft, error) {
	if len(chain) == 0 {
		return nil, errors.New("a signature needs its certificate")
	}
	if _, err := signatureAlgorithm(chain[0]); err != nil {
		return nil, err
	}
	digest := sha256.Sum256(content)
	certificate := sha256.Sum256(chain[0].Raw)
	attrs := [][]byte{
		attribute(oidContentType, must(asn1.Marshal(contentType))),
		attribute(oidSigningTime, must(asn1.Marshal(at.UTC().Truncate(time.Second)))),
		attribute(oidMessageDigest, octets(digest[:])),
		attribute(oidSigningCertificateV2, signingCertificateV2(chain[0], certificate[:])),
	}
	return &Draft{contentType, content, chain, setOf(attrs)}, nil
}

// Digest is the SHA-256 of the signed attributes: what the key signs.
func (d *Draft) Digest() []byte {
	digest := sha256.Sum256(d.attrs)
	return digest[:]
}

// Assemble returns the SignedData in DER, with the content inside. The value is
// checked with the certificate: a key that does not belong to it is found here.
func (d *Draft) Assemble(value []byte) ([]byte, error) {
	leaf := d.chain[0]
	algorithm, err := signatureAlgorithm(leaf)
	if err != nil {
		return nil, err
	}
	var identifier pkix.AlgorithmIdentifier
	if err = exact(algorithm, &identifier); err == nil {
		_, err = message{hash: crypto.SHA256, digest: d.Digest()}.verify(leaf.PublicKey, identifier, value)
	}
	if err != nil {
		return nil, fmt.Errorf("the signature does not fit the certificate of %s: %w", leaf.Subject, err)
	}
	var certificates [][]byte
	for _, c := range d.chain {
		certificates = append(certificates, c.Raw)
	}
	signer := sequence(
		must(asn1.Marshal(1)),
		sequence(leaf.RawIssuer, must(asn1.Marshal(leaf.SerialNumber))),
		digestAlgorithm(),
		retag(d.attrs, 0xa0),
		algorithm,
		octets(value),
	)
	version := 1
	if !d.contentType.Equal(oidData) { // RFC 5652 §5.1
		version = 3
	}
	content := pieces{must(asn1.Marshal(d.contentType))}.with(pieces{d.content}.in(octetString).in(0xa0)...).in(0x30)
	inner := pieces{must(asn1.Marshal(version)), setOf([][]byte{digestAlgorithm()})}.with(content...).
		with(retag(setOf(certificates), 0xa0), setOf([][]byte{signer})).in(0x30)
	return pieces{must(asn1.Marshal(oidSignedData))}.with(inner.in(0xa0)...).in(0x30).join(), nil
}

// AddToken puts a time stamp token over the first signer's value into a
// SignedData as its only unsigned attribute (CAdES B-T); all else stays byte
// for byte.
func AddToken(p7m, token []byte) ([]byte, error) {
	var outer struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue `asn1:"explicit,tag:0"`
	}
	if err := exact(p7m, &outer); err != nil {
		return nil, fmt.Errorf("reading the signature to be stamped: %w", err)
	}
	fields, err := children(outer.Content.Bytes)
	if err != nil || len(fields) == 0 {
		return nil, fmt.Errorf("%w: reading the signature to be stamped", ErrMalformed)
	}
	signers, err := children(fields[len(fields)-1])
	if err != nil || len(signers) != 1 {
		return nil, fmt.Errorf("%w: only a signature with one signer is stamped", ErrMalformed)
	}
	parts, err := children(signers[0])
	if err != nil || len(parts) != 6 || parts[5][0] != octetString {
		return nil, fmt.Errorf("%w: the signature has unsigned attributes already", ErrMalformed)
	}
	stamp := retag(setOf([][]byte{attribute(oidSignatureTimeStamp, token)}), 0xa1)
	fields[len(fields)-1] = setOf([][]byte{sequence(append(parts, stamp)...)})
	return pieces{must(asn1.Marshal(oidSignedData))}.with(pieces(fields).in(0x30).in(0xa0)...).in(0x30).join(), nil
}

// pieces are DER in parts that are joined once: the content of a signature may
// have many megabytes.
type pieces [][]byte

// in puts them into one element.
func (p pieces) in(tag byte) pieces {
	n := 0
	for _, b := range p {
		n += len(b)
	}
	return append(pieces{append([]byte{tag}, lengthOctets(n)...)}, p...)
}

func (p pieces) with(more ...[]byte) pieces { return append(p, more...) }

func (p pieces) join() []byte { return slices.Concat(p...) }

// signatureAlgorithm is the AlgorithmIdentifier that goes with the
// certificate's key and SHA-256.
func signatureAlgorithm(c *x509.Certificate) ([]byte, error) {
	switch c.PublicKey.(type) {
	case *rsa.PublicKey:
		return sequence(must(asn1.Marshal(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1})), asn1.NullBytes), nil
	case *ecdsa.PublicKey:
		return sequence(must(asn1.Marshal(asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}))), nil
	}
	return nil, fmt.Errorf("%w: signing with a key %s", ErrUnsupported, c.PublicKeyAlgorithm)
}

func digestAlgorithm() []byte { return sequence(must(asn1.Marshal(oidSHA256))) }

// signingCertificateV2 is RFC 5035 §4 with issuer and serial number; SHA-256 is
// the default and left out.
func signingCertificateV2(c *x509.Certificate, digest []byte) []byte {
	names := sequence(explicit(4, c.RawIssuer))
	id := sequence(octets(digest), sequence(names, must(asn1.Marshal(c.SerialNumber))))
	return sequence(sequence(id))
}

func attribute(oid asn1.ObjectIdentifier, value []byte) []byte {
	return sequence(must(asn1.Marshal(oid)), setOf([][]byte{value}))
}

// The few constructors of DER that are needed.

func octets(b []byte) []byte { return wrap(octetString, b) }

func sequence(parts ...[]byte) []byte { return wrap(0x30, parts...) }

func explicit(tag byte, b []byte) []byte { return wrap(0xa0|tag, b) }

// setOf sorts its elements, as DER wants it (X.690 §11.6).
func setOf(parts [][]byte) []byte {
	parts = slices.Clone(parts)
	slices.SortFunc(parts, bytes.Compare)
	return wrap(0x31, parts...)
}

func wrap(tag byte, parts ...[]byte) []byte {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	out := make([]byte, 0, n+6)
	out = append(append(out, tag), lengthOctets(n)...)
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

// retag returns an element under another tag (IMPLICIT).
func retag(b []byte, tag byte) []byte {
	b = bytes.Clone(b)
	b[0] = tag
	return b
}

// maxChildren bounds those of a sequence that are looked at one by one.
const maxChildren = 64

// children are the elements inside the one element that b is.
func children(b []byte) ([][]byte, error) {
	var outer asn1.RawValue
	if err := exact(b, &outer); err != nil {
		return nil, err
	}
	return elements(outer.Bytes, maxChildren)
}

// exact decodes DER that holds one value and nothing behind it.
func exact(der []byte, v any) error {
	rest, err := asn1.Unmarshal(der, v)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	case len(rest) > 0:
		return fmt.Errorf("%w: %d bytes follow it", ErrMalformed, len(rest))
	}
	return nil
}

// must is for values of our own, which can be written.
func must(b []byte, err error) []byte {
	if err != nil {
		panic("cms: encoding: " + err.Error())
	}
	return b
}
