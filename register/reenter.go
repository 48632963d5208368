package register

import (
	"errors"
	"fmt"
	"slices"

	"github.com/protodaemon/protodaemon/store"
)

// reenter adds the records that enter the lost numbers again; told are the
// numbers up to which a closing tells of each year.
func (d *draft) reenter(b *book, a Actor, r Recovery, entries []*lostEntry, told map[int]uint64) error {
	for _, e := range entries {
		c := change{
			typ:      typeEntryChanged,
			fact:     fact{By: a.User, Name: a.Name, Entry: entryRef(b.conf.ID, e.year, fmt.Sprintf("%07d", e.n))},
			counters: map[string]uint64{counterName(e.year): max(e.n, d.counters[counterName(e.year)])},
		}
		detail := recovery{Change: changeRecovered, Reason: r.Reason, Authority: r.Authority, Registers: e.n > told[e.year]}
		row := e.row
		if e.missing != "" {
			detail.Change = changeLost
			e.entry.State, e.entry.Lost = Lost, &Loss{Reason: r.Reason, Authority: r.Authority, At: d.at}
			row = encode(e.entry)
		}
		c.fact.Detail = encode(detail)
		c.rows = []store.Row{{Kind: rowEntry, Key: entryKey(e.year, e.n), Value: row}}
		n := note{Kind: noteEntry, Entry: row, Changed: true}
		if e.pending != nil {
			rows, err := d.restore(*e.pending, e.entry)
			if err != nil {
				return err
			}
			c.rows = append(c.rows, rows...)
			c.fact.Pending, c.fact.Mailbox, n.Pending = e.pending.ID, e.pending.Mailbox, pendingJSON(*e.pending)
		}
		zone, err := d.raw(rowSetting, settingZone)
		if err != nil {
			return err
		}
		if zone == nil {
			c.rows = append(c.rows, store.Row{Kind: rowSetting, Key: settingZone, Value: encode(b.loc.String())})
		}
		c.witness = encode(n)
		d.add(c)
	}
	return nil
}

// restore makes the rows of the message that an entry was made from. Its move
// is due again: the mailbox's owner looks in both folders and records what is
// true.
func (d *draft) restore(p Pending, e Entry) ([]store.Row, error) {
	var before *Pending
	old, err := d.pending(p.ID)
	switch {
	case err == nil:
		before = &old
	case !errors.Is(err, ErrNotFound):
		return nil, err
	}
	rows := pendingRows(before, p)
	key := rowKey(p.Message.String(), p.Mailbox)
	var last identity
	if _, err := d.get(rowIdentity, key, &last); err != nil {
		return nil, err
	}
	if last.N < p.Occurrence {
		rows = append(rows, store.Row{Kind: rowIdentity, Key: key, Value: encode(identity{p.Occurrence, p.ID})})
	}
	if before == nil {
		rows = append(rows, store.Row{Kind: rowSummary, Key: p.ID, Value: encode(e.summary()), Payload: true})
	}
	return rows, nil
}

// summary is what an entry still tells of its message.
func (e Entry) summary() Summary {
	s := Summary{Subject: e.Subject, Attachments: e.Attachments}
	if e.Origin != nil {
		s.Kind, s.Authenticity = e.Origin.Kind, e.Origin.Authenticity
		s.MessageID, s.Identifier, s.Certified = e.Origin.MessageID, e.Origin.Identifier, e.Origin.Certified
	}
	if i := slices.IndexFunc(e.Parties, func(p Party) bool { return p.Role == roleSender }); i >= 0 {
		s.From = e.Parties[i]
	}
	return s
}
