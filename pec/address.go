package pec

import (
	"net/mail"
	"strings"
	"time"
)

// addressesMax bounds the addresses taken from one field.
const addressesMax = 2000

// parseAddresses reads an address list (RFC 5322 §3.4) and what stands in for
// one in the field: unquoted display names with colons ("Per conto di: a@b.it
// <posta-certificata@b.it>"), missing commas, groups. It would rather see two
// addresses than one, because one From address is what certification rests on.
func parseAddresses(s string) []Address {
	list := []Address{}
	var display, angle, comment strings.Builder
	quoted, inAngle, hadAngle, depth := false, false, false, 0
	flush := func() {
		a, ok := address(display.String(), angle.String(), comment.String(), hadAngle)
		if ok && len(list) < addressesMax {
			list = append(list, a)
		}
		display.Reset()
		angle.Reset()
		comment.Reset()
		hadAngle = false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '\\' && i+1 < len(s) && (quoted || depth > 0):
			i++
			if quoted {
				display.WriteByte(s[i])
			}
		case c == '"' && depth == 0 && !inAngle:
			quoted = !quoted
		case quoted:
			display.WriteByte(c)
		case c == '(' && !inAngle:
			depth++
		case c == ')' && depth > 0:
			depth--
		case depth > 0:
			comment.WriteByte(c)
		case c == '<' && !inAngle:
			if hadAngle {
				flush()
			}
			inAngle, hadAngle = true, true
		case c == '>' && inAngle:
			inAngle = false
		case inAngle:
			angle.WriteByte(c)
		case c == ',' || c == ';':
			flush()
		case c == ':' && strings.Contains(s[i:], ";") && !strings.Contains(display.String(), "@"):
			display.Reset() // the name of a group
		default:
			display.WriteByte(c)
		}
	}
	flush()
	return list
}

// address makes one mailbox of its pieces; a piece without either is none.
func address(display, angle, comment string, hadAngle bool) (Address, bool) {
	if !hadAngle {
		display, angle = comment, display
	}
	if i := strings.LastIndexByte(angle, ':'); i >= 0 { // a source route (RFC 5322 §4.4)
		angle = angle[i+1:]
	}
	a := Address{Name: line(decodeWords(display)), Address: strings.ReplaceAll(line(angle), " ", "")}
	return a, a.Address != "" || hadAngle
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
// the local part as well, as every provider delivers it.
func sameAddress(a, b string) bool { return a != "" && strings.EqualFold(a, b) }

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
