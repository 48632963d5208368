package cms

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"slices"
)

// The bounds of certificates that are tried as issuers: with a key of 16384
// bits a check takes 40 ms, and x509 makes a hundred for each certificate.
const (
	issuerBitsMax     = 8192
	issuerExponentMax = 65537
	pathMax           = 8
	sameMax           = 3
	chainChecks       = 200
)

var errChecks = fmt.Errorf("%w: too many certificates to find a trusted one", ErrBounds)

// Chains looks for paths to anchors through certificates that strangers brought,
// with a bound on the signatures that are checked in all. The zero value is not
// usable; it is for one goroutine.
type Chains struct {
	left  int
	known map[[2][sha256.Size]byte]bool // signed by
}

// NewChains has the default bound, which no honest file comes near.
func NewChains() *Chains {
	return &Chains{left: chainChecks, known: map[[2][sha256.Size]byte]bool{}}
}

// Verify tells whether Paths finds one.
func (v *Chains) Verify(c *x509.Certificate, others []*x509.Certificate, o x509.VerifyOptions) error {
	_, err := v.Paths(c, others, o)
	return err
}

// Paths are x509's, with those of others as intermediates that lead on from the
// certificate; o.Intermediates is not used. Past the bound it is ErrBounds.
func (v *Chains) Paths(c *x509.Certificate, others []*x509.Certificate, o x509.VerifyOptions) ([][]*x509.Certificate, error) {
	issuers, err := v.issuers(c, others)
	if err != nil {
		return nil, err
	}
	for k := range sameMax {
		alternative, some := alternatives(issuers, k)
		if k > 0 && !some {
			break
		}
		paths, again := v.verify(c, alternative, o)
		if again == nil {
			return paths, nil
		}
		if k == 0 {
			err = again
		}
	}
	return nil, err
}

// verify is x509's, which comes to each of the issuers once, because each has one
// issuer among them, and tries all that have the right name.
func (v *Chains) verify(c *x509.Certificate, issuers []*x509.Certificate, o x509.VerifyOptions) ([][]*x509.Certificate, error) {
	o.Intermediates = x509.NewCertPool()
	for _, i := range issuers {
		o.Intermediates.AddCert(i)
		for _, child := range issuers {
			if bytes.Equal(child.RawIssuer, i.RawSubject) {
				v.left--
			}
		}
	}
	if v.left < 0 {
		return nil, errChecks
	}
	return c.Verify(o)
}

// alternatives are the issuers with, of those of one name and key, the k-th or
// the last; some tells that there is a k-th.
func alternatives(issuers []*x509.Certificate, k int) (chosen []*x509.Certificate, some bool) {
	for n, c := range issuers {
		place, behind := sameAuthority(issuers[:n], c), sameAuthority(issuers[n+1:], c)
		some = some || place == k
		if place == k || place < k && behind == 0 {
			chosen = append(chosen, c)
		}
	}
	return chosen, some
}

// issuers are those certificates that signed c, or one of themselves, at most
// sameMax of one name and key: an authority has several when others vouch for
// it too.
func (v *Chains) issuers(c *x509.Certificate, others []*x509.Certificate) ([]*x509.Certificate, error) {
	var found []*x509.Certificate
	children := []*x509.Certificate{c}
	for range pathMax {
		var next []*x509.Certificate
		for _, child := range children {
			for _, o := range others {
				if !mayIssue(o, child) || sameAuthority(found, o) >= sameMax {
					continue
				}
				signed, err := v.signed(child, o)
				if err != nil {
					return nil, err
				}
				if signed && !slices.ContainsFunc(found, o.Equal) {
					found, next = append(found, o), append(next, o)
				}
			}
		}
		children = next
	}
	return found, nil
}

// mayIssue tells by names, key identifiers and the size of its key that a
// certificate is worth a check.
func mayIssue(issuer, child *x509.Certificate) bool {
	if !bytes.Equal(issuer.RawSubject, child.RawIssuer) || bytes.Equal(issuer.Raw, child.Raw) ||
		len(child.AuthorityKeyId) > 0 && len(issuer.SubjectKeyId) > 0 && !bytes.Equal(child.AuthorityKeyId, issuer.SubjectKeyId) {
		return false
	}
	key, ok := issuer.PublicKey.(*rsa.PublicKey)
	return !ok || key.N.BitLen() <= issuerBitsMax && key.E <= issuerExponentMax
}

// sameAuthority counts the certificates of the name and key that c has.
func sameAuthority(list []*x509.Certificate, c *x509.Certificate) (n int) {
	for _, o := range list {
		if bytes.Equal(o.RawSubject, c.RawSubject) && bytes.Equal(o.RawSubjectPublicKeyInfo, c.RawSubjectPublicKeyInfo) {
			n++
		}
	}
	return n
}

// signed checks a signature once.
func (v *Chains) signed(child, issuer *x509.Certificate) (bool, error) {
	pair := [2][sha256.Size]byte{sha256.Sum256(child.Raw), sha256.Sum256(issuer.Raw)}
	known, ok := v.known[pair]
	if !ok {
		if v.left--; v.left < 0 {
			return false, errChecks
		}
		known = child.CheckSignatureFrom(issuer) == nil
		v.known[pair] = known
	}
	return known, nil
}
