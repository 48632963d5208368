package cms

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"math/big"
	"time"
)

// Responder is a time stamping authority (RFC 3161), for tests and
// demonstrations: it has no protected clock.
type Responder struct {
	Key    crypto.Signer
	Chain  []*x509.Certificate // its own first
	Policy asn1.ObjectIdentifier
}

// Respond answers a request with a stamp of the given serial number and time.
// Only SHA-256 and its own policy are stamped; for all else the answer is a
// refusal.
func (r Responder) Respond(request []byte, serial *big.Int, at time.Time) ([]byte, error) {
	if len(request) > maxResponse {
		return refuse(5), nil
	}
	var q struct {
		Version int
		Imprint struct {
			Hash struct {
				Algorithm asn1.ObjectIdentifier
				Rest      asn1.RawValue `asn1:"optional"`
			}
			Digest []byte
		}
		Policy asn1.ObjectIdentifier `asn1:"optional"`
		Nonce  *big.Int              `asn1:"optional"`
		Certs  bool                  `asn1:"optional"`
	}
	switch err := exact(request, &q); {
	case err != nil || q.Version != 1:
		return refuse(5), nil
	case !q.Imprint.Hash.Algorithm.Equal(oidSHA256) || len(q.Imprint.Digest) != 32:
		return refuse(0), nil
	case q.Policy != nil && !q.Policy.Equal(r.Policy):
		return refuse(15), nil
	}
	fields := [][]byte{
		must(asn1.Marshal(1)), must(asn1.Marshal(r.Policy)), imprint(q.Imprint.Digest), must(asn1.Marshal(serial)),
		wrap(asn1.TagGeneralizedTime, []byte(at.UTC().Format("20060102150405Z"))),
	}
	if q.Nonce != nil {
		fields = append(fields, must(asn1.Marshal(q.Nonce)))
	}
	d, err := newDraft(oidTSTInfo, sequence(fields...), r.Chain, at)
	if err != nil {
		return nil, err
	}
	value, err := r.Key.Sign(rand.Reader, d.Digest(), crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("signing a time stamp: %w", err)
	}
	token, err := d.Assemble(value)
	if err != nil {
		return nil, err
	}
	return sequence(sequence(must(asn1.Marshal(0))), token), nil
}

// refuse is an answer without a stamp.
func refuse(bit int) []byte {
	bits := asn1.BitString{Bytes: make([]byte, bit/8+1), BitLength: bit + 1}
	bits.Bytes[bit/8] = 0x80 >> (bit % 8)
	return sequence(sequence(must(asn1.Marshal(2)), must(asn1.Marshal(bits))))
}
