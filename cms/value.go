package cms

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509/pkix"
	"errors"
	"fmt"

	_ "crypto/sha1" // the digests of digestAlgorithms
	_ "crypto/sha256"
	_ "crypto/sha512"
)

// digestAlgorithms are those a signer may use; SHA-1 because PEC providers
// still do.
var digestAlgorithms = map[string]crypto.Hash{
	"1.3.14.3.2.26":          crypto.SHA1,
	"2.16.840.1.101.3.4.2.4": crypto.SHA224,
	"2.16.840.1.101.3.4.2.1": crypto.SHA256,
	"2.16.840.1.101.3.4.2.2": crypto.SHA384,
	"2.16.840.1.101.3.4.2.3": crypto.SHA512,
}

// scheme is how a signature value is made.
type scheme int

const (
	pkcs1 scheme = iota + 1
	pss
	ecdsaDER
	edwards
)

// signatureAlgorithms name the scheme and, where the identifier says so, the
// digest that has to go with it.
var signatureAlgorithms = map[string]struct {
	scheme scheme
	digest crypto.Hash
}{
	"1.2.840.113549.1.1.1":  {pkcs1, 0}, // rsaEncryption
	"1.2.840.113549.1.1.5":  {pkcs1, crypto.SHA1},
	"1.2.840.113549.1.1.14": {pkcs1, crypto.SHA224},
	"1.2.840.113549.1.1.11": {pkcs1, crypto.SHA256},
	"1.2.840.113549.1.1.12": {pkcs1, crypto.SHA384},
	"1.2.840.113549.1.1.13": {pkcs1, crypto.SHA512},
	"1.2.840.113549.1.1.10": {pss, 0},
	"1.2.840.10045.2.1":     {ecdsaDER, 0}, // ecPublicKey
	"1.2.840.10045.4.1":     {ecdsaDER, crypto.SHA1},
	"1.2.840.10045.4.3.1":   {ecdsaDER, crypto.SHA224},
	"1.2.840.10045.4.3.2":   {ecdsaDER, crypto.SHA256},
	"1.2.840.10045.4.3.3":   {ecdsaDER, crypto.SHA384},
	"1.2.840.10045.4.3.4":   {ecdsaDER, crypto.SHA512},
	"1.3.101.112":           {edwards, 0}, // Ed25519
}

// message is what a signature value is about: a digest and, where it is known,
// what that is the digest of.
type message struct {
	hash   crypto.Hash
	digest []byte
	whole  []byte // nil: not known
}

// verify checks a signature value and names the algorithm in the way of x509.
func (m message) verify(key any, alg pkix.AlgorithmIdentifier, value []byte) (string, error) {
	a, ok := signatureAlgorithms[alg.Algorithm.String()]
	if !ok || a.digest != 0 && a.digest != m.hash {
		return "", fmt.Errorf("%w: %v with %v", ErrUnsupported, alg.Algorithm, m.hash)
	}
	name := hashName(m.hash)
	switch key := key.(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < 1024 || bits > rsaBitsMax {
			return "", fmt.Errorf("%w: an RSA key of %d bits", ErrUnsupported, bits)
		}
		if a.scheme == pkcs1 {
			return name + "-RSA", verdict(rsa.VerifyPKCS1v15(key, m.hash, m.digest, value))
		}
		if a.scheme == pss {
			return name + "-RSAPSS", m.verifyPSS(key, alg.Parameters.FullBytes, value)
		}
	case *ecdsa.PublicKey:
		if a.scheme == ecdsaDER && key.Curve != elliptic.P224() {
			return "ECDSA-" + name, fits(ecdsa.VerifyASN1(key, m.digest, value))
		}
	case ed25519.PublicKey:
		// RFC 8419 §3.1 signs the attributes themselves.
		if a.scheme == edwards && m.whole != nil {
			return "Ed25519", fits(ed25519.Verify(key, m.whole, value))
		}
	}
	return "", fmt.Errorf("%w: %v with a key %T", ErrUnsupported, alg.Algorithm, key)
}

func fits(ok bool) error {
	if !ok {
		return ErrMismatch
	}
	return nil
}

// verdict tells a value that does not fit from a key that cannot be used.
func verdict(err error) error {
	if err == nil || errors.Is(err, rsa.ErrVerification) {
		return fits(err == nil)
	}
	return fmt.Errorf("%w: %w", ErrUnsupported, err)
}

func sum(hash crypto.Hash, b []byte) []byte {
	h := hash.New()
	h.Write(b)
	return h.Sum(nil)
}

// hashName is the short name as x509 writes it in algorithm names.
func hashName(hash crypto.Hash) string {
	return map[crypto.Hash]string{crypto.SHA1: "SHA1", crypto.SHA224: "SHA224", crypto.SHA256: "SHA256",
		crypto.SHA384: "SHA384", crypto.SHA512: "SHA512"}[hash]
}
