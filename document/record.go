package document

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Bounds of one record.
const (
	partiesMax  = 1000
	listedMax   = 2000
	errorsMax   = 200
	warningsMax = 20
)

// recordReader reads one kind of record, told by its root element.
type recordReader struct {
	kind string
	typ  string // of a notification of the SdI
	// versions are the namespaces by which a kind is known, without the slash at
	// their end and in lower case, and what each means for Record.Version.
	versions map[string]string
	// needs is a child without which a root of so common a name is something else.
	needs string
	// skip are elements that hold much and say nothing to a record.
	skip map[string]bool
	read func(*recording, *node)
}

// recordReaders by root element in lower case.
func recordReaders() map[string]recordReader {
	readers := map[string]recordReader{}
	addSegnature(readers)
	addInvoices(readers)
	addNotifications(readers)
	return readers
}

// recording is a record while it is read.
type recording struct {
	Record
	in       Input
	warnings []Warning
}

func (r *recording) warn(code, format string, args ...any) {
	if len(r.warnings) < warningsMax {
		r.warnings = append(r.warnings, Warning{Code: code, Detail: fmt.Sprintf(format, args...)})
	}
}

// looksXML tells by the first bytes of a file whether it may be XML. HTML without
// an XML declaration is none.
func looksXML(head []byte) bool {
	text := xmlUTF8(head)
	if xmlDeclared(text) {
		return true
	}
	text = strings.ToLower(cutText(text, 20))
	return strings.HasPrefix(text, "<") && !strings.HasPrefix(text, "<!doctype html") && !strings.HasPrefix(text, "<html")
}

// inspectXML reads a file that looks like XML. The root element and its
// namespace tell what record it is; the file's name is only compared with that.
func inspectXML(in Input, limits Limits) Facts {
	r := &recording{in: in}
	data := make([]byte, min(in.Size, limits.Parsed))
	n, err := io.ReadFull(io.NewSectionReader(in.Content, 0, in.Size), data)
	if err != nil && n < len(data) {
		r.warn(Unreadable, "only %d of %d bytes could be read", n, in.Size)
	}
	root := r.read(data[:n], in.Size > limits.Parsed)
	facts := Facts{Warnings: r.warnings}
	if root != nil || xmlDeclared(xmlUTF8(data[:min(n, 200)])) {
		facts.Format = "xml"
	}
	if r.Kind != "" {
		facts.Record = &r.Record
	}
	return facts
}

// read fills the record if the document is one, and returns its root element;
// nil when it has none.
func (r *recording) read(data []byte, cut bool) *node {
	readers := recordReaders()
	var reader recordReader
	root, err := parseXML(data, func(root *node) map[string]bool {
		reader = readers[strings.ToLower(root.name)]
		return reader.skip
	})
	if root == nil || reader.kind == "" || reader.needs != "" && root.child(reader.needs) == nil {
		r.compareName("")
		return root
	}
	switch {
	case err != nil && cut:
		r.warn(TooLarge, "the document is longer than the %d bytes that are read", len(data))
	case err != nil:
		r.warn(Malformed, "the document could only be read in part: %s", lineOf(err.Error(), 200))
	}
	r.Kind, r.Type = reader.kind, reader.typ
	version, ok := reader.versions[strings.ToLower(strings.TrimRight(root.space, "/"))]
	if !ok {
		r.warn(NamespaceUnknown, "%s in a namespace that is not known: %q", root.name, lineOf(root.space, 200))
	}
	r.Version = version
	reader.read(r, root)
	r.compareName(reader.typ)
	return root
}

// date is an ISO date in a field, also with a time or zone after it, or an
// Italian one; "" for what is no date.
func date(s string) string {
	for _, layout := range []string{"2006-01-02", "02/01/2006", "02-01-2006"} {
		if len(s) < len(layout) {
			continue
		}
		if t, err := time.Parse(layout, s[:len(layout)]); err == nil && t.Year() > 0 {
			return t.Format("2006-01-02")
		}
	}
	return ""
}

// moment is an xs:dateTime; without a zone it is Italian time.
func moment(s string) *time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		if t, err = time.ParseInLocation("2006-01-02T15:04:05", s, rome()); err != nil {
			return nil
		}
	}
	return sensible(t)
}

// rome is the legal time of Italy.
func rome() *time.Location {
	if l, err := time.LoadLocation("Europe/Rome"); err == nil {
		return l
	}
	return time.FixedZone("CET", 3600)
}

// sensible refuses times that RFC 3339, hence JSON, cannot carry.
func sensible(t time.Time) *time.Time {
	_, offset := t.Zone()
	if t.Year() < 1 || t.Year() > 9998 || offset <= -24*3600 || offset >= 24*3600 {
		return nil
	}
	t = t.Round(0)
	return &t
}
