package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/protodaemon/protodaemon/configs"
	"github.com/protodaemon/protodaemon/ingest"
	"github.com/protodaemon/protodaemon/pec"
	"github.com/protodaemon/protodaemon/pec/sample"
)

// trustingConfig has one mailbox whose register trusts these files.
func trustingConfig(p configs.PEC) *configs.Config {
	return &configs.Config{Organizations: []configs.Organization{{ID: "o", Registers: []configs.Register{{ID: "r", PEC: p, Mailboxes: []configs.Mailbox{{ID: "m", Kind: "pec"}}}}}}}
}

func trustingProvider(t *testing.T, now time.Time) *sample.Provider {
	t.Helper()
	p, err := sample.NewProvider(sample.Options{ECDSA: true, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Changed files are in force within a minute; ones that do not hold leave the
// former in force, and the log and the metric tell it once and as long as it
// lasts.
func TestChangedTrustFilesAreTakenOver(t *testing.T) {
	dir := t.TempDir()
	one, two := trustingProvider(t, time.Now()), trustingProvider(t, time.Now())
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(dir, "gestori.pem")
		writeFile(t, file, string(one.CAPEM()))
		cfg := trustingConfig(configs.PEC{Trust: []string{file}})
		trust, err := loadTrust(cfg)
		if err != nil {
			t.Fatal(err)
		}
		var log lines
		trust.watched(prometheus.NewRegistry(), slog.New(slog.NewTextHandler(&log, nil)))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		var changes atomic.Int32
		go func() {
			defer close(ended)
			trust.watch(ctx, trustEvery, func() { changes.Add(1) })
		}()
		state := func(providers, taken int, problems float64, lines int) {
			t.Helper()
			time.Sleep(2 * trustEvery)
			synctest.Wait()
			if n := trust.mailboxes(cfg)[0].Trust.Count(time.Now()).Providers; n != providers || int(changes.Load()) != taken ||
				testutil.ToFloat64(trust.problems) != problems || strings.Count(log.String(), "\n") != lines {
				t.Errorf("%d providers, %d changes, %v problems, log:\n%s", n, changes.Load(), testutil.ToFloat64(trust.problems), log.String())
			}
		}
		state(1, 0, 0, 0)
		writeFile(t, file, string(append(one.CAPEM(), two.CAPEM()...)))
		state(2, 1, 0, 1)
		writeFile(t, file, "non un certificato")
		state(2, 1, 1, 2)
		state(2, 1, 1, 2)
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		state(2, 1, 1, 3)
		writeFile(t, file, string(two.CAPEM()))
		state(1, 2, 0, 4)
		cancel()
		<-ended
		if !strings.Contains(log.String(), "changed trust files are refused, the former ones stay in force") || !strings.Contains(log.String(), "gestori.pem") {
			t.Errorf("log:\n%s", log.String())
		}
	})
}

// What runs out while nothing changes is told when it does.
func TestTrustFilesThatRunOutAreTold(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(dir, "gestore.crl")
		writeFile(t, file, string(revocationList(t, time.Now().Add(90*time.Minute))))
		trust, err := loadTrust(trustingConfig(configs.PEC{CRL: []string{file}}))
		if err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		trust.watched(prometheus.NewRegistry(), slog.New(slog.NewTextHandler(&log, nil)))
		for hour, want := range []float64{0, 0, 1, 1} {
			if trust.refresh(time.Now()) || testutil.ToFloat64(trust.problems) != want {
				t.Errorf("after %d h: %v problems", hour, testutil.ToFloat64(trust.problems))
			}
			time.Sleep(time.Hour)
		}
		if strings.Count(log.String(), "should have been replaced by") != 1 {
			t.Errorf("log:\n%s", log.String())
		}
	})
}

// revocationList is an empty one of an authority of its own.
func revocationList(t *testing.T, until time.Time) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	issuer := &x509.Certificate{Subject: pkix.Name{CommonName: "CA"}, KeyUsage: x509.KeyUsageCRLSign, SubjectKeyId: []byte{1}}
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: until.Add(-24 * time.Hour), NextUpdate: until}, issuer, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// A trusted list counts only with its signer, on every command that reads it.
func TestParseAndCheckReadTrustedLists(t *testing.T) {
	now := time.Now()
	p := trustingProvider(t, now)
	list, err := p.SignXML([]byte(`<TrustServiceStatusList xmlns="http://uri.etsi.org/02231/v2#"><SchemeInformation><TSLType>http://uri.etsi.org/TrstSvc/TrustedList/TSLType/EUgeneric</TSLType>`+
		`<ListIssueDateTime>`+now.UTC().Format(time.RFC3339)+`</ListIssueDateTime><NextUpdate><dateTime>`+now.Add(-time.Hour).UTC().Format(time.RFC3339)+`</dateTime></NextUpdate></SchemeInformation>`+
		`<TrustServiceProviderList><TrustServiceProvider><TSPServices><TSPService><ServiceInformation><ServiceTypeIdentifier>http://uri.etsi.org/TrstSvc/Svctype/EDS/REM/Q</ServiceTypeIdentifier>`+
		`<ServiceDigitalIdentity><DigitalId><X509Certificate>`+base64.StdEncoding.EncodeToString(p.Certificate().Raw)+`</X509Certificate></DigitalId></ServiceDigitalIdentity>`+
		`<ServiceStatus>http://uri.etsi.org/TrstSvc/TrustedList/Svcstatus/granted</ServiceStatus><StatusStartingTime>`+now.Add(-time.Hour).UTC().Format(time.RFC3339)+`</StatusStartingTime>`+
		`</ServiceInformation></TSPService></TSPServices></TrustServiceProvider></TrustServiceProviderList></TrustServiceStatusList>`), now)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file, signer, mail := filepath.Join(dir, "it.xml"), filepath.Join(dir, "firma.pem"), filepath.Join(dir, "m.eml")
	writeFile(t, file, string(list))
	writeFile(t, signer, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate().Raw})))
	writeFile(t, mail, "Subject: x\r\n\r\ny\r\n")

	if o := command(t, "parse", "--trust", file, mail); o.status != exitUsage || !strings.Contains(o.stderr, "it.xml: the trusted list cannot be believed") {
		t.Errorf("without a signer: %+v", o)
	}
	if o := command(t, "parse", "--trust", file, "--trust-list-signer", signer, mail); o.status != 0 || !strings.Contains(o.stderr, "warning: ") || !strings.Contains(o.stderr, "should have been replaced") {
		t.Errorf("with its signer: %+v", o)
	}
	if _, err := loadTrust(trustingConfig(configs.PEC{Trust: []string{file}})); err == nil || !strings.Contains(err.Error(), "organization o, register r: pec.trust") {
		t.Errorf("a configuration without a signer: %v", err)
	}
	trust, err := loadTrust(trustingConfig(configs.PEC{Trust: []string{file}, TrustListSigners: []string{signer}}))
	if err != nil {
		t.Fatal(err)
	}
	c := checked{}
	c.trust(ingest.Mailbox{Organization: "o", Register: "r", ID: "m", Kind: "pec", Trust: trust.mailboxes(trustingConfig(configs.PEC{Trust: []string{file}, TrustListSigners: []string{signer}}))[0].Trust}, now)
	if len(c.Trust) != 1 || c.Trust[0].TrustCount != (pec.TrustCount{Services: 1, Lists: 1}) || len(c.Warnings) != 2 ||
		!strings.Contains(c.Warnings[0], "o/m: pec.trust has no certificate in a PEM file") || !strings.Contains(c.Warnings[1], "should have been replaced") {
		t.Errorf("%+v", c)
	}
}
