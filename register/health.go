package register

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/protodaemon/protodaemon/store"
)

// Trouble is one reason why something stands still, for people.
type Trouble struct {
	Organization, Register string
	Code, Detail           string
}

// The codes of Trouble.
const (
	troubleAside      = "aside"       // an organization's store cannot be read
	troubleRolledBack = "rolled-back" // it knows less than its witness: see Recover
	troubleNoSpace    = "no-space"
	troubleReadOnly   = "read-only"
	troubleUnreadable = "unreadable"
	troubleInDoubt    = "in-doubt"
	troubleClock      = "clock-behind"
	troubleZone       = "timezone-changed"
)

// Health lists what stops numbers from being given, and where.
func (o *Office) Health(ctx context.Context) []Trouble {
	v := o.view.Load()
	found := o.installation.troubles(ctx)
	for _, id := range v.order {
		a := v.agencies[id]
		if a.aside != nil {
			found = append(found, Trouble{Organization: id, Code: troubleAside,
				Detail: a.aside.Error() + "; put it right and reload the configuration"})
			continue
		}
		found = append(found, a.ledger.troubles(ctx)...)
		for _, b := range a.books {
			found = append(found, b.troubles(ctx)...)
			found = append(found, b.zoneTrouble(ctx)...)
		}
	}
	return found
}

func (l *ledger) troubles(ctx context.Context) (found []Trouble) {
	t := l.trouble("", "")
	if _, cause := l.doubts(); cause != nil {
		t.Code, t.Detail = troubleInDoubt, fmt.Sprintf("the outcome of a commit is unknown, the store is being read again: %v", cause)
		return append(found, t)
	}
	if err := l.journal.Writable(); err != nil {
		t.Code, t.Detail = writableCode(err), err.Error()
		found = append(found, t)
	}
	head, err := l.journal.Head(ctx)
	if err != nil {
		t.Code, t.Detail = troubleUnreadable, err.Error()
		return append(found, t)
	}
	if now := time.Now(); head.Time.Sub(now) > maxBehind {
		t.Code, t.Detail = troubleClock, fmt.Sprintf("the clock shows %s, the last record is of %s: set the clock",
			now.UTC().Format(time.RFC3339), head.Time.Format(time.RFC3339))
		found = append(found, t)
	}
	return found
}

func (b *book) zoneTrouble(ctx context.Context) []Trouble {
	var zone string
	if _, err := readRow(ctx, b.journal, rowSetting, settingZone, &zone); err != nil {
		return []Trouble{b.trouble(troubleUnreadable, err.Error())}
	}
	if err := sameZone(zone, b.loc); err != nil {
		return []Trouble{b.trouble(troubleZone, err.Error())}
	}
	return nil
}

// trouble begins one that names the journal's organization and register.
func (l *ledger) trouble(code, detail string) Trouble {
	org, register, _ := cutJournal(l.name)
	if org == installation {
		org = ""
	}
	return Trouble{Organization: org, Register: register, Code: code, Detail: detail}
}

func writableCode(err error) string {
	switch {
	case errors.Is(err, store.ErrRolledBack):
		return troubleRolledBack
	case errors.Is(err, store.ErrNoSpace):
		return troubleNoSpace
	case errors.Is(err, store.ErrUnknown):
		return troubleInDoubt
	}
	return troubleReadOnly
}
