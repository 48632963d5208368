package sign

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// The lengths of keys that sign, in bits (ETSI TS 119 312; cms verifies no
// longer ones).
const (
	minRSA, maxRSA = 2048, 16384
	minEC          = 256
)

// usable holds a certificate against what it is wanted for.
func usable(c *x509.Certificate, at time.Time) error {
	if err := suitable(c); err != nil {
		return err
	}
	switch {
	case at.Before(c.NotBefore):
		return fmt.Errorf("%w: the certificate of %s is valid only from %s", ErrExpired, subject(c), c.NotBefore.Format(time.RFC3339))
	case at.After(c.NotAfter):
		return fmt.Errorf("%w: the certificate of %s expired on %s; renew it", ErrExpired, subject(c), c.NotAfter.Format(time.RFC3339))
	}
	return nil
}

// suitable judges what does not change with time: what kind of key it is, how
// long, and what for.
func suitable(c *x509.Certificate) error {
	const signing = x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment
	switch key := c.PublicKey.(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < minRSA || bits > maxRSA {
			return fmt.Errorf("%w: its RSA key has %d bits, from %d to %d are needed", ErrUnusable, bits, minRSA, maxRSA)
		}
	case *ecdsa.PublicKey:
		if bits := key.Curve.Params().BitSize; bits < minEC {
			return fmt.Errorf("%w: its ECDSA key has %d bits, at least %d are needed", ErrUnusable, bits, minEC)
		}
	default:
		return fmt.Errorf("%w: its key is neither RSA nor ECDSA but %T", ErrUnusable, key)
	}
	if c.KeyUsage != 0 && c.KeyUsage&signing == 0 {
		return fmt.Errorf("%w: the certificate of %s is not for signatures (key usage)", ErrUnusable, subject(c))
	}
	return nil
}

func subject(c *x509.Certificate) string { return clip(c.Subject.String()) }

// maxChain bounds the certificates that come with a key.
const maxChain = 32

// chainOf is the path from the certificate of a public key upwards among those
// at hand, which may be in any order.
func chainOf(public crypto.PublicKey, all []*x509.Certificate) ([]*x509.Certificate, error) {
	key, ok := public.(interface{ Equal(crypto.PublicKey) bool })
	if !ok {
		return nil, fmt.Errorf("%w: its key is neither RSA nor ECDSA but %T", ErrUnusable, public)
	}
	for _, c := range all {
		if key.Equal(c.PublicKey) {
			return ordered(c, all)
		}
	}
	return nil, fmt.Errorf("%w: of the certificates with it, %d, none belongs to the key", ErrUnusable, len(all))
}

// ordered is the path from a certificate upwards among those at hand.
func ordered(leaf *x509.Certificate, all []*x509.Certificate) ([]*x509.Certificate, error) {
	if len(all) > maxChain {
		return nil, fmt.Errorf("%w: %d certificates come with it, more than %d", ErrUnusable, len(all), maxChain)
	}
	chain := []*x509.Certificate{leaf}
	for c := leaf; c != nil && len(chain) <= len(all); {
		if c = issuer(c, all); c != nil {
			chain = append(chain, c)
		}
	}
	return chain, nil
}

// issuer is nil for a certificate that issued itself or whose issuer is not at
// hand.
func issuer(c *x509.Certificate, all []*x509.Certificate) *x509.Certificate {
	if bytes.Equal(c.RawIssuer, c.RawSubject) {
		return nil
	}
	for _, o := range all {
		if bytes.Equal(o.RawSubject, c.RawIssuer) && c.CheckSignatureFrom(o) == nil {
			return o
		}
	}
	return nil
}

// maxKeyFile bounds a file with a key or certificates, which has some kilobytes.
const maxKeyFile = 1 << 20

// regular looks at a file before it is opened, because opening a pipe waits for
// a writer.
func regular(file string) (fs.FileInfo, error) {
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w: there is no file %q", ErrUnusable, file)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrUnusable, err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%w: %s is not a regular file", ErrUnusable, file)
	}
	return info, nil
}

// trusted refuses a file that others may change: they could have another key
// sign, or another program run.
func trusted(file string) error {
	info, err := regular(file)
	if err == nil && info.Mode().Perm()&0o022 != 0 {
		err = fmt.Errorf("%w: others may write %s; run: chmod go-w %s", ErrUnusable, file, file)
	}
	return err
}

// readBounded reads a small file.
func readBounded(file string) ([]byte, error) {
	if _, err := regular(file); err != nil {
		return nil, err
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnusable, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: reading %s: %w", ErrUnusable, file, err)
	case len(b) > maxKeyFile:
		return nil, fmt.Errorf("%w: %s is larger than %d bytes", ErrUnusable, file, maxKeyFile)
	}
	return b, nil
}
