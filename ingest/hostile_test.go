package ingest

import (
	"bytes"

	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/protodaemon/protodaemon/register"
)

// fakeBox is a mailbox on a fake server; the folders are below the inbox.
func fakeBox(f *fake) Mailbox {
	m := Mailbox{
		Organization: org, Register: reg, ID: "u1",
		IMAP:    IMAP{Host: "127.0.0.1", TLS: "none", Username: "u1", Password: func() (string, error) { return "x", nil }},
		Folders: Folders{Inbox: "INBOX", Pending: watched, Registered: filed},
	}
	return at(m, f.addr)
}

const everything = 1 << 30

func TestBrokenServers(t *testing.T) {
	for _, c := range []struct {
		name  string
		trick func(f *fake, w io.Writer, tag, command string) (bool, error)
	}{
		{"the connection ends in a body", once(2, "*BODY.PEEK[]", func(f *fake, w io.Writer, tag, command string) (bool, error) {
			fmt.Fprintf(w, "* 1 FETCH (UID 1 BODY[] {%d}\r\n%s", len(message(1)), message(1)[:40])
			return true, errHangUp
		})},
		{"UID comes after the body", once(2, "*BODY.PEEK[]", func(f *fake, w io.Writer, tag, command string) (bool, error) {
			fmt.Fprintf(w, "* 1 FETCH (BODY[] {%d}\r\n%s UID 1)\r\n%s OK done\r\n", len(message(1)), message(1), tag)
			return true, nil
		})},
		{"the body is NIL", once(2, "*BODY.PEEK[]", func(f *fake, w io.Writer, tag, command string) (bool, error) {
			fmt.Fprintf(w, "* 1 FETCH (UID 1 BODY[] NIL)\r\n%s OK done\r\n", tag)
			return true, nil
		})},
		{"a short body", once(2, "*BODY.PEEK[]", func(f *fake, w io.Writer, tag, command string) (bool, error) {
			fmt.Fprintf(w, "* 1 FETCH (UID 1 BODY[] {40}\r\n%s)\r\n%s OK done\r\n", message(1)[:40], tag)
			return true, nil
		})},
		{"flags in the place of the body", once(2, "*BODY.PEEK[]", func(f *fake, w io.Writer, tag, command string) (bool, error) {
			fmt.Fprintf(w, "* 1 FETCH (UID 1 FLAGS (\\Seen))\r\n")
			return false, nil
		})},
		{"flags in the place of the listing", once(2, "UID FETCH 1:* ", func(f *fake, w io.Writer, tag, command string) (bool, error) {
			fmt.Fprintf(w, "* 1 FETCH (UID 1 FLAGS (\\Seen))\r\n")
			return false, nil
		})},
		{"an unknown response", once(2, "NOOP", func(f *fake, w io.Writer, tag, command string) (bool, error) {
			fmt.Fprintf(w, "* XFOO bar\r\n%s OK done\r\n", tag)
			return true, nil
		})},
		{"NO to the fetch", once(2, "*BODY.PEEK[]", func(f *fake, w io.Writer, tag, command string) (bool, error) {
			fmt.Fprintf(w, "%s NO [SERVERBUG] not now\r\n", tag)
			return true, nil
		})},
		{"a string without end", once(2, "LIST", func(f *fake, w io.Writer, tag, command string) (bool, error) {
			fmt.Fprintf(w, "* LIST () \".\" {536870912}\r\n%s", strings.Repeat("x", 100_000))
			return true, nil
		})},
		{"IDLE is refused", once(everything, "IDLE", func(f *fake, w io.Writer, tag, command string) (bool, error) {
			fmt.Fprintf(w, "%s NO not today\r\n", tag)
			return true, nil
		})},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := startFake(t, "IDLE UIDPLUS")
			f.folders[folder(watched)] = nil
			f.put(folder(watched), message(1))
			f.trick = idleToo(c.trick)
			d := newDesk(t, "u1")
			watch(t, Options{Office: d, Mailboxes: []Mailbox{fakeBox(f)}})
			got := d.wait(register.StatePending, 1)[0]
			if raw := d.raw(got); !bytes.Equal(raw, message(1)) {
				t.Errorf("the bytes differ: %q", raw)
			}
			f.put(folder(watched), message(2))
			d.wait(register.StatePending, 2)
			if n := len(d.list(register.StateWithdrawn)); n != 0 {
				t.Errorf("%d were withdrawn", n)
			}
		})
	}
}

// idleToo accepts IDLE and never says anything in it.
func idleToo(trick func(f *fake, w io.Writer, tag, command string) (bool, error)) func(*fake, io.Writer, string, string) (bool, error) {
	idle := ""
	return func(f *fake, w io.Writer, tag, command string) (bool, error) {
		if done, err := trick(f, w, tag, command); done || err != nil {
			return done, err
		}
		switch {
		case command == "IDLE":
			idle = tag
			fmt.Fprint(w, "+ idling\r\n")
			return true, nil
		case tag == "DONE":
			fmt.Fprintf(w, "%s OK done\r\n", idle)
			return true, nil
		}
		return false, nil
	}
}

func TestSizesThatDiffer(t *testing.T) {
	t.Parallel()
	f := startFake(t, "UIDPLUS")
	f.folders[folder(watched)] = nil
	f.put(folder(watched), message(1))
	f.trick = once(everything, "UID FETCH 1:* ", func(f *fake, w io.Writer, tag, command string) (bool, error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		for i, m := range f.folders[folder(watched)] {
			fmt.Fprintf(w, "* %d FETCH (UID %d FLAGS () RFC822.SIZE 5 INTERNALDATE \"01-Sep-2026 10:00:00 +0200\")\r\n", i+1, m.uid)
		}
		fmt.Fprintf(w, "%s OK done\r\n", tag)
		return true, nil
	})
	d := newDesk(t, "u1")
	watch(t, Options{Office: d, Mailboxes: []Mailbox{fakeBox(f)}})
	p := d.wait(register.StateQuarantined, 1)[0]
	if raw := d.raw(p); !bytes.Equal(raw, message(1)) || !strings.Contains(p.Reason, "lists 5 octets") {
		t.Errorf("%q: %q", p.Reason, raw)
	}
	d.confirm(p)
	d.ended(p.ID)
}

// One message that never comes through stops neither the others nor moves.
func TestOneBadMessage(t *testing.T) {
	t.Parallel()
	f := startFake(t, "UIDPLUS")
	f.folders[folder(watched)] = nil
	for n := range 5 {
		f.put(folder(watched), message(n))
	}
	f.trick = func(f *fake, w io.Writer, tag, command string) (bool, error) {
		set, body, _ := strings.Cut(strings.TrimPrefix(command, "UID FETCH "), " ")
		if !strings.Contains(body, "BODY.PEEK[]") || !inSet(set, 2) {
			return false, nil
		}
		fmt.Fprintf(w, "* 2 FETCH (UID 2 BODY[] {500}\r\nFrom: ")
		return true, errHangUp
	}
	d := newDesk(t, "u1")
	reg := prometheus.NewRegistry()
	watch(t, Options{Office: d, Mailboxes: []Mailbox{fakeBox(f)}, Metrics: reg})
	p := d.wait(register.StatePending, 4)
	d.confirm(p...)
	for _, one := range p {
		d.ended(one.ID)
	}
	if n := f.count(folder(watched)); n != 1 {
		t.Errorf("%d messages are left", n)
	}
	want := `# HELP protodaemon_messages_failed_total Messages that could not be taken in three attempts.
# TYPE protodaemon_messages_failed_total counter
protodaemon_messages_failed_total{mailbox="u1",organization="ordine",reason="fetch"} 1
protodaemon_messages_failed_total{mailbox="u1",organization="ordine",reason="register"} 0
protodaemon_messages_failed_total{mailbox="u1",organization="ordine",reason="size"} 0
protodaemon_messages_failed_total{mailbox="u1",organization="ordine",reason="store"} 0
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "protodaemon_messages_failed_total"); err != nil {
		t.Error(err)
	}
}

func TestCopiesThatAreNone(t *testing.T) {
	for _, c := range []struct {
		name, caps, says, blocked string
	}{
		{"OK without copying", "UIDPLUS", "OK done", "there is no copy"},
		{"OK without copying, no UIDPLUS", "", "OK done", "there is no copy"},
		{"COPYUID of another message", "UIDPLUS", "OK [COPYUID 7 99 100] done", "there is no copy"},
		{"COPYUID of everything and nothing", "UIDPLUS", "OK [COPYUID 8 1:4294967295 1:4294967295] done", "there is no copy"},
		{"refused", "UIDPLUS", "NO [NOPERM] not you", "not you"},
		{"MOVE that moves nothing", "MOVE", "OK done", "there is no copy"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := startFake(t, c.caps)
			f.folders[folder(watched)] = nil
			f.put(folder(watched), message(1))
			f.trick = func(f *fake, w io.Writer, tag, command string) (bool, error) {
				if !strings.HasPrefix(command, "UID COPY") && !strings.HasPrefix(command, "UID MOVE") {
					return false, nil
				}
				fmt.Fprintf(w, "%s %s\r\n", tag, c.says)
				return true, nil
			}
			d := newDesk(t, "u1")
			watch(t, Options{Office: d, Mailboxes: []Mailbox{fakeBox(f)}})
			p := d.wait(register.StatePending, 1)
			d.confirm(p...)
			d.blockedBy(p[0].ID, c.blocked)
			if f.count(folder(watched)) != 1 || f.sent("UID STORE") || f.sent("UID EXPUNGE") || f.sent("EXPUNGE") {
				t.Error("the original was touched")
			}
			f.mu.Lock()
			f.trick = nil
			if c.caps == "MOVE" {
				f.caps = "UIDPLUS"
			}
			f.mu.Unlock()
			if c.caps != "MOVE" {
				d.ended(p[0].ID)
			}
		})
	}
}

// A copy whose answer never comes: after the reconnection it is found, and
// not made again.
func TestAnswerLost(t *testing.T) {
	t.Parallel()
	f := startFake(t, "UIDPLUS")
	f.folders[folder(watched)] = nil
	f.put(folder(watched), message(1))
	f.trick = once(1, "UID COPY", func(f *fake, w io.Writer, tag, command string) (bool, error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.uid(w, folder(watched), strings.TrimPrefix(command, "UID "))
		return true, errHangUp
	})
	d := newDesk(t, "u1")
	watch(t, Options{Office: d, Mailboxes: []Mailbox{fakeBox(f)}})
	p := d.wait(register.StatePending, 1)
	d.confirm(p...)
	d.ended(p[0].ID)
	if n, left := f.count(folder(filed)), f.count(folder(watched)); n != 1 || left != 0 {
		t.Errorf("%d copies, %d left", n, left)
	}
}

// pipe logs in to a scripted server inside a synctest bubble.
func pipe(t *testing.T, script func(server net.Conn)) *session {
	t.Helper()
	client, server := net.Pipe()
	t.Cleanup(func() { server.Close() })
	go script(server)
	var tm Timing
	tm.defaults()
	s, err := start(t.Context(), newWire(client, client, "", 1<<20), IMAP{Username: "u"}, "p", tm, func() {})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// obey answers n commands with OK and then says what tail tells.
func obey(n int, tail func(server net.Conn, tag string)) func(net.Conn) {
	return func(server net.Conn) {
		fmt.Fprint(server, "* OK [CAPABILITY IMAP4rev1 IDLE UIDPLUS MOVE] ready\r\n")
		b := make([]byte, 4096)
		for i := 0; ; i++ {
			k, err := server.Read(b)
			if err != nil {
				return
			}
			tag, command, _ := strings.Cut(strings.TrimSpace(string(b[:k])), " ")
			if i >= n {
				tail(server, tag)
				continue
			}
			if command == "CAPABILITY" {
				fmt.Fprint(server, "* CAPABILITY IMAP4rev1 IDLE UIDPLUS MOVE\r\n")
			}
			fmt.Fprintf(server, "%s OK [CAPABILITY IMAP4rev1 IDLE UIDPLUS MOVE] done\r\n", tag)
		}
	}
}

func TestFrozenServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := pipe(t, obey(2, func(net.Conn, string) {}))
		begun := time.Now()
		err := s.do(t.Context(), s.t.Command, func() error { return s.c.Noop().Wait() })
		if !errors.Is(err, errSilent) || time.Since(begun) != s.t.Command {
			t.Errorf("after %v: %v", time.Since(begun), err)
		}
		s.close()
	})
}

func TestStalledBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := pipe(t, obey(2, func(server net.Conn, tag string) {
			fmt.Fprint(server, "* 1 FETCH (UID 1 BODY[] {1000}\r\n")
			for range 5 {
				time.Sleep(50 * time.Second)
				fmt.Fprint(server, "slowly")
			}
		}))
		begun := time.Now()
		err := s.bodies(t.Context(), []item{{uid: 1, size: 1000}}, 0, func(_ imap.UID, l imap.LiteralReader) { _, _ = io.Copy(io.Discard, l) })
		if err == nil || time.Since(begun) > 5*time.Minute {
			t.Errorf("after %v: %v", time.Since(begun), err)
		}
		s.close()
		time.Sleep(5 * time.Minute) // the server finds out
	})
}

func TestFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := pipe(t, obey(2, func(server net.Conn, tag string) {
			line := []byte("* OK " + strings.Repeat("x", 60_000) + "\r\n")
			for {
				if _, err := server.Write(line); err != nil {
					return
				}
			}
		}))
		if err := s.do(t.Context(), s.t.Command, func() error { return s.c.Noop().Wait() }); err == nil {
			t.Error("endless lines were taken for an answer")
		}
		if n := s.w.received.Load(); n > maxPerCommand+100_000 {
			t.Errorf("%d octets were read", n)
		}
		s.close()
	})
}

// Client.Move falls back to COPY, STORE and EXPUNGE when the server loses MOVE
// under its feet: nothing of that may be written.
func TestOnlyMoveIsWritten(t *testing.T) {
	for _, c := range []struct {
		writes []string
		ok     bool
	}{
		{[]string{"T1 UID MOVE 5 \"a\"\r\n"}, true},
		{[]string{"T1 UID MO", "VE 5 a\r\n"}, false},
		{[]string{"T1 UID MOVE 5", " a\r\n"}, true},
		{[]string{"T1 UID COPY 5 a\r\n"}, false},
		{[]string{"T1 MOVE 5 a\r\n"}, false},
		{[]string{"T1 EXPUNGE\r\n"}, false},
		{[]string{"T1 UID MOVE 5 a\r\n", "T2 EXPUNGE\r\n"}, false},
		{[]string{"T1 UID MOVE 5 a\r\nT2 EXPUNGE\r\n"}, false},
	} {
		client, server := net.Pipe()
		var got bytes.Buffer
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = io.Copy(&got, server)
		}()
		w := newWire(client, client, "", 0)
		w.onlyMove(true)
		var err error
		for _, s := range c.writes {
			if err == nil {
				_, err = w.Write([]byte(s))
			}
		}
		client.Close()
		<-done
		server.Close()
		if (err == nil) != c.ok || strings.Contains(got.String(), "EXPUNGE") || strings.Contains(got.String(), "COPY") {
			t.Errorf("%q: %v, sent %q", c.writes, err, got.String())
		}
	}
}

func TestPreauthAndInjection(t *testing.T) {
	for _, c := range []struct{ greeting, answer string }{
		{"* PREAUTH welcome\r\n", ""},
		{"* OK ready\r\n", "S OK go\r\n* OK injected\r\n"},
		{"* OK ready\r\n", "S NO never\r\n"},
		{"* OK ready\r\n", strings.Repeat("* OK still here\r\n", 100)},
		{strings.Repeat("x", 10_000), ""},
	} {
		client, server := net.Pipe()
		go func() {
			fmt.Fprint(server, c.greeting)
			b := make([]byte, 100)
			_, _ = server.Read(b)
			fmt.Fprint(server, c.answer)
			server.Close()
		}()
		if err := startTLS(client); err == nil {
			t.Errorf("%q then %q was accepted", c.greeting, c.answer)
		}
		client.Close()
	}
}
