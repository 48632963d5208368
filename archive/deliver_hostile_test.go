package archive_test

import (
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/protodaemon/protodaemon/archive"
	"github.com/protodaemon/protodaemon/register"
)

func pipe(t *testing.T, name string) {
	t.Helper()
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
}

// Pipes and devices that somebody laid where packages and receipts lie hold
// nobody up: who opens them would wait, or read, for ever.
func TestPipesInTheDirectory(t *testing.T) {
	h, c := outgoing(t)
	folder := filepath.Join(h.dir, "conservazione")
	d := archive.Delivery{Kind: "directory", Path: folder}
	target, making, receipts := filepath.Join(folder, c.Parcel.File), filepath.Join(folder, part(c)), filepath.Join(folder, "ricevute")

	pipe(t, making)
	h.fails(c.ID, d, "destination-unwritable")
	if err := os.Remove(making); err != nil {
		t.Fatal(err)
	}
	pipe(t, target)
	h.fails(c.ID, d, "another-file-there", "is no file")
	if err := os.Remove(target); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/zero", target); err != nil {
		t.Fatal(err)
	}
	h.fails(c.ID, d, "destination-unwritable")
	if err := os.Remove(target); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(receipts); err != nil {
		t.Fatal(err)
	}
	pipe(t, receipts)
	if err := h.deliver(d); err == nil {
		t.Error("a pipe in the place of the directory of receipts goes unnoticed")
	}
	if c = h.closing(c.ID); c.Reached != register.ClosingDelivered || c.Trouble == nil || c.Trouble.Code != "destination-missing" {
		t.Errorf("it stands at %s: %+v", c.Reached, c.Trouble)
	}
	if err := errors.Join(os.Remove(receipts), os.Mkdir(receipts, 0o700)); err != nil {
		t.Fatal(err)
	}
	pipe(t, filepath.Join(receipts, "RdV-"+c.Name+"-1.xml"))
	if err := os.Symlink("/dev/zero", filepath.Join(receipts, "RdV-"+c.Name+"-2.xml")); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(receipts, "RdV-"+c.Name+"-3.xml"), []byte(positive(c)))
	if err := h.deliver(d); err != nil {
		t.Fatal(err)
	}
	if c = h.closing(c.ID); c.State != register.ClosingAccepted {
		t.Errorf("it stands at %s: %+v", c.State, c.Trouble)
	}
	h.sound()
}

// endless is a file, and a directory whose list has no end.
type endless struct{}

func (endless) Name() string       { return strings.Repeat("ricevuta", 20) + ".xml" }
func (endless) Size() int64        { return 1 }
func (endless) Mode() fs.FileMode  { return 0o600 }
func (endless) ModTime() time.Time { return time.Now().Add(-48 * time.Hour) }
func (endless) IsDir() bool        { return false }
func (endless) Sys() any           { return nil }

func (endless) ListAt(all []os.FileInfo, _ int64) (int, error) {
	for i := range all {
		all[i] = endless{}
	}
	return len(all), nil
}

func (e endless) Filelist(*sftp.Request) (sftp.ListerAt, error) { return e, nil }
func (endless) Fileread(*sftp.Request) (io.ReaderAt, error)     { return nil, os.ErrNotExist }
func (endless) Filewrite(*sftp.Request) (io.WriterAt, error)    { return nil, os.ErrPermission }
func (endless) Filecmd(*sftp.Request) error                     { return os.ErrPermission }

// serveEndless is an SSH server whose directories have no end; it returns how to
// reach it.
func serveEndless(t *testing.T, dir string) archive.Delivery {
	t.Helper()
	key := must(ssh.NewSignerFromKey(authority().key))
	conf := &ssh.ServerConfig{NoClientAuth: true, PasswordCallback: func(ssh.ConnMetadata, []byte) (*ssh.Permissions, error) { return nil, nil }}
	conf.AddHostKey(key)
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go sessions(conn, conf)
		}
	}()
	known := filepath.Join(dir, "known_hosts")
	write(t, known, []byte(knownhosts.Line([]string{knownhosts.Normalize(l.Addr().String())}, key.PublicKey())+"\n"))
	return archive.Delivery{Kind: "sftp", URL: "sftp://" + l.Addr().String(), Username: "u", Password: func() (string, error) { return "x", nil }, KnownHostsFile: known}
}

// sessions serves one connection until the other side has enough.
func sessions(conn net.Conn, conf *ssh.ServerConfig) {
	defer conn.Close()
	server, channels, requests, err := ssh.NewServerConn(conn, conf)
	if err != nil {
		return
	}
	defer server.Close()
	go ssh.DiscardRequests(requests)
	for asked := range channels {
		channel, requests, err := asked.Accept()
		if err != nil {
			return
		}
		go func() {
			for r := range requests {
				_ = r.Reply(r.Type == "subsystem", nil)
			}
		}()
		handlers := sftp.Handlers{FileGet: endless{}, FilePut: endless{}, FileCmd: endless{}, FileList: endless{}}
		_ = sftp.NewRequestServer(channel, handlers).Serve() // the other side leaves
	}
}

// A server that lists files without end is not listened to without end.
func TestSFTPListWithoutEnd(t *testing.T) {
	h, c := outgoing(t)
	c = h.arrives(c.ID, archive.Delivery{Kind: "directory", Path: filepath.Join(h.dir, "conservazione")}, filepath.Join(h.dir, "conservazione"))
	h.fails(c.ID, serveEndless(t, h.dir), "receipts-too-many", "move old receipts away")
	if c = h.closing(c.ID); c.Reached != register.ClosingDelivered {
		t.Errorf("it stands at %s", c.Reached)
	}
}
