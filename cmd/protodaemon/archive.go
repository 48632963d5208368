package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/url"
	"os"

	"github.com/protodaemon/protodaemon/archive"
	"github.com/protodaemon/protodaemon/configs"
	"github.com/protodaemon/protodaemon/register"
	"github.com/protodaemon/protodaemon/sign"
)

func archiveOptions(cfg *configs.Config, s *system) archive.Options {
	return archive.Options{
		Office: s.office, Location: s.location, Software: "protodaemon " + thisBuild().version,
		Registers: archiveRegisters(cfg), Log: s.log, Metrics: s.metrics,
	}
}

// archiveRegisters tells of every register how its days are closed.
func archiveRegisters(cfg *configs.Config) []archive.Register {
	var all []archive.Register
	for _, o := range cfg.Organizations {
		for _, r := range o.Registers {
			c := r.Closing
			all = append(all, archive.Register{
				Organization: o.ID, Register: r.ID, AutoAt: c.AutoAt, Test: c.Test,
				Signing:     archive.Signing{OpenKey: keyOf(c.Sign), Lock: lockOf(c.Sign), XAdES: c.Sign.XAdES},
				Authorities: authoritiesOf(c.Timestamp),
				Delivery:    deliveryOf(c.Deliver),
				Overdue:     c.Deliver.OverdueAfter,
			})
		}
	}
	return all
}

// keyOf opens the signing key that is named, with its secrets as they are at
// that moment; nil when none is named.
func keyOf(s configs.Sign) func(context.Context) (sign.Key, error) {
	switch {
	case s.PKCS12File != "":
		return func(context.Context) (sign.Key, error) {
			password, err := optionalSecret(s.PasswordFile)
			if err != nil {
				return nil, err
			}
			return sign.OpenPKCS12(s.PKCS12File, []byte(password))
		}
	case s.PKCS11 != configs.PKCS11{}:
		return func(context.Context) (sign.Key, error) {
			pin, err := optionalSecret(s.PKCS11.PINFile)
			if err != nil {
				return nil, err
			}
			return sign.OpenPKCS11(sign.PKCS11{Module: s.PKCS11.Module, Token: s.PKCS11.Token, Key: s.PKCS11.Key,
				PIN: []byte(pin), CertificateFile: s.PKCS11.CertificateFile})
		}
	case s.CSC != configs.CSC{}:
		return func(context.Context) (sign.Key, error) { return openCSC(s.CSC) }
	}
	return nil
}

// lockOf names what a wrong PIN brings nearer to being locked.
func lockOf(s configs.Sign) string {
	switch {
	case s.PKCS11 != configs.PKCS11{}:
		return "pkcs11 " + s.PKCS11.Module + " " + s.PKCS11.Token
	case s.CSC != configs.CSC{}:
		return "csc " + s.CSC.URL + " " + s.CSC.Credential
	}
	return ""
}

func openCSC(c configs.CSC) (sign.Key, error) {
	secret, err := optionalSecret(c.ClientSecretFile)
	if err != nil {
		return nil, err
	}
	pin, err := optionalSecret(c.PINFile)
	if err != nil {
		return nil, err
	}
	client, err := clientFor(c.CAFile)
	if err != nil {
		return nil, err
	}
	return sign.OpenCSC(sign.CSC{URL: c.URL, ClientID: c.ClientID, ClientSecret: secret, Credential: c.Credential, PIN: []byte(pin), Client: client})
}

// optionalSecret is empty when no file is named.
func optionalSecret(f configs.SecretFile) (string, error) {
	if f == "" {
		return "", nil
	}
	s, err := f.Read()
	if err != nil {
		return "", fmt.Errorf("%w: %w", sign.ErrUnusable, err)
	}
	return s, nil
}

// clientFor trusts the certificates of a file, or the system's.
func clientFor(caFile string) (*http.Client, error) {
	if caFile == "" {
		return nil, nil
	}
	roots, err := rootsOf(caFile)
	if err != nil {
		return nil, err
	}
	return &http.Client{Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
	}}, nil
}

func rootsOf(file string) (*x509.CertPool, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("%w: reading trusted certificates: %w", sign.ErrUnusable, err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("%w: there is no certificate in %s", sign.ErrUnusable, file)
	}
	return pool, nil
}

func authoritiesOf(t configs.Timestamp) []archive.Authority {
	var all []archive.Authority
	for _, a := range t.Authorities() {
		name := a.Name
		if u, err := url.Parse(a.URL); name == "" && err == nil {
			name = u.Hostname()
		}
		all = append(all, archive.Authority{
			Name: name, Lot: a.Lot, LotFrom: a.LotFrom,
			Open: func() (sign.Authority, error) {
				password, err := optionalSecret(a.PasswordFile)
				if err != nil {
					return sign.Authority{}, err
				}
				opened := sign.Authority{Name: name, URL: a.URL, Username: a.Username, Password: password, Policy: a.Policy}
				if a.CAFile != "" {
					opened.Roots, err = rootsOf(a.CAFile)
				}
				return opened, err
			},
		})
	}
	return all
}

// deliveryOf is the way of delivery; a directory that is not named means that
// closings stay where they are made.
func deliveryOf(d configs.Deliver) archive.Delivery {
	var conservator *register.Recipient
	if d.Conservator.Name != "" {
		conservator = &register.Recipient{Name: d.Conservator.Name, TaxCode: d.Conservator.TaxCode}
	}
	if d.Kind == "directory" && d.Path == "" {
		return archive.Delivery{Conservator: conservator}
	}
	out := archive.Delivery{
		Kind: d.Kind, Path: d.Path, Receipts: d.Receipts, URL: d.URL, Username: d.Username,
		KnownHostsFile: d.KnownHostsFile, CAFile: d.CAFile, ClientCertFile: d.ClientCertFile,
		KeyFile: pathOf(d.KeyFile), ClientKeyFile: pathOf(d.ClientKeyFile),
		Profile: archive.Profile(d.Profile), ParER: archive.ParER(d.ParER),
		Conservator: conservator, Class: archive.Class(d.Class),
	}
	if d.PasswordFile != "" {
		out.Password = d.PasswordFile.Read
	}
	return out
}

// pathOf is where a secret lies; one that cannot be found is reported when it
// is used.
func pathOf(f configs.SecretFile) string {
	path, err := f.Path()
	if err != nil {
		return string(f)
	}
	return path
}

// optionalRoots is nil when no file is named.
func optionalRoots(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	return rootsOf(file)
}
