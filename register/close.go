package register

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/protodaemon/protodaemon/store"
)

// ClosingFormat is the version of the rules by which the files of a closing
// are written today.
const ClosingFormat = 1

// The values of ClosingRules.
const (
	emptyWorking      = "working"
	emptyAll          = "all"
	sameDayRefuse     = "refuse"
	sameDaySupplement = "supplement"
	reservedMasked    = "masked"
)

// closingCounter counts the daily registers of a year.
func closingCounter(year string) string { return "closing/" + year }

func closingKey(day string, sequence int) string { return fmt.Sprintf("%s.%03d", day, sequence) }

func closingID(day string, sequence int) string { return day + "." + strconv.Itoa(sequence) }

// errStale: the journal went on while the files of a closing were written.
var errStale = errors.New("the journal went on meanwhile")

// lastClosing is the register's newest, or nil.
func (b *book) lastClosing(ctx context.Context) (*Closing, error) {
	var last *Closing
	err := eachRow(ctx, b.journal, store.Range{Kind: rowClosing, Reverse: true, Limit: 1}, func(row store.Row) (bool, error) {
		c, err := decodeClosing(row)
		last = &c
		return false, err
	})
	return last, err
}

// open is what the days since the last closing hold.
func (b *book) open(ctx context.Context) (last *Closing, days []tally, err error) {
	b.tallyMu.Lock()
	defer b.tallyMu.Unlock()
	if last, err = b.lastClosing(ctx); err != nil {
		return nil, nil, err
	}
	var base uint64
	if last != nil {
		base = last.Resume
	}
	b.tallies.from(base)
	err = b.tallies.read(ctx, b.journal, b.loc)
	return last, slices.Clone(b.tallies.days), err
}

// NextClosing is the next closing that days up to and including through call
// for, with identity and scope, and without what its records hold; nil when
// there is none. An empty through means yesterday. Days that hold nothing are
// left out or closed empty as the rules say. An OfficerError: there is nobody
// in whose name it could be closed.
func (o *Office) NextClosing(ctx context.Context, a Actor, org, register, through string) (*Closing, error) {
	b, err := o.bookFor(a, Manage, org, register)
	if err != nil {
		return nil, err
	}
	if err := b.zoneKept(ctx); err != nil {
		return nil, err
	}
	now, err := b.legalNow(ctx)
	if err != nil {
		return nil, err
	}
	today := now.In(b.loc).Format(time.DateOnly)
	if through == "" {
		through = dayBefore(today)
	}
	switch _, err := parseDay(through); {
	case err != nil:
		return nil, &FieldError{"through", "is a day, YYYY-MM-DD"}
	case through > today:
		return nil, &FieldError{"through", fmt.Sprintf("is after today, %s", today)}
	}
	last, days, err := b.open(ctx)
	if err != nil {
		return nil, err
	}
	c, err := b.scope(ctx, last, days, through, today)
	if c == nil || err != nil {
		return nil, err
	}
	if c.Manager, c.Acting, err = b.agency.conf.inOffice(today); err != nil {
		return nil, err
	}
	c.ClosedAt = now
	if c.ClosedBy, err = o.closer(ctx, a); err != nil {
		return nil, err
	}
	return c, nil
}

// legalNow is the later of clock and head; a clock far behind it closes
// nothing.
func (b *book) legalNow(ctx context.Context) (time.Time, error) {
	head, err := b.journal.Head(ctx)
	if err != nil {
		return time.Time{}, fmt.Errorf("%w: reading the head of %s: %w", ErrUnavailable, b.name, err)
	}
	d := newDraft(ctx, b.journal, head)
	return d.at, d.clock()
}

// scope finds the first day up to through that is to be closed.
func (b *book) scope(ctx context.Context, last *Closing, days []tally, through, today string) (*Closing, error) {
	day, sequence, resume := "", 0, uint64(0)
	var chain store.Digest
	switch {
	case last != nil:
		day, sequence, resume = last.Day, last.Sequence+1, last.Resume
		var err error
		if chain, err = b.hashOf(ctx, resume); err != nil {
			return nil, err
		}
	case len(days) > 0:
		day = days[0].day
	default:
		return nil, nil
	}
	for i := 0; day <= through; day, sequence = dayAfter(day), 0 {
		t := tally{day: day, through: resume, chain: chain}
		for ; i < len(days) && days[i].day <= day; i++ {
			resume, chain = days[i].through, days[i].chain
			n := days[i]
			t.entries, t.changes, t.through, t.chain = t.entries+n.entries, t.changes+n.changes, n.through, n.chain
		}
		if t.entries+t.changes == 0 && (sequence > 0 || !b.closesEmpty(day)) {
			continue
		}
		return b.identify(ctx, last, t, sequence)
	}
	return nil, nil
}

// hashOf is the hash of a record.
func (b *book) hashOf(ctx context.Context, seq uint64) (store.Digest, error) {
	if seq == 0 {
		return store.Digest{}, nil
	}
	records, err := b.journal.Records(ctx, seq-1, 1)
	if err == nil && len(records) == 0 {
		err = fmt.Errorf("there is no record %d", seq)
	}
	if err != nil {
		return store.Digest{}, fmt.Errorf("%w: reading %s: %w", ErrUnavailable, b.name, err)
	}
	return records[0].Hash, nil
}

// closesEmpty tells whether a day that holds nothing gets an empty register.
func (b *book) closesEmpty(day string) bool {
	switch b.conf.Closing.EmptyDays {
	case emptyAll:
		return true
	case emptyWorking:
		t, err := parseDay(day)
		return err == nil && b.calendar().working(t)
	}
	return false
}

func (b *book) calendar() calendar {
	return calendar{patron: b.conf.Closing.Patron, extra: b.conf.Closing.Holidays}
}

// identify gives a closing its names.
func (b *book) identify(ctx context.Context, last *Closing, t tally, sequence int) (*Closing, error) {
	head, err := b.journal.Head(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: reading the head of %s: %w", ErrUnavailable, b.name, err)
	}
	day, err := parseDay(t.day)
	if err != nil {
		return nil, fmt.Errorf("closing %q: %w", t.day, err)
	}
	year := t.day[:4]
	c := &Closing{
		ID: closingID(t.day, sequence), Organization: b.agency.conf.ID, Register: b.conf.ID,
		Day: t.day, Sequence: sequence, Progressive: int(head.Counters[closingCounter(year)]) + 1,
		Format: ClosingFormat, Through: t.through, Resume: t.through, Chain: t.chain,
		Holder:   b.holder(),
		Reserved: b.conf.Closing.Reserved,
		Deadline: b.calendar().next(day).Format(time.DateOnly),
		State:    ClosingClosed, Reached: ClosingClosed,
		Files: []ClosingFile{}, Steps: []ClosingStep{},
	}
	if c.Reserved == "" {
		c.Reserved = reservedMasked
	}
	c.Name = c.stem()
	if last != nil {
		c.After = last.Resume
		c.Previous = &ClosingLink{ID: last.ID, Name: last.Name}
		if f, ok := last.File(FileImprints); ok {
			c.Previous.SHA256 = f.SHA256
		}
	}
	return c, nil
}

// stem is the identificativo univoco of the daily register: codes, register,
// day, progressive number in the year (AgID, Istruzioni of 6 October 2015).
func (c Closing) stem() string {
	var parts []string
	for _, code := range []string{c.Holder.IPACode, c.Holder.AOOCode, c.Register} {
		if code != "" {
			parts = append(parts, code)
		}
	}
	return strings.Join(append(parts, strings.ReplaceAll(c.Day, "-", ""), fmt.Sprintf("%03d", c.Progressive)), "-")
}

// File is the newest file of a role.
func (c Closing) File(role string) (ClosingFile, bool) {
	for _, f := range slices.Backward(c.Files) {
		if f.Role == role {
			return f, true
		}
	}
	return ClosingFile{}, false
}

// closer is who closes, as his account names him.
func (o *Office) closer(ctx context.Context, a Actor) (Closer, error) {
	c := Closer{User: a.User}
	var u account
	ok, err := readRow(ctx, o.installation.journal, rowUser, a.User, &u)
	if err == nil && ok {
		c.Name, c.Surname, c.TaxCode = u.GivenName, u.Surname, u.TaxCode
	}
	return c, err
}

// CloseDay records that a closing's files are written. already: it was
// recorded before, perhaps by another, and the one returned is what counts. An
// ErrState: the journal went on in a way that this closing does not tell of;
// it has to be made again.
func (o *Office) CloseDay(ctx context.Context, a Actor, c Closing) (made Closing, already bool, err error) {
	b, err := o.bookFor(a, Manage, c.Organization, c.Register)
	if err != nil {
		return Closing{}, false, err
	}
	err = b.do(ctx, nil, func(d *draft) (err error) {
		made, already, err = d.closeDay(b, a, c)
		return err
	})
	if err != nil {
		return Closing{}, false, fmt.Errorf("closing %s of %s: %w", c.ID, b.name, err)
	}
	if !already {
		o.metrics.closed(made)
	}
	return made, already, nil
}

func (d *draft) closeDay(b *book, a Actor, c Closing) (made Closing, already bool, err error) {
	var there Closing
	if ok, err := d.get(rowClosing, closingKey(c.Day, c.Sequence), &there); ok || err != nil {
		return there, true, err
	}
	if err := d.clock(); err != nil {
		return Closing{}, false, err
	}
	last, err := b.lastClosing(d.ctx)
	if err != nil {
		return Closing{}, false, err
	}
	if err := d.fits(b, last, c); err != nil {
		return Closing{}, false, err
	}
	c.Steps = []ClosingStep{{State: ClosingClosed, At: d.at, By: a.User}}
	row := encode(c)
	d.add(change{
		typ: typeClosingChanged,
		fact: fact{By: a.User, Name: a.Name, Closing: c.ID,
			Detail: encode(closingChange{Change: string(ClosingClosed), State: c.State})},
		rows: []store.Row{
			{Kind: rowClosing, Key: closingKey(c.Day, c.Sequence), Value: row},
			{Kind: rowSetting, Key: settingClosed, Value: encode(c.Day)},
		},
		counters: map[string]uint64{closingCounter(c.Day[:4]): uint64(c.Progressive)},
		witness:  encode(note{Kind: noteClosing, Closing: row}),
	})
	return c, false, nil
}

// fits holds a closing against the journal as it is now: it follows the last
// one, and no record outside it belongs to its day, unless the day goes on.
func (d *draft) fits(b *book, last *Closing, c Closing) error {
	today := d.at.In(b.loc).Format(time.DateOnly)
	var previous string
	var resume uint64
	if last != nil {
		previous, resume = last.ID, last.Resume
	}
	switch {
	case c.Previous == nil && previous != "" || c.Previous != nil && c.Previous.ID != previous || c.After != resume:
		return stale("another closing was made")
	case uint64(c.Progressive) != d.counters[closingCounter(c.Day[:4])]+1:
		return stale("its number was given")
	case c.Day > today || c.Through > d.head.Seq:
		return stale("it tells of what has not happened")
	}
	leftOut, err := d.leavesOut(b, c, today)
	if leftOut && err == nil {
		err = stale("more belongs to its day")
	}
	return err
}

func stale(why string) error { return fmt.Errorf("%w: %w: %s", ErrState, errStale, why) }

// leavesOut tells whether something of the closing's day stands behind its last
// record. While the day goes on that is what a supplement is for, unless there
// may be none.
func (d *draft) leavesOut(b *book, c Closing, today string) (bool, error) {
	goesOn := c.Day == today
	switch {
	case goesOn && b.conf.Closing.SameDay != sameDayRefuse:
		return false, nil
	case goesOn && slices.ContainsFunc(d.records, func(r store.Record) bool { return tellsOfEntry[r.Type] }):
		return true, nil // of decisions in the same commit
	}
	err := eachRecord(d.ctx, b.journal, c.Through, d.head.Seq, func(r store.Stored) error {
		if r.Time.In(b.loc).Format(time.DateOnly) > c.Day {
			return errEnough
		}
		if !goesOn {
			return errStale
		}
		_, tells, err := happening(r)
		if tells && err == nil {
			err = errStale
		}
		return err
	})
	switch {
	case errors.Is(err, errStale):
		return true, nil
	case errors.Is(err, errEnough):
		return false, nil
	}
	return false, err
}

// errEnough ends a walk over records that has found what it looked for.
var errEnough = errors.New("enough")

// closingChange is the detail of closing.changed.
type closingChange struct {
	Change string       `json:"change"`
	State  ClosingState `json:"state"`
	Reason string       `json:"reason,omitempty"`
}

// dayBefore is the day before one of ours.
func dayBefore(day string) string {
	t, err := parseDay(day)
	if err != nil {
		return day
	}
	return t.AddDate(0, 0, -1).Format(time.DateOnly)
}

func decodeClosing(row store.Row) (Closing, error) {
	var c Closing
	if err := json.Unmarshal(row.Value, &c); err != nil {
		return Closing{}, fmt.Errorf("decoding closing %s: %w", row.Key, err)
	}
	return c, nil
}
