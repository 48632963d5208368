package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// makeDir creates a directory whose own name survives a power cut.
func makeDir(path string) error {
	err := os.Mkdir(path, 0o700)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// replaceFile writes a small file so that a reader finds the old or the new
// one, never a half.
func replaceFile(path string, data []byte) error {
	tmp := path + ".new"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// dirSyncs lets callers that wait for the same directory share one sync: who
// arrives while one runs joins the next, which covers all that have joined.
type dirSyncs struct {
	mu   sync.Mutex
	dirs map[string]*dirSync
}

type dirSync struct {
	turn sync.Mutex // held by the caller who syncs
	next *syncRound // whom the next sync serves; guarded by dirSyncs.mu
}

// syncRound is guarded by its directory's turn.
type syncRound struct {
	done bool
	err  error
}

func (s *dirSyncs) sync(path string) error {
	d, round := s.join(path)
	d.turn.Lock()
	defer d.turn.Unlock()
	if round.done {
		return round.err
	}
	s.mu.Lock()
	d.next = nil
	s.mu.Unlock()
	if err := syncDir(path); err != nil {
		round.err = fmt.Errorf("syncing directory %s: %w", path, err)
	}
	round.done = true
	return round.err
}

func (s *dirSyncs) join(path string) (*dirSync, *syncRound) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dirs == nil {
		s.dirs = map[string]*dirSync{}
	}
	d := s.dirs[path]
	if d == nil {
		d = &dirSync{}
		s.dirs[path] = d
	}
	if d.next == nil {
		d.next = &syncRound{}
	}
	return d, d.next
}
