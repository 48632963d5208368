package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/protodaemon/protodaemon/archive"
	"github.com/protodaemon/protodaemon/register"
)

// Days are closed in the same way, with the same words, beside a daemon and
// without one; closing again makes nothing new.
func TestCloseWithAndWithoutADaemon(t *testing.T) {
	for name, start := range map[string]func(*testing.T, string){
		"with":    func(t *testing.T, config string) { startDaemon(t, config) },
		"without": func(*testing.T, string) {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := openCloser(t)
			c.enter(t, noonOf(t, 3), 2)
			c.enter(t, noonOf(t, 1), 3)
			start(t, c.config)

			older := noonOf(t, 3).Format(time.DateOnly)
			first := c.order(t, "close", "--through", older)
			if want := fmt.Sprintf("%s  oaes-AOO1-istituzionale-%s-", older, strings.ReplaceAll(older, "-", "")); first.status != 0 ||
				!strings.HasPrefix(first.stdout, want) || !strings.HasSuffix(first.stdout, "  2 entries, 0 changes  delivered\n") {
				t.Errorf("through an older day: %+v", first)
			}
			made := c.close(t).Closings // through yesterday
			if len(made) != 1 || made[0].Entries != 3 || made[0].FirstNumber == "" || made[0].State != register.ClosingDelivered {
				t.Fatalf("without a day: %+v", made)
			}
			if again := c.order(t, "close"); again.status != 0 || again.stdout != "nothing was to be closed\n" {
				t.Errorf("again: %+v", again)
			}
			delivered := c.packages(t)
			p, _ := made[0].File(register.FilePackage)
			if len(delivered) != 2 || delivered[p.Name] != p.SHA256 {
				t.Errorf("at the destination lie %v, and %s with %s was delivered", delivered, p.Name, p.SHA256)
			}
			c.sound(t, 5, 2)
		})
	}
}

// sound runs "verify", which has to find nothing.
func (c *closer) sound(t *testing.T, entries, closings uint64) {
	t.Helper()
	v, o := c.verify(t)
	if o.status != 0 || !v.OK || v.Entries != entries || v.Closings != closings {
		t.Errorf("verify, with %d entries and %d closings: status %d, %s", entries, closings, o.status, o.stdout)
	}
}

func (c *closer) verify(t *testing.T) (v register.Verdict, o outcome) {
	t.Helper()
	o = command(t, "verify", "--config", c.config, "--json")
	if err := json.Unmarshal([]byte(o.stdout), &v); err != nil {
		t.Fatalf("verify printed %q (%v)\n%s", o.stdout, err, o.stderr)
	}
	return v, o
}

// What comes after today was closed stands in a supplement.
func TestSupplementOfToday(t *testing.T) {
	t.Parallel()
	c := openCloser(t)
	now := time.Now()
	today := now.In(noonOf(t, 0).Location()).Format(time.DateOnly)
	for sequence := range 2 {
		c.enter(t, now, 1)
		made := c.close(t, "--through", today).Closings
		if len(made) != 1 || made[0].ID != fmt.Sprintf("%s.%d", today, sequence) || made[0].Entries != 1 {
			t.Fatalf("closing %d of today: %+v", sequence, made)
		}
	}
	if o := c.order(t, "close", "--through", now.AddDate(0, 0, 2).Format(time.DateOnly)); o.status != exitUsage || !strings.Contains(o.stderr, "through: is after today, ") {
		t.Errorf("a day that is still to come: %+v", o)
	}
	if o := c.order(t, "close", "--through", "ieri"); o.status != exitUsage || !strings.Contains(o.stderr, "through: is a day, YYYY-MM-DD") {
		t.Errorf("no day at all: %+v", o)
	}
	c.sound(t, 2, 2)
}

// Without a manager in office nothing is closed, and the message says who is
// missing and where to name him; afterwards the day is closed as any other.
func TestCloseWithoutManager(t *testing.T) {
	t.Parallel()
	c := openCloser(t)
	c.enter(t, noonOf(t, 1), 1)
	expired := strings.Replace(inOffice, `from: "2020-01-01"`, `from: "2020-01-01", to: "2020-12-31"`, 1)
	for _, test := range []struct{ old, manager, says string }{
		{inOffice, "", "the manager is not named; the deputy is not named; complete manager or deputy of the organization in the configuration"},
		{"    closing:\n", "    manager: {name: Elena, surname: Neri}\n    closing:\n", "the manager has no tax_code, deed, from; the deputy is not named"},
		{"    manager: {name: Elena, surname: Neri}\n", expired, "the manager is not in office on that day; the deputy is not named"},
	} {
		edit(t, c.config, test.old, test.manager)
		o := c.order(t, "close")
		if o.status != exitFailed || o.stdout != "" || !strings.Contains(o.stderr, "protodaemon: closing ordine/istituzionale: nobody is in office to close the day "+noonOf(t, 0).Format(time.DateOnly)+": "+test.says) {
			t.Errorf("want %q: %+v", test.says, o)
		}
	}
	c.sound(t, 1, 0)
	edit(t, c.config, expired, inOffice)
	if made := c.close(t).Closings; len(made) != 1 || made[0].Manager.Surname != "Neri" {
		t.Errorf("with a manager: %+v", made)
	}
	c.sound(t, 1, 1)
}

// The proof of an entry is checked with nothing but its file; one that was
// changed, or signed by somebody else, does not hold.
func TestProveAndCheckProof(t *testing.T) {
	t.Parallel()
	c := openCloser(t)
	e := c.enter(t, noonOf(t, 1), 4)[1]
	c.close(t)
	startDaemon(t, c.config)
	proved := c.order(t, "prove", "--year", strconv.Itoa(e.Year), "--number", e.Number)
	if proved.status != 0 {
		t.Fatalf("prove: %+v", proved)
	}
	alone := t.TempDir() // nothing of the installation is near
	file := filepath.Join(alone, "prova.json")
	writeFile(t, file, proved.stdout)
	title := "Protocollo n. " + e.Number + "/" + strconv.Itoa(e.Year)
	for _, trust := range [][]string{nil, {"--ca", c.ca, "--tsa-ca", c.ca}} {
		o := command(t, append([]string{"check-proof", file}, trust...)...)
		if o.status != 0 || !strings.HasPrefix(o.stdout, title) || !strings.Contains(o.stdout, "Elena Neri") || !strings.Contains(o.stdout, "Prova TSA") {
			t.Errorf("check-proof %v: %+v", trust, o)
		}
	}
	var events []archive.CheckedEvent
	if o := command(t, "check-proof", "--json", file); json.Unmarshal([]byte(o.stdout), &events) != nil || len(events) != 1 || events[0].Entry.Number != e.Number {
		t.Errorf("check-proof --json: %+v", o)
	}
	runIn(t, alone, "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=Altra CA", "-keyout", "altra.key", "-out", "altra.pem")
	other := filepath.Join(alone, "altra.pem")
	for flag, says := range map[string]string{"--ca": "the signer does not lead to a trusted certificate", "--tsa-ca": "the time stamp"} {
		if o := command(t, "check-proof", flag, other, file); o.status != exitFailed || o.stdout != "" || !strings.Contains(o.stderr, says) {
			t.Errorf("with another authority as %s: %+v", flag, o)
		}
	}
	for what, tampered := range tamper(t, []byte(proved.stdout)) {
		writeFile(t, file, string(tampered))
		if o := command(t, "check-proof", file); o.status != exitFailed || o.stdout != "" || !strings.Contains(o.stderr, file+": event 1: the proof does not hold: ") {
			t.Errorf("%s: %+v", what, o)
		}
	}
	if o := c.order(t, "prove", "--year", strconv.Itoa(e.Year), "--number", "0000099"); o.status != exitUsage || !strings.Contains(o.stderr, "not found") {
		t.Errorf("the proof of no entry: %+v", o)
	}
}

// tamper changes a proof as somebody would who wants it to say something else.
func tamper(t *testing.T, proof []byte) map[string][]byte {
	t.Helper()
	changed := func(change func(*archive.ProofEvent)) []byte {
		var p archive.Proof
		if err := json.Unmarshal(proof, &p); err != nil {
			t.Fatal(err)
		}
		change(&p.Events[0])
		b, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	return map[string][]byte{
		"another subject":   changed(func(e *archive.ProofEvent) { e.Entry = bytes.Replace(e.Entry, []byte("Istanza"), []byte("Licenza"), 1) }),
		"another place":     changed(func(e *archive.ProofEvent) { e.Index++ }),
		"another path":      changed(func(e *archive.ProofEvent) { e.Path[0][0] ^= 1 }),
		"another signature": changed(func(e *archive.ProofEvent) { e.ImprintsSigned[len(e.ImprintsSigned)/2] ^= 1 }),
		"other imprints":    changed(func(e *archive.ProofEvent) { e.Imprints = bytes.Replace(e.Imprints, []byte("oaes"), []byte("oaex"), 1) }),
	}
}

// An exported year verifies by its own script, with openssl, xmllint and
// sha256sum; one that was changed does not.
func TestExportVerifiesByItself(t *testing.T) {
	t.Parallel()
	c := openCloser(t)
	year := c.enter(t, noonOf(t, 1), 3)[0].Year
	c.close(t)
	file := filepath.Join(t.TempDir(), "anno.zip")
	export := func() outcome { return c.order(t, "export", "--year", strconv.Itoa(year), "--to", file) }
	writeFile(t, file+".part", strings.Repeat("what a killed one left", 10_000))
	if o := export(); o.status != 0 {
		t.Fatalf("export: %+v", o)
	}
	if o := export(); o.status != exitFailed || !strings.Contains(o.stderr, file+": file already exists") {
		t.Errorf("export over a file: %+v", o)
	}
	dir := filepath.Join(filepath.Dir(file), fmt.Sprintf("registro-istituzionale-%d", year))
	runIn(t, filepath.Dir(file), "unzip", "-q", file)
	said := runIn(t, dir, "sh", "verifica.sh", "--ca", c.ca, "--tsa-ca", c.ca)
	if !strings.Contains(said, "1 chiusure, 3 registrazioni, 4 firme, 2 marche temporali: tutto valido") {
		t.Errorf("the script says: %s", said)
	}
	pdf, err := filepath.Glob(filepath.Join(dir, "giorni", "*", "*-t.pdf.p7m"))
	if err != nil || len(pdf) != 1 {
		t.Fatalf("%v, %v", pdf, err)
	}
	flip(t, pdf[0])
	broken := exec.CommandContext(t.Context(), "sh", "verifica.sh")
	broken.Dir = dir
	if out, err := broken.CombinedOutput(); err == nil || !strings.Contains(string(out), filepath.Base(pdf[0])+": la firma\n") {
		t.Errorf("the script says of a changed file: %v, %s", err, out)
	}
	if o := c.order(t, "export", "--year", "1999", "--to", file+".none"); o.status == 0 {
		t.Errorf("a year without closings: %+v", o)
	}
	if left, err := filepath.Glob(file + "?*"); err != nil || len(left) != 0 {
		t.Errorf("left beside the export: %v, %v", left, err)
	}
}

// Verify counts the closings and finds a file of one that was changed, beside a
// daemon and without one.
func TestVerifyFindsAChangedClosing(t *testing.T) {
	t.Parallel()
	c := openCloser(t)
	c.enter(t, noonOf(t, 1), 2)
	made := c.close(t).Closings
	c.sound(t, 2, 1)
	for _, role := range []string{register.FileXML, register.FilePDFStamped, register.FilePackage} {
		f, ok := made[0].File(role)
		if !ok {
			t.Fatalf("the closing has no %s", role)
		}
		digest := f.SHA256.String()
		path := filepath.Join(c.dir, "data", "blobs", "ordine", digest[:2], digest)
		flip(t, path)
		v, o := c.verify(t)
		if o.status != exitFailed || v.OK || len(v.Problems) == 0 || !strings.Contains(o.stdout, digest) {
			t.Errorf("%s changed: %+v", f.Name, o)
		}
		flip(t, path)
	}
	startDaemon(t, c.config)
	c.sound(t, 2, 1)
}

// flip changes one bit in the middle of a file; doing it twice changes nothing.
func flip(t *testing.T, name string) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.Chmod(name, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
