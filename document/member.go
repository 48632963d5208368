package document

import "io"

// member is a file found in another, before it is looked into itself.
type member struct {
	File
	// at has its bytes where they lie; nil when they are packed, or out of reach.
	at io.ReaderAt
	// unpack reads a packed one to its end, or to an error that says why its
	// bytes are not what the archive says; nil when it is not packed.
	unpack func() io.Reader
}
