//go:build !pkcs11

package sign

import "fmt"

// OpenPKCS11 needs a program that was built with cgo and the tag pkcs11.
func OpenPKCS11(PKCS11) (Key, error) {
	return nil, fmt.Errorf("%w: this program was built without PKCS#11; build it with: CGO_ENABLED=1 go build -tags pkcs11 ./cmd/protodaemon", ErrUnusable)
}
