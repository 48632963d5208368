package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/protodaemon/protodaemon/internal/dovecot"
	"github.com/protodaemon/protodaemon/pec/sample"
)

// form is a kind of mail server, and what becomes of messages on it.
type form struct {
	name     string
	server   dovecot.Options
	startTLS bool
	messages int
	// dropTarget removes the registered folder before anything is confirmed.
	dropTarget bool
	moved      string // of every entry in the end
}

var forms = []form{
	{name: "plain", messages: 200, moved: "yes"},
	{name: "prefix", server: dovecot.Options{Prefix: "INBOX.", Separator: "."}, messages: 40, moved: "yes"},
	{name: "STARTTLS", server: dovecot.Options{StartTLSOnly: true}, startTLS: true, messages: 40, moved: "yes"},
	{name: "without MOVE", server: dovecot.Options{Without: []string{"MOVE"}}, messages: 40, moved: "yes"},
	{name: "without MOVE and UIDPLUS", server: dovecot.Options{Without: []string{"MOVE", "UIDPLUS"}}, messages: 40, moved: "copied"},
	{name: "target folder removed", messages: 40, dropTarget: true, moved: "yes"},
}

// The main job: what an operator drags into the folder becomes pending, gets
// its number when it is confirmed, and is filed.
func TestMessagesAreTakenNumberedAndFiled(t *testing.T) {
	for _, f := range forms {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			walk(t, f)
		})
	}
}

func walk(t *testing.T, f form) {
	o := openOffice(t, f.server, f.startTLS)
	mail := mix(t, o.provider, f.messages)
	half := len(mail) / 2

	o.deliver(t, mail[:half], 0)
	d := o.start(t)
	o.awaitWatching(t, d)
	o.deliver(t, mail[half:], half)
	originals := o.folder(t, "INBOX")

	pending := o.awaitPending(t, d, len(mail))
	compareRaw(t, d, pending, o.folder(t, o.pending))
	certified := 0
	for _, p := range pending {
		if p.Authenticity == "certified" {
			certified++
		}
	}
	if want := len(mail) - len(mail)/kinds*2; certified != want {
		t.Errorf("%d messages are certified, want %d", certified, want)
	}

	if f.dropTarget {
		o.do(t, fmt.Sprintf("DELETE %q", o.registered(t)))
	}
	confirmAll(t, d, pending)
	o.awaitFiled(t, d, f, mail)
	if now := o.folder(t, "INBOX"); !slices.EqualFunc(now, originals, sameMessage) {
		t.Errorf("the inbox has changed: it had %d messages, it has %d", len(originals), len(now))
	}

	verified(t, d.config, len(mail))
	if status := d.stop(t); status != 0 {
		t.Errorf("the daemon ended with status %d", status)
	}
	verified(t, d.config, len(mail))
}

// office is a mailbox with its operator, and a configuration for it.
type office struct {
	server   *dovecot.Server
	operator *dovecot.Client
	provider *sample.Provider
	pending  string // full name of the watched folder
	config   string
	token    string
}

// openOffice makes everything but the daemon itself. The operator has made
// the watched folder already.
func openOffice(t *testing.T, options dovecot.Options, startTLS bool) *office {
	t.Helper()
	provider, err := sample.NewProvider(sample.Options{ECDSA: true})
	if err != nil {
		t.Fatal(err)
	}
	o := &office{server: dovecot.Start(t, options), provider: provider, pending: "INBOX.sfera_msg_da_prot"}
	if o.operator, err = o.server.Login("u1"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.operator.Close() })
	o.do(t, fmt.Sprintf("CREATE %q", o.pending))
	account := imapAccount{addr: o.server.TLSAddr, tls: "implicit", caFile: o.server.CAFile, username: "u1", password: dovecot.Password}
	if startTLS {
		account.addr, account.tls = o.server.Addr, "starttls"
	}
	o.config = writeConfig(t, account, provider.CAPEM())
	mustRun(t, "user", "add", "--config", o.config, "--user", "anna", "--role", "manager")
	o.token = mustRun(t, "token", "create", "--config", o.config, "--user", "anna")
	return o
}

func (o *office) start(t *testing.T) *process {
	t.Helper()
	d := startDaemon(t, o.config)
	d.token = o.token
	return d
}

func (o *office) do(t *testing.T, command string) {
	t.Helper()
	if _, err := o.operator.Do(command); err != nil {
		t.Fatalf("the operator's %s: %v", command, err)
	}
}

// deliver brings messages into the watched folder as mail programs do: some
// are put there, some copied from the inbox and some moved. first is the
// number of the first, which decides the way.
func (o *office) deliver(t *testing.T, mail [][]byte, first int) {
	t.Helper()
	for i, raw := range mail {
		verb := []string{"", "COPY", "MOVE"}[(first+i)%3]
		to := "INBOX"
		if verb == "" {
			to = o.pending
		}
		if err := o.operator.Append(to, raw); err != nil {
			t.Fatalf("the operator's APPEND to %s: %v", to, err)
		}
		if verb != "" {
			o.do(t, "SELECT INBOX")
			o.do(t, fmt.Sprintf("%s * %q", verb, o.pending))
		}
	}
}

// folder is what the server holds in a folder.
func (o *office) folder(t *testing.T, name string) []dovecot.Message {
	t.Helper()
	messages, err := o.server.Messages("u1", name)
	if err != nil {
		t.Fatalf("looking into %s: %v", name, err)
	}
	return messages
}

// registered is the full name of the folder that the daemon has made.
func (o *office) registered(t *testing.T) string {
	t.Helper()
	names, err := o.server.Folders("u1", true)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if n == "sfera_msg_prot" || strings.HasSuffix(n, ".sfera_msg_prot") {
			return n
		}
	}
	return ""
}

func sameMessage(a, b dovecot.Message) bool {
	return a.UID == b.UID && slices.Equal(visible(a.Flags), visible(b.Flags)) && string(a.Raw) == string(b.Raw)
}

// visible leaves out \Recent, which every session changes.
func visible(flags []string) []string {
	return slices.DeleteFunc(slices.Clone(flags), func(f string) bool { return f == `\Recent` })
}

func digests(messages []dovecot.Message) map[string]int {
	all := map[string]int{}
	for _, m := range messages {
		all[fmt.Sprintf("%x", sha256.Sum256(m.Raw))]++
	}
	return all
}

// item is a pending entry as the API lists it.
type item struct {
	ID           string `json:"id"`
	SHA256       string `json:"sha256"`
	Kind         string `json:"kind"`
	Authenticity string `json:"authenticity"`
	State        string `json:"state"`
	Entry        string `json:"entry"`
}

type page[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next"`
}

const books = "/api/v1/organizations/ordine/registers/istituzionale"

// list reads all pages of a list.
func list[T any](t *testing.T, d *process, path string) []T {
	t.Helper()
	separator := "?"
	if strings.Contains(path, "?") {
		separator = "&"
	}
	var all []T
	for cursor := ""; ; {
		p := get[page[T]](t, d, path+separator+"limit=100&cursor="+cursor)
		all = append(all, p.Items...)
		if p.Next == "" {
			return all
		}
		cursor = p.Next
	}
}

func (o *office) awaitWatching(t *testing.T, d *process) {
	t.Helper()
	eventually(t, "the mailbox is watched", func() bool {
		boxes := get[page[struct {
			State string `json:"state"`
		}]](t, d, "/api/v1/mailboxes")
		return len(boxes.Items) == 1 && (boxes.Items[0].State == "watching" || boxes.Items[0].State == "polling")
	})
}

// awaitPending waits until as many entries are pending, and no more.
func (o *office) awaitPending(t *testing.T, d *process, n int) []item {
	t.Helper()
	var all []item
	eventually(t, fmt.Sprintf("%d messages are pending", n), func() bool {
		all = list[item](t, d, books+"/pending")
		return len(all) >= n
	})
	if len(all) != n {
		t.Fatalf("%d messages became %d pending entries", n, len(all))
	}
	return all
}

// compareRaw holds what the daemon gives back against what the server holds.
func compareRaw(t *testing.T, d *process, pending []item, held []dovecot.Message) {
	t.Helper()
	want := digests(held)
	got := map[string]int{}
	for _, p := range pending {
		status, raw := d.do(t, http.MethodGet, "/api/v1/pending/"+p.ID+"/raw", "")
		digest := fmt.Sprintf("%x", sha256.Sum256(raw))
		if status != http.StatusOK || digest != p.SHA256 {
			t.Fatalf("raw bytes of %s: status %d, %d bytes with digest %s, listed with %s", p.ID, status, len(raw), digest, p.SHA256)
		}
		got[digest]++
	}
	if !maps.Equal(got, want) {
		t.Errorf("the daemon keeps %d different messages, the server %d, and they are not the same", len(got), len(want))
	}
}

// confirmAll has 64 clients confirm at once, and expects the numbers 1 to n.
func confirmAll(t *testing.T, d *process, pending []item) {
	t.Helper()
	work := make(chan item, len(pending))
	for _, p := range pending {
		work <- p
	}
	close(work)
	var mu sync.Mutex
	var numbers []string
	var clients sync.WaitGroup
	for range 64 {
		clients.Go(func() {
			for p := range work {
				number, err := confirm(t.Context(), d, p.ID)
				if err != nil {
					t.Errorf("confirming %s: %v", p.ID, err)
				}
				mu.Lock()
				numbers = append(numbers, number)
				mu.Unlock()
			}
		})
	}
	clients.Wait()
	slices.Sort(numbers)
	for i, n := range numbers {
		if want := fmt.Sprintf("%07d", i+1); n != want {
			t.Fatalf("number %d of %d is %q, want %s", i+1, len(numbers), n, want)
		}
	}
}

func confirm(ctx context.Context, d *process, id string) (string, error) {
	status, body, err := d.try(ctx, http.MethodPost, "/api/v1/pending/"+id+"/confirm", `{"classification":"1.1"}`)
	if err != nil {
		return "", err
	}
	var entry struct {
		Number string `json:"number"`
	}
	if err := json.Unmarshal(body, &entry); err != nil || status != http.StatusCreated {
		return "", fmt.Errorf("status %d: %s (%v)", status, body, err)
	}
	return entry.Number, nil
}

// awaitFiled waits until every entry says where its message is, and then looks
// whether it is there, once, and nowhere else.
func (o *office) awaitFiled(t *testing.T, d *process, f form, mail [][]byte) {
	t.Helper()
	eventually(t, "every message is "+f.moved, func() bool {
		all := entries(t, d)
		return len(all) == len(mail) && !slices.ContainsFunc(all, func(e entry) bool { return e.Moved != f.moved })
	})
	want := map[string]int{}
	for _, raw := range mail {
		want[fmt.Sprintf("%x", sha256.Sum256(raw))]++
	}
	if got := digests(o.folder(t, o.registered(t))); !maps.Equal(got, want) {
		t.Errorf("the registered folder holds %d different messages, want these %d once each", len(got), len(want))
	}
	left := o.folder(t, o.pending)
	if f.moved == "yes" && len(left) > 0 {
		t.Errorf("%d messages are left in the watched folder", len(left))
	}
	for _, m := range left {
		if !slices.Contains(m.Flags, `\Deleted`) {
			t.Errorf("message %d is left in the watched folder without a mark: %v", m.UID, m.Flags)
		}
	}
}

// entry is an entry as far as these tests look.
type entry struct {
	Number string `json:"number"`
	Year   int    `json:"year"`
	Moved  string `json:"moved"`
	Origin struct {
		Pending string `json:"pending"`
	} `json:"origin"`
}

// entries reads every entry alone: a list does not tell where messages are.
func entries(t *testing.T, d *process) []entry {
	t.Helper()
	all := list[entry](t, d, books+"/entries")
	for i, e := range all {
		all[i] = get[entry](t, d, fmt.Sprintf("%s/entries/%d/%s", books, e.Year, e.Number))
	}
	return all
}

// verified runs "verify", beside the daemon or without it.
func verified(t *testing.T, config string, entries int) {
	t.Helper()
	o := command(t, "verify", "--config", config, "--json")
	var v struct {
		OK       bool              `json:"ok"`
		Entries  int               `json:"entries"`
		Blobs    int               `json:"blobs"`
		Problems []json.RawMessage `json:"problems"`
	}
	if err := json.Unmarshal([]byte(o.stdout), &v); err != nil {
		t.Fatalf("verify printed %q (%v)\n%s", o.stdout, err, o.stderr)
	}
	if o.status != 0 || !v.OK || v.Entries != entries || v.Blobs < entries || v.Problems == nil {
		t.Errorf("verify: status %d, %s", o.status, o.stdout)
	}
}

// kinds is the length of the cycle of mix; two of them are not certified.
const kinds = 5

// mix makes n different messages: envelopes, receipts, an anomaly and ordinary
// mail in turn.
func mix(t *testing.T, p *sample.Provider, n int) [][]byte {
	t.Helper()
	mail := make([][]byte, n)
	for i := range mail {
		written := sample.Mail{
			From: "Mario Rossi <mario.rossi@pec.example>", To: "ordine@pec.example.it",
			Subject:   fmt.Sprintf("Istanza di accesso n. %d", i),
			Date:      time.Now(),
			MessageID: fmt.Sprintf("m%d@client.example", i),
			Text:      fmt.Sprintf("Si trasmette l'istanza n. %d.\n", i),
			Files:     []sample.File{{Name: "istanza.txt", MediaType: "text/plain", Data: fmt.Appendf(nil, "istanza %d", i)}},
		}.Bytes()
		raw, err := kindOf(p, i, written)
		if err != nil {
			t.Fatal(err)
		}
		mail[i] = raw
	}
	return mail
}

func kindOf(p *sample.Provider, i int, written []byte) ([]byte, error) {
	switch i % kinds {
	case 0:
		return written, nil
	case 1:
		return p.Anomaly(written, time.Now())
	}
	d, err := p.Submit(written, sample.Submission{})
	if err != nil {
		return nil, err
	}
	switch i % kinds {
	case 2:
		return d.Acceptance()
	default:
		return d.Envelope()
	}
}

// hostPort splits an address as the configuration wants it.
func hostPort(t *testing.T, addr string) (string, string) {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return host, port
}
