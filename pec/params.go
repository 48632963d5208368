package pec

import (
	"slices"
	"strconv"
	"strings"
)

// parseParams splits a structured field into its value and its parameters
// (RFC 2045 §5.1), joining and decoding RFC 2231 continuations. It takes what
// programs write beside the rule: unquoted blanks, RFC 2047 words inside
// quotes, 8-bit bytes, missing closing quotes. Of equal names the first counts.
func parseParams(s string) (value string, params map[string]string) {
	value, s = cutParam(s)
	scan := paramScanner{rest: s}
	var pieces []piece
	for {
		key, val, ok := scan.next()
		if !ok {
			break
		}
		if params == nil {
			params = map[string]string{}
		}
		name, p, extended := splitKey(key, val)
		if extended {
			pieces = appendPiece(pieces, p)
		} else if _, taken := params[name]; !taken {
			params[name] = val
		}
	}
	for len(pieces) > 0 {
		name := pieces[0].name
		params[name], _ = joinPieces(pieces, name) // RFC 2231 wins over the plain form beside it
		pieces = slices.DeleteFunc(pieces, func(p piece) bool { return p.name == name })
	}
	return strings.TrimSpace(value), params
}

// nameParams finds the two forms of one parameter, plain and RFC 2231, each ""
// when it is not there; d is how sure the characters of the latter are. It also
// finds a parameter that stands where the value should.
func nameParams(s, name string) (plain, extended string, d doubt) {
	value, rest := cutParam(s)
	var pieces []piece
	take := func(key, val string) {
		n, p, ext := splitKey(key, val)
		switch {
		case n != name:
		case ext:
			pieces = appendPiece(pieces, p)
		case plain == "":
			plain = val
		}
	}
	if key, val, ok := strayParam(value); ok {
		take(key, val)
	}
	scan := paramScanner{rest: rest}
	for {
		key, val, ok := scan.next()
		if !ok {
			break
		}
		take(key, val)
	}
	if len(pieces) > 0 {
		extended, d = joinPieces(pieces, name)
	}
	return plain, extended, d
}

// strayParam reads `attachment filename="x.pdf"`, which lacks its semicolon.
func strayParam(value string) (key, val string, ok bool) {
	before, _, ok := strings.Cut(value, "=")
	if !ok {
		return "", "", false
	}
	at := strings.LastIndexAny(strings.TrimRight(before, " \t"), " \t") + 1
	scan := paramScanner{rest: value[at:]}
	return scan.next()
}

// cutParam cuts s at the first semicolon outside quotes.
func cutParam(s string) (item, rest string) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == ';' && !quoted:
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}

// paramScanner yields the parameters of a field as they stand, unquoted. What
// it has to search to the end for and does not find it never searches again, so
// the time is linear.
type paramScanner struct {
	rest string
	// open: a quote was never closed; from there on quotes mean nothing.
	open bool
	// strict: quotes inside quotes were not told apart from those that end them.
	strict bool
}

// next yields the next parameter that has a name; key is in lower case.
func (p *paramScanner) next() (key, value string, ok bool) {
	for p.rest != "" {
		i := strings.IndexAny(p.rest, "=;")
		if i < 0 {
			break
		}
		key = strings.ToLower(strings.TrimSpace(p.rest[:i]))
		semicolon := p.rest[i] == ';'
		p.rest = p.rest[i+1:]
		if semicolon {
			continue
		}
		value = p.value(strings.HasPrefix(key, "name") || strings.HasPrefix(key, "filename"))
		if key != "" {
			return key, value, true
		}
	}
	p.rest = ""
	return "", "", false
}

// value reads what follows "=". In file names, which people make up, quotes may
// stand inside quotes and semicolons outside.
func (p *paramScanner) value(file bool) string {
	p.rest = strings.TrimLeft(p.rest, " \t\r\n")
	switch {
	case strings.HasPrefix(p.rest, `"`) && !p.open:
		if value, ok := p.quoted(file); ok {
			return value
		}
		p.open = true
	case strings.HasPrefix(p.rest, "=?"):
		return p.words()
	}
	n := p.token(file)
	value := strings.TrimSpace(p.rest[:n])
	p.rest = p.rest[min(n+1, len(p.rest)):]
	if p.open {
		return strings.Trim(value, `"`)
	}
	if file {
		return strings.TrimSuffix(value, `"`)
	}
	if i := strings.Index(value, " ("); i >= 0 { // a comment
		value = strings.TrimSpace(value[:i])
	}
	return value
}

// quoted reads a quoted string. Only quotes and backslashes are taken for
// escaped: other backslashes are parts of Windows paths.
func (p *paramScanner) quoted(file bool) (string, bool) {
	end, escapes, first := -1, false, -1
	for i := 1; i < len(p.rest) && end < 0; i++ {
		switch c := p.rest[i]; {
		case c == '\\' && i+1 < len(p.rest) && (p.rest[i+1] == '"' || p.rest[i+1] == '\\'):
			escapes = true
			i++
		case c != '"':
		case !file || p.strict || endsParam(p.rest[i+1:]):
			end = i
		case first < 0:
			first = i
		}
	}
	if end < 0 && first >= 0 {
		p.strict, end = true, first
	}
	if end < 0 {
		return "", false
	}
	value := p.rest[1:end]
	p.rest = p.rest[end+1:]
	if escapes {
		value = unescape(value)
	}
	return value, true
}

// endsParam tells that a quote before rest ends a value: a semicolon, the end
// or another parameter follows.
func endsParam(rest string) bool {
	rest = strings.TrimLeft(rest, " \t\r\n")
	if rest == "" || rest[0] == ';' {
		return true
	}
	n := 0
	for n < len(rest) && n < 30 && (rest[n] == '-' || rest[n] == '*' || letter(rest[n]) || digit(rest[n])) {
		n++
	}
	return n > 0 && n < len(rest) && rest[n] == '='
}

func letter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

func digit(c byte) bool { return '0' <= c && c <= '9' }

func unescape(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) && (s[i+1] == '"' || s[i+1] == '\\') {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// wordMax bounds an encoded word that semicolons may stand in.
const wordMax = 4000

// words reads encoded words that nobody quoted, up to the next semicolon
// outside them.
func (p *paramScanner) words() string {
	i := 0
	for strings.HasPrefix(p.rest[i:], "=?") {
		head := p.rest[i+2 : min(len(p.rest), i+2+wordMax)]
		n := strings.IndexByte(head, '?')
		if n < 0 || n > charsetMax || n+3 > len(head) {
			break
		}
		end := strings.Index(head[n+3:], "?=")
		if end < 0 {
			break
		}
		i += 2 + n + 3 + end + 2
		i += len(p.rest[i:]) - len(strings.TrimLeft(p.rest[i:], " \t\r\n"))
	}
	n := strings.IndexByte(p.rest[i:], ';')
	if n < 0 {
		n = len(p.rest) - i
	}
	value := strings.TrimSpace(p.rest[:i+n])
	p.rest = p.rest[min(i+n+1, len(p.rest)):]
	return value
}

// token is the length of an unquoted value. After a semicolon in a file name
// goes on what is no parameter.
func (p *paramScanner) token(file bool) int {
	for n := 0; ; n++ {
		i := strings.IndexByte(p.rest[n:], ';')
		if i < 0 {
			return len(p.rest)
		}
		n += i
		item := p.rest[n+1:]
		if j := strings.IndexByte(item, ';'); j >= 0 {
			item = item[:j]
		}
		if !file || p.open || strings.TrimSpace(item) == "" || strings.IndexByte(item, '=') >= 0 {
			return n
		}
	}
}

// piece is one "name*n*=value" of RFC 2231 §3.
type piece struct {
	name    string
	index   int
	encoded bool
	value   string
}

// piecesMax bounds the continuations of one field.
const piecesMax = 200

// splitKey tells a plain parameter from a piece.
func splitKey(key, value string) (name string, p piece, extended bool) {
	name, rest, extended := strings.Cut(key, "*")
	if !extended {
		return key, piece{}, false
	}
	name = strings.TrimSpace(name)
	number, encoded := strings.CutSuffix(rest, "*")
	p = piece{name: name, encoded: encoded || number == "", value: value}
	if number != "" {
		index, err := strconv.Atoi(number)
		if err != nil || index < 0 || index >= piecesMax {
			index = -1
		}
		p.index = index
	}
	return name, p, true
}

func appendPiece(pieces []piece, p piece) []piece {
	if p.index < 0 || len(pieces) >= piecesMax {
		return pieces
	}
	for _, other := range pieces {
		if other.name == p.name && other.index == p.index {
			return pieces
		}
	}
	return append(pieces, p)
}

// joinPieces puts the pieces of one parameter in order, also when one is
// missing: the end of a file name says more than the middle.
func joinPieces(all []piece, name string) (string, doubt) {
	list := slices.DeleteFunc(slices.Clone(all), func(p piece) bool { return p.name != name })
	slices.SortFunc(list, func(a, b piece) int { return a.index - b.index })
	if len(list) == 1 && !list[0].encoded {
		return list[0].value, sure
	}
	var raw, percent strings.Builder // what is encoded is decoded together: some cut it anywhere
	charset, encoded := "", false
	for i, p := range list {
		value := p.value
		if i == 0 && p.encoded {
			charset, value = cutCharset(value)
		}
		if p.encoded || encoded && percentEncoded(value) { // the star is forgotten on later pieces
			encoded = true
			percent.WriteString(value)
			continue
		}
		raw.WriteString(percentDecode(percent.String()))
		percent.Reset()
		raw.WriteString(value)
	}
	raw.WriteString(percentDecode(percent.String()))
	if !encoded {
		return raw.String(), sure
	}
	return readText([]byte(raw.String()), charset)
}

// cutCharset takes "charset'language'" off an RFC 2231 value. An apostrophe in
// a name without it ("l'atto d'ufficio") is told apart by what is before.
func cutCharset(value string) (charset, rest string) {
	charset, rest, ok := strings.Cut(value, "'")
	if !ok || len(charset) > charsetMax {
		return "", value
	}
	language, text, second := strings.Cut(rest, "'")
	_, known := charsetOf(charset)
	switch {
	case second && len(language) <= 8 && !strings.ContainsAny(language, " .%") && (known || strings.ContainsAny(charset, "-_0123456789")):
		return charset, text
	case known && charset != "" && !second && percentEncoded(rest):
		return charset, rest
	}
	return "", value
}

// percentEncoded tells that every "%" in s begins an encoded byte and that
// there is one.
func percentEncoded(s string) bool {
	found := false
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			continue
		}
		if i+2 >= len(s) || unhex(s[i+1]) < 0 || unhex(s[i+2]) < 0 {
			return false
		}
		found = true
	}
	return found
}

func percentDecode(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if hi, lo := unhex(s[i+1]), unhex(s[i+2]); hi >= 0 && lo >= 0 {
				out = append(out, byte(hi<<4|lo))
				i += 2
				continue
			}
		}
		out = append(out, s[i])
	}
	return string(out)
}

func unhex(c byte) int {
	switch {
	case digit(c):
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
