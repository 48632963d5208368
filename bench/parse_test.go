package bench

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/protodaemon/protodaemon/pec/sample"
)

// BenchmarkParse analyses the corpus with the real program, on one core and on
// all: files are analysed in parallel and printed in order.
func BenchmarkParse(b *testing.B) {
	c, err := sample.NewCorpus(sample.CorpusOptions{Seed: 1, Messages: 2400, Large: true})
	if err != nil {
		b.Fatal(err)
	}
	dir, size := b.TempDir(), 0
	anchors := filepath.Join(b.TempDir(), "anchors.pem")
	var text bytes.Buffer
	for _, cert := range c.Anchors {
		_ = pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}) // a bytes.Buffer takes all
	}
	if err := os.WriteFile(anchors, text.Bytes(), 0o600); err != nil {
		b.Fatal(err)
	}
	for _, m := range c.Messages {
		size += len(m.Raw)
		if err := os.WriteFile(filepath.Join(dir, m.Name), m.Raw, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	for _, cores := range []int{1, runtime.NumCPU()} {
		b.Run(fmt.Sprintf("cores=%d", cores), func(b *testing.B) {
			for b.Loop() {
				cmd := exec.Command(binary, "parse", "--jsonl", "--trust", anchors, dir)
				cmd.Env = append(os.Environ(), fmt.Sprintf("GOMAXPROCS=%d", cores))
				begun := time.Now()
				out, err := cmd.Output()
				if err != nil {
					b.Fatal(err)
				}
				seconds := time.Since(begun).Seconds()
				if lines := bytes.Count(out, []byte("\n")); lines != len(c.Messages) {
					b.Fatalf("%d of %d messages were printed", lines, len(c.Messages))
				}
				b.ReportMetric(float64(len(c.Messages))/seconds, "messages/s")
				b.ReportMetric(float64(size)/1e6/seconds, "MB/s")
			}
		})
	}
}
