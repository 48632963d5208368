package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/protodaemon/protodaemon/pec"
	"github.com/protodaemon/protodaemon/pec/sample"
)

// runParse runs the command and returns what it printed.
func runParse(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := parseCommand()
	var out bytes.Buffer
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	err := cmd.ExecuteContext(context.Background())
	return out.String(), err
}

// mixFolder writes one message of each kind below a directory, and the CA.
func mixFolder(t *testing.T) (dir, ca string, mix []sample.Message) {
	t.Helper()
	p, err := sample.NewProvider(sample.Options{ECDSA: true, Now: time.Date(2026, 3, 10, 9, 0, 0, 0, time.UTC)})
	if err != nil {
		t.Fatal(err)
	}
	if mix, err = sample.Mix(p, sample.Kinds(), 1); err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	ca = filepath.Join(t.TempDir(), "ca.pem")
	write(t, ca, p.CAPEM())
	for i, m := range mix {
		sub := filepath.Join(dir, string(rune('a'+i%3)))
		if err := os.MkdirAll(sub, 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(sub, m.Name+".eml"), m.Raw)
	}
	return dir, ca, mix
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestParseDirectoryInPathOrder(t *testing.T) {
	dir, ca, mix := mixFolder(t)
	out, err := runParse(t, "--trust", ca, "--jsonl", dir)
	if err != nil {
		t.Fatal(err)
	}
	expected := map[string]pec.Authenticity{}
	for _, m := range mix {
		expected[m.Name+".eml"] = m.Expect.Authenticity
	}
	lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	if len(lines) != len(mix) {
		t.Fatalf("%d lines for %d messages", len(lines), len(mix))
	}
	var paths []string
	for _, l := range lines {
		var a pec.Analysis
		if err := json.Unmarshal([]byte(l), &a); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, a.File)
		if want := expected[filepath.Base(a.File)]; a.Authenticity != want {
			t.Errorf("%s is %s, want %s", a.File, a.Authenticity, want)
		}
	}
	if !slices.IsSorted(paths) {
		t.Errorf("not in path order: %q", paths)
	}
}

func TestParsePrintsIndentedDocument(t *testing.T) {
	file := filepath.Join(t.TempDir(), "broken.eml")
	write(t, file, []byte("Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\xff\xfe"))
	out, err := runParse(t, file)
	if err != nil {
		t.Fatalf("a malformed message must be analysed: %v", err)
	}
	var document map[string]any
	if err := json.Unmarshal([]byte(out), &document); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"file", "sha256", "size", "kind", "subject", "envelope_subject", "from", "to", "cc", "date",
		"message_id", "authenticity", "signature", "pec", "text", "quoted_text", "boilerplate", "html", "attachments", "warnings"} {
		if _, ok := document[key]; !ok {
			t.Errorf("key %s is missing", key)
		}
	}
	if !strings.Contains(out, "\n  \"kind\": \"email\"") || len(document["warnings"].([]any)) == 0 {
		t.Errorf("not an indented document with a warning:\n%s", out)
	}
}

func TestParseErrors(t *testing.T) {
	good := filepath.Join(t.TempDir(), "good.eml")
	write(t, good, []byte("Subject: x\r\n\r\ny\r\n"))
	noPEM := filepath.Join(t.TempDir(), "anchors.pem")
	write(t, noPEM, []byte("nothing"))
	for name, test := range map[string]struct {
		args  []string
		usage bool
		says  string
	}{
		"no file":        {nil, true, "which message?"},
		"missing file":   {[]string{good, good + ".missing"}, false, "good.eml.missing: no such file"},
		"missing anchor": {[]string{"--trust", noPEM + ".missing", good}, true, "anchors.pem.missing"},
		"bad anchor":     {[]string{"--trust", noPEM, good}, true, "anchors.pem: no certificate"},
	} {
		out, err := runParse(t, test.args...)
		var usage usageError
		if err == nil || !strings.Contains(err.Error(), test.says) || errors.As(err, &usage) != test.usage {
			t.Errorf("%s: %v", name, err)
		}
		if name == "missing file" && !strings.Contains(out, `"subject": "x"`) {
			t.Errorf("the readable file was not analysed: %s", out)
		}
	}
}

// A short receipt is compared with the message that was sent; of one that
// cannot be, the analysis is printed and the command fails.
func TestParseComparesAReceiptWithItsOriginal(t *testing.T) {
	p, err := sample.NewProvider(sample.Options{ECDSA: true, Now: time.Date(2026, 3, 10, 9, 0, 0, 0, time.UTC)})
	if err != nil {
		t.Fatal(err)
	}
	mail := sample.Mail{From: "a@pec.example", To: "b@pec.example", Subject: "x", Text: "x", Files: []sample.File{{Name: "atto.pdf", MediaType: "application/pdf", Data: []byte("atto")}}}
	d, err := p.Submit(mail.Bytes(), sample.Submission{Receipt: "breve"})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := d.Delivery("b@pec.example", "breve")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	receipt, sent, other := filepath.Join(dir, "ricevuta.eml"), filepath.Join(dir, "inviata.eml"), filepath.Join(dir, "altra.eml")
	write(t, receipt, raw)
	write(t, sent, mail.Bytes())
	mail.Files[0].Data = []byte("un altro")
	write(t, other, mail.Bytes())
	for original, want := range map[string]string{sent: pec.BriefSame, other: pec.BriefDiffers} {
		out, err := runParse(t, "--jsonl", "--original", original, receipt)
		var a pec.Analysis
		if err := errors.Join(err, json.Unmarshal([]byte(out), &a)); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if len(a.Brief) != 1 || a.Brief[0].Name != "atto.pdf" || a.Brief[0].Status != want {
			t.Errorf("%s: %+v", original, a.Brief)
		}
	}
	out, err := runParse(t, "--jsonl", "--original", filepath.Join(dir, "manca.eml"), receipt)
	if err == nil || !strings.Contains(err.Error(), "manca.eml") || !strings.Contains(out, `"pec-receipt"`) {
		t.Errorf("an original that is not there: %v\n%s", err, out)
	}
}
