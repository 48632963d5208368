package document

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Signatures and lengths of the ZIP structures (PKWARE APPNOTE 6.3.10 §4.3).
const (
	zipLocal        = 0x04034b50
	zipCentral      = 0x02014b50
	zipEnd          = 0x06054b50
	zip64End        = 0x06064b50
	zip64Locator    = 0x07064b50
	zipLocalLen     = 30
	zipCentralLen   = 46
	zipEndLen       = 22
	zip64LocatorLen = 20
	zip64EndLen     = 56
)

// Compression methods (§4.4.5).
const (
	zipStored   = 0
	zipDeflated = 8
)

// zipNameMax bounds what is read of one name: of longer ones the end, which has
// the file's own name.
const zipNameMax = 4096

// ratioSlack is what may be unpacked whatever the ratio: small files of blanks
// pack very well.
const ratioSlack = 64 << 10

// entry is one file of an archive as its central directory tells it.
type entry struct {
	name     string // decoded, with its path
	raw      string // the bytes of the name
	flags    uint16
	method   uint16
	host     byte // that wrote it (§4.4.2)
	crc      uint32
	packed   int64
	size     int64 // as declared
	offset   int64 // of its local header
	overlaps bool
}

func (e *entry) encrypted() bool { return e.flags&1 != 0 || e.method == 99 }

// folder tells an entry that only makes a folder; what has bytes is a file.
func (e *entry) folder() bool {
	return e.size == 0 && (strings.HasSuffix(e.name, "/") || strings.HasSuffix(e.name, `\`))
}

// directory is the central directory of an archive, read as far as its bounds
// allow.
type directory struct {
	in       Input
	w        *window
	shift    int64  // bytes before the archive: of a program that unpacks itself
	total    uint64 // entries as declared
	entries  []entry
	warnings []Warning
}

var errNoDirectory = errors.New("it has no central directory")

// readDirectory reads at most so many entries, folders not counted.
func readDirectory(in Input, most int) (*directory, error) {
	d := &directory{in: in, w: newWindow(in)}
	at, length, err := d.locate()
	if err != nil {
		return d, err
	}
	if err := d.read(at, at+length, most); err != nil {
		return d, err
	}
	d.markOverlaps(at)
	return d, nil
}

func (d *directory) warn(code, format string, args ...any) {
	if len(d.warnings) < warningsMax {
		d.warnings = append(d.warnings, Warning{code, fmt.Sprintf(format, args...)})
	}
}

// locate finds the central directory by the record at the end of the file,
// which is the last thing in it but a comment.
func (d *directory) locate() (at, length int64, err error) {
	end, record := d.findEnd()
	if end < 0 {
		return 0, 0, errNoDirectory
	}
	le := binary.LittleEndian
	if le.Uint16(record[4:]) != le.Uint16(record[6:]) && le.Uint16(record[4:]) != 0xFFFF {
		return 0, 0, errors.New("it is a part of an archive in several files")
	}
	d.total = uint64(le.Uint16(record[10:]))
	length, at = int64(le.Uint32(record[12:])), int64(le.Uint32(record[16:]))
	finish := end
	if d.total == 0xFFFF || length == 0xFFFFFFFF || at == 0xFFFFFFFF {
		if where, r, ok := d.zip64(end); ok {
			finish = where
			d.total = le.Uint64(r[32:])
			length, at = int64(le.Uint64(r[40:])), int64(le.Uint64(r[48:]))
		}
	}
	if length < 0 || at < 0 || length > finish || at > finish-length {
		return 0, 0, errNoDirectory
	}
	// The directory ends where its record begins; what that is later than it
	// says stands before the archive.
	d.shift = finish - length - at
	if b, ok := d.w.bytes(at, 4); ok && length > 0 && le.Uint32(b) == zipCentral {
		d.shift = 0
	}
	return at + d.shift, length, nil
}

// findEnd looks for the end record from the back; its comment has at most 64 KiB
// and is the last in the file, though programs leave bytes behind it. A comment
// may hold what looks like a record, and then programs see other files.
func (d *directory) findEnd() (int64, []byte) {
	most := min(d.in.Size, zipEndLen+1<<16)
	tail := make([]byte, most)
	if n, err := d.in.Content.ReadAt(tail, d.in.Size-most); err != nil && int64(n) < most {
		return -1, nil
	}
	best, found, exact := -1, 0, false
	for i := len(tail) - zipEndLen; i >= 0; i-- {
		if binary.LittleEndian.Uint32(tail[i:]) != zipEnd {
			continue
		}
		finish := i + zipEndLen + int(binary.LittleEndian.Uint16(tail[i+20:]))
		if finish > len(tail) {
			continue
		}
		found++
		if best < 0 || finish == len(tail) && !exact {
			best, exact = i, finish == len(tail)
		}
	}
	if best < 0 {
		return -1, nil
	}
	if found > 1 {
		d.warn(Malformed, "the archive has %d directories: other programs may show other files", found)
	}
	return d.in.Size - most + int64(best), tail[best : best+zipEndLen]
}

// zip64 reads the record that goes before the end record of large archives.
func (d *directory) zip64(end int64) (int64, []byte, bool) {
	b, ok := d.w.bytes(end-zip64LocatorLen, zip64LocatorLen)
	if !ok || binary.LittleEndian.Uint32(b) != zip64Locator {
		return 0, nil, false
	}
	at := int64(binary.LittleEndian.Uint64(b[8:]))
	for _, at := range []int64{at, end - zip64LocatorLen - zip64EndLen} { // the second: bytes stand before the archive
		if r, ok := d.w.bytes(at, zip64EndLen); ok && binary.LittleEndian.Uint32(r) == zip64End {
			return at, slices.Clone(r), true
		}
	}
	return 0, nil, false
}

// read reads the central directory in [at, end).
func (d *directory) read(at, end int64, most int) error {
	files, count := 0, uint64(0)
	for ; at < end; count++ {
		b, ok := d.w.bytes(at, zipCentralLen)
		if !ok || binary.LittleEndian.Uint32(b) != zipCentral {
			return fmt.Errorf("its central directory is broken after %d entries", count)
		}
		e, next, err := d.entry(at, b)
		if err != nil {
			return err
		}
		at = next
		if e.folder() {
			continue
		}
		if files++; files > most {
			d.warn(TooMany, "the archive says it has %d entries; only the first %d files are listed", d.total, most)
			return nil
		}
		d.entries = append(d.entries, e)
	}
	// Programs that do not know ZIP64 count modulo 65,536.
	if count != d.total && (d.total > 0xFFFF || count&0xFFFF != d.total) {
		d.warn(Malformed, "the archive says it has %d entries, its directory has %d", d.total, count)
	}
	return nil
}

// entry reads one entry of the directory (§4.3.12).
func (d *directory) entry(at int64, b []byte) (entry, int64, error) {
	le := binary.LittleEndian
	e := entry{
		host: b[5], flags: le.Uint16(b[8:]), method: le.Uint16(b[10:]), crc: le.Uint32(b[16:]),
		packed: int64(le.Uint32(b[20:])), size: int64(le.Uint32(b[24:])), offset: int64(le.Uint32(b[42:])),
	}
	name, extra, comment := int64(le.Uint16(b[28:])), int64(le.Uint16(b[30:])), int64(le.Uint16(b[32:]))
	at += zipCentralLen
	n := min(name, zipNameMax)
	raw, ok := d.w.bytes(at+name-n, int(n))
	if !ok {
		return e, 0, errors.New("its central directory ends in a name")
	}
	e.raw = string(raw)
	if !d.extra(&e, at+name, extra) {
		return e, 0, errors.New("its central directory ends in an entry")
	}
	if e.name == "" {
		e.name = decodeName(e.raw, e.flags, e.host)
	}
	if i := strings.IndexAny(e.name, `/\`); name > zipNameMax && i >= 0 {
		e.name = e.name[i+1:] // without the folder that was cut
	}
	e.offset += d.shift
	return e, at + name + extra + comment, nil
}

// extra reads what an entry says beyond its fixed fields: sizes of 64 bits
// (§4.5.3), the name in UTF-8 (§4.6.9).
func (d *directory) extra(e *entry, at, length int64) bool {
	le := binary.LittleEndian
	for end := at + length; at+4 <= end; {
		b, ok := d.w.bytes(at, 4)
		if !ok {
			return false
		}
		id, n := le.Uint16(b), int64(le.Uint16(b[2:]))
		at += 4
		if n > end-at {
			return true // what programs leave there; the fixed fields are read
		}
		field, ok := d.w.bytes(at, int(min(n, zipNameMax)))
		if !ok {
			return false
		}
		switch id {
		case 0x0001:
			for _, x := range []*int64{&e.size, &e.packed, &e.offset} {
				if *x == 0xFFFFFFFF && len(field) >= 8 {
					*x = int64(le.Uint64(field))
					field = field[8:]
				}
			}
		case 0x7075:
			if len(field) > 5 && field[0] == 1 && le.Uint32(field[1:]) == crcOf(e.raw) {
				e.name = strings.ToValidUTF8(string(field[5:]), "\uFFFD")
			}
		}
		at += n
	}
	return true
}

// markOverlaps finds entries whose bytes lie on those of another, or outside of
// what stands before the directory.
func (d *directory) markOverlaps(directory int64) {
	order := make([]*entry, len(d.entries))
	for i := range d.entries {
		order[i] = &d.entries[i]
	}
	slices.SortStableFunc(order, func(a, b *entry) int {
		switch {
		case a.offset < b.offset:
			return -1
		case a.offset > b.offset:
			return 1
		}
		return 0
	})
	end, found := int64(0), false
	last := (*entry)(nil)
	for _, e := range order {
		if e.offset < 0 || e.packed < 0 || e.size < 0 || e.offset > directory-zipLocalLen || e.packed > directory-zipLocalLen-e.offset {
			e.overlaps, found = true, true
			continue
		}
		if e.offset < end {
			e.overlaps, last.overlaps, found = true, true, true
		}
		if finish := e.offset + zipLocalLen + int64(len(e.raw)) + e.packed; finish >= end {
			end, last = finish, e
		}
	}
	if found {
		d.warn(EntriesOverlap, "files of the archive lie on one another or outside of it; they are not unpacked")
	}
}

// data finds where the packed bytes of an entry lie, by its local header, which
// may name the file in another way.
func (d *directory) data(e *entry) (*io.SectionReader, error) {
	b, ok := d.w.peek(e.offset, zipLocalLen)
	if !ok || binary.LittleEndian.Uint32(b) != zipLocal {
		return nil, errors.New("its bytes are not where the directory says")
	}
	name, extra := int64(binary.LittleEndian.Uint16(b[26:])), int64(binary.LittleEndian.Uint16(b[28:]))
	at := e.offset + zipLocalLen
	n := min(name, zipNameMax)
	raw, ok := d.w.peek(at+name-n, int(n))
	if !ok || at+name+extra > d.in.Size-e.packed {
		return nil, errors.New("its bytes go beyond the end of the archive")
	}
	if string(raw) != e.raw {
		d.warn(NamesDiffer, "the archive names a file in two ways: %q and %q", lineOf(e.name, 200), lineOf(decodeName(string(raw), e.flags, e.host), 200))
	}
	return io.NewSectionReader(d.in.Content, at+name+extra, e.packed), nil
}
