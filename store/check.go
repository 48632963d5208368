package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"

	bolt "go.etcd.io/bbolt"
)

// The codes of the problems that Check reports. They are stable: operators and
// alarm rules match them.
const (
	CodeRecordMissing    = "record-missing"    // a sequence is not there
	CodeRecordUnreadable = "record-unreadable" // a record is not what we write
	CodeRecordChain      = "record-chain"      // a record does not follow from the one before
	CodeRowMissing       = "row-missing"       // the records tell of a row that is not there
	CodeRowDiffers       = "row-differs"       // a row has another value than the records say
	CodeRowUnrecorded    = "row-unrecorded"    // no record tells of this row
	CodeHeadDiffers      = "head-differs"      // the head is not where the records end
	CodeWitnessMissing   = "witness-missing"   // the witness's file is not there
	CodeWitnessRestarted = "witness-restarted" // it was missing when this process opened the store
	CodeWitnessDamaged   = "witness-damaged"   // a line of the witness is not what we write
	CodeWitnessDiffers   = "witness-differs"   // a line of the witness does not fit the records
	CodeWitnessBehind    = "witness-behind"    // the witness lacks what was acknowledged
	CodeRolledBack       = "rolled-back"       // the witness knows more than the store
	CodeDatabaseDamaged  = "database-damaged"  // the database's own structure is damaged
)

// Check reads in pieces of checkChunk records or rows, or checkBytes: a long
// transaction would hold up the writer and keep old pages from being used.
const (
	checkChunk = 512
	checkBytes = 8 << 20
)

// checker replays a journal. It keeps digests, never values.
type checker struct {
	j        *journal
	problems []Problem // found in a transaction, reported after it
	count    Checked

	head   Head // as replayed so far
	rows   map[string]*replayedRow
	behind string // rows up to this key have been compared
	rowing bool

	lines   []witnessLine // those that are still to be compared
	notes   []json.RawMessage
	highest uint64 // the last sequence that the witness knows
}

type replayedRow struct {
	digest Digest
	exists bool
	seen   bool
}

// witnessLine is a line that must fit the records.
type witnessLine struct {
	number  int
	at      position
	whole   Digest // of the line's bytes
	resumed *resumption
	// loose: the line before is damaged, so that it is not known which
	// records' notes this one holds.
	loose bool
}

// Check compares everything that is stored of the journal with everything
// else. It may run while records are appended.
func (j *journal) Check(ctx context.Context, report func(Problem)) (Checked, error) {
	c := &checker{j: j, rows: map[string]*replayedRow{}}
	flush := func() {
		for _, p := range c.problems {
			report(p)
		}
		c.problems = nil
	}
	for _, step := range []func(context.Context, func()) error{c.witness, c.records, c.compareRows} {
		err := step(ctx, flush)
		if errors.Is(err, errDamaged) {
			c.problem(CodeDatabaseDamaged, "%v", err)
			err = nil
		}
		flush()
		if err != nil {
			return c.count, fmt.Errorf("checking %s: %w", j.name, err)
		}
	}
	c.finishWitness()
	flush()
	return c.count, nil
}

func (c *checker) problem(code, format string, args ...any) {
	c.problems = append(c.problems, Problem{Code: code, Detail: "journal " + c.j.name + ": " + fmt.Sprintf(format, args...)})
}

// witness reads the witness's lines of this journal.
func (c *checker) witness(ctx context.Context, _ func()) error {
	acknowledged := c.j.f.heads()[c.j.name].Seq
	path := c.j.f.b.witnessPath(c.j.f.org)
	loose := false
	_, _, err := readWitness(path, func(n int, t testimony, ok bool) error {
		if !ok {
			loose = true
			c.problem(CodeWitnessDamaged, "line %d of %s", n, path)
			return nil
		}
		if t.Journal != c.j.name {
			return nil
		}
		raw, err := t.encode()
		if err != nil {
			return err
		}
		c.addLine(witnessLine{number: n, at: position{t.Seq, t.Hash}, whole: Sum(raw), resumed: t.Resumed, loose: loose})
		loose = false
		return ctx.Err()
	})
	switch {
	case errors.Is(err, fs.ErrNotExist) && acknowledged > 0:
		c.problem(CodeWitnessMissing, "%s; it is begun anew at the next start", path)
		return nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("reading the witness: %w", err)
	}
	if c.j.f.restarted.Load() {
		c.problem(CodeWitnessRestarted, "%s was missing and was begun anew from the records", path)
	}
	if len(c.lines) > 0 {
		c.highest = c.lines[len(c.lines)-1].at.Seq
	}
	refused := c.j.f.refusal(c.j.name)
	if errors.Is(refused, ErrRolledBack) {
		c.problem(CodeRolledBack, "%v", refused)
	} else if c.highest < acknowledged {
		c.problem(CodeWitnessBehind, "the witness ends at %d, acknowledged is %d", c.highest, acknowledged)
	}
	return nil
}

// addLine takes back what a resumption gave up.
func (c *checker) addLine(l witnessLine) {
	if l.resumed != nil {
		for len(c.lines) > 0 && c.lines[len(c.lines)-1].at.Seq > l.resumed.After {
			c.lines = c.lines[:len(c.lines)-1]
		}
	}
	c.lines = append(c.lines, l)
}

// records replays the chain.
func (c *checker) records(ctx context.Context, flush func()) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		more := false
		err := c.j.f.view(func(tx *bolt.Tx) (err error) {
			more, err = c.replay(tx)
			return err
		})
		flush()
		if err != nil || !more {
			return err
		}
	}
}

// replay goes through the next records. Each is also looked up by its key,
// because a damaged inner page can hide what a cursor still finds.
func (c *checker) replay(tx *bolt.Tx) (more bool, err error) {
	b := journalBucket(tx, c.j.name)
	if b == nil {
		return false, nil
	}
	records := b.Bucket(bucketRecords)
	if records == nil {
		return false, errDamaged
	}
	size, n := 0, 0
	cursor := records.Cursor()
	for k, v := cursor.Seek(seqKey(c.head.Seq + 1)); k != nil; k, v = cursor.Next() {
		if n == checkChunk || size > checkBytes {
			return true, nil
		}
		if len(k) != 8 {
			c.problem(CodeRecordUnreadable, "behind record %d: the key is %x", c.head.Seq, k)
			continue
		}
		seq := binary.BigEndian.Uint64(k)
		if seq <= c.head.Seq {
			c.problem(CodeRecordChain, "record %d stands behind record %d", seq, c.head.Seq)
			return false, nil
		}
		if !bytes.Equal(records.Get(k), v) {
			c.problem(CodeRecordMissing, "record %d is there but is not found by its number", seq)
		}
		c.record(seq, v)
		n, size = n+1, size+len(v)
	}
	return false, nil
}

// record replays one record and goes on from what it says, so that one damage
// is not reported for all that follows.
func (c *checker) record(seq uint64, raw []byte) {
	if seq != c.head.Seq+1 {
		c.problem(CodeRecordMissing, "records %d to %d", c.head.Seq+1, seq-1)
	}
	l, err := decodeLine(raw)
	if err != nil {
		c.problem(CodeRecordUnreadable, "record %d: %v", seq, err)
		c.head.Seq, c.head.Hash = seq, Sum(raw)
		return
	}
	if l.Seq != seq {
		c.problem(CodeRecordChain, "record %d says that it is %d", seq, l.Seq)
	}
	if l.Prev != c.head.Hash {
		c.problem(CodeRecordChain, "record %d follows %.12s…, but record %d has %.12s…: one of the two was changed",
			seq, l.Prev, c.head.Seq, c.head.Hash)
	}
	c.count.Records++
	c.head.Seq, c.head.Hash, c.head.Time = seq, Sum(raw), l.Time
	if len(l.Counters) > 0 && c.head.Counters == nil {
		c.head.Counters = map[string]uint64{}
	}
	maps.Copy(c.head.Counters, l.Counters)
	for _, r := range l.Rows {
		d, exists := r.digest()
		c.rows[string(rowKey(r.Kind, r.Key))] = &replayedRow{digest: d, exists: exists}
	}
	if l.Witness != nil {
		c.notes = append(c.notes, l.Witness)
	}
	c.compareLine()
}

// compareLine compares the witness's line of the record just replayed.
func (c *checker) compareLine() {
	for len(c.lines) > 0 && c.lines[0].at.Seq < c.head.Seq {
		c.problem(CodeWitnessDiffers, "line %d of the witness names record %d, which is not there", c.lines[0].number, c.lines[0].at.Seq)
		c.lines = c.lines[1:]
	}
	if len(c.lines) == 0 || c.lines[0].at.Seq > c.head.Seq {
		return
	}
	w := c.lines[0]
	c.lines = c.lines[1:]
	want := testimony{Journal: c.j.name, Seq: c.head.Seq, Hash: c.head.Hash, Time: c.head.Time, Notes: c.notes, Resumed: w.resumed}
	c.notes = nil
	raw, err := want.encode()
	switch {
	case err != nil || w.at.Hash != c.head.Hash:
		c.problem(CodeWitnessDiffers, "line %d of the witness has %.12s… for record %d, which has %.12s…", w.number, w.at.Hash, w.at.Seq, c.head.Hash)
	case w.whole != Sum(raw) && !w.loose:
		c.problem(CodeWitnessDiffers, "line %d of the witness does not hold what the records up to %d wanted kept", w.number, w.at.Seq)
	}
}

// finishWitness reports lines above the last record, unless it is known why.
func (c *checker) finishWitness() {
	if errors.Is(c.j.f.refusal(c.j.name), ErrRolledBack) {
		return
	}
	for _, l := range c.lines {
		c.problem(CodeWitnessDiffers, "line %d of the witness names record %d, which is not there", l.number, l.at.Seq)
	}
}

// compareRows compares the rows with what the records say, piece by piece;
// each piece first replays what was appended meanwhile.
func (c *checker) compareRows(ctx context.Context, flush func()) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		done := false
		err := c.j.f.view(func(tx *bolt.Tx) (err error) {
			done, err = c.rowChunk(tx)
			return err
		})
		flush()
		if err != nil || done {
			return err
		}
	}
}

func (c *checker) rowChunk(tx *bolt.Tx) (done bool, err error) {
	b := journalBucket(tx, c.j.name)
	if b == nil {
		c.compareHead(nil)
		return true, nil
	}
	rows := b.Bucket(bucketRows)
	if rows == nil {
		return false, errDamaged
	}
	if more, err := c.replay(tx); err != nil || more {
		return false, err
	}
	size, n := 0, 0
	cursor := rows.Cursor()
	for k, v := cursor.Seek([]byte(c.behind)); k != nil; k, v = cursor.Next() {
		if c.rowing && string(k) == c.behind {
			continue
		}
		if n == checkChunk || size > checkBytes {
			return false, nil
		}
		c.compareRow(k, v)
		if !bytes.Equal(rows.Get(k), v) {
			c.problem(CodeRowMissing, "row %s is there but is not found by its key", rowName(k))
		}
		c.behind, c.rowing = max(c.behind, string(k)), true // keys of a damaged page may be out of order
		n, size = n+1, size+len(v)
	}
	c.missingRows(rows)
	c.compareHead(b.Get(keyHead))
	return true, nil
}

func rowName(k []byte) string {
	kind, key := splitRowKey(k)
	return fmt.Sprintf("%q %q", kind, key)
}

func (c *checker) compareRow(k, v []byte) {
	c.count.Rows++
	r := c.rows[string(k)]
	switch {
	case r == nil || !r.exists:
		c.problem(CodeRowUnrecorded, "row %s", rowName(k))
		return
	case r.digest != Sum(v):
		c.problem(CodeRowDiffers, "row %s", rowName(k))
	}
	r.seen = true
}

// missingRows looks for what the cursor did not meet: rows that are gone, and
// those that were written behind it while it was on its way.
func (c *checker) missingRows(rows *bolt.Bucket) {
	for k, r := range c.rows {
		if r.seen || !r.exists {
			continue
		}
		v := rows.Get([]byte(k))
		switch {
		case v == nil:
			c.problem(CodeRowMissing, "row %s", rowName([]byte(k)))
		case r.digest != Sum(v):
			c.problem(CodeRowDiffers, "row %s", rowName([]byte(k)))
		default:
			c.count.Rows++
		}
	}
}

// compareHead compares the stored head byte for byte.
func (c *checker) compareHead(raw []byte) {
	if c.head.Seq == 0 && raw == nil {
		return
	}
	want, err := encode(c.head)
	if err != nil || !bytes.Equal(raw, want) {
		c.problem(CodeHeadDiffers, "the head is %.300s, the records end in %.300s", raw, want)
	}
}
