package ingest

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/protodaemon/protodaemon/register"
	"github.com/protodaemon/protodaemon/store"
)

// position is what the owner remembers of its mailbox: which UID is which
// pending entry, and how far its acts have come. It is kept in the notes, as
// docs/formats.md says, and may be lost or be older or newer than the journal.
type position struct {
	notes   store.Notes
	prefix  string
	place   string // account and folder that the UIDs belong to
	valid   uint32 // UIDVALIDITY
	known   map[imap.UID]known
	acts    map[string]*act // by pending id
	changes map[string][]byte
}

// known is a message that has been identified.
type known struct {
	ID      string       `json:"id"` // of the pending entry
	Message store.Digest `json:"sha256"`
	// Spent: the act on it is over although it is still there, marked
	// \Deleted, because the server cannot expunge one message alone.
	Spent bool `json:"spent,omitempty"`
}

// act is how far a due act has come.
type act struct {
	Outcome  register.Outcome `json:"outcome,omitempty"`  // Moved, Filed or Returned, once decided
	Validity uint32           `json:"validity,omitempty"` // UIDVALIDITY of the target folder
	Next     imap.UID         `json:"next,omitempty"`     // its UIDNEXT before the first copy was made
	Copies   []uint32         `json:"copies,omitempty"`   // confirmed copies there
	Source   uint32           `json:"source,omitempty"`   // UIDVALIDITY of the watched folder
	Copied   []imap.UID       `json:"copied,omitempty"`   // messages there whose copy is confirmed

	// look: a copy may exist that is not noted; search before copying.
	look     bool
	removals int // attempts to remove the originals
	retry
}

// marker is the note that tells what the others are about.
type marker struct {
	Place    string `json:"place"`
	Validity uint32 `json:"uidvalidity"`
}

// openPosition reads what is remembered of the mailbox m, if it is about this
// account and folder in this incarnation, and else begins anew.
func openPosition(ctx context.Context, notes store.Notes, m Mailbox, folder string, valid uint32) (*position, error) {
	p := &position{
		notes: notes, valid: valid, place: placeOf(m, folder),
		prefix: "ingest/" + url.PathEscape(m.ID) + "/",
		known:  map[imap.UID]known{}, acts: map[string]*act{}, changes: map[string][]byte{},
	}
	var all []string
	var at marker
	err := notes.Scan(ctx, p.prefix, func(key string, value []byte) bool {
		all = append(all, key)
		p.read(strings.TrimPrefix(key, p.prefix), value, &at)
		return true
	})
	if err != nil {
		return nil, fmt.Errorf("reading the position: %w", err)
	}
	if at != (marker{p.place, valid}) {
		for _, key := range all {
			if at.Place != p.place || !strings.HasPrefix(key, p.prefix+"act/") {
				p.changes[key] = nil
			}
		}
		clear(p.known)
		if at.Place != p.place {
			clear(p.acts)
		}
		p.put("at", marker{p.place, valid})
	}
	return p, p.save(ctx)
}

func placeOf(m Mailbox, folder string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d\x00%s\x00%s", m.IMAP.Host, m.IMAP.Port, m.IMAP.Username, folder))
	return fmt.Sprintf("%x", sum[:8])
}

// read takes one note; one that cannot be read counts as lost.
func (p *position) read(key string, value []byte, at *marker) {
	kind, name, _ := strings.Cut(key, "/")
	switch kind {
	case "at":
		_ = json.Unmarshal(value, at)
	case "uid":
		var k known
		uid, err := strconv.ParseUint(name, 10, 32)
		if err == nil && json.Unmarshal(value, &k) == nil {
			p.known[imap.UID(uid)] = k
		}
	case "act":
		var a act
		if json.Unmarshal(value, &a) == nil {
			a.look = true // it may have gone further than the note says
			p.acts[name] = &a
		}
	}
}

func (p *position) put(key string, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // plain structs of strings and numbers
	}
	p.changes[p.prefix+key] = b
}

// save writes the changes since the last time.
func (p *position) save(ctx context.Context) error {
	if len(p.changes) == 0 {
		return nil
	}
	if err := p.notes.Set(ctx, p.changes); err != nil {
		return fmt.Errorf("noting the position: %w", err)
	}
	p.changes = map[string][]byte{}
	return nil
}

func uidKey(uid imap.UID) string { return fmt.Sprintf("uid/%010d", uid) }

func (p *position) learn(uid imap.UID, k known) {
	p.known[uid] = k
	p.put(uidKey(uid), k)
}

func (p *position) forget(uid imap.UID) {
	delete(p.known, uid)
	p.changes[p.prefix+uidKey(uid)] = nil
}

func (p *position) noteAct(id string) { p.put("act/"+id, p.acts[id]) }

// endActs forgets the acts that are no longer due.
func (p *position) endActs(due []register.Due) {
	for _, id := range slices.Collect(maps.Keys(p.acts)) {
		if !slices.ContainsFunc(due, func(d register.Due) bool { return d.Pending.ID == id }) {
			delete(p.acts, id)
			p.changes[p.prefix+"act/"+id] = nil
		}
	}
}

// keepActs takes over how far acts had come on the last connection, which is
// newer than the notes.
func (p *position) keepActs(acts map[string]*act) {
	for id, a := range acts {
		p.acts[id] = a
	}
}
