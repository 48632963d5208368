package web

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"syscall"
)

// ListenOptions say where and how the pages and the API are offered.
type ListenOptions struct {
	Addr string // host:port
	// CertFile and KeyFile are PEM files, read again when they change.
	CertFile, KeyFile string
	// SelfSigned makes a certificate when no files are given; it is kept in
	// Dir and names localhost, the loopback addresses and Hosts.
	SelfSigned bool
	Dir        string
	Hosts      []string
	Log        *slog.Logger // nil: nothing is logged
}

// Listener accepts connections for Serve.
type Listener struct {
	net.Listener
	// URL is where a browser on this machine finds it.
	URL string
	// CertFile is the certificate offered, or empty for plain HTTP.
	CertFile string
}

// Listen listens for HTTPS, or, without any certificate, for plain HTTP on a
// loopback address only. A port that is taken, and everything else that the
// operator can change, is an error saying how.
func Listen(ctx context.Context, o ListenOptions) (*Listener, error) {
	certs, err := openCertificates(o)
	if err != nil {
		return nil, err
	}
	l, err := listen(ctx, o.Addr, "http.listen")
	if err != nil {
		return nil, err
	}
	out := &Listener{Listener: l, URL: "http://" + l.Addr().String()}
	if certs == nil {
		if !l.Addr().(*net.TCPAddr).IP.IsLoopback() {
			return nil, errors.Join(fmt.Errorf("http.listen %s: without TLS only a loopback address like 127.0.0.1:8443 is allowed; "+
				"set http.tls.self_signed, or http.tls.cert_file and http.tls.key_file", o.Addr), l.Close())
		}
		return out, nil
	}
	out.URL, out.CertFile = "https://"+l.Addr().String(), certs.certFile
	out.Listener = tls.NewListener(l, &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"h2", "http/1.1"},
		GetCertificate: certs.get,
	})
	return out, nil
}

// ListenMetrics listens for plain HTTP on http.metrics_listen.
func ListenMetrics(ctx context.Context, addr string) (net.Listener, error) {
	return listen(ctx, addr, "http.metrics_listen")
}

// remedies are what an operator can do about a failed listen.
var remedies = []struct {
	err  error
	does string
}{
	{syscall.EADDRINUSE, "another program has the port; stop it, or choose another port"},
	{syscall.EADDRNOTAVAIL, "this machine does not have the address; choose one that it has"},
	{syscall.EACCES, "ports below 1024 need CAP_NET_BIND_SERVICE; choose a higher port"},
}

func listen(ctx context.Context, addr, key string) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err == nil {
		return l, nil
	}
	for _, r := range remedies {
		if errors.Is(err, r.err) {
			return nil, fmt.Errorf("%s %s: %s (%w)", key, addr, r.does, r.err)
		}
	}
	return nil, fmt.Errorf("%s %s: %w", key, addr, err)
}

// openCertificates returns nil when plain HTTP is meant.
func openCertificates(o ListenOptions) (*certificates, error) {
	c := &certificates{certFile: o.CertFile, keyFile: o.KeyFile, log: o.Log}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	switch {
	case (o.CertFile == "") != (o.KeyFile == ""):
		return nil, errors.New("http.tls: cert_file and key_file belong together; one of them is missing")
	case o.CertFile == "" && !o.SelfSigned:
		return nil, nil
	case o.CertFile == "":
		c.own = true
		c.hosts = append([]string{"localhost", "127.0.0.1", "::1"}, o.Hosts...)
		c.certFile, c.keyFile = filepath.Join(o.Dir, "cert.pem"), filepath.Join(o.Dir, "key.pem")
	}
	if err := c.load(); err != nil {
		return nil, fmt.Errorf("http.tls: %w", err)
	}
	return c, nil
}
