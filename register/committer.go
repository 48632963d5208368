package register

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/protodaemon/protodaemon/store"
)

const (
	queueLength = 4096
	// patience is how long a caller waits who set no earlier end.
	patience = 30 * time.Second
	// The committer waits for as many decisions as it lately had, so that 64
	// clients who come back one by one share a sync: until none has come for a
	// linger, and no longer than maxLinger.
	linger    = 8 * time.Millisecond
	maxLinger = 40 * time.Millisecond
	// maxTries is how often a commit is tried whose every outcome was first
	// unknown and then found not to be stored.
	maxTries = 5
)

var (
	errClosed = fmt.Errorf("%w: it is being closed", ErrUnavailable)
	errSlow   = fmt.Errorf("%w: the store has not answered in time; what was asked may still be recorded", ErrUnavailable)
)

// refused are the errors of Append after which it is certain that nothing was
// stored. After all others the outcome is unknown.
var refused = []error{store.ErrNoSpace, store.ErrRolledBack, store.ErrLease, store.ErrLocked, store.ErrNewer}

// ledger is a journal with the one goroutine that appends to it.
type ledger struct {
	name    string
	journal store.Journal
	log     *slog.Logger

	queue   chan *decision
	life    context.Context // ends when no further decision is taken
	end     context.CancelFunc
	stopped chan struct{} // the committer has ended
	tasks   sync.WaitGroup

	mu    sync.Mutex
	doubt map[string]bool // pending entries of the commit whose outcome is unknown
	cause error           // why it is unknown

	// Only the committer touches these.
	head  store.Head
	known bool // head is the journal's, as far as we know
	crowd int  // decisions to be expected: of the last commit, or a little fewer than before
}

// decision is one act that waits for its commit. decide may be called more
// than once, each time on current state, and sets its results anew.
type decision struct {
	about  []string // pending entries that it decides
	decide func(*draft) error
	alone  func(context.Context) error // instead of decide: runs while nothing is appended

	wrote bool
	err   error
	done  chan struct{}
}

func newLedger(life context.Context, name string, j store.Journal, log *slog.Logger) *ledger {
	l := &ledger{
		name: name, journal: j, log: log.With("journal", name),
		queue:   make(chan *decision, queueLength),
		stopped: make(chan struct{}),
	}
	l.life, l.end = context.WithCancel(life)
	go l.run()
	return l
}

// close ends the committer after the decisions it has taken.
func (l *ledger) close() {
	l.end()
	<-l.stopped
	l.tasks.Wait()
}

// do has the decision made and returns when it is durable, or has failed. If
// ctx ends before, the decision is made all the same; the caller must not look
// at its results then.
func (l *ledger) do(ctx context.Context, about []string, decide func(*draft) error) error {
	return l.submit(ctx, &decision{about: about, decide: decide, done: make(chan struct{})})
}

// alone runs f in the committer's place: meanwhile nothing is appended.
func (l *ledger) alone(ctx context.Context, f func(context.Context) error) error {
	return l.submit(ctx, &decision{alone: f, done: make(chan struct{})})
}

func (l *ledger) submit(ctx context.Context, dec *decision) error {
	if dec.alone == nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, patience, errSlow)
		defer cancel()
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	select {
	case l.queue <- dec:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-l.stopped:
		return errClosed
	}
	select {
	case <-dec.done:
		return dec.err
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-l.stopped:
	}
	select {
	case <-dec.done:
		return dec.err
	default:
		return errClosed
	}
}

func (l *ledger) run() {
	defer close(l.stopped)
	var waiting []*decision
	for {
		if waiting = l.gather(waiting); len(waiting) == 0 {
			return
		}
		waiting = l.settle(waiting)
	}
}

// gather returns all waiting decisions, or none when there will be no more.
func (l *ledger) gather(waiting []*decision) []*decision {
	if len(waiting) == 0 {
		select {
		case d := <-l.queue:
			waiting = append(waiting, d)
		case <-l.life.Done():
			return nil
		}
	}
	began := time.Now()
	for len(waiting) < maxRecords {
		select {
		case d := <-l.queue:
			waiting = append(waiting, d)
			continue
		default:
		}
		left := min(linger, maxLinger-time.Since(began))
		if len(waiting) >= l.crowd || left <= 0 {
			return waiting
		}
		late := time.NewTimer(left)
		select {
		case d := <-l.queue:
			late.Stop()
			waiting = append(waiting, d)
		case <-late.C:
			return waiting
		case <-l.life.Done():
			late.Stop()
			return waiting
		}
	}
	return waiting
}

// settle decides and commits what waits, as far as one commit reaches, and
// returns the rest.
func (l *ledger) settle(waiting []*decision) []*decision {
	ctx := context.WithoutCancel(l.life)
	if i := slices.IndexFunc(waiting, func(d *decision) bool { return d.alone != nil }); i == 0 {
		waiting[0].err = waiting[0].alone(ctx)
		l.known = false
		close(waiting[0].done)
		return waiting[1:]
	} else if i > 0 {
		return append(l.settle(waiting[:i:i]), waiting[i:]...)
	}
	for tries := 1; ; tries++ {
		if err := l.read(ctx); err != nil {
			answer(waiting, err)
			return nil
		}
		d := newDraft(ctx, l.journal, l.head)
		n := decide(d, waiting)
		taken := waiting[:n]
		if len(d.records) == 0 {
			answer(taken, nil)
			return waiting[n:]
		}
		again, err := l.append(ctx, d, taken)
		if err == nil && !again {
			l.crowd = max(n, l.crowd*3/4)
			answer(taken, nil)
			return waiting[n:]
		}
		if err == nil && tries < maxTries {
			continue
		}
		if err == nil {
			err = fmt.Errorf("%w: the store did not take it after %d attempts", ErrUnavailable, tries)
		}
		waiting = fail(waiting, n, err)
		if len(waiting) == 0 {
			return nil
		}
	}
}

// decide makes decisions until the commit is full and returns how many.
func decide(d *draft, waiting []*decision) int {
	for i, dec := range waiting {
		before := len(d.records)
		dec.err = d.try(func() error { return dec.decide(d) })
		dec.wrote = len(d.records) > before
		if d.full() {
			return i + 1
		}
	}
	return len(waiting)
}

// append stores the draft. again: it was not stored, and has to be decided on
// another head.
func (l *ledger) append(ctx context.Context, d *draft, taken []*decision) (again bool, err error) {
	head, err := l.journal.Append(ctx, store.Commit{Prev: d.head, Records: d.records})
	switch {
	case err == nil:
		l.head = head
		return false, nil
	case errors.Is(err, store.ErrUnknown):
	case errors.Is(err, store.ErrConflict):
		l.known = false
		return true, nil
	case slices.ContainsFunc(refused, func(e error) bool { return errors.Is(err, e) }):
		l.known = false
		return false, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return l.resolve(ctx, d, taken, err)
}

// resolve finds out whether the draft was stored, for as long as that takes
// (design invariant 9).
func (l *ledger) resolve(ctx context.Context, d *draft, taken []*decision, cause error) (again bool, err error) {
	l.log.Error("the outcome of a commit is unknown; reading the journal again", "err", cause)
	l.inDoubt(taken, cause)
	defer l.inDoubt(nil, nil)
	l.known = false
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		if stored, err := l.stored(ctx, d); err == nil {
			l.log.Info("the outcome of the commit is known again", "stored", stored)
			return !stored, nil
		}
		if !l.pause(wait) {
			return false, fmt.Errorf("%w: %w: %w", ErrUnavailable, store.ErrUnknown, cause)
		}
	}
}

// stored tells whether the records behind the draft's head are the draft's.
func (l *ledger) stored(ctx context.Context, d *draft) (bool, error) {
	head, err := l.journal.Head(ctx)
	if err != nil {
		return false, err
	}
	l.head, l.known = head, true
	if head.Seq < d.head.Seq+uint64(len(d.records)) {
		return false, nil
	}
	found, err := l.journal.Records(ctx, d.head.Seq, len(d.records))
	if err != nil {
		return false, err
	}
	return slices.EqualFunc(found, d.records, func(s store.Stored, r store.Record) bool {
		return s.Type == r.Type && s.Time.Equal(r.Time) && bytes.Equal(s.Data, r.Data)
	}), nil
}

// read makes sure that the head is known.
func (l *ledger) read(ctx context.Context) error {
	for wait := 10 * time.Millisecond; !l.known; wait *= 2 {
		head, err := l.journal.Head(ctx)
		if err == nil {
			l.head, l.known = head, true
			break
		}
		if wait > 2*time.Second || !l.pause(wait) {
			return fmt.Errorf("%w: reading the head: %w", ErrUnavailable, err)
		}
	}
	return nil
}

// pause tells whether there is still time to go on afterwards.
func (l *ledger) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-l.life.Done():
		return false
	}
}

func (l *ledger) inDoubt(taken []*decision, cause error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cause, l.doubt = cause, nil
	for _, dec := range taken {
		for _, id := range dec.about {
			if l.doubt == nil {
				l.doubt = map[string]bool{}
			}
			l.doubt[id] = true
		}
	}
}

// doubtful tells whether it is unknown what became of the pending entry.
func (l *ledger) doubtful(id string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.doubt[id]
}

// doubts lists the pending entries of which that is unknown, and why it is.
func (l *ledger) doubts() ([]string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var ids []string
	for id := range l.doubt {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids, l.cause
}

// answer tells the callers how their decisions ended; err, if not nil, instead
// of what was decided.
func answer(decisions []*decision, err error) {
	for _, d := range decisions {
		if err != nil {
			d.err = err
		}
		close(d.done)
	}
}

// fail answers those of the first n that wrote something. The others may have
// relied on them and are decided again.
func fail(waiting []*decision, n int, err error) (rest []*decision) {
	for i, d := range waiting {
		if i < n && d.wrote {
			answer([]*decision{d}, err)
		} else {
			rest = append(rest, d)
		}
	}
	return rest
}
