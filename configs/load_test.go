package configs

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// write makes files below a fresh directory and returns the first one's name.
func write(t *testing.T, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		name := filepath.Join(dir, files[i])
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(files[i+1]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, files[0])
}

func load(t *testing.T, files ...string) *Config {
	t.Helper()
	c, err := Load(write(t, files...))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const minimal = `
organizations:
  - id: oaes
    name: Ordine
    ipa_code: oaes
    aoo_code: AOO1
    registers:
      - id: ist
        name: Affari istituzionali
        mailboxes:
          - id: pec
            address: ordine@pec.example.it
            imap: {host: imaps.example.it, password_file: secrets/pec}
`

func TestEmptyFileIsTheDefault(t *testing.T) {
	got, want := load(t, "c.yaml", "# nothing\n"), Default()
	if !reflect.DeepEqual(*got, want) {
		t.Errorf("got %+v\nwant %+v", *got, want)
	}
}

func TestExampleLoads(t *testing.T) {
	c, err := Load("protodaemon.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	o, r := c.Find("ordine-esempio", "disciplina")
	if r == nil || o.TaxCode != "80012345678" || r.TaxCode != "90012345678" {
		t.Fatalf("organization %+v register %+v", o, r)
	}
	if m := r.Mailboxes[0]; m.IMAP.Port != 993 || m.IMAP.Username != m.Address || m.Folders.Pending != "sfera_msg_da_prot" {
		t.Errorf("defaults of a mailbox: %+v", m)
	}
	c.Organizations, c.Include = nil, nil
	want := Default()
	want.HTTP.TrustedProxies, want.PEC.Trust = []string{}, []string{}
	want.PEC.TrustListSigners, want.PEC.CRL = []string{}, []string{}
	want.Closing.Holidays, want.Closing.Timestamp.Others = []string{}, []Authority{}
	if !reflect.DeepEqual(*c, want) {
		t.Errorf("the example does not show the defaults:\n got %+v\nwant %+v", *c, want)
	}
}

// TestExampleShowsEveryKey reads the example back as a plain map, so that a
// field added to a type must also be explained there.
func TestExampleShowsEveryKey(t *testing.T) {
	r := reader{lines: make(map[string]int)}
	r.read("protodaemon.example.yaml", reflect.TypeFor[Config]())
	for _, v := range variables(reflect.TypeFor[Config](), "") {
		if r.lines["protodaemon.example.yaml\n"+v.path] == 0 {
			t.Errorf("the example does not mention %s", v.path)
		}
	}
}

func TestTextsStayAsWritten(t *testing.T) {
	c := load(t, "c.yaml", `
organizations:
  - id: 0123
    name: no
    ipa_code: 1_000
    aoo_code: 0x1F
    tax_code: 01234567890
    manager: {name: 1e3, from: 2026-01-01, tax_code: 01234567890}
    registers:
      - {id: 007, name: yes, mailboxes: [{id: 1.10, address: a@b.example, imap: {host: 127.0.0.1, username: true, password_file: p}}]}
`)
	o, r := c.Find("0123", "007")
	if r == nil {
		t.Fatalf("not found: %+v", c.Organizations)
	}
	got := []string{o.Name, o.IPACode, o.AOOCode, o.TaxCode, o.Manager.Name, o.Manager.From, o.Manager.TaxCode, r.Name, r.Mailboxes[0].ID, r.Mailboxes[0].IMAP.Username}
	want := []string{"no", "1_000", "0x1F", "01234567890", "1e3", "2026-01-01", "01234567890", "yes", "1.10", "true"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestPathsAreRelativeToTheirFile(t *testing.T) {
	file := write(t, "c.yaml", "data_dir: data\npec: {trust: [ca, /etc/ca.pem], trust_list_signers: [s.pem], crl: [crl]}\ninclude: [d/*.yaml]\nhttp: {tls: {cert_file: c, key_file: \"${CREDENTIALS_DIRECTORY}/k\"}}\nclosing: {deliver: {path: out}}\n",
		"d/one.yaml", minimal)
	c, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(file)
	_, r := c.Find("oaes", "ist")
	for got, want := range map[string]string{
		c.DataDir:                                filepath.Join(dir, "data"),
		c.PEC.Trust[0]:                           filepath.Join(dir, "ca"),
		c.PEC.Trust[1]:                           "/etc/ca.pem",
		r.PEC.Trust[0]:                           filepath.Join(dir, "ca"),
		r.PEC.TrustListSigners[0]:                filepath.Join(dir, "s.pem"),
		r.PEC.CRL[0]:                             filepath.Join(dir, "crl"),
		c.HTTP.TLS.CertFile:                      filepath.Join(dir, "c"),
		r.Closing.Deliver.Path:                   filepath.Join(dir, "out"),
		string(c.HTTP.TLS.KeyFile):               "${CREDENTIALS_DIRECTORY}/k",
		string(r.Mailboxes[0].IMAP.PasswordFile): filepath.Join(dir, "d/secrets/pec"),
	} {
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestIncludedFilesAreAppended(t *testing.T) {
	second := strings.ReplaceAll(strings.ReplaceAll(minimal, "oaes", "two"), "imaps.", "imaps2.")
	third := strings.ReplaceAll(strings.ReplaceAll(minimal, "oaes", "three"), "imaps.", "imaps3.")
	c := load(t, "c.yaml", "include: [d/*.yaml, d/b.yaml, none/*.yaml]\n"+minimal, "d/b.yaml", third, "d/a.yaml", second, "d/c.yaml", "")
	var ids []string
	for _, o := range c.Organizations {
		ids = append(ids, o.ID)
	}
	if got := strings.Join(ids, " "); got != "oaes two three" {
		t.Errorf("organizations: %s", got)
	}
}

func TestClosingAndPECOverrideKeyByKey(t *testing.T) {
	c := load(t, "c.yaml", `
pec: {trust: [/a, /b], crl: [/l]}
segnatura: "{number} {date}"
closing:
  auto_at: "16:00"
  sign: {pkcs12_file: /k.p12, password_file: /k.pw}
  timestamp: {url: "https://tsa.example.it", username: u, password_file: /t.pw, lot: 100, lot_from: 2026-01-01, policy: 1.2.3}
  deliver: {kind: sftp, url: "sftp://s.example.it", known_hosts_file: /kh, key_file: /key, username: u}
organizations:
  - id: o
    name: O
    closing:
      auto_at: ""
      deliver: {username: v}
    registers:
      - {id: a, name: A, pec: {trust: [/c]}, segnatura: "{date} {number}", closing: {sign: {csc: {url: "https://csc.example.it", credential: c}}}}
      - {id: b, name: B, closing: {deliver: {kind: directory}, timestamp: {url: "https://altra.example.it"}}}
      - {id: c, name: C, closing: {test: true, timestamp: {policy: 1.2.4}}}
`)
	_, a := c.Find("o", "a")
	_, b := c.Find("o", "b")
	want := c.Closing
	want.AutoAt, want.Deliver.Username = "", "v"
	if got := c.Organizations[0].Closing; !reflect.DeepEqual(got, want) {
		t.Errorf("organization: %+v", got)
	}
	if want := (Sign{CSC: CSC{URL: "https://csc.example.it", Credential: "c"}, XAdES: true}); a.Closing.Sign != want || a.Closing.AutoAt != "" || !reflect.DeepEqual(a.Closing.Timestamp, c.Closing.Timestamp) {
		t.Errorf("register a: %+v", a.Closing)
	}
	if d := b.Closing.Deliver; d.Kind != "directory" || d.URL != "" || d.Profile != "pdv" || b.Closing.Sign != c.Closing.Sign {
		t.Errorf("register b: %+v", b.Closing)
	}
	// What is one authority's secret is not told to another.
	if !reflect.DeepEqual(b.Closing.Timestamp, Timestamp{URL: "https://altra.example.it"}) {
		t.Errorf("register b: %+v", b.Closing.Timestamp)
	}
	_, third := c.Find("o", "c")
	if ts := third.Closing.Timestamp; ts.Username != "u" || ts.Policy != "1.2.4" || !third.Closing.Test || a.Closing.Test {
		t.Errorf("register c: %+v", third.Closing)
	}
	if got := strings.Join(append(a.PEC.Trust, a.PEC.CRL...), " "); got != "/c /l" {
		t.Errorf("trust of a: %s", got)
	}
	if got := strings.Join(b.PEC.Trust, " ") + strings.Join(c.PEC.Trust, " "); got != "/a /b/a /b" {
		t.Errorf("trust of b and of all: %s", got)
	}
	if a.Segnatura != "{date} {number}" || b.Segnatura != "{number} {date}" {
		t.Errorf("segnatura: %q %q", a.Segnatura, b.Segnatura)
	}
}

func TestEnvironmentOverrides(t *testing.T) {
	t.Setenv("PROTODAEMON_DATA_DIR", "elsewhere")
	t.Setenv("PROTODAEMON_HTTP_TLS_SELF_SIGNED", "false")
	t.Setenv("PROTODAEMON_HTTP_LISTEN", "[::1]:80")
	t.Setenv("PROTODAEMON_INGEST_MAX_MESSAGE", "5MiB")
	t.Setenv("PROTODAEMON_INGEST_POLL", "90s")
	t.Setenv("PROTODAEMON_CLOSING_AUTO_AT", "")
	t.Setenv("PROTODAEMON_STORE_BLOBS_S3_ACCESS_KEY_FILE", "/k")
	t.Setenv("PROTODAEMON_PORT_8443_TCP", "tcp://10.0.0.1:8443") // Kubernetes
	file := write(t, "c.yaml", "data_dir: /x\nclosing: {auto_at: \"16:00\"}\n"+minimal)
	c, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.DataDir = filepath.Join(filepath.Dir(file), "elsewhere")
	want.HTTP.TLS.SelfSigned, want.HTTP.Listen = false, "[::1]:80"
	want.Ingest.MaxMessage, want.Ingest.Poll = 5*MiB, 90*time.Second
	want.Closing.AutoAt = ""
	want.Store.Blobs.S3.AccessKeyFile = "/k"
	_, r := c.Find("oaes", "ist")
	if r.Closing.AutoAt != "" {
		t.Errorf("the register inherits %q", r.Closing.AutoAt)
	}
	c.Organizations = nil
	if !reflect.DeepEqual(*c, want) {
		t.Errorf("got  %+v\nwant %+v", *c, want)
	}
}

func TestMaskedLoadsAgain(t *testing.T) {
	first := load(t, "c.yaml", "store: {reserve: 1000, postgres: {dsn_file: /run/dsn}}\nlog: {level: debug}\n"+minimal)
	text, err := first.Masked()
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"level: debug", "dsn_file: /run/dsn", "reserve: 1000B", "max_message: 200MiB", "poll: 1m0s", "port: 993"} {
		if !strings.Contains(string(text), line+"\n") {
			t.Errorf("%q is missing in\n%s", line, text)
		}
	}
	second := load(t, "c.yaml", string(text))
	again, err := second.Masked()
	if err != nil {
		t.Fatal(err)
	}
	if string(again) != string(text) {
		t.Errorf("the effective configuration reads back differently:\n%s\n%s", text, again)
	}
}

func TestErrorListsEveryProblem(t *testing.T) {
	_, err := Load(write(t, "c.yaml", "log: {level: loud, colour: red}\ntimezone: Rome\n"))
	var bad *Error
	if !errors.As(err, &bad) || len(bad.Problems) != 3 {
		t.Fatalf("got %v", err)
	}
	if n := strings.Count(err.Error(), "\n"); n != 2 {
		t.Errorf("%d line ends in %q", n, err)
	}
}
