package pec_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"path/filepath"
	"testing"
	"time"

	"github.com/protodaemon/protodaemon/pec"
	"github.com/protodaemon/protodaemon/sign"
)

// authority is a certificate with its key, for tests of trust.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// newAuthority makes a root CA.
func newAuthority(t testing.TB, name string) authority {
	t.Helper()
	return authority{}.issue(t, name, func(c *x509.Certificate) {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign
	})
}

// issue makes a certificate of the authority's, or one of its own of nobody's:
// for signing, unless it is changed.
func (a authority) issue(t testing.TB, name string, change func(*x509.Certificate)) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(2, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature}
	if change != nil {
		change(template)
	}
	parent, parentKey := template, key
	if a.key != nil {
		parent, parentKey = a.certificate, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return authority{c, key}
}

func (a authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.certificate.Raw})
}

// file writes the certificate to a file of its own.
func (a authority) file(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "certificato.pem")
	writeFile(t, path, a.pem())
	return path
}

// crl makes a revocation list.
func (a authority) crl(t testing.TB, from, until time.Time, entries ...x509.RevocationListEntry) []byte {
	t.Helper()
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(from.Unix()), ThisUpdate: from, NextUpdate: until,
		RevokedCertificateEntries: entries}, a.certificate, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// signXML puts an XAdES signature into a document in canonical form.
func (a authority) signXML(t testing.TB, document string, at time.Time, above ...*x509.Certificate) []byte {
	t.Helper()
	files, _, err := sign.Sign(t.Context(), signingKey{a, above}, at, []sign.Document{{Format: sign.XAdES, Content: []byte(document)}})
	if err != nil {
		t.Fatal(err)
	}
	return files[0]
}

type signingKey struct {
	authority
	above []*x509.Certificate
}

func (k signingKey) Chain(context.Context) ([]*x509.Certificate, error) {
	return append([]*x509.Certificate{k.certificate}, k.above...), nil
}

func (k signingKey) Sign(_ context.Context, digests [][]byte) ([][]byte, error) {
	var values [][]byte
	for _, digest := range digests {
		value, err := k.key.Sign(rand.Reader, digest, crypto.SHA256)
		if err != nil {
			return nil, err
		}
		values = append(values, value)
	}
	return values, nil
}

func (signingKey) Close() error { return nil }

// anchors are files of anchors and nothing else.
func anchors(paths ...string) pec.TrustFiles { return pec.TrustFiles{Anchors: paths} }

func loadTrust(t testing.TB, f pec.TrustFiles) *pec.Trust {
	t.Helper()
	trust, err := pec.LoadTrust(f)
	if err != nil {
		t.Fatal(err)
	}
	return trust
}
