package document

import (
	"bytes"
	"io"
	"strings"

	"github.com/protodaemon/protodaemon/cms"
)

// headSize is how much of a file its format is told by.
const headSize = 1024

// source is a file that is about to be read.
type source struct {
	Input
	head   []byte
	beside func() *Input // what a detached signature is about; may be nil
}

// format is one that is known: how it begins, and its reader.
type format struct {
	looks func(head []byte) bool
	read  func(*inspector, source) reading
}

// formats in the order in which they are tried; most begin with bytes that
// nothing else begins with.
func formats() []format {
	return []format{
		{looksCMS, (*inspector).readCMS},
		{looksResponse, (*inspector).readResponse},
		{looksZip, (*inspector).readZip},
		{looksTNEF, (*inspector).readTNEF},
		{looksCalendar, (*inspector).readCalendar},
		{looksXML, (*inspector).readXML},
		{looksPDF, (*inspector).readPDF},
		{looksArmored, (*inspector).readArmored},
		{func(head []byte) bool { return closedArchive(head) != "" }, (*inspector).readClosed},
	}
}

// read tells the format of a file and reads it.
func (i *inspector) read(in Input, beside func() *Input) reading {
	s := source{Input: in, beside: beside, head: make([]byte, max(0, min(headSize, in.Size)))}
	n, err := in.Content.ReadAt(s.head, 0)
	if s.head = s.head[:n]; n == 0 {
		r := reading{}
		if in.Size > 0 {
			w, _ := warningOf(unreadable(err))
			r.Warnings = append(r.Warnings, w)
		}
		return r
	}
	for _, f := range formats() {
		if f.looks(s.head) {
			return f.read(i, s)
		}
	}
	return reading{}
}

func (i *inspector) readZip(s source) reading {
	format, files, warnings := readZip(s.Input, i.o.Limits)
	return reading{Facts: Facts{Format: format, Warnings: warnings}, children: childrenOf(files)}
}

func (i *inspector) readTNEF(s source) reading {
	message, files, warnings := readTNEF(s.Input, i.o.Limits.Files)
	return reading{Facts: Facts{Format: "tnef", Message: &message, Warnings: warnings}, children: childrenOf(files)}
}

func (i *inspector) readCalendar(s source) reading {
	return reading{Facts: inspectCalendar(s.Input, i.o.Limits)}
}

func (i *inspector) readClosed(s source) reading {
	return reading{Facts: Facts{Format: closedArchive(s.head)}}
}

func childrenOf(files []member) []child {
	all := make([]child, len(files))
	for n, m := range files {
		all[n].member = m
	}
	return all
}

// looksPDF allows for what some programs put before the header (ISO 32000-1
// annex H.3.4.1).
func looksPDF(head []byte) bool { return bytes.Contains(head, []byte("%PDF-")) }

func looksCMS(head []byte) bool {
	kind, err := cms.KindOf(head)
	return err == nil && kind != cms.Other
}

// mediaTypes by extension, for files whose type nobody says.
var mediaTypes = map[string]string{
	".pdf": "application/pdf", ".xml": "application/xml", ".p7m": "application/pkcs7-mime", ".p7s": "application/pkcs7-signature",
	".zip": "application/zip", ".txt": "text/plain", ".html": "text/html", ".htm": "text/html", ".eml": "message/rfc822",
	".ics": "text/calendar", ".csv": "text/csv", ".rtf": "application/rtf", ".jpg": "image/jpeg", ".jpeg": "image/jpeg",
	".png": "image/png", ".tif": "image/tiff", ".tiff": "image/tiff", ".gif": "image/gif",
	".doc": "application/msword", ".xls": "application/vnd.ms-excel", ".ppt": "application/vnd.ms-powerpoint",
	".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
	".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
	".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
	".odt":  "application/vnd.oasis.opendocument.text", ".ods": "application/vnd.oasis.opendocument.spreadsheet",
	".tsd": "application/timestamped-data", ".tst": "application/timestamp-token", ".tsr": "application/timestamp-reply",
	".dwg": "image/vnd.dwg",
}

// beginnings of files that have a name of their own kind.
var beginnings = []struct{ magic, extension string }{
	{"%PDF-", ".pdf"}, {"PK\x03\x04", ".zip"}, {"\xff\xd8\xff", ".jpg"}, {"\x89PNG\r\n\x1a\n", ".png"}, {"II*\x00", ".tif"}, {"MM\x00*", ".tif"},
	{"GIF8", ".gif"}, {"{\\rtf", ".rtf"}, {"<?xml", ".xml"}, {"\xef\xbb\xbf<?xml", ".xml"},
}

// named gives a file that was taken out of a signature its name and type: that
// of the signature without its extension; where that says no kind of file, the
// content does.
func named(outer string, at io.ReaderAt, extensions ...string) File {
	name := safeName(outer)
	for _, e := range extensions {
		if n := len(name) - len(e); n >= 0 && strings.EqualFold(name[n:], e) {
			name = strings.TrimRight(name[:n], ". ")
			break
		}
	}
	if name == "" {
		name = "contenuto"
	}
	head := make([]byte, 64)
	n, _ := at.ReadAt(head, 0) // an error shows when all of it is read
	kind := ""
	for _, b := range beginnings {
		if strings.HasPrefix(string(head[:n]), b.magic) {
			kind = b.extension
		}
	}
	if looksCMS(head[:n]) {
		kind = ".p7m"
	}
	media, known := mediaTypes[strings.ToLower(extension(name))]
	if !known && kind != "" && !strings.EqualFold(extension(name), kind) {
		name, media = shorten(name+kind), mediaTypes[kind]
	}
	if media == "" {
		media = "application/octet-stream"
	}
	return File{Name: name, MediaType: media}
}
