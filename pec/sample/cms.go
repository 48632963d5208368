package sample

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"time"

	_ "crypto/sha1" // the digests of digestOIDs
	_ "crypto/sha256"
	_ "crypto/sha512"
)

// Form says how a signature is made and encoded (RFC 5652, RFC 8551). The zero
// value is detached DER with signed attributes, the provider's digest, and the
// provider's CA certificate beside the signer's.
type Form struct {
	Digest         crypto.Hash // default the provider's
	PSS            bool        // RSASSA-PSS instead of PKCS #1 v1.5
	Opaque         bool        // application/pkcs7-mime, with the content inside
	Indefinite     bool        // BER: indefinite lengths, the content in pieces
	NoAttributes   bool        // the content itself is signed
	KeyID          bool        // the signer is named by subject key identifier
	NoIssuers      bool        // only the signer's certificate goes along
	NoCertificates bool
	Time           time.Time   // signingTime; default the present
	With           []*Provider // further signers of the same content
	Inside         []byte      // content that a detached signature brings all the same

	digest []byte // of the content, when it is not at hand
}

// signer is who signs: a leaf, its key, and the certificates above it.
type signer struct {
	cert   *x509.Certificate
	key    crypto.Signer
	issuer []*x509.Certificate
}

var (
	oidData          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidSignedData    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	oidContentType   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}
	oidMessageDigest = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}
	oidSigningTime   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 5}
	oidRSA           = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
	oidMGF1          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 8}
	oidPSS           = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}
)

var digestOIDs = map[crypto.Hash]asn1.ObjectIdentifier{
	crypto.SHA1: {1, 3, 14, 3, 2, 26}, crypto.SHA224: {2, 16, 840, 1, 101, 3, 4, 2, 4}, crypto.SHA256: {2, 16, 840, 1, 101, 3, 4, 2, 1},
	crypto.SHA384: {2, 16, 840, 1, 101, 3, 4, 2, 2}, crypto.SHA512: {2, 16, 840, 1, 101, 3, 4, 2, 3},
}

var ecdsaOIDs = map[crypto.Hash]asn1.ObjectIdentifier{
	crypto.SHA1: {1, 2, 840, 10045, 4, 1}, crypto.SHA224: {1, 2, 840, 10045, 4, 3, 1}, crypto.SHA256: {1, 2, 840, 10045, 4, 3, 2},
	crypto.SHA384: {1, 2, 840, 10045, 4, 3, 3}, crypto.SHA512: {1, 2, 840, 10045, 4, 3, 4},
}

// cms is a SignedData over content by all signers. It is an encoder of its own,
// so that what it makes does not share mistakes with the reader it tests.
func (f Form) cms(content []byte, signers ...signer) ([]byte, error) {
	var infos [][]byte
	certs := map[string][]byte{}
	for _, s := range signers {
		info, err := f.signerInfo(content, s)
		if err != nil {
			return nil, err
		}
		infos = append(infos, info)
		certs[string(s.cert.Raw)] = s.cert.Raw
		for _, c := range s.issuer {
			if !f.NoIssuers {
				certs[string(c.Raw)] = c.Raw
			}
		}
	}
	inside := f.Inside
	if f.Opaque {
		inside = content
	}
	fields := [][]byte{marshal(1), set(sequence(algorithm(digestOIDs[f.Digest]))), f.encapsulated(inside)}
	if !f.NoCertificates {
		list := make([][]byte, 0, len(certs))
		for _, c := range certs {
			list = append(list, c)
		}
		fields = append(fields, retag(set(list...), 0xa0))
	}
	fields = append(fields, set(infos...))
	return f.wrap(0x30, marshal(oidSignedData), f.wrap(0xa0, f.wrap(0x30, fields...))), nil
}

// pieceSize is how openssl cuts a content of indefinite length.
const pieceSize = 1000

// encapsulated is the EncapsulatedContentInfo, without content when nil.
func (f Form) encapsulated(content []byte) []byte {
	if content == nil {
		return f.wrap(0x30, marshal(oidData))
	}
	octets := element(0x04, content)
	if f.Indefinite {
		var pieces [][]byte
		for piece := range slices.Chunk(content, pieceSize) {
			pieces = append(pieces, element(0x04, piece))
		}
		octets = f.wrap(0x24, pieces...)
	}
	return f.wrap(0x30, marshal(oidData), f.wrap(0xa0, octets))
}

// signerInfo is RFC 5652 §5.3.
func (f Form) signerInfo(content []byte, s signer) ([]byte, error) {
	version, sid := 1, sequence(s.cert.RawIssuer, marshal(s.cert.SerialNumber))
	if f.KeyID {
		version, sid = 3, element(0x80, s.cert.SubjectKeyId)
	}
	fields := [][]byte{marshal(version), sid, sequence(algorithm(digestOIDs[f.Digest]))}
	signed := content
	if !f.NoAttributes {
		at := f.Time
		if at.IsZero() {
			at = time.Now()
		}
		signed = set(
			sequence(marshal(oidContentType), set(marshal(oidData))),
			sequence(marshal(oidSigningTime), set(marshal(at.UTC().Truncate(time.Second)))),
			sequence(marshal(oidMessageDigest), set(element(0x04, f.messageDigest(content)))))
		fields = append(fields, retag(signed, 0xa0))
	}
	name, value, err := f.value(s, sum(f.Digest, signed))
	if err != nil {
		return nil, err
	}
	return sequence(append(fields, name, element(0x04, value))...), nil
}

func (f Form) messageDigest(content []byte) []byte {
	if f.digest != nil {
		return f.digest
	}
	return sum(f.Digest, content)
}

// value is the algorithm's identifier and the signature value over a digest.
func (f Form) value(s signer, digest []byte) (name, value []byte, err error) {
	var opts crypto.SignerOpts = f.Digest
	switch s.key.Public().(type) {
	case *ecdsa.PublicKey:
		name = sequence(marshal(ecdsaOIDs[f.Digest]))
	case *rsa.PublicKey:
		name = sequence(algorithm(oidRSA))
		if f.PSS {
			opts = &rsa.PSSOptions{SaltLength: f.Digest.Size(), Hash: f.Digest}
			hash := sequence(algorithm(digestOIDs[f.Digest]))
			name = sequence(marshal(oidPSS), sequence(element(0xa0, hash),
				element(0xa1, sequence(marshal(oidMGF1), hash)), element(0xa2, marshal(f.Digest.Size()))))
		}
	default:
		return nil, nil, fmt.Errorf("signing a sample: %w", errors.ErrUnsupported)
	}
	value, err = s.key.Sign(rand.Reader, digest, opts)
	return name, value, err
}

func sum(h crypto.Hash, b []byte) []byte {
	w := h.New()
	w.Write(b)
	return w.Sum(nil)
}

// The few constructors of DER and BER that are needed.

// wrap is a constructed element, of indefinite length in that form (X.690 §8.1.3.6).
func (f Form) wrap(tag byte, parts ...[]byte) []byte {
	if f.Indefinite {
		return slices.Concat([]byte{tag, 0x80}, slices.Concat(parts...), []byte{0, 0})
	}
	return element(tag, parts...)
}

// element is one in definite, shortest form.
func element(tag byte, parts ...[]byte) []byte {
	body := slices.Concat(parts...)
	n := len(body)
	var length []byte
	switch {
	case n < 0x80:
		length = []byte{byte(n)}
	case n < 0x100:
		length = []byte{0x81, byte(n)}
	case n < 0x10000:
		length = []byte{0x82, byte(n >> 8), byte(n)}
	default:
		length = []byte{0x84, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
	}
	return slices.Concat([]byte{tag}, length, body)
}

func sequence(parts ...[]byte) []byte { return element(0x30, parts...) }

// set sorts its elements, as DER wants it (X.690 §11.6).
func set(parts ...[]byte) []byte {
	parts = slices.Clone(parts)
	slices.SortFunc(parts, bytes.Compare)
	return element(0x31, parts...)
}

// retag puts an element under another tag.
func retag(b []byte, tag byte) []byte {
	b = bytes.Clone(b)
	b[0] = tag
	return b
}

// algorithm is an OID with the NULL that most algorithms have beside it.
func algorithm(oid asn1.ObjectIdentifier) []byte {
	return slices.Concat(marshal(oid), asn1.NullBytes)
}

// marshal is for values that encoding/asn1 can always write.
func marshal(v any) []byte {
	b, err := asn1.Marshal(v)
	if err != nil {
		panic("sample: encoding: " + err.Error())
	}
	return b
}

// Enveloped is what an encrypted message holds (RFC 5652 §6): the outline of an
// EnvelopedData, whose content nobody here can read.
func Enveloped(ciphertext []byte) []byte {
	oidEnveloped := asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 3}
	oidAES := asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}
	issuer := marshal(pkix.Name{CommonName: "CA"}.ToRDNSequence())
	recipient := sequence(marshal(0), sequence(issuer, marshal(7)), sequence(algorithm(oidRSA)), element(0x04, make([]byte, 256)))
	content := sequence(marshal(oidData), sequence(marshal(oidAES), element(0x04, make([]byte, 16))), element(0x80, ciphertext))
	return sequence(marshal(oidEnveloped), element(0xa0, sequence(marshal(0), set(recipient), content)))
}
