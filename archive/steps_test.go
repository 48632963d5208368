package archive_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/protodaemon/protodaemon/register"
	"github.com/protodaemon/protodaemon/sign"
)

// A day goes its whole way: closed, signed, stamped, delivered, accepted.
func TestADayGoesItsWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, register.ClosingRules{EmptyDays: "none"})
		until(at(1, 3, 9))
		first := h.enter("Istanza di iscrizione")
		h.enter("Reclamo <urgente> & altro")
		h.annul(first)
		until(at(1, 4, 9))
		made := h.closeDays("")
		if len(made) != 1 || made[0].Entries != 2 || made[0].Changes != 1 {
			t.Fatalf("closed %+v", made)
		}
		if err := h.work(); err != nil {
			t.Fatal(err)
		}
		c := h.closing(made[0].ID)
		if c.State != register.ClosingDelivered {
			t.Fatalf("it stands at %s: %+v", c.State, c.Trouble)
		}
		if _, err := os.Stat(filepath.Join(h.dir, "conservazione", "PdV-"+c.Name+".zip")); err != nil {
			t.Error(err)
		}
		h.receipt(c, "accettato", "")
		time.Sleep(time.Hour)
		if err := h.work(); err != nil {
			t.Fatal(err)
		}
		if c = h.closing(c.ID); c.State != register.ClosingAccepted {
			t.Errorf("after the receipt it stands at %s: %+v", c.State, c.Trouble)
		}
		var states []string
		for _, s := range c.Steps {
			states = append(states, string(s.State))
		}
		if got := strings.Join(states, " "); got != "closed signed stamped delivered accepted" {
			t.Errorf("its steps are %s", got)
		}
		h.sound()
	})
}

// A refused package is corrected and sent again under the same identity; the
// signed files stay as they are.
func TestRejectedIsSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, register.ClosingRules{EmptyDays: "none"})
		until(at(1, 3, 9))
		h.enter("Istanza")
		until(at(1, 4, 9))
		c := h.closeDays("")[0]
		if err := h.work(); err != nil {
			t.Fatal(err)
		}
		c = h.closing(c.ID)
		before := h.read(c, register.FilePDFStamped)
		h.receipt(c, "rifiutato", "manca il codice fiscale")
		time.Sleep(time.Hour)
		if err := h.work(); err != nil {
			t.Fatal(err)
		}
		if c = h.closing(c.ID); c.State != register.ClosingRejected || c.Steps[len(c.Steps)-1].Detail["reason"] != "manca il codice fiscale" {
			t.Fatalf("it stands at %s: %+v", c.State, c.Steps)
		}
		h.setup.Organizations[0].TaxCode = "80099999999"
		if err := h.office.Reload(t.Context(), h.setup); err != nil {
			t.Fatal(err)
		}
		if _, err := h.archive.Retry(t.Context(), manager, org, book, c.ID, "aggiunto il codice"); err != nil {
			t.Fatal(err)
		}
		if err := h.work(); err != nil {
			t.Fatal(err)
		}
		c = h.closing(c.ID)
		if c.State != register.ClosingDelivered || c.Parcel.Version != 2 || c.Parcel.Identity != "PdV-"+c.Name {
			t.Fatalf("it stands at %s: %+v", c.State, c.Parcel)
		}
		again, err := os.ReadFile(filepath.Join(h.dir, "conservazione", c.Parcel.File))
		if err != nil || !strings.Contains(string(again), "80099999999") || !strings.Contains(string(again), string(before)) {
			t.Errorf("the second package does not hold the corrected code and the same signature: %v", err)
		}
		time.Sleep(time.Hour)
		if err := h.work(); err != nil { // the old refusal still lies there
			t.Fatal(err)
		}
		if c = h.closing(c.ID); c.State != register.ClosingDelivered {
			t.Fatalf("the old receipt counts again: %s", c.State)
		}
		h.receipt(c, "accettato", "")
		time.Sleep(time.Hour)
		if err := h.work(); err != nil {
			t.Fatal(err)
		}
		if c = h.closing(c.ID); c.State != register.ClosingAccepted {
			t.Errorf("it stands at %s", c.State)
		}
		h.sound()
	})
}

// Each step that fails tells why, stays where it is and is done later; nothing
// else waits.
func TestFailuresOfEachStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, register.ClosingRules{EmptyDays: "none"})
		until(at(1, 3, 9))
		h.enter("Istanza")
		until(at(1, 4, 9))
		id := h.closeDays("")[0].ID
		set := func(err error) { h.mu.Lock(); h.keyErr = err; h.mu.Unlock() }
		fails := func(code string, reached register.ClosingState) {
			t.Helper()
			if err := h.work(); err == nil {
				t.Error("a step that fails says nothing")
			}
			c := h.closing(id)
			if c.State != register.ClosingFailed || c.Reached != reached || c.Trouble == nil || c.Trouble.Code != code {
				t.Errorf("it stands at %s, reached %s, trouble %+v; want %s", c.State, c.Reached, c.Trouble, code)
			}
			if err := h.work(); err != nil {
				t.Errorf("it is tried again at once: %v", err)
			}
		}
		set(fmt.Errorf("firma remota: %w", sign.ErrUnreachable))
		fails("unreachable", register.ClosingClosed)
		time.Sleep(2 * time.Minute)
		set(fmt.Errorf("token: %w", sign.ErrPIN))
		fails("pin-wrong", register.ClosingClosed)
		time.Sleep(48 * time.Hour)
		if err := h.work(); err != nil || h.closing(id).Trouble.Code != "pin-wrong" {
			t.Errorf("a wrong PIN is tried again by itself: %v", err)
		}
		set(nil)
		h.tsa.fail = errors.New("connection refused")
		if _, err := h.archive.Retry(t.Context(), manager, org, book, id, "PIN corretto"); err != nil {
			t.Fatal(err)
		}
		fails("unreachable", register.ClosingSigned)
		h.tsa.fail = nil
		time.Sleep(3 * time.Hour)
		folder := filepath.Join(h.dir, "conservazione")
		if err := os.Rename(folder, folder+".away"); err != nil {
			t.Fatal(err)
		}
		fails("destination-missing", register.ClosingStamped)
		if err := os.Rename(folder+".away", folder); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Hour)
		if err := h.work(); err != nil {
			t.Fatal(err)
		}
		c := h.closing(id)
		if err := os.WriteFile(filepath.Join(folder, "ricevute", "RdV-"+c.Name+".xml"), []byte("<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>"), 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Hour)
		fails("receipt-malformed", register.ClosingDelivered)
		if err := os.Remove(filepath.Join(folder, "ricevute", "RdV-"+c.Name+".xml")); err != nil {
			t.Fatal(err)
		}
		h.receipt(c, "ACCETTATO", "")
		time.Sleep(3 * time.Hour)
		if err := h.work(); err != nil {
			t.Fatal(err)
		}
		if c = h.closing(id); c.State != register.ClosingAccepted || c.Trouble != nil {
			t.Errorf("it stands at %s: %+v", c.State, c.Trouble)
		}
		h.sound()
	})
}

// A receipt counts only if it names the package.
func TestReceiptOfAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, register.ClosingRules{EmptyDays: "none"})
		until(at(1, 3, 9))
		h.enter("Istanza")
		until(at(1, 4, 9))
		id := h.closeDays("")[0].ID
		if err := h.work(); err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{
			"", "x", "<a/>", `{"esito":"accettato"}`, "<RdV><Esito>accettato</Esito><Identificativo>PdV-altro</Identificativo></RdV>",
			`{"esito":"forse","identity":"PdV-oaes-AOO1-istituzionale-20000103-001"}`, strings.Repeat("<a>", 100),
			"<RdV><Esito>accettato</Esito>",
		} {
			if _, err := h.archive.Receive(t.Context(), manager, org, book, id, []byte(text)); !errors.Is(err, register.ErrInvalid) {
				t.Errorf("%q was taken: %v", text, err)
			}
		}
		if c := h.closing(id); c.Reached != register.ClosingDelivered {
			t.Errorf("it stands at %s", c.Reached)
		}
		c, err := h.archive.Receive(t.Context(), manager, org, book, id, []byte(`{"esito":"accettato","identity":"PdV-oaes-AOO1-istituzionale-20000103-001","reference":"RdV 7"}`))
		if err != nil || c.State != register.ClosingAccepted {
			t.Errorf("by hand: %s, %v", c.State, err)
		}
		h.sound()
	})
}
