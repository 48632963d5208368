// Package store keeps journals, notes and blobs. It knows nothing of
// registers: what a record or a row means is its caller's business. Two kinds
// of engine meet the interfaces below; storetest is the suite that both pass.
//
// # What is promised
//
// A journal is a chain of records. Each record is one line of JSON that names
// the SHA-256 of the line before it, so the last hash stands for the whole
// history. A commit adds one or more records, changes the rows they tell of
// and moves the head, all in one transaction or not at all. A nil error from
// Append means that the commit is on the disk and that the witness knows it.
//
// ErrConflict, ErrLease, ErrNoSpace, ErrRolledBack and a refused commit (wrong
// JSON, too large) change nothing. After ErrUnknown the commit may or may not
// be stored: the engine has closed that file, opened it again and read the
// heads anew, so Head now tells what is true. While a file cannot be opened
// again every call on it answers why, and the next use tries again.
//
// Rows are the current state and can be rebuilt from the records. A payload
// row's record holds only the digest of its value; deleting such a row is an
// erasure that the chain remembers and Check accepts.
//
// A blob is durable when its writer's Commit returns, before any record can
// name it. Notes are written behind: the last second of them may be lost in a
// crash, and a damaged notes file is set aside and begun anew.
//
// # The embedded engine on disk
//
//	DIR/format                      the version of this layout
//	DIR/lock                        held by the one process that uses DIR
//	DIR/installation.db             bbolt: the installation's journal
//	DIR/organizations/ORG.db        bbolt: all journals and leases of ORG
//	DIR/notes/ORG.db                bbolt: the notes of ORG
//	DIR/blobs/ORG/ab/abcdef…        a blob under its SHA-256
//	DIR/witness/ORG.jsonl           the second witness (Options.WitnessDir)
//
// Each file has one writer goroutine. It takes every commit that waits, checks
// each one inside one transaction, so that a stale one fails alone, and pays
// for one database sync and one witness sync for all of them. A damaged or
// full file stops its organization and no other.
//
// # The witness
//
// The witness is an append-only text file beside the database, better on
// another disk. It gets one line for each commit after the database's own sync
// and before the answer. When a database is opened the two are compared: a
// store that is ahead has its lines written; a store that is behind, or that
// holds another hash at the same sequence, has been put back to an older state
// (design: "a rolled-back store is noticed"). Such a journal can be read, but
// Append answers ErrRolledBack until Resume has told of it.
//
// The exact bytes are described in docs/formats.md.
package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// Errors that callers branch on. Every other error of Append means that the
// outcome is unknown: the engine has closed, reopened and re-read that file,
// and the caller reads the head again before it decides anything.
var (
	ErrConflict   = errors.New("the journal's head has moved")
	ErrNotFound   = errors.New("not found")
	ErrNoSpace    = errors.New("free space is below the reserve")
	ErrRolledBack = errors.New("the store knows less than its witness")
	ErrLease      = errors.New("the lease is no longer held")
	ErrUnknown    = errors.New("it is not known whether the commit was stored")
	ErrLocked     = errors.New("the data directory is in use by another process")
	ErrNewer      = errors.New("the data was written by a newer version")
)

// Store is what an engine offers; storetest states and tests its contract.
//
// A journal is named "installation", "ORG" or "ORG/REGISTER". Journals of one
// organization share a failure domain and nothing else does: when its file is
// damaged, full or in doubt, the others go on.
type Store interface {
	// Journal opens the named journal, making it on first use.
	Journal(ctx context.Context, name string) (Journal, error)
	// Notes opens the unchained key-value space of an organization (or of
	// "installation"): positions, sessions, caches. They may be lost.
	Notes(ctx context.Context, org string) (Notes, error)
	// Blobs opens the files of an organization.
	Blobs(ctx context.Context, org string) (Blobs, error)
	// Acquire takes or renews the named lease of an organization for holder.
	Acquire(ctx context.Context, org, name, holder string, ttl time.Duration) (Lease, error)
	// Ping proves that the store answers (a read and the writability of the
	// data directory), for readiness and the watchdog.
	Ping(ctx context.Context) error
	Close() error
}

// Journal is an append-only chain of records with the rows they produce.
type Journal interface {
	Name() string
	// Head is read from the durable state.
	Head(ctx context.Context) (Head, error)
	// Append adds all of c's records and changes their rows, or returns an
	// error and (but for ErrUnknown) changes nothing. nil means durable, and
	// known to the witness. ErrConflict: the head is not c.Prev.
	Append(ctx context.Context, c Commit) (Head, error)
	// Get returns the value of one row, or ErrNotFound.
	Get(ctx context.Context, kind, key string) (json.RawMessage, error)
	// List returns rows of one kind in key order.
	List(ctx context.Context, r Range) ([]Row, error)
	// Records returns up to limit records with a sequence above after.
	Records(ctx context.Context, after uint64, limit int) ([]Stored, error)
	// Wait returns when the head's sequence is above after, or with ctx's error.
	Wait(ctx context.Context, after uint64) error
	// Check re-reads the whole journal: chain, rows against records, head
	// against chain, witness against both; it reports every problem found.
	Check(ctx context.Context, report func(Problem)) (Checked, error)
	// Writable tells why nothing can be appended (ErrRolledBack,
	// ErrNoSpace, …), or nil.
	Writable() error
	// Witnessed returns what the witness knows above the store's head, oldest
	// first: what a rolled-back store has lost.
	Witnessed(ctx context.Context) ([]Testimony, error)
	// Resume ends the rolled-back state with c, whose records tell of it: the
	// chain goes on from the store's own head, and the witness notes that it
	// does and why.
	Resume(ctx context.Context, c Commit) (Head, error)
}

// Digest is a SHA-256.
type Digest [sha256.Size]byte

// Sum is the digest of b.
func Sum(b []byte) Digest { return sha256.Sum256(b) }

func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// MarshalText writes lower-case hexadecimal.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads 64 hexadecimal digits.
func (d *Digest) UnmarshalText(b []byte) error {
	if len(b) != 2*len(d) {
		return fmt.Errorf("a SHA-256 has %d hexadecimal digits, not %d", 2*len(d), len(b))
	}
	_, err := hex.Decode(d[:], b)
	return err
}

// Head is where a journal ends. Its zero value is an empty journal's.
type Head struct {
	Seq      uint64            `json:"seq"`
	Hash     Digest            `json:"hash"`
	Time     time.Time         `json:"time"`
	Counters map[string]uint64 `json:"counters,omitempty"`
}

// Record is one event to append.
type Record struct {
	Type string
	Time time.Time
	Data json.RawMessage
	// Rows are the changes of current state that this event makes.
	Rows []Row
	// Counters are those of the head that this event sets.
	Counters map[string]uint64
	// Witness is what the second witness keeps of the event beside its
	// sequence and hash; nil: nothing.
	Witness json.RawMessage
}

// Row is a piece of current state. A nil Value deletes it.
type Row struct {
	Kind, Key string
	Value     json.RawMessage
	// Payload keeps the value out of the record, which then holds only its
	// digest: for what may have to be erased one day.
	Payload bool
}

// Commit is one or more records to append together.
type Commit struct {
	Prev    Head // Seq and Hash are compared
	Records []Record
	Lease   Lease // the zero value: made under no lease
}

// Lease is the right to do a piece of work; Token grows with each new holder.
type Lease struct {
	Org, Name, Holder string
	Token             uint64
	Until             time.Time
}

// Stored is a record as it stands in the journal. Line is exactly what is on
// disk and what Hash is the SHA-256 of; the rest is read from it.
type Stored struct {
	Seq  uint64
	Hash Digest
	Line []byte
	Type string
	Time time.Time
	Data json.RawMessage
}

// Range selects rows: of one kind, with a key prefix, strictly after After (or
// before it when Reverse).
type Range struct {
	Kind, Prefix, After string
	Limit               int // 0: no limit
	Reverse             bool
}

// Testimony is one line of the witness.
type Testimony struct {
	Seq   uint64
	Hash  Digest
	Time  time.Time
	Notes []json.RawMessage
}

// Problem is something that Check found; Code is stable.
type Problem struct{ Code, Detail string }

// Checked counts what Check went through.
type Checked struct {
	Records uint64
	Rows    uint64
}

// Notes is an unchained key-value space. Writes are durable only at the
// engine's leisure.
type Notes interface {
	Get(ctx context.Context, key string) ([]byte, error)
	// Set changes the given keys together; a nil value deletes.
	Set(ctx context.Context, values map[string][]byte) error
	// Scan calls yield in key order for the keys with the prefix. The values
	// are copies; no transaction is open while yield runs.
	Scan(ctx context.Context, prefix string, yield func(key string, value []byte) bool) error
}

// Blobs keeps files under their SHA-256.
type Blobs interface {
	// Create starts a blob; nothing is visible before Commit.
	Create(ctx context.Context) (BlobWriter, error)
	// Open reads a blob, or returns ErrNotFound.
	Open(ctx context.Context, d Digest) (Blob, error)
	// Check re-reads a blob against its name and size.
	Check(ctx context.Context, d Digest) error
	// Scan calls yield for every blob kept.
	Scan(ctx context.Context, yield func(Digest, int64) bool) error
	// Collect removes blobs older than before for which keep is false.
	Collect(ctx context.Context, before time.Time, keep func(Digest) bool) (int, error)
}

// BlobWriter receives one blob.
type BlobWriter interface {
	io.Writer
	// Commit makes the blob durable and names it. A blob that is kept
	// already is renewed.
	Commit(ctx context.Context) (Digest, int64, error)
	// ReaderAt reads what has been written so far, until Close.
	io.ReaderAt
	// Close releases the writer and drops what was not committed.
	io.Closer
}

// Blob is an open blob.
type Blob interface {
	io.Reader
	io.ReaderAt
	io.Seeker
	io.Closer
	Size() int64
}
