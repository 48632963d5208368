package document

import (
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/protodaemon/protodaemon/cms"
	"github.com/protodaemon/protodaemon/xmldsig"
)

// stamped gives digests of what a signature or time stamp is over; nil for one
// that it does not have.
type stamped func(crypto.Hash) []byte

// evidence is what was verified of one signature, before it is judged.
type evidence struct {
	kind        string
	err         error // nil: it fits
	certificate *x509.Certificate
	others      []*x509.Certificate
	algorithm   string
	weak, bound bool
	said        *time.Time // by the signer
	token       []byte     // a time stamp, not verified; nil: none
	stamped     stamped    // what that is over
	counters    int
}

// judge says what a signature proves.
func (i *inspector) judge(e evidence) Signature {
	s := Signature{Kind: e.kind, Fits: e.err == nil, Algorithm: e.algorithm, Problems: []string{}}
	s.signer(e.certificate)
	if e.said != nil {
		s.Time = sensible(*e.said)
	}
	if e.err != nil {
		s.problem(problemOf(e.err))
	}
	s.problemIf(e.weak, WeakDigest)
	s.problemIf(e.counters > 0, Countersigned)
	if e.certificate == nil {
		return s
	}
	s.problemIf(!e.bound, NotBound)
	s.problem(certificateProblems(e.certificate)...)
	at := i.time(&s, e)
	s.problemIf(at.IsZero(), TimeUnknown)
	expired := !at.IsZero() && (at.Before(e.certificate.NotBefore) || at.After(e.certificate.NotAfter))
	s.problemIf(expired, Expired)
	proven := s.Stamp != nil && at.Equal(s.Stamp.Time)
	s.problemIf(!expired && !proven && i.o.At.After(e.certificate.NotAfter), ExpiredSince)
	if i.o.Anchors != nil {
		trusted := !at.IsZero() && s.Fits && !expired
		if trusted {
			problem := i.chain(e.certificate, e.others, at)
			s.problem(problem)
			trusted = problem == ""
		}
		s.Trusted = &trusted
	}
	return s
}

func (s *Signature) problem(codes ...string) {
	for _, code := range codes {
		if code != "" && !slices.Contains(s.Problems, code) {
			s.Problems = append(s.Problems, code)
		}
	}
}

func (s *Signature) problemIf(so bool, code string) {
	if so {
		s.problem(code)
	}
}

// problemOf names why a signature does not fit, or why that is not known.
func problemOf(err error) string {
	for _, known := range []struct {
		err  error
		code string
	}{
		{errNoContent, NoContent},
		{errByteRange, ByteRange},
		{cms.ErrMismatch, Changed}, {xmldsig.ErrMismatch, Changed},
		{cms.ErrNoCertificate, NoCertificate}, {xmldsig.ErrNoCertificate, NoCertificate},
		{cms.ErrMalformed, Damaged}, {xmldsig.ErrMalformed, Damaged},
	} {
		if errors.Is(err, known.err) {
			return known.code
		}
	}
	return Unsupported
}

// time is when the signature was made: as its time stamp proves, else as the
// signer says, else as it was sent; zero when nothing says.
func (i *inspector) time(s *Signature, e evidence) time.Time {
	if e.token != nil {
		if stamp := i.stampOn(s, e); stamp != nil {
			s.problemIf(s.Time != nil && s.Time.After(stamp.Time.Add(clockSlack)), TimeAfterStamp)
			if !slices.Contains(s.Problems, StampUntrusted) {
				return stamp.Time
			}
		}
	}
	if s.Time != nil {
		return *s.Time
	}
	return i.o.At
}

// clockSlack is by how much the signer's clock may be ahead of the authority's.
const clockSlack = 10 * time.Minute

// stampOn verifies the time stamp over a signature; nil when it is not used.
func (i *inspector) stampOn(s *Signature, e evidence) *Stamp {
	if !s.Fits {
		return nil
	}
	stamp, err := cms.VerifyStampOf(e.token, e.stamped)
	code := i.stampProblem(stamp, err)
	s.problem(code)
	if code == "" || code == StampUntrusted {
		s.Stamp = stampOf(stamp)
	}
	return s.Stamp
}

// stampProblem names what is wrong with a time stamp.
func (i *inspector) stampProblem(s cms.Stamp, err error) string {
	if err == nil && i.o.Anchors != nil {
		err = s.Trusted(i.chains, i.o.Anchors)
	}
	for _, known := range []struct {
		err  error
		code string
	}{{cms.ErrUntrustedStamp, StampUntrusted}, {cms.ErrNoAuthority, StampAuthority}, {cms.ErrMismatch, StampChanged}} {
		if errors.Is(err, known.err) {
			return known.code
		}
	}
	if err != nil {
		return StampUnverified
	}
	return ""
}

func stampOf(s cms.Stamp) *Stamp {
	at := sensible(s.Time)
	if at == nil {
		return nil
	}
	out := &Stamp{Time: *at, Policy: s.Policy.String(), Serial: lineOf(fmt.Sprintf("%x", s.Serial), 100)}
	if s.Certificate != nil {
		out.Authority = personIn(s.Certificate.Subject)
	}
	return out
}

// stamp says what a time stamp proves that is a signature of its own; over is
// nil when what it stamped is not there.
func (i *inspector) stamp(r *reading, token []byte, over stamped) {
	said, err := cms.ParseStamp(token)
	missing := over == nil && err == nil
	if missing {
		over = func(crypto.Hash) []byte { return said.Digest }
	}
	if err == nil {
		said, err = cms.VerifyStampOf(token, over)
	}
	s := Signature{Kind: "timestamp", Algorithm: said.Algorithm, Problems: []string{}}
	s.signer(said.Certificate)
	code := i.stampProblem(said, err)
	known := code == "" || code == StampUntrusted || code == StampAuthority
	if known {
		s.Stamp = stampOf(said)
	} else {
		code = problemOf(err)
	}
	s.Fits = known && !missing
	s.problem(code)
	s.problemIf(missing, NoContent)
	s.problemIf(said.Weak, WeakDigest)
	if i.o.Anchors != nil {
		trusted := s.Fits && code == ""
		s.Trusted = &trusted
	}
	r.Signatures = append(r.Signatures, s)
}

// stampBeside verifies a time stamp over bytes and then a file.
func (i *inspector) stampBeside(r *reading, token, prefix []byte, file *Input) {
	if !i.another(r) {
		return
	}
	var over stamped
	if said, err := cms.ParseStamp(token); err == nil && file != nil {
		over = i.sums(r, []crypto.Hash{said.Hash}, prefix, *file, section{0, file.Size})
	}
	i.stamp(r, token, over)
}

// chain looks for a path from a certificate to an anchor at a time, and names
// what is in the way.
func (i *inspector) chain(c *x509.Certificate, others []*x509.Certificate, at time.Time) string {
	leaf := *c
	leaf.UnhandledCriticalExtensions = slices.DeleteFunc(slices.Clone(c.UnhandledCriticalExtensions), oidQCStatements.Equal)
	err := i.chains.Verify(&leaf, others, x509.VerifyOptions{Roots: i.o.Anchors, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	var invalid x509.CertificateInvalidError
	switch {
	case err == nil:
		return ""
	case errors.Is(err, cms.ErrBounds):
		return TrustUnknown
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return Expired
	}
	return Untrusted
}
