// Package xmldsig verifies XML signatures that others made (XMLDSig 1.1, XAdES
// of EN 319 132-1): of registered mail evidence, trusted lists, and documents
// that people and offices send.
//
//	doc, err := xmldsig.Parse(data, xmldsig.Limits{})
//	signatures, err := doc.Verify()
//	if s := signatures[0]; s.Fits && s.Covers(doc.Root) { … }
//
// What was verified is what is read. Parse gives a tree, Verify says of each
// signature which nodes of that same tree its references cover, and a caller
// reads from these nodes (Child, Elements, Text). There is no second parser that
// could see something else, and an element that was moved, wrapped or repeated
// is not the node that is covered. Covers(doc.Root) is the whole document but
// for the signatures in it, which nothing should be read from.
//
// Verify is mathematics: digests, references, signature value. Whom to trust is
// the caller's question; the key is always that of a certificate in the
// signature, never a bare one. What it does not know is ErrUnsupported, never
// ErrMismatch: not verifiable is not the same as wrong.
//
// Verified are same-document references, whole ("") or by Id, enveloped and
// enveloping; the transforms enveloped-signature, XPath filter 2 and XPath 1.0
// in the one form that is in use, which takes all signatures out; Canonical XML
// 1.0, 1.1 and Exclusive 1.0, each with and without comments; RSA (PKCS #1 v1.5,
// PSS) and ECDSA on P-256, P-384, P-521, with SHA-1 (marked as weak) to SHA-512.
// An Id that stands twice is refused. Nothing outside the document is ever
// opened, no XSLT runs, and a document type declaration, with which Ids,
// entities and defaults could mean anything, refuses the document.
//
// Bounds. Bytes, depth, elements, signatures, references, transforms and
// certificates are bounded (Limits and constants), and so is the canonical form
// of everything together, in proportion to the document: time and memory are
// linear in it.
package xmldsig

import (
	"crypto/x509"
	"errors"
	"fmt"
	"time"
)

// Errors that callers branch on. Only ErrMismatch and ErrMalformed say that
// something is wrong with a signature; the others say that it is not known.
var (
	ErrMalformed   = errors.New("it is not well-formed")
	ErrDoctype     = errors.New("it has a document type declaration, which is not read")
	ErrBounds      = errors.New("it is beyond the bounds of what is read")
	ErrMismatch    = errors.New("the content or the signature was changed")
	ErrUnsupported = errors.New("the signature uses something that is not verified here")
	// ErrNoCertificate: the signature brings no certificate that can be read.
	ErrNoCertificate = errors.New("the signer's certificate is not with the signature, or is not readable")
)

// Limits bound one document; a zero field means the default.
type Limits struct {
	Bytes    int // of the document
	Elements int
	Depth    int
}

// DefaultLimits hold the largest trusted lists that are in use, some 10 MB.
var DefaultLimits = Limits{Bytes: 24 << 20, Elements: 400_000, Depth: 100}

// The bounds of what a signature may hold.
const (
	maxAttributes   = 256 // of one element, with namespace declarations
	maxSignatures   = 16
	maxReferences   = 64 // of one signature
	maxTransforms   = 8  // of one reference
	maxCertificates = 64 // of one signature
	rsaBitsMax      = 16384
)

// Signature is one ds:Signature and what was found.
type Signature struct {
	Element *Element
	// Fits: the signature value and every reference fit. Err says why not; it
	// is nil exactly when Fits.
	Fits bool
	Err  error
	// Certificate is the signer's; known also when the signature does not fit.
	Certificate  *x509.Certificate
	Certificates []*x509.Certificate // all that it brings and that can be read
	Algorithm    string              // as x509 names it: SHA256-RSA
	Weak         bool                // it rests on SHA-1
	References   []Reference

	// XAdES: it has SignedProperties, and the signature fits and covers them. Else
	// nothing that they say is taken into the fields below.
	XAdES       bool
	SigningTime *time.Time // what the signer says
	Bound       bool       // SigningCertificate names Certificate
	// Stamp is the token of the first SignatureTimeStamp, not checked, and
	// Stamped what its imprint has to be of; nil: there is none.
	Stamp, Stamped []byte

	// Problems say in words what is wrong or not known.
	Problems []string
}

// Reference is one ds:Reference.
type Reference struct {
	URI, Type string
	// Element is what it covers, but for Without and what is below it; nil when
	// it leads nowhere that is verified here. Whole: it is the document's root.
	Element *Element
	Whole   bool
	Without []*Element // signatures that its transforms take out
	Fits    bool       // the digest fits
	Err     error      // why not
}

// Covers tells that a signature that fits covers e with its attributes and all
// below it, except signatures that were taken out.
func (s *Signature) Covers(e *Element) bool {
	if !s.Fits || e == nil {
		return false
	}
	for i := range s.References {
		if s.References[i].covers(e) {
			return true
		}
	}
	return false
}

func (r *Reference) covers(e *Element) bool {
	if !r.Fits || r.Element == nil {
		return false
	}
	within := false
	for ; e != nil; e = e.Parent {
		for _, out := range r.Without {
			if e == out {
				return false
			}
		}
		within = within || e == r.Element
	}
	return within
}

// Verify parses a document and verifies all of its signatures.
func Verify(data []byte, limits Limits) ([]Signature, error) {
	doc, err := Parse(data, limits)
	if err != nil {
		return nil, err
	}
	return doc.Verify()
}

// Verify verifies every signature in the document, in document order, those in
// other signatures (countersignatures) too. A signature that does not fit is no
// error; ErrBounds comes beside the first ones when there are too many.
func (d *Document) Verify() ([]Signature, error) {
	v := &verifier{doc: d, left: 8<<20 + 16*int64(d.size)}
	var out []Signature
	for e := range d.Root.descendants() {
		if !e.Is(nsDS, "Signature") {
			continue
		}
		if len(out) == maxSignatures {
			return out, fmt.Errorf("%w: more than %d signatures", ErrBounds, maxSignatures)
		}
		out = append(out, v.signature(e))
	}
	return out, nil
}

// problem notes an error in words.
func (s *Signature) problem(what string, err error) {
	if what != "" {
		what += ": "
	}
	s.Problems = append(s.Problems, what+err.Error())
}
