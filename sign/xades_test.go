package sign_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/protodaemon/protodaemon/cms"
	"github.com/protodaemon/protodaemon/sign"
)

// xmlsec has xmlsec1 verify an XML up to the root.
func xmlsec(t testing.TB, p *pki, signed []byte) (string, error) {
	t.Helper()
	return run(t, "xmlsec1", "--verify", "--id-attr:Id", "http://uri.etsi.org/01903/v1.3.2#:SignedProperties", "--enabled-key-data", "x509",
		"--trusted-pem", write(t, "root.pem", pemOf(p.root)), write(t, "x.xml", signed))
}

// XAdES B-B: xmlsec1 verifies both references for each kind of key, and takes no
// changed byte in content, properties or value.
func TestXAdES(t *testing.T) {
	p := newPKI()
	for kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			at := time.Now()
			x := signed(t, p, kind, at, sign.Document{Format: sign.XAdES, Content: register})
			said, err := xmlsec(t, p, x)
			if err != nil || !strings.Contains(said, "SignedInfo References (ok/all): 2/2") {
				t.Errorf("xmlsec1: %v: %s", err, said)
			}
			v, err := sign.VerifyXAdES(x)
			if err != nil || !bytes.Equal(v.Content, register) || !v.Time.Equal(at.Truncate(time.Second)) || len(v.Certificates) != 3 {
				t.Errorf("%v: %q at %v", err, v.Content, v.Time)
			}
			for name, change := range xadesChanges {
				changed := change(bytes.Clone(x))
				if said, err := xmlsec(t, p, changed); err == nil {
					t.Errorf("xmlsec1 takes it with another %s: %s", name, said)
				}
				if _, err := sign.VerifyXAdES(changed); !errors.Is(err, cms.ErrMismatch) {
					t.Errorf("with another %s: %v", name, err)
				}
			}
		})
	}
}

// flip changes the last letter or digit before a place.
func flip(x []byte, before string) []byte {
	at := bytes.Index(x, []byte(before))
	if at < 1 {
		panic(before + " is not in it")
	}
	for x[at-1] == '=' || x[at-1] == '<' {
		at--
	}
	// Not the last of a base64, whose lowest bits may mean nothing.
	if at -= 4; x[at] == 'A' {
		x[at] = 'B'
	} else {
		x[at] = 'A'
	}
	return x
}

// xadesChanges leave well-formed XML that says something else.
var xadesChanges = map[string]func(x []byte) []byte{
	"content": func(x []byte) []byte { return bytes.Replace(x, []byte("così"), []byte("cosa"), 1) },
	"time": func(x []byte) []byte {
		return regexp.MustCompile(`(<xades:SigningTime>)\d{4}`).ReplaceAll(x, []byte("${1}2001"))
	},
	"certificate digest": func(x []byte) []byte { return flip(x, "</ds:DigestValue></xades:CertDigest>") },
	"value":              func(x []byte) []byte { return flip(x, "</ds:SignatureValue>") },
	"digest of content":  func(x []byte) []byte { return flip(x, `</ds:DigestValue></ds:Reference><ds:Reference Type`) },
	"data object's type": func(x []byte) []byte {
		return bytes.Replace(x, []byte("application/xml"), []byte("application/pdf"), 1)
	},
	"element more": func(x []byte) []byte { return bytes.Replace(x, []byte("<Vuoto>"), []byte("<Nuovo></Nuovo><Vuoto>"), 1) },
	"canonicalization": func(x []byte) []byte {
		return bytes.Replace(x, []byte("xml-exc-c14n#"), []byte("xml-exc-c14n#WithComments"), 1)
	},
}

// What is not byte for byte what this program writes is refused, also where
// another verifier would find the signature good.
func TestXAdESRefused(t *testing.T) {
	p := newPKI()
	x := signed(t, p, "P-256", time.Now(), sign.Document{Format: sign.XAdES, Content: register})
	value := regexp.MustCompile(`<ds:SignatureValue>(.*)</ds:SignatureValue>`).FindSubmatch(x)[1]
	raw := must(base64.StdEncoding.DecodeString(string(value)))
	withValue := func(b []byte) []byte {
		return bytes.Replace(x, value, []byte(base64.StdEncoding.EncodeToString(b)), 1)
	}
	twin := p.issue(ec256Key().Public(), nil) // the same name and key
	leaf := must(sign.VerifyXAdES(x)).Signer
	b64 := base64.StdEncoding.EncodeToString
	end := bytes.LastIndex(x, []byte("</Registro"))
	for name, c := range map[string]struct {
		x  []byte
		is error
	}{
		"another certificate":    {bytes.Replace(x, []byte(b64(leaf.Raw)), []byte(b64(twin.Raw)), 1), cms.ErrMismatch},
		"certificates swapped":   {bytes.Replace(x, []byte(b64(leaf.Raw)+"</ds:X509Certificate><ds:X509Certificate>"+b64(p.between.Raw)), []byte(b64(p.between.Raw)+"</ds:X509Certificate><ds:X509Certificate>"+b64(leaf.Raw)), 1), sign.ErrUnusable},
		"certificate not base64": {bytes.Replace(x, []byte("<ds:X509Certificate>M"), []byte("<ds:X509Certificate>*"), 1), sign.ErrNotXAdES},
		"certificate not one":    {bytes.Replace(x, []byte(b64(leaf.Raw)), []byte(b64([]byte("x"))), 1), sign.ErrNotXAdES},
		"no certificate":         {regexp.MustCompile(`<ds:X509Data>.*</ds:X509Data>`).ReplaceAll(x, nil), sign.ErrNotXAdES},
		"40 certificates":        {bytes.Replace(x, []byte("<ds:X509Data>"), []byte("<ds:X509Data>"+strings.Repeat("<ds:X509Certificate>"+b64(leaf.Raw)+"</ds:X509Certificate>", 40)), 1), sign.ErrNotXAdES},
		"value not base64":       {bytes.Replace(x, value, []byte("*"), 1), sign.ErrNotXAdES},
		"value of odd length":    {withValue(raw[:len(raw)-1]), cms.ErrMismatch},
		"value with a byte more": {withValue(append([]byte{0}, raw...)), cms.ErrMismatch},
		"numbers wider":          {withValue(append(append([]byte{0}, raw[:32]...), append([]byte{0}, raw[32:]...)...)), cms.ErrMismatch},
		"numbers of 2000 bytes":  {withValue(bytes.Repeat([]byte{0xff}, 4000)), cms.ErrMismatch},
		"no value":               {withValue(nil), cms.ErrMismatch},
		"zeros":                  {withValue(make([]byte, len(raw))), cms.ErrMismatch},
		"no time":                {bytes.Replace(x, []byte("xades:SigningTime>"), []byte("xades:Time>"), 2), sign.ErrNotXAdES},
		"another notation":       {bytes.Replace(x, []byte("Z</xades:SigningTime>"), []byte("+00:00</xades:SigningTime>"), 1), cms.ErrMismatch},
		"line breaks in base64":  {bytes.Replace(x, value, append(append(bytes.Clone(value[:8]), '\n'), value[8:]...), 1), cms.ErrMismatch},
		"space behind":           {append(bytes.Clone(x), '\n'), sign.ErrNotXAdES},
		"text behind signature":  {bytes.Replace(x, []byte("</ds:Signature>"), []byte("</ds:Signature>altro"), 1), cms.ErrMismatch},
		"another object in it":   {bytes.Replace(x, []byte("</ds:Signature>"), []byte("<ds:Object></ds:Object></ds:Signature>"), 1), cms.ErrMismatch},
		"signature further up":   {moved(x, end), cms.ErrMismatch},
		"empty":                  {nil, sign.ErrNotXAdES},
		"not signed":             {register, sign.ErrNotXAdES},
		"the signature alone":    {x[bytes.Index(x, []byte("<ds:Signature ")):end], sign.ErrNotXAdES},
		"another's name for it":  {bytes.Replace(x, []byte(`Id="firma"`), []byte(`Id="altra"`), 1), sign.ErrNotXAdES},
		"another declaration":    {bytes.Replace(x, []byte("UTF-8"), []byte("UTF-7"), 1), sign.ErrNotXAdES},
		"a comment in the XML":   {bytes.Replace(x, []byte("<Vuoto>"), []byte("<!-- x --><Vuoto>"), 1), sign.ErrNotXAdES},
		"a document type":        {bytes.Replace(x, []byte("<Registro"), []byte("<!DOCTYPE x><Registro"), 1), sign.ErrNotXAdES},
		"an instruction":         {bytes.Replace(x, []byte("<Vuoto>"), []byte("<?x?><Vuoto>"), 1), sign.ErrNotXAdES},
		"carriage returns":       {bytes.Replace(x, []byte("\n"), []byte("\r\n"), 1), sign.ErrNotXAdES},
		"not UTF-8":              {bytes.Replace(x, []byte("è"), []byte{0xe8}, 1), sign.ErrNotXAdES},
	} {
		if bytes.Equal(c.x, x) {
			t.Fatalf("%s: nothing was changed", name)
		}
		if _, err := sign.VerifyXAdES(c.x); !errors.Is(err, c.is) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// moved puts the signature to the beginning of the root element.
func moved(x []byte, end int) []byte {
	from := bytes.Index(x, []byte("<ds:Signature "))
	to := bytes.Index(x, []byte("<Oggetto>"))
	return bytes.Join([][]byte{x[:to], x[from:end], x[to:from], x[end:]}, nil)
}

// A cut file is never good, and none with a changed byte is.
func TestXAdESEveryByte(t *testing.T) {
	p := newPKI()
	key := &memory{key: ec256Key(), chain: []*x509.Certificate{p.issue(ec256Key().Public(), nil)}}
	files, _, err := sign.Sign(t.Context(), key, time.Now(), []sign.Document{{Format: sign.XAdES, Content: register}})
	if err != nil {
		t.Fatal(err)
	}
	x := files[0]
	for n := range x {
		if _, err := sign.VerifyXAdES(x[:n]); err == nil {
			t.Fatalf("cut after %d bytes it verifies", n)
		}
	}
	// Of the declaration nothing is signed.
	for n := bytes.Index(x, []byte("<Registro")); n < len(x); n++ {
		changed := bytes.Clone(x)
		changed[n] ^= 1
		if _, err := sign.VerifyXAdES(changed); err == nil {
			t.Fatalf("with byte %d changed, %q, it verifies", n, x[max(n-20, 0):n+1])
		}
	}
}

// Text that looks like a signature is text, and a document that has a signature
// gets no second one, which would have the same identifiers.
func TestXAdESSignatureLikeContent(t *testing.T) {
	p := newPKI()
	first := signed(t, p, "P-256", time.Now(), sign.Document{Format: sign.XAdES, Content: register})
	inside := first[bytes.Index(first, []byte("<ds:Signature ")):bytes.LastIndex(first, []byte("</Registro"))]
	escaped := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(string(inside))
	doc := fmt.Appendf(nil, `<R><Oggetto>%s Id="firma" Id="proprieta" </Oggetto></R>`, escaped)
	x := signed(t, p, "P-256", time.Now(), sign.Document{Format: sign.XAdES, Content: doc})
	if said, err := xmlsec(t, p, x); err != nil {
		t.Errorf("xmlsec1: %s", said)
	}
	if v, err := sign.VerifyXAdES(x); err != nil || !bytes.Equal(v.Content, doc) {
		t.Errorf("%v: %q", err, v.Content)
	}
	key := &memory{key: ec256Key(), chain: p.chain(p.issue(ec256Key().Public(), nil))}
	if _, _, err := sign.Sign(t.Context(), key, time.Now(), []sign.Document{{Format: sign.XAdES, Content: first}}); err == nil || key.calls != 0 {
		t.Errorf("a second signature was made: %v", err)
	}
	// A signature of another document, put round this one's, does not cover it.
	wrapped := bytes.Replace(register, []byte("</RegistroGiornaliero>"), append(bytes.Clone(inside), "</RegistroGiornaliero>"...), 1)
	wrapped = bytes.Replace(wrapped, []byte("no"), []byte("sì"), 1)
	if _, err := sign.VerifyXAdES(wrapped); !errors.Is(err, cms.ErrMismatch) {
		t.Errorf("a signature of something else: %v", err)
	}
}

// A document that a verifier would read otherwise than it stands is not signed.
func TestXAdESNotCanonical(t *testing.T) {
	p := newPKI()
	for name, text := range map[string]string{
		"empty": "", "no XML": "testo", "space before": " <R></R>", "space behind": "<R></R>\n", "BOM": "\ufeff<R></R>",
		"an empty element": "<R/>", "a comment": "<R><!-- --></R>", "CDATA": "<R><![CDATA[x]]></R>", "a document type": "<!DOCTYPE R><R></R>",
		"carriage return": "<R>\r\n</R>", "an instruction": "<R><?x?></R>", "a style sheet": "<?xml-stylesheet href=\"x\"?>\n<R></R>",
		"declaration without end": "<?xml version=\"1.0\"", "Latin-1": "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>\n<R></R>",
		"not UTF-8": "<R>\xe8</R>", "two roots": "<R></R><S></S>", "another end": "<R></S>", "a longer name": "<Registro></R>", "no name": "<></>", "end alone": "</R>", "no end": "<R>",
		"a signature":    `<R><ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#"></ds:Signature></R>`,
		"its properties": `<R><xades:X xmlns:xades="urn:x"></xades:X></R>`,
	} {
		key := &memory{key: ec256Key(), chain: []*x509.Certificate{p.issue(ec256Key().Public(), nil)}}
		_, _, err := sign.Sign(t.Context(), key, time.Now(), []sign.Document{{Format: sign.XAdES, Content: []byte(text)}})
		if err == nil || key.calls != 0 || !strings.Contains(err.Error(), "canonical form") {
			t.Errorf("%s: %v", name, err)
		}
		// It is the document that is wrong, not the key.
		if errors.Is(err, sign.ErrUnusable) {
			t.Errorf("%s: the key is blamed: %v", name, err)
		}
	}
	for _, text := range []string{"<R></R>", "<R a=\"b\"></R>", "<?xml version=\"1.0\" encoding=\"UTF-8\"?><R>è</R>", "<?xml version=\"1.0\"?>\n<a:R xmlns:a=\"urn:a\"></a:R>"} {
		x := signed(t, p, "RSA", time.Now(), sign.Document{Format: sign.XAdES, Content: []byte(text)})
		if said, err := xmlsec(t, p, x); err != nil {
			t.Errorf("%s: xmlsec1: %s", text, said)
		}
	}
}

// resigned is an XAdES of which the signature says something else, and is good.
func resigned(t *testing.T, x []byte, old, says string) []byte {
	t.Helper()
	replace := func(pattern string, with func(found string) string) {
		found := regexp.MustCompile(pattern).Find(x)
		if found == nil {
			t.Fatalf("%s is not in it", pattern)
		}
		x = bytes.Replace(x, found, []byte(with(string(found))), 1)
	}
	cut := func(pattern string) []byte {
		digest := sha256.Sum256(regexp.MustCompile(pattern).Find(x))
		return digest[:]
	}
	replace(old, func(string) string { return says })
	properties := base64.StdEncoding.EncodeToString(cut(`(?s)<xades:SignedProperties.*</xades:SignedProperties>`))
	replace(`[^>]*</ds:DigestValue></ds:Reference></ds:SignedInfo>`, func(s string) string { return properties + s[strings.Index(s, "<"):] })
	value := plainECDSA(ec256Key(), must(ec256Key().Sign(rand.Reader, cut(`(?s)<ds:SignedInfo.*</ds:SignedInfo>`), crypto.SHA256)))
	replace(`[^>]*</ds:SignatureValue>`, func(s string) string { return base64.StdEncoding.EncodeToString(value) + s[strings.Index(s, "<"):] })
	return x
}

// A good signature of a certificate that had expired, or in another notation
// than ours, is none for this program, whatever xmlsec1 thinks of it.
func TestXAdESResigned(t *testing.T) {
	p := newPKI()
	x := signed(t, p, "P-256", time.Now(), sign.Document{Format: sign.XAdES, Content: register})
	for name, c := range map[string]struct {
		says string
		is   error
	}{
		"expired":          {"<xades:SigningTime>2098-01-01T00:00:00Z<", sign.ErrExpired},
		"too early":        {"<xades:SigningTime>2001-01-01T00:00:00Z<", sign.ErrExpired},
		"another notation": {"<xades:SigningTime>" + time.Now().UTC().Format("2006-01-02T15:04:05.000Z") + "<", cms.ErrMismatch},
	} {
		again := resigned(t, bytes.Clone(x), "<xades:SigningTime>[^<]*<", c.says)
		if said, err := xmlsec(t, p, again); err != nil {
			t.Errorf("%s: xmlsec1: %s", name, said)
		}
		if _, err := sign.VerifyXAdES(again); !errors.Is(err, c.is) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
