package register

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

// maxBehind is how far the clock may be behind the head of a journal that
// still gives numbers (design invariant 3).
const maxBehind = 2 * time.Minute

// number is what a registration is given in one single step (DPR 445/2000
// art. 53 c. 3): its number in the legal year, and when that was.
type number struct {
	year int
	n    uint64
	day  string // YYYY-MM-DD
	at   time.Time
}

// digits writes the number with at least seven of them (art. 57).
func (n number) digits() string { return fmt.Sprintf("%07d", n.n) }

// counterPrefix begins the names of the counters of numbers; the year follows.
const counterPrefix = "number/"

func counterName(year int) string { return counterPrefix + strconv.Itoa(year) }

// number gives the next one. The year and the day are those of the legal time
// zone, in which the register gave all its numbers.
func (d *draft) number(b *book) (number, error) {
	loc := b.loc
	if err := d.clock(); err != nil {
		return number{}, err
	}
	var zone string
	if _, err := d.get(rowSetting, settingZone, &zone); err != nil {
		return number{}, err
	}
	if err := sameZone(zone, loc); err != nil {
		return number{}, err
	}
	local := d.at.In(loc)
	if err := d.dayOpen(b, local.Format(time.DateOnly)); err != nil {
		return number{}, err
	}
	return number{
		year: local.Year(),
		n:    d.counters[counterName(local.Year())] + 1,
		day:  local.Format(time.DateOnly),
		at:   d.at,
	}, nil
}

// clock refuses what needs a legal time while the clock is behind the head.
func (d *draft) clock() error {
	if behind := d.head.Time.Sub(d.now); behind > maxBehind {
		return fmt.Errorf("%w: it shows %s, and the last record is of %s; set the clock",
			ErrClock, d.now.Format(time.RFC3339), d.head.Time.Format(time.RFC3339))
	}
	return nil
}

// dayOpen refuses what a daily register would have to tell of on a day that was
// closed before it was over, where the register is set so.
func (d *draft) dayOpen(b *book, day string) error {
	if b.conf.Closing.SameDay != sameDayRefuse {
		return nil
	}
	var closed string
	if _, err := d.get(rowSetting, settingClosed, &closed); err != nil {
		return err
	}
	if closed >= day {
		return fmt.Errorf("%w: %s was closed; nothing more is registered or annulled until midnight", ErrClosedDay, day)
	}
	return nil
}

// zoneKept refuses to close days in another zone than numbers were given in: an
// entry would stand in the daily register of another day than its own.
func (b *book) zoneKept(ctx context.Context) error {
	var zone string
	if _, err := readRow(ctx, b.journal, rowSetting, settingZone, &zone); err != nil {
		return err
	}
	return sameZone(zone, b.loc)
}

// sameZone refuses to number in another zone than before; an empty one means
// that there is no number yet.
func sameZone(kept string, loc *time.Location) error {
	if kept == "" || kept == loc.String() {
		return nil
	}
	return fmt.Errorf("%w: its numbers were given in the time zone %s and the configuration says %s; put the former back",
		ErrUnavailable, kept, loc)
}
