package pec

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"
)

// purpose is what somebody is trusted for. Each has anchors of its own: who may
// certify that a message was delivered is not who may certify a person's name.
type purpose int

const (
	providers purpose = iota // certificates of PEC providers
	services                 // registered electronic mail (REM) and other delivery services
	persons                  // qualified certificates of persons and their seals
	stamps                   // time stamping authorities
	purposes
)

// Trust holds whom we trust for what. PEC providers are those whose
// certificates lead to an anchor in a PEM file; the rest comes from trusted
// lists, which say since when, so that what holds at the time of a message is
// asked. It is safe for concurrent use and never changes once loaded. An anchor
// may be a root or, better, the issuing CA of the providers' certificates
// itself: personal certificates lead to the same root.
type Trust struct {
	anchors [purposes][]*x509.Certificate // whatever the time
	listed  []service
	changes []time.Time // when a listed service began or ended, in order
	revoked *revocations
	lists   []trustedList

	mu    sync.Mutex
	pools map[poolKey]*x509.CertPool
	paths paths
}

// poolKey names the pool of a purpose between two changes; -1: at any time.
type poolKey struct {
	purpose purpose
	epoch   int
}

// NewTrust trusts certificates at hand for every purpose, whatever the time.
func NewTrust(anchors ...*x509.Certificate) *Trust {
	t := &Trust{}
	for p := range purposes {
		t.anchors[p] = anchors
	}
	return t
}

// TrustFiles name what Trust is loaded from.
type TrustFiles struct {
	// Anchors are files with PEM certificates of PEC providers' issuers, signed
	// trusted lists (ETSI TS 119 612, name ending in .xml), or directories of both.
	Anchors []string
	// ListSigners are PEM files, or directories of them, with the certificates
	// that may have signed the lists.
	ListSigners []string
	// CRLs are certificate revocation lists, DER or PEM, or directories of them.
	CRLs []string
}

// LoadTrust reads the files. A file named itself must hold what it is named
// for; in a directory files are taken by their ending (.pem, .crt, .cer, .xml;
// .crl), those below are not. A list that is not signed by one of the signers,
// and whole, is an error. Errors name the file.
func LoadTrust(f TrustFiles) (*Trust, error) {
	t := &Trust{}
	signers, err := loadCertificates(f.ListSigners)
	if err != nil {
		return nil, fmt.Errorf("signers of trusted lists: %w", err)
	}
	files, err := filesIn(f.Anchors, ".pem", ".crt", ".cer", ".xml")
	if err != nil {
		return nil, fmt.Errorf("trust anchors: %w", err)
	}
	for _, file := range files {
		if isList(file) {
			err = t.addList(file, signers)
		} else {
			var certs []*x509.Certificate
			certs, err = readCertificates(file)
			t.anchors[providers] = append(t.anchors[providers], certs...)
		}
		if err != nil {
			return nil, fmt.Errorf("trust anchors in %s: %w", file, err)
		}
	}
	if t.revoked, err = loadRevocations(f.CRLs); err != nil {
		return nil, err
	}
	for _, s := range t.listed {
		for _, p := range s.periods {
			t.changes = append(t.changes, p.from)
		}
	}
	slices.SortFunc(t.changes, time.Time.Compare)
	t.changes = slices.CompactFunc(t.changes, time.Time.Equal)
	return t, nil
}

// State is another text whenever LoadTrust may have another result: names,
// sizes and times of the files.
func (f TrustFiles) State() string {
	var b strings.Builder
	for _, kind := range [][]string{f.Anchors, f.ListSigners, f.CRLs} {
		for _, path := range kind {
			describeFile(&b, path)
			entries, err := os.ReadDir(path)
			if err != nil {
				continue
			}
			for _, e := range entries {
				describeFile(&b, filepath.Join(path, e.Name()))
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func describeFile(b *strings.Builder, path string) {
	info, err := os.Stat(path)
	if err != nil {
		fmt.Fprintf(b, "%q: missing\n", path)
		return
	}
	fmt.Fprintf(b, "%q: %d %d %s\n", path, info.Size(), info.ModTime().UnixNano(), info.Mode())
}

// Empty tells that nobody is trusted, so that nothing can be certified. A nil
// Trust is empty.
func (t *Trust) Empty() bool {
	return t == nil || len(t.listed) == 0 && !slices.ContainsFunc(t.anchors[:], func(a []*x509.Certificate) bool { return len(a) > 0 })
}

// TrustCount counts whom is trusted at a time, for people.
type TrustCount struct {
	Providers int `json:"providers"` // anchors of PEC providers
	Services  int `json:"services"`  // certificates of registered mail services
	Persons   int `json:"persons"`   // certificates of qualified CAs
	Stamps    int `json:"stamps"`    // certificates of time stamping authorities
	Lists     int `json:"lists"`
	CRLs      int `json:"crls"`
}

// Count tells how many anchors there are at a time.
func (t *Trust) Count(at time.Time) TrustCount {
	if t == nil {
		return TrustCount{}
	}
	n := func(p purpose) int { return len(t.at(p, at)) }
	return TrustCount{Providers: n(providers), Services: n(services), Persons: n(persons), Stamps: n(stamps),
		Lists: len(t.lists), CRLs: t.revoked.count()}
}

// Persons are the CAs of qualified certificates for persons' signatures and
// seals at a time; nil when none is known, so that trust cannot be judged.
func (t *Trust) Persons(at time.Time) *x509.CertPool { return t.known(persons, at) }

// Stamps are the time stamping authorities at a time; nil when none is known.
func (t *Trust) Stamps(at time.Time) *x509.CertPool { return t.known(stamps, at) }

func (t *Trust) known(p purpose, at time.Time) *x509.CertPool {
	if t == nil || !t.knows(p) {
		return nil
	}
	return t.pool(p, at)
}

// knows tells that somebody is or was ever trusted for a purpose.
func (t *Trust) knows(p purpose) bool {
	return len(t.anchors[p]) > 0 || slices.ContainsFunc(t.listed, func(s service) bool { return s.ever(p) })
}

// Warnings say in words what of the files has run out at a time: it is used
// all the same, and somebody should put newer ones there.
func (t *Trust) Warnings(now time.Time) []string {
	var out []string
	if t == nil {
		return out
	}
	for _, l := range t.lists {
		out = append(out, l.warnings(now)...)
	}
	return append(out, t.revoked.warnings(now)...)
}

// at lists the anchors of a purpose at a time.
func (t *Trust) at(p purpose, at time.Time) []*x509.Certificate {
	all := slices.Clip(t.anchors[p])
	for _, s := range t.listed {
		if s.serves(p, at) {
			all = append(all, s.certificates...)
		}
	}
	return all
}

// poolsMax bounds the pools that are kept; messages come from few epochs at a
// time.
const poolsMax = 32

// pool is at as a pool.
func (t *Trust) pool(p purpose, at time.Time) *x509.CertPool {
	epoch := sort.Search(len(t.changes), func(i int) bool { return t.changes[i].After(at) })
	return t.cached(poolKey{p, epoch}, func() []*x509.Certificate { return t.at(p, at) })
}

// poolEver holds also those that were not trusted at the time in question.
func (t *Trust) poolEver(p purpose) *x509.CertPool {
	return t.cached(poolKey{p, -1}, func() []*x509.Certificate {
		all := slices.Clip(t.anchors[p])
		for _, s := range t.listed {
			if s.ever(p) {
				all = append(all, s.certificates...)
			}
		}
		return all
	})
}

func (t *Trust) cached(key poolKey, list func() []*x509.Certificate) *x509.CertPool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if pool := t.pools[key]; pool != nil {
		return pool
	}
	pool := x509.NewCertPool()
	for _, c := range list() {
		pool.AddCert(c)
	}
	if t.pools == nil || len(t.pools) >= poolsMax {
		t.pools = map[poolKey]*x509.CertPool{}
	}
	t.pools[key] = pool
	return pool
}

// The bounds of the files; all the roots of a system take 300 KB.
const (
	certificatesMax = 16 << 20 // bytes of a PEM file
	trustFilesMax   = 1000     // files in a directory
)

func loadCertificates(paths []string) ([]*x509.Certificate, error) {
	files, err := filesIn(paths, ".pem", ".crt", ".cer")
	if err != nil {
		return nil, err
	}
	var all []*x509.Certificate
	for _, file := range files {
		certs, err := readCertificates(file)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		all = append(all, certs...)
	}
	return all, nil
}

// filesIn lists files that are named, and those with these endings in the
// directories that are named.
func filesIn(paths []string, endings ...string) ([]string, error) {
	var files []string
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			files = append(files, path)
			continue
		}
		entries, err := os.ReadDir(path)
		if err != nil {
			return nil, err
		}
		before := len(files)
		for _, e := range entries {
			if slices.Contains(endings, strings.ToLower(filepath.Ext(e.Name()))) {
				files = append(files, filepath.Join(path, e.Name()))
			}
		}
		switch n := len(files) - before; {
		case n == 0:
			return nil, fmt.Errorf("directory %s holds no %s file", path, strings.Join(endings, ", "))
		case n > trustFilesMax:
			return nil, fmt.Errorf("directory %s holds %d files; at most %d are read", path, n, trustFilesMax)
		}
	}
	return files, nil
}

// readFile reads a regular file of at most that many bytes.
func readFile(file string, most int64) ([]byte, error) {
	info, err := os.Stat(file)
	switch {
	case err != nil:
		return nil, errors.Unwrap(err)
	case !info.Mode().IsRegular():
		return nil, errors.New("it is no regular file")
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, errors.Unwrap(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	switch {
	case err != nil:
		return nil, errors.Unwrap(err)
	case int64(len(data)) > most:
		return nil, fmt.Errorf("the file is too large: at most %d bytes are read", most)
	}
	return data, nil
}

func readCertificates(file string) ([]*x509.Certificate, error) {
	rest, err := readFile(file, certificatesMax)
	if err != nil {
		return nil, err
	}
	var certs []*x509.Certificate
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("PEM block %q is no certificate", block.Type)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", len(certs)+1, err)
		}
		certs = append(certs, c)
	}
	if len(certs) == 0 {
		return nil, errors.New("no certificate in PEM form (BEGIN CERTIFICATE) found")
	}
	return certs, nil
}
