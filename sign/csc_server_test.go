package sign_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/protodaemon/protodaemon/sign"
)

// The secrets of the tests; none may be in an error.
const (
	cscPIN    = "31415926"
	cscSecret = "segreto-del-cliente"
)

// signingService is a remote signing service as the Cloud Signature Consortium's
// API 2.0 has it: client credentials, one credential that a PIN authorizes, and
// signature activation data (SAD) for exactly the hashes that were authorized,
// once, and not for long.
type signingService struct {
	t     testing.TB
	key   crypto.Signer
	chain []*x509.Certificate
	url   string

	mu      sync.Mutex
	methods []string // that were called
	tokens  map[string]bool
	sads    map[string]activation
	wrong   int           // PINs in a row
	late    time.Duration // passes between authorization and signature
	plain   bool          // ECDSA values as two numbers of fixed width
	// credential is what credentials/info answers.
	credential map[string]any
	// info is what info answers.
	info map[string]any
	// instead answers a method in its place.
	instead map[string]http.HandlerFunc
}

// activation is what a SAD is good for.
type activation struct {
	hashes  []string
	expires time.Time
}

const (
	cscCredential = "GX0112348"
	wrongMost     = 3
)

// algorithms are the identifiers of each kind of key, of a signature and of the
// key.
func algorithms(key crypto.PublicKey) []string {
	if _, ok := key.(*ecdsa.PublicKey); ok {
		return []string{"1.2.840.10045.4.3.2", "1.2.840.10045.2.1"}
	}
	return []string{"1.2.840.113549.1.1.11", "1.2.840.113549.1.1.1"}
}

func newSigningService(t testing.TB, key crypto.Signer, chain []*x509.Certificate) *signingService {
	t.Helper()
	s := &signingService{t: t, key: key, chain: chain, tokens: map[string]bool{}, sads: map[string]activation{}, instead: map[string]http.HandlerFunc{}}
	var certificates []string
	for _, c := range chain {
		certificates = append(certificates, base64.StdEncoding.EncodeToString(c.Raw))
	}
	s.credential = map[string]any{
		"description": "Firma automatica", "SCAL": "2", "multisign": 5, "lang": "it-IT",
		"key":  map[string]any{"status": "enabled", "algo": algorithms(key.Public()), "len": 256},
		"cert": map[string]any{"status": "valid", "certificates": certificates},
		"auth": map[string]any{"mode": "explicit", "expression": "PIN", "objects": []any{map[string]any{"type": "Password", "id": "PIN", "format": "N", "label": "PIN"}}},
	}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.url = server.URL + "/csc/v2"
	s.info = map[string]any{"specs": "2.0.0.0", "name": "Prova", "region": "IT", "authType": []string{"oauth2client"}, "oauth2": s.url}
	return s
}

// conf is what a client of the service is told.
func (s *signingService) conf() sign.CSC {
	return sign.CSC{URL: s.url, ClientID: "protocollo", ClientSecret: cscSecret, Credential: cscCredential, PIN: []byte(cscPIN)}
}

func (s *signingService) open(conf sign.CSC) sign.Key {
	s.t.Helper()
	key, err := sign.OpenCSC(conf)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		if err := key.Close(); err != nil {
			s.t.Error(err)
		}
	})
	return key
}

// called are the methods that were, since the last time.
func (s *signingService) called() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	methods := s.methods
	s.methods = nil
	return methods
}

func (s *signingService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	method := strings.TrimPrefix(r.URL.Path, "/csc/v2/")
	s.methods = append(s.methods, method)
	if f := s.instead[method]; f != nil {
		f(w, r)
		return
	}
	if method == "oauth2/token" {
		s.issueToken(w, r)
		return
	}
	handle := map[string]func(map[string]any) (any, *cscError){
		"credentials/info": s.credentialInfo, "credentials/authorize": s.authorize, "signatures/signHash": s.signHash,
		"info": func(map[string]any) (any, *cscError) { return s.info, nil },
	}[method]
	var params map[string]any
	bearer, authorized := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	switch {
	case handle == nil || r.Method != http.MethodPost:
		refuse(w, http.StatusNotImplemented, "invalid_request", "not implemented")
	case r.Header.Get("Content-Type") != "application/json" || json.NewDecoder(r.Body).Decode(&params) != nil:
		refuse(w, http.StatusBadRequest, "invalid_request", "The request is malformed")
	case method != "info" && !authorized:
		refuse(w, http.StatusBadRequest, "invalid_request", "Malformed authorization header")
	case method != "info" && !s.tokens[bearer]:
		refuse(w, http.StatusUnauthorized, "invalid_token", "The access token is not valid")
	default:
		answer, refusal := handle(params)
		if refusal != nil {
			refuse(w, http.StatusBadRequest, refusal.code, refusal.says)
			return
		}
		_ = json.NewEncoder(w).Encode(answer)
	}
}

// cscError is a refusal of a method (§10.2).
type cscError struct{ code, says string }

func invalid(says string) *cscError { return &cscError{"invalid_request", says} }

func refuse(w http.ResponseWriter, status int, code, says string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": code, "error_description": says})
}

// issueToken is §8.4.4 with client credentials.
func (s *signingService) issueToken(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method != http.MethodPost || r.ParseForm() != nil || r.PostForm.Get("grant_type") != "client_credentials":
		refuse(w, http.StatusBadRequest, "invalid_request", "Invalid parameter grant_type")
	case r.PostForm.Get("scope") != "service":
		refuse(w, http.StatusBadRequest, "invalid_scope", "The scope is another")
	case r.PostForm.Get("client_id") != "protocollo":
		refuse(w, http.StatusBadRequest, "invalid_request", "Invalid parameter client_id")
	case r.PostForm.Get("client_secret") != cscSecret:
		refuse(w, http.StatusBadRequest, "invalid_request", "Invalid parameter client_secret")
	default:
		token := rand.Text()
		s.tokens[token] = true
		_ = json.NewEncoder(w).Encode(map[string]any{"access_token": token, "token_type": "Bearer", "expires_in": 3600})
	}
}

func (s *signingService) credentialInfo(params map[string]any) (any, *cscError) {
	if params["credentialID"] != cscCredential {
		return nil, invalid("Invalid parameter credentialID")
	}
	if params["certificates"] != "chain" || params["authInfo"] != true {
		return nil, invalid("Invalid parameter certificates")
	}
	return s.credential, nil
}

// authorize is §11.6.
func (s *signingService) authorize(params map[string]any) (any, *cscError) {
	hashes, refusal := hashesOf(params)
	n, ok := params["numSignatures"].(float64)
	switch {
	case refusal != nil:
		return nil, refusal
	case params["credentialID"] != cscCredential:
		return nil, invalid("Invalid parameter credentialID")
	case !ok || int(n) != len(hashes):
		return nil, invalid("Invalid value for parameter numSignatures")
	case int(n) > s.credential["multisign"].(int):
		return nil, invalid("Numbers of signatures is too high")
	case s.wrong >= wrongMost:
		return nil, invalid("Credential locked")
	case !s.authentic(params["authData"]):
		s.wrong++
		return nil, &cscError{"invalid_authentication_data", "The authentication data is invalid"}
	}
	s.wrong = 0
	sad := rand.Text()
	s.sads[sad] = activation{hashes, time.Now().Add(time.Minute)}
	return map[string]any{"SAD": sad, "expiresIn": 60}, nil
}

// authentic tells whether exactly what the credential wants was told.
func (s *signingService) authentic(authData any) bool {
	wants, _ := s.credential["auth"].(map[string]any)["objects"].([]any)
	told, _ := authData.([]any)
	if len(told) != len(wants) {
		return false
	}
	for i, want := range wants {
		got, _ := told[i].(map[string]any)
		if len(got) != 2 || got["id"] != want.(map[string]any)["id"] || got["value"] != cscPIN {
			return false
		}
	}
	return true
}

// signHash is §11.10. A SAD is good for the hashes it was given for, and once.
func (s *signingService) signHash(params map[string]any) (any, *cscError) {
	hashes, refusal := hashesOf(params)
	sad, _ := params["SAD"].(string)
	allowed, ok := s.sads[sad]
	offered := s.credential["key"].(map[string]any)["algo"].([]string)
	algorithm, _ := params["signAlgo"].(string)
	switch {
	case refusal != nil:
		return nil, refusal
	case !ok || params["credentialID"] != cscCredential:
		return nil, invalid("Invalid parameter SAD")
	case time.Now().Add(s.late).After(allowed.expires):
		return nil, invalid("SAD expired")
	case !slices.Equal(hashes, allowed.hashes):
		return nil, invalid("Hash is not authorized by the SAD")
	case !slices.Contains(offered, algorithm):
		return nil, invalid("Invalid parameter signAlgo")
	}
	delete(s.sads, sad)
	var signatures []string
	for _, h := range hashes {
		value := must(s.key.Sign(rand.Reader, must(base64.StdEncoding.DecodeString(h)), crypto.SHA256))
		if s.plain {
			value = plainECDSA(s.key, value)
		}
		signatures = append(signatures, base64.StdEncoding.EncodeToString(value))
	}
	return map[string]any{"signatures": signatures}, nil
}

// hashesOf reads SHA-256 digests.
func hashesOf(params map[string]any) (hashes []string, refusal *cscError) {
	list, _ := params["hashes"].([]any)
	if len(list) == 0 {
		return nil, invalid("Empty hash array")
	}
	for _, h := range list {
		text, _ := h.(string)
		b, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, invalid("Invalid Base64 hash string parameter")
		}
		if len(b) != 32 {
			return nil, invalid("Invalid digest value length")
		}
		hashes = append(hashes, text)
	}
	if params["hashAlgorithmOID"] != "2.16.840.1.101.3.4.2.1" {
		return nil, invalid("Invalid parameter hashAlgorithmOID")
	}
	return hashes, nil
}

// plainECDSA is a value as two numbers of the curve's width.
func plainECDSA(key crypto.Signer, value []byte) []byte {
	var v struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(value, &v); err != nil {
		panic(err)
	}
	width := key.Public().(*ecdsa.PublicKey).Curve.Params().BitSize / 8
	return append(v.R.FillBytes(make([]byte, width)), v.S.FillBytes(make([]byte, width))...)
}

// says answers with a status and a text.
func says(status int, text string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		fmt.Fprint(w, text)
	}
}
