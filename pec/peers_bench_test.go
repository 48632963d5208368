package pec_test

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/protodaemon/protodaemon/pec"
	"github.com/protodaemon/protodaemon/pec/sample"
)

// large is from where on a message counts as large: a receipt has some 6 KB, an
// envelope with a few scanned pages some 100 KB.
const large = 256 << 10

// BenchmarkPeers takes the messages of the corpus apart, from memory, on one
// core: the MIME structure alone as we do it, and GMime (C), enmime (Go) and
// Python's email; and what a message costs in all here, with the digest of every
// attachment and the signature verified, and with the digest of the message
// taken here too or, as when it is taken into custody, before. all is the whole corpus, large its
// messages from 256 KiB on. Figures are per second of CPU time (getrusage), so
// that a busy machine falsifies them least. Sources of the peers are in
// bench/peers.
func BenchmarkPeers(b *testing.B) {
	files := newFiles(b)
	trust := pec.NewTrust(files.anchors...)
	peers := map[string][]string{
		"gmime":        {files.gmime(b)},
		"enmime":       {files.enmime(b)},
		"python-email": {"python3", filepath.Join("..", "bench", "peers", "python_email.py")},
	}
	for _, set := range []string{"all", "large"} {
		b.Run(set, func(b *testing.B) {
			list := files.sets[set]
			b.Run("walk", func(b *testing.B) {
				list.ours(b, func(raw []byte) int { return pec.Walk(b.Context(), bytes.NewReader(raw), int64(len(raw))) })
			})
			for name, o := range map[string]pec.Options{"analysis": {Trust: trust}, "analysis-digested": {Trust: trust, Digested: true}} {
				b.Run(name, func(b *testing.B) {
					list.ours(b, func(raw []byte) int {
						a := pec.Read(b.Context(), bytes.NewReader(raw), int64(len(raw)), o)
						return len(a.Attachments)
					})
				})
			}
			for _, name := range []string{"gmime", "enmime", "python-email"} {
				b.Run(name, func(b *testing.B) { list.peer(b, peers[name]) })
			}
		})
	}
}

// corpusFiles is the corpus on disk.
type corpusFiles struct {
	anchors []*x509.Certificate
	dir     string
	sets    map[string]*fileList
}

// fileList is a part of it: names for the peers, and the contents.
type fileList struct {
	names    strings.Builder
	messages [][]byte
	bytes    int64
}

func newFiles(b *testing.B) *corpusFiles {
	b.Helper()
	c, err := sample.NewCorpus(sample.CorpusOptions{Seed: 1, Messages: 2400, Now: now, Large: true})
	if err != nil {
		b.Fatal(err)
	}
	f := &corpusFiles{anchors: c.Anchors, dir: b.TempDir(), sets: map[string]*fileList{"all": {}, "large": {}}}
	for _, m := range c.Messages {
		name := filepath.Join(f.dir, m.Name)
		writeFile(b, name, m.Raw)
		raw := mapped(b, name)
		f.sets["all"].add(name, raw)
		if len(raw) >= large {
			f.sets["large"].add(name, raw)
		}
	}
	return f
}

// mapped is a file in memory, outside the heap: with the corpus in it the
// garbage collector would hardly ever run.
func mapped(b *testing.B, name string) []byte {
	b.Helper()
	file, err := os.Open(name)
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		b.Fatal(err)
	}
	raw, err := syscall.Mmap(int(file.Fd()), 0, int(info.Size()), syscall.PROT_READ, syscall.MAP_PRIVATE|syscall.MAP_POPULATE)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := syscall.Munmap(raw); err != nil {
			b.Error(err)
		}
	})
	return raw
}

func (l *fileList) add(name string, raw []byte) {
	l.names.WriteString(name + "\n")
	l.messages = append(l.messages, raw)
	l.bytes += int64(len(raw))
}

// ours runs a function over all messages, as often as the benchmark lasts.
func (l *fileList) ours(b *testing.B, do func(raw []byte) int) {
	b.Helper()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	rounds, parts := 0, 0
	runtime.GC()
	begun := cpuSeconds(b)
	for b.Loop() {
		rounds++
		parts = 0
		for _, raw := range l.messages {
			parts += do(raw)
		}
	}
	l.report(b, rounds, cpuSeconds(b)-begun)
	b.ReportMetric(float64(parts), "parts")
}

// peer runs another program over the same files.
func (l *fileList) peer(b *testing.B, command []string) {
	b.Helper()
	rounds := 1
	if l.bytes < 1<<30 && command[0] != "python3" {
		rounds = 5
	}
	for b.Loop() {
		cmd := exec.Command(command[0], append(command[1:], strconv.Itoa(rounds))...)
		cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
		cmd.Stdin = strings.NewReader(l.names.String())
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			b.Fatalf("%v: %v", command, err)
		}
		var figures struct {
			Bytes int64
			Parts int
			CPU   float64
		}
		if err := json.Unmarshal(out, &figures); err != nil || figures.Bytes != l.bytes {
			b.Fatalf("%v printed %q: %v", command, out, err)
		}
		l.report(b, rounds, figures.CPU)
		b.ReportMetric(float64(figures.Parts), "parts")
	}
}

func (l *fileList) report(b *testing.B, rounds int, seconds float64) {
	b.Helper()
	b.ReportMetric(float64(rounds)*float64(l.bytes)/1e6/seconds, "MB/cpu-s")
	b.ReportMetric(float64(rounds*len(l.messages))/seconds, "msg/cpu-s")
	b.ReportMetric(0, "ns/op") // of a whole round: says nothing
}

// cpuSeconds is the CPU time of this process.
func cpuSeconds(b *testing.B) float64 {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

// gmime builds the peer in C.
func (f *corpusFiles) gmime(b *testing.B) string {
	b.Helper()
	program := filepath.Join(f.dir, "gmime")
	flags := strings.Fields(string(built(b, exec.Command("pkg-config", "--cflags", "--libs", "gmime-3.0"))))
	built(b, exec.Command("gcc", append([]string{"-O2", "-o", program, filepath.Join("..", "bench", "peers", "gmime.c")}, flags...)...))
	return program
}

// enmime builds the peer in Go.
func (f *corpusFiles) enmime(b *testing.B) string {
	b.Helper()
	program := filepath.Join(f.dir, "enmime")
	built(b, exec.Command("go", "build", "-C", filepath.Join("..", "bench", "peers", "enmime"), "-o", program, "."))
	return program
}

func built(b *testing.B, cmd *exec.Cmd) []byte {
	b.Helper()
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		b.Fatalf("%v: %v\n%s", cmd, err, errs.String())
	}
	return out
}
