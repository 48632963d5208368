package ingest

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds on what a server may send. go-imap buffers strings, and literals in
// the place of strings, without any limit of its own.
const (
	maxLine       = 8 << 20  // one response line: a SEARCH over a million messages
	maxString     = 64 << 10 // a literal that is not a message body
	maxPerCommand = 64 << 20 // all lines in answer to one command
)

var (
	errFlood = errors.New("the server sent more than any answer may hold")
	errGuard = errors.New("refused to send a command other than UID MOVE")
)

// wire is the connection that the IMAP client speaks over, above TLS. It
// bounds what the server sends, counts it, and can refuse to write anything
// but one UID MOVE.
//
// Read deadlines set by the client are ignored: they end the transfer of a
// large message after five minutes, however well it proceeds. Whoever waits
// does so under session.do or session.stream, which close the connection.
type wire struct {
	net.Conn          // TLS or plain
	raw      net.Conn // the socket

	received atomic.Int64 // octets so far
	lines    atomic.Int64 // octets of lines that the command may still be answered with
	body     int64        // the largest message body

	scan    scanner // the client's reader goroutine only
	prepend []byte  // the same: read before anything else

	mu    sync.Mutex
	guard bool
	sent  []byte // under guard
}

func newWire(conn, raw net.Conn, prepend string, maxBody int64) *wire {
	w := &wire{Conn: conn, raw: raw, body: maxBody, prepend: []byte(prepend)}
	w.lines.Store(maxPerCommand)
	return w
}

func (w *wire) Read(b []byte) (int, error) {
	if len(w.prepend) > 0 {
		n := copy(b, w.prepend)
		w.prepend = w.prepend[n:]
		return n, nil
	}
	n, err := w.Conn.Read(b)
	w.received.Add(int64(n))
	if bound := w.scan.next(b[:n], w); bound != nil {
		w.raw.Close()
		return 0, bound
	}
	return n, err
}

// SetReadDeadline does nothing; see wire.
func (w *wire) SetReadDeadline(time.Time) error { return nil }

// Close closes the socket without a TLS farewell, which could block.
func (w *wire) Close() error { return w.raw.Close() }

func (w *wire) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.guard {
		if err := w.permit(b); err != nil {
			w.raw.Close()
			return 0, err
		}
	}
	return w.Conn.Write(b)
}

// onlyMove lets nothing pass but one UID MOVE command until it is called
// again with false.
func (w *wire) onlyMove(on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.guard, w.sent = on, nil
}

func (w *wire) permit(b []byte) error {
	w.sent = append(w.sent, b...)
	f := bytes.Fields(w.sent)
	if len(f) > 1 && !bytes.EqualFold(f[1], []byte("UID")) || len(f) > 2 && !bytes.EqualFold(f[2], []byte("MOVE")) {
		return errGuard
	}
	if i := bytes.IndexByte(w.sent, '\n'); i >= 0 && i < len(w.sent)-1 {
		return errGuard
	}
	return nil
}

// scanner follows the borders of lines and literals in a server's stream
// (RFC 9051 section 4.3) to know how much each will be.
type scanner struct {
	literal   int64 // octets left of the current literal
	length    int   // of the current line so far
	head      []byte
	tail      []byte
	continued bool // the line goes on after a literal
}

const (
	headLen = 10 // "* PREAUTH "
	tailLen = 256
)

// next advances over b, or tells which bound of w it breaks.
func (s *scanner) next(b []byte, w *wire) error {
	for len(b) > 0 {
		if s.literal > 0 {
			n := min(int64(len(b)), s.literal)
			s.literal -= n
			b = b[n:]
			continue
		}
		line, ended := b, false
		if i := bytes.IndexByte(b, '\n'); i >= 0 {
			line, ended = b[:i+1], true
		}
		b = b[len(line):]
		s.keep(line)
		if s.length += len(line); s.length > maxLine || w.lines.Add(-int64(len(line))) < 0 {
			return errFlood
		}
		if !ended {
			return nil
		}
		if err := s.endLine(w.body); err != nil {
			return err
		}
	}
	return nil
}

func (s *scanner) keep(line []byte) {
	if n := headLen - len(s.head); n > 0 && !s.continued {
		s.head = append(s.head, line[:min(n, len(line))]...)
	}
	if len(line) >= tailLen {
		s.tail = append(s.tail[:0], line[len(line)-tailLen:]...)
		return
	}
	if over := len(s.tail) + len(line) - tailLen; over > 0 {
		s.tail = append(s.tail[:0], s.tail[over:]...)
	}
	s.tail = append(s.tail, line...)
}

func (s *scanner) endLine(maxBody int64) error {
	size, body := s.announced()
	s.length, s.tail = 0, s.tail[:0]
	s.continued = size >= 0
	if size < 0 {
		s.head = s.head[:0]
		return nil
	}
	limit := int64(maxString)
	if body {
		limit = maxBody
	}
	if size > limit {
		return fmt.Errorf("%w: a string of %d octets", errFlood, size)
	}
	s.literal = size
	return nil
}

// announced returns the size of the literal that the line ends with, or -1,
// and whether it is a message body, which the client streams.
func (s *scanner) announced() (size int64, body bool) {
	if !s.continued && isStatus(s.head) {
		return -1, false // free text may end with anything
	}
	t := bytes.TrimRight(s.tail, "\r\n")
	open := bytes.LastIndexByte(t, '{')
	if open < 0 || t[len(t)-1] != '}' {
		return -1, false
	}
	n, err := strconv.ParseInt(string(bytes.TrimSuffix(t[open+1:len(t)-1], []byte("+"))), 10, 64)
	if err != nil || n < 0 {
		return -1, false
	}
	before := bytes.ToUpper(bytes.TrimRight(t[:open], " ~"))
	at := bytes.LastIndex(before, []byte("BODY["))
	body = at >= 0 && (before[len(before)-1] == ']' || before[len(before)-1] == '>')
	return n, body
}

func isStatus(head []byte) bool {
	if len(head) == 0 || head[0] != '*' {
		return true // tagged, or a continuation request
	}
	f := bytes.Fields(bytes.ToUpper(head))
	if len(f) < 2 {
		return false
	}
	switch string(f[1]) {
	case "OK", "NO", "BAD", "BYE", "PREAUTH":
		return true
	}
	return false
}
