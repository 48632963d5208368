package pec

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// lineKind is whose words a line is.
type lineKind uint8

const (
	own     lineKind = iota // the sender's, as far as can be told
	history                 // other messages that are repeated below or between
	footer                  // signatures, notices and providers' texts
)

// separation tells the lines of a message apart. Every line is looked at a
// bounded number of times.
type separation struct {
	lines []textLine
	fold  []string // what is compared: see appendFolded
	whole string   // all of that
	kinds []lineKind
}

// separate tells what a person wrote from the history it repeats and from
// footers. Each line is in exactly one of the three. When nothing is left of
// what the person wrote, the history is shown as that, or else the footers.
func separate(lines []textLine) (text, quoted, boilerplate string) {
	s := &separation{lines: lines, kinds: make([]lineKind, len(lines))}
	s.foldLines()
	s.findHistory()
	s.findFooters()
	s.keepAnswersInPlace()
	for _, k := range []lineKind{history, footer} {
		if !s.has(own) {
			s.turn(k, own)
		}
	}
	return s.join(own), s.join(history), s.join(footer)
}

func (s *separation) has(k lineKind) bool {
	for i, l := range s.lines {
		if l.text != "" && s.kinds[i] == k {
			return true
		}
	}
	return false
}

func (s *separation) turn(from, to lineKind) {
	for i, k := range s.kinds {
		if k == from {
			s.kinds[i] = to
		}
	}
}

// join is the text of one kind; lines that did not follow each other have an
// empty one between.
func (s *separation) join(k lineKind) string {
	var out strings.Builder
	apart := false
	for i, l := range s.lines {
		if l.text == "" || s.kinds[i] != k {
			apart = true
			continue
		}
		if out.Len() > 0 {
			out.WriteByte('\n')
			if apart {
				out.WriteByte('\n')
			}
		}
		out.WriteString(l.text)
		apart = false
	}
	return out.String()
}

// next is the first line at or after i that is not empty; len(lines): none.
func (s *separation) next(i int) int {
	for i < len(s.lines) && s.lines[i].text == "" {
		i++
	}
	return i
}

// findHistory marks quotations, and everything from the line on by which a mail
// program begins the message that is answered or forwarded.
func (s *separation) findHistory() {
	for i := 0; i < len(s.lines); i++ {
		l := s.lines[i]
		switch {
		case l.text == "":
			continue
		case s.quoted(i) || l.mark&introduces != 0:
			s.kinds[i] = history
			continue
		case l.mark&beginsHistory != 0 || s.separator(i) || s.headerBlock(i):
			s.mark(i, len(s.lines), history)
			return
		}
		n := s.attribution(i)
		if n == 0 {
			continue
		}
		s.mark(i, i+n, history)
		i += n - 1
		next := s.next(i + 1)
		if next == len(s.lines) || s.quoted(next) {
			continue
		}
		if s.lines[next].mark&indented == 0 { // what follows is repeated without signs
			s.mark(next, len(s.lines), history)
			return
		}
		for ; next < len(s.lines) && (s.lines[next].text == "" || s.lines[next].mark&indented != 0); next++ {
			s.kinds[next] = history
			i = next
		}
	}
}

func (s *separation) mark(from, to int, k lineKind) {
	for i := from; i < to; i++ {
		s.kinds[i] = k
	}
}

// quoted tells a line that is in a quotation of a message: by the markup, or by
// the sign before it. ">From" is what mailboxes make of "From".
func (s *separation) quoted(i int) bool {
	l := s.lines[i]
	return l.mark&cited != 0 || l.mark&indented == 0 && strings.HasPrefix(strings.TrimLeft(l.text, " "), ">") && !strings.HasPrefix(l.text, ">From ")
}

// separators are the lines that mail programs put before a message, less what
// adorns them ("-----Messaggio originale-----").
var separators = map[string]bool{
	"messaggio originale": true, "messaggio inoltrato": true, "original message": true, "forwarded message": true, "messaggio di origine": true,
	"ursprungliche nachricht": true, "original-nachricht": true, "originalnachricht": true, "weitergeleitete nachricht": true,
	"message d'origine": true, "message original": true, "message transfere": true, "mensaje original": true,
	"rispondi sopra questa riga": true, "rispondi sopra questa linea": true, "please reply above this line": true,
	"please type your reply above this line": true, "reply above this line": true,
}

// openings begin such lines when more follows in them.
var openings = []string{"inoltrato da ", "forwarded by ", "messaggio originale di ", "messaggio inoltrato da ", "original message from "}

// bare are such lines without adornment.
var bareSeparators = map[string]bool{
	"inizio messaggio inoltrato:": true, "begin forwarded message:": true, "inizio del messaggio inoltrato:": true, "messaggio originale:": true,
	"anfang der weitergeleiteten nachricht:": true, "debut du message transfere :": true, "debut du message reexpedie :": true,
}

const adornment = "-_=#~+—– \t"

// separator tells a line that begins the history.
func (s *separation) separator(i int) bool {
	f := s.fold[i]
	if bareSeparators[f] {
		return true
	}
	core := strings.TrimLeft(f, adornment)
	if len(f)-len(core) < 2 {
		return false
	}
	core = strings.TrimRight(core, adornment)
	if core == "" { // a line of dashes
		next := s.next(i + 1)
		return next < len(s.lines) && len(f) >= 5 && s.headerBlock(next)
	}
	if separators[strings.TrimSuffix(core, ":")] {
		return true
	}
	for _, o := range openings {
		if strings.HasPrefix(core, o) {
			return true
		}
	}
	return false
}

// labels are the names of header fields that mail programs repeat.
var labels = map[string]label{
	"da": fromLabel, "mittente": fromLabel, "from": fromLabel, "von": fromLabel, "de": fromLabel,
	"inviato": dateLabel, "inviato il": dateLabel, "data": dateLabel, "data invio": dateLabel, "sent": dateLabel, "date": dateLabel, "gesendet": dateLabel,
	"datum": dateLabel, "envoye": dateLabel, "ricevuto": dateLabel,
	"a": otherLabel, "per": otherLabel, "destinatario": otherLabel, "destinatari": otherLabel, "to": otherLabel, "an": otherLabel,
	"oggetto": otherLabel, "ogg": otherLabel, "subject": otherLabel, "betreff": otherLabel, "objet": otherLabel,
	"cc": minorLabel, "ccn": minorLabel, "bcc": minorLabel, "copia": minorLabel, "rispondi a": minorLabel, "reply-to": minorLabel, "priorita": minorLabel,
	"importanza": minorLabel, "importance": minorLabel, "allegati": minorLabel, "attachments": minorLabel, "per conto di": minorLabel, "organizzazione": minorLabel,
}

type label uint8

const (
	noLabel label = iota
	fromLabel
	dateLabel
	otherLabel // recipients and subject
	minorLabel
)

func labelOf(f string) (l label, value string) {
	i := strings.IndexByte(f, ':')
	if i < 0 || i > 20 {
		return noLabel, ""
	}
	return labels[strings.TrimSpace(f[:i])], f[i+1:]
}

// blockMax bounds the lines of a repeated header.
const blockMax = 24

// headerBlock tells that a repeated header begins at line i: sender, date and
// subject or recipients under each other. People head letters like that too;
// only programs write addresses or the time of day there.
func (s *separation) headerBlock(i int) bool {
	if l, _ := labelOf(s.fold[i]); l != fromLabel {
		return false
	}
	var seen [minorLabel + 1]bool
	exact, between := false, 0
	for end := min(i+blockMax, len(s.lines)); i < end; i++ {
		if s.lines[i].text == "" {
			continue
		}
		l, value := labelOf(s.fold[i])
		if l == noLabel {
			between++ // a long field that goes on
		}
		if between > 3 || seen[l] && l == fromLabel {
			break
		}
		seen[l] = true
		exact = exact || l == fromLabel && strings.Contains(value, "@") || l == dateLabel && timeOfDay(value)
		if seen[fromLabel] && seen[dateLabel] && seen[otherLabel] && exact {
			return true
		}
	}
	return false
}

// verbs end the line by which an answer introduces the message it quotes.
var verbs = []string{"ha scritto:", "hai scritto:", "ha scritto", "hanno scritto:", "scrive:", "scriveva:", "scritto:", "wrote:", "writes:",
	"schrieb:", "a ecrit :", "a ecrit:", "escribio:"}

// introductions begin such lines.
var introductions = []string{"il ", "il giorno ", "in data ", "nel messaggio ", "alle ", "on ", "in a message ", "citando ", "quoting ", "am ", "le ", "el ", "at "}

// attributionMax bounds such a line, which some programs fold.
const attributionMax = 4

// attribution is how many lines from i on introduce a quotation: none, or one
// and its folded rest. Without a time or an address in it only a quotation after
// it makes such a line one: "come ha scritto:" is something people write.
func (s *separation) attribution(i int) int {
	joined := s.fold[i]
	for n := 1; n <= attributionMax && i+n <= len(s.lines); n++ {
		if s.lines[i+n-1].text == "" || n > 1 && s.quoted(i+n-1) {
			return 0
		}
		if n > 1 {
			joined += " " + s.fold[i+n-1]
		}
		if len(joined) > foldedMax || joined == "" {
			return 0
		}
		if !introducing(joined) {
			if n == 1 && !begins(joined, introductions) && !strings.Contains(joined, "@") {
				return 0
			}
			continue
		}
		if timeOfDay(joined) || strings.Contains(joined, "@") {
			return n
		}
		if next := s.next(i + n); next < len(s.lines) && (s.quoted(next) || s.lines[next].mark&indented != 0) {
			return n
		}
		return 0
	}
	return 0
}

func introducing(f string) bool {
	for _, v := range verbs {
		if strings.HasSuffix(f, v) {
			return true
		}
	}
	if !strings.HasSuffix(f, ":") {
		return false
	}
	switch {
	case strings.Contains(f, " ha scritto il ") || strings.Contains(f, " ha scritto in data ") || strings.Contains(f, " wrote on "),
		strings.HasPrefix(f, "am ") && strings.Contains(f, " schrieb "):
		return true
	case strings.HasSuffix(f, ">:"): // Gmail of old, Horde, German programs
		return begins(f, introductions) || digit(f[0]) && timeOfDay(f)
	}
	return strings.HasPrefix(f, "citando ") || strings.HasPrefix(f, "quoting ")
}

func begins(s string, with []string) bool {
	for _, w := range with {
		if strings.HasPrefix(s, w) {
			return true
		}
	}
	return false
}

// timeOfDay tells that s holds a time such as 9:30 or 17.33, which is no date.
func timeOfDay(s string) bool {
	for i := 1; i+2 < len(s); i++ {
		if s[i] != ':' && s[i] != '.' || !digit(s[i-1]) || !digit(s[i+1]) || !digit(s[i+2]) {
			continue
		}
		from := i - 1
		if from > 0 && digit(s[from-1]) {
			from--
		}
		if from > 0 && (digit(s[from-1]) || s[from-1] == '.' || s[from-1] == '/' || s[from-1] == '-') {
			continue
		}
		if i+3 < len(s) && (digit(s[i+3]) || s[i] == '.' && s[i+3] == '.') {
			continue
		}
		return true
	}
	return false
}

// keepAnswersInPlace: a message that answers point by point, between the
// quotations, is understood only together with them.
func (s *separation) keepAnswersInPlace() {
	type span struct{ from, to int }
	var answered []span // quotations that something of the person's follows
	from := -1
	for i, l := range s.lines {
		switch {
		case l.text == "" || s.kinds[i] == footer:
		case s.kinds[i] == history:
			if from < 0 {
				from = i
			}
		case from >= 0:
			answered = append(answered, span{from, i})
			from = -1
		}
	}
	if len(answered) < 2 {
		return
	}
	for _, a := range answered {
		for i := a.from; i < a.to; i++ {
			if s.kinds[i] == history {
				s.kinds[i] = own
			}
		}
	}
}

// foldedMax bounds what is compared of one line.
const foldedMax = 500

// foldLines prepares what is compared.
func (s *separation) foldLines() {
	size := 0
	for _, l := range s.lines {
		size += min(len(l.text), foldedMax) + 1
	}
	all := make([]byte, 0, size)
	ends := make([]int, len(s.lines))
	for i, l := range s.lines {
		all = append(appendFolded(all, l.text), '\n')
		ends[i] = len(all)
	}
	s.whole, s.fold = string(all), make([]string, len(s.lines))
	from := 0
	for i, end := range ends {
		s.fold[i] = s.whole[from : end-1]
		from = end
	}
}

// appendFolded appends a line in the form that is compared: lower case, without
// the accents of Italian, German and French, without signs of emphasis, with
// single blanks and straight apostrophes.
func appendFolded(out []byte, s string) []byte {
	from, gap := len(out), false
	for _, r := range s {
		if len(out)-from >= foldedMax {
			break
		}
		switch {
		case r == ' ' || r == '\t' || r > 0x7f && unicode.IsSpace(r):
			gap = true
			continue
		case r == '*' || r == '\u200b':
			continue
		}
		if gap && len(out) > from {
			out = append(out, ' ')
		}
		gap = false
		switch {
		case 'A' <= r && r <= 'Z':
			out = append(out, byte(r|0x20))
		case r < 0x80:
			out = append(out, byte(r))
		default:
			out = utf8.AppendRune(out, plainLetter(unicode.ToLower(r)))
		}
	}
	return out
}

func plainLetter(r rune) rune {
	switch r {
	case 'à', 'á', 'â', 'ä':
		return 'a'
	case 'è', 'é', 'ê', 'ë':
		return 'e'
	case 'ì', 'í', 'î', 'ï':
		return 'i'
	case 'ò', 'ó', 'ô', 'ö':
		return 'o'
	case 'ù', 'ú', 'û', 'ü':
		return 'u'
	case 'ç':
		return 'c'
	case '’', '‘', '´':
		return '\''
	}
	return r
}
