package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"
)

// Bounds of what one Append may carry. They are far above what a register
// writes, and keep one caller from filling memory or the witness.
const (
	MaxLine    = 16 << 20 // bytes of one record as stored
	MaxCommit  = 64 << 20 // bytes of all records and payload rows of a commit
	MaxRecords = 10000    // records of a commit
	MaxKey     = 1024     // bytes of a row's kind and key together
)

// line is a record as it is written; the order of the fields is the order on
// disk.
type line struct {
	Seq      uint64            `json:"seq"`
	Prev     Digest            `json:"prev"`
	Time     time.Time         `json:"time"`
	Type     string            `json:"type"`
	Data     json.RawMessage   `json:"data,omitempty"`
	Rows     []lineRow         `json:"rows,omitempty"`
	Counters map[string]uint64 `json:"counters,omitempty"`
	Witness  json.RawMessage   `json:"witness,omitempty"`
}

// lineRow is the change of one row: its value, or the digest of a payload, or
// that it is gone.
type lineRow struct {
	Kind    string          `json:"kind"`
	Key     string          `json:"key"`
	Value   json.RawMessage `json:"value,omitempty"`
	SHA256  *Digest         `json:"sha256,omitempty"`
	Deleted bool            `json:"deleted,omitempty"`
}

// rowChange is a row as the database gets it; a nil value deletes.
type rowChange struct{ key, value []byte }

// links are the records of one commit, encoded and ready to be written behind
// prev. They are made outside the transaction: the hashes follow from prev.
type links struct {
	prev     Head
	lines    [][]byte
	rows     []rowChange
	counters map[string]uint64
	hash     Digest
	time     time.Time
	notes    []json.RawMessage
}

func link(c Commit) (*links, error) {
	if len(c.Records) == 0 || len(c.Records) > MaxRecords {
		return nil, fmt.Errorf("a commit has 1 to %d records, not %d", MaxRecords, len(c.Records))
	}
	l := &links{prev: c.Prev, hash: c.Prev.Hash, counters: map[string]uint64{}}
	size := 0
	for i, r := range c.Records {
		n, err := l.add(c.Prev.Seq+uint64(i)+1, r)
		if err != nil {
			return nil, fmt.Errorf("record %d of the commit: %w", i, err)
		}
		if size += n; size > MaxCommit {
			return nil, fmt.Errorf("a commit holds at most %d bytes", MaxCommit)
		}
	}
	return l, nil
}

// add encodes one record and returns the bytes that it will take.
func (l *links) add(seq uint64, r Record) (size int, err error) {
	if r.Type == "" {
		return 0, errors.New("a record has a type")
	}
	out := line{Seq: seq, Prev: l.hash, Time: r.Time.Round(0).UTC(), Type: r.Type, Counters: r.Counters}
	if out.Data, err = compact(r.Data); err != nil {
		return 0, fmt.Errorf("data: %w", err)
	}
	if out.Witness, err = compact(r.Witness); err != nil {
		return 0, fmt.Errorf("witness: %w", err)
	}
	for _, row := range r.Rows {
		change, err := encodeRow(row)
		if err != nil {
			return 0, fmt.Errorf("row %q %q: %w", row.Kind, row.Key, err)
		}
		out.Rows = append(out.Rows, change.lineRow)
		l.rows = append(l.rows, change.rowChange)
		if row.Payload {
			size += len(change.value)
		}
	}
	b, err := encode(out)
	if err != nil {
		return 0, err
	}
	if len(b) > MaxLine {
		return 0, fmt.Errorf("%d bytes, and at most %d can be stored", len(b), MaxLine)
	}
	l.lines = append(l.lines, b)
	l.hash, l.time = Sum(b), out.Time
	maps.Copy(l.counters, r.Counters)
	if out.Witness != nil {
		l.notes = append(l.notes, out.Witness)
	}
	return size + len(b), nil
}

type encodedRow struct {
	lineRow
	rowChange
}

func encodeRow(r Row) (e encodedRow, err error) {
	if err := checkRowName(r.Kind, r.Key); err != nil {
		return e, err
	}
	e.lineRow = lineRow{Kind: r.Kind, Key: r.Key}
	e.key = rowKey(r.Kind, r.Key)
	if r.Value == nil {
		e.Deleted = true
		return e, nil
	}
	if e.value, err = compact(r.Value); err != nil {
		return e, err
	}
	if r.Payload {
		d := Sum(e.value)
		e.SHA256 = &d
	} else {
		e.Value = e.value
	}
	return e, nil
}

func checkRowName(kind, key string) error {
	switch {
	case kind == "":
		return errors.New("a row has a kind")
	case len(kind)+len(key) > MaxKey:
		return fmt.Errorf("kind and key have at most %d bytes", MaxKey)
	case bytes.IndexByte([]byte(kind), 0) >= 0:
		return errors.New("a kind holds no zero byte")
	}
	return nil
}

// rowKey orders rows by kind, then by key.
func rowKey(kind, key string) []byte {
	k := make([]byte, 0, len(kind)+1+len(key))
	k = append(k, kind...)
	k = append(k, 0)
	return append(k, key...)
}

func splitRowKey(k []byte) (kind, key string) {
	a, b, _ := bytes.Cut(k, []byte{0})
	return string(a), string(b)
}

// digest is what the record says that the row's value hashes to; deleted rows
// have none.
func (r lineRow) digest() (d Digest, exists bool) {
	switch {
	case r.Deleted:
		return d, false
	case r.SHA256 != nil:
		return *r.SHA256, true
	default:
		return Sum(r.Value), true
	}
}

// next is the head after the links have been added to h.
func (l *links) next(h Head) Head {
	n := Head{Seq: h.Seq + uint64(len(l.lines)), Hash: l.hash, Time: l.time}
	if len(h.Counters)+len(l.counters) > 0 {
		n.Counters = make(map[string]uint64, len(h.Counters)+len(l.counters))
		maps.Copy(n.Counters, h.Counters)
		maps.Copy(n.Counters, l.counters)
	}
	return n
}

// compact proves that raw is JSON and takes its insignificant space out; nil
// stays nil.
func compact(raw json.RawMessage) (json.RawMessage, error) {
	if raw == nil {
		return nil, nil
	}
	if len(raw) > MaxLine {
		return nil, fmt.Errorf("%d bytes, and at most %d can be stored", len(raw), MaxLine)
	}
	var b bytes.Buffer
	b.Grow(len(raw))
	if err := json.Compact(&b, raw); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// encode is JSON on one line, without the escapes that are meant for HTML: a
// compact raw value then stands in it byte for byte.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte{'\n'}), nil
}

// decodeLine reads a stored record. Anything that we did not write is an
// error.
func decodeLine(b []byte) (line, error) {
	var l line
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&l); err != nil {
		return line{}, err
	}
	if d.InputOffset() != int64(len(b)) {
		return line{}, errors.New("bytes after the record")
	}
	return l, nil
}
