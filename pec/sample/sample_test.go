package sample_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/protodaemon/protodaemon/pec"
	"github.com/protodaemon/protodaemon/pec/sample"
)

var options = sample.Options{ECDSA: true, Now: time.Date(2026, 3, 10, 9, 0, 0, 0, time.UTC)}

// TestLoadProvider: a saved provider goes on under the same CA.
func TestLoadProvider(t *testing.T) {
	p, err := sample.NewProvider(options)
	if err != nil {
		t.Fatal(err)
	}
	saved, err := p.MarshalPEM()
	if err != nil {
		t.Fatal(err)
	}
	again, err := sample.LoadProvider(saved, options)
	if err != nil {
		t.Fatal(err)
	}
	mix, err := sample.Mix(again, 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	raw := mix[0].Raw
	a := pec.Read(t.Context(), bytes.NewReader(raw), int64(len(raw)), pec.Options{Trust: pec.NewTrust(p.CA())})
	if a.Authenticity != pec.Certified || !bytes.Equal(p.CAPEM(), again.CAPEM()) {
		t.Errorf("%s %+v", a.Authenticity, a.Signature)
	}
	if _, err := sample.LoadProvider(p.CAPEM(), options); err == nil {
		t.Error("a certificate alone was taken for a provider")
	}
}

// TestMixIsTheSame: two providers make the same mix from one seed, but for
// keys and signatures, and another seed another one.
func TestMixIsTheSame(t *testing.T) {
	content := func(seed uint64) []string {
		p, err := sample.NewProvider(options)
		if err != nil {
			t.Fatal(err)
		}
		mix, err := sample.Mix(p, sample.Kinds(), seed)
		if err != nil {
			t.Fatal(err)
		}
		var list []string
		for _, m := range mix {
			a := pec.Read(t.Context(), bytes.NewReader(m.Raw), int64(len(m.Raw)), pec.Options{})
			list = append(list, m.Name+a.Subject+a.Text)
			for _, f := range a.Attachments {
				if f.MediaType == "application/pdf" {
					list = append(list, f.SHA256)
				}
			}
		}
		return list
	}
	one, same, other := content(1), content(1), content(2)
	equal := 0
	for i := range one {
		if one[i] != same[i] {
			t.Errorf("differs: %q and %q", one[i], same[i])
		}
		if i < len(other) && one[i] == other[i] {
			equal++
		}
	}
	if equal > len(one)/2 {
		t.Errorf("%d of %d are equal for another seed", equal, len(one))
	}
}

// TestCorpusIsTheSame: of two corpora of one seed the same has to be found, but
// for what holds a signature, and of another seed something else.
func TestCorpusIsTheSame(t *testing.T) {
	known := func(seed uint64) []string {
		c, err := sample.NewCorpus(sample.CorpusOptions{Seed: seed, Now: options.Now})
		if err != nil {
			t.Fatal(err)
		}
		var list []string
		for _, m := range c.Messages {
			e := m.Expect
			list = append(list, fmt.Sprint(m.Name, m.Kind, e.Authenticity, e.Status, e.Subject, e.Files, e.Warnings, e.Identifier, e.Reference))
		}
		if len(list) != sample.CorpusKinds() {
			t.Errorf("%d messages of %d kinds", len(list), sample.CorpusKinds())
		}
		return list
	}
	one := known(1)
	if same := known(1); !slices.Equal(one, same) {
		t.Errorf("one seed gives two corpora:\n%q\n%q", one, same)
	}
	if slices.Equal(one, known(2)) {
		t.Error("another seed gives the same corpus")
	}
}

func TestCorpusOfSomeKinds(t *testing.T) {
	c, err := sample.NewCorpus(sample.CorpusOptions{Now: options.Now, Messages: 3, Only: []string{"preavviso-*h"}})
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, m := range c.Messages {
		kinds = append(kinds, m.Of)
	}
	if !slices.Equal(kinds, []string{"preavviso-12h", "preavviso-24h", "preavviso-12h"}) {
		t.Errorf("%v", kinds)
	}
	if _, err := sample.NewCorpus(sample.CorpusOptions{Only: []string{"mai-vista"}}); err == nil {
		t.Error("a corpus of a kind that is not there")
	}
}

// TestLarge: what is written without being held is what a reader finds.
func TestLarge(t *testing.T) {
	p, err := sample.NewProvider(options)
	if err != nil {
		t.Fatal(err)
	}
	var raw bytes.Buffer
	e, err := p.Large(&raw, 1_000_000)
	if err != nil {
		t.Fatal(err)
	}
	a := pec.Read(t.Context(), bytes.NewReader(raw.Bytes()), int64(raw.Len()), pec.Options{Trust: pec.NewTrust(p.CA())})
	if a.Authenticity != pec.Certified || a.Subject != e.Subject || len(a.Attachments) != 1 || a.Attachments[0].SHA256 != e.SHA256[0] || raw.Len() < 1_000_000 {
		t.Errorf("%s %+v, %d bytes: %+v", a.Authenticity, a.Signature, raw.Len(), a.Attachments)
	}
}
