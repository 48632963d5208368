package sign

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// CSC names a credential with a remote signing service (Cloud Signature
// Consortium API, version 2).
type CSC struct {
	URL                    string // as far as /csc/v2
	ClientID, ClientSecret string
	Credential             string // credentialID
	PIN                    []byte
	Client                 *http.Client // nil: a usual one
}

const (
	maxCSC  = 1 << 20
	cscWait = time.Minute
)

// The object identifiers that the service is asked with.
const (
	oidSHA256     = "2.16.840.1.101.3.4.2.1"
	oidRSASHA256  = "1.2.840.113549.1.1.11"
	oidECDSASHA2  = "1.2.840.10045.4.3.2"
	keyEnabled    = "enabled"
	certValid     = "valid"
	modeSynchrone = "S"
)

type cscKey struct {
	conf  CSC
	http  *http.Client
	token string
	chain []*x509.Certificate
}

// OpenCSC makes ready to sign; the service is asked first by Chain. Off
// loopback it has to be https.
func OpenCSC(conf CSC) (Key, error) {
	u, err := url.Parse(conf.URL)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("%w: the signing service's URL %q is not one", ErrUnusable, conf.URL)
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())) {
		return nil, fmt.Errorf("%w: the signing service %s has to be reached by https: the PIN goes there", ErrUnusable, u.Host)
	}
	return &cscKey{conf: conf, http: noRedirects(conf.Client)}, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Chain asks for a token and for the credential (credentials/info).
func (k *cscKey) Chain(ctx context.Context) ([]*x509.Certificate, error) {
	if k.chain != nil {
		return k.chain, nil
	}
	if err := k.login(ctx); err != nil {
		return nil, err
	}
	var info struct {
		Key struct {
			Status string   `json:"status"`
			Algo   []string `json:"algo"`
		} `json:"key"`
		Cert struct {
			Status       string   `json:"status"`
			Certificates []string `json:"certificates"`
		} `json:"cert"`
	}
	err := k.call(ctx, "credentials/info", map[string]any{
		"credentialID": k.conf.Credential, "certificates": "chain", "certInfo": false, "authInfo": true,
	}, &info)
	if err != nil {
		return nil, err
	}
	switch {
	case info.Key.Status != "" && info.Key.Status != keyEnabled:
		return nil, fmt.Errorf("%w: the service says that the key of credential %s is %s", ErrLocked, k.conf.Credential, info.Key.Status)
	case info.Cert.Status != "" && info.Cert.Status != certValid:
		return nil, fmt.Errorf("%w: the service says that the certificate of credential %s is %s", ErrExpired, k.conf.Credential, info.Cert.Status)
	}
	var all []*x509.Certificate
	for _, text := range info.Cert.Certificates {
		c, err := parse64(text)
		if err != nil {
			return nil, fmt.Errorf("%w: a certificate of the signing service: %w", ErrUnusable, err)
		}
		all = append(all, c)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w: the service gave no certificate of credential %s", ErrUnusable, k.conf.Credential)
	}
	k.chain = ordered(all[0], all[1:])
	return k.chain, nil
}

// login gets a token for the service (OAuth 2.0, client credentials).
func (k *cscKey) login(ctx context.Context) error {
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {"service"},
		"client_id": {k.conf.ClientID}, "client_secret": {k.conf.ClientSecret}}
	var answer struct {
		Token string `json:"access_token"`
	}
	err := k.post(ctx, "oauth2/token", "application/x-www-form-urlencoded", []byte(form.Encode()), &answer)
	if err == nil && answer.Token == "" {
		err = fmt.Errorf("%w: the signing service gave no token", ErrRefused)
	}
	k.token = answer.Token
	return err
}

// Sign authorizes the digests (credentials/authorize) and has them signed
// (signatures/signHash).
func (k *cscKey) Sign(ctx context.Context, digests [][]byte) ([][]byte, error) {
	chain, err := k.Chain(ctx)
	if err != nil {
		return nil, err
	}
	var hashes []string
	for _, d := range digests {
		hashes = append(hashes, encode64(d))
	}
	authorize := map[string]any{
		"credentialID": k.conf.Credential, "numSignatures": len(hashes), "hashes": hashes, "hashAlgorithmOID": oidSHA256,
	}
	if len(k.conf.PIN) > 0 {
		authorize["authData"] = []map[string]string{{"id": "PIN", "value": string(k.conf.PIN)}}
	}
	var allowed struct {
		SAD string `json:"SAD"`
	}
	if err := k.call(ctx, "credentials/authorize", authorize, &allowed); err != nil {
		return nil, err
	}
	algorithm := oidRSASHA256
	if _, ok := chain[0].PublicKey.(*ecdsa.PublicKey); ok {
		algorithm = oidECDSASHA2
	}
	var signed struct {
		Signatures []string `json:"signatures"`
	}
	err = k.call(ctx, "signatures/signHash", map[string]any{
		"credentialID": k.conf.Credential, "SAD": allowed.SAD, "hashes": hashes, "hashAlgorithmOID": oidSHA256,
		"signAlgo": algorithm, "operationMode": modeSynchrone,
	}, &signed)
	if err != nil {
		return nil, err
	}
	var values [][]byte
	for _, s := range signed.Signatures {
		v, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			return nil, fmt.Errorf("%w: the signing service's answer is not base64", ErrRefused)
		}
		values = append(values, v)
	}
	return values, nil
}

func (k *cscKey) Close() error {
	k.http.CloseIdleConnections()
	return nil
}

func (k *cscKey) call(ctx context.Context, method string, params, answer any) error {
	body, err := json.Marshal(params)
	if err != nil {
		return fmt.Errorf("encoding the call: %w", err)
	}
	return k.post(ctx, method, "application/json", body, answer)
}

// refusals are error codes of the API, and of OAuth, that are told apart.
var refusals = map[string]error{
	"invalid_pin": ErrPIN, "invalid_otp": ErrPIN, "credential_locked": ErrLocked, "credential_disabled": ErrLocked,
	"authentication_failed": ErrPIN,
}

func (k *cscKey) post(ctx context.Context, method, mediaType string, body []byte, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, cscWait)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(k.conf.URL, "/")+"/"+method, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnusable, err)
	}
	r.Header.Set("Content-Type", mediaType)
	r.Header.Set("Accept", "application/json")
	if k.token != "" {
		r.Header.Set("Authorization", "Bearer "+k.token)
	}
	resp, err := k.http.Do(r)
	if err != nil {
		return fmt.Errorf("%w: the signing service, %s: %w", ErrUnreachable, method, withoutURL(err))
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxCSC+1))
	switch {
	case err != nil:
		return fmt.Errorf("%w: the signing service, %s: %w", ErrUnreachable, method, err)
	case len(b) > maxCSC:
		return fmt.Errorf("%w: the signing service's answer to %s is larger than %d bytes", ErrRefused, method, maxCSC)
	case resp.StatusCode != http.StatusOK:
		return refused(method, resp, b)
	}
	if err := json.Unmarshal(b, answer); err != nil {
		return fmt.Errorf("%w: the signing service's answer to %s cannot be read: %w", ErrRefused, method, err)
	}
	return nil
}

// refused tells what an answer that is none means.
func refused(method string, resp *http.Response, body []byte) error {
	var said struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if json.Unmarshal(body, &said) != nil {
		said.Error = resp.Status
	}
	switch {
	case resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests:
		return &busyError{status: resp.Status, after: retryAfter(resp.Header)}
	case refusals[said.Error] != nil:
		return fmt.Errorf("%w: the signing service says %s, %s", refusals[said.Error], said.Error, clip(said.Description))
	case strings.Contains(strings.ToLower(said.Description), "pin"):
		return fmt.Errorf("%w: the signing service says %s, %s", ErrPIN, clip(said.Error), clip(said.Description))
	}
	return fmt.Errorf("%w: the signing service answered %s to %s: %s %s", ErrRefused, resp.Status, method, clip(said.Error), clip(said.Description))
}

// clip keeps a foreign text short enough for a message.
func clip(s string) string {
	const most = 200
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

// withoutURL leaves the address out of an error of net/http, which may hold
// what is secret in it.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
