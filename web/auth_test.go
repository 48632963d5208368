package web

import (
	"fmt"
	"net/http/httptest"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

func TestFailuresAreThrottledPerAddressAndForgiven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var th throttle
		bad, good := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
		for i := range failures {
			if wait := th.wait(bad); wait != 0 {
				t.Fatalf("failure %d of %d already waits %s", i+1, failures, wait)
			}
			th.failed(bad)
		}
		wait := th.wait(bad)
		if wait <= 0 || wait > forgetFailure {
			t.Errorf("after %d failures the wait is %s", failures, wait)
		}
		if th.wait(good) != 0 {
			t.Error("another address waits too")
		}
		time.Sleep(wait)
		if wait := th.wait(bad); wait != 0 {
			t.Errorf("after the wait there is another of %s", wait)
		}
	})
}

func TestAnIPv6SubscriberIsOneAddress(t *testing.T) {
	var th throttle
	for i := range failures {
		th.failed(netip.MustParseAddr(fmt.Sprintf("2001:db8::%x", i+1)))
	}
	if th.wait(netip.MustParseAddr("2001:db8::ffff")) == 0 {
		t.Error("a neighbour in the same /64 need not wait")
	}
	if th.wait(netip.MustParseAddr("2001:db8:0:1::1")) != 0 {
		t.Error("another /64 waits")
	}
}

func TestTheThrottleRemembersABoundedNumberOfAddresses(t *testing.T) {
	var th throttle
	recent := netip.MustParseAddr("198.51.100.1")
	for i := range 3 * addressesKept {
		th.failed(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}))
		if i == 3*addressesKept-100 {
			for range failures {
				th.failed(recent)
			}
		}
	}
	if n := len(th.young) + len(th.old); n > 2*addressesKept {
		t.Errorf("%d addresses are kept", n)
	}
	if th.wait(recent) == 0 {
		t.Error("a recent address was forgotten")
	}
}

func TestTheClientIsBelievedOnlyFromAProxyWeTrust(t *testing.T) {
	proxies, err := parseProxies([]string{"10.0.0.0/8", "::1"})
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{proxies: proxies}
	for _, c := range []struct {
		name, peer, forwarded, want string
	}{
		{"no proxy", "192.0.2.9:1", "", "192.0.2.9"},
		{"a stranger's header", "192.0.2.9:1", "198.51.100.1", "192.0.2.9"},
		{"one proxy", "10.1.1.1:1", "198.51.100.1", "198.51.100.1"},
		{"a forged first hop", "10.1.1.1:1", "1.1.1.1, 198.51.100.1", "198.51.100.1"},
		{"two proxies", "[::1]:1", "198.51.100.1, 10.2.2.2", "198.51.100.1"},
		{"nonsense", "10.1.1.1:1", "unknown", "10.1.1.1"},
		{"mapped IPv4", "[::ffff:10.1.1.1]:1", "198.51.100.1", "198.51.100.1"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = c.peer
		if c.forwarded != "" {
			r.Header.Set("X-Forwarded-For", c.forwarded)
		}
		if got := s.client(r); got.String() != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestOnlyAProgramOnThisMachineIsLocal(t *testing.T) {
	s := &Server{proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}}
	for _, c := range []struct {
		peer, header string
		want         bool
	}{
		{"127.0.0.1:1", "", true},
		{"[::1]:1", "", true},
		{"192.0.2.1:1", "", false},
		{"127.0.0.2:1", "", false}, // a proxy that says nothing
		{"127.0.0.1:1", "X-Forwarded-For", false},
		{"127.0.0.1:1", "Forwarded", false},
		{"127.0.0.1:1", "Via", false},
	} {
		r := httptest.NewRequest("GET", "/metrics", nil)
		r.RemoteAddr = c.peer
		if c.header != "" {
			r.Header.Set(c.header, "x")
		}
		if got := s.local(r); got != c.want {
			t.Errorf("peer %s, header %q: local is %v", c.peer, c.header, got)
		}
	}
}

func TestTheBearerToken(t *testing.T) {
	for header, want := range map[string]string{
		"": "", "Bearer abc": "abc", "bearer abc": "abc", "Basic abc": "", "abc": "", "Bearer": "",
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", header)
		if got := bearer(r); got != want {
			t.Errorf("%q gives %q", header, got)
		}
	}
}
