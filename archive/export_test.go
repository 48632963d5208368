package archive_test

import (
	"bytes"
	"crypto/x509"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/protodaemon/protodaemon/archive"
	"github.com/protodaemon/protodaemon/register"
)

// exported is an exported year, unpacked, with the file of the trusted root.
func exported(t *testing.T, change ...func(*archive.Register)) (dir, ca string) {
	t.Helper()
	var zip bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, register.ClosingRules{EmptyDays: "working"})
		for _, change := range change {
			change(&h.conf)
		}
		if err := h.archive.Reload([]archive.Register{h.conf}); err != nil {
			t.Fatal(err)
		}
		until(at(1, 3, 9))
		first := h.enter("Istanza di iscrizione: perché no? <à> & \"b\"")
		h.enter("Seconda")
		until(at(1, 4, 9))
		h.enter("Terza")
		h.annul(first)
		until(at(1, 7, 9))
		h.closeDays("")
		if err := h.work(); err != nil {
			t.Fatal(err)
		}
		if err := h.archive.Export(t.Context(), manager, org, book, 2000, &zip); err != nil {
			t.Fatal(err)
		}
	})
	dir = t.TempDir()
	file, ca := filepath.Join(dir, "anno.zip"), filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(file, zip.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(ca, authority().pem(), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, "unzip", "unzip", "-q", file, "-d", dir)
	return filepath.Join(dir, "registro-istituzionale-2000"), ca
}

// run runs a program that has to succeed; a missing one fails the test.
func run(t testing.TB, debian, program string, args ...string) string {
	t.Helper()
	out, err := try(t, debian, program, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
	return out
}

func try(t testing.TB, debian, program string, args ...string) (string, error) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Fatalf("%s is missing; on Debian: apt-get install %s", program, debian)
	}
	out, err := exec.Command(program, args...).CombinedOutput()
	return string(out), err
}

// The exported year verifies with its own script, which has openssl, xmllint
// and sha256sum and nothing of this program, and finds what is changed.
func TestExportedYearVerifiesWithoutThisProgram(t *testing.T) {
	for _, p := range [][2]string{{"openssl", "openssl"}, {"libxml2-utils", "xmllint"}} {
		if _, err := exec.LookPath(p[1]); err != nil {
			t.Fatalf("%s is missing; on Debian: apt-get install %s", p[1], p[0])
		}
	}
	dir, ca := exported(t)
	script := filepath.Join(dir, "verifica.sh")
	out := run(t, "dash", "sh", script, "--ca", ca, "--tsa-ca", ca)
	// Five working days of January, each with two signatures, plain and stamped.
	if !strings.Contains(out, "3 chiusure, 3 registrazioni, 12 firme, 6 marche temporali: tutto valido") {
		t.Errorf("it says: %s", out)
	}
	if out := run(t, "dash", "sh", script); !strings.Contains(out, "tutto valido") || !strings.Contains(out, "non l'identità") {
		t.Errorf("without trusted certificates it says: %s", out)
	}
	days, err := filepath.Glob(filepath.Join(dir, "giorni", "*"))
	if err != nil || len(days) != 3 {
		t.Fatalf("%v, %v", days, err)
	}
	name := filepath.Base(days[0])
	for file, says := range map[string]string{
		name + ".xml":                 "impronta",
		name + ".pdf":                 "contiene un altro file",
		name + "-impronte.xml":        "contiene un altro file",
		name + "-t.pdf.p7m":           "NON VALIDO",
		name + "-impronte-t.xml.p7m":  "NON VALIDO",
		"../../giorni.txt":            "NON VALIDO",
		"../../certificati/marca.pem": "NON VALIDO",
	} {
		path := filepath.Join(days[0], file)
		sound, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		changed := bytes.Clone(sound)
		changed[len(changed)*2/3] ^= 1
		if err := os.WriteFile(path, changed, 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := try(t, "dash", "sh", script, "--ca", ca, "--tsa-ca", ca)
		if err == nil || !strings.Contains(out, says) {
			t.Errorf("%s changed: %v, %s", file, err, out)
		}
		if err := os.WriteFile(path, sound, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// Who takes the signatures away, or puts those without a stamp in the place of
	// the others, and lists all digests anew, is found by who names an authority.
	sums := func() {
		run(t, "coreutils", "sh", "-c", `cd "$1" && find . -type f ! -name SHA256SUMS | sed 's,^\./,,' | LC_ALL=C sort | xargs sha256sum >SHA256SUMS`, "sh", dir)
	}
	stamped := filepath.Join(days[0], name+"-impronte-t.xml.p7m")
	write(t, stamped, must(os.ReadFile(filepath.Join(days[0], name+"-impronte.xml.p7m"))))
	sums()
	if out, err := try(t, "dash", "sh", script); err == nil || !strings.Contains(out, "senza marca temporale") {
		t.Errorf("a stamp was taken away: %v, %s", err, out)
	}
	for _, file := range must(filepath.Glob(filepath.Join(days[0], "*.p7m"))) {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	sums()
	for says, authority := range map[string]string{"manca la firma " + name + ".pdf.p7m": "--ca", "manca la marca " + name + "-t.pdf.p7m": "--tsa-ca"} {
		if out, err := try(t, "dash", "sh", script, authority, ca); err == nil || !strings.Contains(out, says) {
			t.Errorf("the signatures were taken away: %v, %s", err, out)
		}
	}
	write(t, filepath.Join(dir, "giorni.txt"), nil)
	sums()
	if out, err := try(t, "dash", "sh", script); err == nil || !strings.Contains(out, "nessuna chiusura") {
		t.Errorf("without any day: %v, %s", err, out)
	}
}

// A year of tests says so.
func TestExportedTestsSayThatTheyAreTests(t *testing.T) {
	dir, ca := exported(t, func(r *archive.Register) { r.Test = true })
	out := run(t, "dash", "sh", filepath.Join(dir, "verifica.sh"), "--ca", ca, "--tsa-ca", ca)
	if !strings.Contains(out, "tutto valido") || !strings.Contains(out, "3 chiusure sono di prova, senza valore legale.") {
		t.Errorf("it says: %s", out)
	}
}

// xmlsec1 verifies the XAdES signature of the daily register, and not a changed
// one.
func TestXMLSecVerifiesTheXML(t *testing.T) {
	dir, ca := exported(t)
	days, err := filepath.Glob(filepath.Join(dir, "giorni", "*", "*.xades.xml"))
	if err != nil || len(days) != 3 {
		t.Fatalf("%v, %v", days, err)
	}
	verify := func(file string) (string, error) {
		return try(t, "xmlsec1", "xmlsec1", "--verify", "--enabled-key-data", "x509", "--trusted-pem", ca,
			"--id-attr:Id", "http://uri.etsi.org/01903/v1.3.2#:SignedProperties", "--verification-gmt-time", "2000-01-07 12:00:00", file)
	}
	for _, f := range days {
		if out, err := verify(f); err != nil || !strings.Contains(out, "SignedInfo References (ok/all): 2/2") {
			t.Errorf("%s: %v %s", filepath.Base(f), err, out)
		}
	}
	sound, err := os.ReadFile(days[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range [][2]string{{"<Numero>0000001", "<Numero>0000007"}, {"<xades:SigningTime>2000", "<xades:SigningTime>2001"}} {
		if !bytes.Contains(sound, []byte(change[0])) {
			t.Fatalf("there is no %s", change[0])
		}
		if err := os.WriteFile(days[0], bytes.Replace(sound, []byte(change[0]), []byte(change[1]), 1), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := verify(days[0]); err == nil {
			t.Errorf("%s: %s", change[1], out)
		}
	}
}

// The proof of one entry holds alone, shows no other entry, and a changed byte
// is found.
func TestProofOfOneEntry(t *testing.T) {
	var proof []byte
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, register.ClosingRules{EmptyDays: "none"})
		until(at(1, 3, 9))
		for range 6 {
			h.enter("Altra registrazione, segreta")
		}
		mine := h.enter("La mia istanza")
		if _, _, err := h.archive.Proof(t.Context(), manager, org, book, mine.Year, mine.Number); err == nil {
			t.Error("an entry of an open day is proved")
		}
		until(at(1, 4, 9))
		h.annul(mine)
		until(at(1, 5, 9))
		h.closeDays("")
		if err := h.work(); err != nil {
			t.Fatal(err)
		}
		name, b, err := h.archive.Proof(t.Context(), manager, org, book, mine.Year, mine.Number)
		if err != nil || name != "prova-istituzionale-2000-0000007.json" {
			t.Fatalf("%s, %v", name, err)
		}
		proof = b
	})
	if bytes.Contains(proof, []byte("segreta")) {
		t.Error("the proof shows another entry")
	}
	roots := authority().pool()
	events, err := archive.CheckProof(bytes.NewReader(proof), roots, roots)
	if err != nil || len(events) != 2 {
		t.Fatalf("%d events, %v", len(events), err)
	}
	if e := events[0]; e.Entry.Subject != "La mia istanza" || e.Day != "2000-01-03" || e.Stamped == nil || !strings.Contains(e.Signer, "Elena Neri") {
		t.Errorf("it proves %+v", e)
	}
	if e := events[1]; e.Entry.State != register.Annulled || e.Day != "2000-01-04" {
		t.Errorf("and %+v", e)
	}
	if !strings.Contains(events[0].String(), "0000007/2000") {
		t.Errorf("in words: %s", events[0])
	}
	// Every hexadecimal or base64 letter that is changed is found.
	for n := bytes.Index(proof, []byte(`"entry"`)) + 12; n < len(proof); n += 97 {
		changed := bytes.Clone(proof)
		if changed[n] = 'A'; proof[n] == 'A' {
			changed[n] = 'B'
		}
		got, err := archive.CheckProof(bytes.NewReader(changed), roots, roots)
		if err == nil && (len(got) != 2 || got[0].Entry.Subject != "La mia istanza" || got[1].Entry.State != register.Annulled || got[0].Entry.Number != "0000007") {
			t.Fatalf("byte %d changed: %+v", n, got)
		}
	}
	for _, hostile := range []string{"", "{}", `{"format":"protodaemon-prova-1","events":[{}]}`, strings.Repeat("[", 100000), "\xff"} {
		if _, err := archive.CheckProof(strings.NewReader(hostile), roots, roots); err == nil {
			t.Errorf("%.40q holds", hostile)
		}
	}
	if _, err := archive.CheckProof(bytes.NewReader(proof), x509.NewCertPool(), nil); err == nil {
		t.Error("it holds with the roots of somebody else")
	}
}
