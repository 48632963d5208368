//go:build pkcs11

package sign

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/ThalesGroup/crypto11"
	"github.com/miekg/pkcs11"
)

// sessions are one to stay logged in and one to sign.
const sessions = 2

type tokenKey struct {
	conf  PKCS11
	ctx   *crypto11.Context
	key   crypto11.Signer
	chain []*x509.Certificate
}

// OpenPKCS11 logs in to the token and finds key and certificate. One login is
// tried and no second, and none where a wrong PIN would lock the token.
func OpenPKCS11(conf PKCS11) (_ Key, err error) {
	if conf.Token == "" || conf.Key == "" {
		return nil, fmt.Errorf("%w: it takes the labels of a token and of a key", ErrUnusable)
	}
	if len(conf.PIN) == 0 {
		return nil, fmt.Errorf("%w: none is given for token %q", ErrPIN, conf.Token)
	}
	// Whoever writes the module runs in this program.
	if err := trusted(conf.Module); err != nil {
		return nil, fmt.Errorf("the PKCS#11 module: %w", err)
	}
	doing := fmt.Sprintf("opening token %q of %s", conf.Token, conf.Module)
	defer func() {
		if p := recover(); p != nil { // crypto11, for a token of a single session
			err = fmt.Errorf("%s: %w: %v", doing, ErrUnusable, p)
		}
	}()
	// Without a login, so that the state of its PIN is known before one.
	look, err := crypto11.Configure(&crypto11.Config{Path: conf.Module, TokenLabel: conf.Token, MaxSessions: sessions, LoginNotSupported: true})
	if err != nil {
		return nil, tokenError(doing, err)
	}
	defer func() { err = errors.Join(err, look.Close()) }()
	if err := mayLogin(conf); err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	k := &tokenKey{conf: conf}
	k.ctx, err = crypto11.Configure(&crypto11.Config{Path: conf.Module, TokenLabel: conf.Token, Pin: string(conf.PIN), MaxSessions: sessions})
	if err != nil {
		return nil, tokenError("logging in: "+doing, err)
	}
	if err := k.find(); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", doing, err), k.ctx.Close())
	}
	return k, nil
}

// pinStates are the flags of a token (PKCS #11 §3.2) with which no login is
// tried.
var pinStates = []struct {
	flag uint
	kind error
	says string
}{
	{pkcs11.CKF_USER_PIN_LOCKED, ErrLocked, "its PIN is locked; unlock it with its maker's tool"},
	{pkcs11.CKF_USER_PIN_FINAL_TRY, ErrLocked, "one more wrong PIN locks it; log in once with its maker's tool"},
}

// mayLogin looks at the token's flags. The module has to be initialized.
func mayLogin(conf PKCS11) error {
	module := pkcs11.New(conf.Module)
	if module == nil {
		return fmt.Errorf("%w: the module cannot be loaded", ErrUnusable)
	}
	defer module.Destroy()
	slots, err := module.GetSlotList(true)
	if err != nil {
		return tokenError("listing tokens", err)
	}
	found := 0
	for _, slot := range slots {
		info, err := module.GetTokenInfo(slot)
		if err != nil || info.Label != conf.Token {
			continue
		}
		found++
		for _, s := range pinStates {
			if info.Flags&s.flag != 0 {
				return fmt.Errorf("%w: %s", s.kind, s.says)
			}
		}
	}
	if found > 1 {
		return fmt.Errorf("%w: %d tokens have that label; give each its own", ErrUnusable, found)
	}
	return nil
}

// find takes the key of that label to which a certificate belongs.
func (k *tokenKey) find() error {
	keys, err := k.ctx.FindKeyPairs(nil, []byte(k.conf.Key))
	if err != nil {
		return tokenError(fmt.Sprintf("looking for key %q", k.conf.Key), err)
	}
	err = fmt.Errorf("%w: it has no key pair %q", ErrUnusable, k.conf.Key)
	for _, key := range keys {
		var certificates []*x509.Certificate
		if certificates, err = k.certificates(key); err == nil {
			k.chain, err = chainOf(key.Public(), certificates)
		}
		if err != nil {
			err = fmt.Errorf("key %q: %w", k.conf.Key, err)
			continue
		}
		k.key = key
		return k.unattended()
	}
	return err
}

// unattended refuses a key that wants the PIN again for each signature: it is
// meant for a person (CKA_ALWAYS_AUTHENTICATE).
func (k *tokenKey) unattended() error {
	a, err := k.ctx.GetAttribute(k.key, crypto11.CkaAlwaysAuthenticate)
	if err == nil && a != nil && len(a.Value) == 1 && a.Value[0] != 0 {
		return fmt.Errorf("%w: key %q wants its PIN for each signature (CKA_ALWAYS_AUTHENTICATE); take one for automatic signatures", ErrUnusable, k.conf.Key)
	}
	return nil // a token need not know the attribute
}

// certificates are those of the file, or those in the token with the key's
// label or identifier.
func (k *tokenKey) certificates(key crypto11.Signer) ([]*x509.Certificate, error) {
	if k.conf.CertificateFile != "" {
		return readCertificates(k.conf.CertificateFile)
	}
	var id []byte
	if a, err := k.ctx.GetAttribute(key, crypto11.CkaId); err == nil && a != nil {
		id = a.Value
	}
	label := []byte(k.conf.Key)
	var all []*x509.Certificate
	for _, by := range []struct{ id, label []byte }{{id, label}, {nil, label}, {id, nil}} {
		if len(by.id)+len(by.label) == 0 {
			continue
		}
		c, err := k.ctx.FindCertificate(by.id, by.label, nil)
		if err != nil {
			return nil, tokenError("looking for its certificate", err)
		}
		if c != nil {
			all = append(all, c)
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w: its certificate is not in the token; name a certificate_file", ErrUnusable)
	}
	return all, nil
}

// readCertificates reads the certificates of a PEM file.
func readCertificates(file string) ([]*x509.Certificate, error) {
	b, err := readBounded(file)
	if err != nil {
		return nil, fmt.Errorf("reading the certificate: %w", err)
	}
	var all []*x509.Certificate
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%w: the certificate in %s: %w", ErrUnusable, file, err)
		}
		all = append(all, c)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w: there is no certificate (PEM) in %s", ErrUnusable, file)
	}
	return all, nil
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

func (k *tokenKey) Sign(ctx context.Context, digests [][]byte) ([][]byte, error) {
	values, err := signEach(ctx, k.key, digests)
	if err != nil {
		return nil, tokenError(fmt.Sprintf("signing with token %q", k.conf.Token), err)
	}
	return values, nil
}

func (k *tokenKey) Close() error { return k.ctx.Close() }
