package pec

import (
	"encoding/base64"
	"strings"
	"unicode"
	"unicode/utf8"
)

// decodeWords turns the encoded words of RFC 2047 into text. Neighbouring
// words of one charset are joined before they are converted, because some
// programs cut a character in two; what is not an encoded word passes as it is,
// repaired to UTF-8.
func decodeWords(s string) string {
	if !strings.Contains(s, "=?") {
		text, _ := toUTF8([]byte(s), "")
		return text
	}
	var out strings.Builder
	var held []byte // bytes of the words seen so far, all in charset
	charset := ""
	flush := func() {
		text, _ := toUTF8(held, charset)
		out.WriteString(text)
		held = held[:0]
	}
	for s != "" {
		i := strings.Index(s, "=?")
		if i < 0 {
			break
		}
		word, n, ok := encodedWord(s[i:])
		if !ok {
			flush()
			plain, _ := toUTF8([]byte(s[:i+2]), "")
			out.WriteString(plain)
			s = s[i+2:]
			continue
		}
		// Blanks between two encoded words are not part of the text (§6.2).
		if strings.TrimSpace(s[:i]) != "" || len(held) == 0 {
			flush()
			plain, _ := toUTF8([]byte(s[:i]), "")
			out.WriteString(plain)
		}
		if !strings.EqualFold(word.charset, charset) {
			flush()
			charset = word.charset
		}
		held = append(held, word.text...)
		s = s[i+n:]
	}
	flush()
	plain, _ := toUTF8([]byte(s), "")
	return out.String() + plain
}

type word struct {
	charset string
	text    []byte
}

// encodedWord reads "=?charset?B|Q?text?=" at the start of s and returns its
// length. Blanks inside are tolerated; they occur in unfolded long words.
func encodedWord(s string) (word, int, bool) {
	charset, rest, ok := strings.Cut(s[2:], "?")
	if !ok || len(charset) == 0 || len(charset) > 40 || len(rest) < 2 || rest[1] != '?' {
		return word{}, 0, false
	}
	charset, _, _ = strings.Cut(charset, "*") // RFC 2231 §5: a language after it
	encoding, body := rest[0], rest[2:]
	end := strings.Index(body, "?=")
	if end < 0 {
		return word{}, 0, false
	}
	total := len(s) - len(body) + end + 2
	body = body[:end]
	switch encoding {
	case 'b', 'B':
		body = strings.Map(dropBlank, strings.TrimRight(body, "="))
		text, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(body, "="))
		return word{charset, text}, total, err == nil || len(text) > 0
	case 'q', 'Q':
		return word{charset, decodeQ(body)}, total, true
	}
	return word{}, 0, false
}

func dropBlank(r rune) rune {
	if r == ' ' || r == '\t' {
		return -1
	}
	return r
}

// decodeQ is the Q encoding of RFC 2047 §4.2.
func decodeQ(s string) []byte {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '_':
			out = append(out, ' ')
		case s[i] == '=' && i+2 < len(s) && unhex(s[i+1]) >= 0 && unhex(s[i+2]) >= 0:
			out = append(out, byte(unhex(s[i+1])<<4|unhex(s[i+2])))
			i += 2
		default:
			out = append(out, s[i])
		}
	}
	return out
}

// lineMax bounds what one header field shows.
const lineMax = 8 << 10

// line makes one line of clean text for people: no control characters, none
// that reorder the text (Unicode bidi controls, which let a name lie about
// itself), blanks joined, at most lineMax bytes.
func line(s string) string {
	if len(s) > 4*lineMax {
		s = s[:4*lineMax]
	}
	s = strings.ToValidUTF8(s, "\uFFFD")
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\n' || r == '\r':
			return ' '
		case unicode.IsControl(r) || bidiControl(r) || r == 0xFFFE || r == 0xFFFF:
			return -1
		}
		return r
	}, s)
	return cutText(strings.Join(strings.Fields(s), " "), lineMax)
}

func bidiControl(r rune) bool {
	return r == 0x061C || r == 0x200E || r == 0x200F || 0x202A <= r && r <= 0x202E || 0x2066 <= r && r <= 0x2069
}

// cutText cuts s to at most n bytes, never inside a character.
func cutText(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// headerText is a decoded header field for people.
func headerText(h *header, name string) string { return line(decodeWords(h.get(name))) }

// messageID is the identifier without its angle brackets.
func messageID(s string) string {
	s = line(s)
	if i := strings.IndexByte(s, '<'); i >= 0 {
		s = s[i+1:]
		if j := strings.IndexByte(s, '>'); j >= 0 {
			s = s[:j]
		}
	}
	return strings.TrimSpace(s)
}
