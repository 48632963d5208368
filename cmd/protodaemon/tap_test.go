package main

import (
	"net"
	"regexp"
	"sync"
	"testing"
)

// tap stands between the daemon and a plain IMAP server and passes every byte
// on, until an armed trigger tells it that the moment has come.
type tap struct {
	net.Listener
	server string

	mu    sync.Mutex
	armed *trigger
	conns map[net.Conn]bool
	done  sync.WaitGroup
}

// trigger is a moment in the conversation: the next chunk of one direction that
// the pattern matches. part says how much of that chunk the other side still
// gets, in quarters, before act is called.
type trigger struct {
	fromServer bool
	pattern    *regexp.Regexp
	part       int
	act        func()
}

func newTap(t *testing.T, server string) *tap {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &tap{Listener: l, server: server, conns: map[net.Conn]bool{}}
	p.done.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

func (p *tap) arm(tr trigger) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.armed = &tr
}

func (p *tap) disarm() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.armed = nil
}

func (p *tap) accept() {
	for {
		client, err := p.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.server)
		if err != nil {
			client.Close()
			continue
		}
		p.mu.Lock()
		p.conns[client], p.conns[server] = true, true
		p.mu.Unlock()
		p.done.Go(func() { p.pipe(server, client, false) })
		p.done.Go(func() { p.pipe(client, server, true) })
	}
}

func (p *tap) pipe(to, from net.Conn, fromServer bool) {
	defer func() {
		to.Close()
		from.Close()
		p.mu.Lock()
		delete(p.conns, to)
		delete(p.conns, from)
		p.mu.Unlock()
	}()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		chunk := buf[:n]
		if tr := p.due(chunk, fromServer); tr != nil {
			to.Write(chunk[:n*tr.part/4])
			tr.act()
			return
		}
		if _, werr := to.Write(chunk); err != nil || werr != nil {
			return
		}
	}
}

// due takes the trigger if this chunk is its moment.
func (p *tap) due(chunk []byte, fromServer bool) *trigger {
	p.mu.Lock()
	defer p.mu.Unlock()
	tr := p.armed
	if tr == nil || tr.fromServer != fromServer || !tr.pattern.Match(chunk) {
		return nil
	}
	p.armed = nil
	return tr
}

func (p *tap) close() {
	p.Close()
	p.mu.Lock()
	for c := range p.conns {
		c.Close()
	}
	p.mu.Unlock()
	p.done.Wait()
}
