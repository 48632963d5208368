package sign

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/protodaemon/protodaemon/cms"
)

// ErrNotXAdES: it is not an XML document with a signature that was made here.
var ErrNotXAdES = errors.New("there is no signature of this program in it")

// VerifyXAdES verifies an enveloped signature that was made here, and returns
// the document without it: the signature is written again round what it says
// of itself, and has to come out the same byte for byte. Signatures of others
// have other forms and are not read (ErrNotXAdES). The certificate has to be
// valid at the time that the signer says; whose it is, is for the caller to see.
func VerifyXAdES(signed []byte) (Verified, error) {
	var v Verified
	begin := bytes.LastIndex(signed, []byte(signatureStart))
	if begin < 0 {
		return v, ErrNotXAdES
	}
	length := bytes.Index(signed[begin:], []byte(signatureEnd))
	if length < 0 {
		return v, fmt.Errorf("%w: the signature has no end", ErrNotXAdES)
	}
	length += len(signatureEnd)
	signature := string(signed[begin : begin+length])
	v.Content = append(bytes.Clone(signed[:begin]), signed[begin+length:]...)
	value, err := v.read(signature)
	if err != nil {
		return v, fmt.Errorf("%w: %w", ErrNotXAdES, err)
	}
	if err := suitable(v.Signer); err != nil {
		return v, err
	}
	d, err := newXAdES(v.Content, v.Certificates, v.Time)
	if err != nil {
		return v, fmt.Errorf("%w: %w", ErrNotXAdES, err)
	}
	if _, ok := v.Signer.PublicKey.(*ecdsa.PublicKey); ok {
		value = asn1ECDSA(value)
	}
	again, err := d.Assemble(value)
	if err == nil && !bytes.Equal(again, signed) {
		err = fmt.Errorf("the signed XML: %w", cms.ErrMismatch)
	}
	if err != nil {
		return v, err
	}
	return v, validAt(v.Signer, nil, nil, v.Time)
}

// read takes certificates, time and value out of a signature.
func (v *Verified) read(signature string) (value []byte, err error) {
	const from, to = "<ds:X509Certificate>", "</ds:X509Certificate>"
	for text, rest, ok := between(signature, from, to); ok; text, rest, ok = between(rest, from, to) {
		c, err := parse64(text)
		if err != nil {
			return nil, err
		}
		if v.Certificates = append(v.Certificates, c); len(v.Certificates) > maxChain {
			return nil, fmt.Errorf("more than %d certificates are in it", maxChain)
		}
	}
	if len(v.Certificates) == 0 {
		return nil, errors.New("there is no certificate in it")
	}
	v.Signer = v.Certificates[0]
	said, _, _ := between(signature, "<xades:SigningTime>", "</xades:SigningTime>")
	if v.Time, err = time.Parse(time.RFC3339, said); err != nil {
		return nil, errors.New("there is no time in it")
	}
	text, _, _ := between(signature, "<ds:SignatureValue>", "</ds:SignatureValue>")
	if value, err = base64.StdEncoding.DecodeString(text); err != nil {
		return nil, fmt.Errorf("its value: %w", err)
	}
	return value, nil
}

func between(s, from, to string) (text, after string, ok bool) {
	_, s, ok = strings.Cut(s, from)
	if !ok {
		return "", "", false
	}
	return strings.Cut(s, to)
}

// parse64 reads a certificate in base64.
func parse64(s string) (*x509.Certificate, error) {
	der, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return nil, fmt.Errorf("a certificate: %w", err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("a certificate: %w", err)
	}
	return c, nil
}

// asn1ECDSA undoes rawECDSA.
func asn1ECDSA(raw []byte) []byte {
	half := len(raw) / 2
	b, err := asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(raw[:half]), new(big.Int).SetBytes(raw[half:])})
	if err != nil {
		return nil
	}
	return b
}
