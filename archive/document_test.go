package archive_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/protodaemon/protodaemon/archive"
	"github.com/protodaemon/protodaemon/register"
	"github.com/protodaemon/protodaemon/store"
)

var update = flag.Bool("update", false, "write the golden files anew")

// written is a daily register as compose wrote it.
type written struct {
	register.Closing
	files map[string]*bytes.Buffer // by name
}

// memory is a blob in memory.
type memory struct{ *bytes.Reader }

func (memory) Close() error { return nil }

func (w written) open(name string) store.Blob { return memory{bytes.NewReader(w.files[name].Bytes())} }

func (w written) xml() []byte { return w.files[w.Name+".xml"].Bytes() }

// compose writes the daily register of a closing.
func compose(t testing.TB, c register.Closing, happenings []register.Happening) written {
	t.Helper()
	w := written{files: map[string]*bytes.Buffer{}}
	made, err := archive.Compose(t.Context(), c, happenings, func(name string) io.Writer {
		w.files[name] = new(bytes.Buffer)
		return w.files[name]
	}, w.open)
	if err != nil {
		t.Fatal(err)
	}
	w.Closing = made
	return w
}

// day is the closing of 23 November 2026, whose happenings are of nine
// o'clock and later.
func day(reserved string) register.Closing {
	return register.Closing{
		ID: "2026-11-23.0", Organization: org, Register: book, Day: "2026-11-23", Progressive: 7,
		Name: "oaes-AOO1-istituzionale-20261123-007", Format: register.ClosingFormat, Software: "protodaemon prova",
		After: 100, Through: 120, Chain: store.Sum([]byte("chain")), Resume: 120,
		Previous: &register.ClosingLink{ID: "2026-11-20.0", Name: "oaes-AOO1-istituzionale-20261120-006", SHA256: store.Sum([]byte("before"))},
		Holder:   register.Holder{Name: "Ordine degli Avvocati di Esempio", IPACode: "oaes", AOOCode: "AOO1", TaxCode: "80012345678", RegisterName: "Affari istituzionali", Timezone: "Europe/Rome"},
		Manager:  register.Officer{Name: "Elena", Surname: "Neri", TaxCode: "NRELNE70A41H501X", Deed: "decreto n. 1 del 2026", From: "2026-01-01"},
		ClosedAt: time.Date(2026, 11, 24, 14, 0, 0, 0, time.UTC), ClosedBy: register.Closer{User: "rosa", Name: "Rosa", Surname: "Verdi", TaxCode: "VRDRSO80A41H501X"},
		Reserved: reserved, Deadline: "2026-11-24", State: register.ClosingClosed, Reached: register.ClosingClosed,
	}
}

func entry(n string, change func(*register.Entry)) register.Happening {
	at := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC).Add(time.Duration(n[len(n)-1]-'0') * time.Minute)
	e := register.Entry{
		Register: book, Year: 2026, Number: n, Day: "2026-11-23", RegisteredAt: at, Direction: register.Incoming,
		Subject: "Istanza di iscrizione", Parties: []register.Party{{Name: "Mario Rossi", Address: "mario@pec.example.it", Role: "sender"}},
		Classification: "1.1", Dossiers: []string{}, Segnatura: "oaes|AOO1|istituzionale|" + n + "|2026-11-23", State: register.Registered,
		Message: store.Sum([]byte(n)), Size: 7, Attachments: []register.Document{},
	}
	e.ConfirmedBy.By = "rosa"
	change(&e)
	raw := must(json.Marshal(e))
	return register.Happening{Seq: 100 + uint64(n[len(n)-1]-'0'), Record: store.Sum(raw), At: at, By: "rosa", ByName: "Rosa Verdi", Entry: e, Raw: raw}
}

func changed(h register.Happening, seq uint64, c register.Change) register.Happening {
	h.Seq, h.Record, h.At, h.Change = seq, store.Sum([]byte{byte(seq)}), h.At.Add(time.Hour), &c
	return h
}

// The days of which golden files are kept.
func days() map[string]struct {
	closing    register.Closing
	happenings []register.Happening
	text       []string // of the PDF
} {
	plain := func(*register.Entry) {}
	certified := time.Date(2026, 11, 23, 7, 59, 0, 0, time.UTC)
	full := entry("0000041", func(e *register.Entry) {
		e.Direction = register.Outgoing
		e.Parties = append(e.Parties, register.Party{Name: "Comune di Esempio", TaxCode: "00123456789", Role: "recipient"}, register.Party{Name: "Procura", Role: "copy"})
		e.SenderReference = &register.Reference{Number: "77/A", Date: "2026-11-20"}
		e.Attachments = []register.Document{{Part: "2", Name: "istanza.pdf", MediaType: "application/pdf", Size: 3, SHA256: store.Sum([]byte("pdf"))}}
		e.Origin = &register.Origin{Mailbox: box, Kind: "pec-transport", Authenticity: "certified", MessageID: "<1@pec>", Identifier: "opec1", Certified: &certified, ArrivedAt: certified}
	})
	secret := entry("0000042", func(e *register.Entry) {
		e.Reserved, e.Subject, e.Parties[0].Name = true, "Procedimento segreto", "Anna Segreta"
	})
	deed := "provvedimento n. 5 del 23/11/2026, E. Neri"
	later := []register.Happening{
		full, secret, entry("0000043", plain),
		changed(entry("0000012", func(e *register.Entry) { e.State = register.Annulled }), 111, register.Change{Kind: "annulled", Reason: "registrata due volte", Authority: deed}),
		changed(entry("0000043", plain), 112, register.Change{Kind: "corrected", Reason: "errore materiale", Authority: deed,
			Fields: []register.FieldChange{{Field: "Oggetto", Before: "Istanza <vecchia>", After: "Istanza di iscrizione"}}}),
		changed(secret, 113, register.Change{Kind: "corrected", Reason: "errore", Authority: deed,
			Fields: []register.FieldChange{{Field: "Mittente", Before: "Anna Segreta", After: "Anna Segretissima"}}}),
	}
	test := day("masked")
	test.Test, test.Sequence, test.Acting, test.Previous = true, 2, true, nil
	test.ClosedBy = register.Closer{User: "system"}
	hostile := day("masked")
	hostile.Holder.Name, hostile.Holder.RegisterName = `Ordine "A" & <B> ]]>`, "Affari\r\nistituzionali"
	hostile.Holder.IPACode, hostile.Holder.AOOCode, hostile.Holder.TaxCode = "", "", ""
	// Entered again by somebody whose account has no name; for another conservator.
	recovered := day("masked")
	recovered.ClosedBy, recovered.Recipient = register.Closer{User: "rosa"}, &register.Recipient{Name: "Conservatore S.p.A.", TaxCode: "01234567890"}
	again := entry("0000041", func(e *register.Entry) {
		e.Reserved, e.Subject, e.State, e.Day = true, "Procedimento segreto", register.Annulled, "2026-11-20"
		e.Annulment = &register.EntryAnnulment{Reason: "registrata due volte", Authorization: deed, By: "rosa", At: certified}
	})
	again.Recovery = &register.Change{Kind: "recovered", Reason: "ripristino", Authority: deed}
	// Of this one the number is known and nothing else.
	unknown := entry("0000042", func(e *register.Entry) {
		*e = register.Entry{Register: book, Year: 2026, Number: e.Number, Day: e.Day, RegisteredAt: e.RegisteredAt, State: register.Lost}
	})
	unknown.Recovery = &register.Change{Kind: "lost", Reason: "ripristino", Authority: deed}
	strange := func(subject string) func(*register.Entry) {
		return func(e *register.Entry) { e.Subject, e.Parties[0].Name = subject, subject }
	}
	type one = struct {
		closing    register.Closing
		happenings []register.Happening
		text       []string
	}
	return map[string]one{
		"typical": {day("masked"), []register.Happening{full, entry("0000042", plain), entry("0000043", plain)},
			[]string{"Registrazioni dalla n. 0000041 alla n. 0000043, 3 in tutto, senza salti e senza doppi.", "77/A del 20/11/2026", "(per conoscenza)", "Rosa Verdi, codice fiscale VRDRSO80A41H501X"}},
		"empty":      {day("masked"), nil, []string{"Nessuna registrazione."}},
		"supplement": {test, []register.Happening{entry("0000041", plain)}, []string{"Supplemento n. 2", "PROVA", "Una registrazione, la n. 0000041.", "Vicario del responsabile", "chiusura automatica"}},
		"masked":     {day("masked"), later, []string{"senza salti", "0000012/2026", "ANNULLATO", "registrata due volte", deed[:20], "Oggetto riservato", "3 annullamenti o rettifiche."}},
		"full":       {day("full"), later, []string{"Procedimento segreto", "Segretissima", "in chiaro"}},
		"hostile": {hostile, []register.Happening{
			entry("0000041", strange("controls \x00\x01\x1b[31m\x7f\u0085 tab\t newline\n return\r end")),
			entry("0000042", strange(strings.Repeat("lunghissimo ", 170))),
			entry("0000043", strange("\u202etxet \u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627\u202c \u2066x\u2069")),
			entry("0000044", strange(`<script>'a' & "b" ]]> &amp; &#0; <!-- --> <?xml?>`)),
			entry("0000045", strange("\U0001F600\U0001F1EE\U0001F1F9 e\u0301 \ufffe \uffff \U0010ffff")),
			entry("0000046", strange("invalid \xff\xc3\x28\xed\xa0\x80 bytes")),
			entry("0000047", strange(strings.Repeat("x", 2000))),
		}, []string{"senza salti", "<script>'a' & \"b\" ]]>"}},
		"recovered": {recovered, []register.Happening{again, unknown}, []string{"PERDUTA", "ANNULLATO – Oggetto riservato – registrata il 20/11/2026, ripresa dopo un ripristino", "utente rosa, con protodaemon prova", "Conservatore S.p.A., codice fiscale 01234567890"}},
		"gap":       {day("masked"), []register.Happening{entry("0000041", plain), entry("0000044", plain)}, []string{"I NUMERI NON SONO CONTINUI"}},
	}
}

// Each day is written as its golden file has it, in the form that the schema
// says, and the same bytes each time.
func TestDailyRegister(t *testing.T) {
	for name, d := range days() {
		t.Run(name, func(t *testing.T) {
			w := compose(t, d.closing, d.happenings)
			again := compose(t, d.closing, d.happenings)
			for file, b := range w.files {
				if !bytes.Equal(b.Bytes(), again.files[file].Bytes()) {
					t.Errorf("%s is another the second time", file)
				}
			}
			golden := filepath.Join("testdata", name+".xml")
			if *update {
				if err := os.WriteFile(golden, w.xml(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(w.xml(), want) {
				t.Errorf("it is not as in %s (go test ./archive -run DailyRegister -update, and look at the difference):\n%s", golden, difference(string(want), string(w.xml())))
			}
			dir := t.TempDir()
			for file, b := range w.files {
				write(t, filepath.Join(dir, file), b.Bytes())
			}
			for _, f := range []string{w.Name + ".xml", w.Name + "-impronte.xml"} {
				run(t, "libxml2-utils", "xmllint", "--nonet", "--noout", "--schema", "xsd/registro-giornaliero-1.xsd", filepath.Join(dir, f))
			}
			text := run(t, "poppler-utils", "pdftotext", "-layout", filepath.Join(dir, w.Name+".pdf"), "-")
			flat := strings.Join(strings.Fields(text), " ")
			for _, s := range append(d.text, w.Name, "Elena Neri", "Prova di integrità", w.Root.String()[:16]) {
				if !strings.Contains(flat, s) && !strings.Contains(strings.ReplaceAll(flat, " ", ""), strings.ReplaceAll(s, " ", "")) {
					t.Errorf("the PDF does not say %q:\n%s", s, text)
				}
			}
			if d.closing.Reserved != "full" {
				for file, b := range w.files {
					if bytes.Contains(b.Bytes(), []byte("Segret")) || bytes.Contains(b.Bytes(), []byte("segreto")) {
						t.Errorf("%s tells what is reserved", file)
					}
				}
				if strings.Contains(text, "Segret") || strings.Contains(text, "segreto") {
					t.Error("the PDF tells what is reserved")
				}
			}
			// What people read carries what machines read.
			out := filepath.Join(dir, "inside.xml")
			run(t, "poppler-utils", "pdfdetach", "-save", "1", "-o", out, filepath.Join(dir, w.Name+".pdf"))
			if inside := must(os.ReadFile(out)); !bytes.Equal(inside, w.xml()) {
				t.Error("the PDF has another XML inside")
			}
		})
	}
}

// difference is the first line that differs.
func difference(want, got string) string {
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return "- " + a[i] + "\n+ " + b[i]
		}
	}
	return "one ends before the other"
}

// A program of another format does not write, and a register without a zone
// cannot be.
func TestDailyRegisterRefused(t *testing.T) {
	for name, change := range map[string]func(*register.Closing){
		"another format": func(c *register.Closing) { c.Format++ },
		"no zone":        func(c *register.Closing) { c.Holder.Timezone = "Europe/Nowhere" },
	} {
		c := day("masked")
		change(&c)
		if _, err := archive.Compose(t.Context(), c, nil, func(string) io.Writer { return io.Discard }, nil); err == nil {
			t.Errorf("%s is written", name)
		}
	}
}
