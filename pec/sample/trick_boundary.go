package sample

import (
	"strings"

	"github.com/protodaemon/protodaemon/pec"
)

// boundaryTricks make different programs see different parts. What does not
// touch the signed bytes as we cut them stays certified and shows the same.
var boundaryTricks = []trick{
	// Where the delimiters are.
	{"preambolo", func(f *forge) string {
		return f.replace("\r\n\r\n--"+f.boundary, "\r\n\r\n"+page()+"--"+f.boundary)
	}, certified()},
	{"epilogo", func(f *forge) string { return f.raw + page() }, certified()},
	{"epilogo-con-parti", func(f *forge) string {
		return f.raw + "--" + f.boundary + "\r\n" + page() + "--" + f.boundary + "--\r\n"
	}, certified()},
	{"preambolo-con-prefisso", func(f *forge) string {
		return f.replace("\r\n\r\n--"+f.boundary, "\r\n\r\n--"+f.boundary+"x\r\n"+page()+"--"+f.boundary)
	}, certified()},
	{"epilogo-con-prefisso", func(f *forge) string { return f.raw + "--" + f.boundary + "x\r\n" + page() }, certified()},
	{"prefisso-dentro", func(f *forge) string {
		return f.replace("\r\n--"+f.boundary+"\r\n"+f.p7s, "\r\n--"+f.boundary+"x\r\n"+page()+"\r\n--"+f.boundary+"\r\n"+f.p7s)
	}, broken()},
	{"spazi-dopo-il-separatore", func(f *forge) string {
		return strings.ReplaceAll(f.raw, "--"+f.boundary+"\r\n", "--"+f.boundary+" \t \r\n")
	}, certified()},
	{"testo-dopo-il-separatore", func(f *forge) string { return f.replace("--"+f.boundary+"\r\n", "--"+f.boundary+" x\r\n") }, misplaced()},
	{"separatore-senza-trattini", func(f *forge) string { return f.replace("--"+f.boundary+"\r\n", "-"+f.boundary+"\r\n") }, misplaced()},
	{"separatore-dopo-cr", func(f *forge) string {
		return f.replace("\r\n--"+f.boundary+"\r\nContent-Type: application/x-pkcs7", "\r--"+f.boundary+"\r\nContent-Type: application/x-pkcs7")
	}, broken()},
	{"separatore-cr-nel-preambolo", func(f *forge) string {
		return f.replace("\r\n\r\n--"+f.boundary, "\r\n\r\n\r--"+f.boundary+"\r"+Canary+"\r\n--"+f.boundary)
	}, certified()},
	{"separatore-lf", func(f *forge) string {
		return strings.ReplaceAll(f.raw, "\r\n--"+f.boundary+"\r\n", "\n--"+f.boundary+"\n")
	}, certified()},
	{"chiusura-anticipata", func(f *forge) string { return f.replace("--"+f.boundary+"\r\n"+f.p7s, "--"+f.boundary+"--\r\n"+f.p7s) }, broken()},
	{"chiusura-mancante", func(f *forge) string { return f.replace("\r\n--"+f.boundary+"--\r\n", "\r\n") }, broken(pec.MalformedStructure)},
	{"chiusura-a-meta", func(f *forge) string { return f.replace("\r\n--"+f.boundary+"--", "\r\n--"+f.boundary+"-") }, broken(pec.MalformedStructure)},
	{"separatore-vuoto", func(f *forge) string { return strings.ReplaceAll(f.raw, f.boundary, "") }, unsigned(pec.MalformedStructure)},
	{"separatore-troppo-lungo", func(f *forge) string { return strings.ReplaceAll(f.raw, f.boundary, strings.Repeat("b", 201)) }, unsigned(pec.MalformedStructure)},
	{"separatore-di-cento", func(f *forge) string { return strings.ReplaceAll(f.raw, f.boundary, strings.Repeat("b", 100)) }, certified()},
	{"separatore-come-chiusura", func(f *forge) string { return strings.ReplaceAll(f.raw, f.boundary, f.boundary+"--") }, certified()},

	// How the boundary is named.
	bounded("senza-virgolette", func(b string) string { return "boundary=" + b }, certified()),
	bounded("virgolette-semplici", func(b string) string { return "boundary='" + b + "'" }, unsigned(pec.MalformedStructure)),
	bounded("spazio-finale", func(b string) string { return "boundary=\"" + b + " \"" }, unsigned(pec.MalformedStructure)),
	bounded("barre-inverse", func(b string) string { return "boundary=\"\\" + b[:1] + "\\" + b[1:] + "\"" }, unsigned(pec.MalformedStructure)),
	bounded("maiuscolo", func(b string) string { return "BOUNDARY=\"" + b + "\"" }, certified()),
	bounded("spazi-intorno", func(b string) string { return "boundary = \"" + b + "\"" }, certified()),
	bounded("rfc2231", func(b string) string { return "boundary*=us-ascii''" + percent(b) }, certified()),
	bounded("rfc2231-pezzi", func(b string) string {
		return "boundary*0=\"" + b[:5] + "\"; boundary*1=\"" + b[5:] + "\""
	}, certified()),
	bounded("due-volte-vero-prima", func(b string) string { return "boundary=\"" + b + "\"; boundary=" + Canary }, distrusted(pec.MalformedHeader)),
	bounded("due-volte-falso-prima", func(b string) string { return "boundary=" + Canary + "; boundary=\"" + b + "\"" }, misplaced(pec.MalformedHeader)),
	bounded("rfc2231-e-semplice", func(b string) string { return "boundary=" + Canary + "; boundary*=us-ascii''" + percent(b) }, distrusted(pec.MalformedHeader)),
	bounded("semplice-e-rfc2231", func(b string) string { return "boundary=\"" + b + "\"; boundary*=us-ascii''" + Canary }, misplaced(pec.MalformedHeader)),
	bounded("pezzi-e-semplice", func(b string) string { return "boundary*0=" + Canary + "; boundary=\"" + b + "\"" }, misplaced(pec.MalformedHeader)),
	bounded("nul", func(b string) string { return "boundary=\"" + b + "\x00x\"" }, unsigned(pec.MalformedHeader, pec.MalformedStructure)),
	bounded("cr", func(b string) string { return "boundary=\"" + b + "\"\r boundary=" + Canary }, distrusted(pec.MalformedHeader)),
	bounded("commento", func(b string) string { return "(boundary=" + Canary + ") boundary=\"" + b + "\"" }, unsigned(pec.MalformedStructure)),
	bounded("senza-punto-e-virgola", func(b string) string { return "x=y boundary=\"" + b + "\"" }, unsigned(pec.MalformedStructure)),
	{"tipo-con-commento", func(f *forge) string { return f.replace("multipart/signed;", "multipart/signed (multipart/mixed);") }, unsigned()},
	{"tipo-con-spazio", func(f *forge) string { return f.replace("multipart/signed;", "multipart / signed;") }, unsigned()},
	{"tipo-maiuscolo", func(f *forge) string { return f.replace("multipart/signed;", "MULTIPART/Signed;") }, certified()},
	{"tipo-piegato", func(f *forge) string { return f.replace("multipart/signed; ", "multipart/signed;\r\n\t") }, certified()},
	{"tipo-con-nul", func(f *forge) string { return f.replace("multipart/signed;", "multipart/signed\x00;") }, unsigned(pec.MalformedHeader)},
}

// bounded names the outer boundary in another way, and lays out parts under the
// other name where there is one.
func bounded(name string, param func(boundary string) string, want verdict) trick {
	return trick{"boundary-" + name, func(f *forge) string {
		raw := f.replace("boundary=\""+f.boundary+"\"", param(f.boundary))
		head, body, _ := strings.Cut(raw, "\r\n\r\n")
		return head + "\r\n\r\n" + f.ladder(Canary) + body
	}, want}
}

func percent(s string) string { return strings.ReplaceAll(s, "=", "%3D") }
