package document

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"
)

// tnefStream writes a stream attribute by attribute ([MS-OXTNEF] §2.1.3).
type tnefStream struct{ bytes.Buffer }

func newStream() *tnefStream {
	s := &tnefStream{}
	s.Write(tnefSignature)
	s.Write([]byte{1, 0})
	s.attribute(1, 0x00089006, u32(0x00010000)) // the version
	s.attribute(1, tnefCodepage, append(u32(1252), u32(0)...))
	return s
}

func (s *tnefStream) attribute(level byte, id uint32, data []byte) *tnefStream {
	s.WriteByte(level)
	s.Write(u32(id))
	s.Write(u32(uint32(len(data))))
	s.Write(data)
	sum := uint16(0)
	for _, b := range data {
		sum += uint16(b)
	}
	s.Write(binary.LittleEndian.AppendUint16(nil, sum))
	return s
}

// attach adds an attachment: a title in 8-bit characters, bytes, properties.
func (s *tnefStream) attach(title string, data []byte, props ...[]byte) *tnefStream {
	s.attribute(2, tnefAttachRendData, slices.Concat([]byte{1, 0}, u32(0xFFFFFFFF), make([]byte, 8)))
	if title != "" {
		s.attribute(2, tnefAttachTitle, append([]byte(title), 0))
	}
	if data != nil {
		s.attribute(2, tnefAttachData, data)
	}
	if len(props) > 0 {
		s.attribute(2, tnefAttachProps, properties(props...))
	}
	return s
}

func u32(n uint32) []byte { return binary.LittleEndian.AppendUint32(nil, n) }

func properties(props ...[]byte) []byte {
	return slices.Concat(u32(uint32(len(props))), slices.Concat(props...))
}

func tag(id, typ uint16) []byte { return u32(uint32(id)<<16 | uint32(typ)) }

func pad(b []byte) []byte { return append(b, make([]byte, -len(b)&3)...) }

// value is a property of a type with a length.
func value(id, typ uint16, data []byte) []byte {
	return slices.Concat(tag(id, typ), u32(1), u32(uint32(len(data))), pad(slices.Clone(data)))
}

func wideText(s string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(s + "\x00")) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

func wideValue(id uint16, s string) []byte { return value(id, typeString, wideText(s)) }

// compressedRTF has the head of [MS-OXRTFCP] §2.1.3.1, and no content.
func compressedRTF(size uint32) []byte {
	return slices.Concat(u32(12), u32(size), []byte("LZFu"), u32(0))
}

// sampleTNEF has what Outlook sends, at its most.
func sampleTNEF() *tnefStream {
	inner := newStream().
		attribute(1, tnefClass, []byte("IPM.Note\x00")).
		attribute(1, tnefSubject, []byte("Inoltrato\x00")).
		attach("dentro.txt", []byte("nel messaggio"))
	sent := uint64(time.Date(2026, 3, 9, 8, 30, 0, 0, time.UTC).Unix()+11644473600) * 1e7
	named := slices.Concat(tag(0x8001, typeString), make([]byte, 16), u32(1), u32(10), pad(wideText("Nome")), // by name
		u32(1), u32(4), wideText("x"))
	return newStream().
		attribute(1, tnefClass, []byte("IPM.Note\x00")).
		attribute(1, tnefSubject, []byte("Perch\xe9\x00")).
		attribute(1, tnefMessageProps, properties(
			named,
			slices.Concat(tag(0x8002, typeInt32), make([]byte, 16), u32(0), u32(0x8233), u32(7)), // by number
			slices.Concat(tag(propSubmitTime, typeTime), binary.LittleEndian.AppendUint64(nil, sent)),
			slices.Concat(tag(0x0E23, typeInt16), u32(1)),
			slices.Concat(tag(0x0E1F, 0x000B), u32(1)),
			slices.Concat(tag(0x1234, typeInt32|typeMany), u32(3), u32(1), u32(2), u32(3)),
			slices.Concat(tag(0x1235, typeString|typeMany), u32(2), u32(2), pad(wideText("")), u32(4), wideText("y")),
			wideValue(propSubject, "Perché — «oggetto»"),
			wideValue(propBody, "Buongiorno,\r\nè allegato.\r\n"),
			value(propRTF, typeBinary, compressedRTF(321)),
			value(propHTML, typeBinary, []byte("<p>Buongiorno</p>")),
		)).
		attach("RELAZI~1.PDF", []byte("%PDF-1.7 finto"), wideValue(propAttachLongName, "Relazione — più lunga.pdf"), wideValue(propAttachMedia, "Application/PDF")).
		attach("citt\xe0.txt", []byte("otto bit")).
		attach("", []byte("senza nome")).
		attach("", nil, value(propAttachLongName, typeString8, []byte("dati.bin\x00")), value(propAttachData, typeBinary, []byte("nelle propriet\xe0"))).
		attach("", nil, wideValue(propDisplayName, "Messaggio inoltrato"), value(propAttachData, typeObject, slices.Concat(embeddedMessage, inner.Bytes()))).
		attach("../../etc/\u202epassword", []byte("x"))
}

func contents(t *testing.T, m member) string {
	t.Helper()
	if m.at == nil {
		t.Fatalf("%s: its bytes are out of reach", m.Name)
	}
	b, err := io.ReadAll(io.NewSectionReader(m.at, 0, m.Size))
	if err != nil || int64(len(b)) != m.Size {
		t.Fatalf("%s: %d of %d bytes, %v", m.Name, len(b), m.Size, err)
	}
	return string(b)
}

func TestTNEF(t *testing.T) {
	message, files, warnings := readTNEF(input("winmail.dat", sampleTNEF().String()), 100)
	if message.Class != "IPM.Note" || message.Subject != "Perché — «oggetto»" || message.Sent == nil ||
		!message.Sent.Equal(time.Date(2026, 3, 9, 8, 30, 0, 0, time.UTC)) || len(warnings) > 0 {
		t.Errorf("%+v %v", message, warnings)
	}
	type row struct{ name, media, content string }
	want := []row{
		{"testo.txt", "text/plain", "Buongiorno,\r\nè allegato.\r\n"},
		{"testo.rtf", "application/rtf", ""},
		{"testo.html", "text/html", "<p>Buongiorno</p>"},
		{"Relazione — più lunga.pdf", "application/pdf", "%PDF-1.7 finto"},
		{"città.txt", "application/octet-stream", "otto bit"},
		{"allegato-3", "application/octet-stream", "senza nome"},
		{"dati.bin", "application/octet-stream", "nelle propriet\xe0"},
		{"Messaggio inoltrato", "application/ms-tnef", ""},
		{"password", "application/octet-stream", "x"},
	}
	if len(files) != len(want) {
		t.Fatalf("%d files", len(files))
	}
	for i, w := range want {
		m := files[i]
		switch {
		case m.Name != w.name || m.MediaType != w.media:
			t.Errorf("%d: %+v", i, m.File)
		case m.Name == "testo.rtf":
			if m.at != nil || m.Size != 321 {
				t.Errorf("%+v", m)
			}
		case m.MediaType == "application/ms-tnef":
			message, inner, warnings := readTNEF(input(m.Name, contents(t, m)), 100)
			if message.Subject != "Inoltrato" || len(inner) != 1 || contents(t, inner[0]) != "nel messaggio" || len(warnings) > 0 {
				t.Errorf("attached message: %+v %v %v", message, inner, warnings)
			}
		case contents(t, m) != w.content:
			t.Errorf("%s: %q", m.Name, contents(t, m))
		}
	}
}

// Debian's tnef unpacks the same attachments with the same bytes.
func TestTNEFAgainstDebiansTool(t *testing.T) {
	s := newStream().attribute(1, tnefClass, []byte("IPM.Note\x00"))
	for i := range 20 {
		s.attach(fmt.Sprintf("ALLEGA~%d.BIN", i), bytes.Repeat([]byte{byte(i)}, 1+i*i*300),
			value(propAttachLongName, typeString8, fmt.Appendf(nil, "allegato lungo %d.bin\x00", i)))
	}
	dir := t.TempDir()
	cmd := exec.Command("tnef", "--directory", dir)
	cmd.Stdin = bytes.NewReader(s.Bytes())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("tnef (Debian package tnef): %v %s", err, out)
	}
	_, files, warnings := readTNEF(input("winmail.dat", s.String()), 100)
	if len(files) != 20 || len(warnings) > 0 {
		t.Fatalf("%d files, %v", len(files), warnings)
	}
	for _, m := range files {
		want, err := os.ReadFile(filepath.Join(dir, m.Name))
		if err != nil || string(want) != contents(t, m) {
			t.Errorf("%s: tnef has %d bytes, %v", m.Name, len(want), err)
		}
	}
}

// A stream that breaks off, or is damaged, gives what stands before.
func TestBrokenTNEF(t *testing.T) {
	whole := newStream().attach("uno.txt", []byte("primo")).attach("due.txt", []byte("secondo")).String()
	if _, files, warned := readTNEF(input("", whole+"\r\n\x00\x00"), 10); len(files) != 2 || len(warned) > 0 {
		t.Errorf("line ends after the stream: %d files, %v", len(files), warned)
	}
	for n := range len(whole) - 1 {
		_, files, warned := readTNEF(input("", whole[:n]), 10)
		if len(files) > 2 || len(files) > 0 && files[0].at != nil && !strings.HasPrefix("primo", contents(t, files[0])) {
			t.Fatalf("cut at %d: %+v", n, files)
		}
		// Only between two attributes can nobody tell.
		if between := n <= 6 || strings.HasSuffix(whole[:n], sumOf(whole, n)); len(warned) == 0 && !between {
			t.Errorf("cut at %d: no warning, %d files", n, len(files))
		}
	}
	for name, c := range map[string]struct {
		stream string
		files  int
	}{
		"a wrong checksum":      {strings.Replace(whole, "primo", "pRimo", 1), 2},
		"garbage after":         {whole + "garbage", 2},
		"a length beyond":       {whole + "\x02" + string(u32(tnefAttachData)) + "\xff\xff\xff\xff", 2},
		"properties too many":   {newStream().attach("a", []byte("x"), nil).attribute(2, tnefAttachProps, u32(0xFFFFFFFF)).String(), 1},
		"a property cut short":  {newStream().attach("a", []byte("x")).attribute(2, tnefAttachProps, value(propAttachLongName, typeString, []byte("abcd"))[:14]).String(), 1},
		"a value beyond":        {newStream().attach("a", []byte("x")).attribute(2, tnefAttachProps, slices.Concat(u32(1), tag(propAttachLongName, typeString), u32(1), u32(1<<31))).String(), 1},
		"values without end":    {newStream().attach("a", []byte("x")).attribute(2, tnefAttachProps, slices.Concat(u32(1), tag(0x1234, typeInt32|typeMany), u32(0xFFFFFFFF), u32(1))).String(), 1},
		"a type nobody knows":   {newStream().attach("a", []byte("x")).attribute(2, tnefAttachProps, slices.Concat(u32(1), tag(0x1234, 0x00FD), u32(1))).String(), 1},
		"a name beyond its end": {newStream().attach("a", []byte("x")).attribute(2, tnefAttachProps, slices.Concat(u32(1), tag(0x8000, typeInt32), make([]byte, 16), u32(1), u32(1<<30))).String(), 1},
	} {
		_, files, warned := readTNEF(input("", c.stream), 10)
		if len(files) != c.files || !slices.Contains(codes(warned), Malformed) {
			t.Errorf("%s: %d files, %v", name, len(files), warned)
		}
	}
}

// sumOf is what the two bytes before n would be if an attribute ended there.
func sumOf(whole string, n int) string {
	for off := 6; off < n; {
		length := int(binary.LittleEndian.Uint32([]byte(whole[off+5:])))
		end := off + 9 + length + 2
		if end == n {
			return whole[n-2 : n]
		}
		if off = end; off+9 > len(whole) {
			break
		}
	}
	return "\xff\xff\xff"
}

func TestTNEFBounds(t *testing.T) {
	s := newStream()
	for i := range 30 {
		s.attach(fmt.Sprintf("%d.txt", i), []byte("x"))
	}
	_, files, warned := readTNEF(input("", s.String()), 10)
	if len(files) != 10 || files[9].Name != "9.txt" || !slices.Equal(codes(warned), []string{TooMany}) {
		t.Errorf("%d files, %v", len(files), warned)
	}
	long := newStream().attribute(1, tnefMessageProps, properties(wideValue(propBody, strings.Repeat("è", tnefText))))
	_, files, warned = readTNEF(input("", long.String()), 10)
	if len(files) != 1 || files[0].Size > 2*tnefText || !slices.Equal(codes(warned), []string{TooLarge}) {
		t.Errorf("%+v %v", files, warned)
	}
	only := newStream().attribute(1, tnefMessageProps, properties(value(propRTF, typeBinary, compressedRTF(9))))
	_, files, warned = readTNEF(input("", only.String()), 10)
	if len(files) != 1 || files[0].at != nil || !slices.Equal(codes(warned), []string{BodyCompressed}) {
		t.Errorf("%+v %v", files, warned)
	}
}
