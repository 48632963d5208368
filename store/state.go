package store

import (
	"encoding/json"
	"fmt"

	bolt "go.etcd.io/bbolt"
)

// journalState is what a file's users share about one journal; it is guarded
// by the file's stateMu.
type journalState struct {
	head    Head
	changed chan struct{} // closed when head moves
	refused error         // why nothing can be appended
	lost    *loss         // set with ErrRolledBack
}

// loss says what a rolled-back journal's witness knows, and the last sequence
// at which both agree.
type loss struct {
	witness position
	agreed  uint64
}

func (f *file) state(name string) *journalState {
	s := f.states[name]
	if s == nil {
		s = &journalState{changed: make(chan struct{})}
		f.states[name] = s
	}
	return s
}

func (f *file) publish(name string, h Head) {
	f.stateMu.Lock()
	defer f.stateMu.Unlock()
	s := f.state(name)
	if s.head.Seq != h.Seq || s.head.Hash != h.Hash {
		close(s.changed)
		s.changed = make(chan struct{})
	}
	s.head = h
}

func (f *file) refuse(name string, why error, lost *loss) {
	f.stateMu.Lock()
	defer f.stateMu.Unlock()
	s := f.state(name)
	s.refused, s.lost = why, lost
}

func (f *file) refusal(name string) error {
	f.stateMu.Lock()
	defer f.stateMu.Unlock()
	return f.state(name).refused
}

// heads copies the heads as they were last published.
func (f *file) heads() map[string]Head {
	f.stateMu.Lock()
	defer f.stateMu.Unlock()
	m := make(map[string]Head, len(f.states))
	for name, s := range f.states {
		m[name] = s.head
	}
	return m
}

// readHeads publishes the heads that the database holds.
func (f *file) readHeads() error {
	heads := f.heads()
	for name := range heads {
		heads[name] = Head{}
	}
	err := f.db.view(func(tx *bolt.Tx) error {
		return tx.Bucket(bucketJournals).ForEachBucket(func(k []byte) error {
			h, err := loadHead(journalBucket(tx, string(k)))
			if err != nil {
				// Its own journal is refused; the others are whole.
				f.log.Error("a journal's head cannot be read", "journal", string(k), "err", err)
			}
			heads[string(k)] = h
			return nil
		})
	})
	if err != nil {
		return fmt.Errorf("reading the heads of %s: %w", f.path, err)
	}
	for name, h := range heads {
		f.publish(name, h)
	}
	return nil
}

func journalBucket(tx *bolt.Tx, name string) *bolt.Bucket {
	return tx.Bucket(bucketJournals).Bucket([]byte(name))
}

func loadHead(b *bolt.Bucket) (h Head, err error) {
	if b == nil {
		return h, nil
	}
	raw := b.Get(keyHead)
	if err := json.Unmarshal(raw, &h); err != nil {
		return Head{}, fmt.Errorf("%w: the head is unreadable", errDamaged)
	}
	return h, nil
}
