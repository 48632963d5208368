package web

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/protodaemon/protodaemon/register"
)

// ServeHTTP answers one request. What no route fits is a problem document
// too, so that a caller has one kind of error to read.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h, pattern := s.mux.Handler(r)
	if pattern != "" {
		s.mux.ServeHTTP(w, r)
		return
	}
	if !strings.HasPrefix(r.URL.Path, "/api/") && strings.Contains(r.Header.Get("Accept"), "text/html") {
		s.pages.unknown(w, r)
		return
	}
	// The mux answers what it does not know in plain text; only its verdict
	// and the Allow header are wanted.
	v := verdict{header: make(http.Header)}
	h.ServeHTTP(&v, r)
	s.handler(route{path: "none", access: anyone, serve: func(w http.ResponseWriter, r *http.Request, _ register.Actor) error {
		if v.status == http.StatusMethodNotAllowed {
			w.Header().Set("Allow", v.header.Get("Allow"))
			return problem(v.status, "method-not-allowed", "allowed here: "+v.header.Get("Allow"))
		}
		return problem(http.StatusNotFound, "not-found", "there is nothing at this path")
	}}).ServeHTTP(w, r)
}

// verdict keeps the status and header of an answer and drops its body.
type verdict struct {
	header http.Header
	status int
}

func (v *verdict) Header() http.Header         { return v.header }
func (v *verdict) WriteHeader(status int)      { v.status = status }
func (v *verdict) Write(b []byte) (int, error) { return len(b), nil }

// handler puts what every route has in common round it: bounds, headers, the
// cross-origin check, authentication, the error table, recovery, log, metrics.
func (s *Server) handler(rt route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		out := &response{ResponseWriter: w, control: http.NewResponseController(w)}
		defer func() { s.finish(rt, r, out, start, recover()) }()
		safeHeaders(out.Header())
		r.Body = http.MaxBytesReader(out, r.Body, bodyBound(rt.path))
		if r.ContentLength != 0 {
			// Without a deadline a body that trickles in would hold its
			// connection. Not every ResponseWriter knows deadlines.
			_ = out.control.SetReadDeadline(start.Add(bodyWait))
		}
		if err := s.answer(rt, out, r); err != nil {
			s.refuse(out, r, err)
		}
	})
}

func (s *Server) answer(rt route, w http.ResponseWriter, r *http.Request) error {
	if bearer(r) == "" {
		if err := s.origins.Check(r); err != nil {
			return problem(http.StatusForbidden, "cross-origin", "a page of another site asked for this")
		}
	}
	var a register.Actor
	if rt.access == signedIn {
		var err error
		if a, err = s.authenticate(r); err != nil {
			return err
		}
	}
	return rt.serve(w, r, a)
}

// safeHeaders keep a browser that shows an answer by itself from doing
// anything with it.
func safeHeaders(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; sandbox")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}

// finish logs and counts a request, and answers for one that panicked.
func (s *Server) finish(rt route, r *http.Request, w *response, start time.Time, panicked any) {
	took := time.Since(start)
	if w.status == 0 && panicked == nil {
		w.status = http.StatusOK
	}
	if panicked != nil && panicked != http.ErrAbortHandler {
		s.log.Error("request panicked", "method", method(r), "route", rt.path,
			"err", fmt.Sprint(panicked), "stack", string(debug.Stack()))
		if w.status == 0 {
			s.refuse(w, r, problem(http.StatusInternalServerError, "internal", "the request failed; the log says why"))
			panicked = nil
		} else {
			panicked = http.ErrAbortHandler
		}
	}
	if s.durations != nil {
		s.durations.WithLabelValues(method(r), rt.path, strconv.Itoa(w.status)).Observe(took.Seconds())
	}
	s.log.LogAttrs(r.Context(), logLevel(rt, w.status), "request",
		slog.String("method", method(r)), slog.String("route", rt.path),
		slog.Int("status", w.status), slog.Duration("duration", took))
	if panicked != nil {
		// Only so does the caller see that the answer was cut short.
		panic(panicked)
	}
}

// logLevel keeps what monitoring asks every few seconds out of the log.
func logLevel(rt route, status int) slog.Level {
	if rt.access == anyone && status < http.StatusInternalServerError {
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

// method is the request's method, or "other": callers can invent them, and
// labels come from a closed list.
func method(r *http.Request) string {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut,
		http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return r.Method
	}
	return "other"
}

// refuse writes err as a problem document. An answer that has begun is cut
// off instead.
func (s *Server) refuse(w *response, r *http.Request, err error) {
	if r.Context().Err() != nil && w.status == 0 {
		w.status = statusGone
		return
	}
	p := s.problemOf(err, r.Method)
	if w.status != 0 {
		panic(http.ErrAbortHandler)
	}
	if p.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="protodaemon"`)
	}
	if p.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(p.RetryAfter))
	}
	for _, h := range []string{"ETag", "Content-Disposition", "Content-Length"} {
		w.Header().Del(h) // of the answer that was to be
	}
	writeJSONAs(w, "application/problem+json", p.Status, p)
}

// statusGone is logged for a caller who went away before the answer; it is
// never sent.
const statusGone = 499

// response notes the status and gives the caller writeWait for each piece of
// the answer, so that a long download may be slow but may not stand still.
type response struct {
	http.ResponseWriter
	control *http.ResponseController
	status  int
}

func (w *response) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *response) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	if err := w.control.SetWriteDeadline(time.Now().Add(writeWait)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, err
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }
