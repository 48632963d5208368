package pdfa

import (
	"encoding/binary"
	"hash/adler32"
	"io"
	"math/bits"
)

// A small deflate encoder (RFC 1950, RFC 1951): matches found by a hash of
// three bytes, fixed Huffman codes. Its output depends on its input alone,
// unlike that of compress/flate, which later releases of Go may change. It
// works in blocks, so that it needs little memory.

const (
	blockSize = 128 << 10
	window    = 32 << 10
	minMatch  = 3
	maxMatch  = 258
	hashBits  = 15
	tries     = 16 // candidates looked at for each match
)

type deflater struct {
	to    io.Writer
	block []byte
	sum   uint32
	held  uint64
	count uint
	out   []byte
	begun bool
	err   error

	// Where the bytes stood last that have a hash, and for each place the one
	// before it: place + 1 + base. What is not above base is of a block before.
	head     *[1 << hashBits]int32
	previous []int32
	base     int32
}

func newDeflater(to io.Writer) *deflater { return &deflater{to: to, sum: 1} }

// again begins another stream to the same writer, in the same memory.
func (z *deflater) again() *deflater {
	*z = deflater{to: z.to, sum: 1, block: z.block[:0], out: z.out[:0], head: z.head, previous: z.previous, base: z.base}
	return z
}

func (z *deflater) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		take := min(len(b), blockSize-len(z.block))
		z.block = append(z.block, b[:take]...)
		b = b[take:]
		if len(z.block) == blockSize && len(b) > 0 {
			z.flush(false)
		}
	}
	return n, z.err
}

func (z *deflater) Close() error {
	z.flush(true)
	for ; z.count > 0; z.count -= min(z.count, 8) {
		z.out = append(z.out, byte(z.held))
		z.held >>= 8
	}
	z.out = append(z.out, byte(z.sum>>24), byte(z.sum>>16), byte(z.sum>>8), byte(z.sum))
	z.send()
	return z.err
}

func (z *deflater) send() {
	if z.err == nil {
		_, z.err = z.to.Write(z.out)
	}
	z.out = z.out[:0]
}

// put appends the lowest bits of v, the lowest first.
func (z *deflater) put(v uint64, width uint) {
	z.held |= v << z.count
	if z.count += width; z.count >= 32 {
		z.out = binary.LittleEndian.AppendUint32(z.out, uint32(z.held))
		z.held >>= 32
		z.count -= 32
	}
}

// code appends a Huffman code, which goes highest bit first.
func (z *deflater) code(v uint64, width uint) {
	z.put(bits.Reverse64(v)>>(64-width), width)
}

// symbol writes a literal or length code of the fixed tree (RFC 1951 §3.2.6).
func (z *deflater) symbol(s int) {
	switch {
	case s < 144:
		z.code(uint64(0x30+s), 8)
	case s < 256:
		z.code(uint64(0x190+s-144), 9)
	case s < 280:
		z.code(uint64(s-256), 7)
	default:
		z.code(uint64(0xc0+s-280), 8)
	}
}

// flush writes what has been collected as one block.
func (z *deflater) flush(last bool) {
	if !z.begun {
		z.out, z.begun = append(z.out, 0x78, 0x9c), true
	}
	b := z.block
	z.sum = update(z.sum, b)
	final := uint64(0)
	if last {
		final = 1
	}
	z.put(final|1<<1, 3)
	if z.head == nil || z.base > 1<<30 {
		z.head, z.base = new([1 << hashBits]int32), 0
	}
	head, base := z.head, z.base
	z.base += int32(len(b))
	if len(z.previous) < len(b) {
		z.previous = make([]int32, max(len(b), 2*len(z.previous)))
	}
	previous := z.previous
	hashOf := func(i int) uint32 {
		return (uint32(b[i])<<16 | uint32(b[i+1])<<8 | uint32(b[i+2])) * 2654435761 >> (32 - hashBits)
	}
	insert := func(i int) {
		if i+minMatch <= len(b) {
			h := hashOf(i)
			previous[i], head[h] = head[h], int32(i+1)+base
		}
	}
	for i := 0; i < len(b); {
		length, distance := 0, 0
		if i+minMatch <= len(b) {
			candidate := int(head[hashOf(i)]-base) - 1
			for n := 0; n < tries && candidate >= 0 && i-candidate <= window; n++ {
				// A longer match goes on where the best one so far ends.
				if i+length < len(b) && b[candidate+length] == b[i+length] {
					if l := common(b[candidate:], b[i:]); l > length {
						length, distance = l, i-candidate
					}
				}
				candidate = int(previous[candidate]-base) - 1
			}
		}
		if length < minMatch {
			z.symbol(int(b[i]))
			insert(i)
			i++
			continue
		}
		z.match(length, distance)
		for range length {
			insert(i)
			i++
		}
	}
	z.symbol(256)
	z.block = z.block[:0]
	z.send()
}

func update(sum uint32, b []byte) uint32 {
	h := adler32.New()
	// adler32 offers no way to go on from a sum but its own state.
	s1, s2 := sum&0xffff, sum>>16
	if len(b) == 0 {
		return sum
	}
	h.Write(b)
	part := h.Sum32()
	p1, p2 := part&0xffff, part>>16
	const mod = 65521
	n := uint32(len(b) % mod)
	first := (s1 + p1 + mod - 1) % mod
	second := (s2 + p2 + n*((s1+mod-1)%mod)%mod) % mod
	return second<<16 | first
}

// common is how many bytes a and b begin with in common, up to maxMatch.
func common(a, b []byte) (n int) {
	most := min(len(a), len(b), maxMatch)
	for ; n+8 <= most; n += 8 {
		differ := binary.LittleEndian.Uint64(a[n:]) ^ binary.LittleEndian.Uint64(b[n:])
		if differ != 0 {
			return n + bits.TrailingZeros64(differ)/8
		}
	}
	for n < most && a[n] == b[n] {
		n++
	}
	return n
}

var lengths = [...]int{3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258}
var lengthBits = [...]uint{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0}

// lengthCodes is the place in lengths of each length of a match.
var lengthCodes = func() (codes [maxMatch + 1]byte) {
	for i, from := range lengths {
		for n := from; n <= maxMatch; n++ {
			codes[n] = byte(i)
		}
	}
	return codes
}()

var distances = [...]int{1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577}

func (z *deflater) match(length, distance int) {
	i := int(lengthCodes[length])
	z.symbol(257 + i)
	z.put(uint64(length-lengths[i]), lengthBits[i])
	k := distance - 1
	if n := bits.Len(uint(k)) - 1; n > 1 { // two codes for each power of two
		k = 2*n + k>>(n-1)&1
	}
	z.code(uint64(k), 5)
	z.put(uint64(distance-distances[k]), uint(max(k/2-1, 0)))
}
