package web

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/protodaemon/protodaemon/register"
)

// authenticate returns who asks. An address from which too many wrong tokens
// came waits, whatever it brings.
func (s *Server) authenticate(r *http.Request) (register.Actor, error) {
	secret := bearer(r)
	if secret == "" {
		if a, _, err := s.pages.sessions.find(r); !errors.Is(err, register.ErrCredentials) {
			return a, err
		}
		return register.Actor{}, problem(http.StatusUnauthorized, "unauthenticated",
			"send Authorization: Bearer TOKEN; protodaemon token create makes one")
	}
	from := s.client(r)
	if wait := s.throttle.wait(from); wait > 0 {
		p := problem(http.StatusTooManyRequests, "too-many-attempts", "too many wrong tokens came from this address")
		p.RetryAfter = int(wait/time.Second) + 1
		return register.Actor{}, p
	}
	a, err := s.office.Authenticate(r.Context(), secret)
	if err != nil {
		if p := toProblem(err, r.Method); p.Status == http.StatusUnauthorized {
			s.throttle.failed(from)
			// Which of unknown, expired and revoked it is stays untold.
			return register.Actor{}, problem(p.Status, p.Code, "the token is not valid")
		}
		return register.Actor{}, fmt.Errorf("checking a token: %w", err)
	}
	return a, nil
}

// bearer is the token of the Authorization header (RFC 6750 §2.1), or "".
func bearer(r *http.Request) string {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// parseProxies reads addresses and CIDR prefixes.
func parseProxies(list []string) ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, text := range list {
		p, err := netip.ParsePrefix(text)
		if a, notPrefix := netip.ParseAddr(text); notPrefix == nil {
			a = a.Unmap()
			p, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		if err != nil {
			return nil, fmt.Errorf("http.trusted_proxies: %q is neither an address nor a prefix like 10.0.0.0/8", text)
		}
		all = append(all, p.Masked())
	}
	return all, nil
}

func (s *Server) isProxy(a netip.Addr) bool {
	for _, p := range s.proxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// client is the address of who asks: the peer's, or, behind proxies we trust,
// the last one in X-Forwarded-For that is not a proxy's.
func (s *Server) client(r *http.Request) netip.Addr {
	at := peer(r)
	if !s.isProxy(at) {
		return at
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		if at = hop.Unmap(); !s.isProxy(at) {
			break
		}
	}
	return at
}

func peer(r *http.Request) netip.Addr {
	p, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return p.Addr().Unmap().WithZone("")
}

// forwarding are headers that tell of a proxy in between.
var forwarding = []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip", "Via"}

// local tells whether a program on this machine asks, without a proxy. A
// proxy that we know of and that runs here is no such program.
func (s *Server) local(r *http.Request) bool {
	for _, h := range forwarding {
		if r.Header.Get(h) != "" {
			return false
		}
	}
	at := peer(r)
	return at.IsLoopback() && !s.isProxy(at)
}

// The failures an address has at once, and how soon it gets one back.
const (
	failures      = 20
	forgetFailure = 3 * time.Second
	addressesKept = 4096 // twice
)

// throttle counts failed authentications per address (per /64 of IPv6), in
// bounded memory: when the young half is full it becomes the old half, and
// the former old half is forgotten.
type throttle struct {
	mu         sync.Mutex
	young, old map[netip.Prefix]failure
}

// failure is how full an address's count was at some time; it drains by one
// every forgetFailure.
type failure struct {
	count float64
	at    time.Time
}

func (f failure) now(t time.Time) float64 {
	return max(0, f.count-float64(t.Sub(f.at))/float64(forgetFailure))
}

// wait is how long the address has to wait before it may try again.
func (t *throttle) wait(a netip.Addr) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	over := t.get(network(a)).now(time.Now()) - (failures - 1)
	if over <= 0 {
		return 0
	}
	return time.Duration(over * float64(forgetFailure))
}

func (t *throttle) failed(a netip.Addr) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now, n := time.Now(), network(a)
	count := t.get(n).now(now)
	if t.young == nil || len(t.young) >= addressesKept {
		t.young, t.old = make(map[netip.Prefix]failure), t.young
	}
	t.young[n] = failure{count: count + 1, at: now}
}

func (t *throttle) get(n netip.Prefix) failure {
	if f, ok := t.young[n]; ok {
		return f
	}
	return t.old[n]
}

// network is what one subscriber usually has.
func network(a netip.Addr) netip.Prefix {
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}
