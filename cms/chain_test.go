package cms

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"testing"
	"time"
)

// ca is a certification authority, or one that it certifies.
type ca struct {
	key  crypto.Signer
	cert *x509.Certificate
}

func newCA(t testing.TB, name string, key crypto.Signer, by *ca) ca {
	t.Helper()
	now := time.Now()
	c := ca{key: key}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	if by == nil {
		by = &ca{key, tmpl}
	}
	c.cert = certificate(t, tmpl, by.cert, key.Public(), by.key)
	return c
}

func p256() crypto.Signer { return mustKey(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) }

// Chains finds what x509 finds, in whatever order the certificates come, also
// where an authority has several.
func TestChains(t *testing.T) {
	root, other := newCA(t, "Radice", p256(), nil), newCA(t, "Altra", p256(), nil)
	middle := newCA(t, "Mezzo", p256(), &root)
	cross := newCA(t, "Mezzo", middle.key, &other)
	issuing := newCA(t, "Emittente", p256(), &middle)
	leaf := newCA(t, "Foglia", p256(), &issuing)
	for name, c := range map[string]struct {
		others  []*x509.Certificate
		anchor  ca
		trusted bool
	}{
		"straight":     {[]*x509.Certificate{issuing.cert, middle.cert, root.cert}, root, true},
		"any order":    {[]*x509.Certificate{root.cert, leaf.cert, middle.cert, issuing.cert, middle.cert}, root, true},
		"missing":      {[]*x509.Certificate{middle.cert, root.cert}, root, false},
		"other anchor": {[]*x509.Certificate{issuing.cert, middle.cert, root.cert}, other, false},
		"cross first":  {[]*x509.Certificate{issuing.cert, cross.cert, middle.cert, root.cert, other.cert}, root, true},
		"cross last":   {[]*x509.Certificate{issuing.cert, middle.cert, cross.cert, root.cert, other.cert}, other, true},
	} {
		o := x509.VerifyOptions{Roots: pool(c.anchor.cert), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
		err := NewChains().Verify(leaf.cert, c.others, o)
		o.Intermediates = x509.NewCertPool()
		for _, i := range c.others {
			o.Intermediates.AddCert(i)
		}
		if _, theirs := leaf.cert.Verify(o); (err == nil) != c.trusted || (theirs == nil) != c.trusted {
			t.Errorf("%s: we say %v, x509 says %v", name, err, theirs)
		}
	}
}

// What strangers bring costs no more than its bound, whatever names they all
// have: some are authorities that vouch for each other, some have enormous keys.
func TestChainsAreBounded(t *testing.T) {
	first := newCA(t, "X", p256(), nil)
	all := []ca{first}
	for n := range 40 {
		by := all[n/2]
		all = append(all, newCA(t, "X", p256(), &by))
	}
	var others []*x509.Certificate
	for _, c := range all {
		others = append(others, c.cert)
	}
	leaf := newCA(t, "Foglia", p256(), &all[len(all)-1])
	anchor := newCA(t, "Radice", p256(), nil)
	o := x509.VerifyOptions{Roots: pool(anchor.cert), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
	v := NewChains()
	for n := range 1000 {
		err := v.Verify(leaf.cert, others, o)
		if err == nil {
			t.Fatal("it is trusted")
		}
		if errors.Is(err, ErrBounds) {
			if err := v.Verify(leaf.cert, others, o); !errors.Is(err, ErrBounds) {
				t.Errorf("after the bound: %v", err)
			}
			if checks := chainChecks; len(v.known) > checks {
				t.Errorf("%d signatures were checked", len(v.known))
			}
			break
		}
		if n == 999 {
			t.Error("there is no bound")
		}
	}
	modulus := new(big.Int).SetBit(new(big.Int).Lsh(big.NewInt(1), 16000), 0, 1)
	huge := *first.cert
	huge.PublicKey = &rsa.PublicKey{N: modulus, E: 65537}
	odd := *first.cert
	odd.PublicKey = &rsa.PublicKey{N: new(big.Int).Rsh(modulus, 14000), E: 1<<31 - 1}
	for _, c := range []*x509.Certificate{&huge, &odd} {
		if mayIssue(c, all[1].cert) {
			t.Error("such a key is tried")
		}
	}
}

// Alternatives take each certificate of an authority in turn, and all of those
// that have one.
func TestAlternatives(t *testing.T) {
	a, b := newCA(t, "A", p256(), nil), newCA(t, "B", p256(), nil)
	a2 := newCA(t, "A", a.key, &b)
	list := []*x509.Certificate{a.cert, b.cert, a2.cert}
	var got []string
	for k := range sameMax {
		chosen, some := alternatives(list, k)
		var places []int
		for _, c := range chosen {
			places = append(places, slices.Index(list, c))
		}
		got = append(got, fmt.Sprint(places, some))
	}
	if want := []string{"[0 1] true", "[1 2] true", "[1 2] false"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}
