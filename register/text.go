package register

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The bounds of what an entry holds, in characters and items.
const (
	maxSubject     = 2000
	maxNotes       = 10000
	maxName        = 500
	maxAddress     = 320 // RFC 5321 §4.5.3.1: 64 + @ + 255
	maxCode        = 64
	maxParties     = 200
	maxAttachments = 1000
)

// unprintable are the characters that no field may hold: controls, and those
// that reorder the text around them (a subject could then show another one).
func unprintable(r rune) bool {
	return unicode.IsControl(r) || r == utf8.RuneError ||
		r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069' || r == '\u2028' || r == '\u2029'
}

// tidy makes text that came by mail fit to be kept: one line, no unprintable
// characters, at most limit characters.
func tidy(s string, limit int) string {
	s = clip(s, 4*limit)
	s = strings.Map(func(r rune) rune {
		if unprintable(r) {
			return ' '
		}
		return r
	}, s)
	return clip(strings.Join(strings.Fields(s), " "), limit)
}

// clip cuts s after limit characters.
func clip(s string, limit int) string {
	n := 0
	for i := range s {
		if n == limit {
			return s[:i]
		}
		n++
	}
	return s
}

// checkText refuses what an operator or program typed and no entry can hold.
func checkText(field, s string, limit int) error {
	if utf8.RuneCountInString(s) > limit {
		return &FieldError{field, "longer than " + strconv.Itoa(limit) + " characters"}
	}
	if !utf8.ValidString(s) || strings.ContainsFunc(s, unprintable) {
		return &FieldError{field, "holds characters that cannot be printed"}
	}
	return nil
}

// checkLines is checkText for a field of several lines.
func checkLines(field, s string, limit int) error {
	return checkText(field, strings.NewReplacer("\r\n", "  ", "\n", " ", "\t", " ").Replace(s), limit)
}

// bounded is the summary with hostile text made harmless and lists cut.
func (s Summary) bounded() Summary {
	s.Kind, s.Authenticity = tidy(s.Kind, maxCode), tidy(s.Authenticity, maxCode)
	s.Subject = tidy(s.Subject, maxSubject)
	s.MessageID, s.Identifier = tidy(s.MessageID, maxName), tidy(s.Identifier, maxName)
	s.From = s.From.bounded()
	to := make([]Party, 0, min(len(s.To), maxParties))
	for _, p := range s.To[:cap(to)] {
		to = append(to, p.bounded())
	}
	files := make([]Document, 0, min(len(s.Attachments), maxAttachments))
	for _, f := range s.Attachments[:cap(files)] {
		f.Part, f.Name, f.MediaType = tidy(f.Part, maxCode), tidy(f.Name, maxName), tidy(f.MediaType, maxName)
		files = append(files, f)
	}
	s.To, s.Attachments = to, files
	if s.Certified != nil {
		at := stamp(*s.Certified)
		s.Certified = &at
	}
	return s
}

func (p Party) bounded() Party {
	return Party{
		ID: tidy(p.ID, maxCode), Name: tidy(p.Name, maxName), Address: tidy(p.Address, maxAddress),
		TaxCode: tidy(p.TaxCode, maxCode), Role: tidy(p.Role, maxCode),
	}
}
