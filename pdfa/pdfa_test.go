package pdfa_test

import (
	"bytes"
	"compress/zlib"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/protodaemon/protodaemon/pdfa"
)

const hostile = "a\x00b\xff\u202e evil \ufeff 漢字 שלום \U0001F600 )\\( <script>"

// sample writes a document with a bit of everything and rows of a table.
func sample(t testing.TB, level pdfa.Level, rows int) []byte {
	t.Helper()
	var b bytes.Buffer
	d, err := pdfa.New(&b, pdfa.Options{
		Title: "Registro giornaliero di protocollo", Author: "Ordine di Esempio", Subject: "Prova", Producer: "protodaemon",
		Created: time.Date(2026, 11, 23, 15, 0, 0, 0, time.UTC), Level: level, Landscape: true,
		Header: "Ordine degli Avvocati di Esempio – Registro giornaliero del 23/11/2026", Footer: "oaes-AOO1-istituzionale-20261123-226", Mark: "PROVA",
	})
	if err != nil {
		t.Fatal(err)
	}
	d.Heading(1, "Registro giornaliero di protocollo")
	d.Notice("Documento di prova: non ha valore legale.")
	d.Facts([]pdfa.Fact{{Label: "Registro", Value: "Affari istituzionali"}, {Label: "Responsabile", Value: "Elena Neri"}, {Label: "Ostile", Value: hostile}})
	d.Heading(2, "Registrazioni")
	d.Table(pdfa.Table{
		Columns: []pdfa.Column{{Title: "Numero", Width: 8, Mono: true, Head: true}, {Title: "Oggetto", Width: 40}, {Title: "Impronta", Width: 30, Mono: true}, {Title: "Byte", Width: 8, Right: true}},
		Rows: func(yield func([]string) bool) {
			for i := range rows {
				digest := sha256.Sum256([]byte{byte(i), byte(i >> 8)})
				if !yield([]string{fmt.Sprintf("%07d", i+1), "Istanza di iscrizione all'albo, perché così è: prova n. " + fmt.Sprint(i+1), fmt.Sprintf("%x", digest), fmt.Sprint(i * 1000)}) {
					return
				}
			}
		},
	})
	d.Paragraph(strings.Repeat("Dal n. 1 al n. 20 senza salti, senza doppi. ", 40))
	if level == pdfa.A3B {
		d.Attach(pdfa.Attachment{Name: "registro.xml", MediaType: "application/xml", Description: "I dati", Relationship: "Source",
			Modified: time.Date(2026, 11, 23, 15, 0, 0, 0, time.UTC), Content: strings.NewReader(attached)})
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

var attached = strings.Repeat("<registro>è così</registro>\n", 20000)

// run runs a program; a missing one fails the test.
func run(t testing.TB, debian, program string, args ...string) (string, error) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Fatalf("%s is missing; on Debian: apt-get install %s", program, debian)
	}
	out, err := exec.Command(program, args...).CombinedOutput()
	return string(out), err
}

func keep(t testing.TB, name string, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// PDFBox preflight finds nothing in the level 1b, one thing in 2b (its part),
// and what was broken on purpose.
func TestPreflight(t *testing.T) {
	sound := sample(t, pdfa.A1B, 60)
	files := []string{keep(t, "sound.pdf", sound)}
	mutants := []struct{ name, old, new string }{
		{"no output intent", "/OutputIntents[", "/OutputXntents["},
		{"no font file", "/FontFile2 ", "/FontFilX2 "},
		{"no metadata", "/Metadata ", "/Metadatx "},
		{"other part", "<pdfaid:part>1<", "<pdfaid:part>9<"},
		{"no identifier", "/ID[", "/IX["},
	}
	for _, m := range mutants {
		if !bytes.Contains(sound, []byte(m.old)) {
			t.Fatalf("there is no %s to be broken", m.old)
		}
		files = append(files, keep(t, strings.ReplaceAll(m.name, " ", "-")+".pdf", bytes.ReplaceAll(sound, []byte(m.old), []byte(m.new))))
	}
	// The first part knows no object streams: qpdf takes the objects out of them.
	packed, plain := keep(t, "second.pdf", sample(t, pdfa.A2B, 60)), filepath.Join(t.TempDir(), "plain.pdf")
	if out, err := run(t, "qpdf", "qpdf", "--object-streams=disable", "--newline-before-endstream", packed, plain); err != nil {
		t.Fatalf("qpdf: %v: %s", err, out)
	}
	files = append(files, plain)
	said := preflight(t, files...)
	if verdict := said[files[0]]; verdict != "valid" {
		t.Errorf("the level 1b: %s", verdict)
	}
	for i, m := range mutants {
		if verdict := said[files[i+1]]; !strings.HasPrefix(verdict, "invalid") {
			t.Errorf("%s: %s", m.name, verdict)
		}
	}
	// Of the second part only what the first asks and the second does not.
	for line := range strings.SplitSeq(said[files[len(files)-1]], "\n") {
		if line != "invalid" && !strings.Contains(line, "part must be 1") && !strings.Contains(line, "CIDSet entry is missing") {
			t.Errorf("the level 2b: %s", line)
		}
	}
}

func preflight(t *testing.T, files ...string) map[string]string {
	t.Helper()
	const jars = "/usr/share/java/"
	class := []string{}
	for _, jar := range []string{"pdfbox2", "preflight", "xmpbox", "fontbox2", "commons-logging", "jaxb-api", "javax.activation"} {
		path := jars + jar + ".jar"
		if _, err := os.Stat(path); err == nil {
			class = append(class, path)
		}
	}
	if len(class) < 5 {
		t.Fatal("PDFBox is missing; on Debian: apt-get install default-jdk-headless libpdfbox2-java libjaxb-api-java libcommons-logging-java")
	}
	out, err := run(t, "default-jdk-headless", "java", append([]string{"-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", strings.Join(class, ":"), "testdata/Preflight.java"}, files...)...)
	if err != nil {
		t.Fatalf("preflight: %v: %s", err, out)
	}
	said := map[string]string{}
	current := ""
	for _, line := range strings.Split(out, "\n") {
		for _, f := range files {
			if rest, ok := strings.CutPrefix(line, f+" "); ok {
				current, line = f, ""
				said[f] = rest
			}
		}
		if current != "" && strings.HasPrefix(line, "  ") {
			said[current] += "\n" + line
		}
	}
	return said
}

func TestOtherReadersReadIt(t *testing.T) {
	for level, name := range map[pdfa.Level]string{pdfa.A3B: "3b", pdfa.A2B: "2b", pdfa.A1B: "1b"} {
		t.Run(name, func(t *testing.T) {
			file := keep(t, "x.pdf", sample(t, level, 100))
			if out, err := run(t, "qpdf", "qpdf", "--check", file); err != nil || !strings.Contains(out, "No syntax or stream encoding errors") {
				t.Errorf("qpdf: %v: %s", err, out)
			}
			text, err := run(t, "poppler-utils", "pdftotext", "-layout", file, "-")
			if err != nil {
				t.Fatalf("pdftotext: %v: %s", err, text)
			}
			for _, want := range []string{"Registro giornaliero di protocollo", "0000100", "perché così è: prova n. 100", "pagina 2 di", "PROVA", "Elena Neri", "script>"} {
				if !strings.Contains(text, want) {
					t.Errorf("pdftotext does not find %q", want)
				}
			}
			if strings.Contains(text, "\u202e") {
				t.Error("a mark that turns the direction of text went into the document")
			}
			if first, last := strings.Index(text, "0000001"), strings.Index(text, "0000100"); first < 0 || last < first {
				t.Error("the rows are not in order")
			}
			fonts, err := run(t, "poppler-utils", "pdffonts", file)
			if err != nil || strings.Contains(fonts, " no ") && !allEmbedded(fonts) {
				t.Errorf("pdffonts: %v\n%s", err, fonts)
			}
		})
	}
}

// allEmbedded reads the columns emb, sub and uni of pdffonts.
func allEmbedded(table string) bool {
	lines := strings.Split(strings.TrimSpace(table), "\n")
	for _, l := range lines[2:] {
		f := strings.Fields(l)
		if n := len(f); n < 5 || strings.Join(f[n-5:n-2], " ") != "yes yes yes" {
			return false
		}
	}
	return len(lines) > 2
}

func TestAttachment(t *testing.T) {
	file := keep(t, "x.pdf", sample(t, pdfa.A3B, 1))
	out := filepath.Join(t.TempDir(), "out.xml")
	if said, err := run(t, "poppler-utils", "pdfdetach", "-save", "1", "-o", out, file); err != nil {
		t.Fatalf("pdfdetach: %v: %s", err, said)
	}
	if b, err := os.ReadFile(out); err != nil || string(b) != attached {
		t.Errorf("the attachment is not what was attached: %d bytes, %v", len(b), err)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"/AF[", "/AFRelationship/Source", "/Subtype/application#2Fxml", "/EmbeddedFiles", "<pdfaid:part>3<"} {
		if !bytes.Contains(b, []byte(key)) {
			t.Errorf("there is no %s", key)
		}
	}
	var none bytes.Buffer
	d, err := pdfa.New(&none, pdfa.Options{Level: pdfa.A2B})
	if err != nil {
		t.Fatal(err)
	}
	d.Attach(pdfa.Attachment{Name: "x", Content: strings.NewReader("x")})
	if d.Close() == nil {
		t.Error("PDF/A-2 took an attachment")
	}
}

// The bytes are the same each time, and the same as when this was written: a
// difference means that registers printed before cannot be derived any more.
func TestSameBytes(t *testing.T) {
	const golden = "testdata/sample.sha256"
	a, b := sample(t, pdfa.A3B, 50), sample(t, pdfa.A3B, 50)
	if !bytes.Equal(a, b) {
		t.Error("two runs differ")
	}
	got := fmt.Sprintf("%x\n", sha256.Sum256(a))
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(golden); err != nil || got != string(want) {
		t.Errorf("the document's digest is %swhen this was written it was %s%v", got, want, err)
	}
}

type failing struct{ left int }

func (f *failing) Write(b []byte) (int, error) {
	if f.left -= len(b); f.left < 0 {
		return 0, errors.New("disco pieno")
	}
	return len(b), nil
}

func TestWriteErrorIsReturned(t *testing.T) {
	for left := 0; left < 200_000; left += 50_000 {
		d, err := pdfa.New(&failing{left}, pdfa.Options{Title: "x"})
		if err != nil {
			t.Fatal(err)
		}
		d.Attach(pdfa.Attachment{Name: "x", Relationship: "Data", Content: &noise{n: 300_000}})
		if err := d.Close(); err == nil || !strings.Contains(err.Error(), "disco pieno") {
			t.Errorf("with room for %d bytes: %v", left, err)
		}
	}
}

// noise does not compress.
type noise struct {
	n    int
	seed uint32
}

func (r *noise) Read(b []byte) (int, error) {
	if r.n == 0 {
		return 0, io.EOF
	}
	k := min(len(b), r.n)
	for i := range b[:k] {
		r.seed = r.seed*1664525 + 1013904223
		b[i] = byte(r.seed >> 24)
	}
	r.n -= k
	return k, nil
}

// FuzzCompress: what is attached comes out again by another implementation.
func FuzzCompress(f *testing.F) {
	for _, s := range []string{"", "a", "aaaaaaaaaaaaaaaaaaaaaaaa", "abcabcabcabcabd", strings.Repeat("registro ", 500)} {
		f.Add([]byte(s), 3)
	}
	f.Fuzz(func(t *testing.T, b []byte, times int) {
		if times < 0 || times > 20 || len(b) > 1<<16 {
			return
		}
		content := bytes.Repeat(b, times)
		var packed bytes.Buffer
		if err := pdfa.Deflate(&packed, content); err != nil {
			t.Fatal(err)
		}
		z, err := zlib.NewReader(&packed)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(z); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%d bytes came out as %d: %v", len(content), len(got), err)
		}
	})
}

func BenchmarkTable(b *testing.B) {
	for _, rows := range []int{1000, 10000} {
		b.Run(fmt.Sprint(rows), func(b *testing.B) {
			for b.Loop() {
				b.SetBytes(int64(len(sample(b, pdfa.A3B, rows))))
			}
		})
	}
}
