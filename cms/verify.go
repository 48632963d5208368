package cms

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	_ "crypto/sha1" // the digests of digestAlgorithms
	_ "crypto/sha256"
	_ "crypto/sha512"
)

// The bounds of one SignedData beyond those of its encoding.
const (
	maxCertificates = 64
	maxSigners      = 8
	rsaBitsMax      = 16384
)

// Errors that callers branch on. Only ErrMismatch and ErrMalformed say that
// something is wrong with a signature; the others say that it is not known.
var (
	ErrMismatch    = errors.New("the content or the signature was changed")
	ErrUnsupported = errors.New("the signature uses an algorithm that is not verified here")
	ErrEncrypted   = errors.New("the message is encrypted")
	// ErrNoCertificate: the signer's certificate is not in the signature or
	// cannot be read.
	ErrNoCertificate = errors.New("the signer's certificate is not with the signature, or is not readable")
)

// SignedData is a CMS SignedData (RFC 5652 §5) after decoding: what is signed
// inside it, if anything, the certificates it brings and its signers.
type SignedData struct {
	Content      []byte // nil when detached
	ContentType  asn1.ObjectIdentifier
	Certificates []*x509.Certificate // those that can be read
	Signers      []SignerInfo

	digests []pkix.AlgorithmIdentifier // announced
}

// SignerInfo is RFC 5652 §5.3.
type SignerInfo struct {
	Version      int
	SID          asn1.RawValue
	Digest       pkix.AlgorithmIdentifier
	SignedAttrs  asn1.RawValue `asn1:"optional,tag:0"`
	Algorithm    pkix.AlgorithmIdentifier
	Signature    []byte
	UnsignedAttr asn1.RawValue `asn1:"optional,tag:1"`
}

// Signer is the outcome for one SignerInfo whose signature fits.
type Signer struct {
	Certificate *x509.Certificate
	Algorithm   string     // as x509 names it: SHA256-RSA
	Weak        bool       // SHA-1 digest
	Time        *time.Time // signingTime, what the signer says
	// Bound: a signingCertificate attribute names this certificate, as CAdES
	// (EN 319 122-1 §5.2.2) and RFC 3161 want it.
	Bound     bool
	Signature []byte // the signature value
	Token     []byte // the first signatureTimeStamp, not checked; nil: none
}

var (
	oidData          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidSignedData    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	oidEnveloped     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 3}
	oidAuthEnveloped = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 23}
	oidContentType   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}
	oidMessageDigest = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}
	oidSigningTime   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 5}
)

// digestAlgorithms are those a signer may use; SHA-1 because PEC providers
// still do.
var digestAlgorithms = map[string]crypto.Hash{
	"1.3.14.3.2.26":          crypto.SHA1,
	"2.16.840.1.101.3.4.2.4": crypto.SHA224,
	"2.16.840.1.101.3.4.2.1": crypto.SHA256,
	"2.16.840.1.101.3.4.2.2": crypto.SHA384,
	"2.16.840.1.101.3.4.2.3": crypto.SHA512,
}

// scheme is how a signature value is made.
type scheme int

const (
	pkcs1 scheme = iota + 1
	pss
	ecdsaDER
)

// signatureAlgorithms name the scheme and, where the identifier says so, the
// digest that has to go with it.
var signatureAlgorithms = map[string]struct {
	scheme scheme
	digest crypto.Hash
}{
	"1.2.840.113549.1.1.1":  {pkcs1, 0}, // rsaEncryption
	"1.2.840.113549.1.1.5":  {pkcs1, crypto.SHA1},
	"1.2.840.113549.1.1.14": {pkcs1, crypto.SHA224},
	"1.2.840.113549.1.1.11": {pkcs1, crypto.SHA256},
	"1.2.840.113549.1.1.12": {pkcs1, crypto.SHA384},
	"1.2.840.113549.1.1.13": {pkcs1, crypto.SHA512},
	"1.2.840.113549.1.1.10": {pss, 0},
	"1.2.840.10045.2.1":     {ecdsaDER, 0}, // ecPublicKey
	"1.2.840.10045.4.1":     {ecdsaDER, crypto.SHA1},
	"1.2.840.10045.4.3.1":   {ecdsaDER, crypto.SHA224},
	"1.2.840.10045.4.3.2":   {ecdsaDER, crypto.SHA256},
	"1.2.840.10045.4.3.3":   {ecdsaDER, crypto.SHA384},
	"1.2.840.10045.4.3.4":   {ecdsaDER, crypto.SHA512},
}

// Parse reads a SignedData in BER or DER (RFC 5652). The content and all else
// is copied once; nothing is verified.
func Parse(ber []byte) (*SignedData, error) {
	der, err := derFromBER(ber)
	if err != nil {
		return nil, err
	}
	var outer struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue `asn1:"explicit,optional,tag:0"`
	}
	if _, err := asn1.Unmarshal(der, &outer); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	switch {
	case outer.Type.Equal(oidEnveloped), outer.Type.Equal(oidAuthEnveloped):
		return nil, ErrEncrypted
	case !outer.Type.Equal(oidSignedData):
		return nil, fmt.Errorf("%w: it is no SignedData", ErrMalformed)
	}
	var inner struct {
		Version      int
		Digests      []pkix.AlgorithmIdentifier `asn1:"set"`
		Content      encapsulated
		Certificates asn1.RawValue `asn1:"optional,tag:0"`
		CRLs         asn1.RawValue `asn1:"optional,tag:1"`
		Signers      []SignerInfo  `asn1:"set"`
	}
	if _, err := asn1.Unmarshal(outer.Content.Bytes, &inner); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if len(inner.Signers) == 0 {
		return nil, fmt.Errorf("%w: nobody signed it", ErrMalformed)
	}
	if len(inner.Signers) > maxSigners {
		return nil, ErrBounds
	}
	sd := &SignedData{ContentType: inner.Content.Type, digests: inner.Digests, Signers: inner.Signers}
	if inner.Content.Content.FullBytes != nil {
		var content asn1.RawValue // a []byte would be one more copy
		if _, err := asn1.Unmarshal(inner.Content.Content.Bytes, &content); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
		}
		if content.Class != asn1.ClassUniversal || content.Tag != asn1.TagOctetString || content.IsCompound {
			return nil, fmt.Errorf("%w: its content is no octet string", ErrMalformed)
		}
		sd.Content = content.Bytes
	}
	sd.Certificates, err = parseCertificates(inner.Certificates.Bytes)
	return sd, err
}

type encapsulated struct {
	Type    asn1.ObjectIdentifier
	Content asn1.RawValue `asn1:"explicit,optional,tag:0"`
}

// parseCertificates reads a CertificateSet. One that cannot be read (an
// attribute certificate, a key of another kind) is left out: the signer's own
// must be there, and a chain without it fails.
func parseCertificates(b []byte) ([]*x509.Certificate, error) {
	var list []*x509.Certificate
	for n := 0; len(b) > 0; n++ {
		var raw asn1.RawValue
		rest, err := asn1.Unmarshal(b, &raw)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
		}
		if n >= maxCertificates {
			return nil, ErrBounds
		}
		if c, err := x509.ParseCertificate(raw.FullBytes); err == nil {
			list = append(list, c)
		}
		b = rest
	}
	return list, nil
}

// Verify checks signer i against content: the digest, the attributes, the
// signature value. Trust in the certificate is another matter. The certificate
// is given also with an error, when it is known.
func (sd *SignedData) Verify(i int, content []byte) (Signer, error) {
	si := &sd.Signers[i]
	hash, ok := digestAlgorithms[si.Digest.Algorithm.String()]
	if !ok {
		return Signer{}, fmt.Errorf("%w: digest %v", ErrUnsupported, si.Digest.Algorithm)
	}
	s := Signer{Certificate: sd.certificate(si.SID), Weak: hash == crypto.SHA1, Signature: si.Signature, Token: si.token()}
	if s.Certificate == nil {
		return s, ErrNoCertificate
	}
	if !sd.announced(si.Digest.Algorithm) {
		return s, fmt.Errorf("%w: the signer's digest is not announced", ErrMismatch)
	}
	signed := content
	if si.SignedAttrs.FullBytes != nil {
		attrs, err := parseAttributes(si.SignedAttrs.Bytes)
		if err != nil {
			return s, err
		}
		if err := attrs.check(sd.ContentType, sum(hash, content)); err != nil {
			return s, err
		}
		s.Time = attrs.signingTime()
		s.Bound = attrs.bind(s.Certificate)
		// What is signed is the SET OF encoding, not the [0] (RFC 5652 §5.4).
		signed = bytes.Clone(si.SignedAttrs.FullBytes)
		signed[0] = 0x31
	} else if !sd.ContentType.Equal(oidData) {
		return s, fmt.Errorf("%w: signed attributes are missing", ErrMismatch) // RFC 5652 §5.3
	}
	var err error
	s.Algorithm, err = verifyValue(s.Certificate.PublicKey, hash, si.Algorithm, sum(hash, signed), si.Signature)
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
	attrs := attributes{}
	for len(b) > 0 {
		var a struct {
			Type   asn1.ObjectIdentifier
			Values []asn1.RawValue `asn1:"set"`
		}
		rest, err := asn1.Unmarshal(b, &a)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
		}
		attrs[a.Type.String()] = append(attrs[a.Type.String()], a.Values...)
		b = rest
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

// verifyValue checks a signature value over digest and names the algorithm in
// the way of x509.
func verifyValue(key any, hash crypto.Hash, alg pkix.AlgorithmIdentifier, digest, value []byte) (string, error) {
	a, ok := signatureAlgorithms[alg.Algorithm.String()]
	if !ok || a.digest != 0 && a.digest != hash {
		return "", fmt.Errorf("%w: %v with %v", ErrUnsupported, alg.Algorithm, hash)
	}
	name := hashName(hash)
	switch key := key.(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < 1024 || bits > rsaBitsMax {
			return "", fmt.Errorf("%w: an RSA key of %d bits", ErrUnsupported, bits)
		}
		if a.scheme == pkcs1 {
			return name + "-RSA", fits(rsa.VerifyPKCS1v15(key, hash, digest, value) == nil)
		}
		if a.scheme == pss {
			opts, err := pssOptions(alg.Parameters.FullBytes, hash)
			if err != nil {
				return "", err
			}
			return name + "-RSAPSS", fits(rsa.VerifyPSS(key, hash, digest, value, opts) == nil)
		}
	case *ecdsa.PublicKey:
		if a.scheme == ecdsaDER && key.Curve != elliptic.P224() {
			return "ECDSA-" + name, fits(ecdsa.VerifyASN1(key, digest, value))
		}
	}
	return "", fmt.Errorf("%w: %v with a key %T", ErrUnsupported, alg.Algorithm, key)
}

func fits(ok bool) error {
	if !ok {
		return ErrMismatch
	}
	return nil
}

// pssOptions reads RSASSA-PSS-params (RFC 4055 §3.1). Only one digest for both
// message and mask is verified here.
func pssOptions(params []byte, hash crypto.Hash) (*rsa.PSSOptions, error) {
	p := struct {
		Hash    pkix.AlgorithmIdentifier `asn1:"explicit,optional,tag:0"`
		MGF     pkix.AlgorithmIdentifier `asn1:"explicit,optional,tag:1"`
		Salt    int                      `asn1:"explicit,optional,tag:2,default:20"`
		Trailer int                      `asn1:"explicit,optional,tag:3,default:1"`
	}{}
	if _, err := asn1.Unmarshal(params, &p); err != nil {
		return nil, fmt.Errorf("%w: RSASSA-PSS: %w", ErrUnsupported, err)
	}
	digest, mask := crypto.SHA1, crypto.SHA1 // the defaults
	if p.Hash.Algorithm != nil {
		digest = digestAlgorithms[p.Hash.Algorithm.String()]
	}
	if p.MGF.Algorithm != nil {
		var of pkix.AlgorithmIdentifier
		if _, err := asn1.Unmarshal(p.MGF.Parameters.FullBytes, &of); err != nil {
			return nil, fmt.Errorf("%w: RSASSA-PSS: %w", ErrUnsupported, err)
		}
		mask = digestAlgorithms[of.Algorithm.String()]
	}
	if digest != hash || mask != hash || p.Trailer != 1 || p.Salt < 0 || p.Salt > 512 {
		return nil, fmt.Errorf("%w: RSASSA-PSS with these parameters", ErrUnsupported)
	}
	return &rsa.PSSOptions{SaltLength: p.Salt, Hash: hash}, nil
}

func sum(hash crypto.Hash, b []byte) []byte {
	h := hash.New()
	h.Write(b)
	return h.Sum(nil)
}

// hashName is the short name as x509 writes it in algorithm names.
func hashName(hash crypto.Hash) string {
	return map[crypto.Hash]string{crypto.SHA1: "SHA1", crypto.SHA224: "SHA224", crypto.SHA256: "SHA256",
		crypto.SHA384: "SHA384", crypto.SHA512: "SHA512"}[hash]
}
