package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/protodaemon/protodaemon/internal/dovecot"
)

// Yesterday's store under today's witness: no number is given, and there is a
// way out after which the numbers are what they were.
func TestStorePutBackGivesNoNumberUntilRecovered(t *testing.T) {
	t.Parallel()
	o := openOffice(t, dovecot.Options{}, false)
	mail := mix(t, o.provider, 13)
	data := filepath.Join(filepath.Dir(o.config), "data")

	o.deliver(t, mail[:5], 0)
	d := o.start(t)
	first := o.awaitPending(t, d, 5)
	confirmAll(t, d, first[:4])
	d.stop(t)
	yesterday := filepath.Join(t.TempDir(), "data")
	if err := os.CopyFS(yesterday, os.DirFS(data)); err != nil {
		t.Fatal(err)
	}

	o.deliver(t, mail[5:11], 5)
	d = o.start(t)
	for _, p := range o.awaitPending(t, d, 7) {
		if _, err := confirm(t.Context(), d, p.ID); err != nil {
			t.Fatal(err)
		}
	}
	o.awaitFiled(t, d, form{moved: "yes"}, mail[:11])
	before := entries(t, d)
	d.stop(t)

	putBack(t, yesterday, data)
	d = o.start(t)
	if number, err := confirm(t.Context(), d, first[4].ID); err == nil || !strings.Contains(err.Error(), "register-unavailable") {
		t.Errorf("a store that was put back gave number %q (%v)", number, err)
	}
	o.recoverBeside(t, d)
	o.deliver(t, mail[11:], 11)
	for i, p := range o.awaitPending(t, d, 2) {
		number, err := confirm(t.Context(), d, p.ID)
		if want := fmt.Sprintf("%07d", 12+i); err != nil || number != want {
			t.Errorf("the next number is %q (%v), want %s", number, err, want)
		}
	}
	after := entries(t, d)
	for _, e := range before {
		if !slices.ContainsFunc(after, func(a entry) bool { return a.Number == e.Number && a.Origin.Pending == e.Origin.Pending }) {
			t.Errorf("number %s of pending entry %s is not what it was", e.Number, e.Origin.Pending)
		}
	}
	verified(t, o.config, 13)
}

// putBack replaces the data by an older copy, but for the witness and the
// messages' files: what a copy of the databases alone brings back.
func putBack(t *testing.T, old, data string) {
	t.Helper()
	for _, name := range []string{"organizations", "installation.db", "notes", "blobs"} {
		if err := os.RemoveAll(filepath.Join(data, name)); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(old, name), filepath.Join(data, name)); err != nil {
			t.Fatal(err)
		}
	}
}

// recoverBeside orders the recovery while the daemon serves: first without a
// reason, which changes nothing.
func (o *office) recoverBeside(t *testing.T, d *process) {
	t.Helper()
	status, body := d.do(t, http.MethodGet, "/readyz", "")
	if status != http.StatusServiceUnavailable || !strings.Contains(string(body), "rolled-back") {
		t.Errorf("readiness of a store that was put back: %d %s", status, body)
	}
	order := []string{"recover", "--config", o.config, "--organization", "ordine", "--register", "istituzionale"}
	listed := mustRun(t, order...)
	for n := 5; n <= 11; n++ {
		if !strings.Contains(listed, fmt.Sprintf("%07d  due", n)) {
			t.Errorf("recover does not name number %d:\n%s", n, listed)
		}
	}
	if half := command(t, append(order, "--reason", "copia del disco")...); half.status != exitUsage {
		t.Errorf("a reason without an authority: status %d, %s", half.status, half.stderr)
	}
	done := mustRun(t, append(order, "--reason", "ripristino del disco", "--authority", "delibera 7/2026")...)
	if strings.Count(done, "entered") != 7 || strings.Contains(done, "lost") {
		t.Errorf("recover entered other than seven numbers:\n%s", done)
	}
	if status, body := d.do(t, http.MethodGet, "/readyz", ""); status != http.StatusOK {
		t.Errorf("readiness after the recovery: %d %s", status, body)
	}
}
