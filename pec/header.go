package pec

import (
	"bytes"
	"strings"
)

// header holds the fields of one part in order, names in lower case, values
// unfolded but not decoded (RFC 5322 §2.2).
type header struct {
	fields []field
	// cut tells that the bound was passed: fields beyond it were not read.
	cut bool
}

type field struct{ name, value string }

// get returns the first field of that name, or "".
func (h *header) get(name string) string {
	for _, f := range h.fields {
		if f.name == name {
			return f.value
		}
	}
	return ""
}

// count tells how often a field occurs: RFC 5322 §3.6 allows most of them once,
// and programs differ about which of two they show.
func (h *header) count(name string) int {
	n := 0
	for _, f := range h.fields {
		if f.name == name {
			n++
		}
	}
	return n
}

func (h *header) has(name string) bool { return h.count(name) > 0 }

// word is the field's value as one lower-case token, for the fields whose
// values are keywords.
func (h *header) word(name string) string {
	return strings.ToLower(strings.TrimSpace(h.get(name)))
}

// contentType splits Content-Type. Without a usable one it is fallback.
func (h *header) contentType(fallback string) (string, map[string]string) {
	value := h.get("content-type")
	media, params := parseParams(value)
	media = strings.ToLower(media)
	if major, minor, ok := strings.Cut(media, "/"); !ok || major == "" || minor == "" || strings.ContainsAny(media, " \t") {
		media = fallback
	}
	return media, params
}

// readHeader reads the fields of p and returns where its body begins: after
// the empty line, or at a delimiter that comes first.
func (w *walker) readHeader(p *part) int {
	var name string
	var value []byte
	flush := func() {
		if name != "" {
			p.header.fields = append(p.header.fields, field{name, string(bytes.TrimSpace(value))})
		}
		name, value = "", nil
	}
	defer flush()
	most := int(w.limits.Header)
	for pos := p.start; pos < w.doc.size; {
		if _, ok := w.delimiterAt(pos); ok {
			return pos
		}
		line, next := w.line(pos, most+1)
		if len(line) == 0 {
			return next
		}
		w.headers -= len(line)
		switch {
		case next-p.start > most || w.headers < 0:
			if !p.header.cut {
				w.warn(HeaderTooLong, "a header is longer than is read; the fields beyond are not considered")
			}
			p.header.cut = true
		case line[0] == ' ' || line[0] == '\t':
			value = append(append(value, ' '), bytes.TrimSpace(line)...)
		default:
			flush()
			name, value = splitField(line)
		}
		pos = next
	}
	return w.doc.size
}

// splitField splits "Name: value"; blanks before the colon are the obsolete
// syntax (RFC 5322 §4.5), which some programs honour. A line that is no field
// has no name.
func splitField(line []byte) (string, []byte) {
	key, value, ok := bytes.Cut(line, []byte(":"))
	if !ok {
		return "", nil
	}
	name := strings.ToLower(string(bytes.TrimRight(key, " \t")))
	if strings.ContainsAny(name, " \t") { // the "From " line of an mbox among others
		return "", nil
	}
	return name, bytes.Clone(value)
}
