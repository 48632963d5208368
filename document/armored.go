package document

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
)

// Signatures come in base64 as well, with or without the lines of PEM (RFC 7468)
// round it: some signing programs write .p7m files so.

const (
	armorBlock = 48 << 10                 // decoded bytes between two known places
	armorRaw   = 3 * (armorBlock / 3 * 4) // encoded bytes that such a block may take, with blanks
	armorLine  = 200                      // of the line that begins PEM
)

// armorHead is the beginning of a file in base64, decoded, and where its first
// digit stands; nil when it is none.
func armorHead(head []byte) (decoded []byte, from int) {
	trimmed := bytes.TrimLeft(bytes.TrimPrefix(head, bomUTF8), " \t\r\n")
	if bytes.HasPrefix(trimmed, []byte("-----BEGIN ")) {
		end := bytes.IndexByte(trimmed, '\n')
		if end < 0 || end > armorLine {
			return nil, 0
		}
		trimmed = trimmed[end:]
	}
	from = len(head) - len(trimmed)
	var digits []byte
	for _, c := range trimmed {
		if classes[c] == blank {
			continue
		}
		if classes[c] != digit {
			break
		}
		digits = append(digits, c)
	}
	digits = digits[:len(digits)/4*4]
	decoded, err := base64.StdEncoding.AppendDecode(nil, digits)
	if err != nil {
		return nil, 0
	}
	return decoded, from
}

// armorClass is what a byte is in base64.
type armorClass uint8

const (
	foreign armorClass = iota
	digit
	blank
	final // padding, and the hyphens of PEM's last line
)

// classes by byte.
var classes = func() (all [256]armorClass) {
	for c := range all {
		switch c := byte(c); {
		case 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '+', c == '/':
			all[c] = digit
		case c == ' ', c == '\t', c == '\r', c == '\n':
			all[c] = blank
		case c == '=', c == '-':
			all[c] = final
		}
	}
	return all
}()

// looksArmored tells base64 of something that is read here: signatures and time
// stamps.
func looksArmored(head []byte) bool {
	decoded, _ := armorHead(head)
	return looksCMS(decoded) || looksResponse(decoded)
}

func (i *inspector) readArmored(s source) reading {
	head, from := armorHead(s.head)
	a, err := dearmor(s.Input, int64(from))
	if err != nil {
		r := reading{Facts: Facts{Format: "p7m"}}
		r.warn(Malformed, "the signature is in base64 that cannot be read: %s", err)
		return r
	}
	inner := source{Input: Input{Name: s.Name, MediaType: s.MediaType, Content: a, Size: a.size}, head: head, beside: s.beside}
	read := i.readResponse
	if looksCMS(head) {
		read = i.readCMS
	}
	r := read(inner)
	if a.followed() {
		r.warnOnce(TrailingData, "other text stands behind the signature, which does not cover it")
	}
	return r
}

// followed tells that behind the digits stands something else than padding and
// the last line of PEM.
func (a *armored) followed() bool {
	b := make([]byte, min(a.in.Size-a.end, 4096))
	n, _ := a.in.Content.ReadAt(b, a.end)
	rest := bytes.TrimLeft(b[:n], "= \t\r\n")
	if line, ok := bytes.CutPrefix(rest, []byte("-----END ")); ok {
		_, rest, _ = bytes.Cut(line, []byte("-----"))
	}
	return len(bytes.TrimRight(rest, "\x00 \t\r\n")) > 0
}

// armored reads base64 where it stands. It knows where each block begins, and
// keeps the last one that it decoded.
type armored struct {
	in     Input
	places []int64 // in the input, of the blocks
	end    int64   // of the digits in the input
	size   int64   // decoded

	mu    sync.Mutex
	block int // that is held; -1: none
	held  []byte
	raw   []byte
}

// dearmor finds the blocks in one pass. Digits end at padding, at the last line
// of PEM, or at the end.
func dearmor(in Input, from int64) (*armored, error) {
	a := &armored{in: in, end: in.Size, block: -1}
	digits, buf := int64(0), make([]byte, 32<<10)
	for at := from; at < a.end; {
		n, err := in.Content.ReadAt(buf[:min(int64(len(buf)), in.Size-at)], at)
		if n == 0 {
			return nil, fmt.Errorf("reading it: %w", err)
		}
		if digits, err = a.index(buf[:n], at, digits); err != nil {
			return nil, err
		}
		at += int64(n)
		if len(a.places) > 0 && at-a.places[len(a.places)-1] > armorRaw {
			return nil, errors.New("it has more blanks than digits")
		}
	}
	a.size = digits / 4 * 3
	if rest := digits % 4; rest > 0 {
		a.size += rest - 1
	}
	return a, nil
}

// index goes on over bytes that stand at a place, behind so many digits.
func (a *armored) index(b []byte, at, digits int64) (int64, error) {
	for k := 0; k < len(b); k++ {
		from := k
		for k < len(b) && classes[b[k]] == digit {
			k++
		}
		if mark := int64(len(a.places)) * (armorBlock / 3 * 4); digits+int64(k-from) > mark {
			a.places = append(a.places, at+int64(from)+mark-digits)
		}
		digits += int64(k - from)
		if k == len(b) {
			break
		}
		switch classes[b[k]] {
		case final:
			a.end = at + int64(k)
			return digits, nil
		case foreign:
			return digits, fmt.Errorf("byte %#x at %d", b[k], at+int64(k))
		}
	}
	return digits, nil
}

// ReadAt implements io.ReaderAt.
func (a *armored) ReadAt(p []byte, off int64) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := 0
	for n < len(p) && off < a.size {
		block := int(off / armorBlock)
		if err := a.load(block); err != nil {
			return n, err
		}
		within := off - int64(block)*armorBlock
		if within >= int64(len(a.held)) {
			return n, io.ErrUnexpectedEOF
		}
		copied := copy(p[n:], a.held[within:])
		n, off = n+copied, off+int64(copied)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// load decodes a block.
func (a *armored) load(block int) error {
	if a.block == block {
		return nil
	}
	a.block = -1
	from, to := a.places[block], a.end
	if block+1 < len(a.places) {
		to = a.places[block+1]
	}
	if cap(a.raw) < int(to-from) {
		a.raw = make([]byte, to-from)
	}
	a.raw = a.raw[:to-from]
	if n, err := a.in.Content.ReadAt(a.raw, from); n < len(a.raw) {
		return err
	}
	digits := a.raw[:0]
	for line := range bytes.SplitSeq(a.raw, []byte("\n")) {
		digits = append(digits, bytes.TrimSuffix(line, []byte("\r"))...)
	}
	if bytes.IndexByte(digits, ' ') >= 0 || bytes.IndexByte(digits, '\t') >= 0 || bytes.IndexByte(digits, '\r') >= 0 {
		digits = slices.DeleteFunc(digits, func(c byte) bool { return classes[c] == blank })
	}
	var err error
	a.held, err = base64.RawStdEncoding.AppendDecode(a.held[:0], digits)
	if err != nil {
		return fmt.Errorf("decoding base64: %w", err)
	}
	a.block = block
	return nil
}
