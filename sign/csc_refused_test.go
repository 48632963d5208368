package sign_test

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/protodaemon/protodaemon/cms"
	"github.com/protodaemon/protodaemon/sign"
)

func errorIs(err, target error) bool { return err != nil && errors.Is(err, target) }

// Each thing that can go wrong with a service: what the error is and says, and
// how many authorizations were asked for in vain.
func TestCSCRefused(t *testing.T) {
	p := newPKI()
	now := time.Now()
	key := func(s *signingService) map[string]any { return s.credential["key"].(map[string]any) }
	cert := func(s *signingService) map[string]any { return s.credential["cert"].(map[string]any) }
	auth := func(s *signingService) map[string]any { return s.credential["auth"].(map[string]any) }
	object := func(kind, id, generator string) map[string]any {
		return map[string]any{"type": kind, "id": id, "generator": generator}
	}
	pinAnd := func(other map[string]any) func(*signingService, *sign.CSC) {
		return func(s *signingService, _ *sign.CSC) {
			auth(s)["expression"] = "PASSWORD AND OTP"
			auth(s)["objects"] = []any{object("Password", "PIN", ""), other}
		}
	}
	instead := func(method string, f http.HandlerFunc) func(*signingService, *sign.CSC) {
		return func(s *signingService, _ *sign.CSC) { s.instead[method] = f }
	}
	refusing := func(method, code, says string) func(*signingService, *sign.CSC) {
		return instead(method, func(w http.ResponseWriter, _ *http.Request) { refuse(w, http.StatusBadRequest, code, says) })
	}
	issue := func(change func(*x509.Certificate)) func(*signingService, *sign.CSC) {
		return func(s *signingService, _ *sign.CSC) {
			cert(s)["certificates"] = []string{base64.StdEncoding.EncodeToString(p.issue(ec256Key().Public(), change).Raw)}
		}
	}
	for name, c := range map[string]struct {
		change     func(*signingService, *sign.CSC)
		is         error
		says       string
		authorized int
	}{
		// The PIN, of this version of the API and of the first.
		"wrong PIN":            {func(_ *signingService, c *sign.CSC) { c.PIN = []byte("00000000") }, sign.ErrPIN, "authentication data is invalid", 1},
		"wrong PIN, version 1": {refusing("credentials/authorize", "invalid_pin", "The PIN is invalid"), sign.ErrPIN, "invalid_pin", 1},
		"wrong PIN, in words":  {refusing("credentials/authorize", "invalid_request", "The PIN is invalid"), sign.ErrPIN, "", 1},
		"wrong OTP":            {refusing("signatures/signHash", "invalid_otp", "The OTP is invalid"), sign.ErrPIN, "", 1},
		"no PIN":               {func(_ *signingService, c *sign.CSC) { c.PIN = nil }, sign.ErrUnusable, "wants a PIN, and none is given", 0},
		// Not a PIN, for all the letters.
		"a mapping": {refusing("credentials/authorize", "invalid_request", "The mapping of the spinning typing shipped no pinion"), sign.ErrRefused, "", 1},

		"locked":              {func(s *signingService, _ *sign.CSC) { s.wrong = wrongMost }, sign.ErrLocked, "Credential locked", 1},
		"locked PIN":          {refusing("credentials/authorize", "invalid_request", "PIN locked"), sign.ErrLocked, "", 1},
		"locked, by its code": {refusing("credentials/authorize", "credential_locked", ""), sign.ErrLocked, "credential_locked", 1},
		"disabled":            {func(s *signingService, _ *sign.CSC) { key(s)["status"] = "disabled" }, sign.ErrLocked, "is disabled", 0},
		"disabled since":      {refusing("credentials/authorize", "invalid_request", "The credential identified by credentialID is disabled"), sign.ErrLocked, "is disabled", 1},

		"certificate expired, it says": {func(s *signingService, _ *sign.CSC) { cert(s)["status"] = "expired" }, sign.ErrExpired, "is expired", 0},
		"certificate revoked":          {func(s *signingService, _ *sign.CSC) { cert(s)["status"] = "revoked" }, sign.ErrExpired, "is revoked", 0},
		"certificate suspended":        {func(s *signingService, _ *sign.CSC) { cert(s)["status"] = "suspended" }, sign.ErrExpired, "is suspended", 0},
		"certificate expired, it is":   {issue(func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Minute) }), sign.ErrExpired, "renew it", 0},
		"certificate expired since":    {refusing("signatures/signHash", "invalid_request", "Signing certificate 'CN=x' is expired"), sign.ErrExpired, "", 1},
		"certificate for mail":         {issue(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyAgreement }), sign.ErrUnusable, "not for signatures", 0},
		"no certificate":               {func(s *signingService, _ *sign.CSC) { delete(cert(s), "certificates") }, sign.ErrUnusable, "gave no certificate", 0},
		"certificate not base64":       {func(s *signingService, _ *sign.CSC) { cert(s)["certificates"] = []string{"***"} }, sign.ErrUnusable, "a certificate of the signing service", 0},
		"not a certificate":            {func(s *signingService, _ *sign.CSC) { cert(s)["certificates"] = []string{"AAAA"} }, sign.ErrUnusable, "a certificate of the signing service", 0},
		"1000 certificates": {func(s *signingService, _ *sign.CSC) {
			cert(s)["certificates"] = slices.Repeat(cert(s)["certificates"].([]string)[:1], 1000)
		}, sign.ErrUnusable, "certificates come with it", 0},

		"holder in a browser":      {func(s *signingService, _ *sign.CSC) { auth(s)["mode"] = "oauth2code" }, sign.ErrUnusable, "in a browser", 0},
		"PIN and one-time code":    {pinAnd(object("Password", "OTP", "totp")), sign.ErrUnusable, "more than a PIN", 0},
		"PIN and code by SMS":      {pinAnd(object("PasswordOOB", "OTP", "")), sign.ErrUnusable, "more than a PIN", 0},
		"PIN and challenge":        {pinAnd(object("ChallengeResponse", "OTP", "")), sign.ErrUnusable, "more than a PIN", 0},
		"two PINs":                 {pinAnd(object("Password", "PIN2", "")), sign.ErrUnusable, "more than a PIN", 0},
		"waits for the holder":     {instead("credentials/authorize", says(http.StatusAccepted, `{"handle":"878287"}`)), sign.ErrUnusable, "waits for the holder", 1},
		"another algorithm":        {func(s *signingService, _ *sign.CSC) { key(s)["algo"] = []string{"1.2.840.113549.1.1.10"} }, sign.ErrUnusable, "1.2.840.113549.1.1.10", 0},
		"unknown credential":       {func(_ *signingService, c *sign.CSC) { c.Credential = "altra" }, sign.ErrRefused, "Invalid parameter credentialID", 0},
		"too many at once":         {refusing("credentials/authorize", "invalid_request", "Numbers of signatures is too high"), sign.ErrRefused, "too high", 1},
		"unknown client":           {func(_ *signingService, c *sign.CSC) { c.ClientID = "altro" }, sign.ErrRefused, "client_id", 0},
		"wrong secret":             {func(_ *signingService, c *sign.CSC) { c.ClientSecret = "altro" }, sign.ErrPIN, "client_secret", 0},
		"wrong secret, in OAuth":   {instead("oauth2/token", func(w http.ResponseWriter, _ *http.Request) { refuse(w, 401, "invalid_client", "") }), sign.ErrPIN, "invalid_client", 0},
		"no token":                 {instead("oauth2/token", says(200, "{}")), sign.ErrRefused, "gave no token", 0},
		"token not taken":          {instead("oauth2/token", says(200, `{"access_token":"falso"}`)), sign.ErrRefused, "invalid_token", 0},
		"OAuth server in clear":    {func(s *signingService, _ *sign.CSC) { s.info["oauth2"] = "http://as.example.it/" }, sign.ErrRefused, "not reached by https", 0},
		"OAuth issuer in clear":    {func(s *signingService, _ *sign.CSC) { s.info = map[string]any{"oauth2Issuer": "http://as.example.it/"} }, sign.ErrRefused, "not reached by https", 0},
		"OAuth server nowhere":     {func(s *signingService, _ *sign.CSC) { s.info["oauth2"] = "://" }, sign.ErrRefused, "not reached by https", 0},
		"OAuth server down":        {func(s *signingService, _ *sign.CSC) { s.info["oauth2"] = "http://" + closedPort(t) }, sign.ErrUnreachable, "refused", 0},
		"SAD expired":              {func(s *signingService, _ *sign.CSC) { s.late = 2 * time.Minute }, sign.ErrRefused, "SAD expired", 1},
		"SAD of another signature": {instead("credentials/authorize", says(200, `{"SAD":"falsa"}`)), sign.ErrRefused, "Invalid parameter SAD", 1},
		"no SAD":                   {instead("credentials/authorize", says(200, `{}`)), sign.ErrRefused, "no SAD", 1},

		"signatures of another key":   {func(s *signingService, _ *sign.CSC) { s.key = ec384Key() }, sign.ErrUnusable, "does not fit the certificate", 1},
		"signatures of an equal kind": {func(s *signingService, _ *sign.CSC) { s.key, s.plain = p.key, true }, cms.ErrMismatch, "does not fit the certificate", 1},
		"too few signatures":          {instead("signatures/signHash", says(200, `{"signatures":["AAAA"]}`)), sign.ErrRefused, "1 signatures for 3", 1},
		"too many signatures":         {instead("signatures/signHash", says(200, `{"signatures":["AAAA","AAAA","AAAA","AAAA"]}`)), sign.ErrRefused, "4 signatures for 3", 1},
		"an answer later":             {instead("signatures/signHash", says(200, `{"responseID":"158112"}`)), sign.ErrRefused, "0 signatures for 3", 1},
		"signatures not base64":       {instead("signatures/signHash", says(200, `{"signatures":["*","*","*"]}`)), sign.ErrRefused, "not base64", 1},
		"signatures of nothing":       {instead("signatures/signHash", says(200, `{"signatures":["","",""]}`)), sign.ErrUnusable, "does not fit the certificate", 1},

		"busy":              {instead("credentials/info", says(503, "", "Retry-After", "120")), sign.ErrUnreachable, "503 Service Unavailable", 0},
		"broken":            {instead("signatures/signHash", says(500, `{"error":"server_error"}`)), sign.ErrUnreachable, "500", 1},
		"unavailable":       {refusing("credentials/authorize", "temporarily_unavailable", ""), sign.ErrUnreachable, "temporarily_unavailable", 1},
		"too often":         {instead("oauth2/token", says(429, "")), sign.ErrUnreachable, "429", 0},
		"info busy":         {instead("info", says(503, "")), sign.ErrUnreachable, "503", 0},
		"oversized":         {instead("credentials/info", says(200, `"`+strings.Repeat("x", 2<<20)+`"`)), sign.ErrRefused, "larger than 1048576 bytes", 0},
		"HTML":              {instead("credentials/info", says(200, "<html>")), sign.ErrRefused, "not the JSON that is expected", 0},
		"other types":       {instead("credentials/authorize", says(200, `{"SAD":31415926}`)), sign.ErrRefused, "not the JSON that is expected", 1},
		"redirected":        {instead("credentials/authorize", says(307, "", "Location", "/csc/v2/elsewhere")), sign.ErrRefused, "307", 1},
		"not found":         {instead("credentials/info", http.NotFound), sign.ErrRefused, "404 Not Found", 0},
		"line broken":       {instead("credentials/authorize", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), sign.ErrUnreachable, "credentials/authorize", 1},
		"service not there": {func(_ *signingService, c *sign.CSC) { c.URL = "http://" + closedPort(t) + "/csc/v2" }, sign.ErrUnreachable, "refused", 0},
		"words for a log":   {refusing("credentials/authorize", "x\n\x1b[31m", strings.Repeat("y\u202e", 5000)), sign.ErrRefused, "", 1},
		"words with secrets": {instead("signatures/signHash", func(w http.ResponseWriter, r *http.Request) {
			var told map[string]any
			_ = json.NewDecoder(r.Body).Decode(&told)
			refuse(w, 400, "invalid_request", "PINs "+cscPIN+" and "+cscSecret+" and "+r.Header.Get("Authorization")+" and "+told["SAD"].(string))
		}), sign.ErrRefused, "*** and *** and Bearer *** and ***", 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, p, ec256Key())
			conf := s.conf()
			c.change(s, &conf)
			files, _, err := sign.Sign(t.Context(), s.open(conf), now, threeDocs)
			if files != nil || !errorIs(err, c.is) || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("%v", err)
			}
			calls := s.called()
			n := 0
			for _, m := range calls {
				if m == "credentials/authorize" {
					n++
				}
			}
			if n != c.authorized || slices.Contains(calls, "elsewhere") {
				t.Errorf("%v was called", calls)
			}
			fitForLog(t, s, err)
		})
	}
}

// fitForLog: an error is short, of one line, and holds no secret.
func fitForLog(t *testing.T, s *signingService, err error) {
	t.Helper()
	secrets := []string{cscPIN, cscSecret, s.url}
	for token := range s.tokens {
		secrets = append(secrets, token)
	}
	for sad := range s.sads {
		secrets = append(secrets, sad)
	}
	for _, secret := range secrets {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("%q is in %v", secret, err)
		}
	}
	if strings.ContainsAny(err.Error(), "\x1b\n\u202e") || len(err.Error()) > 1000 {
		t.Errorf("not fit for a log: %q", err)
	}
}

// closedPort is an address at which nobody listens.
func closedPort(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Three wrong PINs lock a credential; each is tried once by one signature.
func TestCSCLocks(t *testing.T) {
	s := serve(t, newPKI(), ec256Key())
	conf := s.conf()
	conf.PIN = []byte("00000000")
	for n := range wrongMost {
		if _, _, err := sign.Sign(t.Context(), s.open(conf), time.Now(), threeDocs); !errorIs(err, sign.ErrPIN) || s.wrong != n+1 {
			t.Fatalf("after %d: %v", s.wrong, err)
		}
	}
	if _, _, err := sign.Sign(t.Context(), s.open(s.conf()), time.Now(), threeDocs); !errorIs(err, sign.ErrLocked) || errors.Is(err, sign.ErrPIN) {
		t.Errorf("then: %v", err)
	}
}

// A busy service says when to come again.
func TestCSCRetryAfter(t *testing.T) {
	s := serve(t, newPKI(), ec256Key())
	s.instead["credentials/authorize"] = says(503, "", "Retry-After", "120")
	_, _, err := sign.Sign(t.Context(), s.open(s.conf()), time.Now(), threeDocs)
	var later interface{ RetryAfter() time.Duration }
	if !errors.As(err, &later) || later.RetryAfter() != 2*time.Minute {
		t.Error(err)
	}
}

// The service of the tests holds a SAD to what it was given for: it can refuse.
func TestSigningServiceHoldsSAD(t *testing.T) {
	s := serve(t, newPKI(), ec256Key())
	hash := func(b byte) string { return base64.StdEncoding.EncodeToString(append(make([]byte, 31), b)) }
	common := map[string]any{"credentialID": cscCredential, "hashAlgorithmOID": "2.16.840.1.101.3.4.2.1", "signAlgo": "1.2.840.10045.4.3.2", "numSignatures": 2.0,
		"authData": []any{map[string]any{"id": "PIN", "value": cscPIN}}, "hashes": []any{hash(1), hash(2)}}
	allowed, refusal := s.authorize(common)
	if refusal != nil {
		t.Fatal(refusal)
	}
	common["SAD"] = allowed.(map[string]any)["SAD"]
	for _, hashes := range [][]any{{hash(1)}, {hash(2), hash(1)}, {hash(1), hash(3)}, {hash(1), hash(2), hash(3)}} {
		common["hashes"] = hashes
		if _, refusal := s.signHash(common); refusal == nil || refusal.says != "Hash is not authorized by the SAD" {
			t.Errorf("%v: %v", hashes, refusal)
		}
	}
	common["hashes"] = []any{hash(1), hash(2)}
	if _, refusal := s.signHash(common); refusal != nil {
		t.Error(refusal)
	}
	if _, refusal := s.signHash(common); refusal == nil || refusal.says != "Invalid parameter SAD" {
		t.Errorf("a second time: %v", refusal)
	}
}

// A service that never answers is given up after a minute, or when nobody waits
// any more.
func TestCSCSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key, err := sign.OpenCSC(sign.CSC{URL: "http://127.0.0.1/csc/v2", PIN: []byte(cscPIN), Client: silent(t)})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		_, err = key.Chain(t.Context())
		if !errorIs(err, sign.ErrUnreachable) || !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Minute {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began = time.Now()
		if _, err := key.Chain(ctx); !errorIs(err, sign.ErrUnreachable) || time.Since(began) != time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		if err := key.Close(); err != nil {
			t.Error(err)
		}
	})
}
