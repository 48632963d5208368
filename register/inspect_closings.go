package register

import (
	"fmt"
	"strings"

	"github.com/protodaemon/protodaemon/store"
)

// closingsHeld holds each closing against the one before it and the records it
// tells of: every record in exactly one closing, no number of a daily register
// twice. Signatures are for who wrote them to check.
func (in *inspection) closingsHeld() error {
	var last *Closing
	progressive := map[string]uint64{}
	err := eachRow(in.ctx, in.b.journal, store.Range{Kind: rowClosing}, func(row store.Row) (bool, error) {
		c, err := decodeClosing(row)
		if err != nil {
			in.report(codeClosingAltered, "%v", err)
			return true, nil
		}
		in.closings++
		if closingKey(c.Day, c.Sequence) != row.Key || c.ID != closingID(c.Day, c.Sequence) {
			in.report(codeClosingAltered, "closing %s calls itself %s", row.Key, c.ID)
			return true, nil
		}
		for _, f := range c.Files {
			in.files[f.SHA256] = "closing " + c.ID + ", " + f.Name
		}
		year := closingCounter(c.Day[:4])
		if progressive[year]++; uint64(c.Progressive) != progressive[year] {
			in.report(codeClosingAltered, "closing %s is number %d of its year, after number %d", c.ID, c.Progressive, progressive[year]-1)
			progressive[year] = uint64(c.Progressive)
		}
		in.follows(c, last)
		last = &c
		return true, in.covers(c)
	})
	if err != nil {
		return err
	}
	head, err := in.b.journal.Head(in.ctx)
	if err != nil {
		return err
	}
	for name, n := range head.Counters {
		if strings.HasPrefix(name, closingCounter("")) && progressive[name] != n {
			in.report(codeCounterDiffers, "counter %s is at %d, the last closing is number %d", name, n, progressive[name])
		}
	}
	return nil
}

// follows holds a closing against the one before it.
func (in *inspection) follows(c Closing, last *Closing) {
	var after uint64
	var link ClosingLink
	if last != nil {
		after, link = last.Resume, ClosingLink{ID: last.ID, Name: last.Name}
		if f, ok := last.File(FileImprints); ok {
			link.SHA256 = f.SHA256
		}
	}
	var said ClosingLink
	if c.Previous != nil {
		said = *c.Previous
	}
	if said != link {
		in.report(codeClosingAltered, "closing %s says it follows %q, and follows %q", c.ID, said.ID, link.ID)
	}
	if c.After != after || c.Through < c.After {
		in.report(codeClosingRange, "closing %s tells of the records from %d to %d, the one before ends at %d", c.ID, c.After+1, c.Through, after)
	}
}

// covers holds a closing against its records. Those of one that Recover
// entered again may be lost.
func (in *inspection) covers(c Closing) error {
	if c.Recovered {
		return nil
	}
	if c.Resume != c.Through {
		in.report(codeClosingRange, "closing %s ends with record %d, and the next begins after %d", c.ID, c.Through, c.Resume)
	}
	hash, err := in.b.hashOf(in.ctx, c.Through)
	if err != nil {
		in.report(codeClosingRange, "closing %s: %v", c.ID, err)
		return nil
	}
	if hash != c.Chain {
		in.report(codeClosingAltered, "closing %s ends the chain with another hash than record %d has", c.ID, c.Through)
	}
	found := tally{}
	err = eachRecord(in.ctx, in.b.journal, c.After, c.Through, func(r store.Stored) error {
		h, ok, err := happening(r)
		if err != nil || !ok {
			return err
		}
		found.count(h)
		return nil
	})
	if err != nil {
		in.report(codeClosingRange, "closing %s: %v", c.ID, err)
		return in.ctx.Err()
	}
	said := fmt.Sprintf("%d entries (%s to %s) and %d changes", c.Entries, c.FirstNumber, c.LastNumber, c.Changes)
	if is := fmt.Sprintf("%d entries (%s to %s) and %d changes", found.entries, found.first, found.last, found.changes); said != is {
		in.report(codeClosingAltered, "closing %s tells of %s, its records of %s", c.ID, said, is)
	}
	return nil
}
