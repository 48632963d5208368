package cms

import (
	"bytes"
	"crypto"

	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// keyFile writes a private key for openssl.
func keyFile(t testing.TB, key crypto.Signer) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return file(t, "key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// signOpenSSL signs content with what openssl cms takes as options.
func signOpenSSL(t testing.TB, a authority, content []byte, options ...string) []byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), "signed")
	args := append([]string{"cms", "-sign", "-binary", "-outform", "DER", "-in", file(t, "content", content), "-out", out,
		"-signer", pemFile(t, a.leaf), "-inkey", keyFile(t, a.key), "-certfile", pemFile(t, a.root)}, options...)
	if said, err := openssl(t, args...); err != nil {
		t.Fatalf("openssl %v: %v: %s", options, err, said)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// open verifies all signers over the content, which is outside when detached,
// and tells what was signed.
func open(t testing.TB, b, outside []byte) ([]Signer, []byte, error) {
	t.Helper()
	sd, err := Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, nil, err
	}
	content := outside
	if inside := sd.Encapsulated(); inside != nil {
		if content, err = io.ReadAll(inside.Reader()); err != nil || int64(len(content)) != inside.Size() {
			t.Fatalf("the content cannot be read: %v", err)
		}
	}
	d := NewDigester(sd.Digests()...)
	if _, err := io.Copy(d, bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	var signers []Signer
	for i := range sd.Signers {
		s, one := sd.VerifyDigest(i, d.Sum)
		signers, err = append(signers, s), errors.Join(err, one)
	}
	return signers, content, err
}

func opensslVerifies(t testing.TB, b, outside []byte, a authority) error {
	t.Helper()
	args := []string{"cms", "-verify", "-binary", "-inform", "DER", "-in", file(t, "signed", b), "-CAfile", pemFile(t, a.root), "-purpose", "any",
		"-out", filepath.Join(t.TempDir(), "content")}
	if outside != nil {
		args = append(args, "-content", file(t, "outside", outside))
	}
	said, err := openssl(t, args...)
	if err != nil {
		return fmt.Errorf("%w: %s", err, said)
	}
	return nil
}

func mustKey[K any](k K, err error) K {
	if err != nil {
		panic(err)
	}
	return k
}

// What openssl makes is read and verified, whole or by pieces; what it refuses
// is refused.
func TestOpensWhatOpenSSLMakes(t *testing.T) {
	content := bytes.Repeat([]byte("firma qualificata 0123456789\r\n"), 700)
	pssKey := []string{"-keyopt", "rsa_padding_mode:pss"}
	matrix := []struct {
		name      string
		key       crypto.Signer
		options   []string
		algorithm string
	}{
		{"RSA", mustKey(rsa.GenerateKey(rand.Reader, 2048)), nil, "SHA256-RSA"},
		{"RSA-SHA512", mustKey(rsa.GenerateKey(rand.Reader, 2048)), []string{"-md", "sha512"}, "SHA512-RSA"},
		{"RSA-SHA1", mustKey(rsa.GenerateKey(rand.Reader, 1024)), []string{"-md", "sha1"}, "SHA1-RSA"},
		{"RSA-4096", mustKey(rsa.GenerateKey(rand.Reader, 4096)), []string{"-md", "sha384"}, "SHA384-RSA"},
		{"PSS", mustKey(rsa.GenerateKey(rand.Reader, 2048)), pssKey, "SHA256-RSAPSS"},
		{"PSS-SHA1", mustKey(rsa.GenerateKey(rand.Reader, 2048)), append(slices.Clone(pssKey), "-md", "sha1"), "SHA1-RSAPSS"},
		{"PSS-mask", mustKey(rsa.GenerateKey(rand.Reader, 2048)), append(slices.Clone(pssKey), "-keyopt", "rsa_mgf1_md:sha1"), "SHA256-RSAPSS"},
		{"PSS-mask-odd", mustKey(rsa.GenerateKey(rand.Reader, 2049)), append(slices.Clone(pssKey), "-keyopt", "rsa_mgf1_md:sha512", "-keyopt", "rsa_pss_saltlen:11"), "SHA256-RSAPSS"},
		{"PSS-mask-no-salt", mustKey(rsa.GenerateKey(rand.Reader, 2047)), append(slices.Clone(pssKey), "-keyopt", "rsa_mgf1_md:sha384", "-keyopt", "rsa_pss_saltlen:0"), "SHA256-RSAPSS"},
		{"P-256", mustKey(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)), nil, "ECDSA-SHA256"},
		{"P-384", mustKey(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)), []string{"-md", "sha384"}, "ECDSA-SHA384"},
		{"P-521", mustKey(ecdsa.GenerateKey(elliptic.P521(), rand.Reader)), []string{"-md", "sha512"}, "ECDSA-SHA512"},
	}
	forms := map[string][]string{
		"DER": {"-nodetach"}, "BER": {"-nodetach", "-stream"}, "detached": nil, "key identifier": {"-nodetach", "-keyid"},
		"no attributes": {"-nodetach", "-noattr"}, "CAdES": {"-nodetach", "-cades", "-stream"},
	}
	for _, m := range matrix {
		a := newAuthority(t, m.key, func(c *x509.Certificate) { c.SubjectKeyId = []byte{1, 2, 3} })
		for form, options := range forms {
			t.Run(m.name+" "+form, func(t *testing.T) {
				t.Parallel()
				if strings.HasPrefix(m.name, "PSS") { // with which this openssl cannot write a stream
					options = slices.DeleteFunc(slices.Clone(options), func(o string) bool { return o == "-stream" })
				}
				b := signOpenSSL(t, a, content, append(slices.Clone(options), m.options...)...)
				var outside []byte
				if form == "detached" {
					outside = content
				}
				signers, got, err := open(t, b, outside)
				if err != nil || len(signers) != 1 || !bytes.Equal(got, content) {
					t.Fatalf("%d signers, %d bytes, %v; openssl: %v", len(signers), len(got), err, opensslVerifies(t, b, outside, a))
				}
				if s := signers[0]; s.Algorithm != m.algorithm || !s.Certificate.Equal(a.leaf) || s.Bound != (form == "CAdES") ||
					(s.Time == nil) != (form == "no attributes") || s.Weak != strings.Contains(m.algorithm, "SHA1") {
					t.Errorf("%+v", s)
				}
				if err := opensslVerifies(t, b, outside, a); err != nil {
					t.Errorf("openssl: %v", err)
				}
				changed := bytes.Clone(got)
				changed[len(changed)/2] ^= 1
				sd, err := Parse(b)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := sd.Verify(0, changed); !errors.Is(err, ErrMismatch) {
					t.Errorf("a changed byte: %v", err)
				}
			})
		}
	}
}

// Every byte of a signature may be another: what still fits has the same
// content, signer and time.
func TestNoByteMayChange(t *testing.T) {
	for name, options := range map[string][]string{"DER": {"-nodetach"}, "BER": {"-nodetach", "-stream"},
		"mask": {"-nodetach", "-keyopt", "rsa_padding_mode:pss", "-keyopt", "rsa_mgf1_md:sha1"}} {
		a := newAuthority(t, mustKey(rsa.GenerateKey(rand.Reader, 2048)), nil)
		b := signOpenSSL(t, a, []byte("il testo firmato"), options...)
		original, _, err := open(t, b, nil)
		if err != nil {
			t.Fatal(err)
		}
		fit := 0
		for i := range b {
			changed := bytes.Clone(b)
			changed[i] ^= 0x15
			signers, content, err := open(t, changed, nil)
			if err != nil {
				continue
			}
			fit++
			if string(content) != "il testo firmato" || len(signers) != 1 || !signers[0].Time.Equal(*original[0].Time) ||
				!bytes.Equal(signers[0].Certificate.RawSubjectPublicKeyInfo, a.leaf.RawSubjectPublicKeyInfo) {
				t.Errorf("%s: byte %d: %q by %v fits", name, i, content, signers)
			}
		}
		// Certificates are not what the value is about.
		if most := len(a.leaf.Raw) + len(a.root.Raw) + 20; fit > most {
			t.Errorf("%s: %d of %d bytes may change", name, fit, len(b))
		}
	}
}

func TestTwoSigners(t *testing.T) {
	one := newAuthority(t, mustKey(rsa.GenerateKey(rand.Reader, 2048)), nil)
	two := newAuthority(t, mustKey(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)), func(c *x509.Certificate) { c.SerialNumber = big.NewInt(0x77ab) })
	first := file(t, "first.p7m", signOpenSSL(t, one, []byte("contenuto"), "-nodetach"))
	both := filepath.Join(t.TempDir(), "both.p7m")
	if said, err := openssl(t, "cms", "-resign", "-inform", "DER", "-outform", "DER", "-in", first, "-out", both,
		"-signer", pemFile(t, two.leaf), "-inkey", keyFile(t, two.key)); err != nil {
		t.Fatalf("openssl: %s", said)
	}
	b, err := os.ReadFile(both)
	if err != nil {
		t.Fatal(err)
	}
	signers, content, err := open(t, b, nil)
	if err != nil || len(signers) != 2 || string(content) != "contenuto" {
		t.Fatalf("%+v, %q, %v", signers, content, err)
	}
	sd, err := Open(bytes.NewReader(b), int64(len(b)))
	if err != nil || len(sd.Digests()) != 1 {
		t.Errorf("digests %v, %v", sd.Digests(), err)
	}
}

// signedBy is a SignedData by the holder of a certificate, made by hand.
func signedBy(c *x509.Certificate, digest, algorithm, content, attrs, value []byte) []byte {
	id := sequence(c.RawIssuer, must(asn1.Marshal(c.SerialNumber)))
	parts := [][]byte{{2, 1, 1}, id, digest}
	if attrs != nil {
		parts = append(parts, retag(attrs, explicit0))
	}
	return sequence(oidDER(oidSignedData), explicit(0, sequence([]byte{2, 1, 1}, setOf([][]byte{digest}),
		sequence(oidDER(oidData), explicit(0, octets(content))), retag(setOf([][]byte{c.Raw}), explicit0),
		setOf([][]byte{sequence(append(parts, algorithm, octets(value))...)}))))
}

// A key of Ed25519 signs the attributes themselves (RFC 8419); this openssl
// does not make such a signature.
func TestEd25519(t *testing.T) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	content, sha512 := []byte("contenuto"), sequence([]byte("\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03"))
	a := newAuthority(t, private, nil)
	attrs := setOf([][]byte{attribute(oidContentType, oidDER(oidData)), attribute(oidMessageDigest, octets(sum(crypto.SHA512, content)))})
	signed := func(attrs, value []byte) []byte {
		return signedBy(a.leaf, sha512, sequence([]byte("\x06\x03\x2b\x65\x70")), content, attrs, value)
	}
	value := ed25519.Sign(private, attrs)
	if signers, _, err := open(t, signed(attrs, value), nil); err != nil || signers[0].Algorithm != "Ed25519" {
		t.Errorf("%+v, %v", signers, err)
	}
	value[3] ^= 1
	if _, _, err := open(t, signed(attrs, value), nil); !errors.Is(err, ErrMismatch) {
		t.Errorf("a changed value: %v", err)
	}
	if _, _, err := open(t, signed(nil, ed25519.Sign(private, content)), nil); !errors.Is(err, ErrUnsupported) {
		t.Errorf("without attributes: %v", err)
	}
}

// Countersignatures are counted, and change nothing about the signature.
func TestCounterSignatures(t *testing.T) {
	a := newAuthority(t, p256(), nil)
	der := a.sign(t, []byte("x"))
	sd, err := Parse(der)
	if err != nil {
		t.Fatal(err)
	}
	counter := sequence(oidDER(oidCounterSignature), wrap(0x31, sequence([]byte{2, 1, 1}), sequence([]byte{2, 1, 3})))
	one := &sd.Signers[0]
	one.UnsignedAttr = asn1.RawValue{Bytes: counter}
	if s, err := sd.Verify(0, sd.Content); err != nil || s.Counters != 2 || s.Token != nil {
		t.Errorf("%+v, %v", s, err)
	}
}

// Keys of strangers may be of any size and kind; none is called wrong for that.
func TestStrangeKeys(t *testing.T) {
	modulus := func(bits int) *big.Int {
		n := new(big.Int).SetBit(new(big.Int), bits-1, 1)
		return n.SetBit(n, 7, 1).SetBit(n, 0, 1)
	}
	p224 := mustKey(ecdsa.GenerateKey(elliptic.P224(), rand.Reader))
	sha256, rsaAlg := digestAlgorithm(), sequence(must(asn1.Marshal(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1})), asn1.NullBytes)
	for name, c := range map[string]struct {
		key  any
		want error
	}{
		"RSA 512":        {&rsa.PublicKey{N: modulus(512), E: 65537}, ErrUnsupported},
		"RSA 1023":       {&rsa.PublicKey{N: modulus(1023), E: 65537}, ErrUnsupported},
		"RSA 16384":      {&rsa.PublicKey{N: modulus(16384), E: 65537}, ErrMismatch},
		"RSA 16385":      {&rsa.PublicKey{N: modulus(16385), E: 65537}, ErrNoCertificate},
		"RSA 200000":     {&rsa.PublicKey{N: modulus(200000), E: 3}, ErrNoCertificate},
		"RSA even":       {&rsa.PublicKey{N: new(big.Int).Lsh(modulus(2048), 1), E: 3}, ErrUnsupported},
		"RSA e of 1":     {&rsa.PublicKey{N: modulus(2048), E: 1}, ErrUnsupported},
		"RSA e of 2^40":  {&rsa.PublicKey{N: modulus(2048), E: 1 << 40}, ErrUnsupported},
		"P-224":          {p224.Public(), ErrUnsupported},
		"Ed25519 as RSA": {ed25519.PublicKey(make([]byte, 32)), ErrUnsupported},
	} {
		ca := newCA(t, "Prova CA", p256(), nil)
		tmpl := &x509.Certificate{SerialNumber: big.NewInt(5), NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
		der, err := x509.CreateCertificate(rand.Reader, tmpl, ca.cert, c.key, ca.key)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		leaf, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		size := 256
		if key, ok := c.key.(*rsa.PublicKey); ok {
			size = key.Size()
		}
		value := make([]byte, size)
		value[size-1] = 3
		if _, _, err := open(t, signedBy(leaf, sha256, rsaAlg, []byte("x"), nil, value), nil); !errors.Is(err, c.want) {
			t.Errorf("%s: %v instead of %v", name, err, c.want)
		}
	}
	// A certificate with its key missing, cut or garbled is one that is not there.
	ca := newAuthority(t, p256(), nil)
	p7m := ca.sign(t, []byte("x"))
	at := bytes.Index(p7m, ca.leaf.Raw)
	for n := range len(ca.leaf.Raw) {
		changed := bytes.Clone(p7m)
		changed[at+n] = 0xff
		if signers, content, err := open(t, changed, nil); err == nil && string(content) != "x" {
			t.Errorf("byte %d: %+v", n, signers)
		}
	}
}

func oidDER(oid []int) []byte { return must(asn1.Marshal(asn1.ObjectIdentifier(oid))) }

// Pieces of any sizes, nested or not, give one content that can be read from
// anywhere.
func TestContentInPieces(t *testing.T) {
	random := mathrand.New(mathrand.NewPCG(1, 2))
	for range 40 {
		want, encoded := chunked(random, 2+random.IntN(200))
		b := slices.Concat([]byte("\x30\x80"), oidDER(oidSignedData), []byte("\xa0\x80\x30\x80\x02\x01\x01\x31\x00\x30\x80"), oidDER(oidData),
			[]byte("\xa0\x80"), encoded, bytes.Repeat([]byte{0}, 4), []byte("\x31\x02\x30\x00"), bytes.Repeat([]byte{0}, 6))
		s := scanner{in: newWindow(bytes.NewReader(b), int64(len(b))), shape: signedData}
		if err := s.scan(); err != nil || !s.found || s.pos != int64(len(b)) {
			t.Fatalf("%v, %v, %d of %d", err, s.found, s.pos, len(b))
		}
		c := &Content{in: bytes.NewReader(b), runs: s.runs}
		if got, err := io.ReadAll(c.Reader()); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%d bytes instead of %d, %v", len(got), len(want), err)
		}
		for range 20 {
			off := random.IntN(len(want) + 1)
			p := make([]byte, random.IntN(len(want)+10))
			n, err := c.ReadAt(p, int64(off))
			if end := min(off+len(p), len(want)); n != end-off || !bytes.Equal(p[:n], want[off:end]) || (n < len(p)) != (err == io.EOF) {
				t.Fatalf("at %d: %d bytes, %v", off, n, err)
			}
		}
	}
}

// chunked is a constructed octet string and what it means.
func chunked(random *mathrand.Rand, pieces int) (content, ber []byte) {
	ber = []byte("\x24\x80")
	size := random.IntN(600)
	for range pieces {
		switch random.IntN(60) {
		case 0:
			size = random.IntN(40000)
		case 1:
			inner, nested := chunked(random, random.IntN(3))
			content, ber = append(content, inner...), append(ber, nested...)
			continue
		}
		b := make([]byte, size)
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		content, ber = append(content, b...), append(append(append(ber, octetString), lengthOctets(size)...), b...)
	}
	return content, append(ber, 0, 0)
}

// A structure of lists of very small things does not become memory: what
// encoding/asn1 makes of each takes far more than its bytes.
func TestListsAreBounded(t *testing.T) {
	a := newAuthority(t, p256(), nil)
	many := func(one []byte) []byte { return bytes.Repeat(one, structureMax/len(one)/2) }
	signer := func(attrs []byte) []byte {
		return sequence([]byte{2, 1, 1}, sequence(a.leaf.RawIssuer, must(asn1.Marshal(a.leaf.SerialNumber))), digestAlgorithm(),
			digestAlgorithm(), octets([]byte("x")), wrap(implicit1, attrs))
	}
	small := attribute(oidContentType, nil)
	signedData := func(digests, certificates, signers []byte) []byte {
		return sequence(oidDER(oidSignedData), explicit(0, sequence([]byte{2, 1, 1}, wrap(0x31, digests), sequence(oidDER(oidData)),
			wrap(explicit0, certificates), wrap(0x31, signers))))
	}
	for name, b := range map[string][]byte{
		"digests":      signedData(many(digestAlgorithm()), nil, signer(nil)),
		"certificates": signedData(digestAlgorithm(), many([]byte{0x30, 0}), signer(nil)),
		"signers":      signedData(digestAlgorithm(), nil, many(signer(nil))),
		"attributes":   signedData(digestAlgorithm(), a.leaf.Raw, signer(many(small))),
		"values":       signedData(digestAlgorithm(), a.leaf.Raw, signer(sequence(oidDER(oidContentType), wrap(0x31, many([]byte{5, 0}))))),
		"identifier":   signedData(sequence(wrap(objectIdentifier, many([]byte{1}))), nil, signer(nil)),
		"one of all":   signedData(digestAlgorithm(), sequence(many([]byte{5, 0})), signer(nil)),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		sd, err := Parse(b)
		if err == nil {
			_, err = sd.Verify(0, nil)
		}
		runtime.ReadMemStats(&after)
		if allocated := after.TotalAlloc - before.TotalAlloc; err == nil || allocated > 4*structureMax {
			t.Errorf("%s: %v, %d bytes allocated for %d", name, err, allocated, len(b))
		}
	}
}

// What is there to exhaust a reader is refused at once, and memory does not
// grow with the input.
func TestOpenIsBounded(t *testing.T) {
	prefix := slices.Concat([]byte("\x30\x80"), oidDER(oidSignedData), []byte("\xa0\x80\x30\x80\x02\x01\x01\x31\x00\x30\x80"), oidDER(oidData), []byte("\xa0\x80\x24\x80"))
	short := slices.Concat(prefix, bytes.Repeat([]byte("\x04\x01a\x04\x02bc"), 2<<20))
	for name, c := range map[string]struct {
		b    []byte
		want error
	}{
		"deep":             {bytes.Repeat([]byte{0x30, 0x80}, 5_000_000), ErrMalformed},
		"deep signed data": {append(prefix[:len(prefix)-4:len(prefix)-4], bytes.Repeat([]byte{0x30, 0x80}, 5_000_000)...), ErrBounds},
		"deep pieces":      {append(bytes.Clone(prefix), bytes.Repeat([]byte{0x24, 0x80}, 5_000_000)...), ErrBounds},
		"irregular pieces": {short, ErrBounds},
		"empty pieces":     {append(bytes.Clone(prefix), bytes.Repeat([]byte{4, 0}, 5_000_000)...), ErrMalformed},
		"lengths not DER":  {append(bytes.Clone(prefix[:len(prefix)-6]), bytes.Repeat([]byte("\x02\x81\x01\x05"), 1<<20)...), ErrBounds},
		"structure":        {append(bytes.Clone(prefix[:len(prefix)-6]), bytes.Repeat([]byte("\x02\x01\x05"), 4<<20)...), ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			if _, err := Open(bytes.NewReader(c.b), int64(len(c.b))); !errors.Is(err, c.want) {
				t.Fatalf("%v instead of %v", err, c.want)
			}
			runtime.ReadMemStats(&after)
			allocated := after.TotalAlloc - before.TotalAlloc
			t.Logf("%d bytes allocated for %d", allocated, len(c.b))
			if allocated > 48<<20 {
				t.Errorf("%d bytes allocated for %d", allocated, len(c.b))
			}
		})
	}
}
