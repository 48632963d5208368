package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/protodaemon/protodaemon/internal/dovecot"
)

// badInputs are the cases of the table in docs/operations.md, each done to the
// program; the result is the status as the table writes it, and what was said.
var badInputs = map[string]func(*testing.T) (status, said string){
	"unknown configuration key": func(t *testing.T) (string, string) {
		return serveEdited(t, "host: 127.0.0.1", "hosst: 127.0.0.1")
	},
	"mailbox id used twice": func(t *testing.T) (string, string) {
		return serveEdited(t, "        mailboxes:\n", `        mailboxes:
          - {id: pec, address: altra@pec.example.it, imap: {host: localhost, username: u9, password_file: secret}}
`)
	},
	"no configuration file": func(t *testing.T) (string, string) {
		return said(command(t, "serve", "--config", filepath.Join(t.TempDir(), "none.yaml")))
	},
	"trust anchor that is not there": func(t *testing.T) (string, string) {
		return serveEdited(t, "trust: []", "trust: [none.pem]")
	},
	"trusted list without its signer": func(t *testing.T) (string, string) {
		list := filepath.Join(t.TempDir(), "it.xml")
		writeFile(t, list, `<TrustServiceStatusList xmlns="http://uri.etsi.org/02231/v2#"/>`)
		return serveEdited(t, "trust: []", "trust: ["+list+"]")
	},
	"data directory that cannot be written": func(t *testing.T) (string, string) {
		return serveEdited(t, "/data\n", "/secret/data\n") // a file is in the way, for root too
	},
	"port taken": func(t *testing.T) (string, string) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		return serveEdited(t, "127.0.0.1:0", l.Addr().String())
	},
	"second daemon on the same data": func(t *testing.T) (string, string) {
		config := nowhere(t)
		d := startDaemon(t, config)
		status, text := said(command(t, "serve", "--config", config))
		if d.stop(t) != 0 {
			t.Error("the first daemon was harmed")
		}
		return status, text
	},
	"wrong mailbox password": func(t *testing.T) (string, string) {
		server := dovecot.Start(t, dovecot.Options{})
		return said(command(t, "check", "--config", writeConfig(t, imapAccount{
			addr: server.TLSAddr, tls: "implicit", caFile: server.CAFile, username: "u1", password: "not this",
		}, nil)))
	},
	"unknown mail server": func(t *testing.T) (string, string) {
		config := nowhere(t)
		edit(t, config, "host: 127.0.0.1", "host: imap.nowhere.invalid")
		return said(command(t, "check", "--config", config))
	},
	"expired certificate of the mail server": func(t *testing.T) (string, string) {
		server := dovecot.Start(t, dovecot.Options{CertNotAfter: time.Now().Add(-time.Hour)})
		return said(command(t, "check", "--config", writeConfig(t, imapAccount{
			addr: server.TLSAddr, tls: "implicit", caFile: server.CAFile, username: "u1", password: dovecot.Password,
		}, nil)))
	},
	"unknown command": func(t *testing.T) (string, string) { return said(command(t, "serv")) },
	"unknown flag":    func(t *testing.T) (string, string) { return said(command(t, "serve", "--konfig", "x")) },
	"missing flag":    func(t *testing.T) (string, string) { return said(command(t, "verify")) },
	"no data yet": func(t *testing.T) (string, string) {
		return said(command(t, "verify", "--config", nowhere(t)))
	},
	"unknown role": func(t *testing.T) (string, string) {
		return said(command(t, "user", "add", "--config", nowhere(t), "--user", "anna", "--role", "boss"))
	},
	"password too short": func(t *testing.T) (string, string) {
		return said(commandWith(t, "short\n", "user", "add", "--config", nowhere(t), "--user", "anna", "--role", "admin"))
	},
	"token for nobody": func(t *testing.T) (string, string) {
		config := nowhere(t)
		mustRun(t, "user", "add", "--config", config, "--user", "anna", "--role", "admin")
		return said(command(t, "token", "create", "--config", config, "--user", "bruno"))
	},
	"unknown class": func(t *testing.T) (string, string) {
		o, d := openServing(t)
		return post(t, d, o.pendingID(t, d), `{"classification":"9.99"}`)
	},
	"confirming twice": func(t *testing.T) (string, string) {
		o, d := openServing(t)
		id := o.pendingID(t, d)
		if status, text := post(t, d, id, `{"classification":"1.1"}`); status != "HTTP 201" {
			t.Errorf("the first time: %s %s", status, text)
		}
		return post(t, d, id, `{"classification":"1.1","subject":"un altro"}`)
	},
	"confirming what was withdrawn": func(t *testing.T) (string, string) {
		o, d := openServing(t)
		id := o.pendingID(t, d)
		o.do(t, fmt.Sprintf("SELECT %q", o.pending))
		o.do(t, "MOVE * INBOX")
		eventually(t, "the message is withdrawn", func() bool {
			return len(list[item](t, d, books+"/pending?state=withdrawn")) == 1
		})
		return post(t, d, id, `{"classification":"1.1"}`)
	},
	"full disk": func(t *testing.T) (string, string) {
		o, d := openServing(t)
		id := o.pendingID(t, d)
		d.stop(t)
		edit(t, o.config, "reserve: 1MiB", "reserve: 1000TiB")
		d = o.start(t)
		if status, _ := d.do(t, http.MethodGet, "/readyz", ""); status != http.StatusServiceUnavailable {
			t.Errorf("readiness with a full disk: %d", status)
		}
		return post(t, d, id, `{"classification":"1.1"}`)
	},
	"malformed message": func(t *testing.T) (string, string) {
		o, d := openServing(t)
		broken := "Content-Type: multipart/mixed; boundary=x\r\nSubject: =?utf-9?Q?=ZZ?=\r\n\r\n--x\r\nContent-Type: \x00\r\n\r\n\xff\xfe"
		if err := o.operator.Append(o.pending, []byte(broken)); err != nil {
			t.Fatal(err)
		}
		all := o.awaitPending(t, d, 1)
		status, body := d.do(t, http.MethodGet, "/api/v1/pending/"+all[0].ID, "")
		return fmt.Sprintf("HTTP %d", status), string(body)
	},
}

// The messages in the documentation are those that the program says.
func TestBadInputIsToldAsDocumented(t *testing.T) {
	documented := documentedCases(t)
	for name := range badInputs {
		if _, ok := documented[name]; !ok {
			t.Errorf("%q is not in the table of docs/operations.md", name)
		}
	}
	for name, want := range documented {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			do, ok := badInputs[name]
			if !ok {
				t.Fatal("nobody tries this case")
			}
			status, text := do(t)
			if status != want.status || !slices.ContainsFunc(strings.Split(text, "\n"), want.message.MatchString) {
				t.Errorf("documented: %s %s\ngot: %s\n%s", want.status, want.message, status, text)
			}
		})
	}
}

type documentedCase struct {
	status  string
	message *regexp.Regexp
}

// documentedCases reads the rows "| case | status | `message` |"; … in a
// message stands for what differs.
func documentedCases(t *testing.T) map[string]documentedCase {
	t.Helper()
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("(?m)^\\| ([^|]+) \\| ((?:exit|HTTP) \\d+) \\| `(.+)` \\|")
	cases := map[string]documentedCase{}
	for _, m := range row.FindAllStringSubmatch(string(text), -1) {
		pattern := strings.ReplaceAll(regexp.QuoteMeta(m[3]), "…", ".*")
		cases[m[1]] = documentedCase{m[2], regexp.MustCompile(pattern)}
	}
	if len(cases) == 0 {
		t.Fatal("docs/operations.md has no table of bad input")
	}
	return cases
}

func said(o outcome) (string, string) { return fmt.Sprintf("exit %d", o.status), o.stderr }

// nowhere is a configuration whose mail server does not exist.
func nowhere(t *testing.T) string {
	t.Helper()
	return writeConfig(t, imapAccount{addr: "127.0.0.1:1", tls: "implicit", username: "u1", password: "x"}, nil)
}

// serveEdited starts the daemon with a configuration that does not hold.
func serveEdited(t *testing.T, old, replacement string) (string, string) {
	t.Helper()
	config := nowhere(t)
	edit(t, config, old, replacement)
	return said(command(t, "serve", "--config", config))
}

// openServing is an office whose daemon runs.
func openServing(t *testing.T) (*office, *process) {
	t.Helper()
	o := openOffice(t, dovecot.Options{}, false)
	d := o.start(t)
	o.awaitWatching(t, d)
	return o, d
}

// pendingID drags one message into the folder and returns its pending entry.
func (o *office) pendingID(t *testing.T, d *process) string {
	t.Helper()
	o.deliver(t, mix(t, o.provider, 1), 0)
	return o.awaitPending(t, d, 1)[0].ID
}

func post(t *testing.T, d *process, id, body string) (string, string) {
	t.Helper()
	status, answer := d.do(t, http.MethodPost, "/api/v1/pending/"+id+"/confirm", body)
	return fmt.Sprintf("HTTP %d", status), string(answer)
}
