package pec

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"

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
