package register

import (
	"fmt"
	"strings"
	"time"
)

// OfficerError is an ErrNoManager: what is missing so that the day can be
// closed in somebody's name.
type OfficerError struct {
	Day string
	// Manager and Deputy are why each of the two cannot act: not named, the
	// fields that are missing, or not in office on the day.
	Manager, Deputy OfficerLack
}

// OfficerLack is why somebody cannot act; its zero value: nothing stands in
// the way.
type OfficerLack struct {
	Unnamed     bool
	Missing     []string // fields: name, surname, tax_code, deed, from
	NotInOffice bool     // the appointment begins later or has ended
}

func (e *OfficerError) Error() string {
	return fmt.Sprintf("%s %s: the manager %s; the deputy %s; complete manager or deputy of the organization in the configuration",
		ErrNoManager, e.Day, e.Manager, e.Deputy)
}

func (e *OfficerError) Unwrap() error { return ErrNoManager }

func (l OfficerLack) String() string {
	switch {
	case l.Unnamed:
		return "is not named"
	case len(l.Missing) > 0:
		return "has no " + strings.Join(l.Missing, ", ")
	case l.NotInOffice:
		return "is not in office on that day"
	}
	return "is in office"
}

// lack tells why the officer cannot act on a day.
func (f Officer) lack(day string) (l OfficerLack, none bool) {
	if f == (Officer{}) {
		return OfficerLack{Unnamed: true}, false
	}
	for _, field := range []struct{ name, value string }{
		{"name", f.Name}, {"surname", f.Surname}, {"tax_code", f.TaxCode}, {"deed", f.Deed}, {"from", f.From},
	} {
		if field.value == "" {
			l.Missing = append(l.Missing, field.name)
		}
	}
	l.NotInOffice = f.From > day || f.To != "" && f.To < day
	return l, len(l.Missing) == 0 && !l.NotInOffice
}

// InOffice is in whose name a register's days are closed today, and whether
// that is the deputy. An OfficerError: nobody is there.
func (o *Office) InOffice(a Actor, org, register string) (f Officer, acting bool, err error) {
	b, err := o.bookFor(a, Read, org, register)
	if err != nil {
		return Officer{}, false, err
	}
	return b.agency.conf.inOffice(time.Now().In(b.loc).Format(time.DateOnly))
}

// inOffice is who closes on a day: the manager (responsabile), else the deputy
// (vicario).
func (o Organization) inOffice(day string) (f Officer, acting bool, err error) {
	manager, can := o.Manager.lack(day)
	if can {
		return o.Manager, false, nil
	}
	deputy, can := o.Deputy.lack(day)
	if can {
		return o.Deputy, true, nil
	}
	return Officer{}, false, &OfficerError{Day: day, Manager: manager, Deputy: deputy}
}
