package pec

import (
	"net/mail"
	"strings"
	"time"
	"unicode"
)

// addressesMax bounds the addresses taken from one field, addressMax what is
// put together to one (RFC 5321 §4.5.3.1 allows 254 bytes).
const (
	addressesMax = 2000
	addressMax   = 1000
)

// parseAddresses reads an address list (RFC 5322 §3.4) and what stands in for
// one in the field: unquoted display names with colons ("Per conto di: a@b.it
// <posta-certificata@b.it>"), missing commas, groups, source routes. It would
// rather see two addresses than one, because one From address is what
// certification rests on: a quote, comment or bracket that nothing closes hides
// nothing.
func parseAddresses(s string) []Address {
	p := addressParser{s: s, list: []Address{}, semicolon: strings.LastIndexByte(s, ';')}
	for i := 0; i < len(s); {
		i = p.step(i)
	}
	p.flush()
	return p.list
}

// addressParser goes once over a field.
type addressParser struct {
	s         string
	list      []Address
	semicolon int // the last one

	// The mailbox that is being read: text outside brackets and comments, bare
	// the same with the quotes of quoted strings, and what follows the brackets.
	text, bare, comment strings.Builder
	angle, after        strings.Builder
	hadAngle, hasAt     bool

	// What is never closed has no meaning from there on.
	noQuotes, noComments bool
}

// step takes what begins at i and returns where the next begins.
func (p *addressParser) step(i int) int {
	switch c := p.s[i]; {
	case c == '"' && !p.noQuotes:
		end := quoteEnd(p.s, i)
		if p.noQuotes = end < 0; p.noQuotes {
			return p.outside(i)
		}
		p.write(unescapeAll(p.s[i+1:end]), p.s[i:end+1])
		return end + 1
	case c == '(' && !p.noComments:
		end := commentEnd(p.s, i)
		if p.noComments = end < 0; p.noComments {
			return p.outside(i)
		}
		p.comment.WriteString(unescapeAll(p.s[i+1 : end]))
		p.comment.WriteByte(' ')
		return end + 1
	case c == '<':
		if p.hadAngle {
			p.flush()
		}
		end, next := p.angleEnd(i)
		p.angle.WriteString(p.s[i+1 : end])
		p.hadAngle = true
		return next
	}
	return p.outside(i)
}

// outside takes one character that is in no quotes, comment or brackets.
func (p *addressParser) outside(i int) int {
	switch c := p.s[i]; {
	case c == ',' || c == ';':
		p.flush()
	case c == ':' && i < p.semicolon && !p.hasAt && !p.hadAngle: // the name of a group
		p.text.Reset()
		p.bare.Reset()
	default:
		p.hasAt = p.hasAt || c == '@'
		p.write(p.s[i:i+1], p.s[i:i+1])
	}
	return i + 1
}

func (p *addressParser) write(text, bare string) {
	if p.hadAngle {
		p.after.WriteString(bare)
		return
	}
	p.text.WriteString(text)
	p.bare.WriteString(bare)
}

// flush ends a mailbox.
func (p *addressParser) flush() {
	comment, after := strings.TrimSpace(p.comment.String()), p.after.String()
	switch {
	case p.hadAngle:
		name := p.text.String()
		if comment != "" {
			name += " (" + comment + ")"
		}
		separate := strings.Contains(after, "@")
		if !separate {
			name += " " + after
		}
		if strings.TrimSpace(p.text.String()+after) == "" {
			name = comment
		}
		p.add(name, angleAddresses(p.angle.String()))
		if separate {
			p.addBare(after, "")
		}
	default:
		p.addBare(p.bare.String(), comment)
	}
	for _, b := range []*strings.Builder{&p.text, &p.bare, &p.comment, &p.angle, &p.after} {
		b.Reset()
	}
	p.hadAngle, p.hasAt = false, false
}

// addBare adds what stands without brackets: addresses, the words before them
// as a name, or a name alone, which is one only when it is encoded.
func (p *addressParser) addBare(bare, comment string) {
	words := addressWords(bare)
	var names, found []string
	for _, w := range words {
		if hasAt(w) {
			for _, piece := range cutColons(w) {
				if hasAt(piece) {
					found = append(found, piece)
				} else if piece != "" {
					names = append(names, piece+":")
				}
			}
			continue
		}
		names = append(names, unquoteWords(w))
	}
	switch {
	case len(found) > 0:
		if comment != "" {
			names = append(names, comment)
		}
		p.add(strings.Join(names, " "), found)
	case len(words) == 0 && !strings.Contains(comment, "@"):
	case strings.Contains(bare, "=?") || strings.HasPrefix(strings.TrimSpace(bare), `"`) || len(words) == 0:
		p.add(unquoteWords(bare)+" "+comment, []string{""})
	default:
		p.add(comment, []string{strings.Join(words, " ")})
	}
}

// add adds the addresses; the name goes to each of them.
func (p *addressParser) add(name string, addresses []string) {
	name = line(decodeWords(name))
	for _, a := range addresses {
		if len(p.list) < addressesMax {
			p.list = append(p.list, Address{Name: name, Address: cleanAddress(a)})
		}
	}
}

// angleAddresses are the addresses between angle brackets: one, after a source
// route (RFC 5322 §4.4) where there is one, unless somebody wrote more.
func angleAddresses(s string) []string {
	before, target, ok := strings.Cut(s, ":")
	if before = strings.TrimSpace(before); ok && (strings.HasPrefix(before, "@") || strings.EqualFold(before, "mailto")) {
		s = target
	}
	var found []string
	for _, w := range addressWords(s) {
		for _, piece := range cutColons(w) {
			n := len(found) - 1
			switch {
			case n < 0 || hasAt(piece) && hasAt(found[n]) || piece != "" && len(found[n]) >= addressMax:
				found = append(found, piece)
			case piece != "":
				found[n] = strings.TrimSpace(found[n] + " " + piece)
			}
		}
	}
	if len(found) == 0 {
		return []string{""}
	}
	return found
}

// addressWords splits at blanks, commas and semicolons outside quotes, and
// joins what belongs to one address in the obsolete syntax ("a @ b . it").
func addressWords(s string) []string {
	var words []string
	quoted, closes, from := false, true, -1 // closes: no quote was left open yet
	end := func(i int) {
		if from < 0 {
			return
		}
		w, n := s[from:i], len(words)-1
		if n >= 0 && len(words[n]) < addressMax && glued(words[n], w) {
			words[n] += w
		} else {
			words = append(words, w)
		}
		from = -1
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quoted && c == '\\':
			i++
		case c == '"' && (quoted || closes):
			if !quoted {
				closes = quoteEnd(s, i) >= 0
			}
			quoted = closes && !quoted
			if from < 0 {
				from = i
			}
		case !quoted && strings.IndexByte(" \t\r\n,;", c) >= 0:
			end(i)
		case from < 0:
			from = i
		}
	}
	end(len(s))
	return words
}

// glued tells that the blank between two words is inside an address.
func glued(before, w string) bool {
	return w[0] == '@' || strings.HasSuffix(before, "@") || (w[0] == '.' || strings.HasSuffix(before, ".")) && hasAt(before)
}

// hasAt tells that s has an "@" outside quotes; those that are not closed are
// none.
func hasAt(s string) bool {
	if strings.IndexByte(s, '"') < 0 {
		return strings.IndexByte(s, '@') >= 0
	}
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '@':
			return true
		case '"':
			end := quoteEnd(s, i)
			if end < 0 {
				return strings.IndexByte(s[i:], '@') >= 0
			}
			i = end
		}
	}
	return false
}

// cutColons splits at colons outside quotes and domain literals ("[IPv6:::1]").
func cutColons(s string) []string {
	if strings.IndexByte(s, ':') < 0 {
		return []string{s}
	}
	var all []string
	quoted, literal, from := false, false, 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			quoted = !quoted
		case c == '[', c == ']':
			literal = c == '['
		case c == ':' && !quoted && !literal:
			all = append(all, s[from:i])
			from = i + 1
		}
	}
	return append(all, s[from:])
}

// quoteEnd is where the quoted string that begins at i ends, -1 when it does not.
func quoteEnd(s string, i int) int {
	for i++; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
	return -1
}

// commentEnd is where the comment that begins at i ends, with those in it.
func commentEnd(s string, i int) int {
	for depth := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

// angleEnd is where the bracket that begins at i closes, and where to go on. One
// that does not close ends with the field or where another begins.
func (p *addressParser) angleEnd(i int) (end, next int) {
	for j := i + 1; j < len(p.s); j++ {
		switch p.s[j] {
		case '"':
			if p.noQuotes {
				continue
			}
			if closed := quoteEnd(p.s, j); closed >= 0 {
				j = closed
			} else {
				p.noQuotes = true
			}
		case '>':
			return j, j + 1
		case '<':
			return j, j
		}
	}
	return len(p.s), len(p.s)
}

// unescapeAll takes the backslashes of quoted pairs away.
func unescapeAll(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func unquoteWords(s string) string { return unescapeAll(strings.ReplaceAll(s, `"`, " ")) }

// cleanAddress makes an address that can be shown. What nobody sees is not
// dropped, because that would make another address of it, but shown as U+FFFD.
func cleanAddress(s string) string {
	if cleanLine(s) {
		return s
	}
	text, _ := repairUTF8(cutText(s, lineMax))
	text = strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\n' || r == '\r':
			return ' '
		case r != ' ' && (unicode.IsSpace(r) || unseen(r)):
			return '\uFFFD'
		}
		return r
	}, text)
	return strings.TrimSpace(cutText(strings.Join(strings.Fields(text), " "), lineMax))
}

// unseen are hidden characters and all others without a form of their own.
func unseen(r rune) bool {
	return hidden(r) || r >= 0xad && unicode.In(r, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// displayAddress is the first address that a display name holds and that is
// none of those known, "" without one: it is what people read, and nobody
// vouches for it.
func displayAddress(name string, known ...string) string {
	name = strings.Map(func(r rune) rune {
		switch {
		case r == '＠' || r == '﹫':
			return '@'
		case unseen(r):
			return -1
		}
		return r
	}, name)
	for rest := name; ; {
		at := strings.IndexByte(rest, '@')
		if at < 0 {
			return ""
		}
		local := rest[strings.LastIndexFunc(rest[:at], endsAddress)+1 : at]
		domain := rest[at+1:]
		if i := strings.IndexFunc(domain, endsAddress); i >= 0 {
			domain = domain[:i]
		}
		rest = rest[at+1:]
		domain = strings.TrimRight(domain, ".")
		local = strings.TrimLeft(local, "'")
		domain = strings.TrimRight(domain, "'")
		if local == "" || strings.IndexByte(domain, '.') <= 0 || strings.IndexByte(domain, '@') >= 0 {
			continue
		}
		found, other := local+"@"+domain, true
		for _, k := range known {
			other = other && !sameAddress(found, k)
		}
		if other {
			return found
		}
	}
}

func endsAddress(r rune) bool {
	return unicode.IsSpace(r) || strings.ContainsRune(`<>()[]{},;:"“”«»|/\@`, r)
}

// addresses reads all fields of that name as one list.
func addresses(h *header, name string) []Address {
	list := []Address{}
	for _, f := range h.fields {
		if f.name == name && len(list) < addressesMax {
			list = append(list, parseAddresses(f.value)...)
		}
	}
	return list
}

// sameAddress compares two addresses: the domain without regard to case, and
// the local part as well, as every provider delivers it. Only ASCII has case
// here: other letters that fold to ASCII ("ſ", the Kelvin sign) are other
// letters.
func sameAddress(a, b string) bool {
	if len(a) != len(b) || a == "" {
		return false
	}
	for i := 0; i < len(a); i++ {
		x, y := a[i], b[i]
		if x != y && (x|0x20 != y|0x20 || !letter(x)) {
			return false
		}
	}
	return true
}

// parseDate reads a Date field; nil when it cannot be read.
func parseDate(s string) *time.Time {
	t, err := mail.ParseDate(strings.TrimSpace(s))
	if err != nil {
		return nil
	}
	return sensible(t)
}

// sensible refuses times that RFC 3339, hence JSON, cannot carry.
func sensible(t time.Time) *time.Time {
	_, offset := t.Zone()
	if t.Year() < 1 || t.Year() > 9998 || offset <= -24*3600 || offset >= 24*3600 {
		return nil
	}
	t = t.Round(0)
	return &t
}
