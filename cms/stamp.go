package cms

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"time"
	"unicode"
)

// maxResponse bounds an answer of a time stamping authority, which has some
// kilobytes.
const maxResponse = 256 << 10

var oidTSTInfo = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 4}

// StampRequest asks for a time stamp of a SHA-256 (RFC 3161 §2.4.1).
type StampRequest struct {
	DER    []byte
	digest []byte
	policy asn1.ObjectIdentifier
	nonce  *big.Int
}

// NewStampRequest asks for a stamp under a policy (nil: the authority's own),
// with a nonce, and for the authority's certificate.
func NewStampRequest(digest []byte, policy asn1.ObjectIdentifier) (*StampRequest, error) {
	if len(digest) != 32 {
		return nil, fmt.Errorf("a SHA-256 has 32 bytes, not %d", len(digest))
	}
	nonce, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("making a nonce: %w", err)
	}
	fields := [][]byte{must(asn1.Marshal(1)), imprint(digest)}
	if policy != nil {
		b, err := asn1.Marshal(policy)
		if err != nil {
			return nil, fmt.Errorf("the policy %v: %w", policy, err)
		}
		fields = append(fields, b)
	}
	fields = append(fields, must(asn1.Marshal(nonce)), must(asn1.Marshal(true)))
	return &StampRequest{DER: sequence(fields...), digest: digest, policy: policy, nonce: nonce}, nil
}

func imprint(digest []byte) []byte {
	return sequence(sequence(must(asn1.Marshal(oidSHA256)), asn1.NullBytes), octets(digest))
}

// failures are the bits of PKIFailureInfo (RFC 3161 §2.4.2).
var failures = map[int]string{
	0: "the algorithm is not supported", 2: "it does not permit or support this", 5: "the request has a wrong format",
	14: "its source of time is not available", 15: "the policy is not accepted", 16: "an extension is not accepted",
	17: "additional information is not available", 25: "it has an internal failure",
}

// Read takes the token out of the authority's answer and holds it against the
// request: status, imprint, nonce and policy. The signature is VerifyStamp's.
func (r *StampRequest) Read(response []byte) (token []byte, err error) {
	token, err = ResponseToken(response)
	if err != nil {
		return nil, err
	}
	stamp, err := ParseStamp(token)
	switch {
	case err != nil:
		return nil, err
	case stamp.Hash != crypto.SHA256 || !bytes.Equal(stamp.Digest, r.digest):
		return nil, fmt.Errorf("%w: it stamped another digest", ErrMismatch)
	case stamp.Nonce == nil || stamp.Nonce.Cmp(r.nonce) != 0:
		return nil, fmt.Errorf("%w: it answered another request (nonce)", ErrMismatch)
	case r.policy != nil && !stamp.Policy.Equal(r.policy):
		return nil, fmt.Errorf("%w: it stamped under policy %v instead of %v", ErrMismatch, stamp.Policy, r.policy)
	}
	return token, nil
}

// ResponseToken takes the token out of an authority's answer (TimeStampResp, RFC
// 3161 §2.4.2). An answer without one is an error in the authority's words.
func ResponseToken(response []byte) ([]byte, error) {
	if len(response) > maxResponse {
		return nil, fmt.Errorf("%w: the answer has %d bytes", ErrBounds, len(response))
	}
	der, err := derFromBER(response)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Status struct {
			Status int
			Text   []asn1.RawValue `asn1:"optional"`
			Fail   asn1.BitString  `asn1:"optional"`
		}
		Token asn1.RawValue `asn1:"optional"`
	}
	if err := exact(der, &answer); err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	if answer.Status.Status > 1 {
		return nil, fmt.Errorf("the request was refused: %s", refusal(answer.Status.Status, answer.Status.Text, answer.Status.Fail))
	}
	return answer.Token.FullBytes, nil
}

// refusal puts a refusal into words; those of the authority's are cut, and fit
// for a log.
func refusal(status int, text []asn1.RawValue, fail asn1.BitString) string {
	said := []string{fmt.Sprintf("status %d", status)}
	for _, bit := range slices.Sorted(maps.Keys(failures)) {
		if fail.At(bit) == 1 {
			said = append(said, failures[bit])
		}
	}
	for _, t := range text[:min(len(text), 3)] {
		words := strings.ToValidUTF8(string(t.Bytes[:min(len(t.Bytes), 200)]), "?")
		said = append(said, strings.Map(func(r rune) rune {
			if !unicode.IsPrint(r) {
				return ' '
			}
			return r
		}, words))
	}
	return strings.Join(said, ", ")
}

// Stamp is what a time stamp token says (TSTInfo, RFC 3161 §2.4.2).
type Stamp struct {
	Time      time.Time
	Serial    *big.Int
	Policy    asn1.ObjectIdentifier
	Hash      crypto.Hash // of Digest
	Digest    []byte      // of what was stamped
	Nonce     *big.Int
	Algorithm string // of its signature, when that fits
	Weak      bool   // which rests on SHA-1
	// Certificate is the authority's, and Certificates are all that came with
	// it; set by VerifyStamp.
	Certificate  *x509.Certificate
	Certificates []*x509.Certificate
}

// ParseStamp reads a token without verifying it.
func ParseStamp(token []byte) (Stamp, error) {
	s, _, err := parseStamp(token)
	return s, err
}

func parseStamp(token []byte) (Stamp, *SignedData, error) {
	if len(token) > maxResponse {
		return Stamp{}, nil, fmt.Errorf("%w: the time stamp has %d bytes", ErrBounds, len(token))
	}
	sd, err := Parse(token)
	switch {
	case err != nil:
		return Stamp{}, nil, fmt.Errorf("reading the time stamp: %w", err)
	case !sd.ContentType.Equal(oidTSTInfo) || sd.Content == nil:
		return Stamp{}, nil, fmt.Errorf("%w: it is no time stamp token", ErrMalformed)
	case len(sd.Signers) != 1: // RFC 3161 §2.4.2
		return Stamp{}, nil, fmt.Errorf("%w: a time stamp with %d signers", ErrMalformed, len(sd.Signers))
	}
	var info struct {
		Version int
		Policy  asn1.ObjectIdentifier
		Imprint struct {
			Hash struct {
				Algorithm asn1.ObjectIdentifier
				Rest      asn1.RawValue `asn1:"optional"`
			}
			Digest []byte
		}
		Serial   *big.Int
		Time     asn1.RawValue
		Accuracy struct {
			Seconds int `asn1:"optional"`
			Millis  int `asn1:"optional,tag:0"`
			Micros  int `asn1:"optional,tag:1"`
		} `asn1:"optional"`
		Ordering   bool          `asn1:"optional"`
		Nonce      *big.Int      `asn1:"optional"`
		TSA        asn1.RawValue `asn1:"optional,tag:0"`
		Extensions asn1.RawValue `asn1:"optional,tag:1"`
	}
	if err := exact(sd.Content, &info); err != nil {
		return Stamp{}, nil, fmt.Errorf("reading the time stamp: %w", err)
	}
	at, err := generalizedTime(info.Time)
	hash := digestAlgorithms[info.Imprint.Hash.Algorithm.String()]
	switch {
	case err != nil:
		return Stamp{}, nil, err
	case info.Version != 1:
		return Stamp{}, nil, fmt.Errorf("%w: a time stamp of version %d", ErrUnsupported, info.Version)
	case hash == 0:
		return Stamp{}, nil, fmt.Errorf("%w: a time stamp over %v", ErrUnsupported, info.Imprint.Hash.Algorithm)
	}
	return Stamp{Time: at, Serial: info.Serial, Policy: info.Policy, Hash: hash, Digest: info.Imprint.Digest,
		Nonce: info.Nonce, Certificates: sd.Certificates}, sd, nil
}

// generalizedTime reads genTime, which may have a fraction (RFC 3161 §2.4.2);
// encoding/asn1 does not take one.
func generalizedTime(v asn1.RawValue) (time.Time, error) {
	at, err := time.Parse("20060102150405.999999999Z", string(v.Bytes))
	if v.Tag != asn1.TagGeneralizedTime || err != nil {
		return time.Time{}, fmt.Errorf("%w: the time of the stamp", ErrMalformed)
	}
	return at, nil
}

var oidExtKeyUsage = asn1.ObjectIdentifier{2, 5, 29, 37}

// Errors of stamps that fit, but by whom they should not be made.
var (
	ErrNoAuthority    = errors.New("the certificate is not one for time stamping alone")
	ErrUntrustedStamp = errors.New("the time stamping authority does not lead to a trusted certificate")
	errNotBound       = fmt.Errorf("%w: the time stamp does not name its certificate", ErrNoAuthority)
)

// VerifyStamp verifies a token over a SHA-256: signature, the binding of the
// authority's certificate, its purpose (timeStamping, critical and alone, RFC
// 3161 §2.3) and, where roots are given, its chain at the time of the stamp.
func VerifyStamp(token, digest []byte, roots *x509.CertPool) (Stamp, error) {
	s, err := VerifyStampOf(token, func(h crypto.Hash) []byte {
		if h != crypto.SHA256 {
			return nil
		}
		return digest
	})
	if err != nil || roots == nil {
		return s, err
	}
	return s, s.Trusted(NewChains(), roots)
}

// Trusted looks for the chain of a verified stamp's authority at the time of the
// stamp; without one the error is ErrUntrustedStamp.
func (s Stamp) Trusted(chains *Chains, roots *x509.CertPool) error {
	err := chains.Verify(s.Certificate, s.Certificates, x509.VerifyOptions{
		Roots: roots, CurrentTime: s.Time, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageTimeStamping},
	})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUntrustedStamp, err)
	}
	return nil
}

// VerifyStampOf is VerifyStamp over whatever digest the token has, without the
// chain; digest gives that of what should be stamped, nil when it does not have
// it. The stamp is given also with an error, when the token can be read.
func VerifyStampOf(token []byte, digest func(crypto.Hash) []byte) (Stamp, error) {
	s, sd, err := parseStamp(token)
	if err != nil {
		return Stamp{}, err
	}
	signer, err := sd.Verify(0, sd.Content)
	s.Certificate, s.Algorithm, s.Weak = signer.Certificate, signer.Algorithm, signer.Weak || s.Hash == crypto.SHA1
	switch of := digest(s.Hash); {
	case of == nil:
		return s, fmt.Errorf("%w: a time stamp over %s", ErrUnsupported, hashName(s.Hash))
	case !bytes.Equal(s.Digest, of):
		return s, fmt.Errorf("%w: the time stamp is over something else", ErrMismatch)
	case err != nil:
		return s, fmt.Errorf("verifying the time stamp: %w", err)
	case !signer.Bound:
		return s, errNotBound
	case !stampsOnly(signer.Certificate):
		return s, fmt.Errorf("%w: %s", ErrNoAuthority, signer.Certificate.Subject)
	case s.Time.Before(signer.Certificate.NotBefore) || s.Time.After(signer.Certificate.NotAfter):
		return s, fmt.Errorf("%w: the authority's certificate was valid from %s to %s, the stamp is of %s", ErrMismatch,
			signer.Certificate.NotBefore.Format(time.RFC3339), signer.Certificate.NotAfter.Format(time.RFC3339), s.Time.Format(time.RFC3339))
	}
	return s, nil
}

func stampsOnly(c *x509.Certificate) bool {
	if len(c.ExtKeyUsage) != 1 || c.ExtKeyUsage[0] != x509.ExtKeyUsageTimeStamping || len(c.UnknownExtKeyUsage) > 0 {
		return false
	}
	for _, e := range c.Extensions {
		if e.Id.Equal(oidExtKeyUsage) {
			return e.Critical
		}
	}
	return false
}
