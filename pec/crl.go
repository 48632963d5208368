package pec

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// The bounds of revocation lists; those of the largest Italian authorities have
// some megabytes.
const (
	crlMax     = 16 << 20 // bytes of one file
	crlsMax    = 64 << 20 // bytes of all
	issuersMax = 64       // certificates that are remembered as issuer or not, for each list
)

// revocations are the revocation lists (RFC 5280 §5) that an operator put
// there. Nothing is fetched.
type revocations struct {
	lists []*revocationList // the newest first
}

// revocationList is one. Whose it is shows when a chain holds its issuer: the
// issuer's certificate may come only with a message.
type revocationList struct {
	file    string
	signed  *x509.RevocationList  // without its entries
	revoked map[string]revocation // by serial number

	mu      sync.Mutex
	issuers map[[32]byte]bool // certificates that did or did not sign it
}

// revocation is an entry.
type revocation struct {
	at      time.Time
	invalid time.Time // since when the key is thought to be known to others; zero: not told
	reason  int
}

// reasons are CRLReason (RFC 5280 §5.3.1).
var reasons = map[int]string{
	0: "no reason given", 1: "the key was compromised", 2: "the authority was compromised", 3: "the affiliation changed", 4: "it was superseded",
	5: "it was no longer used", certificateHold: "it was suspended", 9: "the privilege was withdrawn", 10: "the attribute authority was compromised",
}

const certificateHold = 6

var (
	oidInvalidityDate      = asn1.ObjectIdentifier{2, 5, 29, 24}
	oidIssuingDistribution = asn1.ObjectIdentifier{2, 5, 29, 28}
	oidCRLNumber           = asn1.ObjectIdentifier{2, 5, 29, 20}
	oidAuthorityKey        = asn1.ObjectIdentifier{2, 5, 29, 35}
)

// loadRevocations reads lists, DER or PEM.
func loadRevocations(paths []string) (*revocations, error) {
	files, err := filesIn(paths, ".crl", ".pem", ".der")
	if err != nil {
		return nil, fmt.Errorf("revocation lists: %w", err)
	}
	all := &revocations{}
	left := int64(crlsMax)
	for _, file := range files {
		data, err := readFile(file, min(crlMax, left))
		if err == nil {
			left -= int64(len(data))
			err = all.add(file, data)
		}
		if err != nil {
			return nil, fmt.Errorf("revocation list %s: %w", file, err)
		}
	}
	slices.SortStableFunc(all.lists, func(a, b *revocationList) int { return b.signed.ThisUpdate.Compare(a.signed.ThisUpdate) })
	return all, nil
}

func (r *revocations) add(file string, data []byte) error {
	if !bytes.Contains(data[:min(len(data), 4096)], []byte("-----BEGIN")) {
		return r.parse(file, data)
	}
	found := false
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		if block.Type != "X509 CRL" {
			return fmt.Errorf("PEM block %q is no revocation list", block.Type)
		}
		found = true
		if err := r.parse(file, block.Bytes); err != nil {
			return err
		}
	}
	if !found {
		return errors.New("no revocation list in PEM form (BEGIN X509 CRL) found")
	}
	return nil
}

// parse takes in one list. One with critical extensions that change what its
// entries mean (delta, indirect, of attribute certificates) is refused.
func (r *revocations) parse(file string, der []byte) error {
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		return err
	}
	for _, e := range list.Extensions {
		if e.Id.Equal(oidIssuingDistribution) {
			if err := plainDistribution(e.Value); err != nil {
				return err
			}
		} else if e.Critical && !e.Id.Equal(oidCRLNumber) && !e.Id.Equal(oidAuthorityKey) {
			return fmt.Errorf("it has the critical extension %v, which is not understood", e.Id)
		}
	}
	// Only what its signature is over is kept, not its entries once more.
	signed := &x509.RevocationList{RawTBSRevocationList: list.RawTBSRevocationList, RawIssuer: list.RawIssuer, Issuer: list.Issuer,
		Signature: list.Signature, SignatureAlgorithm: list.SignatureAlgorithm, ThisUpdate: list.ThisUpdate, NextUpdate: list.NextUpdate}
	l := &revocationList{file: file, signed: signed, revoked: make(map[string]revocation, len(list.RevokedCertificateEntries)), issuers: map[[32]byte]bool{}}
	for _, entry := range list.RevokedCertificateEntries {
		one := revocation{at: entry.RevocationTime, reason: entry.ReasonCode}
		for _, e := range entry.Extensions {
			switch {
			case e.Id.Equal(oidInvalidityDate):
				_, _ = asn1.Unmarshal(e.Value, &one.invalid) // not told, if it cannot be read
			case e.Critical: // certificateIssuer
				return fmt.Errorf("an entry has the critical extension %v, which is not understood", e.Id)
			}
		}
		l.revoked[string(entry.SerialNumber.Bytes())] = one
	}
	r.lists = append(r.lists, l)
	return nil
}

// plainDistribution refuses what a list may be by its IssuingDistributionPoint
// (RFC 5280 §5.2.5) and is not read as here.
func plainDistribution(der []byte) error {
	var point struct {
		Name       asn1.RawValue  `asn1:"optional,tag:0"`
		Users      bool           `asn1:"optional,tag:1"`
		CAs        bool           `asn1:"optional,tag:2"`
		Reasons    asn1.BitString `asn1:"optional,tag:3"`
		Indirect   bool           `asn1:"optional,tag:4"`
		Attributes bool           `asn1:"optional,tag:5"`
	}
	if _, err := asn1.Unmarshal(der, &point); err != nil {
		return fmt.Errorf("its distribution point: %w", err)
	}
	if point.Indirect || point.Attributes {
		return errors.New("it is an indirect list, or one of attribute certificates, which is not read")
	}
	return nil
}

func (r *revocations) count() int {
	if r == nil {
		return 0
	}
	return len(r.lists)
}

// until is when the list should have been replaced.
func (l *revocationList) until() time.Time {
	if l.signed.NextUpdate.IsZero() {
		return l.signed.ThisUpdate
	}
	return l.signed.NextUpdate
}

func (r *revocations) warnings(now time.Time) []string {
	var out []string
	if r == nil {
		return nil
	}
	newest := map[string]bool{}
	for _, l := range r.lists {
		if issuer := string(l.signed.RawIssuer); !newest[issuer] {
			newest[issuer] = true
			if now.After(l.until()) {
				out = append(out, fmt.Sprintf("%s: the revocation list of %s should have been replaced by %s; put the present one there",
					l.file, line(l.signed.Issuer.String()), l.until().UTC().Format(time.DateOnly)))
			}
		}
	}
	return out
}

// check looks for a chain in which nothing was revoked at a time. problem says
// what was; unknown, where no list that holds at that time tells of the first
// certificate, why.
func (r *revocations) check(chains [][]*x509.Certificate, at time.Time) (problem, unknown string) {
	if r == nil || len(r.lists) == 0 {
		return "", ""
	}
	for i, chain := range chains {
		bad, unsure := r.checkChain(chain, at)
		if bad == "" {
			return "", unsure
		}
		if i == 0 {
			problem = bad
		}
	}
	return problem, ""
}

func (r *revocations) checkChain(chain []*x509.Certificate, at time.Time) (problem, unknown string) {
	for i, c := range chain {
		if i+1 == len(chain) {
			break // the anchor is trusted because somebody put it there, or its list says so
		}
		one, told := r.of(c, chain[i+1], at)
		if one != nil {
			return fmt.Sprintf("the certificate of %s was revoked on %s: %s", line(c.Subject.String()), one.at.UTC().Format(time.DateTime), reasonText(one.reason)), ""
		}
		if i == 0 && !told {
			unknown = fmt.Sprintf("no revocation list of %s that holds at %s is there", line(c.Issuer.String()), at.UTC().Format(time.DateTime))
		}
	}
	return "", unknown
}

func reasonText(reason int) string {
	if text, ok := reasons[reason]; ok {
		return text
	}
	return fmt.Sprintf("reason %d", reason)
}

// of tells whether a certificate was revoked at a time, and whether a list that
// holds then says so. Older lists count too: a newer one may leave out what has
// expired. Only a suspension is over when the newest list does not have it.
func (r *revocations) of(c, issuer *x509.Certificate, at time.Time) (found *revocation, told bool) {
	serial := c.SerialNumber.Bytes()
	newest := true
	for _, l := range r.lists {
		if !bytes.Equal(l.signed.RawIssuer, c.RawIssuer) || !l.isOf(issuer) {
			continue
		}
		one, listed := l.revoked[string(serial)]
		since := one.at
		if !one.invalid.IsZero() && one.invalid.Before(since) {
			since = one.invalid
		}
		if listed && !since.After(at) && (one.reason != certificateHold || newest) {
			return &one, true
		}
		newest = false
		told = told || !at.After(l.until())
	}
	return nil, told
}

// isOf verifies the list's signature with the issuer's certificate, which must
// be one of an authority that may sign lists.
func (l *revocationList) isOf(issuer *x509.Certificate) bool {
	key := sha256.Sum256(issuer.Raw)
	l.mu.Lock()
	defer l.mu.Unlock()
	if verdict, known := l.issuers[key]; known {
		return verdict
	}
	if len(l.issuers) >= issuersMax {
		clear(l.issuers)
	}
	l.issuers[key] = l.signed.CheckSignatureFrom(issuer) == nil
	return l.issuers[key]
}
