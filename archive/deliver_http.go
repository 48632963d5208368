package archive

import (
	"archive/zip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime/multipart"
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/protodaemon/protodaemon/register"
)

// maxHeader bounds the head of an answer.
const maxHeader = 64 << 10

// poster delivers by HTTPS as multipart/form-data. The answer may be the
// receipt, or name in Location where it will be.
type poster struct {
	conf Delivery
	url  *url.URL
}

func newPoster(d Delivery) (carrier, error) {
	u, err := url.Parse(d.URL)
	if err != nil || u.Hostname() == "" {
		return nil, fmt.Errorf("deliver.url %q is not an address", d.URL)
	}
	ip := net.ParseIP(u.Hostname())
	if u.Scheme != "https" && (u.Scheme != "http" || u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback())) {
		return nil, fmt.Errorf("deliver.url %s has to be https: registers do not travel readable", d.URL)
	}
	return poster{d, u}, nil
}

// client is made for each use, so that certificates that were replaced count.
func (s poster) client() (*http.Client, func(), error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if s.conf.CAFile != "" {
		b, err := os.ReadFile(s.conf.CAFile)
		if err != nil {
			return nil, nil, failure(codeRefused, "reading ca_file: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(b) {
			return nil, nil, failure(codeRefused, "there is no certificate in %s", s.conf.CAFile)
		}
	}
	if s.conf.ClientCertFile != "" {
		pair, err := tls.LoadX509KeyPair(s.conf.ClientCertFile, s.conf.ClientKeyFile)
		if err != nil {
			return nil, nil, failure(codeLogin, "the client certificate: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	transport := &http.Transport{TLSClientConfig: config, Proxy: http.ProxyFromEnvironment, MaxResponseHeaderBytes: maxHeader}
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		transport.CloseIdleConnections, nil
}

func (s poster) send(ctx context.Context, p parcel) (sent string, receipt []byte, err error) {
	body, out := io.Pipe()
	form := multipart.NewWriter(out)
	written := make(chan error, 1)
	go func() {
		err := s.fill(ctx, form, p)
		written <- err
		out.CloseWithError(errors.Join(err, form.Close()))
	}()
	defer func() {
		body.CloseWithError(errors.New("the server answered before it had read everything"))
		if e := <-written; err == nil && e != nil {
			err = failure(codeFailed, "reading the package: %w", e)
		}
	}()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url.String(), body)
	if err != nil {
		return "", nil, err
	}
	r.Header.Set("Content-Type", form.FormDataContentType())
	// The same key for the same bytes: a server that knows it need not take
	// them twice.
	r.Header.Set("Idempotency-Key", fmt.Sprintf("%s.%d", p.closing.Parcel.Identity, p.closing.Parcel.Version))
	answer, header, err := s.do(r)
	if err != nil {
		return "", nil, err
	}
	sent = s.url.Host
	location := header.Get("Location")
	if at, err := s.url.Parse(location); err == nil && location != "" && len(location) <= maxReceiptText && at.Host == s.url.Host {
		return at.String(), nil, nil
	}
	if text := strings.TrimSpace(string(answer)); strings.HasPrefix(text, "<") || strings.HasPrefix(text, "{") {
		switch got, err := parseReceipt(answer); {
		case err != nil: // it is an answer of another kind
		case got.concerns(p.closing):
			receipt = answer
		case !got.Accepted: // refused before it was looked at: it need not name what it refuses
			return "", nil, failure(codeRefused, "%s refuses the package: %s", s.url.Host, or(clipped(got.Reason), "it tells no reason"))
		}
	}
	return sent, receipt, nil
}

// fill writes the form: ParER's fields in ParER's order, or the package whole.
func (s poster) fill(ctx context.Context, form *multipart.Writer, p parcel) error {
	if s.conf.Profile != ProfileParER {
		return s.part(ctx, form, "file", p.file, p.open)
	}
	password := ""
	if s.conf.Password != nil {
		var err error
		if password, err = s.conf.Password(); err != nil {
			return err
		}
	}
	sip, err := s.sip(ctx, p)
	if err != nil {
		return err
	}
	for _, f := range [][2]string{{"VERSIONE", s.conf.ParER.Version}, {"LOGINNAME", s.conf.Username}, {"PASSWORD", password}, {"XMLSIP", sip}} {
		if err := form.WriteField(f[0], f[1]); err != nil {
			return err
		}
	}
	for _, f := range p.files {
		if err := s.part(ctx, form, f.Name, f, p.open); err != nil {
			return err
		}
	}
	return nil
}

// sip is the XMLSIP as it stands in the package: what goes out twice is the same.
// A package that was made for another profile has none; then it is written.
func (s poster) sip(ctx context.Context, p parcel) (sip string, err error) {
	blob, err := p.open(ctx, p.file)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, blob.Close()) }()
	z, err := zip.NewReader(blob, blob.Size())
	if err != nil {
		return "", fmt.Errorf("reading the package: %w", err)
	}
	in, err := z.Open(p.closing.Parcel.Identity + "/" + sipName)
	if errors.Is(err, fs.ErrNotExist) {
		var b strings.Builder
		err := writeSIP(&b, s.conf.ParER, p.closing, p.files)
		return b.String(), err
	}
	if err != nil {
		return "", fmt.Errorf("reading the package: %w", err)
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	b, err := readAll(in, maxReceipt)
	return string(b), err
}

func (s poster) part(ctx context.Context, form *multipart.Writer, field string, f register.ClosingFile, open open) error {
	w, err := form.CreatePart(textproto.MIMEHeader{
		"Content-Disposition": {fmt.Sprintf("form-data; name=%q; filename=%q", field, f.Name)},
		"Content-Type":        {f.MediaType},
	})
	if err != nil {
		return err
	}
	return copyFile(ctx, w, f, open)
}

// do sends a request and reads a bounded answer.
func (s poster) do(r *http.Request) ([]byte, http.Header, error) {
	if s.conf.Username != "" && s.conf.Password != nil && s.conf.Profile != ProfileParER {
		password, err := s.conf.Password()
		if err != nil {
			return nil, nil, failure(codeLogin, "reading the password: %w", err)
		}
		r.SetBasicAuth(s.conf.Username, password)
	}
	client, closeIdle, err := s.client()
	if err != nil {
		return nil, nil, err
	}
	defer closeIdle()
	resp, err := client.Do(r)
	if err != nil {
		// Who cannot be dialled takes no package; who breaks off may take another.
		var op *net.OpError
		return nil, nil, &deliveryError{code: codeUnreachable, err: fmt.Errorf("%s does not answer: %w", s.url.Host, err), shared: errors.As(err, &op) && op.Op == "dial"}
	}
	defer resp.Body.Close()
	b, err := readAll(resp.Body, maxReceipt)
	switch {
	case resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden:
		return nil, nil, failure(codeLogin, "%s does not let us in: %s", s.url.Host, resp.Status)
	case r.Method == http.MethodGet && (resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusAccepted):
		return nil, resp.Header, nil // not there yet
	case resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests:
		return nil, nil, &deliveryError{codeUnreachable, fmt.Errorf("%s answered %s", s.url.Host, resp.Status), retryAfter(resp.Header), resp.StatusCode == http.StatusTooManyRequests}
	case resp.StatusCode >= 300:
		return nil, nil, failure(codeRefused, "%s answered %s", s.url.Host, resp.Status)
	case err != nil:
		return nil, nil, &deliveryError{code: codeUnreachable, err: fmt.Errorf("reading the answer of %s: %w", s.url.Host, err)}
	}
	return b, resp.Header, nil
}

// retryAfter reads the header's seconds or time (RFC 9110 §10.2.3).
func retryAfter(h http.Header) time.Duration {
	value := h.Get("Retry-After")
	if s, err := strconv.Atoi(value); err == nil && s >= 0 && s <= 24*3600 {
		return time.Duration(s) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(time.Until(at), 0)
	}
	return 0
}

// receipts asks where the delivery was told that the receipt would be.
func (s poster) receipts(ctx context.Context, p parcel, look func(answer) bool) error {
	if p.closing.Parcel == nil || !strings.HasPrefix(p.closing.Parcel.Sent, s.url.Scheme+"://"+s.url.Host+"/") {
		return nil
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.closing.Parcel.Sent, nil)
	if err != nil {
		return err
	}
	b, _, err := s.do(r)
	if err == nil && len(strings.TrimSpace(string(b))) > 0 {
		look(answer{b, true})
	}
	return err
}
