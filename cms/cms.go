// Package cms reads, verifies and makes signatures in the Cryptographic Message
// Syntax (RFC 5652): those of PEC providers, of documents that people send, of
// the daily register, and time stamps (RFC 3161).
//
// What is read is hostile. Open takes DER and BER, also of indefinite length and
// with octet strings in pieces, and leaves the content where it stands: of a
// .p7m of many megabytes it keeps where the pieces are, and who hashed them in
// passing verifies with VerifyDigest. Parse is Open for who has the bytes. Both
// keep a stack of their own and are bounded in depth, in what they keep of the
// structure, and in the lists of it; time is linear in the input, and memory does
// not grow with it. Chains bounds what the certificates cost that come along.
//
// Verify is mathematics: it says whether digest, attributes and signature value
// fit a content, with RSA (PKCS #1 v1.5, and PSS with any known mask), ECDSA and
// Ed25519, SHA-1 (marked as weak) to SHA-512. What it does not know is
// ErrUnsupported, never ErrMismatch: not verifiable is not the same as wrong.
// Whom to trust is the caller's question, but for time stamps, whose rules are
// the same everywhere (VerifyStamp).
//
// What is made is CAdES B-B and B-T (EN 319 122-1), in DER, and the same bytes
// for the same input. It is made in two steps, NewDraft and Assemble, because a
// key may be in a token or with a remote service: between them stands the
// digest that the key signs.
package cms

import (
	"bytes"
	"crypto"
	"crypto/sha1" //nolint:gosec // names a certificate in old time stamps, no signature rests on it
	"crypto/x509"
	"encoding/asn1"
	"slices"
)

var (
	oidSigningCertificate   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 12}
	oidSigningCertificateV2 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 47}
	oidSignatureTimeStamp   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 14}
	oidCounterSignature     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 6}
	oidSHA256               = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
)

// bind tells whether signingCertificateV2 (RFC 5035) or signingCertificate (RFC
// 2634) names the certificate first.
func (a attributes) bind(c *x509.Certificate) bool {
	var v2 struct {
		Certs []struct {
			Hash   asn1.RawValue // AlgorithmIdentifier, or the digest when it is SHA-256
			Digest []byte        `asn1:"optional"`
			Serial asn1.RawValue `asn1:"optional"`
		}
	}
	if a.single(oidSigningCertificateV2, &v2) == nil && len(v2.Certs) > 0 {
		id := v2.Certs[0]
		hash, digest := crypto.SHA256, id.Digest
		if id.Hash.Tag == asn1.TagOctetString {
			digest = id.Hash.Bytes
		} else {
			var alg struct {
				Algorithm asn1.ObjectIdentifier
				Rest      asn1.RawValue `asn1:"optional"`
			}
			if _, err := asn1.Unmarshal(id.Hash.FullBytes, &alg); err != nil {
				return false
			}
			hash = digestAlgorithms[alg.Algorithm.String()]
		}
		return hash.Available() && bytes.Equal(sum(hash, c.Raw), digest)
	}
	var v1 struct {
		Certs []struct {
			Digest []byte
			Serial asn1.RawValue `asn1:"optional"`
		}
	}
	if a.single(oidSigningCertificate, &v1) != nil || len(v1.Certs) == 0 {
		return false
	}
	digest := sha1.Sum(c.Raw)
	return bytes.Equal(digest[:], v1.Certs[0].Digest)
}

// unsigned reads the unsigned attributes: the first signatureTimeStamp, and how
// many countersignatures there are.
func (si *SignerInfo) unsigned() (token []byte, counters int) {
	attrs, err := parseAttributes(si.UnsignedAttr.Bytes)
	if err != nil {
		return nil, 0
	}
	if values := attrs[oidSignatureTimeStamp.String()]; len(values) > 0 {
		token = slices.Clone(values[0].FullBytes)
	}
	return token, len(attrs[oidCounterSignature.String()])
}
