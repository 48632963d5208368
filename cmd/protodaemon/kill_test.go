package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/protodaemon/protodaemon/internal/dovecot"
)

// moment is a kind of instant at which the daemon is killed.
type moment string

const (
	inFetch       moment = "fetch"
	inBlob        moment = "blob"
	inRecord      moment = "record"
	inConfirm     moment = "confirm"
	afterCopy     moment = "between COPY and EXPUNGE"
	afterExpunge  moment = "after EXPUNGE"
	killsOfEach          = 17 // of six kinds: 102 kills
	messagesAKill        = 2
)

var moments = []moment{inFetch, inBlob, inRecord, inConfirm, afterCopy, afterExpunge}

// callsOf are the system calls that strace kills at: those that make a blob
// durable, a record, and a number with its witness.
var callsOf = map[moment][]string{
	inBlob:    {"fsync,renameat"},
	inRecord:  {"fdatasync,pwrite64"},
	inConfirm: {"fdatasync", "pwrite64", "fsync"},
}

// TestKilled kills the daemon with SIGKILL a hundred times while it takes in,
// numbers and moves two hundred messages, and asks for the outcome of a calm
// run: every message has one number, every number that was answered is the one
// in the register, and every message lies in the registered folder as it was.
func TestKilled(t *testing.T) {
	k := newKilling(t)
	for _, m := range moments {
		for k.kills[m] < killsOfEach {
			k.round(t, m)
		}
	}
	for len(k.sent) < 200 {
		k.send(t)
	}
	k.settle(t)
	k.compare(t)
	total := 0
	for _, m := range moments {
		t.Logf("killed %3d times: %s", k.kills[m], m)
		total += k.kills[m]
		if k.kills[m] < 15 {
			t.Errorf("only %d kills: %s", k.kills[m], m)
		}
	}
	t.Logf("killed %3d times in all, %d rounds ended without one", total, k.missed)
}

// killing is the state of the whole run.
type killing struct {
	*office
	tap      *tap
	daemon   *process
	mail     [][]byte
	sent     map[string]bool   // raw messages put into the watched folder
	answered map[string]string // pending id → number that a client was told
	kills    map[moment]int
	missed   int
}

func newKilling(t *testing.T) *killing {
	t.Helper()
	k := &killing{office: openOffice(t, dovecot.Options{}, false)}
	k.sent, k.answered, k.kills = map[string]bool{}, map[string]string{}, map[moment]int{}
	k.mail = mix(t, k.provider, 400)
	k.tap = newTap(t, k.server.Addr)
	for _, change := range [][2]string{
		{"port: " + port(t, k.server.TLSAddr), "port: " + port(t, k.tap.Addr().String())},
		{"tls: implicit", "tls: none"},
	} {
		edit(t, k.config, change[0], change[1])
	}
	return k
}

func port(t *testing.T, addr string) string {
	t.Helper()
	_, p := hostPort(t, addr)
	return p
}

// run makes sure that a daemon is running and watching.
func (k *killing) run(t *testing.T) {
	t.Helper()
	if k.daemon == nil {
		k.daemon = k.start(t)
		k.awaitWatching(t, k.daemon)
	}
}

// round sets the daemon to work and kills it at the moment.
func (k *killing) round(t *testing.T, m moment) {
	t.Helper()
	k.run(t)
	n := k.kills[m] + k.missed
	kill := func() { _ = k.daemon.cmd.Process.Kill() }
	switch m {
	case inFetch:
		k.tap.arm(trigger{fromServer: true, pattern: regexp.MustCompile(`BODY\[\] \{\d+\}`), part: n % 4, act: kill})
		k.sendSome(t)
		k.expect(t, m)
	case inBlob, inRecord:
		k.traced(t, m, callsOf[m][0], 1+n%5, func() { k.sendSome(t) })
	case inConfirm:
		k.sendSome(t)
		ids := k.waiting(t, messagesAKill)
		k.traced(t, m, callsOf[m][n%3], 1+n%2, func() { k.confirm(t, ids) })
	case afterCopy, afterExpunge:
		k.sendSome(t)
		ids := k.waiting(t, messagesAKill)
		k.tap.arm(moveTrigger(m, n, kill))
		k.confirm(t, ids)
		k.expect(t, m)
	}
}

// moveTrigger picks one of the instants in the move: the server's answer to
// COPY lost, half read or read, the daemon's next commands lost; the answer to
// EXPUNGE lost or read.
func moveTrigger(m moment, n int, kill func()) trigger {
	if m == afterExpunge {
		return trigger{fromServer: true, pattern: regexp.MustCompile(`OK .*[Ee]xpunge`), part: []int{0, 4}[n%2], act: kill}
	}
	kinds := []trigger{
		{fromServer: true, pattern: regexp.MustCompile(`COPYUID`), part: 0},
		{fromServer: true, pattern: regexp.MustCompile(`COPYUID`), part: 2},
		{fromServer: true, pattern: regexp.MustCompile(`COPYUID`), part: 4},
		{pattern: regexp.MustCompile(`STORE .*Deleted`), part: 0},
		{pattern: regexp.MustCompile(`STORE .*Deleted`), part: 4},
		{pattern: regexp.MustCompile(`UID EXPUNGE`), part: 0},
	}
	tr := kinds[n%len(kinds)]
	tr.act = kill
	return tr
}

// send puts one more message into the watched folder.
func (k *killing) send(t *testing.T) {
	t.Helper()
	n := len(k.sent)
	if n == len(k.mail) {
		t.Fatalf("%d messages were not enough for the kills", n)
	}
	raw := k.mail[n]
	k.sent[string(raw)] = true
	if err := k.operator.Append(k.office.pending, raw); err != nil {
		t.Fatal(err)
	}
}

func (k *killing) sendSome(t *testing.T) {
	t.Helper()
	for range messagesAKill {
		k.send(t)
	}
}

// waiting returns at least n pending entries without a number.
func (k *killing) waiting(t *testing.T, n int) []string {
	t.Helper()
	var ids []string
	eventually(t, "messages are pending", func() bool {
		ids = k.open(t)
		return len(ids) >= n
	})
	return ids
}

// confirm asks for numbers, and remembers those that were answered before the
// daemon died.
func (k *killing) confirm(t *testing.T, ids []string) {
	t.Helper()
	for _, id := range ids {
		status, body, err := k.daemon.try(t.Context(), http.MethodPost, "/api/v1/pending/"+id+"/confirm", `{"classification":"1.1","subject":"Una prova"}`)
		if err != nil {
			return
		}
		if status != http.StatusCreated && status != http.StatusOK {
			t.Fatalf("confirming %s: %d %s", id, status, body)
		}
		var entry struct{ Number string }
		if err := json.Unmarshal(body, &entry); err != nil {
			t.Fatal(err)
		}
		if was := k.answered[id]; was != "" && was != entry.Number {
			t.Fatalf("%s was answered %s and then %s", id, was, entry.Number)
		}
		k.answered[id] = entry.Number
	}
}

// expect waits for the kill that is armed, and counts it.
func (k *killing) expect(t *testing.T, m moment) {
	t.Helper()
	limit := time.NewTimer(10 * time.Second)
	defer limit.Stop()
	select {
	case <-k.daemon.ended:
		k.kills[m]++
	case <-limit.C:
		k.tap.disarm()
		if k.missed++; k.missed > 40 {
			t.Fatalf("the moment %q does not come any more", m)
		}
		k.daemon.stop(t)
	}
	k.daemon = nil
}

// traced lets strace kill the daemon at its n-th call of those named, while it
// does the work. What was really hit is read from the trace.
func (k *killing) traced(t *testing.T, m moment, calls string, n int, work func()) {
	t.Helper()
	tr := startTrace(t, k.daemon.cmd.Process.Pid, calls, "-e", fmt.Sprintf("inject=%s:signal=SIGKILL:when=%d", calls, n))
	work()
	limit := time.NewTimer(10 * time.Second)
	defer limit.Stop()
	select {
	case <-k.daemon.ended:
	case <-limit.C:
		_ = k.daemon.cmd.Process.Kill()
		<-k.daemon.ended
	}
	tr.end()
	k.daemon = nil
	k.count(t, m, tr.file)
}

// count books the kill under what the last call of the trace was about.
func (k *killing) count(t *testing.T, m moment, trace string) {
	t.Helper()
	data, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	var hit string
	for line := range bytes.Lines(data) {
		if bytes.Contains(line, []byte("(")) && (bytes.Contains(line, []byte("= ?")) || bytes.Contains(line, []byte("<unfinished"))) {
			hit = string(line)
		}
	}
	switch {
	case strings.Contains(hit, "/blobs/"):
		m = inBlob
	case strings.Contains(hit, "/notes/") || hit == "":
		k.missed++
		return
	case m == inBlob:
		m = inRecord
	}
	k.kills[m]++
}

// numbered is an entry as far as the outcome goes.
type numbered struct {
	Number string `json:"number"`
	Moved  string `json:"moved"`
	Origin struct {
		Pending string `json:"pending"`
	} `json:"origin"`
}

func (k *killing) entries(t *testing.T) []numbered {
	t.Helper()
	return list[numbered](t, k.daemon, books+"/entries")
}

// open lists the pending entries without a number.
func (k *killing) open(t *testing.T) []string {
	t.Helper()
	var ids []string
	for _, p := range list[item](t, k.daemon, books+"/pending") {
		ids = append(ids, p.ID)
	}
	return ids
}

// settle lets a last daemon finish everything without being disturbed.
func (k *killing) settle(t *testing.T) {
	t.Helper()
	k.run(t)
	eventually(t, "every message has a number", func() bool {
		k.confirm(t, k.open(t))
		return len(k.entries(t)) >= len(k.sent)
	})
	eventually(t, "the pending folder is empty", func() bool { return len(k.folder(t, k.office.pending)) == 0 })
	eventually(t, "every move is recorded", func() bool {
		return !slices.ContainsFunc(k.entries(t), func(e numbered) bool { return e.Moved != "yes" })
	})
}

// compare holds the outcome against that of a calm run.
func (k *killing) compare(t *testing.T) {
	t.Helper()
	entries := k.entries(t)
	var numbers []string
	byPending := map[string]string{}
	for _, e := range entries {
		numbers = append(numbers, e.Number)
		byPending[e.Origin.Pending] = e.Number
	}
	slices.Sort(numbers)
	for i, n := range numbers {
		if want := fmt.Sprintf("%07d", i+1); n != want {
			t.Fatalf("number %s stands where %s should", n, want)
		}
	}
	if len(numbers) != len(k.sent) {
		t.Errorf("%d messages have %d numbers", len(k.sent), len(numbers))
	}
	for id, n := range k.answered {
		if byPending[id] != n {
			t.Errorf("%s was answered number %s, and the register says %q", id, n, byPending[id])
		}
	}
	moved := k.folder(t, k.registered(t))
	for _, m := range moved {
		if !k.sent[string(m.Raw)] {
			t.Errorf("message %d in the registered folder is there twice or was never sent", m.UID)
		}
		delete(k.sent, string(m.Raw))
	}
	if len(moved) != len(entries) || len(k.sent) > 0 {
		t.Errorf("the registered folder has %d messages for %d entries; %d are missing", len(moved), len(entries), len(k.sent))
	}
	verified(t, k.config, len(entries))
}
