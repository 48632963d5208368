package pec

import (
	"slices"
	"strings"
	"testing"
)

func TestParseAddresses(t *testing.T) {
	type list = []Address
	one := func(name, address string) list { return list{{name, address}} }
	for s, want := range map[string]list{
		// RFC 5322.
		`a@b.it`:                                 one("", "a@b.it"),
		`<a@b.it>`:                               one("", "a@b.it"),
		`Mario Rossi <a@b.it>`:                   one("Mario Rossi", "a@b.it"),
		`"Rossi, Mario" <a@b.it>`:                one("Rossi, Mario", "a@b.it"),
		`"Mario \"il\" Rossi" <a@b.it>`:          one(`Mario "il" Rossi`, "a@b.it"),
		`a@b.it (Mario Rossi)`:                   one("Mario Rossi", "a@b.it"),
		`Mario (ufficio) <a@b.it>`:               one("Mario (ufficio)", "a@b.it"),
		`a@b.it (Mario (il) Rossi)`:              one("Mario (il) Rossi", "a@b.it"),
		`a (x) @b.it`:                            one("x", "a@b.it"),
		`a@b.it, Mario <c@d.it>`:                 {{"", "a@b.it"}, {"Mario", "c@d.it"}},
		`Ufficio: a@b.it, Mario <c@d.it>;`:       {{"", "a@b.it"}, {"Mario", "c@d.it"}},
		`undisclosed-recipients:;`:               {},
		`"mario rossi"@b.it`:                     one("", `"mario rossi"@b.it`),
		`<"mario > rossi"@b.it>`:                 one("", `"mario > rossi"@b.it`),
		`"a@b.it"@c.it`:                          one("", `"a@b.it"@c.it`),
		`<@r.it,@s.it:a@b.it>`:                   one("", "a@b.it"),
		`a@[IPv6:2001:db8::1]`:                   one("", "a@[IPv6:2001:db8::1]"),
		`a @ b.it`:                               one("", "a@b.it"),
		`a@b . it`:                               one("", "a@b.it"),
		`mario@città.example`:                    one("", "mario@città.example"),
		`mario@xn--citt-eoa.example`:             one("", "mario@xn--citt-eoa.example"),
		`=?utf-8?Q?Mar=C3=AC?= Rossi <a@b.it>`:   one("Marì Rossi", "a@b.it"),
		`"=?utf-8?Q?Mar=C3=AC?= Rossi" <a@b.it>`: one("Marì Rossi", "a@b.it"),
		"Mar\xec <a@b.it>":                       one("Marì", "a@b.it"),
		// What stands for an address in PEC.
		`"Per conto di: a@b.it" <posta-certificata@p.it>`: one("Per conto di: a@b.it", "posta-certificata@p.it"),
		`Per conto di: a@b.it <posta-certificata@p.it>`:   one("Per conto di: a@b.it", "posta-certificata@p.it"),
		`Per conto di: a@b.it`:                            one("Per conto di:", "a@b.it"),
		`<mailto:a@b.it>`:                                 one("", "a@b.it"),
		`Mario Rossi a@b.it`:                              one("Mario Rossi", "a@b.it"),
		`"Mario Rossi" a@b.it`:                            one("Mario Rossi", "a@b.it"),
		`<a@b.it> Mario`:                                  one("Mario", "a@b.it"),
		`Mario`:                                           one("", "Mario"),
		`Mario <>`:                                        one("Mario", ""),
		`Mario <a@b.it`:                                   one("Mario", "a@b.it"),
		``:                                                {},
		` , ;, `:                                          {},
		// Rather two addresses than one.
		`a@b.it c@d.it`:                       {{"", "a@b.it"}, {"", "c@d.it"}},
		`a@b.it; c@d.it`:                      {{"", "a@b.it"}, {"", "c@d.it"}},
		`<a@b.it> <c@d.it>`:                   {{"", "a@b.it"}, {"", "c@d.it"}},
		`<a@b.it> c@d.it`:                     {{"", "a@b.it"}, {"", "c@d.it"}},
		`<a@b.it>c@d.it`:                      {{"", "a@b.it"}, {"", "c@d.it"}},
		`<a@b.it, c@d.it>`:                    {{"", "a@b.it"}, {"", "c@d.it"}},
		`<a@b.it c@d.it>`:                     {{"", "a@b.it"}, {"", "c@d.it"}},
		`<a@b.it:c@d.it>`:                     {{"", "a@b.it"}, {"", "c@d.it"}},
		`a@b.it:c@d.it`:                       {{"", "a@b.it"}, {"", "c@d.it"}},
		`a@b.it: c@d.it;`:                     {{"", "a@b.it"}, {"", "c@d.it"}},
		`x: a@b.it, c@d.it;`:                  {{"", "a@b.it"}, {"", "c@d.it"}},
		`"Mario <a@b.it>, Anna <c@d.it>`:      {{`"Mario`, "a@b.it"}, {"Anna", "c@d.it"}}, // a quote that is not closed
		`a@b.it (Mario, c@d.it`:               {{"(Mario", "a@b.it"}, {"", "c@d.it"}},     // nor a comment
		`<a@b.it <c@d.it>`:                    {{"", "a@b.it"}, {"", "c@d.it"}},
		`<a"@b.it>, c@d.it`:                   {{"", `a"@b.it`}, {"", "c@d.it"}},
		`=?utf-8?Q?Mario_<a@b.it>?= <c@d.it>`: {{"Mario", "a@b.it"}, {"", "c@d.it"}},
		`"c@d.it`:                             one("", `"c@d.it`),
		`<"abc, c@d.it`:                       one("", `"abc c@d.it`),
		"<" + strings.Repeat("q", 2*addressMax) + ", c@d.it": {{"", strings.Repeat("q", 2*addressMax)}, {"", "c@d.it"}},
		// One address, but not the one it looks like.
		`<a@b.it(c@d.it)>`:                          one("", "a@b.it(c@d.it)"),
		`<mario rossi@b.it>`:                        one("", "mario rossi@b.it"),
		"posta\u202e-certificata@p.it":              one("", "posta\uFFFD-certificata@p.it"),
		"<posta-certificata@p\u200b.it>":            one("", "posta-certificata@p\uFFFD.it"),
		"<a@b.it\x00c@d.it>":                        one("", "a@b.it\uFFFDc@d.it"),
		`=?utf-8?Q?Mario_=3Ca=40b.it=3E?=`:          one("Mario <a@b.it>", ""),
		`=?utf-8?Q?Mario_=3Ca=40b.it=3E?= <c@d.it>`: one("Mario <a@b.it>", "c@d.it"),
		`"Mario <a@b.it>" <c@d.it>`:                 one("Mario <a@b.it>", "c@d.it"),
		`a@b.it <c@d.it>`:                           one("a@b.it", "c@d.it"),
		`(a@b.it)`:                                  one("a@b.it", ""),
	} {
		if got := parseAddresses(s); !slices.Equal(got, want) {
			t.Errorf("%q\n gives %q\n want %q", s, got, want)
		}
	}
}

func TestManyAddresses(t *testing.T) {
	if got := parseAddresses(strings.Repeat("a@b.it,", 3*addressesMax)); len(got) != addressesMax {
		t.Errorf("%d addresses", len(got))
	}
}

func TestDisplayAddress(t *testing.T) {
	for _, test := range []struct{ name, address, want string }{
		{"Mario Rossi", "a@b.it", ""},
		{"a@b.it", "a@b.it", ""},
		{"A@B.it", "a@b.it", ""},
		{"Ufficio (a@b.it)", "c@d.it", "a@b.it"},
		{"Mario <a@b.it>", "c@d.it", "a@b.it"},
		{"'a@b.it'", "a@b.it", ""},
		{"'a@b.it' tramite lista", "c@d.it", "a@b.it"},
		{"a＠b.it", "c@d.it", "a@b.it"},
		{"a﹫b.it", "c@d.it", "a@b.it"},
		{"a@b\u200b.it", "c@d.it", "a@b.it"},
		{"a@b.it.", "a@b.it", ""},
		{"c@d.it e a@b.it", "c@d.it", "a@b.it"},
		{"perché@città.it", "c@d.it", "perché@città.it"},
		{"prezzo 3 @ 5 euro", "c@d.it", ""},
		{"@mario", "c@d.it", ""},
		{"mario@", "c@d.it", ""},
		{"mario@casa", "c@d.it", ""},
		{"a@@b.it", "c@d.it", ""},
		{"", "c@d.it", ""},
		{strings.Repeat("@", 8000) + "a@b.it", "c@d.it", "a@b.it"},
	} {
		if got := displayAddress(test.name, test.address); got != test.want {
			t.Errorf("%q <%s>: %q, want %q", test.name, test.address, got, test.want)
		}
	}
	if got := displayAddress("Per conto di: a@b.it", "posta-certificata@p.it", "A@b.it"); got != "" {
		t.Errorf("the sender that is known: %q", got)
	}
}

func TestSameAddress(t *testing.T) {
	for _, test := range []struct {
		a, b string
		same bool
	}{
		{"a@b.it", "A@B.IT", true},
		{"posta-certificata@p.it", "posta-certificata@p.it", true},
		{"posta-certificata@p.it", "poſta-certificata@p.it", false},
		{"k@p.it", "\u212a@p.it", false},
		{"a[@b.it", "a{@b.it", false},
		{"a@b.it", "a@b.it ", false},
		{"à@b.it", "À@b.it", false},
		{"", "", false},
	} {
		if got := sameAddress(test.a, test.b); got != test.same {
			t.Errorf("%q and %q: %v", test.a, test.b, got)
		}
	}
}

func BenchmarkParseAddresses(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		parseAddresses(`"Rossi, Mario" <mario.rossi@pec.example>, ordine@pec.example`)
	}
}
