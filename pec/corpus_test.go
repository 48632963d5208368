package pec_test

import (
	"bytes"
	"context"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/protodaemon/protodaemon/pec"
	"github.com/protodaemon/protodaemon/pec/sample"
)

// rounds is how often the corpus has each kind, each time by another provider.
const rounds = 5

// theCorpus is made once: all tests that ask for it see the same messages.
var theCorpus = sync.OnceValues(func() (*sample.Corpus, error) {
	return sample.NewCorpus(sample.CorpusOptions{Seed: 1, Messages: rounds * sample.CorpusKinds(), Now: now})
})

func corpus(t testing.TB) *sample.Corpus {
	t.Helper()
	c, err := theCorpus()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func readAs(raw []byte, trust *pec.Trust) *pec.Analysis {
	return pec.Read(context.Background(), bytes.NewReader(raw), int64(len(raw)), pec.Options{Trust: trust})
}

// TestCorpus: of every message is said what its maker knows about it.
func TestCorpus(t *testing.T) {
	c := corpus(t)
	trust := pec.NewTrust(c.Anchors...)
	if len(c.Messages) < 2000 {
		t.Fatalf("%d messages are too few", len(c.Messages))
	}
	for _, m := range c.Messages {
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel()
			a := readAs(m.Raw, trust)
			if m.Genuine != nil {
				checkTrick(t, m, a, readAs(m.Genuine, trust))
			} else {
				checkExpected(t, m, a)
				checkKnown(t, m.Expect, a)
			}
			checkComplete(t, m.Raw, a)
		})
	}
}

// checkKnown compares what checkExpected leaves out.
func checkKnown(t *testing.T, e sample.Expect, a *pec.Analysis) {
	t.Helper()
	var sums []string
	for _, f := range a.Attachments {
		sums = append(sums, f.SHA256)
	}
	if !slices.Equal(sums, e.SHA256) {
		t.Errorf("the files are others:\n got %v\nwant %v", sums, e.SHA256)
	}
	if shown := a.Text + a.Boilerplate; !strings.Contains(flat(shown), flat(e.Text)) {
		t.Errorf("the text %q has no %q", shown, e.Text)
	}
	c := a.PEC
	if c == nil {
		c = &pec.Certificate{}
	}
	for what, both := range map[string][2]string{
		"from": {a.From.Address, e.From}, "content_sha256": {a.ContentSHA256, e.Content}, "error_detail": {c.ErrorDetail, flat(e.ErrorDetail)},
		"sender": {c.Sender, e.Sender}, "delivered_to": {c.DeliveredTo, e.DeliveredTo}, "identifier": {c.Identifier, e.Identifier},
		"reference": {c.Reference, e.Reference}, "message_id": {c.MessageID, e.Reference}, "provider": {c.Provider, e.Provider},
	} {
		if both[1] != "" && both[0] != both[1] {
			t.Errorf("%s is %q, want %q", what, both[0], both[1])
		}
	}
	var contained []pec.Authenticity
	for _, c := range a.Contained {
		contained = append(contained, c.Authenticity)
	}
	if !slices.Equal(contained, e.Contained) {
		t.Errorf("the messages inside are judged %v, want %v: %+v", contained, e.Contained, a.Contained)
	}
	if len(e.Recipients) > 0 && !slices.Equal(c.Recipients, e.Recipients) {
		t.Errorf("recipients %v, want %v", c.Recipients, e.Recipients)
	}
}

// flat joins lines.
func flat(s string) string { return strings.Join(strings.Fields(s), " ") }

// checkTrick: the verdict is exactly the one that the trick's maker knows. What is
// certified shows what the honest message shows, and so does what the provider's
// signature still fits, whatever else is wrong with it; what stands as a
// certified message inside something else is judged for itself.
func checkTrick(t *testing.T, m sample.Message, a, genuine *pec.Analysis) {
	t.Helper()
	e, got := m.Expect, codes(a)
	if want := slices.Sorted(slices.Values(e.Warnings)); a.Kind != m.Kind || a.Authenticity != e.Authenticity || a.Signature.Status != e.Status || !slices.Equal(got, want) {
		t.Errorf("%s %s %s %v, want %s %s %s %v\nsignature %+v\nwarnings %+v", a.Kind, a.Authenticity, a.Signature.Status, got,
			m.Kind, e.Authenticity, e.Status, want, a.Signature, a.Warnings)
	}
	fits := a.Signature.Status == pec.SignatureValid || a.Signature.Status == pec.SignatureUntrusted
	if a.Authenticity == pec.Certified || m.Keyless && fits && a.Kind == genuine.Kind {
		if shown, honest := signedWords(t, a), signedWords(t, genuine); shown != honest {
			t.Errorf("what is shown is not what was signed:\n got %s\nwant %s", shown, honest)
		}
	}
	if slices.Contains(got, pec.PECWrapped) {
		if len(a.Contained) != 1 || a.Contained[0].Authenticity != pec.Certified || !reflect.DeepEqual(a.Contained[0].PEC, genuine.PEC) {
			t.Errorf("the certified message inside is judged as %+v", a.Contained)
		}
	}
}

// signedWords is all that an analysis shows of what the signature covers.
func signedWords(t *testing.T, a *pec.Analysis) string {
	t.Helper()
	shown := *a
	shown.SHA256, shown.Size, shown.EnvelopeSubject, shown.Warnings, shown.Signature, shown.Authenticity = "", 0, "", nil, pec.Signature{}, ""
	if a.Kind == pec.PECReceipt { // as received, and said to be so
		shown.MessageID, shown.ContentSHA256, shown.From.Address = "", "", ""
	}
	b, err := json.Marshal(shown)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
