package document

import (
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"
)

// checkText walks all strings of v: each is one clean line, none longer than
// most bytes.
func checkText(t *testing.T, v reflect.Value, most int) {
	t.Helper()
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() && v.Type().String() != "*time.Time" {
			checkText(t, v.Elem(), most)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				checkText(t, v.Field(i), most)
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			checkText(t, v.Index(i), most)
		}
	case reflect.String:
		if s := v.String(); !utf8.ValidString(s) || !clean(s) || len(s) > most {
			t.Errorf("text of %d bytes that is not clean: %q", len(s), cutText(s, 200))
		}
	}
}

// asJSON fails for what JSON cannot carry, such as a year of five digits.
func asJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func seed(f *testing.F, patterns ...string) {
	for _, p := range patterns {
		for _, path := range samples(f, p) {
			b, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(b)
		}
	}
}

// FuzzSegnatura holds what must be true of every document: what is read of it is
// clean and bounded, reading it again says the same, a DOCTYPE before it and
// another encoding of the same characters change nothing.
func FuzzSegnatura(f *testing.F) {
	seed(f, "segnatura/*.xml", "fattura/*.xml")
	f.Add([]byte("<Segnatura><Intestazione><Oggetto>a&#x202e;b</Oggetto></Intestazione>"))
	f.Fuzz(checkRecord)
}

// FuzzRecordField does the same with samples in which a piece was put in place
// of another: bytes alone seldom make a document.
func FuzzRecordField(f *testing.F) {
	var docs [][]byte
	for _, path := range slices.Concat(samples(f, "segnatura/*.xml"), samples(f, "fattura/*.xml")) {
		b, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		docs = append(docs, b)
	}
	f.Add(uint8(0), uint16(100), uint16(5), "<Oggetto>&#8238;</Oggetto>")
	f.Add(uint8(9), uint16(500), uint16(0), "</Identificatore><Identificatore>")
	f.Fuzz(func(t *testing.T, n uint8, at, length uint16, piece string) {
		doc := docs[int(n)%len(docs)]
		from := int(at) % len(doc)
		to := min(from+int(length), len(doc))
		checkRecord(t, slices.Concat(doc[:from], []byte(piece), doc[to:]))
	})
}

func checkRecord(t *testing.T, doc []byte) {
	facts := inspectXML(input("segnatura.xml", string(doc)), DefaultLimits)
	checkText(t, reflect.ValueOf(facts), lineMax+200)
	if len(facts.Warnings) > warningsMax {
		t.Errorf("%d warnings", len(facts.Warnings))
	}
	if r := facts.Record; r != nil {
		if r.Kind == "" || len(r.Parties) > partiesMax || len(r.Files) > listedMax || len(r.Errors) > errorsMax {
			t.Errorf("unbounded or without a kind: %+v", r)
		}
		for _, l := range r.Files {
			if l.Name != safeName(l.Name) || l.Digest != "" && len(l.Digest) != 64 {
				t.Errorf("%+v", l)
			}
		}
	}
	first := asJSON(t, facts)
	if again := asJSON(t, inspectXML(input("segnatura.xml", string(doc)), DefaultLimits)); again != first {
		t.Errorf("read twice:\n%s\n%s", first, again)
	}
	text := string(doc)
	if !utf8.ValidString(text) || strings.Contains(strings.ToLower(text), "encoding") || strings.ContainsRune(text, 0xFEFF) {
		return
	}
	wide := []byte{0xff, 0xfe}
	for _, u := range utf16.Encode([]rune(text)) {
		wide = append(wide, byte(u), byte(u>>8))
	}
	if got := asJSON(t, inspectXML(input("segnatura.xml", string(wide)), DefaultLimits)); got != first {
		t.Errorf("in UTF-16:\n%s\n%s", first, got)
	}
	if !strings.HasPrefix(text, "<?") && facts.Record != nil {
		const doctype = `<!DOCTYPE x [<!ENTITY Oggetto "x"> <!-- <Segnatura> --> <!ATTLIST x y CDATA "<z>">]>`
		if got := asJSON(t, inspectXML(input("segnatura.xml", doctype+text), DefaultLimits)); got != first && !strings.Contains(first, Malformed) {
			t.Errorf("after a DOCTYPE:\n%s\n%s", first, got)
		}
	}
}

// checkMembers holds what is true of all listed files: names are safe and not
// empty, sizes are those of the bytes that can be read.
func checkMembers(t *testing.T, files []member) (total int64) {
	t.Helper()
	for _, m := range files {
		if m.Name == "" || m.Name != safeName(m.Name) || m.Size < 0 || len(m.Folder) > folderMax {
			t.Errorf("%+v", m.File)
		}
		if m.at != nil {
			if got := contents(t, m); int64(len(got)) != m.Size {
				t.Errorf("%s: %d bytes of %d", m.Name, len(got), m.Size)
			}
			total += m.Size
		}
	}
	return total
}

// FuzzTNEF holds what must be true of every stream: texts are clean, no byte of
// an attachment is listed twice, reading again says the same, and a stream
// written from what was read holds the same.
func FuzzTNEF(f *testing.F) {
	f.Add(sampleTNEF().Bytes())
	f.Add(newStream().attach("a", []byte("b")).Bytes())
	f.Fuzz(func(t *testing.T, stream []byte) {
		const most = 50
		message, files, warnings := readTNEF(input("winmail.dat", string(stream)), most)
		checkText(t, reflect.ValueOf(message), lineMax)
		checkText(t, reflect.ValueOf(warnings), lineMax)
		if total := checkMembers(t, files); total > 4*int64(len(stream)) || len(files) > most+3 {
			t.Errorf("%d files of %d bytes in %d", len(files), total, len(stream))
		}
		again := newStream().
			attribute(1, tnefClass, []byte(message.Class)).
			attribute(1, tnefMessageProps, properties(wideValue(propSubject, message.Subject)))
		var attached []member
		for _, m := range files {
			if strings.HasPrefix(m.Name, "testo.") || m.at == nil {
				continue
			}
			attached = append(attached, m)
			again.attach("", []byte(contents(t, m)), wideValue(propAttachLongName, m.Name), wideValue(propAttachMedia, m.MediaType))
		}
		second, copies, _ := readTNEF(input("winmail.dat", again.String()), most)
		if second.Subject != message.Subject || len(copies) != len(attached) {
			t.Fatalf("%+v %d, again %+v %d", message, len(attached), second, len(copies))
		}
		for i, m := range attached {
			if copies[i].Name != m.Name || copies[i].Size != m.Size || m.Size > 0 && contents(t, copies[i]) != contents(t, m) {
				t.Errorf("%+v, again %+v", m.File, copies[i].File)
			}
		}
	})
}

// FuzzCalendar holds what must be true of every calendar: texts are clean, an
// end is never before its start, folding and line ends change nothing.
func FuzzCalendar(f *testing.F) {
	f.Add("SUMMARY:a\\, b\nDTSTART;TZID=Europe/Rome:20260101T100000\nDURATION:P1DT1H", 20)
	f.Add("SUMMARY:perché è così – 😀", 2)
	f.Add("DTSTART;VALUE=DATE:20260101\nORGANIZER;CN=\"x\":mailto:a@b\nBEGIN:VALARM\nSUMMARY:x\nEND:VALARM\nLOCATION:y", 3)
	f.Fuzz(func(t *testing.T, properties string, width int) {
		text := event(properties)
		facts := inspectCalendar(input("x.ics", text), DefaultLimits)
		checkText(t, reflect.ValueOf(facts), lineMax+200)
		first := asJSON(t, facts)
		if e := facts.Event; e != nil && e.Start != nil && e.End != nil && e.End.Before(*e.Start) {
			t.Errorf("%s ends before it begins", first)
		}
		if got := asJSON(t, inspectCalendar(input("x.ics", strings.ReplaceAll(text, "\r\n", "\n")), DefaultLimits)); got != first {
			t.Errorf("other line ends:\n%s\n%s", first, got)
		}
		if !utf8.ValidString(text) || width < 1 || len(text) > calendarLine {
			return
		}
		// Lines are folded by bytes, also inside a character (RFC 5545 §3.1).
		var folded strings.Builder
		column := 0
		for i := range len(text) {
			if column++; column > width && text[i] != '\r' && text[i] != '\n' && text[i-1] != '\r' && text[i-1] != '\n' {
				folded.WriteString("\r\n ")
				column = 1
			}
			if folded.WriteByte(text[i]); text[i] == '\n' || text[i] == '\r' {
				column = 0
			}
		}
		if got := asJSON(t, inspectCalendar(input("x.ics", folded.String()), DefaultLimits)); got != first {
			t.Errorf("folded at %d:\n%s\n%s", width, first, got)
		}
	})
}
