package pec

import (
	"crypto/x509"
	"testing"
	"time"
)

// TestPathsAreRememberedForWhatTheyAre: for the same anchors, purpose and
// certificates, and for times at which all of a chain is valid.
func TestPathsAreRememberedForWhatTheyAre(t *testing.T) {
	day := func(n int) time.Time { return time.Date(2026, 1, n, 0, 0, 0, 0, time.UTC) }
	leaf := &x509.Certificate{Raw: []byte("leaf"), NotBefore: day(3), NotAfter: day(20)}
	ca := &x509.Certificate{Raw: []byte("ca"), NotBefore: day(1), NotAfter: day(10)}
	anchors, others := x509.NewCertPool(), []*x509.Certificate{ca}
	const usage = x509.ExtKeyUsageEmailProtection
	var p paths
	key := keyOf(anchors, usage, leaf, others)
	p.remember(key, [][]*x509.Certificate{{leaf, ca}})
	for at, known := range map[time.Time]bool{day(2): false, day(3): true, day(10): true, day(10).Add(time.Second): false, day(15): false} {
		if got := p.at(key, at) != nil; got != known {
			t.Errorf("%s: known %v, want %v", at, got, known)
		}
	}
	for name, other := range map[string]pathKey{
		"other anchors": keyOf(x509.NewCertPool(), usage, leaf, others), "another purpose": keyOf(anchors, x509.ExtKeyUsageAny, leaf, others),
		"another signer": keyOf(anchors, usage, ca, others), "without the others": keyOf(anchors, usage, leaf, nil),
	} {
		if p.at(other, day(5)) != nil {
			t.Errorf("%s: known", name)
		}
	}
	for n := range 3 * pathsMax {
		p.remember(keyOf(anchors, usage, &x509.Certificate{Raw: []byte{byte(n), byte(n >> 8)}}, nil), [][]*x509.Certificate{{leaf}})
	}
	if len(p.known) > pathsMax {
		t.Errorf("%d are remembered", len(p.known))
	}
}

// TestSignatureOfAPDFIsSpotted wherever the file is cut.
func TestSignatureOfAPDFIsSpotted(t *testing.T) {
	const signed, plain = "%PDF-1.7 xxxxx /ByteRange [0 1 2 3] yyyyy", "%PDF-1.7 xxxxx /ByteRang e [0 1 2 3] yyyyy"
	for text, want := range map[string]bool{signed: true, plain: false, "xxx" + signed[8:]: false} {
		for size := 1; size <= len(text); size++ {
			s := newFileSink()
			for rest := text; rest != ""; {
				n := min(size, len(rest))
				s.Write([]byte(rest[:n]))
				rest = rest[n:]
			}
			if s.signed != want {
				t.Errorf("%q in pieces of %d: %v", text, size, s.signed)
			}
		}
	}
}
