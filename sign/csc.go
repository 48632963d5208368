package sign

import (
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
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

// The object identifiers that the service is asked with: of each kind of key
// the one that names the digest too, and that of the key alone. Which of them is
// taken is the credential's to say (key/algo).
const oidSHA256 = "2.16.840.1.101.3.4.2.1"

var (
	algorithmsRSA = []string{"1.2.840.113549.1.1.11", "1.2.840.113549.1.1.1"}
	algorithmsEC  = []string{"1.2.840.10045.4.3.2", "1.2.840.10045.2.1"}
)

type cscKey struct {
	conf       CSC
	http       *http.Client
	token, sad string      // secrets of the service's
	credential *credential // nil: not asked yet
	chain      []*x509.Certificate
}

// credential is what of the answer to credentials/info is used (CSC API §11.5).
type credential struct {
	Key struct {
		Status string   `json:"status"`
		Algo   []string `json:"algo"`
	} `json:"key"`
	Cert struct {
		Status       string   `json:"status"`
		Certificates []string `json:"certificates"`
	} `json:"cert"`
	Auth struct {
		Mode       string       `json:"mode"`
		Expression string       `json:"expression"`
		Objects    []authObject `json:"objects"`
	} `json:"auth"`
	Multisign int `json:"multisign"` // how many signatures one authorization is good for
}

// authObject is something that has to be told before a signature (§8.3).
type authObject struct {
	Type      string `json:"type"`
	ID        string `json:"id"`
	Generator string `json:"generator"`
}

// OpenCSC makes ready to sign; the service is asked first by Chain. Off
// loopback it has to be https. Close closes the idle connections of the client.
func OpenCSC(conf CSC) (Key, error) {
	u, err := url.Parse(conf.URL)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("%w: the URL of the signing service is not one like https://host/csc/v2", ErrUnusable)
	case !private(u):
		return nil, fmt.Errorf("%w: the signing service %s has to be reached by https: the PIN goes there", ErrUnusable, clip(u.Host))
	}
	if conf.Client == nil {
		conf.Client = &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment}}
	}
	conf.URL = strings.TrimSuffix(conf.URL, "/")
	return &cscKey{conf: conf, http: conf.Client}, nil
}

// Chain asks for a token and for the credential (credentials/info).
func (k *cscKey) Chain(ctx context.Context) ([]*x509.Certificate, error) {
	if k.chain != nil {
		return k.chain, nil
	}
	if err := k.login(ctx); err != nil {
		return nil, err
	}
	var c credential
	err := k.call(ctx, "credentials/info", map[string]any{
		"credentialID": k.conf.Credential, "certificates": "chain", "certInfo": false, "authInfo": true,
	}, &c)
	if err != nil {
		return nil, err
	}
	if err := c.signs(k.conf.Credential); err != nil {
		return nil, err
	}
	var all []*x509.Certificate
	for _, text := range c.Cert.Certificates[:min(len(c.Cert.Certificates), maxChain+1)] {
		one, err := parse64(text)
		if err != nil {
			return nil, fmt.Errorf("%w: a certificate of the signing service: %w", ErrUnusable, err)
		}
		all = append(all, one)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w: the service gave no certificate of credential %s", ErrUnusable, k.conf.Credential)
	}
	// The first is the key's (§11.5); whether it is, the first signature shows.
	chain, err := ordered(all[0], all)
	if err != nil {
		return nil, err
	}
	k.credential, k.chain = &c, chain
	return chain, nil
}

// signs tells whether the service says that the credential may sign now, and
// without a person.
func (c *credential) signs(name string) error {
	const enabled, valid, byHolder = "enabled", "valid", "oauth2code"
	switch {
	case c.Key.Status != "" && c.Key.Status != enabled:
		return fmt.Errorf("%w: the service says that the key of credential %s is %s", ErrLocked, name, clip(c.Key.Status))
	case c.Cert.Status != "" && c.Cert.Status != valid:
		return fmt.Errorf("%w: the service says that the certificate of credential %s is %s", ErrExpired, name, clip(c.Cert.Status))
	case c.Auth.Mode == byHolder:
		return fmt.Errorf("%w: credential %s is authorized by its holder in a browser; take one for automatic signatures", ErrUnusable, name)
	}
	return nil
}

// Sign authorizes the digests (credentials/authorize) and has them signed
// (signatures/signHash): all at once, or as many as the credential allows.
func (k *cscKey) Sign(ctx context.Context, digests [][]byte) ([][]byte, error) {
	if _, err := k.Chain(ctx); err != nil {
		return nil, err
	}
	most := len(digests)
	if k.credential.Multisign > 0 {
		most = min(most, k.credential.Multisign)
	}
	var values [][]byte
	for some := range slices.Chunk(digests, max(most, 1)) {
		signed, err := k.signSome(ctx, some)
		if err != nil {
			return nil, err
		}
		values = append(values, signed...)
	}
	return values, nil
}

// signSome signs with one authorization.
func (k *cscKey) signSome(ctx context.Context, digests [][]byte) ([][]byte, error) {
	algorithm, err := k.algorithm()
	if err != nil {
		return nil, err
	}
	authData, err := k.authData()
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
	if len(authData) > 0 {
		authorize["authData"] = authData
	}
	var allowed struct {
		SAD string `json:"SAD"`
	}
	if err := k.call(ctx, "credentials/authorize", authorize, &allowed); err != nil {
		return nil, err
	}
	if k.sad = allowed.SAD; k.sad == "" {
		return nil, fmt.Errorf("%w: the signing service authorized nothing (no SAD)", ErrRefused)
	}
	var signed struct {
		Signatures []string `json:"signatures"`
	}
	err = k.call(ctx, "signatures/signHash", map[string]any{
		"credentialID": k.conf.Credential, "SAD": k.sad, "hashes": hashes, "hashAlgorithmOID": oidSHA256,
		"signAlgo": algorithm, "operationMode": "S",
	}, &signed)
	if err != nil {
		return nil, err
	}
	return k.values(digests, signed.Signatures)
}

// values decodes signatures. The standard leaves the form of an ECDSA value
// open: one of two numbers of fixed width is turned into ASN.1.
func (k *cscKey) values(digests [][]byte, signatures []string) ([][]byte, error) {
	if len(signatures) != len(digests) {
		return nil, fmt.Errorf("%w: the signing service gave %d signatures for %d digests", ErrRefused, len(signatures), len(digests))
	}
	var values [][]byte
	for i, s := range signatures {
		v, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			return nil, fmt.Errorf("%w: the signing service's answer is not base64", ErrRefused)
		}
		key, ok := k.chain[0].PublicKey.(*ecdsa.PublicKey)
		if ok && len(v) == 2*width(key) && checkValue(k.chain[0], digests[i], v) != nil {
			v = asn1ECDSA(v)
		}
		values = append(values, v)
	}
	return values, nil
}

// algorithm is the one of those that the credential signs with that fits here.
func (k *cscKey) algorithm() (string, error) {
	wanted := algorithmsRSA
	if _, ok := k.chain[0].PublicKey.(*ecdsa.PublicKey); ok {
		wanted = algorithmsEC
	}
	offered := k.credential.Key.Algo
	for _, a := range wanted {
		if len(offered) == 0 || slices.Contains(offered, a) {
			return a, nil
		}
	}
	return "", fmt.Errorf("%w: credential %s does not sign with %s but with %s", ErrUnusable, k.conf.Credential,
		strings.Join(wanted, " or "), clip(strings.Join(offered, ", ")))
}

// alternative: one of the objects is enough.
var alternative = regexp.MustCompile(`(?i)\bX?OR\b`)

// authData is what the credential wants to be told, of which there is a PIN
// alone: a one-time password is a person's.
func (k *cscKey) authData() ([]map[string]string, error) {
	auth := k.credential.Auth
	id, passwords := "PIN", 0
	for _, o := range auth.Objects {
		if o.Type == "Password" && o.Generator == "" {
			id = o.ID
			passwords++
		}
	}
	either := alternative.MatchString(auth.Expression)
	switch {
	case passwords > 1 || passwords < len(auth.Objects) && !either:
		return nil, fmt.Errorf("%w: credential %s wants more than a PIN for each signature; take one for automatic signatures", ErrUnusable, k.conf.Credential)
	case passwords == 1 && len(k.conf.PIN) == 0:
		return nil, fmt.Errorf("%w: credential %s wants a PIN, and none is given", ErrUnusable, k.conf.Credential)
	case len(k.conf.PIN) == 0:
		return nil, nil
	}
	return []map[string]string{{"id": id, "value": string(k.conf.PIN)}}, nil
}

func (k *cscKey) Close() error {
	k.http.CloseIdleConnections()
	return nil
}
