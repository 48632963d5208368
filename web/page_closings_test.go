package web

import (
	"bytes"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/protodaemon/protodaemon/register"
)

const onClosings = "/ordine/ist/chiusure"

// upload sends a file as a form does.
func (r *reader) upload(status int, path, field, content string) string {
	r.t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	w, err := form.CreateFormFile(field, "rdv.xml")
	if err == nil {
		_, err = io.WriteString(w, content)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	form.Close()
	q, err := http.NewRequestWithContext(r.t.Context(), "POST", r.url+path, &body)
	if err != nil {
		r.t.Fatal(err)
	}
	q.Header.Set("Content-Type", form.FormDataContentType())
	q.Header.Set("Sec-Fetch-Site", "same-origin")
	a, err := r.Do(q)
	if err != nil {
		r.t.Fatal(err)
	}
	defer a.Body.Close()
	page, err := io.ReadAll(a.Body)
	if err != nil || a.StatusCode != status {
		r.t.Errorf("uploading to %s: status %d, %v\n%s", path, a.StatusCode, err, words(string(page)))
	}
	return string(page)
}

// registered takes messages into custody and registers them.
func (d *desk) registered(subjects ...string) {
	d.t.Helper()
	a, err := d.office.Account(d.t.Context(), "g.rossi")
	if err != nil {
		d.t.Fatal(err)
	}
	for _, s := range subjects {
		p := d.deliver(mail("Anna <anna@example.it>", s, "Testo.", time.Hour).Bytes(), time.Hour)
		if _, err := d.office.Confirm(d.t.Context(), a, p.ID, register.Confirmation{Classification: "1.1"}); err != nil {
			d.t.Fatal(err)
		}
	}
}

// The manager's way through a day, without a script: annul, close, look, mend,
// hand in the receipt.
func TestClosingsWithoutScript(t *testing.T) {
	d := newOfficeDesk(t)
	d.registered("Istanza di iscrizione", "Reclamo", "Nota")
	operator, manager := d.reader(t), d.reader(t)
	operator.signIn("g.rossi")
	manager.signIn("e.neri")
	today := legalToday()
	entry := fmt.Sprintf("/ordine/ist/registro/%s/0000001", today[:4])

	page := operator.get(200, entry)
	operator.says(page, "La prova nasce con la chiusura del")
	if strings.Contains(page, "/annulla") {
		t.Error("an operator is offered to annul")
	}
	operator.says(operator.get(403, entry+"/annulla"), "Questa parte è riservata.")
	page = manager.get(200, entry+"/annulla")
	manager.says(page, "Non si può tornare indietro.")
	manager.says(manager.post(200, entry+"/annulla", "motivo", "doppione", "autorizzazione", ""), "Campo obbligatorio.")
	page = manager.post(200, entry+"/annulla", "motivo", "doppione del n. 2", "autorizzazione", "determina n. 44")
	manager.says(page, "ANNULLATO il")
	manager.says(page, "Motivo: doppione del n. 2. Autorizzazione: determina n. 44.")
	manager.says(page, "Annullata da Elena Neri, determina n. 44")

	page = operator.get(200, onClosings)
	operator.says(page, "Aperto")
	if strings.Contains(page, "Chiudi fino a ieri") {
		t.Error("an operator is offered to close")
	}
	operator.says(operator.post(403, onClosings, "fino", today), "Questa parte è riservata.")
	manager.says(manager.get(200, onClosings), "3 registrazioni (1–3)")
	page = manager.post(200, onClosings, "fino", today)
	manager.says(page, "Dal n. 1 al n. 3 senza salti, senza doppi: 3 registrazioni. 1 annullamento o modifica.")
	manager.says(page, "Da firmare")
	operator.says(operator.get(200, entry), "Scarica la prova")

	d.closings.breakDown()
	if err := d.closings.work(); err == nil {
		t.Fatal("a folder that is missing goes unnoticed")
	}
	page = manager.get(200, onClosings)
	manager.says(page, "è fermo: consegna, la cartella di destinazione non c’è.")
	manager.says(manager.get(200, "/ordine/ist/"), "1 chiusura ferma o respinta.")
	d.closings.mend()
	here := onClosings + "/" + today + ".0"
	manager.says(manager.post(200, here+"/riprova", "motivo", "cartella rifatta"), "Firmato")
	if err := d.closings.work(); err != nil {
		t.Fatal(err)
	}
	page = operator.get(200, onClosings)
	operator.says(page, "Consegnato, rapporto di versamento in attesa.")
	if strings.Contains(words(page), "onservato") {
		t.Error("without a receipt something is called conserved")
	}
	manager.says(manager.upload(422, here+"/rapporto", "rapporto", "non è un rapporto"), "Un dato non va bene.")
	manager.says(manager.upload(422, here+"/rapporto", "altro", "x"), "Un dato non va bene.")
	c, err := d.office.Closing(t.Context(), register.System(), "ordine", "ist", today+".0")
	if err != nil {
		t.Fatal(err)
	}
	manager.says(manager.upload(200, here+"/rapporto", "rapporto", receiptFor(c, "rifiutato", "manca il codice fiscale")), "«manca il codice fiscale»")
	manager.says(manager.get(200, onClosings), "è stato respinto dalla conservazione.")
	manager.says(manager.post(200, here+"/riprova", "motivo", "codice corretto"), "Da consegnare alla conservazione")
	if err := d.closings.work(); err != nil {
		t.Fatal(err)
	}
	manager.says(manager.get(200, onClosings), "(invio 2)")
	manager.says(manager.upload(200, here+"/rapporto", "rapporto", receiptFor(c, "accettato", "")), "Accettato in conservazione")
	manager.says(manager.get(200, "/ordine/ist/"), "Ultima chiusura Accettato")

	manager.says(manager.get(200, onClosings+"?mese=2026-04&giorno=2026-04-25"), "Liberazione")
	manager.says(manager.get(200, onClosings+"?mese=storto&giorno=ieri"), "Chiusure")
	manager.says(manager.post(422, onClosings, "fino", "ieri"), "Un dato non va bene.")
	manager.says(manager.post(404, onClosings+"/2020-01-01.0/riprova", "motivo", "x"), "Questa pagina non c’è.")
}

func receiptFor(c register.Closing, outcome, reason string) string {
	return "<RapportoDiVersamento><IdentificativoPacchetto>PdV-" + c.Name + "</IdentificativoPacchetto><Esito>" + outcome + "</Esito><Motivo>" + reason + "</Motivo></RapportoDiVersamento>"
}

// What the pages say of a closing is true of it, whatever happened to it.
func TestWordsOfClosings(t *testing.T) {
	p := &pages{Server: &Server{zone: rome}}
	at := time.Date(2026, 11, 24, 14, 0, 0, 0, time.UTC)
	step := func(state register.ClosingState, detail ...string) register.ClosingStep {
		s := register.ClosingStep{State: state, At: at, By: "system", Detail: map[string]string{}}
		for i := 0; i < len(detail); i += 2 {
			s.Detail[detail[i]] = detail[i+1]
		}
		at = at.Add(time.Hour)
		return s
	}
	c := register.Closing{FirstNumber: "0000041", LastNumber: "0000043", Entries: 3, Reached: register.ClosingAccepted, State: register.ClosingAccepted,
		Manager: register.Officer{Name: "Elena", Surname: "Neri"}, ClosedBy: register.Closer{User: "rosa"}, Steps: []register.ClosingStep{
			step(register.ClosingClosed), step(register.ClosingStamped, "authority", "Marche 1"), step(register.ClosingRejected, "reason", "manca il codice"),
			step(register.ClosingAccepted, "reference", "RdV 7"), step(register.ClosingAccepted, "renewal", "rinnovo-1", "authority", "Marche 2")}}
	for what, said := range map[string][2]string{
		"numbers that go on":        {rangeSentence(c), "Dal n. 41 al n. 43 senza salti, senza doppi: 3 registrazioni."},
		"who closed, without names": {p.stepText(c, register.ClosingClosed), "24/11/2026 alle 15:00:00, da rosa, a nome di Elena Neri"},
		"a stamp":                   {p.stepText(c, register.ClosingStamped), "24/11/2026 alle 16:00:00, marca temporale di Marche 1"},
		"a receipt, renewed later":  {p.stepText(c, register.ClosingAccepted), "24/11/2026 alle 18:00:00, rapporto di versamento RdV 7"},
	} {
		if said[0] != said[1] {
			t.Errorf("%s: %q, want %q", what, said[0], said[1])
		}
	}
	c.ClosedBy.User = "system"
	if said := p.stepText(c, register.ClosingClosed); !strings.Contains(said, "da solo, a nome di Elena Neri") {
		t.Errorf("of the clock it says %q", said)
	}
	c.LastNumber = "0000044"
	if said := rangeSentence(c); strings.Contains(said, "senza salti") || !strings.Contains(said, "non sono continui") {
		t.Errorf("of a gap it says %q", said)
	}
	c.Reached, c.State = register.ClosingRejected, register.ClosingRejected
	c.Steps = append(c.Steps[:3], step(register.ClosingRejected, "renewal", "rinnovo-1"))
	if said := closingOutcome(c); said != "respinto dalla conservazione: manca il codice" {
		t.Errorf("rejected and renewed: %q", said)
	}
	c.Reached, c.State = register.ClosingDelivered, register.ClosingDelivered
	c.Trouble = &register.ClosingTrouble{Step: "receipt", Code: register.TroubleOverdue}
	if tone, _, word := closingWord(c, nil); tone != "bad" || word != "Consegnato, senza rapporto" {
		t.Errorf("without its receipt it is %s, %q", tone, word)
	}
	if said := closingOutcome(c); said != "consegnato, rapporto di versamento in attesa; rapporto di versamento, atteso da troppo tempo" {
		t.Errorf("without its receipt: %q", said)
	}
	for _, day := range []struct {
		register.Day
		says string
	}{
		{register.Day{Day: "2026-11-23", Deadline: "2026-11-24"}, ""},
		{register.Day{Day: "2026-11-23", Deadline: "2026-11-24", Near: true}, "Il registro del 23/11/2026 va versato entro oggi."},
		{register.Day{Day: "2026-11-23", Deadline: "2026-11-24", Late: true}, "Il registro del 23/11/2026 doveva essere versato entro il 24/11/2026."},
	} {
		if note, ok := p.deadlineNote(bookLink{}, day.Day); ok != (day.says != "") || note.Strong != day.says {
			t.Errorf("it says %q, want %q", note.Strong, day.says)
		}
	}
}

// A receipt that is missed stands above the calendar.
func TestMissedReceiptIsShown(t *testing.T) {
	d := newOfficeDesk(t)
	d.registered("Istanza")
	r := d.reader(t)
	r.signIn("e.neri")
	r.post(200, onClosings, "fino", legalToday())
	id := legalToday() + ".0"
	for _, a := range []register.Advance{
		{From: register.ClosingClosed, To: register.ClosingDelivered},
		{From: register.ClosingDelivered, Trouble: &register.ClosingTrouble{Step: "receipt", Code: register.TroubleOverdue, Detail: "no receipt has come"}},
	} {
		if _, err := d.office.AdvanceClosing(t.Context(), "ordine", "ist", id, a); err != nil {
			t.Fatal(err)
		}
	}
	page := r.get(200, onClosings)
	for _, said := range []string{"manca il rapporto di versamento.", "Va chiesto al conservatore.", "Consegnato, senza rapporto"} {
		r.says(page, said)
	}
	r.says(r.get(200, "/ordine/ist"), "1 chiusura ferma o respinta")
}

// Without a manager in office closing is refused in plain words.
func TestClosingWithoutAManager(t *testing.T) {
	d := newOfficeDesk(t)
	d.registered("Istanza")
	setup := register.Setup{Location: rome, Organizations: []register.Organization{officeOfPages[0]}}
	setup.Organizations[0].Manager.To = "2021-12-31"
	if err := d.office.Reload(t.Context(), setup); err != nil {
		t.Fatal(err)
	}
	r := d.reader(t)
	r.signIn("e.neri")
	r.says(r.post(409, onClosings, "fino", legalToday()), "Manca il responsabile in carica")
}

// In Chromium: the pages are accessible and look right, the arrows move
// through the calendar, and news of a closing arrives by itself.
func TestClosingsInChromium(t *testing.T) {
	d := newDesk(t)
	d.registered("Istanza di iscrizione", "Reclamo", "Nota")
	b := d.tab(t)
	b.signIn("e.neri")
	b.open(onClosings)
	b.listening()
	b.see("Aperto")
	today := legalToday()
	if _, err := d.closings.Close(t.Context(), register.System(), "ordine", "ist", today); err != nil {
		t.Fatal(err)
	}
	b.see("Chiuso")
	if err := d.closings.work(); err != nil {
		t.Fatal(err)
	}
	b.see("Consegnato, attende")
	b.see("Consegnato, rapporto di versamento in attesa.")
	b.accessible("chiusure")
	c, err := d.office.Closing(t.Context(), register.System(), "ordine", "ist", today+".0")
	if err != nil {
		t.Fatal(err)
	}
	manager, err := d.office.Account(t.Context(), "e.neri")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.closings.Receive(t.Context(), manager, "ordine", "ist", c.ID, []byte(receiptFor(c, "rifiutato", "Manca il codice fiscale."))); err != nil {
		t.Fatal(err)
	}
	b.see("è stato respinto dalla conservazione.")
	b.accessible("chiusure-respinta")
	evaluate[int](b, `document.querySelectorAll(".cal a.d")[8].focus(), 0`)
	b.press("ArrowRight")
	b.wait(`document.activeElement.querySelector(".day").textContent.startsWith("10")`)
	b.press("PageUp")
	b.wait(`!location.search.includes("` + today[:7] + `") && location.search.includes("mese=")`)
	b.open("/ordine/ist/registro/" + today[:4] + "/0000002")
	b.see("Scarica la prova")
	b.accessible("registrazione-chiusa")
	b.open("/ordine/ist/registro/" + today[:4] + "/0000002/annulla")
	b.accessible("annulla")
	b.fill("#motivo", "Documento già protocollato con il n. 1")
	b.fill("#autorizzazione", "determinazione n. 44")
	b.click("button.dangerfull")
	b.see("ANNULLATO il")
	b.accessible("registrazione-annullata")
	b.open("/ordine/ist/")
	b.see("chiusura ferma o respinta")
	b.accessible("oggi-chiusure")
	b.calm()
}

// press sends a key to what has the focus.
func (b *tab) press(key string) {
	b.t.Helper()
	evaluate[int](b, `document.activeElement.dispatchEvent(new KeyboardEvent("keydown", {key: `+quote(key)+`, bubbles: true, cancelable: true})), 0`)
}
