package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// startControl answers operations in dir with run until the test ends.
func startControl(t *testing.T, dir string, run func(context.Context, string, json.RawMessage) (json.RawMessage, error)) {
	t.Helper()
	l, err := listenControl(dir)
	if err != nil {
		t.Fatal(err)
	}
	c := &control{listener: l, path: filepath.Join(dir, controlName), run: run, log: slog.New(slog.DiscardHandler)}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(c.path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the socket is still there: %v", err)
		}
	})
}

func echo(_ context.Context, name string, params json.RawMessage) (json.RawMessage, error) {
	return json.Marshal([]any{name, params})
}

func TestDaemonIsAskedThroughItsSocket(t *testing.T) {
	dir := t.TempDir()
	startControl(t, dir, echo)
	got, err := askDaemon(t.Context(), dir, "verify", json.RawMessage(`{"a":1}`))
	if err != nil || string(got) != `["verify",{"a":1}]` {
		t.Errorf("got %s, %v", got, err)
	}
	info, err := os.Stat(filepath.Join(dir, controlName))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket's mode is %v, %v; only its owner may use it", info.Mode(), err)
	}
}

func TestErrorsKeepTextAndStatusThroughTheSocket(t *testing.T) {
	dir := t.TempDir()
	startControl(t, dir, func(_ context.Context, name string, _ json.RawMessage) (json.RawMessage, error) {
		if name == "wrong" {
			return nil, usageError{errors.New("no such register")}
		}
		return nil, errors.New("disk on fire")
	})
	for name, want := range map[string]struct {
		text   string
		status int
	}{
		"wrong":  {"no such register", exitUsage},
		"failed": {"disk on fire", exitFailed},
	} {
		_, err := askDaemon(t.Context(), dir, name, json.RawMessage(`{}`))
		if err == nil || err.Error() != want.text || exitStatus(err) != want.status {
			t.Errorf("%s: got %v with status %d, want %+v", name, err, exitStatus(err), want)
		}
	}
}

func TestNoDaemon(t *testing.T) {
	killed := t.TempDir()
	l, err := listenControl(killed)
	if err != nil {
		t.Fatal(err)
	}
	l.Close() // as a kill does: the socket stays
	if _, err := os.Stat(filepath.Join(killed, controlName)); err != nil {
		t.Fatal(err)
	}
	for what, dir := range map[string]string{
		"nothing there":       t.TempDir(),
		"no directory":        filepath.Join(t.TempDir(), "none"),
		"socket left by kill": killed,
	} {
		if _, err := askDaemon(t.Context(), dir, "verify", json.RawMessage(`{}`)); !errors.Is(err, errNoDaemon) {
			t.Errorf("%s: got %v, want %v", what, err, errNoDaemon)
		}
	}
	startControl(t, killed, echo)
	if _, err := askDaemon(t.Context(), killed, "verify", json.RawMessage(`{}`)); err != nil {
		t.Errorf("after a restart: %v", err)
	}
}

func TestDataDirectoryWithALongName(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("lunghissimo", 12))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	startControl(t, dir, echo)
	if _, err := askDaemon(t.Context(), dir, "verify", json.RawMessage(`{}`)); err != nil {
		t.Error(err)
	}
}

func TestCallerThatLeavesEndsItsOperation(t *testing.T) {
	dir := t.TempDir()
	begun, ended := make(chan struct{}), make(chan error, 1)
	startControl(t, dir, func(ctx context.Context, _ string, _ json.RawMessage) (json.RawMessage, error) {
		close(begun)
		<-ctx.Done()
		ended <- ctx.Err()
		return nil, ctx.Err()
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-begun
		cancel()
	}()
	if _, err := askDaemon(ctx, dir, "verify", json.RawMessage(`{}`)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the operation ended with %v", err)
	}
}

func TestForeignBytesOnTheSocketHarmNobody(t *testing.T) {
	dir := t.TempDir()
	startControl(t, dir, echo)
	for _, sent := range []string{"", "\n", "GET / HTTP/1.1\r\n\r\n", strings.Repeat("x", controlRequest+10) + "\n"} {
		conn, err := net.Dial("unix", filepath.Join(dir, controlName))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = conn.Write([]byte(sent))
		conn.Close()
	}
	if _, err := askDaemon(t.Context(), dir, "verify", json.RawMessage(`{}`)); err != nil {
		t.Error(err)
	}
}
