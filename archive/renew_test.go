package archive_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/protodaemon/protodaemon/archive"
	"github.com/protodaemon/protodaemon/cms"
	"github.com/protodaemon/protodaemon/register"
	"github.com/protodaemon/protodaemon/sign"
)

// succession is a time stamping authority that goes from one certificate to
// the next, as they all do.
type succession struct {
	root    *x509.Certificate
	key     crypto.Signer
	terms   []term // in their order
	stamped atomic.Int64
}

// term is a certificate with the time from which on it is used.
type term struct {
	from        time.Time
	certificate *x509.Certificate
}

// newSuccession makes one. The certificates are given as pairs: used from,
// expires.
func newSuccession(times ...time.Time) *succession {
	s := &succession{key: must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))}
	root := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Radice"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC)}
	s.root = must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, root, root, s.key.Public(), s.key))))
	usage := must(asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 8}}))
	for i := 0; i < len(times); i += 2 {
		c := &x509.Certificate{SerialNumber: big.NewInt(int64(i + 2)), Subject: pkix.Name{CommonName: fmt.Sprint("Marche ", i/2+1)}, KeyUsage: x509.KeyUsageDigitalSignature,
			NotBefore: root.NotBefore, NotAfter: times[i+1], ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true, Value: usage}}}
		s.terms = append(s.terms, term{times[i], must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, c, s.root, s.key.Public(), s.key))))})
	}
	return s
}

func (s *succession) RoundTrip(r *http.Request) (*http.Response, error) {
	request, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	var now *x509.Certificate
	for _, t := range s.terms {
		if !time.Now().Before(t.from) {
			now = t.certificate
		}
	}
	reply, err := cms.Responder{Key: s.key, Chain: []*x509.Certificate{now, s.root}, Policy: asn1.ObjectIdentifier{1, 2, 3}}.Respond(request, big.NewInt(s.stamped.Add(1)), time.Now())
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(bytes.NewReader(reply)), Header: http.Header{}, Request: r}, err
}

func (s *succession) authority() (sign.Authority, error) {
	roots := x509.NewCertPool()
	roots.AddCert(s.root)
	return sign.Authority{Name: "prova", URL: "http://tsa.example.it/", Roots: roots, Client: &http.Client{Transport: s}}, nil
}

// lists are the files of renewals of a closing, oldest first.
func lists(c register.Closing, role string) (files []register.ClosingFile) {
	for _, f := range c.Files {
		if f.Role == role {
			files = append(files, f)
		}
	}
	return files
}

// Evidence is renewed before the certificate of its stamp expires, and again
// before that of the renewal does; afterwards all of it still verifies, here and
// with sha256sum and openssl, and what is changed in a renewal is found.
func TestRenewal(t *testing.T) {
	dir := t.TempDir()
	files := map[string][]byte{}
	var closings []register.Closing
	var newest string
	synctest.Test(t, func(t *testing.T) {
		// The first expires on 1 July and goes on being used when it should not.
		tsa := newSuccession(at(1, 1, 0), at(7, 1, 0), at(4, 20, 0), at(7, 1, 0).AddDate(1, 0, 0), at(1, 1, 0).AddDate(1, 0, 0), at(1, 1, 0).AddDate(20, 0, 0))
		h := newHall(t, register.ClosingRules{EmptyDays: "none"})
		h.conf.XAdES, h.conf.Delivery = false, archive.Delivery{}
		h.conf.Authorities = []archive.Authority{{Name: "prova", Open: tsa.authority}}
		if err := h.archive.Reload([]archive.Register{h.conf}); err != nil {
			t.Fatal(err)
		}
		for day := range 2 {
			until(at(1, 3+day, 9))
			h.enter("Istanza")
		}
		renewals := func(when time.Time, want int) {
			t.Helper()
			until(when)
			stop := h.run()
			synctest.Wait()
			stop()
			closings = h.closings()
			for _, c := range closings {
				if got := lists(c, register.FileRenewal); len(got) != want || len(lists(c, register.FileRenewalStamp)) != want {
					t.Fatalf("on %s %s was renewed %d times, not %d", when.Format(time.DateOnly), c.ID, len(got), want)
				}
			}
			h.sound()
		}
		renewals(at(4, 1, 12), 0) // more than 90 days before
		used := tsa.stamped.Load()
		renewals(at(4, 10, 12), 0) // the authority's certificate is still the old one
		renewals(at(4, 12, 12), 0) // and it is not asked again every day: stamps cost money
		if tries := tsa.stamped.Load() - used; tries != 1 {
			t.Errorf("in two days %d stamps were spent for nothing", tries)
		}
		// Nor after a restart, where the stamp of yesterday's closing shows it.
		until(at(4, 17, 12))
		h.enter("Istanza")
		until(at(4, 18, 12))
		h.closeDays("")
		if err := h.work(); err != nil {
			t.Fatal(err)
		}
		used = tsa.stamped.Load()
		if err := h.archive.Reload([]archive.Register{h.conf}); err != nil {
			t.Fatal(err)
		}
		stop := h.run()
		synctest.Wait()
		stop()
		if tries := tsa.stamped.Load() - used; tries != 0 {
			t.Errorf("with a stamp of today %d were spent for nothing", tries)
		}
		renewals(at(5, 1, 12), 1)
		if a, b := lists(closings[0], register.FileRenewal)[0], lists(closings[1], register.FileRenewal)[0]; a.SHA256 != b.SHA256 {
			t.Error("two closings were renewed by two lists")
		}
		renewals(at(3, 1, 12).AddDate(1, 0, 0), 1) // the first certificate has expired
		renewals(at(4, 20, 12).AddDate(1, 0, 0), 2)
		renewals(at(12, 1, 12).AddDate(2, 0, 0), 2) // and the second
		for _, c := range closings {
			for _, f := range c.Files {
				files[filepath.Join(c.Name, f.Name)] = must(h.bytes(c, f))
				newest = filepath.Join(c.Name, strings.TrimSuffix(f.Name, ".tst"))
			}
		}
		files["ca.pem"] = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: tsa.root.Raw})
		h.tamperRenewals(t, closings[0], tsa)
	})
	for name, b := range files {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name), b)
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	run(t, "coreutils", "sh", "-c", `cd "$1" && sha256sum --strict --quiet -c "$2"`, "sh", dir, newest+".txt")
	run(t, "openssl", "openssl", "ts", "-verify", "-data", in(newest+".txt"), "-token_in", "-in", in(newest+".tst"), "-CAfile", in("ca.pem"), "-attime", fmt.Sprint(at(6, 1, 0).AddDate(1, 0, 0).Unix()))
	for _, c := range closings {
		for _, f := range c.Files {
			line := fmt.Sprintf("%s  %s/%s\n", f.SHA256, c.Name, f.Name)
			last := f.Name == filepath.Base(newest)+".txt" || f.Name == filepath.Base(newest)+".tst"
			if bytes.Contains(files[newest+".txt"], []byte(line)) == last {
				t.Errorf("the newest list and %s/%s", c.Name, f.Name)
			}
		}
	}
}

// A renewal that came too late is found. One by another authority verifies in an
// export without that authority being named.
func TestRenewalTooLate(t *testing.T) {
	dir := t.TempDir()
	var zip bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		first := newSuccession(at(1, 1, 0), at(7, 1, 0))
		second := newSuccession(at(1, 1, 0), at(7, 1, 0).AddDate(10, 0, 0))
		h := newHall(t, register.ClosingRules{EmptyDays: "none"})
		h.conf.XAdES, h.conf.Delivery = false, archive.Delivery{}
		by := func(tsa *succession) {
			h.conf.Authorities = []archive.Authority{{Name: "prova", Open: tsa.authority}}
			if err := h.archive.Reload([]archive.Register{h.conf}); err != nil {
				t.Fatal(err)
			}
		}
		by(first)
		until(at(1, 3, 9))
		h.enter("Istanza")
		until(at(1, 4, 9))
		c := h.closeDays("")[0]
		if err := h.work(); err != nil {
			t.Fatal(err)
		}
		until(at(7, 2, 9))
		by(second)
		stop := h.run()
		synctest.Wait()
		stop()
		archives, _ := h.verified()
		if len(archives) != 1 || !finds(archives, "closing-renewal-invalid", c.ID+": rinnovo-istituzionale-20000702-001.tst is of 2000-07-02") {
			t.Errorf("the archive finds %+v", archives)
		}
		if err := h.archive.Export(t.Context(), manager, org, book, 2000, &zip); err != nil {
			t.Fatal(err)
		}
	})
	write(t, filepath.Join(dir, "anno.zip"), zip.Bytes())
	run(t, "unzip", "unzip", "-q", filepath.Join(dir, "anno.zip"), "-d", dir)
	out := run(t, "dash", "sh", filepath.Join(dir, "registro-istituzionale-2000", "verifica.sh"))
	if !strings.Contains(out, "1 chiusure, 1 registrazioni, 4 firme, 2 marche temporali: tutto valido") {
		t.Errorf("the script says: %s", out)
	}
}

// tamperRenewals changes the renewals of a closing on the disk.
func (h *hall) tamperRenewals(t *testing.T, c register.Closing, tsa *succession) {
	for i, list := range lists(c, register.FileRenewal) {
		text := h.blob(list.SHA256)
		stamp := h.blob(lists(c, register.FileRenewalStamp)[i].SHA256)
		lines := bytes.SplitAfter(must(os.ReadFile(text)), []byte("\n"))
		other := must(sign.Stamp(context.Background(), []sign.Authority{must(tsa.authority())}, make([]byte, 32)))
		for name, change := range map[string]struct {
			path    string
			content []byte
		}{
			"a line is missing":       {text, bytes.Join(lines[1:], nil)},
			"a line more":             {text, slices.Concat(bytes.Join(lines, nil), []byte("x\n"))},
			"a digest is changed":     {text, flipped(bytes.Join(lines, nil), 3)},
			"the list is empty":       {text, nil},
			"the stamp is of another": {stamp, other.Token},
			"the stamp is changed":    {stamp, flipped(must(os.ReadFile(stamp)), len(must(os.ReadFile(stamp)))-5)},
			"the stamp is empty":      {stamp, nil},
		} {
			sound := must(os.ReadFile(change.path))
			replace(t, change.path, change.content)
			if archives, _ := h.verified(); !finds(archives, "closing-renewal-invalid", c.ID) {
				t.Errorf("renewal %d, %s: the archive finds %+v", i+1, name, archives)
			}
			replace(t, change.path, sound)
		}
	}
	h.sound()
}
