package register

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/protodaemon/protodaemon/store"
)

// EntryDetail is an entry with what is read beside it: where its message is on
// the mail server and, when it is read alone, its history.
type EntryDetail struct {
	Entry
	Moved   string // no, yes or copied
	Place   *Place
	Blocked string
	History []Event
}

// EntryQuery selects entries; zero fields select all.
type EntryQuery struct {
	Q, Party, Classification, Dossier string
	Direction                         Direction
	State                             EntryState
	From, To                          string // legal days, inclusive
	Year                              int
	Number                            string
	Cursor                            string
	Limit                             int
}

// Entries lists a register's entries, newest first. The cursor is the key of
// the last entry before the page.
func (o *Office) Entries(ctx context.Context, a Actor, org, register string, q EntryQuery) (Page[EntryDetail], error) {
	b, err := o.bookFor(a, Read, org, register)
	if err != nil {
		return Page[EntryDetail]{}, err
	}
	if q.Limit, err = checkPage(q.Limit, q.Cursor); err != nil {
		return Page[EntryDetail]{}, err
	}
	matches, err := q.matcher()
	if err != nil {
		return Page[EntryDetail]{}, err
	}
	r := store.Range{Kind: rowEntry, After: q.Cursor, Reverse: true}
	if q.Year != 0 {
		r.Prefix = fmt.Sprintf("%04d/", q.Year)
	}
	page := Page[EntryDetail]{Items: []EntryDetail{}}
	var last string
	err = eachRow(ctx, b.journal, r, func(row store.Row) (bool, error) {
		var e Entry
		if err := json.Unmarshal(row.Value, &e); err != nil {
			return false, fmt.Errorf("decoding entry %s: %w", row.Key, err)
		}
		if !matches(e) {
			return true, nil
		}
		if len(page.Items) == q.Limit {
			page.Next = last
			return false, nil
		}
		last = row.Key
		page.Items = append(page.Items, EntryDetail{Entry: e})
		return true, nil
	})
	for i := range page.Items {
		err = errors.Join(err, o.place(ctx, b, &page.Items[i]))
	}
	return page, err
}

// place reads where the entry's message is.
func (o *Office) place(ctx context.Context, b *book, d *EntryDetail) error {
	d.Moved = "no"
	if d.Origin == nil {
		return nil
	}
	p, err := b.pending(ctx, d.Origin.Pending)
	d.Place, d.Moved, d.Blocked = p.Place, moved(p.Place), o.desk.reason(d.Origin.Pending)
	return err
}

// matcher tells whether an entry fits all that the query asks for.
func (q EntryQuery) matcher() (func(Entry) bool, error) {
	var n uint64
	if q.Number != "" {
		var err error
		if n, err = strconv.ParseUint(q.Number, 10, 64); err != nil {
			return nil, &FieldError{"number", "is not a number"}
		}
	}
	words, party := strings.Fields(strings.ToLower(q.Q)), strings.ToLower(q.Party)
	number := fmt.Sprintf("%07d", n)
	return func(e Entry) bool {
		return (q.Year == 0 || e.Year == q.Year) &&
			(q.Number == "" || e.Number == number) &&
			(q.Direction == "" || e.Direction == q.Direction) &&
			(q.State == "" || e.State == q.State) &&
			(q.From == "" || e.Day >= q.From) && (q.To == "" || e.Day <= q.To) &&
			(q.Classification == "" || e.Classification == q.Classification ||
				strings.HasPrefix(e.Classification, q.Classification+".")) &&
			(q.Dossier == "" || slices.Contains(e.Dossiers, q.Dossier)) &&
			(party == "" || strings.Contains(e.partyText(), party)) &&
			e.holds(words)
	}, nil
}

func (e Entry) partyText() string {
	var text strings.Builder
	for _, p := range e.Parties {
		text.WriteString(p.Name + " " + p.Address + " " + p.TaxCode + "\n")
	}
	return strings.ToLower(text.String())
}

// holds tells whether each word is somewhere in the entry.
func (e Entry) holds(words []string) bool {
	if len(words) == 0 {
		return true
	}
	text := strings.ToLower(strings.Join([]string{e.Number, e.Subject, e.Notes, e.Segnatura}, "\n")) + "\n" + e.partyText()
	for _, w := range words {
		if !strings.Contains(text, w) {
			return false
		}
	}
	return true
}

// Entry reads one entry.
func (o *Office) Entry(ctx context.Context, a Actor, org, register string, year int, number string) (EntryDetail, error) {
	b, err := o.bookFor(a, Read, org, register)
	if err != nil {
		return EntryDetail{}, err
	}
	missing := fmt.Errorf("entry %s/%d/%s: %w", register, year, clip(number, maxCode), ErrNotFound)
	n, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return EntryDetail{}, missing
	}
	var d EntryDetail
	ok, err := readRow(ctx, b.journal, rowEntry, entryKey(year, n), &d.Entry)
	if err != nil {
		return EntryDetail{}, err
	}
	if !ok {
		return EntryDetail{}, missing
	}
	if err := o.place(ctx, b, &d); err != nil {
		return EntryDetail{}, err
	}
	subject := entryRef(register, d.Year, d.Number)
	if d.Origin != nil {
		subject = d.Origin.Pending
	}
	d.History, err = b.history(ctx, subject)
	return d, err
}

func moved(p *Place) string {
	switch {
	case p == nil:
		return "no"
	case p.Outcome == Copied:
		return "copied"
	}
	return "yes"
}
