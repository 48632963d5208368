package sample

import (
	"strings"

	"github.com/protodaemon/protodaemon/pec"
)

// senderTricks make another sender seem to be the provider, or the provider
// another: RFC 6109 §2.1 wants the one From address to be the certificate's.
var senderTricks = []trick{
	sender("altro-indirizzo", func(string) string { return evil }, distrusted()),
	sender("nome-come-indirizzo", func(p string) string { return "\"" + p + "\" <" + evil + ">" }, distrusted()),
	sender("nome-come-indirizzo-senza-virgolette", func(p string) string { return p + " <" + evil + ">" }, distrusted()),
	sender("nome-con-parentesi-angolari", func(p string) string { return "\"<" + p + ">\" <" + evil + ">" }, distrusted()),
	sender("indirizzo-nel-commento", func(p string) string { return evil + " (" + p + ")" }, distrusted()),
	sender("commento-annidato", func(p string) string { return evil + " (a (" + p + ") b)" }, distrusted()),
	sender("commento-nell-indirizzo", func(p string) string { return "<" + p + "(" + evil + ")>" }, distrusted()),
	sender("due-indirizzi", func(p string) string { return evil + ", " + p }, distrusted()),
	sender("due-indirizzi-dopo", func(p string) string { return p + ", " + evil }, distrusted()),
	sender("due-indirizzi-punto-e-virgola", func(p string) string { return p + "; " + evil }, distrusted()),
	sender("due-parentesi-angolari", func(p string) string { return "<" + evil + "> <" + p + ">" }, distrusted()),
	sender("due-parentesi-angolari-dopo", func(p string) string { return "<" + p + "> <" + evil + ">" }, distrusted()),
	sender("gruppo", func(p string) string { return "x: " + evil + ", " + p + ";" }, distrusted()),
	sender("gruppo-e-indirizzo", func(p string) string { return "x: " + evil + "; " + p }, distrusted()),
	sender("parola-codificata", func(string) string { return "=?utf-8?Q?posta-certificata=40pec.example?= <" + evil + ">" }, distrusted()),
	sender("indirizzo-codificato", func(p string) string { return "=?utf-8?B?cG9zdGEtY2VydGlmaWNhdGFAcGVj?= <" + p + ".ladri.example>" }, distrusted()),
	sender("dominio-piu-lungo", func(p string) string { return p + ".ladri.example" }, distrusted()),
	sender("punto-finale", func(p string) string { return p + "." }, distrusted()),
	sender("lettera-simile", func(p string) string { return p[:len(p)-1] + "\u0435" }, distrusted()),
	sender("lettera-piegata", func(p string) string { return p[:18] + strings.Replace(p[18:], "s", "\u017f", 1) }, distrusted()),
	sender("spazio-nell-indirizzo", func(p string) string { return p[:5] + " " + p[5:] + "@ladri.example" }, distrusted()),
	sender("nul", func(p string) string { return p + "\x00@ladri.example" }, distrusted(pec.MalformedHeader)),
	sender("cr-e-altro-from", func(p string) string { return p + "\rFrom: " + evil }, distrusted(pec.MalformedHeader)),
	sender("lf-e-altro-from", func(p string) string { return p + "\nFrom: " + evil }, distrusted(pec.DuplicateHeader)),
	sender("piegato-con-altro", func(p string) string { return evil + ",\r\n " + p }, distrusted()),
	sender("vuoto", func(string) string { return "" }, distrusted()),
	{"from-doppio", func(f *forge) string { return f.above("From: " + evil) }, distrusted(pec.DuplicateHeader)},
	{"from-doppio-sotto", func(f *forge) string { return f.replace("MIME-Version:", "From: "+evil+"\r\nMIME-Version:") }, distrusted(pec.DuplicateHeader)},
	{"from-doppio-con-spazio", func(f *forge) string { return f.above("FROM : " + evil) }, distrusted(pec.DuplicateHeader)},
	{"from-tolto", func(f *forge) string { return f.replace("\r\nFrom: ", "\r\nX-From: ") }, distrusted()},
	{"from-in-altro-campo", func(f *forge) string { return f.above("X-Altro: a\rFrom: " + evil) }, distrusted(pec.MalformedHeader)},
	{"certificata-nel-nome", func(f *forge) string {
		return f.field("From", "\""+f.m.p.Address()+", "+evil+"\" <"+f.m.p.Address()+">")
	}, certified()},
}

func sender(name string, from func(provider string) string, want verdict) trick {
	return trick{"from-" + name, func(f *forge) string { return f.field("From", from(f.m.p.Address())) }, want}
}
