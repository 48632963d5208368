package pec

import (
	"strings"
	"testing"
)

func lineTexts(lines []textLine) string {
	var all []string
	for _, l := range lines {
		all = append(all, l.text)
	}
	return strings.Join(all, "\n")
}

func TestHTMLText(t *testing.T) {
	for name, test := range map[string]struct{ html, want string }{
		"words":                  {"<p>Sì,\n  <b>per</b>ch&eacute;&nbsp;no</p>", "Sì, perché no"},
		"paragraphs":             {"<p>uno<p>due<div>tre</div><div>quattro</div>", "uno\n\ndue\ntre\nquattro"},
		"line ends":              {"uno<br>due<br><br>tre<br/>quattro", "uno\ndue\n\ntre\nquattro"},
		"Outlook":                {`<p class=MsoNormal>uno<o:p></o:p></p><p class=MsoNormal><o:p>&nbsp;</o:p></p><p class=MsoNormal>due</p>`, "uno\n\ndue"},
		"nobody reads":           {"<head><title>t</title><style>p{}</style></head><body><script>x('<p>no')</script>sì<noscript>no</noscript><template>no</template><!-- no -->", "sì"},
		"head never closed":      {"<html><head><title>t</title><p>sì", "sì"},
		"conditional":            {"<!--[if mso]>no<![endif]-->sì<![if !mso]>anche<![endif]>", "sìanche"},
		"entities":               {"&lt;b&gt; &amp;amp; &#8364; &#x20ac;", "<b> &amp; € €"},
		"a list":                 {"<ul><li>uno</li><li>due<ol start=3><li>tre<li>quattro</ol></li><li>cinque</ul>fine", "- uno\n- due\n\n  3. tre\n  4. quattro\n\n- cinque\n\nfine"},
		"a list of paragraphs":   {"<ul><li><p>uno</p></li><li><p>due</p></li></ul>", "- uno\n\n- due"},
		"a table":                {"<table><tr><th>Voce</th><th>Euro</th></tr><tr><td><p>Bollo</p></td><td></td><td>16,00</td></tr></table>dopo", "Voce | Euro\nBollo | 16,00\n\ndopo"},
		"a table for the layout": {"<table><tr><td><table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table></td><td>d</td></tr></table>", "a | b\nc\n\nd"},
		"cells of several lines": {"<table><tr><td>a<br>b</td><td>c</td></tr></table>", "a\nb\nc"},
		"preformatted":           {"<pre>a  b\n  c\n\nd</pre>e  f", "a  b\n  c\n\nd\n\ne f"},
		"a quotation":            {`prima<blockquote type="cite">uno<br>due<blockquote type=cite>tre</blockquote></blockquote>dopo`, "prima\n\n> uno\n> due\n\n> > tre\n\ndopo"},
		"an indent":              {`<blockquote style="margin:0 0 0 40px; border:none; padding:0px">uno</blockquote>`, "uno"},
		"a link":                 {`<a href="https://www.banca.example/x?y">paga qui</a>.`, "paga qui [www.banca.example]."},
		"a link that says where": {`<a href="https://www.banca.example/x">https://www.banca.example/x</a> <a href="http://b.example">B.example</a>`, "https://www.banca.example/x B.example"},
		"a link that lies":       {`<a href="https://truffa.example/">www.banca.example</a>`, "www.banca.example [truffa.example]"},
		"a user that is a host":  {`<a href="https://www.banca.example@truffa.example/">https://www.banca.example@truffa.example/</a>`, "https://www.banca.example@truffa.example/ [truffa.example]"},
		"other letters":          {`<a href="https://bаnca.example">banca.example</a>`, "banca.example [xn--bnca-53d.example]"},
		"backslashes":            {`<a href="https:\\truffa.example\x">qui</a>`, "qui [truffa.example]"},
		"a tab in the address":   {"<a href=\" ht\ttps://truffa\n.example\">qui</a>", "qui [truffa.example]"},
		"a link to an image":     {`<a href="https://x.example"><img src=y></a>`, "[x.example]"},
		"a link to an address":   {`<a href="mailto:a@b.it?subject=x">a@b.it</a> <a href="mailto:c@d.it">scrivi</a>`, "a@b.it scrivi [c@d.it]"},
		"no link":                {`<a name=x>qui</a><a href="#y">qua</a><a href="javascript:x()">là</a>`, "quiqualà"},
		"a link never closed":    {`<a href="https://x.example">qui<p>dopo`, "qui\n\ndopo [x.example]"},
		"links in links":         {`<a href="https://x.example">a<a href="https://y.example">b</a></a>`, "a [x.example]b [y.example]"},
		"hidden characters":      {"a\u202eb&#8238;c\x00d&#0;&#11;e", "abcd\uFFFD e"},
		"nothing":                {"<p> &nbsp; </p>", ""},
	} {
		lines, cut := htmlText(test.html, 1000)
		lines, more := bounded(lines, 1000)
		if got := lineTexts(lines); got != test.want || cut || more {
			t.Errorf("%s: %q\nwant %q", name, got, test.want)
		}
	}
}

// TestHTMLSeparated: programs say in their markup what they repeat.
func TestHTMLSeparated(t *testing.T) {
	for name, test := range map[string]struct{ html, text, quoted, boilerplate string }{
		"Gmail": {`<div dir="ltr">Va bene.<div><br></div><div><div class="gmail_signature" data-smartmail="gmail_signature">Mario Rossi</div></div></div><br>` +
			`<div class="gmail_quote"><div dir="ltr" class="gmail_attr">Il giorno mar 10 mar 2026 alle ore 09:30 Anna &lt;<a href="mailto:anna@example.it">anna@example.it</a>&gt; ha scritto:<br></div>` +
			`<blockquote class="gmail_quote" style="margin:0px 0px 0px 0.8ex;border-left:1px solid">Buongiorno<br>domani?</blockquote></div>`,
			"Va bene.", "Il giorno mar 10 mar 2026 alle ore 09:30 Anna <anna@example.it> ha scritto:\n\n> Buongiorno\n> domani?", "Mario Rossi"},
		"Gmail, answers between": {`<div class="gmail_quote"><div class="gmail_attr">Anna ha scritto:</div><blockquote class="gmail_quote">uno?</blockquote><div>sì</div><blockquote class="gmail_quote">due?</blockquote><div>no</div></div>`,
			"Anna ha scritto:\n\n> uno?\n\nsì\n\n> due?\n\nno", "", ""},
		"Thunderbird": {`<html><body><p>Ecco.</p><div class="moz-cite-prefix">Anna, tempo fa:<br></div><blockquote type="cite" cite="mid:x@y"><p>Buongiorno</p></blockquote><p>Mario</p></body></html>`,
			"Ecco.\n\nMario", "Anna, tempo fa:\n\n> Buongiorno", ""},
		"Outlook": {`<div class=WordSection1><p class=MsoNormal>Confermo.</p><p class=MsoNormal>&nbsp;</p><div><div style='border:none;border-top:solid #E1E1E1 1.0pt;padding:3.0pt 0cm 0cm 0cm'>` +
			`<p class=MsoNormal><b>Da:</b> Anna Bianchi &lt;anna@example.it&gt; <br><b>Inviato:</b> martedì 10 marzo 2026 09:30<br><b>A:</b> Mario<br><b>Oggetto:</b> Istanza</p></div></div><p class=MsoNormal>Buongiorno</p></div>`,
			"Confermo.", "Da: Anna Bianchi <anna@example.it>\nInviato: martedì 10 marzo 2026 09:30\nA: Mario\nOggetto: Istanza\n\nBuongiorno", ""},
		"Outlook on the web": {`<div>Confermo.</div><div id="Signature"><p>Mario Rossi</p></div><div id="appendonsend"></div><hr><div id="divRplyFwdMsg" dir="ltr"><b>Expéditeur :</b> Anna<br></div><div>Buongiorno</div>`,
			"Confermo.", "Expéditeur : Anna\nBuongiorno", "Mario Rossi"},
		"Yahoo":         {`<div>Ok</div><div id="yahoo_quoted_0123" class="yahoo_quoted"><div>lunedì, Anna:</div><div>Buongiorno</div></div>`, "Ok", "lunedì, Anna:\nBuongiorno", ""},
		"Zimbra":        {`<div>Ok</div><hr id="zwchr" data-marker="__DIVIDER__"><div><b>Da: </b>Anna</div><div>Buongiorno</div>`, "Ok", "Da: Anna\nBuongiorno", ""},
		"Roundcube":     {`<p>Ok</p><p id="reply-intro">Il 2026-03-10 Anna ha scritto:</p><blockquote type="cite"><div>Buongiorno</div></blockquote>`, "Ok", "Il 2026-03-10 Anna ha scritto:\n\n> Buongiorno", ""},
		"names with x_": {`<div>Ok</div><div class="x_gmail_signature">Mario</div>`, "Ok", "", "Mario"},
		"a bare quotation after its introduction": {`<p>Ok</p><p>Il 10/03/2026 09:30, Anna ha scritto:</p><blockquote>Buongiorno</blockquote><p>A domani</p>`,
			"Ok\n\nA domani", "Il 10/03/2026 09:30, Anna ha scritto:\n\n> Buongiorno", ""},
		"a quotation of the law": {`<p>L'art. 53 dice:</p><blockquote>Costituiscono oggetto di registrazione</blockquote><p>e così sia.</p>`,
			"L'art. 53 dice:\n\n> Costituiscono oggetto di registrazione\n\ne così sia.", "", ""},
		"nothing but a quotation": {`<blockquote type=cite>Buongiorno</blockquote>`, "> Buongiorno", "", ""},
	} {
		lines, _ := htmlText(test.html, 1000)
		lines, _ = bounded(lines, 1000)
		text, quoted, boilerplate := separate(lines)
		if text != test.text || quoted != test.quoted || boilerplate != test.boilerplate {
			t.Errorf("%s:\n%q\n%q\n%q\nwant\n%q\n%q\n%q", name, text, quoted, boilerplate, test.text, test.quoted, test.boilerplate)
		}
	}
}

func TestUnflow(t *testing.T) {
	for s, want := range map[string]string{
		"uno \ndue\ntre\n":          "uno due\ntre\n",
		"uno \r\ndue\r\n":           "uno due\n",
		"> uno \n> due\nio \n> tre": "> uno due\nio \n> tre\n",
		">> uno \n>> due \n> tre":   ">> uno due \n> tre\n",
		" spazio\n >segno":          "spazio\n>segno\n",
		"fine \n-- \nMario":         "fine \n-- \nMario\n",
		"":                          "",
	} {
		if got := unflow(s, false); got != want {
			t.Errorf("%q gives %q, want %q", s, got, want)
		}
	}
	if got := unflow("do \nmani \npoi", true); got != "domanipoi\n" {
		t.Errorf("%q", got)
	}
}

func TestBounded(t *testing.T) {
	for _, test := range []struct {
		text, want string
		limit      int
		cut        bool
	}{
		{"\n\n a\t \r\n\r\n\r\nb\rc\u2028d\n\n", " a\n\nb\nc\nd", 100, false},
		{"abc\ndef", "abc\nd", 5, true},
		{"abc\ndef", "abc", 4, true},
		{"abc\ndef", "abc\ndef", 7, false},
		{"perché", "perch", 6, true},
		{"abc\n\ndef", "abc", 5, true},
		{"x\u00a0y\u202e\x07z", "x yz", 100, false},
	} {
		lines, cut := bounded(plainLines(test.text), test.limit)
		if got := lineTexts(lines); got != test.want || cut != test.cut {
			t.Errorf("%q within %d: %q, %v; want %q, %v", test.text, test.limit, got, cut, test.want, test.cut)
		}
	}
}

func BenchmarkPreview(b *testing.B) {
	plain := strings.Repeat("Si trasmette quanto in oggetto, perché sia protocollato.\r\n\r\n", 500) + "Il 10/03/2026 09:30, Anna ha scritto:\r\n" + strings.Repeat("> Buongiorno\r\n", 500)
	html := strings.Repeat("<p class=MsoNormal><span style='color:red'>Si trasmette <b>quanto</b> in oggetto</span></p>", 500)
	b.Run("plain", func(b *testing.B) {
		b.SetBytes(int64(len(plain)))
		b.ReportAllocs()
		for b.Loop() {
			lines, _ := bounded(plainLines(plain), 64<<10)
			separate(lines)
		}
	})
	b.Run("html", func(b *testing.B) {
		b.SetBytes(int64(len(html)))
		b.ReportAllocs()
		for b.Loop() {
			lines, _ := htmlText(html, 64<<10)
			lines, _ = bounded(lines, 64<<10)
			separate(lines)
		}
	})
}
