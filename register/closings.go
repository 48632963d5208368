package register

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/protodaemon/protodaemon/store"
)

// ClosingQuery selects closings by their days; zero fields select all.
type ClosingQuery struct {
	From, To string // inclusive
	Cursor   string
	Limit    int
}

// maxDays bounds one look at the calendar.
const maxDays = 400

// parseClosingID reads what closingID wrote.
func parseClosingID(id string) (day string, sequence int, err error) {
	day, n, ok := strings.Cut(id, ".")
	sequence, errN := strconv.Atoi(n)
	if _, errDay := parseDay(day); !ok || errN != nil || errDay != nil || sequence < 0 || closingID(day, sequence) != id {
		return "", 0, fmt.Errorf("closing %q: %w", clip(id, maxCode), ErrNotFound)
	}
	return day, sequence, nil
}

// Closings lists a register's closings, newest first.
func (o *Office) Closings(ctx context.Context, a Actor, org, register string, q ClosingQuery) (Page[Closing], error) {
	b, err := o.bookFor(a, Read, org, register)
	if err != nil {
		return Page[Closing]{}, err
	}
	if q.Limit, err = checkPage(q.Limit, q.Cursor); err != nil {
		return Page[Closing]{}, err
	}
	for _, day := range []struct{ name, value string }{{"from", q.From}, {"to", q.To}} {
		if _, err := parseDay(day.value); day.value != "" && err != nil {
			return Page[Closing]{}, &FieldError{day.name, "is a day, YYYY-MM-DD"}
		}
	}
	page := Page[Closing]{Items: []Closing{}}
	r := store.Range{Kind: rowClosing, After: q.Cursor, Reverse: true, Limit: q.Limit + 1}
	if q.To != "" && (q.Cursor == "" || dayAfter(q.To) < q.Cursor) {
		r.After = dayAfter(q.To)
	}
	err = eachRow(ctx, b.journal, r, func(row store.Row) (bool, error) {
		c, err := decodeClosing(row)
		if err != nil || q.From != "" && c.Day < q.From {
			return false, err
		}
		if len(page.Items) == q.Limit {
			last := page.Items[q.Limit-1]
			page.Next = closingKey(last.Day, last.Sequence)
			return false, nil
		}
		page.Items = append(page.Items, c)
		return true, nil
	})
	return page, err
}

// Closing returns one closing.
func (o *Office) Closing(ctx context.Context, a Actor, org, register, id string) (Closing, error) {
	b, err := o.bookFor(a, Read, org, register)
	if err != nil {
		return Closing{}, err
	}
	return b.closing(ctx, id)
}

func (b *book) closing(ctx context.Context, id string) (Closing, error) {
	day, sequence, err := parseClosingID(id)
	if err != nil {
		return Closing{}, err
	}
	var c Closing
	ok, err := readRow(ctx, b.journal, rowClosing, closingKey(day, sequence), &c)
	if err == nil && !ok {
		err = fmt.Errorf("closing %s of %s: %w", id, b.name, ErrNotFound)
	}
	return c, err
}

// OpenClosingFile opens a file of a closing. Where reserved entries stand in
// full, only who manages the register reads the files that show entries.
func (o *Office) OpenClosingFile(ctx context.Context, a Actor, org, register, id, name string) (store.Blob, ClosingFile, error) {
	c, err := o.Closing(ctx, a, org, register, id)
	if err != nil {
		return nil, ClosingFile{}, err
	}
	i := slices.IndexFunc(c.Files, func(f ClosingFile) bool { return f.Name == name })
	if i < 0 {
		return nil, ClosingFile{}, fmt.Errorf("file %q of closing %s: %w", clip(name, maxName), id, ErrNotFound)
	}
	f := c.Files[i]
	if c.Reserved != reservedMasked && !showsNoEntry[f.Role] {
		if err := a.may(Manage, org, register); err != nil {
			return nil, ClosingFile{}, fmt.Errorf("%w: reserved entries stand in full in %s", err, f.Name)
		}
	}
	blob, err := o.OpenBlob(ctx, org, f.SHA256)
	if err != nil {
		return nil, f, fmt.Errorf("opening %s of closing %s: %w", name, id, err)
	}
	return blob, f, nil
}

// showsNoEntry are the files that tell only digests and outcomes.
var showsNoEntry = map[string]bool{
	FileImprints: true, FileImprintsSigned: true, FileImprintsStamped: true,
	FileReceipt: true, FileRenewal: true, FileRenewalStamp: true,
}

// UnfinishedClosings are those that are not done, oldest first.
func (o *Office) UnfinishedClosings(ctx context.Context, org, register string) ([]Closing, error) {
	b, err := o.book(org, register)
	if err != nil {
		return nil, err
	}
	return b.unfinished(ctx)
}

// unfinished reads the closings from the oldest that is not done on. Which that
// is, is remembered: closings are done about in their order.
func (b *book) unfinished(ctx context.Context) ([]Closing, error) {
	b.tallyMu.Lock()
	defer b.tallyMu.Unlock()
	var all []Closing
	settled := b.settled
	err := eachRow(ctx, b.journal, store.Range{Kind: rowClosing, After: b.settled}, func(row store.Row) (bool, error) {
		c, err := decodeClosing(row)
		if err != nil {
			return false, err
		}
		if !b.done(c) {
			all = append(all, c)
		} else if len(all) == 0 {
			settled = row.Key
		}
		return true, nil
	})
	b.settled = settled
	return all, err
}

// Day is one legal day of a register's calendar.
type Day struct {
	Day     string `json:"day"`
	Holiday string `json:"holiday,omitempty"`
	Working bool   `json:"working"`
	// Entries, First and Last are those registered on the day, closed or not.
	Entries  int       `json:"entries"`
	First    string    `json:"first_number,omitempty"`
	Last     string    `json:"last_number,omitempty"`
	Closings []Closing `json:"closings"`
	Deadline string    `json:"deadline"`
	// Open: the day is not over.
	Open bool `json:"open"`
	// Due: it is over, and something in it, or the day itself, is to be closed.
	Due bool `json:"due"`
	// Near: the deadline is over within hours, and it has not been delivered.
	Near bool `json:"near"`
	// Late: the deadline is over and it has not been delivered.
	Late bool `json:"late"`
}

// Days is the calendar of a register, both ends included.
func (o *Office) Days(ctx context.Context, a Actor, org, register, from, to string) ([]Day, error) {
	b, err := o.bookFor(a, Read, org, register)
	if err != nil {
		return nil, err
	}
	first, errFrom := parseDay(from)
	end, errTo := parseDay(to)
	switch {
	case errFrom != nil:
		return nil, &FieldError{"from", "is a day, YYYY-MM-DD"}
	case errTo != nil || end.Before(first):
		return nil, &FieldError{"to", "is a day not before from, YYYY-MM-DD"}
	case end.Sub(first) > maxDays*24*time.Hour:
		return nil, &FieldError{"to", fmt.Sprintf("is at most %d days after from", maxDays)}
	}
	last, open, err := b.open(ctx)
	if err != nil {
		return nil, err
	}
	closed := map[string][]Closing{}
	err = eachRow(ctx, b.journal, store.Range{Kind: rowClosing, After: from}, func(row store.Row) (bool, error) {
		c, err := decodeClosing(row)
		if err != nil || c.Day > to {
			return false, err
		}
		closed[c.Day] = append(closed[c.Day], c)
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	now := time.Now()
	var days []Day
	for t := first; !t.After(end); t = t.AddDate(0, 0, 1) {
		days = append(days, b.day(t, now, last, open, closed[t.Format(time.DateOnly)]))
	}
	return days, nil
}

// day is what the calendar says of one day.
func (b *book) day(t, now time.Time, last *Closing, open []tally, closed []Closing) Day {
	cal, today := b.calendar(), now.In(b.loc).Format(time.DateOnly)
	d := Day{
		Day: t.Format(time.DateOnly), Holiday: cal.holiday(t), Working: cal.working(t),
		Deadline: cal.next(t).Format(time.DateOnly), Closings: closed,
	}
	if d.Closings == nil {
		d.Closings = []Closing{}
	}
	for _, c := range closed {
		d.count(c.Entries, c.FirstNumber, c.LastNumber)
	}
	d.Open = d.Day >= today
	began := last != nil || len(open) > 0 && open[0].day <= d.Day
	after := last == nil || d.Day > last.Day
	d.Due = !d.Open && began && after && b.closesEmpty(d.Day)
	for _, n := range open {
		if n.day == d.Day {
			d.count(n.entries, n.first, n.last)
			d.Due = !d.Open && (d.Due || n.entries+n.changes > 0)
		}
	}
	waiting := d.Due || slices.ContainsFunc(closed, b.undelivered)
	d.Near = waiting && b.near(d.Deadline, now)
	d.Late = waiting && today > d.Deadline
	return d
}

func (d *Day) count(entries int, first, last string) {
	d.Entries += entries
	if d.First == "" {
		d.First = first
	}
	if last != "" {
		d.Last = last
	}
}

// progress orders the states; one that conservation rejected is to be delivered
// again.
var progress = []ClosingState{ClosingRejected, ClosingClosed, ClosingSigned, ClosingStamped, ClosingDelivered, ClosingAccepted}

// done tells whether nothing more is to come for the closing.
func (b *book) done(c Closing) bool {
	final := b.conf.Closing.Final
	if final == "" {
		final = ClosingAccepted
	}
	return slices.Index(progress, c.Reached) >= slices.Index(progress, final)
}

// undelivered tells whether the closing still has to go to conservation.
func (b *book) undelivered(c Closing) bool {
	return !b.done(c) && c.Reached != ClosingDelivered
}

// Overdue tells whether the closing was delivered longer ago than a receipt may
// take and has none.
func (c Closing) Overdue(now time.Time, after time.Duration) bool {
	return c.Reached == ClosingDelivered && after > 0 && c.Parcel != nil && c.Parcel.SentAt != nil &&
		now.Sub(*c.Parcel.SentAt) > after
}

// ClosingToday is a closing with the names, codes and manager of today's
// configuration: for the metadata of a package, which may have to be
// corrected; its signed files stay as they are.
func (o *Office) ClosingToday(c Closing) (Closing, error) {
	b, err := o.book(c.Organization, c.Register)
	if err != nil {
		return Closing{}, err
	}
	timezone := c.Holder.Timezone
	c.Holder = b.holder()
	c.Holder.Timezone = timezone
	if f, acting, err := b.agency.conf.inOffice(time.Now().In(b.loc).Format(time.DateOnly)); err == nil {
		c.Manager, c.Acting = f, acting
	}
	return c, nil
}

// holder is the producer of the register as the configuration names it.
func (b *book) holder() Holder {
	return Holder{
		Name: b.agency.conf.Name, IPACode: b.conf.IPACode, AOOCode: b.conf.AOOCode,
		TaxCode: b.conf.TaxCode, RegisterName: b.conf.Name, Timezone: b.loc.String(),
	}
}
