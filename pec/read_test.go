package pec_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/protodaemon/protodaemon/document"
	"github.com/protodaemon/protodaemon/pec"
	"github.com/protodaemon/protodaemon/pec/sample"
)

// now is when the samples are sent.
var now = time.Date(2026, 3, 10, 9, 30, 0, 0, time.FixedZone("CET", 3600))

// newProvider is made once a combination: keys take time.
func newProvider(tb testing.TB, o sample.Options) *sample.Provider {
	tb.Helper()
	o.Now = now
	p, err := sample.NewProvider(o)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// theProvider is one that tests share where its properties do not matter.
var theProvider = sync.OnceValue(func() *sample.Provider {
	p, err := sample.NewProvider(sample.Options{ECDSA: true, Now: now})
	if err != nil {
		panic(err)
	}
	return p
})

func read(raw []byte, p *sample.Provider) *pec.Analysis {
	return pec.Read(context.Background(), bytes.NewReader(raw), int64(len(raw)), pec.Options{Trust: pec.NewTrust(p.CA())})
}

func codes(a *pec.Analysis) []string {
	var list []string
	for _, w := range a.Warnings {
		list = append(list, w.Code)
	}
	slices.Sort(list)
	return list
}

func TestReadSamples(t *testing.T) {
	for _, o := range []sample.Options{{ECDSA: true}, {ECDSA: true, Digest: crypto.SHA512}, {Digest: crypto.SHA1}} {
		p := newProvider(t, o)
		mix, err := sample.Mix(p, sample.Kinds(), 7)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range mix {
			t.Run(m.Name, func(t *testing.T) {
				a := read(m.Raw, p)
				checkExpected(t, m, a)
				checkComplete(t, m.Raw, a)
			})
		}
	}
}

func checkExpected(t *testing.T, m sample.Message, a *pec.Analysis) {
	t.Helper()
	e := m.Expect
	got := sample.Expect{Authenticity: a.Authenticity, Status: a.Signature.Status, Subject: a.Subject, Warnings: codes(a)}
	if a.PEC != nil {
		got.Type, got.Detail, got.Error = a.PEC.Type, a.PEC.Detail, a.PEC.Error
	}
	for _, f := range a.Attachments {
		got.Files = append(got.Files, f.Name)
	}
	if a.Kind != m.Kind || !equal(got, e) {
		t.Errorf("kind %s\n got %+v\nwant %s\n     %+v\nsignature %+v\nwarnings %+v", a.Kind, got, m.Kind, e, a.Signature, a.Warnings)
	}
}

func equal(a, b sample.Expect) bool {
	return a.Authenticity == b.Authenticity && a.Status == b.Status && a.Type == b.Type && a.Detail == b.Detail &&
		a.Error == b.Error && a.Subject == b.Subject && slices.Equal(a.Files, b.Files) && slices.Equal(a.Warnings, b.Warnings)
}

// checkComplete holds for every message: the analysis can be written as JSON
// without a null list, is the same when made again, and OpenPart gives the
// bytes it speaks of.
func checkComplete(t *testing.T, raw []byte, a *pec.Analysis) {
	t.Helper()
	if sum := sha256.Sum256(raw); a.SHA256 != hex.EncodeToString(sum[:]) || a.Size != int64(len(raw)) {
		t.Errorf("digest or size of the message is wrong")
	}
	if _, err := json.Marshal(a); err != nil {
		t.Errorf("the analysis is no JSON: %v", err)
	}
	if a.To == nil || a.Cc == nil || a.Attachments == nil || a.Warnings == nil || a.Signature.Problems == nil || a.PEC != nil && a.PEC.Recipients == nil {
		t.Errorf("a list is null")
	}
	seen := map[string]bool{}
	for _, f := range a.Attachments {
		if seen[f.Part] {
			t.Errorf("part %s stands twice", f.Part)
		}
		seen[f.Part] = true
		opens(t, raw, f.Part, f.Name, f.Size, f.SHA256)
		opensInside(t, raw, f.Part, f.Files)
	}
}

// opens holds what OpenPart gives against what the analysis says.
func opens(t *testing.T, raw []byte, part, name string, size int64, sum string) {
	t.Helper()
	got, r, err := pec.OpenPart(t.Context(), bytes.NewReader(raw), int64(len(raw)), part)
	if err != nil {
		t.Fatalf("part %s: %v", part, err)
	}
	h := sha256.New()
	n, err := io.Copy(h, r)
	if err != nil || n != size || hex.EncodeToString(h.Sum(nil)) != sum || got.Part != part || got.Name != name || got.Size != size || got.SHA256 != sum {
		t.Errorf("part %s: OpenPart gives %d bytes, %+v, %v; the analysis says %s, %d bytes, %s", part, n, got, err, name, size, sum)
	}
}

// opensInside does so for the files in a file that were read.
func opensInside(t *testing.T, raw []byte, part string, files []document.File) {
	t.Helper()
	for _, f := range files {
		if f.SHA256 != "" {
			opens(t, raw, part+"~"+f.Path, f.Name, f.Size, f.SHA256)
		}
		opensInside(t, raw, part, f.Files)
	}
}

// Who has taken the digest itself gets the same analysis without it.
func TestReadOfWhatWasDigestedBefore(t *testing.T) {
	p := theProvider()
	for name, raw := range map[string][]byte{"an envelope": genuine(t, p), "ordinary mail": []byte("Subject: x\r\n\r\ny\r\n")} {
		want := read(raw, p)
		got := pec.Read(t.Context(), bytes.NewReader(raw), int64(len(raw)), pec.Options{Trust: pec.NewTrust(p.CA()), Digested: true})
		if got.SHA256 != "" {
			t.Errorf("%s: the digest %s was taken", name, got.SHA256)
		}
		if want.ContentSHA256 == want.SHA256 {
			want.ContentSHA256 = ""
		}
		want.SHA256 = ""
		a, _ := json.Marshal(want)
		b, _ := json.Marshal(got)
		if !bytes.Equal(a, b) {
			t.Errorf("%s:\n%s\n%s", name, b, a)
		}
	}
}

// Whom a reading has trusted is not trusted at another time for that: the same
// anchors are asked for a message of today and one after the certificates ended,
// in either order.
func TestTrustIsAskedAsOfEachMessage(t *testing.T) {
	p := theProvider()
	envelope := func(years int) []byte {
		d, err := p.Submit(sample.Mail{From: "a@pec.example", To: "b@pec.example", Subject: "x", Text: "x"}.Bytes(), sample.Submission{Time: now.AddDate(years, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		raw, err := d.Envelope()
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	trust := pec.NewTrust(p.CA())
	for _, years := range []int{0, 10, 0, 10} {
		raw := envelope(years)
		a := pec.Read(t.Context(), bytes.NewReader(raw), int64(len(raw)), pec.Options{Trust: trust})
		fresh := read(raw, p)
		later := slices.Contains(codes(a), pec.SignedAnotherTime) // the samples are signed at the provider's time
		if a.Signature.Status != fresh.Signature.Status || !slices.Equal(codes(a), codes(fresh)) || later != (years > 0) {
			t.Errorf("after %d years: %s %v, with anchors that were not asked before %s %v", years, a.Signature.Status, codes(a), fresh.Signature.Status, codes(fresh))
		}
	}
}
