package configs

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestSecretFile(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		content string
		mode    os.FileMode
		want    string
		fails   string
	}{
		"plain":     {"s3cret", 0o600, "s3cret", ""},
		"newline":   {"s3cret\n", 0o640, "s3cret", ""},
		"crlf":      {"s3cret\r\n", 0o400, "s3cret", ""},
		"two lines": {" a\n\n", 0o600, " a\n", ""},
		"empty":     {"\n", 0o600, "", "is empty"},
		"readable":  {"s3cret", 0o644, "", "is open to every user of the machine (mode 0644); run: chmod o= "},
		"large":     {strings.Repeat("x", maxSecret+1), 0o600, "", "is larger than 64 KiB"},
		"fifo":      {"", 0, "", "is not a regular file"},
		"none":      {"", 0, "", "no such file or directory"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(dir, name)
			if test.mode != 0 {
				if err := os.WriteFile(file, []byte(test.content), test.mode); err != nil {
					t.Fatal(err)
				}
				if err := os.Chmod(file, test.mode); err != nil { // whatever the umask
					t.Fatal(err)
				}
			}
			for _, secret := range []SecretFile{SecretFile(file), SecretFile(credentials + "/" + name)} {
				got, err := secret.Read()
				if got != test.want || (err == nil) != (test.fails == "") {
					t.Errorf("%s: got %q, %v", secret, got, err)
				}
				if err != nil && (!strings.Contains(err.Error(), test.fails) || !strings.Contains(err.Error(), file)) {
					t.Errorf("%s: %v", secret, err)
				}
			}
		})
	}
}

func TestSecretWithoutACredentialsDirectory(t *testing.T) {
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	_, err := SecretFile("${CREDENTIALS_DIRECTORY}/pec").Read()
	if err == nil || !strings.Contains(err.Error(), "LoadCredential=") {
		t.Errorf("got %v", err)
	}
	if _, err := SecretFile("").Read(); err == nil {
		t.Error("an absent secret was read")
	}
}

func TestSize(t *testing.T) {
	for text, want := range map[string]Size{"0": 0, "4096": 4096, "1B": 1, "2kB": 2000, "2KiB": 2048, "256MiB": 256 * MiB, "3 GiB": 3 * GiB, "1TB": 1e12} {
		var got Size
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%s: %d, %v", text, got, err)
		}
		written, err := want.MarshalText()
		if err := got.UnmarshalText(written); err != nil || got != want {
			t.Errorf("%s: written as %s: %d, %v", text, written, got, err)
		}
		if err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, text := range []string{"", "MiB", "-1", "1.5GiB", "1mib", "99999999999TiB"} {
		if err := new(Size).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q was accepted", text)
		}
	}
}
