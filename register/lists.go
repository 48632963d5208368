package register

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/protodaemon/protodaemon/store"
)

const (
	defaultLimit = 50
	maxLimit     = 500
	// maxDuplicates bounds those that are looked for in one register.
	maxDuplicates = 50
	maxHistory    = 1000
	maxCursor     = 500 // bytes
)

// PendingQuery selects pending entries; the zero State means StatePending.
type PendingQuery struct {
	State  State
	Cursor string
	Limit  int // 1 to 500; 0: 50
}

// Page is one page of a list; Next is empty at the end.
type Page[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty"`
}

// checkPage refuses what no page has been asked for with; a cursor is a key, or
// the end of one.
func checkPage(limit int, cursor string) (int, error) {
	switch {
	case len(cursor) > maxCursor:
		return 0, &FieldError{"cursor", "is not one of ours"}
	case limit == 0:
		return defaultLimit, nil
	case limit < 0 || limit > maxLimit:
		return 0, &FieldError{"limit", fmt.Sprintf("is from 1 to %d", maxLimit)}
	}
	return limit, nil
}

// states are those that a query may name.
var states = map[State]bool{
	StatePending: true, StateConfirming: true, StateQuarantined: true, StateOversized: true,
	StateConfirmed: true, StateRejected: true, StateWithdrawn: true,
}

// PendingList lists a register's pending entries, oldest arrival first.
func (o *Office) PendingList(ctx context.Context, a Actor, org, register string, q PendingQuery) (Page[Pending], error) {
	b, err := o.bookFor(a, Read, org, register)
	if err != nil {
		return Page[Pending]{}, err
	}
	if q.State == "" {
		q.State = StatePending
	}
	if !states[q.State] {
		return Page[Pending]{}, &FieldError{"state", fmt.Sprintf("there is no state %q", clip(string(q.State), maxCode))}
	}
	if q.Limit, err = checkPage(q.Limit, q.Cursor); err != nil {
		return Page[Pending]{}, err
	}
	if q.State == StateConfirming {
		return b.confirming(ctx)
	}
	return b.inState(ctx, q)
}

// confirming lists the entries whose confirmation's outcome is unknown.
func (b *book) confirming(ctx context.Context) (Page[Pending], error) {
	page := Page[Pending]{Items: []Pending{}}
	doubts, _ := b.doubts()
	for _, id := range doubts {
		p, err := b.pending(ctx, id)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return Page[Pending]{}, err
		}
		if err == nil && p.State == StateConfirming {
			page.Items = append(page.Items, p)
		}
	}
	return page, nil
}

// inState reads a page of the state index. The cursor is the part of the last
// key behind the state.
func (b *book) inState(ctx context.Context, q PendingQuery) (Page[Pending], error) {
	page := Page[Pending]{Items: []Pending{}}
	at := prefix(string(q.State))
	r := store.Range{Kind: rowState, Prefix: at}
	if q.Cursor != "" {
		r.After = at + q.Cursor
	}
	var last string
	err := eachRow(ctx, b.journal, r, func(row store.Row) (bool, error) {
		if len(page.Items) == q.Limit {
			page.Next = last
			return false, nil
		}
		p, err := b.pending(ctx, lastPart(row.Key))
		if err != nil {
			return false, err
		}
		last = strings.TrimPrefix(row.Key, at)
		if p.State == q.State { // it may have been decided since
			page.Items = append(page.Items, p)
		}
		return true, nil
	})
	return page, err
}

// Detail is a pending entry with what is computed when it is read.
type Detail struct {
	Pending
	Analysis    json.RawMessage
	Duplicates  []Duplicate
	Suggestions []Suggestion
	Blocked     string // why the move is still due
}

// Duplicate names another occurrence: of the same bytes (message) or of the
// same inner message (content). What the caller may not see has only Elsewhere.
type Duplicate struct {
	Kind      string `json:"kind"`
	Pending   string `json:"pending,omitempty"`
	Entry     string `json:"entry,omitempty"`
	Elsewhere string `json:"elsewhere,omitempty"`
}

// elsewhere is all that is told of a register the caller may not see.
const elsewhere = "altro registro"

// Suggestion proposes a value of a field, and says from what.
type Suggestion struct {
	Field   string `json:"field"`
	Value   string `json:"value"`
	Hits    int    `json:"hits"`
	Of      int    `json:"of"`
	Because string `json:"because"`
}

// Pending reads one pending entry.
func (o *Office) Pending(ctx context.Context, a Actor, id string) (Detail, error) {
	b, err := o.bookOf(id)
	if err != nil {
		return Detail{}, err
	}
	if err := b.may(a, Read); err != nil {
		return Detail{}, err
	}
	d := Detail{Blocked: o.desk.reason(id)}
	if d.Pending, err = b.pending(ctx, id); err != nil {
		return Detail{}, err
	}
	if _, err := readRow(ctx, b.journal, rowAnalysis, id, &d.Analysis); err != nil {
		return Detail{}, err
	}
	if d.Duplicates, err = b.agency.duplicates(ctx, a, d.Pending); err != nil {
		return Detail{}, err
	}
	return d, nil
}

// duplicates looks through all registers of the organization.
func (ag *agency) duplicates(ctx context.Context, a Actor, p Pending) ([]Duplicate, error) {
	all := []Duplicate{}
	seen := map[string]bool{p.ID: true}
	for _, kind := range []struct {
		name, row string
		digest    store.Digest
	}{{"message", rowMessage, p.Message}, {"content", rowContent, p.Summary.Content}} {
		if kind.digest == (store.Digest{}) {
			continue
		}
		for _, b := range ag.books {
			found, err := b.occurrences(ctx, kind.row, kind.digest, seen)
			if err != nil {
				return nil, err
			}
			if len(found) > 0 && b.may(a, Read) != nil {
				all = append(all, Duplicate{Kind: kind.name, Elsewhere: elsewhere})
				continue
			}
			for _, other := range found {
				all = append(all, Duplicate{Kind: kind.name, Pending: other.ID, Entry: other.Entry})
			}
		}
	}
	return all, nil
}

// occurrences reads those of a digest that are not in seen yet.
func (b *book) occurrences(ctx context.Context, kind string, d store.Digest, seen map[string]bool) ([]Pending, error) {
	rows, err := b.journal.List(ctx, store.Range{Kind: kind, Prefix: prefix(d.String()), Limit: maxDuplicates})
	if err != nil {
		return nil, fmt.Errorf("%w: looking for duplicates: %w", ErrUnavailable, err)
	}
	var all []Pending
	for _, row := range rows {
		id := lastPart(row.Key)
		if seen[id] {
			continue
		}
		seen[id] = true
		p, err := b.pending(ctx, id)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

// OpenMessage opens the raw bytes of a pending entry for who may read it.
func (o *Office) OpenMessage(ctx context.Context, a Actor, id string) (store.Blob, error) {
	b, err := o.bookOf(id)
	if err != nil {
		return nil, err
	}
	if err := b.may(a, Read); err != nil {
		return nil, err
	}
	p, err := b.pending(ctx, id)
	if err != nil {
		return nil, err
	}
	if p.State == StateOversized {
		return nil, fmt.Errorf("the message of %s was too large to be kept: %w", id, ErrNotFound)
	}
	return openBlob(ctx, b.agency, p.Message)
}

// history reads the events of a pending entry, or of an entry without one.
func (b *book) history(ctx context.Context, subject string) ([]Event, error) {
	rows, err := b.journal.List(ctx, store.Range{Kind: rowHistory, Prefix: prefix(subject), Limit: maxHistory})
	if err != nil {
		return nil, fmt.Errorf("%w: reading the history of %s: %w", ErrUnavailable, subject, err)
	}
	all := make([]Event, 0, len(rows))
	for _, row := range rows {
		seq, err := parseSeq(row.Key)
		if err != nil {
			return nil, err
		}
		records, err := b.journal.Records(ctx, seq-1, 1)
		if err != nil || len(records) != 1 {
			return nil, fmt.Errorf("%w: reading record %d: %w", ErrUnavailable, seq, errors.Join(err, ErrNotFound))
		}
		e, err := event(records[0], b.agency.conf.ID, b.conf.ID)
		if err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	return all, nil
}
