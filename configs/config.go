// Package configs is the daemon's configuration: one documented type, read
// from one YAML file, the files it includes and the environment.
//
// What Load promises:
//
//   - What is not known is an error. A key that no field has, a key written
//     twice, a value of the wrong kind and a rule that is broken are each
//     reported with file, line, path and remedy, and all of them at once.
//   - A text is what stands in the file. YAML would read the code 0123 as 83
//     and a tax code as a floating point number; here the field, not the look
//     of the value, says what kind it is.
//   - Every single value of the main file can be overridden from the
//     environment: PROTODAEMON_ and its path in capitals, with _ between the
//     parts (http.tls.cert_file is PROTODAEMON_HTTP_TLS_CERT_FILE). A variable
//     that is set and empty overrides with the empty value. Lists cannot be
//     overridden.
//   - Paths are relative to the file that names them.
//   - Secrets are not in the configuration, only the names of the files that
//     hold them (SecretFile).
//   - What is inherited is filled in: closing, pec and segnatura of an
//     organization and of a register, and a register's codes, are the ones in
//     force there, whatever the file leaves out.
package configs

import "time"

// Config is the whole configuration. Lists are lists and not maps, because
// ids and addresses are values: viper would lower-case keys and split them at
// dots.
type Config struct {
	// DataDir holds the embedded store, the blobs, the witness and the socket.
	DataDir string `yaml:"data_dir" path:"file"`
	// Timezone is that of the legal day. It cannot change once a number exists.
	Timezone string `yaml:"timezone"`
	Log      Log    `yaml:"log"`
	HTTP     HTTP   `yaml:"http"`
	Store    Store  `yaml:"store"`
	Ingest   Ingest `yaml:"ingest"`
	// PEC may be repeated in an organization and in a register.
	PEC PEC `yaml:"pec"`
	// Closing may be repeated in an organization and in a register.
	Closing Closing `yaml:"closing"`
	// Segnatura is the template of the text mark of an entry, with {ipa_code},
	// {aoo_code}, {register}, {number}, {year} and {date}; it may be repeated
	// in an organization and in a register. Entries keep the mark they were
	// given.
	Segnatura string `yaml:"segnatura"`
	// Include names more files, which hold organizations and nothing else;
	// a name may be a pattern (organizations.d/*.yaml).
	Include       []string       `yaml:"include" path:"file"`
	Organizations []Organization `yaml:"organizations"`
}

// Log says what is logged to stderr and how.
type Log struct {
	Level  string `yaml:"level"`  // debug, info, warn or error
	Format string `yaml:"format"` // auto (text on a terminal, else json), text or json
}

// HTTP is the web listener: pages, API and, unless it has its own, metrics.
type HTTP struct {
	Listen string  `yaml:"listen"` // host:port
	TLS    HTTPTLS `yaml:"tls"`
	// PublicURL is the address browsers use (sign-in, links); empty: as asked.
	PublicURL string `yaml:"public_url"`
	// TrustedProxies are the addresses and networks whose forwarding headers
	// are believed.
	TrustedProxies []string `yaml:"trusted_proxies"`
	// MetricsListen is host:port of a listener for /metrics alone. Empty:
	// /metrics is on the main listener, for who has a token or comes from
	// loopback without a proxy.
	MetricsListen string `yaml:"metrics_listen"`
}

// HTTPTLS is the certificate of the web listener.
type HTTPTLS struct {
	CertFile string     `yaml:"cert_file" path:"file"` // PEM, leaf first
	KeyFile  SecretFile `yaml:"key_file"`
	// SelfSigned makes a certificate in the data directory when none is given.
	// Off, and without a certificate, HTTP is plain; that is refused off
	// loopback.
	SelfSigned bool `yaml:"self_signed"`
}

// Store says where journals, witness and blobs are kept.
type Store struct {
	Engine   string   `yaml:"engine"` // bolt or postgres
	Postgres Postgres `yaml:"postgres"`
	Witness  Witness  `yaml:"witness"`
	Blobs    Blobs    `yaml:"blobs"`
	// Reserve is the free space below which nothing more is written.
	Reserve Size `yaml:"reserve"`
}

// Postgres is the postgres engine.
type Postgres struct {
	DSNFile SecretFile `yaml:"dsn_file"` // a connection string or URL
}

// Witness is the second place where the last numbers are known.
type Witness struct {
	// Path is a directory, better on another disk; empty: beside the data.
	Path string `yaml:"path" path:"file"`
}

// Blobs says where raw messages and files are kept.
type Blobs struct {
	Engine string `yaml:"engine"` // files or s3
	S3     S3     `yaml:"s3"`
}

// S3 is a bucket of any S3-compatible storage.
type S3 struct {
	Endpoint      string     `yaml:"endpoint"` // https://host[:port]
	Region        string     `yaml:"region"`
	Bucket        string     `yaml:"bucket"`
	Prefix        string     `yaml:"prefix"` // of every object's name
	AccessKeyFile SecretFile `yaml:"access_key_file"`
	SecretKeyFile SecretFile `yaml:"secret_key_file"`
	CAFile        string     `yaml:"ca_file" path:"file"`
}

// Ingest bounds what the daemon takes from mailboxes and how it looks at them.
type Ingest struct {
	// MaxMessage is the size above which a message is not fetched but listed
	// as oversized.
	MaxMessage Size `yaml:"max_message"`
	// Poll is the time between two full comparisons of a folder, also where
	// the server announces news.
	Poll time.Duration `yaml:"poll"`
	// IdleRenew is the longest a connection waits for news before it proves
	// that the server is still there; routers forget silent connections.
	IdleRenew time.Duration `yaml:"idle_renew"`
}

// PEC says whom to believe.
type PEC struct {
	// Trust lists PEM files with certificates of the PEC providers' issuers,
	// signed trusted lists (ETSI TS 119 612, ending in .xml), or directories of
	// both. Empty: nothing can be certified.
	Trust []string `yaml:"trust" path:"file"`
	// TrustListSigners lists PEM files, or directories of them: the certificates
	// that may have signed the trusted lists.
	TrustListSigners []string `yaml:"trust_list_signers" path:"file"`
	// CRL lists files with certificate revocation lists (PEM or DER), or
	// directories of them.
	CRL []string `yaml:"crl" path:"file"`
}

// Closing says when and how days are closed.
type Closing struct {
	// Test: the register is none of an office's, and its daily registers, with
	// all that goes with them, say so.
	Test bool `yaml:"test"`
	// AutoAt is the local time, HH:MM, on the following day; empty: never by
	// itself.
	AutoAt string `yaml:"auto_at"`
	// EmptyDays says for which days without any registration an empty register
	// is written: working, all or none.
	EmptyDays string `yaml:"empty_days"`
	// SameDay says what happens to what comes after today was closed by hand:
	// supplement, or refuse until midnight.
	SameDay string `yaml:"same_day"`
	// Reserved says how reserved entries stand in the daily register: masked or
	// full.
	Reserved string `yaml:"reserved"`
	// Patron is the local holiday, MM-DD; Holidays are more days, YYYY-MM-DD, on
	// which the office is shut.
	Patron    string    `yaml:"patron"`
	Holidays  []string  `yaml:"holidays"`
	Sign      Sign      `yaml:"sign"`
	Timestamp Timestamp `yaml:"timestamp"`
	Deliver   Deliver   `yaml:"deliver"`
}

// Sign names at most one place of the signing key. An organization or a
// register that names one replaces what it would inherit.
type Sign struct {
	PKCS12File   string     `yaml:"pkcs12_file" path:"file"`
	PasswordFile SecretFile `yaml:"password_file"` // of pkcs12_file
	PKCS11       PKCS11     `yaml:"pkcs11"`
	CSC          CSC        `yaml:"csc"`
	// XAdES: the XML gets a signature of its own, beside the CAdES ones.
	XAdES bool `yaml:"xades"`
}

// PKCS11 is a key in a smart card or HSM.
type PKCS11 struct {
	Module  string     `yaml:"module" path:"file"` // the shared library
	Token   string     `yaml:"token"`              // label of the token
	Key     string     `yaml:"key"`                // label of the key
	PINFile SecretFile `yaml:"pin_file"`
	// CertificateFile holds the certificate in PEM; empty: the token has it.
	CertificateFile string `yaml:"certificate_file" path:"file"`
}

// CSC is a key held by a remote signing service (Cloud Signature Consortium
// API, version 2).
type CSC struct {
	URL              string     `yaml:"url"`
	ClientID         string     `yaml:"client_id"`
	ClientSecretFile SecretFile `yaml:"client_secret_file"`
	Credential       string     `yaml:"credential"` // its credentialID
	PINFile          SecretFile `yaml:"pin_file"`
	CAFile           string     `yaml:"ca_file" path:"file"`
}

// Given tells whether a key is named at all.
func (s Sign) Given() bool { return s.PKCS12File != "" || s.PKCS11 != PKCS11{} || s.CSC != CSC{} }

// Timestamp is a time stamping service (RFC 3161); an empty URL: none. An
// organization or a register that names a URL replaces what it would inherit.
type Timestamp struct {
	Name         string     `yaml:"name"`
	URL          string     `yaml:"url"`
	Username     string     `yaml:"username"`
	PasswordFile SecretFile `yaml:"password_file"`
	CAFile       string     `yaml:"ca_file" path:"file"`
	Policy       string     `yaml:"policy"`
	Lot          int        `yaml:"lot"`
	LotFrom      string     `yaml:"lot_from"`
	// Others are asked in their order when the first gives no stamp.
	Others []Authority `yaml:"others"`
}

// Authorities are all that are named, in their order.
func (t Timestamp) Authorities() []Authority {
	if t.URL == "" {
		return nil
	}
	return append([]Authority{{t.Name, t.URL, t.Username, t.PasswordFile, t.CAFile, t.Policy, t.Lot, t.LotFrom}}, t.Others...)
}

// Authority is one time stamping authority.
type Authority struct {
	Name         string     `yaml:"name"` // in the metrics; empty: the host of its URL
	URL          string     `yaml:"url"`
	Username     string     `yaml:"username"`
	PasswordFile SecretFile `yaml:"password_file"`
	// CAFile holds whom its certificate has to lead to; empty: its signature is
	// verified, and nobody says who it is.
	CAFile string `yaml:"ca_file" path:"file"`
	Policy string `yaml:"policy"` // an object identifier; empty: its own
	// Lot is how many stamps were bought on LotFrom (YYYY-MM-DD); 0: not counted.
	Lot     int    `yaml:"lot"`
	LotFrom string `yaml:"lot_from"`
}

// Deliver says where closings go. An organization or a register that names a
// kind replaces what it would inherit.
type Deliver struct {
	Kind string `yaml:"kind"` // directory, sftp or http
	// Path is the directory, here or on the sftp server; empty with kind
	// directory: closings stay where they are made.
	Path           string     `yaml:"path"`
	URL            string     `yaml:"url"` // sftp://host[:port] or https://…
	Username       string     `yaml:"username"`
	PasswordFile   SecretFile `yaml:"password_file"`
	KeyFile        SecretFile `yaml:"key_file"`                     // sftp: private key
	KnownHostsFile string     `yaml:"known_hosts_file" path:"file"` // sftp: the server's keys
	CAFile         string     `yaml:"ca_file" path:"file"`          // http
	// ClientCertFile and ClientKeyFile are for a server that asks for a
	// certificate.
	ClientCertFile string     `yaml:"client_cert_file" path:"file"`
	ClientKeyFile  SecretFile `yaml:"client_key_file"`
	// Receipts is the directory where receipts are laid; empty: ricevute below
	// the path.
	Receipts string `yaml:"receipts"`
	// Profile of the package: pdv, sincro or parer.
	Profile string `yaml:"profile"`
	// OverdueAfter is how long a receipt may take.
	OverdueAfter time.Duration `yaml:"overdue_after"`
	ParER        ParER         `yaml:"parer"`
	// Conservator is to whom the packages go (destinatario); empty: the
	// organization itself is told.
	Conservator Conservator `yaml:"conservator"`
	// Class is where the daily register stands in the filing plan.
	Class Class `yaml:"class"`
}

// Conservator is who conserves (conservatore).
type Conservator struct {
	Name    string `yaml:"name"`
	TaxCode string `yaml:"tax_code"`
}

// Class is what the metadata say of a document's place in the filing plan.
type Class struct {
	Index       string `yaml:"index"`
	Description string `yaml:"description"`
	Plan        string `yaml:"plan"`
}

// ParER is what its packages name, as agreed with the conservator.
type ParER struct {
	Environment string `yaml:"environment"`
	Entity      string `yaml:"entity"`
	Structure   string `yaml:"structure"`
	User        string `yaml:"user"`
	Version     string `yaml:"version"`
	Type        string `yaml:"type"`
}

// Organization is an ente (AOO), whose mail it is.
type Organization struct {
	ID        string `yaml:"id"` // [A-Za-z0-9_.-]{1,64}; never changes
	Name      string `yaml:"name"`
	IPACode   string `yaml:"ipa_code"`
	AOOCode   string `yaml:"aoo_code"`
	TaxCode   string `yaml:"tax_code"`
	Segnatura string `yaml:"segnatura"`
	// Manager is the responsabile del servizio (DPR 445/2000 art. 61), needed
	// to close; Deputy the vicario.
	Manager   Officer    `yaml:"manager"`
	Deputy    Officer    `yaml:"deputy"`
	PEC       PEC        `yaml:"pec"`
	Closing   Closing    `yaml:"closing"`
	Registers []Register `yaml:"registers"` // one to five
}

// Officer is a person in office, and the deed that says so.
type Officer struct {
	Name    string `yaml:"name"`
	Surname string `yaml:"surname"`
	TaxCode string `yaml:"tax_code"`
	Deed    string `yaml:"deed"`
	From    string `yaml:"from"` // first day, YYYY-MM-DD
	To      string `yaml:"to"`   // last day; empty: still in office
}

// Register is a gestione di protocollo: own numbers, own mailboxes.
type Register struct {
	ID        string    `yaml:"id"` // [A-Za-z0-9_.-]{1,16}, the codice registro; never changes
	Name      string    `yaml:"name"`
	IPACode   string    `yaml:"ipa_code"`
	AOOCode   string    `yaml:"aoo_code"`
	TaxCode   string    `yaml:"tax_code"`
	Segnatura string    `yaml:"segnatura"`
	PEC       PEC       `yaml:"pec"`
	Closing   Closing   `yaml:"closing"`
	Mailboxes []Mailbox `yaml:"mailboxes"`
}

// Mailbox is one mailbox linked to a register. Two of them are == when
// nothing about them changed.
type Mailbox struct {
	ID      string  `yaml:"id"`   // [A-Za-z0-9_.-]{1,64}, unique in its organization
	Kind    string  `yaml:"kind"` // pec or email
	Address string  `yaml:"address"`
	IMAP    IMAP    `yaml:"imap"`
	Folders Folders `yaml:"folders"`
}

// IMAP is how to reach a mailbox.
type IMAP struct {
	Host string `yaml:"host"`
	Port int    `yaml:"port"` // 0: 993, or 143 unless tls is implicit
	TLS  string `yaml:"tls"`  // implicit, starttls or none (loopback only)
	// CAFile holds the certificates to trust instead of the system's.
	CAFile   string `yaml:"ca_file" path:"file"`
	Username string `yaml:"username"` // empty: the address
	// PasswordFile holds the password, or with xoauth2 the access token; it is
	// read again at every login.
	PasswordFile SecretFile `yaml:"password_file"`
	Auth         string     `yaml:"auth"` // password or xoauth2
}

// Folders are given without the server's prefix or delimiter: the daemon asks
// the server for both.
type Folders struct {
	Inbox      string `yaml:"inbox"`
	Pending    string `yaml:"pending"`
	Registered string `yaml:"registered"`
}

// Default is the configuration of an empty file.
func Default() Config {
	return Config{
		DataDir:  "/var/lib/protodaemon",
		Timezone: "Europe/Rome",
		Log:      Log{Level: "info", Format: "auto"},
		HTTP: HTTP{
			Listen: "127.0.0.1:8443",
			TLS:    HTTPTLS{SelfSigned: true},
		},
		Store: Store{
			Engine:  "bolt",
			Blobs:   Blobs{Engine: "files"},
			Reserve: 256 * MiB,
		},
		Ingest: Ingest{
			MaxMessage: 200 * MiB,
			Poll:       time.Minute,
			IdleRenew:  9 * time.Minute,
		},
		Closing: Closing{
			AutoAt: "15:00", EmptyDays: "working", SameDay: "supplement", Reserved: "masked",
			Sign: Sign{XAdES: true},
			Deliver: Deliver{Kind: "directory", Profile: "pdv", OverdueAfter: 48 * time.Hour,
				ParER: ParER{Version: "1.5", Type: "REGISTRO GIORNALIERO"}},
		},
		Segnatura: "{ipa_code}|{aoo_code}|{register}|{number}|{date}",
	}
}

// DefaultMailbox is a mailbox of which nothing is said yet.
func DefaultMailbox() Mailbox {
	return Mailbox{
		Kind: "pec",
		IMAP: IMAP{TLS: "implicit", Auth: "password"},
		Folders: Folders{
			Inbox:      "INBOX",
			Pending:    "sfera_msg_da_prot",
			Registered: "sfera_msg_prot",
		},
	}
}

// Location is the time zone of the legal day.
func (c *Config) Location() (*time.Location, error) {
	return time.LoadLocation(c.Timezone)
}

// Find returns an organization and one of its registers, or nil for what does
// not exist.
func (c *Config) Find(organization, register string) (*Organization, *Register) {
	for i := range c.Organizations {
		o := &c.Organizations[i]
		if o.ID != organization {
			continue
		}
		for j := range o.Registers {
			if o.Registers[j].ID == register {
				return o, &o.Registers[j]
			}
		}
		return o, nil
	}
	return nil, nil
}
