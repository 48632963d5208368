package pec_test

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/protodaemon/protodaemon/document"
	"github.com/protodaemon/protodaemon/pec"
	"github.com/protodaemon/protodaemon/pec/sample"
)

// signedBy has openssl sign a file as a person, in the way of a .p7m or a .p7s.
func signedBy(t *testing.T, content []byte, detached bool, more ...string) []byte {
	t.Helper()
	dir := t.TempDir()
	run := func(args ...string) {
		t.Helper()
		c := exec.CommandContext(t.Context(), "openssl", args...)
		c.Dir = dir
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "content"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3650", "-keyout", "key", "-out", "cert",
		"-subj", "/C=IT/O=Studio Verdi/CN=Lucia Verdi/serialNumber=TINIT-VRDLCU70A41H501X")
	form := []string{"-nodetach"}
	if detached {
		form = nil
	}
	if len(more) == 0 {
		more = []string{"-cades"}
	}
	form = append(form, more...)
	run(append([]string{"cms", "-sign", "-binary", "-in", "content", "-signer", "cert", "-inkey", "key", "-outform", "DER", "-out", "out"}, form...)...)
	b, err := os.ReadFile(filepath.Join(dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func zipped(t *testing.T, files map[string][]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for name, content := range files {
		f, err := w.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestWhatIsAttached: who signed it, what lies in it, what document it is; and
// each file in a file can be opened.
func TestWhatIsAttached(t *testing.T) {
	pdf := []byte("%PDF-1.7\n")
	for i := range 30_000 { // more than one piece, and no bomb when packed
		pdf = fmt.Appendf(pdf, "contenuto %d ", i*i%9973)
	}
	invoice := []byte(`<?xml version="1.0"?><p:FatturaElettronica versione="FPR12" xmlns:p="http://ivaservizi.agenziaentrate.gov.it/docs/xsd/fatture/v1.2"><FatturaElettronicaHeader><CedentePrestatore><DatiAnagrafici><IdFiscaleIVA><IdPaese>IT</IdPaese><IdCodice>01234567890</IdCodice></IdFiscaleIVA><Anagrafica><Denominazione>Cartoleria Blu</Denominazione></Anagrafica></DatiAnagrafici></CedentePrestatore></FatturaElettronicaHeader><FatturaElettronicaBody><DatiGenerali><DatiGeneraliDocumento><TipoDocumento>TD01</TipoDocumento><Divisa>EUR</Divisa><Data>2026-11-20</Data><Numero>42</Numero><ImportoTotaleDocumento>122.00</ImportoTotaleDocumento></DatiGeneraliDocumento></DatiGenerali></FatturaElettronicaBody></p:FatturaElettronica>`)
	p7m := signedBy(t, pdf, false)
	tampered := bytes.Replace(p7m, []byte("contenuto 4 "), []byte("contenuto 5 "), 1)
	mail := sample.Mail{From: "a@pec.example", To: "b@pec.example", Subject: "x", Text: "x", Files: []sample.File{
		{Name: "atto.pdf.p7m", MediaType: "application/pkcs7-mime", Data: p7m},
		{Name: "alterato.pdf.p7m", MediaType: "application/octet-stream", Data: tampered},
		{Name: "atto.pdf", MediaType: "application/pdf", Data: pdf},
		{Name: "atto.pdf.p7s", MediaType: "application/pkcs7-signature", Data: signedBy(t, pdf, true)},
		{Name: "IT01234567890_00001.xml", MediaType: "text/xml", Data: invoice},
		{Name: "tutto.zip", MediaType: "application/zip", Data: zipped(t, map[string][]byte{"dentro/atto.pdf.p7m": p7m})},
	}}
	p := theProvider()
	d, err := p.Submit(mail.Bytes(), sample.Submission{})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := d.Envelope()
	if err != nil {
		t.Fatal(err)
	}
	a := read(raw, p)
	checkComplete(t, raw, a)
	if len(a.Attachments) != len(mail.Files) {
		t.Fatalf("%d attachments", len(a.Attachments))
	}
	signer := func(f pec.Attachment, fits bool) {
		t.Helper()
		if len(f.Signatures) != 1 || f.Signatures[0].Signer != "Lucia Verdi" || f.Signatures[0].TaxCode != "VRDLCU70A41H501X" ||
			f.Signatures[0].Organization != "Studio Verdi" || f.Signatures[0].Fits != fits || f.Signed == nil || *f.Signed != fits {
			t.Errorf("%s: %+v", f.Name, f.Signatures)
		}
	}
	signer(a.Attachments[0], true)
	signer(a.Attachments[1], false)
	signer(a.Attachments[3], true)
	if f := a.Attachments[2]; f.Signed != nil || len(f.Signatures) > 0 {
		t.Errorf("a file without a signature: %+v", f.Facts)
	}
	if r := a.Attachments[4].Record; r == nil || r.Kind != "fattura" || r.Number != "42" || r.Date != "2026-11-20" || r.Total != "122.00" {
		t.Errorf("the invoice: %+v", r)
	}
	open := func(part, name string, want []byte) {
		t.Helper()
		if !a.HasPart(part) {
			t.Errorf("the analysis has no part %s", part)
		}
		f, r, err := pec.OpenPart(t.Context(), bytes.NewReader(raw), int64(len(raw)), part)
		if err != nil {
			t.Error(err)
			return
		}
		b, err := io.ReadAll(r)
		sum := sha256.Sum256(want)
		if err != nil || !bytes.Equal(b, want) || f.Name != name || f.SHA256 != hex.EncodeToString(sum[:]) {
			t.Errorf("%s: %s, %d bytes, %s, %v", part, f.Name, len(b), f.SHA256, err)
		}
	}
	open(a.Attachments[0].Part+"~1", "atto.pdf", pdf)
	open(a.Attachments[5].Part+"~1", "atto.pdf.p7m", p7m)
	open(a.Attachments[5].Part+"~1~1", "atto.pdf", pdf)
	for _, part := range []string{a.Attachments[0].Part + "~2", a.Attachments[2].Part + "~1", a.Attachments[0].Part + "~", "~1"} {
		if _, _, err := pec.OpenPart(t.Context(), bytes.NewReader(raw), int64(len(raw)), part); err == nil || a.HasPart(part) {
			t.Errorf("part %q is there", part)
		}
	}
}

// TestInspectionIsBoundedForTheWholeMessage: very many archives together list no
// more than one alone may.
func TestInspectionIsBoundedForTheWholeMessage(t *testing.T) {
	files := map[string][]byte{}
	for i := range 300 {
		files[strings.Repeat("x", i+1)] = []byte("x")
	}
	archive := zipped(t, files)
	mail := sample.Mail{From: "a@b.it", Subject: "x", Text: "x"}
	for range 10 {
		mail.Files = append(mail.Files, sample.File{Name: "a.zip", MediaType: "application/zip", Data: archive})
	}
	a := read(mail.Bytes(), theProvider())
	n := 0
	for _, f := range a.Attachments {
		n += len(f.Files)
	}
	if n < 1000 || n > 2000 || len(a.Attachments) != 10 || !slices.Contains(codes(a), pec.NotInspected) {
		t.Errorf("%d files in %d attachments, warnings %v", n, len(a.Attachments), a.Warnings)
	}
}

// TestSignersAreBoundedForTheWholeMessage: of very many signed files so many are
// verified as of one alone.
func TestSignersAreBoundedForTheWholeMessage(t *testing.T) {
	p7m := signedBy(t, []byte("%PDF-1.7\n"), false)
	mail := sample.Mail{From: "a@b.it", Subject: "x", Text: "x"}
	for range 60 {
		mail.Files = append(mail.Files, sample.File{Name: "a.pdf.p7m", MediaType: "application/pkcs7-mime", Data: p7m})
	}
	a := read(mail.Bytes(), theProvider())
	n := 0
	for _, f := range a.Attachments {
		n += len(f.Signatures)
	}
	if n != 50 || len(a.Attachments) != 60 || !slices.Contains(codes(a), pec.NotInspected) {
		t.Errorf("%d signatures in %d attachments, warnings %v", n, len(a.Attachments), a.Warnings)
	}
}

// TestSignerWithoutATimeIsJudgedAsOfTheMessage: a signature that does not say when
// it was made was made at the latest when it was sent.
func TestSignerWithoutATimeIsJudgedAsOfTheMessage(t *testing.T) {
	mail := sample.Mail{From: "a@b.it", Subject: "x", Text: "x", Date: time.Now(), Files: []sample.File{
		{Name: "a.pdf.p7m", MediaType: "application/pkcs7-mime", Data: signedBy(t, []byte("%PDF-1.7\n"), false, "-noattr")}}}
	a := read(mail.Bytes(), theProvider())
	s := a.Attachments[0].Signatures
	if len(s) != 1 || !s[0].Fits || s[0].Time != nil || slices.Contains(s[0].Problems, document.TimeUnknown) {
		t.Errorf("%+v", s)
	}
}
