package web

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/protodaemon/protodaemon/register"
)

// The event stream: a heartbeat shows that it lives, and is when the caller's
// right to it is looked at again.
const (
	heartbeat      = 15 * time.Second
	reconnectAfter = 3 * time.Second
	streamsPerUser = 16
	streamsAtAll   = 1024
)

// streams counts the open event streams.
type streams struct {
	mu   sync.Mutex
	user map[string]int
	all  int
}

// take counts one more stream of the user, or tells that there are too many.
func (s *streams) take(user string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all >= streamsAtAll || s.user[user] >= streamsPerUser {
		return false
	}
	if s.user == nil {
		s.user = make(map[string]int)
	}
	s.user[user]++
	s.all++
	return true
}

func (s *streams) give(user string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all--
	if s.user[user]--; s.user[user] == 0 {
		delete(s.user, user)
	}
}

// events streams what the caller may hear of (HTML standard, server-sent
// events). It has no memory: who connects again, or is told "resync", reads
// the lists anew.
func (s *Server) events(w http.ResponseWriter, r *http.Request, a register.Actor) error {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // nginx would keep the news back
	if r.Method == http.MethodHead {
		return nil
	}
	if !s.streams.take(a.User) {
		p := problem(http.StatusTooManyRequests, "too-many-streams", "too many event streams are open")
		p.RetryAfter = int(heartbeat / time.Second)
		return p
	}
	defer s.streams.give(a.User)

	ctx, cancel := context.WithCancel(r.Context())
	news := make(chan register.Event)
	var subscription sync.WaitGroup
	// The subscription begins before the caller hears the first byte, so that
	// nothing is lost between the two.
	from := s.office.Subscribe(a)
	subscription.Go(func() { s.listen(ctx, from, news) })
	defer subscription.Wait()
	defer cancel()

	out := &stream{w: w, control: http.NewResponseController(w)}
	out.open(r.Header.Get("Last-Event-ID") != "")
	return s.stream(r, out, news)
}

// listen hands events on until ctx ends, and closes news at its end.
func (s *Server) listen(ctx context.Context, from *register.Subscription, news chan<- register.Event) {
	defer close(news)
	err := from.Listen(ctx, func(e register.Event) bool {
		select {
		case news <- e:
			return true
		case <-ctx.Done():
			return false
		}
	})
	if err != nil && ctx.Err() == nil {
		s.log.Error("event stream failed", "err", err)
	}
}

// stream writes until the caller goes, loses the right to it, or the server
// or the subscription ends.
func (s *Server) stream(r *http.Request, out *stream, news <-chan register.Event) error {
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	// A stream that is left open is nobody's presence.
	again := r.Clone(r.Context())
	again.Header.Set(liveHeader, "1")
	for out.err == nil {
		select {
		case <-r.Context().Done():
			return nil
		case <-s.closing:
			return nil
		case e, open := <-news:
			if !open {
				return nil
			}
			out.send(s.event(e))
		case <-beat.C:
			if _, err := s.authenticate(again); err != nil {
				return nil
			}
			out.send(event{Type: "heartbeat", At: s.legal(time.Now())})
		}
	}
	return nil
}

// stream is the wire form of one event stream; err is its first failure.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	err     error
}

// open sends the head of the answer. A browser that connects again (then it
// names the last event it saw) has missed something.
func (o *stream) open(again bool) {
	o.write("retry: " + strconv.FormatInt(reconnectAfter.Milliseconds(), 10) + "\n\n")
	if again {
		o.write("event: resync\ndata: {\"type\":\"resync\"}\n\n")
	}
}

func (o *stream) send(e event) {
	data, err := json.Marshal(e)
	if err != nil {
		o.err = fmt.Errorf("encoding an event: %w", err)
		return
	}
	o.write(fmt.Sprintf("event: %s\nid: %d\ndata: %s\n\n", e.Type, e.At.UnixNano(), data))
}

func (o *stream) write(text string) {
	if o.err == nil {
		_, o.err = io.WriteString(o.w, text)
	}
	if o.err == nil {
		o.err = o.control.Flush()
	}
}
