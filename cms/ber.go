package cms

import (
	"errors"
	"slices"
)

// The bounds of one CMS structure. A PEC signature is 3 to 6 KB and some ten
// levels deep; the content of an opaque one is a single element.
const (
	berDepth    = 64
	berElements = 100_000
)

// Errors of what cannot be read.
var (
	ErrMalformed = errors.New("the signature is not well-formed ASN.1")
	ErrBounds    = errors.New("the signature is larger or nested more deeply than is read")
)

// element is one BER element in the order of the input; its children follow it.
type element struct {
	parent     int
	tag        []byte // identifier octets
	start, end int    // of the content; end is -1 while indefinite
	inner      bool   // constructed: its content is its children
	chunk      bool   // a piece of a constructed OCTET STRING: only content counts
	length     int    // of the content in DER
}

const octetString = 0x04

// derFromBER rewrites the first element of b with definite lengths and whole
// octet strings, which is what encoding/asn1 reads. DER comes out as it went
// in. It keeps its own stack, so no input exhausts the program's.
func derFromBER(b []byte) ([]byte, error) {
	list, err := scanBER(b)
	if err != nil {
		return nil, err
	}
	for i, e := range slices.Backward(list) {
		if !e.inner {
			list[i].length = e.end - e.start
		}
		if i > 0 {
			up := &list[e.parent]
			up.length += list[i].length
			if !e.chunk {
				up.length += len(e.tag) + len(lengthOctets(list[i].length))
			}
		}
	}
	out := make([]byte, 0, list[0].length+16)
	for _, e := range list {
		if !e.chunk {
			tag := slices.Clone(e.tag)
			if e.inner && tag[0] == octetString|0x20 {
				tag[0] = octetString
			}
			out = append(append(out, tag...), lengthOctets(e.length)...)
		}
		if !e.inner {
			out = append(out, b[e.start:e.end]...)
		}
	}
	return out, nil
}

// scanBER lists the elements of the first element in b.
func scanBER(b []byte) ([]element, error) {
	var list []element
	var open []int // constructed elements not ended
	for pos := 0; ; {
		// End what ends here.
		for len(open) > 0 {
			e := &list[open[len(open)-1]]
			if e.end < 0 && pos+1 < len(b) && b[pos] == 0 && b[pos+1] == 0 {
				pos += 2
			} else if e.end != pos {
				break
			}
			open = open[:len(open)-1]
		}
		if len(list) > 0 && len(open) == 0 {
			return list, nil
		}
		e, next, err := readElement(b, pos, limitOf(list, open, len(b)))
		if err != nil {
			return nil, err
		}
		if len(open) > 0 {
			e.parent = open[len(open)-1]
			up := &list[e.parent]
			if up.chunk || up.tag[0] == octetString|0x20 {
				if e.tag[0]&^0x20 != octetString {
					return nil, ErrMalformed
				}
				e.chunk = true
			}
		}
		list = append(list, e)
		if e.inner {
			open = append(open, len(list)-1)
		}
		if len(open) > berDepth || len(list) > berElements {
			return nil, ErrBounds
		}
		pos = next
	}
}

// limitOf is where the innermost element of known length ends.
func limitOf(list []element, open []int, limit int) int {
	for _, i := range slices.Backward(open) {
		if list[i].end >= 0 {
			return list[i].end
		}
	}
	return limit
}

// readElement reads identifier and length octets at pos (X.690 §8.1). next is
// the first child of a constructed element, else what follows it.
func readElement(b []byte, pos, limit int) (e element, next int, err error) {
	at := pos
	if at >= limit {
		return e, 0, ErrMalformed
	}
	e.inner = b[at]&0x20 != 0
	if b[at]&0x1f == 0x1f { // high tag numbers: CMS has none above 30
		return e, 0, ErrMalformed
	}
	e.tag = b[at : at+1]
	at++
	if at >= limit {
		return e, 0, ErrMalformed
	}
	first := b[at]
	at++
	switch {
	case first == 0x80:
		if !e.inner {
			return e, 0, ErrMalformed
		}
		e.start, e.end = at, -1
		return e, at, nil
	case first < 0x80:
		e.end = at + int(first)
	default:
		n := int(first & 0x7f)
		if n > 8 || at+n > limit {
			return e, 0, ErrMalformed
		}
		size := 0
		for _, c := range b[at : at+n] {
			if size > len(b) {
				return e, 0, ErrMalformed
			}
			size = size<<8 | int(c)
		}
		at += n
		e.end = at + size
		if size > len(b) {
			return e, 0, ErrMalformed
		}
	}
	e.start = at
	if e.end > limit {
		return e, 0, ErrMalformed
	}
	if e.inner {
		return e, at, nil
	}
	return e, e.end, nil
}

// lengthOctets is the DER form of a length (X.690 §10.1).
func lengthOctets(n int) []byte {
	if n < 0x80 {
		return []byte{byte(n)}
	}
	var out []byte
	for v := n; v > 0; v >>= 8 {
		out = append(out, byte(v))
	}
	out = append(out, 0x80|byte(len(out)))
	slices.Reverse(out)
	return out
}
