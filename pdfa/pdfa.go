// Package pdfa writes PDF/A documents (ISO 19005): text, facts and tables on A4
// pages, tagged for who reads with a screen reader, with files attached.
//
// What it promises:
//
//   - The same calls give the same bytes, in this and every later release of Go:
//     dates are given, the identifier is a digest of what is written, and the
//     compression is this package's own (deflate.go). A register printed today
//     can be derived again and compared.
//   - It writes as it goes: memory grows by some bytes a page and a table row,
//     not with the text.
//   - Fonts are embedded, only with the shapes that are used. A character that
//     they lack is drawn, and read, as □; right-to-left scripts stand in the
//     order of their characters.
//   - Header, footer and rules are artifacts; headings, paragraphs, lists of
//     facts and tables with their header cells are in the structure tree, in
//     reading order.
//
// What is checked: the tests run PDFBox preflight over the level 1b, which is
// the same code path but for object streams (packed.go), and over 2b after qpdf
// took them away; qpdf, pdftotext, pdffonts and pdfdetach over all levels.
// No validator of levels 2 and 3 is at hand in the tests: what they ask beyond
// 1b (attachments and their relationship) is checked key by key only.
package pdfa

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"strconv"
	"strings"
	"time"
)

// Level is a part and conformance level of PDF/A.
type Level int

// The levels: 3b may have files attached, 2b not, 1b is for comparison with
// validators of the first part.
const (
	A3B Level = iota
	A2B
	A1B
)

// Options of a document.
type Options struct {
	Title, Author, Subject, Producer string
	Language                         string    // as in it-IT
	Created                          time.Time // no clock is read
	Level                            Level
	Landscape                        bool
	// Header stands at the top of every page, Footer at its bottom on the left;
	// the page number is on the right. Mark is a word in the background of the
	// header, for what is no real register.
	Header, Footer, Mark string
}

// Fact is a line of a list: what, and its value.
type Fact struct{ Label, Value string }

// Attachment is a file inside the document (level 3b).
type Attachment struct {
	Name, MediaType, Description string
	// Relationship to the document: Source, Data, Alternative, Supplement.
	Relationship string
	Modified     time.Time
	Content      io.Reader
}

// Document is being written. Errors are kept and returned by Close.
type Document struct {
	o     Options
	out   *bufio.Writer // into w and hash
	hash  hash.Hash
	at    int64
	marks []int64 // offset of each object, or packedMark; 0: not written yet
	pack  pack
	z     *deflater // into out
	err   error

	fonts [3]*face
	page  *page
	spare bytes.Buffer // what held the content of the page before
	pages []int        // objects
	tree  tree
	files []fileSpec

	width, height float64
	y             float64
}

// fixed objects
const (
	objCatalog = iota + 1
	objPages
	objStructure
	objParents
	objIntent
	objProfile
	objMetadata
	objInfo
	objFontBase // and the two after it
	objTotals   = objFontBase + 3
	objFirst    = objTotals + 1
)

const (
	margin    = 42.0
	headSpace = 26.0
)

// New begins a document. Nothing is complete before Close.
func New(w io.Writer, o Options) (*Document, error) {
	d := &Document{o: o, hash: sha256.New(), width: 595.28, height: 841.89, marks: make([]int64, objFirst)}
	if o.Landscape {
		d.width, d.height = d.height, d.width
	}
	if o.Language == "" {
		d.o.Language = "it-IT"
	}
	d.out = bufio.NewWriterSize(io.MultiWriter(w, d.hash), 64<<10)
	d.z = newDeflater(writerFunc(d.writeBytes))
	for i, f := range faces {
		var err error
		if d.fonts[i], err = f.open(); err != nil {
			return nil, fmt.Errorf("reading the font %s: %w", f.name, err)
		}
	}
	version := "1.7"
	if o.Level == A1B {
		version = "1.4"
	}
	d.write("%PDF-" + version + "\n%\xe2\xe3\xcf\xd3\n")
	return d, nil
}

func (d *Document) write(parts ...string) {
	for _, s := range parts {
		if d.err != nil {
			return
		}
		var n int
		n, d.err = d.out.WriteString(s)
		d.at += int64(n)
	}
}

// writeBytes is write for the bytes of a stream.
func (d *Document) writeBytes(b []byte) (n int, err error) {
	if d.err == nil {
		n, d.err = d.out.Write(b)
		d.at += int64(n)
	}
	return n, d.err
}

// reserve gives a number to an object that is written later.
func (d *Document) reserve() int {
	d.marks = append(d.marks, 0)
	return len(d.marks) - 1
}

// object writes a whole object that is no stream.
func (d *Document) object(n int, body string) {
	d.marks[n] = d.at
	d.write(strconv.Itoa(n), " 0 obj\n", body, "\nendobj\n")
}

// stream writes a stream; packed ones are compressed. keys are further entries
// of its dictionary.
func (d *Document) stream(n int, keys string, packed bool, content io.Reader) (size int64) {
	length := d.reserve()
	d.marks[n] = d.at
	filter := ""
	if packed {
		filter = "/Filter/FlateDecode"
	}
	d.write(fmt.Sprintf("%d 0 obj\n<<%s%s/Length %d 0 R>>\nstream\n", n, keys, filter, length))
	begin := d.at
	if packed {
		z := d.z.again()
		var err error
		size, err = io.Copy(z, content)
		d.err = errors.Join(d.err, err, z.Close())
	} else {
		b, err := io.ReadAll(content)
		size, d.err = int64(len(b)), errors.Join(d.err, err)
		d.write(string(b))
	}
	written := d.at - begin
	d.write("\nendstream\nendobj\n")
	d.object(length, fmt.Sprint(written))
	return size
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// Attach puts a file into the document.
func (d *Document) Attach(a Attachment) {
	if d.o.Level != A3B {
		d.err = errors.Join(d.err, errors.New("only PDF/A-3 takes attachments"))
		return
	}
	file, spec := d.reserve(), d.reserve()
	params := d.reserve()
	size := d.stream(file, fmt.Sprintf("/Type/EmbeddedFile/Subtype/%s/Params %d 0 R", pdfName(a.MediaType), params), true, a.Content)
	d.object(params, fmt.Sprintf("<</Size %d/ModDate %s>>", size, pdfDate(a.Modified)))
	d.object(spec, fmt.Sprintf("<</Type/Filespec/F %s/UF %s/Desc %s/AFRelationship/%s/EF<</F %d 0 R/UF %d 0 R>>>>",
		pdfText(a.Name), pdfText(a.Name), pdfText(a.Description), pdfName(a.Relationship), file, file))
	d.files = append(d.files, fileSpec{a.Name, spec})
}

type fileSpec struct {
	name   string
	object int
}

// Close ends the document and returns the first error there was.
func (d *Document) Close() error {
	if d.page == nil {
		d.newPage()
	}
	d.endPage()
	d.total()
	for i, f := range d.fonts {
		f.embed(d, objFontBase+i)
	}
	d.structure()
	d.endPack()
	var kids strings.Builder
	for _, p := range d.pages {
		fmt.Fprintf(&kids, "%d 0 R ", p)
	}
	d.object(objPages, fmt.Sprintf("<</Type/Pages/Count %d/Kids[%s]>>", len(d.pages), kids.String()))
	d.metadata()
	d.catalog()
	return d.trailer()
}

func (d *Document) catalog() {
	files := ""
	if len(d.files) > 0 {
		var names, refs strings.Builder
		for _, f := range d.files {
			fmt.Fprintf(&names, "%s %d 0 R ", pdfText(f.name), f.object)
			fmt.Fprintf(&refs, "%d 0 R ", f.object)
		}
		files = fmt.Sprintf("/AF[%s]/Names<</EmbeddedFiles<</Names[%s]>>>>", refs.String(), names.String())
	}
	d.object(objIntent, fmt.Sprintf("<</Type/OutputIntent/S/GTS_PDFA1/OutputConditionIdentifier(sRGB)/Info(sRGB)/DestOutputProfile %d 0 R>>", objProfile))
	d.stream(objProfile, "/N 3", true, strings.NewReader(string(sRGB())))
	d.object(objCatalog, fmt.Sprintf("<</Type/Catalog/Pages %d 0 R/Metadata %d 0 R/OutputIntents[%d 0 R]/Lang %s/MarkInfo<</Marked true>>"+
		"/ViewerPreferences<</DisplayDocTitle true>>/StructTreeRoot %d 0 R%s>>",
		objPages, objMetadata, objIntent, pdfText(d.o.Language), objStructure, files))
}

func (d *Document) trailer() error {
	if err := d.out.Flush(); err != nil || d.err != nil {
		return errors.Join(d.err, err)
	}
	id := fmt.Sprintf("%x", d.hash.Sum(nil)[:16])
	if d.o.Level != A1B {
		return d.references(id)
	}
	start := d.at
	d.write("xref\n0 ", strconv.Itoa(len(d.marks)), "\n0000000000 65535 f \n")
	for n, at := range d.marks[1:] {
		if at == 0 && d.err == nil {
			return fmt.Errorf("object %d was not written", n+1)
		}
		d.write(fmt.Sprintf("%010d 00000 n \n", at))
	}
	d.write(fmt.Sprintf("trailer\n<</Size %d/Root %d 0 R/Info %d 0 R/ID[<%s><%s>]>>\nstartxref\n%d\n%%%%EOF\n", len(d.marks), objCatalog, objInfo, id, id, start))
	return errors.Join(d.err, d.out.Flush())
}
