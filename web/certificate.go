package web

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// A self-signed certificate holds for 13 months, what browsers accept of any
// certificate, and is replaced a month before its end.
const (
	ownValidity = 397 * 24 * time.Hour
	ownRenewal  = 30 * 24 * time.Hour
	lookAgain   = 10 * time.Second
)

// certificates holds the certificate that is offered, and looks at its files
// at most every lookAgain for a newer one. As long as the new one cannot be
// read the old one serves.
type certificates struct {
	certFile, keyFile string
	own               bool // we make it
	hosts             []string
	log               *slog.Logger

	mu      sync.Mutex
	current *tls.Certificate
	stamp   [2]stamp
	looked  time.Time
	failure string // of the last attempt to read newer ones; logged once
}

// stamp is how a changed file is told.
type stamp struct {
	changed time.Time
	size    int64
}

// get is a tls.Config's GetCertificate. It always has one: nothing listens
// before load has succeeded.
func (c *certificates) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.looked) >= lookAgain && c.changed() {
		c.tell(c.read())
	}
	return c.current, nil
}

func (c *certificates) tell(err error) {
	switch {
	case err == nil:
		c.failure = ""
		c.log.Info("certificate replaced", "file", c.certFile, "until", c.current.Leaf.NotAfter)
	case err.Error() != c.failure:
		c.failure = err.Error()
		c.log.Error("the new certificate cannot be used, the former one serves", "err", err)
	}
}

func (c *certificates) load() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.read()
}

// changed tells whether the files are others than those that were read, or
// our own certificate comes to its end.
func (c *certificates) changed() bool {
	c.looked = time.Now()
	now, err := c.stamps()
	return err == nil && now != c.stamp || c.own && c.ending()
}

func (c *certificates) ending() bool {
	return time.Until(c.current.Leaf.NotAfter) < ownRenewal
}

func (c *certificates) stamps() (all [2]stamp, err error) {
	for i, name := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(name)
		if err != nil {
			return all, err
		}
		all[i] = stamp{info.ModTime(), info.Size()}
	}
	return all, nil
}

// read takes the files as they are; our own are made when they are missing,
// do not fit, end soon or do not name all hosts.
func (c *certificates) read() error {
	c.looked = time.Now()
	err := c.readFiles()
	if c.own && (err != nil || c.ending() || !c.namesHosts()) {
		if err := c.make(); err != nil {
			return fmt.Errorf("making a self-signed certificate: %w", err)
		}
		err = c.readFiles()
	}
	return err
}

func (c *certificates) readFiles() error {
	stamps, err := c.stamps()
	if err != nil {
		return fmt.Errorf("reading the certificate: %w", err)
	}
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("reading certificate %s and key %s: %w", c.certFile, c.keyFile, err)
	}
	c.current, c.stamp = &pair, stamps
	return nil
}

func (c *certificates) namesHosts() bool {
	for _, h := range c.hosts {
		if c.current.Leaf.VerifyHostname(h) != nil {
			return false
		}
	}
	return true
}

// make writes a new key and certificate. Each file replaces the former one
// whole; a kill in between leaves a pair that does not fit, so the key goes
// first and a pair that does not fit is made anew.
func (c *certificates) make() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template, err := c.template()
	if err != nil {
		return err
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(c.keyFile), 0o700); err != nil {
		return err
	}
	if err := replaceFile(c.keyFile, &pem.Block{Type: "PRIVATE KEY", Bytes: secret}, 0o600); err != nil {
		return err
	}
	return replaceFile(c.certFile, &pem.Block{Type: "CERTIFICATE", Bytes: cert}, 0o644)
}

func (c *certificates) template() (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	now := time.Now()
	t := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "protodaemon, self-signed"},
		NotBefore:    now.Add(-time.Hour), // browsers' clocks differ
		NotAfter:     now.Add(ownValidity - time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		// A leaf that is its own anchor: who trusts it trusts no other with it.
		BasicConstraintsValid: true,
	}
	for _, h := range c.hosts {
		if ip := net.ParseIP(h); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, h)
		}
	}
	return t, nil
}

func replaceFile(name string, block *pem.Block, mode os.FileMode) (err error) {
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*.part")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	err = errors.Join(pem.Encode(f, block), f.Chmod(mode), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
