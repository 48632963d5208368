package demo

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// mailbox is a running mail server with one account, and its folder.
type mailbox struct {
	t    *testing.T
	dir  string
	addr string
	stop func()
	*Mailserver
}

func serveMail(t *testing.T, dir string) *mailbox {
	t.Helper()
	ca, err := openAuthority(filepath.Join(dir, "ca.pem"), filepath.Join(dir, "ca.key"))
	if err != nil {
		t.Fatal(err)
	}
	certPEM, key, err := ca.issue([]string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	cert, err := tls.X509KeyPair(certPEM, key)
	if err != nil {
		t.Fatal(err)
	}
	b := &mailbox{t: t, dir: dir}
	if b.Mailserver, err = OpenMailserver(filepath.Join(dir, "mail"), []Account{{"anna", "segreta"}}, cert); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.addr = l.Addr().String()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Serve(ctx, l) }()
	stopped := false
	b.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(b.stop)
	return b
}

// client logs in; news hears of changes.
func (b *mailbox) client(news chan<- uint32) *imapclient.Client {
	b.t.Helper()
	pem, err := os.ReadFile(filepath.Join(b.dir, "ca.pem"))
	if err != nil {
		b.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	o := &imapclient.Options{TLSConfig: &tls.Config{RootCAs: roots}, UnilateralDataHandler: &imapclient.UnilateralDataHandler{
		Mailbox: func(d *imapclient.UnilateralDataMailbox) {
			if d.NumMessages != nil && news != nil {
				news <- *d.NumMessages
			}
		},
	}}
	c, err := imapclient.DialTLS(b.addr, o)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { c.Close() })
	if err := c.Login("anna", "segreta").Wait(); err != nil {
		b.t.Fatal(err)
	}
	return c
}

func (b *mailbox) deliver(folder string, n int) {
	b.t.Helper()
	raw := fmt.Appendf(nil, "Message-ID: <%d@example.it>\r\nSubject: Messaggio %d\r\n\r\nTesto %d\r\n", n, n, n)
	if err := b.Deliver("anna", folder, raw, time.Date(2026, 3, n, 12, 0, 0, 0, time.UTC)); err != nil {
		b.t.Fatal(err)
	}
}

func selected(t *testing.T, c *imapclient.Client, folder string) *imap.SelectData {
	t.Helper()
	d, err := c.Select(folder, nil).Wait()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func uids(t *testing.T, c *imapclient.Client, criteria *imap.SearchCriteria) []imap.UID {
	t.Helper()
	d, err := c.UIDSearch(criteria, nil).Wait()
	if err != nil {
		t.Fatal(err)
	}
	return d.AllUIDs()
}

var all = &imap.SearchCriteria{}

func TestLoginIsRefused(t *testing.T) {
	b := serveMail(t, t.TempDir())
	c, err := imapclient.DialTLS(b.addr, &imapclient.Options{TLSConfig: &tls.Config{InsecureSkipVerify: true}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Login("anna", "sbagliata").Wait(); err == nil {
		t.Error("a wrong password logs in")
	}
}

// What an operator's mail program does: copy, move, mark, expunge; and the
// UIDs that tell which copy is which.
func TestCopyMoveExpunge(t *testing.T) {
	b := serveMail(t, t.TempDir())
	for n := 1; n <= 4; n++ {
		b.deliver("INBOX", n)
	}
	c := b.client(nil)
	if err := c.Create("INBOX/altra", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	selected(t, c, "INBOX")
	copied, err := c.Copy(imap.UIDSetNum(2, 3), "INBOX/altra").Wait()
	if err != nil || fmt.Sprint(copied.SourceUIDs, copied.DestUIDs) != "2:3 1:2" {
		t.Fatalf("COPY: %+v, %v", copied, err)
	}
	moved, err := c.Move(imap.UIDSetNum(4), "INBOX/altra").Wait()
	if err != nil || fmt.Sprint(moved.SourceUIDs, moved.DestUIDs) != "4 3" {
		t.Fatalf("MOVE: %+v, %v", moved, err)
	}
	if nothing, err := c.Copy(imap.UIDSetNum(99), "INBOX/altra").Wait(); err != nil || len(nothing.DestUIDs) != 0 {
		t.Errorf("COPY of no message: %+v, %v", nothing, err)
	}
	if _, err := c.Copy(imap.UIDSetNum(1), "nessuna").Wait(); err == nil {
		t.Error("COPY into no folder is OK")
	}
	mark := &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}}
	if err := c.Store(imap.UIDSetNum(1, 2), mark, nil).Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.UIDExpunge(imap.UIDSetNum(2)).Close(); err != nil {
		t.Fatal(err)
	}
	if left := uids(t, c, all); !slices.Equal(left, []imap.UID{1, 3}) {
		t.Errorf("%v are left; 1 is marked by somebody else, 2 was expunged, 4 moved", left)
	}
	selected(t, c, "INBOX/altra")
	if got := uids(t, c, &imap.SearchCriteria{Header: []imap.SearchCriteriaHeaderField{{Key: "Message-ID", Value: "<4@example.it>"}}}); !slices.Equal(got, []imap.UID{3}) {
		t.Errorf("the search finds %v", got)
	}
}

// A session that waits in IDLE hears of a new message at once.
func TestIdleHears(t *testing.T) {
	b := serveMail(t, t.TempDir())
	news := make(chan uint32, 10)
	c := b.client(news)
	selected(t, c, "INBOX")
	idle, err := c.Idle()
	if err != nil {
		t.Fatal(err)
	}
	b.deliver("INBOX", 1)
	if n := <-news; n != 1 {
		t.Errorf("IDLE tells of %d messages", n)
	}
	if err := idle.Close(); err != nil {
		t.Fatal(err)
	}
	if err := idle.Wait(); err != nil {
		t.Fatal(err)
	}
}

// A second start finds bodies, flags, UIDs and UIDVALIDITY as they were, and
// uses no UID again.
func TestMailIsKept(t *testing.T) {
	dir := t.TempDir()
	b := serveMail(t, dir)
	b.deliver("INBOX", 1)
	b.deliver("INBOX", 2)
	c := b.client(nil)
	before := selected(t, c, "INBOX")
	seen := &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagFlagged, imap.FlagDeleted}}
	if err := c.Store(imap.UIDSetNum(2), seen, nil).Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.UIDExpunge(imap.UIDSetNum(2)).Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Store(imap.UIDSetNum(1), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagFlagged}}, nil).Close(); err != nil {
		t.Fatal(err)
	}
	c.Close()
	b.stop()

	b = serveMail(t, dir)
	b.deliver("INBOX", 3)
	c = b.client(nil)
	if after := selected(t, c, "INBOX"); after.UIDValidity != before.UIDValidity || after.UIDNext != before.UIDNext+1 || after.NumMessages != 2 {
		t.Errorf("before %+v, after the restart %+v", before, after)
	}
	section := &imap.FetchItemBodySection{Peek: true}
	messages, err := c.Fetch(imap.UIDSetNum(1), &imap.FetchOptions{Flags: true, InternalDate: true, RFC822Size: true, BodySection: []*imap.FetchItemBodySection{section}}).Collect()
	if err != nil || len(messages) != 1 {
		t.Fatalf("%d messages, %v", len(messages), err)
	}
	m := messages[0]
	body := m.FindBodySection(section)
	if !bytes.Contains(body, []byte("Testo 1\r\n")) || m.RFC822Size != int64(len(body)) || !slices.Contains(m.Flags, imap.FlagFlagged) ||
		!m.InternalDate.Equal(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)) {
		t.Errorf("the kept message is %v %v %v %q", m.Flags, m.InternalDate, m.RFC822Size, body)
	}
}

// A folder made anew under the same name is another one.
func TestFolderMadeAnewHasAnotherValidity(t *testing.T) {
	b := serveMail(t, t.TempDir())
	c := b.client(nil)
	var validity []uint32
	for range 2 {
		if err := c.Create("prova", nil).Wait(); err != nil {
			t.Fatal(err)
		}
		validity = append(validity, selected(t, c, "prova").UIDValidity)
		if err := c.Unselect().Wait(); err != nil {
			t.Fatal(err)
		}
		if err := c.Delete("prova").Wait(); err != nil {
			t.Fatal(err)
		}
	}
	if validity[0] == validity[1] {
		t.Errorf("both have UIDVALIDITY %d", validity[0])
	}
}
