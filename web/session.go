package web

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/protodaemon/protodaemon/register"
)

// A session ends when nobody has used it for sessionIdle, and in any case
// after sessionWhole: a working day and its overtime.
const (
	sessionIdle  = 2 * time.Hour
	sessionWhole = 12 * time.Hour
	sessionTouch = time.Minute // how exactly its last use is kept
)

// sessionNotes is the space where sessions are kept; that they may be lost only
// means that somebody signs in again.
const sessionNotes, sessionPrefix = "installation", "web/session/"

// notes is what sessions need of the unchained memory.
type notes interface {
	Set(ctx context.Context, values map[string][]byte) error
	Scan(ctx context.Context, prefix string, yield func(key string, value []byte) bool) error
}

// session is what is kept of a sign-in, under the digest of its token. The
// token itself is nowhere but in the browser.
type session struct {
	User   string    `json:"user"`
	Epoch  string    `json:"epoch"` // of the account; see register.Actor
	Opened time.Time `json:"opened"`
	Seen   time.Time `json:"seen"`
}

// ends is when the session ends if it is not used again.
func (s session) ends() time.Time {
	idle, whole := s.Seen.Add(sessionIdle), s.Opened.Add(sessionWhole)
	if whole.Before(idle) {
		return whole
	}
	return idle
}

// sessions keeps who is signed in.
type sessions struct {
	office *register.Office
	notes  notes
}

// newSessions keeps sessions in the installation's notes, or in memory where
// there are none: then a restart signs everybody out.
func newSessions(ctx context.Context, o *register.Office) *sessions {
	if n, err := o.Notes(ctx, sessionNotes); err == nil {
		return &sessions{o, n}
	}
	return &sessions{o, new(memory)}
}

// sessionCookie is the cookie's name. The prefix makes browsers refuse it
// from anybody but this very host over TLS; without TLS, which is allowed on
// loopback only, it cannot be had.
func sessionCookie(secure bool) string {
	if secure {
		return "__Host-protodaemon"
	}
	return "protodaemon"
}

func cookie(name, value string, secure bool, age int) *http.Cookie {
	return &http.Cookie{Name: name, Value: value, Path: "/", MaxAge: age,
		Secure: secure, HttpOnly: true, SameSite: http.SameSiteLaxMode}
}

func sessionKey(token string) string {
	sum := sha256.Sum256([]byte(token))
	return sessionPrefix + hex.EncodeToString(sum[:])
}

// open starts a session and returns its token.
func (s *sessions) open(ctx context.Context, a register.Actor) (string, error) {
	token, now := rand.Text(), time.Now()
	value, err := json.Marshal(session{User: a.User, Epoch: a.Epoch, Opened: now, Seen: now})
	if err != nil {
		return "", fmt.Errorf("opening a session: %w", err)
	}
	changes := map[string][]byte{sessionKey(token): value}
	if err := expired(ctx, s.notes, now, changes); err != nil {
		return "", fmt.Errorf("opening a session: %w", err)
	}
	if err := s.notes.Set(ctx, changes); err != nil {
		return "", fmt.Errorf("opening a session: %w", err)
	}
	return token, nil
}

// expired adds the deletion of every session that is over to changes.
func expired(ctx context.Context, n notes, now time.Time, changes map[string][]byte) error {
	return n.Scan(ctx, sessionPrefix, func(key string, value []byte) bool {
		var old session
		if json.Unmarshal(value, &old) != nil || now.After(old.ends()) {
			changes[key] = nil
		}
		return true
	})
}

// errNoSession is returned for a request that carries no session that holds.
var errNoSession = fmt.Errorf("%w: no session", register.ErrCredentials)

// find returns whose session the request carries and when it ends. A request
// that the page makes by itself does not prolong it.
func (s *sessions) find(r *http.Request) (register.Actor, time.Time, error) {
	token := sessionToken(r)
	if token == "" {
		return register.Actor{}, time.Time{}, errNoSession
	}
	ctx, key := r.Context(), sessionKey(token)
	var value []byte
	err := s.notes.Scan(ctx, key, func(_ string, v []byte) bool { value = v; return false })
	if err != nil {
		return register.Actor{}, time.Time{}, fmt.Errorf("looking up a session: %w", err)
	}
	if value == nil {
		return register.Actor{}, time.Time{}, errNoSession
	}
	var at session
	now := time.Now()
	if err := json.Unmarshal(value, &at); err != nil || now.After(at.ends()) {
		return register.Actor{}, time.Time{}, errNoSession
	}
	a, err := s.office.Account(ctx, at.User)
	if err != nil || a.Epoch != at.Epoch {
		return register.Actor{}, time.Time{}, errNoSession
	}
	if r.Header.Get(liveHeader) == "" && now.Sub(at.Seen) > sessionTouch {
		at.Seen = now
		if value, err = json.Marshal(at); err == nil {
			err = s.notes.Set(ctx, map[string][]byte{key: value})
		}
		if err != nil {
			return register.Actor{}, time.Time{}, fmt.Errorf("prolonging a session: %w", err)
		}
	}
	return a, at.ends(), nil
}

// liveHeader marks the requests that a page makes by itself to stay current.
const liveHeader = "X-Protodaemon-Live"

func sessionToken(r *http.Request) string {
	for _, secure := range []bool{true, false} {
		if c, err := r.Cookie(sessionCookie(secure)); err == nil {
			return c.Value
		}
	}
	return ""
}

// end forgets the session that the request carries.
func (s *sessions) end(r *http.Request) error {
	token := sessionToken(r)
	if token == "" {
		return nil
	}
	if err := s.notes.Set(r.Context(), map[string][]byte{sessionKey(token): nil}); err != nil {
		return fmt.Errorf("ending a session: %w", err)
	}
	return nil
}

// memory is a notes that lasts as long as the process.
type memory struct {
	mu   sync.Mutex
	kept map[string][]byte
}

func (m *memory) Set(_ context.Context, values map[string][]byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.kept == nil {
		m.kept = make(map[string][]byte)
	}
	for k, v := range values {
		if m.kept[k] = v; v == nil {
			delete(m.kept, k)
		}
	}
	return nil
}

func (m *memory) Scan(_ context.Context, prefix string, yield func(string, []byte) bool) error {
	m.mu.Lock()
	found := maps.Clone(m.kept)
	m.mu.Unlock()
	for _, k := range slices.Sorted(maps.Keys(found)) {
		if strings.HasPrefix(k, prefix) && !yield(k, found[k]) {
			break
		}
	}
	return nil
}
