// Package web is the door for people and programs: the JSON API over the
// register's own calls (contract, section 3).
//
// What it promises:
//
//   - Every answer of the API is JSON, and every refusal is problem+json (RFC
//     9457) with a stable code; problem.go has the only table from the
//     register's errors to codes. The routes are the list in routes.go, and
//     the OpenAPI document describes exactly these.
//   - It decides nothing. Who may do what, and what a state allows, is the
//     register's answer; here a caller is only authenticated.
//   - A request is bounded: its head, its body, the time it takes to arrive,
//     the time the caller takes to accept the answer, the number of event
//     streams one user holds. A panic ends one request.
//   - What came by mail is never rendered: raw messages and attachments are
//     downloads, of a media type that no browser runs, under a name that no
//     file system minds.
//   - A browser cannot be made to act for its user by another site: requests
//     that change something and carry no bearer token pass the standard
//     cross-origin check.
//   - The log tells method, route, status and duration of a request. It never
//     tells paths, queries, addresses, subjects or tokens.
package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/protodaemon/protodaemon/register"
)

// The bounds of a connection and a request.
const (
	headWait  = 10 * time.Second // for a request's head
	bodyWait  = 30 * time.Second // for its body
	idleWait  = 2 * time.Minute  // between requests
	writeWait = time.Minute      // for the caller to accept one piece of an answer
	closeWait = 15 * time.Second // for requests under way, at the end

	maxHead = 32 << 10
	maxBody = 1 << 20
)

// Options are what a Server needs.
type Options struct {
	Office *register.Office
	Log    *slog.Logger // nil: nothing is logged
	// Location is the legal time zone, in which times are written.
	Location *time.Location
	// Gatherer is what /metrics shows; Registerer takes the metrics of the
	// requests. Either may be nil.
	Gatherer   prometheus.Gatherer
	Registerer prometheus.Registerer
	// PublicURL is the origin that browsers see, when a proxy hides ours.
	PublicURL string
	// TrustedProxies are the addresses or CIDR prefixes whose
	// X-Forwarded-For is believed.
	TrustedProxies []string
	// Version is told in the OpenAPI document.
	Version string
	// Demo, if not nil, is the mail that people without a mail program can
	// drag from a page; every page then says that it is a demonstration.
	Demo Demo
	// Archive closes days; nil: nothing here does.
	Archive Archive
	// Ready lists what keeps the daemon from doing its work; nil: the
	// register's Health.
	Ready func(context.Context) []register.Trouble
}

// Demo is what the pages ask of a demonstration.
type Demo interface {
	// Drag moves the oldest message of an inbox into the watched folder, and
	// tells whether there was one.
	Drag() (bool, error)
	// Waiting is how many messages Drag still finds.
	Waiting() int
}

// Archive is what the API and the pages ask of package archive.
type Archive interface {
	Close(ctx context.Context, by register.Actor, org, reg, through string) ([]register.Closing, error)
	Retry(ctx context.Context, by register.Actor, org, reg, id, reason string) (register.Closing, error)
	Receive(ctx context.Context, by register.Actor, org, reg, id string, rdv []byte) (register.Closing, error)
	Proof(ctx context.Context, by register.Actor, org, reg string, year int, number string) (file string, proof []byte, err error)
	Export(ctx context.Context, by register.Actor, org, reg string, year int, w io.Writer) error
	// Way is the states that closings of the register pass, and at what local
	// time the day before is closed; empty: only a person closes.
	Way(org, reg string) (states []register.ClosingState, autoAt string)
}

// Server answers the requests of one Office. It is an http.Handler.
type Server struct {
	office    *register.Office
	archive   Archive
	log       *slog.Logger
	zone      *time.Location
	ready     func(context.Context) []register.Trouble
	mux       *http.ServeMux
	origins   *http.CrossOriginProtection
	proxies   []netip.Prefix
	document  []byte // OpenAPI
	throttle  throttle
	streams   streams
	durations *prometheus.HistogramVec
	metrics   http.Handler
	pages     *pages

	closing chan struct{} // closed when event streams have to end
	close   sync.Once
}

// New returns a server, or an error naming the option that does not hold.
func New(o Options) (*Server, error) {
	s := &Server{
		office:  o.Office,
		archive: o.Archive,
		log:     o.Log,
		zone:    o.Location,
		ready:   o.Ready,
		mux:     http.NewServeMux(),
		origins: http.NewCrossOriginProtection(),
		closing: make(chan struct{}),
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.zone == nil {
		s.zone = time.Local
	}
	if s.ready == nil {
		s.ready = o.Office.Health
	}
	var err error
	if s.proxies, err = parseProxies(o.TrustedProxies); err != nil {
		return nil, err
	}
	if err := s.trustOrigin(o.PublicURL); err != nil {
		return nil, err
	}
	if s.document, err = apiDocument(o.Version); err != nil {
		return nil, err
	}
	if err := s.measure(o.Gatherer, o.Registerer); err != nil {
		return nil, err
	}
	for _, r := range s.routes() {
		s.mux.Handle(r.method+" "+r.path, s.handler(r))
	}
	if s.pages, err = newPages(s, o.PublicURL, o.Demo); err != nil {
		return nil, err
	}
	for _, r := range s.pages.routes() {
		s.mux.Handle(r.method+" "+r.path, s.pages.handler(r))
	}
	return s, nil
}

func (s *Server) trustOrigin(public string) error {
	if public == "" {
		return nil
	}
	u, err := url.Parse(public)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return fmt.Errorf("http.public_url %q: not an address like https://protocollo.example.it", public)
	}
	if err := s.origins.AddTrustedOrigin(u.Scheme + "://" + u.Host); err != nil {
		return fmt.Errorf("http.public_url %q: %w", public, err)
	}
	return nil
}

// Serve answers on l until ctx ends; then event streams end, requests under
// way get 15 seconds, and l is closed.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	if err := s.pages.open(ctx); err != nil {
		return err
	}
	defer s.pages.close()
	return s.serve(ctx, l, s)
}

// ServeMetrics answers /metrics, to anybody, and nothing else.
func (s *Server) ServeMetrics(ctx context.Context, l net.Listener) error {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", s.metrics)
	return s.serve(ctx, l, mux)
}

func (s *Server) serve(ctx context.Context, l net.Listener, h http.Handler) error {
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headWait,
		WriteTimeout:      writeWait, // renewed with every piece
		IdleTimeout:       idleWait,
		MaxHeaderBytes:    maxHead,
		ErrorLog:          log.New(serverLog{s.log}, "", 0),
	}
	server.RegisterOnShutdown(s.endStreams)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serving %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeWait)
	defer cancel()
	err := server.Shutdown(grace)
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close()
	}
	<-ended
	return err
}

func (s *Server) endStreams() { s.close.Do(func() { close(s.closing) }) }

// serverLog takes net/http's own messages. Failed handshakes are left out:
// anybody can cause them, and they name addresses.
type serverLog struct{ log *slog.Logger }

func (l serverLog) Write(line []byte) (int, error) {
	if text := strings.TrimSpace(string(line)); !strings.HasPrefix(text, "http: TLS handshake error") {
		l.log.Warn("http server", "err", text)
	}
	return len(line), nil
}
