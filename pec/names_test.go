package pec

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestDecodeWords(t *testing.T) {
	for s, want := range map[string]string{
		"semplice": "semplice",
		"":         "",
		"=?iso-8859-15?Q?Costo_=A4?= =?utf-8?Q?_perch=C3?= =?utf-8?Q?=A9?=": "Costo € perché",
		"=?utf-8?B?cGVyY2jDqQ==?=":                            "perché",
		"=?utf-8?b?cGVyY2jDqQ?=":                              "perché",    // no padding
		"=?utf-8?B?cGVyY2jD?= =?utf-8?B?qSBubw==?=":           "perché no", // a character in two words
		"=?utf-8?B?cGVyY2?=\t=?utf-8?B?jDqSBubw==?=":          "perché no", // a group of base64 in two words
		"=?utf-8?B?cGVy?= =?utf-8?Q?ch=C3=A9?=":               "perché",
		"=?utf-8?B?cG Vy\tY2 jDqQ==?=":                        "perché",
		"=?utf-8?B?cGVy!Y2jDqQ==?=":                           "perché",
		"=?utf-8?B?cGVy==Y2jDqQ==?=":                          "perché",
		"=?utf-8*it?Q?perch=C3=A9?=":                          "perché",
		"=?UTF8?q?perch=c3=a9?=":                              "perché",
		"=?utf-8?Q?a b?=":                                     "a b",
		"=?utf-8?Q?tre=ZZ=3?=":                                "tre=ZZ=3",
		"=?utf-8?Q??=x":                                       "x",
		"a =?utf-8?Q?b?= c":                                   "a b c",
		"a=?utf-8?Q?b?=c":                                     "abc",
		"=?utf-8?Q?a?=   =?iso-8859-1?Q?=E9?=":                "aé",
		"=?utf-8?Q?a?= x =?utf-8?Q?b?=":                       "a x b",
		"=?iso-8859-1?Q?perch=C3=A9?=":                        "perché", // UTF-8 declared Latin-1
		"=?utf-8?Q?perch=E9?=":                                "perché", // and the reverse
		"=?us-ascii?Q?perch=E9?=":                             "perché",
		"=?unknown-8bit?Q?perch=E9?=":                         "perché",
		"=?windows-1252?Q?=93s=EC=94?=":                       "“sì”",
		"=?utf-7?Q?+AOg-?= =?utf-7?Q?+AOg?= =?utf-7?Q?+AOg?=": "èèè",
		"=?utf-8?Q?Perch=C3=A9_=28lungo":                      "Perché (lungo", // cut off
		"=?utf-8?B?cGVyY2jDqSBu":                              "perché n",
		"=?utf-8?Q?non chiusa e lunga":                        "=?utf-8?Q?non chiusa e lunga",
		"=?utf-8?Q?a =?utf-8?Q?b?=":                           "=?utf-8?Q?a b",
		"=?bad":                                               "=?bad",
		"=?utf-8?X?a?=":                                       "=?utf-8?X?a?=",
		"=??Q?a?=":                                            "=??Q?a?=",
		"2 =? 3":                                              "2 =? 3",
		"perch\xe9 =?utf-8?Q?no?=":                            "perché no",
		"perché":                                              "perché",
		"=?" + strings.Repeat("x", 41) + "?Q?a?=":             "=?" + strings.Repeat("x", 41) + "?Q?a?=",
	} {
		if got := decodeWords(s); got != want {
			t.Errorf("%q\n gives %q\n want %q", s, got, want)
		}
	}
}

// TestNameForms: the standard forms of a file name, and the mixtures in the wild.
func TestNameForms(t *testing.T) {
	for field, want := range map[string]string{
		// The rules.
		`attachment; filename=lettera.pdf`:                                                 "lettera.pdf",
		`attachment; filename="lettera e nota.pdf"`:                                        "lettera e nota.pdf",
		`attachment; filename*=UTF-8''Perch%C3%A9.pdf`:                                     "Perché.pdf",
		`attachment; filename*=utf-8'it'Perch%C3%A9.pdf`:                                   "Perché.pdf",
		`attachment; filename*=iso-8859-15''100%A4.pdf`:                                    "100€.pdf",
		`attachment; filename*0="lun"; filename*1="go.pdf"`:                                "lungo.pdf",
		`attachment; filename*0*=utf-8''Perch%C3; filename*1*=%A9%20n; filename*2="o.pdf"`: "Perché no.pdf", // a character in two pieces
		`attachment; filename*1*=%C3%A9.pdf; filename*0*=utf-8''Perch`:                     "Perché.pdf",
		`attachment; FileName*0*="utf-8''Perch%C3%A9"; FILENAME*1=".pdf"`:                  "Perché.pdf",
		`attachment; filename="a \"b\" c.pdf"`:                                             "a _b_ c.pdf",
		// Encoded words where RFC 2047 §5 forbids them.
		`attachment; filename="=?utf-8?Q?Perch=C3=A9.pdf?="`:                   "Perché.pdf",
		`attachment; filename==?utf-8?Q?Perch=C3=A9.pdf?=`:                     "Perché.pdf",
		`attachment; filename==?utf-8?Q?a;b=3D.pdf?=; size=3`:                  "a;b=.pdf",
		`attachment; filename="=?utf-8?B?UGVyY2jDqQ==?= =?utf-8?B?LnBkZg==?="`: "Perché.pdf",
		`attachment; filename="=?utf-8?Q?Perch=C3?= =?utf-8?Q?=A9.pdf?="`:      "Perché.pdf",
		`attachment; filename="=?utf-8?Q?Perch=C3=A9?=.pdf"`:                   "Perché.pdf",
		// Mixtures.
		`attachment; filename*0="=?utf-8?B?UGVyY2j"; filename*1="DqS5wZGY=?="`:            "Perché.pdf",
		`attachment; filename*0="=?utf-8?Q?Perch=C3?="; filename*1="=?utf-8?Q?=A9.pdf?="`: "Perché.pdf",
		`attachment; filename*0*=utf-8''=?utf-8?Q?Perch=C3=A9.pdf?=`:                      "Perché.pdf",
		`attachment; filename*=Perch%C3%A9.pdf`:                                           "Perché.pdf", // no charset
		`attachment; filename*=Perch%E9.pdf`:                                              "Perché.pdf",
		`attachment; filename*=utf-8'Perch%C3%A9.pdf`:                                     "Perché.pdf", // one apostrophe
		`attachment; filename*="l'atto d'ufficio.pdf"`:                                    "l'atto d'ufficio.pdf",
		`attachment; filename*=iso-8859-1''Perch%C3%A9.pdf`:                               "Perché.pdf",    // UTF-8 declared Latin-1
		`attachment; filename*=utf-8''Perch%E9.pdf`:                                       "Perché.pdf",    // and the reverse
		`attachment; filename*0*=utf-8''Perch%C3%; filename*1*=A9.pdf`:                    "Perché.pdf",    // cut inside a byte
		`attachment; filename*0*=utf-8''Perch%C3%A9; filename*1=%20no.pdf`:                "Perché no.pdf", // a star forgotten
		`attachment; filename*1="lun"; filename*2="go.pdf"`:                               "lungo.pdf",
		`attachment; filename*0="a"; filename*2="c.pdf"`:                                  "ac.pdf",
		`attachment; filename="Perch%C3%A9%20no.pdf"`:                                     "Perché no.pdf", // no star at all
		`attachment; filename="Sconto 50%25.pdf"`:                                         "Sconto 50%25.pdf",
		`attachment; filename="Sconto_50%de.pdf"`:                                         "Sconto_50%de.pdf",
		`attachment; filename="=?utf-8?Q?=3D=3Futf-8=3FQ=3FPerch=3DC3=3DA9.pdf=3F=3D?="`:  "Perché.pdf", // encoded twice
		`attachment; filename="PerchÃ©.pdf"`:                                              "Perché.pdf",
		`attachment; filename*=utf-8''Perch%C3%83%C2%A9.pdf`:                              "Perché.pdf",
		`attachment; filename="Perch&eacute; &amp; no.pdf"`:                               "Perch&eacute; &amp; no.pdf",
		// Quotes missing or too many.
		`attachment; filename=lettera e nota.pdf`:         "lettera e nota.pdf",
		`attachment; filename=lettera e nota.pdf; size=3`: "lettera e nota.pdf",
		`attachment; filename="lettera.pdf`:               "lettera.pdf",
		`attachment; filename="lettera.pdf; size=3`:       "lettera.pdf",
		`attachment; filename=lettera.pdf"; size=3`:       "lettera.pdf",
		`attachment; filename="Allegato "A".pdf"; size=3`: "Allegato _A_.pdf",
		`attachment; filename="lettera.pdf" size=3`:       "lettera.pdf",
		`attachment; filename="a;b.pdf"`:                  "a;b.pdf",
		`attachment; filename=a;b.pdf; size=3`:            "a;b.pdf",
		`attachment; filename="C:\dir\"; size=3`:          "dir",
		`attachment; filename = "lettera.pdf"`:            "lettera.pdf",
		`attachment filename="lettera.pdf"`:               "lettera.pdf",
		`filename="lettera e nota.pdf"`:                   "lettera e nota.pdf",
		`attachment; filename=""; filename="b.pdf"`:       "b.pdf",
		`attachment; filename="a.pdf"; filename="b.pdf"`:  "a.pdf",
		// Bytes.
		"attachment; filename=\"Perch\xe9.pdf\"":                "Perché.pdf",
		"attachment; filename=\"Perché.pdf\"":                   "Perché.pdf",
		"attachment; filename=Perch\xc3\xa9.pdf":                "Perché.pdf",
		"attachment; filename=\"=?macintosh?Q?Perch=8E.pdf?=\"": "Perché.pdf",
		// Nothing.
		`attachment`:                                "",
		`attachment; filename=`:                     "",
		`attachment; filename*=utf-8''`:             "",
		`attachment; filename="=?utf-8?Q??="`:       "",
		`attachment; filename*x*=a; filename*-1*=b`: "",
	} {
		names := namesGiven(field, "")
		got := ""
		for _, n := range names {
			got, _ = decodeName(n.raw)
			if got, _ = cleanName(got); got != "" {
				break
			}
		}
		if got != want {
			t.Errorf("%s\n gives %q %v\n want %q", field, got, names, want)
		}
	}
}

// TestNamePrecedence: two fields and two forms may each give a name.
func TestNamePrecedence(t *testing.T) {
	for _, test := range []struct{ disposition, contentType, shown, other string }{
		{`attachment; filename="a.pdf"; filename*=utf-8''b.pdf`, `application/pdf; name="c.pdf"`, "b.pdf", ""},
		{`attachment; filename="a.exe"; filename*=utf-8''b.pdf`, `application/pdf; name="c.pdf"`, "b.pdf", "a.exe"},
		{`attachment; filename="a.pdf"`, `application/pdf; name="c.exe"`, "a.pdf", "c.exe"},
		{`attachment`, `application/pdf; name*=utf-8''c.pdf; name="c.scr"`, "c.pdf", "c.scr"},
		{``, `application/pdf; name="a.PDF"`, "a.PDF", ""},
		{`attachment; filename="Perche.pdf"; filename*=utf-8''Perch%C3%A9.PDF`, ``, "Perché.PDF", ""},
		{`attachment; filename=" "`, `application/pdf; name="a.pdf"`, "a.pdf", ""},
		{``, ``, "", ""},
	} {
		p := &part{header: header{fields: []field{{"content-disposition", test.disposition}, {"content-type", test.contentType}}}}
		if got, other := fileName(p), otherName(test.disposition, test.contentType); got != test.shown || other != test.other {
			t.Errorf("%s, %s: %q and %q, want %q and %q", test.disposition, test.contentType, got, other, test.shown, test.other)
		}
	}
}

func TestCleanName(t *testing.T) {
	// Of these nobody need be told.
	quiet := map[string]bool{"lettera.pdf": true, "Perché no.pdf": true, "Perche\u0301.pdf": true, "conto.pdf": true, "COM10.pdf": true, "": true, " ": true, "a\r\nb.pdf": true}
	long := strings.Repeat("è", 300)
	for s, want := range map[string]string{
		"lettera.pdf":                   "lettera.pdf",
		"Perché no.pdf":                 "Perché no.pdf",
		"Perche\u0301.pdf":              "Perché.pdf", // as macOS writes it
		"../../etc/passwd":              "passwd",
		`C:\Users\x\contratto.pdf`:      "contratto.pdf",
		`\\server\share\a.pdf`:          "a.pdf",
		"/":                             "",
		"determina 12/2026.pdf":         "determina 12-2026.pdf",
		"10/03/2026.pdf":                "10-03-2026.pdf",
		"/12/2026.pdf":                  "2026.pdf",
		"atti/12/2026.pdf":              "12-2026.pdf",
		"file.pdf:evil.exe":             "file.pdf_evil.exe", // a stream of NTFS
		`a<b>c|d?e*f"g.pdf`:             "a_b_c_d_e_f_g.pdf",
		"a／b＼c：d.pdf":                   "a_b_c_d.pdf",
		"fattura\u202efdp.exe":          "fatturafdp.exe",
		"fat\u200btu\u00adra\ufeff.pdf": "fattura.pdf",
		"a\U000e0041b.pdf":              "ab.pdf",
		"a\x00b\x1b\u0085.pdf":          "ab .pdf",
		"a\r\nb.pdf":                    "a b.pdf",
		"fattura.pdf                                            .exe": "fattura.pdf .exe",
		"fattura.pdf\u00a0\u2003\u3000\u2800\u2800.exe":               "fattura.pdf .exe",
		"...nascosto": "nascosto",
		"finale. . .": "finale",
		".. ..":       "",
		"":            "",
		" ":           "",
		"CON":         "_CON",
		"nul.txt":     "_nul.txt",
		"Aux .tar.gz": "_Aux .tar.gz",
		"com1":        "_com1",
		"LPT¹.pdf":    "_LPT¹.pdf",
		"conto.pdf":   "conto.pdf",
		"COM10.pdf":   "COM10.pdf",
		"CONIN$":      "_CONIN$",
		"a\xffb.pdf":  "a\uFFFDb.pdf",
		"z" + strings.Repeat("\u0301", 500) + ".pdf": "ź" + strings.Repeat("\u0301", 7) + ".pdf",
		strings.Repeat("x", 5000) + ".pdf":           strings.Repeat("x", 196) + ".pdf",
		strings.Repeat("x", 5000) + ".pdf.p7m":       strings.Repeat("x", 192) + ".pdf.p7m",
		strings.Repeat("x", 5000):                    strings.Repeat("x", 200),
		long + ".pdf":                                strings.Repeat("è", 98) + ".pdf",
		"x." + strings.Repeat("y", 5000):             "x." + strings.Repeat("y", 198),
		strings.Repeat("x", 199) + " y.pdf":          strings.Repeat("x", 196) + ".pdf",
		strings.Repeat("fattura.pdf ", 30) + ".exe":  strings.TrimSuffix(strings.Repeat("fattura.pdf ", 30)[:196], " ") + ".exe",
	} {
		got, changed := cleanName(s)
		if got != want {
			t.Errorf("%q\n gives %q\n want %q", s, got, want)
		}
		if again, more := cleanName(got); again != got || more {
			t.Errorf("%q cleaned again is %q, %v", got, again, more)
		}
		if changed == quiet[s] {
			t.Errorf("%q: changed is %v", s, changed)
		}
		if len(got) > nameMax || !utf8.ValidString(got) {
			t.Errorf("%q: %d bytes", got, len(got))
		}
	}
}

func TestParams(t *testing.T) {
	value, params := parseParams(`multipart/signed; boundary="a;b\"c"; micalg=sha-256 (the digest); protocol="application/pkcs7-signature"; boundary=z; charset="utf-8" (x); X`)
	if value != "multipart/signed" || params["boundary"] != `a;b"c` || params["micalg"] != "sha-256" ||
		params["protocol"] != "application/pkcs7-signature" || params["charset"] != "utf-8" || len(params) != 4 {
		t.Errorf("%q %q", value, params)
	}
	if value, params := parseParams("text/plain"); value != "text/plain" || params["charset"] != "" {
		t.Errorf("%q %q", value, params)
	}
	// A boundary ends at the first quote, as in every other program.
	if _, params := parseParams(`multipart/mixed; boundary="a"b"; name="c"d".txt"`); params["boundary"] != "a" || params["name"] != `c"d".txt` {
		t.Errorf("%q", params)
	}
}

// TestGuessesAreTold: what is read by guess, or differently by other programs,
// is warned of; what is certain is not.
func TestGuessesAreTold(t *testing.T) {
	const pdf = "Content-Type: application/pdf\r\nContent-Disposition: attachment; filename="
	for raw, want := range map[string]string{
		"Subject: Perch\xe9\r\n\r\nx":                                                  "charset-guessed",
		"Subject: =?us-ascii?Q?Perch=E9?=\r\n\r\nx":                                    "charset-guessed",
		"From: Mar\xec <a@b.it>\r\n\r\nx":                                              "charset-guessed",
		"Subject: Perché\r\nFrom: =?utf-8?Q?Mar=C3=AC?= <a@b.it>\r\n\r\nx":             "",
		"Content-Type: text/plain; charset=utf-8\r\n\r\nperch\xe9":                     "charset-guessed",
		"Content-Type: text/plain; charset=iso-8859-1\r\n\r\nperché":                   "",
		"Content-Type: text/plain; charset=utf-8\r\n\r\nperchÃ©":                       "charset-guessed",
		"Content-Type: text/plain; charset=x-inventato\r\n\r\nperch\xe9":               "unknown-charset",
		"Content-Type: text/html\r\n\r\n<meta charset=latin9>perch\xe9 \xa4":           "",
		"Content-Type: text/html; charset=utf-8\r\n\r\n<meta charset=latin9>perch\xe9": "",
		pdf + "\"Perch\xe9.pdf\"\r\n\r\nx":                                             "charset-guessed",
		pdf + "\"Perché.pdf\"\r\n\r\nx":                                                "",
		pdf + "\"PerchÃ©.pdf\"\r\n\r\nx":                                               "charset-guessed",
		pdf + "\"x.exe\"; filename*=utf-8''x.pdf\r\n\r\nx":                             "attachment-name-differs",
		pdf + "\"x.pdf          .exe\"\r\n\r\nx":                                       "attachment-name-cleaned",
		pdf + "\"nul.pdf\"\r\n\r\nx":                                                   "attachment-name-cleaned",
	} {
		a := Read(t.Context(), strings.NewReader(raw), int64(len(raw)), Options{})
		got := ""
		for _, w := range a.Warnings {
			got += w.Code
		}
		if got != want {
			t.Errorf("%q: %v, want %q", raw, a.Warnings, want)
		}
	}
}

func BenchmarkDecodeWords(b *testing.B) {
	for name, s := range map[string]string{"plain": "Richiesta di iscrizione all'albo - sollecito + allegati", "words": "=?utf-8?Q?Perch=C3=A9?= =?utf-8?B?IG5vbiDDqCBjb3PDrA==?="} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				decodeWords(s)
			}
		})
	}
}

func BenchmarkParams(b *testing.B) {
	const field = `attachment; filename="lettera e nota.pdf"; size=1234`
	b.Run("parse", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			parseParams(field)
		}
	})
	b.Run("name", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			nameParams(field, "filename")
		}
	})
	b.Run("none", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			parseParams("text/plain")
		}
	})
}

func BenchmarkLine(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		line("Richiesta di iscrizione all'albo")
	}
}

func BenchmarkCleanName(b *testing.B) {
	for name, s := range map[string]string{"plain": "lettera e nota.pdf", "letters": "Perché così, è l'ora.pdf"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				cleanName(s)
			}
		})
	}
}
