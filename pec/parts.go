package pec

import (
	"iter"
	"strconv"
	"strings"
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
	disposition, _ := cutParam(p.header.get("content-disposition"))
	word, _, _ := strings.Cut(strings.TrimSpace(disposition), " ") // some leave the semicolon out
	return strings.EqualFold(word, "attachment") || rawName(p) != ""
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
