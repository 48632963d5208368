// Package pec says what a message is, who vouches for it, and what a person
// wrote and attached. (The full specification belongs here.)
package pec

import (
	"context"
	"io"
)

// Read analyses the message in m (size bytes, read more than once). It never
// fails: what is malformed, beyond a bound, or cut short by ctx leaves a
// partial analysis with a warning naming it.
func Read(ctx context.Context, m io.ReaderAt, size int64, o Options) *Analysis {
	panic("not built")
}

// Options are the trust anchors and bounds of one reading. The zero value has
// no anchors (nothing is certified) and the default bounds.
type Options struct {
	Trust  *Trust
	Limits Limits
}

// Limits bound one analysis; a zero field means the default.
type Limits struct {
	Parts  int
	Depth  int
	Header int64
	Text   int
}

// Trust holds the anchors that PEC providers' certificates must lead to. It
// is safe for concurrent use and never changes once loaded.
type Trust struct{}

// LoadTrust reads PEM certificates from files or directories.
func LoadTrust(paths ...string) (*Trust, error) { panic("not built") }

// OpenPart opens the decoded bytes of the attachment that Read named part.
func OpenPart(m io.ReaderAt, size int64, part string) (Attachment, io.Reader, error) {
	panic("not built")
}

// OpenHTML opens the HTML form of the body a person wrote, as UTF-8; it is
// hostile and must be sanitised before it is shown.
func OpenHTML(m io.ReaderAt, size int64) (io.Reader, error) { panic("not built") }
