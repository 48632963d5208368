package cms

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"fmt"
	"math/big"
)

var oidRSAPSS = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}

// pssParams are RSASSA-PSS-params (RFC 4055 §3.1) as far as they are free.
type pssParams struct {
	mask crypto.Hash
	salt int
}

func readPSS(params []byte, hash crypto.Hash) (pssParams, error) {
	p := struct {
		Hash    pkix.AlgorithmIdentifier `asn1:"explicit,optional,tag:0"`
		MGF     pkix.AlgorithmIdentifier `asn1:"explicit,optional,tag:1"`
		Salt    int                      `asn1:"explicit,optional,tag:2,default:20"`
		Trailer int                      `asn1:"explicit,optional,tag:3,default:1"`
	}{}
	if _, err := asn1.Unmarshal(params, &p); err != nil {
		return pssParams{}, fmt.Errorf("%w: RSASSA-PSS: %w", ErrUnsupported, err)
	}
	digest, mask := crypto.SHA1, crypto.SHA1 // the defaults
	if p.Hash.Algorithm != nil {
		digest = digestAlgorithms[p.Hash.Algorithm.String()]
	}
	if p.MGF.Algorithm != nil {
		var of pkix.AlgorithmIdentifier
		if _, err := asn1.Unmarshal(p.MGF.Parameters.FullBytes, &of); err != nil {
			return pssParams{}, fmt.Errorf("%w: RSASSA-PSS: %w", ErrUnsupported, err)
		}
		mask = digestAlgorithms[of.Algorithm.String()]
	}
	if digest != hash || mask == 0 || p.Trailer != 1 || p.Salt < 0 || p.Salt > 512 {
		return pssParams{}, fmt.Errorf("%w: RSASSA-PSS with these parameters", ErrUnsupported)
	}
	return pssParams{mask, p.Salt}, nil
}

// verifyPSS takes the mask's digest to be another one where the signature says
// so: programs in Java leave SHA-1 there. crypto/rsa does not.
func (m message) verifyPSS(key *rsa.PublicKey, params, value []byte) error {
	p, err := readPSS(params, m.hash)
	if err != nil {
		return err
	}
	if p.mask == m.hash {
		return verdict(rsa.VerifyPSS(key, m.hash, m.digest, value, &rsa.PSSOptions{SaltLength: p.salt, Hash: m.hash}))
	}
	s := new(big.Int).SetBytes(value)
	if key.E < 3 || key.E&1 == 0 || key.N.Bit(0) == 0 || len(value) != (key.N.BitLen()+7)/8 || s.Cmp(key.N) >= 0 {
		return ErrMismatch
	}
	bits := key.N.BitLen() - 1
	em := s.Exp(s, big.NewInt(int64(key.E)), key.N)
	if em.BitLen() > (bits+7)/8*8 {
		return ErrMismatch
	}
	return fits(m.encodes(em.FillBytes(make([]byte, (bits+7)/8)), bits, p))
}

// encodes is EMSA-PSS-VERIFY (RFC 8017 §9.1.2) of an encoded message of some
// bits.
func (m message) encodes(em []byte, bits int, p pssParams) bool {
	size := m.hash.Size()
	if len(em) < size+p.salt+2 || em[len(em)-1] != 0xbc {
		return false
	}
	db, h := em[:len(em)-size-1], em[len(em)-size-1:len(em)-1]
	free := byte(0xff) >> (8*len(em) - bits) // of the first octet
	if db[0]&^free != 0 {
		return false
	}
	unmask(db, h, p.mask)
	db[0] &= free
	padding, salt := db[:len(db)-p.salt-1], db[len(db)-p.salt:]
	if db[len(padding)] != 1 || bytes.Count(padding, []byte{0}) != len(padding) {
		return false
	}
	w := m.hash.New()
	w.Write(make([]byte, 8))
	w.Write(m.digest)
	w.Write(salt)
	return bytes.Equal(w.Sum(nil), h)
}

// unmask is db XOR MGF1 (RFC 8017 §B.2.1) of the seed.
func unmask(db, seed []byte, hash crypto.Hash) {
	for counter := uint32(0); len(db) > 0; counter++ {
		mask := sum(hash, binary.BigEndian.AppendUint32(bytes.Clone(seed), counter))
		n := min(len(mask), len(db))
		for i := range n {
			db[i] ^= mask[i]
		}
		db = db[n:]
	}
}

// publicKey is a certificate's; x509 does not read one that is for RSASSA-PSS
// alone (RFC 4055 §1.2).
func publicKey(c *x509.Certificate) any {
	if c.PublicKey != nil {
		return c.PublicKey
	}
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	var key struct {
		N *big.Int
		E int
	}
	if exact(c.RawSubjectPublicKeyInfo, &info) != nil || !info.Algorithm.Algorithm.Equal(oidRSAPSS) ||
		exact(info.Key.RightAlign(), &key) != nil || key.N.Sign() <= 0 || key.E <= 0 {
		return nil
	}
	return &rsa.PublicKey{N: key.N, E: key.E}
}
