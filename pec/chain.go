package pec

import (
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/protodaemon/protodaemon/cms"
)

// judge judges the signers whose values fit: chain, purpose and address. at
// is the time of the event; from are the From addresses of the message.
// signedLater: a certificate was not valid then, but when it signed.
func (t *Trust) judge(s signedBy, at time.Time, from []Address) (out Signature, signedLater bool) {
	out = Signature{Status: s.status, Problems: []string{}}
	if s.err != nil {
		out.Problems = append(out.Problems, s.err.Error())
	}
	if len(s.signers) == 0 {
		return out, false
	}
	shown := s.signers[0]
	for _, one := range s.signers {
		if len(from) == 1 && hasAddress(one.Certificate, from[0].Address) {
			shown = one
			break
		}
	}
	out.describe(shown, from)
	if s.status != SignatureValid {
		return out, false
	}
	for _, one := range s.signers {
		status, problem, later := t.chainAt(one, s.certs, at)
		out.fail(status, problem)
		signedLater = signedLater || later
		for _, problem := range purposeProblems(one.Certificate) {
			out.fail(SignatureUntrusted, problem)
		}
	}
	out.fail(addressProblem(shown.Certificate, from))
	return out, signedLater
}

// describe fills in who signed and how.
func (s *Signature) describe(one cms.Signer, from []Address) {
	c := one.Certificate
	s.Signer, s.Issuer = line(c.Subject.String()), line(c.Issuer.String())
	s.Algorithm = one.Algorithm
	s.NotAfter = sensible(c.NotAfter)
	if len(c.EmailAddresses) > 0 {
		s.Email = line(c.EmailAddresses[0])
	}
	if len(from) == 1 && hasAddress(c, from[0].Address) {
		s.Email = from[0].Address
	}
}

// fail notes a problem; the first that is not only expiry gives the status.
func (s *Signature) fail(status SignatureStatus, problem string) {
	if problem == "" {
		return
	}
	s.Problems = append(s.Problems, problem)
	if s.Status == SignatureValid || s.Status == SignatureExpired {
		s.Status = status
	}
}

// chainAt judges a signer's certificate at the time of the event, or else when
// it says that it signed (later): both are the signer's word, and a notice may
// be about something older than the provider's present certificate.
func (t *Trust) chainAt(one cms.Signer, others []*x509.Certificate, at time.Time) (status SignatureStatus, problem string, later bool) {
	status, problem = t.chain(one.Certificate, others, at)
	if status == SignatureExpired && one.Time != nil {
		if again, _ := t.chain(one.Certificate, others, *one.Time); again == SignatureValid {
			return again, "", true
		}
	}
	return status, problem, false
}

// chain looks for a path from the certificate to an anchor at the time of the
// event; name constraints and nested purposes are x509's to check.
func (t *Trust) chain(c *x509.Certificate, others []*x509.Certificate, at time.Time) (SignatureStatus, string) {
	if t.Empty() {
		return SignatureUntrusted, "no trust anchor is configured"
	}
	intermediates := x509.NewCertPool()
	for _, o := range others {
		intermediates.AddCert(o)
	}
	_, err := c.Verify(x509.VerifyOptions{
		Roots: t.anchors, Intermediates: intermediates, CurrentTime: at,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection},
	})
	var invalid x509.CertificateInvalidError
	switch {
	case err == nil:
		return SignatureValid, ""
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return SignatureExpired, fmt.Sprintf("a certificate was not valid at the time of the message (%s)", at.UTC().Format(time.DateTime))
	}
	return SignatureUntrusted, "the certificate does not lead to a trust anchor: " + line(err.Error())
}

// purposeProblems are the rules for a leaf that signs mail (RFC 8550 §4.4, RFC
// 6109 §5.5). Basic constraints may be absent, and are on providers' leaves.
func purposeProblems(c *x509.Certificate) []string {
	var problems []string
	if c.BasicConstraintsValid && c.IsCA {
		problems = append(problems, "the signer's certificate is that of a certification authority")
	}
	if c.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		problems = append(problems, "the signer's certificate is not for digital signatures")
	}
	mail := false
	for _, u := range c.ExtKeyUsage {
		mail = mail || u == x509.ExtKeyUsageEmailProtection
	}
	if !mail {
		problems = append(problems, "the signer's certificate is not for mail (emailProtection)")
	}
	return problems
}

// addressProblem: the only From address must be one of the certificate's (RFC
// 6109 §2.1, RFC 8550 §3).
func addressProblem(c *x509.Certificate, from []Address) (SignatureStatus, string) {
	switch {
	case len(from) != 1:
		return SignatureUntrusted, fmt.Sprintf("the message has %d From addresses instead of one", len(from))
	case !hasAddress(c, from[0].Address):
		return SignatureUntrusted, fmt.Sprintf("the From address %s is not the signer's (%s)", from[0].Address, line(strings.Join(c.EmailAddresses, ", ")))
	}
	return SignatureValid, ""
}

// hasAddress compares as the rule has it: the domain without regard to case. Of
// equal length, because Unicode folds ſ to s and the Kelvin sign to k.
func hasAddress(c *x509.Certificate, address string) bool {
	local, domain, ok := cutAddress(address)
	for _, e := range c.EmailAddresses {
		l, d, _ := cutAddress(e)
		if ok && l == local && len(d) == len(domain) && strings.EqualFold(d, domain) {
			return true
		}
	}
	return false
}

func cutAddress(s string) (local, domain string, ok bool) {
	i := strings.LastIndexByte(s, '@')
	if i <= 0 {
		return "", "", false
	}
	return s[:i], s[i+1:], true
}
