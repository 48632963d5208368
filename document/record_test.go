package document

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode"
)

func readRecord(t *testing.T, name, content string) (Record, []string) {
	t.Helper()
	facts := inspectXML(input(name, content), DefaultLimits)
	if facts.Record == nil {
		return Record{}, codes(facts.Warnings)
	}
	return *facts.Record, codes(facts.Warnings)
}

func codes(warnings []Warning) []string {
	var c []string
	for _, w := range warnings {
		c = append(c, w.Code)
	}
	return c
}

func file(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Nothing that a document declares is ever expanded or fetched.
func TestEntitiesAreNeverProcessed(t *testing.T) {
	var laughs strings.Builder
	laughs.WriteString(`<!DOCTYPE Segnatura [<!ENTITY a0 "ha">`)
	for i := 1; i < 30; i++ {
		fmt.Fprintf(&laughs, `<!ENTITY a%d "%s">`, i, strings.Repeat(fmt.Sprintf("&a%d;", i-1), 10))
	}
	laughs.WriteString(`]>`)
	const head, tail = `<Segnatura><Intestazione><Oggetto>`, `</Oggetto></Intestazione></Segnatura>`
	for name, c := range map[string]struct{ doctype, subject string }{
		"billion laughs":     {laughs.String(), "&a29;"},
		"external entity":    {`<!DOCTYPE Segnatura [<!ENTITY x SYSTEM "file:///etc/passwd">]>`, "&x;"},
		"parameter entity":   {`<!DOCTYPE Segnatura [<!ENTITY % p SYSTEM "http://127.0.0.1/x.dtd"> %p;]>`, "&x;"},
		"declared by itself": {`<!DOCTYPE Segnatura [<!ENTITY x "declared">]>`, "&x;"},
		"of HTML":            {"", "&agrave;"},
	} {
		r, warned := readRecord(t, "segnatura.xml", c.doctype+head+"prima "+c.subject+tail)
		if !slices.Contains(warned, Malformed) || r.Kind != "segnatura" {
			t.Errorf("%s: %+v, %v", name, r, warned)
		}
		if r.Subject != "" && r.Subject != "prima" {
			t.Errorf("%s: subject %q", name, r.Subject)
		}
	}
	// A DOCTYPE that declares and is not used does no harm.
	r, warned := readRecord(t, "segnatura.xml", laughs.String()+head+"&lt;tutto&gt; &#233; &amp; bene"+tail)
	if r.Subject != "<tutto> é & bene" || len(warned) > 0 {
		t.Errorf("%q, %v", r.Subject, warned)
	}
}

func TestXMLBoundsGivePartialFacts(t *testing.T) {
	const head, tail = `<Segnatura><Intestazione><Oggetto>letto</Oggetto>`, `</Intestazione></Segnatura>`
	for name, middle := range map[string]string{
		"10,000 deep":            strings.Repeat("<a>", 10_000) + strings.Repeat("</a>", 10_000),
		"10,000 deep, left out":  strings.Repeat("<PiuInfo>", 10_000) + strings.Repeat("</PiuInfo>", 10_000),
		"a huge attribute":       `<a b="` + strings.Repeat("x", 1<<20) + `"/>`,
		"a million attributes":   `<a ` + strings.Repeat(`b="" `, 1<<20) + `/>`,
		"attributes with >":      `<a ` + strings.Repeat(`b=">" `, 1<<18) + `/>`,
		"a huge name":            `<` + strings.Repeat("n", 1<<20) + `/>`,
		"too many elements":      strings.Repeat("<a/>", xmlNodes+1),
		"an element left open":   `<a>`,
		"elements that cross":    `<a><b></a></b>`,
		"an attribute unquoted":  `<a b=c/>`,
		"a tag that never ends":  `<a b="`,
		"a comment that is open": `<!-- `,
	} {
		r, warned := readRecord(t, "segnatura.xml", head+middle+tail)
		if r.Subject != "letto" || !slices.Equal(warned, []string{Malformed}) {
			t.Errorf("%s: subject %q, %v", name, r.Subject, warned)
		}
	}
	// What is long only because it is text, a comment or left out is no harm.
	long := strings.Repeat("x < y \" ", 1<<14)
	for name, middle := range map[string]string{
		"a long comment": "<!-- " + long + " -->", "long CDATA": "<x><![CDATA[" + long + "]]></x>",
		"a long instruction": "<?x " + long + "?>", "long text": "<x>" + strings.Repeat("x", 1<<20) + "</x>",
		"many elements left out": "<PiuInfo>" + strings.Repeat("<a/>", 2*xmlNodes) + "</PiuInfo>",
	} {
		if r, warned := readRecord(t, "segnatura.xml", head+middle+tail); r.Subject != "letto" || len(warned) > 0 {
			t.Errorf("%s: subject %q, %v", name, r.Subject, warned)
		}
	}
}

func TestXMLTooLargeIsReadInPart(t *testing.T) {
	limits := DefaultLimits
	limits.Parsed = 1000
	in := input("segnatura.xml", `<Segnatura><Intestazione><Oggetto>letto</Oggetto><Note>`+strings.Repeat("x", 2000)+`</Note></Intestazione></Segnatura>`)
	facts := inspectXML(in, limits)
	if facts.Record == nil || facts.Record.Subject != "letto" || !slices.Equal(codes(facts.Warnings), []string{TooLarge}) {
		t.Errorf("%+v %v", facts.Record, facts.Warnings)
	}
}

// Every charset in use says the same; wrong declarations are put right.
func TestXMLCharsets(t *testing.T) {
	const body = `<Segnatura><Intestazione><Oggetto>Perché così</Oggetto></Intestazione></Segnatura>`
	latin := strings.NewReplacer("é", "\xe9", "ì", "\xec").Replace(body)
	wide := func(s string, little bool) string {
		var b []byte
		for _, r := range s {
			if little {
				b = append(b, byte(r), byte(r>>8))
			} else {
				b = append(b, byte(r>>8), byte(r))
			}
		}
		return string(b)
	}
	for name, doc := range map[string]string{
		"utf-8":                      `<?xml version="1.0" encoding="UTF-8"?>` + body,
		"not declared":               body,
		"a byte order mark":          "\xef\xbb\xbf" + `<?xml version="1.0"?>` + body,
		"blanks before":              "\r\n  " + `<?xml version="1.0" encoding='utf-8' ?>` + body,
		"latin-1":                    `<?xml version="1.0" encoding="ISO-8859-1"?>` + latin,
		"declared utf-8, is not":     `<?xml version="1.0" encoding="UTF-8"?>` + latin,
		"declared latin-1, is utf-8": `<?xml version='1.0' encoding='iso-8859-1'?>` + body,
		"of nobody":                  `<?xml version="1.0" encoding="x-nobody"?>` + body,
		"declared utf-16, is not":    `<?xml version="1.0" encoding="utf-16"?>` + body,
		"version 1.1":                `<?xml version="1.1"?>` + body,
		"utf-16le":                   "\xff\xfe" + wide(`<?xml version="1.0" encoding="UTF-16"?>`+body, true),
		"utf-16be":                   "\xfe\xff" + wide(`<?xml version="1.0" encoding="UTF-16"?>`+body, false),
		"utf-16le without mark":      wide(`<?xml version="1.0" encoding="UTF-16"?>`+body, true),
		"utf-16be without mark":      wide(body, false),
		"a control character":        strings.Replace(body, "Perché ", "Perché \x0b\x00", 1),
	} {
		if r, warned := readRecord(t, "segnatura.xml", doc); r.Subject != "Perché così" || len(warned) > 0 {
			t.Errorf("%s: %q, %v", name, r.Subject, warned)
		}
	}
}

func TestOnlyRootAndNamespaceMakeARecord(t *testing.T) {
	v3 := file(t, "testdata/segnatura/v3.xml")
	for name, c := range map[string]struct {
		file, content, kind, version string
		warned                       []string
	}{
		"another name":            {"DOC.XML", v3, "segnatura", "3.0.0", nil},
		"another namespace":       {"Segnatura.xml", strings.ReplaceAll(v3, "www.agid.gov.it", "www.example.org"), "segnatura", "", []string{NamespaceUnknown}},
		"namespace left out":      {"segnatura.xml", `<Segnatura versione="2013-01-01"><Intestazione/></Segnatura>`, "segnatura", "2013", nil},
		"version 3 left out":      {"segnatura.xml", `<SegnaturaInformatica><Intestazione/></SegnaturaInformatica>`, "segnatura", "3.0.0", nil},
		"nothing of a segnatura":  {"SEGNATURA.XML", `<Segnatura><Riga/></Segnatura>`, "", "", []string{NameDiffers}},
		"another root":            {"segnatura.xml", `<postacert/>`, "", "", []string{NameDiffers}},
		"no element":              {"segnatura.xml", `<?xml version="1.0"?>`, "", "", []string{NameDiffers}},
		"another document":        {"x.xml", `<html><Segnatura/></html>`, "", "", nil},
		"an invoice without head": {"x.xml", `<FatturaElettronica/>`, "", "", nil},
		"an invoice of nobody":    {"x.xml", `<FatturaElettronica><FatturaElettronicaHeader/></FatturaElettronica>`, "fattura", "", []string{NamespaceUnknown}},
		"a notification's name":   {"IT00000000998_00001_RC_001.xml", v3, "segnatura", "3.0.0", []string{NameDiffers}},
	} {
		r, warned := readRecord(t, c.file, c.content)
		if r.Kind != c.kind || r.Version != c.version || !slices.Equal(warned, c.warned) {
			t.Errorf("%s: kind %q version %q, %v", name, r.Kind, r.Version, warned)
		}
	}
}

func TestWhatIsXML(t *testing.T) {
	for content, want := range map[string]struct {
		looks  bool
		format string
	}{
		`<a/>`: {true, "xml"}, `<?xml version="1.0"?><html/>`: {true, "xml"}, "\ufeff\r\n<a>": {true, "xml"}, "<\x00a\x00/\x00>\x00": {true, "xml"},
		`<?xml version="1.0"?>`: {true, "xml"}, `<!DOCTYPE Segnatura><Segnatura/>`: {true, "xml"}, `<?xml-stylesheet href="x"?><a/>`: {true, "xml"},
		`<3 ciao`: {true, ""}, `<`: {true, ""}, `<!DOCTYPE HTML PUBLIC "x"><html></html>`: {false, ""}, ` <HTML>`: {false, ""}, `testo`: {false, ""}, ``: {false, ""},
	} {
		if looks := looksXML([]byte(content)); looks != want.looks {
			t.Errorf("%q looks %v", content, looks)
		}
		if want.looks {
			if got := inspectXML(input("", content), DefaultLimits).Format; got != want.format {
				t.Errorf("%q: format %q", content, got)
			}
		}
	}
}

// Confirmations are asked for by other defaults in each generation.
func TestConfirmDefaults(t *testing.T) {
	v3 := func(attr string) string {
		return `<SegnaturaInformatica xmlns="http://www.agid.gov.it/protocollo/"><Intestazione/><Descrizione><Destinatario ` + attr + `/></Descrizione></SegnaturaInformatica>`
	}
	old := func(attr string) string {
		return `<Segnatura xmlns="http://www.digitPa.gov.it/protocollo/"><Intestazione><Destinazione ` + attr + `/></Intestazione></Segnatura>`
	}
	for doc, want := range map[string]bool{
		v3(``): true, v3(`confermaRicezione="false"`): false, v3(`confermaRicezione="0"`): false, v3(`confermaRicezione="forse"`): true,
		old(``): false, old(`confermaRicezione="si"`): true, old(`confermaRicezione="no"`): false, old(`confermaRicezione="forse"`): false,
		strings.Replace(old(`confermaRicezione="si"`), "Destinazione", "PerConoscenza", 2): true,
		strings.Replace(old(``), ` xmlns="http://www.digitPa.gov.it/protocollo/"`, "", 1):  false,
		`<SegnaturaInformatica><Intestazione/></SegnaturaInformatica>`:                     false,
	} {
		if r, _ := readRecord(t, "", doc); r.Confirm != want {
			t.Errorf("%s: %v", doc, r.Confirm)
		}
	}
}

func TestReserved(t *testing.T) {
	for element, want := range map[string]bool{
		"": false, "<Riservato/>": true, "<Riservato>motivi di salute</Riservato>": true, "<Riservato>1</Riservato>": true,
		"<Riservato>false</Riservato>": false, "<Riservato> NO </Riservato>": false, "<Riservato>0</Riservato>": false,
	} {
		if r, _ := readRecord(t, "", "<Segnatura><Intestazione>"+element+"</Intestazione></Segnatura>"); r.Reserved != want {
			t.Errorf("%s: %v", element, r.Reserved)
		}
	}
}

// Parts that are missing, repeated, in another order or case change nothing of
// what the others say.
func TestSegnaturaIsNotValidated(t *testing.T) {
	r, warned := readRecord(t, "", `<Segnatura>testo sparso
	<DESCRIZIONE><documento NOME="a.pdf"/></DESCRIZIONE>
	<Intestazione><Oggetto>uno</Oggetto><Oggetto>due</Oggetto>
	<Identificatore><DataRegistrazione>31/12/2025</DataRegistrazione><NumeroRegistrazione>7</NumeroRegistrazione></Identificatore>
	<Ignoto><Oggetto>tre</Oggetto></Ignoto></Intestazione></Segnatura>`)
	if r.Subject != "uno" || r.Sender == nil || *r.Sender != (Reference{Number: "7", Date: "2025-12-31"}) ||
		len(r.Files) != 1 || r.Files[0].Name != "a.pdf" || len(warned) > 0 {
		t.Errorf("%+v %v", r, warned)
	}
	for text, want := range map[string]string{"2025-12-31": "2025-12-31", "2025-12-31Z": "2025-12-31", "2025-12-31T10:00:00": "2025-12-31",
		"31-12-2025": "2025-12-31", "2025-13-31": "", "ieri": "", "": "", "2025": "", "30/02/2025": ""} {
		if got := date(text); got != want {
			t.Errorf("date %q: %q", text, got)
		}
	}
}

// A field cannot lie about itself or flood a page.
func TestFieldsAreCleaned(t *testing.T) {
	hostile := "riga uno\nriga due \u202Egpj.exe\u2069 \u0085fine\u200f " + strings.Repeat("lunga ", 5000)
	r, _ := readRecord(t, "", "<Segnatura><Intestazione><Oggetto>"+hostile+"</Oggetto></Intestazione></Segnatura>")
	if !strings.HasPrefix(r.Subject, "riga uno riga due gpj.exe fine lunga") || len(r.Subject) > lineMax || !clean(r.Subject) {
		t.Errorf("%q", r.Subject[:60])
	}
}

func clean(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || bidiControl(r) }) && strings.TrimSpace(s) == s
}

func TestRecordListsAreBounded(t *testing.T) {
	var doc strings.Builder
	doc.WriteString("<Segnatura><Intestazione>")
	doc.WriteString(strings.Repeat("<Destinazione/>", partiesMax+5))
	doc.WriteString("</Intestazione><Descrizione><Allegati>")
	doc.WriteString(strings.Repeat(`<Documento nome="x"/>`, listedMax+5))
	doc.WriteString("</Allegati></Descrizione></Segnatura>")
	r, warned := readRecord(t, "", doc.String())
	if len(r.Parties) != partiesMax || len(r.Files) != listedMax || !slices.Equal(warned, []string{TooMany, TooMany}) {
		t.Errorf("%d parties, %d files, %v", len(r.Parties), len(r.Files), warned)
	}
	r, warned = readRecord(t, "", "<NotificaScarto xmlns='http://www.fatturapa.gov.it/sdi/messaggi/v1.0'><ListaErrori>"+
		strings.Repeat("<Errore><Codice>1</Codice></Errore>", errorsMax+5)+"</ListaErrori></NotificaScarto>")
	if len(r.Errors) != errorsMax || !slices.Equal(warned, []string{TooMany}) {
		t.Errorf("%d errors, %v", len(r.Errors), warned)
	}
	_, warned = readRecord(t, "", "<FatturaElettronica><FatturaElettronicaHeader/><FatturaElettronicaBody><DatiBeniServizi>"+
		strings.Repeat("<DatiRiepilogo><Imposta>x</Imposta></DatiRiepilogo>", 1000)+"</DatiBeniServizi></FatturaElettronicaBody></FatturaElettronica>")
	if len(warned) != warningsMax {
		t.Errorf("%d warnings", len(warned))
	}
}

func TestDigests(t *testing.T) {
	const hexed = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
	for impronta, want := range map[string]string{
		`<Impronta>n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=</Impronta>`:                            hexed,
		`<Impronta>n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg</Impronta>`:                             hexed,
		"<Impronta algoritmo='SHA-256'>\n n4bQgYhMfWWaL+qgxVrQFaO/\n TxsrC4Is0V1sFbDwCgg= </Impronta>": hexed,
		`<Impronta algoritmo="http://www.w3.org/2001/04/xmlenc#sha256">` + hexed + `</Impronta>`:       hexed,
		`<Impronta>` + strings.ToUpper(hexed) + `</Impronta>`:                                          hexed,
		`<Impronta algoritmo="SHA-1">n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=</Impronta>`:          "",
		`<Impronta>2jmj7l5rSw0yVb/vlWAYkK/YBwk=</Impronta>`:                                            "",
		`<Impronta>non è un'impronta</Impronta>`:                                                       "",
		`<Impronta/>`: "",
	} {
		r, _ := readRecord(t, "", `<Segnatura><Intestazione/><Descrizione><Documento nome="a">`+impronta+`</Documento></Descrizione></Segnatura>`)
		if len(r.Files) != 1 || r.Files[0].Digest != want {
			t.Errorf("%s: %+v", impronta, r.Files)
		}
	}
}

func TestInvoiceTotals(t *testing.T) {
	for amounts, want := range map[string]struct {
		total    string
		computed bool
		warned   []string
	}{
		`<D>-10.50</D>`: {"-10.50", false, nil}, `<D>1000,5</D>`: {"1000.50", false, nil}, `<D>+7</D>`: {"7.00", false, nil},
		`<D>1.234.567,89</D>`: {"", false, []string{AmountUnreadable}}, `<D>1e9</D>`: {"", false, []string{AmountUnreadable}},
		`<D>` + strings.Repeat("9", 400) + `</D>`: {"", false, []string{AmountUnreadable}},
		``:                            {"", false, nil},
		`<R><I>0.1</I><T>0.2</T></R>`: {"0.30", true, nil},
		`<R><I>10</I></R><R><I>5.005</I><T>x</T></R>`:                    {"15.01", true, []string{AmountUnreadable}},
		`<D>mille</D><R><I>1</I><T>2</T></R>`:                            {"3.00", true, []string{AmountUnreadable}},
		strings.Repeat(`<R><I>999999999999999.99</I><T>0</T></R>`, 2000): {"1999999999999999980.00", true, nil},
	} {
		rest := strings.NewReplacer("R>", "DatiRiepilogo>", "I>", "ImponibileImporto>", "T>", "Imposta>").Replace(amounts)
		said := ""
		if strings.HasPrefix(amounts, "<D>") {
			said, rest, _ = strings.Cut(rest, "</D>")
			said = strings.Replace(said, "<D>", "<ImportoTotaleDocumento>", 1) + "</ImportoTotaleDocumento>"
		}
		r, warned := readRecord(t, "", `<FatturaElettronica xmlns="http://ivaservizi.agenziaentrate.gov.it/docs/xsd/fatture/v1.2"><FatturaElettronicaHeader/>
			<FatturaElettronicaBody><DatiGenerali><DatiGeneraliDocumento>`+said+`</DatiGeneraliDocumento></DatiGenerali>
			<DatiBeniServizi>`+rest+`</DatiBeniServizi></FatturaElettronicaBody></FatturaElettronica>`)
		if r.Total != want.total || r.TotalComputed != want.computed || !slices.Equal(warned, want.warned) {
			t.Errorf("%.60s: %q %v %v", amounts, r.Total, r.TotalComputed, warned)
		}
	}
}

// The lines and files of a large invoice cost no memory and hide nothing.
func TestLargeInvoice(t *testing.T) {
	doc := file(t, "testdata/fattura/IT00000000998_00001.xml")
	lines := strings.Repeat("<DettaglioLinee><NumeroLinea>2</NumeroLinea><Descrizione>riga</Descrizione></DettaglioLinee>", 30_000)
	doc = strings.Replace(doc, "<DatiRiepilogo>", lines+"<DatiRiepilogo>", 1)
	doc = strings.Replace(doc, "JVBERi0xLjQK", strings.Repeat("JVBERi0xLjQK", 200_000), 1)
	r, warned := readRecord(t, "IT00000000998_00001.xml", doc)
	if r.Total != "1220.00" || r.Number != "12/PA" || r.Invoices != 1 || len(warned) > 0 {
		t.Errorf("%+v %v", r, warned)
	}
}
