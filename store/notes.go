package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"
)

var bucketNotes = []byte("notes")

// Notes are written behind, so that they never cost a journal's sync: at most
// notesDelay after they were set, or when notesHeld bytes wait.
const (
	notesDelay = time.Second
	notesHeld  = 4 << 20
	notesChunk = 256 // keys that Scan reads in one transaction
)

// notes keeps what was set lately in memory, in front of its file.
type notes struct {
	b    *Bolt
	path string

	flushing sync.Mutex // held by who writes to the file

	mu      sync.Mutex
	fresh   map[string][]byte // set since the last flush; nil: deleted
	size    int
	writing map[string][]byte // being written by a flush
	timer   *time.Timer
	closed  bool
	failed  bool // the last flush failed, and the log says so

	dbMu sync.RWMutex // held to read while a transaction runs
	db   *database
}

// Notes opens the notes of an organization. A damaged file is set aside.
func (b *Bolt) Notes(ctx context.Context, org string) (Notes, error) {
	if err := errors.Join(ctx.Err(), checkOrg(org)); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closing.Err() != nil {
		return nil, errClosed
	}
	if n := b.notes[org]; n != nil {
		return n, nil
	}
	n := &notes{b: b, path: filepath.Join(b.dir, "notes", org+".db"), fresh: map[string][]byte{}}
	db, err := openDatabase(n.path, bucketNotes)
	if errors.Is(err, errDamaged) {
		db, err = n.setAside(err)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the notes of %s: %w", org, err)
	}
	n.db = db
	b.notes[org] = n
	return n, nil
}

// setAside begins a new file: what notes hold can be found out again.
func (n *notes) setAside(why error) (*database, error) {
	aside := n.path + ".damaged-" + time.Now().UTC().Format("20060102T150405.000")
	n.b.log.Warn("a damaged notes file is set aside", "file", n.path, "aside", aside, "err", why)
	if err := os.Rename(n.path, aside); err != nil {
		return nil, err
	}
	return openDatabase(n.path, bucketNotes)
}

// view reads from the file, or from a new empty one when it is damaged.
func (n *notes) view(fn func(*bolt.Bucket)) error {
	read := func(tx *bolt.Tx) error {
		b := tx.Bucket(bucketNotes)
		if b == nil {
			return errDamaged
		}
		fn(b)
		return nil
	}
	n.dbMu.RLock()
	db := n.db
	err := errClosed
	if db != nil {
		err = db.view(read)
	}
	n.dbMu.RUnlock()
	if !errors.Is(err, errDamaged) {
		return err
	}
	if err := n.replace(db, err); err != nil {
		return err
	}
	n.dbMu.RLock()
	defer n.dbMu.RUnlock()
	if n.db == nil {
		return errClosed
	}
	return n.db.view(read)
}

// replace exchanges a database that proved to be damaged, once.
func (n *notes) replace(old *database, why error) error {
	n.dbMu.Lock()
	defer n.dbMu.Unlock()
	if n.db != old {
		return nil
	}
	_ = old.close() // it is damaged, and given up
	db, err := n.setAside(why)
	n.db = db
	return err
}

// lookup finds what is not in the file yet.
func (n *notes) lookup(key string) (value []byte, known bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if value, known = n.fresh[key]; !known {
		value, known = n.writing[key]
	}
	return value, known
}

func (n *notes) Get(ctx context.Context, key string) (value []byte, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	value, known := n.lookup(key)
	if !known {
		err = n.view(func(b *bolt.Bucket) { value = bytes.Clone(b.Get([]byte(key))) })
	}
	if err == nil && value == nil {
		err = ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("note %s: %w", key, err)
	}
	return bytes.Clone(value), nil
}

func (n *notes) Set(ctx context.Context, values map[string][]byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	size := 0
	for k, v := range values {
		if k == "" || len(k) > MaxKey || len(v) > MaxLine {
			return fmt.Errorf("note %.40q: a key has 1 to %d bytes, a value at most %d", k, MaxKey, MaxLine)
		}
		size += len(k) + len(v)
	}
	n.mu.Lock()
	if n.closed {
		n.mu.Unlock()
		return errClosed
	}
	for k, v := range values {
		if v != nil {
			v = append(make([]byte, 0, len(v)), v...) // an empty note is not a deleted one
		}
		n.fresh[k] = v
	}
	n.size += size
	full := n.size > notesHeld
	if n.timer == nil {
		n.timer = time.AfterFunc(notesDelay, func() { _ = n.flush() })
	}
	n.mu.Unlock()
	if full {
		return n.flush()
	}
	return nil
}

// flush writes what is fresh. What could not be written stays in memory and is
// tried again after the next Set.
func (n *notes) flush() error {
	n.flushing.Lock()
	defer n.flushing.Unlock()
	n.mu.Lock()
	if n.timer != nil {
		n.timer.Stop()
		n.timer = nil
	}
	n.writing, n.fresh, n.size = n.fresh, map[string][]byte{}, 0
	values := n.writing
	n.mu.Unlock()

	err := n.write(values)

	n.mu.Lock()
	defer n.mu.Unlock()
	if err != nil {
		if !n.failed {
			n.b.log.Warn("notes cannot be written", "file", n.path, "err", err)
		}
		maps.Copy(values, n.fresh)
		n.fresh = values
	}
	n.writing, n.failed = nil, err != nil
	return err
}

func (n *notes) write(values map[string][]byte) (err error) {
	if len(values) == 0 {
		return nil
	}
	n.dbMu.RLock()
	db := n.db
	err = errClosed
	if db != nil {
		err = db.setAll(values)
	}
	n.dbMu.RUnlock()
	if !errors.Is(err, errDamaged) {
		return err
	}
	return n.replace(db, err)
}

func (db *database) setAll(values map[string][]byte) (err error) {
	defer catch(&err)()
	return db.Update(func(tx *bolt.Tx) error {
		b := tx.Bucket(bucketNotes)
		for k, v := range values {
			var err error
			if v == nil {
				err = b.Delete([]byte(k))
			} else {
				err = b.Put([]byte(k), v)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

type note struct {
	key   string
	value []byte
}

func (n *notes) Scan(ctx context.Context, prefix string, yield func(key string, value []byte) bool) error {
	after, more := "", true
	for more {
		if err := ctx.Err(); err != nil {
			return err
		}
		var chunk []note
		var err error
		if chunk, more, err = n.chunk(prefix, after); err != nil {
			return fmt.Errorf("scanning notes %s: %w", prefix, err)
		}
		for _, e := range chunk {
			after = e.key
			if e.value != nil && !yield(e.key, e.value) {
				return nil
			}
		}
	}
	return nil
}

// chunk merges the next keys of the file with what waits in memory, deleted
// ones (nil) included. Memory is read first: a flush moves notes to the file.
func (n *notes) chunk(prefix, after string) (out []note, more bool, err error) {
	held := map[string][]byte{}
	n.mu.Lock()
	for _, m := range []map[string][]byte{n.writing, n.fresh} {
		for k, v := range m {
			if k > after && strings.HasPrefix(k, prefix) {
				held[k] = bytes.Clone(v)
			}
		}
	}
	n.mu.Unlock()
	err = n.view(func(b *bolt.Bucket) {
		out, more = nil, false
		c := b.Cursor()
		for k, v := c.Seek([]byte(max(prefix, after))); k != nil && bytes.HasPrefix(k, []byte(prefix)); k, v = c.Next() {
			if string(k) == after {
				continue
			}
			if more = len(out) == notesChunk; more {
				break
			}
			out = append(out, note{string(k), append([]byte{}, v...)})
		}
	})
	if err != nil {
		return nil, false, err
	}
	return merge(out, held, more), more, nil
}

// merge lays held over chunk; when more chunks follow, only up to its end.
func merge(chunk []note, held map[string][]byte, more bool) []note {
	last := ""
	for i, e := range chunk {
		last = e.key
		if v, ok := held[e.key]; ok {
			chunk[i].value = v
			delete(held, e.key)
		}
	}
	for k, v := range held {
		if !more || k <= last {
			chunk = append(chunk, note{k, v})
		}
	}
	slices.SortFunc(chunk, func(a, b note) int { return strings.Compare(a.key, b.key) })
	return chunk
}

// shut writes what waits and closes the file.
func (n *notes) shut() error {
	n.mu.Lock()
	n.closed = true
	n.mu.Unlock()
	err := n.flush()
	n.dbMu.Lock()
	defer n.dbMu.Unlock()
	if n.db == nil {
		return err
	}
	err = errors.Join(err, n.db.close())
	n.db = nil
	return err
}
