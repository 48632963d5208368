package cms

import (
	"bytes"
	"testing"
)

// FuzzParse: what is read is bounded by what was given, and a signature that
// fits its content does not fit another.
func FuzzParse(f *testing.F) {
	a := newAuthority(f, keys(f)["P-256"], nil)
	f.Add(a.sign(f, []byte("contenuto")))
	f.Add([]byte("\x30\x80\x06\x09*\x86H\x86\xf7\r\x01\x07\x02\xa0\x80"))
	f.Fuzz(func(t *testing.T, b []byte) {
		sd, err := Parse(b)
		if err != nil {
			return
		}
		if len(sd.Content) > len(b) || len(sd.Certificates) > maxCertificates || len(sd.Signers) > maxSigners {
			t.Fatalf("%d bytes gave %d of content", len(b), len(sd.Content))
		}
		for i := range sd.Signers {
			if _, err := sd.Verify(i, sd.Content); err != nil {
				continue
			}
			if _, err := sd.Verify(i, append(bytes.Clone(sd.Content), 0)); err == nil {
				t.Error("it fits another content as well")
			}
		}
	})
}

// FuzzStamp: an answer that is taken is one to the request.
func FuzzStamp(f *testing.F) {
	f.Add([]byte("\x30\x03\x02\x01\x02"))
	f.Add([]byte("\x30\x05\x30\x03\x02\x01\x02"))
	r, err := NewStampRequest(make([]byte, 32), nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(r.DER)
	f.Fuzz(func(t *testing.T, b []byte) {
		token, err := r.Read(b)
		if err != nil {
			return
		}
		if s, err := ParseStamp(token); err != nil || s.Nonce.Cmp(r.nonce) != 0 {
			t.Errorf("taken: %+v, %v", s, err)
		}
	})
}
