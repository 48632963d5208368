package pec

import (
	"sort"
	"strconv"
	"strings"
)

// parseParams splits a structured field into its value and its parameters
// (RFC 2045 §5.1), joining and decoding RFC 2231 continuations. It takes what
// programs write beside the rule: unquoted blanks, RFC 2047 words inside
// quotes, 8-bit bytes, missing closing quotes. Of equal names the first counts.
func parseParams(s string) (value string, params map[string]string) {
	value, s = cutParam(s)
	params = map[string]string{}
	pieces := map[string][]piece{}
	for s != "" {
		var item string
		item, s = cutParam(s)
		key, val, ok := strings.Cut(item, "=")
		key = strings.ToLower(strings.TrimSpace(key))
		if !ok || key == "" {
			continue
		}
		val = unquote(strings.TrimSpace(val))
		if !strings.Contains(key, "*") {
			if _, taken := params[key]; !taken {
				params[key] = val
			}
			continue
		}
		addPiece(pieces, key, val)
	}
	for name, list := range pieces {
		params[name] = joinPieces(list) // RFC 2231 wins over the plain form beside it
	}
	return strings.TrimSpace(value), params
}

// piece is one "name*n*=value" of RFC 2231 §3.
type piece struct {
	index   int
	encoded bool
	value   string
}

// piecesMax bounds the continuations of one parameter.
const piecesMax = 100

func addPiece(pieces map[string][]piece, key, value string) {
	key, encoded := strings.CutSuffix(key, "*")
	name, number, _ := strings.Cut(key, "*")
	index, err := strconv.Atoi(number)
	if err != nil && number != "" || index < 0 || index >= piecesMax {
		return
	}
	for _, p := range pieces[name] {
		if p.index == index {
			return
		}
	}
	pieces[name] = append(pieces[name], piece{index, encoded, value})
}

// joinPieces puts the pieces in order, up to the first that is missing.
func joinPieces(list []piece) string {
	sort.Slice(list, func(i, j int) bool { return list[i].index < list[j].index })
	var raw strings.Builder
	charset, encoded := "", false
	for i, p := range list {
		if p.index != i {
			break
		}
		if !p.encoded {
			raw.WriteString(p.value)
			continue
		}
		value := p.value
		if i == 0 {
			if first := strings.SplitN(value, "'", 3); len(first) == 3 {
				charset, value = first[0], first[2]
			}
		}
		encoded = true
		raw.WriteString(percentDecode(value))
	}
	if !encoded {
		return raw.String()
	}
	text, _ := toUTF8([]byte(raw.String()), charset)
	return text
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
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
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

// unquote takes the quotes away and the backslashes before quotes and
// backslashes; other backslashes are parts of Windows paths.
func unquote(s string) string {
	if !strings.HasPrefix(s, `"`) {
		return s
	}
	var b strings.Builder
	for i := 1; i < len(s) && s[i] != '"'; i++ {
		if s[i] == '\\' && i+1 < len(s) && (s[i+1] == '"' || s[i+1] == '\\') {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
