package sign_test

import (
	"bytes"
	"crypto"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/protodaemon/protodaemon/sign"
)

// threeDocs are what a closing has signed.
var threeDocs = []sign.Document{
	{Format: sign.CAdES, Content: []byte("%PDF")}, {Format: sign.CAdES, Content: []byte("impronte")}, {Format: sign.XAdES, Content: register},
}

// The methods of one closing, in their order.
var oneAuthorization = []string{"info", "oauth2/token", "credentials/info", "credentials/authorize", "signatures/signHash"}

// serve makes a service with a new certificate.
func serve(t testing.TB, p *pki, key crypto.Signer) *signingService {
	return newSigningService(t, key, p.chain(p.issue(key.Public(), nil)))
}

// verified verifies what threeDocs became.
func verified(t testing.TB, p *pki, files [][]byte) {
	t.Helper()
	if len(files) != 3 {
		t.Fatalf("%d files", len(files))
	}
	for i, file := range files[:2] {
		if v, err := sign.Verify(file, p.pool(), nil); err != nil || !bytes.Equal(v.Content, threeDocs[i].Content) {
			t.Errorf("file %d: %v", i, err)
		}
	}
	if v, err := sign.VerifyXAdES(files[2]); err != nil || !bytes.Equal(v.Content, register) {
		t.Error(err)
	}
}

// othersVerify has openssl and xmlsec1 do it.
func othersVerify(t testing.TB, p *pki, files [][]byte) {
	t.Helper()
	verified(t, p, files)
	opensslVerifies(t, p, files[0], threeDocs[0].Content)
	opensslVerifies(t, p, files[1], threeDocs[1].Content)
	if said, err := xmlsec(t, p, files[2]); err != nil {
		t.Errorf("xmlsec1: %s", said)
	}
}

// A closing is signed with one authorization, by each kind of key, and the chain
// of the service goes with it.
func TestCSC(t *testing.T) {
	p := newPKI()
	for kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			s := serve(t, p, kinds[kind]())
			files, signer, err := sign.Sign(t.Context(), s.open(s.conf()), time.Now(), threeDocs)
			if err != nil || !signer.Equal(s.chain[0]) {
				t.Fatal(err)
			}
			othersVerify(t, p, files)
			if got := s.called(); !slices.Equal(got, oneAuthorization) {
				t.Errorf("called %v", got)
			}
			if v, err := sign.Verify(files[0], p.pool(), nil); err != nil || len(v.Certificates) != 3 {
				t.Errorf("%d certificates, %v", len(v.Certificates), err)
			}
		})
	}
}

// The standard leaves some things to the service.
func TestCSCVariants(t *testing.T) {
	p := newPKI()
	for name, c := range map[string]struct {
		kind   string
		change func(t *testing.T, s *signingService, conf *sign.CSC)
		calls  []string // nil: as usual
	}{
		"the key's algorithm, RSA": {"RSA", func(_ *testing.T, s *signingService, _ *sign.CSC) {
			s.credential["key"].(map[string]any)["algo"] = []string{"1.2.840.113549.1.1.10", "1.2.840.113549.1.1.1"}
		}, nil},
		"the key's algorithm, EC": {"P-256", func(_ *testing.T, s *signingService, _ *sign.CSC) {
			s.credential["key"].(map[string]any)["algo"] = []string{"1.2.840.10045.2.1"}
		}, nil},
		"plain values, P-256": {"P-256", func(_ *testing.T, s *signingService, _ *sign.CSC) { s.plain = true }, nil},
		"plain values, P-384": {"P-384", func(_ *testing.T, s *signingService, _ *sign.CSC) { s.plain = true }, nil},
		"a PIN of another name": {"P-256", func(_ *testing.T, s *signingService, _ *sign.CSC) {
			s.credential["auth"].(map[string]any)["objects"].([]any)[0].(map[string]any)["id"] = "pin_firma"
		}, nil},
		"no PIN": {"P-256", func(_ *testing.T, s *signingService, conf *sign.CSC) {
			s.credential["auth"] = map[string]any{"mode": "explicit"}
			conf.PIN = nil
		}, nil},
		"two at a time": {"P-256", func(_ *testing.T, s *signingService, _ *sign.CSC) { s.credential["multisign"] = 2 },
			append(slices.Clone(oneAuthorization), "credentials/authorize", "signatures/signHash")},
		"one at a time": {"P-256", func(_ *testing.T, s *signingService, _ *sign.CSC) { s.credential["multisign"] = 1 },
			append(slices.Clone(oneAuthorization), "credentials/authorize", "signatures/signHash", "credentials/authorize", "signatures/signHash")},
		"an address with a slash":  {"P-256", func(_ *testing.T, _ *signingService, conf *sign.CSC) { conf.URL += "/" }, nil},
		"no info, not found":       {"P-256", func(_ *testing.T, s *signingService, _ *sign.CSC) { s.instead["info"] = http.NotFound }, nil},
		"no info, not implemented": {"P-256", func(_ *testing.T, s *signingService, _ *sign.CSC) { s.instead["info"] = says(501, "") }, nil},
		"no word of OAuth":         {"P-256", func(_ *testing.T, s *signingService, _ *sign.CSC) { s.info = map[string]any{} }, nil},
		"authorization server of OAuth": {"P-256", func(t *testing.T, s *signingService, _ *sign.CSC) {
			s.info["oauth2"] = elsewhere(t, s).URL + "/as"
		}, []string{"info", "credentials/info", "credentials/authorize", "signatures/signHash"}},
		"authorization server, discovered": {"P-256", func(t *testing.T, s *signingService, _ *sign.CSC) {
			delete(s.info, "oauth2")
			s.info["oauth2Issuer"] = elsewhere(t, s).URL + "/as"
		}, []string{"info", "credentials/info", "credentials/authorize", "signatures/signHash"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, p, kinds[c.kind]())
			conf := s.conf()
			c.change(t, s, &conf)
			files, _, err := sign.Sign(t.Context(), s.open(conf), time.Now(), threeDocs)
			if err != nil {
				t.Fatal(err)
			}
			verified(t, p, files)
			calls := c.calls
			if calls == nil {
				calls = oneAuthorization
			}
			if got := s.called(); !slices.Equal(got, calls) {
				t.Errorf("called %v", got)
			}
		})
	}
}

// elsewhere is an authorization server apart, with its metadata (RFC 8414).
func elsewhere(t *testing.T, s *signingService) *httptest.Server {
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	mux.HandleFunc("POST /as/oauth2/token", s.issueToken)
	mux.HandleFunc("GET /.well-known/oauth-authorization-server/as", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"issuer": server.URL + "/as", "token_endpoint": server.URL + "/as/oauth2/token"})
	})
	return server
}

// A key that is kept signs again with its token.
func TestCSCTwice(t *testing.T) {
	p := newPKI()
	s := serve(t, p, ec256Key())
	key := s.open(s.conf())
	for range 2 {
		files, _, err := sign.Sign(t.Context(), key, time.Now(), threeDocs)
		if err != nil {
			t.Fatal(err)
		}
		verified(t, p, files)
	}
	if got, want := s.called(), append(slices.Clone(oneAuthorization), "credentials/authorize", "signatures/signHash"); !slices.Equal(got, want) {
		t.Errorf("called %v", got)
	}
}

// Off this machine only https is spoken, with a certificate that is trusted.
func TestCSCAddress(t *testing.T) {
	for _, address := range []string{
		"", "csc.example.it/csc/v2", "http://csc.example.it/csc/v2", "http://192.0.2.1/csc/v2", "ftp://127.0.0.1/csc/v2", "https:///csc/v2", "://",
		"https://utente:" + cscSecret + "@csc.example.it/csc/v2", "https://csc.example.it/csc/v2?chiave=" + cscSecret, "https://csc.example.it/csc/v2#" + cscSecret,
	} {
		key, err := sign.OpenCSC(sign.CSC{URL: address})
		if key != nil || !errorIs(err, sign.ErrUnusable) || strings.Contains(err.Error(), cscSecret) {
			t.Errorf("%q: %v", address, err)
		}
	}
	p := newPKI()
	s := serve(t, p, ec256Key())
	server := httptest.NewUnstartedServer(s)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // it tells of the client that does not trust it
	server.StartTLS()
	defer server.Close()
	s.info["oauth2"] = server.URL + "/csc/v2"
	conf := s.conf()
	conf.URL, conf.Client = server.URL+"/csc/v2", server.Client()
	files, _, err := sign.Sign(t.Context(), s.open(conf), time.Now(), threeDocs)
	if err != nil {
		t.Fatal(err)
	}
	verified(t, p, files)
	s.info["oauth2"] = s.url // on this machine, but the service might be elsewhere
	if _, _, err := sign.Sign(t.Context(), s.open(conf), time.Now(), threeDocs); !errorIs(err, sign.ErrRefused) || !strings.Contains(err.Error(), "not reached by https") {
		t.Errorf("an authorization server without https: %v", err)
	}
	conf.Client = nil // which does not know the server's certificate
	if _, _, err := sign.Sign(t.Context(), s.open(conf), time.Now(), threeDocs); !errorIs(err, sign.ErrUnreachable) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an untrusted server: %v", err)
	}
}
