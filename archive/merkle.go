package archive

import (
	"crypto/sha256"
	"errors"

	"github.com/protodaemon/protodaemon/register"
	"github.com/protodaemon/protodaemon/store"
)

// The Merkle tree over the happenings of a closing is that of RFC 9162 §2.1,
// with the hash of an entry's record in its leaf: who knows only that a leaf
// stands beside his own cannot find out by guessing what entry it is of.

// leafOf is the leaf of a happening: SHA-256(0x00 ‖ hash of its record ‖ the
// entry as the record holds it).
func leafOf(record store.Digest, entry []byte) (leaf store.Digest) {
	h := sha256.New()
	h.Write([]byte{0})
	h.Write(record[:])
	h.Write(entry)
	h.Sum(leaf[:0])
	return leaf
}

func leaf(h register.Happening) store.Digest { return leafOf(h.Record, h.Raw) }

// node is SHA-256(0x01 ‖ left ‖ right).
func node(left, right store.Digest) (n store.Digest) {
	h := sha256.New()
	h.Write([]byte{1})
	h.Write(left[:])
	h.Write(right[:])
	h.Sum(n[:0])
	return n
}

// rootOf is the root over leaves; of none it is the SHA-256 of nothing.
func rootOf(leaves []store.Digest) store.Digest {
	switch n := len(leaves); n {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return leaves[0]
	default:
		k := split(n)
		return node(rootOf(leaves[:k]), rootOf(leaves[k:]))
	}
}

// split is the largest power of two below n.
func split(n int) int {
	k := 1
	for k*2 < n {
		k *= 2
	}
	return k
}

// pathOf is the audit path of a leaf, from below.
func pathOf(leaves []store.Digest, index int) []store.Digest {
	n := len(leaves)
	if n <= 1 {
		return nil
	}
	k := split(n)
	if index < k {
		return append(pathOf(leaves[:k], index), rootOf(leaves[k:]))
	}
	return append(pathOf(leaves[k:], index-k), rootOf(leaves[:k]))
}

var errPath = errors.New("the path does not fit the place of the entry")

// rootFrom is the root that a leaf and its path lead to (RFC 9162 §2.1.3.2).
func rootFrom(leaf store.Digest, index, size int, path []store.Digest) (store.Digest, error) {
	if index < 0 || index >= size {
		return store.Digest{}, errPath
	}
	at, last := index, size-1
	root := leaf
	for _, p := range path {
		if last == 0 {
			return store.Digest{}, errPath
		}
		if at%2 == 1 || at == last {
			root = node(p, root)
			for at%2 == 0 && at != 0 {
				at, last = at/2, last/2
			}
		} else {
			root = node(root, p)
		}
		at, last = at/2, last/2
	}
	if last != 0 {
		return store.Digest{}, errPath
	}
	return root, nil
}
