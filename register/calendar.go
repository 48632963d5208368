package register

import (
	"slices"
	"time"
)

// fixedHolidays are the yearly ones of law 260/1949 art. 2 as it stands; that
// of Saint Francis was put back by law 151/2025.
var fixedHolidays = []struct {
	day   string // MM-DD
	name  string
	since int // first year
}{
	{"01-01", "Capodanno", 0},
	{"01-06", "Epifania", 0},
	{"04-25", "Liberazione", 0},
	{"05-01", "Festa del lavoro", 0},
	{"06-02", "Festa della Repubblica", 0},
	{"08-15", "Assunzione", 0},
	{"10-04", "San Francesco", 2026},
	{"11-01", "Ognissanti", 0},
	{"12-08", "Immacolata", 0},
	{"12-25", "Natale", 0},
	{"12-26", "Santo Stefano", 0},
}

// calendar knows the working days of a place.
type calendar struct {
	patron string   // MM-DD
	extra  []string // YYYY-MM-DD
}

// holiday names the holiday that a day is, or returns "".
func (c calendar) holiday(day time.Time) string {
	easter, short := easterSunday(day.Year()), day.Format("01-02")
	switch {
	case sameDay(day, easter):
		return "Pasqua"
	case sameDay(day, easter.AddDate(0, 0, 1)):
		return "Lunedì dell'Angelo"
	}
	for _, h := range fixedHolidays {
		if h.day == short && day.Year() >= h.since {
			return h.name
		}
	}
	switch {
	case short == c.patron:
		return "Santo patrono"
	case slices.Contains(c.extra, day.Format(time.DateOnly)):
		return "Chiusura dell'ente"
	}
	return ""
}

// working tells whether the office works on the day: Monday to Friday, no
// holiday.
func (c calendar) working(day time.Time) bool {
	return day.Weekday() != time.Saturday && day.Weekday() != time.Sunday && c.holiday(day) == ""
}

// next is the first working day after day.
func (c calendar) next(day time.Time) time.Time {
	for day = day.AddDate(0, 0, 1); !c.working(day); {
		day = day.AddDate(0, 0, 1)
	}
	return day
}

func sameDay(a, b time.Time) bool { return a.Format(time.DateOnly) == b.Format(time.DateOnly) }

// easterSunday is that of the Gregorian calendar (Meeus, Jones and Butcher).
func easterSunday(year int) time.Time {
	a, b, c := year%19, year/100, year%100
	d, e := b/4, b%4
	g := (8*b + 13) / 25
	h := (19*a + b - d - g + 15) % 30
	i, k := c/4, c%4
	l := (32 + 2*e + 2*i - h - k) % 7
	m := (a + 11*h + 19*l) / 433
	n := (h + l - 7*m + 90) / 25
	p := (h + l - 7*m + 33*n + 19) % 32
	return time.Date(year, time.Month(n), p, 0, 0, 0, 0, time.UTC)
}

// A day is handled as midnight in UTC, so that adding one never meets a change
// of the clock.
func parseDay(s string) (time.Time, error) { return time.Parse(time.DateOnly, s) }

// dayAfter is the day that follows one of ours.
func dayAfter(day string) string {
	t, err := parseDay(day)
	if err != nil {
		return day
	}
	return t.AddDate(0, 0, 1).Format(time.DateOnly)
}
