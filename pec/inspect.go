package pec

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/protodaemon/protodaemon/document"
)

// fileSink takes a file's digest as it passes by, and notes whether it is worth
// a closer look.
type fileSink struct {
	hash.Hash
	head []byte
	tail []byte // of the piece before, of a PDF
	// signed tells that a PDF holds a signature's ByteRange.
	signed bool
}

// headSize is as much as tells a format.
const headSize = 64

var (
	pdfHead      = []byte("%PDF-")
	pdfSignature = []byte("/ByteRange")
)

func newFileSink() *fileSink { return &fileSink{Hash: sha256.New()} }

func (s *fileSink) Write(b []byte) (int, error) {
	if room := headSize - len(s.head); room > 0 {
		s.head = append(s.head, b[:min(room, len(b))]...)
	}
	if !s.signed && bytes.HasPrefix(s.head, pdfHead) {
		s.look(b)
	}
	return s.Hash.Write(b)
}

// look finds the name of a signature's range, also where a piece ends in it.
func (s *fileSink) look(b []byte) {
	seam := append(s.tail, b[:min(len(b), len(pdfSignature)-1)]...)
	s.signed = bytes.Contains(b, pdfSignature) || bytes.Contains(seam, pdfSignature)
	keep := append(s.tail, b[max(0, len(b)-len(pdfSignature)):]...)
	s.tail = slices.Clone(keep[max(0, len(keep)-len(pdfSignature)+1):])
}

// plain are the beginnings of files that hold nothing to be told.
var plain = [][]byte{[]byte("\xff\xd8\xff"), []byte("\x89PNG"), []byte("GIF8"), []byte("{\\rtf"), []byte("\xd0\xcf\x11\xe0")}

// worth tells whether a file is looked at more closely.
func (s *fileSink) worth() bool {
	if bytes.HasPrefix(s.head, pdfHead) {
		return s.signed
	}
	return len(s.head) > 0 && !slices.ContainsFunc(plain, func(p []byte) bool { return bytes.HasPrefix(s.head, p) })
}

// inspect looks at the files that are worth it, under bounds that they share.
// Whom to trust for signing them is asked as of the time of the message.
func (r *reader) inspect(files []*file, t *Trust, at time.Time) {
	left := document.DefaultLimits
	for _, f := range files {
		if r.ctx.Err() != nil || left.Files <= 0 || left.Signers <= 0 {
			r.warn(NotInspected, "the message has more in its files than is looked into, from "+f.Part+" on")
			return
		}
		if f.message != nil || !f.content.worth() {
			continue
		}
		f.Facts = document.Inspect(r.ctx, f.input(), document.Options{Anchors: t.Persons(at), At: at, Beside: beside(f, files), Limits: left})
		f.Signed = signed(f.Signatures)
		spend(&left, f.Facts)
	}
	for _, f := range files {
		if f.Record != nil {
			f.Record.Files = listed(f.Record.Files, files)
		}
	}
}

// spend takes what one file had in it from the bounds of the next.
func spend(left *document.Limits, f document.Facts) {
	left.Files -= len(f.Files)
	left.Signers -= len(f.Signatures)
	for _, in := range f.Files {
		if in.SHA256 != "" {
			left.Inflated = max(1, left.Inflated-in.Size)
		}
		spend(left, in.Facts)
	}
}

// input is the file as package document reads it.
func (f *file) input() document.Input {
	return document.Input{Name: f.Name, MediaType: f.MediaType, Content: f.part.unpacked(f.sink), Size: f.Size}
}

// beside is the file that a detached signature is about: the one it is named
// after.
func beside(f *file, files []*file) *document.Input {
	for _, ext := range []string{".p7s", ".tst", ".tsr"} {
		name, ok := cutSuffixFold(f.Name, ext)
		for _, other := range files {
			if ok && other != f && strings.EqualFold(other.Name, name) {
				in := other.input()
				return &in
			}
		}
	}
	return nil
}

func cutSuffixFold(s, suffix string) (string, bool) {
	if len(s) < len(suffix) || !strings.EqualFold(s[len(s)-len(suffix):], suffix) {
		return s, false
	}
	return s[:len(s)-len(suffix)], true
}

// signed tells whether all signatures of a file fit; nil: it has none.
func signed(all []document.Signature) *bool {
	if len(all) == 0 {
		return nil
	}
	fit := !slices.ContainsFunc(all, func(s document.Signature) bool { return !s.Fits })
	return &fit
}

// listed compares the files that a segnatura names with those of the message.
func listed(named []document.Listed, files []*file) []document.Listed {
	for i, n := range named {
		for _, f := range files {
			if n.Digest != "" && strings.EqualFold(f.Name, n.Name) {
				fits := strings.EqualFold(f.SHA256, n.Digest)
				named[i].Fits = &fits
				break
			}
		}
	}
	return named
}

// open opens a file in a file. Its digest is taken on the way: what is handed out
// is what was listed.
func (f *file) open(ctx context.Context, path string) (Attachment, io.Reader, error) {
	find := func() (document.File, io.Reader, error) {
		return document.Open(ctx, f.input(), path, document.Options{})
	}
	in, r, err := find()
	if err != nil {
		return Attachment{}, nil, fmt.Errorf("opening what is in attachment %s: %w", f.Part, err)
	}
	h := sha256.New()
	if in.Size, err = io.Copy(h, contextReader{ctx, r}); err != nil {
		return Attachment{}, nil, fmt.Errorf("reading %s in attachment %s: %w", in.Name, f.Part, err)
	}
	if _, r, err = find(); err != nil {
		return Attachment{}, nil, fmt.Errorf("opening what is in attachment %s again: %w", f.Part, err)
	}
	return Attachment{Part: f.Part + "~" + path, Name: in.Name, MediaType: in.MediaType, Size: in.Size, SHA256: hex.EncodeToString(h.Sum(nil))}, r, nil
}
