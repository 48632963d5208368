package web

import (
	"fmt"
	"html/template"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/protodaemon/protodaemon/register"
)

// functions are what templates can say.
func (p *pages) functions() template.FuncMap {
	return template.FuncMap{
		"asset":   p.assets.url,
		"icon":    p.icon,
		"date":    func(t time.Time) string { return t.In(p.zone).Format("02/01/2006") },
		"clock":   func(t time.Time) string { return t.In(p.zone).Format("15:04:05") },
		"moment":  p.moment,
		"stamp":   func(t time.Time) string { return t.In(p.zone).Format(time.RFC3339) },
		"short":   func(t time.Time) string { return t.In(p.zone).Format("02/01 15:04") },
		"size":    size,
		"digest":  shortDigest,
		"media":   media,
		"count":   count,
		"entry":   entryPath,
		"arg":     func(f *form, name string) field { return field{f, name} },
		"reasons": func() []string { return []string{"Pubblicità", "Non destinato a noi", "Doppione", "Sospetta"} },
	}
}

// field is one field of a form, for the pieces of templates that show it.
type field struct {
	Form *form
	Name string
}

// icon draws a symbol of the sprite; without the sprite the words beside it
// have to do, and they do.
func (p *pages) icon(name string, class ...string) template.HTML {
	sprite := p.assets.url("sprite.svg")
	if sprite == "" {
		return ""
	}
	return template.HTML(`<svg class="` + strings.Join(append([]string{"icon"}, class...), " ") +
		`" aria-hidden="true"><use href="` + sprite + `#` + name + `"></use></svg>`)
}

func (p *pages) moment(t time.Time) string {
	return t.In(p.zone).Format("02/01/2006 alle 15:04:05")
}

// since tells when something was in the mailbox, shortly when it was on the
// day that the sentence has just named.
func (p *pages) since(t time.Time, named *time.Time) string {
	if named != nil && named.In(p.zone).Format(time.DateOnly) == t.In(p.zone).Format(time.DateOnly) {
		return "dalle " + t.In(p.zone).Format("15:04:05")
	}
	return "dal " + p.moment(t)
}

// count is a number with its noun: count 2 "messaggio" "messaggi".
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

// size writes bytes as people read them, in thousands, with a comma.
func size(n int64) string {
	units := []string{"byte", "kB", "MB", "GB"}
	f, u := float64(n), 0
	for f >= 999.5 && u < len(units)-1 {
		f, u = f/1000, u+1
	}
	digits := 0
	if u > 1 && f < 10 {
		digits = 1
	}
	return strings.ReplaceAll(strconv.FormatFloat(f, 'f', digits, 64), ".", ",") + " " + units[u]
}

// shortDigest shows the ends of a SHA-256.
func shortDigest(d fmt.Stringer) string {
	s := d.String()
	return s[:4] + "…" + s[len(s)-4:]
}

// kinds are the words and symbols for files, by what they hold or, where that
// says little, by the end of their name.
var kinds = map[string]kind{
	"application/pdf":                         {"PDF", "it-file-pdf"},
	"application/pkcs7-mime":                  {"File firmato", "it-file-signed"},
	"application/xml":                         {"XML", "it-file-xml"},
	"text/xml":                                {"XML", "it-file-xml"},
	"text/plain":                              {"Testo", "it-file"},
	"text/html":                               {"Pagina web", "it-file"},
	"text/csv":                                {"Tabella CSV", "it-file"},
	"application/zip":                         {"Archivio ZIP", "it-file-compressed"},
	"application/x-7z-compressed":             {"Archivio 7z", "it-file-compressed"},
	"application/vnd.rar":                     {"Archivio RAR", "it-file-compressed"},
	"message/rfc822":                          {"Messaggio di posta", "it-mail"},
	"application/msword":                      {"Documento Word", "it-file"},
	"application/rtf":                         {"Documento RTF", "it-file"},
	"application/vnd.ms-excel":                {"Foglio Excel", "it-file"},
	"application/octet-stream":                {"File", "it-file"},
	"application/ms-tnef":                     {"Allegati di Outlook", "it-file-compressed"},
	"application/x-dosexec":                   {"Programma", "it-error"},
	"application/vnd.oasis.opendocument.text": {"Documento ODT", "it-file"},
	"application/vnd.oasis.opendocument.spreadsheet":                          {"Foglio ODS", "it-file"},
	"application/vnd.openxmlformats-officedocument.wordprocessingml.document": {"Documento Word", "it-file"},
	"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet":       {"Foglio Excel", "it-file"},
}

type kind struct{ Name, Icon string }

// media names a file's kind.
func media(mediaType, name string) kind {
	ext := strings.ToLower(path.Ext(name))
	if ext == ".p7m" {
		inner := media("", strings.TrimSuffix(name, path.Ext(name)))
		return kind{inner.Name + " firmato", "it-file-signed"}
	}
	if k, ok := kinds[mediaType]; ok && mediaType != "application/octet-stream" {
		return k
	}
	if strings.HasPrefix(mediaType, "image/") {
		return kind{"Immagine " + strings.ToUpper(strings.TrimPrefix(mediaType, "image/")), "it-file"}
	}
	switch ext {
	case ".pdf":
		return kinds["application/pdf"]
	case ".xml":
		return kinds["text/xml"]
	case ".zip":
		return kinds["application/zip"]
	}
	return kinds["application/octet-stream"]
}

// programs are ends of names that make a system run the file.
var programs = map[string]bool{".exe": true, ".js": true, ".jse": true, ".vbs": true, ".vbe": true, ".scr": true, ".com": true,
	".bat": true, ".cmd": true, ".pif": true, ".ps1": true, ".hta": true, ".lnk": true, ".jar": true, ".msi": true, ".iso": true,
	".img": true, ".wsf": true, ".cpl": true, ".reg": true, ".chm": true}

// danger says why an attachment should not be opened, or nothing.
func danger(name, mediaType string) string {
	ext := strings.ToLower(path.Ext(name))
	program := programs[ext] || mediaType == "application/x-dosexec"
	if program && path.Ext(strings.TrimSuffix(name, path.Ext(name))) != "" {
		return "Doppia estensione, programma"
	}
	if program {
		return "Programma"
	}
	return ""
}

// age is how long something has waited, in the two units that matter.
func age(d time.Duration) string {
	days, hours, minutes := int(d/(24*time.Hour)), int(d/time.Hour)%24, int(d/time.Minute)%60
	switch {
	case days > 0 && hours > 0:
		return fmt.Sprintf("%d g %d h", days, hours)
	case days > 0:
		return fmt.Sprintf("%d g", days)
	case hours > 0 && minutes > 0 && hours < 10:
		return fmt.Sprintf("%d h %d min", hours, minutes)
	case hours > 0:
		return fmt.Sprintf("%d h", hours)
	case minutes > 0:
		return fmt.Sprintf("%d min", minutes)
	}
	return "ora"
}

// working is the time from a to b that does not fall on a Saturday or Sunday.
func working(a, b time.Time, zone *time.Location) time.Duration {
	if b.Sub(a) > 31*24*time.Hour {
		return b.Sub(a)
	}
	var sum time.Duration
	for at := a.In(zone); at.Before(b); {
		next := time.Date(at.Year(), at.Month(), at.Day()+1, 0, 0, 0, 0, zone)
		if next.After(b) {
			next = b.In(zone)
		}
		if at.Weekday() != time.Saturday && at.Weekday() != time.Sunday {
			sum += next.Sub(at)
		}
		at = next
	}
	return sum
}

// lateness is the tone of a waiting time: amber from eight working hours, red
// from one working day.
func lateness(a, b time.Time, zone *time.Location) string {
	switch w := working(a, b, zone); {
	case w >= 24*time.Hour:
		return "late"
	case w >= 8*time.Hour:
		return "soon"
	}
	return ""
}

// entryPath is the address of an entry's page, from "register/year/number".
func entryPath(org, entry string) string {
	register, rest, _ := strings.Cut(entry, "/")
	return bookBase(org, register) + "/registro/" + rest
}

// numberOf is the last part of "register/year/number".
func numberOf(entry string) string { return path.Base(entry) }

// standing says where a message stands that can no longer be decided.
func (p *pages) standing(s register.State, d *register.Decision) string {
	who := ""
	if d != nil {
		who = " da " + person(d.Name, d.By) + " il " + p.moment(d.At)
	}
	switch s {
	case register.StateConfirmed:
		return "È già stato protocollato" + who + "."
	case register.StateRejected:
		return "È già stato rifiutato" + who + "."
	case register.StateWithdrawn:
		return "Il messaggio è stato trascinato fuori dalla cartella."
	case register.StateConfirming:
		return "Non si sa se il numero è stato dato. " + unknownOutcome
	case register.StateOversized:
		return "Il messaggio è troppo grande: è rimasto nella casella."
	}
	return "Lo stato del messaggio è cambiato nel frattempo."
}

func person(name, user string) string {
	if name != "" {
		return name
	}
	return user
}
