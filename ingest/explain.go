package ingest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/emersion/go-imap/v2"
)

// trouble is why a mailbox is not watched: Code is stable, Text says what is
// wrong and what to do, in one line.
type trouble struct {
	Code, Text string
	// lasting: somebody has to change something before it can get better.
	lasting bool
}

func (t trouble) String() string { return t.Code + ": " + t.Text }

// explain puts an error of a connection into words.
func explain(err error, m Mailbox) trouble {
	server := fmt.Sprintf("%s port %d", m.IMAP.Host, m.IMAP.Port)
	for _, rule := range []func(error, string) (trouble, bool){explainAccount, explainTLS, explainNetwork, explainIMAP} {
		if t, ok := rule(err, server); ok {
			t.Text = m.anonymous(t.Text)
			return t
		}
	}
	return trouble{Code: "connection", Text: m.anonymous(fmt.Sprintf("%s: %s", server, oneLine(err)))}
}

// anonymous takes the account's name out of what a server said: it goes to logs.
func (m Mailbox) anonymous(s string) string {
	for _, name := range []string{m.IMAP.Username, m.Address} {
		if len(name) > 2 {
			s = strings.ReplaceAll(s, name, "(account)")
		}
	}
	return s
}

func explainAccount(err error, server string) (trouble, bool) {
	var secret *secretError
	var login *loginError
	var folder *folderError
	var ours *registerError
	switch {
	case errors.As(err, &ours):
		return trouble{"register", "messages cannot be taken into custody now: " + oneLine(err), false}, true
	case errors.As(err, &secret):
		return trouble{"password-file", oneLine(secret.err) + "; check password_file and its permissions", true}, true
	case errors.Is(err, errAuth):
		return trouble{"auth", "only auth: password is supported for now; set it in the mailbox's imap section", true}, true
	case errors.As(err, &login):
		return trouble{"login-refused", fmt.Sprintf("%s refuses the login (%s); check username and password_file, and whether the provider wants a password of its own for mail programs",
			server, oneLine(login.err)), true}, true
	case errors.As(err, &folder):
		return trouble{"folder", fmt.Sprintf("the folder %s cannot be used (%s); create it in a mail program or correct folders",
			folder.name, oneLine(folder.err)), true}, true
	case errors.Is(err, errNotLoopback), errors.Is(err, errNoSTARTTLS):
		return trouble{"tls", server + ": " + oneLine(err), true}, true
	}
	return trouble{}, false
}

func explainTLS(err error, server string) (trouble, bool) {
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		what := "has expired on " + invalid.Cert.NotAfter.UTC().Format(time.DateOnly)
		if time.Now().Before(invalid.Cert.NotBefore) {
			what = "is not valid before " + invalid.Cert.NotBefore.UTC().Format(time.DateOnly)
		}
		return trouble{"certificate-expired", fmt.Sprintf("the certificate of %s %s; the provider has to renew it (or check this machine's clock)", server, what), true}, true
	case errors.As(err, &unknown):
		return trouble{"certificate-unknown", fmt.Sprintf("the certificate of %s comes from an authority that is not known here; set ca_file if it is the right server", server), true}, true
	case errors.As(err, &host):
		return trouble{"certificate-name", fmt.Sprintf("the certificate of %s is for another name (%s); check host", server, oneLine(host)), true}, true
	case errors.As(err, &invalid):
		return trouble{"certificate-invalid", fmt.Sprintf("the certificate of %s cannot be accepted: %s", server, oneLine(invalid)), true}, true
	case errors.As(err, &record):
		return trouble{"tls", fmt.Sprintf("%s does not speak TLS there; check port and tls (implicit or starttls)", server), true}, true
	case errors.Is(err, errNoCA), errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
		return trouble{"ca-file", oneLine(err), true}, true
	case errors.Is(err, errInjected):
		return trouble{"tls", server + ": " + oneLine(err), false}, true
	}
	return trouble{}, false
}

func explainNetwork(err error, server string) (trouble, bool) {
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return trouble{"unknown-host", fmt.Sprintf("no server of the name %s is known; check host", dns.Name), true}, true
	case errors.As(err, &dns):
		return trouble{"name-service", oneLine(dns) + "; check this machine's name resolution", false}, true
	case errors.Is(err, syscall.ECONNREFUSED):
		return trouble{"refused", fmt.Sprintf("%s refuses connections; check host and port, or wait until the server is back", server), false}, true
	case errors.Is(err, errSilent), errors.Is(err, context.DeadlineExceeded):
		return trouble{"silent", fmt.Sprintf("%s does not answer in time; check the network and the firewall, or wait", server), false}, true
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, errTruncated),
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, net.ErrClosed):
		return trouble{"disconnected", fmt.Sprintf("%s closed the connection", server), false}, true
	}
	return trouble{}, false
}

func explainIMAP(err error, server string) (trouble, bool) {
	var no *imap.Error
	switch {
	case errors.Is(err, errReset):
		return trouble{"folder-replaced", oneLine(err), false}, true
	case errors.Is(err, errFlood), errors.Is(err, errPreauth), errors.Is(err, errIncomplete),
		strings.Contains(err.Error(), "unsupported response"), strings.Contains(err.Error(), "unsupported msg-att"):
		return trouble{"protocol", fmt.Sprintf("%s does not behave as an IMAP server must: %s", server, oneLine(err)), false}, true
	case errors.As(err, &no):
		return trouble{"server", fmt.Sprintf("%s answers: %s", server, oneLine(err)), false}, true
	}
	return trouble{}, false
}

// oneLine keeps what a server said from breaking a log or a page.
func oneLine(err error) string {
	s := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(err.Error(), "?"))
	if len(s) > 300 {
		s = strings.ToValidUTF8(s[:300], "") + "…"
	}
	return s
}
