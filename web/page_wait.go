package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/protodaemon/protodaemon/register"
)

// undoTime is how long a confirmation can be called back before the number
// exists, and holdTime how long its clock can be stopped (WCAG 2.2.1).
const (
	undoTime = 10 * time.Second
	holdTime = 10 * time.Minute
)

const waitPrefix = "web/wait/"

// wait is a confirmation on its way: its number is given when it is due, also
// when the browser has gone or the daemon was restarted meanwhile.
type wait struct {
	Organization string                `json:"organization"`
	Register     string                `json:"register"`
	ID           string                `json:"id"`
	User         string                `json:"user"`
	UserName     string                `json:"user_name"`
	Subject      string                `json:"subject"`
	Confirmation register.Confirmation `json:"confirmation"`
	Due          time.Time             `json:"due"`
	// Left is what the clock showed when it was stopped; zero: it runs.
	Left time.Duration `json:"left,omitempty"`
}

// seconds is what the clock shows.
func (w wait) seconds() int {
	left := w.Left
	if left == 0 {
		left = time.Until(w.Due)
	}
	return max(0, int((left+time.Second-1)/time.Second))
}

// outcome is how a person's last confirmation ended.
type outcome struct {
	ID, Subject string
	Entry       register.Entry
	Already     bool
	Err         error
	At          time.Time
}

// waits holds the confirmations on their way and the last outcome of each
// person. Each has one timer; run gives it its number.
type waits struct {
	office *register.Office
	log    *slog.Logger
	undo   time.Duration // undoTime

	mu      sync.Mutex
	all     map[string]*waiting // by pending id
	last    map[string]outcome  // by user
	closed  bool
	running sync.WaitGroup
}

type waiting struct {
	wait
	placed time.Time
	timer  *time.Timer
}

func (w *waiting) stop() {
	if w.timer != nil {
		w.timer.Stop()
	}
}

// errTooLate means that the number is given already, or being given.
var errTooLate = errors.New("the number is being given")

func newWaits(o *register.Office, l *slog.Logger) *waits {
	return &waits{office: o, log: l, undo: undoTime, all: make(map[string]*waiting), last: make(map[string]outcome)}
}

// resume takes up the confirmations that an earlier run left on their way.
func (s *waits) resume(ctx context.Context) error {
	for _, org := range s.office.Organizations(register.System()) {
		notes, err := s.office.Notes(ctx, org.ID)
		if err != nil {
			s.log.Warn("confirmations on their way cannot be read", "organization", org.ID, "err", err)
			continue
		}
		err = notes.Scan(ctx, waitPrefix, func(_ string, value []byte) bool {
			var w wait
			if json.Unmarshal(value, &w) == nil {
				s.start(w)
			}
			return true
		})
		if err != nil {
			return fmt.Errorf("reading confirmations on their way: %w", err)
		}
	}
	return nil
}

// close stops all clocks and returns when no number is being given. What was
// on its way stays noted.
func (s *waits) close() {
	s.mu.Lock()
	s.closed = true
	for _, w := range s.all {
		w.stop()
	}
	s.mu.Unlock()
	s.running.Wait()
}

// place starts the clock of a confirmation, or returns whose is running
// already.
func (s *waits) place(ctx context.Context, w wait) (by string, err error) {
	w.Due = time.Now().Add(s.undo)
	if other, ok := s.start(w); !ok {
		return other.UserName, nil
	}
	if err := s.note(ctx, w); err != nil {
		// What could not be noted is not left to chance either.
		_, undo := s.cancel(ctx, w.User, w.ID)
		return "", errors.Join(err, undo)
	}
	return "", nil
}

func (s *waits) note(ctx context.Context, w wait) error {
	notes, err := s.office.Notes(ctx, w.Organization)
	if err != nil {
		return fmt.Errorf("noting a confirmation: %w", err)
	}
	value, err := json.Marshal(w)
	if err != nil {
		return fmt.Errorf("noting a confirmation: %w", err)
	}
	if err := notes.Set(ctx, map[string][]byte{waitPrefix + w.ID: value}); err != nil {
		return fmt.Errorf("noting a confirmation: %w", err)
	}
	return nil
}

// start lets a clock run, unless the message has one already.
func (s *waits) start(w wait) (other wait, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if other, running := s.all[w.ID]; running {
		return other.wait, false
	}
	run := &waiting{wait: w, placed: time.Now()}
	s.all[w.ID] = run
	if s.closed {
		return wait{}, true // the next start takes it up
	}
	until := time.Until(w.Due)
	if w.Left > 0 {
		until = holdTime
	}
	run.timer = time.AfterFunc(until, func() { s.fire(w.ID) })
	return wait{}, true
}

// fire gives the number of one confirmation.
func (s *waits) fire(id string) {
	w, ok := s.take(id)
	if !ok {
		return
	}
	defer s.running.Done()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out := s.confirm(ctx, w)
	out.At = time.Now()
	if out.Err != nil {
		s.log.Warn("a confirmation failed when it was due", "pending", id, "err", out.Err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last[w.User] = out
}

// confirm asks the register as the person who decided, with the rights of now.
func (s *waits) confirm(ctx context.Context, w wait) outcome {
	out := outcome{ID: w.ID, Subject: w.Subject}
	a, err := s.office.Account(ctx, w.User)
	if err != nil {
		out.Err = err
		return out
	}
	r, err := s.office.Confirm(ctx, a, w.ID, w.Confirmation)
	out.Entry, out.Already, out.Err = r.Entry, r.Already, err
	s.forget(ctx, w)
	return out
}

// take removes a confirmation from those on their way and counts it as
// running; it cannot be called back any more.
func (s *waits) take(id string) (wait, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w, ok := s.all[id]
	if !ok || s.closed {
		return wait{}, false
	}
	w.stop()
	delete(s.all, id)
	s.running.Add(1)
	return w.wait, true
}

func (s *waits) forget(ctx context.Context, w wait) {
	notes, err := s.office.Notes(ctx, w.Organization)
	if err == nil {
		err = notes.Set(ctx, map[string][]byte{waitPrefix + w.ID: nil})
	}
	if err != nil {
		// Repeating it at the next start gives the same entry.
		s.log.Warn("a confirmation that has ended stays noted", "pending", w.ID, "err", err)
	}
}

// own finds a confirmation that the user may act on.
func (s *waits) own(user, id string) (*waiting, error) {
	w, ok := s.all[id]
	if !ok || w.User != user {
		return nil, errTooLate
	}
	return w, nil
}

// cancel calls a confirmation back: no number was given.
func (s *waits) cancel(ctx context.Context, user, id string) (wait, error) {
	s.mu.Lock()
	w, err := s.own(user, id)
	if err != nil {
		s.mu.Unlock()
		return wait{}, err
	}
	w.stop()
	delete(s.all, id)
	s.mu.Unlock()
	s.forget(ctx, w.wait)
	return w.wait, nil
}

// hold stops the clock, and goOn lets it run again.
func (s *waits) hold(ctx context.Context, user, id string) error {
	return s.change(ctx, user, id, func(w *waiting) time.Duration {
		w.Left = max(time.Until(w.Due), time.Second)
		return holdTime
	})
}

func (s *waits) goOn(ctx context.Context, user, id string) error {
	return s.change(ctx, user, id, func(w *waiting) time.Duration {
		w.Due, w.Left = time.Now().Add(max(w.Left, time.Second)), 0
		return time.Until(w.Due)
	})
}

func (s *waits) change(ctx context.Context, user, id string, do func(*waiting) time.Duration) error {
	s.mu.Lock()
	w, err := s.own(user, id)
	if err != nil {
		s.mu.Unlock()
		return err
	}
	left := do(w)
	if w.timer != nil {
		w.timer.Reset(left)
	}
	now := w.wait
	s.mu.Unlock()
	return s.note(ctx, now)
}

// now gives the number at once.
func (s *waits) now(user, id string) error {
	s.mu.Lock()
	_, err := s.own(user, id)
	s.mu.Unlock()
	if err != nil {
		return err
	}
	s.fire(id)
	return nil
}

// of lists a person's confirmations on their way, newest first.
func (s *waits) of(user string) []wait {
	s.mu.Lock()
	defer s.mu.Unlock()
	var mine []*waiting
	for _, w := range s.all {
		if w.User == user {
			mine = append(mine, w)
		}
	}
	slices.SortFunc(mine, func(a, b *waiting) int { return b.placed.Compare(a.placed) })
	list := make([]wait, len(mine))
	for i, w := range mine {
		list[i] = w.wait
	}
	return list
}

// on returns the confirmation on its way of one message.
func (s *waits) on(id string) (wait, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w, ok := s.all[id]
	if !ok {
		return wait{}, false
	}
	return w.wait, true
}

// lastOf returns how the person's last confirmation ended.
func (s *waits) lastOf(user string) (outcome, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, ok := s.last[user]
	return o, ok
}

// ended notes an outcome that needed no wait.
func (s *waits) ended(user string, o outcome) {
	o.At = time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last[user] = o
}
