package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// binary is the program under test, built once.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "protodaemon")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	// A program under the race detector would sleep for a second at its end.
	os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	status := buildAndRun(m, dir)
	os.RemoveAll(dir)
	os.Exit(status)
}

func buildAndRun(m *testing.M, dir string) int {
	binary = filepath.Join(dir, "protodaemon")
	args := []string{"build", "-o", binary}
	if raceEnabled {
		args = append(args, "-race")
	}
	out, err := exec.Command("go", append(args, ".")...).CombinedOutput()
	if err != nil {
		fmt.Fprintf(os.Stderr, "building the program: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// outcome is what a command left behind.
type outcome struct {
	status         int
	stdout, stderr string
}

// command runs the program to its end, which has to come within a minute.
func command(t *testing.T, args ...string) outcome {
	t.Helper()
	return commandWith(t, "", args...)
}

// commandWith gives it something on standard input.
func commandWith(t *testing.T, stdin string, args ...string) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if stdin != "" {
		cmd.Stdin = strings.NewReader(stdin)
	}
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("running %v: %v", args, err)
	}
	if ctx.Err() != nil {
		t.Fatalf("%v did not end; it wrote:\n%s", args, stderr.String())
	}
	return outcome{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// mustRun runs a command that has to succeed, and returns what it printed.
func mustRun(t *testing.T, args ...string) string {
	t.Helper()
	o := command(t, args...)
	if o.status != 0 {
		t.Fatalf("%v: exit status %d\n%s", args, o.status, o.stderr)
	}
	return strings.TrimSpace(o.stdout)
}

// process is a running "serve".
type process struct {
	config string
	cmd    *exec.Cmd
	log    *lines
	ended  chan struct{} // closed when the process has
	url    string
	token  string
	client *http.Client
}

// lines collects what a process writes while it is read.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// startDaemon starts "serve" and waits until it tells its service manager
// that it is ready.
func startDaemon(t *testing.T, config string) *process {
	t.Helper()
	notices := listenForNotices(t)
	d := launch(t, config, notices)
	awaitNotice(t, notices, d, "READY=1")
	d.url = "https://" + d.logged(t, "serving", "address")
	d.client = &http.Client{
		Timeout: time.Minute,
		Transport: &http.Transport{
			TLSClientConfig:     &tls.Config{InsecureSkipVerify: true}, // on loopback, with a fresh certificate
			MaxIdleConnsPerHost: 64,
		},
	}
	t.Cleanup(d.client.CloseIdleConnections)
	return d
}

// launch starts "serve" with a service manager that listens at notices.
func launch(t *testing.T, config string, notices *net.UnixConn, env ...string) *process {
	t.Helper()
	d := &process{config: config, log: &lines{}, ended: make(chan struct{})}
	d.cmd = exec.Command(binary, "serve", "--config", config)
	d.cmd.Stderr = d.log
	d.cmd.Env = append(append(os.Environ(), "NOTIFY_SOCKET="+notices.LocalAddr().String()), env...)
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = d.cmd.Wait()
		close(d.ended)
		// What it said last can still be read, and nothing more will come.
		_ = notices.SetReadDeadline(time.Now().Add(5 * time.Second))
	}()
	t.Cleanup(func() {
		_ = d.cmd.Process.Kill()
		<-d.ended
		if t.Failed() {
			t.Logf("the daemon's log:\n%s", d.log)
		}
	})
	return d
}

func listenForNotices(t *testing.T) *net.UnixConn {
	t.Helper()
	dir, err := os.MkdirTemp("", "notify")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "s"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// awaitNotice waits for what the daemon tells its service manager.
func awaitNotice(t *testing.T, notices *net.UnixConn, d *process, want string) {
	t.Helper()
	if err := notices.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4096)
	for {
		n, err := notices.Read(buf)
		if err != nil {
			t.Fatalf("the daemon did not say %s: %v\n%s", want, err, d.log)
		}
		if slices.Contains(strings.Split(string(buf[:n]), "\n"), want) {
			return
		}
	}
}

// logged waits for a log record with the message and returns an attribute of
// the first one.
func (d *process) logged(t *testing.T, msg, key string) string {
	t.Helper()
	var value string
	eventually(t, "the log holds "+msg, func() bool {
		for line := range strings.Lines(d.log.String()) {
			var record map[string]any
			if json.Unmarshal([]byte(line), &record) == nil && record["msg"] == msg {
				value = fmt.Sprint(record[key])
				return true
			}
		}
		return false
	})
	return value
}

// stop ends the daemon as a service manager would and returns its exit status.
func (d *process) stop(t *testing.T) int {
	t.Helper()
	// Connections that were never used would be waited for.
	d.client.CloseIdleConnections()
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-d.ended:
	case <-time.After(time.Minute):
		t.Fatalf("the daemon did not stop:\n%s", d.log)
	}
	return d.cmd.ProcessState.ExitCode()
}

// do sends a request with the daemon's token and returns status and body.
func (d *process) do(t *testing.T, method, path, body string) (int, []byte) {
	t.Helper()
	status, answer, err := d.try(t.Context(), method, path, body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return status, answer
}

// try is do for goroutines that must not end the test themselves.
func (d *process) try(ctx context.Context, method, path, body string) (int, []byte, error) {
	r, err := http.NewRequestWithContext(ctx, method, d.url+path, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("Authorization", "Bearer "+d.token)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	answer, err := d.client.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	return answer.StatusCode, data, err
}

// get reads a JSON document that has to be there.
func get[T any](t *testing.T, d *process, path string) T {
	t.Helper()
	status, body := d.do(t, http.MethodGet, path, "")
	if status != http.StatusOK {
		t.Fatalf("GET %s: %d %s", path, status, body)
	}
	var v T
	if err := json.Unmarshal(body, &v); err != nil {
		t.Fatalf("GET %s: %v in %s", path, err, body)
	}
	return v
}

// eventually waits for something that the daemon does by itself. Nothing
// depends on how long it takes, but for the limit after which it is missing.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	limit := time.NewTimer(2 * time.Minute)
	defer limit.Stop()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for !done() {
		select {
		case <-limit.C:
			t.Fatalf("it never came to this: %s", what)
		case <-again.C:
		}
	}
}
