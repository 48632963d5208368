package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/protodaemon/protodaemon/internal/dovecot"
)

// TestNumbersAreSyncedBeforeTheyAreAnswered watches the system calls of the
// daemon while 64 clients confirm 512 messages. Before the answer with a number
// is written, the database and then the witness that names the number have
// been synced; and the clients share the syncs.
func TestNumbersAreSyncedBeforeTheyAreAnswered(t *testing.T) {
	const messages = 512
	o := openOffice(t, dovecot.Options{}, false)
	edit(t, o.config, `http: {listen: "127.0.0.1:0"}`, `http: {listen: "127.0.0.1:0", tls: {self_signed: false}}`)
	for _, raw := range mix(t, o.provider, messages) {
		if err := o.operator.Append(o.pending, raw); err != nil {
			t.Fatal(err)
		}
	}
	d := o.start(t)
	d.url = strings.Replace(d.url, "https:", "http:", 1)
	pending := o.awaitPending(t, d, messages)
	// Without the mail server nothing is moved, and all that is synced is for
	// the confirmations.
	o.server.Stop()

	trace := startTrace(t, d.cmd.Process.Pid, "fsync,fdatasync,write")
	confirmAll(t, d, pending)
	w := trace.read(t)
	if len(w.answered) != messages {
		t.Fatalf("the trace shows %d answers with a number, want %d", len(w.answered), messages)
	}
	for number, synced := range w.answered {
		if !synced {
			t.Errorf("number %s was answered before it was synced", number)
		}
	}
	t.Logf("%d confirmations by 64 clients: %d syncs, one for %.1f: %v", messages, w.syncs, messages/float64(w.syncs), w.of)
	if 8*w.syncs >= messages {
		t.Errorf("%d syncs for %d confirmations, want fewer than one for 8", w.syncs, messages)
	}
}

// trace is strace attached to a process.
type trace struct {
	file    string
	strace  *exec.Cmd
	drained chan struct{}
}

// startTrace returns when strace is attached. args are further arguments.
func startTrace(t *testing.T, pid int, calls string, args ...string) *trace {
	t.Helper()
	tr := &trace{file: filepath.Join(t.TempDir(), "trace"), drained: make(chan struct{})}
	args = append([]string{"-f", "-y", "-s", "1000000", "-o", tr.file, "-e", "trace=" + calls, "-p", fmt.Sprint(pid)}, args...)
	tr.strace = exec.Command("strace", args...)
	said, err := tr.strace.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := tr.strace.Start(); err != nil {
		t.Fatalf("starting strace: %v; ./dev test installs it", err)
	}
	r := bufio.NewReader(said)
	if line, err := r.ReadString('\n'); err != nil || !strings.Contains(line, "attached") {
		t.Fatalf("strace did not attach to process %d: %s (%v)", pid, line, err)
	}
	go func() {
		defer close(tr.drained)
		_, _ = io.Copy(io.Discard, r)
	}()
	return tr
}

// end waits for strace to end with its process.
func (tr *trace) end() {
	<-tr.drained
	_ = tr.strace.Wait()
}

// witnessed is what a trace says about numbers.
type witnessed struct {
	syncs    int
	of       map[string]int  // syncs by the file's name
	answered map[string]bool // number → it was synced before
}

var (
	numberIn = regexp.MustCompile(`\\"number\\":\s*\\"(\d{7})\\"`)
	fileIn   = regexp.MustCompile(`/([^/>]+)>`)
	resumed  = regexp.MustCompile(`<\.\.\. \w+ resumed>`)
)

// read detaches strace and goes through what it saw, in order.
func (tr *trace) read(t *testing.T) witnessed {
	t.Helper()
	if err := tr.strace.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	tr.end()
	data, err := os.ReadFile(tr.file)
	if err != nil {
		t.Fatal(err)
	}
	w := witnessed{of: map[string]int{}, answered: map[string]bool{}}
	begun := map[string]string{} // thread → its unfinished call
	written, durable := map[string]bool{}, map[string]bool{}
	database := 0 // its syncs since the last line of the witness
	ended := func(call string) {
		switch {
		case strings.HasPrefix(call, "fdatasync") && strings.Contains(call, "ordine.db"):
			database++
		case strings.HasPrefix(call, "fsync") && strings.Contains(call, "/witness/"):
			for n := range written {
				durable[n] = true
			}
			clear(written)
		}
	}
	for line := range bytes.Lines(data) {
		thread, call, _ := strings.Cut(strings.TrimSpace(string(line)), " ")
		call = strings.TrimSpace(call)
		if resumed.MatchString(call) {
			ended(begun[thread])
			continue
		}
		switch {
		case strings.HasPrefix(call, "fsync"), strings.HasPrefix(call, "fdatasync"):
			w.syncs++
			if m := fileIn.FindStringSubmatch(call); m != nil {
				w.of[m[1]]++
			}
		case strings.HasPrefix(call, "write") && strings.Contains(call, "/witness/"):
			if database == 0 {
				t.Error("the witness was told before the database was synced")
			}
			database = 0
			for _, n := range numberIn.FindAllStringSubmatch(call, -1) {
				written[n[1]] = true
			}
		case strings.HasPrefix(call, "write") && strings.Contains(call, "HTTP/1.1 201"):
			for _, n := range numberIn.FindAllStringSubmatch(call, -1) {
				w.answered[n[1]] = durable[n[1]]
			}
		}
		if strings.HasSuffix(call, "<unfinished ...>") {
			begun[thread] = call
		} else {
			ended(call)
		}
	}
	return w
}
