package main

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/protodaemon/protodaemon/internal/dovecot"
)

// Accounts and tokens are administered in the same way, with the same words,
// beside a daemon and without one.
func TestAccountsWithAndWithoutADaemon(t *testing.T) {
	for name, start := range map[string]func(*testing.T, string){
		"with":    func(t *testing.T, config string) { startDaemon(t, config) },
		"without": func(*testing.T, string) {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := nowhere(t)
			start(t, config)
			administer(t, config)
		})
	}
}

func administer(t *testing.T, config string) {
	run := func(words string) string {
		t.Helper()
		args := strings.Fields(words)
		return mustRun(t, slices.Insert(args, 2, "--config", config)...)
	}
	secret := filepath.Join(filepath.Dir(config), "password")
	writeFile(t, secret, "una lunga parola d'ordine\n")
	if got := run("user add --user anna --role manager --name Anna --surname Rossi --password-file " + secret); got != "user anna added as manager" {
		t.Errorf("with a password file: %q", got)
	}
	if got := run("user add --user bruno --role operator --organization ordine --register istituzionale"); !strings.Contains(got, "\npassword: ") {
		t.Errorf("without a password: %q", got)
	}
	if got := run("user add --user bruno --role auditor"); got != "user bruno is now also auditor" {
		t.Errorf("a second role: %q", got)
	}
	piped := commandWith(t, "un'altra lunga parola\n", "user", "passwd", "--config", config, "--user", "anna")
	if piped.status != 0 || piped.stdout != "password of user anna changed\n" {
		t.Errorf("a password on standard input: %+v", piped)
	}
	token := run("token create --user anna --ttl 1h")
	if strings.ContainsAny(token, " \n") {
		t.Errorf("the token is not alone on standard output: %q", token)
	}
	id := strings.Fields(run("token list"))[4]
	run("token revoke --id " + id)
	run("user disable --user bruno")
	tokens, users := run("token list"), run("user list")
	if !strings.Contains(tokens, "anna") || !strings.Contains(tokens, "revoked") || strings.Contains(tokens, token) {
		t.Errorf("tokens after all:\n%s", tokens)
	}
	for _, want := range []string{"Anna Rossi  manager", "operator@ordine/istituzionale auditor", "disabled"} {
		if !strings.Contains(users, want) {
			t.Errorf("users after all lack %q:\n%s", want, users)
		}
	}
}

func TestRevokedTokenIsRefused(t *testing.T) {
	t.Parallel()
	config := nowhere(t)
	d := startDaemon(t, config)
	mustRun(t, "user", "add", "--config", config, "--user", "anna", "--role", "auditor")
	d.token = mustRun(t, "token", "create", "--config", config, "--user", "anna")
	if status, body := d.do(t, http.MethodGet, "/api/v1/organizations", ""); status != http.StatusOK {
		t.Errorf("with a token that holds: %d %s", status, body)
	}
	mustRun(t, "user", "disable", "--config", config, "--user", "anna")
	if status, _ := d.do(t, http.MethodGet, "/api/v1/organizations", ""); status != http.StatusUnauthorized {
		t.Errorf("with the token of a disabled account: %d", status)
	}
}

func TestCheckLooksAndChangesNothing(t *testing.T) {
	t.Parallel()
	server := dovecot.Start(t, dovecot.Options{})
	config := writeConfig(t, imapAccount{addr: server.TLSAddr, tls: "implicit", caFile: server.CAFile, username: "u1", password: dovecot.Password}, nil)
	before := folders(t, server)
	for _, extra := range [][]string{nil, {"--echo"}} {
		out := mustRun(t, append([]string{"check", "--config", config}, extra...)...)
		for _, want := range []string{"ordine/pec: ok", "IDLE", "inbox         INBOX", "not there yet", "warning: ordine/pec: pec.trust is empty"} {
			if !strings.Contains(out, want) {
				t.Errorf("check %v does not say %q:\n%s", extra, want, out)
			}
		}
		if after := folders(t, server); !slices.Equal(before, after) {
			t.Errorf("check %v changed the folders from %q to %q", extra, before, after)
		}
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(config), "data")); !os.IsNotExist(err) {
		t.Errorf("check made a data directory (%v)", err)
	}
}

func folders(t *testing.T, server *dovecot.Server) []string {
	t.Helper()
	names, err := server.Folders("u1", false)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	return names
}

func TestConfigShowsNoSecret(t *testing.T) {
	t.Parallel()
	config := writeConfig(t, imapAccount{addr: "127.0.0.1:993", tls: "implicit", username: "u1", password: "segretissima"}, nil)
	out := mustRun(t, "config", "--config", config)
	if strings.Contains(out, "segretissima") || !strings.Contains(out, "pending: sfera_msg_da_prot") {
		t.Errorf("the effective configuration:\n%s", out)
	}
}

func TestVersionAndHelp(t *testing.T) {
	t.Parallel()
	if out := mustRun(t, "version"); !strings.HasPrefix(out, "protodaemon ") || !strings.Contains(out, "commit ") || !strings.Contains(out, "go1.") {
		t.Errorf("version: %s", out)
	}
	out := mustRun(t, "help")
	for _, name := range []string{"serve", "check", "parse", "verify", "recover", "user", "token", "config", "version"} {
		if !strings.Contains(out, "\n  "+name+" ") {
			t.Errorf("help does not list %s:\n%s", name, out)
		}
		if help := mustRun(t, name, "--help"); !strings.Contains(help, "Usage:") {
			t.Errorf("%s --help: %s", name, help)
		}
	}
}
