package xmldsig

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	_ "crypto/sha1" // the digests of digests
	_ "crypto/sha256"
	_ "crypto/sha512"
	"fmt"
	"math/big"
	"strconv"
	"strings"
)

const (
	nsDS    = "http://www.w3.org/2000/09/xmldsig#"
	nsMore  = "http://www.w3.org/2001/04/xmldsig-more#"
	nsMore7 = "http://www.w3.org/2007/05/xmldsig-more#"
	nsEnc   = "http://www.w3.org/2001/04/xmlenc#"
)

// digests are those of XMLDSig 1.1 §6.2 and RFC 6931 §2.1; no MD5.
var digests = map[string]crypto.Hash{
	nsDS + "sha1": crypto.SHA1, nsMore + "sha224": crypto.SHA224, nsEnc + "sha256": crypto.SHA256,
	nsMore + "sha384": crypto.SHA384, nsEnc + "sha512": crypto.SHA512,
}

// scheme is how a signature value is made.
type scheme int

const (
	pkcs1 scheme = iota + 1
	pss
	ecdsaRaw // r and s in the width of the curve, one after the other
)

// algorithm is a SignatureMethod (XMLDSig 1.1 §6.4, RFC 6931 §2.3). MACs, whose
// key could only be in the document, are not among them.
type algorithm struct {
	scheme scheme
	digest crypto.Hash // 0: its parameters name it
}

var algorithms = map[string]algorithm{
	nsDS + "rsa-sha1":     {pkcs1, crypto.SHA1},
	nsMore + "rsa-sha224": {pkcs1, crypto.SHA224}, nsMore + "rsa-sha256": {pkcs1, crypto.SHA256},
	nsMore + "rsa-sha384": {pkcs1, crypto.SHA384}, nsMore + "rsa-sha512": {pkcs1, crypto.SHA512},
	nsMore7 + "sha1-rsa-MGF1":   {pss, crypto.SHA1},
	nsMore7 + "sha224-rsa-MGF1": {pss, crypto.SHA224}, nsMore7 + "sha256-rsa-MGF1": {pss, crypto.SHA256},
	nsMore7 + "sha384-rsa-MGF1": {pss, crypto.SHA384}, nsMore7 + "sha512-rsa-MGF1": {pss, crypto.SHA512},
	nsMore7 + "rsa-pss":     {pss, 0},
	nsMore + "ecdsa-sha1":   {ecdsaRaw, crypto.SHA1},
	nsMore + "ecdsa-sha224": {ecdsaRaw, crypto.SHA224}, nsMore + "ecdsa-sha256": {ecdsaRaw, crypto.SHA256},
	nsMore + "ecdsa-sha384": {ecdsaRaw, crypto.SHA384}, nsMore + "ecdsa-sha512": {ecdsaRaw, crypto.SHA512},
}

// signatureMethod is a SignatureMethod that can be verified.
type signatureMethod struct {
	algorithm
	salt int // of PSS
}

func methodOf(e *Element) (signatureMethod, error) {
	name := e.Attr("", "Algorithm")
	a, ok := algorithms[name]
	if !ok {
		return signatureMethod{}, fmt.Errorf("%w: the signature method %.80q", ErrUnsupported, name)
	}
	m := signatureMethod{algorithm: a}
	if a.digest == 0 {
		return m, m.parameters(e.Child(nsMore7, "RSAPSSParams"))
	}
	for range e.Elements() {
		return m, fmt.Errorf("%w: parameters of the signature method", ErrUnsupported)
	}
	m.salt = a.digest.Size() // RFC 6931 §2.3.10
	return m, nil
}

// parameters reads RSAPSSParams (RFC 6931 §2.3.9), whose defaults are SHA-256
// and a salt of the digest's length. Only one digest for both message and mask
// is verified here.
func (m *signatureMethod) parameters(e *Element) error {
	unsupported := fmt.Errorf("%w: RSASSA-PSS with these parameters", ErrUnsupported)
	m.digest = crypto.SHA256
	if of := e.Child(nsDS, "DigestMethod"); of != nil {
		m.digest = digests[of.Attr("", "Algorithm")]
	}
	mask := m.digest
	if generator := e.Child(nsMore7, "MaskGenerationFunction"); generator != nil {
		if name := generator.Attr("", "Algorithm"); name != nsMore7+"MGF1" {
			return unsupported
		}
		if of := generator.Child(nsDS, "DigestMethod"); of != nil {
			mask = digests[of.Attr("", "Algorithm")]
		}
	}
	if m.digest == 0 || mask != m.digest {
		return unsupported
	}
	m.salt = m.digest.Size()
	for name, want := range map[string]*int{"SaltLength": &m.salt, "TrailerField": nil} {
		of := e.Child(nsMore7, name)
		if of == nil {
			continue
		}
		n, err := strconv.Atoi(strings.TrimSpace(of.Text()))
		switch {
		case err != nil || n < 0 || n > 512, want == nil && n != 1:
			return unsupported
		case want != nil:
			*want = n
		}
	}
	return nil
}

// verify checks a signature value over a digest of the method's and names the
// algorithm in the way of x509.
func (m signatureMethod) verify(key any, digest, value []byte) (string, error) {
	name := strings.ReplaceAll(m.digest.String(), "-", "")
	switch key := key.(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < 1024 || bits > rsaBitsMax {
			return "", fmt.Errorf("%w: an RSA key of %d bits", ErrUnsupported, bits)
		}
		switch m.scheme {
		case pkcs1:
			return name + "-RSA", fits(rsa.VerifyPKCS1v15(key, m.digest, digest, value) == nil)
		case pss:
			return name + "-RSAPSS", fits(rsa.VerifyPSS(key, m.digest, digest, value, &rsa.PSSOptions{SaltLength: m.salt, Hash: m.digest}) == nil)
		}
	case *ecdsa.PublicKey:
		if m.scheme == ecdsaRaw && key.Curve != elliptic.P224() {
			return "ECDSA-" + name, fits(verifyRaw(key, digest, value))
		}
	}
	return "", fmt.Errorf("%w: a key %T with this signature method", ErrUnsupported, key)
}

// verifyRaw verifies r and s in the width of the curve's order (XMLDSig 1.1
// §6.4.3).
func verifyRaw(key *ecdsa.PublicKey, digest, value []byte) bool {
	width := (key.Curve.Params().N.BitLen() + 7) / 8
	if len(value) != 2*width {
		return false
	}
	return ecdsa.Verify(key, digest, new(big.Int).SetBytes(value[:width]), new(big.Int).SetBytes(value[width:]))
}

func fits(ok bool) error {
	if !ok {
		return ErrMismatch
	}
	return nil
}
