package xmldsig_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/protodaemon/protodaemon/xmldsig"
)

// identity is a key with a certificate of its own, as files for xmlsec1.
type identity struct {
	key              crypto.Signer
	certificate      *x509.Certificate
	keyFile, pemFile string
}

// identities are made once: keys are slow to make. EC keys of three curves
// and RSA.
var identities = sync.OnceValues(func() (map[string]identity, error) {
	dir, err := os.MkdirTemp("", "xmldsig")
	if err != nil {
		return nil, err
	}
	all := map[string]identity{}
	for name, curve := range map[string]elliptic.Curve{"rsa": nil, "p256": elliptic.P256(), "p384": elliptic.P384(), "p521": elliptic.P521()} {
		var key crypto.Signer
		if curve == nil {
			key, err = rsa.GenerateKey(rand.Reader, 2048)
		} else {
			key, err = ecdsa.GenerateKey(curve, rand.Reader)
		}
		if err != nil {
			return nil, err
		}
		template := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "Firma " + name},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			return nil, err
		}
		id := identity{key: key, keyFile: filepath.Join(dir, name+".key"), pemFile: filepath.Join(dir, name+".pem")}
		if id.certificate, err = x509.ParseCertificate(der); err != nil {
			return nil, err
		}
		private, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return nil, err
		}
		err = errors.Join(
			os.WriteFile(id.keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600),
			os.WriteFile(id.pemFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
		if err != nil {
			return nil, err
		}
		all[name] = id
	}
	return all, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if all, err := identities(); err == nil {
		os.RemoveAll(filepath.Dir(all["rsa"].keyFile))
	}
	os.Exit(code)
}

func identityOf(t testing.TB, name string) identity {
	t.Helper()
	all, err := identities()
	if err != nil {
		t.Fatalf("making keys: %v", err)
	}
	return all[name]
}

// ids are the elements of the test documents with an Id, which xmlsec1 has to be
// told.
var ids = []string{"--id-attr:Id", "doc", "--id-attr:Id", "urn:doc:parte", "--id-attr:Id", "http://www.w3.org/2000/09/xmldsig#:Object",
	"--id-attr:Id", "http://uri.etsi.org/01903/v1.3.2#:SignedProperties"}

// xmlsecSign has xmlsec1 fill in the templates of signatures.
func xmlsecSign(t testing.TB, id identity, template string) []byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), "template.xml")
	if err := os.WriteFile(file, []byte(template), 0o600); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"--sign", "--privkey-pem", id.keyFile + "," + id.pemFile}, ids...)
	var errs bytes.Buffer
	cmd := exec.Command("xmlsec1", append(args, file)...)
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("xmlsec1 --sign: %v\n%s\n%s", err, errs.Bytes(), template)
	}
	return out
}

// xmlsecVerifies tells what xmlsec1 says of a document's first signature.
func xmlsecVerifies(t testing.TB, id identity, doc []byte) bool {
	t.Helper()
	file := filepath.Join(t.TempDir(), "signed.xml")
	if err := os.WriteFile(file, doc, 0o600); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"--verify", "--trusted-pem", id.pemFile, "--insecure"}, ids...)
	err := exec.Command("xmlsec1", append(args, file)...).Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("xmlsec1: %v", err)
	}
	return err == nil
}

const (
	ds        = "http://www.w3.org/2000/09/xmldsig#"
	more      = "http://www.w3.org/2001/04/xmldsig-more#"
	enc       = "http://www.w3.org/2001/04/xmlenc#"
	c14n      = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
	c14n11    = "http://www.w3.org/2006/12/xml-c14n11"
	exclusive = "http://www.w3.org/2001/10/xml-exc-c14n#"
	enveloped = ds + "enveloped-signature"
)

func transform(algorithm, inside string) string {
	return `<ds:Transform Algorithm="` + algorithm + `">` + inside + `</ds:Transform>`
}

func reference(uri, attributes, transforms, digest string) string {
	return `<ds:Reference URI="` + uri + `"` + attributes + `><ds:Transforms>` + transforms + `</ds:Transforms><ds:DigestMethod Algorithm="` +
		digest + `"/><ds:DigestValue></ds:DigestValue></ds:Reference>`
}

// signature is a template that xmlsec1 fills in.
func signature(method, algorithm, references, rest string) string {
	return `<ds:Signature xmlns:ds="` + ds + `" Id="firma"><ds:SignedInfo><ds:CanonicalizationMethod Algorithm="` + method +
		`"/><ds:SignatureMethod Algorithm="` + algorithm + `"/>` + references +
		`</ds:SignedInfo><ds:SignatureValue/><ds:KeyInfo><ds:X509Data/></ds:KeyInfo>` + rest + `</ds:Signature>`
}

// document is one in which namespaces, xml: attributes, comments and
// instructions are where canonicalization has to take care of them.
func document(signature string) string {
	return `<?xml version="1.0" encoding="UTF-8"?><!-- prima --><?p uno?>
<doc xmlns="urn:doc" xmlns:u="urn:non-usato" xml:lang="it" Id="tutto"><testa q='1'>àèì &amp; "x"</testa>
  <parte xmlns:v="urn:v" Id="parte" v:a="&#9;b"><!-- dentro -->uno<due xmlns=""><v:tre/></due><?p due?></parte>` + signature + `
</doc><!-- dopo --><?p tre?>`
}

func verifyOne(t testing.TB, data []byte) (*xmldsig.Document, xmldsig.Signature) {
	t.Helper()
	doc, err := xmldsig.Parse(data, xmldsig.Limits{})
	if err != nil {
		t.Fatalf("Parse: %v\n%s", err, data)
	}
	all, err := doc.Verify()
	if err != nil || len(all) != 1 {
		t.Fatalf("Verify: %v, %d signatures\n%s", err, len(all), data)
	}
	return doc, all[0]
}

// TestSignaturesOfXmlsec: what xmlsec1 signs fits, over what it is said to be
// over, with every combination of target and canonicalization; and does not once
// a letter is another.
func TestSignaturesOfXmlsec(t *testing.T) {
	rsaKey := identityOf(t, "rsa")
	filter := `<x:XPath xmlns:x="http://www.w3.org/2002/06/xmldsig-filter2" Filter="subtract">/descendant::ds:Signature</x:XPath>`
	cases := map[string]struct{ uri, before string }{
		"whole, enveloped":  {"", transform(enveloped, "")},
		"root by Id":        {"#tutto", transform(enveloped, "")},
		"whole by XPointer": {"#xpointer(/)", transform(enveloped, "")},
		"part":              {"#parte", ""},
		"part by XPointer":  {"#xpointer(id('parte'))", ""},
		"XPath filter 2":    {"", transform("http://www.w3.org/2002/06/xmldsig-filter2", filter)},
		"XPath 1.0":         {"", transform("http://www.w3.org/TR/1999/REC-xpath-19991116", "<ds:XPath>not(ancestor-or-self::ds:Signature)</ds:XPath>")},
		"enveloping":        {"#oggetto", ""},
	}
	for _, method := range []string{"", c14n, c14n + "#WithComments", c14n11, c14n11 + "#WithComments", exclusive, exclusive + "WithComments"} {
		for name, c := range cases {
			t.Run(name+" "+method, func(t *testing.T) {
				last, own := "", method
				if method != "" {
					last = transform(method, "")
				} else {
					own = c14n
				}
				signed := xmlsecSign(t, rsaKey, document(signature(own, more+"rsa-sha256", reference(c.uri, "", c.before+last, enc+"sha256"),
					`<ds:Object Id="oggetto"><o xmlns="">contenuto<!-- c --></o></ds:Object>`)))
				doc, s := verifyOne(t, signed)
				if !s.Fits || s.Err != nil || !s.Certificate.Equal(rsaKey.certificate) || s.Algorithm != "SHA256-RSA" || s.Weak || s.XAdES {
					t.Fatalf("%+v\n%s", s, signed)
				}
				whole := strings.Contains(name, "whole") || strings.Contains(name, "root") || strings.Contains(name, "XPath ")
				if s.Covers(doc.Root) != whole || s.References[0].Whole != whole {
					t.Errorf("whole: %v %v, want %v", s.Covers(doc.Root), s.References[0].Whole, whole)
				}
				part := doc.Root.Child("urn:doc", "parte")
				if s.Covers(part) != (name != "enveloping") || s.Covers(part.Child("", "due")) != s.Covers(part) {
					t.Error("the part is covered as it should not be")
				}
				if s.Covers(s.Element) || s.Covers(s.Element.Child(ds, "Object")) != (name == "enveloping") {
					t.Error("the signature is covered as it should not be")
				}
				changed := bytes.Replace(signed, []byte(map[bool]string{true: "contenuto", false: "uno<due"}[name == "enveloping"]), []byte("altro<due")[:5], 1)
				if name != "enveloping" {
					changed = bytes.Replace(signed, []byte("uno<due"), []byte("Uno<due"), 1)
				}
				if _, s := verifyOne(t, changed); s.Fits || !errors.Is(s.Err, xmldsig.ErrMismatch) || s.Covers(doc.Root) {
					t.Errorf("changed: %+v", s)
				}
			})
		}
	}
}

// TestAlgorithms: keys and digests, with xmlsec1 as signer.
func TestAlgorithms(t *testing.T) {
	for _, c := range []struct {
		key, method, digest, want string
		weak                      bool
	}{
		{"rsa", ds + "rsa-sha1", ds + "sha1", "SHA1-RSA", true},
		{"rsa", more + "rsa-sha256", ds + "sha1", "SHA256-RSA", true},
		{"rsa", more + "rsa-sha224", more + "sha224", "SHA224-RSA", false},
		{"rsa", more + "rsa-sha384", more + "sha384", "SHA384-RSA", false},
		{"rsa", more + "rsa-sha512", enc + "sha512", "SHA512-RSA", false},
		{"p256", more + "ecdsa-sha1", enc + "sha256", "ECDSA-SHA1", true},
		{"p256", more + "ecdsa-sha224", enc + "sha256", "ECDSA-SHA224", false},
		{"p256", more + "ecdsa-sha256", enc + "sha256", "ECDSA-SHA256", false},
		{"p384", more + "ecdsa-sha384", more + "sha384", "ECDSA-SHA384", false},
		{"p521", more + "ecdsa-sha512", enc + "sha512", "ECDSA-SHA512", false},
	} {
		id := identityOf(t, c.key)
		signed := xmlsecSign(t, id, document(signature(exclusive, c.method, reference("", "", transform(enveloped, ""), c.digest), "")))
		_, s := verifyOne(t, signed)
		if !s.Fits || s.Algorithm != c.want || s.Weak != c.weak {
			t.Errorf("%s %s: %+v", c.method, c.digest, s)
		}
	}
}

// pssSigned makes an enveloping signature with RSASSA-PSS, which this xmlsec1
// does not have: SignedInfo is written in canonical form and signed by openssl.
func pssSigned(t *testing.T, method, options, parameters string) []byte {
	t.Helper()
	id := identityOf(t, "rsa")
	object := `<ds:Object xmlns:ds="` + ds + `" Id="o">testo</ds:Object>`
	digest := sha256.Sum256([]byte(object))
	info := `<ds:SignedInfo xmlns:ds="` + ds + `"><ds:CanonicalizationMethod Algorithm="` + exclusive + `"></ds:CanonicalizationMethod><ds:SignatureMethod Algorithm="` +
		method + `">` + parameters + `</ds:SignatureMethod><ds:Reference URI="#o"><ds:Transforms><ds:Transform Algorithm="` + exclusive + `"></ds:Transform></ds:Transforms><ds:DigestMethod Algorithm="` +
		enc + `sha256"></ds:DigestMethod><ds:DigestValue>` + base64.StdEncoding.EncodeToString(digest[:]) + `</ds:DigestValue></ds:Reference></ds:SignedInfo>`
	args := []string{"dgst", "-sign", id.keyFile, "-sigopt", "rsa_padding_mode:pss"}
	cmd := exec.Command("openssl", append(args, strings.Fields(options)...)...)
	cmd.Stdin = strings.NewReader(info)
	value, err := cmd.Output()
	if err != nil {
		t.Fatalf("openssl dgst: %v", err)
	}
	return []byte(`<ds:Signature xmlns:ds="` + ds + `">` + info + `<ds:SignatureValue>` + base64.StdEncoding.EncodeToString(value) +
		`</ds:SignatureValue><ds:KeyInfo><ds:X509Data><ds:X509Certificate>` + base64.StdEncoding.EncodeToString(id.certificate.Raw) +
		`</ds:X509Certificate></ds:X509Data></ds:KeyInfo>` + object + `</ds:Signature>`)
}

func TestPSS(t *testing.T) {
	const more7 = "http://www.w3.org/2007/05/xmldsig-more#"
	pss := func(inside string) string {
		return `<p:RSAPSSParams xmlns:p="` + more7 + `">` + inside + `</p:RSAPSSParams>`
	}
	sha512 := `<ds:DigestMethod Algorithm="` + enc + `sha512"></ds:DigestMethod>`
	for _, c := range []struct {
		method, options, parameters string
		want                        error
		algorithm                   string
	}{
		{more7 + "sha256-rsa-MGF1", "-sha256 -sigopt rsa_pss_saltlen:32", "", nil, "SHA256-RSAPSS"},
		{more7 + "sha512-rsa-MGF1", "-sha512 -sigopt rsa_pss_saltlen:64", "", nil, "SHA512-RSAPSS"},
		{more7 + "sha256-rsa-MGF1", "-sha256 -sigopt rsa_pss_saltlen:20", "", xmldsig.ErrMismatch, ""},
		{more7 + "rsa-pss", "-sha256 -sigopt rsa_pss_saltlen:32", "", nil, "SHA256-RSAPSS"},
		{more7 + "rsa-pss", "-sha512 -sigopt rsa_pss_saltlen:20", pss(sha512 + `<p:SaltLength>20</p:SaltLength><p:TrailerField>1</p:TrailerField>`), nil, "SHA512-RSAPSS"},
		{more7 + "rsa-pss", "-sha256 -sigopt rsa_pss_saltlen:32 -sigopt rsa_mgf1_md:sha1",
			pss(`<p:MaskGenerationFunction Algorithm="` + more7 + `MGF1"><ds:DigestMethod Algorithm="` + ds + `sha1"></ds:DigestMethod></p:MaskGenerationFunction>`), xmldsig.ErrUnsupported, ""},
		{more7 + "rsa-pss", "-sha256 -sigopt rsa_pss_saltlen:32", pss(`<p:TrailerField>2</p:TrailerField>`), xmldsig.ErrUnsupported, ""},
	} {
		_, s := verifyOne(t, pssSigned(t, c.method, c.options, c.parameters))
		if !errors.Is(s.Err, c.want) || s.Fits != (c.want == nil) || c.want == nil && s.Algorithm != c.algorithm {
			t.Errorf("%s %s %s: %+v", c.method, c.options, c.parameters, s)
		}
	}
}

// TestPrefixListIsHonoured: InclusiveNamespaces of Exclusive C14N.
func TestPrefixListIsHonoured(t *testing.T) {
	id := identityOf(t, "rsa")
	list := `<i:InclusiveNamespaces xmlns:i="` + exclusive + `" PrefixList="u #default altro"/>`
	for _, uri := range []string{"", "#parte"} {
		signed := xmlsecSign(t, id, document(signature(exclusive, more+"rsa-sha256",
			reference(uri, "", transform(enveloped, "")+transform(exclusive, list), enc+"sha256"), "")))
		if _, s := verifyOne(t, signed); !s.Fits {
			t.Errorf("%q: %+v", uri, s)
		}
		// Without the list the digest is another one.
		signed = bytes.Replace(signed, []byte(` PrefixList="u #default altro"`), nil, 1)
		if _, s := verifyOne(t, signed); s.Fits {
			t.Errorf("%q: the list does not count", uri)
		}
	}
}

// TestSeveralSignatures: each is reported with what it covers.
func TestSeveralSignatures(t *testing.T) {
	id := identityOf(t, "rsa")
	first := signature(exclusive, more+"rsa-sha256", reference("#parte", "", transform(exclusive, ""), enc+"sha256"), "")
	signed := xmlsecSign(t, id, document(first))
	// xmlsec1 signs the first template it finds, so the second stands before.
	second := strings.Replace(signature(exclusive, more+"rsa-sha256", reference("", "", transform(enveloped, ""), enc+"sha256"), ""), `Id="firma"`, `Id="seconda"`, 1)
	signed = xmlsecSign(t, id, strings.Replace(string(signed), "<parte", second+"<parte", 1))
	doc, err := xmldsig.Parse(signed, xmldsig.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	all, err := doc.Verify()
	if err != nil || len(all) != 2 || !all[0].Fits || !all[1].Fits {
		t.Fatalf("%v %+v", err, all)
	}
	part := doc.Root.Child("urn:doc", "parte")
	if !all[0].Covers(doc.Root) || all[1].Covers(doc.Root) || !all[1].Covers(part) || !all[0].Covers(all[1].Element) || all[0].Covers(all[0].Element) {
		t.Error("what is covered is not told right")
	}
	if got := all[1].References[0].Element.Path(); got != "/doc/parte" {
		t.Errorf("path %q", got)
	}
}

// TestWrapping: the attacks by which content that nobody signed is read in
// place of what somebody did (McIntosh and Austel, "XML Signature Element
// Wrapping Attacks", 2005).
func TestWrapping(t *testing.T) {
	id := identityOf(t, "rsa")
	byID := string(xmlsecSign(t, id, document(signature(exclusive, more+"rsa-sha256", reference("#parte", "", transform(exclusive, ""), enc+"sha256"), ""))))
	whole := string(xmlsecSign(t, id, document(signature(exclusive, more+"rsa-sha256", reference("", "", transform(enveloped, ""), enc+"sha256"), ""))))
	filtered := string(xmlsecSign(t, id, document(signature(exclusive, more+"rsa-sha256", reference("", "", transform("http://www.w3.org/2002/06/xmldsig-filter2",
		`<x:XPath xmlns:x="http://www.w3.org/2002/06/xmldsig-filter2" Filter="subtract">/descendant::ds:Signature</x:XPath>`)+transform(exclusive, ""), enc+"sha256"), ""))))
	_, rest, _ := strings.Cut(byID, "<parte")
	original, _, _ := strings.Cut(rest, "</parte>")
	original = "<parte" + original + "</parte>"
	_, rest, _ = strings.Cut(whole, "<doc ")
	wholeDoc, _, _ := strings.Cut("<doc "+rest, "<!-- dopo")

	for name, c := range map[string]struct {
		doc  string
		fits bool
	}{
		// The signed part is moved to where nobody looks, another stands in its place.
		"moved into an unread element": {strings.Replace(byID, original, `<parte xmlns:v="urn:v" Id="altra">falso</parte><nascosto>`+original+`</nascosto>`, 1), true},
		"same Id twice":                {strings.Replace(byID, original, `<parte xmlns:v="urn:v" Id="parte">falso</parte><nascosto>`+original+`</nascosto>`, 1), false},
		"same Id, other spelling":      {strings.Replace(byID, original, `<parte xmlns:v="urn:v" ID="parte">falso</parte><nascosto>`+original+`</nascosto>`, 1), false},
		"same xml:id":                  {strings.Replace(byID, original, `<parte xmlns:v="urn:v" xml:id="parte">falso</parte><nascosto>`+original+`</nascosto>`, 1), false},
		"moved into the signature":     {strings.Replace(strings.Replace(byID, original, `<parte xmlns:v="urn:v">falso</parte>`, 1), "</ds:KeyInfo>", `</ds:KeyInfo><ds:Object>`+original+`</ds:Object>`, 1), true},
		// A signed document in another one: URI="" means the whole document.
		"wrapped":                  {"<doc xmlns='urn:doc'><parte>falso</parte><x>" + wholeDoc + "</x></doc>", false},
		"a second root":            {strings.Replace(whole, "<doc ", "<falso><parte>falso</parte></falso><doc ", 1), false},
		"in the taken out element": {strings.Replace(filtered, original, `<ds:Signature xmlns:ds="`+ds+`"><parte>falso</parte></ds:Signature>`+original, 1), true},
		"in its own signature":     {strings.Replace(whole, "</ds:KeyInfo>", `</ds:KeyInfo><ds:Object><parte xmlns="urn:doc">falso</parte></ds:Object>`, 1), true},
	} {
		doc, err := xmldsig.Parse([]byte(c.doc), xmldsig.Limits{})
		if err != nil {
			if c.fits || !errors.Is(err, xmldsig.ErrMalformed) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		all, err := doc.Verify()
		if err != nil {
			t.Fatal(err)
		}
		fitting := 0
		for _, s := range all {
			if s.Fits {
				fitting++
			}
			for e := range falsified(doc.Root) {
				if s.Covers(e) {
					t.Errorf("%s: what nobody signed is covered at %s", name, e.Path())
				}
			}
		}
		if (fitting > 0) != c.fits {
			t.Errorf("%s: %d signatures fit\n%s", name, fitting, c.doc)
		}
	}
}

// falsified are the elements with the attacker's text.
func falsified(e *xmldsig.Element) func(func(*xmldsig.Element) bool) {
	return func(yield func(*xmldsig.Element) bool) {
		if strings.Contains(e.Text(), "falso") && !yield(e) {
			return
		}
		for c := range e.Elements() {
			for f := range falsified(c) {
				if !yield(f) {
					return
				}
			}
		}
	}
}

// TestNotVerifiedIsNotInvalid: what is beyond this package is told apart from
// what is wrong.
func TestNotVerifiedIsNotInvalid(t *testing.T) {
	id := identityOf(t, "rsa")
	good := string(xmlsecSign(t, id, document(signature(exclusive, more+"rsa-sha256",
		reference("", "", transform(enveloped, "")+transform(exclusive, ""), enc+"sha256"), ""))))
	last := `<ds:Transform Algorithm="` + exclusive + `"/>` // as xmlsec1 writes it
	for name, c := range map[string]struct {
		old, new string
		want     error
	}{
		"file":               {`URI=""`, `URI="file:///etc/passwd"`, xmldsig.ErrUnsupported},
		"network":            {`URI=""`, `URI="http://127.0.0.1:1/x"`, xmldsig.ErrUnsupported},
		"no URI":             {` URI=""`, ``, xmldsig.ErrUnsupported},
		"missing Id":         {`URI=""`, `URI="#manca"`, xmldsig.ErrMismatch},
		"XPointer":           {`URI=""`, `URI="#xpointer(//parte)"`, xmldsig.ErrUnsupported},
		"XSLT":               {last, transform("http://www.w3.org/TR/1999/REC-xslt-19991116", ""), xmldsig.ErrUnsupported},
		"base64":             {last, transform(ds+"base64", ""), xmldsig.ErrUnsupported},
		"XPath":              {last, transform("http://www.w3.org/TR/1999/REC-xpath-19991116", "<ds:XPath>true()</ds:XPath>"), xmldsig.ErrUnsupported},
		"filter after C14N":  {last, last + transform(enveloped, ""), xmldsig.ErrUnsupported},
		"HMAC":               {more + "rsa-sha256", ds + "hmac-sha1", xmldsig.ErrUnsupported},
		"MD5":                {more + "rsa-sha256", more + "rsa-md5", xmldsig.ErrUnsupported},
		"DSA":                {more + "rsa-sha256", ds + "dsa-sha1", xmldsig.ErrUnsupported},
		"EC method, RSA key": {more + "rsa-sha256", more + "ecdsa-sha256", xmldsig.ErrUnsupported},
		"digest":             {enc + "sha256", more + "md5", xmldsig.ErrUnsupported},
		"canonicalization":   {`CanonicalizationMethod Algorithm="` + exclusive, `CanonicalizationMethod Algorithm="urn:altro`, xmldsig.ErrUnsupported},
		"many transforms":    {last, strings.Repeat(transform(enveloped, ""), 9) + last, xmldsig.ErrBounds},
		"many references":    {"</ds:SignedInfo>", strings.Repeat(reference("#parte", "", last, enc+"sha256"), 65) + "</ds:SignedInfo>", xmldsig.ErrMismatch},
		"no certificate":     {"X509Certificate", "X509Altro", xmldsig.ErrNoCertificate},
		"no reference":       {"ds:Reference", "ds:Riferimento", xmldsig.ErrMalformed},
		"two SignedInfo":     {"<ds:SignatureValue>", "<ds:SignedInfo/><ds:SignatureValue>", xmldsig.ErrMalformed},
		"no value":           {"ds:SignatureValue>", "ds:Valore>", xmldsig.ErrMalformed},
	} {
		_, s := verifyOne(t, []byte(strings.ReplaceAll(good, c.old, c.new)))
		if s.Fits || s.Err == nil || len(s.Problems) == 0 || c.want != xmldsig.ErrMismatch && !hasProblem(s, c.want) || !strings.Contains(good, c.old) {
			t.Errorf("%s: %v %q, want %v", name, s.Err, s.Problems, c.want)
		}
	}
	if _, s := verifyOne(t, []byte(good)); !s.Fits {
		t.Errorf("the document itself: %+v", s)
	}
}

func hasProblem(s xmldsig.Signature, want error) bool {
	return errors.Is(s.Err, want) || strings.Contains(strings.Join(s.Problems, "\n"), want.Error())
}

// TestOurVerdictIsXmlsecs: bytes of signed documents are changed; what fits
// here fits there.
func TestOurVerdictIsXmlsecs(t *testing.T) {
	id := identityOf(t, "rsa")
	signed := xmlsecSign(t, id, document(signature(c14n, more+"rsa-sha256", reference("", "", transform(enveloped, ""), enc+"sha256"), "")))
	both := 0
	for at := range signed {
		changed := bytes.Clone(signed)
		changed[at] ^= 1
		doc, err := xmldsig.Parse(changed, xmldsig.Limits{})
		if err != nil {
			continue
		}
		all, err := doc.Verify()
		if err != nil || len(all) != 1 || !all[0].Fits {
			continue
		}
		if both++; both%7 == 0 && !xmlsecVerifies(t, id, changed) {
			t.Errorf("byte %d, %q: fits here only", at, changed[max(0, at-20):min(len(changed), at+20)])
		}
	}
	if !xmlsecVerifies(t, id, signed) || both < 20 {
		t.Errorf("%d changes fit (comments, what no digest covers), or xmlsec1 does not verify what it signed", both)
	}
}

// TestManySignaturesAndLongForms: the work is bounded whatever the document
// asks for.
func TestManySignaturesAndLongForms(t *testing.T) {
	many := "<a>" + strings.Repeat(`<ds:Signature xmlns:ds="`+ds+`"/>`, 20) + "</a>"
	if all, err := xmldsig.Verify([]byte(many), xmldsig.Limits{}); !errors.Is(err, xmldsig.ErrBounds) || len(all) != 16 {
		t.Errorf("%v, %d signatures", err, len(all))
	}
	// A long namespace that each of many elements has to write: its canonical form
	// is thousands of times the document.
	form := signature(exclusive, more+"rsa-sha256", reference("", "", transform(exclusive, ""), enc+"sha256"), "")
	long := `<a xmlns:p="urn:` + strings.Repeat("x", 100_000) + `">` + strings.Repeat("<p:b/>", 50_000) + form + "</a>"
	_, s := verifyOne(t, []byte(long))
	if !hasProblem(s, xmldsig.ErrBounds) {
		t.Errorf("%v %q", s.Err, s.Problems)
	}
}

// TestECDSAIsNotDER: XML signatures have r and s, not the DER of other formats.
func TestECDSAIsNotDER(t *testing.T) {
	id := identityOf(t, "p256")
	signed := string(xmlsecSign(t, id, document(signature(exclusive, more+"ecdsa-sha256", reference("", "", transform(enveloped, ""), enc+"sha256"), ""))))
	head, rest, _ := strings.Cut(signed, "<ds:SignatureValue>")
	value, tail, _ := strings.Cut(rest, "</ds:SignatureValue>")
	raw, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(value), ""))
	if err != nil || len(raw) != 64 {
		t.Fatalf("%v, %d bytes", err, len(raw))
	}
	for _, other := range [][]byte{raw[:63], append([]byte{0}, raw...), append(bytes.Clone(raw), 0), nil, make([]byte, 64)} {
		changed := head + "<ds:SignatureValue>" + base64.StdEncoding.EncodeToString(other) + "</ds:SignatureValue>" + tail
		if _, s := verifyOne(t, []byte(changed)); s.Fits || !errors.Is(s.Err, xmldsig.ErrMismatch) {
			t.Errorf("%d bytes: %v", len(other), s.Err)
		}
	}
}
