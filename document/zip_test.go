package document

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// python runs a script with arguments and decodes what it prints.
func python(t *testing.T, script string, out any, args ...string) {
	t.Helper()
	cmd := exec.Command("python3", append([]string{"-c", script}, args...)...)
	cmd.Stderr = os.Stderr
	b, err := cmd.Output()
	if err != nil {
		t.Fatalf("python3: %v", err)
	}
	if err := json.Unmarshal(b, out); err != nil {
		t.Fatal(err)
	}
}

const listZip = `
import sys, zipfile, json, hashlib
def listed(z): return [{"name": i.filename, "size": i.file_size, "sha256": hashlib.sha256(z.read(i)).hexdigest()} for i in z.infolist() if not i.is_dir()]
print(json.dumps([listed(zipfile.ZipFile(path)) for path in sys.argv[1:]]))
`

// Python's zipfile writes and reads the same archives.
func TestZipAgainstPython(t *testing.T) {
	const write = `
import sys, zipfile, json, random
random.seed(7)
out = sys.argv[1]
def blob(n): return bytes(random.choices(b"abcdefgh \n", k=n))
with zipfile.ZipFile(out + "/plain.zip", "w", zipfile.ZIP_DEFLATED) as z:
    for i in range(50): z.writestr("cartella %d/documento è %d.txt" % (i % 3, i), blob(i * i * 10))
    z.writestr("vuota/", ""); z.writestr("vuoto.txt", "")
    z.comment = b"un commento" + b"x" * 60000
with zipfile.ZipFile(out + "/stored.zip", "w", zipfile.ZIP_STORED) as z:
    for i in range(5): z.writestr("a%d" % i, blob(1000))
with zipfile.ZipFile(out + "/zip64.zip", "w", zipfile.ZIP_DEFLATED) as z:
    for i in range(5):
        with z.open("a%d" % i, "w", force_zip64=True) as f: f.write(blob(5000))
with open(out + "/stream.zip", "wb") as f:
    class Pipe:
        def write(self, b): f.write(b); return len(b)
        def flush(self): f.flush()
    with zipfile.ZipFile(Pipe(), "w", zipfile.ZIP_DEFLATED) as z:
        for i in range(5): z.writestr("a%d" % i, blob(5000))
data = open(out + "/plain.zip", "rb").read()
open(out + "/shifted.zip", "wb").write(b"MZ un programma che si scompatta" * 100 + data)
with zipfile.ZipFile(out + "/empty.zip", "w") as z: pass
print(json.dumps(True))
`
	dir := t.TempDir()
	var ok bool
	python(t, write, &ok, dir)
	files, _ := filepath.Glob(dir + "/*.zip")
	if len(files) != 6 {
		t.Fatalf("%v", files)
	}
	var lists [][]struct {
		Name, SHA256 string
		Size         int64
	}
	python(t, listZip, &lists, files...)
	for n, path := range files {
		want := lists[n]
		format, members, warnings := readZip(input("a.zip", file(t, path)), DefaultLimits)
		if format != "zip" || len(members) != len(want) || len(warnings) > 0 {
			t.Fatalf("%s: %s, %d files of %d, %v", path, format, len(members), len(want), warnings)
		}
		for i, w := range want {
			m := members[i]
			b, err := unpacked(m)
			sum := sha256.Sum256(b)
			name := m.Name
			if m.Folder != "" {
				name = m.Folder + "/" + m.Name
			}
			if err != nil || name != w.Name || m.Size != w.Size || int64(len(b)) != w.Size || hex.EncodeToString(sum[:]) != w.SHA256 {
				t.Fatalf("%s: %+v, want %+v, %v", path, m.File, w, err)
			}
		}
	}
}

// More than 65,535 entries: listed as far as the bound, whatever they are.
func TestZipOfManyEntries(t *testing.T) {
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	const entries = 70_000
	for i := range entries {
		if _, err := w.CreateHeader(&zip.FileHeader{Name: strconv.Itoa(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	limits := DefaultLimits
	_, files, warnings := readZip(input("a.zip", out.String()), limits)
	if len(files) != limits.Files || !slices.Equal(codes(warnings), []string{TooMany}) {
		t.Errorf("%d files, %v", len(files), warnings)
	}
	limits.Files = entries
	_, files, warnings = readZip(input("a.zip", out.String()), limits)
	if len(files) != entries || files[entries-1].Name != "69999" || len(warnings) > 0 {
		t.Errorf("%d files, %v", len(files), warnings)
	}
}

// rawEntry is written as it is: what an attacker's program writes.
type rawEntry struct {
	name, localName string // the second in the local header, where it differs
	method          uint16
	flags           uint16
	host            byte
	data            []byte // packed
	size            uint32 // declared; 0: that of data
	crc             uint32
	extra           []byte
	offset          int // of another local header; -1: its own
}

func deflate(b []byte) []byte {
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, flate.BestCompression)
	if err == nil {
		_, err = w.Write(b)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		panic(err) // a buffer does not fail
	}
	return out.Bytes()
}

func rawZip(entries ...rawEntry) string {
	le := binary.LittleEndian
	var out, central bytes.Buffer
	for _, e := range entries {
		size := e.size
		if size == 0 && e.method == zipStored {
			size = uint32(len(e.data))
		}
		local := e.localName
		if local == "" {
			local = e.name
		}
		offset := out.Len()
		if e.offset > 0 {
			offset = e.offset - 1
		} else {
			h := make([]byte, zipLocalLen)
			le.PutUint32(h, zipLocal)
			le.PutUint16(h[6:], e.flags)
			le.PutUint16(h[8:], e.method)
			le.PutUint32(h[14:], e.crc)
			le.PutUint32(h[18:], uint32(len(e.data)))
			le.PutUint32(h[22:], size)
			le.PutUint16(h[26:], uint16(len(local)))
			out.Write(h)
			out.WriteString(local)
			out.Write(e.data)
		}
		h := make([]byte, zipCentralLen)
		le.PutUint32(h, zipCentral)
		h[5] = e.host
		le.PutUint16(h[8:], e.flags)
		le.PutUint16(h[10:], e.method)
		le.PutUint32(h[16:], e.crc)
		le.PutUint32(h[20:], uint32(len(e.data)))
		le.PutUint32(h[24:], size)
		le.PutUint16(h[28:], uint16(len(e.name)))
		le.PutUint16(h[30:], uint16(len(e.extra)))
		le.PutUint32(h[42:], uint32(offset))
		central.Write(h)
		central.WriteString(e.name)
		central.Write(e.extra)
	}
	end := make([]byte, zipEndLen)
	le.PutUint32(end, zipEnd)
	le.PutUint16(end[8:], uint16(len(entries)))
	le.PutUint16(end[10:], uint16(len(entries)))
	le.PutUint32(end[12:], uint32(central.Len()))
	le.PutUint32(end[16:], uint32(out.Len()))
	return out.String() + central.String() + string(end)
}

func stored(name, content string) rawEntry {
	return rawEntry{name: name, data: []byte(content), crc: crc32.ChecksumIEEE([]byte(content))}
}

func packed(name string, content []byte) rawEntry {
	return rawEntry{name: name, method: zipDeflated, data: deflate(content), size: uint32(len(content)), crc: crc32.ChecksumIEEE(content)}
}

func TestZipNames(t *testing.T) {
	unicodePath := func(raw, name string) []byte {
		field := slices.Concat([]byte{1}, u32(crc32.ChecksumIEEE([]byte(raw))), []byte(name))
		return slices.Concat([]byte{0x75, 0x70}, binary.LittleEndian.AppendUint16(nil, uint16(len(field))), field)
	}
	for _, c := range []struct {
		e            rawEntry
		folder, name string
		warned       []string
	}{
		{rawEntry{name: "perché.txt", flags: flagUTF8}, "", "perché.txt", nil},
		{rawEntry{name: "perché.txt"}, "", "perché.txt", nil}, // macOS
		{rawEntry{name: "perch\x82 \x85\x8a\x8d\x95\x97 \xd4.txt"}, "", "perché àèìòù È.txt", nil},
		{rawEntry{name: "perch\xe9.txt", host: hostUnix}, "", "perché.txt", nil},
		{rawEntry{name: "a?.txt", extra: unicodePath("a?.txt", "aé.txt")}, "", "aé.txt", nil},
		{rawEntry{name: "a?.txt", extra: unicodePath("altro", "aé.txt")}, "", "a?.txt", nil},
		{rawEntry{name: "uno/due/tre.txt"}, "uno/due", "tre.txt", nil},
		{rawEntry{name: `uno\due\tre.txt`}, "uno/due", "tre.txt", nil},
		{rawEntry{name: "../../etc/passwd"}, "etc", "passwd", []string{UnsafeName}},
		{rawEntry{name: "/etc/passwd"}, "etc", "passwd", []string{UnsafeName}},
		{rawEntry{name: `C:\Windows\x.dll`}, "C:/Windows", "x.dll", []string{UnsafeName}},
		{rawEntry{name: "a/../b"}, "a", "b", []string{UnsafeName}},
		{rawEntry{name: "fattura\u202efdp.exe\x00\x07"}, "", "fatturafdp.exe", nil},
		{rawEntry{name: "\x07"}, "", "file", nil},
		{rawEntry{name: strings.Repeat("x", 60_000) + ".pdf"}, "", strings.Repeat("x", nameMax-4) + ".pdf", nil},
		{rawEntry{name: strings.Repeat("d/", 5000) + "x.txt"}, strings.TrimSuffix(strings.Repeat("d/", folderMax/2), "/"), "x.txt", nil},
		{rawEntry{name: "cartella/", data: []byte("nascosto")}, "cartella", "file", nil},
		{rawEntry{name: "a.txt", localName: "b.txt"}, "", "a.txt", []string{NamesDiffer}},
	} {
		_, files, warnings := readZip(input("a.zip", rawZip(c.e)), DefaultLimits)
		if len(files) != 1 {
			t.Errorf("%.40q: %d files, %v", c.e.name, len(files), warnings)
			continue
		}
		m := files[0]
		if m.Name != c.name || m.Folder != c.folder {
			t.Errorf("%.40q: %q in %q", c.e.name, m.Name, m.Folder)
		}
		if !slices.Equal(codes(warnings), c.warned) {
			t.Errorf("%.40q: %v", c.e.name, warnings)
		}
	}
}

// Nothing that an archive says of its entries is trusted.
func TestZipLies(t *testing.T) {
	text := bytes.Repeat([]byte("abcdefghij"), 100)
	honest := packed("a.txt", text)
	with := func(change func(*rawEntry)) rawEntry { e := honest; change(&e); return e }
	for name, c := range map[string]struct {
		e    rawEntry
		code string // why it is not unpacked
		err  error  // how unpacking ends
	}{
		"honest":              {honest, "", nil},
		"more than it says":   {with(func(e *rawEntry) { e.size = 10 }), "", errSizeDiffers},
		"less than it says":   {with(func(e *rawEntry) { e.size = 2000 }), "", errSizeDiffers},
		"other bytes":         {with(func(e *rawEntry) { e.crc++ }), "", errChecksum},
		"not deflated":        {with(func(e *rawEntry) { e.data = []byte("\xff\xff\xff\xff") }), "", flate.CorruptInputError(1)},
		"cut short":           {with(func(e *rawEntry) { e.data = e.data[:len(e.data)-3] }), "", io.ErrUnexpectedEOF},
		"a bomb that lies":    {with(func(e *rawEntry) { e.data = deflate(make([]byte, 10<<20)); e.size = 1000 }), "", errSizeDiffers},
		"stored in less":      {rawEntry{name: "a", data: []byte("x"), size: 5}, SizeDiffers, errClosed},
		"a password":          {with(func(e *rawEntry) { e.flags = 1 }), Encrypted, errClosed},
		"AES":                 {with(func(e *rawEntry) { e.method = 99 }), Encrypted, errClosed},
		"another method":      {with(func(e *rawEntry) { e.method = 12 }), NotUnpacked, errClosed},
		"a bomb that says so": {packed("a", make([]byte, 10<<20)), RatioExceeded, errClosed},
		"beyond the archive":  {with(func(e *rawEntry) { e.offset = 1 << 30 }), EntriesOverlap, errClosed},
		"not where it says":   {with(func(e *rawEntry) { e.offset = 2 }), EntriesOverlap, errClosed},
	} {
		_, files, _ := readZip(input("a.zip", rawZip(stored("first", strings.Repeat("x", 100)), c.e)), DefaultLimits)
		if len(files) != 2 {
			t.Errorf("%s: %d files", name, len(files))
			continue
		}
		m := files[1]
		b, err := unpacked(m)
		if !errors.Is(err, c.err) || err == nil && !bytes.Equal(b, text) || int64(len(b)) > m.Size {
			t.Errorf("%s: %d bytes of %d, %v", name, len(b), m.Size, err)
		}
		if told := strings.Join(codes(m.Warnings), " "); told != c.code {
			t.Errorf("%s: %s", name, told)
		}
	}
}

var errClosed = errors.New("its bytes are out of reach")

// unpacked are the bytes of a file of an archive.
func unpacked(m member) ([]byte, error) {
	switch {
	case m.at != nil:
		return io.ReadAll(io.NewSectionReader(m.at, 0, m.Size))
	case m.unpack != nil:
		return io.ReadAll(m.unpack())
	}
	return nil, errClosed
}

func TestZipWarningsAreBounded(t *testing.T) {
	_, files, warnings := readZip(input("a.zip", rawZip(slices.Repeat([]rawEntry{{name: "../x"}}, 100)...)), DefaultLimits)
	if len(files) != 100 || len(warnings) != warningsMax {
		t.Errorf("%d files, %d warnings", len(files), len(warnings))
	}
}

func TestZipOverlaps(t *testing.T) {
	kernel := packed("kernel", make([]byte, 50_000))
	entries := []rawEntry{kernel}
	for i := range 20 { // many names for the same bytes
		e := kernel
		e.name, e.localName, e.offset = fmt.Sprintf("k%d", i), "kernel", 1
		entries = append(entries, e)
	}
	entries = append(entries, stored("intatto", "bene"))
	_, files, warnings := readZip(input("a.zip", rawZip(entries...)), DefaultLimits)
	if len(files) != 22 || !slices.Equal(codes(warnings), []string{EntriesOverlap}) {
		t.Fatalf("%d files, %v", len(files), warnings)
	}
	for _, m := range files[:21] {
		if m.at != nil || m.unpack != nil {
			t.Errorf("%s is unpacked", m.Name)
		}
	}
	if contents(t, files[21]) != "bene" {
		t.Error("the file beside them is lost")
	}
}

func TestOfficeDocuments(t *testing.T) {
	odf := func(media string) rawEntry { return stored("mimetype", media) }
	types, rels := stored("[Content_Types].xml", "<Types/>"), stored("_rels/.rels", "<Relationships/>")
	for name, c := range map[string]struct {
		entries []rawEntry
		format  string
		files   int
		warned  []string
	}{
		"docx":                {[]rawEntry{types, rels, stored("word/document.xml", "x")}, "ooxml", 0, nil},
		"docm":                {[]rawEntry{types, rels, stored("word/vbaProject.bin", "x")}, "ooxml", 0, []string{Macros}},
		"only content types":  {[]rawEntry{types, stored("virus.exe", "x")}, "zip", 2, nil},
		"odt":                 {[]rawEntry{odf("application/vnd.oasis.opendocument.text"), stored("content.xml", "x")}, "odf", 0, nil},
		"odt with macros":     {[]rawEntry{odf("application/vnd.oasis.opendocument.text"), stored("Basic/script-lc.xml", "x"), stored("Basic/Standard/Module1.xml", "x")}, "odf", 0, []string{Macros}},
		"odt, empty library":  {[]rawEntry{odf("application/vnd.oasis.opendocument.text"), stored("Basic/script-lc.xml", "x"), stored("Basic/Standard/script-lb.xml", "x")}, "odf", 0, nil},
		"asic":                {[]rawEntry{odf("application/vnd.etsi.asic-e+zip"), stored("a.pdf", "x")}, "asic", 2, nil},
		"mimetype not first":  {[]rawEntry{stored("a", "x"), odf("application/vnd.oasis.opendocument.text")}, "zip", 2, nil},
		"another mimetype":    {[]rawEntry{odf("application/epub+zip"), stored("a", "x")}, "zip", 2, nil},
		"a mimetype too long": {[]rawEntry{odf("application/vnd.oasis.opendocument.text" + strings.Repeat(" ", 500)), stored("a", "x")}, "zip", 2, nil},
	} {
		format, files, warnings := readZip(input("a", rawZip(c.entries...)), DefaultLimits)
		if format != c.format || len(files) != c.files || !slices.Equal(codes(warnings), c.warned) {
			t.Errorf("%s: %s, %d files, %v", name, format, len(files), warnings)
		}
	}
}

func TestBrokenZip(t *testing.T) {
	whole := rawZip(stored("a", "x"), stored("b", "y"))
	multi := []byte(whole)
	multi[len(multi)-zipEndLen+4] = 1
	count := []byte(whole)
	count[len(count)-zipEndLen+10] = 7
	central := strings.Replace(whole, "PK\x01\x02", "PK\x01\x03", 2)
	for name, c := range map[string]struct {
		content string
		files   int
	}{
		"empty":            {"", 0},
		"only its head":    {"PK\x03\x04", 0},
		"cut short":        {whole[:len(whole)-1], 0},
		"several files":    {string(multi), 0},
		"another count":    {string(count), 2},
		"directory broken": {central, 0},
		"second broken":    {whole[:strings.LastIndex(whole, "PK\x01\x02")] + "XX" + whole[strings.LastIndex(whole, "PK\x01\x02")+2:], 1},
	} {
		format, files, warnings := readZip(input("a.zip", c.content), DefaultLimits)
		if format != "zip" || len(files) != c.files || !slices.Contains(codes(warnings), Malformed) {
			t.Errorf("%s: %s, %d files, %v", name, format, len(files), warnings)
		}
	}
	// A comment that looks like a directory does not replace the archive's own.
	lying := []byte(whole + rawZip())
	binary.LittleEndian.PutUint16(lying[len(whole)-2:], zipEndLen)
	_, files, warnings := readZip(input("a.zip", string(lying)), DefaultLimits)
	if !slices.Contains(codes(warnings), Malformed) {
		t.Errorf("two directories: %d files, %v", len(files), warnings)
	}
	for _, after := range []string{"\r\n", "PK\x05\x06" + strings.Repeat("\xff", 40)} {
		if _, files, warnings := readZip(input("a.zip", whole+after), DefaultLimits); len(files) != 2 || len(warnings) > 0 {
			t.Errorf("%q after the archive: %d files, %v", after, len(files), warnings)
		}
	}
	for head, want := range map[string]string{"7z\xbc\xaf\x27\x1c\x00": "7z", "Rar!\x1a\x07\x01\x00": "rar", "Rar!\x1a\x07\x00": "rar", "\x1f\x8b\x08": "gzip", "PK\x03\x04": "", "": ""} {
		if got := closedArchive([]byte(head)); got != want {
			t.Errorf("%q: %q", head, got)
		}
	}
}
