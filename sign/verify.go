package sign

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/protodaemon/protodaemon/cms"
)

const sha2 = crypto.SHA256

// Verified is what a signed file proves.
type Verified struct {
	Content      []byte
	Signer       *x509.Certificate
	Certificates []*x509.Certificate
	Time         time.Time  // what the signer says
	Stamp        *cms.Stamp // of the signature value; nil: none
}

// Verify verifies a CAdES file with its content inside: digest, value, the
// binding of the certificate, and the time stamp where there is one. The
// signer's certificate has to be valid at the time of the stamp, or else at the
// time that the signer says; with roots it has to lead to one of them then, and
// the authority to one of stampRoots.
func Verify(p7m []byte, roots, stampRoots *x509.CertPool) (Verified, error) {
	sd, err := cms.Parse(p7m)
	if err != nil {
		return Verified{}, err
	}
	if sd.Content == nil || len(sd.Signers) != 1 {
		return Verified{}, fmt.Errorf("%w: not one signature round a content", cms.ErrMalformed)
	}
	s, err := sd.Verify(0, sd.Content)
	if err != nil {
		return Verified{}, err
	}
	v := Verified{Content: sd.Content, Signer: s.Certificate, Certificates: sd.Certificates}
	if !s.Bound {
		return v, fmt.Errorf("%w: the signature does not name its certificate (CAdES)", cms.ErrMismatch)
	}
	if s.Time != nil {
		v.Time = *s.Time
	}
	at := v.Time
	if s.Token != nil {
		digest := sha256.Sum256(s.Signature)
		stamp, err := cms.VerifyStamp(s.Token, digest[:], stampRoots)
		if err != nil {
			return v, fmt.Errorf("the time stamp: %w", err)
		}
		v.Stamp, at = &stamp, stamp.Time
	}
	return v, validAt(s.Certificate, sd.Certificates, roots, at)
}

// validAt judges a signer's certificate at a time.
func validAt(c *x509.Certificate, others []*x509.Certificate, roots *x509.CertPool, at time.Time) error {
	if at.Before(c.NotBefore) || at.After(c.NotAfter) {
		return fmt.Errorf("%w: that of %s was not valid on %s", ErrExpired, c.Subject, at.Format(time.RFC3339))
	}
	if roots == nil {
		return nil
	}
	between := x509.NewCertPool()
	for _, o := range others {
		between.AddCert(o)
	}
	_, err := c.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	if err != nil {
		return fmt.Errorf("the signer does not lead to a trusted certificate: %w", err)
	}
	return nil
}

// VerifyXAdES verifies an enveloped signature that was made here, and returns
// the document without it. Signatures of others have other forms and are not
// read.
func VerifyXAdES(signed []byte) (Verified, error) {
	var v Verified
	begin := bytes.LastIndex(signed, []byte(`<ds:Signature xmlns:ds="`+nsDS+`" Id="firma">`))
	const endTag = `</ds:Signature>`
	if begin < 0 || !bytes.Contains(signed[begin:], []byte(endTag)) {
		return v, fmt.Errorf("%w: there is no signature of this program in it", cms.ErrMalformed)
	}
	length := bytes.Index(signed[begin:], []byte(endTag)) + len(endTag)
	signature := string(signed[begin : begin+length])
	v.Content = append(bytes.Clone(signed[:begin]), signed[begin+length:]...)
	for rest := signature; ; {
		text, after, ok := between(rest, "<ds:X509Certificate>", "</ds:X509Certificate>")
		if !ok {
			break
		}
		c, err := parse64(text)
		if err != nil {
			return v, err
		}
		v.Certificates, rest = append(v.Certificates, c), after
	}
	said, _, ok := between(signature, "<xades:SigningTime>", "</xades:SigningTime>")
	at, err := time.Parse(time.RFC3339, said)
	if len(v.Certificates) == 0 || !ok || err != nil {
		return v, fmt.Errorf("%w: it has no certificate or time", cms.ErrMalformed)
	}
	v.Signer, v.Time = v.Certificates[0], at
	d, err := newXAdES(v.Content, v.Certificates, at)
	if err != nil {
		return v, err
	}
	value, _, _ := between(signature, "<ds:SignatureValue>", "</ds:SignatureValue>")
	raw, err := base64.StdEncoding.DecodeString(value)
	if err != nil {
		return v, fmt.Errorf("%w: its value: %w", cms.ErrMalformed, err)
	}
	if _, ok := v.Signer.PublicKey.(*ecdsa.PublicKey); ok {
		raw = asn1ECDSA(raw)
	}
	again, err := d.Assemble(raw)
	if err == nil && !bytes.Equal(again, signed) {
		err = fmt.Errorf("the signed XML: %w", cms.ErrMismatch)
	}
	if err != nil {
		return v, err
	}
	return v, validAt(v.Signer, nil, nil, at)
}

func between(s, from, to string) (text, after string, ok bool) {
	_, s, ok = strings.Cut(s, from)
	if !ok {
		return "", "", false
	}
	return strings.Cut(s, to)
}

func parse64(s string) (*x509.Certificate, error) {
	der, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return nil, fmt.Errorf("%w: its certificate: %w", cms.ErrMalformed, err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("%w: its certificate: %w", cms.ErrMalformed, err)
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
