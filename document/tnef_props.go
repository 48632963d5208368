package document

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"time"
)

// MAPI properties that are read, by identifier ([MS-OXPROPS]).
const (
	propClass          = 0x001A
	propSubject        = 0x0037
	propSubmitTime     = 0x0039
	propBody           = 0x1000
	propRTF            = 0x1009
	propHTML           = 0x1013
	propDisplayName    = 0x3001
	propAttachData     = 0x3701
	propAttachName     = 0x3704 // 8.3
	propAttachLongName = 0x3707
	propAttachMedia    = 0x370E
	propCodepage       = 0x3FDE // of 8-bit HTML
)

// Types of MAPI properties ([MS-OXCDATA] §2.11.1).
const (
	typeInt16   = 0x0002
	typeInt32   = 0x0003
	typeObject  = 0x000D
	typeString8 = 0x001E
	typeString  = 0x001F
	typeTime    = 0x0040
	typeBinary  = 0x0102
	typeMany    = 0x1000
)

// fixedSizes are the bytes of values without a length, padded to four.
func fixedSize(typ uint16) int64 {
	switch typ {
	case typeInt16, typeInt32, 0x0004, 0x000A, 0x000B: // also float, error, boolean
		return 4
	case 0x0005, 0x0006, 0x0007, 0x0014, typeTime: // double, currency, floating time, int64
		return 8
	case 0x0048: // GUID
		return 16
	}
	return 0
}

// property is one value: where it lies, without padding.
type property struct {
	id, typ     uint16
	off, length int64
}

var errProperties = errors.New("a list of properties does not fit its length")

// properties walks a property list ([MS-OXTNEF] §2.1.3.4) in [off, end) and
// calls each with every value that is not one of many.
func (t *tnef) properties(off, end int64, each func(property)) error {
	c := propCursor{t: t, off: off, end: end}
	count := c.uint32()
	for ; count > 0 && c.ok(); count-- {
		tag := c.uint32()
		p := property{id: uint16(tag >> 16), typ: uint16(tag)}
		if p.id >= 0x8000 {
			c.skipName()
		}
		many := p.typ&typeMany != 0
		p.typ &^= typeMany
		size, values := fixedSize(p.typ), uint32(1)
		if size == 0 && !variable(p.typ) && p.typ > 1 {
			return errors.New("a property is of a type that is not known")
		}
		if many || variable(p.typ) {
			values = c.uint32()
		}
		for ; values > 0 && c.ok(); values-- {
			p.length = size
			if variable(p.typ) {
				p.length = int64(c.uint32())
			}
			if p.off = c.skip(p.length); !many && c.ok() {
				each(p)
			}
			if p.length == 0 && !variable(p.typ) {
				break // of no size: there is nothing to walk
			}
		}
	}
	if !c.ok() {
		return errProperties
	}
	return nil
}

func variable(typ uint16) bool {
	return typ == typeString8 || typ == typeString || typ == typeBinary || typ == typeObject
}

// propCursor moves through a property list; past its end off is -1 and stays.
type propCursor struct {
	t        *tnef
	off, end int64
}

func (c *propCursor) ok() bool { return c.off >= 0 }

func (c *propCursor) uint32() uint32 {
	at := c.skip(4)
	if at < 0 {
		return 0
	}
	b, ok := c.t.w.bytes(at, 4)
	if !ok {
		c.off = -1
		return 0
	}
	return binary.LittleEndian.Uint32(b)
}

// skip moves past n bytes and their padding to four, and returns where they
// begin. The padding of the last value may be missing.
func (c *propCursor) skip(n int64) int64 {
	at := c.off
	if at < 0 || n > c.end-at {
		c.off = -1
		return -1
	}
	c.off = min(at+(n+3)&^3, c.end)
	return at
}

// skipName passes the name of a named property: GUID, kind, number or string.
func (c *propCursor) skipName() {
	c.skip(16)
	if kind := c.uint32(); kind == 0 {
		c.skip(4)
		return
	}
	c.skip(int64(c.uint32()))
}

// words is a string property in its character set.
func (t *tnef) words(p property) string {
	switch p.typ {
	case typeString:
		return t.text(p.off, p.length, tnefString, "utf-16le")
	case typeString8:
		return t.text(p.off, p.length, tnefString, t.charset)
	}
	return ""
}

func (t *tnef) messageProperty(p property) {
	switch p.id {
	case propClass:
		if t.message.Class == "" {
			t.message.Class = line(t.words(p))
		}
	case propSubject: // before the attribute, which is in 8-bit characters
		if s := line(t.words(p)); s != "" {
			t.message.Subject = s
		}
	case propSubmitTime:
		if b, ok := t.w.bytes(p.off, 8); ok && p.typ == typeTime {
			t.message.Sent = filetime(binary.LittleEndian.Uint64(b))
		}
	case propBody:
		switch p.typ {
		case typeString:
			t.plain(p.off, p.length, "utf-16le")
		case typeString8:
			t.plain(p.off, p.length, t.charset)
		}
	case propHTML:
		if p.length > 0 && variable(p.typ) && p.typ != typeString {
			t.body("testo.html", "text/html", p.length, io.NewSectionReader(t.in.Content, p.off, p.length))
		}
	case propRTF:
		if b, ok := t.w.bytes(p.off, 16); ok && p.typ == typeBinary && p.length >= 16 && !t.rtf {
			t.rtf = true
			t.body("testo.rtf", "application/rtf", int64(binary.LittleEndian.Uint32(b[4:])), nil)
		}
	}
}

func (t *tnef) body(name, media string, size int64, at *io.SectionReader) {
	for _, b := range t.bodies {
		if b.Name == name {
			return
		}
	}
	m := member{File: File{Name: name, MediaType: media, Size: size}}
	if at != nil {
		m.at = at
	} else {
		m.Warnings = []Warning{{BodyCompressed, "it is compressed RTF, which is not read"}}
	}
	t.bodies = append(t.bodies, m)
}

// filetime counts tenths of microseconds from 1601.
func filetime(n uint64) *time.Time {
	const epoch = 11644473600 // seconds from 1601 to 1970
	if n == 0 || n > 1<<62 {
		return nil
	}
	return sensible(time.Unix(int64(n/1e7)-epoch, int64(n%1e7)*100).UTC())
}

// embeddedMessage is IID_IMessage, before the stream of an attached message.
var embeddedMessage = []byte{0x07, 0x03, 0x02, 0, 0, 0, 0, 0, 0xC0, 0, 0, 0, 0, 0, 0, 0x46}

func (t *tnef) attachProperty(p property) {
	a := t.current()
	switch p.id {
	case propDisplayName:
		a.shown = t.words(p)
	case propAttachName:
		a.short = t.words(p)
	case propAttachLongName:
		a.long = t.words(p)
	case propAttachMedia:
		a.media = t.words(p)
	case propAttachData:
		if !variable(p.typ) || p.length == 0 || a.data != nil {
			return
		}
		if p.typ == typeObject && p.length > 16 { // the interface it is stored by goes before
			iid, ok := t.w.bytes(p.off, 16)
			a.embedded = ok && bytes.Equal(iid, embeddedMessage)
			p.off, p.length = p.off+16, p.length-16
		}
		a.data = io.NewSectionReader(t.in.Content, p.off, p.length)
	}
}
