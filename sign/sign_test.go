package sign_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/protodaemon/protodaemon/sign"
)

// memory is a key in memory that counts how often it is asked.
type memory struct {
	key    crypto.Signer
	chain  []*x509.Certificate
	calls  int
	change func(values [][]byte) ([][]byte, error) // nil: none
}

func (k *memory) Chain(context.Context) ([]*x509.Certificate, error) { return k.chain, nil }

func (k *memory) Sign(_ context.Context, digests [][]byte) (values [][]byte, err error) {
	k.calls++
	for _, d := range digests {
		values = append(values, must(k.key.Sign(rand.Reader, d, crypto.SHA256)))
	}
	if k.change != nil {
		return k.change(values)
	}
	return values, nil
}

func (k *memory) Close() error { return nil }

// register is a document as the archive writes it, with letters of more bytes.
var register = []byte(`<?xml version="1.0" encoding="UTF-8"?>` + "\n" +
	`<RegistroGiornaliero xmlns="urn:prova"><Oggetto>Perché &lt;no&gt; è così</Oggetto><Vuoto></Vuoto></RegistroGiornaliero>`)

// All documents are signed with one call of the key, and come out in their
// order.
func TestOneCallForAll(t *testing.T) {
	p := newPKI()
	leaf := p.issue(ec256Key().Public(), nil)
	key := &memory{key: ec256Key(), chain: p.chain(leaf)}
	docs := []sign.Document{{Format: sign.CAdES, Content: []byte("uno")}, {Format: sign.XAdES, Content: register}, {Format: sign.CAdES, Content: []byte("tre")}}
	files, signer, err := sign.Sign(t.Context(), key, time.Now(), docs)
	if err != nil || len(files) != 3 || !signer.Equal(leaf) || key.calls != 1 {
		t.Fatalf("%d files of %v with %d calls: %v", len(files), signer, key.calls, err)
	}
	for i, text := range map[int]string{0: "uno", 2: "tre"} {
		if v, err := sign.Verify(files[i], p.pool(), nil); err != nil || string(v.Content) != text {
			t.Errorf("file %d is round %q, %v", i, v.Content, err)
		}
	}
	if v, err := sign.VerifyXAdES(files[1]); err != nil || !bytes.Equal(v.Content, register) {
		t.Errorf("file 1: %v", err)
	}
	// Nothing to sign takes no authorization.
	if files, _, err := sign.Sign(t.Context(), key, time.Now(), nil); err != nil || len(files) != 0 || key.calls != 1 {
		t.Errorf("%d files with %d calls: %v", len(files), key.calls, err)
	}
}

// A certificate that may not sign is found before its key is used.
func TestUnfitCertificate(t *testing.T) {
	p := newPKI()
	now := time.Now()
	short := must(ecdsa.GenerateKey(elliptic.P224(), rand.Reader))
	weak := must(rsa.GenerateKey(rand.Reader, 1024))
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		key    crypto.Signer
		change func(*x509.Certificate)
		is     error
		says   string
	}{
		"expired":  {ec256Key(), func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Minute) }, sign.ErrExpired, "renew it"},
		"to come":  {ec256Key(), func(c *x509.Certificate) { c.NotBefore = now.Add(time.Minute) }, sign.ErrExpired, "valid only from"},
		"purpose":  {ec256Key(), func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyAgreement }, sign.ErrUnusable, "not for signatures"},
		"short EC": {short, nil, sign.ErrUnusable, "224 bits"},
		"weak RSA": {weak, nil, sign.ErrUnusable, "1024 bits"},
		"Ed25519":  {edwards, nil, sign.ErrUnusable, "neither RSA nor ECDSA"},
	} {
		t.Run(name, func(t *testing.T) {
			key := &memory{key: c.key, chain: []*x509.Certificate{p.issue(c.key.Public(), c.change)}}
			_, _, err := sign.Sign(t.Context(), key, now, []sign.Document{{Format: sign.CAdES, Content: []byte("x")}})
			if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) || key.calls != 0 {
				t.Errorf("%d calls: %v", key.calls, err)
			}
		})
	}
	_, _, err = sign.Sign(t.Context(), &memory{}, now, []sign.Document{{Format: sign.CAdES}})
	if !errors.Is(err, sign.ErrUnusable) || !strings.Contains(err.Error(), "no certificate") {
		t.Errorf("a key without a certificate: %v", err)
	}
	good := &memory{key: ec256Key(), chain: []*x509.Certificate{p.issue(ec256Key().Public(), nil)}}
	if _, _, err := sign.Sign(t.Context(), good, now, []sign.Document{{Content: []byte("x")}}); err == nil || good.calls != 0 {
		t.Errorf("a document without a format: %v", err)
	}
}

// What a key gives is held against its certificate.
func TestKeyThatGoesWrong(t *testing.T) {
	p := newPKI()
	leaf := p.issue(ec256Key().Public(), nil)
	lost := errors.New("lost")
	other := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	for name, c := range map[string]struct {
		key    crypto.Signer
		change func([][]byte) ([][]byte, error)
		is     error
	}{
		"another key":     {other, nil, sign.ErrUnusable},
		"another kind":    {rsaKey(), nil, sign.ErrUnusable},
		"too few":         {ec256Key(), func(v [][]byte) ([][]byte, error) { return v[1:], nil }, sign.ErrUnusable},
		"one missing":     {ec256Key(), func(v [][]byte) ([][]byte, error) { return v[:1], nil }, sign.ErrUnusable},
		"one too many":    {ec256Key(), func(v [][]byte) ([][]byte, error) { return append(v, v[0]), nil }, sign.ErrUnusable},
		"another order":   {ec256Key(), func(v [][]byte) ([][]byte, error) { v[0], v[1] = v[1], v[0]; return v, nil }, sign.ErrUnusable},
		"empty values":    {ec256Key(), func(v [][]byte) ([][]byte, error) { return make([][]byte, len(v)), nil }, sign.ErrUnusable},
		"bytes behind it": {ec256Key(), func(v [][]byte) ([][]byte, error) { v[0] = append(v[0], 0); return v, nil }, sign.ErrUnusable},
		"an error":        {ec256Key(), func([][]byte) ([][]byte, error) { return nil, lost }, lost},
	} {
		for _, format := range []sign.Format{sign.CAdES, sign.XAdES} {
			key := &memory{key: c.key, chain: p.chain(leaf), change: c.change}
			docs := []sign.Document{{Format: format, Content: register}, {Format: format, Content: bytes.Replace(register, []byte("no"), []byte("si"), 1)}}
			if files, _, err := sign.Sign(t.Context(), key, time.Now(), docs); !errors.Is(err, c.is) || files != nil {
				t.Errorf("%s, format %d: %d files, %v", name, format, len(files), err)
			}
		}
	}
}
