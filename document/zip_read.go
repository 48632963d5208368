package document

import (
	"compress/flate"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"path"
	"slices"
	"strings"
)

// looksZip tells an archive by its first bytes: a file, or the end record of an
// empty one. Programs that unpack themselves begin with something else.
func looksZip(head []byte) bool {
	return len(head) >= 4 && (string(head[:4]) == "PK\x03\x04" || string(head[:4]) == "PK\x05\x06")
}

// closedArchive names archives that are not opened.
func closedArchive(head []byte) string {
	for magic, format := range map[string]string{
		"7z\xbc\xaf\x27\x1c": "7z", "Rar!\x1a\x07": "rar", "\x1f\x8b\x08": "gzip", "BZh": "bzip2", "\xfd7zXZ\x00": "xz",
	} {
		if strings.HasPrefix(string(head), magic) {
			return format
		}
	}
	return ""
}

// readZip lists an archive: its format, and at most so many files. Office
// documents are archives too; of them nothing is listed.
func readZip(in Input, limits Limits) (format string, files []member, warnings []Warning) {
	d, err := readDirectory(in, limits.Files)
	if err != nil {
		d.warn(Malformed, "the archive could only be read in part: %s", err)
	}
	mimetype := d.mimetype()
	if format = d.office(mimetype); format != "" {
		return format, nil, slices.DeleteFunc(d.warnings, func(w Warning) bool { return w.Code == TooMany })
	}
	format, encrypted := "zip", 0
	if strings.HasPrefix(mimetype, "application/vnd.etsi.asic-") {
		format = "asic" // EN 319 162: documents with their signatures
	}
	for i := range d.entries {
		m := d.member(&d.entries[i], limits)
		if d.entries[i].encrypted() {
			encrypted++
		}
		files = append(files, m)
	}
	if encrypted > 0 {
		d.warn(Encrypted, "%d files of the archive need a password", encrypted)
	}
	return format, files, d.warnings
}

// office tells OOXML and OpenDocument by what the standards demand of them:
// content types and relationships (ECMA-376 part 2), a first file "mimetype" that
// says so (ODF 1.3 part 2 §3.3).
func (d *directory) office(mimetype string) string {
	types, relations, macros := false, false, false
	for i := range d.entries {
		switch name := strings.ToLower(d.entries[i].name); {
		case name == "[content_types].xml":
			types = true
		case name == "_rels/.rels":
			relations = true
		case path.Base(name) == "vbaproject.bin", strings.HasPrefix(name, "basic/") && !strings.HasPrefix(path.Base(name), "script-"):
			macros = true // in OpenDocument the script- files only list libraries
		}
	}
	format := ""
	switch {
	case types && relations:
		format = "ooxml"
	case strings.HasPrefix(mimetype, "application/vnd.oasis.opendocument."):
		format = "odf"
	}
	if format != "" && macros {
		d.warn(Macros, "the document contains macros")
	}
	return format
}

// mimetype is the content of a first, stored file of that name.
func (d *directory) mimetype() string {
	if len(d.entries) == 0 {
		return ""
	}
	e := &d.entries[0]
	if e.name != "mimetype" || e.method != zipStored || e.encrypted() || e.overlaps || e.packed > 200 {
		return ""
	}
	at, err := d.data(e)
	if err != nil {
		return ""
	}
	b, err := io.ReadAll(at)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// member is an entry as a file. Its size is the one declared, which is held
// against what it unpacks to; what cannot be unpacked says why.
func (d *directory) member(e *entry, limits Limits) member {
	m := member{File: File{Name: safeName(e.name), MediaType: "application/octet-stream", Size: max(e.size, 0)}}
	unsafe := false
	if m.Folder, unsafe = safeFolder(e.name); unsafe {
		d.warn(UnsafeName, "the archive holds a name that leads out of its folder: %s", lineOf(e.name, 200))
	}
	if m.Name == "" {
		m.Name = "file"
	}
	refuse := func(code, format string, args ...any) member {
		m.Warnings = append(m.Warnings, Warning{code, fmt.Sprintf(format, args...)})
		return m
	}
	switch {
	case e.encrypted():
		return refuse(Encrypted, "it needs a password")
	case e.overlaps:
		return refuse(EntriesOverlap, "its bytes lie on those of another file, or outside of the archive")
	case e.method != zipStored && e.method != zipDeflated:
		return refuse(NotUnpacked, "it is packed by method %d, which is not read", e.method)
	case e.size > e.packed*limits.Ratio+ratioSlack:
		return refuse(RatioExceeded, "it says it unpacks %d bytes to %d", e.packed, e.size)
	case e.method == zipStored && e.size != e.packed:
		return refuse(SizeDiffers, "it says it has %d bytes, and has %d", e.size, e.packed)
	}
	at, err := d.data(e)
	if err != nil {
		return refuse(Malformed, "it cannot be unpacked: %s", err)
	}
	if e.method == zipStored {
		m.at = at
		return m
	}
	m.unpack = func() io.Reader {
		return &checked{in: flate.NewReader(io.NewSectionReader(at, 0, at.Size())), left: e.size, crc: e.crc}
	}
	return m
}

var (
	errSizeDiffers = errors.New("it unpacks to another size than it says")
	errChecksum    = errors.New("its checksum is wrong")
)

// checked reads exactly the bytes that an entry declares, and fails when there
// are fewer, more, or others.
type checked struct {
	in   io.Reader
	left int64
	crc  uint32
	sum  uint32
}

func (c *checked) Read(p []byte) (int, error) {
	if c.left == 0 {
		return 0, c.end()
	}
	n, err := c.in.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	c.sum = crc32.Update(c.sum, crc32.IEEETable, p[:n])
	switch {
	case n > 0:
		return n, nil
	case errors.Is(err, io.EOF):
		return 0, errSizeDiffers
	}
	return 0, err
}

func (c *checked) end() error {
	if n, err := c.in.Read(make([]byte, 1)); n > 0 {
		return errSizeDiffers
	} else if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if c.sum != c.crc {
		return errChecksum
	}
	return io.EOF
}
