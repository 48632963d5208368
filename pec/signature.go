package pec

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"

	"github.com/protodaemon/protodaemon/cms"
)

// signatureMax bounds the decoded detached signature; real ones have 3 to 6 KB.
const signatureMax = 1 << 20

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

// detached is the signature of a multipart/signed that waits for the digest of
// what it covers.
type detached struct {
	sd     *cms.SignedData
	digest *cms.Digester
	lines  canonicalLines
}

// readDetached reads the signature of a multipart/signed (RFC 8551 §3.5.3). The
// digests that it needs are taken when the content passes by; without one,
// signedBy is the verdict.
func readDetached(p *part) (*detached, signedBy) {
	switch {
	case len(p.children) == 2 && p.children[1].media == "application/pgp-signature":
		return nil, signedBy{status: SignatureError, err: errors.New("an OpenPGP signature is not verified here")}
	case len(p.children) > 2:
		return nil, signedBy{status: SignatureInvalid, err: errors.New("the signed message has parts outside the signature")}
	case len(p.children) < 2 || !p.closed:
		return nil, signedBy{status: SignatureInvalid, err: errors.New("the signed message is cut short")}
	case !signatureMedia[p.children[1].media]:
		return nil, signedBy{status: SignatureInvalid, err: errors.New("the second part of the signed message is no signature")}
	}
	ber, err := strictContent(p.children[1])
	if err != nil {
		return nil, failed(err)
	}
	sd, err := cms.Parse(ber)
	if err != nil {
		return nil, failed(err)
	}
	if sd.Content != nil {
		return nil, signedBy{status: SignatureInvalid, err: errors.New("the detached signature brings content of its own")}
	}
	d := &detached{sd: sd, digest: cms.NewDigester(sd.Digests()...)}
	d.lines.to = d.digest
	return d, signedBy{}
}

// verdict is what the signature proves of what has passed by.
func (d *detached) verdict() signedBy {
	s := check(d.sd, d.digest)
	s.lineEnds = d.lines.changed
	return s
}

// openOpaque reads an application/pkcs7-mime and returns its content as well,
// whether or not it verifies (RFC 8551 §3.5.2).
func openOpaque(ctx context.Context, p *part) (signedBy, *source) {
	src, size, junk, err := p.unpack(ctx)
	if err != nil {
		return failed(err), nil
	}
	sd, err := cms.Open(src, int64(size))
	if errors.Is(err, cms.ErrEncrypted) {
		return signedBy{status: SignatureAbsent, err: err}, nil
	}
	if err != nil {
		return failed(err), nil
	}
	if sd.Encapsulated() == nil {
		return signedBy{status: SignatureInvalid, err: errors.New("the signature has no content")}, nil
	}
	inner := &source{src: sd.Encapsulated(), size: int(sd.Encapsulated().Size()), layers: p.doc.layers + 1}
	if junk {
		return failed(errJunk), inner
	}
	digest := cms.NewDigester(sd.Digests()...)
	if _, err := io.Copy(digest, contextReader{ctx, sd.Encapsulated().Reader()}); err != nil {
		return failed(err), inner
	}
	return check(sd, digest), inner
}

var (
	errTooLarge = errors.New("the signature is larger than is read")
	errJunk     = fmt.Errorf("%w: something in it is no base64", cms.ErrMalformed)
)

// strictContent decodes what a signature is made of. Attachments are decoded
// leniently; here a byte that does not belong is a changed byte.
func strictContent(p *part) ([]byte, error) {
	if p.end-p.body > 2*signatureMax {
		return nil, errTooLarge
	}
	raw, err := io.ReadAll(p.content())
	if err != nil {
		return nil, err
	}
	d := p.decoder()
	if d == nil {
		return raw, nil
	}
	b := d.end(d.decode(nil, raw))
	if d, ok := d.(*base64Decoder); ok && d.junk {
		return nil, errJunk
	}
	if len(b) > signatureMax {
		return nil, errTooLarge
	}
	return b, nil
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
	for _, e := range []error{cms.ErrMalformed, cms.ErrMismatch} {
		if errors.Is(err, e) {
			return signedBy{status: SignatureInvalid, err: err}
		}
	}
	return signedBy{status: SignatureError, err: err}
}

// check verifies every signer; one that does not fit spoils all, as openssl
// has it.
func check(sd *cms.SignedData, digest *cms.Digester) signedBy {
	s := signedBy{status: SignatureValid, certs: sd.Certificates}
	for i := range sd.Signers {
		one, err := sd.VerifyDigest(i, digest.Sum)
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

// canonicalLines shows another writer the form that S/MIME signs (RFC 8551
// §3.1.1): each line ended by CRLF. It is the only form tried, as openssl has
// it.
type canonicalLines struct {
	to      io.Writer
	changed bool
	last    byte // of the piece before
}

var crlf = []byte("\r\n")

func (c *canonicalLines) Write(b []byte) (int, error) {
	n := len(b)
	for from, at := 0, 0; ; {
		i := bytes.IndexByte(b[at:], '\n')
		if i < 0 {
			_, _ = c.to.Write(b[from:])
			break
		}
		at += i
		if at > 0 && b[at-1] != '\r' || at == 0 && c.last != '\r' {
			_, _ = c.to.Write(b[from:at])
			_, _ = c.to.Write(crlf)
			from, c.changed = at+1, true
		}
		at++
	}
	if n > 0 {
		c.last = b[n-1]
	}
	return n, nil
}
