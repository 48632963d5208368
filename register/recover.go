package register

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/protodaemon/protodaemon/store"
)

// Recovery is what the manager orders for a register whose store was put back
// to an older state. Without Reason and Authority nothing is changed.
type Recovery struct {
	Reason, Authority string
	// Find looks for the bytes of a message elsewhere (registered folder,
	// backups), puts them into a blob and tells whether it did. Its error ends
	// the recovery: where nobody could look, nothing is called lost.
	Find func(ctx context.Context, mailbox string, message store.Digest) (bool, error)
}

// Recovered tells what Recover found and did.
type Recovered struct {
	Organization string          `json:"organization"`
	Register     string          `json:"register"`
	Applied      bool            `json:"applied"`
	Numbers      []RecoveredItem `json:"numbers"`
}

// RecoveredItem is one number that the witness knows and the store lost.
// Outcome is entered, lost (perduta), or due when nothing was applied yet.
type RecoveredItem struct {
	Year    int    `json:"year"`
	Number  string `json:"number"`
	Outcome string `json:"outcome"`
	Detail  string `json:"detail,omitempty"`
}

// The outcomes of a RecoveredItem.
const (
	outcomeDue     = "due"
	outcomeEntered = "entered"
	outcomeLost    = "lost"
)

// maxUnknown bounds the numbers that not even the witness tells of.
const maxUnknown = 100000

// recovery is the detail of the records that Recover makes.
type recovery struct {
	Change    string `json:"change"` // resumed, recovered or lost
	Reason    string `json:"reason"`
	Authority string `json:"authority"`
	LostFrom  uint64 `json:"lost_from,omitempty"` // sequences that the witness knows
	LostTo    uint64 `json:"lost_to,omitempty"`
	// Registers: no closing has told of the entry yet; the next one tells of it
	// as registered.
	Registers bool `json:"registers,omitempty"`
}

// Recover names the numbers that the witness knows and the store lost and,
// when ordered, re-enters them or marks them perduta, so that the register
// can go on. The journals of the organization and, for who administers it, of
// the installation are resumed with it, if they are rolled back too.
func (o *Office) Recover(ctx context.Context, a Actor, org, register string, r Recovery) (Recovered, error) {
	b, err := o.bookFor(a, Manage, org, register)
	if err != nil {
		return Recovered{}, err
	}
	result := Recovered{Organization: org, Register: register, Numbers: []RecoveredItem{}}
	lost, entries, err := b.lost(ctx)
	if err != nil {
		return result, fmt.Errorf("recovering %s: %w", b.name, err)
	}
	for _, e := range entries {
		result.Numbers = append(result.Numbers, e.item(outcomeDue))
	}
	if r.Reason == "" && r.Authority == "" {
		return result, nil
	}
	if err := r.check(); err != nil {
		return result, err
	}
	if err := o.resumeOthers(ctx, a, b, r); err != nil {
		return result, err
	}
	if !rolledBack(b.ledger) {
		return result, nil
	}
	if err := b.findFiles(ctx, r, entries); err != nil {
		return result, fmt.Errorf("recovering %s: %w", b.name, err)
	}
	err = b.resume(ctx, a, r, lost, func(d *draft) error {
		told, err := b.toldThrough(ctx, lost)
		return errors.Join(err, d.reenter(b, a, r, entries, told), d.reclose(a, lost))
	})
	if err != nil {
		return result, fmt.Errorf("recovering %s: %w", b.name, err)
	}
	result.Applied = true
	for i, e := range entries {
		result.Numbers[i] = e.item(outcomeEntered)
		if e.missing != "" {
			result.Numbers[i] = e.item(outcomeLost)
		}
	}
	return result, nil
}

func (r Recovery) check() error {
	for _, f := range []struct{ name, value string }{{"reason", r.Reason}, {"authority", r.Authority}} {
		if f.value == "" {
			return &FieldError{f.name, "is required"}
		}
		if err := checkLines(f.name, f.value, maxNotes); err != nil {
			return err
		}
	}
	return nil
}

// lostEntry is a number that the witness tells of.
type lostEntry struct {
	year    int
	n       uint64
	row     json.RawMessage // the entry as it was written; nil: only the number is known
	entry   Entry
	pending *Pending
	missing string // why the document is not there
}

func (e lostEntry) item(outcome string) RecoveredItem {
	return RecoveredItem{Year: e.year, Number: fmt.Sprintf("%07d", e.n), Outcome: outcome, Detail: e.missing}
}

// lost reads what the witness knows above the store, and the numbers in it, in
// order.
func (b *book) lost(ctx context.Context) ([]store.Testimony, []*lostEntry, error) {
	lost, err := b.journal.Witnessed(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the witness: %w", err)
	}
	known := map[string]*lostEntry{}
	for n := range eachNote(lost) {
		if n.Kind != noteEntry {
			continue
		}
		e, err := n.lostEntry()
		if err != nil {
			return nil, nil, err
		}
		there, err := b.journal.Get(ctx, rowEntry, entryKey(e.year, e.n))
		switch {
		case errors.Is(err, store.ErrNotFound):
			known[entryKey(e.year, e.n)] = e
		case err != nil:
			return nil, nil, err
		case n.Changed:
			known[entryKey(e.year, e.n)] = e
		case string(there) != string(e.row):
			return nil, nil, fmt.Errorf("%w: number %07d of %d is another entry in the store than in the witness: put a store back that belongs to the witness",
				ErrUnavailable, e.n, e.year)
		}
	}
	if err := b.addUnknown(ctx, known); err != nil {
		return nil, nil, err
	}
	var entries []*lostEntry
	for _, key := range slices.Sorted(maps.Keys(known)) {
		entries = append(entries, known[key])
	}
	return lost, entries, nil
}

// eachNote yields the notes of testimonies; what is no note of ours is left out.
func eachNote(lost []store.Testimony) func(func(note) bool) {
	return func(yield func(note) bool) {
		for _, t := range lost {
			for _, raw := range t.Notes {
				var n note
				if json.Unmarshal(raw, &n) == nil && !yield(n) {
					return
				}
			}
		}
	}
}

func (n note) lostEntry() (*lostEntry, error) {
	e := &lostEntry{row: n.Entry}
	if err := json.Unmarshal(n.Entry, &e.entry); err != nil {
		return nil, fmt.Errorf("decoding an entry in the witness: %w", err)
	}
	var err error
	if e.year, e.n, err = parseRef(entryRef(e.entry.Register, e.entry.Year, e.entry.Number)); err != nil {
		return nil, err
	}
	if n.Pending != nil {
		e.pending = new(Pending)
		if err := json.Unmarshal(n.Pending, e.pending); err != nil {
			return nil, fmt.Errorf("decoding a pending entry in the witness: %w", err)
		}
	}
	return e, nil
}

// addUnknown adds the numbers below the highest of which nothing is known. Such
// numbers take the time of the one that follows, so that days stay contiguous.
func (b *book) addUnknown(ctx context.Context, known map[string]*lostEntry) error {
	head, err := b.journal.Head(ctx)
	if err != nil {
		return err
	}
	highest := map[int]uint64{}
	for _, e := range known {
		highest[e.year] = max(highest[e.year], e.n)
	}
	for year, last := range highest {
		given := head.Counters[counterName(year)]
		if last > given && last-given > maxUnknown+uint64(len(known)) {
			return fmt.Errorf("%w: the witness goes on at number %d of %d, the store ends at %d", ErrUnavailable, last, year, given)
		}
		next := known[entryKey(year, last)]
		for n := last; n > given; n-- {
			if e := known[entryKey(year, n)]; e != nil {
				next = e
				continue
			}
			known[entryKey(year, n)] = &lostEntry{
				year: year, n: n, missing: "only its number is known",
				entry: Entry{
					Organization: b.agency.conf.ID, Register: b.conf.ID,
					Number: fmt.Sprintf("%07d", n), Year: year,
					Day: next.entry.Day, RegisteredAt: next.entry.RegisteredAt,
					Parties: []Party{}, Attachments: []Document{}, Dossiers: []string{},
				},
			}
		}
	}
	return nil
}

// findFiles looks for the documents of the entries.
func (b *book) findFiles(ctx context.Context, r Recovery, entries []*lostEntry) error {
	for _, e := range entries {
		if e.row == nil || e.entry.Message == (store.Digest{}) {
			continue
		}
		there, err := b.hasFile(ctx, e.entry.Message)
		if err == nil && !there && r.Find != nil && e.entry.Origin != nil {
			if _, err = r.Find(ctx, e.entry.Origin.Mailbox, e.entry.Message); err == nil {
				there, err = b.hasFile(ctx, e.entry.Message)
			}
		}
		if err != nil {
			return fmt.Errorf("looking for the message of number %07d of %d: %w", e.n, e.year, err)
		}
		if !there {
			e.missing = "the message was not found"
		}
	}
	return nil
}

// hasFile tells whether the blob is there and whole; a damaged one can be put
// there again.
func (b *book) hasFile(ctx context.Context, d store.Digest) (bool, error) {
	err := b.agency.blobs.Check(ctx, d)
	return err == nil, ctx.Err()
}
