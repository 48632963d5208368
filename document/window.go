package document

import "io"

// pageSize is what a window holds of a file.
const pageSize = 32 << 10

// window reads a file in pieces, mostly forwards.
type window struct {
	in   io.ReaderAt
	size int64
	page []byte
	at   int64 // where the page begins
}

func newWindow(in Input) *window { return &window{in: in.Content, size: in.Size} }

// peek are n bytes at off, without a page around them: for places here and there
// in a file.
func (w *window) peek(off int64, n int) ([]byte, bool) {
	if w.at <= off && off+int64(n) <= w.at+int64(len(w.page)) {
		return w.page[off-w.at:][:n], true
	}
	if off < 0 || off > w.size-int64(n) {
		return nil, false
	}
	b := make([]byte, n)
	got, _ := w.in.ReadAt(b, off)
	return b, got == n
}

// bytes are n bytes at off, valid until the next call; false when the file does
// not have them. n is at most pageSize.
func (w *window) bytes(off int64, n int) ([]byte, bool) {
	if off < 0 || n > pageSize || off > w.size-int64(n) {
		return nil, false
	}
	if off < w.at || off+int64(n) > w.at+int64(len(w.page)) {
		if w.page == nil {
			w.page = make([]byte, pageSize)
		}
		got, err := w.in.ReadAt(w.page[:min(pageSize, w.size-off)], off)
		w.page, w.at = w.page[:max(got, 0)], off
		if err != nil && got < n {
			return nil, false
		}
	}
	return w.page[off-w.at:][:n], true
}
