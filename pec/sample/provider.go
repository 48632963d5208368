// Package sample makes messages as PEC providers send them, really signed by a
// provider of its own with a fresh certification authority, for tests,
// benchmarks and the demonstration. Structure and wording follow RFC 6109 §3
// and §4 and what providers put on the wire: multipart/signed round a
// multipart/mixed of text, daticert.xml and postacert.eml, CRLF line ends.
//
// The same provider, options, seed and order of calls give the same messages
// but for keys and signature values. Nothing here is ever trusted by the daemon
// unless its configuration names the sample CA.
package sample

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"sync"
	"sync/atomic"
	"time"
)

// Options say what a provider is like; the zero value is a provider of today
// with RSA keys and SHA-256.
type Options struct {
	Name   string      // of the organization; default "Gestore di Prova S.p.A."
	Domain string      // of its addresses; default "pec.gestore.example"
	ECDSA  bool        // P-256 keys instead of RSA 2048
	Digest crypto.Hash // of its signatures: SHA1, SHA256 (default), SHA384 or SHA512
	Now    time.Time   // when its certificates begin to be used; default the present
	Seed   uint64      // part of the identifiers it gives
	PSS    bool        // RSASSA-PSS instead of PKCS #1 v1.5

	// Dialect is how it writes; the zero value is as plain as can be.
	Dialect Dialect

	// Issuer is whose CA certifies the provider's; nil: it is a root.
	Issuer *Provider

	// Key makes the keys instead, for other kinds and sizes.
	Key func() (crypto.Signer, error)

	// Leaf changes the template of the signing certificate, to make ones that
	// must not be trusted.
	Leaf func(*x509.Certificate)
}

// Provider signs envelopes and receipts. It is safe for concurrent use.
type Provider struct {
	options Options
	ca      *x509.Certificate
	caKey   crypto.Signer
	leaf    *x509.Certificate
	key     crypto.Signer
	serial  atomic.Int64

	// persons is the one key of all whom the CA certifies: keys take time.
	persons func() (crypto.Signer, error)
}

// lifetime of the signing certificate, as real ones have it.
const lifetime = 3 * 365 * 24 * time.Hour

// NewProvider makes a provider with a new CA and a signing certificate.
func NewProvider(o Options) (*Provider, error) {
	p := newProvider(o)
	if err := p.newCA(); err != nil {
		return nil, fmt.Errorf("making the sample CA: %w", err)
	}
	var err error
	p.leaf, p.key, err = p.issue(p.options.Name, "Posta Certificata "+p.options.Name, p.Address(), p.options.Leaf)
	if err != nil {
		return nil, fmt.Errorf("making the sample provider's certificate: %w", err)
	}
	return p, nil
}

func newProvider(o Options) *Provider {
	p := &Provider{options: o.orDefault()}
	p.persons = sync.OnceValues(p.newKey)
	return p
}

func (o Options) orDefault() Options {
	if o.Name == "" {
		o.Name = "Gestore di Prova S.p.A."
	}
	if o.Domain == "" {
		o.Domain = "pec.gestore.example"
	}
	if o.Digest == 0 {
		o.Digest = crypto.SHA256
	}
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	return o
}

func (p *Provider) newCA() error {
	key, err := p.newKey()
	if err != nil {
		return err
	}
	now := p.options.Now
	serial, err := newSerial()
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{Country: []string{"IT"}, Organization: []string{p.options.Name}, CommonName: "CA di prova " + p.options.Name},
		NotBefore:    now.AddDate(-1, 0, 0), NotAfter: now.AddDate(9, 0, 0),
		IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	parent, parentKey := template, key
	if above := p.options.Issuer; above != nil {
		parent, parentKey = above.ca, above.caKey
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
	if err != nil {
		return err
	}
	p.caKey = key
	p.ca, err = x509.ParseCertificate(der)
	return err
}

func (p *Provider) newKey() (crypto.Signer, error) {
	if p.options.Key != nil {
		return p.options.Key()
	}
	if p.options.ECDSA {
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	return rsa.GenerateKey(rand.Reader, 2048)
}

func newSerial() (*big.Int, error) {
	return rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
}

// issue makes a certificate and its key.
func (p *Provider) issue(organization, name, address string, change func(*x509.Certificate)) (*x509.Certificate, crypto.Signer, error) {
	key, err := p.newKey()
	if err != nil {
		return nil, nil, err
	}
	cert, err := p.certify(key.Public(), organization, name, address, change)
	return cert, key, err
}

// certify makes a certificate for signing mail after RFC 6109 §5.5: no basic
// constraints, the address only in the alternative name.
func (p *Provider) certify(key crypto.PublicKey, organization, name, address string, change func(*x509.Certificate)) (*x509.Certificate, error) {
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:   serial,
		Subject:        pkix.Name{Country: []string{"IT"}, CommonName: name},
		NotBefore:      p.options.Now.AddDate(0, -1, 0),
		NotAfter:       p.options.Now.Add(lifetime),
		KeyUsage:       x509.KeyUsageDigitalSignature,
		ExtKeyUsage:    []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection},
		EmailAddresses: []string{address},
		SubjectKeyId:   sum(crypto.SHA1, serial.Bytes()),
	}
	if organization != "" {
		template.Subject.Organization = []string{organization}
	}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, p.ca, key, p.caKey)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// CrossSign certifies the CA of another provider by the CA of this one, as a
// public root certifies the issuing CA of PEC providers.
func (p *Provider) CrossSign(other *Provider) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, other.ca, p.ca, other.ca.PublicKey, p.caKey)
	if err != nil {
		return nil, fmt.Errorf("certifying a sample CA: %w", err)
	}
	return x509.ParseCertificate(der)
}

// Address is what the provider sends from.
func (p *Provider) Address() string { return "posta-certificata@" + p.options.Domain }

// Domain is the provider's domain.
func (p *Provider) Domain() string { return p.options.Domain }

// CA is the trust anchor for the provider's messages.
func (p *Provider) CA() *x509.Certificate { return p.ca }

// CAPEM is the trust anchor as a PEM file.
func (p *Provider) CAPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.ca.Raw})
}

// Certificate is the one the provider signs with.
func (p *Provider) Certificate() *x509.Certificate { return p.leaf }

// MarshalPEM holds the provider's certificates and private keys, so that
// LoadProvider can continue it. It is a secret.
func (p *Provider) MarshalPEM() ([]byte, error) {
	var out []byte
	for _, one := range []struct {
		cert *x509.Certificate
		key  crypto.Signer
	}{{p.ca, p.caKey}, {p.leaf, p.key}} {
		der, err := x509.MarshalPKCS8PrivateKey(one.key)
		if err != nil {
			return nil, fmt.Errorf("encoding the sample provider's key: %w", err)
		}
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: one.cert.Raw})...)
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})...)
	}
	return out, nil
}

var errNotProvider = errors.New("not what MarshalPEM wrote")

// LoadProvider makes the provider that MarshalPEM saved. Its identifiers begin
// anew; give another Seed to keep them apart.
func LoadProvider(data []byte, o Options) (*Provider, error) {
	p := newProvider(o)
	for _, to := range []struct {
		cert **x509.Certificate
		key  *crypto.Signer
	}{{&p.ca, &p.caKey}, {&p.leaf, &p.key}} {
		certBlock, rest := pem.Decode(data)
		keyBlock, rest := pem.Decode(rest)
		if certBlock == nil || keyBlock == nil {
			return nil, fmt.Errorf("loading the sample provider: %w", errNotProvider)
		}
		data = rest
		cert, err := x509.ParseCertificate(certBlock.Bytes)
		if err != nil {
			return nil, fmt.Errorf("loading the sample provider: %w", err)
		}
		key, err := x509.ParsePKCS8PrivateKey(keyBlock.Bytes)
		if err != nil {
			return nil, fmt.Errorf("loading the sample provider: %w", err)
		}
		signer, ok := key.(crypto.Signer)
		if !ok {
			return nil, fmt.Errorf("loading the sample provider: %w", errNotProvider)
		}
		*to.cert, *to.key = cert, signer
	}
	return p, nil
}
