package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/protodaemon/protodaemon/register"
	"github.com/protodaemon/protodaemon/store"
)

// events walks the happenings of a closing; it may be called more than once.
type events func(yield func(register.Happening) error) error

// keep makes a durable file of a closing.
type keep func(ctx context.Context, name, mediaType, role string, write func(io.Writer) error) (register.ClosingFile, error)

// open opens a file of a closing.
type open func(ctx context.Context, f register.ClosingFile) (store.Blob, error)

// summary is what a first walk over the happenings finds.
type summary struct {
	leaves      []store.Digest
	first, last register.Entry // registered
	entries     int
	changes     int
	// gap: a number is not the one after that before it.
	gap bool
	// told are the happenings without their Raw, so that the journal is read
	// once; nil: they are too many to be held.
	told []register.Happening
}

// maxTold bounds the happenings that are held, by the size of their Raw. A day
// of 10,000 entries is below it; of a larger one the journal is read again for
// each part that is written.
const maxTold = 24 << 20

func summarize(ev events) (s summary, err error) {
	held := 0
	err = ev(func(h register.Happening) error {
		s.leaves = append(s.leaves, leaf(h))
		if held += len(h.Raw); held <= maxTold {
			h.Raw = nil
			s.told = append(s.told, h)
		} else {
			s.told = nil
		}
		if h.Change != nil {
			s.changes++
			return nil
		}
		if s.entries == 0 {
			s.first = h.Entry
		} else if !follows(s.last, h.Entry) {
			s.gap = true
		}
		s.last = h.Entry
		s.entries++
		return nil
	})
	return s, err
}

// again are the events that were held.
func (s summary) again(yield func(register.Happening) error) error {
	for _, h := range s.told {
		if err := yield(h); err != nil {
			return err
		}
	}
	return nil
}

// follows tells whether an entry has the number after another's.
func follows(a, b register.Entry) bool {
	n, errN := strconv.ParseUint(a.Number, 10, 64)
	m, errM := strconv.ParseUint(b.Number, 10, 64)
	return errN == nil && errM == nil && a.Year == b.Year && m == n+1
}

// compose writes the files of the step closed and returns the closing with what
// they tell. They are a function of the closing and its happenings alone.
func compose(ctx context.Context, c register.Closing, ev events, keep keep, open open) (register.Closing, error) {
	if c.Format != register.ClosingFormat {
		return c, fmt.Errorf("this program writes daily registers of format %d, not %d", register.ClosingFormat, c.Format)
	}
	location, err := time.LoadLocation(c.Holder.Timezone)
	if err != nil {
		return c, fmt.Errorf("the time zone of the register: %w", err)
	}
	s, err := summarize(ev)
	if err != nil {
		return c, err
	}
	c.Entries, c.Changes, c.Root = s.entries, s.changes, rootOf(s.leaves)
	if s.entries > 0 {
		c.FirstNumber, c.LastNumber = s.first.Number, s.last.Number
	}
	if s.told != nil {
		ev = s.again
	}
	w := writing{c: c, s: s, ev: ev, location: location}
	data, err := keep(ctx, c.Name+".xml", mediaXML, register.FileXML, w.xml)
	if err != nil {
		return c, err
	}
	paper, err := keep(ctx, c.Name+".pdf", "application/pdf", register.FilePDF, func(to io.Writer) (err error) {
		blob, err := open(ctx, data)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, blob.Close()) }()
		return w.pdf(to, blob)
	})
	if err != nil {
		return c, err
	}
	imprints, err := keep(ctx, c.Name+"-impronte.xml", mediaXML, register.FileImprints, func(to io.Writer) error {
		return writeImprints(to, c, data, paper)
	})
	if err != nil {
		return c, err
	}
	c.Files = []register.ClosingFile{data, paper, imprints}
	return c, nil
}

const mediaXML = "application/xml"

// writing is one daily register being written.
type writing struct {
	c        register.Closing
	s        summary
	ev       events
	location *time.Location
}

// local is a time as the register tells it: of the legal zone, with its offset.
func (w writing) local(t time.Time) string { return t.In(w.location).Format(time.RFC3339) }

// masked tells whether an entry's content is kept from who reads the register.
func (w writing) masked(e register.Entry) bool { return e.Reserved && w.c.Reserved != "full" }

// What stands in the place of what is reserved.
const (
	maskedSubject = "Oggetto riservato"
	maskedParty   = "Riservato"
)

// continuity says in words that no number is missing. It counts, and does not
// take it from the register's promise.
func (w writing) continuity() string {
	switch {
	case w.c.Entries == 0:
		return "Nessuna registrazione."
	case w.c.Entries == 1:
		return fmt.Sprintf("Una registrazione, la n. %s.", w.c.FirstNumber)
	}
	if w.s.gap {
		return fmt.Sprintf("Registrazioni dalla n. %s alla n. %s, %d in tutto: I NUMERI NON SONO CONTINUI.", w.c.FirstNumber, w.c.LastNumber, w.c.Entries)
	}
	return fmt.Sprintf("Registrazioni dalla n. %s alla n. %s, %d in tutto, senza salti e senza doppi.", w.c.FirstNumber, w.c.LastNumber, w.c.Entries)
}
