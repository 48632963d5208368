package document

import (
	"bytes"
	"io"
	"iter"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Bounds of a calendar, beside Limits.Parsed for its bytes.
const (
	calendarLine  = 16 << 10 // bytes kept of one unfolded line
	calendarDepth = 16       // components in components
)

// looksCalendar tells by its first bytes that a file is a calendar.
func looksCalendar(head []byte) bool {
	const begin = "BEGIN:VCALENDAR"
	text := strings.TrimLeft(toUTF8(head, ""), " \t\r\n")
	return len(text) >= len(begin) && strings.EqualFold(text[:len(begin)], begin)
}

// inspectCalendar reads the first event of a calendar (RFC 5545): first in the
// file, of a repeated one its first time.
func inspectCalendar(in Input, limits Limits) Facts {
	facts := Facts{Format: "ics"}
	data := make([]byte, min(in.Size, limits.Parsed))
	n, err := io.ReadFull(io.NewSectionReader(in.Content, 0, in.Size), data)
	if err != nil && n < len(data) {
		facts.Warnings = append(facts.Warnings, Warning{Unreadable, "the calendar could only be read in part"})
	}
	if in.Size > limits.Parsed {
		facts.Warnings = append(facts.Warnings, Warning{TooLarge, "the calendar is longer than what is read of it"})
	}
	c := calendar{}
	text := string(data[:n])
	if bytes.HasPrefix(data, bomUTF16LE) || bytes.HasPrefix(data, bomUTF16BE) {
		text = toUTF8(data[:n], "")
	}
	for l := range unfolded(text) {
		c.line(parseContentLine(toUTF8(l, "")))
	}
	if c.Events > 0 {
		facts.Event = &c.Event
		if c.event(); c.unknownZone != "" {
			facts.Warnings = append(facts.Warnings, Warning{TimeZone, "the event is in a time zone that is not known: " + c.unknownZone})
		}
	}
	return facts
}

// unfolded yields the content lines (RFC 5545 §3.1), valid until the next: a line
// that begins with a blank goes on the one before, also inside a character. Any
// line end is taken.
func unfolded(text string) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		var l []byte
		for part := range strings.SplitSeq(strings.ReplaceAll(text, "\r", "\n"), "\n") {
			if part == "" {
				continue
			}
			if part[0] == ' ' || part[0] == '\t' {
				l = append(l, part[1:min(len(part), 1+calendarLine-min(len(l), calendarLine))]...)
				continue
			}
			if len(l) > 0 && !yield(whole(l)) {
				return
			}
			l = append(l[:0], part[:min(len(part), calendarLine)]...)
		}
		if len(l) > 0 {
			yield(whole(l))
		}
	}
}

// whole is a line without the beginning of a character that its bound cut off.
func whole(l []byte) []byte {
	for i := 1; len(l) == calendarLine && i < utf8.UTFMax; i++ {
		if tail := l[len(l)-i:]; utf8.RuneStart(tail[0]) {
			if !utf8.FullRune(tail) {
				return l[:len(l)-i]
			}
			break
		}
	}
	return l
}

// contentLine is name *(";" param "=" value) ":" value.
type contentLine struct {
	name   string // upper case
	params map[string]string
	value  string
}

func parseContentLine(s string) contentLine {
	var parts []string // name and parameters
	begin, quoted, found := 0, false, false
	for i := 0; i < len(s) && !found; i++ {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case quoted:
		case s[i] == ';' || s[i] == ':':
			parts = append(parts, s[begin:i])
			begin = i + 1
			found = s[i] == ':'
		}
	}
	if !found {
		return contentLine{}
	}
	l := contentLine{name: strings.ToUpper(parts[0]), params: map[string]string{}, value: s[begin:]}
	for _, p := range parts[1:] {
		name, value, _ := strings.Cut(p, "=")
		if name = strings.ToUpper(name); l.params[name] == "" {
			l.params[name] = strings.Trim(value, `"`)
		}
	}
	return l
}

// calendar is read line by line.
type calendar struct {
	Event
	open        []string // components that are open
	first       map[string]contentLine
	zone        zoneDefinition // the one that is being read
	zones       map[string]zoneDefinition
	unknownZone string
}

// line takes over one line. Properties count directly in VCALENDAR and in the
// first VEVENT, not in what lies deeper (an alarm has a summary too); of a
// property that may stand once the first counts.
func (c *calendar) line(l contentLine) {
	switch l.name {
	case "BEGIN":
		component := strings.ToUpper(l.value)
		if len(c.open) < calendarDepth {
			c.open = append(c.open, component)
		}
		if component == "VEVENT" {
			c.Events++
		}
	case "END":
		c.endZone(l.value)
		for i := len(c.open) - 1; i >= 0; i-- { // also what was left open within
			if c.open[i] == strings.ToUpper(l.value) {
				c.open = c.open[:i]
				break
			}
		}
	case "METHOD":
		if len(c.open) == 1 && c.Method == "" {
			c.Method = strings.ToUpper(lineOf(l.value, 50))
		}
	case "TZID", "TZOFFSETTO":
		c.zoneLine(l)
	case "SUMMARY", "LOCATION", "ORGANIZER", "DTSTART", "DTEND", "DURATION":
		inEvent := len(c.open) > 0 && c.open[len(c.open)-1] == "VEVENT"
		if _, seen := c.first[l.name]; !inEvent || seen || c.Events != 1 {
			return
		}
		if c.first == nil {
			c.first = map[string]contentLine{}
		}
		c.first[l.name] = l
	}
}

// event fills the event from what was read of it.
func (c *calendar) event() {
	c.Summary = line(unescape(c.first["SUMMARY"].value))
	c.Location = line(unescape(c.first["LOCATION"].value))
	c.Organizer = organizer(c.first["ORGANIZER"])
	start, end := c.first["DTSTART"], c.first["DTEND"]
	c.AllDay = isDate(start)
	c.Start, c.End = c.time(start), c.time(end)
	length, ok := duration(c.first["DURATION"].value)
	switch {
	case c.Start == nil || c.End != nil || end.name != "":
	case ok:
		c.End = sensible(length.after(*c.Start))
	case c.AllDay: // RFC 5545 §3.6.1: one day
		c.End = sensible(c.Start.AddDate(0, 0, 1))
	}
	if c.Start != nil && c.End != nil && c.End.Before(*c.Start) {
		c.End = nil
	}
}

// unescape undoes the escapes of a TEXT value (RFC 5545 §3.3.11).
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	return strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\N`, "\n", `\,`, ",", `\;`, ";", `\:`, ":", `\"`, `"`).Replace(s)
}

// organizer is the address, after its name if it has one.
func organizer(l contentLine) string {
	address := line(l.value)
	if len(address) >= 7 && strings.EqualFold(address[:7], "mailto:") {
		address = address[7:]
	}
	name := line(l.params["CN"])
	switch {
	case name == "" || strings.EqualFold(name, address):
		return address
	case address == "":
		return name
	}
	return line(name + " <" + address + ">")
}

func isDate(l contentLine) bool {
	return strings.EqualFold(l.params["VALUE"], "DATE") || len(l.value) == len("20060102")
}

// time reads a DATE or DATE-TIME (RFC 5545 §3.3.4, §3.3.5). What names no zone
// is Italian time. In a zone that is not known no time can be told: it is nil.
func (c *calendar) time(l contentLine) *time.Time {
	value := strings.TrimSpace(l.value)
	if value == "" {
		return nil
	}
	zone := rome()
	if utc, ok := strings.CutSuffix(strings.ToUpper(value), "Z"); ok {
		value, zone = utc, time.UTC
	} else if id := l.params["TZID"]; id != "" && !isDate(l) {
		if zone = c.zoneOf(id); zone == nil {
			c.unknownZone = lineOf(id, 100)
			return nil
		}
	}
	for _, layout := range []string{"20060102T150405", "20060102T1504", "20060102"} {
		if t, err := time.ParseInLocation(layout, value, zone); err == nil {
			return sensible(t)
		}
	}
	return nil
}

// span is a DURATION: days and weeks are those of the calendar, the rest is
// exact (RFC 5545 §3.3.6).
type span struct {
	days  int
	exact time.Duration
}

func (s span) after(t time.Time) time.Time { return t.AddDate(0, 0, s.days).Add(s.exact) }

// duration reads P[n]W or P[n]DT[n]H[n]M[n]S, at most ten years long.
func duration(s string) (span, bool) {
	s, ok := strings.CutPrefix(strings.TrimPrefix(strings.ToUpper(strings.TrimSpace(s)), "+"), "P")
	if !ok || s == "" {
		return span{}, false
	}
	var d span
	units := map[byte]time.Duration{'H': time.Hour, 'M': time.Minute, 'S': time.Second}
	begin := 0
	for i := 0; i < len(s); i++ {
		if s[i] == 'T' {
			begin = i + 1
			continue
		}
		if '0' <= s[i] && s[i] <= '9' {
			continue
		}
		n, err := strconv.Atoi(s[begin:i])
		if err != nil || n > 366*24*3600 {
			return span{}, false
		}
		begin = i + 1
		switch s[i] {
		case 'W':
			d.days += 7 * n
		case 'D':
			d.days += n
		default:
			if units[s[i]] == 0 {
				return span{}, false
			}
			d.exact += time.Duration(n) * units[s[i]]
		}
		if d.days > 3660 || d.exact > 3660*24*time.Hour {
			return span{}, false
		}
	}
	return d, begin == len(s)
}
