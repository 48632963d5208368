package archive_test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/protodaemon/protodaemon/archive"
)

// sshd is OpenSSH's server. The test listens and starts one sshd (-i) for each
// connection, so that no port is guessed and nobody waits until it listens. It
// has no privileges: what it may not write it cannot write. For the same reason
// there is nobody who could check a password: it refuses them all, and who gets
// in has a key.
type sshd struct {
	t        testing.TB
	dir      string // root of all that it needs; the login may write in it
	addr     string
	login    string
	key      string // file of the private key that lets in
	hostKeys []ssh.PublicKey
	id       int // of the login
	config   string
}

const sshdProgram, internalSFTP = "/usr/sbin/sshd", "Subsystem sftp internal-sftp"

// newSSHD starts a server with host keys of the given types and lines more in
// its configuration.
func newSSHD(t testing.TB, more string, types ...string) *sshd {
	t.Helper()
	if _, err := os.Stat(sshdProgram); err != nil {
		t.Fatalf("%s is missing; on Debian: apt-get install openssh-server", sshdProgram)
	}
	s := &sshd{t: t, login: must(user.Current()).Username, id: os.Getuid()}
	if s.id == 0 {
		s.login, s.id = "daemon", 1 // in every Debian (base-passwd)
	}
	// Not t.TempDir, into which only its owner gets.
	s.dir = must(os.MkdirTemp("", "sshd"))
	t.Cleanup(func() {
		if err := os.RemoveAll(s.dir); err != nil {
			t.Error(err)
		}
	})
	s.key = s.keyFile("utente", "ed25519")
	config := []string{"UsePAM no", "StrictModes no", "PidFile none", "LogLevel ERROR", "PasswordAuthentication yes",
		"AuthorizedKeysFile " + s.key + ".pub", more}
	for _, kind := range types {
		file := s.keyFile("host-"+kind, kind)
		key, _, _, _, err := ssh.ParseAuthorizedKey(must(os.ReadFile(file + ".pub")))
		if err != nil {
			t.Fatal(err)
		}
		s.hostKeys = append(s.hostKeys, key)
		config = append(config, "HostKey "+file)
	}
	s.config = s.file("sshd_config", strings.Join(config, "\n")+"\n", 0o600)
	s.own(s.dir)
	s.serve()
	return s
}

// own gives a file to the login.
func (s *sshd) own(names ...string) {
	s.t.Helper()
	for _, n := range names {
		if err := os.Lchown(n, s.id, -1); err != nil {
			s.t.Fatal(err)
		}
	}
}

// file writes a file of the server.
func (s *sshd) file(name, content string, mode os.FileMode) string {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		s.t.Fatal(err)
	}
	s.own(path)
	return path
}

// folder makes a directory of the server.
func (s *sshd) folder(name string, mode os.FileMode) string {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.Mkdir(path, mode); err != nil {
		s.t.Fatal(err)
	}
	s.own(path)
	return path
}

func (s *sshd) keyFile(name, kind string) string {
	s.t.Helper()
	file := filepath.Join(s.dir, name)
	run(s.t, "openssh-client", "ssh-keygen", "-q", "-t", kind, "-N", "", "-C", name, "-f", file)
	s.own(file)
	return file
}

func (s *sshd) serve() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	s.addr = listener.Addr().String()
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return // closed at the end
			}
			all.Go(func() { s.talk(conn.(*net.TCPConn)) })
		}
	})
	s.t.Cleanup(func() {
		if err := listener.Close(); err != nil {
			s.t.Error(err)
		}
		all.Wait()
	})
}

// talk has a server of its own speak on a connection.
func (s *sshd) talk(conn *net.TCPConn) {
	defer conn.Close()
	file, err := conn.File()
	if err != nil {
		s.t.Error(err)
		return
	}
	defer file.Close()
	c := exec.Command(sshdProgram, "-i", "-e", "-f", s.config)
	var says bytes.Buffer
	c.Stdin, c.Stdout, c.Stderr = file, file, &says
	if os.Getuid() == 0 {
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(s.id), Gid: uint32(s.id)}}
	}
	if err := c.Run(); err != nil {
		s.t.Logf("sshd: %v: %s", err, says.Bytes()) // so it ends when it refuses
	}
}

// knownHosts is a file that knows keys of the server.
func (s *sshd) knownHosts(name string, keys ...ssh.PublicKey) string {
	s.t.Helper()
	host, port, _ := strings.Cut(s.addr, ":")
	var lines strings.Builder
	for _, k := range keys {
		fmt.Fprintf(&lines, "[%s]:%s %s", host, port, ssh.MarshalAuthorizedKey(k))
	}
	return s.file(name, lines.String(), 0o644)
}

// delivery is one that this server takes, into a directory of it.
func (s *sshd) delivery(path string) archive.Delivery {
	return archive.Delivery{
		Kind: "sftp", URL: "sftp://" + s.addr, Path: path, Username: s.login, KeyFile: s.key,
		KnownHostsFile: s.knownHosts("known_hosts", s.hostKeys...), Profile: archive.ProfileNeutral,
	}
}
