// Package sign makes the electronic signatures and time stamps of the daily
// register without a person at hand (firma automatica, CAD art. 35 c. 3).
//
// A Key signs digests: one in a PKCS#12 file, in a PKCS#11 token (built with
// the tag pkcs11) or with a remote service (Cloud Signature Consortium API).
// Sign makes all signatures of one closing with one authorization, because
// services charge and log each: CAdES B-B round a file (.p7m), XAdES B-B inside
// an XML. AddStamp makes CAdES B-T of it, with a time stamp (RFC 3161) of the
// first authority that gives one.
//
// Before a key signs, its certificate is held against the time, the purpose
// and the strength asked of it; after, each value is verified with the
// certificate. So a key that does not belong to it is found at once and not by
// a court.
//
// The same document, key and time give the same XAdES and CAdES bytes where the
// key is RSA; an ECDSA value is another each time. VerifyXAdES rests on it: it
// writes the signature again and compares.
//
// Errors say what is wrong, where, and what to do, and hold no secret; a caller
// branches on the sentinels below. Foreign answers are bounded in size and time;
// only a PKCS#11 module cannot be interrupted.
package sign

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/protodaemon/protodaemon/cms"
)

// Errors that callers branch on.
var (
	ErrExpired     = errors.New("the certificate is not valid now")
	ErrPIN         = errors.New("wrong PIN or password")
	ErrLocked      = errors.New("the key is locked")
	ErrUnreachable = errors.New("the service does not answer")
	ErrRefused     = errors.New("the service refused")
	ErrUnusable    = errors.New("the key cannot be used")
)

// Key signs for one certificate. It is for one goroutine at a time.
type Key interface {
	// Chain is the certificate and those above it as far as known, leaf first.
	Chain(ctx context.Context) ([]*x509.Certificate, error)
	// Sign signs SHA-256 digests, with one authorization for all of them where
	// the key allows it: RSA with PKCS #1 v1.5, ECDSA as ASN.1.
	Sign(ctx context.Context, digests [][]byte) ([][]byte, error)
	Close() error
}

// Format of a signature.
type Format int

// The formats: CAdES B-B with the content inside (EN 319 122-1), XAdES B-B
// enveloped in an XML document that is in canonical form (EN 319 132-1).
const (
	CAdES Format = iota + 1
	XAdES
)

// Document is something to be signed.
type Document struct {
	Format  Format
	Content []byte
}

// draft is a signature that lacks its value.
type draft interface {
	Digest() []byte
	Assemble(value []byte) ([]byte, error)
}

// Sign signs all documents with one call of the key and returns the signed
// files in their order.
func Sign(ctx context.Context, key Key, at time.Time, docs []Document) (files [][]byte, signer *x509.Certificate, err error) {
	chain, err := key.Chain(ctx)
	if err != nil {
		return nil, nil, err
	}
	if len(chain) == 0 {
		return nil, nil, fmt.Errorf("%w: it has no certificate", ErrUnusable)
	}
	if err := usable(chain[0], at); err != nil {
		return nil, nil, err
	}
	if len(docs) == 0 { // a service would count an authorization of nothing
		return nil, chain[0], nil
	}
	var drafts []draft
	var digests [][]byte
	for _, doc := range docs {
		d, err := newDraft(doc, chain, at)
		if err != nil {
			return nil, nil, err
		}
		drafts, digests = append(drafts, d), append(digests, d.Digest())
	}
	values, err := key.Sign(ctx, digests)
	if err != nil {
		return nil, nil, err
	}
	if len(values) != len(drafts) {
		return nil, nil, fmt.Errorf("%w: it gave %d signatures for %d digests", ErrUnusable, len(values), len(drafts))
	}
	for i, d := range drafts {
		file, err := d.Assemble(values[i])
		if err != nil {
			return nil, nil, fmt.Errorf("%w: %w", ErrUnusable, err)
		}
		files = append(files, file)
	}
	return files, chain[0], nil
}

func newDraft(doc Document, chain []*x509.Certificate, at time.Time) (draft, error) {
	switch doc.Format {
	case CAdES:
		return cms.NewDraft(doc.Content, chain, at)
	case XAdES:
		return newXAdES(doc.Content, chain, at)
	}
	return nil, fmt.Errorf("there is no signature format %d", doc.Format)
}
