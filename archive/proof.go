package archive

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/protodaemon/protodaemon/register"
	"github.com/protodaemon/protodaemon/sign"
	"github.com/protodaemon/protodaemon/store"
)

// proofFormat is the version of the file that Proof writes.
const proofFormat = "protodaemon-prova-1"

// maxProof bounds a file that is checked, which has some ten kilobytes.
const maxProof = 16 << 20

// Proof shows that an entry stands in a daily register without showing another
// entry. It can be checked with nothing else (CheckProof), or by hand
// (docs/registro-giornaliero.md).
type Proof struct {
	Format string `json:"format"`
	Notice string `json:"notice"`
	// Events are the registration of the entry and what became of it later, as
	// far as the days are closed.
	Events []ProofEvent `json:"events"`
}

// ProofEvent is one happening with its way to the root of its closing.
type ProofEvent struct {
	// Entry is the entry as the record of the journal holds it: these bytes,
	// in base64, are what the leaf is made of.
	Entry  []byte         `json:"entry"`
	Record store.Digest   `json:"record"` // hash of its record
	Index  int            `json:"index"`
	Size   int            `json:"size"` // leaves of the tree
	Path   []store.Digest `json:"path"` // from below
	// Imprints is the closing's imprints file, and ImprintsSigned the same in a
	// signature, with a time stamp if there is one; nil: not signed yet.
	Imprints       []byte `json:"imprints"`
	ImprintsSigned []byte `json:"imprints_p7m,omitempty"`
}

const proofNotice = "Prova di una registrazione di protocollo: si verifica con «protodaemon check-proof FILE». Non mostra altre registrazioni."

// ErrNotClosed: the day of the entry has not been closed.
var ErrNotClosed = fmt.Errorf("%w: its day is not closed yet", register.ErrState)

// Proof makes the proof of an entry.
func (a *Archive) Proof(ctx context.Context, by register.Actor, org, reg string, year int, number string) (file string, proof []byte, err error) {
	e, err := a.office.Entry(ctx, by, org, reg, year, number)
	if err != nil {
		return "", nil, err
	}
	k, err := a.keeper(org, reg)
	if err != nil {
		return "", nil, err
	}
	p := Proof{Format: proofFormat, Notice: proofNotice}
	q := register.ClosingQuery{From: e.Day, Limit: 500}
	for {
		page, err := a.office.Closings(ctx, register.System(), org, reg, q)
		if err != nil {
			return "", nil, err
		}
		for _, c := range page.Items {
			if !mayTell(c, e.Entry) {
				continue
			}
			events, err := k.prove(ctx, c, e.Entry)
			if err != nil {
				return "", nil, fmt.Errorf("proving %s/%d from closing %s: %w", number, year, c.ID, err)
			}
			p.Events = append(events, p.Events...) // the closings come newest first
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			break
		}
	}
	if len(p.Events) == 0 {
		return "", nil, ErrNotClosed
	}
	b, err := json.MarshalIndent(p, "", " ")
	return fmt.Sprintf("prova-%s-%d-%s.json", e.Register, e.Year, e.Number), append(b, '\n'), err
}

// mayTell tells whether a closing may tell of an entry: it is of its day, tells
// of changes, or of its number, which after a recovery stands in a later one. Of
// one that was recovered the records are lost: nothing is proved from it.
func mayTell(c register.Closing, e register.Entry) bool {
	switch {
	case c.Recovered:
		return false
	case c.Changes > 0 || c.Day == e.Day:
		return true
	case c.Entries == 0:
		return false
	}
	first, errFirst := strconv.ParseUint(c.FirstNumber, 10, 64)
	last, errLast := strconv.ParseUint(c.LastNumber, 10, 64)
	n, err := strconv.ParseUint(e.Number, 10, 64)
	within := first <= n && n <= last || first > last // of two years
	return within || errors.Join(errFirst, errLast, err) != nil
}

// prove finds the happenings of an entry in a closing.
func (k *keeper) prove(ctx context.Context, c register.Closing, e register.Entry) (events []ProofEvent, err error) {
	var leaves []store.Digest
	err = k.happenings(ctx, c)(func(h register.Happening) error {
		if h.Entry.Year == e.Year && h.Entry.Number == e.Number {
			events = append(events, ProofEvent{Entry: bytes.Clone(h.Raw), Record: h.Record, Index: len(leaves)})
		}
		leaves = append(leaves, leaf(h))
		return nil
	})
	if err != nil || len(events) == 0 {
		return nil, err
	}
	if rootOf(leaves) != c.Root {
		return nil, errors.New("the journal does not give the root that it tells; protodaemon verify says more")
	}
	plain, _, err := k.read(ctx, c, register.FileImprints)
	if err != nil {
		return nil, err
	}
	var signed []byte
	for _, role := range []string{register.FileImprintsStamped, register.FileImprintsSigned} {
		if _, ok := c.File(role); ok {
			if signed, _, err = k.read(ctx, c, role); err != nil {
				return nil, err
			}
			break
		}
	}
	for i := range events {
		events[i].Size, events[i].Path = len(leaves), pathOf(leaves, events[i].Index)
		events[i].Imprints, events[i].ImprintsSigned = plain, signed
	}
	return events, nil
}

// CheckedEvent is what a proof shows of one happening.
type CheckedEvent struct {
	Entry   register.Entry `json:"entry"`
	Closing string         `json:"closing"`
	Holder  string         `json:"holder"`
	Day     string         `json:"day"`
	Test    bool           `json:"test,omitempty"`
	Signer  string         `json:"signer,omitempty"`
	Issuer  string         `json:"issuer,omitempty"`
	Signed  *time.Time     `json:"signed,omitempty"`
	Stamped *time.Time     `json:"stamped,omitempty"`
	Stamper string         `json:"stamper,omitempty"`
}

var errProof = errors.New("the proof does not hold")

// CheckProof checks a proof with nothing else: each leaf leads to the root that
// the imprints tell, the imprints are what was signed, signature and time stamp
// fit. With roots the signer, and with stampRoots the time stamping authority,
// has to lead to one of them.
func CheckProof(r io.Reader, roots, stampRoots *x509.CertPool) ([]CheckedEvent, error) {
	b, err := readAll(r, maxProof)
	if err != nil {
		return nil, fmt.Errorf("reading the proof: %w", err)
	}
	var p Proof
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		return nil, fmt.Errorf("%w: it is not a file of this kind: %w", errProof, err)
	}
	if d.More() {
		return nil, fmt.Errorf("%w: something follows it", errProof)
	}
	if p.Format != proofFormat || len(p.Events) == 0 {
		return nil, fmt.Errorf("%w: its format is %q", errProof, clipped(p.Format))
	}
	var all []CheckedEvent
	for i, e := range p.Events {
		one, err := e.check(roots, stampRoots)
		if err != nil {
			return all, fmt.Errorf("event %d: %w", i+1, err)
		}
		if i > 0 && (one.Entry.Number != all[0].Entry.Number || one.Entry.Year != all[0].Entry.Year) {
			return all, fmt.Errorf("%w: event %d is of another entry", errProof, i+1)
		}
		all = append(all, one)
	}
	return all, nil
}

func (e ProofEvent) check(roots, stampRoots *x509.CertPool) (c CheckedEvent, err error) {
	if err := json.Unmarshal(e.Entry, &c.Entry); err != nil {
		return c, fmt.Errorf("%w: the entry cannot be read: %w", errProof, err)
	}
	imprints, err := readImprints(e.Imprints)
	if err != nil {
		return c, fmt.Errorf("%w: %w", errProof, err)
	}
	root, err := rootFrom(leafOf(e.Record, e.Entry), e.Index, e.Size, e.Path)
	switch {
	case err != nil:
		return c, fmt.Errorf("%w: %w", errProof, err)
	case root != imprints.Root:
		return c, fmt.Errorf("%w: the entry does not lead to the root of the closing %s", errProof, imprints.Name)
	case e.Size != imprints.Entries+imprints.Changes:
		return c, fmt.Errorf("%w: the closing tells of %d events and not of %d", errProof, imprints.Entries+imprints.Changes, e.Size)
	case c.Entry.Register != imprints.Register:
		return c, fmt.Errorf("%w: the entry is of another register", errProof)
	}
	c.Closing, c.Holder, c.Day, c.Test = imprints.Name, imprints.Holder, imprints.Day, imprints.Test
	if e.ImprintsSigned == nil {
		if roots != nil || stampRoots != nil {
			return c, fmt.Errorf("%w: the closing %s is not signed, so nobody vouches for it", errProof, imprints.Name)
		}
		return c, nil
	}
	v, err := sign.Verify(e.ImprintsSigned, roots, stampRoots)
	if err != nil {
		return c, fmt.Errorf("%w: the signature of the closing %s: %w", errProof, imprints.Name, err)
	}
	if !bytes.Equal(v.Content, e.Imprints) {
		return c, fmt.Errorf("%w: other imprints were signed", errProof)
	}
	if v.Stamp == nil && stampRoots != nil {
		return c, fmt.Errorf("%w: the closing %s has no time stamp", errProof, imprints.Name)
	}
	c.Signer, c.Issuer, c.Signed = v.Signer.Subject.String(), v.Signer.Issuer.String(), &v.Time
	if v.Stamp != nil {
		c.Stamped, c.Stamper = &v.Stamp.Time, v.Stamp.Certificate.Subject.String()
	}
	return c, nil
}

// String tells in Italian what the proof shows.
func (c CheckedEvent) String() string {
	e := c.Entry
	s := "Protocollo n. " + e.Number + "/" + strconv.Itoa(e.Year) + " del " + e.Day + " (" + stateWords[e.State] + "), registro " + e.Register + " di " + c.Holder +
		"\n  oggetto: " + e.Subject + "\n  soggetti: " + parties(e) + "\n  nel registro giornaliero " + c.Closing
	switch {
	case c.Signer == "":
		s += "\n  il registro giornaliero non è ancora firmato"
	case c.Stamped == nil:
		s += "\n  firmato da " + c.Signer + " (dichiarato " + c.Signed.Format(time.RFC3339) + "), senza marca temporale"
	default:
		s += "\n  firmato da " + c.Signer + ", marcato il " + c.Stamped.Format(time.RFC3339) + " da " + c.Stamper
	}
	if c.Test {
		s += "\n  REGISTRO DI PROVA, senza valore legale"
	}
	return s
}
