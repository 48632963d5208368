package register

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/argon2"
)

// What argon2id costs: one of the equivalent choices of the OWASP password
// storage sheet. They stand in each hash, so that they can grow.
const (
	argonTime    = 2
	argonMemory  = 19 * 1024 // KiB
	argonThreads = 1
	argonKey     = 32
	argonSalt    = 16

	// Bounds of what a stored hash may make us do.
	maxArgonTime   = 16
	maxArgonMemory = 256 * 1024
)

// Throttling: a name has so many failures within the window, and all names
// together so many before one failure is enough for each.
const (
	failuresPerName  = 5
	failuresTogether = 100
	failureWindow    = 5 * time.Minute
	maxFailedNames   = 10000
	hashesAtOnce     = 2
)

// guard checks passwords: few at once, and not for ever.
type guard struct {
	slots chan struct{}
	dummy string // a hash of nobody's password

	mu       sync.Mutex
	names    map[string]failures
	together failures
}

// failures are counted within one window, which begins with the first.
type failures struct {
	n     int
	since time.Time
}

func (f failures) now() int {
	if time.Since(f.since) >= failureWindow {
		return 0
	}
	return f.n
}

func (f failures) more() failures {
	if f.now() == 0 {
		return failures{1, time.Now()}
	}
	f.n++
	return f
}

func (g *guard) init() {
	g.slots = make(chan struct{}, hashesAtOnce)
	g.names = map[string]failures{}
	g.dummy = phc(make([]byte, argonSalt), make([]byte, argonKey))
}

// admit tells whether the name may try a password now, and counts the attempt
// as failed until it has passed: many at once are still few.
func (g *guard) admit(name string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	limit := failuresPerName
	if g.together.now() >= failuresTogether {
		limit = 1
	}
	if g.names[name].now() >= limit {
		return false
	}
	g.count(name)
	return true
}

// count notes an attempt. When too many names are remembered, those whose
// window is over go, then any.
func (g *guard) count(name string) {
	if _, known := g.names[name]; !known && len(g.names) >= maxFailedNames {
		for other, f := range g.names {
			if f.now() == 0 {
				delete(g.names, other)
			}
		}
		for other := range g.names {
			if len(g.names) < maxFailedNames {
				break
			}
			delete(g.names, other)
		}
	}
	g.names[name] = g.names[name].more()
}

func (g *guard) failed() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.together = g.together.more()
}

func (g *guard) passed(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.names, name)
}

// slot waits for its turn to use 19 MiB.
func (g *guard) slot(ctx context.Context) (release func(), err error) {
	select {
	case g.slots <- struct{}{}:
		return func() { <-g.slots }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// hash is the PHC string of a password.
func (g *guard) hash(ctx context.Context, password string) (string, error) {
	release, err := g.slot(ctx)
	if err != nil {
		return "", err
	}
	defer release()
	salt := make([]byte, argonSalt)
	rand.Read(salt)
	return phc(salt, argon2.IDKey([]byte(password), salt, argonTime, argonMemory, argonThreads, argonKey)), nil
}

// check compares a password with a PHC string. An empty one fits nothing and
// takes as long.
func (g *guard) check(ctx context.Context, hash, password string) (bool, error) {
	release, err := g.slot(ctx)
	if err != nil {
		return false, err
	}
	defer release()
	nobody := hash == ""
	if nobody {
		hash = g.dummy
	}
	if len(password) > maxPassword {
		password, nobody = "", true
	}
	h, err := parsePHC(hash)
	if err != nil {
		return false, err
	}
	key := argon2.IDKey([]byte(password), h.salt, h.time, h.memory, h.threads, uint32(len(h.key)))
	return subtle.ConstantTimeCompare(key, h.key) == 1 && !nobody, nil
}

type argonHash struct {
	time, memory uint32
	threads      uint8
	salt, key    []byte
}

func phc(salt, key []byte) string {
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s",
		argon2.Version, argonMemory, argonTime, argonThreads, b64(salt), b64(key))
}

func parsePHC(s string) (h argonHash, err error) {
	parts := strings.Split(s, "$")
	if len(parts) != 6 || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return h, fmt.Errorf("a stored password is no argon2id hash of version %d", argon2.Version)
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &h.memory, &h.time, &h.threads); err != nil {
		return h, fmt.Errorf("the parameters of a stored password: %w", err)
	}
	if h.memory > maxArgonMemory || h.time == 0 || h.time > maxArgonTime || h.threads == 0 {
		return h, fmt.Errorf("the parameters of a stored password are out of bounds: %s", parts[3])
	}
	if h.salt, err = base64.RawStdEncoding.DecodeString(parts[4]); err != nil {
		return h, fmt.Errorf("the salt of a stored password: %w", err)
	}
	if h.key, err = base64.RawStdEncoding.DecodeString(parts[5]); err != nil || len(h.key) < 16 || len(h.key) > 64 {
		return h, fmt.Errorf("the hash of a stored password has %d bytes: %w", len(h.key), ErrInvalid)
	}
	return h, nil
}
