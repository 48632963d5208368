package configs

import (
	"path/filepath"
	"strings"
	"testing"
)

// organization, register and mailbox are files about one of them, which lines
// say the rest of.
func organization(lines string) string {
	return "organizations:\n  - id: o\n    name: O\n    ipa_code: i\n    aoo_code: a\n" + indent(4, lines)
}

func register(lines string) string {
	return organization("registers:\n  - id: r\n    name: R\n" + indent(4, lines))
}

func mailbox(lines string) string {
	return register("mailboxes:\n  - id: m\n" + indent(4, lines))
}

func indent(n int, lines string) string {
	pad := strings.Repeat(" ", n)
	return pad + strings.ReplaceAll(strings.TrimSuffix(lines, "\n"), "\n", "\n"+pad) + "\n"
}

const good = "address: a@b.example\nimap: {host: h.example, password_file: p}\n"

func TestBadInputIsExplained(t *testing.T) {
	const m = "organizations[o].registers[r].mailboxes[m]"
	for name, test := range map[string]struct {
		text string
		want string // "c.yaml" stands for the file
	}{
		"unknown key": {
			mailbox("address: a@b.example\nimap: {host: h.example, passwrod_file: p}"),
			"c.yaml:12: " + m + ".imap.passwrod_file: unknown key; did you mean password_file?\n" +
				"c.yaml:12: " + m + ".imap.password_file: missing",
		},
		"unknown key far from any": {
			"witness: x", "c.yaml:1: witness: unknown key; valid keys: data_dir, timezone, log, http, store, ingest, pec, closing, segnatura, include, organizations",
		},
		"key in capitals": {
			"Data_Dir: /x", "c.yaml:1: Data_Dir: unknown key; did you mean data_dir?",
		},
		"a secret in the file": {
			mailbox("address: a@b.example\nimap: {host: h.example, password: hunter2, password_file: p}"),
			"c.yaml:12: " + m + ".imap.password: unknown key; a secret is never written here: put it in a file and name that in password_file",
		},
		"key twice": {
			"timezone: Europe/Rome\nlog: {}\ntimezone: UTC", "c.yaml:3: timezone: stands here a second time (first on line 1); keep one of the two",
		},
		"not YAML":        {"a: [", "c.yaml: is not YAML: line 1: did not find expected node content"},
		"two documents":   {"data_dir: /x\n---\ndata_dir: /y", "c.yaml: holds more than one YAML document"},
		"a list for all":  {"- x", "c.yaml:1: must hold keys and values; valid keys: data_dir, timezone, log, http, store, ingest, pec, closing, segnatura, include, organizations"},
		"value for a map": {"log: info", "c.yaml:1: log: must hold keys and values; valid keys: level, format"},
		"map for a value": {"data_dir: {a: b}", "c.yaml:1: data_dir: must be a single value"},
		"value for a list": {
			"pec: {trust: /etc/ca.pem}", "c.yaml:1: pec.trust: must be a list; write each item on a line of its own, after a dash",
		},
		"empty item":       {"include:\n  - a*\n  -", "c.yaml:3: include[1]: is empty; write a value or remove the dash"},
		"alias":            {"log: &l {level: info}\nhttp: *l", "c.yaml:1: log: anchors and aliases are not supported; write the value out\nc.yaml:2: http: anchors and aliases are not supported; write the value out"},
		"duration":         {"ingest: {poll: 60}", `c.yaml:1: ingest.poll: "60" is not a duration like 30s, 5m or 1h30m`},
		"size":             {"store: {reserve: 1 bottle}", `c.yaml:1: store.reserve: "1 bottle" is not a size like 256MiB`},
		"huge size":        {"store: {reserve: 9000000000GiB}", `c.yaml:1: store.reserve: "9000000000GiB" is not a size like 256MiB`},
		"bool":             {"http: {tls: {self_signed: yes}}", `c.yaml:1: http.tls.self_signed: "yes" is neither true nor false`},
		"number":           {mailbox("address: a@b.example\nimap: {host: h.example, password_file: p, port: 0993}"), "c.yaml:12: " + m + `.imap.port: "0993" is not a whole number`},
		"no data":          {`data_dir: ""`, "c.yaml:1: data_dir: missing"},
		"timezone":         {"timezone: Rome", `c.yaml:1: timezone: "Rome" is not a known time zone; write a name like Europe/Rome`},
		"level":            {"log: {level: loud}", `c.yaml:1: log.level: "loud" is not known; choose one of debug, info, warn, error`},
		"listen":           {"http: {listen: 8443}", `c.yaml:1: http.listen: "8443" is not host:port; write it like 127.0.0.1:8443`},
		"port":             {"http: {listen: \"127.0.0.1:99999\"}", `c.yaml:1: http.listen: "127.0.0.1:99999" is not host:port; write it like 127.0.0.1:8443`},
		"plain HTTP":       {"http: {listen: \":80\", tls: {self_signed: false}}", "c.yaml:1: http.tls: plain HTTP is refused off loopback; give cert_file and key_file, set self_signed: true, or listen on 127.0.0.1"},
		"half a pair":      {"http: {tls: {cert_file: c}}", "c.yaml:1: http.tls: needs both cert_file and key_file, or neither"},
		"proxy":            {"http: {trusted_proxies: [10.0.0.0/24, proxy]}", `c.yaml:1: http.trusted_proxies[1]: "proxy" is neither an IP address nor a network; write it like 10.0.0.7 or 10.0.0.0/24`},
		"URL":              {"http: {public_url: protocollo.example.it}", "c.yaml:1: http.public_url: is not a URL; begin it with https:// or http://"},
		"secret in URL":    {"closing: {timestamp: {url: \"https://u:p@tsa.example.it\"}}", "c.yaml:1: closing.timestamp.url: holds a user name or password; take it out of the URL; a secret belongs in a file of its own"},
		"plain delivery":   {"closing: {deliver: {kind: http, url: \"http://conservatore.example.it/pdv\"}}", "c.yaml:1: closing.deliver.url: is not encrypted; begin it with https://; http:// is for this machine only"},
		"postgres":         {"store: {engine: postgres}", "c.yaml:1: store.postgres.dsn_file: missing"},
		"engine":           {"store: {engine: mysql}", `c.yaml:1: store.engine: "mysql" is not known; choose one of bolt, postgres`},
		"s3":               {"store: {blobs: {engine: s3, s3: {endpoint: \"https://s3.example.it\", access_key_file: a, secret_key_file: b}}}", "c.yaml:1: store.blobs.s3.bucket: missing"},
		"max_message":      {"ingest: {max_message: 10B}", "c.yaml:1: ingest.max_message: must lie between 1MiB and 4GiB"},
		"poll":             {"ingest: {poll: 1ms}", "c.yaml:1: ingest.poll: must lie between 1s and 1h"},
		"idle_renew":       {"ingest: {idle_renew: 28m}", "c.yaml:1: ingest.idle_renew: must lie between 10s and 9m"},
		"auto_at":          {"closing: {auto_at: 3pm}", `c.yaml:1: closing.auto_at: "3pm" is not a time of day; write it like "15:00", or "" to switch it off`},
		"PIN over http":    {"closing: {sign: {csc: {url: \"http://csc.example.it\", credential: c}}}", "c.yaml:1: closing.sign.csc.url: is plain http; the PIN goes there: begin it with https://"},
		"stamps over http": {"closing: {timestamp: {url: \"http://tsa.example.it\", username: u, password_file: p}}", "c.yaml:1: closing.timestamp.url: is plain http; the password goes there: begin it with https://"},
		"no token":         {"closing: {sign: {pkcs11: {module: m, key: k}}}", "c.yaml:1: closing.sign.pkcs11.token: missing"},
		"two keys":         {"closing: {sign: {pkcs12_file: k, csc: {url: \"https://csc.example.it\", credential: c}}}", "c.yaml:1: closing.sign: names more than one signing key; keep one of pkcs12_file, pkcs11 and csc"},
		"sftp, in the url": {"closing:\n  deliver: {kind: sftp, url: \"sftp://s.example.it/versamenti\", username: u, known_hosts_file: k, key_file: f}", "c.yaml:2: closing.deliver.url: names a directory; write it as path"},
		"conservator":      {"closing:\n  deliver: {conservator: {tax_code: \"123\"}, class: {plan: Titolario}}", "c.yaml:2: closing.deliver.conservator.name: missing\nc.yaml:2: closing.deliver.conservator.tax_code: \"123\" is not a tax code; write its 11 digits, or its 16 letters and digits\nc.yaml:2: closing.deliver.class.index: missing\nc.yaml:2: closing.deliver.class.description: missing"},
		"sftp":             {"closing:\n  deliver: {kind: sftp, url: \"sftp://s.example.it\"}", "c.yaml:2: closing.deliver.username: missing\nc.yaml:2: closing.deliver.known_hosts_file: missing\nc.yaml:2: closing.deliver.key_file: missing; give key_file or password_file"},
		"placeholder":      {"segnatura: \"{numero} {number} {date}\"", "c.yaml:1: segnatura: {numero} is not a placeholder; choose from {ipa_code}, {aoo_code}, {register}, {number}, {year}, {date}"},
		"no number":        {"segnatura: \"{date}\"", "c.yaml:1: segnatura: {number} is missing; the mark must tell number and date"},
		"include":          {"include: [other.yaml]", "c.yaml:1: include: DIR/other.yaml does not exist; make it, or remove it from the list"},

		"reserved id":    {"organizations:\n  - id: installation\n    name: I\n    ipa_code: i\n    aoo_code: a\n    registers: [{id: r, name: R}]", `c.yaml:2: organizations[installation].id: "installation" is reserved; choose another id`},
		"id of dots":     {"organizations:\n  - id: ..\n    name: I\n    ipa_code: i\n    aoo_code: a\n    registers: [{id: r, name: R}]", `c.yaml:2: organizations[..].id: ".." is not an id; use 1 to 64 letters, digits, _ . -`},
		"no registers":   {organization(""), "c.yaml:2: organizations[o].registers: an organization has one to 5 registers, not 0"},
		"six registers":  {organization("registers: [{id: a, name: A}, {id: b, name: A}, {id: c, name: A}, {id: d, name: A}, {id: e, name: A}, {id: f, name: A}]"), "c.yaml:6: organizations[o].registers: an organization has one to 5 registers, not 6"},
		"long register":  {organization("registers: [{id: abcdefghijklmnopq, name: A}]"), `c.yaml:6: organizations[o].registers[abcdefghijklmnopq].id: "abcdefghijklmnopq" is not an id; use 1 to 16 letters, digits, _ . -`},
		"register twice": {organization("registers:\n - {id: a, name: A}\n - {id: a, name: B}"), "c.yaml:7: organizations[o].registers[a]: this id is used twice in the organization; give every register its own id"},
		"no code":        {"organizations:\n  - id: o\n    name: O\n    ipa_code: i\n    registers: [{id: r, name: R}]", "c.yaml:5: organizations[o].registers[r].aoo_code: missing; the segnatura of every entry tells it; set it here or in the organization"},
		"tax code":       {organization("registers: [{id: r, name: R}]\ntax_code: 123"), `c.yaml:7: organizations[o].tax_code: "123" is not a tax code; write its 11 digits, or its 16 letters and digits`},
		"day":            {organization("registers: [{id: r, name: R}]\nmanager: {from: 1/2/2026}"), `c.yaml:7: organizations[o].manager.from: "1/2/2026" is not a day; write it like 2026-01-31`},
		"closing of one": {register("closing: {auto_at: \"25:00\"}"), `c.yaml:9: organizations[o].registers[r].closing.auto_at: "25:00" is not a time of day; write it like "15:00", or "" to switch it off`},

		"no mailbox id": {register("mailboxes:\n  - " + strings.ReplaceAll(good, "\nimap", "\n    imap")), "c.yaml:10: organizations[o].registers[r].mailboxes[0].id: missing"},
		"kind":          {mailbox(good + "kind: smtp"), "c.yaml:13: " + m + `.kind: "smtp" is not known; choose one of pec, email`},
		"address":       {mailbox("address: Ordine <a@b.example>\nimap: {host: h.example, password_file: p}"), "c.yaml:11: " + m + `.address: "Ordine <a@b.example>" is not an e-mail address; write it like ordine@pec.example.it`},
		"host":          {mailbox("address: a@b.example\nimap: {host: \"h.example:993\", password_file: p}"), "c.yaml:12: " + m + `.imap.host: "h.example:993" is not a host name; write the name alone, without port, path or user`},
		"no host":       {mailbox("address: a@b.example\nimap: {password_file: p}"), "c.yaml:12: " + m + ".imap.host: missing; write the name of the IMAP server your provider gives"},
		"tls":           {mailbox("address: a@b.example\nimap: {host: h.example, password_file: p, tls: ssl}"), "c.yaml:12: " + m + `.imap.tls: "ssl" is not known; choose one of implicit, starttls, none`},
		"tls none":      {mailbox("address: a@b.example\nimap: {host: h.example, password_file: p, tls: none}"), "c.yaml:12: " + m + ".imap.tls: none is allowed on loopback only: the password would travel readable; use implicit or starttls"},
		"auth":          {mailbox("address: a@b.example\nimap: {host: h.example, password_file: p, auth: cram-md5}"), "c.yaml:12: " + m + `.imap.auth: "cram-md5" is not known; choose one of password, xoauth2`},
		"same folders":  {mailbox(good + "folders: {pending: inbox}"), "c.yaml:13: " + m + ".folders.pending: is the same folder as inbox; give each its own folder"},
		"mailbox twice": {
			organization("registers:\n  - id: r\n    name: R\n    mailboxes: [{id: m, address: a@b.example, imap: {host: h, password_file: p}}]\n  - id: s\n    name: S\n    mailboxes: [{id: m, address: c@b.example, imap: {host: h, password_file: p}}]"),
			"c.yaml:12: organizations[o].registers[s].mailboxes[m]: this id is used twice in the organization (also in register r); give every mailbox of an organization its own id",
		},
		"account twice": {
			organization("registers:\n  - id: r\n    name: R\n    mailboxes: [{id: m, address: a@b.example, imap: {host: h, password_file: p}}]\n  - id: s\n    name: S\n    mailboxes:\n      - {id: n, address: a@b.example, imap: {host: H, port: 143, tls: starttls, password_file: p}, folders: {pending: other}}"),
			"c.yaml:13: organizations[o].registers[s].mailboxes[n].folders.registered: folder sfera_msg_prot of this account is already linked by organizations[o].registers[r].mailboxes[m]; one account and folder may be linked once",
		},
	} {
		t.Run(name, func(t *testing.T) {
			expect(t, test.want, "c.yaml", test.text)
		})
	}
}

// expect loads files and compares the whole error.
func expect(t *testing.T, want string, files ...string) {
	t.Helper()
	file := write(t, files...)
	_, err := Load(file)
	if err == nil {
		t.Fatalf("accepted; want %s", want)
	}
	got := strings.ReplaceAll(err.Error(), filepath.Dir(file)+"/", "")
	if want = strings.ReplaceAll(want, "DIR/", ""); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

func TestProblemsOfIncludedFiles(t *testing.T) {
	other := strings.ReplaceAll(minimal, "imaps.", "other.")
	expect(t, "d/a.yaml:3: organizations[oaes]: this id is used twice, in c.yaml and in d/a.yaml; give every organization its own id",
		"c.yaml", "include: [d/*]\n"+minimal, "d/a.yaml", other)
	expect(t, "d/a.yaml:1: http: cannot stand in an included file; move it to the main file; an included file holds organizations only",
		"c.yaml", "include: [d/*]\n", "d/a.yaml", "http: {listen: \":1\"}\n")
	expect(t, "d/a.yaml:1: organisations: unknown key; did you mean organizations?",
		"c.yaml", "include: [d/*]\n", "d/a.yaml", "organisations: []\n")
}

func TestProblemsOfTheEnvironment(t *testing.T) {
	t.Setenv("PROTODAEMON_HTTP_LISEN", ":1")
	expect(t, "PROTODAEMON_HTTP_LISEN: unknown variable; did you mean PROTODAEMON_HTTP_LISTEN?", "c.yaml", "")
}

func TestEnvironmentValues(t *testing.T) {
	for name, want := range map[string]string{
		"PROTODAEMON_INGEST_POLL":          `PROTODAEMON_INGEST_POLL: "x" is not a duration like 30s, 5m or 1h30m (for ingest.poll)`,
		"PROTODAEMON_HTTP_TLS_SELF_SIGNED": `PROTODAEMON_HTTP_TLS_SELF_SIGNED: "x" is neither true nor false (for http.tls.self_signed)`,
		"PROTODAEMON_PEC_TRUST":            "PROTODAEMON_PEC_TRUST: a list cannot be set from the environment; set pec.trust in the file",
		"PROTODAEMON_ORGANIZATIONS":        "PROTODAEMON_ORGANIZATIONS: a list cannot be set from the environment; set organizations in the file",
		"PROTODAEMON_LOG_LEVEL":            `log.level: "x" is not known; choose one of debug, info, warn, error`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(name, "x")
			_, err := Load(write(t, "c.yaml", ""))
			if err == nil || !strings.HasSuffix(err.Error(), want) {
				t.Errorf("\n got %v\nwant %s", err, want)
			}
		})
	}
}

func TestMissingFile(t *testing.T) {
	_, err := Load("/nonexistent/c.yaml")
	if err == nil || err.Error() != "/nonexistent/c.yaml: no such file or directory" {
		t.Errorf("got %v", err)
	}
}
