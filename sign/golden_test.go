package sign_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/protodaemon/protodaemon/cms"
	"github.com/protodaemon/protodaemon/sign"
)

func golden(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The same document, RSA key and time give the same bytes, today and in years:
// archived XAdES files are verified by writing them again, so a change here
// would call good files bad. The golden files are never to be made anew.
func TestGolden(t *testing.T) {
	// The file in the repository may be writable by its group.
	key := openP12(t, write(t, "golden.p12", golden(t, "golden-rsa.p12")))
	at := time.Date(2026, 3, 4, 15, 0, 0, 999, time.FixedZone("", 0))
	xml := golden(t, "golden.xml")
	files, _, err := sign.Sign(t.Context(), key, at, []sign.Document{{Format: sign.CAdES, Content: xml}, {Format: sign.XAdES, Content: xml}})
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"golden-rsa.p7m", "golden-rsa.xades.xml"} {
		if !bytes.Equal(files[i], golden(t, name)) {
			t.Errorf("%s comes out otherwise", name)
		}
	}
	// The zone of the time is of no importance.
	again, _, err := sign.Sign(t.Context(), key, at.In(time.FixedZone("CEST", 7200)), []sign.Document{{Format: sign.XAdES, Content: xml}})
	if err != nil || !bytes.Equal(again[0], files[1]) {
		t.Errorf("in another zone: %v", err)
	}
}

// Files that were signed long ago stay good, to us and to others.
func TestGoldenVerifies(t *testing.T) {
	xml := golden(t, "golden.xml")
	for _, kind := range []string{"rsa", "ec"} {
		signedXML := golden(t, "golden-"+kind+".xades.xml")
		v, err := sign.VerifyXAdES(signedXML)
		if err != nil || !bytes.Equal(v.Content, xml) {
			t.Fatalf("%s: XAdES: %v", kind, err)
		}
		p := &pki{root: v.Certificates[1]}
		if said, err := xmlsec(t, p, signedXML); err != nil {
			t.Errorf("%s: xmlsec1: %s", kind, said)
		}
		p7m := golden(t, "golden-"+kind+".p7m")
		if v, err := sign.Verify(p7m, p.pool(), nil); err != nil || !bytes.Equal(v.Content, xml) {
			t.Errorf("%s: CAdES: %v", kind, err)
		}
		opensslVerifies(t, p, p7m, xml)
	}
	stamped := golden(t, "golden-t.p7m")
	v, err := sign.Verify(stamped, nil, nil)
	if err != nil || v.Stamp == nil || !bytes.Equal(v.Content, xml) {
		t.Fatalf("with a stamp: %v", err)
	}
	changed := bytes.Clone(stamped)
	changed[bytes.LastIndex(changed, []byte("Prova TSA"))] ^= 1
	if _, err := sign.Verify(changed, nil, nil); err == nil || errors.Is(err, cms.ErrUnsupported) || !strings.Contains(err.Error(), "time stamp") {
		t.Errorf("with a changed stamp: %v", err)
	}
}
