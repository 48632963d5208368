package pec

import (
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// extensions name a file that has no name by its type.
var extensions = map[string]string{
	"text/plain": ".txt", "text/html": ".html", "message/rfc822": ".eml", "application/pdf": ".pdf",
	"image/png": ".png", "image/jpeg": ".jpg", "image/gif": ".gif", "application/xml": ".xml", "text/xml": ".xml",
	"text/calendar": ".ics", "application/pkcs7-mime": ".p7m", "application/x-pkcs7-mime": ".p7m",
}

// nameMax is what file systems allow for one name, less room for a suffix.
const nameMax = 200

// fileName is the decoded, safe name of a part, "" without one.
func fileName(p *part) string {
	name, _ := cleanName(rawName(p))
	return name
}

// rawName is the decoded name of a part as its sender wrote it.
func rawName(p *part) string {
	name, _ := decodedName(p.header.get("content-disposition"), p.header.get("content-type"))
	return name
}

// givenName is a name as it stands in a header.
type givenName struct {
	raw   string
	doubt doubt
}

// namesGiven are the names that a part's two fields give it, the one that counts
// first: Content-Disposition goes before Content-Type (RFC 2183 §2.3), RFC 2231
// before the plain form beside it.
func namesGiven(disposition, contentType string) [4]givenName {
	file, fileExtended, fileDoubt := nameParams(disposition, "filename")
	name, nameExtended, nameDoubt := nameParams(contentType, "name")
	return [4]givenName{{fileExtended, fileDoubt}, {file, sure}, {nameExtended, nameDoubt}, {name, sure}}
}

// decodedName is the name that counts, and how sure its characters are.
func decodedName(disposition, contentType string) (string, doubt) {
	for _, given := range namesGiven(disposition, contentType) {
		if name, d := decodeName(given.raw); strings.TrimSpace(name) != "" {
			return name, max(d, given.doubt)
		}
	}
	return "", sure
}

// otherName is a name that the part has as well, for programs that read another
// field or form, when it makes another kind of file of it; "" when all agree.
func otherName(disposition, contentType string) string {
	shown := ""
	for _, given := range namesGiven(disposition, contentType) {
		if given.raw == "" {
			continue
		}
		name, _ := decodeName(given.raw)
		name, _ = cleanName(name)
		switch {
		case shown == "":
			shown = name
		case name != "" && !strings.EqualFold(path.Ext(name), path.Ext(shown)):
			return name
		}
	}
	return ""
}

// nameWarnings tells what is wrong with the name of an attachment that is shown
// as name.
func (r *reader) nameWarnings(l leaf, name string, changed bool) {
	if changed {
		r.warn(NameCleaned, "the name of attachment "+l.path+" was not safe as it stood; shown as "+name)
	}
	disposition, contentType := l.header.get("content-disposition"), l.header.get("content-type")
	if other := otherName(disposition, contentType); other != "" {
		r.warn(NameDiffers, "attachment "+l.path+" is shown as "+name+", other programs may call it "+other)
	}
	if _, d := decodedName(disposition, contentType); d != sure {
		r.warn(CharsetGuessed, "the characters in the name of attachment "+l.path+" are guessed")
	}
}

// attachmentName names a leaf for people and file systems; changed tells that
// the name in the message was unsafe. Two attachments may have one name: what
// tells them apart is Attachment.Part.
func attachmentName(l leaf) (name string, changed bool) {
	name, changed = cleanName(rawName(l.part))
	if name != "" {
		return name, changed
	}
	ext, ok := extensions[l.media]
	if !ok {
		ext = ".bin"
	}
	return "parte-" + l.path + ext, changed
}

// wordRounds is how often a name may have been encoded.
const wordRounds = 3

// decodeName decodes a parameter that is a name: encoded words (more than once,
// by programs that did not know it was done), percent signs without the star
// that announces them, and text encoded twice in UTF-8.
func decodeName(s string) (string, doubt) {
	worst := sure
	for range wordRounds {
		next, d := readWords(s)
		worst = max(worst, d)
		if next == s {
			break
		}
		s = next
	}
	if !strings.ContainsAny(s, " \t") && percentEncoded(s) {
		if text := percentDecode(s); utf8.ValidString(text) {
			s = text
		}
	}
	if once, ok := undouble(s); ok {
		return once, max(worst, guessed)
	}
	return s, worst
}

// cleanName makes a name that every file system takes and that says what it is:
// the last element of a path in Unicode NFC, at most nameMax bytes with its
// extension, without what hides or reorders it, without leading dots (hidden
// files) or trailing ones (Windows drops them), without the characters and the
// device names of Windows. Blanks become single ones, so that they do not push
// an extension out of sight. Cleaning twice changes nothing. changed tells that
// the name was unsafe as it stood.
func cleanName(s string) (name string, changed bool) {
	if plainName(s) {
		return s, false
	}
	name = lastElement(strings.TrimRight(strings.ToValidUTF8(cutText(s, 4*lineMax), "\uFFFD"), `/\`))
	name = norm.NFC.String(fewMarks(strings.Join(strings.Fields(strings.Map(nameRune, name)), " ")))
	name = strings.Trim(name, ". ")
	if device(name) {
		name = "_" + name
	}
	name = strings.TrimRight(shorten(name), ". ")
	return name, name != norm.NFC.String(strings.Join(strings.Fields(s), " ")) || blankRun(s)
}

// blankRunMax is how many blanks people type in a row.
const blankRunMax = 4

// blankRun tells that blanks push the end of a name away.
func blankRun(s string) bool {
	run := 0
	for _, r := range s {
		if !unicode.IsSpace(r) {
			run = 0
		} else if run++; run > blankRunMax {
			return true
		}
	}
	return false
}

// plainName tells the names that are nothing but letters, digits and the signs
// that are safe everywhere.
func plainName(s string) bool {
	if len(s) > nameMax || s == "" {
		return s == ""
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		safe := 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || c == '_' || c == '-' || c == '(' || c == ')' ||
			(c == '.' || c == ' ') && i > 0 && i < len(s)-1 && s[i-1] != ' '
		if !safe {
			return false
		}
	}
	return !device(s)
}

// lastElement takes the directories off a path. A slash between two digits is
// part of a number or a date ("n. 12/2026.pdf"), unless the name is a path in
// other ways too.
func lastElement(s string) string {
	if !strings.ContainsAny(s, `/\`) {
		return s
	}
	if !strings.ContainsRune(s, '\\') && !strings.HasPrefix(s, "/") && !strings.HasPrefix(s, ".") {
		b := []byte(s)
		for i := 1; i+1 < len(b); i++ {
			if b[i] == '/' && digit(b[i-1]) && digit(b[i+1]) {
				b[i] = '-'
			}
		}
		s = string(b)
	}
	return s[strings.LastIndexAny(s, `/\`)+1:]
}

// nameRune replaces what no name may hold: the characters that Windows forbids,
// and their wide forms, which some programs turn into them.
func nameRune(r rune) rune {
	switch {
	case r < 0x20 && !unicode.IsSpace(r), r == 0x7f:
		return -1
	case r < 0x80:
		if strings.ContainsRune(`<>:"|?*`, r) {
			return '_'
		}
		return r
	case unicode.IsSpace(r) || r == 0x2800 || r == 0x1680: // braille and ogham have blanks of their own
		return ' '
	case strings.ContainsRune("／＼：＊？＂＜＞｜⁄∕∖⧸⧹", r):
		return '_'
	case hidden(r) || unicode.In(r, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector):
		return -1
	}
	return r
}

// marksMax is how many marks may stand on one letter.
const marksMax = 8

// fewMarks drops the marks that pile up on a letter beyond what any language
// writes.
func fewMarks(s string) string {
	marks := 0
	return strings.Map(func(r rune) rune {
		if r < 0x300 || !unicode.IsMark(r) {
			marks = 0
			return r
		}
		if marks++; marks > marksMax {
			return -1
		}
		return r
	}, s)
}

// devices are names that Windows keeps for itself, whatever the extension
// ("Naming Files, Paths, and Namespaces", Win32 documentation).
var devices = map[string]bool{
	"CON": true, "PRN": true, "AUX": true, "NUL": true, "CONIN$": true, "CONOUT$": true, "CLOCK$": true,
}

func device(name string) bool {
	stem, _, _ := strings.Cut(name, ".")
	stem = strings.TrimRight(stem, " ")
	if len(stem) < 3 || len(stem) > 7 {
		return false
	}
	stem = strings.ToUpper(stem)
	if devices[stem] {
		return true
	}
	port, ok := strings.CutPrefix(stem, "COM")
	if !ok {
		port, ok = strings.CutPrefix(stem, "LPT")
	}
	return ok && (len(port) == 1 && digit(port[0]) || port == "¹" || port == "²" || port == "³")
}

// shorten cuts a name before its extensions.
func shorten(name string) string {
	if len(name) <= nameMax {
		return name
	}
	ext := tail(name)
	return strings.TrimRight(cutText(name, nameMax-len(ext)), ". ") + ext
}

// tail is the extension of a name, or the several of them ("pdf.p7m").
func tail(name string) string {
	at := len(name)
	for range 3 {
		i := strings.LastIndexByte(name[:at], '.')
		if i <= 0 || at-i < 2 || at-i > 6 && at < len(name) || at-i > 20 || strings.IndexByte(name[i:at], ' ') >= 0 {
			break
		}
		at = i
	}
	return name[at:]
}
