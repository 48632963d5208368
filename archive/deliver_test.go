package archive_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/protodaemon/protodaemon/archive"
	"github.com/protodaemon/protodaemon/register"
)

// outgoing is a hall with one closing whose package is made and has found no
// way out. It lives in real time, because the peers of a delivery do.
func outgoing(t testing.TB) (*hall, register.Closing) {
	t.Helper()
	h := newHall(t, register.ClosingRules{EmptyDays: "none", SameDay: "supplement"})
	h.conf.XAdES = false // is another matter
	h.enter("Istanza di iscrizione")
	made := h.closeDays(time.Now().In(rome).Format(time.DateOnly))
	c := h.fails(made[0].ID, archive.Delivery{Kind: "directory", Path: filepath.Join(h.dir, "altrove")}, "destination-missing", "is its disk mounted?")
	if _, ok := c.File(register.FilePackage); !ok {
		t.Fatalf("there is no package: %+v", c)
	}
	return h, c
}

// deliver has the register's closings take the steps that are due, with
// another delivery.
func (h *hall) deliver(d archive.Delivery) error {
	h.t.Helper()
	h.conf.Delivery = d
	if err := h.archive.Reload([]archive.Register{h.conf}); err != nil {
		h.t.Fatal(err)
	}
	return h.work()
}

// fails tries a delivery that has to fail with a code and with words that help.
func (h *hall) fails(id string, d archive.Delivery, code string, says ...string) register.Closing {
	h.t.Helper()
	if err := h.deliver(d); err == nil {
		h.t.Errorf("it does not fail with %s", code)
	}
	c := h.closing(id)
	if c.Trouble == nil || c.Trouble.Code != code || c.State != register.ClosingFailed {
		h.t.Fatalf("it stands at %s with %+v; want %s", c.State, c.Trouble, code)
	}
	for _, s := range says {
		if !strings.Contains(c.Trouble.Detail, s) {
			h.t.Errorf("it does not say %q: %s", s, c.Trouble.Detail)
		}
	}
	return c
}

// arrives tries a delivery that has to succeed, and compares what has come.
func (h *hall) arrives(id string, d archive.Delivery, folder string) register.Closing {
	h.t.Helper()
	if err := h.deliver(d); err != nil {
		h.t.Fatal(err)
	}
	c := h.closing(id)
	if c.State != register.ClosingDelivered {
		h.t.Fatalf("it stands at %s: %+v", c.State, c.Trouble)
	}
	there, err := os.ReadFile(filepath.Join(folder, c.Parcel.File))
	if err != nil || !bytes.Equal(there, h.read(c, register.FilePackage)) {
		h.t.Errorf("what arrived is not the package: %d bytes, %v", len(there), err)
	}
	left, err := filepath.Glob(filepath.Join(folder, ".*"))
	if err != nil || len(left) > 0 {
		h.t.Errorf("left behind: %v, %v", left, err)
	}
	return c
}

// part is the name under which a package is written before it is whole.
func part(c register.Closing) string { return "." + c.Parcel.File + ".part" }

func write(t testing.TB, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestDirectoryDelivery(t *testing.T) {
	h, c := outgoing(t)
	folder := filepath.Join(h.dir, "conservazione")
	to := func(path string) archive.Delivery { return archive.Delivery{Kind: "directory", Path: path} }
	file := filepath.Join(h.dir, "un file")
	write(t, file, []byte("x"))
	target, making := filepath.Join(folder, c.Parcel.File), filepath.Join(folder, part(c))

	h.fails(c.ID, to(file), "destination-missing", file)
	h.fails(c.ID, to(filepath.Join(file, "sotto")), "destination-missing")
	// A mode stops nobody when the tests run as root; a directory in the place
	// of the file to be written stops everybody.
	if err := os.Mkdir(making, 0o700); err != nil {
		t.Fatal(err)
	}
	h.fails(c.ID, to(folder), "destination-unwritable", folder)
	if err := os.Remove(making); err != nil {
		t.Fatal(err)
	}
	// Who may write into the folder cannot have another file overwritten.
	victim := filepath.Join(h.dir, "un altro file")
	write(t, victim, []byte("mio"))
	if err := os.Symlink(victim, making); err != nil {
		t.Fatal(err)
	}
	h.fails(c.ID, to(folder), "destination-unwritable", folder)
	if got := must(os.ReadFile(victim)); string(got) != "mio" {
		t.Errorf("what the link leads to was overwritten: %q", got)
	}
	if err := os.Remove(making); err != nil {
		t.Fatal(err)
	}
	// No disk is full here: what its error means is asked by itself.
	for _, e := range []error{syscall.ENOSPC, syscall.EDQUOT} {
		if code := archive.FolderCode(fmt.Errorf("write x: %w", e)); code != "destination-full" {
			t.Errorf("%v is %s", e, code)
		}
	}
	if _, err := os.Lstat(target); err == nil {
		t.Error("a package that was not written whole lies there under its name")
	}
	// What another put there under the package's name is not touched.
	write(t, target, []byte("another"))
	h.fails(c.ID, to(folder), "another-file-there", target, "move it away")
	if got := must(os.ReadFile(target)); string(got) != "another" {
		t.Errorf("it was overwritten: %q", got)
	}
	if err := os.Remove(target); err != nil {
		t.Fatal(err)
	}
	// A longer leftover of an attempt that was cut off does not shine through.
	write(t, making, bytes.Repeat([]byte("leftover"), 1<<20))
	for i := range 200 {
		write(t, filepath.Join(folder, "PdV-vecchio-"+strings.Repeat("x", i)+".zip.part"), nil)
	}
	c = h.arrives(c.ID, to(folder), folder)
	if c.Parcel.Sent != target || c.Parcel.SentAt == nil {
		t.Errorf("it was sent to %+v", c.Parcel)
	}
	h.sound()
}

// A kill between the act and its record: what lies there whole already is not
// written again.
func TestDirectoryDeliveryAfterACrash(t *testing.T) {
	h, c := outgoing(t)
	folder := filepath.Join(h.dir, "conservazione")
	target := filepath.Join(folder, c.Parcel.File)
	write(t, target, h.read(c, register.FilePackage))
	before := must(os.Stat(target))
	h.arrives(c.ID, archive.Delivery{Kind: "directory", Path: folder}, folder)
	if after := must(os.Stat(target)); !os.SameFile(before, after) || !after.ModTime().Equal(before.ModTime()) {
		t.Error("it was written a second time")
	}
}

// What lies among the receipts and is none, or cannot be one, does not hide the
// receipt beside it.
func TestReceiptAmongOtherFiles(t *testing.T) {
	h, c := outgoing(t)
	folder := filepath.Join(h.dir, "conservazione")
	receipts := filepath.Join(h.dir, "altre ricevute")
	if err := os.MkdirAll(filepath.Join(receipts, "RdV-"+c.Name+".xml"), 0o700); err != nil {
		t.Fatal(err)
	}
	d := archive.Delivery{Kind: "directory", Path: folder, Receipts: receipts}
	for name, text := range map[string]string{
		"." + c.Name + ".xml":     positive(c),                                      // not whole yet
		c.Name + ".xml.part":      positive(c),                                      // neither
		c.Name + ".zip":           positive(c),                                      // a package
		"esito-1.xml":             strings.Replace(positive(c), "PdV-", "PdV-x", 1), // of another
		"LEGGIMI.txt":             "Qui stanno le ricevute.",
		"RdV-altro.xml":           "<a>",
		"../conservazione/" + "x": positive(c), // not where receipts lie
	} {
		write(t, filepath.Join(receipts, name), []byte(text))
	}
	if c = h.arrives(c.ID, d, folder); c.Trouble != nil {
		t.Errorf("trouble: %+v", c.Trouble)
	}
	large := filepath.Join(receipts, "RdV-"+c.Name+"-0.xml")
	write(t, large, nil)
	if err := os.Truncate(large, 64<<20); err != nil {
		t.Fatal(err)
	}
	h.fails(c.ID, d, "receipt-malformed", "it has 8388609 bytes")
	write(t, filepath.Join(receipts, "esito-2.xml"), []byte(positive(c))) // conservators call them as they like
	if err := h.deliver(d); err != nil {
		t.Fatal(err)
	}
	if c = h.closing(c.ID); c.State != register.ClosingAccepted {
		t.Errorf("it stands at %s: %+v", c.State, c.Trouble)
	}
	h.sound()
}

// positive is a receipt that accepts a closing's package.
func positive(c register.Closing) string {
	return "<RapportoDiVersamento><IdentificativoPacchetto>PdV-" + c.Name + "</IdentificativoPacchetto><Esito>accettato</Esito></RapportoDiVersamento>"
}
