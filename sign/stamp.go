package sign

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/protodaemon/protodaemon/cms"
)

const (
	maxStamp  = 1 << 20
	stampWait = 30 * time.Second // for one authority
)

// Authority is a time stamping authority (RFC 3161 over HTTP).
type Authority struct {
	Name, URL          string
	Username, Password string
	Policy             string // an object identifier in dots; empty: the authority's own
	// Roots are whom its certificate has to lead to; nil: its signature is
	// verified, and nobody says who it is.
	Roots  *x509.CertPool
	Client *http.Client // nil: a usual one
}

// Stamped is a time stamp and who gave it.
type Stamped struct {
	cms.Stamp
	Authority string
	Token     []byte // DER
}

// Stamp asks the authorities in their order for a time stamp over a SHA-256.
// What each of those that failed said is in the error.
func Stamp(ctx context.Context, authorities []Authority, digest []byte) (Stamped, error) {
	var failures []error
	for _, a := range authorities {
		s, err := a.stamp(ctx, digest)
		if err == nil {
			return s, nil
		}
		failures = append(failures, fmt.Errorf("time stamping authority %s: %w", a.Name, err))
		if ctx.Err() != nil {
			break
		}
	}
	if len(failures) == 0 {
		failures = append(failures, fmt.Errorf("%w: no time stamping authority is named", ErrUnusable))
	}
	return Stamped{}, errors.Join(failures...)
}

// AddStamp stamps the signature value of a CAdES B-B file and returns the file
// with the stamp in it (CAdES B-T).
func AddStamp(ctx context.Context, authorities []Authority, p7m []byte) ([]byte, Stamped, error) {
	sd, err := cms.Parse(p7m)
	switch {
	case err != nil:
		return nil, Stamped{}, fmt.Errorf("reading the signature: %w", err)
	case len(sd.Signers) != 1 || len(sd.Signers[0].UnsignedAttr.FullBytes) > 0: // before a stamp is paid for
		return nil, Stamped{}, fmt.Errorf("%w: stamped is a signature of one signer, without a stamp or other unsigned attributes", cms.ErrMalformed)
	}
	digest := sha256.Sum256(sd.Signers[0].Signature)
	s, err := Stamp(ctx, authorities, digest[:])
	if err != nil {
		return nil, Stamped{}, err
	}
	stamped, err := cms.AddToken(p7m, s.Token)
	return stamped, s, err
}

func (a Authority) stamp(ctx context.Context, digest []byte) (Stamped, error) {
	policy, err := parseOID(a.Policy)
	if err != nil {
		return Stamped{}, err
	}
	request, err := cms.NewStampRequest(digest, policy)
	if err != nil {
		return Stamped{}, err
	}
	answer, err := a.ask(ctx, request.DER)
	if err != nil {
		return Stamped{}, err
	}
	token, err := request.Read(answer)
	if err != nil {
		return Stamped{}, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	s, err := cms.VerifyStamp(token, digest, a.Roots)
	if err == nil && s.Weak {
		err = errWeak
	}
	if err != nil {
		return Stamped{}, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return Stamped{Stamp: s, Authority: a.Name, Token: token}, nil
}

// ask posts the request (RFC 3161 §3.4).
func (a Authority) ask(ctx context.Context, request []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, stampWait)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, a.URL, bytes.NewReader(request))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: its URL: %w", ErrUnusable, withoutURL(err))
	case a.Username != "" && !private(r.URL):
		return nil, fmt.Errorf("%w: it has to be reached by https: the password goes there", ErrUnusable)
	case a.Username != "":
		r.SetBasicAuth(a.Username, a.Password)
	}
	r.Header.Set("Content-Type", "application/timestamp-query")
	r.Header.Set("Accept", "application/timestamp-reply")
	status, body, err := send(a.Client, r, maxStamp)
	switch {
	case err != nil:
		return nil, err
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return nil, fmt.Errorf("%w: it says %s; check user name and password", ErrRefused, statusText(status))
	case status != http.StatusOK:
		return nil, fmt.Errorf("%w: it says %s; check the URL", ErrRefused, statusText(status))
	}
	return body, nil
}

// parseOID reads an object identifier in dots; of none it is nil.
func parseOID(s string) (asn1.ObjectIdentifier, error) {
	if s == "" {
		return nil, nil
	}
	var oid asn1.ObjectIdentifier
	for part := range strings.SplitSeq(s, ".") {
		n, err := strconv.ParseUint(part, 10, 31)
		if err != nil {
			return nil, errOID(s)
		}
		oid = append(oid, int(n))
	}
	if _, err := asn1.Marshal(oid); err != nil { // X.660: the first two arcs are bounded
		return nil, errOID(s)
	}
	return oid, nil
}

func errOID(s string) error {
	return fmt.Errorf("%w: the policy %q is no object identifier like 1.2.3", ErrUnusable, s)
}
