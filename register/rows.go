package register

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/protodaemon/protodaemon/store"
)

// The kinds of rows. docs/formats.md has their keys and values.
const (
	rowPending  = "pending"
	rowSummary  = "summary"  // payload
	rowAnalysis = "analysis" // payload
	rowIdentity = "identity"
	rowState    = "state"
	rowWaiting  = "waiting"
	rowDue      = "due"
	rowMessage  = "message"
	rowContent  = "content"
	rowEntry    = "entry"
	rowHistory  = "history"
	rowSetting  = "setting"
	rowClass    = "class"
	rowUser     = "user"
	rowPassword = "password" // payload
	rowToken    = "token"
	rowClosing  = "closing"
)

// settingZone is the legal time zone, kept with a register's first number.
const settingZone = "timezone"

// settingClosed is the last day that was closed; settingRefused the last day
// on which a closing was refused, and why; settingDue the last deadline of which
// was told that it comes near.
const (
	settingClosed  = "closed"
	settingRefused = "closing-refused"
	settingDue     = "closing-due"
)

// The types of records.
const (
	typeRegisterOpened    = "register.opened"
	typeRegisterRecovered = "register.recovered"
	typePendingCreated    = "pending.created"
	typePendingChanged    = "pending.changed"
	typePendingConfirmed  = "pending.confirmed"
	typePendingWithdrawn  = "pending.withdrawn"
	typeMessageMoved      = "message.moved"
	typeEntryChanged      = "entry.changed"
	typeClosingChanged    = "closing.changed"
	typeClosingRefused    = "closing.refused"
	typeClosingDue        = "closing.due"
	typePlanCreated       = "filing-plan.created"
	typeUserCreated       = "user.created"
	typeUserChanged       = "user.changed"
	typeUserDisabled      = "user.disabled"
	typeUserPassword      = "user.password"
	typeUserLogin         = "user.login"
	typeTokenCreated      = "token.created"
	typeTokenRevoked      = "token.revoked"
)

// present is the value of rows that only have to be there.
var present = json.RawMessage("1")

// rowTime has a fixed width, so that keys sort by time.
const rowTime = "2006-01-02T15:04:05.000000000Z"

// rowKey joins parts to a key. Whatever a part holds, it cannot reach into
// the next one.
func rowKey(parts ...string) string {
	escaped := make([]string, len(parts))
	for i, p := range parts {
		escaped[i] = url.PathEscape(p)
	}
	return strings.Join(escaped, "/")
}

// prefix is where the keys that begin with the parts begin.
func prefix(parts ...string) string { return rowKey(parts...) + "/" }

// lastPart is the last part of a key that ends in an id.
func lastPart(key string) string { return key[strings.LastIndexByte(key, '/')+1:] }

func entryKey(year int, n uint64) string { return fmt.Sprintf("%04d/%010d", year, n) }

func historyKey(subject string, seq uint64) string {
	return rowKey(subject, fmt.Sprintf("%016d", seq))
}

func stateKey(p Pending) string {
	return rowKey(string(p.State), p.ArrivedAt.UTC().Format(rowTime), p.ID)
}

func dueKey(p Pending) string {
	return rowKey(p.Mailbox, p.Decided.At.UTC().Format(rowTime), p.ID)
}

// entryRef is how a pending entry names its entry: register/year/number.
func entryRef(register string, year int, number string) string {
	return register + "/" + strconv.Itoa(year) + "/" + number
}

// parseRef reads what entryRef wrote.
func parseRef(ref string) (year int, n uint64, err error) {
	parts := strings.Split(ref, "/")
	if len(parts) != 3 {
		return 0, 0, fmt.Errorf("%q does not name an entry", ref)
	}
	if year, err = strconv.Atoi(parts[1]); err != nil {
		return 0, 0, fmt.Errorf("the year of %q: %w", ref, err)
	}
	if n, err = strconv.ParseUint(parts[2], 10, 64); err != nil {
		return 0, 0, fmt.Errorf("the number of %q: %w", ref, err)
	}
	return year, n, nil
}

// note is what the witness keeps of a record: all that Recover needs to enter
// a number again exactly, and to keep out who was shut out.
type note struct {
	Kind    string          `json:"kind"`
	Entry   json.RawMessage `json:"entry,omitempty"`
	Pending json.RawMessage `json:"pending,omitempty"`
	User    string          `json:"user,omitempty"`
	Token   string          `json:"token,omitempty"`
	Closing json.RawMessage `json:"closing,omitempty"`
	// Changed: the entry was there before and has become this one.
	Changed bool `json:"changed,omitempty"`
}

const (
	noteEntry    = "entry"
	noteClosing  = "closing"
	noteDisabled = "user-disabled"
	noteRevoked  = "token-revoked"
)

// identity is the row that tells the latest occurrence of a message in a
// mailbox.
type identity struct {
	N  int    `json:"n"`
	ID string `json:"id"`
}

// pendingJSON is a pending entry's row: the summary has a row of its own,
// because one day it may have to be erased.
func pendingJSON(p Pending) json.RawMessage {
	return encode(struct {
		Pending
		Summary *struct{} `json:"summary,omitempty"`
	}{Pending: p})
}

// indexRows are the rows that follow from a pending entry's own row, by which
// it is found: verify holds the stored ones against these.
func indexRows(p Pending) []store.Row {
	rows := []store.Row{
		{Kind: rowState, Key: stateKey(p), Value: present},
		{Kind: rowMessage, Key: rowKey(p.Message.String(), p.ID), Value: present},
	}
	if p.State.undecided() {
		rows = append(rows, store.Row{Kind: rowWaiting, Key: rowKey(p.Mailbox, p.ID), Value: present})
	}
	if p.due() {
		rows = append(rows, store.Row{Kind: rowDue, Key: dueKey(p), Value: present})
	}
	return rows
}

// pendingRows are the rows that change when a pending entry becomes p; before
// is nil for a new one.
func pendingRows(before *Pending, p Pending) []store.Row {
	rows := []store.Row{{Kind: rowPending, Key: p.ID, Value: pendingJSON(p)}}
	type name struct{ kind, key string }
	there := map[name]bool{}
	if before != nil {
		for _, r := range indexRows(*before) {
			there[name{r.Kind, r.Key}] = true
		}
	}
	for _, r := range indexRows(p) {
		if there[name{r.Kind, r.Key}] {
			delete(there, name{r.Kind, r.Key})
			continue
		}
		rows = append(rows, r)
	}
	if before != nil {
		for _, r := range indexRows(*before) {
			if there[name{r.Kind, r.Key}] {
				rows = append(rows, store.Row{Kind: r.Kind, Key: r.Key})
			}
		}
	}
	return rows
}

// encode is for our own types, all of which can be written as JSON.
func encode(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic("register: encoding " + fmt.Sprintf("%T: ", v) + err.Error())
	}
	return b
}

// stamp is a time as the register writes it: to the microsecond, in UTC.
func stamp(t time.Time) time.Time { return t.Round(0).UTC().Truncate(time.Microsecond) }

// parseSeq reads the sequence at the end of a history key.
func parseSeq(key string) (uint64, error) {
	n, err := strconv.ParseUint(lastPart(key), 10, 64)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("history row %q names no record", key)
	}
	return n, nil
}
