package cms

import (
	"crypto"
	"fmt"
	"hash"
	"io"
	"slices"
	"sort"
	"sync"
)

// maxRuns bounds the list of a content's pieces: those of equal size at equal
// distances are one run, as a program that writes a stream makes them.
const maxRuns = 250_000

// run are pieces of one size at one distance from each other.
type run struct {
	at     int64 // of the first one in the input
	off    int64 // of the first one in the content
	size   int64 // of each
	stride int64 // from one to the next in the input
}

// runs are the pieces of a content in their order.
type runs struct {
	list []run
	size int64 // of all together
}

// add appends a piece that stands at a place in the input.
func (r *runs) add(at, size int64) error {
	if size == 0 {
		return nil
	}
	if n := len(r.list); n > 0 {
		last := &r.list[n-1]
		count := (r.size - last.off) / last.size
		if last.size == size && (count == 1 || at-last.at == count*last.stride) {
			if count == 1 {
				last.stride = at - last.at
			}
			r.size += size
			return nil
		}
	}
	if len(r.list) >= maxRuns {
		return fmt.Errorf("%w: its content is in too many pieces", ErrBounds)
	}
	r.list = append(r.list, run{at: at, off: r.size, size: size, stride: size})
	r.size += size
	return nil
}

// find is the piece that holds the byte at off: where that byte stands in the
// input, and how many follow it in the piece, itself included.
func (r *runs) find(off int64) (at, n int64) {
	i := sort.Search(len(r.list), func(i int) bool { return r.list[i].off > off }) - 1
	one := r.list[i]
	piece, within := (off-one.off)/one.size, (off-one.off)%one.size
	return one.at + piece*one.stride + within, one.size - within
}

// Content is what a signature has inside it, read where it stands.
type Content struct {
	in   io.ReaderAt
	runs runs
	// windows are lent to ReadAt, in which small pieces are read together.
	windows sync.Pool
}

// Size is its length in bytes.
func (c *Content) Size() int64 { return c.runs.size }

// Reader reads it from its start.
func (c *Content) Reader() io.Reader { return io.NewSectionReader(c, 0, c.Size()) }

// ReadAt implements io.ReaderAt.
func (c *Content) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("reading the content of a signature at %d", off)
	}
	buf, _ := c.windows.Get().(*[windowSize]byte)
	if buf == nil {
		buf = new([windowSize]byte)
	}
	defer c.windows.Put(buf)
	w := window{r: c.in, buf: buf[:0]}
	n := 0
	for n < len(p) && off < c.Size() {
		at, have := c.runs.find(off)
		have = min(have, int64(len(p)-n))
		if err := w.copyTo(p[n:], at, have, int64(len(p)-n)); err != nil {
			return n, err
		}
		n += int(have)
		off += have
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// copyTo copies n bytes at a place. What is smaller than the window is read
// into it together with what stands behind it, for the next pieces, as far as
// the wanted bytes may reach.
func (w *window) copyTo(p []byte, at, n, wanted int64) error {
	if n >= int64(cap(w.buf)) {
		return readFull(w.r, p[:n], at)
	}
	if at < w.from || at+n > w.from+int64(len(w.buf)) {
		w.from, w.buf = at, w.buf[:min(int64(cap(w.buf)), wanted+wanted/8+16)]
		got, err := w.r.ReadAt(w.buf, at)
		if w.buf = w.buf[:got]; int64(got) < n {
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return fmt.Errorf("reading the content of a signature: %w", err)
		}
	}
	copy(p, w.buf[at-w.from:][:n])
	return nil
}

// Digester takes several digests of what is written to it.
type Digester struct {
	hashes map[crypto.Hash]hash.Hash
}

// NewDigester takes those that a program knows; others are left out.
func NewDigester(hashes ...crypto.Hash) *Digester {
	d := &Digester{map[crypto.Hash]hash.Hash{}}
	for _, h := range hashes {
		if h.Available() && d.hashes[h] == nil {
			d.hashes[h] = h.New()
		}
	}
	return d
}

// Write implements io.Writer; it never fails.
func (d *Digester) Write(p []byte) (int, error) {
	for _, h := range d.hashes {
		h.Write(p)
	}
	return len(p), nil
}

// Sum is a digest of what was written; nil when it is not taken.
func (d *Digester) Sum(of crypto.Hash) []byte {
	if h := d.hashes[of]; h != nil {
		return h.Sum(nil)
	}
	return nil
}

// Digests are those of the content that its signers need, each once, as far as
// they are known here.
func (sd *SignedData) Digests() []crypto.Hash {
	var all []crypto.Hash
	for i := range sd.Signers {
		if h, ok := digestAlgorithms[sd.Signers[i].Digest.Algorithm.String()]; ok && !slices.Contains(all, h) {
			all = append(all, h)
		}
	}
	return all
}
