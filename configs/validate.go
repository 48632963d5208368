package configs

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// origin is where an organization stands.
type origin struct {
	file, key string
}

// validator checks what the types cannot say.
type validator struct {
	*reader
	file    string   // of what is being checked
	origins []origin // of the organizations
}

func (v *validator) bad(path, text, remedy string) {
	v.report(v.file, v.line(v.file, path), path, text, remedy)
}

func (v *validator) required(path, value string) {
	if value == "" {
		v.bad(path, "missing", "")
	}
}

func (v *validator) oneOf(path, value string, choices ...string) {
	if !slices.Contains(choices, value) {
		v.bad(path, fmt.Sprintf("%q is not known", value), "choose one of "+strings.Join(choices, ", "))
	}
}

func (v *validator) config(c *Config) {
	v.required("data_dir", c.DataDir)
	if _, err := time.LoadLocation(c.Timezone); err != nil || c.Timezone == "" {
		v.bad("timezone", fmt.Sprintf("%q is not a known time zone", c.Timezone), "write a name like Europe/Rome")
	}
	v.oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
	v.oneOf("log.format", c.Log.Format, "auto", "text", "json")
	v.http(c.HTTP)
	v.store(c.Store)
	v.ingest(c.Ingest)
	v.trust("pec", c.PEC)
	v.closing("closing", c.Closing)
	v.segnatura("segnatura", c.Segnatura)
	v.organizations(c)
}

func (v *validator) http(h HTTP) {
	v.address("http.listen", h.Listen)
	if h.MetricsListen != "" {
		v.address("http.metrics_listen", h.MetricsListen)
	}
	if (h.TLS.CertFile == "") != (h.TLS.KeyFile == "") {
		v.bad("http.tls", "needs both cert_file and key_file, or neither", "")
	}
	host, _, err := net.SplitHostPort(h.Listen)
	if err == nil && h.TLS.CertFile == "" && !h.TLS.SelfSigned && !loopback(host) {
		v.bad("http.tls", "plain HTTP is refused off loopback", "give cert_file and key_file, set self_signed: true, or listen on 127.0.0.1")
	}
	if h.PublicURL != "" {
		v.url("http.public_url", h.PublicURL, "https", "http")
	}
	for i, proxy := range h.TrustedProxies {
		_, notAddr := netip.ParseAddr(proxy)
		_, notNet := netip.ParsePrefix(proxy)
		if notAddr != nil && notNet != nil {
			v.bad(fmt.Sprintf("http.trusted_proxies[%d]", i), fmt.Sprintf("%q is neither an IP address nor a network", proxy), "write it like 10.0.0.7 or 10.0.0.0/24")
		}
	}
}

func (v *validator) store(s Store) {
	v.oneOf("store.engine", s.Engine, "bolt", "postgres")
	if s.Engine == "postgres" {
		v.required("store.postgres.dsn_file", string(s.Postgres.DSNFile))
	}
	v.oneOf("store.blobs.engine", s.Blobs.Engine, "files", "s3")
	if s3 := s.Blobs.S3; s.Blobs.Engine == "s3" {
		v.url("store.blobs.s3.endpoint", s3.Endpoint, "https", "http")
		v.required("store.blobs.s3.bucket", s3.Bucket)
		v.required("store.blobs.s3.access_key_file", string(s3.AccessKeyFile))
		v.required("store.blobs.s3.secret_key_file", string(s3.SecretKeyFile))
	}
}

func (v *validator) ingest(in Ingest) {
	if in.MaxMessage < MiB || in.MaxMessage > 4*GiB {
		v.bad("ingest.max_message", "must lie between 1MiB and 4GiB", "")
	}
	if in.Poll < time.Second || in.Poll > time.Hour {
		v.bad("ingest.poll", "must lie between 1s and 1h", "")
	}
	if in.IdleRenew < 10*time.Second || in.IdleRenew > 9*time.Minute {
		v.bad("ingest.idle_renew", "must lie between 10s and 9m", "")
	}
}

func (v *validator) trust(path string, p PEC) {
	for i, name := range p.Trust {
		v.required(fmt.Sprintf("%s.trust[%d]", path, i), name)
	}
}

func (v *validator) closing(path string, c Closing) {
	if _, err := time.Parse("15:04", c.AutoAt); c.AutoAt != "" && (err != nil || len(c.AutoAt) != 5) {
		v.bad(path+".auto_at", fmt.Sprintf("%q is not a time of day", c.AutoAt), `write it like "15:00", or "" to switch it off`)
	}
	v.sign(path+".sign", c.Sign)
	if t := c.Timestamp; t.URL != "" {
		v.url(path+".timestamp.url", t.URL, "https", "http")
	}
	d := c.Deliver
	v.oneOf(path+".deliver.kind", d.Kind, "directory", "sftp", "http")
	switch d.Kind {
	case "sftp":
		v.url(path+".deliver.url", d.URL, "sftp")
		v.required(path+".deliver.known_hosts_file", d.KnownHostsFile)
	case "http":
		v.url(path+".deliver.url", d.URL, "https", "http")
	}
}

func (v *validator) sign(path string, s Sign) {
	methods := 0
	for _, named := range []bool{s.PKCS12File != "", s.PKCS11 != PKCS11{}, s.CSC != CSC{}} {
		if named {
			methods++
		}
	}
	if methods > 1 {
		v.bad(path, "names more than one signing key", "keep one of pkcs12_file, pkcs11 and csc")
	}
	if s.PKCS11 != (PKCS11{}) {
		v.required(path+".pkcs11.module", s.PKCS11.Module)
		v.required(path+".pkcs11.key", s.PKCS11.Key)
	}
	if s.CSC != (CSC{}) {
		v.url(path+".csc.url", s.CSC.URL, "https", "http")
		v.required(path+".csc.credential", s.CSC.Credential)
	}
}

var (
	placeholder  = regexp.MustCompile(`\{[^}]*\}|[{}]`)
	placeholders = []string{"{ipa_code}", "{aoo_code}", "{register}", "{number}", "{year}", "{date}"}
)

// segnatura checks a template against DPR 445/2000 art. 55 c. 1: number and
// date are never missing.
func (v *validator) segnatura(path, template string) {
	for _, word := range placeholder.FindAllString(template, -1) {
		if !slices.Contains(placeholders, word) {
			v.bad(path, word+" is not a placeholder", "choose from "+strings.Join(placeholders, ", "))
		}
	}
	for _, word := range []string{"{number}", "{date}"} {
		if !strings.Contains(template, word) {
			v.bad(path, word+" is missing", "the mark must tell number and date")
		}
	}
	v.plain(path, template)
}

// address checks host:port of a listener.
func (v *validator) address(path, value string) {
	_, port, err := net.SplitHostPort(value)
	if n, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil || n > 65535 {
		v.bad(path, fmt.Sprintf("%q is not host:port", value), "write it like 127.0.0.1:8443")
	}
}

// url checks a URL with a host. A password in it would be a secret in the file.
func (v *validator) url(path, value string, schemes ...string) {
	u, err := url.Parse(value)
	switch {
	case value == "":
		v.bad(path, "missing", "")
	case err != nil || u.Host == "" || !slices.Contains(schemes, u.Scheme):
		v.bad(path, "is not a URL", "begin it with "+strings.Join(schemes, ":// or ")+"://")
	case u.User != nil:
		v.bad(path, "holds a user name or password", "take it out of the URL; a secret belongs in a file of its own")
	}
}

// plain refuses line ends and other control characters.
func (v *validator) plain(path, value string) {
	if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		v.bad(path, "holds a control character", "")
	}
}

// loopback tells whether a host is this machine and nothing else.
func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}
