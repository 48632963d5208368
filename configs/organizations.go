package configs

import (
	"fmt"
	"net/mail"
	"reflect"
	"regexp"
	"strings"
	"time"
)

var (
	idPattern       = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)
	registerPattern = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,16}$`) // CodiceRegistro, AgID allegato 6
	taxCodePattern  = regexp.MustCompile(`^([0-9]{11}|[A-Za-z0-9]{16})$`)
)

// installation is the name of a journal, and so of no organization.
const installation = "installation"

// maxRegisters of an organization.
const maxRegisters = 5

// organizations checks each organization where it stands and what may exist
// only once.
func (v *validator) organizations(c *Config) {
	files := make(map[string]string) // of each id
	folders := make(map[string]string)
	for i := range c.Organizations {
		o := &c.Organizations[i]
		path := v.origins[i].key
		v.file = v.origins[i].file
		v.organization(path, c, o)
		if first, twice := files[o.ID]; twice && o.ID != "" {
			v.bad(path, fmt.Sprintf("this id is used twice, in %s and in %s", first, v.file), "give every organization its own id")
			continue
		}
		files[o.ID] = v.file
		v.linkedOnce(path, o, folders)
	}
}

func (v *validator) organization(path string, c *Config, o *Organization) {
	v.id(path+".id", o.ID, idPattern, "1 to 64")
	if o.ID == installation {
		v.bad(path+".id", `"installation" is reserved`, "choose another id")
	}
	v.name(path+".name", o.Name)
	v.codes(path, o.IPACode, o.AOOCode, o.TaxCode)
	v.officer(path+".manager", o.Manager)
	v.officer(path+".deputy", o.Deputy)
	v.inForce(path, o.PEC, c.PEC, o.Closing, c.Closing, o.Segnatura, c.Segnatura)
	if n := len(o.Registers); n < 1 || n > maxRegisters {
		v.bad(path+".registers", fmt.Sprintf("an organization has one to %d registers, not %d", maxRegisters, n), "")
	}
	registers := make(map[string]bool)
	mailboxes := make(map[string]string) // id → register
	for i := range o.Registers {
		r := &o.Registers[i]
		at := fmt.Sprintf("%s.registers[%s]", path, or(r.ID, fmt.Sprint(i)))
		if registers[r.ID] && r.ID != "" {
			v.bad(at, "this id is used twice in the organization", "give every register its own id")
		}
		registers[r.ID] = true
		v.register(at, o, r)
		for j, m := range r.Mailboxes {
			at := fmt.Sprintf("%s.mailboxes[%s]", at, or(m.ID, fmt.Sprint(j)))
			v.mailbox(at, m)
			if other, twice := mailboxes[m.ID]; twice && m.ID != "" {
				v.bad(at, fmt.Sprintf("this id is used twice in the organization (also in register %s)", other), "give every mailbox of an organization its own id")
			}
			mailboxes[m.ID] = r.ID
		}
	}
}

func (v *validator) register(path string, o *Organization, r *Register) {
	v.id(path+".id", r.ID, registerPattern, "1 to 16")
	v.name(path+".name", r.Name)
	v.codes(path, own(r.IPACode, o.IPACode), own(r.AOOCode, o.AOOCode), own(r.TaxCode, o.TaxCode))
	v.inForce(path, r.PEC, o.PEC, r.Closing, o.Closing, r.Segnatura, o.Segnatura)
	for _, code := range []struct{ key, value string }{{"ipa_code", r.IPACode}, {"aoo_code", r.AOOCode}} {
		if code.value == "" && strings.Contains(r.Segnatura, "{"+code.key+"}") {
			v.bad(path+"."+code.key, "missing", "the segnatura of every entry tells it; set it here or in the organization")
		}
	}
}

// inForce checks what may be repeated, where it differs from what is
// inherited: a mistake is reported once, where it was made.
func (v *validator) inForce(path string, pec, pecAbove PEC, closing, closingAbove Closing, segnatura, segnaturaAbove string) {
	if !reflect.DeepEqual(pec, pecAbove) {
		v.trust(path+".pec", pec)
	}
	if !reflect.DeepEqual(closing, closingAbove) {
		v.closing(path+".closing", closing)
	}
	if segnatura != segnaturaAbove {
		v.segnatura(path+".segnatura", segnatura)
	}
}

func (v *validator) mailbox(path string, m Mailbox) {
	v.id(path+".id", m.ID, idPattern, "1 to 64")
	v.oneOf(path+".kind", m.Kind, "pec", "email")
	if a, err := mail.ParseAddress(m.Address); err != nil || a.Address != m.Address {
		v.bad(path+".address", fmt.Sprintf("%q is not an e-mail address", m.Address), "write it like ordine@pec.example.it")
	}
	v.imap(path+".imap", m.IMAP)
	v.folders(path+".folders", m.Folders)
}

func (v *validator) imap(path string, s IMAP) {
	switch {
	case s.Host == "":
		v.bad(path+".host", "missing", "write the name of the IMAP server your provider gives")
	case strings.ContainsAny(s.Host, " /@") || strings.Contains(s.Host, ":") && !strings.Contains(s.Host, "::"):
		v.bad(path+".host", fmt.Sprintf("%q is not a host name", s.Host), "write the name alone, without port, path or user")
	}
	if s.Port < 1 || s.Port > 65535 {
		v.bad(path+".port", fmt.Sprintf("%d is not a port", s.Port), "usually 993")
	}
	v.oneOf(path+".tls", s.TLS, "implicit", "starttls", "none")
	if s.TLS == "none" && !loopback(s.Host) {
		v.bad(path+".tls", "none is allowed on loopback only: the password would travel readable", "use implicit or starttls")
	}
	v.plain(path+".username", s.Username)
	v.required(path+".password_file", string(s.PasswordFile))
	v.oneOf(path+".auth", s.Auth, "password", "xoauth2")
}

func (v *validator) folders(path string, f Folders) {
	names := make(map[string]string)
	for _, folder := range []struct{ key, name string }{
		{"inbox", f.Inbox}, {"pending", f.Pending}, {"registered", f.Registered},
	} {
		at := path + "." + folder.key
		v.name(at, folder.name)
		if other, same := names[folderKey(folder.name)]; same && folder.name != "" {
			v.bad(at, fmt.Sprintf("is the same folder as %s", other), "give each its own folder")
		}
		names[folderKey(folder.name)] = folder.key
	}
}

// linkedOnce refuses a second use of a folder of the same account: what one
// mailbox registers, the other would take in.
func (v *validator) linkedOnce(path string, o *Organization, used map[string]string) {
	for _, r := range o.Registers {
		for _, m := range r.Mailboxes {
			at := fmt.Sprintf("%s.registers[%s].mailboxes[%s]", path, r.ID, m.ID)
			for _, folder := range []struct{ key, name string }{
				{"pending", m.Folders.Pending}, {"registered", m.Folders.Registered},
			} {
				if m.IMAP.Host == "" || folder.name == "" {
					continue
				}
				key := strings.ToLower(m.IMAP.Host) + "\n" + m.IMAP.Username + "\n" + folderKey(folder.name)
				if first, twice := used[key]; twice && first != at {
					v.bad(at+".folders."+folder.key, fmt.Sprintf("folder %s of this account is already linked by %s", folder.name, first), "one account and folder may be linked once")
					break
				}
				used[key] = at
			}
		}
	}
}

// folderKey is equal for names of the same folder: only INBOX is written in
// any case (RFC 3501 section 5.1).
func folderKey(name string) string {
	if strings.EqualFold(name, "INBOX") {
		return "INBOX"
	}
	return name
}

func (v *validator) officer(path string, o Officer) {
	v.taxCode(path+".tax_code", o.TaxCode)
	for _, day := range []struct{ key, value string }{{"from", o.From}, {"to", o.To}} {
		if _, err := time.Parse(time.DateOnly, day.value); day.value != "" && err != nil {
			v.bad(path+"."+day.key, fmt.Sprintf("%q is not a day", day.value), "write it like 2026-01-31")
		}
	}
	if o.From != "" && o.To != "" && o.To < o.From {
		v.bad(path+".to", "lies before from", "")
	}
}

func (v *validator) codes(path, ipa, aoo, tax string) {
	for _, code := range []struct{ key, value string }{{"ipa_code", ipa}, {"aoo_code", aoo}} {
		if code.value != "" && !idPattern.MatchString(code.value) {
			v.bad(path+"."+code.key, fmt.Sprintf("%q is not a code", code.value), "use the one given by IndicePA: letters, digits, _ . -")
		}
	}
	v.taxCode(path+".tax_code", tax)
}

func (v *validator) taxCode(path, code string) {
	if code != "" && !taxCodePattern.MatchString(code) {
		v.bad(path, fmt.Sprintf("%q is not a tax code", code), "write its 11 digits, or its 16 letters and digits")
	}
}

func (v *validator) id(path, id string, pattern *regexp.Regexp, length string) {
	switch {
	case id == "":
		v.bad(path, "missing", "")
	case !pattern.MatchString(id) || id == "." || id == "..":
		v.bad(path, fmt.Sprintf("%q is not an id", id), "use "+length+" letters, digits, _ . -")
	}
}

func (v *validator) name(path, name string) {
	v.required(path, name)
	v.plain(path, name)
}

// own is a value that is not the inherited one.
func own(value, above string) string {
	if value == above {
		return ""
	}
	return value
}

// or is the id, or the place of what has none.
func or(id, place string) string {
	if id == "" {
		return place
	}
	return id
}
