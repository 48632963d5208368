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
	b.do()
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
