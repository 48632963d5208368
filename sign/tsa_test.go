package sign_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/protodaemon/protodaemon/sign"
)

// tsa is a time stamping authority of openssl, served over HTTP on loopback.
type tsa struct {
	t    testing.TB
	pki  *pki
	cert *x509.Certificate
	dir  string
	url  string

	mu       sync.Mutex
	requests [][]byte
	headers  []http.Header
	// answer replaces or changes what the authority answers; nil: nothing does.
	answer func(w http.ResponseWriter, request []byte, reply func([]byte) []byte)
}

// timeStamping is the one purpose of an authority's certificate (RFC 3161 §2.3).
func timeStamping(critical bool, purposes ...asn1.ObjectIdentifier) pkix.Extension {
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: critical, Value: must(asn1.Marshal(purposes))}
}

var (
	purposeStamps = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 8}
	purposeMail   = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 4}
)

const tsaConf = `[tsa]
default_tsa = t
[t]
serial = DIR/serial
signer_cert = DIR/tsa.pem
certs = DIR/above.pem
signer_key = DIR/key.pem
signer_digest = sha256
default_policy = 1.3.6.1.4.1.99999.1
other_policies = 1.3.6.1.4.1.99999.5
digests = sha256
accuracy = secs:1
ess_cert_id_alg = sha256
`

// newTSA starts an authority, whose certificate may be changed.
func newTSA(t testing.TB, change func(*x509.Certificate)) *tsa {
	t.Helper()
	s := &tsa{t: t, pki: newPKI(), dir: t.TempDir()}
	s.cert = s.pki.issue(rsaKey().Public(), func(c *x509.Certificate) {
		c.Subject.CommonName, c.KeyUsage = "Prova TSA", x509.KeyUsageDigitalSignature
		c.ExtraExtensions = []pkix.Extension{timeStamping(true, purposeStamps)}
		if change != nil {
			change(c)
		}
	})
	for name, b := range map[string][]byte{
		"key.pem": keyPEM(rsaKey()), "tsa.pem": pemOf(s.cert), "above.pem": pemOf(s.pki.between, s.pki.root), "serial": []byte("0A\n"),
		"tsa.cnf": []byte(strings.ReplaceAll(tsaConf, "DIR", s.dir)),
	} {
		if err := os.WriteFile(filepath.Join(s.dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	server := httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(server.Close)
	s.url = server.URL + "/tsa"
	return s
}

func (s *tsa) serve(w http.ResponseWriter, r *http.Request) {
	request, err := io.ReadAll(r.Body)
	if err != nil || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/timestamp-query" {
		http.Error(w, "not a request of RFC 3161", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests, s.headers = append(s.requests, request), append(s.headers, r.Header)
	w.Header().Set("Content-Type", "application/timestamp-reply")
	if s.answer != nil {
		s.answer(w, request, s.reply)
		return
	}
	_, _ = w.Write(s.reply(request))
}

// reply has openssl answer; s.mu is held, because the serial number is a file.
func (s *tsa) reply(request []byte) []byte {
	query, out := filepath.Join(s.dir, "q.tsq"), filepath.Join(s.dir, "r.tsr")
	if err := os.WriteFile(query, request, 0o600); err != nil {
		s.t.Error(err)
	}
	said, err := exec.Command("openssl", "ts", "-reply", "-config", filepath.Join(s.dir, "tsa.cnf"), "-queryfile", query, "-out", out).CombinedOutput()
	if err != nil {
		s.t.Errorf("openssl ts: %v: %s", err, said)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		s.t.Error(err)
	}
	return b
}

// configure replaces a line of the authority's configuration.
func (s *tsa) configure(line, by string) {
	s.t.Helper()
	file := filepath.Join(s.dir, "tsa.cnf")
	conf := must(os.ReadFile(file))
	if !strings.Contains(string(conf), line+"\n") {
		s.t.Fatalf("no line %q", line)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(conf), line+"\n", by+"\n", 1)), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// answers changes what is answered from now on.
func (s *tsa) answers(f func(w http.ResponseWriter, request []byte, reply func([]byte) []byte)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = f
}

// asked is how often it was, since the last time.
func (s *tsa) asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.requests)
	s.requests, s.headers = nil, nil
	return n
}

func (s *tsa) authority(name string) sign.Authority {
	return sign.Authority{Name: name, URL: s.url, Roots: s.pki.pool()}
}

// opensslStamp has openssl verify a token over a digest.
func (s *tsa) opensslStamp(token, digest []byte) {
	s.t.Helper()
	said := ran(s.t, "openssl", "ts", "-verify", "-digest", hex.EncodeToString(digest), "-token_in", "-in", write(s.t, "x.tst", token),
		"-CAfile", write(s.t, "root.pem", pemOf(s.pki.root)))
	if !strings.Contains(said, "Verification: OK") {
		s.t.Errorf("openssl: %s", said)
	}
}

// status answers with nothing but a status and headers.
func status(code int, headers ...string) func(http.ResponseWriter, []byte, func([]byte) []byte) {
	return func(w http.ResponseWriter, _ []byte, _ func([]byte) []byte) {
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(code)
		fmt.Fprint(w, "nothing to be had")
	}
}

// query is a request (RFC 3161 §2.4.1).
type query struct {
	Version int
	Imprint asn1.RawValue
	Policy  asn1.ObjectIdentifier `asn1:"optional"`
	Nonce   *big.Int              `asn1:"optional"`
	Certs   bool                  `asn1:"optional"`
}

// rewritten is a request of which something is changed.
func rewritten(request []byte, change func(*query)) []byte {
	var q query
	if _, err := asn1.Unmarshal(request, &q); err != nil {
		panic(err)
	}
	change(&q)
	return must(asn1.Marshal(q))
}

// refusalSaying is a rejection with a text of the authority's.
func refusalSaying(text string) []byte {
	type status struct {
		Status int
		Text   []string
	}
	return must(asn1.Marshal(struct{ Status status }{status{2, []string{text}}}))
}
