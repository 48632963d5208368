package web

import (
	"mime"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestASafeNameIsLeftOfWhatSendersWrite(t *testing.T) {
	for name, want := range map[string]string{
		"parcere.pdf":                      "parcere.pdf",
		"Relazione è città.pdf":            "Relazione è città.pdf",
		"../../etc/passwd":                 "_.._etc_passwd",
		`C:\Temp\virus.exe`:                "C__Temp_virus.exe",
		"a\"; filename=\"b.html":           "a__ filename=_b.html",
		"a\r\nSet-Cookie: x=1.pdf":         "aSet-Cookie_ x=1.pdf",
		"fattura\u202efdp.exe":             "fatturafdp.exe",
		".htaccess":                        "htaccess",
		"   ":                              "allegato",
		"":                                 "allegato",
		"...":                              "allegato",
		"bad\xff.pdf":                      "bad_.pdf",
		strings.Repeat("è", 200) + ".pdf":  strings.Repeat("è", longestName/2) + ".pdf",
		"a." + strings.Repeat("x", 30):     "a." + strings.Repeat("x", 30),
		"<script>alert(1)</script>.p7m":    "_script_alert(1)__script_.p7m",
		"trailing dot.":                    "trailing dot",
		"zero\x00byte.pdf":                 "zerobyte.pdf",
		"tab\tand\u2028line separator.txt": "tabandline separator.txt",
	} {
		if got := safeName(name); got != want {
			t.Errorf("%q becomes %q, want %q", name, got, want)
		}
	}
}

func FuzzDisposition(f *testing.F) {
	for _, name := range []string{"a.pdf", "è.pdf", "a\"\r\nb", "\xff", "%41.exe", "../x", "😀.tar.gz", `\`} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		d := disposition(name)
		for _, c := range d {
			if c < ' ' || c > '~' {
				t.Fatalf("%q: the header holds %q", name, c)
			}
		}
		kind, params, err := mime.ParseMediaType(d)
		if err != nil || kind != "attachment" {
			t.Fatalf("%q: %q reads as %s, %v", name, d, kind, err)
		}
		read := params["filename"]
		if read == "" || !utf8.ValidString(read) || len(read) > longestName+16 || strings.ContainsAny(read, `/\`) {
			t.Errorf("%q: the name becomes %q", name, read)
		}
	})
}

func TestNothingThatABrowserRunsIsNamed(t *testing.T) {
	for _, bad := range []string{"text/html", "image/svg+xml", "application/xhtml+xml", "text/xml", "text/javascript", "TEXT/HTML", "", "application/pdf; x", "text/plain"} {
		if got := inert(bad); got != "application/octet-stream" {
			t.Errorf("%q is sent as %q", bad, got)
		}
	}
	if got := inert("Application/PDF"); got != "application/pdf" {
		t.Errorf("a PDF is sent as %q", got)
	}
}
