package archive_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/protodaemon/protodaemon/archive"
	"github.com/protodaemon/protodaemon/register"
)

// conservator is an HTTPS server that takes packages. It lets in who shows a
// certificate of the test authority.
type conservator struct {
	t      testing.TB
	server *httptest.Server
	dir    string

	mu     sync.Mutex
	answer http.HandlerFunc
	got    []taken
}

// taken is one request.
type taken struct {
	method, path, key, user, password string
	parts                             []field
}

type field struct{ name, file, mediaType, value string }

func newConservator(t testing.TB) *conservator {
	t.Helper()
	s := &conservator{t: t, dir: t.TempDir()}
	s.server = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	s.server.TLS = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: authority().pool()}
	s.server.Config.ErrorLog = log.New(io.Discard, "", 0) // strangers are refused in it
	s.server.StartTLS()
	t.Cleanup(s.server.Close)
	write(t, filepath.Join(s.dir, "ca.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.server.Certificate().Raw}))
	a := authority()
	s.pair("client", a.signer, must(x509.MarshalPKCS8PrivateKey(a.key)))
	// One of nobody: it signed itself.
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	self := &x509.Certificate{SerialNumber: a.signer.SerialNumber, Subject: a.signer.Subject, NotBefore: a.signer.NotBefore, NotAfter: a.signer.NotAfter}
	der := must(x509.CreateCertificate(rand.Reader, self, self, key.Public(), key))
	s.pair("stranger", must(x509.ParseCertificate(der)), must(x509.MarshalPKCS8PrivateKey(key)))
	return s
}

func (s *conservator) pair(name string, c *x509.Certificate, key []byte) {
	write(s.t, filepath.Join(s.dir, name+".pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
	write(s.t, filepath.Join(s.dir, name+".key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
}

func (s *conservator) serve(w http.ResponseWriter, r *http.Request) {
	one := taken{method: r.Method, path: r.URL.Path, key: r.Header.Get("Idempotency-Key")}
	one.user, one.password, _ = r.BasicAuth()
	if r.Method == http.MethodPost {
		form, err := r.MultipartReader()
		if err != nil {
			s.t.Error(err)
			return
		}
		for {
			p, err := form.NextPart()
			if err == io.EOF {
				break
			}
			if err != nil {
				s.t.Error(err)
				return
			}
			one.parts = append(one.parts, field{p.FormName(), p.FileName(), p.Header.Get("Content-Type"), string(must(io.ReadAll(p)))})
		}
	}
	s.mu.Lock()
	s.got = append(s.got, one)
	answer := s.answer
	s.mu.Unlock()
	answer(w, r)
}

func (s *conservator) set(answer http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

// requests returns what came since it was asked last.
func (s *conservator) requests() []taken {
	s.mu.Lock()
	defer s.mu.Unlock()
	got := s.got
	s.got = nil
	return got
}

func (s *conservator) delivery() archive.Delivery {
	in := func(name string) string { return filepath.Join(s.dir, name) }
	return archive.Delivery{Kind: "http", URL: s.server.URL + "/versamento", Profile: archive.ProfileNeutral,
		CAFile: in("ca.pem"), ClientCertFile: in("client.pem"), ClientKeyFile: in("client.key")}
}

func says(status int, text string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		io.WriteString(w, text)
	}
}

// The package goes as one part of a form, with a key by which the server knows
// it again; the receipt is asked for where the answer says.
func TestHTTPDelivery(t *testing.T) {
	s := newConservator(t)
	h, c := outgoing(t)
	d := s.delivery()
	d.Username, d.Password = "ordine", func() (string, error) { return "segreta", nil }
	s.set(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			says(http.StatusCreated, "", "Location", "/ricevute/7")(w, r)
		} else {
			says(http.StatusNotFound, "not yet")(w, r)
		}
	})
	if err := h.deliver(d); err != nil {
		t.Fatal(err)
	}
	c = h.closing(c.ID)
	if c.State != register.ClosingDelivered || c.Parcel.Sent != s.server.URL+"/ricevute/7" || c.Trouble != nil {
		t.Fatalf("it stands at %s: %+v, %+v", c.State, c.Parcel, c.Trouble)
	}
	got := s.requests()
	if len(got) != 2 || got[1].method != http.MethodGet || got[1].path != "/ricevute/7" || got[1].user != "ordine" {
		t.Fatalf("requests: %d, %+v", len(got), got[1:])
	}
	post := got[0]
	if post.path != "/versamento" || post.user != "ordine" || post.password != "segreta" || post.key != c.Parcel.Identity+".1" || len(post.parts) != 1 {
		t.Fatalf("it was sent so: %s %s %s, %d parts", post.path, post.user, post.key, len(post.parts))
	}
	want := field{"file", c.Parcel.File, "application/zip", string(h.read(c, register.FilePackage))}
	if post.parts[0] != want {
		t.Errorf("the part is %q %q %q with %d bytes", post.parts[0].name, post.parts[0].file, post.parts[0].mediaType, len(post.parts[0].value))
	}
	// Nothing, and something else, is not a receipt.
	s.set(says(http.StatusOK, " \n"))
	if err := h.deliver(d); err != nil {
		t.Fatal(err)
	}
	s.set(says(http.StatusAccepted, `{"stato":"in lavorazione"}`)) // not there yet, RFC 9110 section 15.3.3
	if err := h.deliver(d); err != nil {
		t.Fatal(err)
	}
	s.set(says(http.StatusOK, "<html><body>Servizio in manutenzione"))
	h.fails(c.ID, d, "receipt-malformed")
	s.set(says(http.StatusInternalServerError, positive(c)))
	h.fails(c.ID, d, "unreachable", "500")
	s.set(says(http.StatusOK, positive(c)))
	if err := h.deliver(d); err != nil {
		t.Fatal(err)
	}
	if c = h.closing(c.ID); c.State != register.ClosingAccepted || string(h.read(c, register.FileReceipt)) != positive(c) {
		t.Errorf("it stands at %s: %+v", c.State, c.Trouble)
	}
	h.sound()
}

// What the server says, and what comes of it.
func TestHTTPRefusals(t *testing.T) {
	s := newConservator(t)
	h, c := outgoing(t)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a redirection was followed") }))
	t.Cleanup(elsewhere.Close)
	for _, refusal := range []struct {
		status     int
		text, code string
	}{
		{401, "", "login-refused"}, {403, "", "login-refused"}, {404, "", "refused"}, {409, "", "refused"}, {413, "", "refused"},
		{429, "", "unreachable"}, {500, "", "unreachable"}, {503, positive(c), "unreachable"},
		{301, "", "refused"}, {302, "", "refused"}, {307, "", "refused"}, {308, "", "refused"},
		{200, strings.Repeat("x", 9<<20), "unreachable"}, // nobody knows what it says
		// ParER answers so to what it does not even look at.
		{200, "<EsitoVersamento><EsitoGenerale><CodiceEsito>NEGATIVO</CodiceEsito><CodiceErrore>XSD-001</CodiceErrore><MessaggioErrore>XML non valido</MessaggioErrore></EsitoGenerale></EsitoVersamento>", "refused"},
	} {
		s.set(says(refusal.status, refusal.text, "Location", elsewhere.URL+"/ricevute"))
		if refusal.status == 200 {
			s.set(says(200, refusal.text))
		}
		h.fails(c.ID, s.delivery(), refusal.code, s.server.Listener.Addr().String())
		if got := s.requests(); len(got) != 1 {
			t.Errorf("%d is followed by %d requests", refusal.status, len(got)-1)
		}
	}
	if !strings.Contains(h.closing(c.ID).Trouble.Detail, "XML non valido") {
		t.Errorf("the conservator's reason is lost: %s", h.closing(c.ID).Trouble.Detail)
	}
	s.set(says(200, "", "X-Nulla", strings.Repeat("x", 1<<20)))
	h.fails(c.ID, s.delivery(), "unreachable")
	// A connection that is cut in the middle of the answer.
	s.set(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		io.WriteString(w, "<a>")
		panic(http.ErrAbortHandler)
	})
	h.fails(c.ID, s.delivery(), "unreachable")

	with := func(change func(*archive.Delivery)) archive.Delivery {
		d := s.delivery()
		change(&d)
		return d
	}
	s.set(says(200, ""))
	s.requests()
	in := func(name string) string { return filepath.Join(s.dir, name) }
	h.fails(c.ID, with(func(d *archive.Delivery) { d.ClientCertFile = "" }), "unreachable")
	h.fails(c.ID, with(func(d *archive.Delivery) { d.ClientCertFile, d.ClientKeyFile = in("stranger.pem"), in("stranger.key") }), "unreachable")
	h.fails(c.ID, with(func(d *archive.Delivery) { d.ClientKeyFile = in("stranger.key") }), "login-refused", "client certificate")
	h.fails(c.ID, with(func(d *archive.Delivery) { d.CAFile = in("client.pem") }), "unreachable", "unknown authority")
	h.fails(c.ID, with(func(d *archive.Delivery) { d.CAFile = in("client.key") }), "refused", "no certificate")
	h.fails(c.ID, with(func(d *archive.Delivery) { d.URL = strings.Replace(d.URL, "https:", "http:", 1) }), "refused", "400")
	if got := s.requests(); len(got) > 0 {
		t.Errorf("%d requests of strangers were read", len(got))
	}
	if err := h.deliver(s.delivery()); err != nil || h.closing(c.ID).State != register.ClosingDelivered {
		t.Errorf("in the end: %v, %+v", err, h.closing(c.ID).Trouble)
	}
	h.sound()
}

// An answer that is the receipt is taken as such; one that sends elsewhere for
// it is not obeyed.
func TestHTTPAnswers(t *testing.T) {
	s := newConservator(t)
	for name, test := range map[string]struct {
		text, location string
		state          register.ClosingState
	}{
		"accepted":               {"<EsitoVersamento><CodiceEsito>POSITIVO</CodiceEsito><Chiave><Numero>%s</Numero></Chiave></EsitoVersamento>", "", register.ClosingAccepted},
		"rejected":               {"<EsitoVersamento><CodiceEsito>NEGATIVO</CodiceEsito><Chiave><Numero>%s</Numero></Chiave></EsitoVersamento>", "", register.ClosingRejected},
		"of another":             {"<EsitoVersamento><CodiceEsito>POSITIVO</CodiceEsito><Chiave><Numero>x%s</Numero></Chiave></EsitoVersamento>", "", register.ClosingDelivered},
		"a page":                 {"<html>%s", "", register.ClosingDelivered},
		"a DOCTYPE":              {"<!DOCTYPE a><EsitoVersamento><CodiceEsito>POSITIVO</CodiceEsito><Numero>%s</Numero></EsitoVersamento>", "", register.ClosingDelivered},
		"the receipt elsewhere":  {"", "https://127.0.0.1:1/ricevuta", register.ClosingDelivered},
		"the receipt unreadable": {"", "http://[", register.ClosingDelivered},
	} {
		t.Run(name, func(t *testing.T) {
			h, c := outgoing(t)
			text := test.text
			if text != "" {
				text = fmt.Sprintf(text, c.Name)
			}
			s.set(says(http.StatusOK, text))
			if test.location != "" {
				s.set(says(http.StatusOK, text, "Location", test.location))
			}
			s.requests()
			if err := h.deliver(s.delivery()); err != nil {
				t.Error(err)
			}
			if c = h.closing(c.ID); c.State != test.state || c.Trouble != nil {
				t.Errorf("it stands at %s: %+v", c.State, c.Trouble)
			}
			if got := s.requests(); len(got) != 1 || c.Parcel.Sent != s.server.Listener.Addr().String() {
				t.Errorf("%d requests, sent to %s", len(got), c.Parcel.Sent)
			}
			h.sound()
		})
	}
}

// ParER's form has its fields in ParER's order and the files one by one; the
// password stands in it and nowhere else.
func TestHTTPDeliveryToParER(t *testing.T) {
	s := newConservator(t)
	h := newHall(t, register.ClosingRules{EmptyDays: "none"})
	h.enter("Istanza di iscrizione")
	made := h.closeDays(time.Now().In(rome).Format(time.DateOnly))
	d := s.delivery()
	d.Profile, d.Username, d.Password = archive.ProfileParER, "ordine_ws", func() (string, error) { return "segreta", nil }
	d.ParER = archive.ParER{Environment: "PARER_TEST", Entity: "ordine", Structure: "AOO1", User: "ordine_ws", Version: "1.5", Type: "REGISTRO GIORNALIERO"}
	s.set(says(http.StatusServiceUnavailable, ""))
	c := h.fails(made[0].ID, d, "unreachable")
	first := s.requests()[0].parts[3].value
	d.ParER.Entity = "changed meanwhile" // and the package made and recorded
	s.set(says(http.StatusOK, "<EsitoVersamento><EsitoGenerale><CodiceEsito>WARNING</CodiceEsito></EsitoGenerale><UnitaDocumentaria><Chiave><Numero>"+c.Name+"</Numero></Chiave></UnitaDocumentaria></EsitoVersamento>"))
	if err := h.deliver(d); err != nil {
		t.Fatal(err)
	}
	if c = h.closing(c.ID); c.State != register.ClosingAccepted {
		t.Fatalf("it stands at %s: %+v", c.State, c.Trouble)
	}
	post := s.requests()[0]
	if post.parts[3].value != first {
		t.Error("what goes out twice is not the same")
	}
	var names []string
	for _, p := range post.parts {
		names = append(names, p.name)
	}
	want := []string{"VERSIONE", "LOGINNAME", "PASSWORD", "XMLSIP", c.Name + "-t.pdf.p7m", c.Name + "-impronte-t.xml.p7m", c.Name + ".xades.xml"}
	if fmt.Sprint(names) != fmt.Sprint(want) || post.user != "" {
		t.Errorf("fields %v, user %q", names, post.user)
	}
	if post.parts[0].value != "1.5" || post.parts[1].value != "ordine_ws" || post.parts[2].value != "segreta" {
		t.Errorf("the first fields are %+v", post.parts[:3])
	}
	sip := post.parts[3].value
	if !strings.Contains(string(h.read(c, register.FilePackage)), sip) {
		t.Error("the SIP is another than that of the package")
	}
	for _, p := range post.parts[4:] {
		f, ok := file(c, p.name)
		digest := base64.StdEncoding.EncodeToString(f.SHA256[:])
		if !ok || p.file != p.name || !bytes.Equal(must(h.bytes(c, f)), []byte(p.value)) || !strings.Contains(sip, "<ID>"+p.name+"</ID>") || !strings.Contains(sip, digest) {
			t.Errorf("%s is not what the SIP says", p.name)
		}
	}
	if strings.Contains(sip, "segreta") {
		t.Error("the password is in the SIP")
	}
	h.sound()
}

func file(c register.Closing, name string) (register.ClosingFile, bool) {
	for _, f := range c.Files {
		if f.Name == name {
			return f, true
		}
	}
	return register.ClosingFile{}, false
}

func (h *hall) bytes(c register.Closing, f register.ClosingFile) ([]byte, error) {
	blob, _, err := h.office.OpenClosingFile(h.t.Context(), manager, org, book, c.ID, f.Name)
	if err != nil {
		return nil, err
	}
	defer blob.Close()
	return io.ReadAll(blob)
}

// A server that says when to come again is not asked before, and one that says
// tomorrow is asked within the hour.
func TestHTTPRetryAfter(t *testing.T) {
	s := newConservator(t)
	h, c := outgoing(t)
	for header, wait := range map[string]time.Duration{
		"": time.Minute, "600": 10 * time.Minute, "86400": time.Hour, "-5": time.Minute, "soon": time.Minute, "999999999": time.Minute,
		time.Now().Add(100 * time.Hour).UTC().Format(http.TimeFormat): time.Hour,
	} {
		s.set(says(http.StatusServiceUnavailable, "", "Retry-After", header))
		begun := time.Now()
		h.fails(c.ID, s.delivery(), "unreachable", "503")
		due, err := h.archive.Due(t.Context(), org, book)
		if err != nil || due.Before(begun.Add(wait)) || due.After(time.Now().Add(wait)) {
			t.Errorf("Retry-After %q: it is tried again in %s, not %s (%v)", header, time.Until(due), wait, err)
		}
		if got := s.requests(); len(got) != 1 {
			t.Errorf("Retry-After %q: %d requests", header, len(got))
		}
	}
}
