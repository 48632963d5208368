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
	for _, list := range []struct {
		key   string
		names []string
	}{{"trust", p.Trust}, {"trust_list_signers", p.TrustListSigners}, {"crl", p.CRL}} {
		for i, name := range list.names {
			v.required(fmt.Sprintf("%s.%s[%d]", path, list.key, i), name)
		}
	}
}

func (v *validator) closing(path string, c Closing) {
	if _, err := time.Parse("15:04", c.AutoAt); c.AutoAt != "" && (err != nil || len(c.AutoAt) != 5) {
		v.bad(path+".auto_at", fmt.Sprintf("%q is not a time of day", c.AutoAt), `write it like "15:00", or "" to switch it off`)
	}
	v.oneOf(path+".empty_days", c.EmptyDays, "working", "all", "none")
	v.oneOf(path+".same_day", c.SameDay, "supplement", "refuse")
	v.oneOf(path+".reserved", c.Reserved, "masked", "full")
	if _, err := time.Parse(time.DateOnly, "2024-"+c.Patron); c.Patron != "" && err != nil {
		v.bad(path+".patron", fmt.Sprintf("%q is not a day of the year", c.Patron), "write month and day, like 06-29")
	}
	for i, day := range c.Holidays {
		v.day(fmt.Sprintf("%s.holidays[%d]", path, i), day)
	}
	v.sign(path+".sign", c.Sign)
	for i, a := range c.Timestamp.Authorities() {
		at := path + ".timestamp"
		if i > 0 {
			at = fmt.Sprintf("%s.timestamp.others[%d]", path, i-1)
		}
		v.authority(at, a)
	}
	if c.Timestamp.URL == "" && len(c.Timestamp.Others) > 0 {
		v.bad(path+".timestamp.url", "missing", "others are asked only after a first one")
	}
	v.deliver(path+".deliver", c.Deliver)
}

func (v *validator) authority(path string, a Authority) {
	v.url(path+".url", a.URL, "https", "http")
	if a.Username != "" {
		v.private(path+".url", a.URL, "the password goes there")
	}
	if a.Lot < 0 {
		v.bad(path+".lot", "is below 0", "")
	}
	if a.Lot > 0 {
		v.required(path+".lot_from", a.LotFrom)
	}
	v.day(path+".lot_from", a.LotFrom)
	for part := range strings.SplitSeq(a.Policy, ".") {
		if _, err := strconv.ParseUint(part, 10, 32); a.Policy != "" && err != nil {
			v.bad(path+".policy", fmt.Sprintf("%q is no object identifier", a.Policy), "write it like 1.3.6.1.4.1.601.10.3.1")
			break
		}
	}
}

func (v *validator) deliver(path string, d Deliver) {
	v.oneOf(path+".kind", d.Kind, "directory", "sftp", "http")
	v.oneOf(path+".profile", d.Profile, "pdv", "sincro", "parer")
	switch d.Kind {
	case "sftp":
		v.url(path+".url", d.URL, "sftp")
		if u, err := url.Parse(d.URL); err == nil && strings.Trim(u.Path, "/") != "" {
			v.bad(path+".url", "names a directory", "write it as path")
		}
		v.required(path+".username", d.Username)
		v.required(path+".known_hosts_file", d.KnownHostsFile)
		if d.PasswordFile == "" && d.KeyFile == "" {
			v.bad(path+".key_file", "missing", "give key_file or password_file")
		}
	case "http":
		v.url(path+".url", d.URL, "https", "http")
		if u, err := url.Parse(d.URL); err == nil && u.Scheme == "http" && !loopback(u.Hostname()) {
			v.bad(path+".url", "is not encrypted", "begin it with https://; http:// is for this machine only")
		}
		if (d.ClientCertFile == "") != (d.ClientKeyFile == "") {
			v.bad(path+".client_cert_file", "needs both client_cert_file and client_key_file, or neither", "")
		}
	}
	if d.Conservator.TaxCode != "" {
		v.required(path+".conservator.name", d.Conservator.Name)
	}
	v.plain(path+".conservator.name", d.Conservator.Name)
	v.taxCode(path+".conservator.tax_code", d.Conservator.TaxCode)
	if d.Class != (Class{}) {
		v.required(path+".class.index", d.Class.Index)
		v.required(path+".class.description", d.Class.Description)
	}
	if d.OverdueAfter < 0 {
		v.bad(path+".overdue_after", "is below 0", "")
	}
	if p := d.ParER; d.Profile == "parer" {
		for _, f := range []struct{ key, value string }{{"environment", p.Environment}, {"entity", p.Entity}, {"structure", p.Structure}, {"version", p.Version}, {"type", p.Type}} {
			v.required(path+".parer."+f.key, f.value)
		}
	}
}

// day checks a date, where one is given.
func (v *validator) day(path, value string) {
	if _, err := time.Parse(time.DateOnly, value); value != "" && err != nil {
		v.bad(path, fmt.Sprintf("%q is not a day", value), "write it like 2026-01-31")
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
		v.required(path+".pkcs11.token", s.PKCS11.Token)
		v.required(path+".pkcs11.key", s.PKCS11.Key)
	}
	if s.CSC != (CSC{}) {
		v.url(path+".csc.url", s.CSC.URL, "https", "http")
		v.private(path+".csc.url", s.CSC.URL, "the PIN goes there")
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

// private refuses a URL over which a secret would travel readable.
func (v *validator) private(path, value, why string) {
	if u, err := url.Parse(value); err == nil && u.Scheme == "http" && !loopback(u.Hostname()) {
		v.bad(path, "is plain http", why+": begin it with https://")
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
