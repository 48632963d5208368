package main

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/protodaemon/protodaemon/register"
	"github.com/protodaemon/protodaemon/store"
)

// everyBoundary has the daemon killed after each of the calls, and after each
// write too; otherwise it is killed after some of them.
//
//	PROTODAEMON_KILLS=all go test ./cmd/protodaemon -run TestKilledWhileClosing -v -timeout 60m
var everyBoundary = os.Getenv("PROTODAEMON_KILLS") == "all"

// killsAmong is how many of the calls are chosen otherwise.
const killsAmong = 10

// TestKilledWhileClosing kills the daemon with SIGKILL at the steps of a
// closing, one day after another: after the calls that make files, records and
// the package durable, and before and after each answer from the time stamping
// authority and from a destination over HTTP. In the end every day has one
// closing with its entries, which has been delivered once, as in a calm run.
func TestKilledWhileClosing(t *testing.T) {
	t.Run("at a durable call", func(t *testing.T) {
		t.Parallel()
		k := newCloseKilling(t, killsAmong+2)
		if everyBoundary {
			k = newCloseKilling(t, 250)
		}
		calm := k.stops(t, 0)
		step := max(1, calm/killsAmong)
		if everyBoundary {
			step = 1
		}
		for n := 1; n <= calm && k.day < len(k.days); n += step {
			k.stops(t, n)
		}
		t.Logf("killed after %d of the %d calls of a closing", k.kills, calm)
		if calm < 40 || k.kills < killsAmong-1 {
			t.Errorf("%d calls of a closing and %d kills are too few to tell anything", calm, k.kills)
		}
		k.settle(t)
	})
	t.Run("at a time stamp", func(t *testing.T) {
		t.Parallel()
		k := newCloseKilling(t, 5)
		for request := 1; request <= 2; request++ {
			for _, after := range []bool{false, true} {
				k.killAt(t, request, func(kill func()) {
					k.stamps.set(func(s *stamps) {
						if s.asked, s.answered = kill, nil; after {
							s.asked, s.answered = nil, kill
						}
					})
				})
			}
		}
		k.stamps.set(func(s *stamps) { s.asked, s.answered = nil, nil })
		if k.kills != 4 {
			t.Errorf("killed %d times, want 4", k.kills)
		}
		k.settle(t)
	})
	t.Run("at the destination", func(t *testing.T) {
		t.Parallel()
		k := newCloseKilling(t, 4)
		d := newDestination(t)
		edit(t, k.config, "kind: directory, path: "+k.destination, `kind: http, url: "`+d.url+`"`)
		for _, moment := range []string{"asked", "taken", "answered"} {
			k.killAt(t, 1, func(kill func()) { d.set(map[string]func(){moment: kill}) })
		}
		d.set(nil)
		if k.kills != 3 {
			t.Errorf("killed %d times, want 3", k.kills)
		}
		k.taken = d.taken
		k.settle(t)
	})
}

// closeKilling is an installation with days to be closed and a daemon that is
// killed while it does.
type closeKilling struct {
	*closer
	days   []string
	held   map[string][]register.Entry
	day    int // the next one
	daemon *process
	kills  int
	// taken are the packages at the destination: in its directory, unless it is
	// another one.
	taken func(*testing.T) map[string]store.Digest
}

func newCloseKilling(t *testing.T, days int) *closeKilling {
	t.Helper()
	k := &closeKilling{closer: openCloser(t), held: map[string][]register.Entry{}}
	k.taken = k.packages
	k.inside(t, noonOf(t, days), func(t *testing.T, s *system) {
		for range days {
			day := time.Now().Format(time.DateOnly)
			k.days = append(k.days, day)
			for range 2 {
				k.arrived++
				e, err := enterOne(t, s, k.arrived)
				if err != nil {
					t.Fatal(err)
				}
				k.held[day] = append(k.held[day], e)
			}
			time.Sleep(24 * time.Hour)
		}
	})
	return k
}

// begin has a daemon running that has finished what one before left, and
// returns how the closing of the next day is ordered.
func (k *closeKilling) begin(t *testing.T) (order func() outcome) {
	t.Helper()
	if k.daemon == nil {
		k.daemon = startDaemon(t, k.config)
	}
	if k.day > 0 {
		k.close(t, "--through", k.days[k.day-1])
	}
	day := k.days[k.day]
	k.day++
	return func() outcome { return k.order(t, "close", "--through", day) }
}

// fell books that the daemon was killed.
func (k *closeKilling) fell() {
	<-k.daemon.ended
	k.daemon, k.kills = nil, k.kills+1
}

// killAt has the daemon killed while it closes the next day, at the n-th of
// what arm names.
func (k *closeKilling) killAt(t *testing.T, n int, arm func(kill func())) {
	t.Helper()
	order := k.begin(t)
	d := k.daemon
	var mu sync.Mutex
	arm(func() {
		mu.Lock()
		defer mu.Unlock()
		if n--; n == 0 {
			_ = d.cmd.Process.Kill()
			<-d.ended
		}
	})
	if o := order(); o.status != exitFailed {
		t.Fatalf("the daemon was not killed: %+v", o)
	}
	k.fell()
}

// stops closes the next day in a daemon that strace stops after each durable
// call, kills it after the n-th, and returns how many there were. n is 0 for a
// calm closing.
func (k *closeKilling) stops(t *testing.T, n int) (seen int) {
	t.Helper()
	order := k.begin(t)
	d := k.daemon
	calls := "fsync,fdatasync,renameat"
	if everyBoundary {
		calls += ",write,pwrite64"
	}
	tr := startTrace(t, d.cmd.Process.Pid, calls, "-e", "inject="+calls+":signal=SIGSTOP")
	ordered := make(chan outcome, 1)
	go func() { ordered <- order() }()
	look := time.NewTicker(2 * time.Millisecond)
	defer look.Stop()
	for waited := 0; ; {
		select {
		case o := <-ordered:
			if o.status != 0 && (n == 0 || seen < n) {
				t.Errorf("a closing that was not disturbed: %+v", o)
			}
			if n > 0 && seen >= n {
				tr.end()
				k.fell()
			} else {
				k.release(t, tr)
			}
			return seen
		case <-look.C:
		}
		stopped, here := stopsIn(t, tr.file)
		waited++
		switch {
		case n > 0 && stopped >= n:
			seen = stopped
			_ = d.cmd.Process.Kill()
		case here && (stopped > seen || waited > 100):
			// One that comes too early is lost, so it is sent again; but not
			// soon: it would take away a stop that is under way.
			seen, waited = stopped, 0
			_ = d.cmd.Process.Signal(syscall.SIGCONT)
		}
	}
}

// stopsIn counts the stops in a trace; here: the last one has come about.
func stopsIn(t *testing.T, file string) (n int, here bool) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	n = bytes.Count(data, []byte("--- SIGSTOP {"))
	last := bytes.LastIndex(data, []byte("--- SIGSTOP {"))
	return n, last >= 0 && bytes.Contains(data[last:], []byte("--- stopped by SIGSTOP ---"))
}

// release takes strace away from a daemon, which may be stopped.
func (k *closeKilling) release(t *testing.T, tr *trace) {
	t.Helper()
	if err := tr.strace.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	tr.end()
	if err := k.daemon.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
}

// settle has a last daemon finish everything, and holds what is there against
// what a calm run leaves.
func (k *closeKilling) settle(t *testing.T) {
	t.Helper()
	if k.daemon == nil {
		k.daemon = startDaemon(t, k.config)
	}
	days := k.days[:k.day]
	k.close(t, "--through", days[len(days)-1])
	if status := k.daemon.stop(t); status != 0 {
		t.Errorf("the last daemon ended with status %d", status)
	}
	closings, delivered := k.closings(t), k.taken(t)
	if len(closings) != len(days) || len(delivered) != len(days) {
		t.Fatalf("%d days have %d closings and %d packages", len(days), len(closings), len(delivered))
	}
	for i, c := range closings {
		day := days[len(days)-1-i]
		want := k.held[day]
		if c.ID != day+".0" || c.State != register.ClosingDelivered || c.Entries != len(want) ||
			c.FirstNumber != want[0].Number || c.LastNumber != want[len(want)-1].Number {
			t.Errorf("%s: closing %s is %s, with %d entries from %s to %s", day, c.ID, c.State, c.Entries, c.FirstNumber, c.LastNumber)
		}
		p, _ := c.File(register.FilePackage)
		if digest, ok := delivered[p.Name]; !ok || digest != p.SHA256 {
			t.Errorf("%s: at the destination is %s of %s, want %s", day, digest, p.Name, p.SHA256)
		}
	}
	k.sound(t, uint64(k.arrived), uint64(len(days)))
	k.noHalfFiles(t)
}

// noHalfFiles looks for what is left of files that were being written.
func (k *closeKilling) noHalfFiles(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir(k.dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && (strings.Contains(path, "/.tmp/") || strings.HasSuffix(path, ".part") || strings.HasSuffix(path, ".new")) {
			t.Errorf("there is a half file %s", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// destination takes packages over HTTP, the same one once.
type destination struct {
	url string

	mu       sync.Mutex
	packages map[string]store.Digest // by name
	keys     map[string]string       // name, by Idempotency-Key
	moments  map[string]func()
}

func newDestination(t *testing.T) *destination {
	t.Helper()
	d := &destination{packages: map[string]store.Digest{}, keys: map[string]string{}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := d.take(w, r); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	d.url = server.URL + "/versamenti"
	return d
}

func (d *destination) set(moments map[string]func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.moments = moments
}

func (d *destination) at(moment string) {
	d.mu.Lock()
	act := d.moments[moment]
	d.mu.Unlock()
	if act != nil {
		act()
	}
}

func (d *destination) take(w http.ResponseWriter, r *http.Request) error {
	d.at("asked")
	form, err := r.MultipartReader()
	if err != nil {
		return err
	}
	part, err := form.NextPart()
	if err != nil {
		return nil // the sender was killed; a package that never comes is missed in the end
	}
	content, err := io.ReadAll(part)
	if err != nil {
		return nil
	}
	if err := d.book(r.Header.Get("Idempotency-Key"), part.FileName(), store.Sum(content)); err != nil {
		return err
	}
	d.at("taken")
	w.WriteHeader(http.StatusCreated)
	_ = http.NewResponseController(w).Flush()
	d.at("answered")
	return nil
}

func (d *destination) book(key, name string, digest store.Digest) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if was, known := d.keys[key]; key == "" || known && (was != name || d.packages[name] != digest) {
		return fmt.Errorf("%s came as %q, and before it was %s with other bytes", name, key, was)
	}
	d.keys[key], d.packages[name] = name, digest
	return nil
}

func (d *destination) taken(*testing.T) map[string]store.Digest {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.packages
}
