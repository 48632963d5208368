package register_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/protodaemon/protodaemon/register"
	"github.com/protodaemon/protodaemon/store"
)

// yesterday keeps a copy of the data, without the witness.
func (d *desk) yesterday() string {
	d.t.Helper()
	d.close()
	kept := filepath.Join(d.t.TempDir(), "kept")
	if err := os.CopyFS(kept, os.DirFS(d.dir)); err != nil {
		d.t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(kept, "witness")); err != nil {
		d.t.Fatal(err)
	}
	d.open()
	return kept
}

// putBack puts the copy in the place of all but the witness.
func (d *desk) putBack(kept string) {
	d.t.Helper()
	d.close()
	entries, err := os.ReadDir(d.dir)
	if err != nil {
		d.t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != "witness" {
			err = errors.Join(err, os.RemoveAll(filepath.Join(d.dir, e.Name())))
		}
	}
	if err := errors.Join(err, os.CopyFS(d.dir, os.DirFS(kept))); err != nil {
		d.t.Fatal(err)
	}
	d.open()
}

const (
	reason    = "disco sostituito, copia del giorno prima"
	authority = "decreto n. 5 del 2026"
)

// TestRecover puts yesterday's store back under today's witness.
func TestRecover(t *testing.T) {
	d := open(t)
	d.addUser("anna", register.Grant{Role: register.Operator, Organization: org})
	_, secret, err := d.CreateToken(t.Context(), register.System(), "anna", 1<<40)
	if err != nil {
		t.Fatal(err)
	}
	moved := d.confirmed("moved before")
	d.done(moved, register.Moved)
	waiting := d.arrive(box, "waiting then, confirmed today")
	kept := d.yesterday()

	d.confirm(waiting.ID)
	found := d.confirmed("found again")
	lost := d.confirmed("lost for ever")
	again := d.confirmed("moved before") // its second occurrence
	var want []register.Entry
	for _, id := range []string{waiting.ID, found, lost, again} {
		want = append(want, d.entry(id).Entry)
	}
	if err := d.DisableUser(t.Context(), register.System(), "anna"); err != nil {
		t.Fatal(err)
	}
	d.putBack(kept)

	p := d.arrival(box, "today's")
	if _, err := d.Arrive(t.Context(), p); !errors.Is(err, register.ErrUnavailable) || !errors.Is(err, store.ErrRolledBack) {
		t.Errorf("a message was taken by a store that was rolled back: %v", err)
	}
	if _, err := d.Confirm(t.Context(), operator, waiting.ID, register.Confirmation{Classification: "1.1"}); !errors.Is(err, register.ErrUnavailable) {
		t.Errorf("it gives numbers: %v", err)
	}
	if h := d.Health(t.Context()); !slices.ContainsFunc(h, func(t register.Trouble) bool { return t.Code == "rolled-back" && t.Register == book }) {
		t.Errorf("health is %+v", h)
	}
	if v := d.verdict(); v.OK || !slices.Contains(codes(v), "rolled-back") {
		t.Errorf("verify finds %v", v.Problems)
	}

	order := register.Recovery{}
	r, err := d.Recover(t.Context(), manager, org, book, order)
	if err != nil || r.Applied || fmt.Sprint(outcomes(r)) != "[0000002 due 0000003 due 0000004 due 0000005 due]" {
		t.Fatalf("without an order: %+v, %v", r, err)
	}
	order.Reason = reason
	if _, err := d.Recover(t.Context(), manager, org, book, order); !errors.Is(err, register.ErrInvalid) {
		t.Errorf("without authority: %v", err)
	}
	order.Authority = authority
	order.Find = func(context.Context, string, store.Digest) (bool, error) {
		return false, errors.New("connection refused")
	}
	if r, err := d.Recover(t.Context(), manager, org, book, order); err == nil || r.Applied {
		t.Errorf("where nobody could look: %+v, %v", r, err)
	}
	order.Find = func(_ context.Context, mailbox string, digest store.Digest) (bool, error) {
		if mailbox != box {
			t.Errorf("looking in %s", mailbox)
		}
		if digest != store.Sum([]byte("found again")) {
			return false, nil
		}
		d.arrival(box, "found again")
		return true, nil
	}
	r, err = d.Recover(t.Context(), register.System(), org, book, order)
	if err != nil || !r.Applied || fmt.Sprint(outcomes(r)) != "[0000002 entered 0000003 entered 0000004 lost 0000005 entered]" {
		t.Fatalf("recovered %+v, %v", r, err)
	}

	for i, id := range []string{waiting.ID, found, lost, again} {
		e := d.entry(id)
		if id == lost {
			if e.State != register.Lost || e.Lost == nil || e.Lost.Reason != reason || e.Lost.Authority != authority {
				t.Errorf("the lost one is %+v", e.Entry)
			}
			e.State, e.Lost = register.Registered, nil
		}
		if got, was := asJSON(t, e.Entry), asJSON(t, want[i]); got != was || e.Moved != "no" {
			t.Errorf("entered as\n%s, was\n%s; moved %s", got, was, e.Moved)
		}
		if last := e.History[len(e.History)-1]; last.Type != "entry.changed" || last.By != "system" || !strings.Contains(string(last.Data), authority) {
			t.Errorf("its history ends with %+v", last)
		}
	}
	due, err := d.Due(t.Context(), org, box)
	if err != nil || len(due) != 4 {
		t.Errorf("%d moves are due, %v", len(due), err)
	}
	if p := d.arrive(box, "moved before"); p.ID != again || p.Occurrence != 2 {
		t.Errorf("the message that is still in the folder became %+v", p)
	}
	if _, err := d.Authenticate(t.Context(), secret); !errors.Is(err, register.ErrCredentials) {
		t.Errorf("who was disabled is back: %v", err)
	}
	if h := d.Health(t.Context()); len(h) != 0 {
		t.Errorf("health is %+v", h)
	}
	d.sound()
	d.reopen()
	if e := d.entry(d.confirmed("after")); e.Number != "0000006" {
		t.Errorf("the next number is %s", e.Number)
	}
	if r, err := d.Recover(t.Context(), register.System(), org, book, order); err != nil || r.Applied || len(r.Numbers) != 0 {
		t.Errorf("recovering once more: %+v, %v", r, err)
	}
	d.sound()
}

// TestRecoverFromNothing: only the witness is left.
func TestRecoverFromNothing(t *testing.T) {
	d := open(t)
	for i := range 3 {
		d.confirmed(fmt.Sprint(i))
	}
	if _, err := d.Confirm(t.Context(), manager, d.arrive("pec-fondazione", "x").ID, register.Confirmation{Classification: "1.1"}); err != nil {
		t.Fatal(err)
	}
	d.close()
	if err := os.RemoveAll(filepath.Join(d.dir, "organizations")); err != nil {
		t.Fatal(err)
	}
	d.open()
	for _, b := range []string{book, other} {
		r, err := d.Recover(t.Context(), register.System(), org, b, register.Recovery{Reason: reason, Authority: authority})
		if err != nil || !r.Applied || strings.Contains(fmt.Sprint(outcomes(r)), "lost") {
			t.Fatalf("recovered %+v, %v", r, err)
		}
	}
	d.sound()
	if e := d.confirm(d.arrive(box, "after").ID); e.Number != "0000004" {
		t.Errorf("the next number is %s", e.Number)
	}
	d.sound()
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func outcomes(r register.Recovered) []string {
	var all []string
	for _, n := range r.Numbers {
		all = append(all, n.Number, n.Outcome)
	}
	return all
}
