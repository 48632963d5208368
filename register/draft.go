package register

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/protodaemon/protodaemon/store"
)

// What one commit holds at most, beside its last decision.
const (
	maxRecords = 1000
	maxBytes   = 4 << 20
)

// fact is the data of every record: who did what to which.
type fact struct {
	By      string          `json:"by,omitempty"`
	Name    string          `json:"by_name,omitempty"`
	Mailbox string          `json:"mailbox,omitempty"`
	Pending string          `json:"pending,omitempty"`
	Entry   string          `json:"entry,omitempty"`
	Closing string          `json:"closing,omitempty"`
	Detail  json.RawMessage `json:"detail,omitempty"`
}

// change is one record that a decision makes.
type change struct {
	typ  string
	fact fact
	rows []store.Row
	// counters are those of the head that are set.
	counters map[string]uint64
	witness  json.RawMessage
}

type rowName struct{ kind, key string }

// draft is the commit in the making: the journal's state together with what
// the decisions before have changed. It belongs to the committer's goroutine.
type draft struct {
	ctx     context.Context
	journal store.Journal
	head    store.Head // which the commit will follow
	now     time.Time  // the clock
	at      time.Time  // the legal time of all records of the commit

	counters map[string]uint64
	rows     map[rowName]json.RawMessage // read or changed; nil: not there
	undo     []func()
	records  []store.Record
	size     int
}

func newDraft(ctx context.Context, j store.Journal, head store.Head) *draft {
	d := &draft{
		ctx: ctx, journal: j, head: head, now: stamp(time.Now()),
		counters: maps.Clone(head.Counters),
		rows:     map[rowName]json.RawMessage{},
	}
	if d.counters == nil {
		d.counters = map[string]uint64{}
	}
	d.at = d.now
	if head.Time.After(d.at) {
		d.at = head.Time
	}
	return d
}

// try runs f; if it fails, nothing of what it changed remains.
func (d *draft) try(f func() error) error {
	undone, records, size := len(d.undo), len(d.records), d.size
	err := f()
	if err == nil {
		return nil
	}
	for i := len(d.undo) - 1; i >= undone; i-- {
		d.undo[i]()
	}
	d.undo, d.records, d.size = d.undo[:undone], d.records[:records], size
	return err
}

func (d *draft) full() bool { return len(d.records) >= maxRecords || d.size >= maxBytes }

// raw returns a row as the commit would leave it, or nil.
func (d *draft) raw(kind, key string) (json.RawMessage, error) {
	name := rowName{kind, key}
	if v, ok := d.rows[name]; ok {
		return v, nil
	}
	v, err := d.journal.Get(d.ctx, kind, key)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, fmt.Errorf("reading %s %s: %w", kind, key, err)
	}
	if err != nil {
		v = nil
	}
	d.rows[name] = v
	return v, nil
}

// get decodes a row into v and tells whether there is one.
func (d *draft) get(kind, key string, v any) (bool, error) {
	raw, err := d.raw(kind, key)
	if err != nil || raw == nil {
		return false, err
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return false, fmt.Errorf("decoding %s %s: %w", kind, key, err)
	}
	return true, nil
}

// seq is the sequence that the next record gets.
func (d *draft) seq() uint64 { return d.head.Seq + uint64(len(d.records)) + 1 }

// add adds a record, and to the history of what it is about.
func (d *draft) add(c change) {
	subject := c.fact.Pending
	if subject == "" {
		subject = c.fact.Entry
	}
	if subject != "" {
		c.rows = append(c.rows, store.Row{Kind: rowHistory, Key: historyKey(subject, d.seq()), Value: present})
	}
	for _, r := range c.rows {
		d.set(r)
	}
	for name, n := range c.counters {
		before, was := d.counters[name]
		d.counters[name] = n
		d.undo = append(d.undo, func() {
			d.counters[name] = before
			if !was {
				delete(d.counters, name)
			}
		})
	}
	data := encode(c.fact)
	d.size += len(data) + len(c.witness)
	d.records = append(d.records, store.Record{
		Type: c.typ, Time: d.at, Data: data,
		Rows: c.rows, Counters: c.counters, Witness: c.witness,
	})
}

func (d *draft) set(r store.Row) {
	name := rowName{r.Kind, r.Key}
	before, known := d.rows[name]
	d.rows[name] = r.Value
	d.size += len(r.Key) + len(r.Value)
	d.undo = append(d.undo, func() {
		d.rows[name] = before
		if !known {
			delete(d.rows, name)
		}
	})
}
