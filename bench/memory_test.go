package bench

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/protodaemon/protodaemon/pec"
	"github.com/protodaemon/protodaemon/pec/sample"
)

const (
	messageSize = 150_000_000
	memoryMax   = 64 << 10 // KiB above a process that reads next to nothing
)

// TestMemoryOfALargeMessage: a message of 150 MB is analysed, its attachment
// hashed and its signature verified, within 64 MiB more than the program needs for
// a message of a few bytes. The peaks are those of the kernel, as time(1) prints
// them: it stands between, because a child's peak counts from its parent's size.
func TestMemoryOfALargeMessage(t *testing.T) {
	idle, above := peaks(t)
	if above > memoryMax {
		t.Errorf("%d MiB above the %d MiB of the idle process", above>>10, idle>>10)
	}
}

// BenchmarkLargeMessage tells the same peaks.
func BenchmarkLargeMessage(b *testing.B) {
	for b.Loop() {
		idle, above := peaks(b)
		b.ReportMetric(float64(idle)/1024, "MiB-idle")
		b.ReportMetric(float64(above)/1024, "MiB-above")
	}
}

func peaks(tb testing.TB) (idle, above int) {
	tb.Helper()
	p, err := sample.NewProvider(sample.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	dir := tb.TempDir()
	anchor, small, big := filepath.Join(dir, "anchor.pem"), filepath.Join(dir, "small.eml"), filepath.Join(dir, "big.eml")
	for name, data := range map[string][]byte{anchor: p.CAPEM(), small: []byte("Subject: x\r\n\r\nx\r\n")} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	file, err := os.Create(big)
	if err != nil {
		tb.Fatal(err)
	}
	expect, err := p.Large(file, messageSize)
	if err != nil {
		tb.Fatal(err)
	}
	if err := file.Close(); err != nil {
		tb.Fatal(err)
	}
	idle, _ = parsed(tb, anchor, small)
	peak, a := parsed(tb, anchor, big)
	if a.Authenticity != pec.Certified || a.Size < messageSize-1000 || len(a.Attachments) != 1 || a.Attachments[0].SHA256 != expect.SHA256[0] {
		tb.Fatalf("the large message is %s, %d bytes, files %+v, %+v", a.Authenticity, a.Size, a.Attachments, a.Signature)
	}
	return idle, peak - idle
}

// parsed analyses a file with the program; peak is its resident memory in KiB.
func parsed(tb testing.TB, anchor, file string) (peak int, a pec.Analysis) {
	tb.Helper()
	report := filepath.Join(tb.TempDir(), "peak")
	out, err := exec.Command("/usr/bin/time", "-f", "%M", "-o", report, binary, "parse", "--jsonl", "--trust", anchor, file).Output()
	if err != nil {
		tb.Fatalf("parse: %v", err)
	}
	if err := json.Unmarshal(out, &a); err != nil {
		tb.Fatalf("parse printed %q: %v", out, err)
	}
	text, err := os.ReadFile(report)
	if err != nil {
		tb.Fatal(err)
	}
	if peak, err = strconv.Atoi(strings.TrimSpace(string(text))); err != nil {
		tb.Fatal(err)
	}
	return peak, a
}
