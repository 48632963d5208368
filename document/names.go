package document

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// nameMax is what file systems allow for one name, less room for a suffix.
	nameMax = 200
	// folderMax bounds the folders an archive shows above a name.
	folderMax = 400
	// lineMax bounds one field: subjects and reasons are a few hundred bytes.
	lineMax = 2000
)

// line makes one line of clean text for people: no control characters, none
// that reorder the text (Unicode bidi controls, which let a name lie about
// itself), blanks joined, at most lineMax bytes.
func line(s string) string { return lineOf(s, lineMax) }

func lineOf(s string, most int) string {
	if len(s) > 4*most {
		s = s[:4*most]
	}
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\n' || r == '\r':
			return ' '
		case unicode.IsControl(r) || bidiControl(r) || r == 0xFFFE || r == 0xFFFF:
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	return strings.TrimRight(cutText(strings.Join(strings.Fields(s), " "), most), " ")
}

func bidiControl(r rune) bool {
	return r == 0x061C || r == 0x200E || r == 0x200F || 0x202A <= r && r <= 0x202E || 0x2066 <= r && r <= 0x2069
}

// cutText cuts s to at most n bytes, never inside a character.
func cutText(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// safeName is what package pec does to the names of attachments: the last
// element of a path, without what would hide or redirect it: control and bidi
// characters, leading dots, overlong tails. It is "" when nothing is left.
func safeName(s string) string {
	if i := strings.LastIndexAny(s, `/\`); i >= 0 {
		s = s[i+1:]
	}
	return shorten(strings.Trim(lineOf(s, 4*lineMax), ". "))
}

// shorten cuts a name before its extension.
func shorten(name string) string {
	if len(name) <= nameMax {
		return name
	}
	ext := extension(name)
	if len(ext) > 20 {
		ext = ""
	}
	return strings.TrimRight(cutText(name, nameMax-len(ext)), ". ") + ext
}

// extension is the last dot of a name and what follows, "" without one.
func extension(name string) string {
	if i := strings.LastIndexByte(name, '.'); i > 0 {
		return name[i:]
	}
	return ""
}

// safeFolder is the path above a name, each element safe, joined with "/";
// unsafe tells that the path led out of where it began, or to a root.
func safeFolder(path string) (folder string, unsafe bool) {
	path = strings.ReplaceAll(path, `\`, "/")
	unsafe = strings.HasPrefix(path, "/") || len(path) > 1 && path[1] == ':'
	i := strings.LastIndexByte(path, '/')
	var kept []string
	length := 0
	for element := range strings.SplitSeq(path[:max(i, 0)], "/") {
		unsafe = unsafe || element == ".."
		if element = safeName(element); element == "" {
			continue
		}
		if length += len(element) + 1; length > folderMax {
			break
		}
		kept = append(kept, element)
	}
	return strings.Join(kept, "/"), unsafe
}
