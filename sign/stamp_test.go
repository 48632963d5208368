package sign_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/protodaemon/protodaemon/cms"
	"github.com/protodaemon/protodaemon/sign"
)

// CAdES B-T: openssl verifies signature and token, and we both; the policy asked
// for is that of the stamp.
func TestCAdESWithStamp(t *testing.T) {
	s, p := newTSA(t, nil), newPKI()
	for kind := range kinds {
		p7m := signed(t, p, kind, time.Now(), sign.Document{Format: sign.CAdES, Content: []byte("contenuto")})
		a := s.authority("prova")
		a.Policy = "1.3.6.1.4.1.99999.5"
		stamped, got, err := sign.AddStamp(t.Context(), []sign.Authority{a}, p7m)
		if err != nil {
			t.Fatal(err)
		}
		if got.Authority != "prova" || got.Policy.String() != a.Policy || time.Since(got.Time).Abs() > time.Minute || !got.Certificate.Equal(s.cert) {
			t.Errorf("%s: %+v", kind, got)
		}
		opensslVerifies(t, p, stamped, []byte("contenuto"))
		sd := must(cms.Parse(stamped))
		digest := sha256.Sum256(sd.Signers[0].Signature)
		s.opensslStamp(got.Token, digest[:])
		v, err := sign.Verify(stamped, p.pool(), s.pki.pool())
		if err != nil || v.Stamp == nil || !v.Stamp.Time.Equal(got.Time) || string(v.Content) != "contenuto" {
			t.Errorf("%s: %v, %+v", kind, err, v.Stamp)
		}
		if _, err := sign.Verify(stamped, p.pool(), p.pool()); err == nil || !strings.Contains(err.Error(), "the time stamp") {
			t.Errorf("%s: a stamp of an unknown authority: %v", kind, err)
		}
		// The token is of another signature.
		other := signed(t, p, kind, time.Now(), sign.Document{Format: sign.CAdES, Content: []byte("altro")})
		if _, err := sign.Verify(must(cms.AddToken(other, got.Token)), p.pool(), s.pki.pool()); !errors.Is(err, cms.ErrMismatch) {
			t.Errorf("%s: a stamp of another signature: %v", kind, err)
		}
		// What cannot be stamped costs no stamp.
		s.asked()
		for name, file := range map[string][]byte{"stamped already": stamped, "no signature": []byte("x"), "empty": nil} {
			if _, _, err := sign.AddStamp(t.Context(), []sign.Authority{a}, file); !errors.Is(err, cms.ErrMalformed) {
				t.Errorf("%s: %s: %v", kind, name, err)
			}
		}
		if n := s.asked(); n != 0 {
			t.Errorf("%d stamps were asked for in vain", n)
		}
	}
}

// A certificate that expired is no obstacle where a stamp shows that the
// signature is older; where the stamp is younger, what the signer says of the
// time counts for nothing.
func TestStampDecidesTheTime(t *testing.T) {
	s, p := newTSA(t, nil), newPKI()
	now := time.Now()
	key := &memory{key: ec256Key(), chain: p.chain(p.issue(ec256Key().Public(), func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Minute) }))}
	files, _, err := sign.Sign(t.Context(), key, now.Add(-time.Hour/2), []sign.Document{{Format: sign.CAdES, Content: []byte("x")}})
	if err != nil {
		t.Fatal(err)
	}
	responder := cms.Responder{Key: rsaKey(), Chain: s.pki.chain(s.cert), Policy: asn1.ObjectIdentifier{1, 2, 3}}
	for ago, want := range map[time.Duration]error{20 * time.Minute: nil, 0: sign.ErrExpired} {
		s.answers(func(w http.ResponseWriter, q []byte, _ func([]byte) []byte) {
			_, _ = w.Write(must(responder.Respond(q, big.NewInt(7), now.Add(-ago))))
		})
		stamped, _, err := sign.AddStamp(t.Context(), []sign.Authority{s.authority("prova")}, files[0])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := sign.Verify(stamped, p.pool(), s.pki.pool()); !errors.Is(err, want) {
			t.Errorf("stamped %v ago: %v", ago, err)
		}
	}
}

// The first authority that gives a stamp is the one that is named; those after
// it are not asked.
func TestSecondAuthority(t *testing.T) {
	first, second, third := newTSA(t, nil), newTSA(t, nil), newTSA(t, nil)
	digest := sha256.Sum256([]byte("x"))
	all := []sign.Authority{first.authority("prima"), second.authority("seconda"), third.authority("terza")}
	first.answers(status(http.StatusServiceUnavailable, "Retry-After", "120"))
	got, err := sign.Stamp(t.Context(), all, digest[:])
	if err != nil || got.Authority != "seconda" || !got.Certificate.Equal(second.cert) {
		t.Errorf("%s, %v", got.Authority, err)
	}
	if a, b, c := first.asked(), second.asked(), third.asked(); a != 1 || b != 1 || c != 0 {
		t.Errorf("asked %d, %d, %d times", a, b, c)
	}
	second.opensslStamp(got.Token, digest[:])
	// When none gives one, each is heard.
	second.answers(status(http.StatusUnauthorized))
	third.answers(status(http.StatusNotFound))
	_, err = sign.Stamp(t.Context(), all, digest[:])
	var later interface{ RetryAfter() time.Duration }
	if !errors.Is(err, sign.ErrUnreachable) || !errors.Is(err, sign.ErrRefused) || !errors.As(err, &later) || later.RetryAfter() != 2*time.Minute {
		t.Errorf("%v", err)
	}
	for _, words := range []string{"authority prima: ", "503", "authority seconda: ", "user name and password", "authority terza: ", "check the URL"} {
		if !strings.Contains(err.Error(), words) {
			t.Errorf("%q is not in %v", words, err)
		}
	}
	if _, err := sign.Stamp(t.Context(), nil, digest[:]); !errors.Is(err, sign.ErrUnusable) {
		t.Errorf("no authority: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := sign.Stamp(ctx, all, digest[:]); !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "seconda") {
		t.Errorf("cancelled: %v", err)
	}
}

// Answers that are no stamp for this request, under this policy, of a trusted
// authority.
func TestStampRefused(t *testing.T) {
	s := newTSA(t, nil)
	digest := sha256.Sum256([]byte("x"))
	other := sha256.Sum256([]byte("y"))
	type answer = func(http.ResponseWriter, []byte, func([]byte) []byte)
	changed := func(change func(*query)) answer {
		return func(w http.ResponseWriter, q []byte, reply func([]byte) []byte) {
			_, _ = w.Write(reply(rewritten(q, change)))
		}
	}
	body := func(b []byte) answer {
		return func(w http.ResponseWriter, _ []byte, _ func([]byte) []byte) { _, _ = w.Write(b) }
	}
	elsewhere := newTSA(t, nil)
	for name, c := range map[string]struct {
		answer answer
		policy string
		is     error
		also   error // beside it
		says   string
	}{
		"wrong imprint":    {changed(func(q *query) { q.Imprint.FullBytes = bytes.Replace(q.Imprint.FullBytes, digest[:], other[:], 1) }), "", sign.ErrRefused, cms.ErrMismatch, "another digest"},
		"wrong nonce":      {changed(func(q *query) { q.Nonce.Add(q.Nonce, big.NewInt(1)) }), "", sign.ErrRefused, cms.ErrMismatch, "nonce"},
		"no nonce":         {changed(func(q *query) { q.Nonce = nil }), "", sign.ErrRefused, cms.ErrMismatch, "nonce"},
		"wrong policy":     {changed(func(q *query) { q.Policy = nil }), "1.3.6.1.4.1.99999.5", sign.ErrRefused, cms.ErrMismatch, "under policy 1.3.6.1.4.1.99999.1"},
		"unknown policy":   {nil, "1.2.3.4", sign.ErrRefused, nil, "the policy is not accepted"},
		"no certificate":   {changed(func(q *query) { q.Certs = false }), "", sign.ErrRefused, cms.ErrNoCertificate, ""},
		"garbage":          {body([]byte("<html>")), "", sign.ErrRefused, cms.ErrMalformed, ""},
		"nothing":          {body(nil), "", sign.ErrRefused, cms.ErrMalformed, ""},
		"granted, no more": {body([]byte{0x30, 5, 0x30, 3, 2, 1, 0}), "", sign.ErrRefused, cms.ErrMalformed, ""},
		"deep":             {body(bytes.Repeat([]byte{0x30, 0x80}, 1000)), "", sign.ErrRefused, cms.ErrBounds, ""},
		"oversized":        {body(make([]byte, 2<<20)), "", sign.ErrRefused, nil, "larger than 1048576 bytes"},
		"hostile words":    {body(refusalSaying("\x1b[31m\nlevel=ERROR " + strings.Repeat("x", 5000))), "", sign.ErrRefused, nil, "status 2"},
		"a changed byte": {func(w http.ResponseWriter, q []byte, reply func([]byte) []byte) {
			b := reply(q)
			b[len(b)-10] ^= 1
			_, _ = w.Write(b)
		}, "", sign.ErrRefused, cms.ErrMismatch, ""},
		"of another":    {func(w http.ResponseWriter, q []byte, _ func([]byte) []byte) { _, _ = w.Write(elsewhere.reply(q)) }, "", sign.ErrRefused, x509.UnknownAuthorityError{}, "does not lead to a trusted certificate"},
		"a redirection": {status(http.StatusFound, "Location", elsewhere.url), "", sign.ErrRefused, nil, "302 Found; check the URL"},
		"401":           {status(http.StatusUnauthorized), "", sign.ErrRefused, nil, "check user name and password"},
		"403":           {status(http.StatusForbidden), "", sign.ErrRefused, nil, "check user name and password"},
		"404":           {status(http.StatusNotFound), "", sign.ErrRefused, nil, "check the URL"},
		"501":           {status(http.StatusNotImplemented), "", sign.ErrRefused, nil, "501"},
		"500":           {status(http.StatusInternalServerError), "", sign.ErrUnreachable, nil, "500"},
		"too often":     {status(http.StatusTooManyRequests, "Retry-After", "60"), "", sign.ErrUnreachable, nil, "429"},
		"a cut answer": {func(w http.ResponseWriter, _ []byte, _ func([]byte) []byte) {
			w.Header().Set("Content-Length", "100")
			w.WriteHeader(200)
		}, "", sign.ErrUnreachable, nil, "reading its answer"},
		"a broken line":   {func(http.ResponseWriter, []byte, func([]byte) []byte) { panic(http.ErrAbortHandler) }, "", sign.ErrUnreachable, nil, ""},
		"no policy asked": {nil, "1.2.x", sign.ErrUnusable, nil, "no object identifier"},
	} {
		t.Run(name, func(t *testing.T) {
			s.answers(c.answer)
			a := s.authority("prova")
			a.Policy = c.policy
			got, err := sign.Stamp(t.Context(), []sign.Authority{a}, digest[:])
			var unknown x509.UnknownAuthorityError
			also := c.also == nil || errors.Is(err, c.also) || errors.As(c.also, &unknown) && errors.As(err, &unknown)
			if !errors.Is(err, c.is) || !also || got.Token != nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "time stamping authority prova") {
				t.Errorf("%v", err)
			}
			if strings.ContainsAny(err.Error(), "\x1b\n") || len(err.Error()) > 1000 || strings.Contains(err.Error(), s.url) {
				t.Errorf("not fit for a log: %q", err)
			}
		})
	}
	if n := elsewhere.asked(); n != 0 {
		t.Errorf("a redirection was followed %d times", n)
	}
}

// Certificates with which nobody may stamp.
func TestStampCertificate(t *testing.T) {
	now := time.Now()
	for name, c := range map[string]struct {
		change func(*x509.Certificate)
		says   string
	}{
		"expired": {func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Second) }, "was valid from"},
		"to come": {func(c *x509.Certificate) { c.NotBefore = now.Add(time.Hour) }, "was valid from"},
		"more purpose": {func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{timeStamping(true, purposeStamps, purposeMail)}
		}, "not one for time stamping alone"},
		"not critical": {func(c *x509.Certificate) { c.ExtraExtensions = []pkix.Extension{timeStamping(false, purposeStamps)} }, "not one for time stamping alone"},
		"mail":         {func(c *x509.Certificate) { c.ExtraExtensions = []pkix.Extension{timeStamping(true, purposeMail)} }, "not one for time stamping alone"},
		"anything":     {func(c *x509.Certificate) { c.ExtraExtensions = nil }, "not one for time stamping alone"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newTSA(t, c.change)
			// openssl does not stamp with a certificate for something else; we do in
			// its place.
			responder := cms.Responder{Key: rsaKey(), Chain: s.pki.chain(s.cert), Policy: asn1.ObjectIdentifier{1, 2, 3}}
			s.answers(func(w http.ResponseWriter, q []byte, _ func([]byte) []byte) {
				_, _ = w.Write(must(responder.Respond(q, big.NewInt(7), now)))
			})
			digest := sha256.Sum256([]byte("x"))
			a := s.authority("prova")
			if _, err := sign.Stamp(t.Context(), []sign.Authority{a}, digest[:]); !errors.Is(err, sign.ErrRefused) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v", err)
			}
			a.Roots = nil // also where nobody says whom to trust
			if _, err := sign.Stamp(t.Context(), []sign.Authority{a}, digest[:]); !errors.Is(err, sign.ErrRefused) {
				t.Errorf("without roots: %v", err)
			}
		})
	}
}

// An authority that signs with SHA-1 gives no stamp, and a stamp of it that is
// in a file already proves nothing.
func TestStampSHA1(t *testing.T) {
	s, p := newTSA(t, nil), newPKI()
	s.configure("signer_digest = sha256", "signer_digest = sha1")
	p7m := signed(t, p, "P-256", time.Now(), sign.Document{Format: sign.CAdES, Content: []byte("x")})
	digest := sha256.Sum256(must(cms.Parse(p7m)).Signers[0].Signature)
	if _, err := sign.Stamp(t.Context(), []sign.Authority{s.authority("prova")}, digest[:]); !errors.Is(err, sign.ErrRefused) || !strings.Contains(err.Error(), "SHA-1") {
		t.Errorf("%v", err)
	}
	q := must(cms.NewStampRequest(digest[:], nil))
	token := must(q.Read(s.reply(q.DER)))
	if _, err := sign.Verify(must(cms.AddToken(p7m, token)), p.pool(), s.pki.pool()); !errors.Is(err, cms.ErrUnsupported) || !strings.Contains(err.Error(), "the time stamp") {
		t.Errorf("in a file: %v", err)
	}
}

// Name and password go to an authority by https, or on this machine.
func TestStampPassword(t *testing.T) {
	s := newTSA(t, nil)
	digest := sha256.Sum256([]byte("x"))
	a := s.authority("prova")
	a.Username, a.Password = "utente", "segreto"
	if _, err := sign.Stamp(t.Context(), []sign.Authority{a}, digest[:]); err != nil {
		t.Fatal(err)
	}
	r := http.Request{Header: s.headers[0]}
	if name, password, ok := r.BasicAuth(); !ok || name != "utente" || password != "segreto" {
		t.Errorf("%q, %q", name, password)
	}
	a.Client = &http.Client{Transport: never{t}}
	a.URL = "http://tsa.example.it/"
	_, err := sign.Stamp(t.Context(), []sign.Authority{a}, digest[:])
	if !errors.Is(err, sign.ErrUnusable) || !strings.Contains(err.Error(), "https") || strings.Contains(err.Error(), "segreto") {
		t.Errorf("in clear: %v", err)
	}
	a.URL = "http://[::1"
	if _, err := sign.Stamp(t.Context(), []sign.Authority{a}, digest[:]); !errors.Is(err, sign.ErrUnusable) {
		t.Errorf("no URL: %v", err)
	}
	for _, policy := range []string{"1", "1.", "3.1", "1.40", "1.-2", "1.+2", "1.99999999999999999999", "uno"} {
		a.Policy = policy
		if _, err := sign.Stamp(t.Context(), []sign.Authority{a}, digest[:]); !errors.Is(err, sign.ErrUnusable) || !strings.Contains(err.Error(), "no object identifier") {
			t.Errorf("policy %q: %v", policy, err)
		}
	}
}

// never is a way that must not be gone.
type never struct{ t *testing.T }

func (n never) RoundTrip(*http.Request) (*http.Response, error) {
	n.t.Error("a request was sent")
	return nil, errors.New("sent")
}

// silent is a client of a server that takes requests and never answers.
func silent(t *testing.T) *http.Client {
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		near, far := net.Pipe()
		go func() { // ends when the client closes its side
			defer far.Close()
			b := make([]byte, 4096)
			for {
				if _, err := far.Read(b); err != nil {
					return
				}
			}
		}()
		return near, nil
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// An authority that never answers is given up after its time, and the next is
// asked.
func TestStampSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		digest := sha256.Sum256([]byte("x"))
		began := time.Now()
		a := sign.Authority{Name: "prova", URL: "http://tsa.example.it/", Client: silent(t)}
		_, err := sign.Stamp(t.Context(), []sign.Authority{a, a}, digest[:])
		if !errors.Is(err, sign.ErrUnreachable) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		if took := time.Since(began); took != time.Minute {
			t.Errorf("two silent authorities took %v", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began = time.Now()
		if _, err := sign.Stamp(ctx, []sign.Authority{a, a}, digest[:]); !errors.Is(err, sign.ErrUnreachable) || time.Since(began) != time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
}

// A date says when to come again as well as seconds do.
func TestRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		digest := sha256.Sum256([]byte("x"))
		for value, want := range map[string]time.Duration{
			"": 0, "90": 90 * time.Second, "-5": 0, "0": 0, "86400": 24 * time.Hour, "86401": 0, "99999999999999999999": 0, "presto": 0,
			time.Now().Add(time.Hour).UTC().Format(http.TimeFormat):      time.Hour,
			time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat):     0,
			time.Now().Add(48 * time.Hour).UTC().Format(http.TimeFormat): 0,
		} {
			a := sign.Authority{Name: "prova", URL: "http://tsa.example.it/", Client: &http.Client{Transport: answered{http.StatusServiceUnavailable, value}}}
			_, err := sign.Stamp(t.Context(), []sign.Authority{a}, digest[:])
			var later interface{ RetryAfter() time.Duration }
			if !errors.As(err, &later) || later.RetryAfter() != want {
				t.Errorf("%q: %v", value, err)
			}
		}
	})
}

// answered answers with a status and a Retry-After.
type answered struct {
	status int
	after  string
}

func (a answered) RoundTrip(r *http.Request) (*http.Response, error) {
	h := http.Header{}
	if a.after != "" {
		h.Set("Retry-After", a.after)
	}
	return &http.Response{StatusCode: a.status, Header: h, Body: http.NoBody, Request: r}, nil
}
