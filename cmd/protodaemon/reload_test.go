package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/protodaemon/protodaemon/internal/dovecot"
	"github.com/protodaemon/protodaemon/pec/sample"
)

// SIGHUP takes over what holds and refuses what does not; the mailbox that did
// not change keeps its connection.
func TestHangupTakesOverMailboxes(t *testing.T) {
	t.Parallel()
	o, d := openServing(t)
	hangup := func(said string) {
		t.Helper()
		seen := strings.Count(d.log.String(), said)
		if err := d.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		eventually(t, said, func() bool { return strings.Count(d.log.String(), said) > seen })
	}
	good, err := os.ReadFile(o.config)
	if err != nil {
		t.Fatal(err)
	}

	edit(t, o.config, "kind: pec", "kind: piccione")
	hangup("the changed configuration is refused, the old one goes on")
	writeFile(t, o.config, string(good)+`          - id: seconda
            kind: email
            address: seconda@example.it
            imap:
              host: 127.0.0.1
              port: `+imapPort(t, o)+`
              ca_file: `+o.server.CAFile+`
              username: u2
              password_file: secret
`)
	hangup("the changed configuration is in force")
	eventually(t, "both mailboxes are watched", func() bool { return len(watched(t, d)) == 2 })
	if logins := strings.Count(o.server.Log(), "Login: user=<u1>"); logins != 2 { // the operator's and the daemon's
		t.Errorf("user u1 has logged in %d times", logins)
	}

	if err := o.server.Append("u2", "INBOX.sfera_msg_da_prot", mix(t, o.provider, 1)[0]); err != nil {
		t.Fatal(err)
	}
	o.awaitPending(t, d, 1)
	writeFile(t, o.config, strings.Replace(string(good), "format: json", "format: json, level: debug", 1))
	hangup("a changed part of the configuration needs a restart")
	eventually(t, "the second mailbox is gone", func() bool { return len(watched(t, d)) == 1 })
}

func watched(t *testing.T, d *process) []string {
	t.Helper()
	var ids []string
	for _, m := range get[page[struct{ ID, State string }]](t, d, "/api/v1/mailboxes").Items {
		if m.State == "watching" {
			ids = append(ids, m.ID)
		}
	}
	return ids
}

func imapPort(t *testing.T, o *office) string {
	t.Helper()
	_, port := hostPort(t, o.server.TLSAddr)
	return port
}

// The service manager's watchdog hears of the daemon for as long as its store
// answers.
func TestWatchdogIsFed(t *testing.T) {
	t.Parallel()
	notices := listenForNotices(t)
	d := launch(t, nowhere(t), notices, "WATCHDOG_USEC=200000")
	awaitNotice(t, notices, d, "READY=1")
	awaitNotice(t, notices, d, "WATCHDOG=1")
	awaitNotice(t, notices, d, "WATCHDOG=1")
	if err := d.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	awaitNotice(t, notices, d, "STOPPING=1")
}

// A register can have trust anchors of its own: the same message is certified
// in one and not in the other, until the anchors are put right and SIGHUP is
// sent.
func TestAnchorsOfARegister(t *testing.T) {
	t.Parallel()
	o := openOffice(t, dovecot.Options{}, false)
	stranger, err := sample.NewProvider(sample.Options{ECDSA: true})
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(o.config)
	writeFile(t, filepath.Join(dir, "other.pem"), string(stranger.CAPEM()))
	text, err := os.ReadFile(o.config)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, o.config, string(text)+`      - id: disciplina
        name: Consiglio di disciplina
        pec: {trust: [other.pem]}
        mailboxes:
          - id: seconda
            kind: pec
            address: disciplina@pec.example.it
            imap:
              host: 127.0.0.1
              port: `+imapPort(t, o)+`
              ca_file: `+o.server.CAFile+`
              username: u2
              password_file: secret
`)
	d := o.start(t)
	eventually(t, "both mailboxes are watched", func() bool { return len(watched(t, d)) == 2 })
	mail := mix(t, o.provider, 2*kinds)
	judged := func(book string, raw []byte) (last string) {
		t.Helper()
		path := "/api/v1/organizations/ordine/registers/" + book + "/pending"
		sum := fmt.Sprintf("%x", sha256.Sum256(raw))
		eventually(t, "the message is pending in "+book, func() bool {
			for _, p := range list[item](t, d, path) {
				if p.SHA256 == sum {
					last = p.Authenticity
					return true
				}
			}
			return false
		})
		return last
	}
	drop := func(user string, raw []byte) {
		t.Helper()
		if err := o.server.Append(user, "INBOX.sfera_msg_da_prot", raw); err != nil {
			t.Fatal(err)
		}
	}
	envelope, another := mail[kinds-1], mail[2*kinds-1]
	drop("u1", envelope)
	drop("u2", envelope)
	if got := judged("istituzionale", envelope); got != "certified" {
		t.Errorf("with the provider's anchor the envelope is %s", got)
	}
	if got := judged("disciplina", envelope); got != "untrusted" {
		t.Errorf("with another anchor the envelope is %s", got)
	}

	edit(t, o.config, "other.pem", "anchor.pem")
	if err := d.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new anchors are in force", func() bool {
		return strings.Contains(d.log.String(), "the changed configuration is in force")
	})
	drop("u2", another)
	if got := judged("disciplina", another); got != "certified" {
		t.Errorf("with the anchor put right the envelope is %s", got)
	}
}
