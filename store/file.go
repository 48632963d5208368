package store

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
	boltErrors "go.etcd.io/bbolt/errors"
)

// The buckets of an organization's file. Under journals there is a bucket for
// each journal, holding its head and the buckets of its records and rows.
var (
	bucketJournals = []byte("journals")
	bucketLeases   = []byte("leases")
	bucketMeta     = []byte("meta")
	bucketRecords  = []byte("records")
	bucketRows     = []byte("rows")
	keyHead        = []byte("head")
	keyFormat      = []byte("format")
)

// A database grows in steps of growStep bytes; its map is made large at once,
// because a writer who must enlarge it waits for every reader.
const (
	growStep    = 1 << 20
	initialMap  = 256 << 20
	lockTimeout = 2 * time.Second
)

// A file that failed is tried again at the next use, at most this often.
const (
	firstRetry = 50 * time.Millisecond
	lastRetry  = 30 * time.Second
)

var errDamaged = errors.New("the database file is damaged: restore it from a backup")

// file is the database of one organization with its witness. The goroutine of
// run owns everything but what the two locks guard.
type file struct {
	b         *Bolt
	org, path string
	log       *slog.Logger
	requests  chan *request

	witness *witness
	fault   error // why database or witness is not open
	retryAt time.Time
	backoff time.Duration
	// commit is (*bolt.Tx).Commit; tests put a failing one in its place.
	commit func(*bolt.Tx) error

	dbMu sync.RWMutex // held to read while a transaction runs
	db   *database

	stateMu sync.Mutex
	states  map[string]*journalState
	why     error // a copy of fault for Writable

	// restarted says that the witness was missing and was begun anew.
	restarted atomic.Bool
}

func newFile(b *Bolt, org string) *file {
	path := filepath.Join(b.dir, "organizations", org+".db")
	if org == installation {
		path = filepath.Join(b.dir, "installation.db")
	}
	return &file{
		b: b, org: org, path: path, log: b.log.With("organization", org),
		requests: make(chan *request), commit: (*bolt.Tx).Commit,
		states: map[string]*journalState{},
	}
}

// database is an open bbolt file together with its descriptor, which must be
// closed even when bbolt cannot do it any more.
type database struct {
	*bolt.DB
	fd *os.File
	// dead: beginning a transaction failed, and may have left bbolt's locks
	// held. The file must be opened anew.
	dead atomic.Bool
}

// openDatabase opens a bbolt file, or makes it with the given buckets. A new
// file gets its name only when it is complete, so that a crash leaves none
// that cannot be opened.
func openDatabase(path string, buckets ...[]byte) (*database, error) {
	st, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := makeDatabase(path, buckets); err != nil {
			return nil, fmt.Errorf("making %s: %w", path, err)
		}
	case err != nil:
		return nil, err
	case st.Size() == 0: // bbolt would take it for a new one
		return nil, fmt.Errorf("opening %s: %w", path, errDamaged)
	}
	db, err := openBolt(path, false)
	if errors.Is(err, syscall.EROFS) {
		// The kernel has made a failing disk read-only: pages still serve.
		db, err = openBolt(path, true)
	}
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	if err := db.checkFormat(); err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, errors.Join(err, db.close()))
	}
	return db, nil
}

func makeDatabase(path string, buckets [][]byte) error {
	tmp := path + ".new"
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	db, err := openBolt(tmp, false)
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bolt.Tx) error {
		meta, err := tx.CreateBucket(bucketMeta)
		if err != nil {
			return err
		}
		for _, name := range buckets {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		return meta.Put(keyFormat, fmt.Append(nil, formatVersion))
	})
	if err = errors.Join(err, db.fd.Sync(), db.close()); err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// openBolt turns the panics and page faults of a damaged file into an error.
func openBolt(path string, readOnly bool) (db *database, err error) {
	var fd *os.File
	defer func() {
		if err != nil && fd != nil {
			release(fd) // bbolt may have done so
		}
	}()
	defer catch(&err)()
	bdb, err := bolt.Open(path, 0o600, &bolt.Options{
		Timeout:         lockTimeout,
		FreelistType:    bolt.FreelistMapType,
		InitialMmapSize: initialMap,
		NoStatistics:    true,
		ReadOnly:        readOnly,
		OpenFile: func(name string, flag int, perm os.FileMode) (*os.File, error) {
			f, err := os.OpenFile(name, flag, perm)
			fd = f
			return f, err
		},
	})
	var errno syscall.Errno
	switch {
	case err == nil:
	case errors.As(err, &errno), errors.Is(err, boltErrors.ErrTimeout):
		return nil, err
	default: // bbolt does not understand what it read
		return nil, fmt.Errorf("%w (%w)", errDamaged, err)
	}
	bdb.AllocSize = growStep
	return &database{DB: bdb, fd: fd}, nil
}

// catch is deferred by whoever reads a mapped file: a damaged page may make
// bbolt panic, or point outside the map.
func catch(err *error) func() {
	old := debug.SetPanicOnFault(true)
	return func() {
		debug.SetPanicOnFault(old)
		if p := recover(); p != nil {
			*err = fmt.Errorf("%w (%v)", errDamaged, p)
		}
	}
}

func (db *database) checkFormat() error {
	return db.view(func(tx *bolt.Tx) error {
		meta := tx.Bucket(bucketMeta)
		if meta == nil {
			return errDamaged
		}
		var v int
		if _, err := fmt.Sscan(string(meta.Get(keyFormat)), &v); err != nil || v < 1 {
			return errDamaged
		}
		if v > formatVersion {
			return fmt.Errorf("%w: format %d, and this program knows %d", ErrNewer, v, formatVersion)
		}
		return nil
	})
}

// view runs fn, which is never a caller's, in a read transaction.
func (db *database) view(fn func(*bolt.Tx) error) (err error) {
	if db.dead.Load() {
		return errDamaged
	}
	begun := false
	defer func() {
		if !begun {
			db.dead.Store(true)
		}
	}()
	defer catch(&err)()
	return db.View(func(tx *bolt.Tx) error {
		begun = true
		return fn(tx)
	})
}

// close gives the file free in any case. bbolt's Close waits for locks that a
// panic inside it may have left behind; then only the descriptor is closed.
func (db *database) close() (err error) {
	done := make(chan error, 1)
	go func() {
		var err error
		defer func() { done <- err }()
		defer catch(&err)()
		err = db.Close()
	}()
	t := time.NewTimer(lockTimeout)
	defer t.Stop()
	select {
	case err := <-done:
		return err
	case <-t.C:
		return errors.Join(errDamaged, release(db.fd))
	}
}

// release gives a file's lock back before it is closed: a map that is still
// there would keep it.
func release(fd *os.File) error {
	return errors.Join(syscall.Flock(int(fd.Fd()), syscall.LOCK_UN), fd.Close())
}

// open is called by run when there is no database or no witness. It reads the
// heads, compares them with the witness and catches the witness up.
func (f *file) open() error {
	if f.fault != nil && time.Now().Before(f.retryAt) {
		return f.fault
	}
	err := f.openDB()
	if err == nil {
		err = f.openWitness()
	}
	f.setFault(err)
	return err
}

func (f *file) openDB() error {
	if f.db != nil && !f.db.IsReadOnly() {
		return nil
	}
	if err := f.closeDB(); err != nil {
		f.log.Warn("closing a database", "file", f.path, "err", err)
	}
	db, err := openDatabase(f.path, bucketJournals, bucketLeases)
	if err != nil {
		return err
	}
	f.dbMu.Lock()
	f.db = db
	f.dbMu.Unlock()
	return f.readHeads()
}

func (f *file) closeDB() error {
	f.dbMu.Lock()
	defer f.dbMu.Unlock()
	if f.db == nil {
		return nil
	}
	db := f.db
	f.db = nil
	return db.close()
}

// shut is called when run has ended.
func (f *file) shut() error {
	return errors.Join(f.closeDB(), f.witness.close())
}

func (f *file) setFault(err error) {
	if err == nil {
		f.backoff = 0
	} else {
		f.backoff = min(max(2*f.backoff, firstRetry), lastRetry)
		f.retryAt = time.Now().Add(f.backoff)
		if f.fault == nil || f.fault.Error() != err.Error() {
			f.log.Error("an organization's store cannot be written", "file", f.path, "err", err)
		}
	}
	f.fault = err
	f.stateMu.Lock()
	f.why = err
	f.stateMu.Unlock()
}

// view reads from the database; when it is not open, the writer is asked to
// try again first.
func (f *file) view(fn func(*bolt.Tx) error) error {
	for range 2 {
		f.dbMu.RLock()
		if f.db != nil && !f.db.dead.Load() {
			defer f.dbMu.RUnlock()
			return f.db.view(fn)
		}
		f.dbMu.RUnlock()
		// A database without its witness can still be read.
		if err := f.do(f.b.closing, &request{}); err != nil && !f.readable() {
			return err
		}
	}
	return fmt.Errorf("%s is being opened again", f.path)
}

func (f *file) readable() bool {
	f.dbMu.RLock()
	defer f.dbMu.RUnlock()
	return f.db != nil && !f.db.dead.Load()
}
