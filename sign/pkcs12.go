package sign

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"software.sslmate.com/src/go-pkcs12"
)

// maxPKCS12 bounds the file, which has some kilobytes.
const maxPKCS12 = 1 << 20

// fileKey is a key in memory.
type fileKey struct {
	key   crypto.Signer
	chain []*x509.Certificate
}

// OpenPKCS12 reads key and certificates from a PKCS#12 file (.p12, .pfx), old or
// modern. A file that others may write is refused: they could have another key
// sign.
func OpenPKCS12(file string, password []byte) (Key, error) {
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w: there is no file %s", ErrUnusable, file)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrUnusable, err)
	case info.Mode().Perm()&0o022 != 0:
		return nil, fmt.Errorf("%w: others may write %s; chmod go-w it", ErrUnusable, file)
	case info.Size() > maxPKCS12:
		return nil, fmt.Errorf("%w: %s has %d bytes and is no PKCS#12 file", ErrUnusable, file, info.Size())
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnusable, err)
	}
	private, leaf, above, err := pkcs12.DecodeChain(b, string(password))
	switch {
	case errors.Is(err, pkcs12.ErrIncorrectPassword):
		return nil, fmt.Errorf("%w of %s", ErrPIN, file)
	case err != nil:
		return nil, fmt.Errorf("%w: reading %s: %w", ErrUnusable, file, err)
	}
	key, ok := private.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%w: the key in %s is of a kind that cannot sign (%T)", ErrUnusable, file, private)
	}
	return &fileKey{key: key, chain: ordered(leaf, above)}, nil
}

// ordered is the path from a certificate upwards among those at hand.
func ordered(leaf *x509.Certificate, others []*x509.Certificate) []*x509.Certificate {
	chain := []*x509.Certificate{leaf}
	for c := leaf; !bytes.Equal(c.RawIssuer, c.RawSubject); {
		var issuer *x509.Certificate
		for _, o := range others {
			if bytes.Equal(o.RawSubject, c.RawIssuer) && c.CheckSignatureFrom(o) == nil {
				issuer = o
				break
			}
		}
		if issuer == nil || len(chain) > len(others) {
			break
		}
		chain = append(chain, issuer)
		c = issuer
	}
	return chain
}

func (k *fileKey) Chain(context.Context) ([]*x509.Certificate, error) { return k.chain, nil }

func (k *fileKey) Sign(_ context.Context, digests [][]byte) ([][]byte, error) {
	return signEach(k.key, digests)
}

// signEach signs digests one after the other.
func signEach(key crypto.Signer, digests [][]byte) ([][]byte, error) {
	var values [][]byte
	for _, d := range digests {
		v, err := key.Sign(rand.Reader, d, crypto.SHA256)
		if err != nil {
			return nil, err
		}
		values = append(values, v)
	}
	return values, nil
}

func (k *fileKey) Close() error { return nil }
