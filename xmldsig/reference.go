package xmldsig

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// transforms that are verified here, beside the canonicalizations.
const (
	enveloped = nsDS + "enveloped-signature"
	filter2   = "http://www.w3.org/2002/06/xmldsig-filter2"
	xpath1    = "http://www.w3.org/TR/1999/REC-xpath-19991116"
)

// verifier verifies the signatures of one document.
type verifier struct {
	doc  *Document
	left int64 // bytes of canonical form that may still be made
}

// reference verifies one ds:Reference of a signature.
func (v *verifier) reference(e, signature *Element) (r Reference, weak bool) {
	r = Reference{URI: e.Attr("", "URI"), Type: e.Attr("", "Type")}
	whole, comments, err := v.target(&r, e)
	if err != nil {
		return failed(r, err), false
	}
	m, err := v.transforms(&r, e.Child(nsDS, "Transforms"), signature)
	if err != nil {
		return failed(r, err), false
	}
	m.comments = m.comments && comments
	hash, want, err := digestOf(e)
	if err != nil {
		return failed(r, err), false
	}
	h := hash.New()
	if err := v.doc.canonicalize(h, r.Element, whole, m, r.Without, &v.left); err != nil {
		return failed(r, err), false
	}
	if !bytes.Equal(h.Sum(nil), want) {
		return failed(r, ErrMismatch), false
	}
	r.Fits = true
	return r, hash == crypto.SHA1
}

func failed(r Reference, err error) Reference {
	r.Err = err
	if !errors.Is(err, ErrMismatch) {
		r.Element, r.Whole, r.Without = nil, false, nil
	}
	return r
}

var pointerID = regexp.MustCompile(`^#xpointer\(id\(['"]([^'"]+)['"]\)\)$`)

// target finds what a reference is about (XMLDSig §4.4.3.2, .3): comments count
// only where the URI is an XPointer.
func (v *verifier) target(r *Reference, e *Element) (whole, comments bool, err error) {
	if !slices.ContainsFunc(e.attrs, func(a attr) bool { return a.space == "" && a.local == "URI" }) {
		return false, false, fmt.Errorf("%w: a reference without URI", ErrUnsupported)
	}
	id, local := strings.CutPrefix(r.URI, "#")
	pointer := pointerID.FindStringSubmatch(r.URI)
	switch {
	case r.URI == "" || r.URI == "#xpointer(/)":
		r.Element, r.Whole = v.doc.Root, true
		return true, r.URI != "", nil
	case pointer != nil:
		id, comments = pointer[1], true
	case !local || id == "" || strings.ContainsAny(id, "()"):
		return false, false, fmt.Errorf("%w: a reference to %.80q, which is not in the document", ErrUnsupported, r.URI)
	}
	bearers := v.doc.byID(id)
	if len(bearers) != 1 {
		return false, false, fmt.Errorf("%w: %d elements have the Id %.80q of a reference", ErrMismatch, len(bearers), id)
	}
	r.Element = bearers[0]
	r.Whole = r.Element == v.doc.Root
	return false, comments, nil
}

// transforms reads what is done to the target before its digest: signatures
// are taken out, then it is canonicalized (XMLDSig §4.4.3.4).
func (v *verifier) transforms(r *Reference, list, signature *Element) (method, error) {
	m, done := methods["http://www.w3.org/TR/2001/REC-xml-c14n-20010315"], false
	n := 0
	for t := range list.Elements() {
		if n++; n > maxTransforms {
			return m, fmt.Errorf("%w: more than %d transforms", ErrBounds, maxTransforms)
		}
		name := t.Attr("", "Algorithm")
		canonical, isMethod := methods[name]
		switch {
		case !t.Is(nsDS, "Transform"):
			return m, fmt.Errorf("%w: %s among the transforms", ErrMalformed, t.Local)
		case done:
			return m, fmt.Errorf("%w: a transform after the canonicalization", ErrUnsupported)
		case isMethod:
			var err error
			if m, err = canonical.with(t); err != nil {
				return m, err
			}
			done = true
		case name == enveloped:
			r.takeOut(signature)
		case takesOutSignatures(t, name):
			for s := range v.doc.outermost() {
				r.takeOut(s)
			}
		default:
			return m, fmt.Errorf("%w: the transform %.80q", ErrUnsupported, name)
		}
		if len(r.Without) > maxSignatures {
			return m, fmt.Errorf("%w: more than %d signatures", ErrBounds, maxSignatures)
		}
	}
	for _, out := range r.Without {
		if r.Element.within(out) {
			return m, fmt.Errorf("%w: the transforms take out all that the reference is about", ErrMismatch)
		}
	}
	return m, nil
}

// takeOut notes a signature that is not covered, if it is in the target or
// round it.
func (r *Reference) takeOut(s *Element) {
	if (s.within(r.Element) || r.Element.within(s)) && !slices.Contains(r.Without, s) {
		r.Without = append(r.Without, s)
	}
}

// outermost are the signatures that are in no other one.
func (d *Document) outermost() func(func(*Element) bool) {
	var walk func(e *Element, yield func(*Element) bool) bool
	walk = func(e *Element, yield func(*Element) bool) bool {
		if e.Is(nsDS, "Signature") {
			return yield(e)
		}
		for c := range e.Elements() {
			if !walk(c, yield) {
				return false
			}
		}
		return true
	}
	return func(yield func(*Element) bool) { walk(d.Root, yield) }
}

var (
	allSignatures = regexp.MustCompile(`^\s*(?:/descendant::|//)([\w.-]+):Signature\s*$`)
	noSignature   = regexp.MustCompile(`^\s*not\(\s*ancestor-or-self::([\w.-]+):Signature\s*\)\s*$`)
)

// takesOutSignatures tells an XPath transform in the form in use, as in the
// notifications of the SdI: all ds:Signature are subtracted. No other XPath is
// evaluated.
func takesOutSignatures(t *Element, name string) bool {
	space, form := filter2, allSignatures
	if name == xpath1 {
		space, form = nsDS, noSignature
	} else if name != filter2 {
		return false
	}
	var filter *Element
	for c := range t.Elements() {
		if filter != nil || !c.Is(space, "XPath") {
			return false
		}
		filter = c
	}
	if filter == nil || name == filter2 && filter.Attr("", "Filter") != "subtract" {
		return false
	}
	match := form.FindStringSubmatch(filter.Text())
	if match == nil {
		return false
	}
	uri, ok := filter.lookup(match[1])
	return ok && uri == nsDS
}

// maxPrefixes bounds the InclusiveNamespaces of one canonicalization.
const maxPrefixes = 64

// with reads the parameters of a canonicalization.
func (m method) with(e *Element) (method, error) {
	for c := range e.Elements() {
		if !m.exclusive || !c.Is(nsExclusive, "InclusiveNamespaces") || m.prefixes != nil {
			return m, fmt.Errorf("%w: parameters of the canonicalization", ErrUnsupported)
		}
		m.prefixes = strings.Fields(c.Attr("", "PrefixList"))
		if len(m.prefixes) > maxPrefixes {
			return m, fmt.Errorf("%w: more than %d prefixes", ErrBounds, maxPrefixes)
		}
		for i, prefix := range m.prefixes {
			if prefix == "#default" {
				m.prefixes[i] = ""
			}
		}
	}
	return m, nil
}

// digestOf reads DigestMethod and DigestValue of a reference or of what names
// a certificate.
func digestOf(e *Element) (crypto.Hash, []byte, error) {
	name := e.Child(nsDS, "DigestMethod").Attr("", "Algorithm")
	hash, ok := digests[name]
	if !ok {
		return 0, nil, fmt.Errorf("%w: the digest %.80q", ErrUnsupported, name)
	}
	value, err := base64Of(e.Child(nsDS, "DigestValue"))
	return hash, value, err
}

// base64Of decodes the text of an element that has no others in it.
func base64Of(e *Element) ([]byte, error) {
	for range e.Elements() {
		return nil, fmt.Errorf("%w: %s holds elements", ErrMalformed, e.Local)
	}
	b, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(e.Text()), ""))
	if err != nil {
		return nil, fmt.Errorf("%w: base64: %w", ErrMalformed, err)
	}
	return b, nil
}
