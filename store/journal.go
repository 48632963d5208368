package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"

	bolt "go.etcd.io/bbolt"
)

// journal is one bucket of its organization's file.
type journal struct {
	f    *file
	name string
}

func (j *journal) Name() string { return j.name }

func seqKey(seq uint64) []byte { return binary.BigEndian.AppendUint64(nil, seq) }

// Head reads the head from the database.
func (j *journal) Head(ctx context.Context) (Head, error) {
	if err := ctx.Err(); err != nil {
		return Head{}, err
	}
	return j.f.head(j.name)
}

func (f *file) head(name string) (h Head, err error) {
	err = f.view(func(tx *bolt.Tx) error {
		h, err = loadHead(journalBucket(tx, name))
		return err
	})
	if err != nil {
		return Head{}, fmt.Errorf("reading the head of %s: %w", name, err)
	}
	return h, nil
}

// Append hands the commit to the file's writer.
func (j *journal) Append(ctx context.Context, c Commit) (Head, error) {
	h, err := j.append(ctx, c, nil)
	if err != nil {
		return Head{}, fmt.Errorf("appending to %s: %w", j.name, err)
	}
	return h, nil
}

// append appends; lost is what a resumption gives up.
func (j *journal) append(ctx context.Context, c Commit, lost *loss) (h Head, err error) {
	l, err := link(c)
	if err != nil {
		return Head{}, err
	}
	line := &testimony{Journal: j.name, Notes: l.notes}
	r := &request{grows: true, line: line}
	r.apply = func(tx *bolt.Tx) error {
		if refused := j.f.refusal(j.name); refused != nil && lost == nil {
			return refused
		}
		if err := checkLease(tx, j.f.org, c.Lease); err != nil {
			return err
		}
		if h, err = l.put(tx, j.name); err != nil {
			return err
		}
		line.Seq, line.Hash, line.Time = h.Seq, h.Hash, h.Time
		return nil
	}
	r.applied = func() {
		if lost != nil {
			j.f.refuse(j.name, nil, nil)
		}
		j.f.publish(j.name, h)
	}
	if lost != nil {
		line.Resumed = &resumption{After: lost.agreed, LostSeq: lost.witness.Seq, LostHash: lost.witness.Hash}
		if line.Notes, err = j.unwitnessed(lost.agreed, c.Prev.Seq); err != nil {
			return Head{}, err
		}
		line.Notes = append(line.Notes, l.notes...)
	}
	if err := j.f.do(ctx, r); err != nil {
		return Head{}, err
	}
	return h, nil
}

// put compares the head, then writes records, rows and the new head.
func (l *links) put(tx *bolt.Tx, name string) (Head, error) {
	b := journalBucket(tx, name)
	h, err := loadHead(b)
	if err != nil {
		return Head{}, err
	}
	if h.Seq != l.prev.Seq || h.Hash != l.prev.Hash {
		return Head{}, fmt.Errorf("%w: it is at %d, the commit was made for %d", ErrConflict, h.Seq, l.prev.Seq)
	}
	next := l.next(h)
	raw, err := encode(next)
	if err != nil {
		return Head{}, err
	}
	if b == nil {
		b, err = tx.Bucket(bucketJournals).CreateBucket([]byte(name))
	}
	if err == nil {
		err = l.write(b, raw)
	}
	if err != nil {
		return Head{}, fmt.Errorf("%w: %w", errPut, err)
	}
	return next, nil
}

func (l *links) write(b *bolt.Bucket, head []byte) error {
	records, err := b.CreateBucketIfNotExists(bucketRecords)
	if err != nil {
		return err
	}
	records.FillPercent = 0.9 // keys only ever grow
	for i, line := range l.lines {
		if err := records.Put(seqKey(l.prev.Seq+uint64(i)+1), line); err != nil {
			return err
		}
	}
	rows, err := b.CreateBucketIfNotExists(bucketRows)
	if err != nil {
		return err
	}
	for _, r := range l.rows {
		if r.value == nil {
			err = rows.Delete(r.key)
		} else {
			err = rows.Put(r.key, r.value)
		}
		if err != nil {
			return err
		}
	}
	return b.Put(keyHead, head)
}

// Get reads one row.
func (j *journal) Get(ctx context.Context, kind, key string) (value json.RawMessage, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	err = j.f.view(func(tx *bolt.Tx) error {
		value = nil
		if b := journalBucket(tx, j.name); b != nil {
			value = bytes.Clone(b.Bucket(bucketRows).Get(rowKey(kind, key)))
		}
		return nil
	})
	if err == nil && value == nil {
		err = ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("%s: row %s %s: %w", j.name, kind, key, err)
	}
	return value, nil
}

// List reads rows in key order.
func (j *journal) List(ctx context.Context, r Range) (rows []Row, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	err = j.f.view(func(tx *bolt.Tx) error {
		rows = nil
		b := journalBucket(tx, j.name)
		if b == nil {
			return nil
		}
		c := b.Bucket(bucketRows).Cursor()
		prefix := rowKey(r.Kind, r.Prefix)
		step := c.Next
		if r.Reverse {
			step = c.Prev
		}
		for k, v := seekRange(c, r); bytes.HasPrefix(k, prefix); k, v = step() {
			if r.Limit > 0 && len(rows) == r.Limit {
				break
			}
			kind, key := splitRowKey(k)
			rows = append(rows, Row{Kind: kind, Key: key, Value: bytes.Clone(v)})
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("%s: listing rows %s: %w", j.name, r.Kind, err)
	}
	return rows, nil
}

// seekRange moves to the first row of the range, if there is one.
func seekRange(c *bolt.Cursor, r Range) (k, v []byte) {
	prefix := rowKey(r.Kind, r.Prefix)
	if !r.Reverse {
		start := prefix
		after := rowKey(r.Kind, r.After)
		if r.After != "" && bytes.Compare(after, prefix) >= 0 {
			start = append(after, 0) // the next possible key
		}
		return c.Seek(start)
	}
	end := successor(prefix)
	if before := rowKey(r.Kind, r.After); r.After != "" && bytes.Compare(before, end) < 0 {
		end = before
	}
	if k, _ := c.Seek(end); k == nil {
		return c.Last()
	}
	return c.Prev()
}

// successor is the smallest key above all keys with the prefix. A kind's key
// holds a zero byte, so there always is one.
func successor(prefix []byte) []byte {
	s := bytes.Clone(prefix)
	for i := len(s) - 1; i >= 0; i-- {
		if s[i]++; s[i] != 0 {
			return s[:i+1]
		}
	}
	return s
}

type storedLine struct {
	seq  uint64
	line []byte
}

// records copies up to limit lines behind after; limit 0: all.
func (f *file) records(name string, after uint64, limit int) (out []storedLine, err error) {
	err = f.view(func(tx *bolt.Tx) error {
		out = nil
		b := journalBucket(tx, name)
		if b == nil || after == ^uint64(0) {
			return nil
		}
		c := b.Bucket(bucketRecords).Cursor()
		for k, v := c.Seek(seqKey(after + 1)); k != nil && (limit <= 0 || len(out) < limit); k, v = c.Next() {
			if len(k) != 8 {
				return errDamaged
			}
			out = append(out, storedLine{binary.BigEndian.Uint64(k), bytes.Clone(v)})
		}
		return nil
	})
	return out, err
}

// record copies one line, or returns ErrNotFound.
func (f *file) record(name string, seq uint64) (out []byte, err error) {
	err = f.view(func(tx *bolt.Tx) error {
		out = nil
		if b := journalBucket(tx, name); b != nil {
			out = bytes.Clone(b.Bucket(bucketRecords).Get(seqKey(seq)))
		}
		return nil
	})
	if err == nil && out == nil {
		err = ErrNotFound
	}
	return out, err
}

// Records reads the chain.
func (j *journal) Records(ctx context.Context, after uint64, limit int) ([]Stored, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	lines, err := j.f.records(j.name, after, limit)
	if err != nil {
		return nil, fmt.Errorf("%s: reading records behind %d: %w", j.name, after, err)
	}
	out := make([]Stored, 0, len(lines))
	for _, s := range lines {
		l, err := decodeLine(s.line)
		if err != nil {
			return nil, fmt.Errorf("%s: record %d: %w: %w", j.name, s.seq, errDamaged, err)
		}
		out = append(out, Stored{Seq: s.seq, Hash: Sum(s.line), Line: s.line, Type: l.Type, Time: l.Time, Data: l.Data})
	}
	return out, nil
}

// Wait sleeps on the published head.
func (j *journal) Wait(ctx context.Context, after uint64) error {
	for {
		j.f.stateMu.Lock()
		s := j.f.state(j.name)
		seq, changed := s.head.Seq, s.changed
		j.f.stateMu.Unlock()
		if seq > after {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-j.f.b.closing.Done():
			return errClosed
		}
	}
}

// Writable looks at the journal, its file and the disk, in this order.
func (j *journal) Writable() error {
	j.f.stateMu.Lock()
	refused, why := j.f.state(j.name).refused, j.f.why
	j.f.stateMu.Unlock()
	switch {
	case j.f.b.closing.Err() != nil:
		return errClosed
	case why != nil:
		return why
	case refused != nil:
		return refused
	}
	return j.f.b.space.check()
}
