package ingest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/protodaemon/protodaemon/internal/dovecot"
	"github.com/protodaemon/protodaemon/register"
	"github.com/protodaemon/protodaemon/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	org, reg = "ordine", "istituzionale"
	watched  = "sfera_msg_da_prot"
	filed    = "sfera_msg_prot"
)

// desk is a register over a store of its own, as the daemon has it.
type desk struct {
	*register.Office
	t     testing.TB
	store *store.Bolt
	dir   string
}

func newDesk(t testing.TB, boxes ...string) *desk {
	t.Helper()
	d := &desk{t: t, dir: t.TempDir()}
	d.open(boxes...)
	t.Cleanup(d.close)
	return d
}

func (d *desk) open(boxes ...string) {
	d.t.Helper()
	st, err := store.OpenBolt(context.Background(), store.Options{Dir: d.dir, Reserve: -1})
	if err != nil {
		d.t.Fatal(err)
	}
	book := register.Book{ID: reg, Name: reg}
	for _, b := range boxes {
		book.Mailboxes = append(book.Mailboxes, register.Mailbox{Organization: org, Register: reg, ID: b, Kind: "pec", Address: b + "@pec.example.it"})
	}
	office, err := register.Open(context.Background(), st, register.Setup{
		Location:      time.UTC,
		Organizations: []register.Organization{{ID: org, Name: org, IPACode: "oaes", AOOCode: "AOO1", Registers: []register.Book{book}}},
	})
	if err != nil {
		d.t.Fatal(err)
	}
	d.store, d.Office = st, office
}

func (d *desk) close() {
	if err := d.Office.Close(); err != nil {
		d.t.Error(err)
	}
	if err := d.store.Close(); err != nil {
		d.t.Error(err)
	}
}

// list returns the register's entries in a state.
func (d *desk) list(state register.State) []register.Pending {
	d.t.Helper()
	var all []register.Pending
	q := register.PendingQuery{State: state, Limit: 500}
	for {
		page, err := d.PendingList(context.Background(), register.System(), org, reg, q)
		if err != nil {
			d.t.Fatal(err)
		}
		all = append(all, page.Items...)
		if page.Next == "" {
			return all
		}
		q.Cursor = page.Next
	}
}

// one waits for exactly n entries in the state and returns them.
func (d *desk) wait(state register.State, n int) []register.Pending {
	d.t.Helper()
	var got []register.Pending
	eventually(d.t, fmt.Sprintf("%d entries are %s", n, state), func() bool {
		got = d.list(state)
		return len(got) == n
	})
	return got
}

func (d *desk) raw(p register.Pending) []byte {
	d.t.Helper()
	b, err := d.OpenMessage(context.Background(), register.System(), p.ID)
	if err != nil {
		d.t.Fatal(err)
	}
	defer b.Close()
	raw, err := io.ReadAll(b)
	if err != nil {
		d.t.Fatal(err)
	}
	return raw
}

func (d *desk) confirm(ps ...register.Pending) {
	d.t.Helper()
	var items []register.Item
	for _, p := range ps {
		items = append(items, register.Item{ID: p.ID, Confirmation: register.Confirmation{Classification: "1.1"}})
	}
	for _, r := range d.ConfirmMany(context.Background(), register.System(), items) {
		if r.Err != nil {
			d.t.Fatal(r.Err)
		}
	}
}

func (d *desk) reject(p register.Pending) {
	d.t.Helper()
	if _, err := d.Reject(context.Background(), register.System(), p.ID, "non di competenza"); err != nil {
		d.t.Fatal(err)
	}
}

// ended waits until the act on the server is recorded, and returns how.
func (d *desk) ended(id string) register.Place {
	d.t.Helper()
	var p register.Detail
	eventually(d.t, "the act on "+id+" is recorded", func() bool {
		var err error
		if p, err = d.Pending(context.Background(), register.System(), id); err != nil {
			d.t.Fatal(err)
		}
		return p.Place != nil
	})
	return *p.Place
}

// blockedBy waits until the act stands still for a reason that says what.
func (d *desk) blockedBy(id, what string) {
	d.t.Helper()
	eventually(d.t, "the move is blocked by "+what, func() bool {
		p, err := d.Pending(context.Background(), register.System(), id)
		return err == nil && strings.Contains(p.Blocked, what)
	})
}

func (d *desk) status() register.MailboxStatus {
	d.t.Helper()
	all, err := d.Mailboxes(context.Background(), register.System())
	if err != nil || len(all) == 0 {
		d.t.Fatal("no mailbox", err)
	}
	return all[0]
}

func (d *desk) reaches(state register.MailboxState, says string) {
	d.t.Helper()
	eventually(d.t, fmt.Sprintf("the mailbox is %s %s", state, says), func() bool {
		s := d.status()
		return s.State == state && strings.Contains(s.LastError, says)
	})
}

// eventually waits for something that other processes do.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// message is a small message with CRLF line ends.
func message(n int) []byte {
	return fmt.Appendf(nil, "From: Mario Rossi <mario@example.it>\r\nTo: ordine@pec.example.it\r\nSubject: prova %d\r\nMessage-ID: <%d@example.it>\r\n\r\nTesto del messaggio %d.\r\n", n, n, n)
}

// impatient are timings for a server on the same machine.
var impatient = Timing{
	Poll: time.Second, QuickPoll: 50 * time.Millisecond, Dial: time.Second, Command: time.Second, Stall: time.Second,
	Retry: 20 * time.Millisecond, RetryMax: 200 * time.Millisecond, LoginRetry: 50 * time.Millisecond,
	MoveRetry: 100 * time.Millisecond,
}

// box is the mailbox of a user of the server over TLS.
func box(s *dovecot.Server, user string) Mailbox {
	m := Mailbox{
		Organization: org, Register: reg, ID: user, Kind: "pec", Address: user + "@pec.example.it",
		IMAP: IMAP{
			Host: "localhost", TLS: "implicit", CAFile: s.CAFile, Username: user,
			Password: func() (string, error) { return dovecot.Password, nil },
		},
		Folders: Folders{Inbox: "INBOX", Pending: watched, Registered: filed},
	}
	return at(m, s.TLSAddr)
}

// at points the mailbox at another address of this machine.
func at(m Mailbox, addr string) Mailbox {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		panic(err)
	}
	if m.IMAP.Port, err = strconv.Atoi(port); err != nil {
		panic(err)
	}
	return m
}

// watch runs ingest until stop or the end of the test.
func watch(t testing.TB, o Options) (in *Ingest, stop func()) {
	t.Helper()
	if o.Timing == (Timing{}) {
		o.Timing = impatient
	}
	in, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = in.Run(ctx)
	}()
	stop = func() {
		cancel()
		<-done
	}
	t.Cleanup(stop)
	return in, stop
}

// scene is a server, a register and a watch over one mailbox, u1.
type scene struct {
	*desk
	s      *dovecot.Server
	client *dovecot.Client
	box    Mailbox
	stop   func()
}

func stage(t testing.TB, o dovecot.Options) *scene {
	t.Helper()
	s := dovecot.Start(t, o)
	sc := &scene{s: s, box: box(s, "u1"), desk: newDesk(t, "u1")}
	sc.client = sc.login()
	return sc
}

func (sc *scene) login() *dovecot.Client {
	sc.t.Helper()
	c, err := sc.s.Login("u1")
	if err != nil {
		sc.t.Fatal(err)
	}
	sc.t.Cleanup(func() { c.Close() })
	return c
}

func (sc *scene) start() {
	sc.t.Helper()
	_, sc.stop = watch(sc.t, Options{Office: sc.desk, Mailboxes: []Mailbox{sc.box}})
}

// watching starts and waits until the folders are there.
func (sc *scene) watching() *scene {
	sc.t.Helper()
	sc.start()
	sc.reaches(register.Watching, "")
	return sc
}

// restart ends the watch and begins another one over the same register.
func (sc *scene) restart() {
	sc.stop()
	sc.start()
}

func (sc *scene) add(folder string, n int) {
	sc.t.Helper()
	if err := sc.client.Append(sc.s.Folder(folder), message(n)); err != nil {
		sc.t.Fatal(err)
	}
}

func (sc *scene) do(command string) {
	sc.t.Helper()
	if _, err := sc.client.Do(command); err != nil {
		sc.t.Fatal(err)
	}
}

// sums are the digests of what a folder holds, without what is marked \Deleted.
func (sc *scene) sums(folder string) []string {
	sc.t.Helper()
	if folder != "INBOX" {
		folder = sc.s.Folder(folder)
	}
	c := sc.login()
	defer c.Close()
	messages, err := c.Messages(folder)
	if err != nil {
		sc.t.Fatal(err)
	}
	var l []string
	for _, m := range messages {
		if !slices.Contains(m.Flags, `\Deleted`) {
			l = append(l, fmt.Sprintf("%x", sha256.Sum256(m.Raw)))
		}
	}
	slices.Sort(l)
	return l
}

// holds waits until the folder holds exactly these messages.
func (sc *scene) holds(folder string, want ...int) {
	sc.t.Helper()
	var sums []string
	for _, n := range want {
		sums = append(sums, fmt.Sprintf("%x", sha256.Sum256(message(n))))
	}
	slices.Sort(sums)
	eventually(sc.t, fmt.Sprintf("%s holds %v", folder, want), func() bool { return slices.Equal(sc.sums(folder), sums) })
}
