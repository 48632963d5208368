//go:build !pkcs11

package sign_test

import (
	"strings"
	"testing"

	"github.com/protodaemon/protodaemon/sign"
)

// Without the tag the refusal says how to build.
func TestPKCS11NotBuiltIn(t *testing.T) {
	key, err := sign.OpenPKCS11(sign.PKCS11{Module: "/usr/lib/softhsm/libsofthsm2.so", Token: "protocollo", Key: "firma", PIN: []byte("24681357")})
	if key != nil || !errorIs(err, sign.ErrUnusable) || !strings.Contains(err.Error(), "go build -tags pkcs11 ./cmd/protodaemon") {
		t.Errorf("%v", err)
	}
}
