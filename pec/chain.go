package pec

import (
	"bytes"
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/protodaemon/protodaemon/cms"
)

// judged is what comes of judging signers.
type judged struct {
	Signature
	later   bool   // a certificate was not valid at the time of the event, but when it signed
	unknown string // why it cannot be told whether a certificate was revoked
}

// judge judges the signers whose values fit, for a purpose: chain, revocation,
// key usage and address. at is the time of the event; from are the From
// addresses of the message.
func (t *Trust) judge(v *cms.Chains, p purpose, s signedBy, at time.Time, from []Address) judged {
	out := judged{Signature: Signature{Status: s.status, Problems: []string{}}}
	if s.err != nil {
		out.Problems = append(out.Problems, s.err.Error())
	}
	if len(s.signers) == 0 {
		return out
	}
	shown := s.signers[0]
	for _, one := range s.signers {
		if len(from) == 1 && hasAddress(one.Certificate, from[0].Address) {
			shown = one
			break
		}
	}
	out.describe(shown.Certificate, shown.Algorithm, from)
	if s.status != SignatureValid {
		return out
	}
	for _, one := range s.signers {
		c := t.chainAt(v, p, x509.ExtKeyUsageEmailProtection, one.Certificate, one.Time, s.certs, at)
		out.fail(c.status, c.problem)
		out.later = out.later || c.later
		out.unknown = cmp.Or(out.unknown, c.unknown)
		for _, problem := range purposeProblems(p, one.Certificate) {
			out.fail(SignatureUntrusted, problem)
		}
	}
	out.fail(addressProblem(shown.Certificate, from))
	return out
}

// describe fills in who signed and how.
func (s *Signature) describe(c *x509.Certificate, algorithm string, from []Address) {
	s.Signer, s.Issuer = line(c.Subject.String()), line(c.Issuer.String())
	s.Algorithm = algorithm
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

// chained is the outcome of looking for a path to an anchor.
type chained struct {
	status  SignatureStatus
	problem string
	later   bool
	unknown string
}

// chainAt judges a signer's certificate at the time of the event, or else when
// it says that it signed (later): both are the signer's word, and a notice may
// be about something older than the provider's present certificate.
func (t *Trust) chainAt(v *cms.Chains, p purpose, usage x509.ExtKeyUsage, c *x509.Certificate, signed *time.Time, others []*x509.Certificate, at time.Time) chained {
	out := t.chain(v, p, usage, c, others, at)
	if out.status == SignatureExpired && signed != nil {
		if again := t.chain(v, p, usage, c, others, *signed); again.status == SignatureValid {
			again.later = true
			return again
		}
	}
	return out
}

// chain looks for a path from the certificate to an anchor of a purpose at the
// time of the event, in which nothing was revoked then; name constraints, path
// lengths, who may sign certificates and nested purposes are x509's to check.
func (t *Trust) chain(v *cms.Chains, p purpose, usage x509.ExtKeyUsage, c *x509.Certificate, others []*x509.Certificate, at time.Time) chained {
	if t.Empty() || !t.knows(p) {
		return chained{status: SignatureUntrusted, problem: nobody[p]}
	}
	options := x509.VerifyOptions{Roots: t.pool(p, at), CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{usage}}
	key := keyOf(options.Roots, usage, c, others)
	if chains := t.paths.at(key, at); chains != nil {
		if problem, unknown := t.revoked.check(chains, at); problem == "" {
			return chained{status: SignatureValid, unknown: unknown}
		}
	}
	chains, err := v.Paths(c, others, options)
	if err == nil {
		t.paths.remember(key, chains)
	}
	var invalid x509.CertificateInvalidError
	switch {
	case err == nil:
		problem, unknown := t.revoked.check(chains, at)
		if problem != "" {
			return chained{status: SignatureUntrusted, problem: problem}
		}
		return chained{status: SignatureValid, unknown: unknown}
	case errors.Is(err, cms.ErrBounds):
		return chained{status: SignatureError, problem: err.Error()}
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return chained{status: SignatureExpired, problem: fmt.Sprintf("a certificate was not valid at the time of the message (%s)", at.UTC().Format(time.DateTime))}
	}
	return chained{status: SignatureUntrusted, problem: t.whyNot(v, p, c, others, options, err)}
}

// nobody is what is said where nobody is trusted for a purpose.
var nobody = [purposes]string{
	providers: "no trust anchor is configured", persons: "no trust anchor is configured", stamps: "no trust anchor is configured",
	services: "no service of registered electronic mail is trusted: no trusted list is configured that names one",
}

// whyNot says in words why no path was found.
func (t *Trust) whyNot(v *cms.Chains, p purpose, c *x509.Certificate, others []*x509.Certificate, options x509.VerifyOptions, err error) string {
	options.Roots = t.poolEver(p)
	if v.Verify(c, others, options) == nil {
		return "the service that vouches for the certificate was not in force at the time of the message (" + options.CurrentTime.UTC().Format(time.DateTime) + ")"
	}
	why := "the certificate does not lead to a trust anchor: " + line(err.Error())
	var unknown x509.UnknownAuthorityError
	if !errors.As(err, &unknown) {
		return why
	}
	top := c
	for range others { // up to where the chain ends
		i := slices.IndexFunc(others, func(o *x509.Certificate) bool {
			return !bytes.Equal(top.RawIssuer, top.RawSubject) && bytes.Equal(o.RawSubject, top.RawIssuer)
		})
		if i < 0 {
			break
		}
		top = others[i]
	}
	if slices.ContainsFunc(t.at(p, options.CurrentTime), func(a *x509.Certificate) bool { return bytes.Equal(a.RawSubject, top.RawIssuer) }) {
		return why
	}
	return why + "; nobody trusted is " + line(top.Issuer.String())
}

const (
	// anyUsage is asked of who signs evidence: no extended purpose is made for it.
	anyUsage = x509.ExtKeyUsageAny
	// signing are the key usages of qualified seals and signatures.
	signing = x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment
)

// purposeProblems are the rules for a leaf that signs mail (RFC 8550 §4.4, RFC
// 6109 §5.5). Basic constraints may be absent, and are on providers' leaves. A
// registered mail service may use a qualified seal, which need not name mail.
func purposeProblems(p purpose, c *x509.Certificate) []string {
	var problems []string
	if c.BasicConstraintsValid && c.IsCA {
		problems = append(problems, "the signer's certificate is that of a certification authority")
	}
	usage := x509.KeyUsageDigitalSignature
	if p == services {
		usage = signing
	}
	if c.KeyUsage&usage == 0 {
		problems = append(problems, "the signer's certificate is not for digital signatures")
	}
	mail := p == services && len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) == 0
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
