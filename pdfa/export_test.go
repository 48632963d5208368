package pdfa

import (
	"errors"
	"io"
)

// Deflate compresses b with the encoder of this package.
func Deflate(to io.Writer, b []byte) error {
	z := newDeflater(to)
	_, err := z.Write(b)
	return errors.Join(err, z.Close())
}
