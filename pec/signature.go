package pec

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/protodaemon/protodaemon/cms"
)

// signatureMax bounds the decoded detached signature, opaqueMax one that holds
// its content. Real detached ones have 3 to 6 KB.
const (
	signatureMax = 1 << 20
	opaqueMax    = 64 << 20
)

// signedBy is the state of the S/MIME layer round a message before trust is
// considered: what was covered, and by whom.
type signedBy struct {
	status   SignatureStatus // valid here means that the values fit
	signers  []cms.Signer
	certs    []*x509.Certificate
	err      error
	lineEnds bool // fits only with LF turned to CRLF
}

var signatureMedia = map[string]bool{
	"application/pkcs7-signature":   true,
	"application/x-pkcs7-signature": true,
}

var opaqueMedia = map[string]bool{
	"application/pkcs7-mime":   true,
	"application/x-pkcs7-mime": true,
}

// checkDetached verifies a multipart/signed (RFC 8551 §3.5.3).
func checkDetached(p *part) signedBy {
	switch {
	case len(p.children) == 2 && p.children[1].media == "application/pgp-signature":
		return signedBy{status: SignatureError, err: errors.New("an OpenPGP signature is not verified here")}
	case len(p.children) > 2:
		return signedBy{status: SignatureInvalid, err: errors.New("the signed message has parts outside the signature")}
	case len(p.children) < 2 || !p.closed:
		return signedBy{status: SignatureInvalid, err: errors.New("the signed message is cut short")}
	case !signatureMedia[p.children[1].media]:
		return signedBy{status: SignatureInvalid, err: errors.New("the second part of the signed message is no signature")}
	}
	ber, err := strictContent(p.children[1], signatureMax)
	if err != nil {
		return failed(err)
	}
	sd, err := cms.Parse(ber)
	if err != nil {
		return failed(err)
	}
	if sd.Content != nil {
		return signedBy{status: SignatureInvalid, err: errors.New("the detached signature brings content of its own")}
	}
	content := p.children[0].entity()
	canonical := canonicalLines(content)
	s := check(sd, canonical)
	s.lineEnds = len(canonical) != len(content)
	return s
}

// openOpaque reads an application/pkcs7-mime and returns its content as well,
// whether or not it verifies (RFC 8551 §3.5.2).
func openOpaque(p *part) (signedBy, []byte) {
	ber, err := strictContent(p, opaqueMax)
	if err != nil {
		return failed(err), nil
	}
	sd, err := cms.Parse(ber)
	if errors.Is(err, cms.ErrEncrypted) {
		return signedBy{status: SignatureAbsent, err: err}, nil
	}
	if err != nil {
		return failed(err), nil
	}
	if sd.Content == nil {
		return signedBy{status: SignatureInvalid, err: errors.New("the signature has no content")}, nil
	}
	return check(sd, sd.Content), sd.Content
}

var errTooLarge = errors.New("the signature is larger than is read")

// strictContent decodes what a signature is made of. Attachments are decoded
// leniently; here a byte that does not belong is a changed byte.
func strictContent(p *part, limit int) ([]byte, error) {
	if p.encoding() != "base64" {
		return readBounded(p.decoded(), int64(limit))
	}
	if base64.StdEncoding.DecodedLen(len(p.content())) > limit+limit/8 {
		return nil, errTooLarge
	}
	text := bytes.Map(dropBlank, p.content())
	b := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Decode(b, text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", cms.ErrMalformed, err)
	}
	return b[:n], nil
}

func readBounded(r io.Reader, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = errTooLarge
	}
	return b, err
}

// failed maps a failure: what we cannot verify is never called invalid.
func failed(err error) signedBy {
	for _, e := range []error{cms.ErrUnsupported, cms.ErrBounds, errTooLarge, cms.ErrNoCertificate} {
		if errors.Is(err, e) {
			return signedBy{status: SignatureError, err: err}
		}
	}
	return signedBy{status: SignatureInvalid, err: err}
}

// check verifies every signer; one that does not fit spoils all, as openssl
// has it.
func check(sd *cms.SignedData, content []byte) signedBy {
	s := signedBy{status: SignatureValid, certs: sd.Certificates}
	for i := range sd.Signers {
		one, err := sd.Verify(i, content)
		if err != nil {
			bad := failed(err)
			if s.status == SignatureValid || bad.status == SignatureInvalid {
				s.status, s.err = bad.status, bad.err
			}
		}
		if one.Time != nil {
			one.Time = sensible(*one.Time)
		}
		if one.Certificate != nil {
			s.signers = append(s.signers, one)
		}
	}
	return s
}

// canonicalLines is the form S/MIME signs (RFC 8551 §3.1.1): each line ended by
// CRLF. A message that is so already, as it comes over IMAP, is not copied. It
// is the only form tried, as openssl has it.
func canonicalLines(b []byte) []byte {
	bare := bytes.Count(b, []byte("\n")) - bytes.Count(b, []byte("\r\n"))
	if bare == 0 {
		return b
	}
	out := make([]byte, 0, len(b)+bare)
	for len(b) > 0 {
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			return append(out, b...)
		}
		if i > 0 && b[i-1] == '\r' {
			out = append(out, b[:i+1]...)
		} else {
			out = append(append(out, b[:i]...), '\r', '\n')
		}
		b = b[i+1:]
	}
	return out
}

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

// hasAddress compares as the rule has it: the domain without regard to case.
func hasAddress(c *x509.Certificate, address string) bool {
	local, domain, ok := cutAddress(address)
	for _, e := range c.EmailAddresses {
		l, d, _ := cutAddress(e)
		if ok && l == local && strings.EqualFold(d, domain) {
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
