package pec_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/protodaemon/protodaemon/pec"
	"github.com/protodaemon/protodaemon/pec/sample"
)

// TestMatchBrief: the digests of a short receipt are those of the message that
// was sent, of no other, and of the envelope that went out as well.
func TestMatchBrief(t *testing.T) {
	p := theProvider()
	mail := sample.Mail{From: "a@pec.example", To: "b@pec.example", Subject: "x", Text: "x", MessageID: "1@example", Files: []sample.File{
		{Name: "perché.pdf", MediaType: "application/pdf", Data: []byte("uno")}, {Name: "due.pdf", MediaType: "application/pdf", Data: bytes.Repeat([]byte("due"), 1000)},
	}}
	d, err := p.Submit(mail.Bytes(), sample.Submission{Receipt: "breve"})
	if err != nil {
		t.Fatal(err)
	}
	receipt, err := d.Delivery("b@pec.example", "breve")
	if err != nil {
		t.Fatal(err)
	}
	envelope, err := d.Envelope()
	if err != nil {
		t.Fatal(err)
	}
	changed := mail
	changed.Files = []sample.File{{Name: "perché.pdf", MediaType: "application/pdf", Data: []byte("altro")}}
	for name, test := range map[string]struct {
		original []byte
		want     [2]string
	}{
		"as sent":             {mail.Bytes(), [2]string{pec.BriefSame, pec.BriefSame}},
		"as enveloped":        {envelope, [2]string{pec.BriefSame, pec.BriefSame}},
		"another of its name": {changed.Bytes(), [2]string{pec.BriefDiffers, pec.BriefMissing}},
	} {
		got, err := pec.MatchBrief(t.Context(), bytes.NewReader(receipt), int64(len(receipt)), bytes.NewReader(test.original), int64(len(test.original)))
		if err != nil || len(got) != 2 || [2]string{got[0].Status, got[1].Status} != test.want || got[0].Name != "perché.pdf" {
			t.Errorf("%s: %+v, %v; want %v", name, got, err, test.want)
		}
	}
	if _, err := pec.MatchBrief(t.Context(), bytes.NewReader(envelope), int64(len(envelope)), bytes.NewReader(envelope), int64(len(envelope))); err == nil || !strings.Contains(err.Error(), "receipt") {
		t.Errorf("an envelope as receipt: %v", err)
	}
	broken := io.NewSectionReader(failing{}, 0, 10)
	if _, err := pec.MatchBrief(t.Context(), bytes.NewReader(receipt), int64(len(receipt)), broken, 10); err == nil || !strings.Contains(err.Error(), "the original") {
		t.Errorf("an original that cannot be read: %v", err)
	}
}

type failing struct{}

func (failing) ReadAt([]byte, int64) (int, error) { return 0, errors.New("the disk is gone") }
