package archive_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"software.sslmate.com/src/go-pkcs12"

	"github.com/protodaemon/protodaemon/archive"
	"github.com/protodaemon/protodaemon/cms"
	"github.com/protodaemon/protodaemon/register"
	"github.com/protodaemon/protodaemon/sign"
	"github.com/protodaemon/protodaemon/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	org  = "ordine"
	book = "istituzionale"
	box  = "pec"
	pin  = "prova"
)

var rome = func() *time.Location {
	l, err := time.LoadLocation("Europe/Rome")
	if err != nil {
		panic(err)
	}
	return l
}()

var manager = register.Actor{User: "rosa", Name: "Rosa Verdi", Grants: []register.Grant{{Role: register.Manager, Organization: org}}}

// trust is a test authority with a signing and a time stamping certificate,
// made once: their keys take a while.
type trust struct {
	root          *x509.Certificate
	signer, tsa   *x509.Certificate
	key, stampKey crypto.Signer
	p12           []byte
}

var authority = sync.OnceValue(func() *trust {
	t := &trust{}
	rootKey := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	begin, end := time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC)
	make := func(n int64, name string, parent *x509.Certificate, public crypto.PublicKey, change func(*x509.Certificate)) *x509.Certificate {
		c := &x509.Certificate{SerialNumber: big.NewInt(n), Subject: pkix.Name{CommonName: name, Organization: []string{"Prova"}}, NotBefore: begin, NotAfter: end}
		change(c)
		if parent == nil {
			parent = c
		}
		return must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, c, parent, public, rootKey))))
	}
	t.root = make(1, "Prova CA", nil, rootKey.Public(), func(c *x509.Certificate) {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
	})
	t.key = must(rsa.GenerateKey(rand.Reader, 2048))
	t.signer = make(2, "Elena Neri", t.root, t.key.Public(), func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageContentCommitment })
	t.stampKey = must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	t.tsa = make(3, "Prova TSA", t.root, t.stampKey.Public(), func(c *x509.Certificate) {
		c.KeyUsage = x509.KeyUsageDigitalSignature
		usage := must(asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 8}}))
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true, Value: usage}}
	})
	t.p12 = must(pkcs12.Modern.Encode(t.key, t.signer, []*x509.Certificate{t.root}, pin))
	return t
})

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func (t *trust) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: t.root.Raw})
}

func (t *trust) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(t.root)
	return p
}

// tsa answers requests in the process; it can be told to fail.
type tsa struct {
	mu     sync.Mutex
	serial int64
	fail   error
}

func (s *tsa) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return nil, s.fail
	}
	request, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	s.serial++
	t := authority()
	reply, err := cms.Responder{Key: t.stampKey, Chain: []*x509.Certificate{t.tsa, t.root}, Policy: asn1.ObjectIdentifier{1, 2, 3}}.Respond(request, big.NewInt(s.serial), time.Now())
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(bytes.NewReader(reply)), Header: http.Header{}, Request: r}, err
}

// failing is a key that can be told to fail.
type failing struct {
	sign.Key
	err func() error
}

func (k failing) Sign(ctx context.Context, digests [][]byte) ([][]byte, error) {
	if err := k.err(); err != nil {
		return nil, err
	}
	return k.Key.Sign(ctx, digests)
}

// hall is an office with an archive, over a real store.
type hall struct {
	t       testing.TB
	dir     string
	setup   register.Setup
	conf    archive.Register
	tsa     *tsa
	keyErr  error
	mu      sync.Mutex
	st      *store.Bolt
	office  *register.Office
	archive *archive.Archive
	arrived int
	// rejected counts the packages that were refused.
	rejected int
}

func newHall(t testing.TB, rules register.ClosingRules) *hall {
	t.Helper()
	dir := t.TempDir()
	h := &hall{t: t, dir: dir, tsa: &tsa{}}
	h.setup = register.Setup{Location: rome, Organizations: []register.Organization{{
		ID: org, Name: "Ordine degli Avvocati di Esempio", IPACode: "oaes", AOOCode: "AOO1", TaxCode: "80012345678",
		Manager: register.Officer{Name: "Elena", Surname: "Neri", TaxCode: "NRELNE70A41H501X", Deed: "decreto n. 1 del 1999", From: "1999-01-01"},
		Registers: []register.Book{{ID: book, Name: "Affari istituzionali", Closing: rules,
			Mailboxes: []register.Mailbox{{ID: box, Kind: "pec", Address: "ordine@pec.example.it"}}}},
	}}}
	for _, d := range []string{"conservazione", "conservazione/ricevute"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	p12 := filepath.Join(dir, "firma.p12")
	if err := os.WriteFile(p12, authority().p12, 0o600); err != nil {
		t.Fatal(err)
	}
	h.conf = archive.Register{
		Organization: org, Register: book, AutoAt: "15:00",
		Signing: archive.Signing{XAdES: true, OpenKey: func(context.Context) (sign.Key, error) {
			k, err := sign.OpenPKCS12(p12, []byte(pin))
			return failing{k, func() error { h.mu.Lock(); defer h.mu.Unlock(); return h.keyErr }}, err
		}},
		Authorities: []archive.Authority{{Name: "prova", Lot: 1000, LotFrom: "1999-01-01", Open: func() (sign.Authority, error) {
			return sign.Authority{Name: "prova", URL: "http://tsa.example.it/", Roots: authority().pool(), Client: &http.Client{Transport: h.tsa}}, nil
		}}},
		Delivery: archive.Delivery{Kind: "directory", Path: filepath.Join(dir, "conservazione"), Profile: archive.ProfileNeutral},
		Overdue:  48 * time.Hour,
	}
	h.open()
	t.Cleanup(h.close)
	return h
}

func (h *hall) open() {
	h.t.Helper()
	var err error
	h.st, err = store.OpenBolt(h.t.Context(), store.Options{Dir: filepath.Join(h.dir, "data"), Reserve: -1})
	if err != nil {
		h.t.Fatal(err)
	}
	if h.office, err = register.Open(h.t.Context(), h.st, h.setup); err != nil {
		h.t.Fatal(errors.Join(err, h.st.Close()))
	}
	h.archive, err = archive.New(archive.Options{Office: h.office, Location: rome, Software: "protodaemon prova", Registers: []archive.Register{h.conf}})
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *hall) close() {
	h.t.Helper()
	if h.office == nil {
		return
	}
	h.archive.Unregister()
	if err := errors.Join(h.office.Close(), h.st.Close()); err != nil {
		h.t.Fatal(err)
	}
	h.office = nil
}

// enter registers an entry.
func (h *hall) enter(subject string) register.Entry {
	h.t.Helper()
	r, err := h.office.Confirm(h.t.Context(), manager, h.arrive(subject).ID, register.Confirmation{Classification: "1.1"})
	if err != nil {
		h.t.Fatal(err)
	}
	return r.Entry
}

// arrive has a message come in.
func (h *hall) arrive(subject string) register.Pending {
	h.t.Helper()
	h.arrived++
	w, err := h.office.CreateBlob(h.t.Context(), org)
	if err != nil {
		h.t.Fatal(err)
	}
	defer w.Close()
	fmt.Fprintf(w, "message %d", h.arrived)
	digest, size, err := w.Commit(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	p, err := h.office.Arrive(h.t.Context(), register.Arrival{
		Organization: org, Mailbox: box, Message: digest, Size: size, ArrivedAt: time.Now(), State: register.StatePending,
		Analysis: []byte(`{}`),
		Summary: register.Summary{Kind: "pec-transport", Authenticity: "certified", Subject: subject, Identifier: "opec1",
			From:        register.Party{Name: "Mario Rossi", Address: "mario@pec.example.it"},
			Attachments: []register.Document{{Part: "2", Name: "istanza.pdf", MediaType: "application/pdf", Size: 3, SHA256: store.Sum([]byte("pdf"))}}},
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return p
}

func (h *hall) annul(e register.Entry) {
	h.t.Helper()
	_, err := h.office.Annul(h.t.Context(), manager, org, book, e.Year, e.Number, register.Annulment{Reason: "registrata due volte", Authorization: "atto n. 1"})
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *hall) closeDays(through string) []register.Closing {
	h.t.Helper()
	made, err := h.archive.Close(h.t.Context(), manager, org, book, through)
	if err != nil {
		h.t.Fatal(err)
	}
	return made
}

func (h *hall) work() error { return h.archive.Work(h.t.Context(), org, book) }

func (h *hall) closing(id string) register.Closing {
	h.t.Helper()
	c, err := h.office.Closing(h.t.Context(), manager, org, book, id)
	if err != nil {
		h.t.Fatal(err)
	}
	return c
}

// read reads a file of a closing.
func (h *hall) read(c register.Closing, role string) []byte {
	h.t.Helper()
	f, ok := c.File(role)
	if !ok {
		h.t.Fatalf("closing %s has no %s", c.ID, role)
	}
	blob, _, err := h.office.OpenClosingFile(h.t.Context(), manager, org, book, c.ID, f.Name)
	if err != nil {
		h.t.Fatal(err)
	}
	defer blob.Close()
	return must(io.ReadAll(blob))
}

// receipt lays a receipt for a closing into the folder.
func (h *hall) receipt(c register.Closing, outcome, reason string) {
	h.t.Helper()
	text := fmt.Sprintf("<RapportoDiVersamento><IdentificativoPacchetto>%s</IdentificativoPacchetto><Esito>%s</Esito><Motivo>%s</Motivo><Data>%s</Data></RapportoDiVersamento>",
		c.Parcel.Identity, outcome, reason, time.Now().Format(time.RFC3339))
	name := fmt.Sprintf("RdV-%s-%d.xml", c.Name, time.Now().UnixNano())
	if err := os.WriteFile(filepath.Join(h.dir, "conservazione", "ricevute", name), []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// sound verifies everything.
func (h *hall) sound() {
	h.t.Helper()
	v, err := h.office.Verify(h.t.Context())
	if err != nil || !v.OK {
		h.t.Fatalf("the register is not sound: %+v, %v", v.Problems, err)
	}
	problems, err := h.archive.Verify(h.t.Context())
	if err != nil || len(problems) > 0 {
		h.t.Fatalf("the closings are not sound: %+v, %v", problems, err)
	}
}

func until(t time.Time) { time.Sleep(time.Until(t)) }

func at(month time.Month, day, hour int) time.Time {
	return time.Date(2000, month, day, hour, 0, 0, 0, rome)
}
