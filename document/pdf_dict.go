package document

import (
	"bytes"
	"io"
	"regexp"
	"strings"
)

// Bounds of the text round a signature that is read.
const (
	pdfAround = 16 << 10 // before it and behind it
	pdfDepth  = 32
)

const pdfBlanks = "\x00\t\n\f\r " // white space (ISO 32000-1 table 1)

// pdfDict are the entries of a dictionary that are names or strings, and where
// its names stand.
type pdfDict map[string]pdfValue

type pdfValue struct {
	text string
	at   int64 // of the key
	gap  bool  // the value is the signature
}

func (d pdfDict) value(key string) string { return d[key].text }

// pdfDictAround parses the object round the signature's gap and gives the
// dictionary that has the gap as its Contents and its ByteRange at a place.
func pdfDictAround(in Input, s signedRanges, byteRange int64) (pdfDict, bool) {
	from := max(0, s.gap-pdfAround)
	before, err := io.ReadAll(io.NewSectionReader(in.Content, from, s.gap-from))
	if err != nil {
		return nil, false
	}
	behind, err := io.ReadAll(io.NewSectionReader(in.Content, s.resume, min(pdfAround, in.Size-s.resume)))
	if err != nil {
		return nil, false
	}
	starts := pdfObject.FindAllIndex(before, -1)
	if starts == nil {
		return nil, false
	}
	start := starts[len(starts)-1][1]
	p := pdfParser{lexer: pdfLexer{b: before, pos: start}, base: from}
	if !p.run() || p.lexer.pos != len(before) || !p.gap() {
		return nil, false
	}
	p.lexer, p.base = pdfLexer{b: behind}, s.resume
	p.want = func(d pdfDict) bool {
		c, b := d["Contents"], d["ByteRange"]
		return c.gap && b.at == byteRange && b.at > 0
	}
	p.run()
	return p.found, p.found != nil
}

// pdfObject begins an indirect object (§7.3.10).
var pdfObject = regexp.MustCompile(`[0-9]+[\x00\t\n\f\r ]+[0-9]+[\x00\t\n\f\r ]+obj`)

// pdfParser follows dictionaries and arrays, without recursion.
type pdfParser struct {
	lexer pdfLexer
	base  int64 // of the lexer's bytes in the file
	open  []pdfOpen
	want  func(pdfDict) bool // tells the dictionary that is looked for
	found pdfDict
}

// pdfOpen is a dictionary, or an array when it has none, that has not ended.
type pdfOpen struct {
	dict pdfDict
	key  string // whose value comes next; "" when a key does
	at   int64  // of the key
}

// run parses to the end of the bytes, or of what is looked for, or of the
// object; false when that is no PDF.
func (p *pdfParser) run() bool {
	for p.found == nil {
		at := p.base + int64(p.lexer.pos)
		t, ok := p.lexer.next()
		switch {
		case !ok:
			return false
		case t.kind == pdfEnd:
			return true
		case !p.take(t, at+int64(t.skipped)):
			return false
		}
	}
	return true
}

// gap takes the signature itself as the value of Contents.
func (p *pdfParser) gap() bool {
	return len(p.open) > 0 && p.open[len(p.open)-1].key == "Contents" && p.value(pdfValue{gap: true})
}

// take goes on with one token.
func (p *pdfParser) take(t pdfToken, at int64) bool {
	last := len(p.open) - 1
	if last >= 0 && p.open[last].dict != nil && p.open[last].key == "" && t.kind != pdfDictEnd {
		if t.kind != pdfName {
			return false
		}
		p.open[last].key, p.open[last].at = t.text, at
		return true
	}
	switch t.kind {
	case pdfDictBegin, pdfArrayBegin:
		o := pdfOpen{}
		if t.kind == pdfDictBegin {
			o.dict = pdfDict{}
		}
		p.open = append(p.open, o)
		return len(p.open) <= pdfDepth
	case pdfDictEnd, pdfArrayEnd:
		if last < 0 || (p.open[last].dict != nil) != (t.kind == pdfDictEnd) || p.open[last].key != "" {
			return false
		}
		closed := p.open[last].dict
		p.open = p.open[:last]
		if closed != nil && p.want != nil && p.want(closed) {
			p.found = closed
			return true
		}
		return len(p.open) > 0 && p.value(pdfValue{})
	case pdfNumber:
		return last >= 0 && (p.open[last].dict == nil || p.number())
	}
	return p.value(pdfValue{text: t.text})
}

// number is a value, or the first half of a reference: 12 0 R.
func (p *pdfParser) number() bool {
	here := p.lexer
	if t, ok := p.lexer.next(); ok && t.kind == pdfNumber {
		if t, ok := p.lexer.next(); ok && t.kind == pdfWord && t.text == "R" {
			return p.value(pdfValue{})
		}
	}
	p.lexer = here
	return p.value(pdfValue{})
}

// value ends a value. A key that stands twice would be two signatures to two
// programs.
func (p *pdfParser) value(v pdfValue) bool {
	if len(p.open) == 0 {
		return false
	}
	o := &p.open[len(p.open)-1]
	if o.dict == nil {
		return true
	}
	if _, twice := o.dict[o.key]; twice {
		return false
	}
	v.at = o.at
	o.dict[o.key] = v
	o.key = ""
	return true
}

type pdfKind int

const (
	pdfEnd pdfKind = iota
	pdfName
	pdfString
	pdfNumber
	pdfWord
	pdfDictBegin
	pdfDictEnd
	pdfArrayBegin
	pdfArrayEnd
)

type pdfToken struct {
	kind    pdfKind
	text    string
	skipped int // blanks before it
}

// pdfLexer splits bytes into tokens (ISO 32000-1 §7.2). A token that the bytes
// cut is none.
type pdfLexer struct {
	b   []byte
	pos int
}

func (l *pdfLexer) next() (pdfToken, bool) {
	from := l.pos
	l.skip()
	skipped := l.pos - from
	if l.pos == len(l.b) {
		return pdfToken{kind: pdfEnd, skipped: skipped}, true
	}
	t, ok := l.token()
	t.skipped = skipped
	return t, ok
}

// skip passes blanks and comments.
func (l *pdfLexer) skip() {
	for l.pos < len(l.b) {
		switch c := l.b[l.pos]; {
		case strings.IndexByte(pdfBlanks, c) >= 0:
			l.pos++
		case c == '%':
			n := bytes.IndexAny(l.b[l.pos:], "\r\n")
			if n < 0 {
				n = len(l.b) - l.pos
			}
			l.pos += n
		default:
			return
		}
	}
}

var pdfDelimiters = map[string]pdfKind{"<<": pdfDictBegin, ">>": pdfDictEnd, "[": pdfArrayBegin, "]": pdfArrayEnd}

func (l *pdfLexer) token() (pdfToken, bool) {
	for _, n := range []int{2, 1} {
		delimiter := l.b[l.pos:min(l.pos+n, len(l.b))]
		if kind, ok := pdfDelimiters[string(delimiter)]; ok {
			l.pos += len(delimiter)
			return pdfToken{kind: kind}, true
		}
	}
	switch c := l.b[l.pos]; c {
	case '(':
		return l.literal()
	case '<':
		n := bytes.IndexByte(l.b[l.pos:], '>')
		if n < 0 {
			return pdfToken{}, false
		}
		l.pos += n + 1
		return pdfToken{kind: pdfString}, true
	case '/':
		l.pos++
		return pdfToken{kind: pdfName, text: l.regular()}, true
	default:
		text := l.regular()
		kind := pdfWord
		if strings.Trim(text, "0123456789+-.") == "" {
			kind = pdfNumber
		}
		return pdfToken{kind: kind, text: text}, text != ""
	}
}

// regular reads characters that are neither blanks nor delimiters.
func (l *pdfLexer) regular() string {
	from := l.pos
	for l.pos < len(l.b) && strings.IndexByte(pdfBlanks+"()<>[]{}/%", l.b[l.pos]) < 0 {
		l.pos++
	}
	return string(l.b[from:l.pos])
}

// literal reads a string in parentheses; escapes stay as they are.
func (l *pdfLexer) literal() (pdfToken, bool) {
	from, depth := l.pos+1, 0
	for ; l.pos < len(l.b); l.pos++ {
		switch l.b[l.pos] {
		case '\\':
			l.pos++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				text := string(l.b[from:l.pos])
				l.pos++
				return pdfToken{kind: pdfString, text: text}, true
			}
		}
	}
	return pdfToken{}, false
}
