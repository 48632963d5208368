package pec

import (
	"strings"
	"unicode/utf8"
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
// Content-Disposition goes before Content-Type (RFC 2183 §2.3).
func fileName(p *part) string {
	name, _ := cleanName(rawName(p))
	return name
}

func rawName(p *part) string {
	_, params := parseParams(p.header.get("content-disposition"))
	for _, name := range []string{params["filename"], p.params["name"]} {
		if name = decodeWords(name); strings.TrimSpace(name) != "" {
			return name
		}
	}
	return ""
}

// attachmentName names a leaf for people and file systems; changed tells that
// the name in the message was unsafe.
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

// cleanName keeps the last element of a path and drops what would hide or
// redirect it: control and bidi characters, leading dots, overlong tails.
func cleanName(s string) (name string, changed bool) {
	name = s
	if i := strings.LastIndexAny(name, `/\`); i >= 0 {
		name = name[i+1:]
	}
	name = strings.TrimLeft(line(name), ". ")
	name = strings.TrimRight(name, ". ")
	name = shorten(name)
	return name, name != strings.Join(strings.Fields(s), " ")
}

// shorten cuts a name before its extension.
func shorten(name string) string {
	if len(name) <= nameMax {
		return name
	}
	ext := ""
	if i := strings.LastIndexByte(name, '.'); i > 0 && len(name)-i <= 20 && utf8.ValidString(name[i:]) {
		ext = name[i:]
	}
	return cutText(name, nameMax-len(ext)) + ext
}
