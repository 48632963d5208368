package document

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// warned is an error that a reader of the facts is told of.
type warned struct{ Warning }

func (w warned) Error() string { return w.Detail }

func problem(code, format string, args ...any) error {
	return warned{Warning{code, fmt.Sprintf(format, args...)}}
}

// unreadable says why bytes of a file could not be read.
func unreadable(err error) error {
	var known warned
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(err, errSizeDiffers):
		return problem(SizeDiffers, "%s", err)
	case err == nil, errors.Is(err, io.EOF):
		return problem(Unreadable, "it ends before its size")
	}
	return problem(Unreadable, "it cannot be read: %s", lineOf(err.Error(), 200))
}

func warningOf(err error) (Warning, bool) {
	var w warned
	return w.Warning, errors.As(err, &w)
}

func warningsOf(list []Warning) string {
	var all []string
	for _, w := range list {
		all = append(all, w.Detail)
	}
	return strings.Join(all, "; ")
}

// failing is a reader of what cannot be read.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// errUnread: why is among the warnings of the file already.
var errUnread = errors.New("it cannot be read")

// within gives a file in a file as one that can be looked into: where it lies,
// else unpacked into memory, else unpacked again whenever it is read from its
// beginning.
func (i *inspector) within(c *child) (Input, error) {
	in := Input{Name: c.Name, MediaType: c.MediaType, Content: c.at, Size: c.Size}
	switch {
	case c.at != nil:
		return in, nil
	case c.unpack == nil:
		return in, errUnread
	case c.Size > i.inflated:
		return in, problem(NotUnpacked, "its %d bytes are more than are still unpacked here", c.Size)
	}
	i.inflated -= c.Size
	if c.Size > i.held {
		in.Content = &rewound{i: i, open: c.unpack, size: c.Size}
		return in, nil
	}
	i.held -= c.Size
	b, err := io.ReadAll(io.LimitReader(c.unpack(), c.Size+1))
	if err == nil && int64(len(b)) != c.Size {
		err = errSizeDiffers
	}
	if err != nil {
		return in, unreadable(err)
	}
	in.Content = bytes.NewReader(b)
	return in, nil
}

// rewound reads anywhere in what can only be read from its beginning.
type rewound struct {
	i    *inspector
	open func() io.Reader
	size int64
	from io.Reader
	pos  int64
}

// ReadAt implements io.ReaderAt, for one reader at a time.
func (r *rewound) ReadAt(p []byte, off int64) (int, error) {
	if off >= r.size {
		return 0, io.EOF
	}
	if r.from == nil || off < r.pos {
		r.from, r.pos = r.open(), 0
	}
	end := min(off+int64(len(p)), r.size)
	if r.i.reread -= end - r.pos; r.i.reread < 0 {
		return 0, problem(NotUnpacked, "it is unpacked more often than is done here")
	}
	skipped, err := io.CopyN(io.Discard, r.from, off-r.pos)
	if r.pos += skipped; err != nil {
		return 0, r.failed(err)
	}
	n, err := io.ReadFull(r.from, p[:end-off])
	if r.pos += int64(n); err != nil {
		return n, r.failed(err)
	}
	if r.pos == r.size { // what stands behind the last byte: that all is as it should be
		if _, err := io.ReadFull(r.from, make([]byte, 1)); !errors.Is(err, io.EOF) {
			return 0, r.failed(err)
		}
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// failed makes the next reading begin anew, and fail in the same way.
func (r *rewound) failed(err error) error {
	r.from = nil
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || err == nil {
		return errSizeDiffers
	}
	return err
}
