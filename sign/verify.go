package sign

import (
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/protodaemon/protodaemon/cms"
)

// Verified is what a signed file proves.
type Verified struct {
	Content      []byte
	Signer       *x509.Certificate
	Certificates []*x509.Certificate
	Time         time.Time  // what the signer says
	Stamp        *cms.Stamp // of the signature value; nil: none
}

var errWeak = fmt.Errorf("%w: SHA-1, which proves nothing any more", cms.ErrUnsupported)

// Verify verifies a CAdES file with its content inside: digest, value, the
// binding of the certificate, and the time stamp where there is one. The
// signer's certificate has to be valid at the time of the stamp, or else at the
// time that the signer says; with roots it has to lead to one of them then, and
// the authority to one of stampRoots. SHA-1 is no proof of either.
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
	if s.Weak {
		return v, errWeak
	}
	at := v.Time
	if s.Token != nil {
		digest := sha256.Sum256(s.Signature)
		stamp, err := cms.VerifyStamp(s.Token, digest[:], stampRoots)
		if err == nil && stamp.Weak {
			err = errWeak
		}
		if err != nil {
			return v, fmt.Errorf("the time stamp: %w", err)
		}
		v.Stamp, at = &stamp, stamp.Time
	}
	return v, validAt(s.Certificate, sd.Certificates, roots, at)
}

// validAt judges a signer's certificate at a time.
func validAt(c *x509.Certificate, others []*x509.Certificate, roots *x509.CertPool, at time.Time) error {
	if err := suitable(c); err != nil {
		return err
	}
	if at.Before(c.NotBefore) || at.After(c.NotAfter) {
		return fmt.Errorf("%w: that of %s was not valid on %s", ErrExpired, subject(c), at.Format(time.RFC3339))
	}
	if roots == nil {
		return nil
	}
	err := cms.NewChains().Verify(c, others, x509.VerifyOptions{Roots: roots, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	if err != nil {
		return fmt.Errorf("the signer does not lead to a trusted certificate: %w", err)
	}
	return nil
}
