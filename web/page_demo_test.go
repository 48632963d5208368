package web

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// TestDemonstrationInChromium is a newcomer's first minutes with the real
// program: open the demonstration, sign in, drag a message with the button, see
// it arrive, confirm it and read its number.
func TestDemonstrationInChromium(t *testing.T) {
	said := startDemonstration(t)
	d := &desk{t: t, url: said.URL}
	d.browser = chromium(t)
	b := d.tab(t)
	const queue = "/ordine-esempio/istituzionale/da-protocollare"
	b.open("/accesso")
	b.see("Dimostrazione: dati e firme di prova.")
	b.accessible("demo-accesso")
	b.fill("#u", said.User)
	b.fill("#p", said.Password)
	b.click("button[type=submit]")
	b.wait(`document.querySelector(".pd-nav")`)

	b.open(queue)
	b.wait(`document.querySelectorAll(".qi").length === 9`)
	b.open(evaluate[string](b, `new URL([...document.querySelectorAll(".qi a")].find(a => a.innerText.includes("Richiesta di una terna")).href).pathname`))
	b.see("PEC certificata. Ora certificata")
	b.see("Comune di Borgolieto")
	b.listening()
	b.accessible("demo")

	// A second window drags; this one hears of it without being touched.
	other := d.tab(t)
	other.open("/accesso")
	other.fill("#u", said.User)
	other.fill("#p", said.Password)
	other.click("button[type=submit]")
	other.wait(`document.querySelector(".pd-nav")`)
	other.open(queue)
	other.click("form.pd-demo button")
	b.see("1 messaggio nuovo – mostra")

	b.fill("#cls", "1.1")
	b.click("[data-confirm]")
	b.see("Sta per avere il numero: Richiesta di una terna")
	b.click("#attesa [value=subito]")
	b.see("0000001/2")
	b.calm()
}

type demonstration struct {
	URL, User, Password string
}

// startDemonstration builds and starts `protodaemon demo`.
func startDemonstration(t *testing.T) (said demonstration) {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "protodaemon")
	if out, err := exec.Command("go", "build", "-o", binary, "../cmd/protodaemon").CombinedOutput(); err != nil {
		t.Fatalf("building the program: %v\n%s", err, out)
	}
	cmd := exec.Command(binary, "demo", "--listen", "127.0.0.1:0", "--imap-listen", "127.0.0.1:0")
	cmd.Env = append(os.Environ(), "TMPDIR="+t.TempDir())
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		t.Fatalf("the demonstration did not get ready: %v", err)
	}
	if err := json.Unmarshal(line, &said); err != nil {
		t.Fatalf("it printed %q: %v", line, err)
	}
	return said
}
