package demo

import (
	"cmp"
	"context"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
)

// Mailserver is a small IMAP4rev1 server over TLS that keeps its mail in a
// folder, so that the demonstration needs no other program. UIDs and
// UIDVALIDITY hold across restarts; a change is in its file before it is
// answered, so that a killed process loses nothing it acknowledged.
type Mailserver struct {
	accounts map[string]*account
	tls      *tls.Config
	server   *imapserver.Server

	mu       sync.Mutex
	closing  bool
	sessions sync.WaitGroup // those that began before closing
}

// Account is somebody who may log in.
type Account struct{ Username, Password string }

// OpenMailserver reads the mail kept in dir.
func OpenMailserver(dir string, accounts []Account, cert tls.Certificate) (*Mailserver, error) {
	m := &Mailserver{
		accounts: map[string]*account{},
		tls:      &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12},
	}
	for _, a := range accounts {
		kept, err := openAccount(filepath.Join(dir, a.Username), a)
		if err != nil {
			return nil, fmt.Errorf("opening the mail of %s: %w", a.Username, err)
		}
		m.accounts[a.Username] = kept
	}
	m.server = imapserver.New(&imapserver.Options{
		NewSession: m.newSession,
		Caps: imap.CapSet{
			imap.CapIMAP4rev1: {}, imap.CapNamespace: {}, imap.CapUIDPlus: {},
			imap.CapMove: {}, imap.CapESearch: {}, imap.CapListExtended: {},
		},
		InsecureAuth: true, // the listener itself is TLS
		Logger:       log.New(io.Discard, "", 0),
	})
	return m, nil
}

func (m *Mailserver) newSession(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closing {
		return nil, nil, &imap.Error{Type: imap.StatusResponseTypeBye, Text: "Shutting down"}
	}
	m.sessions.Add(1)
	return &session{mail: m}, &imapserver.GreetingData{}, nil
}

// Serve answers on l until ctx ends; then no session writes any more. It can be
// called once.
func (m *Mailserver) Serve(ctx context.Context, l net.Listener) error {
	defer m.sessions.Wait()
	stop := context.AfterFunc(ctx, m.close)
	defer stop()
	err := m.server.Serve(tls.NewListener(l, m.tls))
	if ctx.Err() != nil {
		return nil
	}
	m.close()
	return fmt.Errorf("serving the demonstration's mail: %w", cmp.Or(err, net.ErrClosed))
}

func (m *Mailserver) close() {
	m.mu.Lock()
	m.closing = true
	m.mu.Unlock()
	_ = m.server.Close() // only says that the listener was closed before
}

// Deliver puts a message of the given INTERNALDATE into a folder of the account,
// making the folder.
func (m *Mailserver) Deliver(username, folder string, raw []byte, date time.Time) error {
	a := m.accounts[username]
	if a == nil {
		return fmt.Errorf("the demonstration has no account %q", username)
	}
	return a.deliver(folder, raw, date)
}

// Drag moves the oldest message of one folder to another, as an operator does
// with the mouse; it tells whether there was one.
func (m *Mailserver) Drag(username, from, to string) (bool, error) {
	a := m.accounts[username]
	if a == nil {
		return false, fmt.Errorf("the demonstration has no account %q", username)
	}
	return a.drag(from, to)
}

// Count is how many messages lie in a folder.
func (m *Mailserver) Count(username, folder string) int {
	if a := m.accounts[username]; a != nil {
		return a.count(folder)
	}
	return 0
}

func (m *Mailserver) login(username, password string) (*account, error) {
	a := m.accounts[username]
	if a == nil || subtle.ConstantTimeCompare([]byte(password), []byte(a.password)) != 1 {
		return nil, imapserver.ErrAuthFailed
	}
	return a, nil
}

// writeFile replaces a file so that a reader or a crash sees all of it or the
// former one.
func writeFile(name string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".tmp-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
