package pec_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/protodaemon/protodaemon/pec"
)

// TestRecipientsAreComparedWithTheOriginal: who daticert.xml says got the message
// has to be named in it; the certification stands all the same.
func TestRecipientsAreComparedWithTheOriginal(t *testing.T) {
	p := theProvider()
	raw := genuine(t, p)
	if a := read(raw, p); slices.Contains(codes(a), pec.RecipientsDiffer) {
		t.Fatalf("the genuine one: %v", a.Warnings)
	}
	changed := resign(t, p, raw, func(entity string) string {
		return strings.Replace(entity, "\r\nTo: ", "\r\nTo: altro@example.it\r\nX-To: ", 1)
	})
	a := read(changed, p)
	if a.Authenticity != pec.Certified || !slices.Contains(codes(a), pec.RecipientsDiffer) {
		t.Errorf("%s, warnings %v", a.Authenticity, a.Warnings)
	}
}
