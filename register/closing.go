package register

import (
	"time"

	"github.com/protodaemon/protodaemon/store"
)

// ClosingState is how far a closing has come (contract section 3).
type ClosingState string

// The states of a closing. Each is recorded before the next is tried; failed
// is shown while the last attempt at the next step failed, and rejected when
// conservation refused the package.
const (
	ClosingClosed    ClosingState = "closed"
	ClosingSigned    ClosingState = "signed"
	ClosingStamped   ClosingState = "stamped"
	ClosingDelivered ClosingState = "delivered"
	ClosingAccepted  ClosingState = "accepted"
	ClosingRejected  ClosingState = "rejected"
	ClosingFailed    ClosingState = "failed"
)

// Closing is a chiusura giornaliera: the daily register (DPR 445/2000 art. 53
// c. 2) of what a journal holds in the records after After up to and including
// Through. Everything that is printed in its files stands here or in those
// records, so that they can be derived again byte for byte.
type Closing struct {
	ID           string `json:"id"` // day, a dot, sequence: 2026-11-22.0
	Organization string `json:"organization"`
	Register     string `json:"register"`
	Day          string `json:"day"`      // legal day, YYYY-MM-DD
	Sequence     int    `json:"sequence"` // 0; supplements of the same day from 1
	// Progressive counts the daily registers of the register in the legal year
	// of the day, from 1.
	Progressive int `json:"progressive"`
	// Name is the persistent identifier and the stem of all file names:
	// IPA-AOO-REGISTER-YYYYMMDD-NNN.
	Name string `json:"name"`
	// Format is the version of the rules by which the files are written.
	Format int `json:"format"`
	// Software is name and version of the program that wrote them.
	Software string `json:"software"`
	// Test: it is no real register, and its files say so.
	Test bool `json:"test,omitempty"`

	After   uint64       `json:"after"`
	Through uint64       `json:"through"`
	Chain   store.Digest `json:"chain"` // hash of record Through
	// Resume is where the next closing begins: Through, but for one that
	// Recover entered again, whose records are no longer in the chain.
	Resume    uint64 `json:"resume"`
	Recovered bool   `json:"recovered,omitempty"`
	// Previous is the closing before; nil for a register's first.
	Previous *ClosingLink `json:"previous,omitempty"`

	Holder   Holder    `json:"holder"`
	Manager  Officer   `json:"manager"` // in whose name it is closed
	Acting   bool      `json:"acting"`  // Manager is the deputy (vicario)
	ClosedAt time.Time `json:"closed_at"`
	ClosedBy Closer    `json:"closed_by"`
	// Recipient is for whom the daily register is made (destinatario): who
	// conserves it; nil: the organization itself.
	Recipient *Recipient `json:"recipient,omitempty"`
	// Reserved is masked or full: how reserved entries stand in the files.
	Reserved string `json:"reserved"`
	// Deadline is the next working day, by which the daily register goes to
	// conservation.
	Deadline string `json:"deadline"`

	// What the records held: filled in by who writes the files.
	FirstNumber string       `json:"first_number,omitempty"` // at least 7 digits
	LastNumber  string       `json:"last_number,omitempty"`
	Entries     int          `json:"entries"` // registered
	Changes     int          `json:"changes"` // annulments and corrections
	Root        store.Digest `json:"root"`    // of the Merkle tree over both

	State ClosingState `json:"state"`
	// Reached is the last state but failed.
	Reached ClosingState  `json:"reached"`
	Files   []ClosingFile `json:"files"`
	// Steps are what happened to it, oldest first.
	Steps []ClosingStep `json:"steps"`
	// Trouble is why the last attempt at the next step failed.
	Trouble *ClosingTrouble `json:"trouble,omitempty"`
	// Parcel is the deposit package (PdV) under way.
	Parcel *Parcel `json:"parcel,omitempty"`
}

// ClosingLink names a closing by the digest of its imprints file.
type ClosingLink struct {
	ID     string       `json:"id"`
	Name   string       `json:"name"`
	SHA256 store.Digest `json:"sha256"`
}

// Holder is the producer of the register as it was when the day was closed.
type Holder struct {
	Name         string `json:"name"` // of the organization
	IPACode      string `json:"ipa_code"`
	AOOCode      string `json:"aoo_code"`
	TaxCode      string `json:"tax_code"`
	RegisterName string `json:"register_name"`
	Timezone     string `json:"timezone"`
}

// Recipient is an organization to which daily registers go.
type Recipient struct {
	Name    string `json:"name"`
	TaxCode string `json:"tax_code,omitempty"`
}

// Closer is who closed: a person, or nobody when the clock did.
type Closer struct {
	User    string `json:"user"`
	Name    string `json:"name,omitempty"`
	Surname string `json:"surname,omitempty"`
	TaxCode string `json:"tax_code,omitempty"`
}

// ClosingFile is one immutable file of a closing, kept as a blob.
type ClosingFile struct {
	Name      string       `json:"name"`
	MediaType string       `json:"media_type"`
	Size      int64        `json:"size"`
	SHA256    store.Digest `json:"sha256"`
	// Role says which one it is: register-xml, register-pdf, imprints,
	// register-p7m, imprints-p7m, register-xades, register-stamped,
	// imprints-stamped, package, receipt, renewal, renewal-stamp.
	Role string `json:"role"`
}

// The roles of a closing's files.
const (
	FileXML             = "register-xml"     // the daily register for machines
	FilePDF             = "register-pdf"     // the same for people, PDF/A-3 with the XML inside
	FileImprints        = "imprints"         // digests of both, Merkle root, chain
	FilePDFSigned       = "register-p7m"     // CAdES B-B round the PDF
	FileImprintsSigned  = "imprints-p7m"     // CAdES B-B round the imprints
	FileXMLSigned       = "register-xades"   // XAdES B-B, enveloped in the XML
	FilePDFStamped      = "register-stamped" // CAdES B-T
	FileImprintsStamped = "imprints-stamped" // CAdES B-T
	FilePackage         = "package"          // PdV
	FileReceipt         = "receipt"          // RdV
	FileRenewal         = "renewal"          // list of digests stamped anew
	FileRenewalStamp    = "renewal-stamp"
)

// ClosingStep is one thing that happened to a closing.
type ClosingStep struct {
	State ClosingState `json:"state"`
	At    time.Time    `json:"at"`
	By    string       `json:"by,omitempty"`
	// Detail holds what proves it, by stable keys: signer, issuer, not_after,
	// algorithm; authority, time, serial, policy, not_after; destination,
	// package, receipt, reason.
	Detail map[string]string `json:"detail,omitempty"`
}

// TroubleOverdue is the code of a receipt that is missed. Nothing has failed: the
// closing stays delivered.
const TroubleOverdue = "receipt-overdue"

// ClosingTrouble is a failed attempt. Code is stable, Detail for people.
type ClosingTrouble struct {
	Step   string    `json:"step"` // sign, stamp, package, deliver, receipt
	Code   string    `json:"code"`
	Detail string    `json:"detail"`
	At     time.Time `json:"at"` // of the first attempt that failed so
}

// Parcel is a deposit package on its way. A package that was rejected is sent
// again under the same Identity with the next Version.
type Parcel struct {
	Identity string `json:"identity"`
	Version  int    `json:"version"`
	File     string `json:"file"` // name of the closing's file that is the package
	// Sent is what the destination said when it took it: an address, an id.
	Sent   string     `json:"sent,omitempty"`
	SentAt *time.Time `json:"sent_at,omitempty"`
}

// Happening is one event that the daily register tells of: an entry that was
// registered, or one that was annulled or corrected.
type Happening struct {
	Seq    uint64       // of its record
	Record store.Digest // hash of its record
	At     time.Time
	By     string
	ByName string
	// Change is nil when the entry was registered.
	Change *Change
	// Recovery is set where the registration itself was lost with an older
	// state of the store and is entered again (Recover), before any closing told
	// of it.
	Recovery *Change
	Entry    Entry
	// Raw is the entry as the record holds it: what the Merkle tree's leaf is
	// made of.
	Raw []byte
}

// Change is an annulment or a correction of an entry (art. 54).
type Change struct {
	Kind      string        `json:"change"` // annulled, corrected, recovered, lost
	Reason    string        `json:"reason"`
	Authority string        `json:"authority"` // number, date and author of the deed
	Fields    []FieldChange `json:"fields,omitempty"`
}

// FieldChange keeps the former value beside the new one.
type FieldChange struct {
	Field  string `json:"field"`
	Before string `json:"before"`
	After  string `json:"after"`
}

// Officer is the responsabile del servizio or the vicario (DPR 445/2000 art.
// 61) with the deed of appointment.
type Officer struct {
	Name    string `json:"name"`
	Surname string `json:"surname"`
	TaxCode string `json:"tax_code"`
	Deed    string `json:"deed"`
	From    string `json:"from"`         // first day, YYYY-MM-DD
	To      string `json:"to,omitempty"` // last day; empty: still in office
}

// ClosingRules are how a register's days are closed.
type ClosingRules struct {
	// EmptyDays says for which days without anything an empty register is
	// written: working, all or none.
	EmptyDays string
	// Final is the state in which a closing is done: accepted, which empty means
	// too, or an earlier one where nothing is delivered.
	Final ClosingState
	// SameDay says what happens to what comes after today was closed:
	// supplement, or refuse until midnight.
	SameDay string
	// Reserved is masked or full.
	Reserved string
	// Patron is the local holiday, MM-DD; empty: none. Holidays are days more
	// on which the office is shut, YYYY-MM-DD.
	Patron   string
	Holidays []string
}
