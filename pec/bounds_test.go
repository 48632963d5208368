package pec_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/protodaemon/protodaemon/pec"
	"github.com/protodaemon/protodaemon/pec/sample"
)

// TestBounds: each message exceeds one bound; the analysis names it and comes
// back in time (the package's test time limit would tell).
func TestBounds(t *testing.T) {
	// A SignedData as far as its set of digest algorithms, and nothing but nesting.
	bomb := append([]byte("\x30\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02\xa0\x80\x30\x80\x02\x01\x01\x31\x80"), bytes.Repeat([]byte{0x30, 0x80}, 5_000_000)...)
	small := bomb[:1000]
	signed := func(der []byte) string {
		return "From: a@b.it\r\nContent-Type: multipart/signed; boundary=S\r\n\r\n--S\r\n\r\nx\r\n--S\r\nContent-Type: application/pkcs7-signature\r\n" +
			"Content-Transfer-Encoding: base64\r\n\r\n" + base64.StdEncoding.EncodeToString(der) + "\r\n--S--\r\n"
	}
	for name, test := range map[string]struct{ raw, code string }{
		"10 MB of indefinite lengths":  {signed(bomb), pec.SignatureTooLarge},
		"500 levels of ASN.1":          {signed(small), pec.SignatureTooLarge},
		"an opaque one":                {"Content-Type: application/pkcs7-mime\r\nContent-Transfer-Encoding: base64\r\n\r\n" + base64.StdEncoding.EncodeToString(bomb), pec.SignatureTooLarge},
		"5,000 nested multiparts":      {nestedMultiparts(5000), pec.TooDeep},
		"5,000 nested messages":        {strings.Repeat("Content-Type: message/rfc822\r\n\r\n", 5000), pec.TooDeep},
		"20,000 parts":                 {"Content-Type: multipart/mixed; boundary=M\r\n\r\n" + strings.Repeat("--M\r\n\r\nx\r\n", 20_000) + "--M--\r\n", pec.TooManyParts},
		"a header of 1 MB":             {"X: " + strings.Repeat("x", 1<<20) + "\r\n\r\nbody", pec.HeaderTooLong},
		"a text of 1 MB":               {"\r\n" + strings.Repeat("parola ", 150_000), pec.TextTruncated},
		"HTML of 5 MB":                 {"Content-Type: text/html\r\n\r\n" + strings.Repeat("<p>x", 1_250_000), pec.TextTruncated},
		"one tag of 5 MB":              {"Content-Type: text/html\r\n\r\n<p " + strings.Repeat("x", 5_000_000), pec.TextTruncated},
		"a multipart without end":      {"Content-Type: multipart/mixed; boundary=M\r\n\r\n--M\r\n\r\nx", pec.MalformedStructure},
		"a multipart without boundary": {"Content-Type: multipart/mixed\r\n\r\nx", pec.MalformedStructure},
		"messages that repeat":         {strings.Repeat("Content-Type: message/rfc822\r\n\r\n", 45) + "\r\n" + strings.Repeat("x", 1<<20), pec.Unhashed},
	} {
		t.Run(name, func(t *testing.T) {
			a := pec.Read(t.Context(), strings.NewReader(test.raw), int64(len(test.raw)), pec.Options{})
			if !slices.Contains(codes(a), test.code) {
				t.Errorf("warnings %v, want %s", a.Warnings, test.code)
			}
			if len(a.Warnings) > 20 || len(a.Attachments) > 10_001 || len(a.Text) > 64<<10 {
				t.Errorf("%d warnings, %d attachments, %d bytes of text", len(a.Warnings), len(a.Attachments), len(a.Text))
			}
			if a.Signature.Status == pec.SignatureInvalid {
				t.Error("what is not verified is called invalid")
			}
		})
	}
}

func nestedMultiparts(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
	}
	return b.String()
}

// TestSignatureIsFoundBeyondTooManyParts: the signature stands after all the
// parts of the message, and is verified all the same.
func TestSignatureIsFoundBeyondTooManyParts(t *testing.T) {
	p := theProvider()
	mail := sample.Mail{From: "a@pec.example", To: "b@pec.example", Subject: "x", Text: "x"}
	for i := range 12_000 {
		mail.Files = append(mail.Files, sample.File{Name: fmt.Sprint(i), MediaType: "text/plain", Data: []byte("x")})
	}
	d, err := p.Submit(mail.Bytes(), sample.Submission{})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := d.Envelope()
	if err != nil {
		t.Fatal(err)
	}
	a := read(raw, p)
	if a.Signature.Status != pec.SignatureValid || !slices.Contains(codes(a), pec.TooManyParts) {
		t.Errorf("%+v %v", a.Signature, codes(a))
	}
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	raw := genuine(t, theProvider())
	a := pec.Read(ctx, bytes.NewReader(raw), int64(len(raw)), pec.Options{Trust: pec.NewTrust(theProvider().CA())})
	if a.Authenticity == pec.Certified || !slices.Contains(codes(a), pec.Interrupted) {
		t.Errorf("%s %v", a.Authenticity, codes(a))
	}
}

func TestSizes(t *testing.T) {
	raw := genuine(t, theProvider())
	short := pec.Read(t.Context(), bytes.NewReader(raw[:3000]), int64(len(raw)), pec.Options{})
	if short.Size != 3000 || !slices.Contains(codes(short), pec.MessageTruncated) {
		t.Errorf("truncated: %d bytes, %v", short.Size, codes(short))
	}
	large := pec.Read(t.Context(), bytes.NewReader(raw), int64(len(raw)), pec.Options{Limits: pec.Limits{Size: 1000}})
	if large.SHA256 != read(raw, theProvider()).SHA256 || !slices.Contains(codes(large), pec.MessageTooLarge) {
		t.Errorf("too large: %s %v", large.SHA256, codes(large))
	}
}
