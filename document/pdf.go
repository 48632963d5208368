package document

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/protodaemon/protodaemon/cms"
)

// Bounds of the signatures of one PDF.
const (
	pdfCandidates = 200       // places where a signature may be that are looked at
	pdfContents   = 4 << 20   // hexadecimal digits of one signature; real ones have some 30,000
	pdfPage       = 256 << 10 // read at once
	pdfArray      = 256       // bytes of the four numbers
)

// errByteRange: a signature over other bytes than all but itself proves nothing
// about the file.
var errByteRange = errors.New("the signed bytes are not all but the signature")

// readPDF reads who signed a PDF (ISO 32000-1 §12.8). A signature covers bytes of
// the file, which its dictionary tells (ByteRange), so it always stands there as
// plain text; it is found by that and not by way of the document's objects. Not
// seen are dictionaries whose names are written with escapes (#42), whether a
// form field shows the signature, what it permits to be changed (DocMDP), and
// signatures of files that are embedded.
func (i *inspector) readPDF(s source) reading {
	return reading{Facts: Facts{Format: "pdf"}, verify: func(r *reading) { i.pdfSignatures(r, s.Input) }}
}

func (i *inspector) pdfSignatures(r *reading, in Input) {
	found := 0
	err := i.occurrences(in, []byte("/ByteRange"), func(at int64) bool {
		ranges, ok := byteRange(in, at+int64(len("/ByteRange")))
		if !ok {
			return true
		}
		if found++; found > pdfCandidates {
			r.warn(TooMany, "not all places where signatures may be were looked at: there are more than %d", pdfCandidates)
			return false
		}
		if !i.another(r) {
			return false
		}
		i.pdfSignature(r, in, at, ranges)
		return true
	})
	if w, ok := warningOf(err); ok {
		r.Warnings = append(r.Warnings, w)
	}
}

// occurrences tells where a text stands in a file, until each says no.
func (i *inspector) occurrences(in Input, text []byte, each func(at int64) bool) error {
	buf := make([]byte, min(pdfPage, in.Size))
	for at := int64(0); at < in.Size; {
		if i.ctx.Err() != nil {
			return problem(Interrupted, "the inspection was stopped before the end")
		}
		n, err := in.Content.ReadAt(buf[:min(int64(len(buf)), in.Size-at)], at)
		if n == 0 {
			return unreadable(err)
		}
		page := buf[:n]
		for from := 0; ; {
			k := bytes.Index(page[from:], text)
			if k < 0 {
				break
			}
			if !each(at + int64(from+k)) {
				return nil
			}
			from += k + len(text)
		}
		if at += int64(n); at < in.Size {
			at -= min(int64(len(text)-1), int64(n-1)) // it may stand on both sides of the page's end
		}
	}
	return nil
}

// byteRange reads the array behind the name: not ok when there is none.
// Numbers that cannot be are -1.
func byteRange(in Input, at int64) (numbers []int64, ok bool) {
	b := make([]byte, min(pdfArray, in.Size-at))
	n, _ := in.Content.ReadAt(b, at)
	b = bytes.TrimLeft(b[:n], pdfBlanks)
	if !bytes.HasPrefix(b, []byte("[")) {
		return nil, false
	}
	inside, _, closed := bytes.Cut(b[1:], []byte("]"))
	if !closed {
		return nil, true
	}
	for _, f := range strings.FieldsFunc(string(inside), func(c rune) bool { return strings.ContainsRune(pdfBlanks, c) }) {
		v, err := strconv.ParseInt(f, 10, 64)
		if err != nil || v < 0 {
			v = -1
		}
		numbers = append(numbers, v)
	}
	return numbers, true
}

// pdfSignature verifies the signature whose ByteRange stands at a place.
func (i *inspector) pdfSignature(r *reading, in Input, at int64, numbers []int64) {
	signed, dict, err := pdfSigned(in, at, numbers)
	var contents []byte
	if err == nil {
		contents, err = signed.contents(in)
	}
	if err != nil {
		r.Signatures = append(r.Signatures, i.judge(evidence{kind: "pdf", err: err}))
		return
	}
	first := len(r.Signatures)
	switch filter := dict.value("SubFilter"); filter {
	case "ETSI.RFC3161":
		var over stamped
		if said, err := cms.ParseStamp(contents); err == nil {
			over = i.overRanges(r, in, signed, said.Hash)
		}
		i.stamp(r, contents, over)
	case "adbe.pkcs7.detached", "ETSI.CAdES.detached", "adbe.pkcs7.sha1":
		i.pdfSigners(r, in, signed, dict, contents)
	default:
		r.Signatures = append(r.Signatures, i.judge(evidence{kind: "pdf", err: fmt.Errorf("%w: %s", cms.ErrUnsupported, lineOf(filter, 100))}))
	}
	for n := first; n < len(r.Signatures); n++ {
		if s := &r.Signatures[n]; s.Fits {
			s.Covers = "part"
			if signed.end == in.Size {
				s.Covers = "whole"
			}
		}
	}
}

// pdfSigners verifies a CMS signature, of which a PDF has one signer.
func (i *inspector) pdfSigners(r *reading, in Input, signed signedRanges, dict pdfDict, contents []byte) {
	sd, err := cms.Parse(contents)
	if err != nil {
		r.Signatures = append(r.Signatures, i.judge(evidence{kind: "pdf", err: err}))
		return
	}
	var sum stamped
	if filter := dict.value("SubFilter"); filter == "adbe.pkcs7.sha1" {
		// The content is the SHA-1 of the bytes (ISO 32000-1 table 257).
		if over := i.overRanges(r, in, signed, crypto.SHA1); over != nil && bytes.Equal(over(crypto.SHA1), sd.Content) {
			sum = func(h crypto.Hash) []byte { return digestOf(h, sd.Content) }
		} else if over != nil {
			sum = func(h crypto.Hash) []byte { return digestOf(h, nil) }
		}
	} else if sd.Content == nil {
		sum = i.overRanges(r, in, signed, sd.Digests()...)
	}
	for n := range sd.Signers {
		if n > 0 && !i.another(r) {
			return
		}
		e := signerOf(sd, n, sum)
		e.kind = "pdf"
		if dict.value("SubFilter") == "ETSI.CAdES.detached" {
			e.kind = "pades"
		}
		e.weak = e.weak || dict.value("SubFilter") == "adbe.pkcs7.sha1"
		if e.said == nil {
			e.said = pdfTime(dict.value("M"))
		}
		r.Signatures = append(r.Signatures, i.judge(e))
	}
}

// overRanges takes digests of the signed bytes; nil when they cannot be read.
func (i *inspector) overRanges(r *reading, in Input, signed signedRanges, hashes ...crypto.Hash) stamped {
	return i.sums(r, hashes, nil, in, section{0, signed.gap}, section{signed.resume, signed.end})
}

// signedRanges are the bytes [0, gap) and [resume, end) of a file; between them
// stands the signature in hexadecimal, with its brackets.
type signedRanges struct{ gap, resume, end int64 }

// pdfSigned checks that a ByteRange covers all but the Contents of the very
// dictionary in which it stands, and gives that dictionary.
func pdfSigned(in Input, at int64, numbers []int64) (signedRanges, pdfDict, error) {
	if len(numbers) != 4 {
		return signedRanges{}, nil, errByteRange
	}
	s := signedRanges{gap: numbers[1], resume: numbers[2], end: numbers[2] + numbers[3]}
	if numbers[0] != 0 || s.gap <= 0 || s.resume < s.gap+2 || s.resume > in.Size || numbers[3] < 0 || s.end > in.Size || s.end < s.resume {
		return s, nil, errByteRange
	}
	if s.resume-s.gap > pdfContents {
		return s, nil, fmt.Errorf("%w: a signature of %d digits", cms.ErrBounds, s.resume-s.gap)
	}
	dict, ok := pdfDictAround(in, s, at)
	if !ok {
		return s, nil, errByteRange
	}
	return s, dict, nil
}

// contents decodes the signature.
func (s signedRanges) contents(in Input) ([]byte, error) {
	text, err := io.ReadAll(io.NewSectionReader(in.Content, s.gap, s.resume-s.gap))
	if err != nil || len(text) < 2 || text[0] != '<' || text[len(text)-1] != '>' {
		return nil, errByteRange
	}
	out := make([]byte, 0, len(text)/2)
	half := -1
	for _, c := range text[1 : len(text)-1] {
		v := hexValue(c)
		switch {
		case strings.IndexByte(pdfBlanks, c) >= 0:
		case v < 0:
			return nil, errByteRange
		case half < 0:
			half = v
		default:
			out, half = append(out, byte(half<<4|v)), -1
		}
	}
	if half >= 0 { // an odd digit stands for one with 0 (§7.3.4.3)
		out = append(out, byte(half<<4))
	}
	return out, nil
}

func hexValue(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// pdfTime reads a date (ISO 32000-1 §7.9.4); nil when it is none.
func pdfTime(s string) *time.Time {
	s, ok := strings.CutPrefix(s, "D:")
	if !ok {
		return nil
	}
	s = strings.ReplaceAll(s, "'", "")
	for _, layout := range []string{"20060102150405-0700", "20060102150405Z", "20060102150405Z0000", "20060102150405"} {
		if t, err := time.Parse(layout, s); err == nil {
			return sensible(t)
		}
	}
	return nil
}
