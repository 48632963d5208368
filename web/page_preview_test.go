package web

import (
	"strings"
	"testing"
	"time"

	"github.com/protodaemon/protodaemon/pec/sample"
)

// TestPreviewTellsWordsApart: what a person wrote stands first, what it repeats
// and what stands below every message is folded away, and the text of a receipt
// is shown as the provider's.
func TestPreviewTellsWordsApart(t *testing.T) {
	d := newOfficeDesk(t)
	answer := d.deliver(d.certified(mail("mario@pec.example.it", "Re: Terna", "Si conferma la terna.\n\n-- \nMario Rossi\n\n"+
		"Il 10/03/2026 09:30, Ordine ha scritto:\n> Si chiede conferma.\n", time.Hour)), time.Hour)
	sent, err := d.gestore.Submit(mail("ordine@pec.example.it", "Convocazione", "Testo.", time.Hour).Bytes(), sample.Submission{Time: time.Now().Add(-time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := sent.Acceptance()
	if err != nil {
		t.Fatal(err)
	}
	receipt := d.deliver(raw, time.Hour)
	empty := d.deliver(d.certified(mail("mario@pec.example.it", "Vuoto", "", time.Hour)), time.Hour)
	r := d.reader(t)
	r.signIn("g.rossi")

	page := r.get(200, inQueue+"/"+answer.ID)
	body := page[strings.Index(page, `<div class="body">`):]
	for _, want := range []string{"<p>Si conferma la terna.</p>", "Firma e note in calce</summary><p>--\nMario Rossi</p>", "Messaggi precedenti</summary><p>Il 10/03/2026 09:30, Ordine ha scritto:\n&gt; Si chiede conferma.</p>"} {
		at := strings.Index(body, want)
		if at < 0 {
			t.Fatalf("%q is not there, or not in its order, in %s", want, body)
		}
		body = body[at:]
	}
	if strings.Contains(page, "Testo del gestore") {
		t.Error("what a person wrote is called the provider's")
	}
	page = r.get(200, inQueue+"/"+receipt.ID)
	r.says(page, "Testo del gestore")
	if strings.Contains(page, "Firma e note") || strings.Contains(page, "non ha testo") {
		t.Error("the provider's text is not shown as the text")
	}
	page = r.get(200, inQueue+"/"+empty.ID)
	r.says(page, "Il messaggio non ha testo.")
	if strings.Contains(page, "Testo del gestore") || strings.Contains(page, "Messaggi precedenti") {
		t.Error("there is something where there is nothing")
	}
}
