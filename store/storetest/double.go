package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/protodaemon/protodaemon/store"
)

var errReset = errors.New("connection reset")

// Faulty is a store whose Append fails on demand in the two ways in which
// storage fails: lost, nothing is written; kept, all is written and yet an
// error is reported. It is for the tests of a store's users.
type Faulty struct {
	store.Store

	mu   sync.Mutex
	next map[string][]bool // by journal: kept or not
}

// Fail makes one more Append (or Resume) of the named journal fail.
func (s *Faulty) Fail(journal string, kept bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next == nil {
		s.next = map[string][]bool{}
	}
	s.next[journal] = append(s.next[journal], kept)
}

func (s *Faulty) take(journal string) (kept, fail bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.next[journal]
	if len(q) == 0 {
		return false, false
	}
	s.next[journal] = q[1:]
	return q[0], true
}

// Journal opens a journal that fails when told.
func (s *Faulty) Journal(ctx context.Context, name string) (store.Journal, error) {
	j, err := s.Store.Journal(ctx, name)
	if err != nil {
		return nil, err
	}
	return faultyJournal{j, s}, nil
}

type faultyJournal struct {
	store.Journal
	s *Faulty
}

func (j faultyJournal) Append(ctx context.Context, c store.Commit) (store.Head, error) {
	return j.commit(ctx, c, j.Journal.Append)
}

func (j faultyJournal) Resume(ctx context.Context, c store.Commit) (store.Head, error) {
	return j.commit(ctx, c, j.Journal.Resume)
}

func (j faultyJournal) commit(ctx context.Context, c store.Commit, do func(context.Context, store.Commit) (store.Head, error)) (store.Head, error) {
	kept, fail := j.s.take(j.Name())
	if !fail {
		return do(ctx, c)
	}
	if kept {
		if _, err := do(ctx, c); err != nil {
			return store.Head{}, err
		}
	}
	return store.Head{}, fmt.Errorf("%w: %w", store.ErrUnknown, errReset)
}
