package xmldsig_test

import (
	"strings"
	"testing"
	"time"

	"github.com/protodaemon/protodaemon/sign"
	"github.com/protodaemon/protodaemon/xmldsig"
)

// BenchmarkVerify reads and verifies a document of the size of a large trusted
// list, with an XAdES signature over all of it.
func BenchmarkVerify(b *testing.B) {
	entry := `<e a="1" b="due"><name xml:lang="it">Servizio di prova</name><value>` + strings.Repeat("TUlJQg", 250) + `</value><status>granted</status></e>`
	text := `<list xmlns="urn:lista">` + strings.Repeat(entry, 5<<20/len(entry)) + `</list>`
	files, _, err := sign.Sign(b.Context(), keyOf{identityOf(b, "rsa")}, time.Now(), []sign.Document{{Format: sign.XAdES, Content: []byte(text)}})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(files[0])))
	b.ReportAllocs()
	for b.Loop() {
		if all, err := xmldsig.Verify(files[0], xmldsig.Limits{}); err != nil || !all[0].Fits {
			b.Fatalf("%v %+v", err, all)
		}
	}
}

// BenchmarkVerifySmall is an evidence or a segnatura.
func BenchmarkVerifySmall(b *testing.B) {
	text := `<doc xmlns="urn:doc">` + strings.Repeat(`<e a="1"><v>valore</v></e>`, 100) + `</doc>`
	files, _, err := sign.Sign(b.Context(), keyOf{identityOf(b, "rsa")}, time.Now(), []sign.Document{{Format: sign.XAdES, Content: []byte(text)}})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(files[0])))
	b.ReportAllocs()
	for b.Loop() {
		if all, err := xmldsig.Verify(files[0], xmldsig.Limits{}); err != nil || !all[0].Fits {
			b.Fatalf("%v %+v", err, all)
		}
	}
}
