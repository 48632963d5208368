package register_test

import (
	"errors"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/protodaemon/protodaemon/register"
)

// model is one message in one mailbox, as design invariant 2 tells of it.
type model struct {
	n     int
	id    string
	state register.State
	due   bool
	entry string
}

// TestWalk goes at random through arriving, withdrawing, confirming, rejecting,
// moving and reopening, against a plain model, and verifies at the end.
func TestWalk(t *testing.T) {
	d := open(t)
	round := 0
	rapid.Check(t, func(r *rapid.T) {
		round++
		walk(r, d, fmt.Sprintf("round %d message ", round))
	})
	d.sound()
}

// walked is the last number given in the walks so far.
func (d *desk) walked() int {
	page, err := d.Entries(d.t.Context(), operator, org, book, register.EntryQuery{Limit: 1})
	if err != nil {
		d.t.Fatal(err)
	}
	if len(page.Items) == 0 {
		return 0
	}
	var n int
	fmt.Sscanf(page.Items[0].Number, "%d", &n)
	return n
}

func walk(r *rapid.T, d *desk, name string) {
	models := make([]model, 3)
	number := d.walked()
	pick := func() (*model, int) {
		i := rapid.IntRange(0, len(models)-1).Draw(r, "message")
		return &models[i], i
	}
	known := func() *model {
		m, _ := pick()
		if m.n == 0 {
			r.Skip("not arrived yet")
		}
		return m
	}
	wrong := func(err error) bool { return errors.Is(err, register.ErrState) }
	r.Repeat(map[string]func(*rapid.T){
		"arrive": func(r *rapid.T) {
			m, i := pick()
			p := d.take(d.arrival(box, name+fmt.Sprint(i)))
			switch {
			case m.n == 0, (m.state == register.StateConfirmed || m.state == register.StateRejected) && !m.due:
				if p.Previous != m.id {
					r.Fatalf("occurrence %d names %q, want %q", p.Occurrence, p.Previous, m.id)
				}
				*m = model{n: m.n + 1, id: p.ID, state: register.StatePending}
			case m.state == register.StateWithdrawn:
				m.state = register.StatePending
			}
			m.compare(r, p)
		},
		"withdraw": func(r *rapid.T) {
			m := known()
			p, err := d.Withdraw(d.t.Context(), m.id)
			if err != nil {
				r.Fatal(err)
			}
			if m.state == register.StatePending {
				m.state = register.StateWithdrawn
			}
			m.compare(r, p)
		},
		"confirm": func(r *rapid.T) {
			m := known()
			res, err := d.Confirm(d.t.Context(), operator, m.id, register.Confirmation{Classification: "1.1"})
			switch m.state {
			case register.StatePending:
				number++
				m.state, m.due, m.entry = register.StateConfirmed, true, fmt.Sprintf("%07d", number)
				fallthrough
			case register.StateConfirmed:
				if err != nil || res.Entry.Number != m.entry {
					r.Fatalf("confirmed as %q, %v; want %s", res.Entry.Number, err, m.entry)
				}
			default:
				if !wrong(err) {
					r.Fatalf("confirming what is %s: %v", m.state, err)
				}
			}
		},
		"reject": func(r *rapid.T) {
			m := known()
			p, err := d.Reject(d.t.Context(), operator, m.id, "no")
			if m.state == register.StatePending {
				m.state, m.due = register.StateRejected, true
			}
			if m.state != register.StateRejected {
				if !wrong(err) {
					r.Fatalf("rejecting what is %s: %v", m.state, err)
				}
				return
			}
			m.compare(r, p)
		},
		"done": func(r *rapid.T) {
			m := known()
			outcome := rapid.SampledFrom([]register.Outcome{register.Moved, register.Copied, register.Returned, register.Filed}).Draw(r, "outcome")
			err := d.Done(d.t.Context(), m.id, register.Place{Outcome: outcome, UIDs: []uint32{uint32(m.n)}})
			fits := m.state == register.StateConfirmed && (outcome == register.Moved || outcome == register.Copied) ||
				m.state == register.StateRejected && outcome != register.Moved
			switch {
			case m.due && fits:
				m.due = false
				fallthrough
			case !m.due && (m.state == register.StateConfirmed || m.state == register.StateRejected):
				if err != nil {
					r.Fatal(err)
				}
			case err == nil:
				r.Fatalf("%s ended what is %s", outcome, m.state)
			}
		},
		"reopen": func(*rapid.T) { d.reopen() },
		"": func(r *rapid.T) {
			expected, err := d.Expected(d.t.Context(), org, box)
			if err != nil {
				r.Fatal(err)
			}
			due, err := d.Due(d.t.Context(), org, box)
			if err != nil {
				r.Fatal(err)
			}
			in, acts := map[string]bool{}, map[string]register.Due{}
			for _, p := range expected {
				in[p.ID] = true
			}
			for _, a := range due {
				acts[a.Pending.ID] = a
			}
			for _, m := range models {
				if want := m.n > 0 && (m.due || m.state == register.StatePending); in[m.id] != want {
					r.Fatalf("%+v is expected: %v", m, in[m.id])
				}
				if a, is := acts[m.id]; is != m.due || is && len(a.Elsewhere) >= m.n {
					r.Fatalf("%+v is due: %+v", m, a)
				}
			}
		},
	})
}

func (m *model) compare(r *rapid.T, p register.Pending) {
	due := (p.State == register.StateConfirmed || p.State == register.StateRejected) && p.Place == nil
	if p.Occurrence != m.n || p.ID != m.id || p.State != m.state || due != m.due {
		r.Fatalf("the register has %d %s %s due %v, the model %+v", p.Occurrence, p.ID, p.State, due, *m)
	}
}
