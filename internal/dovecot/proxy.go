package dovecot

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"sync"
)

// proxy stands between clients and Dovecot and makes the server poorer. It
// ends the clients' TLS itself and speaks TLS to Dovecot, so that Dovecot's
// own STARTTLS never shows.
type proxy struct {
	server     *Server
	plain, tls net.Listener
	wait       sync.WaitGroup

	mu     sync.Mutex
	conns  map[net.Conn]bool
	closed bool
}

func newProxy(s *Server) (*proxy, error) {
	p := &proxy{server: s, conns: make(map[net.Conn]bool)}
	var err error
	if p.plain, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	if p.tls, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		p.plain.Close()
		return nil, err
	}
	p.wait.Go(func() { p.accept(p.plain, false) })
	p.wait.Go(func() { p.accept(p.tls, true) })
	return p, nil
}

func (p *proxy) accept(l net.Listener, secure bool) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		p.wait.Go(func() { p.serve(conn, secure) })
	}
}

// close ends all connections and waits for their goroutines.
func (p *proxy) close() {
	p.plain.Close()
	p.tls.Close()
	p.mu.Lock()
	p.closed = true
	for conn := range p.conns {
		conn.Close()
	}
	p.mu.Unlock()
	p.wait.Wait()
}

// keep remembers a connection to be closed with the proxy, or closes it now.
func (p *proxy) keep(conn net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[conn] = true
	if p.closed {
		conn.Close()
	}
}

func (p *proxy) drop(conn net.Conn) {
	conn.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, conn)
}

func (p *proxy) serve(client net.Conn, secure bool) {
	p.keep(client)
	defer p.drop(client)
	upstream, err := tls.Dial("tcp", loopback(p.server.tls), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		return
	}
	p.keep(upstream)
	defer p.drop(upstream)
	s := &session{server: p.server, upstream: upstream}
	s.attach(client, secure)
	if secure && !s.secureClient() {
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.answers()
		client.Close()
	}()
	s.commands()
	upstream.Close()
	<-done
}

// session is one client's connection.
type session struct {
	server   *Server
	upstream net.Conn
	in       *bufio.Reader // from the client; used by commands alone

	mu     sync.Mutex // held while one whole response is written
	client net.Conn
	secure bool
	login  bool
	idle   string   // tag of the IDLE that runs
	held   []string // what it would have told
}

func (s *session) attach(client net.Conn, secure bool) {
	s.client, s.in, s.secure = client, bufio.NewReader(client), secure
}

// secureClient makes the client's connection a TLS one.
func (s *session) secureClient() bool {
	conn := tls.Server(s.client, &tls.Config{Certificates: []tls.Certificate{s.server.pki.server}})
	if conn.Handshake() != nil {
		return false
	}
	s.attach(conn, true)
	return true
}

// commands passes on what the client sends, or answers it.
func (s *session) commands() {
	for {
		line, err := s.in.ReadString('\n')
		if err != nil {
			return
		}
		tag, command, _ := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
		command = strings.ToUpper(command)
		switch refusal := s.refuse(command); {
		case command == "STARTTLS" && !s.secure:
			if !s.startTLS(tag) {
				return
			}
			continue
		case refusal != "":
			s.say(tag + " " + refusal + "\r\n")
			continue
		case command == "IDLE":
			s.beginIdle(tag)
		case strings.EqualFold(tag, "DONE"):
			s.endIdle()
		}
		if !s.forward(line) {
			return
		}
	}
}

// forward sends a command with its literals.
func (s *session) forward(line string) bool {
	for {
		if _, err := io.WriteString(s.upstream, line); err != nil {
			return false
		}
		size := literalEnd.FindStringSubmatch(line)
		if size == nil {
			return true
		}
		n, err := strconv.ParseInt(size[1], 10, 64)
		if err != nil {
			return false
		}
		if _, err := io.CopyN(s.upstream, s.in, n); err != nil {
			return false
		}
		if line, err = s.in.ReadString('\n'); err != nil {
			return false
		}
	}
}

// refuse is the answer to a command that the server must not know.
func (s *session) refuse(command string) string {
	verb, rest, _ := strings.Cut(command, " ")
	if verb == "UID" {
		verb, _, _ = strings.Cut(rest, " ")
		verb = "UID " + verb
	}
	switch {
	case (verb == "MOVE" || verb == "UID MOVE") && s.server.without("MOVE"),
		verb == "UID EXPUNGE" && s.server.without("UIDPLUS"),
		verb == "IDLE" && s.server.without("IDLE"):
		return fmt.Sprintf("BAD Unknown command %s", verb)
	case (verb == "LOGIN" || verb == "AUTHENTICATE") && !s.secure && s.server.options.StartTLSOnly:
		return "NO [PRIVACYREQUIRED] Plaintext authentication disallowed on non-secure (SSL/TLS) connections."
	}
	return ""
}

func (s *session) startTLS(tag string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := io.WriteString(s.client, tag+" OK Begin TLS negotiation now.\r\n"); err != nil {
		return false
	}
	return s.secureClient()
}

func (s *session) say(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, _ = io.WriteString(s.client, line) // a client that is gone is noticed when read from
}

func (s *session) beginIdle(tag string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server.options.SilentIdle {
		s.idle = tag
	}
}

// endIdle tells what was held back: the client learns it with the end of IDLE
// at the earliest.
func (s *session) endIdle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.idle = ""
	_, _ = io.WriteString(s.client, strings.Join(s.held, "")) // as in say
	s.held = nil
}

// answers passes on what Dovecot sends.
func (s *session) answers() {
	r := bufio.NewReader(s.upstream)
	for {
		line, err := r.ReadString('\n')
		if err != nil || !s.answer(line, r) {
			return
		}
	}
}

// answer writes one whole response.
func (s *session) answer(line string, r *bufio.Reader) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.idle != "" && strings.HasPrefix(line, "* ") {
		s.held = append(s.held, line)
		return true
	}
	for {
		if _, err := io.WriteString(s.client, s.poorer(line)); err != nil {
			return false
		}
		size := literalEnd.FindStringSubmatch(line)
		if size == nil {
			return true
		}
		n, err := strconv.ParseInt(size[1], 10, 64)
		if err != nil {
			return false
		}
		if _, err := io.CopyN(s.client, r, n); err != nil {
			return false
		}
		if line, err = r.ReadString('\n'); err != nil {
			return false
		}
	}
}

var (
	capabilities = regexp.MustCompile(`CAPABILITY [^\]\r]*`)
	uidCodes     = regexp.MustCompile(`\[(COPYUID|APPENDUID) [^\]]*\] `)
)

// poorer takes from a response what the server must not have.
func (s *session) poorer(line string) string {
	if strings.HasPrefix(line, "* CAPABILITY ") || strings.Contains(line, " OK [CAPABILITY ") {
		s.login = s.login || !strings.HasPrefix(line, "* ")
		line = capabilities.ReplaceAllStringFunc(line, s.capabilities)
	}
	if s.server.without("UIDPLUS") {
		line = uidCodes.ReplaceAllString(line, "")
	}
	return line
}

// capabilities rewrites "CAPABILITY A B": Dovecot believes itself behind TLS
// and therefore neither offers STARTTLS nor forbids to log in.
func (s *session) capabilities(list string) string {
	var kept []string
	for _, c := range strings.Fields(list) {
		if !s.server.without(c) {
			kept = append(kept, c)
		}
	}
	if !s.secure && !s.login {
		if s.server.options.StartTLSOnly {
			kept = append(kept[:min(2, len(kept))], "LOGINDISABLED")
		}
		kept = append(kept, "STARTTLS")
	}
	return strings.Join(kept, " ")
}
