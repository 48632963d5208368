package pec

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Trust holds the anchors that PEC providers' certificates must lead to. It
// is safe for concurrent use and never changes once loaded. An anchor may be a
// root or, better, the issuing CA of the providers' certificates itself:
// personal certificates lead to the same root.
type Trust struct {
	anchors *x509.CertPool
	count   int
}

// NewTrust makes a Trust of certificates at hand.
func NewTrust(anchors ...*x509.Certificate) *Trust {
	t := &Trust{anchors: x509.NewCertPool()}
	for _, c := range anchors {
		t.anchors.AddCert(c)
		t.count++
	}
	return t
}

// Empty tells that no anchor is configured, so that nothing can be certified.
// A nil Trust is empty.
func (t *Trust) Empty() bool { return t == nil || t.count == 0 }

// trustFileMax bounds one PEM file; all the roots of a system take 300 KB.
const trustFileMax = 16 << 20

// LoadTrust reads PEM certificates from files or directories. A file named
// itself must hold certificates only; in a directory the files ending in .pem,
// .crt or .cer are read, not those below. Errors name the file.
func LoadTrust(paths ...string) (*Trust, error) {
	var all []*x509.Certificate
	for _, path := range paths {
		files, err := trustFiles(path)
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			certs, err := readCertificates(file)
			if err != nil {
				return nil, fmt.Errorf("trust anchors in %s: %w", file, err)
			}
			all = append(all, certs...)
		}
	}
	return NewTrust(all...), nil
}

func trustFiles(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("trust anchors: %w", err)
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, fmt.Errorf("trust anchors: %w", err)
	}
	var files []string
	for _, e := range entries {
		switch strings.ToLower(filepath.Ext(e.Name())) {
		case ".pem", ".crt", ".cer":
			files = append(files, filepath.Join(path, e.Name()))
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("trust anchors: directory %s holds no .pem, .crt or .cer file", path)
	}
	return files, nil
}

func readCertificates(file string) ([]*x509.Certificate, error) {
	if info, err := os.Stat(file); err == nil && info.Size() > trustFileMax {
		return nil, errors.New("the file is too large for certificates")
	}
	rest, err := os.ReadFile(file)
	if err != nil {
		return nil, errors.Unwrap(err)
	}
	var certs []*x509.Certificate
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("PEM block %q is no certificate", block.Type)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", len(certs)+1, err)
		}
		certs = append(certs, c)
	}
	if len(certs) == 0 {
		return nil, errors.New("no certificate in PEM form (BEGIN CERTIFICATE) found")
	}
	return certs, nil
}
