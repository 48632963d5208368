package cms

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"time"
)

// The bounds of one SignedData beyond those of its encoding. What encoding/asn1
// and x509 make of lists takes many times their bytes, so all are counted first.
const (
	maxDigests      = 64
	maxCertificates = 64
	maxCertificate  = 32 << 10 // bytes of one
	maxSigners      = 64
	maxAttributes   = 256      // of one signer, signed and not
	maxValues       = 16       // of one attribute
	maxAttribute    = 64 << 10 // bytes of one value that is read
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
	// Content is what is signed, where Parse read it; nil when detached, and
	// after Open, which leaves it where it stands (Encapsulated).
	Content      []byte
	ContentType  asn1.ObjectIdentifier
	Certificates []*x509.Certificate // those that can be read
	Signers      []SignerInfo
	// Length is that of the encoding: the input may go on behind it.
	Length int64

	digests      []pkix.AlgorithmIdentifier // announced
	encapsulated *Content
}

// Encapsulated is the content where it stands in the input; nil when detached.
func (sd *SignedData) Encapsulated() *Content { return sd.encapsulated }

// IsStamp tells that it is a time stamp token (RFC 3161 §2.4.2).
func (sd *SignedData) IsStamp() bool { return sd.ContentType.Equal(oidTSTInfo) }

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
	// Counters are the countersignatures (RFC 5652 §11.4) over the value, which
	// are counted and not verified.
	Counters int
}

// Parse reads a SignedData in BER or DER (RFC 5652), with its content. All is
// copied once; nothing is verified.
func Parse(ber []byte) (*SignedData, error) {
	sd, err := Open(bytes.NewReader(ber), int64(len(ber)))
	if err != nil || sd.encapsulated == nil {
		return sd, err
	}
	sd.Content = make([]byte, sd.encapsulated.Size())
	if err := readFull(sd.encapsulated, sd.Content, 0); err != nil {
		return nil, err
	}
	sd.encapsulated = &Content{in: bytes.NewReader(sd.Content)}
	return sd, sd.encapsulated.runs.add(0, int64(len(sd.Content)))
}

// Open reads a SignedData in BER or DER whose content stays where it is: what
// is kept of a content is where its pieces stand (Encapsulated), so memory does
// not grow with it. r is read again for the content. Nothing is verified.
func Open(r io.ReaderAt, size int64) (*SignedData, error) {
	s := scanner{in: newWindow(r, size), shape: signedData}
	kind, err := s.contentInfo()
	switch {
	case err != nil:
		return nil, err
	case kind == Encrypted:
		return nil, ErrEncrypted
	case kind != Signed:
		return nil, fmt.Errorf("%w: it is no SignedData", ErrMalformed)
	}
	der, err := s.structure()
	if err != nil {
		return nil, err
	}
	sd, err := decode(der)
	if err != nil {
		return nil, err
	}
	sd.Length = s.pos
	sd.encapsulated, err = s.content(sd.encapsulated != nil)
	return sd, err
}

// structure is all but the content, in DER.
func (s *scanner) structure() ([]byte, error) {
	if err := s.scan(); err != nil {
		return nil, err
	}
	return s.der()
}

// content is where the content stands, if there is any. Scanner and decoder
// have to agree on that.
func (s *scanner) content(decoded bool) (*Content, error) {
	if decoded != s.found {
		return nil, fmt.Errorf("%w: its content is not where it has to be", ErrMalformed)
	}
	if !decoded {
		return nil, nil
	}
	return &Content{in: s.in.r, runs: s.runs}, nil
}

// Kind is what the outermost structure holds (ContentInfo, RFC 5652 §3).
type Kind uint8

const (
	Other       Kind = iota
	Signed           // Open
	TimeStamped      // OpenTimeStamped
	Encrypted        // with a key that is not here
)

// KindOf reads the first bytes, which may be all that there is.
func KindOf(head []byte) (Kind, error) {
	s := scanner{in: newWindow(bytes.NewReader(head), int64(len(head)))}
	return s.contentInfo()
}

// contentInfo reads the identifier of the content. The length before it may be
// any: of the input only the beginning may be there.
func (s *scanner) contentInfo() (Kind, error) {
	b, err := s.in.at(0, min(s.in.size, 32))
	if err != nil {
		return Other, err
	}
	skip := 2
	if len(b) > 2 && b[1] > 0x80 {
		skip += int(b[1] & 0x7f)
	}
	if len(b) < skip+2 || b[0] != sequenceTag || b[skip] != asn1.TagOID || len(b) < skip+2+int(b[skip+1]) {
		return Other, fmt.Errorf("%w: it is no ContentInfo", ErrMalformed)
	}
	var id asn1.ObjectIdentifier
	if err := exact(b[skip:skip+2+int(b[skip+1])], &id); err != nil {
		return Other, err
	}
	switch {
	case id.Equal(oidSignedData):
		return Signed, nil
	case id.Equal(oidTimeStampedData):
		return TimeStamped, nil
	case id.Equal(oidEnveloped), id.Equal(oidAuthEnveloped):
		return Encrypted, nil
	}
	return Other, nil
}

// decode reads the structure, in which an empty octet string stands for the
// content.
func decode(der []byte) (*SignedData, error) {
	var outer struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue `asn1:"explicit,tag:0"`
	}
	var inner struct {
		Version int
		Digests asn1.RawValue
		Content struct {
			Type    asn1.ObjectIdentifier
			Content asn1.RawValue `asn1:"explicit,optional,tag:0"`
		}
		Certificates asn1.RawValue `asn1:"optional,tag:0"`
		CRLs         asn1.RawValue `asn1:"optional,tag:1"`
		Signers      asn1.RawValue
	}
	if err := exact(der, &outer); err != nil {
		return nil, err
	}
	if _, err := asn1.Unmarshal(outer.Content.Bytes, &inner); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	digests, err := setOfValues[pkix.AlgorithmIdentifier](inner.Digests, maxDigests)
	if err != nil {
		return nil, fmt.Errorf("the digests: %w", err)
	}
	signers, err := setOfValues[SignerInfo](inner.Signers, maxSigners)
	if err != nil {
		return nil, fmt.Errorf("the signers: %w", err)
	}
	if len(signers) == 0 {
		return nil, fmt.Errorf("%w: nobody signed it", ErrMalformed)
	}
	sd := &SignedData{ContentType: inner.Content.Type, digests: digests, Signers: signers}
	if explicit := inner.Content.Content; explicit.FullBytes != nil {
		if !bytes.Equal(explicit.Bytes, []byte{octetString, 0}) {
			return nil, fmt.Errorf("%w: its content is no octet string", ErrMalformed)
		}
		sd.encapsulated = &Content{}
	}
	sd.Certificates, err = parseCertificates(inner.Certificates.Bytes)
	return sd, err
}

// setOfValues decodes the values of a SET OF, at most so many.
func setOfValues[T any](set asn1.RawValue, most int) ([]T, error) {
	if set.Class != asn1.ClassUniversal || set.Tag != asn1.TagSet || !set.IsCompound {
		return nil, fmt.Errorf("%w: it is no set", ErrMalformed)
	}
	all, err := elements(set.Bytes, most)
	if err != nil {
		return nil, err
	}
	values := make([]T, len(all))
	for i, b := range all {
		if err := exact(b, &values[i]); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// elements are the encodings in a row, at most so many.
func elements(b []byte, most int) ([][]byte, error) {
	var all [][]byte
	for len(b) > 0 {
		var v asn1.RawValue
		rest, err := asn1.Unmarshal(b, &v)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
		}
		if len(all) >= most {
			return nil, fmt.Errorf("%w: more than %d of a kind", ErrBounds, most)
		}
		all, b = append(all, v.FullBytes), rest
	}
	return all, nil
}

// parseCertificates reads a CertificateSet. One that cannot be read (an
// attribute certificate, a key of another kind) is left out: the signer's own
// must be there, and a chain without it fails. So is one with a key so large
// that verifying anything with it would be an attack.
func parseCertificates(b []byte) ([]*x509.Certificate, error) {
	all, err := elements(b, maxCertificates)
	if err != nil {
		return nil, err
	}
	var list []*x509.Certificate
	for _, raw := range all {
		if len(raw) > maxCertificate {
			continue
		}
		if c, err := x509.ParseCertificate(raw); err == nil && !enormous(c) {
			list = append(list, c)
		}
	}
	return list, nil
}

func enormous(c *x509.Certificate) bool {
	key, ok := publicKey(c).(*rsa.PublicKey)
	return ok && key.N.BitLen() > rsaBitsMax
}
