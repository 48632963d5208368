package pec_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/protodaemon/protodaemon/pec"
)

// parsedOtherwise are the kinds (a star ends a common beginning) of which Python
// sees other parts than we do, and why.
var parsedOtherwise = map[string]string{
	// Names are made safe here, and for Python stand as they are.
	"nome-percorso*":                  "Python keeps the path",
	"nome-bidi":                       "Python keeps the control character",
	"nome-controlli":                  "as above",
	"nome-punto-iniziale":             "Python keeps the dot",
	"nome-lungo":                      "Python has no bound",
	"nome-piegato":                    "Python keeps the line end",
	"nome-8bit-*":                     "Python replaces bytes that are not ASCII",
	"nome-rfc2231-e-semplice":         "Python takes the plain form, RFC 6266 and mail programs the other",
	"trucco-daticert-in-una-cartella": "Python keeps the path",

	// Decoding.
	"struttura-base64-unito":            "Python ends at the first padding",
	"struttura-quoted-printable-sporco": "Python keeps blanks at line ends, against RFC 2045 §6.7 (3)",
	"trucco-opaca-con-testo-dopo":       "of text after base64 Python decodes less",

	// Structure.
	"trucco-boundary-cr":                 "Python takes the bare CR for a part of the boundary",
	"trucco-boundary-pezzi-e-semplice":   "Python prefers the plain form of a parameter, we RFC 2231's; both warn",
	"trucco-boundary-semplice-e-rfc2231": "as above",
	"trucco-boundary-rfc2231-e-semplice": "as above",
	"trucco-boundary-spazio-finale":      "Python drops the blank, which no delimiter can end with",
	"trucco-come-messaggio-base64":       "a message that is nothing but an encoded message stays closed here",
	"trucco-content-type-lontano":        "Python's header has no bound",
	"trucco-from-lontano":                "as above",
	"trucco-separatore-troppo-lungo":     "Python's boundary has no bound",
	"trucco-separatore-vuoto":            "Python takes an empty boundary",
	"trucco-from-doppio-con-spazio":      "for Python a blank before the colon ends the header",
	"trucco-trasporto-doppio-con-spazio": "as above",
	"trucco-riga-senza-due-punti":        "for Python a line that is no field ends the header",
	"trucco-separatore-cr-nel-preambolo": "for Python a bare CR ends a line, and a delimiter may follow",
	"trucco-tipo-con-spazio":             "Python takes a type with blanks in it",
}

// seen is a line of testdata/structure.py.
type seen struct {
	file, kind    string
	shown, inside [][5]any
	told          bool // Python could tell what is shown
}

// TestPythonSeesTheSameParts: Python's email package, and the rules of
// docs/formats.md written down once more in Python, give the same kind and the
// same files (place, type, size, digest, name) for every message of the corpus,
// both of the message a person wrote and of all that lies in the whole message.
func TestPythonSeesTheSameParts(t *testing.T) {
	c := corpus(t)
	allMet(t, c, parsedOtherwise)
	dir := t.TempDir()
	var names strings.Builder
	for i, m := range c.Messages {
		file := filepath.Join(dir, fmt.Sprint(i))
		writeFile(t, file, m.Raw)
		names.WriteString(file + "\n")
	}
	lines := python(t, names.String())
	if len(lines) != len(c.Messages) {
		t.Fatalf("Python read %d of %d messages", len(lines), len(c.Messages))
	}
	for i, m := range c.Messages {
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel()
			var differ []string
			a := readAs(m.Raw, nil)
			if lines[i].told {
				if string(a.Kind) != lines[i].kind {
					differ = append(differ, fmt.Sprintf("kind %s, Python %s", a.Kind, lines[i].kind))
				}
				differ = append(differ, compare(a.Attachments, lines[i].shown)...)
			}
			whole := readAs(append([]byte("Content-Type: message/rfc822\r\n\r\n"), m.Raw...), nil)
			if len(whole.Attachments) == 0 || whole.Attachments[0].SHA256 != a.SHA256 {
				t.Fatal("the attached message is not its own first file")
			}
			differ = append(differ, compare(whole.Attachments[1:], lines[i].inside)...)
			if listed(parsedOtherwise, m.Of) != (len(differ) > 0) {
				t.Errorf("differences: %s", strings.Join(differ, "\n"))
			}
		})
	}
}

func python(t *testing.T, input string) []seen {
	t.Helper()
	cmd := exec.Command("python3", filepath.Join("testdata", "structure.py"))
	cmd.Stdin = strings.NewReader(input)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("python3: %v\n%s", err, errs.String())
	}
	var all []seen
	for line := range strings.SplitSeq(strings.TrimSpace(string(out)), "\n") {
		var s seen
		var shown *[][5]any
		if err := json.Unmarshal([]byte(line), &[]any{&s.file, &s.kind, &shown, &s.inside}); err != nil {
			t.Fatalf("python3 printed %q: %v", line, err)
		}
		if shown != nil {
			s.shown, s.told = *shown, true
		}
		all = append(all, s)
	}
	return all
}

// compare returns where two lists of files differ.
func compare(ours []pec.Attachment, theirs [][5]any) (differ []string) {
	if len(ours) != len(theirs) {
		return []string{fmt.Sprintf("%d files, Python %d: %+v, Python %v", len(ours), len(theirs), ours, theirs)}
	}
	for i, f := range ours {
		p := theirs[i]
		same := f.Part == p[0] && f.MediaType == p[1] && (p[2] == -1.0 || float64(f.Size) == p[2] && f.SHA256 == p[3])
		if name := p[4].(string); name == "" {
			same = same && strings.HasPrefix(f.Name, "parte-")
		} else {
			same = same && f.Name == name
		}
		if !same {
			differ = append(differ, fmt.Sprintf("%+v, Python %v", f, p))
		}
	}
	return differ
}
