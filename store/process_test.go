package store_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/protodaemon/protodaemon/store"
)

// The test binary runs itself as another process when these are set.
const (
	envRole = "STORE_TEST_ROLE"
	envDir  = "STORE_TEST_DIR"
)

func TestMain(m *testing.M) {
	role := map[string]func(string) error{"": nil, "append": appendForEver, "limited": appendUnderLimit}[os.Getenv(envRole)]
	if role == nil {
		os.Exit(m.Run())
	}
	if err := role(os.Getenv(envDir)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// child runs this test binary in a role.
func child(t *testing.T, role, dir string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), envRole+"="+role, envDir+"="+dir)
	cmd.Stderr = os.Stderr
	return cmd
}

var killed = []string{"installation", "a/x", "a/y", "b/x"}

// appendForEver appends to four journals and says of each record that it is
// stored, after it has been acknowledged.
func appendForEver(dir string) error {
	ctx := context.Background()
	b, err := store.OpenBolt(ctx, store.Options{Dir: dir})
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	fail := func(err error) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for _, name := range killed {
		wg.Go(func() {
			j, err := b.Journal(ctx, name)
			if err != nil {
				fail(err)
			}
			h, err := j.Head(ctx)
			for ; err == nil; h, err = j.Append(ctx, store.Commit{Prev: h, Records: []store.Record{event(int(h.Seq)), event(int(h.Seq) + 1)}}) {
				mu.Lock()
				fmt.Println(name, h.Seq, h.Hash)
				mu.Unlock()
			}
			fail(err)
		})
	}
	wg.Wait()
	return nil
}

// TestKilledWhileAppending kills a process at random moments. Whatever it had
// acknowledged is there afterwards, and everything fits together.
func TestKilledWhileAppending(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	r := rand.New(rand.NewPCG(3, 4))
	for round := range 15 {
		acknowledged := killAfter(t, dir, 4+r.IntN(40), round == 0)
		b, err := store.OpenBolt(t.Context(), store.Options{Dir: dir})
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		for _, name := range killed {
			j := journal(t, b, name)
			if err := j.Writable(); err != nil {
				t.Errorf("round %d: %v", round, err)
			}
			whole(t, j)
			has(t, j, acknowledged[name])
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

type acknowledgment struct {
	seq  uint64
	hash string
}

// killAfter reads so many acknowledgments from a child, kills it, and reads
// what it had still said.
func killAfter(t *testing.T, dir string, lines int, look bool) map[string]acknowledgment {
	t.Helper()
	cmd := child(t, "append", dir)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]acknowledgment{}
	n := 0
	for s := bufio.NewScanner(out); s.Scan(); n++ {
		var name string
		var a acknowledgment
		if _, err := fmt.Sscan(s.Text(), &name, &a.seq, &a.hash); err != nil {
			break // the line that the kill cut
		}
		said[name] = a
		if n == 0 && look {
			locked(t, dir, cmd.Process.Pid)
		}
		if n == lines {
			if err := cmd.Process.Kill(); err != nil {
				t.Error(err)
			}
		}
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.Exited() || n < lines {
		t.Fatalf("the child said %d lines and ended with %v", n, err)
	}
	return said
}

// locked expects the directory to be held by the process.
func locked(t *testing.T, dir string, pid int) {
	t.Helper()
	b, err := store.OpenBolt(t.Context(), store.Options{Dir: dir})
	if err == nil {
		b.Close()
	}
	if !errors.Is(err, store.ErrLocked) || !strings.Contains(err.Error(), fmt.Sprintf("process %d,", pid)) {
		t.Errorf("opening what process %d holds: %v", pid, err)
	}
}

func has(t *testing.T, j store.Journal, a acknowledgment) {
	t.Helper()
	if a.seq == 0 {
		return
	}
	got, err := j.Records(t.Context(), a.seq-1, 1)
	if err != nil || len(got) != 1 || got[0].Seq != a.seq || got[0].Hash.String() != a.hash {
		t.Errorf("%s: record %d %s was acknowledged; there is %+v, %v", j.Name(), a.seq, a.hash, got, err)
	}
}

// appendUnderLimit lets the system refuse that a file grows any more, and
// later allow it again.
func appendUnderLimit(dir string) error {
	signal.Ignore(syscall.SIGXFSZ)
	ctx := context.Background()
	b, err := store.OpenBolt(ctx, store.Options{Dir: dir})
	if err != nil {
		return err
	}
	j, err := b.Journal(ctx, "org/reg")
	if err != nil {
		return err
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	small := limit
	small.Cur = 600 << 10
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &small); err != nil {
		return err
	}
	stored, failed := uint64(0), 0
	for failed < 3 && stored < 1000 {
		h, err := j.Head(ctx)
		if err != nil {
			return fmt.Errorf("reading while nothing can be written: %w", err)
		}
		if h.Seq != stored {
			return fmt.Errorf("the head is at %d, acknowledged is %d", h.Seq, stored)
		}
		large := event(1)
		large.Data = json.RawMessage(`"` + strings.Repeat("a", 20000) + `"`)
		switch _, err = j.Append(ctx, store.Commit{Prev: h, Records: []store.Record{large}}); {
		case errors.Is(err, store.ErrUnknown):
			failed++
		case err != nil:
			return err
		default:
			stored++
		}
	}
	if failed < 3 || stored == 0 {
		return fmt.Errorf("%d commits were stored and %d failed", stored, failed)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	h, err := j.Head(ctx)
	if err != nil {
		return err
	}
	if _, err := j.Append(ctx, store.Commit{Prev: h, Records: []store.Record{event(2)}}); err != nil {
		return fmt.Errorf("after the limit was raised: %w", err)
	}
	if _, err := j.Check(ctx, func(p store.Problem) { err = errors.Join(err, fmt.Errorf("%s: %s", p.Code, p.Detail)) }); err != nil {
		return err
	}
	return errors.Join(err, b.Close())
}

func TestTheSystemRefusesToGrowAFile(t *testing.T) {
	if out, err := child(t, "limited", t.TempDir()).Output(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
