package ingest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// fake is a small IMAP server that does what a test tells it. It has no
// UIDPLUS, no MOVE and no IDLE unless caps names them, and it knows only the
// commands that ingest sends.
type fake struct {
	addr string
	caps string
	// trick may answer a command in the server's stead: it returns true when
	// it has, and closes the connection by returning errHangUp.
	trick func(f *fake, w io.Writer, tag, command string) (bool, error)

	mu      sync.Mutex
	folders map[string][]fakeMail
	next    int
	log     []string
}

type fakeMail struct {
	uid     int
	raw     string
	deleted bool
}

var errHangUp = fmt.Errorf("hang up")

func startFake(t *testing.T, caps string) *fake {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{addr: l.Addr().String(), caps: caps, next: 1, folders: map[string][]fakeMail{"INBOX": nil}}
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { f.serve(conn) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		conns.Wait()
	})
	return f
}

func (f *fake) put(folder string, raw []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.folders[folder] = append(f.folders[folder], fakeMail{uid: f.next, raw: string(raw)})
	f.next++
}

func (f *fake) count(folder string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.folders[folder])
}

// sent tells whether a command with this beginning was received.
func (f *fake) sent(command string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.ContainsFunc(f.log, func(l string) bool { return strings.HasPrefix(l, command) })
}

func (f *fake) serve(conn net.Conn) {
	defer conn.Close()
	fmt.Fprintf(conn, "* OK ready\r\n")
	r := bufio.NewReader(conn)
	selected := ""
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		tag, command, _ := strings.Cut(strings.TrimSpace(line), " ")
		f.mu.Lock()
		f.log = append(f.log, command)
		trick := f.trick
		f.mu.Unlock()
		if trick != nil {
			done, err := trick(f, conn, tag, command)
			if err != nil {
				return
			}
			if done {
				continue
			}
		}
		f.mu.Lock()
		f.answer(conn, tag, command, &selected)
		f.mu.Unlock()
	}
}

func (f *fake) answer(w io.Writer, tag, command string, selected *string) {
	verb, rest, _ := strings.Cut(command, " ")
	name := strings.Trim(rest, `"`)
	switch verb {
	case "CAPABILITY":
		fmt.Fprintf(w, "* CAPABILITY IMAP4rev1 %s\r\n", f.caps)
	case "LIST":
		name = strings.Trim(strings.TrimPrefix(rest, `"" `), `"`)
		if _, ok := f.folders[name]; ok || name == "" {
			fmt.Fprintf(w, "* LIST () \".\" %q\r\n", name)
		}
	case "CREATE":
		if _, ok := f.folders[name]; !ok {
			f.folders[name] = nil
		}
	case "SELECT", "EXAMINE":
		if _, ok := f.folders[name]; !ok {
			fmt.Fprintf(w, "%s NO no such folder\r\n", tag)
			return
		}
		*selected = name
		fmt.Fprintf(w, "* %d EXISTS\r\n* OK [UIDVALIDITY 7] ok\r\n", len(f.folders[name]))
	case "STATUS":
		name, _, _ = strings.Cut(rest, " ")
		fmt.Fprintf(w, "* STATUS %s (UIDVALIDITY 7 UIDNEXT %d MESSAGES %d)\r\n", name, f.next, len(f.folders[strings.Trim(name, `"`)]))
	case "NOOP":
		if *selected != "" {
			fmt.Fprintf(w, "* %d EXISTS\r\n", len(f.folders[*selected]))
		}
	case "UID":
		f.uid(w, *selected, rest)
	}
	fmt.Fprintf(w, "%s OK done\r\n", tag)
}

func (f *fake) uid(w io.Writer, selected, rest string) {
	part := strings.SplitN(rest, " ", 3)
	switch part[0] {
	case "FETCH":
		for seq, m := range f.folders[selected] {
			if inSet(part[1], m.uid) {
				fmt.Fprint(w, f.fetched(seq+1, m, strings.Contains(part[2], "BODY")))
			}
		}
	case "SEARCH":
		fmt.Fprint(w, "* SEARCH")
		for _, m := range f.folders[selected] {
			if strings.Contains(rest, fmt.Sprintf("LARGER %d ", len(m.raw)-1)) {
				fmt.Fprintf(w, " %d", m.uid)
			}
		}
		fmt.Fprint(w, "\r\n")
	case "COPY":
		to := strings.Trim(part[2], `"`)
		for _, m := range f.folders[selected] {
			if inSet(part[1], m.uid) {
				f.folders[to] = append(f.folders[to], fakeMail{uid: f.next, raw: m.raw})
				f.next++
			}
		}
	case "STORE":
		for i, m := range f.folders[selected] {
			if inSet(part[1], m.uid) {
				f.folders[selected][i].deleted = true
			}
		}
	case "EXPUNGE":
		f.folders[selected] = slices.DeleteFunc(f.folders[selected], func(m fakeMail) bool { return m.deleted && inSet(part[1], m.uid) })
	}
}

func (f *fake) fetched(seq int, m fakeMail, body bool) string {
	if body {
		return fmt.Sprintf("* %d FETCH (UID %d BODY[] {%d}\r\n%s)\r\n", seq, m.uid, len(m.raw), m.raw)
	}
	flags := ""
	if m.deleted {
		flags = `\Deleted`
	}
	return fmt.Sprintf("* %d FETCH (UID %d FLAGS (%s) RFC822.SIZE %d INTERNALDATE \"01-Sep-2026 10:00:00 +0200\")\r\n", seq, m.uid, flags, len(m.raw))
}

func inSet(set string, uid int) bool {
	for _, r := range strings.Split(set, ",") {
		from, to, ranged := strings.Cut(r, ":")
		a, _ := strconv.Atoi(from)
		b := a
		if ranged {
			if b, _ = strconv.Atoi(to); to == "*" {
				b = 1 << 30
			}
		}
		if a <= uid && uid <= b {
			return true
		}
	}
	return false
}

// once lets a trick happen n times for commands that begin with prefix.
func once(n int, prefix string, do func(f *fake, w io.Writer, tag, command string) (bool, error)) func(*fake, io.Writer, string, string) (bool, error) {
	var mu sync.Mutex
	return func(f *fake, w io.Writer, tag, command string) (bool, error) {
		mu.Lock()
		mine := n > 0 && strings.HasPrefix(command, prefix) || n > 0 && strings.HasPrefix(prefix, "*") && strings.Contains(command, prefix[1:])
		if mine {
			n--
		}
		mu.Unlock()
		if !mine {
			return false, nil
		}
		return do(f, w, tag, command)
	}
}
