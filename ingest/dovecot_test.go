package ingest

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/protodaemon/protodaemon/internal/dovecot"
	"github.com/protodaemon/protodaemon/register"
)

func TestTakesWhatArrives(t *testing.T) {
	for _, c := range []struct {
		name string
		o    dovecot.Options
		tls  string
	}{
		{"no prefix, dot", dovecot.Options{}, "implicit"},
		{"no prefix, slash", dovecot.Options{Separator: "/"}, "implicit"},
		{"INBOX. prefix", dovecot.Options{Prefix: "INBOX.", Separator: "."}, "implicit"},
		{"STARTTLS", dovecot.Options{StartTLSOnly: true}, "starttls"},
		{"in clear on loopback", dovecot.Options{}, "none"},
		{"no IDLE", dovecot.Options{Without: []string{"IDLE"}}, "implicit"},
		{"IDLE without news", dovecot.Options{SilentIdle: true}, "implicit"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			sc := stage(t, c.o)
			if c.tls != "implicit" {
				sc.box = at(sc.box, sc.s.Addr)
				sc.box.IMAP.TLS = c.tls
			}
			if err := sc.client.Append("INBOX", message(1)); err != nil {
				t.Fatal(err)
			}
			sc.start()
			eventually(t, "both folders are subscribed", func() bool {
				l, err := sc.client.Folders(true)
				return err == nil && len(l) >= 2 && len(l) <= 3
			})
			sub, _ := sc.client.Folders(true)
			full := sub[slices.IndexFunc(sub, func(f string) bool { return strings.HasSuffix(f, watched) })]
			if !strings.HasPrefix(full, "INBOX") {
				t.Errorf("the folder is %s, not below the inbox", full)
			}
			// One copied before the watch began, one appended, one moved.
			sc.do(`SELECT INBOX`)
			sc.do(`COPY 1 "` + full + `"`)
			if err := sc.client.Append(full, message(2)); err != nil {
				t.Fatal(err)
			}
			if err := sc.client.Append("INBOX", message(3)); err != nil {
				t.Fatal(err)
			}
			sc.do(`NOOP`)
			sc.do(`MOVE 2 "` + full + `"`)
			got := sc.wait(register.StatePending, 3)
			for _, p := range got {
				var n int
				fmt.Sscanf(p.Summary.Subject, "prova %d", &n)
				if !bytes.Equal(sc.raw(p), message(n)) {
					t.Errorf("%q differs from what was sent", p.Summary.Subject)
				}
				if p.Summary.From.Address != "mario@example.it" || p.ArrivedAt.IsZero() {
					t.Errorf("summary %+v", p)
				}
				d, err := sc.Pending(t.Context(), register.System(), p.ID)
				if want := `"content_sha256":"` + p.Message.String() + `"`; err != nil || !strings.Contains(string(d.Analysis), want) {
					t.Errorf("the analysis does not say %s: %s, %v", want, d.Analysis, err)
				}
			}
			sc.holds("INBOX", 1)
			messages, err := sc.login().Messages(full)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range messages {
				if slices.Contains(m.Flags, `\Seen`) {
					t.Error(`\Seen was set`)
				}
			}
			sc.confirm(got...)
			for _, p := range got {
				if place := sc.ended(p.ID); place.Outcome != register.Moved || len(place.UIDs) != 1 {
					t.Errorf("place %+v", place)
				}
			}
			if left, _ := sc.login().Messages(full); len(left) != 0 {
				t.Errorf("%d messages are left", len(left))
			}
			if in, err := sc.login().Messages(strings.Replace(full, watched, filed, 1)); err != nil || len(in) != 3 {
				t.Errorf("%d messages in the registered folder, %v", len(in), err)
			}
		})
	}
}
