package archive

import (
	"encoding/xml"
	"fmt"
	"io"

	"github.com/protodaemon/protodaemon/register"
	"github.com/protodaemon/protodaemon/store"
)

const rootImprints = "ImpronteChiusura"

// writeImprints writes the small file that stands for the closing: what a proof
// carries, because it shows no entry.
func writeImprints(to io.Writer, c register.Closing, files ...register.ClosingFile) error {
	x := newXML(to, rootImprints, namespace)
	x.put("Identificativo", c.Name)
	x.num("Formato", int64(c.Format))
	if c.Test {
		x.put("Prova", "true")
	}
	x.put("Amministrazione", c.Holder.Name)
	x.some("CodiceIPA", c.Holder.IPACode)
	x.some("CodiceAOO", c.Holder.AOOCode)
	x.put("Registro", c.Register)
	x.put("Data", c.Day)
	x.num("NumeroRegistrazioni", int64(c.Entries))
	x.some("PrimoNumero", c.FirstNumber)
	x.some("UltimoNumero", c.LastNumber)
	x.num("NumeroModifiche", int64(c.Changes))
	x.in("Giornale", func() { writeJournal(x, c) })
	for _, f := range files {
		x.in("File", func() {
			x.put("Nome", f.Name)
			x.num("Dimensione", f.Size)
			x.put("Impronta", f.SHA256.String())
		})
	}
	return x.end(rootImprints)
}

// imprints is what writeImprints wrote.
type imprints struct {
	XMLName  xml.Name     `xml:"urn:protodaemon:registro-giornaliero:1 ImpronteChiusura"`
	Name     string       `xml:"Identificativo"`
	Format   int          `xml:"Formato"`
	Test     bool         `xml:"Prova"`
	Holder   string       `xml:"Amministrazione"`
	IPACode  string       `xml:"CodiceIPA"`
	AOOCode  string       `xml:"CodiceAOO"`
	Register string       `xml:"Registro"`
	Day      string       `xml:"Data"`
	Entries  int          `xml:"NumeroRegistrazioni"`
	Changes  int          `xml:"NumeroModifiche"`
	Root     store.Digest `xml:"Giornale>RadiceMerkle"`
}

// maxImprints bounds the file, which has some two kilobytes.
const maxImprints = 64 << 10

func readImprints(b []byte) (i imprints, err error) {
	if len(b) > maxImprints {
		return i, fmt.Errorf("the imprints have %d bytes", len(b))
	}
	if err = xml.Unmarshal(b, &i); err != nil {
		return i, fmt.Errorf("reading the imprints: %w", err)
	}
	if i.Format != register.ClosingFormat {
		return i, fmt.Errorf("imprints of format %d are for another version of this program", i.Format)
	}
	return i, nil
}
