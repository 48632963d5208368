//go:build pkcs11

package sign

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"

	"github.com/ThalesGroup/crypto11"
	"github.com/miekg/pkcs11"
)

type tokenKey struct {
	conf  PKCS11
	ctx   *crypto11.Context
	key   crypto11.Signer
	chain []*x509.Certificate
}

// OpenPKCS11 logs in to the token and finds key and certificate. One login is
// tried and no second: tokens lock after some wrong PINs.
func OpenPKCS11(conf PKCS11) (Key, error) {
	ctx, err := crypto11.Configure(&crypto11.Config{
		Path: conf.Module, TokenLabel: conf.Token, Pin: string(conf.PIN), MaxSessions: 4,
	})
	if err != nil {
		return nil, tokenError("logging in to token "+conf.Token, err)
	}
	k := &tokenKey{conf: conf, ctx: ctx}
	if err := k.find(); err != nil {
		return nil, errors.Join(err, ctx.Close())
	}
	return k, nil
}

func (k *tokenKey) find() error {
	key, err := k.ctx.FindKeyPair(nil, []byte(k.conf.Key))
	switch {
	case err != nil:
		return tokenError("looking for key "+k.conf.Key, err)
	case key == nil:
		return fmt.Errorf("%w: token %s has no key %q", ErrUnusable, k.conf.Token, k.conf.Key)
	}
	k.key = key
	if k.conf.CertificateFile != "" {
		k.chain, err = readChain(k.conf.CertificateFile)
		return err
	}
	leaf, err := k.ctx.FindCertificate(nil, []byte(k.conf.Key), nil)
	switch {
	case err != nil:
		return tokenError("looking for the certificate of key "+k.conf.Key, err)
	case leaf == nil:
		return fmt.Errorf("%w: token %s has no certificate %q; name a certificate_file", ErrUnusable, k.conf.Token, k.conf.Key)
	}
	k.chain = []*x509.Certificate{leaf}
	return nil
}

func readChain(file string) ([]*x509.Certificate, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("%w: reading the certificate: %w", ErrUnusable, err)
	}
	var all []*x509.Certificate
	for {
		var block *pem.Block
		if block, b = pem.Decode(b); block == nil {
			break
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%w: the certificate in %s: %w", ErrUnusable, file, err)
		}
		all = append(all, c)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w: there is no certificate in %s", ErrUnusable, file)
	}
	return ordered(all[0], all[1:]), nil
}

// tokenErrors are the answers of a token that are told apart.
var tokenErrors = map[pkcs11.Error]error{
	pkcs11.CKR_PIN_INCORRECT: ErrPIN, pkcs11.CKR_PIN_INVALID: ErrPIN, pkcs11.CKR_PIN_LEN_RANGE: ErrPIN,
	pkcs11.CKR_PIN_LOCKED: ErrLocked, pkcs11.CKR_PIN_EXPIRED: ErrLocked,
	pkcs11.CKR_DEVICE_ERROR: ErrUnreachable, pkcs11.CKR_DEVICE_REMOVED: ErrUnreachable,
	pkcs11.CKR_TOKEN_NOT_PRESENT: ErrUnreachable, pkcs11.CKR_SESSION_CLOSED: ErrUnreachable,
	pkcs11.CKR_SESSION_HANDLE_INVALID: ErrUnreachable,
}

func tokenError(doing string, err error) error {
	kind := ErrUnusable
	var said pkcs11.Error
	if errors.As(err, &said) && tokenErrors[said] != nil {
		kind = tokenErrors[said]
	}
	return fmt.Errorf("%s: %w: %w", doing, kind, err)
}

func (k *tokenKey) Chain(context.Context) ([]*x509.Certificate, error) { return k.chain, nil }

func (k *tokenKey) Sign(_ context.Context, digests [][]byte) ([][]byte, error) {
	values, err := signEach(k.key, digests)
	if err != nil {
		return nil, tokenError("signing with token "+k.conf.Token, err)
	}
	return values, nil
}

func (k *tokenKey) Close() error { return k.ctx.Close() }
