package document

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// inspectPath names the file that a process of the tests has to inspect instead
// of running them, so that its memory can be measured.
const inspectPath = "DOCUMENT_INSPECT_FILE"

func TestMain(m *testing.M) {
	path := os.Getenv(inspectPath)
	if path == "" {
		os.Exit(m.Run())
	}
	if err := inspectFile(path); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func inspectFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	facts := Inspect(context.Background(), Input{Name: filepath.Base(path), Content: f, Size: info.Size()}, Options{})
	return json.NewEncoder(os.Stdout).Encode(facts)
}

// BenchmarkInspectLarge inspects files of 150 MiB, each in a process of its own.
func BenchmarkInspectLarge(b *testing.B) {
	const size = 150 << 20
	dir := b.TempDir()
	ca := newAuthority(b)
	p := ca.signer(b, newKey(b), nil)
	write := func(name string, fill func(w io.Writer) error) string {
		path := filepath.Join(dir, name)
		f, err := os.Create(path)
		if err != nil {
			b.Fatal(err)
		}
		if err := fill(f); err != nil {
			b.Fatal(err)
		}
		if err := f.Close(); err != nil {
			b.Fatal(err)
		}
		return path
	}
	content := write("content", func(w io.Writer) error {
		_, err := w.Write(plainPDF())
		for n := 0; n < size && err == nil; n += 1 << 20 {
			_, err = w.Write(noise(1 << 20))
		}
		return err
	})
	signed := func(name string, options ...string) string {
		path := filepath.Join(dir, name)
		p.openssl(b, nil, append([]string{"cms", "-sign", "-binary", "-nodetach", "-in", content, "-out", path, "-signer", "cert.pem", "-inkey", "key.pem"}, options...)...)
		return path
	}
	files := map[string]string{
		"pdf":        content,
		"p7m-BER":    signed("x.pdf.p7m", "-outform", "DER", "-stream"),
		"p7m-base64": signed("y.pdf.p7m", "-outform", "PEM", "-stream"),
	}
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	for name, path := range files {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(size)
			var peak int64 // KiB
			var cpu time.Duration
			for b.Loop() {
				cmd := exec.Command(self)
				cmd.Env = append(os.Environ(), inspectPath+"="+path)
				said, err := cmd.CombinedOutput()
				if err != nil || strings.HasPrefix(name, "p7m") && !strings.Contains(string(said), `"fits":true`) {
					b.Fatalf("%v: %.2000s", err, said)
				}
				cpu += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
				peak = max(peak, cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss)
			}
			b.ReportMetric(float64(peak)/1024, "peak-MiB")
			b.ReportMetric(float64(b.N)*size/1e6/cpu.Seconds(), "MB/cpu-s")
		})
	}
}
