package register

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/protodaemon/protodaemon/store"
)

// nearDeadline is how long before a deadline somebody is told of it.
const nearDeadline = 8 * time.Hour

// waiting is what is to be closed and delivered.
type waiting struct {
	unclosed   int       // days
	unfinished []Closing // oldest first
	deadline   string    // the first of all; empty: nothing waits
}

func (b *book) waiting(ctx context.Context, today string) (w waiting, err error) {
	last, open, err := b.open(ctx)
	if err != nil {
		return w, err
	}
	if w.unfinished, err = b.unfinished(ctx); err != nil {
		return w, err
	}
	unclosed, deadlines := b.due(last, open, today)
	for _, c := range w.unfinished {
		if b.undelivered(c) {
			deadlines = append(deadlines, c.Deadline)
		}
	}
	if w.unclosed = unclosed; len(deadlines) > 0 {
		w.deadline = slices.Min(deadlines)
	}
	return w, nil
}

// collectDays measures what waits to be closed and delivered.
func (b *book) collectDays(ctx context.Context, now time.Time, gauge func(*prometheus.Desc, float64, ...string)) {
	today := now.In(b.loc).Format(time.DateOnly)
	w, err := b.waiting(ctx, today)
	if err != nil {
		return
	}
	states := map[ClosingState]int{}
	for _, c := range w.unfinished {
		states[c.State]++
	}
	gauge(unclosedGauge, float64(w.unclosed))
	for _, s := range closingStates {
		if s != ClosingAccepted {
			gauge(waitingGauge, float64(states[s]), string(s))
		}
	}
	if w.deadline != "" {
		gauge(deadlineGauge, b.endOf(w.deadline).Sub(now).Seconds())
	}
	refused := 0.0
	if _, _, err := b.agency.conf.inOffice(today); err != nil {
		refused = 1
	}
	gauge(refusedGauge, refused)
}

// due counts the days before today that are to be closed, and tells by when.
func (b *book) due(last *Closing, open []tally, today string) (n int, deadlines []string) {
	days := map[string]bool{}
	for _, t := range open {
		if t.day < today && t.entries+t.changes > 0 {
			days[t.day] = true
		}
	}
	begin := today
	if last != nil {
		begin = dayAfter(last.Day)
	} else if len(open) > 0 {
		begin = open[0].day
	}
	for day := begin; day < today; day = dayAfter(day) {
		if b.closesEmpty(day) {
			days[day] = true
		}
	}
	for day := range days {
		if t, err := parseDay(day); err == nil {
			deadlines = append(deadlines, b.calendar().next(t).Format(time.DateOnly))
		}
	}
	return len(days), deadlines
}

// endOf is the first moment after a legal day.
func (b *book) endOf(day string) time.Time {
	t, err := time.ParseInLocation(time.DateOnly, dayAfter(day), b.loc)
	if err != nil {
		return time.Time{}
	}
	return t
}

// near tells whether a deadline is not over and will be soon.
func (b *book) near(deadline string, now time.Time) bool {
	left := b.endOf(deadline).Sub(now)
	return left > 0 && left <= nearDeadline
}

// WarnDeadline records that the next deadline comes near, or is over, and what is
// due by then is not delivered: once for each deadline. It is an alarm.
func (o *Office) WarnDeadline(ctx context.Context, org, register string) error {
	b, err := o.book(org, register)
	if err != nil {
		return err
	}
	now := time.Now()
	w, err := b.waiting(ctx, now.In(b.loc).Format(time.DateOnly))
	if err != nil || w.deadline == "" || b.endOf(w.deadline).Sub(now) > nearDeadline {
		return err
	}
	err = b.do(ctx, nil, func(d *draft) error {
		var told string
		if _, err := d.get(rowSetting, settingDue, &told); err != nil || told == w.deadline {
			return err
		}
		d.add(change{
			typ:  typeClosingDue,
			fact: fact{By: systemUser, Detail: encode(deadlineDetail{w.deadline})},
			rows: []store.Row{{Kind: rowSetting, Key: settingDue, Value: encode(w.deadline)}},
		})
		return nil
	})
	if err != nil {
		return fmt.Errorf("recording that a deadline of %s comes near: %w", b.name, err)
	}
	return nil
}

// deadlineDetail is the detail of closing.due.
type deadlineDetail struct {
	Deadline string `json:"deadline"`
}
