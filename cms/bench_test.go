package cms

import (
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// verifyFile names the file that a process of the tests has to verify instead
// of running them, so that its memory can be measured.
const verifyFile = "CMS_VERIFY_FILE"

func TestMain(m *testing.M) {
	path := os.Getenv(verifyFile)
	if path == "" {
		os.Exit(m.Run())
	}
	if err := verifyPath(path); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func verifyPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	sd, err := Open(f, info.Size())
	if err != nil {
		return err
	}
	d := NewDigester(sd.Digests()...)
	if _, err := io.Copy(d, sd.Encapsulated().Reader()); err != nil {
		return err
	}
	_, err = sd.VerifyDigest(0, d.Sum)
	return err
}

// BenchmarkVerifyLarge verifies a .p7m of 57 MiB in BER, as openssl writes a
// stream, in a process of its own; openssl does the same.
func BenchmarkVerifyLarge(b *testing.B) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		b.Fatal(err)
	}
	a := newAuthority(b, key, nil)
	// In pieces: a process begins with the peak of the one that started it.
	const size = 57 << 20
	dir := b.TempDir()
	content, path := filepath.Join(dir, "content"), filepath.Join(dir, "large.p7m")
	f, err := os.Create(content)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := io.CopyN(f, rand.Reader, size); err != nil {
		b.Fatal(err)
	}
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
	if said, err := openssl(b, "cms", "-sign", "-binary", "-nodetach", "-stream", "-outform", "DER", "-in", content, "-out", path,
		"-signer", pemFile(b, a.leaf), "-inkey", keyFile(b, a.key)); err != nil {
		b.Fatalf("%v: %s", err, said)
	}
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	for name, args := range map[string][]string{
		"ours":    {self},
		"openssl": {"openssl", "cms", "-verify", "-binary", "-noverify", "-inform", "DER", "-in", path, "-out", filepath.Join(dir, "out")},
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(size)
			var peak int64 // KiB
			var cpu time.Duration
			for b.Loop() {
				cmd := exec.Command(args[0], args[1:]...)
				cmd.Env = append(os.Environ(), verifyFile+"="+path)
				if said, err := cmd.CombinedOutput(); err != nil {
					b.Fatalf("%v: %s", err, said)
				}
				cpu += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
				peak = max(peak, cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss)
			}
			b.ReportMetric(float64(peak)/1024, "peak-MiB")
			b.ReportMetric(float64(b.N)*size/1e6/cpu.Seconds(), "MB/cpu-s")
		})
	}
}
