package configs

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// SecretFile names a file that holds a secret. Its name may begin with
// ${CREDENTIALS_DIRECTORY}, where systemd puts what LoadCredential= gives.
type SecretFile string

// maxSecret bounds a secret; private keys with their chains fit easily.
const maxSecret = 64 << 10

const credentials = "${CREDENTIALS_DIRECTORY}"

// Path is the file's name with ${CREDENTIALS_DIRECTORY} filled in.
func (f SecretFile) Path() (string, error) {
	rest, ok := strings.CutPrefix(string(f), credentials)
	if !ok {
		return string(f), nil
	}
	dir := os.Getenv("CREDENTIALS_DIRECTORY")
	if dir == "" {
		return "", fmt.Errorf("%s: CREDENTIALS_DIRECTORY is not set; give the secret with LoadCredential= in the systemd unit, or name a file", f)
	}
	return dir + rest, nil
}

// Read returns the secret without one newline at its end. It refuses a file
// that everybody may read, one that is empty, and one larger than 64 KiB.
func (f SecretFile) Read() (string, error) {
	if f == "" {
		return "", errors.New("no secret file is configured")
	}
	name, err := f.Path()
	if err != nil {
		return "", err
	}
	// Looked at before it is opened, because opening a pipe waits for a writer.
	info, err := os.Stat(name)
	if err != nil {
		return "", fmt.Errorf("reading a secret: %w", err)
	}
	switch {
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("reading a secret: %s is not a regular file", name)
	case info.Mode().Perm()&0o007 != 0:
		return "", fmt.Errorf("reading a secret: %s is open to every user of the machine (mode %04o); run: chmod o= %s", name, info.Mode().Perm(), name)
	}
	return readSecret(name)
}

func readSecret(name string) (string, error) {
	file, err := os.Open(name)
	if err != nil {
		return "", fmt.Errorf("reading a secret: %w", err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxSecret+1))
	if err != nil {
		return "", fmt.Errorf("reading a secret: %w", err)
	}
	if len(data) > maxSecret {
		return "", fmt.Errorf("reading a secret: %s is larger than 64 KiB", name)
	}
	secret := strings.TrimSuffix(string(data), "\n")
	secret = strings.TrimSuffix(secret, "\r")
	if secret == "" {
		return "", fmt.Errorf("reading a secret: %s is empty", name)
	}
	return secret, nil
}
