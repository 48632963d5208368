package cms

import (
	"bytes"
	"encoding/asn1"
	"io"
	"slices"
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

// FuzzOpen edits signatures in one place: Open and Parse agree, what is kept is
// bounded by what was given, and what fits does not fit once a byte of the
// content is another.
func FuzzOpen(f *testing.F) {
	a := newAuthority(f, keys(f)["P-256"], nil)
	der := a.sign(f, []byte("contenuto"))
	bases := [][]byte{der, indefinite(f, der, 4), indefinite(f, a.sign(f, bytes.Repeat([]byte("abc"), 3000)), 1000)}
	for i := range bases {
		f.Add(uint8(i), uint16(0), uint16(0), []byte(nil), uint16(3))
		f.Add(uint8(i), uint16(60), uint16(2), []byte{0x24, 0x80, 4, 1, 'x', 0, 0}, uint16(2000))
	}
	f.Fuzz(func(t *testing.T, base uint8, from, drop uint16, insert []byte, at uint16) {
		b := bases[int(base)%len(bases)]
		start := int(from) % len(b)
		b = slices.Concat(b[:start], insert, b[min(start+int(drop), len(b)):])
		sd, err := Open(bytes.NewReader(b), int64(len(b)))
		whole, other := Parse(b)
		if (err == nil) != (other == nil) {
			t.Fatalf("Open says %v, Parse %v", err, other)
		}
		if err != nil || sd.Encapsulated() == nil {
			return
		}
		c := sd.Encapsulated()
		content, err := io.ReadAll(c.Reader())
		if err != nil || !bytes.Equal(content, whole.Content) || len(c.runs.list)*2 > len(b) || sd.Length > int64(len(b)) {
			t.Fatalf("%v: %x instead of %x, %d runs", err, content, whole.Content, len(c.runs.list))
		}
		if len(content) == 0 {
			return
		}
		changed := bytes.Clone(b)
		place, _ := c.runs.find(int64(at) % int64(len(content)))
		changed[place] ^= 1
		again, err := Open(bytes.NewReader(changed), int64(len(changed)))
		if err != nil {
			t.Fatalf("another content is not read: %v", err)
		}
		d := NewDigester(again.Digests()...)
		if _, err := io.Copy(d, again.Encapsulated().Reader()); err != nil {
			t.Fatal(err)
		}
		for i := range again.Signers {
			if _, err := again.VerifyDigest(i, d.Sum); err == nil {
				t.Errorf("signer %d fits another content", i)
			}
		}
	})
}

// FuzzOpenTimeStamped: what is read of a .tsd is in it, and its content can be
// read to its end.
func FuzzOpenTimeStamped(f *testing.F) {
	s := newTSA(f, nil)
	der := stampedFile(f, s, []byte("contenuto"), []byte("\x30\x0a\x01\x01\xff\x0c\x05a.pdf"), "sha256")
	f.Add(der)
	f.Add(indefinite(f, der, 2))
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := OpenTimeStamped(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		if file.Length > int64(len(b)) || len(file.Prefix) > len(b) || len(file.Tokens) == 0 || len(file.Tokens) > maxChildren {
			t.Fatalf("%d bytes gave %+v", len(b), file)
		}
		if c := file.Encapsulated(); c != nil {
			if got, err := io.ReadAll(c.Reader()); err != nil || int64(len(got)) != c.Size() || len(got) > len(b) {
				t.Errorf("%d of %d bytes, %v", len(got), c.Size(), err)
			}
		}
	})
}

// indefinite rewrites DER as programs that write streams do: without lengths,
// octet strings that are constructed in pieces.
func indefinite(t testing.TB, der []byte, piece int) []byte {
	t.Helper()
	var b []byte
	var v asn1.RawValue
	rest, err := asn1.Unmarshal(der, &v)
	switch {
	case err != nil || len(rest) > 0:
		t.Fatalf("%v, %d more", err, len(rest))
	case v.IsCompound:
		b = append(b, der[0], 0x80)
		for inside := v.Bytes; len(inside) > 0; inside = rest {
			var one asn1.RawValue
			if rest, err = asn1.Unmarshal(inside, &one); err != nil {
				t.Fatal(err)
			}
			b = append(b, indefinite(t, one.FullBytes, piece)...)
		}
		b = append(b, 0, 0)
	case v.Class == asn1.ClassUniversal && v.Tag == asn1.TagOctetString && len(v.Bytes) > piece:
		b = append(b, octetString|constructed, 0x80)
		for part := range slices.Chunk(v.Bytes, piece) {
			b = append(b, octets(part)...)
		}
		b = append(b, 0, 0)
	default:
		b = der
	}
	return b
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
