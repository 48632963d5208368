package pec

import (
	"iter"
	"strconv"
	"strings"
	"unicode/utf8"
)

// leaf is a part that is no multipart, with its dotted path (as IMAP's BODY[…]
// counts, RFC 9051 §6.4.5) in the message whose root the listing began at.
type leaf struct {
	*part
	path      string
	nested    bool // inside an attached message
	signature bool // the second part of a multipart/signed
}

// leaves yields the leaves of the message root, in order; with inside also
// those of attached messages, each after the message itself.
func leaves(root *part, inside bool) iter.Seq[leaf] {
	return func(yield func(leaf) bool) {
		l := listing{inside, yield}
		l.message(root, leaf{})
	}
}

// listing recurses no deeper than the walk that made the tree.
type listing struct {
	inside bool
	yield  func(leaf) bool
}

// message lists the message root, found at the place at.
func (l listing) message(root *part, at leaf) bool {
	if len(root.children) == 0 {
		at.path = below(at.path, 1)
	}
	at.part = root
	return l.part(at)
}

func (l listing) part(at leaf) bool {
	for i, c := range at.children {
		child := leaf{part: c, path: below(at.path, i+1), nested: at.nested,
			signature: i == 1 && at.media == "multipart/signed"}
		if !l.part(child) {
			return false
		}
	}
	if len(at.children) > 0 {
		return true
	}
	if !l.yield(at) {
		return false
	}
	if at.part.message == nil || !l.inside {
		return true
	}
	return l.message(at.part.message, leaf{path: at.path, nested: true})
}

func below(path string, n int) string {
	if path == "" {
		return strconv.Itoa(n)
	}
	return path + "." + strconv.Itoa(n)
}

// bodies are the parts of a message that are shown as what the person wrote:
// the first text/plain and the first text/html that are not files.
type bodies struct{ plain, html *part }

func bodiesOf(root *part) bodies {
	var b bodies
	for l := range leaves(root, false) {
		if isFile(l.part) {
			continue
		}
		switch {
		case l.media == "text/plain" && b.plain == nil:
			b.plain = l.part
		case l.media == "text/html" && b.html == nil:
			b.html = l.part
		}
	}
	return b
}

// isFile tells that a part is meant as a file: it has a name, or says so.
func isFile(p *part) bool {
	disposition, params := parseParams(p.header.get("content-disposition"))
	return strings.EqualFold(disposition, "attachment") || params["filename"] != "" || p.params["name"] != ""
}

// attachmentsOf yields the files of a message: every leaf but the shown text
// and the signature, so that nothing is hidden; of attached messages the
// message and the files in it.
func attachmentsOf(root *part) iter.Seq[leaf] {
	shown := bodiesOf(root)
	return func(yield func(leaf) bool) {
		for l := range leaves(root, true) {
			switch {
			case l.part == shown.plain || l.part == shown.html:
			case l.signature && (signatureMedia[l.media] || l.media == "application/pgp-signature"):
			case l.nested && strings.HasPrefix(l.media, "text/") && !isFile(l.part):
			case !yield(l):
				return
			}
		}
	}
}

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
