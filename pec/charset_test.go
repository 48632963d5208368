package pec

import (
	"encoding/json"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
)

// TestCharsetNames: the spellings in the field, and what they mean.
func TestCharsetNames(t *testing.T) {
	for want, names := range map[string]string{
		"utf-8":        "utf-8|UTF8|utf_8|UTF-8;|\"utf-8\"|'utf8'|utf-8; format=flowed|utf8mb4|unicode-1-1-utf-8|cp65001| utf-8 |utf-8 (Unicode)|utf-8,iso-8859-1",
		"us-ascii":     "us-ascii|US_ASCII|ascii|ANSI_X3.4-1968|iso-646-us|646",
		"windows-1252": "iso-8859-1|iso8859-1|ISO_8859-1|iso_8859-1:1987|iso88591|8859-1|latin1|latin-1|l1|windows-1252|windows1252|cp-1252|cp1252|CP_1252|win-1252|x-cp1252|ansi|x-ansi|iso-8859",
		"iso-8859-15":  "iso-8859-15|iso8859-15|iso885915|latin9|latin-9|latin0|iso-8859-15@euro|l9",
		"macintosh":    "macintosh|mac|MacRoman|x-mac-roman|x-macintosh|mac-roman|apple-macintosh",
		"ibm850":       "ibm850|cp850|850|IBM-850|x-cp850|dos-850|cspc850multilingual",
		"ibm858":       "ibm858|cp858|ibm00858|858",
		"ibm437":       "ibm437|cp437|437|dos-437",
		"utf-7":        "utf-7|UTF7|unicode-1-1-utf-7",
		"utf-16":       "utf-16|utf16|unicode|ucs-2|iso-10646-ucs-2",
		"utf-16le":     "utf-16le|UTF16-LE",
		"utf-16be":     "utf-16be|unicodeFFFE",
		"":             "|unknown-8bit|x-unknown|unknown|default_charset|none|8bit|binary|base64|\"\"",
		"windows-1250": "windows-1250|cp1250|win1250|windows1250",
		"iso-8859-2":   "iso-8859-2|iso8859-2|iso88592",
		"koi8-r":       "koi8-r|koi8r",
		"cp852":        "cp852|CP852",
		"iso-2022-jp":  "iso-2022-jp|iso2022jp",
	} {
		for name := range strings.SplitSeq(names, "|") {
			if c, known := charsetOf(name); !known || c.name != want {
				t.Errorf("%q is %q, %v; want %q", name, c.name, known, want)
			}
		}
	}
	for _, name := range []string{"x-inventato", "cp037", "ibm1047", "replacement", "hz-gb-2312", "x-user-defined", "klingon", strings.Repeat("x", 5000)} {
		if c, known := charsetOf(name); known {
			t.Errorf("%q is %q", name, c.name)
		}
	}
}

// TestASCIIIsASCII: in every charset that is read plain ASCII means itself,
// which lets it pass without a look at the declaration.
func TestASCIIIsASCII(t *testing.T) {
	var ascii []byte
	for c := byte(' '); c < 0x7f; c++ {
		if c != '+' && c != '~' {
			ascii = append(ascii, c)
		}
	}
	names := []string{"cp437", "cp850", "macintosh", "utf-7", "iso-8859-15", "gbk", "big5", "shift_jis", "euc-kr", "koi8-r", "iso-2022-jp", "ibm866", "windows-874"}
	for _, name := range names {
		c, known := charsetOf(name)
		if !known {
			t.Fatalf("%s is not known", name)
		}
		if text, d := c.read(ascii); text != string(ascii) || d != sure {
			t.Errorf("%s: %q, %v", name, text, d)
		}
	}
}

func TestReadText(t *testing.T) {
	long := strings.Repeat("è così ", 20)
	latin := func(s string) string {
		b, err := charmap.Windows1252.NewEncoder().String(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for name, test := range map[string]struct {
		raw, declared, want string
		doubt               doubt
	}{
		"UTF-8":                             {"perché", "utf-8", "perché", sure},
		"UTF-8 declared Latin-1":            {"perché", "iso-8859-1", "perché", sure},
		"UTF-8 declared ASCII":              {"perché", "us-ascii", "perché", sure},
		"UTF-8 declared macintosh":          {"perché", "macintosh", "perché", sure},
		"UTF-8 undeclared":                  {"perché", "", "perché", sure},
		"UTF-8 with a mark":                 {"\xef\xbb\xbfperché", "iso-8859-1", "perché", sure},
		"Latin-1":                           {"perch\xe9", "iso-8859-1", "perché", sure},
		"Latin-1 declared UTF-8":            {"perch\xe9 no", "utf-8", "perché no", guessed},
		"Latin-1 declared ASCII":            {"perch\xe9", "us-ascii", "perché", guessed},
		"Latin-1 undeclared":                {"perch\xe9", "", "perché", guessed},
		"8 bit unknown":                     {"perch\xe9", "unknown-8bit", "perché", guessed},
		"in a charset nobody knows":         {"perch\xe9", "x-inventato", "perché", unnamed},
		"ASCII in a charset nobody knows":   {"perche", "x-inventato", "perche", sure},
		"UTF-8 in a charset nobody knows":   {"perché", "x-inventato", "perché", unnamed},
		"a chance pair in Latin-1":          {latin("«PERCHÉ» è così"), "", "«PERCHÉ» è così", guessed},
		"windows-1252 declared Latin-1":     {"\x93s\xec\x94 100 \x80", "iso-8859-1", "“sì” 100 €", sure},
		"windows-1252 in Latin-9":           {"\x93s\xec\x94 100 \xa4", "iso-8859-15", "“sì” 100 €", guessed},
		"no character in windows-1252":      {"a\x81b\xe9", "windows-1252", "a\uFFFDbé", guessed},
		"Latin-9":                           {"100 \xa4", "latin9", "100 €", sure},
		"macintosh":                         {"perch\x8e \xc7s\x93\xc8 \xdb", "x-mac-roman", "perché «sì» €", sure},
		"DOS 850":                           {"perch\x82 s\x8d citt\x85", "cp850", "perché sì città", sure},
		"DOS 437":                           {"perch\x82 s\x8d citt\x85", "ibm437", "perché sì città", sure},
		"DOS 858":                           {"100 \xd5", "cp858", "100 €", sure},
		"UTF-8 with a stray byte":           {long + "perch\xe9", "utf-8", long + "perché", guessed},
		"Latin-1 with UTF-8 in it":          {latin(long) + "perché", "utf-8", long + "perché", guessed},
		"Slovene UTF-8 with a stray byte":   {"čšž čšž perch\xe9", "utf-8", "čšž čšž perché", guessed},
		"UTF-16 with a mark":                {"\xff\xfes\x00\xec\x00", "utf-16", "sì", sure},
		"UTF-16 big with a mark":            {"\xfe\xff\x00s\x00\xec", "utf-16", "sì", sure},
		"UTF-16 with a mark, undeclared":    {"\xff\xfes\x00\xec\x00", "", "sì", sure},
		"UTF-16 with a mark, other order":   {"\xff\xfes\x00\xec\x00", "utf-16be", "sì", sure},
		"UTF-16 without a mark":             {"s\x00\xec\x00", "utf-16", "sì", sure},
		"UTF-16 big without a mark":         {"\x00s\x00\xec", "utf-16", "sì", sure},
		"UTF-16 in the other order":         {"s\x00\xec\x00", "utf-16be", "sì", guessed},
		"UTF-16 beyond the plane":           {"\x3d\xd8\x00\xde", "utf-16le", "😀", sure},
		"half of a pair":                    {"\x3d\xd8s\x00", "utf-16le", "\uFFFDs", guessed},
		"ASCII declared UTF-16":             {"semplice~", "utf-16", "semplice~", guessed},
		"UTF-8 declared UTF-16":             {"perché", "utf-16le", "perché", guessed},
		"UTF-7":                             {"perch+AOk- 1 +- 1 +IKw-", "utf-7", "perché 1 + 1 €", sure},
		"UTF-7 ended by a space":            {"+AMg vero", "utf-7", "È vero", sure},
		"UTF-7 beyond the plane":            {"+2D3eAA-", "utf-7", "😀", sure},
		"a plus that is none":               {"C++ e 3 + 4", "utf-7", "C++ e 3 + 4", sure},
		"8 bit declared UTF-7":              {"perché+", "utf-7", "perché+", guessed},
		"Latin-1 declared UTF-7":            {"perch\xe9+", "utf-7", "perché+", guessed},
		"ISO 2022":                          {"\x1b$B$3$s\x1b(B", "iso-2022-jp", "こん", sure},
		"8 bit declared ISO 2022":           {"perch\xe9", "iso-2022-jp", "perché", guessed},
		"GBK that is UTF-8 by chance":       {"\xc4\xa3", "gbk", "模", sure},
		"UTF-8 declared Shift JIS":          {"perché è così", "shift_jis", "perché è così", sure},
		"a capital and an ellipsis":         {"PERCH\xc9\x85", "windows-1252", "PERCHÉ…", sure},
		"a capital and an apostrophe":       {"PI\xd9\x92 E PERCH\xc9\xbb", "iso-8859-1", "PIÙ’ E PERCHÉ»", sure},
		"UTF-8 of one foreign letter":       {"Kova\xc4\x8d", "iso-8859-1", "Kovač", sure},
		"Slovene UTF-8 declared Latin-1":    {"Županja", "iso-8859-1", "Županja", sure},
		"macintosh that is UTF-8 by chance": {"\xc7\x8f", "macintosh", "«è", sure},
		"Slovene in its own":                {"\xe8 \x9a \x9e", "windows-1250", "č š ž", sure},
		"nothing":                           {"", "utf-16", "", sure},
		"controls are left to who shows it": {"a\x00b", "", "a\x00b", sure},
	} {
		got, d := readText([]byte(test.raw), test.declared)
		if got != test.want || d != test.doubt {
			t.Errorf("%s: %q, doubt %d; want %q, %d", name, got, d, test.want, test.doubt)
		}
	}
}

func TestUndouble(t *testing.T) {
	for s, want := range map[string]string{
		"perchÃ© no":   "perché no",
		"CittÃ\u00a0":  "Città",
		"Ã\u0088 vero": "È vero",
		"Ãˆ vero, â€œsÃ¬â€\u009d â‚¬ 10,00": "È vero, “sì” € 10,00",
		"lâ€™atto":  "l’atto",
		"perché":    "perché",
		"perchÃ© è": "perchÃ© è", // one letter is right: nobody knows what the rest was
		"SÃO PAULO": "SÃO PAULO",
		"Ä\u0081":   "Ä\u0081", // a letter that nobody here writes
		"Ââ":        "Ââ",
		"":          "",
	} {
		if got, ok := undouble(s); got != want || ok != (got != s) {
			t.Errorf("%q gives %q, %v; want %q", s, got, ok, want)
		}
	}
}

func TestMetaCharset(t *testing.T) {
	for doc, want := range map[string]string{
		`<meta charset=iso-8859-15>`: "iso-8859-15",
		`<META CharSet = "UTF-8" >`:  "utf-8",
		`<meta charset='cp1252'/>`:   "cp1252",
		`<meta http-equiv="Content-Type" content="text/html; charset=iso-8859-1">`: "iso-8859-1",
		`<?xml version="1.0" encoding="iso-8859-15"?><html>`:                       "iso-8859-15",
		`<meta charset=utf-16>`: "utf-8",
		`<p>nessuno</p>`:        "",
		`<p>charset</p>`:        "",
		strings.Repeat(" ", 5000) + `<meta charset=iso-8859-15>`: "",
	} {
		if got := metaCharset([]byte(doc)); got != want {
			t.Errorf("%s: %q, want %q", doc, got, want)
		}
	}
}

// TestCharsetsAgainstPython: Python's codecs decode the same bytes to the same
// text, over generated Italian and over noise.
func TestCharsetsAgainstPython(t *testing.T) {
	python := map[string]string{"utf-8": "utf-8", "windows-1252": "cp1252", "iso-8859-15": "iso8859-15", "macintosh": "mac-roman", "cp850": "cp850",
		"cp858": "cp858", "cp437": "cp437", "utf-16le": "utf-16-le", "utf-16be": "utf-16-be", "utf-16": "utf-16", "utf-7": "utf-7",
		"windows-1250": "cp1250", "iso-8859-2": "iso8859-2", "koi8-r": "koi8-r"}
	type sample struct {
		Charset string `json:"charset"`
		Text    string `json:"text,omitempty"` // to be encoded and read back
		Raw     []byte `json:"raw,omitempty"`  // what Python made of it
		Ours    string `json:"-"`
	}
	random := rand.New(rand.NewPCG(1, 2))
	letters := []rune("abcdefghi jklmno àèéìòù ÀÈÉÌÒÙ çñöüß «»°§ .,:;-'\"()/1234567890 €“”’–")
	var samples []sample
	for ours, theirs := range python {
		for range 60 {
			var b strings.Builder
			for range 1 + random.IntN(80) {
				b.WriteRune(letters[random.IntN(len(letters))])
			}
			samples = append(samples, sample{Charset: theirs, Text: b.String(), Ours: ours})
		}
	}
	in, err := json.Marshal(samples)
	if err != nil {
		t.Fatal(err)
	}
	// What a charset lacks is left out, so the text comes back changed.
	cmd := exec.CommandContext(t.Context(), "python3", "-c", `
import base64, json, sys
out = []
for s in json.load(sys.stdin):
    raw = s["text"].encode(s["charset"], "ignore")
    out.append({"charset": s["charset"], "text": raw.decode(s["charset"]), "raw": base64.b64encode(raw).decode()})
json.dump(out, sys.stdout)`)
	cmd.Stdin = strings.NewReader(string(in))
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("python3: %v", err)
	}
	var answers []sample
	if err := json.Unmarshal(out, &answers); err != nil || len(answers) != len(samples) {
		t.Fatalf("%v, %d answers", err, len(answers))
	}
	chances := 0
	for i, a := range answers {
		if c, _ := charsetOf(samples[i].Ours); c.form == singleForm && beyondASCII(a.Raw) && utf8.Valid(a.Raw) {
			chances++ // "É§" is a letter in UTF-8; TestReadText has those that matter
			continue
		}
		if got, d := readText(a.Raw, samples[i].Ours); got != a.Text || d != sure {
			t.Errorf("%s: %x is %q (doubt %d); python says %q", samples[i].Ours, a.Raw, got, d, a.Text)
		}
	}
	if chances > len(answers)/100 {
		t.Errorf("%d of %d samples are UTF-8 by chance", chances, len(answers))
	}
}

// TestTablesAgainstPython: every byte of every single-byte charset in use.
func TestTablesAgainstPython(t *testing.T) {
	tables := map[string]string{"windows-1252": "cp1252", "iso-8859-15": "iso8859-15", "macintosh": "mac-roman", "cp850": "cp850", "cp858": "cp858", "cp437": "cp437"}
	for ours, theirs := range tables {
		out, err := exec.CommandContext(t.Context(), "python3", "-c", `
import json, sys
print(json.dumps([bytes([i]).decode(sys.argv[1], "replace") for i in range(128, 256)]))`, theirs).Output()
		if err != nil {
			t.Fatalf("python3: %v", err)
		}
		var want []string
		if err := json.Unmarshal(out, &want); err != nil {
			t.Fatal(err)
		}
		c, _ := charsetOf(ours)
		for i, w := range want {
			b := byte(128 + i)
			got, d := c.decode([]byte{b})
			if r, _ := utf8.DecodeRuneInString(w); controlC1(r) { // ISO 8859 has controls where windows-1252 has characters
				w = string(windows1252(b))
				if d != guessed {
					t.Errorf("%s: byte %#x is not doubted", ours, b)
				}
			}
			if got != w {
				t.Errorf("%s: byte %#x is %q, python says %q", ours, b, got, w)
			}
		}
	}
}

// TestRegisteredEncodings: whatever name the web has leads to an encoding that
// reads or to none, never to a panic.
func TestRegisteredEncodings(t *testing.T) {
	for _, name := range []string{"gb18030", "gbk", "big5", "euc-jp", "shift_jis", "euc-kr", "iso-8859-8-i", "x-mac-cyrillic", "windows-1258", "iso-8859-16", "ibm866"} {
		if _, err := htmlindex.Get(name); err != nil {
			t.Fatal(err)
		}
		if text, d := readText([]byte("x\xc3"), name); !utf8.ValidString(text) || d == unnamed {
			t.Errorf("%s: %q %d", name, text, d)
		}
	}
}

func BenchmarkReadText(b *testing.B) {
	for name, test := range map[string]struct{ unit, declared string }{"ASCII": {"Si trasmette quanto in oggetto.\r\n", "iso-8859-15"},
		"UTF-8": {"Perché è così, però.\r\n", "utf-8"}, "Latin-9": {"Perch\xe9 \xe8 cos\xec, per\xf2.\r\n", "iso-8859-15"}} {
		raw := []byte(strings.Repeat(test.unit, 3000))
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(raw)))
			b.ReportAllocs()
			for b.Loop() {
				readText(raw, test.declared)
			}
		})
	}
}
