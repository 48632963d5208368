package register

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/protodaemon/protodaemon/store"
)

// installation is the journal of accounts and tokens.
const installation = "installation"

// cutJournal splits the name of a register's journal.
func cutJournal(name string) (org, register string, isBook bool) {
	return strings.Cut(name, "/")
}

type mailboxName struct{ org, id string }

// view is one configuration at work. It is replaced as a whole, and never
// changed once it is seen.
type view struct {
	loc       *time.Location
	order     []string
	agencies  map[string]*agency
	books     map[string]*book // by idPrefix
	mailboxes map[mailboxName]*book
}

func (v *view) add(a *agency) {
	v.order = append(v.order, a.conf.ID)
	v.agencies[a.conf.ID] = a
	for _, b := range a.books {
		v.books[idPrefix(a.conf.ID, b.conf.ID)] = b
		for _, m := range b.conf.Mailboxes {
			v.mailboxes[mailboxName{a.conf.ID, m.ID}] = b
		}
	}
}

// agency is an organization at work, or aside with the reason.
type agency struct {
	conf   Organization
	ledger *ledger
	notes  store.Notes
	blobs  store.Blobs
	books  []*book
	aside  error
}

// book is a register at work.
type book struct {
	*ledger
	agency *agency
	conf   Book // with the organization's codes where it has none of its own
	loc    *time.Location

	tallyMu sync.Mutex
	tallies tallies // of what no closing tells of yet
	settled string  // key of the closing up to which all are done
}

// openAgency opens all that belongs to an organization; what fails puts it
// aside as a whole, because its journals live and die together.
func (o *Office) openAgency(ctx context.Context, conf Organization, loc *time.Location) *agency {
	a := &agency{conf: withCodes(conf)}
	if err := o.openJournals(ctx, a, loc); err != nil {
		o.log.Error("an organization is kept aside", "organization", conf.ID, "err", err)
		return &agency{conf: a.conf, aside: err}
	}
	return a
}

func (o *Office) openJournals(ctx context.Context, a *agency, loc *time.Location) (err error) {
	if a.ledger, err = o.ledger(ctx, a.conf.ID); err != nil {
		return err
	}
	if a.notes, err = o.store.Notes(ctx, a.conf.ID); err != nil {
		return fmt.Errorf("opening the notes: %w", err)
	}
	if a.blobs, err = o.store.Blobs(ctx, a.conf.ID); err != nil {
		return fmt.Errorf("opening the files: %w", err)
	}
	for _, conf := range a.conf.Registers {
		l, err := o.ledger(ctx, a.conf.ID+"/"+conf.ID)
		if err != nil {
			return err
		}
		a.books = append(a.books, &book{ledger: l, agency: a, conf: conf, loc: loc})
	}
	o.found(ctx, a.ledger, change{typ: typePlanCreated, rows: defaultPlan()})
	for _, b := range a.books {
		o.found(ctx, b.ledger, change{typ: typeRegisterOpened, fact: fact{Detail: encode(opening{
			Name: b.conf.Name, IPACode: b.conf.IPACode, AOOCode: b.conf.AOOCode,
		})}})
	}
	return nil
}

// opening is the detail of register.opened.
type opening struct {
	Name    string `json:"name"`
	IPACode string `json:"ipa_code"`
	AOOCode string `json:"aoo_code"`
}

// found makes the first record of an empty journal. A journal that cannot be
// written now gets it another time.
func (o *Office) found(ctx context.Context, l *ledger, first change) {
	head, err := l.journal.Head(ctx)
	if err == nil && head.Seq > 0 {
		return
	}
	first.fact.By = systemUser
	err = l.do(ctx, nil, func(d *draft) error {
		if d.seq() == 1 {
			d.add(first)
		}
		return nil
	})
	if err != nil {
		o.log.Error("a new journal could not be begun", "journal", l.name, "err", err)
	}
}

// withCodes gives registers the organization's codes where they have none, and
// mailboxes the names of where they are.
func withCodes(org Organization) Organization {
	org.Registers = slices.Clone(org.Registers)
	for i := range org.Registers {
		b := &org.Registers[i]
		for _, code := range []struct {
			own  *string
			from string
		}{{&b.IPACode, org.IPACode}, {&b.AOOCode, org.AOOCode}, {&b.TaxCode, org.TaxCode}} {
			if *code.own == "" {
				*code.own = code.from
			}
		}
		b.Mailboxes = slices.Clone(b.Mailboxes)
		for k := range b.Mailboxes {
			b.Mailboxes[k].Organization, b.Mailboxes[k].Register = org.ID, b.ID
		}
	}
	return org
}

// Lower-case base32 without padding: safe in file names, addresses and keys.
var ids = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

const (
	prefixLength = 8
	idLength     = 32
)

// idPrefix stands for a register in the ids of its pending entries.
func idPrefix(org, register string) string {
	sum := sha256.Sum256([]byte(org + "/" + register))
	return ids.EncodeToString(sum[:])[:prefixLength]
}

// pendingID names occurrence n of a message in a mailbox.
func pendingID(org, register, mailbox string, message store.Digest, n int) string {
	h := sha256.New()
	h.Write([]byte(mailbox))
	h.Write([]byte{0})
	h.Write(message[:])
	h.Write([]byte(strconv.Itoa(n)))
	return idPrefix(org, register) + ids.EncodeToString(h.Sum(nil))[:idLength-prefixLength]
}

func (o *Office) agency(org string) (*agency, error) {
	a := o.view.Load().agencies[org]
	switch {
	case a == nil:
		return nil, fmt.Errorf("organization %q: %w", org, ErrNotFound)
	case a.aside != nil:
		return nil, fmt.Errorf("%w: organization %s is kept aside: %w", ErrUnavailable, org, a.aside)
	}
	return a, nil
}

func (o *Office) book(org, register string) (*book, error) {
	a, err := o.agency(org)
	if err != nil {
		return nil, err
	}
	for _, b := range a.books {
		if b.conf.ID == register {
			return b, nil
		}
	}
	return nil, fmt.Errorf("register %q of %s: %w", register, org, ErrNotFound)
}

// bookFor is book for an actor who wants to do something there.
func (o *Office) bookFor(a Actor, do Action, org, register string) (*book, error) {
	if err := a.may(do, org, register); err != nil {
		return nil, err
	}
	return o.book(org, register)
}

// bookOf returns the register that a pending entry's id names.
func (o *Office) bookOf(id string) (*book, error) {
	if len(id) == idLength {
		v := o.view.Load()
		if b := v.books[id[:prefixLength]]; b != nil {
			return b, nil
		}
		for _, a := range v.agencies {
			for _, conf := range a.conf.Registers {
				if a.aside != nil && idPrefix(a.conf.ID, conf.ID) == id[:prefixLength] {
					return o.book(a.conf.ID, conf.ID)
				}
			}
		}
	}
	return nil, fmt.Errorf("pending entry %q: %w", clip(id, 64), ErrNotFound)
}

// mailbox returns the register that a mailbox is linked to.
func (o *Office) mailbox(org, id string) (*book, Mailbox, error) {
	if _, err := o.agency(org); err != nil {
		return nil, Mailbox{}, err
	}
	if b := o.view.Load().mailboxes[mailboxName{org, id}]; b != nil {
		for _, m := range b.conf.Mailboxes {
			if m.ID == id {
				return b, m, nil
			}
		}
	}
	return nil, Mailbox{}, fmt.Errorf("mailbox %q of %s: %w", id, org, ErrNotFound)
}

// may is the actor's permission in the book.
func (b *book) may(a Actor, do Action) error { return a.may(do, b.agency.conf.ID, b.conf.ID) }

// Organizations lists what the actor may see.
func (o *Office) Organizations(a Actor) []Organization {
	v := o.view.Load()
	var seen []Organization
	for _, id := range v.order {
		org := v.agencies[id].conf
		org.Registers = slices.DeleteFunc(slices.Clone(org.Registers), func(b Book) bool {
			return !a.Can(Read, id, b.ID)
		})
		if len(org.Registers) > 0 || a.Can(Administer, id, "") {
			seen = append(seen, org)
		}
	}
	return seen
}

// CreateBlob starts a durable file of the organization; what is committed to
// it must be named by a record within 7 days or it is collected.
func (o *Office) CreateBlob(ctx context.Context, org string) (store.BlobWriter, error) {
	a, err := o.agency(org)
	if err != nil {
		return nil, err
	}
	return a.blobs.Create(ctx)
}

// OpenBlob opens a file of the organization without asking who reads it: for
// the daemon's own loops.
func (o *Office) OpenBlob(ctx context.Context, org string, d store.Digest) (store.Blob, error) {
	a, err := o.agency(org)
	if err != nil {
		return nil, err
	}
	return openBlob(ctx, a, d)
}

func openBlob(ctx context.Context, a *agency, d store.Digest) (store.Blob, error) {
	b, err := a.blobs.Open(ctx, d)
	if errors.Is(err, store.ErrNotFound) {
		return nil, fmt.Errorf("file %s: %w", d, ErrNotFound)
	}
	return b, err
}

// Notes is the organization's unchained memory (positions of mailboxes), or
// that of the "installation" (sessions).
func (o *Office) Notes(ctx context.Context, org string) (store.Notes, error) {
	if org == installation {
		return o.store.Notes(ctx, installation)
	}
	a, err := o.agency(org)
	if err != nil {
		return nil, err
	}
	return a.notes, nil
}
