package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// spaceStep is how many bytes a blob may grow before the reserve is looked at
// again.
const spaceStep = 8 << 20

// blobs is an organization's directory of blobs: 256 directories named by the
// first byte of the digest, and one for files that are being written.
type blobs struct {
	b        *Bolt
	dir, tmp string
	made     sync.Map // directories whose own name is durable

	// Commit holds it to read while a name appears, Collect to write while one
	// goes, so that a renewed blob is never collected.
	names sync.RWMutex
}

// Blobs opens the blobs of an organization; the first time it removes what
// unfinished writers of an earlier process left behind.
func (b *Bolt) Blobs(ctx context.Context, org string) (Blobs, error) {
	if err := errors.Join(ctx.Err(), checkOrg(org)); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closing.Err() != nil {
		return nil, errClosed
	}
	if s := b.blobs[org]; s != nil {
		return s, nil
	}
	dir := filepath.Join(b.dir, "blobs", org)
	s := &blobs{b: b, dir: dir, tmp: filepath.Join(dir, ".tmp")}
	err := makeDir(dir)
	if err == nil {
		err = errors.Join(os.RemoveAll(s.tmp), makeDir(s.tmp))
	}
	if err != nil {
		return nil, fmt.Errorf("opening the blobs of %s: %w", org, err)
	}
	b.blobs[org] = s
	return s, nil
}

func (s *blobs) path(d Digest) (dir, path string) {
	name := d.String()
	dir = filepath.Join(s.dir, name[:2])
	return dir, filepath.Join(dir, name)
}

func (s *blobs) Create(ctx context.Context) (BlobWriter, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := s.b.space.check(); err != nil {
		return nil, fmt.Errorf("beginning a blob: %w", err)
	}
	f, err := os.CreateTemp(s.tmp, "")
	if err != nil {
		return nil, fmt.Errorf("beginning a blob: %w", err)
	}
	return &blobWriter{s: s, f: f, hash: sha256.New()}, nil
}

// blobWriter is a temporary file until Commit gives it its name. One goroutine
// writes; ReadAt may be called by others.
type blobWriter struct {
	s       *blobs
	f       *os.File
	hash    hash.Hash
	size    int64
	checked int64 // the size at which the reserve was last looked at
	err     error // the first failure; nothing is committed after it
	named   bool
}

func (w *blobWriter) Write(p []byte) (int, error) {
	if w.named {
		return 0, errors.New("the blob is committed")
	}
	if w.err != nil {
		return 0, w.err
	}
	if w.size+int64(len(p)) > w.checked+spaceStep {
		if w.err = w.s.b.space.check(); w.err != nil {
			return 0, w.err
		}
		w.checked = w.size
	}
	n, err := w.f.Write(p)
	w.hash.Write(p[:n])
	w.size += int64(n)
	if err != nil {
		w.err = fmt.Errorf("writing a blob: %w", err)
	}
	return n, w.err
}

func (w *blobWriter) ReadAt(p []byte, off int64) (int, error) { return w.f.ReadAt(p, off) }

// Commit gives the file its name. Where that name exists the new file takes
// its place: the same bytes, a new date, and known to be whole.
func (w *blobWriter) Commit(ctx context.Context) (d Digest, size int64, err error) {
	if w.named {
		return d, 0, errors.New("the blob is committed")
	}
	if err := errors.Join(ctx.Err(), w.err); err != nil {
		return d, 0, err
	}
	w.hash.Sum(d[:0])
	if err := w.name(d); err != nil {
		w.err = err
		return Digest{}, 0, fmt.Errorf("committing blob %s: %w", d, err)
	}
	return d, w.size, nil
}

func (w *blobWriter) name(d Digest) error {
	s := w.s
	dir, path := s.path(d)
	now := time.Now()
	if err := os.Chtimes(w.f.Name(), now, now); err != nil {
		return err
	}
	if err := w.f.Sync(); err != nil {
		return err
	}
	if err := s.makeDir(dir); err != nil {
		return err
	}
	s.names.RLock()
	err := os.Rename(w.f.Name(), path)
	s.names.RUnlock()
	if err != nil {
		return err
	}
	w.named = true
	return s.b.dirSyncs.sync(dir)
}

// makeDir makes a directory whose name is durable when it returns; that it
// exists does not say so, because another may just have made it.
func (s *blobs) makeDir(dir string) error {
	if _, ok := s.made.Load(dir); ok {
		return nil
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := s.b.dirSyncs.sync(s.dir); err != nil {
		return err
	}
	s.made.Store(dir, true)
	return nil
}

func (w *blobWriter) Close() error {
	err := w.f.Close()
	if errors.Is(err, os.ErrClosed) {
		return nil
	}
	if !w.named {
		err = errors.Join(err, os.Remove(w.f.Name()))
	}
	return err
}

type openBlob struct {
	*os.File
	size int64
}

func (b openBlob) Size() int64 { return b.size }

func (s *blobs) Open(ctx context.Context, d Digest) (Blob, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	_, path := s.path(d)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		err = ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("blob %s: %w", d, err)
	}
	st, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("blob %s: %w", d, errors.Join(err, f.Close()))
	}
	return openBlob{f, st.Size()}, nil
}

// readBuffer is the piece in which Check reads, and after which it looks
// whether it is still wanted.
const readBuffer = 1 << 20

func (s *blobs) Check(ctx context.Context, d Digest) error {
	f, err := s.Open(ctx, d)
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	var size int64
	for {
		n, err := io.CopyN(h, f, readBuffer)
		size += n
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("reading blob %s: %w", d, err)
		}
	}
	if got := Digest(h.Sum(nil)); got != d || size != f.Size() {
		return fmt.Errorf("blob %s is damaged: its %d bytes have the digest %s", d, size, got)
	}
	return nil
}

func (s *blobs) Scan(ctx context.Context, yield func(Digest, int64) bool) error {
	return s.each(ctx, func(d Digest, st fs.FileInfo) bool { return yield(d, st.Size()) })
}

// each goes through the directories, one at a time. What is not named like a
// blob is none of ours.
func (s *blobs) each(ctx context.Context, yield func(Digest, fs.FileInfo) bool) error {
	dirs, err := os.ReadDir(s.dir)
	if err != nil {
		return fmt.Errorf("scanning blobs: %w", err)
	}
	for _, dir := range dirs {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !dir.IsDir() || len(dir.Name()) != 2 {
			continue
		}
		files, err := os.ReadDir(filepath.Join(s.dir, dir.Name()))
		if err != nil {
			return fmt.Errorf("scanning blobs: %w", err)
		}
		for _, e := range files {
			var d Digest
			if d.UnmarshalText([]byte(e.Name())) != nil || d.String() != e.Name() {
				continue
			}
			st, err := e.Info()
			if errors.Is(err, fs.ErrNotExist) {
				continue // collected meanwhile
			}
			if err != nil {
				return fmt.Errorf("scanning blobs: %w", err)
			}
			if !yield(d, st) {
				return nil
			}
		}
	}
	return nil
}

// Collect asks keep outside of every lock and looks at the date once more
// before it removes.
func (s *blobs) Collect(ctx context.Context, before time.Time, keep func(Digest) bool) (removed int, err error) {
	scanErr := s.each(ctx, func(d Digest, st fs.FileInfo) bool {
		if !st.ModTime().Before(before) || keep(d) {
			return true
		}
		var gone bool
		if gone, err = s.remove(d, before); gone {
			removed++
		}
		return err == nil
	})
	return removed, errors.Join(scanErr, err)
}

func (s *blobs) remove(d Digest, before time.Time) (bool, error) {
	_, path := s.path(d)
	s.names.Lock()
	defer s.names.Unlock()
	st, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil || !st.ModTime().Before(before) {
		return false, err
	}
	if err := os.Remove(path); err != nil {
		return false, fmt.Errorf("collecting: %w", err)
	}
	return true, nil
}
