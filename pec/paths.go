package pec

import (
	"crypto/sha256"
	"crypto/x509"
	"sync"
	"time"
)

// paths remembers which certificates lead to which anchors: a provider signs all
// its messages with one certificate, and to check its chain costs as much as all
// the rest of a small message. Only what was found is remembered, never that
// nothing was, and only for times at which every certificate of it is valid.
type paths struct {
	mu    sync.Mutex
	known map[pathKey]foundPaths
}

type pathKey struct {
	anchors *x509.CertPool
	usage   x509.ExtKeyUsage
	brought [sha256.Size]byte // of the signer's certificate and the others
}

type foundPaths struct {
	chains   [][]*x509.Certificate
	from, to time.Time
}

// pathsMax bounds what is remembered; there are some twenty providers.
const pathsMax = 256

func keyOf(anchors *x509.CertPool, usage x509.ExtKeyUsage, c *x509.Certificate, others []*x509.Certificate) pathKey {
	h := sha256.New()
	for _, one := range append([]*x509.Certificate{c}, others...) {
		sum := sha256.Sum256(one.Raw)
		h.Write(sum[:])
	}
	k := pathKey{anchors: anchors, usage: usage}
	h.Sum(k.brought[:0])
	return k
}

// at are the paths that are known to have been valid at a time; nil: not known.
func (p *paths) at(k pathKey, at time.Time) [][]*x509.Certificate {
	p.mu.Lock()
	defer p.mu.Unlock()
	f, ok := p.known[k]
	if !ok || at.Before(f.from) || at.After(f.to) {
		return nil
	}
	return f.chains
}

func (p *paths) remember(k pathKey, chains [][]*x509.Certificate) {
	f := foundPaths{chains: chains, from: chains[0][0].NotBefore, to: chains[0][0].NotAfter}
	for _, chain := range chains {
		for _, c := range chain {
			if c.NotBefore.After(f.from) {
				f.from = c.NotBefore
			}
			if c.NotAfter.Before(f.to) {
				f.to = c.NotAfter
			}
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known == nil || len(p.known) >= pathsMax {
		p.known = map[pathKey]foundPaths{}
	}
	p.known[k] = f
}
