package archive_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf16"

	"github.com/protodaemon/protodaemon/archive"
	"github.com/protodaemon/protodaemon/register"
	"github.com/protodaemon/protodaemon/sign"
)

// delivered is a hall with one closing that waits for its receipt.
func delivered(t *testing.T) (*hall, register.Closing) {
	t.Helper()
	h := newHall(t, register.ClosingRules{EmptyDays: "none"})
	h.conf.XAdES = false
	if err := h.archive.Reload([]archive.Register{h.conf}); err != nil {
		t.Fatal(err)
	}
	until(at(1, 3, 9))
	h.enter("Istanza")
	until(at(1, 4, 9))
	c := h.closeDays("")[0]
	if err := h.work(); err != nil {
		t.Fatal(err)
	}
	if c = h.closing(c.ID); c.State != register.ClosingDelivered {
		t.Fatalf("it stands at %s: %+v", c.State, c.Trouble)
	}
	return h, c
}

// parer is ParER's answer with the receipt as text in it, as SACER sends it.
func parer(outcome, message, numero string) string {
	inner := "<RapportoVersamento><URNRapportoVersamento>urn:PARER:RdV:" + numero + "</URNRapportoVersamento><DataRapportoVersamento>2000-01-04T10:00:00</DataRapportoVersamento>" +
		"<EsitoGenerale><CodiceEsito>" + outcome + "</CodiceEsito></EsitoGenerale><SIP><URNSIP>urn:SIP</URNSIP></SIP></RapportoVersamento>"
	return `<?xml version="1.0" encoding="UTF-8"?>` + "\n<EsitoVersamento><URNSIP>urn:SIP</URNSIP><DataVersamento>2000-01-04T09:59:59</DataVersamento><EsitoGenerale><CodiceEsito>" + outcome + "</CodiceEsito><CodiceErrore/><MessaggioErrore>" + message +
		"</MessaggioErrore></EsitoGenerale><UnitaDocumentaria><Chiave><Numero>" + numero + "</Numero><Anno>2000</Anno></Chiave></UnitaDocumentaria><RapportoVersamento><![CDATA[" + inner + "]]></RapportoVersamento></EsitoVersamento>"
}

// Each form in which a receipt comes, with each outcome.
func TestReceiptForms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, c := delivered(t)
		pack, _ := c.File(register.FilePackage)
		pdf, _ := c.File(register.FilePDFStamped)
		neutral := func(outcome, reason, id string) string {
			return "<r:RdV xmlns:r='urn:x'><r:IdentificativoPacchetto>\n " + id + " </r:IdentificativoPacchetto><r:Esito>" + outcome + "</r:Esito><r:Motivo>" + reason + "</r:Motivo><r:IdRdV>RdV 7</r:IdRdV></r:RdV>"
		}
		jsonOf := func(fields map[string]any) string { return string(must(json.Marshal(fields))) }
		for name, test := range map[string]struct {
			text     string
			accepted bool
			reason   string
		}{
			"xml, accepted":         {neutral("accettato", "", c.Parcel.Identity), true, ""},
			"xml, taken in charge":  {neutral("Preso in carico", "", c.Name), true, ""},
			"xml, rejected":         {neutral("Rifiutato", "manca l'indice", c.Name), false, "manca l'indice"},
			"xml, in Latin-1":       {`<?xml version="1.0" encoding="ISO-8859-1"?>` + neutral("rifiutato", "perch\xe9 s\xec", c.Name), false, "perché sì"},
			"xml, with a BOM":       {"\xef\xbb\xbf" + neutral("ok", "", c.Name), true, ""},
			"parer, accepted":       {parer("POSITIVO", "", c.Name), true, ""},
			"parer, with warnings":  {parer("WARNING", "Formato non registrato", c.Name), true, "Formato non registrato"},
			"parer, rejected":       {parer("NEGATIVO", "UD-002-001: già presente", c.Name), false, "UD-002-001: già presente"},
			"parer, only inside":    {"<EsitoVersamento><RapportoVersamento>&lt;R>&lt;Numero>" + c.Name + "&lt;/Numero>&lt;CodiceEsito>POSITIVO&lt;/CodiceEsito>&lt;/R></RapportoVersamento></EsitoVersamento>", true, ""},
			"parer, bad inside":     {"<EsitoVersamento><CodiceEsito>POSITIVO</CodiceEsito><RapportoVersamento>&lt;R>&lt;Numero>" + c.Name + "&lt;/Numero>&lt;CodiceEsito>NEGATIVO&lt;/CodiceEsito>&lt;/R></RapportoVersamento></EsitoVersamento>", false, ""},
			"one part in words":     {"<a><Numero>" + c.Name + "</Numero><Esito>in verifica</Esito><Esito>ko</Esito></a>", false, ""},
			"one part was rejected": {"<a><Numero>" + c.Name + "</Numero><Esito>ok</Esito><Esito>ko</Esito><Esito>ok</Esito></a>", false, ""},
			"json, accepted":        {jsonOf(map[string]any{"Identity": c.Parcel.Identity, "outcome": "Accepted"}), true, ""},
			"json, rejected":        {jsonOf(map[string]any{"package": c.Name, "esito": "KO", "reason": "firma scaduta"}), false, "firma scaduta"},
			"by the digest in hex":  {jsonOf(map[string]any{"sha256": strings.ToUpper(pack.SHA256.String()), "esito": "ok"}), true, ""},
			"by a digest in base64": {"<a><HashVersato>" + base64.StdEncoding.EncodeToString(pdf.SHA256[:]) + "</HashVersato><Esito>ok</Esito></a>", true, ""},
			"by one of many":        {jsonOf(map[string]any{"hash": []any{1, "x", hex.EncodeToString(pdf.SHA256[:])}, "esito": "ok"}), true, ""},
		} {
			for form, b := range map[string][]byte{"plain": []byte(test.text), "signed": p7m(t, test.text)} {
				r, err := archive.ParseReceipt(b)
				if err != nil || r.Accepted != test.accepted || r.Reason != test.reason || !r.Concerns(c) {
					t.Errorf("%s, %s: %+v, %v", name, form, r, err)
				}
				if want := form == "signed"; strings.Contains(r.Signer, "Elena Neri") != want {
					t.Errorf("%s, %s: its signer is %q", name, form, r.Signer)
				}
			}
		}
		r, err := archive.ParseReceipt([]byte(parer("POSITIVO", "", c.Name)))
		if err != nil || r.At != "2000-01-04T09:59:59" || r.Reference != "urn:SIP" {
			t.Errorf("ParER's: %+v, %v", r, err)
		}
		signed := p7m(t, parer("WARNING", "Formato non registrato", c.Name))
		after, err := h.archive.Receive(t.Context(), manager, org, book, c.ID, signed)
		last := after.Steps[len(after.Steps)-1]
		if err != nil || after.State != register.ClosingAccepted || !strings.Contains(last.Detail["signer"], "Elena Neri") || !strings.HasSuffix(last.Detail["receipt"], ".p7m") {
			t.Errorf("it stands at %s after %+v: %v", after.State, last, err)
		}
		if string(h.read(after, register.FileReceipt)) != string(signed) {
			t.Error("the receipt is not kept byte for byte")
		}
		h.sound()
	})
}

// p7m is a text in a CAdES signature.
func p7m(t *testing.T, text string) []byte {
	t.Helper()
	return signatures(t, sign.Document{Format: sign.CAdES, Content: []byte(text)})[0]
}

// signatures signs with the key of the test authority.
func signatures(t *testing.T, documents ...sign.Document) [][]byte {
	t.Helper()
	files, _, err := sign.Sign(context.Background(), testKey(t), time.Now(), documents)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func testKey(t *testing.T) sign.Key {
	t.Helper()
	file := t.TempDir() + "/firma.p12"
	write(t, file, authority().p12)
	key, err := sign.OpenPKCS12(file, []byte(pin))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// What is no receipt of this package is refused when a person hands it in, and
// changes nothing.
func TestReceiptsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, c := delivered(t)
		good := positive(c)
		tampered := p7m(t, good)
		tampered[strings.Index(string(tampered), "accettato")] ^= 1
		wide := []byte("\xff\xfe")
		for _, u := range utf16.Encode([]rune(good)) {
			wide = append(wide, byte(u), byte(u>>8))
		}
		for name, text := range map[string]string{
			"empty":                     "",
			"spaces":                    " \n\t",
			"a BOM":                     "\xef\xbb\xbf",
			"neither form":              "Esito: accettato",
			"of another package":        strings.Replace(good, "PdV-", "PdV-x", 1),
			"of a longer name":          strings.Replace(good, c.Name, c.Name+"1", 1),
			"of nothing":                "<a><Esito>accettato</Esito></a>",
			"without an outcome":        strings.Replace(good, "Esito>", "Altro>", 2),
			"an outcome nobody knows":   strings.Replace(good, "accettato", "quasi", 1),
			"one beside a known one":    strings.Replace(good, "</Esito>", "</Esito><Esito>in verifica</Esito>", 1),
			"an outcome that is split":  strings.Replace(good, "accettato", "accet<b/>tato", 1),
			"cut off":                   good[:len(good)-3],
			"an element not closed":     strings.Replace(good, "</Esito>", "", 1),
			"two documents":             "<a/>" + good,
			"a DOCTYPE":                 "<!DOCTYPE a>" + good,
			"an entity":                 `<!DOCTYPE a [<!ENTITY e "accettato">]>` + strings.Replace(good, "accettato", "&e;", 1),
			"an external entity":        `<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/hostname">]>` + strings.Replace(good, "accettato", "&e;", 1),
			"an entity of nowhere":      strings.Replace(good, "accettato", "&e;", 1),
			"another encoding":          `<?xml version="1.0" encoding="EBCDIC-IT"?>` + good,
			"UTF-16":                    string(wide),
			"invalid UTF-8":             strings.Replace(good, "accettato", "accettato\xff", 1),
			"control characters":        strings.Replace(good, "accettato", "accettato\x01", 1),
			"nested deeply":             strings.Repeat("<a>", 10_000) + good + strings.Repeat("</a>", 10_000),
			"deep in the inner receipt": "<RapportoVersamento>" + strings.Repeat("&lt;a>", 100) + "</RapportoVersamento>",
			"more than 8 MiB":           good + strings.Repeat(" ", 8<<20),
			"a value of 5 MB":           "<a><Numero>" + c.Name + strings.Repeat("x", 5<<20) + "</Numero><Esito>ok</Esito></a>",
			"json that is cut off":      `{"identity":"` + c.Name + `","esito":"ok"`,
			"json of lists":             strings.Repeat("[", 10_000),
			"json nested deeply":        strings.Repeat(`{"a":`, 10_000),
			"json, followed":            `{"identity":"` + c.Name + `","esito":"ok"} {}`,
			"json of numbers":           `{"identity":7,"esito":true}`,
			"json, an object inside":    `{"a":{"identity":"` + c.Name + `","esito":"ok"}}`,
			"signed and changed":        string(tampered),
			"half a signature":          string(p7m(t, good)[:500]),
		} {
			after, err := h.archive.Receive(t.Context(), manager, org, book, c.ID, []byte(text))
			var refused *register.FieldError
			if !errors.As(err, &refused) || refused.Field != "receipt" {
				t.Errorf("%s: it stands at %s, %v", name, after.State, err)
			}
			if err != nil && len(err.Error()) > 600 {
				t.Errorf("%s: the error has %d bytes", name, len(err.Error()))
			}
		}
		if now := h.closing(c.ID); string(must(json.Marshal(now))) != string(must(json.Marshal(c))) {
			t.Errorf("something of it was recorded: %s", must(json.Marshal(now)))
		}
		// Who may not close may not hand in, and what was never sent has none.
		reader := register.Actor{User: "ugo", Grants: []register.Grant{{Role: register.Operator, Organization: org}}}
		if _, err := h.archive.Receive(t.Context(), reader, org, book, c.ID, []byte(good)); !errors.Is(err, register.ErrForbidden) {
			t.Errorf("an operator hands it in: %v", err)
		}
		if _, err := h.archive.Receive(t.Context(), manager, org, book, "1999-12-31.0", []byte(good)); !errors.Is(err, register.ErrNotFound) {
			t.Errorf("for no closing: %v", err)
		}
		large := strings.Replace(good, "<Esito>", "<!--"+strings.Repeat("x", 5<<20)+"--><Esito>", 1)
		after, err := h.archive.Receive(t.Context(), manager, org, book, c.ID, []byte(large))
		if err != nil || after.State != register.ClosingAccepted {
			t.Errorf("one of 5 MB: %s, %v", after.State, err)
		}
		if _, err := h.archive.Receive(t.Context(), manager, org, book, c.ID, []byte(good)); !errors.Is(err, register.ErrState) {
			t.Errorf("a second one: %v", err)
		}
		h.sound()
	})
}

// A receipt that holds the digest of a package that was rejected is of that
// one, whatever it says of the next version.
func TestReceiptOfAnOlderVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, c := delivered(t)
		first, _ := c.File(register.FilePackage)
		reason := "UD-002-001:\u202e " + strings.Repeat("il metadato non corrisponde a quanto concordato; ", 10) + "fine"
		refusal := strings.Replace(positive(c), "accettato</Esito>", "respinto</Esito><Motivo>"+reason+"</Motivo>", 1)
		refused, err := h.archive.Receive(t.Context(), manager, org, book, c.ID, []byte(refusal))
		if err != nil {
			t.Fatal(err)
		}
		// The whole reason, and nothing in it that turns the text round.
		if got := refused.Steps[len(refused.Steps)-1].Detail["reason"]; !strings.HasSuffix(got, "fine") || strings.Contains(got, "\u202e") {
			t.Errorf("its reason is %q", got)
		}
		h.setup.Organizations[0].TaxCode = "80099999999" // so that the next package differs
		if err := h.office.Reload(t.Context(), h.setup); err != nil {
			t.Fatal(err)
		}
		if _, err := h.archive.Retry(t.Context(), manager, org, book, c.ID, "corretto"); err != nil {
			t.Fatal(err)
		}
		if err := h.work(); err != nil {
			t.Fatal(err)
		}
		c = h.closing(c.ID)
		second, _ := c.File(register.FilePackage)
		if c.Parcel.Version != 2 || first.SHA256 == second.SHA256 {
			t.Fatalf("it was not made again: %+v", c.Parcel)
		}
		of := func(digests ...string) []byte {
			return must(json.Marshal(map[string]any{"identity": c.Parcel.Identity, "esito": "ok", "hash": digests}))
		}
		if _, err := h.archive.Receive(t.Context(), manager, org, book, c.ID, of(first.SHA256.String())); !errors.Is(err, register.ErrInvalid) {
			t.Errorf("that of the first version counts: %v", err)
		}
		after, err := h.archive.Receive(t.Context(), manager, org, book, c.ID, of(first.SHA256.String(), second.SHA256.String()))
		if err != nil || after.State != register.ClosingAccepted {
			t.Errorf("that of both stands at %s: %v", after.State, err)
		}
		h.sound()
	})
}
