package document

import (
	"archive/zip"
	"bytes"
	"io"
	"reflect"
	"strings"
	"testing"
)

// FuzzZip holds what must be true of every archive: texts are clean, names are
// safe, sizes are those of the bytes that are unpacked, and where nothing is
// warned of, Go's archive/zip sees the same files with the same bytes.
func FuzzZip(f *testing.F) {
	var made bytes.Buffer
	w := zip.NewWriter(&made)
	for _, name := range []string{"a/b.txt", "c è.xml", "vuota/"} {
		to, err := w.Create(name)
		if err == nil && !strings.HasSuffix(name, "/") {
			_, err = to.Write(bytes.Repeat([]byte(name), 100))
		}
		if err != nil {
			f.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		f.Fatal(err)
	}
	f.Add(made.Bytes())
	f.Add([]byte(rawZip(stored("a", "x"), packed("b", bytes.Repeat([]byte("y"), 500)))))
	f.Add([]byte("MZ" + rawZip(stored("mimetype", "application/vnd.etsi.asic-e+zip"), stored("../b", "y"))))
	f.Add([]byte(rawZip(stored("[Content_Types].xml", ""), stored("_rels/.rels", ""))))
	f.Fuzz(checkZip)
}

// FuzzZipEntry does the same with archives whose fields lie, one at a time.
func FuzzZipEntry(f *testing.F) {
	f.Add("a/b.txt", "a/b.txt", "content", "", uint32(7), uint32(0), uint16(0), uint16(0), byte(0), uint16(1))
	f.Add("perch\x82", "x", string(deflate([]byte("content"))), "\x01\x00\x08\x00\x07\x00\x00\x00\x00\x00\x00\x00", uint32(0xFFFFFFFF), uint32(0xdeadbeef), uint16(8), uint16(flagUTF8), byte(3), uint16(0))
	f.Fuzz(func(t *testing.T, name, local, data, extra string, size, crc uint32, method, flags uint16, host byte, offset uint16) {
		if len(name)+len(local)+len(extra) > 1<<16 {
			return
		}
		first := stored("first", "x")
		second := rawEntry{name: name, localName: local, data: []byte(data), extra: []byte(extra), size: size, crc: crc,
			method: method, flags: flags, host: host, offset: int(offset)}
		checkZip(t, []byte(rawZip(first, second)))
	})
}

func checkZip(t *testing.T, archive []byte) {
	limits := DefaultLimits
	limits.Files = 100
	format, files, warnings := readZip(input("a.zip", string(archive)), limits)
	checkText(t, reflect.ValueOf(warnings), 4*lineMax)
	checkMembers(t, files)
	if len(files) > limits.Files {
		t.Errorf("%d files", len(files))
	}
	var contents []string
	sound := len(warnings) == 0 && (format == "zip" || format == "asic")
	for _, m := range files {
		checkText(t, reflect.ValueOf(m.File), lineMax)
		b, err := unpacked(m)
		if err == nil && int64(len(b)) != m.Size || int64(len(b)) > m.Size {
			t.Errorf("%s: %d bytes of %d, %v", m.Name, len(b), m.Size, err)
		}
		sound = sound && err == nil
		contents = append(contents, string(b))
	}
	if !sound {
		return
	}
	r, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		return // it refuses more
	}
	var seen []string
	for _, e := range r.File {
		if strings.HasSuffix(e.Name, "/") && e.UncompressedSize64 == 0 || strings.HasSuffix(e.Name, `\`) && e.UncompressedSize64 == 0 {
			continue
		}
		from, err := e.Open()
		if err != nil {
			return
		}
		b, err := io.ReadAll(from)
		if err != nil {
			return
		}
		seen = append(seen, string(b))
	}
	if !reflect.DeepEqual(seen, contents) {
		t.Errorf("archive/zip sees %d files, we %d: %q %q", len(seen), len(contents), seen, contents)
	}
}
