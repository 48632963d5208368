// Package dovecot runs a private, real Dovecot on loopback for tests and
// benchmarks: its own configuration, ports, users, mail and certificate
// authority in a directory of its own, as root or not, several at once.
//
// What it says of the server's contents comes from a small IMAP client of its
// own (Client), so that a fault of the code under test cannot hide itself.
//
// A server can be made poorer than Dovecot is (Options.Without,
// Options.SilentIdle): a proxy in front of it then removes capabilities from
// every list before and after login, refuses their commands and drops their
// response codes. The proxy also does what Dovecot will not do for a client on
// the same machine, which it takes for secure: insist on STARTTLS.
package dovecot

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Options of a server; the zero value is a plain Dovecot with users u1 to u4.
type Options struct {
	// Prefix and Separator of the only namespace: "INBOX." and "." for
	// instance. Default: none, and ".".
	Prefix, Separator string
	// Without lists capabilities the server must not have: MOVE, UIDPLUS, IDLE
	// and others that are only announced.
	Without []string
	// SilentIdle accepts IDLE and never tells anything in it.
	SilentIdle bool
	// StartTLSOnly refuses a login on Addr before STARTTLS.
	StartTLSOnly bool
	// Users is the number of users, u1 to uN.
	Users int
	// CertNotAfter is the end of the server certificate's validity; zero:
	// tomorrow.
	CertNotAfter time.Time
	// QuotaKiB bounds the mail of each user; 0: unbounded.
	QuotaKiB int
}

// Password is that of every user.
const Password = "correct horse"

// Server is a running Dovecot.
type Server struct {
	Addr    string // of plain IMAP with STARTTLS, host:port
	TLSAddr string // of IMAP over TLS
	CAFile  string // PEM of the authority that signed the server's certificate

	options Options
	dir     string
	plain   int // Dovecot's own ports
	tls     int
	pki     *pki
	proxy   *proxy
	pid     int
	exited  chan struct{} // closed when the process has been waited for
}

// Start runs a server until the end of the test. When the test has failed its
// log is shown.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	s, err := Run(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("dovecot's log:\n%s", s.Log())
		}
		if err := s.Close(); err != nil {
			t.Errorf("closing dovecot: %v", err)
		}
	})
	return s
}

// Run runs a server until Close.
func Run(o Options) (*Server, error) {
	if o.Separator == "" {
		o.Separator = "."
	}
	if o.Users == 0 {
		o.Users = 4
	}
	// Not in the test's directory: its name makes paths of sockets too long.
	dir, err := os.MkdirTemp("", "dc")
	if err != nil {
		return nil, fmt.Errorf("making dovecot's directory: %w", err)
	}
	s := &Server{options: o, dir: dir, CAFile: filepath.Join(dir, "ca.pem")}
	if err := s.prepare(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// prepare makes everything and starts the server, on other ports when
// somebody took the free ones first.
func (s *Server) prepare() (err error) {
	if s.pki, err = newPKI(s.dir, s.options.CertNotAfter); err != nil {
		return fmt.Errorf("making dovecot's certificate: %w", err)
	}
	for range 5 {
		if s.plain, s.tls, err = freePorts(); err != nil {
			return err
		}
		if err = s.configure(); err != nil {
			return fmt.Errorf("configuring dovecot: %w", err)
		}
		if err = s.start(); err == nil {
			break
		}
	}
	if err != nil {
		return err
	}
	s.Addr, s.TLSAddr = loopback(s.plain), loopback(s.tls)
	if len(s.options.Without) > 0 || s.options.SilentIdle || s.options.StartTLSOnly {
		if s.proxy, err = newProxy(s); err != nil {
			return fmt.Errorf("putting a proxy before dovecot: %w", err)
		}
		s.Addr, s.TLSAddr = s.proxy.plain.Addr().String(), s.proxy.tls.Addr().String()
	}
	return nil
}

func loopback(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

func freePorts() (int, int, error) {
	var ports [2]int
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return 0, 0, fmt.Errorf("looking for a free port: %w", err)
		}
		defer l.Close()
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	return ports[0], ports[1], nil
}

// names of the program, which Debian keeps out of an ordinary user's PATH.
var names = []string{"dovecot", "/usr/sbin/dovecot"}

func find(names []string) (string, error) {
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("dovecot is not installed: run ./dev test, which installs it, or apt-get install dovecot-imapd")
}

// start runs the process and waits until it greets.
func (s *Server) start() error {
	path, err := find(names)
	if err != nil {
		return err
	}
	cmd := exec.Command(path, "-F", "-c", filepath.Join(s.dir, "dovecot.conf"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	var output strings.Builder
	cmd.Stdout, cmd.Stderr = &output, &output
	started, exited := make(chan error), make(chan struct{})
	go func() {
		// The death signal is sent when the thread that forked ends.
		runtime.LockOSThread()
		defer close(exited)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // its own account of the reason is in the log
		}
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("starting dovecot: %w", err)
	}
	s.pid, s.exited = cmd.Process.Pid, exited
	if err := s.awaitGreeting(); err != nil {
		s.kill(syscall.SIGKILL)
		<-exited
		return fmt.Errorf("starting dovecot: %w\n%s%s", err, output.String(), s.Log())
	}
	return nil
}

// awaitGreeting polls, because nothing else tells that a server listens.
func (s *Server) awaitGreeting() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if greets(ctx, loopback(s.plain)) {
			return nil
		}
		select {
		case <-tick.C:
		case <-s.exited:
			return errors.New("it exited")
		case <-ctx.Done():
			return errors.New("no greeting within 30 s")
		}
	}
}

func greets(ctx context.Context, addr string) bool {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return false
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline) // a connection without one still answers
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	return err == nil && strings.HasPrefix(line, "* OK")
}

// kill signals all of Dovecot's processes.
func (s *Server) kill(sig syscall.Signal) {
	_ = syscall.Kill(-s.pid, sig) // fails only when none is left
}

// Stop ends the server and all its connections; Restart brings it back.
func (s *Server) Stop() {
	if s.exited == nil {
		return
	}
	s.kill(syscall.SIGCONT)
	s.kill(syscall.SIGTERM)
	select {
	case <-s.exited:
	case <-time.After(20 * time.Second):
	}
	// Processes with a client may outlive their master for a while.
	s.kill(syscall.SIGKILL)
	<-s.exited
	s.exited = nil
}

// Restart stops the server and starts it on the same ports with the same mail.
func (s *Server) Restart() error {
	s.Stop()
	return s.start()
}

// Pause freezes every process of the server: connections stay open and
// nothing is answered until Continue.
func (s *Server) Pause() { s.kill(syscall.SIGSTOP) }

// Continue ends a Pause.
func (s *Server) Continue() { s.kill(syscall.SIGCONT) }

// Close stops the server and removes everything it kept.
func (s *Server) Close() error {
	if s.proxy != nil {
		s.proxy.close()
	}
	s.Stop()
	return os.RemoveAll(s.dir)
}

// Log is what Dovecot logged.
func (s *Server) Log() string {
	text, err := os.ReadFile(filepath.Join(s.dir, "log"))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// Folder is the server's full name of a folder below the namespace's prefix.
func (s *Server) Folder(name string) string {
	if strings.EqualFold(name, "INBOX") {
		return name
	}
	return s.options.Prefix + name
}

// without tells whether the server has to do without a capability.
func (s *Server) without(capability string) bool {
	return slices.ContainsFunc(s.options.Without, func(c string) bool { return strings.EqualFold(c, capability) })
}
