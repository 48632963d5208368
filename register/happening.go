package register

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/protodaemon/protodaemon/store"
)

// recordChunk is how many records are read at a time.
const recordChunk = 256

// tellsOfEntry are the types of records whose rows may hold an entry.
var tellsOfEntry = map[string]bool{typePendingConfirmed: true, typeEntryChanged: true}

// happening reads what the daily register tells of a record; ok is false for
// one of which it tells nothing.
func happening(r store.Stored) (h Happening, ok bool, err error) {
	if !tellsOfEntry[r.Type] {
		return h, false, nil
	}
	var line struct {
		Data fact `json:"data"`
		Rows []struct {
			Kind  string          `json:"kind"`
			Value json.RawMessage `json:"value"`
		} `json:"rows"`
	}
	if err := json.Unmarshal(r.Line, &line); err != nil {
		return h, false, fmt.Errorf("decoding record %d: %w", r.Seq, err)
	}
	for _, row := range line.Rows {
		if row.Kind == rowEntry {
			h.Raw = row.Value
		}
	}
	if h.Raw == nil {
		return h, false, nil
	}
	if err := json.Unmarshal(h.Raw, &h.Entry); err != nil {
		return h, false, fmt.Errorf("decoding the entry of record %d: %w", r.Seq, err)
	}
	h.Seq, h.Record, h.At, h.By, h.ByName = r.Seq, r.Hash, r.Time, line.Data.By, line.Data.Name
	if r.Type == typeEntryChanged {
		var c struct {
			Change
			Registers bool `json:"registers"`
		}
		if err := json.Unmarshal(line.Data.Detail, &c); err != nil {
			return h, false, fmt.Errorf("decoding the change of record %d: %w", r.Seq, err)
		}
		if c.Registers {
			h.Recovery = &c.Change
		} else {
			h.Change = &c.Change
		}
	}
	return h, true, nil
}

// eachRecord calls yield for the records above after up to through. The next
// ones are read while yield is at work.
func eachRecord(ctx context.Context, j store.Journal, after, through uint64, yield func(store.Stored) error) error {
	type chunk struct {
		records []store.Stored
		err     error
	}
	chunks := make(chan chunk)
	ctx, cancel := context.WithCancel(ctx)
	var reading sync.WaitGroup
	defer reading.Wait()
	defer cancel()
	reading.Go(func() {
		defer close(chunks)
		for at := after; at < through; {
			var c chunk
			c.records, c.err = recordsOf(ctx, j, at, through)
			select {
			case chunks <- c:
			case <-ctx.Done():
				return
			}
			if c.err != nil {
				return
			}
			at = c.records[len(c.records)-1].Seq
		}
	})
	for c := range chunks {
		if c.err != nil {
			return c.err
		}
		for _, r := range c.records {
			if err := yield(r); err != nil {
				return err
			}
			after = r.Seq
		}
	}
	if after < through {
		return context.Cause(ctx)
	}
	return nil
}

// recordsOf reads some records above after, up to through.
func recordsOf(ctx context.Context, j store.Journal, after, through uint64) ([]store.Stored, error) {
	records, err := j.Records(ctx, after, int(min(recordChunk, through-after)))
	if err != nil {
		return nil, fmt.Errorf("%w: reading the records of %s: %w", ErrUnavailable, j.Name(), err)
	}
	if len(records) == 0 {
		return nil, fmt.Errorf("%w: the journal %s ends before record %d", ErrUnavailable, j.Name(), through)
	}
	return records, nil
}

// Happenings calls yield for what a closing tells of, in the order of the
// journal.
func (o *Office) Happenings(ctx context.Context, c Closing, yield func(Happening) error) error {
	b, err := o.book(c.Organization, c.Register)
	if err != nil {
		return err
	}
	return eachRecord(ctx, b.journal, c.After, c.Through, func(r store.Stored) error {
		h, ok, err := happening(r)
		if err != nil || !ok {
			return err
		}
		return yield(h)
	})
}

// tally is what a legal day has held so far.
type tally struct {
	day              string
	entries, changes int
	first, last      string // numbers registered
	through          uint64 // its last record
	chain            store.Digest
}

// tallies counts the days of a journal from the record after base on. Each
// record is read once. Its zero value begins at the first.
type tallies struct {
	base uint64
	seq  uint64 // read so far
	days []tally
}

// read takes in the records up to the journal's head.
func (t *tallies) read(ctx context.Context, j store.Journal, loc *time.Location) error {
	head, err := j.Head(ctx)
	if err != nil {
		return fmt.Errorf("%w: reading the head of %s: %w", ErrUnavailable, j.Name(), err)
	}
	return eachRecord(ctx, j, t.seq, head.Seq, func(r store.Stored) error {
		h, ok, err := happening(r)
		if err != nil {
			return err
		}
		day := r.Time.In(loc).Format(time.DateOnly)
		if len(t.days) == 0 || t.days[len(t.days)-1].day != day {
			t.days = append(t.days, tally{day: day})
		}
		d := &t.days[len(t.days)-1]
		d.through, d.chain, t.seq = r.Seq, r.Hash, r.Seq
		if ok {
			d.count(h)
		}
		return nil
	})
}

func (t *tally) count(h Happening) {
	if h.Change != nil {
		t.changes++
		return
	}
	t.entries++
	t.last = h.Entry.Number
	if t.first == "" {
		t.first = h.Entry.Number
	}
}

// from begins anew when the journal has been closed up to another record.
func (t *tallies) from(seq uint64) {
	if t.base != seq {
		*t = tallies{base: seq, seq: seq}
	}
}
