package pec_test

import (
	"bytes"
	"testing"

	"github.com/protodaemon/protodaemon/pec"
	"github.com/protodaemon/protodaemon/pec/sample"
)

// BenchmarkRead analyses a mailbox of all kinds; one operation is the whole mix.
func BenchmarkRead(b *testing.B) {
	p := newProvider(b, sample.Options{})
	mix, err := sample.Mix(p, 10*sample.Kinds(), 1)
	if err != nil {
		b.Fatal(err)
	}
	trust := pec.NewTrust(p.CA())
	size := 0
	for _, m := range mix {
		size += len(m.Raw)
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		for _, m := range mix {
			pec.Read(b.Context(), bytes.NewReader(m.Raw), int64(len(m.Raw)), pec.Options{Trust: trust})
		}
	}
	b.ReportMetric(float64(len(mix)*b.N)/b.Elapsed().Seconds(), "messages/s")
}

// BenchmarkReadLarge is one envelope with a 20 MB attachment.
func BenchmarkReadLarge(b *testing.B) {
	p := theProvider()
	mail := sample.Mail{From: "a@pec.example", To: "b@pec.example", Subject: "x", Text: "x",
		Files: []sample.File{{Name: "x.pdf", MediaType: "application/pdf", Data: make([]byte, 20<<20)}}}
	d, err := p.Submit(mail.Bytes(), sample.Submission{})
	if err != nil {
		b.Fatal(err)
	}
	raw, err := d.Envelope()
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if a := read(raw, p); a.Authenticity != pec.Certified {
			b.Fatal(a.Authenticity)
		}
	}
}
