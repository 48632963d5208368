package document

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Message is what winmail.dat says of the message it is about ([MS-OXTNEF]).
// Its text and attachments are files.
type Message struct {
	Class   string     `json:"class,omitempty"` // IPM.Note, IPM.Schedule.Meeting.Request…
	Subject string     `json:"subject,omitempty"`
	Sent    *time.Time `json:"sent,omitempty"`
}

// Attributes of a TNEF stream: identifier and type ([MS-OXTNEF] §2.1.3.2).
const (
	tnefCodepage       = 0x00069007
	tnefClass          = 0x00078008
	tnefSubject        = 0x00018004
	tnefBody           = 0x0002800C
	tnefMessageProps   = 0x00069003
	tnefAttachRendData = 0x00069002 // begins an attachment
	tnefAttachTitle    = 0x00018010
	tnefAttachData     = 0x0006800F
	tnefAttachProps    = 0x00069005
)

// Bounds of a TNEF stream beyond those of all files.
const (
	tnefString = 64 << 10 // bytes read of one string
	tnefText   = 1 << 20  // bytes read of the message's text
)

var tnefSignature = []byte{0x78, 0x9F, 0x3E, 0x22}

func looksTNEF(head []byte) bool { return bytes.HasPrefix(head, tnefSignature) }

// tnef is a stream while it is read. Attachments stay where they lie in it.
type tnef struct {
	in       Input
	w        *window
	most     int // attachments
	charset  string
	message  Message
	bodies   []member
	rtf      bool
	damaged  bool
	attached []*attachment
	warnings []Warning
}

// attachment is one of the stream's; its name is decided at its end.
type attachment struct {
	title, short, long, shown string // names, the better ones last but shown
	media                     string
	data                      *io.SectionReader
	embedded                  bool // a message, itself a TNEF stream
}

// readTNEF reads a stream: what it says of the message, and its files, texts
// before attachments, at most so many attachments. A damaged stream gives what
// stands before the damage, and a warning.
func readTNEF(in Input, most int) (Message, []member, []Warning) {
	t := tnef{in: in, w: newWindow(in), most: most, charset: "windows-1252"}
	if err := t.attributes(); err != nil {
		t.warn(Malformed, "winmail.dat could only be read in part: "+err.Error())
	}
	if t.rtf && len(t.bodies) == 1 {
		t.warn(BodyCompressed, "the text of the message is there only as compressed RTF, which is not read")
	}
	files := t.bodies
	for i, a := range t.attached[:min(len(t.attached), most)] {
		files = append(files, a.member(i+1))
	}
	return t.message, files, t.warnings
}

func (t *tnef) warn(code, detail string) {
	if len(t.warnings) < warningsMax {
		t.warnings = append(t.warnings, Warning{code, detail})
	}
}

// attributes walks the stream: level, identifier, length, data, checksum.
func (t *tnef) attributes() error {
	const head, sum = 9, 2
	off := int64(len(tnefSignature) + 2) // a key that nobody uses
	for off < t.in.Size {
		b, ok := t.w.bytes(off, head)
		if !ok || b[0] != 1 && b[0] != 2 {
			return t.tail(off)
		}
		id, length := binary.LittleEndian.Uint32(b[1:]), int64(binary.LittleEndian.Uint32(b[5:]))
		off += head
		cut := length > t.in.Size-off
		if cut {
			length = t.in.Size - off
		}
		if err := t.attribute(id, off, length); err != nil {
			return err
		}
		if cut {
			return fmt.Errorf("it ends inside attribute %#x", id)
		}
		if err := t.check(off, length); err != nil {
			return err
		}
		off += length + sum
	}
	return nil
}

// check compares the checksum after an attribute, the sum of its bytes. What a
// wrong one is about was read all the same.
func (t *tnef) check(off, length int64) error {
	var sum uint16
	for length > 0 {
		b, ok := t.w.bytes(off, int(min(length, pageSize)))
		if !ok {
			return errors.New("a part of it could not be read")
		}
		for _, c := range b {
			sum += uint16(c)
		}
		off, length = off+int64(len(b)), length-int64(len(b))
	}
	b, ok := t.w.bytes(off, 2)
	if !ok {
		return errors.New("its last checksum is missing")
	}
	if said := binary.LittleEndian.Uint16(b); said != sum && !t.damaged {
		t.damaged = true
		t.warn(Malformed, "a checksum in winmail.dat is wrong: what it holds may be damaged")
	}
	return nil
}

// tail is what follows the last attribute: transports add line ends and zeros.
func (t *tnef) tail(off int64) error {
	n := min(t.in.Size-off, 64)
	b, ok := t.w.bytes(off, int(n))
	if ok && len(bytes.Trim(b, "\x00\r\n\t ")) == 0 {
		return nil
	}
	return fmt.Errorf("no attribute begins at byte %d", off)
}

func (t *tnef) attribute(id uint32, off, length int64) error {
	switch id {
	case tnefCodepage:
		if b, ok := t.w.bytes(off, 4); ok && length >= 4 {
			t.charset = codepage(binary.LittleEndian.Uint32(b))
		}
	case tnefClass:
		t.message.Class = line(t.text(off, length, tnefString, t.charset))
	case tnefSubject:
		t.message.Subject = line(t.text(off, length, tnefString, t.charset))
	case tnefBody:
		t.plain(off, length, t.charset)
	case tnefMessageProps:
		return t.properties(off, off+length, t.messageProperty)
	case tnefAttachRendData:
		t.begin()
	case tnefAttachTitle:
		if a := t.current(); a != nil {
			a.title = t.text(off, length, tnefString, t.charset)
		}
	case tnefAttachData:
		if a := t.current(); a != nil && length > 0 {
			a.data = io.NewSectionReader(t.in.Content, off, length)
		}
	case tnefAttachProps:
		return t.properties(off, off+length, t.attachProperty)
	}
	return nil
}

// begin begins an attachment; one more than may be is not listed.
func (t *tnef) begin() {
	if len(t.attached) == t.most {
		t.warn(TooMany, fmt.Sprintf("only the first %d attachments are listed", t.most))
	}
	if len(t.attached) <= t.most {
		t.attached = append(t.attached, &attachment{})
	}
}

// current is the attachment that attributes are about.
func (t *tnef) current() *attachment {
	if len(t.attached) == 0 {
		t.begin()
	}
	return t.attached[len(t.attached)-1]
}

// text reads a string: to its NUL, at most so many bytes.
func (t *tnef) text(off, length, most int64, charset string) string {
	b := make([]byte, min(length, most))
	n, err := io.ReadFull(io.NewSectionReader(t.in.Content, off, length), b)
	if err != nil && n < len(b) {
		t.warn(Unreadable, "a text of winmail.dat could not be read")
	}
	s := toUTF8(b[:n], charset)
	if i := strings.IndexByte(s, 0); i >= 0 {
		s = s[:i]
	}
	return s
}

// plain takes over the message's text as a file in UTF-8.
func (t *tnef) plain(off, length int64, charset string) {
	if length > tnefText {
		t.warn(TooLarge, "the text of winmail.dat is longer than what is read of it")
	}
	s := t.text(off, length, tnefText, charset)
	for _, b := range t.bodies {
		if strings.TrimSpace(s) == "" || b.MediaType == "text/plain" {
			return
		}
	}
	if strings.TrimSpace(s) == "" {
		return
	}
	t.bodies = append(t.bodies, member{
		File: File{Name: "testo.txt", MediaType: "text/plain", Size: int64(len(s))}, at: strings.NewReader(s)})
}

// member is the attachment as a file, named by its best name.
func (a *attachment) member(place int) member {
	m := member{File: File{MediaType: strings.ToLower(line(a.media))}}
	for _, name := range []string{a.long, a.title, a.short, a.shown} {
		if m.Name == "" {
			m.Name = safeName(name)
		}
	}
	if m.MediaType == "" {
		m.MediaType = "application/octet-stream"
	}
	if a.embedded {
		m.MediaType = "application/ms-tnef"
	}
	if m.Name == "" {
		m.Name = fmt.Sprintf("allegato-%d", place)
	}
	if a.data != nil {
		m.Size, m.at = a.data.Size(), a.data
	} else {
		m.Warnings = []Warning{{Malformed, "winmail.dat names it and has no bytes of it"}}
	}
	return m
}
