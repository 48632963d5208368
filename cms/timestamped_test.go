package cms

import (
	"bytes"
	"crypto"
	"encoding/asn1"
	"errors"
	"io"
	"slices"
	"testing"
)

// stampedFile is a TimeStampedData as RFC 5544 has it, with these metadata.
func stampedFile(t testing.TB, s tsa, content, metadata []byte, hash string) []byte {
	t.Helper()
	stamped := content
	if len(metadata) > 4 && metadata[4] != 0 { // hashProtected
		stamped = slices.Concat(metadata, content)
	}
	token := s.stamp(t, stamped, hash)
	parts := [][]byte{{2, 1, 1}, metadata, octets(content), explicit(0, sequence(token))}
	return sequence(must(asn1.Marshal(oidTimeStampedData)), explicit(0, sequence(parts...)))
}

// A .tsd is read with its content and stamp; metadata that are protected are
// part of what was stamped.
func TestOpenTimeStamped(t *testing.T) {
	s := newTSA(t, nil)
	content := bytes.Repeat([]byte("atto\n"), 3000)
	for name, c := range map[string]struct {
		metadata string
		hash     crypto.Hash
		prefix   bool
	}{
		"plain":     {"", crypto.SHA256, false},
		"named":     {"\x30\x0a\x01\x01\x00\x0c\x05a.pdf", crypto.SHA512, false},
		"protected": {"\x30\x0a\x01\x01\xff\x0c\x05a.pdf", crypto.SHA384, true},
	} {
		t.Run(name, func(t *testing.T) {
			der := stampedFile(t, s, content, []byte(c.metadata), map[crypto.Hash]string{crypto.SHA256: "sha256", crypto.SHA384: "sha384", crypto.SHA512: "sha512"}[c.hash])
			for _, b := range [][]byte{der, indefinite(t, der, 999)} {
				f, err := OpenTimeStamped(bytes.NewReader(b), int64(len(b)))
				if err != nil {
					t.Fatal(err)
				}
				d := NewDigester(c.hash)
				d.Write(f.Prefix)
				if _, err := io.Copy(d, f.Encapsulated().Reader()); err != nil {
					t.Fatal(err)
				}
				stamp, err := VerifyStampOf(f.Tokens[0], d.Sum)
				if err == nil {
					err = stamp.Trusted(NewChains(), pool(s.root))
				}
				if err != nil || stamp.Hash != c.hash || f.FileName != map[bool]string{true: "a.pdf"}[c.metadata != ""] ||
					(len(f.Prefix) > 0) != c.prefix || f.Encapsulated().Size() != int64(len(content)) || f.Length != int64(len(b)) {
					t.Errorf("%+v, %+v, %v", f, stamp, err)
				}
				if _, err := VerifyStampOf(f.Tokens[0], NewDigester(c.hash).Sum); !errors.Is(err, ErrMismatch) {
					t.Errorf("it is a stamp of nothing as well: %v", err)
				}
				if _, err := Open(bytes.NewReader(b), int64(len(b))); !errors.Is(err, ErrMalformed) {
					t.Errorf("it is a SignedData as well: %v", err)
				}
			}
		})
	}
}

func TestKindOf(t *testing.T) {
	a := newAuthority(t, keys(t)["P-256"], nil)
	for kind, b := range map[Kind][]byte{
		Signed:      a.sign(t, bytes.Repeat([]byte("x"), 100000))[:30],
		TimeStamped: sequence(must(asn1.Marshal(oidTimeStampedData))),
		Encrypted:   sequence(must(asn1.Marshal(oidEnveloped))),
		Other:       sequence(must(asn1.Marshal(oidData))),
	} {
		if got, err := KindOf(b); err != nil || got != kind {
			t.Errorf("%x: %d instead of %d, %v", b, got, kind, err)
		}
	}
	for _, b := range []string{"", "0", "\x30\xff", "\x30\x03\x06\x05\x2a", "PK\x03\x04", "\x30\x80\x02\x01\x01"} {
		if got, err := KindOf([]byte(b)); err == nil {
			t.Errorf("%x is %d", b, got)
		}
	}
}
