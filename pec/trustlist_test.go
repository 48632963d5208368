package pec_test

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/protodaemon/protodaemon/pec"
)

const (
	svcStatus = "http://uri.etsi.org/TrstSvc/TrustedList/Svcstatus/"
	svcType   = "http://uri.etsi.org/TrstSvc/Svctype/"
)

// entry is a service of a test list; history is what it was before, the newest
// first.
type entry struct {
	kind, status string
	since        time.Time
	certificates []*x509.Certificate
	information  string // URI of AdditionalServiceInformation
	history      []entry
}

func (e entry) xml(element string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `<%s><ServiceTypeIdentifier>%s%s</ServiceTypeIdentifier><ServiceName><Name xml:lang="it">Servizio</Name></ServiceName><ServiceDigitalIdentity>`, element, svcType, e.kind)
	for _, c := range e.certificates {
		fmt.Fprintf(&b, "<DigitalId><X509Certificate>\n%s\n</X509Certificate></DigitalId>", base64.StdEncoding.EncodeToString(c.Raw))
	}
	fmt.Fprintf(&b, `<DigitalId><X509SubjectName>CN=x</X509SubjectName></DigitalId></ServiceDigitalIdentity><ServiceStatus>%s%s</ServiceStatus><StatusStartingTime>%s</StatusStartingTime>`,
		svcStatus, e.status, e.since.UTC().Format(time.RFC3339))
	if e.information != "" {
		fmt.Fprintf(&b, `<ServiceInformationExtensions><Extension Critical="true"><AdditionalServiceInformation><URI xml:lang="en">http://uri.etsi.org/TrstSvc/TrustedList/SvcInfoExt/%s</URI></AdditionalServiceInformation></Extension></ServiceInformationExtensions>`, e.information)
	}
	return b.String() + "</" + element + ">"
}

// list is a trusted list in canonical form, not signed.
func list(next string, entries ...entry) string {
	var b strings.Builder
	b.WriteString(`<TrustServiceStatusList xmlns="http://uri.etsi.org/02231/v2#" Id="tsl" TSLTag="http://uri.etsi.org/19612/TSLTag"><SchemeInformation><TSLVersionIdentifier>5</TSLVersionIdentifier>` +
		`<TSLSequenceNumber>7</TSLSequenceNumber><TSLType>http://uri.etsi.org/TrstSvc/TrustedList/TSLType/EUgeneric</TSLType><SchemeTerritory>IT</SchemeTerritory>` +
		`<ListIssueDateTime>` + now.UTC().Format(time.RFC3339) + `</ListIssueDateTime><NextUpdate>` + next + `</NextUpdate></SchemeInformation><TrustServiceProviderList><TrustServiceProvider><TSPServices>`)
	for _, e := range entries {
		b.WriteString("<TSPService>" + e.xml("ServiceInformation"))
		if len(e.history) > 0 {
			b.WriteString("<ServiceHistory>")
			for _, h := range e.history {
				b.WriteString(h.xml("ServiceHistoryInstance"))
			}
			b.WriteString("</ServiceHistory>")
		}
		b.WriteString("</TSPService>")
	}
	b.WriteString("</TSPServices></TrustServiceProvider></TrustServiceProviderList></TrustServiceStatusList>")
	return b.String()
}

// dateTime is a NextUpdate.
func dateTime(at time.Time) string {
	return "<dateTime>" + at.UTC().Format(time.RFC3339) + "</dateTime>"
}

// listedTrust loads a trusted list that is signed as it has to be.
func listedTrust(t testing.TB, entries ...entry) *pec.Trust {
	t.Helper()
	signer := authority{}.issue(t, "Gestore della lista", nil)
	file := filepath.Join(t.TempDir(), "it.xml")
	writeFile(t, file, signer.signXML(t, list(dateTime(now.AddDate(0, 6, 0)), entries...), now))
	return loadTrust(t, pec.TrustFiles{Anchors: []string{file}, ListSigners: []string{signer.file(t)}})
}

// TestTrustedListServices: who is trusted for what, and when.
func TestTrustedListServices(t *testing.T) {
	var c []*x509.Certificate
	for i := range 8 {
		c = append(c, newAuthority(t, fmt.Sprint("CA ", i)).certificate)
	}
	one := func(i int) []*x509.Certificate { return c[i : i+1] }
	old, recent := now.AddDate(-8, 0, 0), now.AddDate(-2, 0, 0)
	trust := listedTrust(t,
		entry{kind: "CA/QC", status: "granted", since: recent, certificates: one(0), information: "ForeSignatures",
			history: []entry{{kind: "CA/QC", status: "withdrawn", since: now.AddDate(-3, 0, 0)}, {kind: "CA/QC", status: "undersupervision", since: old}}},
		entry{kind: "CA/QC", status: "granted", since: old, certificates: one(1), information: "ForWebSiteAuthentication"},
		entry{kind: "CA/QC", status: "withdrawn", since: recent, certificates: one(2), history: []entry{{kind: "CA/QC", status: "granted", since: old}}},
		entry{kind: "TSA/QTST", status: "granted", since: old, certificates: one(3)},
		entry{kind: "EDS/REM/Q", status: "granted", since: recent, certificates: c[4:6]},
		entry{kind: "EDS/Q", status: "granted", since: old, certificates: one(6)},
		entry{kind: "Certstatus/OCSP/QC", status: "granted", since: old, certificates: one(7)},
	)
	for at, want := range map[time.Time]pec.TrustCount{
		now:                                     {Persons: 1, Stamps: 1, Services: 3, Lists: 1},
		recent:                                  {Persons: 1, Stamps: 1, Services: 3, Lists: 1},
		recent.Add(-time.Second):                {Persons: 1, Stamps: 1, Services: 1, Lists: 1}, // 2 was still granted, 0 was withdrawn
		now.AddDate(-3, 0, 0).Add(-time.Second): {Persons: 2, Stamps: 1, Services: 1, Lists: 1},
		old.Add(-time.Second):                   {Lists: 1},
	} {
		if got := trust.Count(at); got != want {
			t.Errorf("%s: %+v, want %+v", at, got, want)
		}
	}
	pool := x509.NewCertPool()
	pool.AddCert(c[0])
	if !trust.Persons(now).Equal(pool) || trust.Stamps(now) == nil || trust.Empty() {
		t.Error("the pool of persons is not that of the list")
	}
	if (*pec.Trust)(nil).Persons(now) != nil || listedTrust(t).Persons(now) != nil || !listedTrust(t).Empty() {
		t.Error("a pool of nobody: trust cannot be judged by it")
	}
}

// TestTrustedListIsRefused says in which words.
func TestTrustedListIsRefused(t *testing.T) {
	signer, other := authority{}.issue(t, "Gestore della lista", nil), authority{}.issue(t, "Un altro", nil)
	expired := authority{}.issue(t, "Scaduto", func(c *x509.Certificate) { c.NotAfter = now.AddDate(0, -1, 0) })
	plain := list(dateTime(now.AddDate(0, 6, 0)), entry{kind: "CA/QC", status: "granted", since: now, certificates: []*x509.Certificate{other.certificate}})
	good := string(signer.signXML(t, plain, now))
	for name, c := range map[string]struct{ text, says string }{
		"not signed":        {plain, "is not signed"},
		"changed":           {strings.Replace(good, "Svcstatus/granted", "Svcstatus/Granted", 1), "was changed after it was signed"},
		"another signer":    {string(other.signXML(t, plain, now)), "signed by CN=Un altro, who is none of trust_list_signers"},
		"expired signer":    {string(expired.signXML(t, plain, now.AddDate(0, -2, 0))), "was not valid when the trusted list was issued"},
		"no list":           {"<a/>", "is no trusted list"},
		"not XML":           {"x", "cannot be read"},
		"document type":     {strings.Replace(good, "<Trust", "<!DOCTYPE a><Trust", 1), "document type"},
		"list of the lists": {string(signer.signXML(t, strings.Replace(plain, "EUgeneric", "EUlistofthelists", 1), now)), "names no services"},
		"no NextUpdate":     {string(signer.signXML(t, strings.Replace(plain, "<dateTime>20", "<dateTime>x", 1), now)), "NextUpdate"},
		"no time of issue":  {string(signer.signXML(t, strings.Replace(plain, "ListIssueDateTime", "Altro", 2), now)), "when it was issued"},
		"wrapped":           {"<TrustServiceStatusList xmlns=\"http://uri.etsi.org/02231/v2#\"><x>" + good + "</x></TrustServiceStatusList>", "was changed"},
		"two signatures":    {partSigned(t, other, good), "more than one signature"},
		"part signed":       {partSigned(t, signer, plain), "does not cover the whole"},
	} {
		file := filepath.Join(t.TempDir(), "it.xml")
		writeFile(t, file, []byte(c.text))
		_, err := pec.LoadTrust(pec.TrustFiles{Anchors: []string{file}, ListSigners: []string{signer.file(t), expired.file(t)}})
		if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
	file := filepath.Join(t.TempDir(), "it.xml")
	writeFile(t, file, []byte(good))
	if _, err := pec.LoadTrust(anchors(file)); err == nil || !strings.Contains(err.Error(), "names nobody who may sign it") {
		t.Errorf("no signers: %v", err)
	}
	dir := filepath.Dir(file)
	writeFile(t, filepath.Join(dir, "gestori.pem"), newAuthority(t, "Gestori").pem())
	trust := loadTrust(t, pec.TrustFiles{Anchors: []string{dir}, ListSigners: []string{signer.file(t)}})
	if c := trust.Count(now); c.Providers != 1 || c.Persons != 1 || c.Lists != 1 {
		t.Errorf("a directory of both: %+v", c)
	}
}

// partSigned is a list of which only a part is signed: a signed document with
// the signature moved into a larger one round it, by Id.
func partSigned(t testing.TB, signer authority, plain string) string {
	t.Helper()
	const inner = `<Parte xmlns="urn:x" Id="parte"></Parte>`
	digest := sha256.Sum256([]byte(inner))
	const ds, exclusive, enc = "http://www.w3.org/2000/09/xmldsig#", "http://www.w3.org/2001/10/xml-exc-c14n#", "http://www.w3.org/2001/04/xmlenc#sha256"
	info := `<ds:SignedInfo xmlns:ds="` + ds + `"><ds:CanonicalizationMethod Algorithm="` + exclusive + `"></ds:CanonicalizationMethod><ds:SignatureMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"></ds:SignatureMethod>` +
		`<ds:Reference URI="#parte"><ds:Transforms><ds:Transform Algorithm="` + exclusive + `"></ds:Transform></ds:Transforms><ds:DigestMethod Algorithm="` + enc + `"></ds:DigestMethod><ds:DigestValue>` +
		base64.StdEncoding.EncodeToString(digest[:]) + `</ds:DigestValue></ds:Reference></ds:SignedInfo>`
	of := sha256.Sum256([]byte(info))
	r, s, err := ecdsa.Sign(rand.Reader, signer.key, of[:])
	if err != nil {
		t.Fatal(err)
	}
	value := append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	signature := `<ds:Signature xmlns:ds="` + ds + `">` + info + `<ds:SignatureValue>` + base64.StdEncoding.EncodeToString(value) + `</ds:SignatureValue><ds:KeyInfo><ds:X509Data><ds:X509Certificate>` +
		base64.StdEncoding.EncodeToString(signer.certificate.Raw) + `</ds:X509Certificate></ds:X509Data></ds:KeyInfo></ds:Signature>`
	return strings.Replace(plain, "</TrustServiceStatusList>", inner+signature+"</TrustServiceStatusList>", 1)
}

// TestTrustedListWarnings: an outdated list is used, and somebody is told.
func TestTrustedListWarnings(t *testing.T) {
	signer := authority{}.issue(t, "Gestore della lista", nil)
	load := func(next string, certificate string) *pec.Trust {
		file := filepath.Join(t.TempDir(), "it.xml")
		text := list(next, entry{kind: "CA/QC", status: "granted", since: now, certificates: []*x509.Certificate{signer.certificate}})
		text = strings.Replace(text, "<DigitalId>", "<DigitalId><X509Certificate>"+certificate+"</X509Certificate></DigitalId><DigitalId>", 1)
		writeFile(t, file, signer.signXML(t, text, now))
		return loadTrust(t, pec.TrustFiles{Anchors: []string{file}, ListSigners: []string{signer.file(t)}})
	}
	readable := base64.StdEncoding.EncodeToString(signer.certificate.Raw)
	for says, trust := range map[string]*pec.Trust{
		"should have been replaced by 2026-02-10": load(dateTime(now.AddDate(0, -1, 0)), readable),
		"is closed":                     load("", readable),
		"1 certificates in the trusted": load(dateTime(now.AddDate(0, 1, 0)), "MIIB"),
	} {
		got := trust.Warnings(now)
		if len(got) != 1 || !strings.Contains(got[0], says) || !strings.Contains(got[0], "it.xml") || trust.Persons(now) == nil {
			t.Errorf("%q, want %q", got, says)
		}
	}
	if got := load(dateTime(now), readable).Warnings(now.Add(-time.Second)); len(got) != 0 {
		t.Errorf("an up-to-date list: %q", got)
	}
}

// TestStateChangesWithTheFiles: what tells a running program to read again.
func TestStateChangesWithTheFiles(t *testing.T) {
	dir := t.TempDir()
	f := pec.TrustFiles{Anchors: []string{dir}, CRLs: []string{filepath.Join(dir, "manca.crl")}}
	states := map[string]bool{f.State(): true}
	again := func(what string) {
		t.Helper()
		if s := f.State(); states[s] {
			t.Errorf("%s: nothing is seen", what)
		} else if states[s] = true; s != f.State() {
			t.Errorf("%s: seen twice", what)
		}
	}
	file := filepath.Join(dir, "a.pem")
	writeFile(t, file, []byte("uno"))
	again("a new file")
	writeFile(t, file, []byte("unos"))
	again("another size")
	if err := os.Chtimes(file, now, now); err != nil {
		t.Fatal(err)
	}
	again("another time")
	writeFile(t, f.CRLs[0], nil)
	again("a file that was missing")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	again("a file that is gone")
}
