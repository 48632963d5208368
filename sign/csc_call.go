package sign

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

const (
	maxCSC  = 1 << 20
	cscWait = time.Minute // for one call
)

// login gets a token for the service (OAuth 2.0, client credentials; CSC API
// §8.4.4).
func (k *cscKey) login(ctx context.Context) error {
	at, err := k.tokenURL(ctx)
	if err != nil {
		return err
	}
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {"service"},
		"client_id": {k.conf.ClientID}, "client_secret": {k.conf.ClientSecret}}
	var answer struct {
		Token string `json:"access_token"`
	}
	const method = "oauth2/token"
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, at, strings.NewReader(form.Encode()))
	if err != nil {
		return fmt.Errorf("%w: the address of %s: %w", ErrUnusable, method, withoutURL(err))
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if err := k.exchange(r, method, &answer); err != nil {
		return err
	}
	if answer.Token == "" {
		return fmt.Errorf("%w: the signing service gave no token", ErrRefused)
	}
	k.token = answer.Token
	return nil
}

// tokenURL asks the service where its authorization server is (info, §11.1). One
// that does not say has it beside its own methods.
func (k *cscKey) tokenURL(ctx context.Context) (string, error) {
	var info struct {
		OAuth2 string `json:"oauth2"`
		Issuer string `json:"oauth2Issuer"`
	}
	err := k.call(ctx, "info", struct{}{}, &info)
	switch {
	case errors.Is(err, ErrRefused): // it has no such method
		return k.conf.URL + "/oauth2/token", nil
	case err != nil:
		return "", err
	case info.OAuth2 != "":
		return k.elsewhere(strings.TrimSuffix(info.OAuth2, "/") + "/oauth2/token")
	case info.Issuer != "":
		return k.discover(ctx, info.Issuer)
	}
	return k.conf.URL + "/oauth2/token", nil
}

// discover reads an authorization server's metadata (RFC 8414 §3).
func (k *cscKey) discover(ctx context.Context, issuer string) (string, error) {
	if _, err := k.elsewhere(issuer); err != nil {
		return "", err
	}
	u, err := url.Parse(issuer)
	if err != nil {
		return "", fmt.Errorf("%w: the address of the authorization server: %w", ErrRefused, withoutURL(err))
	}
	u.Path = "/.well-known/oauth-authorization-server" + strings.TrimSuffix(u.Path, "/")
	var metadata struct {
		TokenEndpoint string `json:"token_endpoint"`
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return "", fmt.Errorf("%w: the address of the authorization server: %w", ErrUnusable, withoutURL(err))
	}
	if err := k.exchange(r, "oauth-authorization-server", &metadata); err != nil {
		return "", err
	}
	return k.elsewhere(metadata.TokenEndpoint)
}

// elsewhere takes an address the service gave only if the client's secret is
// private on the way; http is for a service that is on this machine itself.
func (k *cscKey) elsewhere(address string) (string, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || !private(u) || u.Scheme == "http" && !strings.HasPrefix(k.conf.URL, "http:") {
		return "", fmt.Errorf("%w: the signing service names an authorization server that is not reached by https", ErrRefused)
	}
	return address, nil
}

// call is one method of the API.
func (k *cscKey) call(ctx context.Context, method string, params, answer any) error {
	body, err := json.Marshal(params)
	if err != nil {
		return fmt.Errorf("encoding the call of %s: %w", method, err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, k.conf.URL+"/"+method, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%w: the address of %s: %w", ErrUnusable, method, withoutURL(err))
	}
	r.Header.Set("Content-Type", "application/json")
	if k.token != "" {
		r.Header.Set("Authorization", "Bearer "+k.token)
	}
	return k.exchange(r, method, answer)
}

func (k *cscKey) exchange(r *http.Request, method string, answer any) error {
	ctx, cancel := context.WithTimeout(r.Context(), cscWait)
	defer cancel()
	r.Header.Set("Accept", "application/json")
	status, body, err := send(k.http, r.WithContext(ctx), maxCSC)
	switch {
	case err != nil:
		return fmt.Errorf("the signing service, %s: %w", method, err)
	case status != http.StatusOK:
		return k.refused(method, status, body)
	}
	if json.Unmarshal(body, answer) != nil { // its error may show a value
		return fmt.Errorf("%w: the signing service's answer to %s is not the JSON that is expected", ErrRefused, method)
	}
	return nil
}

// reasons tell refusals apart by their code and description: the API leaves much
// of it to the description of invalid_request (§11.6, §11.10; OAuth's codes are
// RFC 6749 §5.2). One that is missed is asked again every hour, until the
// credential locks.
var reasons = []struct {
	says *regexp.Regexp
	kind error
}{
	{regexp.MustCompile(`(?i)(\b|_)(locked|disabled)\b`), ErrLocked},
	{regexp.MustCompile(`(?i)\bcertificate\b.*\bexpired\b`), ErrExpired},
	{regexp.MustCompile(`(?i)\binvalid_(pin|otp|client|authentication_data)\b|\bPIN\b|\bclient_secret\b`), ErrPIN},
	{regexp.MustCompile(`\b(temporarily_unavailable|server_error)\b`), ErrUnreachable},
}

// refused tells what an answer that is none means.
func (k *cscKey) refused(method string, status int, body []byte) error {
	if status == http.StatusAccepted { // a handle to ask again with
		return fmt.Errorf("%w: for %s the signing service waits for the holder; take a credential for automatic signatures", ErrUnusable, method)
	}
	var said struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	_ = json.Unmarshal(body, &said) // without it the status says all
	kind := ErrRefused
	for _, r := range reasons {
		if r.says.MatchString(said.Error + " " + said.Description) {
			kind = r.kind
			break
		}
	}
	words := strings.TrimSpace(clip(k.hide(said.Error)) + " " + clip(k.hide(said.Description)))
	return fmt.Errorf("%w: to %s the signing service says %s %s", kind, method, statusText(status), words)
}

// hide takes out of a foreign text what we told the service, which is secret.
func (k *cscKey) hide(s string) string {
	for _, secret := range []string{string(k.conf.PIN), k.conf.ClientSecret, k.token, k.sad} {
		if secret != "" {
			s = strings.ReplaceAll(s, secret, "***")
		}
	}
	return s
}
