package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/protodaemon/protodaemon/store"
	"github.com/protodaemon/protodaemon/store/storetest"
)

// boltEngine is the embedded engine under the conformance suite.
type boltEngine struct{ dir string }

func (e boltEngine) Open(ctx context.Context) (store.Store, error) {
	return store.OpenBolt(ctx, store.Options{Dir: e.dir})
}

func (e boltEngine) databases(t *testing.T) []string {
	files, err := filepath.Glob(filepath.Join(e.dir, "organizations", "*.db"))
	if err != nil {
		t.Fatal(err)
	}
	return append(files, filepath.Join(e.dir, "installation.db"))
}

func (e boltEngine) Snapshot(t *testing.T) func() {
	t.Helper()
	copies := map[string][]byte{}
	for _, path := range e.databases(t) {
		b, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		copies[path] = b
	}
	return func() {
		t.Helper()
		for _, path := range e.databases(t) {
			if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
		}
		for path, b := range copies {
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func (e boltEngine) Full(s store.Store, full bool) {
	free := uint64(1 << 40)
	if full {
		free = store.DefaultReserve - 1
	}
	s.(*store.Bolt).SetFree(free)
}

func (e boltEngine) Break(t *testing.T, s store.Store, org string, kept bool) {
	t.Helper()
	if err := s.(*store.Bolt).BreakCommit(org, kept); err != nil {
		t.Errorf("breaking %s: %v", org, err)
	}
}

func (e boltEngine) Age(t *testing.T, org string, d store.Digest, by time.Duration) {
	t.Helper()
	then := time.Now().Add(-by)
	if err := os.Chtimes(blobPath(e.dir, org, d), then, then); err != nil {
		t.Fatal(err)
	}
}

func blobPath(dir, org string, d store.Digest) string {
	return filepath.Join(dir, "blobs", org, d.String()[:2], d.String())
}

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Engine {
		return boltEngine{filepath.Join(t.TempDir(), "data")}
	})
}

// open opens a store that is closed at the latest when the test ends.
func open(t testing.TB, o store.Options) *store.Bolt {
	t.Helper()
	b, err := store.OpenBolt(t.Context(), o)
	if err != nil {
		t.Fatalf("opening the store: %v", err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("closing the store: %v", err)
		}
	})
	return b
}

func journal(t testing.TB, b *store.Bolt, name string) store.Journal {
	t.Helper()
	j, err := b.Journal(t.Context(), name)
	if err != nil {
		t.Fatalf("opening journal %s: %v", name, err)
	}
	return j
}

// event leaves a trace in everything that is stored of a journal.
func event(n int) store.Record {
	return store.Record{
		Type: "event", Time: time.Date(2026, 1, 1, 0, 0, n, 0, time.UTC),
		Data: json.RawMessage(fmt.Sprintf(`{"n":%d}`, n)),
		Rows: []store.Row{
			{Kind: "event", Key: fmt.Sprintf("%04d", n), Value: json.RawMessage(fmt.Sprintf(`{"event":%d}`, n))},
			{Kind: "payload", Key: fmt.Sprintf("%04d", n), Value: json.RawMessage(fmt.Sprintf(`{"payload":%d}`, n)), Payload: true},
		},
		Counters: map[string]uint64{"2026": uint64(n)},
		Witness:  json.RawMessage(fmt.Sprintf(`{"number":%d}`, n)),
	}
}

func appendEvents(t testing.TB, j store.Journal, from, to int) store.Head {
	t.Helper()
	h, err := j.Head(t.Context())
	for n := from; err == nil && n <= to; n++ {
		h, err = j.Append(t.Context(), store.Commit{Prev: h, Records: []store.Record{event(n)}})
	}
	if err != nil {
		t.Fatalf("appending to %s: %v", j.Name(), err)
	}
	return h
}

// problems are what Check reports, as "code: detail".
func problems(t testing.TB, j store.Journal) []string {
	t.Helper()
	var found []string
	if _, err := j.Check(t.Context(), func(p store.Problem) { found = append(found, p.Code+": "+p.Detail) }); err != nil {
		t.Fatalf("checking %s: %v", j.Name(), err)
	}
	return found
}

func whole(t testing.TB, j store.Journal) {
	t.Helper()
	if found := problems(t, j); len(found) > 0 {
		t.Errorf("Check reports %s", strings.Join(found, "\n"))
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, c := range []struct {
		name    string
		prepare func(t *testing.T, dir string) store.Options
		is      error
		says    []string
	}{
		{"no directory named", func(*testing.T, string) store.Options { return store.Options{} }, nil, []string{"data_dir"}},
		{"missing parent", func(_ *testing.T, dir string) store.Options {
			return store.Options{Dir: dir + "/no/such"}
		}, os.ErrNotExist, []string{"/no/such", "make it"}},
		{"a file in its place", func(t *testing.T, dir string) store.Options {
			write(t, dir+"/file", "")
			return store.Options{Dir: dir + "/file"}
		}, nil, []string{"/file"}},
		// A directory in procfs refuses new files even to root.
		{"not writable", func(*testing.T, string) store.Options {
			return store.Options{Dir: "/proc/self"}
		}, nil, []string{"/proc/self", "user of this service"}},
		{"newer format", func(t *testing.T, dir string) store.Options {
			write(t, dir+"/format", "2\n")
			return store.Options{Dir: dir}
		}, store.ErrNewer, []string{"format 2", "newer program"}},
		{"unreadable format", func(t *testing.T, dir string) store.Options {
			write(t, dir+"/format", "garbage")
			return store.Options{Dir: dir}
		}, nil, []string{"garbage", "put the file back"}},
		{"format file lost", func(t *testing.T, dir string) store.Options {
			write(t, dir+"/installation.db", "")
			return store.Options{Dir: dir}
		}, nil, []string{"format is missing"}},
		{"in use", func(t *testing.T, dir string) store.Options {
			open(t, store.Options{Dir: dir})
			return store.Options{Dir: dir}
		}, store.ErrLocked, []string{fmt.Sprintf("process %d", os.Getpid()), "stop that process"}},
		{"witness disk not mounted", func(t *testing.T, dir string) store.Options {
			o := store.Options{Dir: dir + "/data", WitnessDir: dir + "/witness"}
			b := open(t, o)
			appendEvents(t, journal(t, b, "org"), 1, 1)
			if err := errors.Join(b.Close(), os.RemoveAll(o.WitnessDir)); err != nil {
				t.Fatal(err)
			}
			return o
		}, nil, []string{"/witness", "mounted"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := c.prepare(t, t.TempDir())
			b, err := store.OpenBolt(t.Context(), o)
			if err == nil {
				b.Close()
				t.Fatal("it was opened")
			}
			if c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("got error %v, want %v", err, c.is)
			}
			for _, s := range c.says {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("the error does not say %q: %v", s, err)
				}
			}
		})
	}
}

func write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestNewerDatabaseIsRefused(t *testing.T) {
	dir := t.TempDir()
	b := open(t, store.Options{Dir: dir})
	appendEvents(t, journal(t, b, "org"), 1, 1)
	if err := b.SetDatabaseFormat("org", "9"); err != nil {
		t.Fatal(err)
	}
	b.Close()
	b = open(t, store.Options{Dir: dir})
	if _, err := b.Journal(t.Context(), "org"); !errors.Is(err, store.ErrNewer) {
		t.Errorf("got error %v, want ErrNewer", err)
	}
	appendEvents(t, journal(t, b, "org2"), 1, 1)
}

func TestFilesAreTheOwnersOnly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	b := open(t, store.Options{Dir: dir})
	appendEvents(t, journal(t, b, "org/reg"), 1, 1)
	putBlob(t, b, []byte("blob"))
	b.Close()
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		st, err := e.Info()
		if err == nil && st.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, st.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func putBlob(t testing.TB, b *store.Bolt, data []byte) store.Digest {
	t.Helper()
	blobs, err := b.Blobs(t.Context(), "org")
	if err != nil {
		t.Fatal(err)
	}
	w, err := blobs.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	d, _, err := w.Commit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestUnfinishedBlobsAreRemovedAtOpen(t *testing.T) {
	dir := t.TempDir()
	b := open(t, store.Options{Dir: dir})
	blobs, err := b.Blobs(t.Context(), "org")
	if err != nil {
		t.Fatal(err)
	}
	w, err := blobs.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("half")); err != nil {
		t.Fatal(err)
	}
	b.Close() // the writer was never closed, as after a kill
	left := filepath.Join(dir, "blobs", "org", ".tmp", "*")
	if files, _ := filepath.Glob(left); len(files) != 1 {
		t.Fatalf("before opening again: %q", files)
	}
	b = open(t, store.Options{Dir: dir})
	if _, err := b.Blobs(t.Context(), "org"); err != nil {
		t.Fatal(err)
	}
	if files, _ := filepath.Glob(left); len(files) != 0 {
		t.Errorf("after opening again: %q", files)
	}
}
