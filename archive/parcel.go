package archive

import (
	"archive/zip"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/protodaemon/protodaemon/register"
	"github.com/protodaemon/protodaemon/store"
)

// Profile is the shape of the deposit package (pacchetto di versamento, PdV).
type Profile string

// The profiles. All are a zip of the closing's files, one metadata file for
// each with the names of AgID's allegato 5, and a list of digests; sincro adds
// an index in the shape of UNI SInCRO 11386:2020, parer the SIP of ParER.
const (
	ProfileNeutral Profile = "pdv"
	ProfileSInCRO  Profile = "sincro"
	ProfileParER   Profile = "parer"
)

// ParER is what the profile parer has to name, as agreed with the conservator.
type ParER struct {
	Environment, Entity, Structure, User, Version, Type string
}

// deposited are the files that go into a package: of each pair the most
// complete.
var deposited = [][]string{
	{register.FilePDFStamped, register.FilePDFSigned, register.FilePDF},
	{register.FileImprintsStamped, register.FileImprintsSigned, register.FileImprints},
	{register.FileXMLSigned, register.FileXML},
}

func filesToDeposit(c register.Closing) (files []register.ClosingFile) {
	for _, roles := range deposited {
		for _, role := range roles {
			if f, ok := c.File(role); ok {
				files = append(files, f)
				break
			}
		}
	}
	return files
}

// text is a small file of a package.
type text struct {
	name  string
	write func(io.Writer) error
}

// pack writes the deposit package. Its bytes follow from the closing, what is
// agreed of the delivery, and the files.
func pack(ctx context.Context, to io.Writer, d Delivery, c register.Closing, open open) error {
	z := zip.NewWriter(to)
	files := filesToDeposit(c)
	var list strings.Builder
	add := func(name string, write func(io.Writer) error) error {
		// Stored: no compressor's release decides what the bytes are.
		w, err := z.CreateHeader(&zip.FileHeader{Name: c.Parcel.Identity + "/" + name, Method: zip.Store, Modified: c.ClosedAt.UTC().Truncate(2 * time.Second)})
		if err != nil {
			return err
		}
		return write(w)
	}
	for _, f := range files {
		err := add(f.Name, func(w io.Writer) error { return copyFile(ctx, w, f, open) })
		if err != nil {
			return fmt.Errorf("packing %s: %w", f.Name, err)
		}
		fmt.Fprintf(&list, "%s  %s\n", f.SHA256, f.Name)
	}
	var texts []text
	for _, f := range files {
		texts = append(texts, text{f.Name + ".metadati.xml", func(w io.Writer) error { return writeMetadata(w, d.Class, c, f, files) }})
	}
	switch d.Profile {
	case ProfileSInCRO:
		texts = append(texts, text{"PIndex.xml", func(w io.Writer) error { return writePIndex(w, c, files) }})
	case ProfileParER:
		texts = append(texts, text{sipName, func(w io.Writer) error { return writeSIP(w, d.ParER, c, files) }})
	}
	for _, t := range texts {
		var b strings.Builder
		if err := t.write(&b); err != nil {
			return fmt.Errorf("writing %s: %w", t.name, err)
		}
		fmt.Fprintf(&list, "%s  %s\n", store.Sum([]byte(b.String())), t.name)
		if err := add(t.name, func(w io.Writer) error { _, err := io.WriteString(w, b.String()); return err }); err != nil {
			return fmt.Errorf("packing %s: %w", t.name, err)
		}
	}
	if err := add("SHA256SUMS", func(w io.Writer) error { _, err := io.WriteString(w, list.String()); return err }); err != nil {
		return fmt.Errorf("packing the digests: %w", err)
	}
	return z.Close()
}

func copyFile(ctx context.Context, w io.Writer, f register.ClosingFile, open open) (err error) {
	blob, err := open(ctx, f)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, blob.Close()) }()
	_, err = io.Copy(w, blob)
	return err
}

// The index in the shape of UNI SInCRO 11386:2020 is that of the producer: the
// PIndex of the archival package (PdA) is the conservator's to make.
const nsSInCRO = "http://www.uni.com/U3011/sincro-v2/"

// writePIndex writes it; all attributes are qualified, as its schema has it.
func writePIndex(to io.Writer, c register.Closing, files []register.ClosingFile) error {
	var b strings.Builder
	w := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	product := productOf(c)
	w(`<?xml version="1.0" encoding="UTF-8"?>`)
	w(`<sincro:PIndex xmlns:sincro="%s" sincro:language="it" sincro:sincroVersion="2.0" sincro:uri="%sPIndex.xsd">`, nsSInCRO, nsSInCRO)
	w(` <sincro:SelfDescription><sincro:ID sincro:scheme="locale">%s.PIndex</sincro:ID><sincro:CreatingApplication><sincro:Name>%s</sincro:Name><sincro:Version>%s</sincro:Version><sincro:Producer>%s</sincro:Producer></sincro:CreatingApplication></sincro:SelfDescription>`,
		escape(c.Parcel.Identity), escape(product.name), escape(product.version), escape(product.name))
	description := ""
	if c.Test {
		description = "<sincro:Description>" + testNote + "</sincro:Description>"
	}
	w(` <sincro:PVolume><sincro:ID sincro:scheme="locale">%s</sincro:ID><sincro:Label>Registro giornaliero di protocollo</sincro:Label>%s</sincro:PVolume>`, escape(c.Parcel.Identity), description)
	w(` <sincro:FileGroup><sincro:ID sincro:scheme="locale">%s</sincro:ID>`, escape(c.Name))
	for _, f := range files {
		w(`  <sincro:File sincro:encoding="binary" sincro:extension="%s" sincro:format="%s"><sincro:ID sincro:scheme="locale">%s</sincro:ID><sincro:Path>%s</sincro:Path><sincro:Hash sincro:canonicalXML="false" sincro:hashFunction="SHA-256">%s</sincro:Hash></sincro:File>`,
			extension(f.Name), escape(f.MediaType), escape(f.Name), escape(f.Name), base64.StdEncoding.EncodeToString(f.SHA256[:]))
	}
	w(` </sincro:FileGroup>`)
	w(` <sincro:Process>`)
	agent := func(element, attributes, kind, scheme, code, name, document string) {
		if code != "" {
			code = "<sincro:AgentID>" + escape(scheme+":IT-"+code) + "</sincro:AgentID>"
		}
		w(`  <sincro:%s sincro:agentType="%s"%s>%s<sincro:AgentName>%s</sincro:AgentName><sincro:RelevantDocument>%s</sincro:RelevantDocument></sincro:%s>`,
			element, kind, attributes, code, escape(name), escape(document), element)
	}
	ipa := "Indice IPA, codice " + or(c.Holder.IPACode, "non indicato")
	manager := c.Manager.Name + " " + c.Manager.Surname
	agent("Submitter", "", "legal person", "VAT", c.Holder.TaxCode, c.Holder.Name, ipa)
	agent("Holder", ` sincro:holderRole="soggetto produttore"`, "legal person", "VAT", c.Holder.TaxCode, c.Holder.Name, ipa)
	agent("AuthorizedSigner", ` sincro:signerRole="OtherRole"`, "natural person", "TIN", c.Manager.TaxCode, manager, c.Manager.Deed)
	w(`  <sincro:TimeReference><sincro:TimeInfo sincro:attachedTimeStamp="false">%s</sincro:TimeInfo></sincro:TimeReference>`, c.ClosedAt.UTC().Format(time.RFC3339))
	w(` </sincro:Process>`)
	b.WriteString("</sincro:PIndex>")
	_, err := io.WriteString(to, b.String())
	return err
}

func extension(name string) string { return name[strings.LastIndexByte(name, '.')+1:] }

const sipName = "XMLSIP.xml"

// writeSIP writes ParER's XMLSIP (UnitaDocumentaria).
func writeSIP(to io.Writer, p ParER, c register.Closing, files []register.ClosingFile) error {
	const root = "UnitaDocumentaria"
	x := newXML(to, root, "")
	x.in("Intestazione", func() {
		x.put("Versione", p.Version)
		x.in("Versatore", func() {
			x.put("Ambiente", p.Environment)
			x.put("Ente", p.Entity)
			x.put("Struttura", p.Structure)
			x.put("UserID", p.User)
		})
		x.in("Chiave", func() {
			x.put("Numero", c.Name)
			x.put("Anno", c.Day[:4])
			x.put("TipoRegistro", c.Register)
		})
		x.put("TipologiaUnitaDocumentaria", p.Type)
	})
	x.in("Configurazione", func() { x.put("TipoConservazione", "VERSAMENTO_ANTICIPATO") })
	x.in("ProfiloUnitaDocumentaria", func() {
		x.put("Oggetto", subjectOf(c))
		x.put("Data", c.Day)
	})
	x.num("NumeroAllegati", int64(len(files)-1))
	document := func(name string, f register.ClosingFile) {
		x.in(name, func() {
			x.put("IDDocumento", f.Name)
			x.put("TipoDocumento", p.Type)
			x.in("StrutturaOriginale", func() {
				x.put("TipoStruttura", "DocumentoGenerico")
				x.in("Componenti", func() {
					x.in("Componente", func() {
						x.put("ID", f.Name)
						x.put("OrdinePresentazione", "1")
						x.put("TipoComponente", "Contenuto")
						x.put("TipoSupportoComponente", "FILE")
						x.put("NomeComponente", f.Name)
						x.put("FormatoFileVersato", strings.ToUpper(extension(f.Name)))
						x.put("HashVersato", base64.StdEncoding.EncodeToString(f.SHA256[:]))
						x.put("UtilizzoDataFirmaPerRifTemp", "false")
					})
				})
			})
		})
	}
	for i, f := range files {
		if i == 0 {
			document("DocumentoPrincipale", f)
			continue
		}
		if i == 1 {
			x.in("Allegati", func() {
				for _, f := range files[1:] {
					document("Allegato", f)
				}
			})
		}
	}
	return x.end(root)
}
