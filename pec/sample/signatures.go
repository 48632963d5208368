package sample

import (
	"bytes"
	"crypto"
	"crypto/elliptic"
	"crypto/x509"
	"time"

	"github.com/protodaemon/protodaemon/pec"
)

// signatureKinds are envelopes and receipts in the forms that a signature can
// have.
var signatureKinds = []kind{
	{"firma-sha1", formed(Form{Digest: crypto.SHA1})},
	{"firma-sha224", formed(Form{Digest: crypto.SHA224})},
	{"firma-sha256", formed(Form{Digest: crypto.SHA256})},
	{"firma-sha384", formed(Form{Digest: crypto.SHA384})},
	{"firma-sha512", formed(Form{Digest: crypto.SHA512})},
	{"firma-pss-sha256", formed(Form{PSS: true, Digest: crypto.SHA256})},
	{"firma-pss-sha512", formed(Form{PSS: true, Digest: crypto.SHA512})},
	{"firma-p256", onCurve(elliptic.P256(), crypto.SHA256)},
	{"firma-p384", onCurve(elliptic.P384(), crypto.SHA384)},
	{"firma-p521", onCurve(elliptic.P521(), crypto.SHA512)},
	{"firma-senza-attributi", formed(Form{NoAttributes: true})},
	{"firma-subject-key-identifier", formed(Form{KeyID: true})},
	{"firma-lunghezze-indefinite", formed(Form{Indefinite: true})},
	{"firma-opaca", formed(Form{Opaque: true})},
	{"firma-opaca-indefinita", formed(Form{Opaque: true, Indefinite: true})},
	{"firma-opaca-senza-attributi", formed(Form{Opaque: true, NoAttributes: true})},
	{"firma-opaca-sha1-indefinita", formed(Form{Opaque: true, Indefinite: true, Digest: crypto.SHA1})},
	{"firma-due-gestori", func(m *mixer) (Message, error) { return formed(Form{With: m.beside()})(m) }},
	{"firma-due-gestori-opaca", func(m *mixer) (Message, error) { return formed(Form{With: m.beside(), Opaque: true})(m) }},
	{"firma-un-firmatario-estraneo", func(m *mixer) (Message, error) {
		stranger, err := m.unknown()
		if err != nil {
			return Message{}, err
		}
		one, err := formed(Form{With: []*Provider{stranger}})(m)
		return untrusted(one), err
	}},
	{"firma-senza-certificati", func(m *mixer) (Message, error) {
		one, err := formed(Form{NoCertificates: true})(m)
		one = untrusted(one)
		one.Expect.Status, one.Expect.Warnings = pec.SignatureError, nil
		return one, err
	}},
	{"firma-senza-intermedi", func(m *mixer) (Message, error) {
		one, err := formed(Form{NoIssuers: true})(m)
		if m.rooted() { // the issuing CA is known from the message alone
			one = untrusted(one)
			one.Expect.Warnings = weakDigest(m.p.options.Digest)
		}
		return one, err
	}},
	{"firma-righe-lf", func(m *mixer) (Message, error) {
		one, err := warned(receipt((*Dispatch).acceptance), pec.LineEndsChanged)(m)
		one.Raw = bytes.ReplaceAll(one.Raw, []byte("\r\n"), []byte("\n"))
		one.Expect.Content = digest(one.Raw)
		return one, err
	}},
	{"firma-accettazione-opaca", receipt((*Dispatch).acceptance, func(d *Dispatch) { d.form.Opaque = true })},
	{"firma-consegna-opaca-indefinita", deliver("completa", func(d *Dispatch) { d.form.Opaque, d.form.Indefinite = true, true })},
	{"firma-persona-opaca", personal(Form{Opaque: true})},
	{"firma-persona-sha512", personal(Form{Digest: crypto.SHA512})},
	{"firma-persona-pss", personal(Form{PSS: true})},
}

// certificateKinds are envelopes by a certificate of the provider's CA that is
// not, or only just, fit for it (RFC 6109 §5.5, RFC 8550 §4.4).
var certificateKinds = []kind{
	{"certificato-senza-emailprotection", leaf(func(c *x509.Certificate, _ time.Time) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }, pec.SignatureUntrusted)},
	{"certificato-senza-scopo", leaf(func(c *x509.Certificate, _ time.Time) { c.ExtKeyUsage = nil }, pec.SignatureUntrusted)},
	{"certificato-di-una-ca", leaf(func(c *x509.Certificate, _ time.Time) { c.IsCA, c.BasicConstraintsValid = true, true }, pec.SignatureUntrusted)},
	{"certificato-senza-firme", leaf(func(c *x509.Certificate, _ time.Time) { c.KeyUsage = x509.KeyUsageKeyEncipherment }, pec.SignatureUntrusted)},
	{"certificato-altro-indirizzo", leaf(func(c *x509.Certificate, _ time.Time) { c.EmailAddresses = []string{"posta-certificata@altro.example"} }, pec.SignatureUntrusted)},
	{"certificato-senza-indirizzo", leaf(func(c *x509.Certificate, _ time.Time) { c.EmailAddresses = nil }, pec.SignatureUntrusted)},
	{"certificato-scaduto", leaf(func(c *x509.Certificate, at time.Time) { c.NotAfter = at.AddDate(0, 0, -1) }, pec.SignatureExpired)},
	{"certificato-futuro", leaf(func(c *x509.Certificate, at time.Time) { c.NotBefore = at.AddDate(0, 0, 1) }, pec.SignatureExpired)},
	{"certificato-vincoli-di-base", leaf(func(c *x509.Certificate, _ time.Time) { c.BasicConstraintsValid = true }, pec.SignatureValid)},
	{"certificato-dominio-maiuscolo", leaf(func(c *x509.Certificate, _ time.Time) {
		local, domain, _ := bytes.Cut([]byte(c.EmailAddresses[0]), []byte("@"))
		c.EmailAddresses = []string{string(local) + "@" + string(bytes.ToUpper(domain))}
	}, pec.SignatureValid)},
	{"certificato-due-indirizzi", leaf(func(c *x509.Certificate, _ time.Time) {
		c.EmailAddresses = append([]string{"assistenza@altro.example"}, c.EmailAddresses...)
	}, pec.SignatureValid)},
}

// formed is an envelope signed in a form.
func formed(f Form) func(*mixer) (Message, error) {
	return envelope("completa", true, func(d *Dispatch) { d.form = f })
}

// onCurve is an envelope signed with another key.
func onCurve(c elliptic.Curve, h crypto.Hash) func(*mixer) (Message, error) {
	return func(m *mixer) (Message, error) {
		by, err := m.p.issued(c, nil)
		if err != nil {
			return Message{}, err
		}
		return envelope("completa", true, func(d *Dispatch) { d.form.Digest, d.by = h, &by })(m)
	}
}

// leaf is an envelope signed with a certificate that change spoils.
func leaf(change func(*x509.Certificate, time.Time), want pec.SignatureStatus) func(*mixer) (Message, error) {
	return func(m *mixer) (Message, error) {
		by, err := m.p.issued(elliptic.P256(), func(c *x509.Certificate) { change(c, m.at) })
		if err != nil {
			return Message{}, err
		}
		one, err := envelope("completa", false, func(d *Dispatch) { d.form.Time, d.by = m.at, &by })(m)
		if want != pec.SignatureValid {
			one = untrusted(one)
			one.Expect.Status = want
		}
		return one, err
	}
}

// untrusted is what is known about a message whose signature fits, or cannot be
// judged, and that nobody trusted vouches for.
func untrusted(one Message) Message {
	one.Expect.Authenticity, one.Expect.Status = pec.Untrusted, pec.SignatureUntrusted
	return one
}

// beside is the next provider of the corpus.
func (m *mixer) beside() []*Provider {
	for i, p := range m.corpus.providers {
		if p == m.p {
			return []*Provider{m.corpus.providers[(i+1)%len(m.corpus.providers)]}
		}
	}
	return nil
}

// rooted tells that the anchor of this mixer's provider is the root above its
// issuing CA.
func (m *mixer) rooted() bool { return !m.p.ca.Equal(m.corpus.Anchors[1]) }
