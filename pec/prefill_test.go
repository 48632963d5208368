package pec_test

import (
	"crypto/sha256"
	"encoding/base64"
	"os"
	"testing"

	"github.com/protodaemon/protodaemon/pec/sample"
)

// TestPrefill: the best document of the sender's office system fills the
// registration, wherever it lies; the files it names are compared.
func TestPrefill(t *testing.T) {
	segnatura, err := os.ReadFile("../document/testdata/segnatura/c60_2013.xml")
	if err != nil {
		t.Fatal(err)
	}
	invoice, err := os.ReadFile("../document/testdata/fattura/IT00000000998_00001.xml")
	if err != nil {
		t.Fatal(err)
	}
	xml := func(name string, data []byte) sample.File {
		return sample.File{Name: name, MediaType: "text/xml", Data: data}
	}
	archive := sample.File{Name: "tutto.zip", MediaType: "application/zip", Data: zipped(t, map[string][]byte{"Segnatura.XML": segnatura})}
	for name, test := range map[string]struct {
		files       []sample.File
		kind, where string
	}{
		"nothing":          {[]sample.File{xml("x.xml", []byte("<x/>"))}, "", ""},
		"an invoice":       {[]sample.File{xml("IT00000000998_00001.xml", invoice)}, "fattura", "IT00000000998_00001.xml"},
		"a segnatura":      {[]sample.File{xml("segnatura.xml", segnatura)}, "segnatura", "segnatura.xml"},
		"both":             {[]sample.File{xml("IT00000000998_00001.xml", invoice), xml("segnatura.xml", segnatura)}, "segnatura", "segnatura.xml"},
		"in an archive":    {[]sample.File{xml("IT00000000998_00001.xml", invoice), archive}, "segnatura", "Segnatura.XML"},
		"under other name": {[]sample.File{xml("protocollo.xml", segnatura)}, "segnatura", "protocollo.xml"},
	} {
		a := read(sample.Mail{From: "a@b.it", Subject: "x", Text: "x", Files: test.files}.Bytes(), theProvider())
		switch p := a.Prefill; {
		case p == nil:
			if test.kind != "" {
				t.Errorf("%s: nothing; attachments %+v", name, a.Attachments)
			}
		case p.Kind != test.kind || p.Name != test.where || p.Reference == nil || p.Reference.Number == "" || len(p.Reference.Date) != 10 || !a.HasPart(p.Part):
			t.Errorf("%s: %+v", name, p)
		}
	}
}

// TestFilesNamedByASegnatura: one whose digest is another's is told.
func TestFilesNamedByASegnatura(t *testing.T) {
	const form = `<Segnatura xmlns="http://www.digitPa.gov.it/protocollo/" versione="aaaa-mm-gg"><Intestazione><Identificatore><CodiceAmministrazione>c_x999</CodiceAmministrazione><CodiceAOO>A</CodiceAOO><CodiceRegistro>R</CodiceRegistro><NumeroRegistrazione>0000007</NumeroRegistrazione><DataRegistrazione>2026-11-20</DataRegistrazione></Identificatore><Oggetto>x</Oggetto></Intestazione><Descrizione><Documento nome="Atto.pdf" tipoRiferimento="MIME"><Impronta algoritmo="SHA-256" codifica="base64">`
	sum := sha256.Sum256([]byte("contenuto"))
	segnatura := form + base64.StdEncoding.EncodeToString(sum[:]) + `</Impronta></Documento></Descrizione></Segnatura>`
	for content, want := range map[string]bool{"contenuto": true, "un altro": false} {
		a := read(sample.Mail{From: "a@b.it", Subject: "x", Text: "x", Files: []sample.File{
			{Name: "atto.pdf", MediaType: "application/pdf", Data: []byte(content)}, {Name: "segnatura.xml", MediaType: "text/xml", Data: []byte(segnatura)},
		}}.Bytes(), theProvider())
		r := a.Attachments[1].Record
		if r == nil || len(r.Files) != 1 || r.Files[0].Fits == nil || *r.Files[0].Fits != want {
			t.Errorf("%s: %+v", content, r)
		}
	}
}
