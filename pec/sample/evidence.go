package sample

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"time"

	"github.com/protodaemon/protodaemon/sign"
)

// SignXML puts an enveloped XAdES signature of the provider, made with the key
// that signs its mail, at the end of the root element, as evidence of registered
// mail has it (EN 319 522-3). The document has to be written in canonical form; an
// XML declaration may stand before it.
func (p *Provider) SignXML(document []byte, at time.Time) ([]byte, error) {
	docs := []sign.Document{{Format: sign.XAdES, Content: bytes.TrimSpace(document)}}
	files, _, err := sign.Sign(context.Background(), providerKey{p}, at, docs)
	if err != nil {
		return nil, err
	}
	return files[0], nil
}

// providerKey is the provider's signing key as a sign.Key.
type providerKey struct{ p *Provider }

func (k providerKey) Chain(context.Context) ([]*x509.Certificate, error) {
	return []*x509.Certificate{k.p.leaf, k.p.ca}, nil
}

func (k providerKey) Sign(_ context.Context, digests [][]byte) ([][]byte, error) {
	var values [][]byte
	for _, digest := range digests {
		value, err := k.p.key.Sign(rand.Reader, digest, crypto.SHA256)
		if err != nil {
			return nil, err
		}
		values = append(values, value)
	}
	return values, nil
}

func (providerKey) Close() error { return nil }
