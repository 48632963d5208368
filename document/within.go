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
		in.Content = newRewound(i, c.unpack, c.Size)
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

// rewound reads anywhere in what can only be read from its beginning. It keeps
// what it read last, because readers go back a little.
type rewound struct {
	i    *inspector
	open func() io.Reader
	size int64
	from io.Reader // stands at the end of the last block that was read; nil: nowhere
	last int64     // number of that block; -1: none
	kept [4]block
}

type block struct {
	number int64
	b      []byte
}

const blockSize = 64 << 10

func newRewound(i *inspector, open func() io.Reader, size int64) *rewound {
	r := &rewound{i: i, open: open, size: size, last: -1}
	for n := range r.kept {
		r.kept[n].number = -1
	}
	return r
}

// ReadAt implements io.ReaderAt, for one reader at a time.
func (r *rewound) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	for n < len(p) && off < r.size {
		b, err := r.block(off / blockSize)
		if err != nil {
			return n, err
		}
		copied := copy(p[n:], b[off%blockSize:])
		n, off = n+copied, off+int64(copied)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// block gives one that is kept, or unpacks as far as it.
func (r *rewound) block(number int64) ([]byte, error) {
	if k := &r.kept[number%int64(len(r.kept))]; k.number == number {
		return k.b, nil
	}
	if r.from == nil || number <= r.last {
		r.from, r.last = r.open(), -1
	}
	for r.last < number {
		if err := r.next(); err != nil {
			r.from = nil
			return nil, err
		}
	}
	return r.kept[number%int64(len(r.kept))].b, nil
}

// next unpacks one block; behind the last one, that all is as it should be.
func (r *rewound) next() error {
	number := r.last + 1
	size := min(blockSize, r.size-number*blockSize)
	if r.i.reread -= size; r.i.reread < 0 {
		return problem(NotUnpacked, "it is unpacked more often than is done here")
	}
	k := &r.kept[number%int64(len(r.kept))]
	if k.number = -1; k.b == nil {
		k.b = make([]byte, blockSize)
	}
	k.b = k.b[:size]
	_, err := io.ReadFull(r.from, k.b)
	if err == nil && (number+1)*blockSize >= r.size {
		if _, err = io.ReadFull(r.from, make([]byte, 1)); errors.Is(err, io.EOF) {
			err = nil
		}
	}
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errSizeDiffers
	case err != nil:
		return err
	}
	k.number, r.last = number, number
	return nil
}
