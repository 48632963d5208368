package document

import (
	"strings"
	"time"
)

// windowsZones are the zones of Windows, which Outlook writes as TZID, that
// occur in Italy, each as a zone of the same rules (CLDR windowsZones.xml).
func windowsZones() map[string]string {
	return map[string]string{
		"w. europe standard time":        "Europe/Rome",
		"central europe standard time":   "Europe/Budapest",
		"central european standard time": "Europe/Warsaw",
		"romance standard time":          "Europe/Paris",
		"gmt standard time":              "Europe/London",
		"greenwich standard time":        "Atlantic/Reykjavik",
		"e. europe standard time":        "Europe/Chisinau",
		"fle standard time":              "Europe/Kiev",
		"gtb standard time":              "Europe/Bucharest",
		"turkey standard time":           "Europe/Istanbul",
		"russian standard time":          "Europe/Moscow",
		"utc":                            "UTC",
		"eastern standard time":          "America/New_York",
		"central standard time":          "America/Chicago",
		"mountain standard time":         "America/Denver",
		"pacific standard time":          "America/Los_Angeles",
		"e. south america standard time": "America/Sao_Paulo",
		"argentina standard time":        "America/Buenos_Aires",
		"india standard time":            "Asia/Calcutta",
		"china standard time":            "Asia/Shanghai",
		"tokyo standard time":            "Asia/Tokyo",
		"arabian standard time":          "Asia/Dubai",
		"israel standard time":           "Asia/Jerusalem",
		"egypt standard time":            "Africa/Cairo",
		"ora solare europa occidentale":  "Europe/Rome", // an Italian Windows
	}
}

// zoneDefinition is what is read of a VTIMEZONE (RFC 5545 §3.6.5).
type zoneDefinition struct {
	id, standard, daylight string
}

// zonesMax bounds the definitions that are kept.
const zonesMax = 50

func (c *calendar) zoneLine(l contentLine) {
	if len(c.open) < 2 || c.open[1] != "VTIMEZONE" {
		return
	}
	at := c.open[len(c.open)-1]
	for _, x := range []struct {
		name, component string
		to              *string
	}{{"TZID", "VTIMEZONE", &c.zone.id}, {"TZOFFSETTO", "STANDARD", &c.zone.standard}, {"TZOFFSETTO", "DAYLIGHT", &c.zone.daylight}} {
		if l.name == x.name && at == x.component {
			*x.to = strings.TrimSpace(l.value)
		}
	}
}

func (c *calendar) endZone(component string) {
	if !strings.EqualFold(component, "VTIMEZONE") {
		return
	}
	if c.zones == nil {
		c.zones = map[string]zoneDefinition{}
	}
	if len(c.zones) < zonesMax {
		c.zones[c.zone.id] = c.zone
	}
	c.zone = zoneDefinition{}
}

// zoneOf is the zone a TZID names, or the one that the calendar defines under
// that name if it has one offset or those of central Europe. Rules of other
// zones are not read: no time is better than a wrong one.
func (c *calendar) zoneOf(id string) *time.Location {
	if zone := namedZone(id); zone != nil {
		return zone
	}
	defined := c.zones[id]
	standard, err := time.Parse("-0700", defined.standard)
	switch {
	case err != nil:
		return nil
	case defined.standard == "+0100" && defined.daylight == "+0200":
		return rome()
	case defined.daylight == "" || defined.daylight == defined.standard:
		_, offset := standard.Zone()
		return time.FixedZone("", offset)
	}
	return nil
}

// namedZone finds the zone that a TZID names: one of Windows, one of the tz
// database, also behind a prefix ("/mozilla.org/20050126_1/Europe/Rome"), or
// Outlook's words, which name Rome among the cities. nil when it is none.
func namedZone(id string) *time.Location {
	lower := strings.ToLower(strings.TrimSpace(id))
	if name := windowsZones()[lower]; name != "" {
		return loadZone(name)
	}
	if strings.HasPrefix(lower, "(") && strings.Contains(lower, "+01") && strings.Contains(lower, "rom") {
		return rome()
	}
	parts := strings.Split(strings.Trim(strings.TrimSpace(id), "/"), "/")
	for i := range parts {
		if len(parts)-i <= 3 {
			if zone := loadZone(strings.Join(parts[i:], "/")); zone != nil {
				return zone
			}
		}
	}
	return nil
}

// loadZone looks only for names that can be of the tz database: they begin with
// a capital letter, while beside them lie localtime, posix/ and right/.
func loadZone(name string) *time.Location {
	if name == "" || len(name) > 40 || name == "Local" || name[0] < 'A' || name[0] > 'Z' || strings.ContainsFunc(name, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("/_+-", r))
	}) {
		return nil
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil
	}
	return zone
}
