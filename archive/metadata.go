package archive

import (
	"encoding/base64"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/protodaemon/protodaemon/register"
)

// testNote says of what is no real register that it is none.
const testNote = "Registro di prova, senza valore legale"

// keptForEver is the time of conservation of what is never discarded.
const keptForEver = "9999"

// writeMetadata writes what AgID's allegato 5 wants to be known of a document,
// with its names. What a conservator may ask to be corrected (names, codes, the
// manager's tax code) is taken from the closing that is given here, which may
// have the facts of today.
func writeMetadata(to io.Writer, class Class, c register.Closing, f register.ClosingFile, files []register.ClosingFile) error {
	const root = "DocumentoAmministrativoInformatico"
	x := newXML(to, root, "urn:protodaemon:metadati-allegato5:1")
	identity := func(element string, f register.ClosingFile) {
		x.in(element, func() {
			x.in("ImprontaCrittograficaDelDocumento", func() {
				x.put("Impronta", base64.StdEncoding.EncodeToString(f.SHA256[:]))
				x.put("Algoritmo", "SHA-256")
			})
			x.put("Identificativo", f.Name)
		})
	}
	main := f.Name == files[0].Name
	identity("IdDoc", f)
	x.put("ModalitaDiFormazione", "generazione o raggruppamento anche in via automatica di un insieme di dati o registrazioni, provenienti da una o più banche dati, anche appartenenti a più soggetti interoperanti, secondo una struttura logica predeterminata e memorizzata in forma statica")
	x.put("TipologiaDocumentale", "Registro giornaliero di protocollo")
	x.in("DatiDiRegistrazione", func() {
		x.put("TipologiaDiFlusso", "I")
		x.in("TipoRegistro", func() {
			x.in("RepertorioRegistro", func() {
				x.put("DataRegistrazioneDocumento", c.Day)
				x.put("NumeroRegistrazioneDocumento", fmt.Sprintf("%07d", c.Progressive))
				x.put("CodiceRegistro", c.Register)
			})
		})
	})
	x.in("Soggetti", func() { subjects(x, c) })
	x.in("ChiaveDescrittiva", func() { x.put("Oggetto", subjectOf(c)) })
	x.in("Allegati", func() {
		if !main {
			x.put("NumeroAllegati", "0")
			return
		}
		x.num("NumeroAllegati", int64(len(files)-1))
		for _, annex := range files[1:] {
			x.in("IndiceAllegati", func() {
				identity("IdDoc", annex)
				x.put("Descrizione", annexes[annex.Role])
			})
		}
	})
	if class != (Class{}) {
		x.in("Classificazione", func() {
			x.put("IndiceDiClassificazione", class.Index)
			x.put("Descrizione", class.Description)
			x.some("PianoDiClassificazione", class.Plan)
		})
	}
	x.put("Riservato", strconv.FormatBool(c.Reserved == "full"))
	x.in("IdentificativoDelFormato", func() {
		x.put("Formato", f.MediaType)
		x.in("ProdottoSoftware", func() {
			p := productOf(c)
			x.put("NomeProdotto", p.name)
			x.some("VersioneProdotto", p.version)
			x.put("Produttore", p.name)
		})
	})
	x.in("Verifica", func() {
		x.put("FirmatoDigitalmente", strconv.FormatBool(isSigned(f)))
		x.put("SigillatoElettronicamente", "false")
		x.put("MarcaturaTemporale", strconv.FormatBool(isStamped(f)))
		x.put("ConformitaCopieImmagineSuSupportoInformatico", "false")
	})
	x.in("Agg", func() {
		x.put("TipoAggregazione", "Serie Documentale")
		x.put("IdAggregazione", seriesOf(c))
	})
	if !main {
		identity("IdIdentificativoDocumentoPrimario", files[0])
	}
	x.put("NomeDelDocumento", f.Name)
	x.put("VersioneDelDocumento", "1")
	x.put("TempoDiConservazione", keptForEver)
	if c.Test {
		x.put("Note", testNote)
	}
	return x.end(root)
}

// annexes say what stands beside the register that people read.
var annexes = map[string]string{
	register.FileXML: "Dati del registro", register.FileXMLSigned: "Dati del registro",
	register.FileImprints: "Impronte della chiusura", register.FileImprintsSigned: "Impronte della chiusura", register.FileImprintsStamped: "Impronte della chiusura",
}

// subjectOf is the subject of the daily register.
func subjectOf(c register.Closing) string {
	subject := "Registro giornaliero di protocollo del " + c.Day + ", " + c.Holder.RegisterName
	if c.Test {
		subject += " – " + testNote
	}
	return subject
}

// seriesOf names the series (serie documentale) of a year's daily registers: what
// their names have in common, and the year.
func seriesOf(c register.Closing) string {
	series, _, _ := strings.Cut(c.Name, strings.ReplaceAll(c.Day, "-", ""))
	return series + c.Day[:4]
}

// product is a program with its version.
type product struct{ name, version string }

func productOf(c register.Closing) product {
	name, version, _ := strings.Cut(c.Software, " ")
	return product{name, version}
}

func subjects(x *xmlWriter, c register.Closing) {
	pai := func() {
		x.in("PAI", func() {
			x.put("Denominazione", c.Holder.Name)
			x.some("IPAAmm", c.Holder.IPACode)
			x.some("IPAAOO", c.Holder.AOOCode)
			x.some("CodiceFiscale", c.Holder.TaxCode)
		})
	}
	role := func(name string, f func()) { x.in("Ruolo", func() { x.put("TipoRuolo", name); f() }) }
	role("AmministrazioneCheEffettuaLaRegistrazione", pai)
	role("Autore", pai)
	if to := c.Recipient; to == nil {
		role("Destinatario", pai)
	} else {
		role("Destinatario", func() {
			x.in("PG", func() {
				x.put("DenominazioneOrganizzazione", to.Name)
				x.some("CodiceFiscale_PartitaIva", to.TaxCode)
			})
		})
	}
	role("RGD", func() {
		x.in("PF", func() {
			x.put("Cognome", c.Manager.Surname)
			x.put("Nome", c.Manager.Name)
			x.put("CodiceFiscale", c.Manager.TaxCode)
		})
	})
	if by := c.ClosedBy; by.Surname != "" {
		role("Operatore", func() {
			x.in("PF", func() {
				x.put("Cognome", by.Surname)
				x.put("Nome", by.Name)
				x.some("CodiceFiscale", by.TaxCode)
			})
		})
	}
	role("Produttore", func() { x.in("SW", func() { x.put("DenominazioneSistema", c.Software) }) })
}

func isSigned(f register.ClosingFile) bool {
	return slices.Contains([]string{register.FilePDFSigned, register.FilePDFStamped, register.FileImprintsSigned, register.FileImprintsStamped, register.FileXMLSigned}, f.Role)
}

func isStamped(f register.ClosingFile) bool {
	return f.Role == register.FilePDFStamped || f.Role == register.FileImprintsStamped
}
