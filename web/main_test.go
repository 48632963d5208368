package web

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(status int) {
		if b, err := beginning(); err != nil {
			fmt.Fprintln(os.Stderr, err)
		} else if err := os.RemoveAll(b.dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(status)
	}))
}
