package sign

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// send sends a request and reads an answer of at most so many bytes. A service
// that is too busy is an ErrUnreachable that says when to come again. No error
// holds the address, which may have a secret in it.
func send(c *http.Client, r *http.Request, most int64) (status int, body []byte, err error) {
	resp, err := noRedirects(c).Do(r)
	if err != nil {
		return 0, nil, fmt.Errorf("%w: %w", ErrUnreachable, withoutURL(err))
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(io.LimitReader(resp.Body, most+1))
	switch {
	case err != nil:
		return 0, nil, fmt.Errorf("%w: reading its answer: %w", ErrUnreachable, err)
	case busy(resp.StatusCode):
		return 0, nil, &busyError{status: resp.StatusCode, after: retryAfter(resp.Header)}
	case int64(len(body)) > most:
		return 0, nil, fmt.Errorf("%w: its answer is larger than %d bytes", ErrRefused, most)
	}
	return resp.StatusCode, body, nil
}

// noRedirects is a client that follows none: what is sent is meant for one
// address.
func noRedirects(c *http.Client) *http.Client {
	if c == nil {
		c = http.DefaultClient
	}
	plain := *c
	plain.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &plain
}

// busy tells the statuses that pass from those that stay.
func busy(status int) bool {
	return status == http.StatusTooManyRequests || status >= 500 && status != http.StatusNotImplemented
}

// busyError is an ErrUnreachable that says when to come again.
type busyError struct {
	status int
	after  time.Duration // 0: it did not say
}

func (e *busyError) Error() string {
	return fmt.Sprintf("%v now: it says %s", ErrUnreachable, statusText(e.status))
}
func (e *busyError) Unwrap() error             { return ErrUnreachable }
func (e *busyError) RetryAfter() time.Duration { return e.after }

// retryMost bounds how long a service may send us away.
const retryMost = 24 * time.Hour

// retryAfter reads seconds or a date (RFC 9110 §10.2.3).
func retryAfter(h http.Header) time.Duration {
	value := h.Get("Retry-After")
	var wait time.Duration
	if s, err := strconv.Atoi(value); err == nil && s <= int(retryMost/time.Second) {
		wait = time.Duration(s) * time.Second
	} else if at, err := http.ParseTime(value); err == nil {
		wait = time.Until(at)
	}
	if wait < 0 || wait > retryMost {
		return 0
	}
	return wait
}

// statusText is our own text for a status: the server's may say anything.
func statusText(status int) string {
	return strings.TrimSpace(fmt.Sprintf("%d %s", status, http.StatusText(status)))
}

// private tells whether what is sent to an address is read by nobody else on
// the way.
func private(u *url.URL) bool {
	ip := net.ParseIP(u.Hostname())
	loopback := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	return u.Scheme == "https" || u.Scheme == "http" && loopback
}

// withoutURL leaves the address out of an error of net/http.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// clip makes a foreign text fit for a message: short and printable.
func clip(s string) string {
	const most = 200
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return strings.TrimSpace(s)
}
