// Package demo makes the world of `protodaemon demo`: a mail server with two
// mailboxes, a certification authority for its certificates, a PEC provider
// that really signs, sample messages, a signing certificate, a time stamping
// authority and a folder for the closings, and the configuration of a daemon
// that watches it all. Everything lies in one folder and is found again there.
//
// Nothing of it vouches for anything outside the demonstration.
package demo

import (
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/protodaemon/protodaemon/pec/sample"
)

// The names of the demonstration's organization and register.
const (
	Organization = "ordine-esempio"
	Register     = "istituzionale"
	User         = "anna"
)

// The folders in which letters lie; the daemon makes the second by itself where
// nobody has dragged anything yet.
const (
	inbox   = "INBOX"
	pending = "INBOX/sfera_msg_da_prot"
)

// Files of the folder that say something by being there: that it is a
// demonstration's, and that its mail is complete.
const (
	lockName      = "demo.lock"
	deliveredName = "delivered"
)

// World is the demonstration's folder, opened. Nobody else can open it until
// Close.
type World struct {
	Dir     string
	Secrets Secrets
	Mail    *Mailserver
	Stamps  *Stamps

	lock *os.File
}

// CAFile is the PEM file with the authority that signed the certificates of the
// mail server and of the pages.
func (w *World) CAFile() string { return w.file("ca.pem") }

// ProviderCAFile is the PEM file with the authority of the sample PEC provider.
func (w *World) ProviderCAFile() string { return w.file("provider-ca.pem") }

func (w *World) file(name string) string { return filepath.Join(w.Dir, name) }

// Secrets are made with the folder. Token is empty until the first start has
// made it and saved it.
type Secrets struct {
	Password string            `json:"password"`
	Token    string            `json:"token"`
	Mail     map[string]string `json:"mail"` // by mailbox
}

// Mailbox is one of the two mailboxes: its id in the configuration, its user
// name at the mail server, which is its address.
type Mailbox struct{ ID, Kind, Address string }

// Mailboxes lists them in the order of the configuration.
func Mailboxes() []Mailbox {
	return []Mailbox{{"pec", "pec", pecAddress}, {"posta", "email", mailAddress}}
}

// Open opens the world in dir, or makes it in an empty or new folder; hosts are
// the names and addresses by which pages and mail server are reached.
func Open(dir string, hosts []string) (_ *World, err error) {
	w := &World{Dir: dir}
	if err := w.claim(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.Close())
		}
	}()
	if err := w.loadSecrets(); err != nil {
		return nil, err
	}
	cert, err := w.certificate(hosts)
	if err != nil {
		return nil, err
	}
	return w, errors.Join(w.openClosings(), w.openMail(cert))
}

// Close lets others open the folder.
func (w *World) Close() error { return w.lock.Close() }

// claim makes the folder and keeps others out of it. A folder that holds
// something else is left alone.
func (w *World) claim() error {
	if err := os.MkdirAll(w.Dir, 0o700); err != nil {
		return fmt.Errorf("making the demonstration's folder: %w", err)
	}
	inside, err := os.ReadDir(w.Dir)
	if err != nil {
		return fmt.Errorf("reading the demonstration's folder: %w", err)
	}
	_, err = os.Stat(w.file(lockName))
	if errors.Is(err, fs.ErrNotExist) && len(inside) > 0 {
		return fmt.Errorf("%s holds something else than a demonstration; name an empty or a new folder", w.Dir)
	}
	if w.lock, err = os.OpenFile(w.file(lockName), os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return fmt.Errorf("locking the demonstration's folder: %w", err)
	}
	if err := unix.Flock(int(w.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		w.lock.Close()
		return fmt.Errorf("%s: another demonstration is running in this folder; end it, or name another folder", w.Dir)
	}
	return nil
}

// openMail opens the mail server, at the first time with the letters in it. A
// first time that was cut short begins anew: nobody has seen anything of it.
func (w *World) openMail(cert tls.Certificate) error {
	provider, err := w.provider()
	if err != nil {
		return err
	}
	_, err = os.Stat(w.file(deliveredName))
	first := errors.Is(err, fs.ErrNotExist)
	if first {
		if err := os.RemoveAll(w.file("mail")); err != nil {
			return fmt.Errorf("removing mail that was never complete: %w", err)
		}
	}
	var accounts []Account
	for _, m := range Mailboxes() {
		accounts = append(accounts, Account{m.Address, w.Secrets.Mail[m.ID]})
	}
	if w.Mail, err = OpenMailserver(w.file("mail"), accounts, cert); err != nil || !first {
		return err
	}
	return w.deliver(provider, time.Now().Truncate(time.Second))
}

func (w *World) secretsFile() string { return w.file("secrets.json") }

func (w *World) loadSecrets() error {
	data, err := os.ReadFile(w.secretsFile())
	if errors.Is(err, fs.ErrNotExist) {
		w.Secrets = Secrets{Password: secret(), Mail: map[string]string{}}
		for _, m := range Mailboxes() {
			w.Secrets.Mail[m.ID] = secret()
		}
		return w.SaveSecrets()
	}
	if err == nil {
		err = json.Unmarshal(data, &w.Secrets)
	}
	if err != nil {
		return fmt.Errorf("reading the demonstration's secrets in %s: %w", w.secretsFile(), err)
	}
	return nil
}

// SaveSecrets writes the secrets for the next start.
func (w *World) SaveSecrets() error {
	data, err := json.MarshalIndent(w.Secrets, "", "  ")
	if err == nil {
		err = writeFile(w.secretsFile(), data)
	}
	if err != nil {
		return fmt.Errorf("writing the demonstration's secrets: %w", err)
	}
	return nil
}

// secret is a password that can be typed.
func secret() string { return strings.ToLower(rand.Text()[:16]) }

// provider is the PEC provider of the samples; its CA is the daemon's anchor.
func (w *World) provider() (*sample.Provider, error) {
	o := sample.Options{Name: "Gestore di Prova S.p.A.", Domain: "pec.gestore-di-prova.example", Now: time.Now().AddDate(0, 0, -7)}
	kept := w.file("provider.pem")
	data, err := os.ReadFile(kept)
	if err == nil {
		return sample.LoadProvider(data, o)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading the sample provider: %w", err)
	}
	p, err := sample.NewProvider(o)
	if err != nil {
		return nil, fmt.Errorf("making the sample provider: %w", err)
	}
	if data, err = p.MarshalPEM(); err != nil {
		return nil, fmt.Errorf("making the sample provider: %w", err)
	}
	return p, errors.Join(writeFile(w.ProviderCAFile(), p.CAPEM()), writeFile(kept, data))
}

// deliver brings the letters.
func (w *World) deliver(provider *sample.Provider, now time.Time) error {
	address := map[string]string{}
	for _, m := range Mailboxes() {
		address[m.ID] = m.Address
	}
	for n, l := range letters {
		raw, err := l.make(&post{provider, now.Add(-l.age), n})
		if err != nil {
			return fmt.Errorf("making sample %d: %w", n, err)
		}
		folder := inbox
		if l.dragged {
			folder = pending
		}
		if err := w.Mail.Deliver(address[l.mailbox], folder, raw, now.Add(-l.age)); err != nil {
			return fmt.Errorf("delivering sample %d: %w", n, err)
		}
	}
	return writeFile(w.file(deliveredName), nil)
}

// Drag moves the oldest message that is still in an inbox into the watched
// folder, and tells whether there was one.
func (w *World) Drag() (bool, error) {
	for _, m := range Mailboxes() {
		if done, err := w.Mail.Drag(m.Address, inbox, pending); done || err != nil {
			return done, err
		}
	}
	return false, nil
}

// Waiting is how many messages Drag still finds.
func (w *World) Waiting() int {
	var n int
	for _, m := range Mailboxes() {
		n += w.Mail.Count(m.Address, inbox)
	}
	return n
}

// Configure writes the configuration of the daemon and returns its file.
// listen is the address of the pages, imapHost and imapPort the mail server's,
// stamps that of the time stamping authority.
func (w *World) Configure(listen, imapHost, imapPort, stamps string) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, `# Written by "protodaemon demo" at each start.
data_dir: data
http:
  listen: %q
  tls: {cert_file: cert.pem, key_file: key.pem}
store: {reserve: 16MiB}
pec: {trust: [provider-ca.pem]}
closing:
  test: true
  auto_at: "15:00"
  sign: {pkcs12_file: firma.p12, password_file: secret-firma, xades: true}
  timestamp: {name: Marca temporale di prova, url: %q, ca_file: signing-ca.pem}
  deliver: {kind: directory, path: conservazione, conservator: {name: Conservatore di prova}}
organizations:
  - id: %s
    name: Ordine degli Avvocati di Esempio
    ipa_code: oaes
    aoo_code: AOO1
    tax_code: "80012345678"
    manager: {name: Elena, surname: Neri, tax_code: NRELNE70A41H501X, deed: "delibera di prova n. 1", from: "2020-01-01"}
    registers:
      - id: %s
        name: Affari istituzionali
        mailboxes:
`, listen, "http://"+stamps+"/", Organization, Register)
	for _, m := range Mailboxes() {
		fmt.Fprintf(&b, `          - id: %s
            kind: %s
            address: %s
            imap: {host: %q, port: %s, ca_file: ca.pem, username: %s, password_file: secret-%s}
`, m.ID, m.Kind, m.Address, imapHost, imapPort, m.Address, m.ID)
		if err := writeFile(w.file("secret-"+m.ID), []byte(w.Secrets.Mail[m.ID])); err != nil {
			return "", fmt.Errorf("writing a mailbox's password: %w", err)
		}
	}
	b.WriteString(`      - id: disciplina
        name: Consiglio di disciplina
        mailboxes: []
`)
	file := w.file("protodaemon.yaml")
	if err := writeFile(file, []byte(b.String())); err != nil {
		return "", fmt.Errorf("writing the configuration: %w", err)
	}
	return file, nil
}

// certificate makes one for the hosts at each start, from the authority that
// stays.
func (w *World) certificate(hosts []string) (tls.Certificate, error) {
	ca, err := openAuthority(w.CAFile(), w.file("ca.key"))
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("opening the demonstration's certification authority: %w", err)
	}
	cert, key, err := ca.issue(hosts)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("making the demonstration's certificate: %w", err)
	}
	err = errors.Join(writeFile(w.file("cert.pem"), cert), writeFile(w.file("key.pem"), key))
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("writing the demonstration's certificate: %w", err)
	}
	return tls.X509KeyPair(cert, key)
}
