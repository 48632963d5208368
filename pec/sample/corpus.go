package sample

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	mathrand "math/rand/v2"
	"path"
	"slices"
	"time"
)

// Corpus is messages of all kinds that this package knows, as several providers
// write them: what RFC 6109 prescribes, what is seen in the field, and what
// somebody would send who wants to be taken for a provider.
type Corpus struct {
	// Anchors are what a reader has to trust for the expectations to hold.
	Anchors  []*x509.Certificate
	Messages []Message

	providers []*Provider
	stranger  *Provider // anchored nowhere
}

// CorpusOptions say which corpus is made.
type CorpusOptions struct {
	Seed     uint64
	Messages int       // default one of each kind
	Now      time.Time // when the first message is sent; default the present
	Large    bool      // attachments as large as in a real mailbox, not of a few kilobytes
	Only     []string  // kinds, by Message.Of, a star for any text; empty: all
}

// CorpusKinds is how many kinds of message a corpus has.
func CorpusKinds() int { return len(corpusKinds) }

// corpusKinds are those of a Mix and all others.
var corpusKinds = slices.Concat(kinds, envelopeKinds, receiptKinds, signatureKinds, certificateKinds, wrappedKinds,
	ordinaryKinds, structureKinds, charsetKinds, nameKinds, registeredKinds, trickKinds)

// NewCorpus makes a corpus, the same for the same options but for keys and
// signatures.
func NewCorpus(o CorpusOptions) (*Corpus, error) {
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	c := &Corpus{}
	if err := c.found(o.Now); err != nil {
		return nil, fmt.Errorf("making the providers of a corpus: %w", err)
	}
	list := slices.DeleteFunc(slices.Clone(corpusKinds), func(k kind) bool { return !o.has(k.name) })
	if len(list) == 0 {
		return nil, fmt.Errorf("a corpus of %q: there are no such kinds", o.Only)
	}
	if o.Messages == 0 {
		o.Messages = len(list)
	}
	m := &mixer{r: mathrand.New(mathrand.NewPCG(o.Seed, 0x9e3779b97f4a7c15)), small: !o.Large, corpus: c}
	for i := range o.Messages {
		k := list[i%len(list)]
		// Each round every kind meets the next provider.
		m.p = c.providers[(i/len(list)+i%len(list))%len(c.providers)]
		m.n, m.at = i, o.Now.Add(time.Duration(i)*time.Minute)
		one, err := k.make(m)
		if err != nil {
			return nil, fmt.Errorf("making sample %s: %w", k.name, err)
		}
		one.Of, one.Name = k.name, fmt.Sprintf("%04d-%s-%s", i, k.name, m.p.options.Dialect.Name)
		if one.Time.IsZero() {
			one.Time = m.at
		}
		slices.Sort(one.Expect.Warnings)
		c.Messages = append(c.Messages, one)
	}
	return c, nil
}

// has tells that a kind is asked for.
func (o CorpusOptions) has(kind string) bool {
	return len(o.Only) == 0 || slices.ContainsFunc(o.Only, func(pattern string) bool {
		ok, err := path.Match(pattern, kind)
		return ok && err == nil
	})
}

// found makes two hierarchies, as they are found: providers whose issuing CA is
// anchored itself, and providers whose CA leads to an anchored root.
func (c *Corpus) found(now time.Time) error {
	root, err := NewProvider(Options{Name: "Radice di Prova", Domain: "radice.example", Now: now})
	if err != nil {
		return err
	}
	issuing := map[bool]*Provider{}
	for below := range 2 {
		o := Options{Name: fmt.Sprintf("Agenzia di Prova %d", below), Domain: "agenzia.example", Now: now}
		if below == 1 {
			o.Issuer = root
		}
		if issuing[below == 1], err = NewProvider(o); err != nil {
			return err
		}
	}
	c.Anchors = []*x509.Certificate{root.ca, issuing[false].ca}
	for i, o := range []struct {
		Options
		below bool // the root is the anchor, not the issuing CA
	}{
		{Options{Name: "Arancia PEC S.p.A.", Domain: "pec.aranciaspa.example", Digest: crypto.SHA1, Dialect: ArubaLike()}, true},
		{Options{Name: "Arancia PEC S.p.A.", Domain: "nuova.aranciaspa.example", Dialect: Dialect{Name: "aruba2", Note: ArubaLike().Note}}, true},
		{Options{Name: "Lettera Legale S.p.A.", Domain: "letterelegali.secure.example", Dialect: LegalmailLike()}, true},
		{Options{Name: "Namiria S.p.A.", Domain: "sicura.example", Digest: crypto.SHA1, Dialect: NamirialLike()}, false},
		{Options{Name: "Sogetto SpA", Domain: "pcert.sogetto.example", Dialect: SogeiLike()}, false},
		{Options{Name: "POSTALE S.P.A. - GRUPPO ESEMPIO", Domain: "postale.example", Digest: crypto.SHA512, Dialect: PosteLike()}, false},
		{Options{Name: "Ellisse S.r.l.", Domain: "ellisse.example", ECDSA: true, Dialect: LowercaseLike()}, true},
		{Options{Name: "Probabile S.p.A.", Domain: "possibile.example", Digest: crypto.SHA384, PSS: true, Dialect: Dialect{Name: "pss"}}, false},
	} {
		o.Now, o.Seed = now, uint64(i)
		p, err := issuing[o.below].under(o.Options)
		if err != nil {
			return err
		}
		c.providers = append(c.providers, p)
	}
	c.stranger, err = NewProvider(Options{Name: "Arancia PEC S.p.A.", Domain: "pec.aranciaspa.example", ECDSA: true, Now: now, Dialect: ArubaLike()})
	return err
}

// under makes a provider whose certificate the CA of this one issues.
func (p *Provider) under(o Options) (*Provider, error) {
	other := newProvider(o)
	other.ca, other.caKey = p.ca, p.caKey
	o = other.options
	var err error
	other.leaf, other.key, err = other.issue(o.Name, "Posta Certificata "+o.Name, other.Address(), o.Leaf)
	return other, err
}

// issued is a signer in the provider's name with a certificate that change
// spoils, its key on a curve that is quick to make.
func (p *Provider) issued(curve elliptic.Curve, change func(*x509.Certificate)) (signer, error) {
	o := p.options
	o.Key = func() (crypto.Signer, error) { return ecdsa.GenerateKey(curve, rand.Reader) }
	o.Leaf = change
	other, err := p.under(o)
	if err != nil {
		return signer{}, err
	}
	return other.signer(), nil
}
