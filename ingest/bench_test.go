package ingest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/protodaemon/protodaemon/internal/dovecot"
	"github.com/protodaemon/protodaemon/register"
)

// BenchmarkDrain measures how fast a full folder becomes durable pending
// entries: fetched, kept, analysed and recorded.
func BenchmarkDrain(b *testing.B) {
	for _, mode := range []string{"implicit", "none"} {
		b.Run("tls="+mode, func(b *testing.B) {
			sc := stage(b, dovecot.Options{Prefix: "INBOX.", Separator: "."})
			if mode == "none" {
				sc.box = at(sc.box, sc.s.Addr)
				sc.box.IMAP.TLS = mode
			}
			if err := sc.s.Create("u1", folder(watched)); err != nil {
				b.Fatal(err)
			}
			n := max(b.N, 500)
			for i := range n {
				sc.add(watched, i)
			}
			b.ResetTimer()
			begun := time.Now()
			sc.start()
			for end := begun.Add(5 * time.Minute); sc.pendings() < n; time.Sleep(5 * time.Millisecond) {
				if time.Now().After(end) {
					b.Fatal("the folder was not drained in five minutes")
				}
			}
			b.ReportMetric(float64(n)/time.Since(begun).Seconds(), "messages/s")
			sc.stop()
		})
	}
}

func (sc *scene) pendings() int {
	all, err := sc.Mailboxes(sc.t.Context(), register.System())
	if err != nil {
		sc.t.Fatal(err)
	}
	return all[0].Pending
}

// BenchmarkLatency measures from the answer to APPEND to the durable entry.
// Dovecot itself holds news back for half a second.
func BenchmarkLatency(b *testing.B) {
	sc := stage(b, dovecot.Options{Prefix: "INBOX.", Separator: "."})
	seen := &arrivals{Office: sc.desk, at: make(chan time.Time, 1)}
	watch(b, Options{Office: seen, Mailboxes: []Mailbox{sc.box}})
	sc.reaches(register.Watching, "")
	var took []time.Duration
	for b.Loop() {
		sc.add(watched, len(took))
		begun := time.Now()
		took = append(took, (<-seen.at).Sub(begun))
	}
	slices.Sort(took)
	for _, p := range []int{50, 99} {
		b.ReportMetric(float64(took[len(took)*p/100].Microseconds())/1000, fmt.Sprintf("p%d-ms", p))
	}
}

// arrivals tells when a message has become a durable entry.
type arrivals struct {
	Office
	at chan time.Time
}

func (a *arrivals) Arrive(ctx context.Context, m register.Arrival) (register.Pending, error) {
	p, err := a.Office.Arrive(ctx, m)
	a.at <- time.Now()
	return p, err
}
