package archive_test

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/protodaemon/protodaemon/archive"
	"github.com/protodaemon/protodaemon/register"
)

// The package lands whole under its name, and the receipt is fetched.
func TestSFTPDelivery(t *testing.T) {
	s := newSSHD(t, internalSFTP, "ed25519")
	h, c := outgoing(t)
	folder := s.folder("versamenti", 0o700)
	// The leftover of an attempt that was cut off is longer than the package.
	s.file("versamenti/"+part(c), strings.Repeat("leftover", 1<<17), 0o600)
	c = h.arrives(c.ID, s.delivery(folder), folder)
	if !strings.HasPrefix(c.Parcel.Sent, "sftp://"+s.addr+"/") || !strings.HasSuffix(c.Parcel.Sent, c.Parcel.File) {
		t.Errorf("it was sent to %s", c.Parcel.Sent)
	}
	s.folder("versamenti/ricevute", 0o700)
	s.file("versamenti/ricevute/RdV-altro.xml", "of another", 0o600)
	s.file("versamenti/ricevute/RdV-"+c.Name+"-0.xml", strings.Repeat(" ", 9<<20), 0o600)
	h.fails(c.ID, s.delivery(folder), "receipt-malformed", "it has 8388609 bytes")
	text := positive(c)
	s.file("versamenti/ricevute/RdV-"+c.Name+".xml", text, 0o600)
	if err := h.deliver(s.delivery(folder)); err != nil {
		t.Fatal(err)
	}
	if c = h.closing(c.ID); c.State != register.ClosingAccepted || string(h.read(c, register.FileReceipt)) != text {
		t.Errorf("it stands at %s: %+v", c.State, c.Trouble)
	}
	h.sound()
}

// A server that is not the one that is known gets nothing, and who has to
// compare keys is told which one it showed.
func TestSFTPHostKeys(t *testing.T) {
	s := newSSHD(t, internalSFTP, "ed25519")
	h, c := outgoing(t)
	folder := s.folder("versamenti", 0o700)
	d := s.delivery(folder)
	shown := ssh.FingerprintSHA256(s.hostKeys[0])
	another := newSSHD(t, internalSFTP, "ed25519").hostKeys[0]

	d.KnownHostsFile = s.knownHosts("nobody")
	h.fails(c.ID, d, "host-key-unknown", shown, d.KnownHostsFile, "compare it", "add it")
	d.KnownHostsFile = filepath.Join(s.dir, "there is none")
	h.fails(c.ID, d, "host-key-unknown", d.KnownHostsFile)
	d.KnownHostsFile = s.knownHosts("another", another)
	h.fails(c.ID, d, "host-key-changed", shown, ssh.FingerprintSHA256(another), "another server", "ask the conservator")
	d.KnownHostsFile = s.file("revoked", "@revoked * "+string(ssh.MarshalAuthorizedKey(s.hostKeys[0])), 0o600)
	h.fails(c.ID, d, "host-key-changed", shown, "revoked")
	if files := must(os.ReadDir(folder)); len(files) > 0 {
		t.Errorf("such a server got %v", files)
	}
	h.arrives(c.ID, s.delivery(folder), folder)
}

// A server with several keys, of which one is known, is that server: whichever
// one it is.
func TestSFTPServerWithSeveralHostKeys(t *testing.T) {
	s := newSSHD(t, internalSFTP, "ed25519", "ecdsa", "rsa")
	for _, key := range s.hostKeys {
		h, c := outgoing(t)
		folder := s.folder(key.Type(), 0o700)
		d := s.delivery(folder)
		d.KnownHostsFile = s.knownHosts("only-"+key.Type(), key)
		h.arrives(c.ID, d, folder)
	}
}

func TestSFTPRefusals(t *testing.T) {
	s := newSSHD(t, internalSFTP, "ed25519")
	h, c := outgoing(t)
	folder := s.folder("versamenti", 0o700)
	with := func(change func(*archive.Delivery)) archive.Delivery {
		d := s.delivery(folder)
		change(&d)
		return d
	}
	h.fails(c.ID, with(func(d *archive.Delivery) {
		d.KeyFile, d.Password = "", func() (string, error) { return "sbagliata", nil }
	}), "login-refused", s.login)
	h.fails(c.ID, with(func(d *archive.Delivery) {
		d.KeyFile, d.Password = "", func() (string, error) { return "", os.ErrNotExist }
	}), "login-refused", "password")
	h.fails(c.ID, with(func(d *archive.Delivery) { d.KeyFile = s.keyFile("altra", "ed25519") }), "login-refused", s.login)
	h.fails(c.ID, with(func(d *archive.Delivery) { d.KeyFile = filepath.Join(s.dir, "manca") }), "login-refused", "manca")
	h.fails(c.ID, with(func(d *archive.Delivery) { d.KeyFile = s.key + ".pub" }), "login-refused", ".pub")
	h.fails(c.ID, with(func(d *archive.Delivery) { d.Username = "nessuno" }), "login-refused", "nessuno")
	h.fails(c.ID, with(func(d *archive.Delivery) { d.Path = filepath.Join(s.dir, "manca") }), "destination-missing", "manca")
	h.fails(c.ID, with(func(d *archive.Delivery) { d.Path = s.key }), "destination-missing", s.key)
	h.fails(c.ID, with(func(d *archive.Delivery) { d.Path = s.folder("chiusa", 0o500) }), "destination-unwritable", "chiusa")
	h.fails(c.ID, with(func(d *archive.Delivery) { d.Path = s.folder("murata", 0o000) }), "destination-unwritable", "murata")

	listener := must(net.Listen("tcp", "127.0.0.1:0"))
	nowhere := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	h.fails(c.ID, with(func(d *archive.Delivery) { d.URL = "sftp://" + nowhere }), "unreachable", nowhere)

	silent := newSSHD(t, "", "ed25519") // has no sftp
	d := silent.delivery(folder)
	h.fails(c.ID, d, "refused", "offers no sftp")

	reading := newSSHD(t, internalSFTP+" -R", "ed25519") // takes nothing
	d = reading.delivery(reading.folder("versamenti", 0o700))
	h.fails(c.ID, d, "destination-unwritable", "versamenti")

	// The disk of the server is full.
	making := filepath.Join(folder, part(c))
	if err := os.Symlink("/dev/full", making); err != nil {
		t.Fatal(err)
	}
	h.fails(c.ID, s.delivery(folder), "destination-unwritable")
	if err := os.Remove(making); err != nil {
		t.Fatal(err)
	}
	if files := must(os.ReadDir(folder)); len(files) > 0 {
		t.Errorf("something of it lies there: %v", files)
	}
	s.file("versamenti/"+c.Parcel.File, "another", 0o600)
	h.fails(c.ID, s.delivery(folder), "another-file-there", c.Parcel.File)
	if got := must(os.ReadFile(filepath.Join(folder, c.Parcel.File))); string(got) != "another" {
		t.Errorf("it was overwritten: %q", got)
	}
	s.file("versamenti/"+c.Parcel.File, "", 0o600)
	h.fails(c.ID, s.delivery(folder), "another-file-there")
	if err := os.Remove(filepath.Join(folder, c.Parcel.File)); err != nil {
		t.Fatal(err)
	}
	h.arrives(c.ID, s.delivery(folder), folder)
	h.sound()
}

// A kill between the upload and its record: what lies there whole already is
// not sent again.
func TestSFTPDeliveryAfterACrash(t *testing.T) {
	s := newSSHD(t, internalSFTP, "ed25519")
	h, c := outgoing(t)
	folder := s.folder("versamenti", 0o700)
	target := s.file("versamenti/"+c.Parcel.File, string(h.read(c, register.FilePackage)), 0o600)
	before := must(os.Stat(target))
	h.arrives(c.ID, s.delivery(folder), folder)
	if after := must(os.Stat(target)); !os.SameFile(before, after) || !after.ModTime().Equal(before.ModTime()) {
		t.Error("it was sent a second time")
	}
}

// The configuration is refused at once where it could never work.
func TestSFTPConfiguration(t *testing.T) {
	sound := archive.Delivery{Kind: "sftp", URL: "sftp://host", Username: "u", KeyFile: "k", KnownHostsFile: "h"}
	check := func(change func(*archive.Delivery)) error {
		d := sound
		change(&d)
		return archive.Check([]archive.Register{{Organization: org, Register: book, Delivery: d}})
	}
	if err := check(func(*archive.Delivery) {}); err != nil {
		t.Fatal(err)
	}
	for says, change := range map[string]func(*archive.Delivery){
		"deliver.url":              func(d *archive.Delivery) { d.URL = "https://host" },
		"deliver.username":         func(d *archive.Delivery) { d.Username = "" },
		"deliver.key_file":         func(d *archive.Delivery) { d.KeyFile = "" },
		"deliver.known_hosts_file": func(d *archive.Delivery) { d.KnownHostsFile = "" },
	} {
		if err := check(change); err == nil || !bytes.Contains([]byte(err.Error()), []byte(says)) {
			t.Errorf("without %s: %v", says, err)
		}
	}
}
