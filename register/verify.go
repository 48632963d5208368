package register

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/protodaemon/protodaemon/store"
)

// Verdict is the outcome of Verify, as `protodaemon verify --json` prints it.
type Verdict struct {
	OK       bool      `json:"ok"`
	Entries  uint64    `json:"entries"`
	Events   uint64    `json:"events"`
	Blobs    uint64    `json:"blobs"`
	Closings uint64    `json:"closings"`
	Problems []Problem `json:"problems"`
}

// Problem is one thing that Verify found; Code is stable.
type Problem struct {
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// The codes of the problems that Verify finds beside those of store.Journal's
// Check.
const (
	codeUnreadable     = "unreadable"      // a journal or row cannot be read
	codeNumberGap      = "number-gap"      // a number is not there
	codeEntryAltered   = "entry-altered"   // an entry contradicts itself or its number
	codeEntryTime      = "entry-time"      // an entry is earlier than the one before
	codeEntryMissing   = "entry-missing"   // a confirmed message names an entry that is not there
	codeCounterDiffers = "counter-differs" // a counter is not at the last number
	codePendingMissing = "pending-missing" // an entry names a message that is not there
	codePendingAltered = "pending-altered" // a pending entry contradicts its id or its entry
	codeIndexMissing   = "index-missing"   // a row by which something is found is not there
	codeIndexStray     = "index-stray"     // such a row leads nowhere
	codeClosingAltered = "closing-altered" // a closing contradicts itself, its records or the one before
	codeClosingRange   = "closing-range"   // a record is in no closing or in two, or is not there
	codeBlobMissing    = "blob-missing"    // a file that is named is not there
	codeBlobDamaged    = "blob-damaged"    // a file does not hold the bytes it is named after
	codeTooMany        = "too-many"        // problems are left out
)

const (
	maxProblems = 1000
	blobsAtOnce = 2
	// freeLooks is how often a register is read while it goes on working,
	// before it is made to wait.
	freeLooks = 3
)

// Verify re-reads everything kept: chains, rows, heads, witness, numbering
// without gap or repeat, blobs against their digests. It may run while the
// office works.
func (o *Office) Verify(ctx context.Context) (Verdict, error) {
	f := &findings{verdict: Verdict{Problems: []Problem{}}}
	if err := f.journal(ctx, o.installation.journal); err != nil {
		return Verdict{}, err
	}
	v := o.view.Load()
	for _, id := range v.order {
		a := v.agencies[id]
		if a.aside != nil {
			f.report(codeUnreadable, "organization %s: %v", id, a.aside)
			continue
		}
		if err := f.agency(ctx, a); err != nil {
			return Verdict{}, fmt.Errorf("verifying %s: %w", id, err)
		}
	}
	f.verdict.OK = len(f.verdict.Problems) == 0
	return f.verdict, nil
}

// findings collect what is found; its methods return only errors that end the
// work.
type findings struct {
	mu      sync.Mutex
	verdict Verdict
}

func (f *findings) add(p Problem) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch n := len(f.verdict.Problems); {
	case n < maxProblems:
		f.verdict.Problems = append(f.verdict.Problems, p)
	case n == maxProblems:
		f.verdict.Problems = append(f.verdict.Problems, Problem{codeTooMany, "further problems are not listed"})
	}
}

func (f *findings) report(code, format string, args ...any) {
	f.add(Problem{code, fmt.Sprintf(format, args...)})
}

// journal checks what the store itself can.
func (f *findings) journal(ctx context.Context, j store.Journal) error {
	checked, err := j.Check(ctx, func(p store.Problem) { f.add(Problem(p)) })
	f.verdict.Events += checked.Records
	if err != nil && ctx.Err() == nil {
		f.report(codeUnreadable, "journal %s: %v", j.Name(), err)
		return nil
	}
	return ctx.Err()
}

func (f *findings) agency(ctx context.Context, a *agency) error {
	if err := f.journal(ctx, a.ledger.journal); err != nil {
		return err
	}
	files := map[store.Digest]string{}
	for _, b := range a.books {
		if err := f.journal(ctx, b.journal); err != nil {
			return err
		}
		in, err := b.inspect(ctx)
		if err != nil {
			return err
		}
		f.verdict.Entries += in.entries
		f.verdict.Closings += in.closings
		for _, p := range in.problems {
			f.add(p)
		}
		for d, who := range in.files {
			files[d] = who
		}
	}
	return f.files(ctx, a, files)
}

func (f *findings) files(ctx context.Context, a *agency, files map[store.Digest]string) error {
	var g errgroup.Group
	g.SetLimit(blobsAtOnce)
	for d, who := range files {
		if ctx.Err() != nil {
			break
		}
		g.Go(func() error {
			switch err := a.blobs.Check(ctx, d); {
			case errors.Is(err, store.ErrNotFound):
				f.report(codeBlobMissing, "organization %s: file %s of %s", a.conf.ID, d, who)
			case err != nil && ctx.Err() == nil:
				f.report(codeBlobDamaged, "organization %s: file %s of %s: %v", a.conf.ID, d, who, err)
			}
			return ctx.Err()
		})
	}
	f.verdict.Blobs += uint64(len(files))
	return g.Wait()
}

// inspect looks at a register that stands still: when it moved while it was
// read, what was found may be wrong, and it is read again; in the end it is
// made to wait.
func (b *book) inspect(ctx context.Context) (*inspection, error) {
	for range freeLooks {
		before, err := b.journal.Head(ctx)
		if err != nil {
			return &inspection{problems: []Problem{{codeUnreadable, err.Error()}}}, ctx.Err()
		}
		in, err := b.look(ctx)
		if err != nil {
			return nil, err
		}
		after, err := b.journal.Head(ctx)
		if err == nil && after.Seq == before.Seq || len(in.problems) == 0 {
			return in, ctx.Err()
		}
	}
	var in *inspection
	err := b.alone(ctx, func(context.Context) (err error) {
		in, err = b.look(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	return in, nil
}
