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

// inspection is one reading of all rows of a register.
type inspection struct {
	b        *book
	ctx      context.Context
	zone     *time.Location
	problems []Problem
	entries  uint64
	closings uint64
	files    map[store.Digest]string // and who names them
}

func (in *inspection) report(code, format string, args ...any) {
	if len(in.problems) <= maxProblems {
		in.problems = append(in.problems, Problem{code, "register " + in.b.name + ": " + fmt.Sprintf(format, args...)})
	}
}

// look reads the register once.
func (b *book) look(ctx context.Context) (*inspection, error) {
	in := &inspection{b: b, ctx: ctx, zone: b.loc, files: map[store.Digest]string{}}
	for _, step := range []func() error{in.readZone, in.numbers, in.pendings, in.indexes, in.identities, in.closingsHeld} {
		err := step()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			in.report(codeUnreadable, "%v", err)
		}
	}
	return in, nil
}

// readZone takes the zone in which the numbers were given.
func (in *inspection) readZone() error {
	var name string
	ok, err := readRow(in.ctx, in.b.journal, rowSetting, settingZone, &name)
	if err != nil || !ok {
		return err
	}
	zone, err := time.LoadLocation(name)
	if err == nil {
		in.zone = zone
	}
	return err
}

// numbers goes through the entries in their order: each year from 1 without
// gap, never backwards in time, up to the counter.
func (in *inspection) numbers() error {
	var year int
	var n uint64
	var last time.Time
	highest := map[string]uint64{}
	err := eachRow(in.ctx, in.b.journal, store.Range{Kind: rowEntry}, func(row store.Row) (bool, error) {
		var e Entry
		if err := json.Unmarshal(row.Value, &e); err != nil {
			in.report(codeEntryAltered, "entry %s cannot be read: %v", row.Key, err)
			return true, nil
		}
		in.entries++
		y, number, ok := parseEntryKey(row.Key)
		if !ok {
			in.report(codeEntryAltered, "there is no number %q", row.Key)
			return true, nil
		}
		if y != year {
			year, n = y, 0
		}
		for missing := n + 1; missing < number && missing < n+1+maxProblems; missing++ {
			in.report(codeNumberGap, "number %07d of %d is not there", missing, y)
		}
		n = number
		highest[counterName(y)] = n
		in.entry(e, y, number)
		if e.RegisteredAt.Before(last) {
			in.report(codeEntryTime, "number %07d of %d is of %s, the one before of %s",
				number, y, e.RegisteredAt.Format(time.RFC3339Nano), last.Format(time.RFC3339Nano))
		}
		last = e.RegisteredAt
		return true, nil
	})
	if err != nil {
		return err
	}
	return in.counters(highest)
}

// parseEntryKey reads what entryKey wrote.
func parseEntryKey(key string) (year int, n uint64, ok bool) {
	y, number, _ := strings.Cut(key, "/")
	year, errYear := strconv.Atoi(y)
	n, errNumber := strconv.ParseUint(number, 10, 64)
	return year, n, errYear == nil && errNumber == nil && entryKey(year, n) == key
}

// entry holds one entry against its number and the message it was made from.
func (in *inspection) entry(e Entry, year int, n uint64) {
	ref := entryRef(in.b.conf.ID, year, fmt.Sprintf("%07d", n))
	local := e.RegisteredAt.In(in.zone)
	if entryRef(e.Register, e.Year, e.Number) != ref || e.Organization != in.b.agency.conf.ID {
		in.report(codeEntryAltered, "%s calls itself %s/%s", ref, e.Organization, entryRef(e.Register, e.Year, e.Number))
	}
	if e.Day != local.Format(time.DateOnly) || e.Year != local.Year() {
		in.report(codeEntryAltered, "%s is of %s and says %s", ref, local.Format(time.RFC3339), e.Day)
	}
	if e.State != Lost && e.Message != (store.Digest{}) {
		in.files[e.Message] = ref
	}
	if e.Origin == nil {
		for _, f := range e.Attachments { // files of their own
			in.files[f.SHA256] = ref
		}
		return
	}
	switch p, err := in.b.pending(in.ctx, e.Origin.Pending); {
	case errors.Is(err, ErrNotFound):
		in.report(codePendingMissing, "%s was made from %s", ref, e.Origin.Pending)
	case err != nil:
		in.report(codeUnreadable, "%s: %v", ref, err)
	case p.State != StateConfirmed || p.Entry != ref || p.Message != e.Message:
		in.report(codePendingAltered, "%s was made from %s, which is %s %s", ref, p.ID, p.State, p.Entry)
	}
}

func (in *inspection) counters(highest map[string]uint64) error {
	head, err := in.b.journal.Head(in.ctx)
	if err != nil {
		return err
	}
	for name, n := range head.Counters {
		if strings.HasPrefix(name, counterPrefix) && highest[name] != n {
			in.report(codeCounterDiffers, "counter %s is at %d, the last number is %d", name, n, highest[name])
		}
	}
	for name, n := range highest {
		if _, ok := head.Counters[name]; !ok {
			in.report(codeCounterDiffers, "there is no counter %s, the last number is %d", name, n)
		}
	}
	return nil
}

// pendings holds each pending entry against its id, its entry, and the rows by
// which it is found.
func (in *inspection) pendings() error {
	return eachRow(in.ctx, in.b.journal, store.Range{Kind: rowPending}, func(row store.Row) (bool, error) {
		var p Pending
		if err := json.Unmarshal(row.Value, &p); err != nil {
			in.report(codePendingAltered, "%s cannot be read: %v", row.Key, err)
			return true, nil
		}
		id := pendingID(in.b.agency.conf.ID, in.b.conf.ID, p.Mailbox, p.Message, p.Occurrence)
		if p.ID != row.Key || p.ID != id || !states[p.State] {
			in.report(codePendingAltered, "%s calls itself %s and holds what %s is (%s)", row.Key, p.ID, id, p.State)
			return true, nil
		}
		if p.State.decided() && p.Decided == nil {
			in.report(codePendingAltered, "%s is %s by nobody", p.ID, p.State)
			return true, nil
		}
		return true, errors.Join(in.found(p), in.custody(p))
	})
}

// found checks that all rows lead to p that should.
func (in *inspection) found(p Pending) error {
	for _, r := range indexRows(p) {
		_, err := in.b.journal.Get(in.ctx, r.Kind, r.Key)
		if errors.Is(err, store.ErrNotFound) {
			in.report(codeIndexMissing, "%s is %s and not found by %s %s", p.ID, p.State, r.Kind, r.Key)
		} else if err != nil {
			return err
		}
	}
	var last identity
	ok, err := readRow(in.ctx, in.b.journal, rowIdentity, rowKey(p.Message.String(), p.Mailbox), &last)
	if err == nil && (!ok || last.N < p.Occurrence || last.N == p.Occurrence && last.ID != p.ID) {
		in.report(codeIndexMissing, "%s is occurrence %d, and its message is known up to %d", p.ID, p.Occurrence, last.N)
	}
	return err
}

// custody notes the file of a message in custody, and holds a confirmed one
// against its entry.
func (in *inspection) custody(p Pending) error {
	switch p.State {
	case StatePending, StateQuarantined:
		in.files[p.Message] = p.ID
		return nil
	case StateConfirmed:
	default:
		return nil
	}
	year, n, err := parseRef(p.Entry)
	if err != nil {
		in.report(codePendingAltered, "%s: %v", p.ID, err)
		return nil
	}
	var e Entry
	ok, err := readRow(in.ctx, in.b.journal, rowEntry, entryKey(year, n), &e)
	if err == nil && (!ok || e.Origin == nil || e.Origin.Pending != p.ID) {
		in.report(codeEntryMissing, "%s was confirmed as %s", p.ID, p.Entry)
	}
	return err
}

// indexes checks that every row by which something is found leads to it.
func (in *inspection) indexes() error {
	for _, kind := range []string{rowState, rowWaiting, rowDue, rowMessage} {
		err := eachRow(in.ctx, in.b.journal, store.Range{Kind: kind}, func(row store.Row) (bool, error) {
			var p Pending
			ok, err := readRow(in.ctx, in.b.journal, rowPending, lastPart(row.Key), &p)
			if err != nil || ok && p.State.decided() && p.Decided == nil {
				return err == nil, err
			}
			if !ok || !slices.ContainsFunc(indexRows(p), func(r store.Row) bool { return r.Kind == kind && r.Key == row.Key }) {
				in.report(codeIndexStray, "%s %s", kind, row.Key)
			}
			return true, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// identities checks that the latest occurrences that are told of are there.
func (in *inspection) identities() error {
	return eachRow(in.ctx, in.b.journal, store.Range{Kind: rowIdentity}, func(row store.Row) (bool, error) {
		var last identity
		if err := json.Unmarshal(row.Value, &last); err != nil {
			in.report(codeIndexStray, "%s %s cannot be read: %v", rowIdentity, row.Key, err)
			return true, nil
		}
		var p Pending
		ok, err := readRow(in.ctx, in.b.journal, rowPending, last.ID, &p)
		if err == nil && (!ok || p.Occurrence != last.N || rowKey(p.Message.String(), p.Mailbox) != row.Key) {
			in.report(codeIndexStray, "%s %s leads to %s", rowIdentity, row.Key, last.ID)
		}
		return err == nil, err
	})
}
