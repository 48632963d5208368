package register

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/protodaemon/protodaemon/store"
)

// readRow decodes a row as it is stored and tells whether there is one.
func readRow(ctx context.Context, j store.Journal, kind, key string, v any) (bool, error) {
	raw, err := j.Get(ctx, kind, key)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("%w: reading %s %s: %w", ErrUnavailable, kind, key, err)
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return false, fmt.Errorf("decoding %s %s: %w", kind, key, err)
	}
	return true, nil
}

// eachRow calls yield for the rows of a kind in key order, from r.After on,
// until it returns false. r.Limit is how many are fetched at a time.
func eachRow(ctx context.Context, j store.Journal, r store.Range, yield func(store.Row) (bool, error)) error {
	if r.Limit == 0 {
		r.Limit = 500
	}
	for {
		rows, err := j.List(ctx, r)
		if err != nil {
			return fmt.Errorf("%w: listing %s: %w", ErrUnavailable, r.Kind, err)
		}
		for _, row := range rows {
			if more, err := yield(row); err != nil || !more {
				return err
			}
		}
		if len(rows) < r.Limit {
			return nil
		}
		r.After = rows[len(rows)-1].Key
	}
}

// pending reads a pending entry with its summary, as it stands.
func (b *book) pending(ctx context.Context, id string) (Pending, error) {
	var p Pending
	ok, err := readRow(ctx, b.journal, rowPending, id, &p)
	if err != nil {
		return Pending{}, err
	}
	if !ok {
		return Pending{}, fmt.Errorf("pending entry %s: %w", id, ErrNotFound)
	}
	if _, err := readRow(ctx, b.journal, rowSummary, id, &p.Summary); err != nil {
		return Pending{}, err
	}
	if b.doubtful(id) {
		// What the store shows now may be gone when it has been read again.
		p.State, p.Entry, p.Decided, p.Place, p.Key = StateConfirming, "", nil, nil, ""
	}
	return p, nil
}

// pending is the same as the commit would leave it.
func (d *draft) pending(id string) (Pending, error) {
	var p Pending
	ok, err := d.get(rowPending, id, &p)
	if err != nil {
		return Pending{}, err
	}
	if !ok {
		return Pending{}, fmt.Errorf("pending entry %s: %w", id, ErrNotFound)
	}
	if _, err := d.get(rowSummary, id, &p.Summary); err != nil {
		return Pending{}, err
	}
	return p, nil
}

// entry reads the entry that a pending entry became.
func (d *draft) entry(ref string) (Entry, error) {
	year, n, err := parseRef(ref)
	if err != nil {
		return Entry{}, err
	}
	var e Entry
	ok, err := d.get(rowEntry, entryKey(year, n), &e)
	if err == nil && !ok {
		err = fmt.Errorf("entry %s: %w", ref, ErrNotFound)
	}
	return e, err
}
