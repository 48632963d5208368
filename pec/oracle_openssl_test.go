package pec_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/protodaemon/protodaemon/pec"
	"github.com/protodaemon/protodaemon/pec/sample"
)

// stricter are the kinds (a star ends a common beginning) whose signature openssl
// accepts and we do not.
var stricter = map[string]string{
	"certificato-altro-indirizzo":                       "openssl does not compare the signer's address with From",
	"certificato-senza-indirizzo":                       "as above",
	"trucco-un-certificato-senza-indirizzo-del-gestore": "as above",
	"trucco-from-*":                                     "as above, and knows nothing of ambiguous From fields",
	"trucco-ricevuta-con-altro-from":                    "as above",
	"certificato-senza-scopo":                           "for openssl a certificate without extended key usage is good for anything",
	"certificato-di-una-ca":                             "for openssl an authority may sign mail as well",
	"trucco-un-certificato-di-persona*":                 "openssl does not know what a provider is",
	"trucco-una-persona-con-il-nome-del-gestore":        "as above",
	"trucco-trasporto-doppio*":                          "openssl does not read the fields of PEC",
	"trucco-trasporto-con-nul":                          "as above",
	"trucco-content-type-doppio-sotto":                  "openssl takes the first field",
	"trucco-codifica-doppia":                            "as above",
	"trucco-content-type-lontano":                       "openssl's header has no bound",
	"trucco-boundary-due-volte-vero-prima":              "openssl takes the first boundary",
	"trucco-boundary-pezzi-e-semplice":                  "openssl does not know RFC 2231",
	"trucco-boundary-semplice-e-rfc2231":                "as above",
	"trucco-separatore-troppo-lungo":                    "openssl's boundary has no bound",
	"trucco-testo-dopo-il-separatore":                   "for openssl a delimiter is a line that begins with one",
	"trucco-firma-con-contenuto-suo":                    "openssl overlooks the content that a detached signature brings",
	"trucco-firma-con-lo-stesso-contenuto":              "as above",
	"trucco-cr-nel-testo":                               "openssl drops every CR at the end of a line",
}

// laxer are the kinds whose signature we accept and openssl does not.
var laxer = map[string]string{
	"busta-p7s-una-riga":            "openssl's base64 reader stops at a line of more than 1 KB",
	"trucco-boundary-rfc2231":       "openssl does not know RFC 2231",
	"trucco-boundary-rfc2231-pezzi": "as above",
	"trucco-preambolo-con-prefisso": "for openssl a delimiter is a line that begins with one",
}

// listed tells that a kind is in a table.
func listed(table map[string]string, kind string) bool {
	for name := range table {
		if begin, ok := strings.CutSuffix(name, "*"); name == kind || ok && strings.HasPrefix(kind, begin) {
			return true
		}
	}
	return false
}

// allMet fails for an entry of a table that no message of the corpus meets.
func allMet(t *testing.T, c *sample.Corpus, table map[string]string) {
	t.Helper()
	for name := range table {
		if !slices.ContainsFunc(c.Messages, func(m sample.Message) bool { return listed(map[string]string{name: ""}, m.Of) }) {
			t.Errorf("no message is of kind %s", name)
		}
	}
}

// TestOpenSSLAgreesOnTheCorpus: openssl, which reads every message of the corpus
// for itself, calls those signatures valid that we call so, but for the kinds
// listed above. It is asked for the signature, the chain and the purpose at the
// time of the event; an anchor need not be a root.
func TestOpenSSLAgreesOnTheCorpus(t *testing.T) {
	c := corpus(t)
	allMet(t, c, stricter)
	allMet(t, c, laxer)
	dir := t.TempDir()
	anchors := filepath.Join(dir, "anchors.pem")
	writeFile(t, anchors, pemOf(c.Anchors))
	trust := pec.NewTrust(c.Anchors...)
	t.Run("messages", func(t *testing.T) {
		for i, m := range c.Messages {
			t.Run(m.Name, func(t *testing.T) {
				t.Parallel()
				file := filepath.Join(dir, fmt.Sprint(i))
				writeFile(t, file, m.Raw)
				defer os.Remove(file)
				theirs := openssl(t, "cms", "-verify", "-in", file, "-CAfile", anchors, "-partial_chain", "-purpose", "smimesign",
					"-attime", fmt.Sprint(m.Time.Unix()), "-out", os.DevNull)
				ours := readAs(m.Raw, trust).Signature
				want := ours.Status == pec.SignatureValid
				switch {
				case want && listed(laxer, m.Of):
					want = false
				case !want && listed(stricter, m.Of):
					want = true
				}
				if (theirs == nil) != want {
					t.Errorf("we say %s %q, openssl says %v", ours.Status, ours.Problems, theirs)
				}
			})
		}
	})
}

func pemOf(certs []*x509.Certificate) []byte {
	var b bytes.Buffer
	for _, c := range certs {
		_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}) // a bytes.Buffer takes all
	}
	return b.Bytes()
}
