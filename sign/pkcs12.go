package sign

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"

	"software.sslmate.com/src/go-pkcs12"
)

// fileKey is a key in memory.
type fileKey struct {
	key   crypto.Signer
	chain []*x509.Certificate
}

// OpenPKCS12 reads key and certificates from a PKCS#12 file (.p12, .pfx), old or
// modern, of at most 1 MiB. A file that others may write is refused: they could
// have another key sign.
func OpenPKCS12(file string, password []byte) (Key, error) {
	if err := trusted(file); err != nil {
		return nil, err
	}
	b, err := readBounded(file)
	if err != nil {
		return nil, err
	}
	private, first, others, err := pkcs12.DecodeChain(b, string(password))
	switch {
	case errors.Is(err, pkcs12.ErrIncorrectPassword):
		return nil, fmt.Errorf("%w of %s", ErrPIN, file)
	case err != nil:
		return nil, fmt.Errorf("%w: reading %s as PKCS#12: %w", ErrUnusable, file, err)
	}
	key, ok := private.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%w: the key in %s is of a kind that cannot sign (%T)", ErrUnusable, file, private)
	}
	chain, err := chainOf(key.Public(), append([]*x509.Certificate{first}, others...))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", file, err)
	}
	return &fileKey{key: key, chain: chain}, nil
}

func (k *fileKey) Chain(context.Context) ([]*x509.Certificate, error) { return k.chain, nil }

func (k *fileKey) Sign(ctx context.Context, digests [][]byte) ([][]byte, error) {
	values, err := signEach(ctx, k.key, digests)
	if err != nil {
		return nil, fmt.Errorf("%w: signing: %w", ErrUnusable, err)
	}
	return values, nil
}

// signEach signs digests one after the other.
func signEach(ctx context.Context, key crypto.Signer, digests [][]byte) ([][]byte, error) {
	var values [][]byte
	for _, d := range digests {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		v, err := key.Sign(rand.Reader, d, crypto.SHA256)
		if err != nil {
			return nil, err
		}
		values = append(values, v)
	}
	return values, nil
}

func (k *fileKey) Close() error { return nil }
