package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// The control socket: one request a connection, a line of JSON each way. The
// owner of the data directory alone can connect. While an operation runs the
// daemon sends an empty line now and then, so that a caller can tell a long
// verification from a daemon that hangs; a caller that goes away cancels it.
const (
	controlName     = "protodaemon.sock"
	controlBeat     = 2 * time.Second
	controlSilence  = 30 * time.Second // of the other side
	controlRequest  = 1 << 20          // bytes of a request
	controlAnswer   = 64 << 20         // bytes of an answer
	controlSessions = 8                // at a time
	socketPathLimit = 107              // bytes of sun_path, less the final NUL
)

// errNoDaemon is returned by askDaemon when none listens.
var errNoDaemon = errors.New("no daemon is running")

type controlCall struct {
	Operation string          `json:"operation"`
	Params    json.RawMessage `json:"params"`
}

type controlReply struct {
	Result json.RawMessage `json:"result,omitempty"`
	Error  string          `json:"error,omitempty"`
	Status int             `json:"status,omitempty"`
}

// socketPath returns a path of at most socketPathLimit bytes for the socket
// in dir, and what keeps it valid. A long directory is reached through its
// descriptor.
func socketPath(dir string) (string, io.Closer, error) {
	path := filepath.Join(dir, controlName+".new")
	if len(path) <= socketPathLimit {
		return filepath.Join(dir, controlName), io.NopCloser(nil), nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", d.Fd(), controlName), d, nil
}

// control answers operations on the socket of a data directory.
type control struct {
	listener *net.UnixListener
	path     string
	run      func(ctx context.Context, name string, params json.RawMessage) (json.RawMessage, error)
	log      *slog.Logger
}

// listenControl listens in dir, whose store the caller holds: a socket found
// there is what a killed daemon left. The new one is put in its place only
// once its mode keeps others out.
func listenControl(dir string) (*net.UnixListener, error) {
	path, hold, err := socketPath(dir)
	if err != nil {
		return nil, fmt.Errorf("making the control socket: %w", err)
	}
	defer hold.Close()
	fresh := path + ".new"
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("making the control socket: %w", err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: fresh, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("making the control socket in %s: %w", dir, err)
	}
	l.SetUnlinkOnClose(false)
	if err = os.Chmod(fresh, 0o600); err == nil {
		err = os.Rename(fresh, path)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("making the control socket: %w", err), l.Close())
	}
	return l, nil
}

// serve answers until ctx ends, and then waits for the operations under way,
// whose contexts have ended too. The socket is removed.
func (c *control) serve(ctx context.Context) error {
	defer os.Remove(c.path)
	stop := context.AfterFunc(ctx, func() { c.listener.Close() })
	defer stop()
	var sessions sync.WaitGroup
	defer sessions.Wait()
	free := make(chan struct{}, controlSessions)
	for {
		conn, err := c.listener.AcceptUnix()
		if ctx.Err() != nil {
			if err == nil {
				conn.Close()
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("accepting on the control socket: %w", err)
		}
		select {
		case free <- struct{}{}:
		case <-ctx.Done():
			conn.Close()
			continue
		}
		sessions.Go(func() {
			defer func() { <-free }()
			defer conn.Close()
			if err := c.answer(ctx, conn); err != nil {
				c.log.Warn("control connection failed", "err", err)
			}
		})
	}
}

// answer reads one call, runs it and writes its outcome.
func (c *control) answer(ctx context.Context, conn *net.UnixConn) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := conn.SetReadDeadline(time.Now().Add(controlSilence)); err != nil {
		return err
	}
	in := bufio.NewReader(io.LimitReader(conn, controlRequest))
	line, err := in.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("reading the call: %w", err)
	}
	var call controlCall
	if err := json.Unmarshal(line, &call); err != nil {
		return fmt.Errorf("reading the call: %w", err)
	}
	if err := conn.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	var watch sync.WaitGroup
	defer watch.Wait()
	defer conn.CloseRead()
	watch.Go(func() {
		// Nothing more is expected: a return means that the caller left.
		_, _ = io.Copy(io.Discard, in)
		cancel()
	})
	done := make(chan controlReply, 1)
	watch.Go(func() { done <- c.reply(ctx, call) })
	return writeReply(conn, done)
}

func (c *control) reply(ctx context.Context, call controlCall) controlReply {
	result, err := c.run(ctx, call.Operation, call.Params)
	if err != nil {
		return controlReply{Error: errorText(err), Status: exitStatus(err)}
	}
	return controlReply{Result: result}
}

// writeReply sends beats until the outcome is there, then the outcome.
func writeReply(conn net.Conn, done <-chan controlReply) error {
	beat := time.NewTicker(controlBeat)
	defer beat.Stop()
	for {
		var line []byte
		var last bool
		select {
		case r := <-done:
			b, err := json.Marshal(r)
			if err != nil {
				return fmt.Errorf("encoding the answer: %w", err)
			}
			line, last = b, true
		case <-beat.C:
		}
		if err := conn.SetWriteDeadline(time.Now().Add(controlSilence)); err != nil {
			return err
		}
		if _, err := conn.Write(append(line, '\n')); err != nil {
			return fmt.Errorf("writing the answer: %w", err)
		}
		if last {
			return nil
		}
	}
}

// askDaemon has the daemon of the data directory dir do an operation, or
// returns errNoDaemon. The operation's error keeps its text and exit status.
func askDaemon(ctx context.Context, dir, operation string, params json.RawMessage) (json.RawMessage, error) {
	conn, err := dialControl(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	call, err := json.Marshal(controlCall{Operation: operation, Params: params})
	if err != nil {
		return nil, fmt.Errorf("encoding the call: %w", err)
	}
	if err := conn.SetWriteDeadline(time.Now().Add(controlSilence)); err != nil {
		return nil, err
	}
	if _, err := conn.Write(append(call, '\n')); err != nil {
		return nil, fmt.Errorf("talking to the daemon: %w", err)
	}
	reply, err := readReply(conn)
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, fmt.Errorf("the daemon gave no answer (%w); look at its log", err)
	case reply.Status == exitUsage:
		return nil, usageError{errors.New(reply.Error)}
	case reply.Error != "":
		return nil, errors.New(reply.Error)
	}
	return reply.Result, nil
}

func dialControl(ctx context.Context, dir string) (net.Conn, error) {
	path, hold, err := socketPath(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errNoDaemon
	}
	if err != nil {
		return nil, fmt.Errorf("looking for the daemon: %w", err)
	}
	defer hold.Close()
	ctx, cancel := context.WithTimeout(ctx, controlSilence)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
	switch {
	case err == nil:
		return conn, nil
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("%s belongs to another user; run this as the user that the daemon runs as", dir)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return nil, errNoDaemon
	default:
		return nil, fmt.Errorf("looking for the daemon: %w", err)
	}
}

// readReply skips the beats and returns the outcome.
func readReply(conn net.Conn) (controlReply, error) {
	in := bufio.NewReader(io.LimitReader(conn, controlAnswer))
	for {
		if err := conn.SetReadDeadline(time.Now().Add(controlSilence)); err != nil {
			return controlReply{}, err
		}
		line, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return controlReply{}, io.ErrUnexpectedEOF
		}
		if err != nil {
			return controlReply{}, err
		}
		if len(line) == 1 {
			continue
		}
		var r controlReply
		if err := json.Unmarshal(line, &r); err != nil {
			return controlReply{}, err
		}
		return r, nil
	}
}
