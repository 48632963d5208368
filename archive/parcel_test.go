package archive_test

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/protodaemon/protodaemon/archive"
	"github.com/protodaemon/protodaemon/register"
	"github.com/protodaemon/protodaemon/store"
)

// parER is what a conservator of Emilia-Romagna would agree on, with names that
// have to be escaped.
var parER = archive.ParER{Environment: "PARER_TEST", Entity: "Ordine <di> Esempio & C.", Structure: "AOO1", User: "ordine_ws", Version: "1.5", Type: "REGISTRO GIORNALIERO DI PROTOCOLLO"}

// packed writes a package and unpacks it; the directory is the one inside.
func packed(t *testing.T, profile archive.Profile, w written) (dir string, names []string) {
	t.Helper()
	pack := func() []byte {
		var b bytes.Buffer
		if err := archive.Pack(t.Context(), &b, profile, parER, w.Closing, w.open); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	b := pack()
	if !bytes.Equal(b, pack()) {
		t.Errorf("%s: the package is another the second time", profile)
	}
	return unpacked(t, b, w.Parcel.Identity)
}

// unpacked unpacks a package with unzip, and has sha256sum, xmllint and this
// program's zip agree on what is in it.
func unpacked(t *testing.T, b []byte, identity string) (dir string, names []string) {
	t.Helper()
	dir = t.TempDir()
	file := filepath.Join(dir, "pdv.zip")
	write(t, file, b)
	run(t, "unzip", "unzip", "-t", file)
	run(t, "unzip", "unzip", "-q", file, "-d", dir)
	dir = filepath.Join(dir, identity)
	run(t, "coreutils", "sh", "-c", `cd "$1" && sha256sum --strict --quiet -c SHA256SUMS`, "sh", dir)
	sums := string(must(os.ReadFile(filepath.Join(dir, "SHA256SUMS"))))
	safe := regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)
	for _, f := range must(zip.NewReader(bytes.NewReader(b), int64(len(b)))).File {
		name, ok := strings.CutPrefix(f.Name, identity+"/")
		if !ok || !safe.MatchString(name) || strings.HasPrefix(name, ".") {
			t.Errorf("the package has a file %q", f.Name)
		}
		if f.Method != zip.Store {
			t.Errorf("%s is compressed: its bytes depend on who compresses", f.Name)
		}
		if name != "SHA256SUMS" && strings.Count(sums, "  "+name+"\n") != 1 {
			t.Errorf("%s is not in SHA256SUMS", name)
		}
		if strings.HasSuffix(name, ".xml") {
			run(t, "libxml2-utils", "xmllint", "--nonet", "--noout", filepath.Join(dir, name))
		}
		names = append(names, name)
	}
	return dir, names
}

// packing is a closing whose package is to be written; the names of its holder
// are hostile, as far as the configuration lets them be.
func packing(t *testing.T) written {
	c := day("full")
	c.Holder.Name, c.Holder.RegisterName = "Ordine <di> \"Esempio\" & ../../C. ]]>\x01", "Affari & <istituzionali>"
	c.Manager.Surname = "D'Élite <&>"
	w := compose(t, c, []register.Happening{entry("0000041", func(*register.Entry) {})})
	w.Parcel = &register.Parcel{Identity: "PdV-" + w.Name, Version: 1}
	return w
}

func TestPackages(t *testing.T) {
	w := packing(t)
	common := []string{w.Name + ".pdf", w.Name + "-impronte.xml", w.Name + ".xml", w.Name + ".pdf.metadati.xml", w.Name + "-impronte.xml.metadati.xml", w.Name + ".xml.metadati.xml"}
	for profile, more := range map[archive.Profile]string{archive.ProfileNeutral: "", archive.ProfileSInCRO: " PIndex.xml", archive.ProfileParER: " XMLSIP.xml"} {
		dir, names := packed(t, profile, w)
		if got, want := strings.Join(names, " "), strings.Join(common, " ")+more+" SHA256SUMS"; got != want {
			t.Errorf("%s: in it are %s", profile, got)
		}
		for name, b := range w.files {
			if !bytes.Equal(must(os.ReadFile(filepath.Join(dir, name))), b.Bytes()) {
				t.Errorf("%s: %s is another", profile, name)
			}
		}
	}
}

// The index in the shape of SInCRO names each file with its digest.
func TestSInCROIndex(t *testing.T) {
	w := packing(t)
	dir, _ := packed(t, archive.ProfileSInCRO, w)
	var index struct {
		XMLName xml.Name `xml:"http://www.uni.com/U3011/sincro-v2/ PIndex"`
		Version string   `xml:"http://www.uni.com/U3011/sincro-v2/ sincroVersion,attr"`
		Volume  string   `xml:"PVolume>ID"`
		Files   []struct {
			Path string `xml:"Path"`
			Hash struct {
				Function string `xml:"http://www.uni.com/U3011/sincro-v2/ hashFunction,attr"`
				Value    string `xml:",chardata"`
			} `xml:"Hash"`
		} `xml:"FileGroup>File"`
		Submitter string `xml:"Process>Submitter>AgentName"`
		Holder    string `xml:"Process>Holder>AgentName"`
		Signer    string `xml:"Process>AuthorizedSigner>AgentName"`
		SignerID  string `xml:"Process>AuthorizedSigner>AgentID"`
		Time      string `xml:"Process>TimeReference>TimeInfo"`
	}
	if err := xml.Unmarshal(must(os.ReadFile(filepath.Join(dir, "PIndex.xml"))), &index); err != nil {
		t.Fatal(err)
	}
	if len(index.Files) != 3 {
		t.Fatalf("it has %d files", len(index.Files))
	}
	for _, f := range index.Files {
		if got := digest64(t, filepath.Join(dir, f.Path)); f.Hash.Value != got || f.Hash.Function != "SHA-256" {
			t.Errorf("%s has the digest %s, and in the index %s", f.Path, got, f.Hash.Value)
		}
	}
	want := `2.0 PdV-oaes-AOO1-istituzionale-20261123-007 Elena D'Élite <&> TIN:IT-NRELNE70A41H501X 2026-11-24T14:00:00Z`
	if got := fmt.Sprint(index.Version, " ", index.Volume, " ", index.Signer, " ", index.SignerID, " ", index.Time); got != want {
		t.Errorf("it says %s", got)
	}
	if name := "Ordine <di> \"Esempio\" & ../../C. ]]>\ufffd"; index.Holder != name || index.Submitter != name {
		t.Errorf("holder %q, submitter %q", index.Holder, index.Submitter)
	}
}

func digest64(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	d := store.Sum(b)
	return base64.StdEncoding.EncodeToString(d[:])
}

// allegato5 is what the metadata of a file say.
type allegato5 struct {
	XMLName    xml.Name `xml:"DocumentoAmministrativoInformatico"`
	Digest     string   `xml:"IdDoc>ImprontaCrittograficaDelDocumento>Impronta"`
	Algorithm  string   `xml:"IdDoc>ImprontaCrittograficaDelDocumento>Algoritmo"`
	ID         string   `xml:"IdDoc>Identificativo"`
	Formed     string   `xml:"ModalitaDiFormazione"`
	Kind       string   `xml:"TipologiaDocumentale"`
	Flow       string   `xml:"DatiDiRegistrazione>TipologiaDiFlusso"`
	Day        string   `xml:"DatiDiRegistrazione>TipoRegistro>RepertorioRegistro>DataRegistrazioneDocumento"`
	Number     string   `xml:"DatiDiRegistrazione>TipoRegistro>RepertorioRegistro>NumeroRegistrazioneDocumento"`
	Register   string   `xml:"DatiDiRegistrazione>TipoRegistro>RepertorioRegistro>CodiceRegistro"`
	Roles      []string `xml:"Soggetti>Ruolo>TipoRuolo"`
	IPA        []string `xml:"Soggetti>Ruolo>PAI>IPAAmm"`
	TaxCodes   []string `xml:"Soggetti>Ruolo>PF>CodiceFiscale"`
	Subject    string   `xml:"ChiaveDescrittiva>Oggetto"`
	Annexes    string   `xml:"Allegati>NumeroAllegati"`
	Reserved   bool     `xml:"Riservato"`
	Format     string   `xml:"IdentificativoDelFormato>Formato"`
	Product    string   `xml:"IdentificativoDelFormato>ProdottoSoftware>NomeProdotto"`
	Signed     bool     `xml:"Verifica>FirmatoDigitalmente"`
	Sealed     string   `xml:"Verifica>SigillatoElettronicamente"`
	Stamped    bool     `xml:"Verifica>MarcaturaTemporale"`
	Conformity string   `xml:"Verifica>ConformitaCopieImmagineSuSupportoInformatico"`
	Name       string   `xml:"NomeDelDocumento"`
	Version    string   `xml:"VersioneDelDocumento"`
	Release    string   `xml:"IdentificativoDelFormato>ProdottoSoftware>VersioneProdotto"`
	Recipients []string `xml:"Soggetti>Ruolo>PG>DenominazioneOrganizzazione"`
	Annex      []struct {
		ID          string `xml:"IdDoc>Identificativo"`
		Digest      string `xml:"IdDoc>ImprontaCrittograficaDelDocumento>Impronta"`
		Description string `xml:"Descrizione"`
	} `xml:"Allegati>IndiceAllegati"`
	Main     string `xml:"IdIdentificativoDocumentoPrimario>Identificativo"`
	Class    string `xml:"Classificazione>IndiceDiClassificazione"`
	Plan     string `xml:"Classificazione>PianoDiClassificazione"`
	Assembly string `xml:"Agg>TipoAggregazione"`
	Series   string `xml:"Agg>IdAggregazione"`
	Years    string `xml:"TempoDiConservazione"`
	Note     string `xml:"Note"`
}

// Beside each file stand its metadata with the names of allegato 5; of what is
// signed and stamped they say so.
func TestMetadata(t *testing.T) {
	h, c := outgoing(t)
	dir, names := unpacked(t, h.read(c, register.FilePackage), c.Parcel.Identity)
	described := 0
	for _, name := range names {
		file, ok := strings.CutSuffix(name, ".metadati.xml")
		if !ok {
			continue
		}
		described++
		var m allegato5
		if err := xml.Unmarshal(must(os.ReadFile(filepath.Join(dir, name))), &m); err != nil {
			t.Fatal(err)
		}
		if m.Digest != digest64(t, filepath.Join(dir, file)) || m.Algorithm != "SHA-256" || m.ID != file || m.Name != file {
			t.Errorf("%s: it is of %s, %s", name, m.ID, m.Digest)
		}
		if want := strings.HasSuffix(file, ".p7m"); m.Signed != want || m.Stamped != want || m.Sealed != "false" || m.Conformity != "false" {
			t.Errorf("%s: signed %t, stamped %t", name, m.Signed, m.Stamped)
		}
		main := c.Name + "-t.pdf.p7m"
		annexes, of := "0", main
		if file == main {
			annexes, of = "2", ""
		}
		for _, a := range m.Annex {
			if a.Digest != digest64(t, filepath.Join(dir, a.ID)) || a.Description == "" {
				t.Errorf("%s: its annex is %+v", name, a)
			}
		}
		if m.Annexes != annexes || fmt.Sprint(len(m.Annex)) != annexes || m.Main != of || m.Class != "" || m.Assembly != "Serie Documentale" ||
			m.Series != "oaes-AOO1-istituzionale-"+c.Day[:4] || m.Years != "9999" || m.Note != "" {
			t.Errorf("%s says %+v", name, m)
		}
		roles := "AmministrazioneCheEffettuaLaRegistrazione Autore Destinatario RGD Produttore"
		if m.Flow != "I" || m.Day != c.Day || m.Number != "0000001" || m.Register != book || strings.Join(m.Roles, " ") != roles ||
			strings.Join(m.IPA, " ") != "oaes oaes oaes" || m.TaxCodes[0] != "NRELNE70A41H501X" || m.Reserved || m.Version != "1" ||
			m.Format == "" || m.Product != "protodaemon" || m.Release != "prova" || m.Kind != "Registro giornaliero di protocollo" || !strings.HasPrefix(m.Formed, "generazione o raggruppamento") ||
			m.Subject != "Registro giornaliero di protocollo del "+c.Day+", Affari istituzionali" {
			t.Errorf("%s says %+v", name, m)
		}
	}
	if described != 3 {
		t.Errorf("%d files are described", described)
	}
}

// What is agreed with the conservator stands in the metadata, and of a test every
// index says that it is one.
func TestMetadataOfWhatIsAgreed(t *testing.T) {
	c := day("masked")
	c.Test, c.Recipient = true, &register.Recipient{Name: "Conservatore & C.", TaxCode: "01234567890"}
	w := compose(t, c, nil)
	w.Parcel = &register.Parcel{Identity: "PdV-" + w.Name, Version: 1}
	for profile, file := range map[archive.Profile]string{archive.ProfileNeutral: w.Name + ".xml.metadati.xml", archive.ProfileSInCRO: "PIndex.xml", archive.ProfileParER: "XMLSIP.xml"} {
		var b bytes.Buffer
		d := archive.Delivery{Profile: profile, ParER: parER, Class: archive.Class{Index: "I.5", Description: "Protocollo", Plan: "Titolario 2026"}}
		if err := archive.PackFor(t.Context(), &b, d, w.Closing, w.open); err != nil {
			t.Fatal(err)
		}
		dir, _ := unpacked(t, b.Bytes(), w.Parcel.Identity)
		if text := must(os.ReadFile(filepath.Join(dir, file))); !bytes.Contains(text, []byte("Registro di prova, senza valore legale")) {
			t.Errorf("%s does not say that it is a test:\n%s", file, text)
		}
		var m allegato5
		if err := xml.Unmarshal(must(os.ReadFile(filepath.Join(dir, w.Name+".xml.metadati.xml"))), &m); err != nil {
			t.Fatal(err)
		}
		if strings.Join(m.Recipients, "") != "Conservatore & C." || m.Class != "I.5" || m.Plan != "Titolario 2026" || !strings.Contains(m.Subject, "prova") || m.Note == "" {
			t.Errorf("it says %+v", m)
		}
	}
}

// ParER's SIP is in the order and has the names of its schema, with the PDF as
// the main document.
func TestParERSIP(t *testing.T) {
	w := packing(t)
	dir, _ := packed(t, archive.ProfileParER, w)
	b := must(os.ReadFile(filepath.Join(dir, "XMLSIP.xml")))
	type document struct {
		ID         string `xml:"IDDocumento"`
		Component  string `xml:"StrutturaOriginale>Componenti>Componente>ID"`
		Order      string `xml:"StrutturaOriginale>Componenti>Componente>OrdinePresentazione"`
		Support    string `xml:"StrutturaOriginale>Componenti>Componente>TipoSupportoComponente"`
		Name       string `xml:"StrutturaOriginale>Componenti>Componente>NomeComponente"`
		FileFormat string `xml:"StrutturaOriginale>Componenti>Componente>FormatoFileVersato"`
		Hash       string `xml:"StrutturaOriginale>Componenti>Componente>HashVersato"`
	}
	var sip struct {
		XMLName xml.Name   `xml:"UnitaDocumentaria"`
		Version string     `xml:"Intestazione>Versione"`
		Entity  string     `xml:"Intestazione>Versatore>Ente"`
		Number  string     `xml:"Intestazione>Chiave>Numero"`
		Year    string     `xml:"Intestazione>Chiave>Anno"`
		Kind    string     `xml:"Intestazione>TipologiaUnitaDocumentaria"`
		Date    string     `xml:"ProfiloUnitaDocumentaria>Data"`
		Annexes int        `xml:"NumeroAllegati"`
		Main    document   `xml:"DocumentoPrincipale"`
		Others  []document `xml:"Allegati>Allegato"`
	}
	if err := xml.Unmarshal(b, &sip); err != nil {
		t.Fatal(err)
	}
	if sip.Version != "1.5" || sip.Entity != parER.Entity || sip.Number != w.Name || sip.Year != "2026" || sip.Date != w.Day || sip.Kind != parER.Type || sip.Annexes != 2 || len(sip.Others) != 2 {
		t.Errorf("it says %+v", sip)
	}
	if sip.Main.ID != w.Name+".pdf" || sip.Main.FileFormat != "PDF" {
		t.Errorf("the main document is %+v", sip.Main)
	}
	for _, d := range append(sip.Others, sip.Main) {
		if d.Component != d.ID || d.Name != d.ID || d.Order != "1" || d.Support != "FILE" || d.Hash != digest64(t, filepath.Join(dir, d.ID)) {
			t.Errorf("%s: %+v", d.ID, d)
		}
	}
	if got, want := order(t, b, 2), "Intestazione Configurazione ProfiloUnitaDocumentaria NumeroAllegati DocumentoPrincipale Allegati"; got != want {
		t.Errorf("its elements are %s", got)
	}
	if got, want := order(t, b, 3), "Versione Versatore Chiave TipologiaUnitaDocumentaria TipoConservazione Oggetto Data IDDocumento TipoDocumento StrutturaOriginale Allegato Allegato"; got != want {
		t.Errorf("and below %s", got)
	}
}

// order names the elements at a depth, as they stand.
func order(t *testing.T, b []byte, depth int) string {
	t.Helper()
	var names []string
	d := xml.NewDecoder(bytes.NewReader(b))
	for at := 0; ; {
		token, err := d.Token()
		if err == io.EOF {
			return strings.Join(names, " ")
		}
		if err != nil {
			t.Fatal(err)
		}
		switch e := token.(type) {
		case xml.StartElement:
			if at++; at == depth {
				names = append(names, e.Name.Local)
			}
		case xml.EndElement:
			at--
		}
	}
}
