package sign

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
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
	if err != nil {
		return nil, Stamped{}, fmt.Errorf("reading the signature: %w", err)
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
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnusable, err)
	}
	r.Header.Set("Content-Type", "application/timestamp-query")
	r.Header.Set("Accept", "application/timestamp-reply")
	if a.Username != "" {
		r.SetBasicAuth(a.Username, a.Password)
	}
	resp, err := noRedirects(a.Client).Do(r)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxStamp+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: reading its answer: %w", ErrUnreachable, err)
	case resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden:
		return nil, fmt.Errorf("%w: it answered %s; check user name and password", ErrRefused, resp.Status)
	case resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests:
		return nil, &busyError{status: resp.Status, after: retryAfter(resp.Header)}
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%w: it answered %s; check the URL", ErrRefused, resp.Status)
	case len(b) > maxStamp:
		return nil, fmt.Errorf("%w: its answer is larger than %d bytes", ErrRefused, maxStamp)
	}
	return b, nil
}

// noRedirects is a client that follows none: what is sent is meant for one
// address.
func noRedirects(c *http.Client) *http.Client {
	if c == nil {
		c = http.DefaultClient
	}
	plain := *c
	plain.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &plain
}

// busyError is an ErrUnreachable that says when to come again.
type busyError struct {
	status string
	after  time.Duration
}

func (e *busyError) Error() string {
	return fmt.Sprintf("%v: it answered %s", ErrUnreachable, e.status)
}
func (e *busyError) Unwrap() error             { return ErrUnreachable }
func (e *busyError) RetryAfter() time.Duration { return e.after }

// retryAfter reads the header's seconds.
func retryAfter(h http.Header) time.Duration {
	s, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil || s < 0 || s > 24*3600 {
		return 0
	}
	return time.Duration(s) * time.Second
}

func parseOID(s string) (asn1.ObjectIdentifier, error) {
	if s == "" {
		return nil, nil
	}
	var oid asn1.ObjectIdentifier
	for part := range strings.SplitSeq(s, ".") {
		n, err := strconv.Atoi(part)
		if err != nil || n < 0 {
			return nil, fmt.Errorf("%w: the policy %q is no object identifier like 1.2.3", ErrUnusable, s)
		}
		oid = append(oid, n)
	}
	return oid, nil
}
