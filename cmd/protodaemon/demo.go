package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/protodaemon/protodaemon/configs"
	"github.com/protodaemon/protodaemon/demo"
	"github.com/protodaemon/protodaemon/register"
)

// Where the demonstration listens unless told otherwise; when somebody has the
// port already, a free one is taken.
const (
	demoListen     = "127.0.0.1:8443"
	demoIMAPListen = "127.0.0.1:1993"
)

// demoTokenTTL is how long a kept demonstration's token holds.
const demoTokenTTL = 10 * 365 * 24 * time.Hour

// demoOptions are the flags of the demonstration.
type demoOptions struct{ listen, imapListen, data string }

func demoCommand() *cobra.Command {
	var o demoOptions
	cmd := &cobra.Command{
		Use:   "demo [--listen ADDR] [--data DIR] [--imap-listen ADDR]",
		Short: "Try everything on this machine, with sample mail and nothing to install",
		Long: `Starts a mail server with two sample mailboxes, the daemon that watches them,
and the pages. Prints one line of JSON when ready: where to look, user and
password, a token for the API, the mailboxes for a mail program, and the file
with the certificate to trust. Runs until SIGINT or SIGTERM.

Without --data everything is forgotten at the end; with it a second start finds
the same mail, certificates and passwords.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			return unlessEnded(ctx, runDemo(ctx, o, cmd.OutOrStdout(), cmd.ErrOrStderr()))
		},
	}
	cmd.Flags().StringVar(&o.listen, "listen", "", "address of the pages (default "+demoListen+", or a free port)")
	cmd.Flags().StringVar(&o.imapListen, "imap-listen", "", "address of the mail server (default "+demoIMAPListen+", or a free port)")
	cmd.Flags().StringVar(&o.data, "data", "", "folder to keep everything in (default: none)")
	return cmd
}

func runDemo(ctx context.Context, o demoOptions, stdout, stderr io.Writer) (err error) {
	log, err := newLogger(stderr, "warn", "auto")
	if err != nil {
		return err
	}
	dir := o.data
	if dir == "" {
		if dir, err = os.MkdirTemp("", "protodaemon-demo-"); err != nil {
			return fmt.Errorf("making a folder for the demonstration: %w", err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return fmt.Errorf("finding the demonstration's folder: %w", err)
	}
	mail, err := listenOr(o.imapListen, demoIMAPListen)
	if err != nil {
		return err
	}
	defer mail.Close()
	listen := o.listen
	if listen == "" {
		listen = freeOr(demoListen)
	}
	world, err := demo.Open(dir, demoHosts(listen, mail))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, world.Close()) }()
	host, port, err := net.SplitHostPort(reachable(mail.Addr()))
	if err != nil {
		return fmt.Errorf("reading the mail server's address: %w", err)
	}
	stamps, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listening for time stamp requests: %w", err)
	}
	defer stamps.Close()
	file, err := world.Configure(listen, host, port, stamps.Addr().String())
	if err != nil {
		return err
	}
	load := func() (*configs.Config, error) { return configs.Load(file) }
	cfg, err := load()
	if err != nil {
		return err
	}
	if err := openAccount(ctx, cfg, world, log); err != nil {
		return err
	}

	parts, ctx := errgroup.WithContext(ctx)
	parts.Go(func() error { return world.Mail.Serve(ctx, mail) })
	parts.Go(func() error { return world.Stamps.Serve(ctx, stamps) })
	parts.Go(func() error {
		return serve(ctx, cfg, load, log, extras{demo: world, ready: func(web net.Addr) error {
			return announce(stdout, stderr, world, reachable(web), reachable(mail.Addr()))
		}})
	})
	return parts.Wait()
}

// listenOr listens on the address that was asked for, or on the usual one, or
// on a free port when somebody has that.
func listenOr(asked, usual string) (net.Listener, error) {
	if asked != "" {
		l, err := net.Listen("tcp", asked)
		if err != nil {
			return nil, fmt.Errorf("--imap-listen %s: %w; choose another address or port", asked, err)
		}
		return l, nil
	}
	l, err := net.Listen("tcp", usual)
	if err != nil {
		l, err = net.Listen("tcp", "127.0.0.1:0")
	}
	return l, err
}

// freeOr is the address if nobody listens there, else a free port beside it.
func freeOr(usual string) string {
	l, err := net.Listen("tcp", usual)
	if err != nil {
		return "127.0.0.1:0"
	}
	l.Close()
	return usual
}

// demoHosts are the names by which the demonstration is reached.
func demoHosts(listen string, mail net.Listener) []string {
	hosts := []string{"localhost", "127.0.0.1", "::1"}
	for _, addr := range []string{listen, mail.Addr().String()} {
		host, _, err := net.SplitHostPort(addr)
		if ip := net.ParseIP(host); err == nil && host != "" && (ip == nil || !ip.IsUnspecified() && !ip.IsLoopback()) {
			hosts = append(hosts, host)
		}
	}
	return hosts
}

// reachable is an address by which this machine reaches a listener, also one
// that listens on every address.
func reachable(a net.Addr) string {
	t, ok := a.(*net.TCPAddr)
	if !ok || !t.IP.IsUnspecified() {
		return a.String()
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(t.Port))
}

// openAccount makes the user and the token at the first start, also when one
// was interrupted between the two.
func openAccount(ctx context.Context, cfg *configs.Config, w *demo.World, log *slog.Logger) (err error) {
	if w.Secrets.Token != "" {
		return nil
	}
	s, err := openSystem(ctx, cfg, log, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	user := register.User{Name: demo.User, GivenName: "Anna", Surname: "Esempio", Grants: []register.Grant{{Role: register.Admin}, {Role: register.Manager}}}
	if err := s.office.AddUser(ctx, register.System(), user, w.Secrets.Password); err != nil && !errors.Is(err, register.ErrState) {
		return fmt.Errorf("making the demonstration's user: %w", err)
	}
	if _, w.Secrets.Token, err = s.office.CreateToken(ctx, register.System(), demo.User, demoTokenTTL); err != nil {
		return fmt.Errorf("making the demonstration's token: %w", err)
	}
	return w.SaveSecrets()
}

// announcement is the one line that the demonstration prints.
type announcement struct {
	URL      string       `json:"url"`
	User     string       `json:"user"`
	Password string       `json:"password"`
	Token    string       `json:"token"`
	IMAP     announceIMAP `json:"imap"`
	CAFile   string       `json:"ca_file"`
}

type announceIMAP struct {
	Addr     string            `json:"addr"`
	TLS      bool              `json:"tls"`
	Accounts []announceAccount `json:"accounts"`
}

type announceAccount struct {
	Mailbox  string `json:"mailbox"`
	Username string `json:"username"`
	Password string `json:"password"`
}

// announce tells programs on stdout, and people on stderr.
func announce(stdout, stderr io.Writer, w *demo.World, web, mail string) error {
	a := announcement{
		URL: "https://" + web, User: demo.User, Password: w.Secrets.Password, Token: w.Secrets.Token,
		IMAP: announceIMAP{Addr: mail, TLS: true}, CAFile: w.CAFile(),
	}
	for _, m := range demo.Mailboxes() {
		a.IMAP.Accounts = append(a.IMAP.Accounts, announceAccount{m.ID, m.Address, w.Secrets.Mail[m.ID]})
	}
	line, err := json.Marshal(a)
	if err != nil {
		return fmt.Errorf("announcing the demonstration: %w", err)
	}
	fmt.Fprintf(stderr, `
protodaemon, dimostrazione: dati e firme di prova.

  Pagine    %s   utente %s   password %s
  Posta     IMAP con TLS, %s
`, a.URL, a.User, a.Password, a.IMAP.Addr)
	for _, m := range a.IMAP.Accounts {
		fmt.Fprintf(stderr, "            %s   password %s\n", m.Username, m.Password)
	}
	fmt.Fprintf(stderr, `  Il browser avverte che il certificato non è noto: è di prova, si può accettare.
  Certificato da importare per non avere l'avviso: %s
  Certificato del gestore PEC di prova: %s
  Pacchetti delle chiusure e come rispondere: %s
  Fine con Ctrl-C.

`, a.CAFile, w.ProviderCAFile(), w.ConservationDir())
	_, err = fmt.Fprintf(stdout, "%s\n", line)
	return err
}
