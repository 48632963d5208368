package sample_test

import (
	"bytes"
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
