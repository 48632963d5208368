package ingest

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
)

var (
	errNotLoopback = errors.New("tls: none is only for a server on this machine; use implicit or starttls")
	errNoSTARTTLS  = errors.New("the server does not offer STARTTLS")
	errInjected    = errors.New("the server sent data between STARTTLS and TLS, as an attacker would")
	errNoCA        = errors.New("holds no PEM certificate")
)

// dial opens the connection to the mailbox's server; ctx bounds all of it.
func dial(ctx context.Context, m IMAP, maxBody int64) (*wire, error) {
	cfg, err := tlsConfig(m)
	if err != nil {
		return nil, err
	}
	var d net.Dialer
	raw, err := d.DialContext(ctx, "tcp", net.JoinHostPort(m.Host, strconv.Itoa(m.Port)))
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	w, err := secure(ctx, raw, m.TLS, cfg, maxBody)
	if !stop() {
		err = errors.Join(context.Cause(ctx), err)
	}
	if err != nil {
		raw.Close()
		return nil, err
	}
	return w, nil
}

func secure(ctx context.Context, raw net.Conn, mode string, cfg *tls.Config, maxBody int64) (*wire, error) {
	prepend := ""
	switch mode {
	case "none":
		if !loopback(raw.RemoteAddr()) {
			return nil, errNotLoopback
		}
		return newWire(raw, raw, "", maxBody), nil
	case "starttls":
		if err := startTLS(raw); err != nil {
			return nil, err
		}
		// The greeting was in clear; this one lets the client go on, and ask
		// for the capabilities that hold under TLS.
		prepend = "* OK under TLS\r\n"
	}
	conn := tls.Client(raw, cfg)
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	return newWire(conn, raw, prepend, maxBody), nil
}

func tlsConfig(m IMAP) (*tls.Config, error) {
	cfg := &tls.Config{ServerName: m.Host, MinVersion: tls.VersionTLS12}
	if m.CAFile == "" {
		return cfg, nil
	}
	pem, err := os.ReadFile(m.CAFile)
	if err != nil {
		return nil, fmt.Errorf("reading ca_file: %w", err)
	}
	cfg.RootCAs = x509.NewCertPool()
	if !cfg.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("ca_file %s: %w", m.CAFile, errNoCA)
	}
	return cfg, nil
}

func loopback(a net.Addr) bool {
	t, ok := a.(*net.TCPAddr)
	return ok && t.IP.IsLoopback()
}

// startTLS negotiates the upgrade (RFC 9051 section 6.2.1) before the IMAP
// client sees the connection: so the client's commands pass through wire in
// clear, nothing said before TLS reaches it, and PREAUTH is refused.
func startTLS(raw net.Conn) error {
	r := bufio.NewReaderSize(raw, 4096)
	line, err := r.ReadSlice('\n')
	if err != nil {
		return fmt.Errorf("reading the greeting: %w", err)
	}
	if !strings.HasPrefix(strings.ToUpper(string(line)), "* OK") {
		return fmt.Errorf("the server greets with %q", strings.TrimSpace(string(line)))
	}
	if _, err := raw.Write([]byte("S STARTTLS\r\n")); err != nil {
		return fmt.Errorf("sending STARTTLS: %w", err)
	}
	for range 32 {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return fmt.Errorf("reading the answer to STARTTLS: %w", err)
		}
		answer, ok := strings.CutPrefix(strings.ToUpper(string(line)), "S ")
		switch {
		case !ok:
			continue
		case !strings.HasPrefix(answer, "OK"):
			return errNoSTARTTLS
		case r.Buffered() > 0:
			return errInjected
		}
		return nil
	}
	return errFlood
}
