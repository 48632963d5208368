package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// formatVersion is the version of the layout on disk (docs/formats.md). It
// grows when an older program could no longer read what is written.
const formatVersion = 1

// installation is the name of the journal that belongs to no organization.
const installation = "installation"

// errClosed is what calls on a closed store return.
var errClosed = errors.New("the store is closed")

// Options says where an embedded store lives.
type Options struct {
	Dir        string // data directory; made when missing
	WitnessDir string // second witness; empty: DIR/witness
	Reserve    int64  // bytes kept free; 0: DefaultReserve, negative: none
	Log        *slog.Logger
}

// Bolt is the embedded engine. One process may hold a data directory.
type Bolt struct {
	dir, witnessDir string
	log             *slog.Logger
	lock            *os.File
	space           space
	dirSyncs        dirSyncs

	closing context.Context // ends when Close begins
	close   context.CancelFunc
	writers sync.WaitGroup

	mu    sync.Mutex
	files map[string]*file
	notes map[string]*notes
	blobs map[string]*blobs
}

var _ Store = (*Bolt)(nil)

// OpenBolt opens or begins a data directory. The files of an organization are
// opened when they are first used. Errors to branch on: ErrLocked, ErrNewer.
func OpenBolt(ctx context.Context, o Options) (*Bolt, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b := &Bolt{
		dir: o.Dir, witnessDir: o.WitnessDir, log: o.Log,
		files: map[string]*file{}, notes: map[string]*notes{}, blobs: map[string]*blobs{},
	}
	if b.witnessDir == "" {
		b.witnessDir = filepath.Join(b.dir, "witness")
	}
	if b.log == nil {
		b.log = slog.New(slog.DiscardHandler)
	}
	b.space = space{dir: b.dir, witness: b.witnessDir, reserve: DefaultReserve, free: statfs}
	if o.Reserve != 0 {
		b.space.reserve = uint64(max(o.Reserve, 0))
	}
	b.closing, b.close = context.WithCancel(context.WithoutCancel(ctx))
	if err := b.openDir(); err != nil {
		b.close()
		if b.lock != nil {
			err = errors.Join(err, b.lock.Close())
		}
		return nil, err
	}
	return b, nil
}

// openDir takes the lock before it looks at, or changes, anything else.
func (b *Bolt) openDir() error {
	if b.dir == "" {
		return errors.New("no data directory is named: set data_dir")
	}
	if err := makeDir(b.dir); err != nil {
		return fmt.Errorf("making the data directory %s: %w; make it, or let this user write to its parent", b.dir, err)
	}
	if err := unix.Access(b.dir, unix.W_OK|unix.X_OK); err != nil {
		return fmt.Errorf("the data directory %s cannot be written: %w; give it to the user of this service (chown, chmod 700)", b.dir, err)
	}
	var err error
	if b.lock, err = takeLock(filepath.Join(b.dir, "lock")); err != nil {
		return err
	}
	begun, err := b.checkFormat()
	if err != nil {
		return err
	}
	if err := b.openWitnessDir(begun); err != nil {
		return err
	}
	for _, d := range []string{"organizations", "notes", "blobs"} {
		if err := makeDir(filepath.Join(b.dir, d)); err != nil {
			return fmt.Errorf("making %s in the data directory: %w", d, err)
		}
	}
	return nil
}

// takeLock makes sure that no other process uses the directory. The kernel
// drops the lock when its holder dies, however it dies.
func takeLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the lock %s: %w; the data directory must belong to the user of this service", path, err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		holder := make([]byte, 200)
		n, _ := f.ReadAt(holder, 0)
		err = fmt.Errorf("locking %s: %w", path, errors.Join(err, f.Close()))
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = fmt.Errorf("%w: %s is held by %s; stop that process, or use another data directory",
				ErrLocked, filepath.Dir(path), strings.TrimSpace(string(holder[:n])))
		}
		return nil, err
	}
	line := fmt.Sprintf("process %d, started %s\n", os.Getpid(), time.Now().Format(time.RFC3339))
	err = f.Truncate(0)
	if err == nil {
		_, err = f.WriteAt([]byte(line), 0)
	}
	if err != nil {
		return nil, fmt.Errorf("writing the lock %s: %w", path, errors.Join(err, f.Close()))
	}
	return f, nil
}

// checkFormat refuses data that this program does not understand, and tells
// whether there was any.
func (b *Bolt) checkFormat() (begun bool, err error) {
	path := filepath.Join(b.dir, "format")
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		for _, old := range []string{"installation.db", "organizations"} {
			if _, err := os.Lstat(filepath.Join(b.dir, old)); err == nil {
				return true, fmt.Errorf("%s is missing, but %s is there: put the file back (its content is the format version, now %d)",
					path, old, formatVersion)
			}
		}
		if err := replaceFile(path, fmt.Appendln(nil, formatVersion)); err != nil {
			return false, fmt.Errorf("writing the format version: %w", err)
		}
		return false, nil
	}
	if err != nil {
		return true, fmt.Errorf("reading the format version: %w", err)
	}
	v, err := strconv.Atoi(strings.TrimSpace(string(text)))
	switch {
	case err != nil || v < 1:
		return true, fmt.Errorf("%s does not hold a format version but %.20q: put the file back", path, text)
	case v > formatVersion:
		return true, fmt.Errorf("%w: %s has format %d and this program knows %d; use the newer program", ErrNewer, b.dir, v, formatVersion)
	}
	return true, nil
}

// openWitnessDir makes the witness's directory for new data only: for old data
// a missing directory most likely is a disk that is not mounted, and a witness
// begun in its place would have nothing to say about it.
func (b *Bolt) openWitnessDir(begun bool) error {
	_, err := os.Stat(b.witnessDir)
	own := b.witnessDir == filepath.Join(b.dir, "witness")
	switch {
	case errors.Is(err, fs.ErrNotExist) && begun && !own:
		return fmt.Errorf("the witness directory %s does not exist: is its disk mounted? To begin a new witness, make the directory", b.witnessDir)
	case errors.Is(err, fs.ErrNotExist):
		err = makeDir(b.witnessDir)
	}
	if err == nil {
		err = unix.Access(b.witnessDir, unix.W_OK|unix.X_OK)
	}
	if err != nil {
		return fmt.Errorf("the witness directory %s cannot be used: %w; make it and give it to the user of this service", b.witnessDir, err)
	}
	return nil
}

// names are what may become part of a path.
var names = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}$`)

// organization checks the name of a journal and returns whose file it is in.
func organization(journal string) (string, error) {
	org, register, inner := strings.Cut(journal, "/")
	if !names.MatchString(org) || inner && (!names.MatchString(register) || org == installation) {
		return "", fmt.Errorf("%q is not the name of a journal: installation, ORG or ORG/REGISTER of A-Z a-z 0-9 _ . -", journal)
	}
	return org, nil
}

func checkOrg(org string) error {
	if !names.MatchString(org) {
		return fmt.Errorf("%q is not the name of an organization: A-Z a-z 0-9 _ . -", org)
	}
	return nil
}

// Journal opens the named journal and its organization's file.
func (b *Bolt) Journal(ctx context.Context, name string) (Journal, error) {
	org, err := organization(name)
	if err != nil {
		return nil, err
	}
	f, err := b.file(org)
	if err != nil {
		return nil, err
	}
	if err := f.do(ctx, &request{}); err != nil && !f.readable() {
		return nil, fmt.Errorf("opening journal %s: %w", name, err)
	}
	return &journal{f: f, name: name}, nil
}

// file returns the file of an organization and starts its writer; the writer
// opens the database.
func (b *Bolt) file(org string) (*file, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closing.Err() != nil {
		return nil, errClosed
	}
	f := b.files[org]
	if f == nil {
		f = newFile(b, org)
		b.files[org] = f
		b.writers.Go(f.run)
	}
	return f, nil
}

// Ping reads through the installation's writer, so that a hanging disk shows
// (give ctx an end), and asks whether the data directory can be written.
func (b *Bolt) Ping(ctx context.Context) error {
	f, err := b.file(installation)
	if err != nil {
		return err
	}
	if err := f.do(ctx, &request{}); err != nil {
		return err
	}
	if _, err := f.head(installation); err != nil {
		return err
	}
	if err := unix.Access(b.dir, unix.W_OK); err != nil {
		return fmt.Errorf("the data directory %s cannot be written: %w", b.dir, err)
	}
	return nil
}

// Close waits for what is being written, closes every file and gives the
// directory free. Calls that still wait get an error.
func (b *Bolt) Close() error {
	b.mu.Lock()
	if b.closing.Err() != nil {
		b.mu.Unlock()
		return nil
	}
	b.close()
	b.mu.Unlock()
	b.writers.Wait()
	var errs []error
	for _, f := range b.files {
		errs = append(errs, f.shut())
	}
	for _, n := range b.notes {
		errs = append(errs, n.shut())
	}
	return errors.Join(append(errs, b.lock.Close())...)
}
