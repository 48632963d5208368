package main

import "testing"

func TestCutKeepsOnlyWhatThePagesName(t *testing.T) {
	u := used{classes: map[string]bool{}, elements: map[string]bool{"html": true}, symbols: map[string]bool{}}
	u.read(`<a class="b {{if .On}}main{{end}}"></a>{{icon "it-mail"}}`)
	const sheet = `/*! licence */:root{--a: 1;--b: var(--c);--c: 2;--d: var(--e);--e: 3}
*{margin:0}.b{color:var(--a)}.b.gone,.b.main{width:var(--b)}nav a{top:0}a:not(.gone):hover{left:0}
@media (x){.gone{top:0}.main::before{content:"}"}}@font-face{src:url(x)}#id .b{top:0}`
	const want = `/*! licence */:root{--a: 1;--b: var(--c);--c: 2;}
*{margin:0}
.b{color:var(--a)}
.b.main{width:var(--b)}
a:not(.gone):hover{left:0}
@media (x){.main::before{content:"}"}
}
`
	if got := u.cutSheet(sheet, ""); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if !u.symbols["it-mail"] {
		t.Error("the symbol is not kept")
	}
}
