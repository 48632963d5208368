package ingest

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/protodaemon/protodaemon/internal/dovecot"
	"github.com/protodaemon/protodaemon/register"
	"github.com/protodaemon/protodaemon/store"
)

// folder is the full name of one of the two folders on a server without prefix.
func folder(name string) string { return "INBOX." + name }

// below is stage with the folders made by hand, as an operator may have done.
func below(t testing.TB, o dovecot.Options) *scene {
	t.Helper()
	o.Prefix, o.Separator = "INBOX.", "."
	return stage(t, o).watching()
}

func TestMovesWhatever(t *testing.T) {
	for _, c := range []struct {
		name    string
		without []string
		want    register.Outcome
	}{
		{"with everything", nil, register.Moved},
		{"without MOVE", []string{"MOVE"}, register.Moved},
		{"without UIDPLUS", []string{"UIDPLUS"}, register.Moved},
		{"without both", []string{"MOVE", "UIDPLUS"}, register.Copied},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			sc := below(t, dovecot.Options{Without: c.without})
			// The same message is there already, from an older time.
			sc.add(filed, 1)
			// Two copies of one message are one entry, and both are moved;
			// what somebody else has marked stays.
			sc.add(watched, 1)
			sc.add(watched, 1)
			sc.add(watched, 9)
			p := sc.wait(register.StatePending, 2)
			i := slices.IndexFunc(p, func(p register.Pending) bool { return p.Summary.Subject == "prova 9" })
			sc.do("SELECT " + folder(watched))
			sc.do(`STORE 3 +FLAGS (\Deleted)`)
			sc.wait(register.StateWithdrawn, 1)
			sc.confirm(p[1-i])
			place := sc.ended(p[1-i].ID)
			if place.Outcome != c.want || len(place.UIDs) != 2 {
				t.Errorf("place %+v", place)
			}
			if (place.Note != "") != (c.want == register.Copied) {
				t.Errorf("note %q", place.Note)
			}
			sc.holds(filed, 1, 1, 1)
			sc.holds(watched)
			left, err := sc.login().Messages(folder(watched))
			if err != nil {
				t.Fatal(err)
			}
			want := 1
			if c.want == register.Copied {
				want = 3
			}
			if len(left) != want || string(left[len(left)-1].Raw) != string(message(9)) {
				t.Errorf("%d messages are left marked, want %d", len(left), want)
			}
			// A later occurrence is an entry of its own that names the former.
			sc.add(watched, 1)
			again := sc.wait(register.StatePending, 1)[0]
			if again.Occurrence != 2 || again.Previous != p[1-i].ID {
				t.Errorf("a later occurrence is %+v", again)
			}
			sc.confirm(again)
			if second := sc.ended(again.ID); len(second.UIDs) != 1 || slices.Contains(place.UIDs, second.UIDs[0]) {
				t.Errorf("second place %+v after %+v", second, place)
			}
			sc.holds(filed, 1, 1, 1, 1)
		})
	}
}

func TestDraggedOutAndBack(t *testing.T) {
	t.Parallel()
	sc := below(t, dovecot.Options{})
	sc.add(watched, 1)
	sc.add(watched, 2)
	sc.wait(register.StatePending, 2)
	sc.do("SELECT " + folder(watched))
	sc.do("MOVE 1 INBOX")
	sc.do(`STORE 1 +FLAGS (\Deleted)`)
	gone := sc.wait(register.StateWithdrawn, 2)
	sc.do(`STORE 1 -FLAGS (\Deleted)`)
	sc.do("SELECT INBOX")
	sc.do("MOVE 1 " + folder(watched))
	back := sc.wait(register.StatePending, 2)
	for _, p := range back {
		if !slices.ContainsFunc(gone, func(g register.Pending) bool { return g.ID == p.ID }) {
			t.Errorf("%s is new, not revived", p.ID)
		}
	}
}

func TestRejected(t *testing.T) {
	t.Parallel()
	sc := below(t, dovecot.Options{})
	sc.add("INBOX", 2) // the operator copied this one instead of moving it
	sc.add(watched, 1)
	sc.add(watched, 2)
	for _, p := range sc.wait(register.StatePending, 2) {
		sc.reject(p)
		want := register.Returned
		if p.Summary.Subject == "prova 2" {
			want = register.Filed
		}
		if place := sc.ended(p.ID); place.Outcome != want || len(place.UIDs) != 1 {
			t.Errorf("%s: place %+v, want %s", p.Summary.Subject, place, want)
		}
	}
	sc.holds("INBOX", 1, 2)
	sc.holds(filed, 2)
	sc.holds(watched)
}

func TestRejectedAndAlreadyBack(t *testing.T) {
	t.Parallel()
	sc := below(t, dovecot.Options{})
	sc.add(watched, 1)
	p := sc.wait(register.StatePending, 1)[0]
	sc.stop()
	sc.do("SELECT " + folder(watched))
	sc.do("MOVE 1 INBOX")
	sc.reject(p)
	sc.start()
	if place := sc.ended(p.ID); place.Outcome != register.Returned {
		t.Errorf("place %+v", place)
	}
	sc.holds("INBOX", 1)
}

func TestTargetRemoved(t *testing.T) {
	t.Parallel()
	sc := below(t, dovecot.Options{})
	sc.add(watched, 1)
	p := sc.wait(register.StatePending, 1)
	sc.do("DELETE " + folder(filed))
	sc.confirm(p...)
	sc.ended(p[0].ID)
	sc.holds(filed, 1)
	if l, _ := sc.client.Folders(true); !slices.Contains(l, folder(filed)) {
		t.Errorf("the folder made again is not subscribed: %v", l)
	}
}

func TestMovedByHand(t *testing.T) {
	t.Parallel()
	sc := below(t, dovecot.Options{})
	for n := range 3 {
		sc.add(watched, n)
	}
	var p [3]register.Pending
	for i, got := range sc.wait(register.StatePending, 3) {
		p[i] = got
	}
	slices.SortFunc(p[:], func(a, b register.Pending) int { return strings.Compare(a.Summary.Subject, b.Summary.Subject) })
	sc.stop()
	sc.do("SELECT " + folder(watched))
	sc.do("MOVE 1 " + folder(filed)) // by somebody who was quicker
	sc.do("COPY 1 " + folder(filed)) // by us, and then the machine went down
	sc.do("MOVE 2 INBOX")            // to where we do not look
	sc.confirm(p[:]...)
	sc.start()
	for _, one := range p[:2] {
		if place := sc.ended(one.ID); place.Outcome != register.Moved || len(place.UIDs) != 1 {
			t.Errorf("place %+v", place)
		}
	}
	sc.blockedBy(p[2].ID, "neither in the watched folder nor")
	sc.holds(filed, 0, 1)
	sc.do("SELECT INBOX")
	sc.do("MOVE 1 " + folder(watched))
	sc.ended(p[2].ID)
	sc.holds(filed, 0, 1, 2)
	sc.holds(watched)
}

// A kill between STORE and EXPUNGE, with the notes lost: the mark is ours.
func TestMarkLeftBehind(t *testing.T) {
	t.Parallel()
	sc := below(t, dovecot.Options{})
	sc.add(watched, 1)
	p := sc.wait(register.StatePending, 1)
	sc.stop()
	sc.confirm(p...)
	sc.add(watched, 8)
	sc.do("SELECT " + folder(watched))
	sc.do("COPY 1 " + folder(filed))
	sc.do(`STORE 1:2 +FLAGS (\Deleted)`)
	sc.forget()
	sc.start()
	if place := sc.ended(p[0].ID); place.Outcome != register.Moved {
		t.Errorf("place %+v", place)
	}
	sc.holds(filed, 1)
	left, err := sc.login().Messages(folder(watched))
	if err != nil || len(left) != 1 || string(left[0].Raw) != string(message(8)) {
		t.Errorf("%d messages are left, %v; want the one that somebody else marked", len(left), err)
	}
}

// forget loses all notes.
func (sc *scene) forget() {
	sc.t.Helper()
	n, err := sc.Notes(context.Background(), org)
	if err != nil {
		sc.t.Fatal(err)
	}
	lost := map[string][]byte{}
	err = n.Scan(context.Background(), "ingest/", func(k string, _ []byte) bool {
		lost[k] = nil
		return true
	})
	if err != nil || len(lost) == 0 {
		sc.t.Fatalf("%d notes, %v", len(lost), err)
	}
	if err := n.Set(context.Background(), lost); err != nil {
		sc.t.Fatal(err)
	}
}

func TestSameStateWithoutNotes(t *testing.T) {
	t.Parallel()
	sc := below(t, dovecot.Options{})
	for n := range 5 {
		sc.add(watched, n)
	}
	p := sc.wait(register.StatePending, 5)
	sc.stop()
	sc.forget()
	sc.do("SELECT " + folder(watched))
	sc.do("MOVE 5 INBOX") // while nobody watches
	sc.start()
	gone := sc.wait(register.StateWithdrawn, 1)[0]
	left := sc.wait(register.StatePending, 4)
	for _, now := range append(left, gone) {
		if !slices.ContainsFunc(p, func(b register.Pending) bool { return b.ID == now.ID }) {
			t.Errorf("%s is new", now.ID)
		}
	}
}

// Notes that know more than the register, as after a restored backup.
func TestNotesAheadOfTheRegister(t *testing.T) {
	t.Parallel()
	sc := below(t, dovecot.Options{})
	sc.add(watched, 1)
	p := sc.wait(register.StatePending, 1)[0]
	n, err := sc.Notes(context.Background(), org)
	if err != nil {
		t.Fatal(err)
	}
	wrong := map[string][]byte{}
	eventually(t, "the position is noted", func() bool {
		err = n.Scan(context.Background(), "ingest/u1/uid/", func(k string, v []byte) bool {
			wrong[k] = []byte(strings.Replace(string(v), p.ID, "00000000"+p.ID[8:], 1))
			return true
		})
		return err != nil || len(wrong) == 1
	})
	sc.stop()
	if err := errors.Join(err, n.Set(context.Background(), wrong)); err != nil {
		t.Fatal(err)
	}
	sc.start()
	sc.confirm(p)
	sc.ended(p.ID)
	sc.holds(filed, 1)
	if all := sc.list(register.StateWithdrawn); len(all) != 0 {
		t.Errorf("withdrawn: %+v", all)
	}
}

func TestFolderReplaced(t *testing.T) {
	t.Parallel()
	sc := below(t, dovecot.Options{})
	sc.add(watched, 1)
	sc.add(watched, 2)
	p := sc.wait(register.StatePending, 2)
	sc.do("RENAME " + folder(watched) + " " + folder("altrove"))
	sc.do("CREATE " + folder(watched))
	sc.add(watched, 2)
	sc.add(watched, 3)
	sc.wait(register.StateWithdrawn, 1)
	now := sc.wait(register.StatePending, 2)
	kept := 0
	for _, n := range now {
		if slices.ContainsFunc(p, func(b register.Pending) bool { return b.ID == n.ID }) {
			kept++
		}
	}
	if kept != 1 {
		t.Errorf("%d of two entries were recognised", kept)
	}
}

func TestTwoHundred(t *testing.T) {
	t.Parallel()
	sc := below(t, dovecot.Options{})
	want := make([]int, 200)
	for n := range want {
		want[n] = n
		sc.add(watched, n)
		if n == 100 {
			sc.restart()
		}
	}
	p := sc.wait(register.StatePending, 200)
	sc.confirm(p...)
	for _, one := range p {
		sc.ended(one.ID)
	}
	sc.holds(filed, want...)
	sc.holds(watched)
}

func TestOversized(t *testing.T) {
	t.Parallel()
	sc := stage(t, dovecot.Options{Prefix: "INBOX.", Separator: "."})
	_, sc.stop = watch(t, Options{Office: sc.desk, Mailboxes: []Mailbox{sc.box}, MaxMessage: 100_000})
	sc.reaches(register.Watching, "")
	big := append(message(1), strings.Repeat("0123456789abcde\r\n", 10_000)...)
	if err := sc.client.Append(folder(watched), big); err != nil {
		t.Fatal(err)
	}
	sc.add(watched, 2)
	p := sc.wait(register.StateOversized, 1)[0]
	if p.Size != int64(len(big)) || !strings.Contains(p.Reason, "170") {
		t.Errorf("%+v", p)
	}
	sc.wait(register.StatePending, 1)
	sc.reject(p)
	if place := sc.ended(p.ID); place.Outcome != register.Returned {
		t.Errorf("place %+v", place)
	}
	if l, _ := sc.login().Messages("INBOX"); len(l) != 1 || string(l[0].Raw) != string(big) {
		t.Errorf("%d messages in the inbox", len(l))
	}
}

func TestNoRoom(t *testing.T) {
	t.Parallel()
	sc := below(t, dovecot.Options{QuotaKiB: 100})
	big := append(message(1), strings.Repeat("0123456789abcde\r\n", 4000)...)
	if err := sc.client.Append(folder(watched), big); err != nil {
		t.Fatal(err)
	}
	p := sc.wait(register.StatePending, 1)
	sc.confirm(p...)
	// There is no room for a copy, and MOVE needs none.
	if place := sc.ended(p[0].ID); place.Outcome != register.Moved || len(place.UIDs) != 1 {
		t.Errorf("place %+v", place)
	}
}

func TestNoRoomAndNoMove(t *testing.T) {
	t.Parallel()
	sc := below(t, dovecot.Options{QuotaKiB: 100, Without: []string{"MOVE"}})
	big := append(message(1), strings.Repeat("0123456789abcde\r\n", 4000)...)
	if err := sc.client.Append(folder(watched), big); err != nil {
		t.Fatal(err)
	}
	sc.add(watched, 2)
	p := sc.wait(register.StatePending, 2)
	sc.confirm(p...)
	for _, one := range p {
		if one.Size < 1000 {
			sc.ended(one.ID)
		} else {
			sc.blockedBy(one.ID, "OVERQUOTA")
		}
	}
	sc.holds(filed, 2)
	if l, _ := sc.login().Messages(folder(watched)); len(l) != 1 || len(l[0].Flags) != 0 {
		t.Errorf("left: %d", len(l))
	}
}

func TestServerComesAndGoes(t *testing.T) {
	t.Parallel()
	sc := below(t, dovecot.Options{})
	sc.s.Stop()
	sc.reaches(register.Backoff, "refuses connections")
	if err := sc.s.Restart(); err != nil {
		t.Fatal(err)
	}
	sc.reaches(register.Watching, "")
	sc.client = sc.login()
	sc.add(watched, 1)
	sc.wait(register.StatePending, 1)
	sc.s.Pause()
	sc.reaches(register.Backoff, "does not answer in time")
	sc.s.Continue()
	sc.reaches(register.Watching, "")
	sc.client = sc.login()
	sc.add(watched, 2)
	sc.wait(register.StatePending, 2)
}

func TestFindRegistered(t *testing.T) {
	t.Parallel()
	sc := below(t, dovecot.Options{})
	for n := range 20 {
		sc.add(filed, n)
	}
	sc.add(watched, 20)
	for _, n := range []int{0, 19, 20} {
		var got []byte
		found, err := FindRegistered(context.Background(), sc.box, store.Sum(message(n)), func(r io.Reader) (err error) {
			got, err = io.ReadAll(r)
			return err
		})
		if err != nil || !found || string(got) != string(message(n)) {
			t.Errorf("message %d: %v, %v, %d bytes", n, found, err, len(got))
		}
	}
	found, err := FindRegistered(context.Background(), sc.box, store.Sum(message(99)), func(io.Reader) error { return nil })
	if found || err != nil {
		t.Errorf("found what is not there: %v, %v", found, err)
	}
}

func TestReload(t *testing.T) {
	t.Parallel()
	s := dovecot.Start(t, dovecot.Options{Prefix: "INBOX.", Separator: "."})
	d := newDesk(t, "u1", "u2")
	one, two := box(s, "u1"), box(s, "u2")
	in, _ := watch(t, Options{Office: d, Mailboxes: []Mailbox{one}})
	states := func() string {
		all, err := d.Mailboxes(context.Background(), register.System())
		if err != nil {
			t.Fatal(err)
		}
		var l []string
		for _, b := range all {
			l = append(l, b.ID+" "+string(b.State))
		}
		return strings.Join(l, ", ")
	}
	eventually(t, "u1 is watched", func() bool { return strings.HasPrefix(states(), "u1 watching") })
	logins := strings.Count(s.Log(), "Login: user=<u1>")
	one.IMAP.Password = func() (string, error) { return "another, for the next login", nil }
	in.Reload([]Mailbox{one, two})
	eventually(t, "both are watched", func() bool { return states() == "u1 watching, u2 watching" })
	if n := strings.Count(s.Log(), "Login: user=<u1>"); n != logins {
		t.Errorf("u1 logged in %d times, before the reload %d", n, logins)
	}
	if err := s.Append("u2", folder(watched), message(1)); err != nil {
		t.Fatal(err)
	}
	d.wait(register.StatePending, 1)
	two.Folders.Pending = "altra"
	in.Reload([]Mailbox{two})
	if err := s.Append("u1", folder(watched), message(2)); err != nil {
		t.Fatal(err)
	}
	d.wait(register.StateWithdrawn, 1) // it is not in the folder that counts now
	if l := d.list(register.StatePending); len(l) != 0 {
		t.Errorf("the removed mailbox is still watched: %+v", l)
	}
}
