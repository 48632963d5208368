package pec

import "strings"

// findFooters marks among the sender's lines what programs, providers and
// offices put into every message.
func (s *separation) findFooters() {
	for i, l := range s.lines {
		if s.kinds[i] == own && l.text != "" && (l.mark&signs != 0 || programLine(s.fold[i])) {
			s.kinds[i] = footer
		}
	}
	s.findSignature()
	s.findProviderTexts()
	s.findNotices()
}

// signatureLines bounds the lines of a signature after "-- " (RFC 3676 §4.3);
// what is longer is no signature.
const signatureLines = 15

// findSignature marks what follows the line "-- ", up to the history.
func (s *separation) findSignature() {
	for i := len(s.lines) - 1; i > 0; i-- {
		if s.lines[i].text != "--" || s.kinds[i] != own {
			continue
		}
		end, lines := i, 0
		for end < len(s.lines) && s.kinds[end] != history && lines <= signatureLines {
			if s.lines[end].text != "" {
				lines++
			}
			end++
		}
		if lines <= signatureLines {
			s.mark(i, end, footer)
		}
	}
}

// programLines are lines of mail programs on telephones, and of virus scanners.
var programLines = []string{
	"inviato da iphone", "inviato dal mio iphone", "inviato da ipad", "inviato dal mio ipad", "inviato da mio dispositivo", "inviato dal mio dispositivo",
	"inviato da outlook per ", "inviato da posta per windows", "inviato dal mio smartphone", "inviato da smartphone", "inviato dal mio galaxy", "inviato da samsung",
	"inviato dal mio samsung", "inviato da libero mail", "inviato da yahoo mail", "inviato da gmail mobile", "inviato dal mio huawei", "inviato dal mio xiaomi",
	"inviata da iphone", "ottieni outlook per ", "scarica outlook per ", "get outlook for ", "sent from my ", "sent from outlook for ", "sent from mail for ",
	"sent from samsung", "von meinem iphone gesendet", "gesendet von ", "envoye de mon iphone",
}

// programLineMax bounds them: people begin longer sentences like that.
const programLineMax = 90

func programLine(f string) bool {
	return len(f) <= programLineMax && begins(f, programLines)
}

// providerTitles begin the texts that providers put before a certified message
// or into a receipt (RFC 6109 §3).
var providerTitles = []string{
	"messaggio di posta certificata", "posta certificata", "ricevuta di accettazione", "ricevuta di avvenuta consegna", "ricevuta di consegna",
	"ricevuta di presa in carico", "avviso di mancata consegna", "avviso di non accettazione", "anomalia nel messaggio", "busta di trasporto", "il giorno ",
}

// providerEnds are in the last lines of such a text.
var providerEnds = []string{
	"identificativo messaggio", "identificativo del messaggio", "l'identificativo univoco", "daticert.xml", "il messaggio originale e incluso",
	"il messaggio originale e' incluso", "postacert.eml", "smime.p7s", "message id:",
}

// providerMax bounds the lines of such a text.
const providerMax = 60

// findProviderTexts marks a provider's text: a title, in the lines after it day
// and time of the event in the words of the rule, then identifier and files.
func (s *separation) findProviderTexts() {
	if !strings.Contains(s.whole, " alle ore ") {
		return
	}
	for i := 0; i < len(s.lines); i++ {
		f := strings.Trim(s.fold[i], adornment)
		if s.kinds[i] != own || f == "" || !begins(f, providerTitles) {
			continue
		}
		event, end := false, i
		for j := i; j < len(s.lines) && j < i+providerMax && s.kinds[j] != history; j++ {
			g := s.fold[j]
			if j < i+6 && strings.Contains(g, "il giorno ") && strings.Contains(g, " alle ore ") {
				event = true
			}
			if event && holds(g, providerEnds) {
				end = j + 1
			}
		}
		if event && end > i {
			s.mark(i, end, footer)
			i = end - 1
		}
	}
}

func holds(s string, any []string) bool {
	for _, a := range any {
		if strings.Contains(s, a) {
			return true
		}
	}
	return false
}

// A notice of secrecy speaks of the message itself, says that it is secret and
// what to do who is not meant. One that does all three is a notice; people write
// about each of them alone.
var (
	aboutMessage = []string{"questo messaggio", "presente messaggio", "questa e-mail", "questa email", "presente e-mail", "presente email", "questa mail",
		"presente mail", "presente comunicazione", "questa comunicazione", "messaggio di posta elettronica", "this e-mail", "this email", "this message",
		"this communication", "this transmission", "diese e-mail", "diese nachricht", "ce message", "ce courriel"}
	secrecy  = []string{"riservat", "confidenzial", "confidential", "privileged", "vertraulich", "confidentiel"}
	mistaken = []string{"per errore", "erroneamente", "destinatari", "intended recipient", "addressee", "in error", "by mistake", "irrtumlich", "par erreur"}
	// What stands beside such a notice.
	besideNotice = []string{"196/2003", "679/2016", "2016/679", "gdpr", "rgpd", "616 c.p", "tutela dei dati", "protezione dei dati", "privacy", "trattamento dei dati",
		"informativa", "stampare", "printing", "virus", "cancellar", "distrugger", "delete"}
	// A short paragraph with one of these is one too.
	smallNotices = []string{"prima di stampare", "non stampare questa", "stampare questa mail", "stampare questa e-mail", "stampare questa email",
		"before printing this", "priva di virus", "privo di virus", "virus-free", "checked for viruses", "controllata per individuare virus",
		"proviene dall'esterno dell'organizzazione", "proviene da un mittente esterno", "originated from outside"}
	noticeTitles = []string{"avviso di riservatezza", "nota di riservatezza", "clausola di riservatezza", "riservatezza:", "confidentiality notice",
		"disclaimer", "privacy notice", "informativa privacy", "avvertenza di riservatezza", "avvertenze ai sensi"}
)

// noticeStems: one of them is in every phrase by which a notice is known.
var noticeStems = []string{"riserv", "confiden", "privileg", "vertraulich", "disclaimer", "privacy", "avvertenz", "stampar", "printing", "virus", "estern", "outside"}

// Lengths of paragraphs, in bytes.
const (
	noticeMax      = 4000
	smallNoticeMax = 300
	noticeTitleMax = 80
)

// findNotices marks the paragraphs that are notices, and those right after one
// that go on in the same vein (a translation, the law).
func (s *separation) findNotices() {
	if !holds(s.whole, noticeStems) { // as in most messages
		return
	}
	after := false
	for from := 0; from < len(s.lines); {
		if s.kinds[from] != own || s.lines[from].text == "" {
			after = after && s.lines[from].text == ""
			from++
			continue
		}
		to, size := from, 0
		for to < len(s.lines) && s.kinds[to] == own && s.lines[to].text != "" {
			size += len(s.fold[to]) + 1
			to++
		}
		after = size <= noticeMax && notice(s.paragraph(from, to), after)
		if after {
			s.mark(from, to, footer)
			for i := from - 1; i >= 0 && s.kinds[i] == own && strings.Trim(s.fold[i], adornment) == ""; i-- {
				s.kinds[i] = footer // the line drawn above it
			}
		}
		from = to
	}
}

func (s *separation) paragraph(from, to int) string { return strings.Join(s.fold[from:to], " ") }

func notice(p string, after bool) bool {
	secret, mistake := holds(p, secrecy), holds(p, mistaken)
	about := mistake && holds(p, aboutMessage)
	switch core := strings.Trim(p, adornment); {
	case about && secret:
		return true
	case begins(core, noticeTitles) && (len(core) <= noticeTitleMax || secret || mistake):
		return true
	case len(p) <= smallNoticeMax && holds(p, smallNotices):
		return true
	}
	return after && (secret && mistake || about || holds(p, besideNotice))
}
