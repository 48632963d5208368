package cms

import (
	"bytes"
	"strings"
	"testing"
)

// FuzzBER: what comes out is definite and stays as it is when done again, and
// DER comes out as it went in.
func FuzzBER(f *testing.F) {
	for _, s := range []string{"\x30\x00", "\x30\x80\x00\x00", "\x24\x80\x04\x01a\x04\x02bc\x00\x00", "\x30\x82\x00\x03\x02\x01\x05",
		"\x30\x80\xa0\x80\x24\x80\x24\x03\x04\x01x\x00\x00\x00\x00\x00\x00", strings.Repeat("\x30\x80", 100)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		der, err := derFromBER(b)
		if err != nil {
			return
		}
		again, err := derFromBER(der)
		if err != nil || !bytes.Equal(der, again) {
			t.Errorf("%x -> %x -> %x, %v", b, der, again, err)
		}
	})
}

func TestDERFromBER(t *testing.T) {
	for in, want := range map[string]string{
		"\x24\x80\x04\x01a\x24\x80\x04\x02bc\x00\x00\x00\x00": "\x04\x03abc",
		"\x30\x81\x03\x02\x01\x05":                            "\x30\x03\x02\x01\x05",
		"\x30\x80\x02\x01\x05\x00\x00tail":                    "\x30\x03\x02\x01\x05",
		"\x30\x03\x02\x01\x05":                                "\x30\x03\x02\x01\x05",
	} {
		if got, err := derFromBER([]byte(in)); err != nil || string(got) != want {
			t.Errorf("%x: %x %v", in, got, err)
		}
	}
	for _, in := range []string{"", "\x30", "\x30\x05\x02\x01\x05", "\x04\x80\x00\x00", "\x24\x03\x02\x01\x05", "\x30\x88\xff\xff\xff\xff\xff\xff\xff\xff", "\x30\x03\x02\x05\x05"} {
		if got, err := derFromBER([]byte(in)); err == nil {
			t.Errorf("%x accepted: %x", in, got)
		}
	}
}
