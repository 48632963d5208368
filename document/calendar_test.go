package document

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func readCalendar(t *testing.T, text string) (*Event, []string) {
	t.Helper()
	facts := inspectCalendar(input("invito.ics", text), DefaultLimits)
	if facts.Format != "ics" {
		t.Fatalf("format %q", facts.Format)
	}
	return facts.Event, codes(facts.Warnings)
}

// event wraps properties of an event, one a line.
func event(properties string) string {
	return "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\n" +
		strings.ReplaceAll(properties, "\n", "\r\n") + "\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
}

// What Outlook, Google and Thunderbird send.
func TestCalendar(t *testing.T) {
	e, warned := readCalendar(t, "\xef\xbb\xbfBEGIN:VCALENDAR\r\nPRODID:-//Prova//IT\r\nMETHOD:request\r\n"+
		"BEGIN:VTIMEZONE\r\nTZID:W. Europe Standard Time\r\nBEGIN:STANDARD\r\nDTSTART:16010101T030000\r\nTZOFFSETFROM:+0200\r\nTZOFFSETTO:+0100\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\n"+
		"BEGIN:VEVENT\r\nORGANIZER;CN=\"Prova: Ada; Sindaca\":MAILTO:ada@pec.example\r\nATTENDEE;CN=x:mailto:x@example\r\n"+
		"SUMMARY;LANGUAGE=it:Seduta del consiglio\\, in prima\r\n  convocazione\\nsala \\\"Verdi\\\" è lì\r\n"+
		"DTSTART;TZID=W. Europe Standard Time:20260701T093000\r\nDTEND;TZID=W. Europe Standard Time:20260701T113000\r\n"+
		"LOCATION:Palazzo Finto\\; piano 1\r\nBEGIN:VALARM\r\nSUMMARY:sveglia\r\nDTSTART:20200101T000000Z\r\nEND:VALARM\r\nSUMMARY:seconda\r\nEND:VEVENT\r\n"+
		"BEGIN:VEVENT\r\nSUMMARY:altro\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n")
	if e == nil || len(warned) > 0 {
		t.Fatalf("%+v %v", e, warned)
	}
	want := Event{Method: "REQUEST", Summary: `Seduta del consiglio, in prima convocazione sala "Verdi" è lì`,
		Location: "Palazzo Finto; piano 1", Organizer: "Prova: Ada; Sindaca <ada@pec.example>", Events: 2, Start: e.Start, End: e.End}
	if *e != want {
		t.Errorf("got  %+v\nwant %+v", *e, want)
	}
	if at(e.Start) != "2026-07-01T09:30:00+02:00" || at(e.End) != "2026-07-01T11:30:00+02:00" {
		t.Errorf("%s – %s", at(e.Start), at(e.End))
	}
}

func at(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.Format(time.RFC3339)
}

func TestCalendarTimes(t *testing.T) {
	const custom = "BEGIN:VCALENDAR\nBEGIN:VTIMEZONE\nTZID:Fuso mio\nBEGIN:STANDARD\nTZOFFSETTO:+0100\nEND:STANDARD\nBEGIN:DAYLIGHT\nTZOFFSETTO:+0200\nEND:DAYLIGHT\nEND:VTIMEZONE\n" +
		"BEGIN:VTIMEZONE\nTZID:Fisso\nBEGIN:STANDARD\nTZOFFSETTO:+0530\nEND:STANDARD\nEND:VTIMEZONE\n" +
		"BEGIN:VTIMEZONE\nTZID:Altrove\nBEGIN:STANDARD\nTZOFFSETTO:-0500\nEND:STANDARD\nBEGIN:DAYLIGHT\nTZOFFSETTO:-0400\nEND:DAYLIGHT\nEND:VTIMEZONE\n"
	for properties, want := range map[string]struct {
		start, end string
		allDay     bool
		warned     []string
	}{
		"DTSTART:20260115T080000Z\nDTEND:20260115T090000Z":                      {"2026-01-15T08:00:00Z", "2026-01-15T09:00:00Z", false, nil},
		"DTSTART:20260115T080000\nDURATION:PT1H30M":                             {"2026-01-15T08:00:00+01:00", "2026-01-15T09:30:00+01:00", false, nil},
		"DTSTART;TZID=Europe/Rome:20260715T080000":                              {"2026-07-15T08:00:00+02:00", "", false, nil},
		"DTSTART;TZID=\"Europe/Rome\":20260715T080000":                          {"2026-07-15T08:00:00+02:00", "", false, nil},
		"DTSTART;TZID=/mozilla.org/20050126_1/Europe/Rome:20260715T080000":      {"2026-07-15T08:00:00+02:00", "", false, nil},
		"DTSTART;TZID=America/New_York:20260715T080000":                         {"2026-07-15T08:00:00-04:00", "", false, nil},
		"DTSTART;TZID=\"(UTC+01:00) Amsterdam, Berlino, Roma\":20260715T080000": {"2026-07-15T08:00:00+02:00", "", false, nil},
		"DTSTART;TZID=Romance Standard Time:20260115T080000":                    {"2026-01-15T08:00:00+01:00", "", false, nil},
		"DTSTART;TZID=Fuso mio:20260715T080000":                                 {"2026-07-15T08:00:00+02:00", "", false, nil},
		"DTSTART;TZID=Fisso:20260715T080000":                                    {"2026-07-15T08:00:00+05:30", "", false, nil},
		"DTSTART;TZID=Altrove:20260715T080000":                                  {"", "", false, []string{TimeZone}},
		"DTSTART;TZID=../../../etc/localtime:20260715T080000":                   {"", "", false, []string{TimeZone}},
		"DTSTART;TZID=Local:20260715T080000":                                    {"", "", false, []string{TimeZone}},
		"DTSTART;VALUE=DATE:20260715":                                           {"2026-07-15T00:00:00+02:00", "2026-07-16T00:00:00+02:00", true, nil},
		"DTSTART:20260715\nDTEND:20260718":                                      {"2026-07-15T00:00:00+02:00", "2026-07-18T00:00:00+02:00", true, nil},
		"DTSTART;VALUE=DATE:20260328\nDURATION:P2D":                             {"2026-03-28T00:00:00+01:00", "2026-03-30T00:00:00+02:00", true, nil},
		"DTSTART:20260328T120000\nDURATION:P1DT1H":                              {"2026-03-28T12:00:00+01:00", "2026-03-29T13:00:00+02:00", false, nil},
		"DTSTART:20260115T080000Z\nDTEND:20260114T080000Z":                      {"2026-01-15T08:00:00Z", "", false, nil},
		"DTSTART:20260115T080000Z\nDURATION:P99999999999W":                      {"2026-01-15T08:00:00Z", "", false, nil},
		"DTSTART:20260115T080000Z\nDURATION:P1":                                 {"2026-01-15T08:00:00Z", "", false, nil},
		"DTSTART:20261315T080000Z":                                              {"", "", false, nil},
		"DTSTART:99991231T235959Z\nDURATION:P1D":                                {"", "", false, nil},
		"DTSTART:domani":                                                        {"", "", false, nil},
		"SUMMARY:senza ora":                                                     {"", "", false, nil},
	} {
		e, warned := readCalendar(t, custom+"BEGIN:VEVENT\n"+properties+"\nEND:VEVENT\nEND:VCALENDAR\n")
		if e == nil || at(e.Start) != want.start || at(e.End) != want.end || e.AllDay != want.allDay || !slices.Equal(warned, want.warned) {
			t.Errorf("%q: %s – %s %v %v", properties, at(e.Start), at(e.End), e.AllDay, warned)
		}
	}
}

func TestCalendarLines(t *testing.T) {
	for text, want := range map[string]string{
		event("SUMMARY:uno\n due"):                                                "unodue",
		event("SUMMARY:uno\n\tdue"):                                               "unodue",
		event("summary:minuscolo"):                                                "minuscolo",
		event(`SUMMARY;X="a:b;c":d`):                                              "d",
		event(`SUMMARY;X="a:b`):                                                   "",
		event("SUMMARY"):                                                          "",
		event("SUMMARY;X=1"):                                                      "",
		event("SUMMARY:\\\\n"):                                                    `\n`,
		event("SUMMARY:caff\xe8"):                                                 "caffè",
		event("SUMMARY:a\u202eb\x07c"):                                            "abc",
		strings.ReplaceAll(event("SUMMARY:solo CR"), "\r\n", "\r"):                "solo CR",
		strings.ReplaceAll(event("SUMMARY:solo LF"), "\r\n", "\n"):                "solo LF",
		event("SUMMARY:caff\xc3\r\n \xa8"):                                        "caffè",
		event("SUMMARY:" + strings.Repeat("x", 1<<20) + "\n y"):                   strings.Repeat("x", lineMax),
		event("SUMMARY:uno" + strings.Repeat("\n "+strings.Repeat("z", 70), 9e4)): "uno" + strings.Repeat("z", lineMax-3),
		strings.Repeat("BEGIN:VCALENDAR\n", 1000) + event("SUMMARY:profondo"):     "",
	} {
		e, _ := readCalendar(t, text)
		if e == nil || e.Summary != want {
			t.Errorf("%.80q: %+v", text, e)
		}
	}
	two := event("SUMMARY:primo\nEND:VEVENT\nBEGIN:VEVENT\nSUMMARY:secondo\nLOCATION:altrove\nORGANIZER:mailto:a@b")
	if e, _ := readCalendar(t, two); e == nil || e.Summary != "primo" || e.Location+e.Organizer != "" || e.Events != 2 {
		t.Errorf("the second event is told of in the first: %+v", e)
	}
	if e, _ := readCalendar(t, "BEGIN:VCALENDAR\nEND:VCALENDAR\n"); e != nil {
		t.Errorf("no event: %+v", e)
	}
	for head, want := range map[string]bool{"BEGIN:VCALENDAR": true, "\xef\xbb\xbf\r\nbegin:vcalendar\r\n": true, "BEGIN:VCARD": false, "": false} {
		if looksCalendar([]byte(head)) != want {
			t.Errorf("%q", head)
		}
	}
}
