package web

import (
	"strings"
	"testing"
	"time"

	"github.com/protodaemon/protodaemon/pec/sample"
	"github.com/protodaemon/protodaemon/register"
)

const inQueue = "/ordine/ist/da-protocollare"

// TestPagesLookRight opens every page and lets axe-core judge it; with
// PROTODAEMON_SHOTS it also keeps pictures.
func TestPagesLookRight(t *testing.T) {
	d := newDesk(t)
	d.fillDesk()
	b := d.tab(t)
	b.open("/accesso")
	b.accessible("accesso")
	b.fill("#u", "g.rossi")
	b.fill("#p", "sbagliata")
	b.click("button[type=submit]")
	b.see("Nome o password non corretti.")
	b.accessible("accesso-errore")
	b.calm("status of 401")
	b.signIn("g.rossi")

	b.open("/ordine/ist/")
	b.see("da guardare")
	b.accessible("oggi")
	b.open("/caselle")
	b.see("Che cosa fare:")
	b.accessible("caselle")
	b.open(inQueue)
	b.see("Avrà il primo numero libero")
	b.accessible("da-protocollare-elenco")
	for _, p := range []struct{ words, name string }{
		{"Richiesta terna", "da-protocollare"}, {"Fattura n. 2291", "da-protocollare-avviso"},
		{"Programma della giornata", "da-protocollare-html"}, {"alterata", "da-protocollare-alterata"}, {"convocazione", "da-protocollare-ricevuta"},
	} {
		b.open(inQueue)
		b.wait(`[...document.querySelectorAll(".qi a")].find(a => a.innerText.toLowerCase().includes(` + quote(strings.ToLower(p.words)) + `))`)
		b.open(evaluate[string](b, `new URL([...document.querySelectorAll(".qi a")].find(a => a.innerText.toLowerCase().includes(`+quote(strings.ToLower(p.words))+`)).href).pathname`))
		b.accessible(p.name)
	}
	b.open(inQueue + "/" + d.first("Richiesta terna") + "/rifiuta")
	b.accessible("rifiuta")
	b.open("/ordine/ist/registro")
	b.accessible("registro")
	b.open("/ordine/ist/registro/" + time.Now().In(d.zone).Format("2006") + "/0000001")
	b.see("Protocollata con il n. 0000001")
	b.accessible("registrazione")
	b.open("/ordine/dis/da-protocollare")
	b.see("Tutto protocollato")
	b.accessible("da-protocollare-vuota")
	b.open("/ordine/dis/registro")
	b.see("Ancora nessuna registrazione")
	b.accessible("registro-vuoto")
	b.calm()
	b.open("/ordine/ist/registro/2026/0000999")
	b.see("Il numero 0000999/2026 non è ancora stato dato.")
	b.accessible("errore")
	b.calm("status of 404")
}

// TestOperatorsAtWork is the main job in two real browsers.
func TestOperatorsAtWork(t *testing.T) {
	d := newDesk(t)
	d.pages.waits.undo = time.Hour // nothing happens but what is clicked
	letter := func(subject string) string {
		return d.deliver(d.certified(mail("Comune di Borgolieto <protocollo@pec.example.it>", subject, "Testo.", time.Hour, pdf("a.pdf"))), time.Hour).ID
	}
	first, second, third := letter("Primo messaggio"), letter("Secondo messaggio"), letter("Terzo messaggio")
	rossi, bianchi := d.tab(t), d.tab(t)
	rossi.signIn("g.rossi")
	bianchi.signIn("l.bianchi")

	// Confirm, call back, confirm again, and read the number.
	rossi.open(inQueue + "/" + first)
	rossi.listening()
	rossi.click("[data-confirm]")
	rossi.see("Scegliere una classificazione del titolario.")
	rossi.fill("#cls", "1.1")
	rossi.accessible("da-protocollare-errore")
	rossi.click("[data-confirm]")
	rossi.see("Sta per avere il numero: Primo messaggio")
	rossi.see("Secondo messaggio")
	rossi.accessible("da-protocollare-attesa")
	rossi.click("[data-undo]")
	rossi.see("Annullato: nessun numero assegnato.")
	rossi.wait(`document.querySelector("#cls").value === "1.1"`)
	rossi.click("[data-confirm]")
	rossi.see("Sta per avere il numero: Primo messaggio")
	rossi.click("#attesa [value=subito]")
	rossi.see("0000001/2")
	rossi.accessible("da-protocollare-prossimo")

	// Who has it open learns that it was confirmed, and by whom.
	bianchi.open(inQueue + "/" + second)
	bianchi.listening()
	rossi.open(inQueue + "/" + second)
	rossi.fill("#cls", "1.1")
	rossi.click("[data-confirm]")
	rossi.see("Sta per avere il numero: Secondo messaggio")
	rossi.click("#attesa [value=subito]")
	bianchi.see("Era già protocollato: 0000002, Giulia Rossi, ")
	bianchi.see("Protocollato da Giulia Rossi: 0000002")
	bianchi.wait(`document.querySelector(".qi.gone")`)
	bianchi.open(inQueue + "/" + second)
	bianchi.see("Protocollato")
	bianchi.accessible("da-protocollare-conferma")

	// A message appears while the queue is open, and moves nothing.
	rossi.open(inQueue + "/" + third)
	rossi.listening()
	fresh := letter("Arrivato adesso")
	rossi.see("1 messaggio nuovo – mostra")
	rossi.wait(`document.title.startsWith("(2) ") && document.querySelectorAll(".qi").length === 1`)
	rossi.click("[data-show]")
	rossi.wait(`document.querySelector(".qi[data-id='` + fresh + `']")`)

	// Refuse, with a reason.
	rossi.click("[data-refuse]")
	rossi.wait(`document.querySelector("#rifiuto").open`)
	rossi.accessible("rifiuto")
	rossi.click("[data-value='Pubblicità']")
	rossi.click("#rifiuto button[type=submit]")
	rossi.see("È già stato rifiutato da Giulia Rossi")
	rossi.see("Motivo: Pubblicità.")

	// The last one: the number fills the page.
	rossi.open(inQueue + "/" + fresh)
	rossi.fill("#cls", "1.1")
	rossi.click("[data-confirm]")
	rossi.see("Sta per avere il numero.")
	rossi.click("#attesa [value=subito]")
	rossi.see("Tutto protocollato")
	rossi.wait(`document.querySelector(".bignum").dataset.number.startsWith("0000003/")`)
	rossi.calm()
	bianchi.calm()

	page, err := d.office.Entries(t.Context(), register.System(), "ordine", "ist", register.EntryQuery{})
	if err != nil || len(page.Items) != 3 {
		t.Fatalf("%d entries, %v", len(page.Items), err)
	}
	if p, err := d.office.Pending(t.Context(), register.System(), third); err != nil || p.State != register.StateRejected || p.Decided.Reason != "Pubblicità" {
		t.Errorf("the third is %s, %v", p.State, err)
	}
}

// TestNothingOfTheSenderRuns opens messages whose every field tries to.
func TestNothingOfTheSenderRuns(t *testing.T) {
	d := newDesk(t)
	var ids []string
	for _, v := range vectors {
		m := mail(`"`+strings.NewReplacer(`"`, `\"`, `\`, `\\`, "\n", " ").Replace(v)+`" <x@example.it>`, strings.ReplaceAll(v, "\n", " "), v, time.Hour,
			sample.File{Name: strings.ReplaceAll(v, "\n", " "), MediaType: "text/html", Data: []byte(v)})
		m.HTML = "<p>corpo</p>" + v
		ids = append(ids, d.deliver(m.Bytes(), time.Hour).ID)
	}
	if len(ids) < 40 {
		t.Fatalf("only %d vectors", len(ids))
	}
	b := d.tab(t)
	b.signIn("g.rossi")
	for _, id := range ids {
		b.open(inQueue + "/" + id)
		if evaluate[bool](b, `"pwned" in window || [...document.querySelectorAll("iframe")].some(f => !f.hasAttribute("sandbox") || f.getAttribute("sandbox") !== "")`) {
			t.Errorf("something ran:\n%s", b.text())
		}
		b.calm()
	}
	b.open(inQueue + "?mostra=100")
	b.calm()
	// The body alone, outside its frame, is as harmless.
	for _, id := range ids[:5] {
		b.open(inQueue + "/" + id + "/corpo")
		if evaluate[bool](b, `"pwned" in window || document.querySelector("script,img,a,iframe,form,object,svg,style,[onerror]") !== null`) {
			t.Errorf("the body keeps something:\n%s", evaluate[string](b, `document.body.innerHTML`))
		}
		b.calm()
	}
}

// vectors try to run something where a subject, a name or a body is shown.
var vectors = []string{
	`<script>pwned=1</script>`, `<ScRiPt src=data:,pwned=1></sCrIpT>`, `</title><script>pwned=1</script>`, `</textarea><script>pwned=1</script>`,
	`<img src=x onerror=pwned=1>`, `<img src=x onerror="pwned=1"//`, `"><img src=x onerror=pwned=1>`, `'><img src=x onerror=pwned=1>`,
	`<svg onload=pwned=1>`, `<svg><script>pwned=1</script></svg>`, `<svg><animate onbegin=pwned=1 attributeName=x dur=1s>`, `<math><mtext><table><mglyph><style><img src=x onerror=pwned=1>`,
	`<body onload=pwned=1>`, `<iframe src="javascript:parent.pwned=1"></iframe>`, `<iframe srcdoc="<script>parent.pwned=1</script>"></iframe>`, `<object data="data:text/html,<script>parent.pwned=1</script>"></object>`,
	`<embed src="javascript:pwned=1">`, `<a href="javascript:pwned=1" autofocus>x</a>`, `<a href=" java\nscript:pwned=1">x</a>`, `<a href="data:text/html,<script>pwned=1</script>">x</a>`,
	`<form action="javascript:pwned=1"><input type=submit autofocus></form>`, `<input onfocus=pwned=1 autofocus>`, `<select onfocus=pwned=1 autofocus>`, `<textarea onfocus=pwned=1 autofocus>`,
	`<details open ontoggle=pwned=1>`, `<video><source onerror=pwned=1></video>`, `<audio src=x onerror=pwned=1>`, `<marquee onstart=pwned=1>x</marquee>`,
	`<meta http-equiv="refresh" content="0;url=javascript:pwned=1">`, `<base href="javascript:pwned=1//">`, `<link rel=stylesheet href="data:text/css,*{background:red}">`, `<style>@import "//spia.example/x.css";</style>`,
	`<div style="background:url(javascript:pwned=1)">x</div>`, `<table background="javascript:pwned=1"><tr><td>x</table>`, `<!--><script>pwned=1</script>-->`, `<![CDATA[<script>pwned=1</script>]]>`,
	`{{.}}{{"<script>pwned=1</script>"}}`, `${pwned=1}`, `javascript:pwned=1`, `"onmouseover="pwned=1" autofocus onfocus="pwned=1`,
	`' autofocus onfocus='pwned=1`, `&lt;script&gt;pwned=1&lt;/script&gt;`, `<noscript><p title="</noscript><img src=x onerror=pwned=1>">`, `<template><script>pwned=1</script></template><xss id=x tabindex=1 onfocusin=pwned=1 autofocus>`,
}

// fillDesk puts one message of each sort into custody, and registers some.
func (d *desk) fillDesk() {
	d.t.Helper()
	for _, m := range []sample.Mail{
		mail("Cassa Previdenza Tecnici <cassa@pec.example.it>", "Elenco contributi terzo trimestre", "In allegato.", 3*time.Hour),
		mail("Tribunale di Valdemonte <tribunale@pec.example.it>", "Nomina consulente tecnico d’ufficio, R.G. 1184/2026", "Si comunica la nomina.", 2*time.Hour),
		mail("Ing. Dario Collina <collina@pec.example.it>", "Richiesta certificato di iscrizione", "Chiedo il certificato.", 2*time.Hour),
	} {
		p := d.deliver(d.certified(m), time.Hour)
		a, err := d.office.Account(d.t.Context(), "g.rossi")
		if err != nil {
			d.t.Fatal(err)
		}
		if _, err := d.office.Confirm(d.t.Context(), a, p.ID, register.Confirmation{Classification: "1.1"}); err != nil {
			d.t.Fatal(err)
		}
	}
	d.deliver(d.certified(mail("Studio Legale Ferri e Associati <ferri@pec.example.it>", "Diffida e messa in mora – parcella n. 118/2025", "Si diffida.", 25*time.Hour, pdf("Diffida.pdf"))), 25*time.Hour)
	d.deliver(d.certified(mail("Comune di Borgolieto <protocollo@pec.comune.borgolieto.example>",
		"Richiesta terna di professionisti per il collaudo statico della scuola primaria «G. Rodari»", terna, 16*time.Hour,
		pdf("Richiesta_terna_collaudo.pdf.p7m"), pdf("Relazione_sintetica.pdf"), sample.File{Name: "segnatura.xml", MediaType: "application/xml", Data: []byte("<Segnatura/>")})), 16*time.Hour)
	broken := d.certified(mail("Comune di Pianfiorito <edilizia@pec.example.it>", "PEC alterata lungo la strada", "Testo che era certo.", time.Hour))
	d.deliver([]byte(strings.Replace(string(broken), "Testo che era certo.", "Testo che era falso.", 1)), 41*time.Minute)
	lookAlike := mail("Posta Certificata <posta-certificata@pec-verifica.example>", "POSTA CERTIFICATA: Fattura n. 2291 scaduta", "Pagare subito.", time.Hour,
		sample.File{Name: "Fattura_2291.pdf.js", MediaType: "application/octet-stream", Data: []byte("x")})
	d.deliver(lookAlike.Bytes(), 58*time.Minute)
	page := mail("Fondazione Spazio Aperto <info@fondazione.example>", "Programma della giornata di studio del 4 dicembre", "Vedi sotto.", time.Hour)
	page.HTML = `<h2>Giornata di studio</h2><p>Gentili <b>colleghi</b>, il programma è <a href="https://fondazione.example/programma">qui</a>.</p><ul><li>ore 9: apertura</li><li>ore 10: lavori</li></ul><img src="https://spia.example/pixel.gif">`
	d.deliver(page.Bytes(), 22*time.Minute)
	sent, err := d.gestore.Submit(mail("ordine@pec.example.it", "Convocazione assemblea", "Convocazione.", time.Hour).Bytes(), sample.Submission{})
	if err != nil {
		d.t.Fatal(err)
	}
	receipt, err := sent.Acceptance()
	if err != nil {
		d.t.Fatal(err)
	}
	d.deliver(receipt, 6*time.Minute)
}

const terna = `Spettabile Ordine,

con la presente si chiede la segnalazione di una terna di professionisti, iscritti da almeno dieci anni, per l’incarico di collaudo statico in corso d’opera dei lavori di miglioramento sismico della scuola primaria «G. Rodari» di via dei Tigli.

Si prega di far pervenire i nominativi entro il 9 dicembre 2026, all’indirizzo PEC di questo Ente, citando il protocollo della presente.

Cordiali saluti
Il responsabile del settore lavori pubblici
ing. Paolo Verdelli`

func pdf(name string) sample.File {
	return sample.File{Name: name, MediaType: "application/pdf", Data: sample.PDF(nil)}
}

// first is the id of the first pending message with these words.
func (d *desk) first(words string) string {
	d.t.Helper()
	page, err := d.office.PendingList(d.t.Context(), register.System(), "ordine", "ist", register.PendingQuery{Limit: 500})
	if err != nil {
		d.t.Fatal(err)
	}
	for _, p := range page.Items {
		if strings.Contains(p.Summary.Subject, words) {
			return p.ID
		}
	}
	d.t.Fatalf("no message says %q", words)
	return ""
}

func quote(s string) string { return `"` + strings.ReplaceAll(s, `"`, `\"`) + `"` }
