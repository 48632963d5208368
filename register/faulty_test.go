package register_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"github.com/protodaemon/protodaemon/store"
)

// faulty is a store whose journals can be told to fail.
type faulty struct {
	store.Store
	mu       sync.Mutex
	journals map[string]*faultyJournal
}

func faults(st store.Store) *faulty { return &faulty{Store: st, journals: map[string]*faultyJournal{}} }

func (f *faulty) Journal(ctx context.Context, name string) (store.Journal, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if j := f.journals[name]; j != nil {
		return j, nil
	}
	j, err := f.Store.Journal(ctx, name)
	if err != nil {
		return nil, err
	}
	f.journals[name] = &faultyJournal{Journal: j}
	return f.journals[name], nil
}

// faultyJournal fails in two ways: lost (nothing written) and kept (written,
// yet reported as failed).
type faultyJournal struct {
	store.Journal
	mu     sync.Mutex
	fail   []string                                  // lost, kept, conflict, blind or full, for the next Appends
	blind  chan struct{}                             // while not nil and open, the head cannot be read
	change func(store.Row) (store.Row, bool)         // what Get and List tell
	heads  func(store.Head) store.Head               // what Head tells
	batch  []int                                     // records of each Append
	before func(context.Context, store.Commit) error // runs before an Append
}

func (j *faultyJournal) next() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.fail) == 0 {
		return ""
	}
	f := j.fail[0]
	j.fail = j.fail[1:]
	return f
}

func (j *faultyJournal) Append(ctx context.Context, c store.Commit) (store.Head, error) {
	j.mu.Lock()
	before := j.before
	j.batch = append(j.batch, len(c.Records))
	j.mu.Unlock()
	if before != nil {
		if err := before(ctx, c); err != nil {
			return store.Head{}, err
		}
	}
	switch f := j.next(); f {
	case "lost":
		return store.Head{}, errors.New("connection reset")
	case "kept":
		if _, err := j.Journal.Append(ctx, c); err != nil {
			return store.Head{}, err
		}
		return store.Head{}, fmt.Errorf("input/output error: %w", store.ErrUnknown)
	case "conflict":
		return store.Head{}, store.ErrConflict
	case "full":
		return store.Head{}, store.ErrNoSpace
	}
	return j.Journal.Append(ctx, c)
}

func (j *faultyJournal) Head(ctx context.Context) (store.Head, error) {
	j.mu.Lock()
	blind, heads := j.blind, j.heads
	j.mu.Unlock()
	if blind != nil {
		select {
		case <-blind:
		default:
			return store.Head{}, errors.New("no answer")
		}
	}
	h, err := j.Journal.Head(ctx)
	if heads != nil && err == nil {
		h = heads(h)
	}
	return h, err
}

func (j *faultyJournal) changed(r store.Row) (store.Row, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.change == nil {
		return r, true
	}
	return j.change(r)
}

func (j *faultyJournal) Get(ctx context.Context, kind, key string) (json.RawMessage, error) {
	v, err := j.Journal.Get(ctx, kind, key)
	if err != nil {
		return nil, err
	}
	r, ok := j.changed(store.Row{Kind: kind, Key: key, Value: v})
	if !ok {
		return nil, store.ErrNotFound
	}
	return r.Value, nil
}

func (j *faultyJournal) List(ctx context.Context, r store.Range) ([]store.Row, error) {
	rows, err := j.Journal.List(ctx, r)
	var told []store.Row
	for _, row := range rows {
		if row.Kind == "" {
			row.Kind = r.Kind
		}
		if row, ok := j.changed(row); ok {
			told = append(told, row)
		}
	}
	return told, err
}

func (j *faultyJournal) set(f func()) {
	j.mu.Lock()
	defer j.mu.Unlock()
	f()
}

// openFaulty is open over journals that can be told to fail.
func openFaulty(t testing.TB) (*desk, *faultyJournal) {
	var f *faulty
	d := &desk{t: t, dir: filepath.Join(t.TempDir(), "data"), setup: setup(), wrap: func(st store.Store) store.Store {
		f = faults(st)
		return f
	}}
	d.open()
	t.Cleanup(d.close)
	return d, f.journals[org+"/"+book]
}
