package store

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"

	bolt "go.etcd.io/bbolt"
)

// maxBatch bounds the commits that share a transaction, so that none waits
// for an endless one.
const maxBatch = 256

// request is what a file's writer is asked to do. The zero value asks only
// that the file be open.
type request struct {
	// apply checks and then puts. When it returns an error it has put nothing.
	apply func(*bolt.Tx) error
	// grows says that the request is refused below the free-space reserve.
	grows bool
	// line is what the witness gets; applied is called when all is durable.
	line    *testimony
	applied func()

	err  error
	done chan struct{}
}

// do hands r to the writer and waits. A caller who goes away while r waits
// takes it back; once the writer has it, its outcome is waited for.
func (f *file) do(ctx context.Context, r *request) error {
	r.done = make(chan struct{})
	select {
	case f.requests <- r:
	case <-ctx.Done():
		if f.b.closing.Err() != nil {
			return errClosed
		}
		return context.Cause(ctx)
	case <-f.b.closing.Done():
		return errClosed
	}
	<-r.done
	return r.err
}

// run is the file's only writer.
func (f *file) run() {
	for {
		select {
		case <-f.b.closing.Done():
			return
		case r := <-f.requests:
			f.serve(f.gather(r))
		}
	}
}

// gather takes everybody who waits. It yields once, because those who were
// just answered are about to come back.
func (f *file) gather(r *request) []*request {
	batch := []*request{r}
	runtime.Gosched()
	for len(batch) < maxBatch {
		select {
		case r := <-f.requests:
			batch = append(batch, r)
		default:
			return batch
		}
	}
	return batch
}

func (f *file) serve(batch []*request) {
	defer func() {
		for _, r := range batch {
			close(r.done)
		}
	}()
	if f.db != nil && f.db.dead.Load() {
		f.reopen()
	}
	if f.db == nil || f.db.IsReadOnly() || f.witness == nil {
		if err := f.open(); err != nil {
			fail(batch, fmt.Errorf("the store of %s is not available: %w", f.org, err))
			return
		}
	}
	full := sync.OnceValue(f.b.space.check)
	var work []*request
	for _, r := range batch {
		if r.grows {
			r.err = full()
		}
		if r.apply != nil && r.err == nil {
			work = append(work, r)
		}
	}
	if len(work) > 0 {
		f.write(work)
	}
}

func fail(batch []*request, err error) {
	for _, r := range batch {
		r.err = err
	}
}

// write does all of work in one transaction. Whatever goes wrong after the
// commit has begun leaves the outcome unknown.
func (f *file) write(work []*request) {
	tx, accepted, err := f.transact(work)
	if err != nil {
		fail(work, err)
		f.reopen()
		return
	}
	if len(accepted) == 0 {
		return
	}
	if err := f.finish(tx, accepted); err != nil {
		f.reopen()
		err = fmt.Errorf("%w: %w", ErrUnknown, err)
		if f.fault != nil {
			err = fmt.Errorf("%w; reopening: %v", err, f.fault)
		}
		fail(accepted, err)
		return
	}
	for _, r := range accepted {
		if r.applied != nil {
			r.applied()
		}
	}
}

// transact applies each request; those that are refused keep their own error.
// The transaction is open when it returns accepted requests.
func (f *file) transact(work []*request) (tx *bolt.Tx, accepted []*request, err error) {
	defer func() {
		if err != nil {
			accepted = nil
		}
		if tx != nil && len(accepted) == 0 {
			err = errors.Join(err, rollback(tx))
		}
	}()
	defer catch(&err)()
	if tx, err = f.db.Begin(true); err != nil {
		return nil, nil, fmt.Errorf("beginning a transaction on %s: %w", f.path, err)
	}
	for _, r := range work {
		if r.err = r.apply(tx); r.err == nil {
			accepted = append(accepted, r)
		} else if errors.Is(r.err, errPut) {
			return tx, nil, r.err
		}
	}
	return tx, accepted, nil
}

// errPut marks an error after something was put: the transaction is spoilt for
// all that share it.
var errPut = errors.New("the database refused a value")

func rollback(tx *bolt.Tx) (err error) {
	defer catch(&err)()
	return tx.Rollback()
}

// finish commits and lets the witness know.
func (f *file) finish(tx *bolt.Tx, accepted []*request) (err error) {
	if err := f.commitTx(tx); err != nil {
		return fmt.Errorf("committing to %s: %w", f.path, err)
	}
	var lines []testimony
	for _, r := range accepted {
		if r.line != nil {
			lines = append(lines, *r.line)
		}
	}
	if len(lines) == 0 {
		return nil
	}
	return f.witness.add(lines)
}

func (f *file) commitTx(tx *bolt.Tx) (err error) {
	defer func() {
		if err != nil {
			// After a panic the transaction still holds the writer's lock.
			_ = rollback(tx)
		}
	}()
	defer catch(&err)()
	return f.commit(tx)
}

// reopen closes everything and reads it anew: memory may differ from the disk.
func (f *file) reopen() {
	if err := errors.Join(f.closeDB(), f.witness.close()); err != nil {
		f.log.Warn("closing a store in doubt", "file", f.path, "err", err)
	}
	f.witness = nil
	f.fault, f.backoff = nil, 0
	if err := f.open(); err == nil {
		f.log.Warn("a store in doubt was closed, opened and read again", "file", f.path)
	}
}
