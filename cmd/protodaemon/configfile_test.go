package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"text/template"
)

// imapAccount is where a test's mailbox is.
type imapAccount struct {
	addr, tls, caFile, username, password string
}

var configTemplate = template.Must(template.New("config").Parse(`data_dir: {{.Dir}}/data
log: {format: json}
http: {listen: "127.0.0.1:0"}
store: {reserve: 1MiB}
pec: {trust: [{{.Anchor}}]}
organizations:
  - id: ordine
    name: Ordine di Esempio
    ipa_code: oaes
    aoo_code: AOO1
    registers:
      - id: istituzionale
        name: Affari istituzionali
        mailboxes:
          - id: pec
            kind: pec
            address: ordine@pec.example.it
            imap:
              host: {{.Host}}
              port: {{.Port}}
              tls: {{.TLS}}
              ca_file: {{.CAFile}}
              username: {{.Username}}
              password_file: {{.Dir}}/secret
`))

// writeConfig writes a configuration of one mailbox, with its secret and the
// anchor of its provider (nil: none), into a directory of its own and returns the file.
func writeConfig(t *testing.T, a imapAccount, anchor []byte) string {
	t.Helper()
	dir := t.TempDir()
	host, port := hostPort(t, a.addr)
	anchorFile := ""
	if anchor != nil {
		anchorFile = filepath.Join(dir, "anchor.pem")
		writeFile(t, anchorFile, string(anchor))
	}
	var text strings.Builder
	err := configTemplate.Execute(&text, map[string]string{
		"Dir": dir, "Anchor": anchorFile, "Host": host, "Port": port, "TLS": a.tls, "CAFile": a.caFile, "Username": a.username,
	})
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "secret"), a.password)
	config := filepath.Join(dir, "protodaemon.yaml")
	writeFile(t, config, text.String())
	return config
}

func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// edit replaces text in a file, where it has to stand.
func edit(t *testing.T, name, old, replacement string) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(data), old) {
		t.Fatalf("%s does not hold %q", name, old)
	}
	writeFile(t, name, strings.ReplaceAll(string(data), old, replacement))
}
