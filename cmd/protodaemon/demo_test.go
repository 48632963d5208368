package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// demonstration is a running "demo".
type demonstration struct {
	*process
	stdout *lines
	said   announcement
}

// startDemo returns when the one line of JSON is printed.
func startDemo(t *testing.T, env string, args ...string) *demonstration {
	t.Helper()
	d := &demonstration{process: &process{log: &lines{}, ended: make(chan struct{})}, stdout: &lines{}}
	d.cmd = exec.Command(binary, append([]string{"demo", "--listen", "127.0.0.1:0", "--imap-listen", "127.0.0.1:0"}, args...)...)
	d.cmd.Stdout, d.cmd.Stderr, d.cmd.Env = d.stdout, d.log, append(os.Environ(), env)
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = d.cmd.Wait()
		close(d.ended)
	}()
	t.Cleanup(func() {
		_ = d.cmd.Process.Kill()
		<-d.ended
		if t.Failed() {
			t.Logf("the demonstration's log:\n%s", d.log)
		}
	})
	eventually(t, "the demonstration is ready", func() bool { return strings.Contains(d.stdout.String(), "\n") })
	if err := json.Unmarshal([]byte(d.stdout.String()), &d.said); err != nil {
		t.Fatalf("it printed %q: %v", d.stdout, err)
	}
	d.url, d.token = d.said.URL, d.said.Token
	d.client = trusting(t, d.said.CAFile)
	return d
}

const demoBook = "/api/v1/organizations/ordine-esempio/registers/istituzionale"

func (d *demonstration) pending(t *testing.T) []item {
	t.Helper()
	return list[item](t, d.process, demoBook+"/pending")
}

// What a newcomer does first: look, drag with a mail program, confirm, stop,
// and find everything again.
func TestDemo(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "demo")
	d := startDemo(t, "", "--data", dir)
	const dragged = 9
	eventually(t, "what was dragged already is pending", func() bool { return len(d.pending(t)) == dragged })

	pec := d.said.IMAP.Accounts[0]
	host, port := hostPort(t, d.said.IMAP.Addr)
	out, err := exec.Command("python3", "testdata/drag.py", host, port, d.said.CAFile, pec.Username, pec.Password, "INBOX", "INBOX/sfera_msg_da_prot").CombinedOutput()
	if err != nil || strings.Count(string(out), "\n") != 2 {
		t.Fatalf("dragging with Python's imaplib: %v\n%s", err, out)
	}
	eventually(t, "what Python has dragged is pending", func() bool { return len(d.pending(t)) == dragged+2 })
	dragByNeomutt(t, d)
	eventually(t, "what neomutt has saved is pending", func() bool { return len(d.pending(t)) == dragged+3 })

	number, err := confirm(t.Context(), d.process, d.pending(t)[0].ID)
	if err != nil || number != "0000001" {
		t.Fatalf("confirming: %q, %v", number, err)
	}
	eventually(t, "the message is moved", func() bool {
		all := list[numbered](t, d.process, demoBook+"/entries")
		return len(all) == 1 && all[0].Moved == "yes"
	})
	if second := command(t, "demo", "--data", dir, "--listen", "127.0.0.1:0", "--imap-listen", "127.0.0.1:0"); second.status != 1 || !strings.Contains(second.stderr, "another demonstration") {
		t.Errorf("a second demonstration on the same folder: exit status %d\n%s", second.status, second.stderr)
	}
	before := d.said
	if status := d.stop(t); status != 0 || strings.Count(d.stdout.String(), "\n") != 1 {
		t.Errorf("it ended with status %d, after printing %q", status, d.stdout)
	}

	d = startDemo(t, "", "--data", dir)
	for i, account := range d.said.IMAP.Accounts {
		if account != before.IMAP.Accounts[i] {
			t.Errorf("mailbox %s has another password than before", account.Mailbox)
		}
	}
	if d.said.Password != before.Password || d.said.Token != before.Token || d.said.CAFile != before.CAFile {
		t.Error("user, token or certificate are others than before")
	}
	if n := len(d.pending(t)); n != dragged+2 {
		t.Errorf("%d messages are pending after the restart, want %d", n, dragged+2)
	}
	if number, err := confirm(t.Context(), d.process, d.pending(t)[0].ID); err != nil || number != "0000002" {
		t.Errorf("the register goes on with %q, %v", number, err)
	}
	d.stop(t)
}

// dragByNeomutt saves the last message of the inbox into the watched folder
// with a mail program that people use, on a terminal that script makes.
func dragByNeomutt(t *testing.T, d *demonstration) {
	t.Helper()
	account := d.said.IMAP.Accounts[0]
	muttrc := filepath.Join(t.TempDir(), "muttrc")
	writeFile(t, muttrc, fmt.Sprintf(`set ssl_force_tls = yes
set ssl_usesystemcerts = no
set certificate_file = "%[1]s"
set ssl_ca_certificates_file = "%[1]s"
set imap_user = "%[2]s"
set imap_pass = "%[3]s"
set folder = "imaps://%[4]s/"
set spool_file = "imaps://%[4]s/INBOX"
set delete = yes
set confirm_append = no
push "<last-entry><save-message>=INBOX/sfera_msg_da_prot<enter><sync-mailbox><quit>"
`, d.said.CAFile, account.Username, account.Password, d.said.IMAP.Addr))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	mutt := exec.CommandContext(ctx, "script", "-qec", "neomutt -n -F "+muttrc, "/dev/null")
	mutt.Env = append(os.Environ(), "TERM=xterm", "HOME="+t.TempDir())
	if out, err := mutt.CombinedOutput(); err != nil {
		t.Fatalf("neomutt (./dev test installs it): %v\n%s", err, out)
	}
}

// judgeByOpenSSL asks openssl about every message of the demonstration that
// has a signature: it has to accept what we call certified and refuse what was
// changed.
func judgeByOpenSSL(t *testing.T, d *demonstration, anchor string) {
	t.Helper()
	judged := map[string]int{}
	for _, p := range d.pending(t) {
		if p.Kind == "email" {
			continue
		}
		status, raw := d.do(t, http.MethodGet, "/api/v1/pending/"+p.ID+"/raw", "")
		if status != http.StatusOK {
			t.Fatalf("the bytes of %s: %d", p.ID, status)
		}
		openssl := exec.Command("openssl", "cms", "-verify", "-CAfile", anchor, "-out", os.DevNull)
		openssl.Stdin = bytes.NewReader(raw)
		out, err := openssl.CombinedOutput()
		judged[p.Authenticity]++
		if (err == nil) != (p.Authenticity == "certified" || p.Authenticity == "anomaly") {
			t.Errorf("%s is %s, and openssl says: %v %s", p.ID, p.Authenticity, err, out)
		}
	}
	if judged["certified"] < 10 || judged["broken"] != 1 || judged["anomaly"] != 1 {
		t.Errorf("openssl was asked about %v", judged)
	}
}

// Without a folder nothing is left.
func TestDemoForgets(t *testing.T) {
	t.Parallel()
	tmp := t.TempDir()
	d := startDemo(t, "TMPDIR="+tmp)
	if status := d.stop(t); status != 0 {
		t.Errorf("it ended with status %d", status)
	}
	left, err := os.ReadDir(tmp)
	if err != nil || len(left) > 0 {
		t.Errorf("%v is left (%v)", left, err)
	}
}

// A page of the demonstration drags for people without a mail program, until
// the inboxes are empty; then every kind of message has been seen.
func TestDemoDragsByButton(t *testing.T) {
	t.Parallel()
	d := startDemo(t, "TMPDIR="+t.TempDir())
	const queue = "/ordine-esempio/istituzionale/da-protocollare"
	page := signIn(t, d)
	dragged := 9
	for ; strings.Contains(page("GET", queue), "Prova: trascina un messaggio"); dragged++ {
		page("POST", queue+"/trascina")
	}
	if dragged < 15 || !strings.Contains(page("GET", queue), "La posta in arrivo è vuota.") {
		t.Errorf("%d messages could be dragged", dragged)
	}
	eventually(t, "every message is pending", func() bool { return len(d.pending(t)) == dragged })
	judgeByOpenSSL(t, d, filepath.Join(filepath.Dir(d.said.CAFile), "provider-ca.pem"))
	seen := map[string]int{}
	for _, p := range d.pending(t) {
		a := get[struct {
			PEC      *struct{ Type, Detail string }
			Warnings []struct{ Code string }
		}](t, d.process, "/api/v1/pending/"+p.ID)
		kind := p.Authenticity + " " + p.Kind
		if a.PEC != nil {
			kind += " " + a.PEC.Type + " " + a.PEC.Detail
		}
		for _, w := range a.Warnings {
			if w.Code == "pec-lookalike" {
				kind += " " + w.Code
			}
		}
		seen[strings.TrimSpace(kind)]++
	}
	for _, kind := range []string{
		"certified pec-transport posta-certificata completa", "certified pec-transport posta-certificata breve",
		"certified pec-transport posta-certificata sintetica", "certified pec-receipt accettazione completa",
		"certified pec-receipt avvenuta-consegna completa", "certified pec-receipt errore-consegna",
		"anomaly pec-anomaly anomalia", "broken pec-transport posta-certificata completa",
		"unsigned email", "unsigned email pec-lookalike",
	} {
		if seen[kind] == 0 {
			t.Errorf("there is no %q among %v", kind, seen)
		}
	}
}

// signIn opens a session with the announced user and returns a way to ask for
// pages.
func signIn(t *testing.T, d *demonstration) func(method, path string) string {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Timeout: time.Minute, Transport: d.client.Transport, Jar: jar}
	ask := func(method, path, form string) string {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, d.url+path, strings.NewReader(form))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", d.url)
		answer, err := browser.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		var body bytes.Buffer
		if _, err := body.ReadFrom(answer.Body); err != nil || answer.StatusCode != http.StatusOK {
			t.Fatalf("%s %s: %d %v", method, path, answer.StatusCode, err)
		}
		return body.String()
	}
	ask("POST", "/accesso", fmt.Sprintf("utente=%s&password=%s", d.said.User, d.said.Password))
	return func(method, path string) string { return ask(method, path, "") }
}

// trusting is a client that believes the certificates of one authority alone.
func trusting(t *testing.T, caFile string) *http.Client {
	t.Helper()
	pem, err := os.ReadFile(caFile)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		t.Fatalf("%s holds no certificate", caFile)
	}
	c := &http.Client{Timeout: time.Minute, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// The demonstration closes too: signed, stamped and delivered by itself, all
// marked as a test, and called accepted only with a receipt.
func TestDemoCloses(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "demo")
	d := startDemo(t, "", "--data", dir)
	eventually(t, "something is pending", func() bool { return len(d.pending(t)) > 0 })
	if _, err := confirm(t.Context(), d.process, d.pending(t)[0].ID); err != nil {
		t.Fatal(err)
	}
	today := time.Now().In(romeTime(t)).Format(time.DateOnly)
	if status, body := d.do(t, http.MethodPost, demoBook+"/closings", `{"through":"`+today+`"}`); status != http.StatusCreated {
		t.Fatalf("closing: %d %s", status, body)
	}
	type closing struct {
		Name, State, Outcome string
		Test                 bool
		Files                []struct{ Name, Role string }
	}
	var c closing
	stands := func(state string) func() bool {
		return func() bool {
			c = list[closing](t, d.process, demoBook+"/closings")[0]
			return c.State == state
		}
	}
	eventually(t, "the closing is delivered", stands("delivered"))
	if !c.Test || c.Outcome != "consegnato, rapporto di versamento in attesa" || len(c.Files) != 9 {
		t.Errorf("it stands at %+v", c)
	}
	for _, f := range c.Files {
		if f.Role != "register-pdf" && f.Role != "register-xml" {
			continue
		}
		_, file := d.do(t, http.MethodGet, demoBook+"/closings/"+today+".0/files/"+f.Name, "")
		if f.Role == "register-xml" && !bytes.Contains(file, []byte("<Prova>true</Prova>")) {
			t.Errorf("%s is not marked as a test", f.Name)
		}
		if f.Role == "register-pdf" {
			name := filepath.Join(t.TempDir(), f.Name)
			if err := os.WriteFile(name, file, 0o600); err != nil {
				t.Fatal(err)
			}
			if text, err := exec.Command("pdftotext", "-layout", name, "-").CombinedOutput(); err != nil || !bytes.Contains(text, []byte("PROVA")) {
				t.Errorf("%s is not marked as a test: %v\n%s", f.Name, err, text)
			}
		}
	}
	const note = "Registro di prova, senza valore legale"
	if p, err := os.ReadFile(filepath.Join(dir, "conservazione", "PdV-"+c.Name+".zip")); err != nil || !bytes.Contains(p, []byte(note)) {
		t.Errorf("the package is not there, or does not say that it is a test: %v", err)
	}
	rdv := "<RapportoDiVersamento><IdentificativoPacchetto>PdV-" + c.Name + "</IdentificativoPacchetto><Esito>accettato</Esito></RapportoDiVersamento>"
	if err := os.WriteFile(filepath.Join(dir, "conservazione", "ricevute", "RdV.xml"), []byte(rdv), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the receipt is taken", stands("accepted"))
	if _, err := confirm(t.Context(), d.process, d.pending(t)[0].ID); err != nil {
		t.Fatal(err)
	}
	d.stop(t)
	// By the commands, without the demonstration, it is a test all the same.
	o := command(t, "close", "--config", filepath.Join(dir, "protodaemon.yaml"), "--organization", "ordine-esempio", "--register", "istituzionale", "--through", today)
	if !strings.Contains(o.stdout, "1 entries, 0 changes") || !strings.Contains(o.stdout, "(test, without legal value)") {
		t.Errorf("closed by the command: %+v", o)
	}
}

func romeTime(t *testing.T) *time.Location {
	t.Helper()
	l, err := time.LoadLocation("Europe/Rome")
	if err != nil {
		t.Fatal(err)
	}
	return l
}
