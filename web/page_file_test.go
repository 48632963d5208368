package web

import (
	"slices"
	"strings"
	"testing"

	"github.com/protodaemon/protodaemon/document"
	"github.com/protodaemon/protodaemon/pec"
)

// What a page says of a signature is never more than is known of it.
func TestWordsAboutSignatures(t *testing.T) {
	yes, no := true, false
	for name, test := range map[string]struct {
		s          document.Signature
		tone, text string
	}{
		"valid":              {document.Signature{Fits: true, Trusted: &yes, Signer: "Paola Serra", TaxCode: "SRRPLA71C52F205K"}, "ok", "Firmato da Paola Serra (SRRPLA71C52F205K): firma valida"},
		"no list of trust":   {document.Signature{Fits: true, Signer: "Paola Serra"}, "", "non confrontato con un elenco di fiducia"},
		"not trusted":        {document.Signature{Fits: true, Trusted: &no}, "warn", "firmatario sconosciuto: firma integra, certificato non riconosciuto"},
		"does not fit":       {document.Signature{Trusted: &yes, Signer: "x"}, "bad", "non corrisponde al contenuto o non si può verificare"},
		"covers a part only": {document.Signature{Fits: true, Trusted: &yes, Covers: "part"}, "warn", "modificato dopo la firma"},
		"a time stamp":       {document.Signature{Kind: "timestamp", Fits: true, Trusted: &yes, Signer: "TSA"}, "ok", "Marca temporale di TSA"},
	} {
		if got := signature(test.s); got.Tone != test.tone || !strings.Contains(got.Text, test.text) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// What lies in a file is listed below it, with its own facts and address; of
// very many some.
func TestFilesInFiles(t *testing.T) {
	no := false
	inner := document.File{Path: "1", Name: "atto.pdf", MediaType: "application/pdf", Size: 10}
	f := oneFile("atto.pdf.p7m", "application/pkcs7-mime", 20, "/x/2")
	f.tell(document.Facts{Files: []document.File{inner}, Record: &document.Record{Kind: "fattura", Type: "TD01", Number: "42", Date: "2026-11-20", Total: "122.00",
		Files: []document.Listed{{Name: "b.pdf", Fits: &no}}}, Warnings: []document.Warning{{Code: "x", Detail: "troppo"}}}, "/x/2~")
	if len(f.Inside) != 1 || f.Inside[0].Link != "/x/2~1" || f.Inside[0].Name != "atto.pdf" {
		t.Errorf("%+v", f.Inside)
	}
	for _, want := range []remark{{"", "Fattura elettronica TD01 n. 42 del 20/11/2026, totale 122,00 EUR"},
		{"bad", "L’impronta di b.pdf nella segnatura non è quella del file ricevuto"}, {"warn", "Letto solo in parte: troppo"}} {
		if !slices.Contains(f.Said, want) {
			t.Errorf("%q is not said; %+v", want.Text, f.Said)
		}
	}
	many := oneFile("a.zip", "application/zip", 20, "/x/3")
	many.tell(document.Facts{Files: slices.Repeat([]document.File{inner}, 30)}, "/x/3~")
	if len(many.Inside) != insideMost || !slices.Contains(many.Said, remark{"", "e altri 10 file"}) {
		t.Errorf("%d files, %+v", len(many.Inside), many.Said)
	}
}

// A certified message inside another is not said to certify what is round it.
func TestWordsAboutContainedMessages(t *testing.T) {
	all := insides([]pec.Contained{
		{Kind: pec.PECTransport, Authenticity: pec.Certified, Subject: "Diffida", PEC: &pec.Certificate{Sender: "a@pec.it"}},
		{Kind: pec.PECReceipt, Authenticity: pec.Broken}, {Kind: pec.Email},
	})
	if len(all) != 2 || all[0] != (remark{"ok", "Contiene una PEC «Diffida» di a@pec.it: quella è certificata, il messaggio intorno no"}) ||
		all[1] != (remark{"bad", "Contiene una ricevuta PEC: è stata alterata"}) {
		t.Errorf("%+v", all)
	}
}
