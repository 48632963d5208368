package sample

import (
	"strings"

	"github.com/protodaemon/protodaemon/pec"
)

// contentTricks are signed by the provider, which nobody but the provider can
// do: a provider that was fooled, by a writer who guesses its boundary or whose
// mail looks like an envelope, is not followed either.
var contentTricks = []trick{
	// More than one daticert.xml, or none where it has to be.
	{"due-daticert", func(f *forge) string { return f.swap(f.daticert(), f.daticert()+f.daticert()) }, anomalous(pec.DaticertSeveral)},
	{"due-daticert-diversi", func(f *forge) string { return f.swap(f.daticert(), "\r\n--"+f.inner+"\r\n"+f.lie()+f.daticert()) }, anomalous(pec.DaticertSeveral)},
	{"daticert-e-certdata", func(f *forge) string { return f.beside("certdata.xml") }, anomalous(pec.DaticertSeveral)},
	{"daticert-maiuscolo", func(f *forge) string { return f.beside("DATICERT.XML") }, anomalous(pec.DaticertSeveral)},
	{"daticert-in-una-cartella", func(f *forge) string { return f.beside("x/daticert.xml") }, anomalous(pec.DaticertSeveral)},
	{"daticert-con-spazi", func(f *forge) string { return f.beside(" daticert.xml ") }, anomalous(pec.DaticertSeveral)},
	{"daticert-codificato", func(f *forge) string { return f.beside("=?utf-8?Q?daticert=2Exml?=") }, anomalous(pec.DaticertSeveral)},
	{"daticert-rfc2231", func(f *forge) string {
		return f.more(strings.Replace(f.lie(), "; filename=\"daticert.xml\"", "; filename*=utf-8''daticert%2Exml", 1))
	}, anomalous(pec.DaticertSeveral)},
	{"daticert-rfc2231-pezzi", func(f *forge) string {
		return f.more(strings.Replace(f.lie(), "; filename=\"daticert.xml\"", "; filename*0=dati; filename*1=cert.xml", 1))
	}, anomalous(pec.DaticertSeveral)},
	{"daticert-solo-name", func(f *forge) string {
		return f.more(strings.Replace(f.lie(), "Content-Disposition: inline; filename=\"daticert.xml\"\r\n", "", 1))
	}, anomalous(pec.DaticertSeveral)},
	{"daticert-di-altro-tipo", func(f *forge) string { return f.more(strings.Replace(f.lie(), "application/xml", "image/png", 1)) }, anomalous(pec.DaticertSeveral)},
	{"daticert-piu-in-fondo", func(f *forge) string {
		return f.more("Content-Type: multipart/mixed; boundary=I\r\n\r\n--I\r\n" + f.lie() + "\r\n--I--\r\n")
	}, anomalous(pec.DaticertSeveral)},
	{"daticert-solo-in-fondo", func(f *forge) string {
		d := strings.TrimPrefix(f.daticert(), "\r\n--"+f.inner+"\r\n")
		return f.swap(f.daticert(), "\r\n--"+f.inner+"\r\nContent-Type: multipart/mixed; boundary=I\r\n\r\n--I\r\n"+d+"\r\n--I--\r\n")
	}, anomalous(pec.DaticertMissing)},
	{"daticert-solo-nell-originale", func(f *forge) string {
		e := strings.Replace(f.entity, f.daticert(), "", 1)
		return f.resigned(strings.Replace(e, "Content-Type: application/pdf", f.lie()[:strings.Index(f.lie(), "\r\n")]+"\r\nX:", 1))
	}, anomalous(pec.DaticertMissing, pec.NameDiffers)},
	{"separatore-indovinato", func(f *forge) string {
		return f.swap("Distinti saluti", "\r\n--"+f.inner+"\r\n"+f.lie()+"\r\n--"+f.inner+"\r\n\r\n"+Canary)
	}, anomalous(pec.DaticertSeveral, pec.MalformedStructure)},

	// What daticert.xml says.
	{"tipo-di-ricevuta", func(f *forge) string { return f.certifying("tipo=\"posta-certificata\"", "tipo=\"accettazione\"") }, anomalous(pec.TypeDiffers)},
	{"tipo-inventato", func(f *forge) string {
		return f.certifying("tipo=\"posta-certificata\"", "tipo=\""+Canary+"\"")
	}, anomalous(pec.TypeDiffers)},
	{"tipo-due-volte", func(f *forge) string {
		return f.certifying("<postacert tipo=\"posta-certificata\"", "<postacert tipo=\"accettazione\" tipo=\"posta-certificata\"")
	}, unread()},
	{"entita", func(f *forge) string {
		return f.certifying("<postacert", "<!DOCTYPE postacert [<!ENTITY e \""+Canary+"\"><!ENTITY f \"&e;&e;\">]>\n<postacert", "<oggetto>", "<oggetto>&f;")
	}, anomalous(pec.DaticertMalformed, pec.IdentifierDiffers, pec.ReferenceDiffers)},
	{"entita-esterna", func(f *forge) string {
		return f.certifying("<postacert", "<!DOCTYPE postacert [<!ENTITY e SYSTEM \"file:///etc/passwd\">]>\n<postacert", "<oggetto>", "<oggetto>&e;")
	}, anomalous(pec.DaticertMalformed, pec.IdentifierDiffers, pec.ReferenceDiffers)},
	{"altra-radice", func(f *forge) string { return f.certifying("<postacert", "<"+Canary, "</postacert>", "</"+Canary+">") }, unread()},
	{"radice-intorno", func(f *forge) string {
		return f.certifying("<postacert", "<x><postacert", "</postacert>", "</postacert></x>")
	}, unread()},
	{"due-radici", func(f *forge) string {
		return f.certifying("</postacert>", "</postacert><postacert tipo=\"posta-certificata\" errore=\"nessuno\"><intestazione><mittente>"+evil+"</mittente></intestazione></postacert>")
	}, anomalous(pec.DaticertMalformed)},
	{"daticert-troncato", func(f *forge) string { return f.certifying("</dati>\n</postacert>\n", "") }, anomalous(pec.DaticertMalformed)},
	{"daticert-senza-data", func(f *forge) string { return f.certifying("<giorno>", "<giorno>ieri ") }, anomalous(pec.DaticertMalformed)},

	// The original.
	{"due-originali", func(f *forge) string { return f.more(f.another("postacert.eml")) }, anomalous(pec.PostacertSeveral, pec.EnvelopeSubjectDiffers)},
	{"un-altro-messaggio-accanto", func(f *forge) string { return f.more(f.another("altro.eml")) }, certified()},
	{"originale-con-due-from", func(f *forge) string { return f.original("From: ", "From: "+evil+"\r\nFrom: ") }, certified(pec.SenderDiffers)},
	{"originale-con-due-indirizzi", func(f *forge) string { return f.original("From: ", "From: "+evil+", ") }, certified(pec.SenderDiffers)},
	{"originale-con-nome-bugiardo", func(f *forge) string { return f.original("From: Mario Rossi <", "From: \""+evil+"\" <") }, certified(pec.SenderNameDiffers)},
}

// unread is the verdict on an envelope whose daticert.xml says nothing that is
// believed.
func unread() verdict {
	return anomalous(pec.DaticertMalformed, pec.IdentifierDiffers, pec.ReferenceDiffers, pec.SenderDiffers)
}

// more adds a part to the entity and has it signed.
func (f *forge) more(part string) string {
	end := "\r\n--" + f.inner + "--"
	return f.swap(end, "\r\n--"+f.inner+"\r\n"+part+end)
}

// beside adds a lying certificate under a name.
func (f *forge) beside(name string) string {
	return f.more(strings.ReplaceAll(f.lie(), "\"daticert.xml\"", "\""+name+"\""))
}

// certifying replaces texts in daticert.xml, in pairs, and has it signed.
func (f *forge) certifying(pairs ...string) string {
	content := string(f.d.xml(f.d.envelope()))
	changed := strings.NewReplacer(pairs...).Replace(content)
	old := string(Daticert{}.part([]byte(content)))
	return f.swap(old, string(Daticert{}.part([]byte(changed))))
}

// original changes the original and has it signed: it is what its writer wrote.
func (f *forge) original(old, new string) string {
	raw := string(f.d.original)
	changed := f.swap(raw, strings.Replace(raw, old, new, 1))
	f.honest.Raw = []byte(changed)
	return changed
}

// another is a message part of the trick's.
func (f *forge) another(name string) string {
	return "Content-Type: message/rfc822; name=\"" + name + "\"\r\nContent-Disposition: inline; filename=\"" + name + "\"\r\n\r\nFrom: " + evil + "\r\nSubject: " + Canary + "\r\n\r\n" + Canary + "\r\n"
}
