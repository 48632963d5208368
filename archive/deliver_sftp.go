package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

func newDigest() hash.Hash { return sha256.New() }

const sshWait = 30 * time.Second // for connection and handshake

// sftpServer delivers over SSH. The server's key must be in known_hosts.
type sftpServer struct {
	conf Delivery
	addr string
}

func newSFTP(d Delivery) (carrier, error) {
	u, err := url.Parse(d.URL)
	switch {
	case err != nil || u.Scheme != "sftp" || u.Hostname() == "":
		return nil, fmt.Errorf("deliver.url %q is not sftp://host[:port]", d.URL)
	case d.Username == "":
		return nil, errors.New("deliver.username is missing")
	case d.Password == nil && d.KeyFile == "":
		return nil, errors.New("sftp needs deliver.password_file or deliver.key_file")
	case d.KnownHostsFile == "":
		return nil, errors.New("sftp needs deliver.known_hosts_file: without the server's key anybody could take the packages; ssh-keyscan shows it")
	}
	port := u.Port()
	if port == "" {
		port = "22"
	}
	return sftpServer{d, net.JoinHostPort(u.Hostname(), port)}, nil
}

// with runs f on a connection, which is cut when ctx ends or when the server has
// sent more than so many bytes.
func (s sftpServer) with(ctx context.Context, most int64, f func(*sftp.Client, *meter) error) (err error) {
	config, err := s.config()
	if err != nil {
		return err
	}
	dialled, err := (&net.Dialer{Timeout: sshWait}).DialContext(ctx, "tcp", s.addr)
	if err != nil {
		return failure(codeUnreachable, "the sftp server %s does not answer: %w", s.addr, err)
	}
	conn := &meter{Conn: dialled}
	conn.allow(most)
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if err := conn.SetDeadline(time.Now().Add(sshWait)); err != nil {
		return err
	}
	secured, channels, requests, err := ssh.NewClientConn(conn, s.addr, config)
	if err != nil {
		return errors.Join(s.handshakeError(err), ignoreClosed(conn.Close()))
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return err
	}
	client := ssh.NewClient(secured, channels, requests)
	defer client.Close()
	files, err := sftp.NewClient(client)
	if err != nil {
		return failure(codeRefused, "the server %s offers no sftp: %w", s.addr, err)
	}
	defer files.Close()
	if err := f(files, conn); err != nil {
		if conn.exceeded() {
			err = fmt.Errorf("%w: %w", errMetered, err)
		}
		return err
	}
	return nil
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (s sftpServer) config() (*ssh.ClientConfig, error) {
	known, err := knownhosts.New(s.conf.KnownHostsFile)
	if err != nil {
		return nil, failure(codeHostUnknown, "reading %s: %w", s.conf.KnownHostsFile, err)
	}
	config := &ssh.ClientConfig{
		User: s.conf.Username, HostKeyCallback: s.checkHost(known), HostKeyAlgorithms: s.algorithms(known), Timeout: sshWait,
	}
	if s.conf.KeyFile != "" {
		b, err := os.ReadFile(s.conf.KeyFile)
		if err != nil {
			return nil, failure(codeLogin, "reading the private key: %w", err)
		}
		key, err := ssh.ParsePrivateKey(b)
		if err != nil {
			return nil, failure(codeLogin, "the private key in %s: %w", s.conf.KeyFile, err)
		}
		config.Auth = append(config.Auth, ssh.PublicKeys(key))
	}
	if s.conf.Password != nil {
		password, err := s.conf.Password()
		if err != nil {
			return nil, failure(codeLogin, "reading the password: %w", err)
		}
		config.Auth = append(config.Auth, ssh.Password(password))
	}
	return config, nil
}

// checkHost refuses a server whose key is not known, and says which key it
// showed: that is what a person compares.
func (s sftpServer) checkHost(known ssh.HostKeyCallback) ssh.HostKeyCallback {
	return func(host string, remote net.Addr, shown ssh.PublicKey) error {
		err := known(host, remote, shown)
		var key *knownhosts.KeyError
		var revoked *knownhosts.RevokedError
		says := shown.Type() + " " + ssh.FingerprintSHA256(shown)
		switch {
		case errors.As(err, &revoked):
			return failure(codeHostChanged, "the key that %s shows, %s, is revoked in %s; ask the conservator before anything else", s.addr, says, s.conf.KnownHostsFile)
		case errors.As(err, &key) && len(key.Want) == 0:
			return failure(codeHostUnknown, "the key of %s, %s, is not in %s; compare it with what the conservator says, and add it", s.addr, says, s.conf.KnownHostsFile)
		case errors.As(err, &key):
			return failure(codeHostChanged, "%s shows the key %s, and not %s as in %s: it may be another server; ask the conservator before anything else",
				s.addr, says, ssh.FingerprintSHA256(key.Want[0].Key), s.conf.KnownHostsFile)
		}
		return err
	}
}

// algorithms asks the server first for a key of a type that is known: one that
// has several would otherwise show another, which looks like a changed one. Host
// certificates stay before all.
func (s sftpServer) algorithms(known ssh.HostKeyCallback) []string {
	var key *knownhosts.KeyError
	if err := known(s.addr, &net.TCPAddr{IP: net.IPv4zero}, noKey{}); !errors.As(err, &key) {
		return nil
	}
	var first, certificates, others []string
	for _, k := range key.Want {
		if t := k.Key.Type(); t == ssh.KeyAlgoRSA {
			first = append(first, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256)
		} else {
			first = append(first, t)
		}
	}
	for _, a := range ssh.SupportedAlgorithms().HostKeys {
		switch {
		case strings.Contains(a, "-cert-v01@"):
			certificates = append(certificates, a)
		case !slices.Contains(first, a):
			others = append(others, a)
		}
	}
	return slices.Concat(certificates, first, others)
}

// noKey is no server's key: with it known_hosts tells which keys it has.
type noKey struct{}

func (noKey) Type() string                        { return "none" }
func (noKey) Marshal() []byte                     { return nil }
func (noKey) Verify([]byte, *ssh.Signature) error { return errors.New("no key") }

// handshakeError tells a server that is another from one that does not let us
// in.
func (s sftpServer) handshakeError(err error) error {
	var d *deliveryError
	switch {
	case errors.As(err, &d):
		return d
	case bytes.Contains([]byte(err.Error()), []byte("unable to authenticate")):
		return failure(codeLogin, "%s does not let %s in: %w", s.addr, s.conf.Username, err)
	}
	return failure(codeUnreachable, "talking to the sftp server %s: %w", s.addr, err)
}

func (s sftpServer) send(ctx context.Context, p parcel) (string, []byte, error) {
	target := path.Join(s.conf.Path, p.file.Name)
	// What lies there already is compared; beside it come acknowledgements.
	err := s.with(ctx, p.file.Size+maxListing, func(c *sftp.Client, _ *meter) error {
		switch same, err := s.there(c, target, p); {
		case err != nil:
			return err
		case same:
			return nil
		}
		return s.upload(ctx, c, target, p)
	})
	if err != nil {
		return "", nil, s.transferError(err)
	}
	return "sftp://" + s.addr + "/" + target, nil, nil
}

func (s sftpServer) there(c *sftp.Client, target string, p parcel) (same bool, err error) {
	in, err := c.Open(target)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer in.Close()
	digest, err := digestOf(io.LimitReader(in, p.file.Size+1))
	if err == nil && digest != p.file.SHA256 {
		err = failure(codeDifferent, "%s is on the server and is another file; ask the conservator", target)
	}
	return err == nil, err
}

// upload writes under another name, compares the size and renames.
func (s sftpServer) upload(ctx context.Context, c *sftp.Client, target string, p parcel) error {
	part := path.Join(path.Dir(target), "."+p.file.Name+".part")
	out, err := c.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return err
	}
	if err := errors.Join(copyFile(ctx, out, p.file, p.open), out.Close()); err != nil {
		return err
	}
	info, err := c.Stat(part)
	if err == nil && info.Size() != p.file.Size {
		err = failure(codeRefused, "the server has %d bytes of %d", info.Size(), p.file.Size)
	}
	if err != nil {
		return err
	}
	if err := c.PosixRename(part, target); err != nil {
		return c.Rename(part, target)
	}
	return nil
}

func (s sftpServer) transferError(err error) error {
	var d *deliveryError
	var status *sftp.StatusError
	switch {
	case errors.As(err, &d):
		return err
	case errors.Is(err, fs.ErrNotExist):
		return failure(codeDestinationMissing, "there is no directory %q on %s: %w", s.conf.Path, s.addr, err)
	case errors.Is(err, fs.ErrPermission), errors.As(err, &status):
		return failure(codeDestination, "%s does not take the package in %q: %w", s.addr, s.conf.Path, err)
	}
	return &deliveryError{code: codeUnreachable, err: fmt.Errorf("the connection to %s broke: %w", s.addr, err)}
}

// The bounds of one look for receipts, in bytes that come from the server: of
// the list of files, which is held in memory, and of all that is read then.
const (
	maxListing = 8 << 20
	maxLook    = 256 << 20
)

func (s sftpServer) receipts(ctx context.Context, p parcel, look func(answer) bool) error {
	where := s.conf.Receipts
	if where == "" {
		where = path.Join(s.conf.Path, "ricevute")
	}
	err := s.with(ctx, maxListing, func(c *sftp.Client, m *meter) error {
		entries, err := c.ReadDirContext(ctx, where)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		m.allow(maxLook)
		for _, e := range entries {
			may, sure := mayConcern(e.Name(), e.Mode(), p)
			if !may || !sure && !e.ModTime().After(lookedFrom(p)) {
				continue
			}
			b, err := fetch(c, path.Join(where, e.Name()))
			if errors.Is(err, fs.ErrNotExist) {
				continue // it was there when the directory was read
			}
			if err != nil || look(answer{b, sure}) {
				return err
			}
		}
		return nil
	})
	if errors.Is(err, errMetered) {
		return failure(codeCrowded, "in %q on %s there are too many or too large files; move old receipts away", where, s.addr)
	}
	if err != nil {
		return s.transferError(err)
	}
	return nil
}

func fetch(c *sftp.Client, name string) (b []byte, err error) {
	in, err := c.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	return readReceipt(in)
}

var errMetered = errors.New("the server sent more than is taken")

// meter is a connection that ends when the other side has sent too much: a
// server that means harm would otherwise go on for as long as it is listened to.
type meter struct {
	net.Conn
	left atomic.Int64
}

func (m *meter) allow(bytes int64) { m.left.Store(bytes) }

func (m *meter) exceeded() bool { return m.left.Load() < 0 }

func (m *meter) Read(b []byte) (int, error) {
	n, err := m.Conn.Read(b)
	if m.left.Add(-int64(n)) < 0 {
		return 0, errMetered
	}
	return n, err
}
