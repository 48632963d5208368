package bench

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/protodaemon/protodaemon/pec/sample"
)

// BenchmarkDisk is the yardstick of the others: how often a second a small
// write to one file can be made durable on this disk, and the load beside us.
func BenchmarkDisk(b *testing.B) {
	f, err := os.Create(filepath.Join(b.TempDir(), "disk"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	page := make([]byte, 4096)
	for b.Loop() {
		begun := time.Now()
		for range 500 {
			if _, err := f.WriteAt(page, 0); err != nil {
				b.Fatal(err)
			}
			if err := f.Sync(); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(500/time.Since(begun).Seconds(), "syncs/s")
	}
	var load float64
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		_, _ = fmt.Sscan(string(text), &load)
	}
	b.ReportMetric(load, "load")
}

// BenchmarkDrain: a folder full of messages of all kinds becomes durable,
// analysed, verified pending entries, from the daemon's start on.
func BenchmarkDrain(b *testing.B) {
	const messages = 1000
	for _, plain := range []bool{false, true} {
		b.Run(map[bool]string{false: "tls", true: "plain"}[plain], func(b *testing.B) {
			for b.Loop() {
				s := newBed(b, 1, plain)
				s.fill(messages)
				begun := time.Now()
				s.start()
				until(func() bool { _, n := s.mailboxes(); return n >= messages })
				b.ReportMetric(messages/time.Since(begun).Seconds(), "messages/s")
			}
		})
	}
}

// BenchmarkArrival: from APPEND to the pending entry in the API, one message
// at a time while the daemon waits in IDLE. Dovecot itself keeps news back for
// half a second.
func BenchmarkArrival(b *testing.B) {
	const arrivals = 40
	for b.Loop() {
		s := newBed(b, 1, false)
		mix, err := sample.Mix(s.samples, arrivals, 2)
		if err != nil {
			b.Fatal(err)
		}
		s.start()
		until(func() bool { n, _ := s.mailboxes(); return n == 1 })
		c, err := s.mail.Login("u1")
		if err != nil {
			b.Fatal(err)
		}
		var took []time.Duration
		for i, m := range mix {
			begun := time.Now()
			if err := c.Append(watched, m.Raw); err != nil {
				b.Fatal(err)
			}
			until(func() bool { _, n := s.mailboxes(); return n > i })
			took = append(took, time.Since(begun))
		}
		c.Close()
		slices.Sort(took)
		b.ReportMetric(float64(took[arrivals/2].Milliseconds()), "p50-ms")
		b.ReportMetric(float64(took[arrivals*99/100].Milliseconds()), "p99-ms")
		b.ReportMetric(s.ownLatency(), "own-mean-ms")
	}
}

// ownLatency is the mean of the daemon's own histogram: from the server's
// notice to the durable pending entry.
func (s *bed) ownLatency() float64 {
	s.b.Helper()
	answer, err := s.client.Get(s.url + "/metrics")
	if err != nil {
		s.b.Fatal(err)
	}
	defer answer.Body.Close()
	var sum, count float64
	for {
		var name string
		var value float64
		if _, err := fmt.Fscanln(answer.Body, &name, &value); err != nil {
			if err.Error() == "EOF" {
				break
			}
			continue
		}
		switch name {
		case "protodaemon_ingest_latency_seconds_sum":
			sum = value
		case "protodaemon_ingest_latency_seconds_count":
			count = value
		}
	}
	return sum / count * 1000
}

// BenchmarkConfirm: numbers given over HTTPS, by one client and by 64.
func BenchmarkConfirm(b *testing.B) {
	for _, clients := range []int{1, 64} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			messages := 400 * min(clients, 5)
			for b.Loop() {
				s := newBed(b, 1, true)
				s.fill(messages)
				s.start()
				until(func() bool { _, n := s.mailboxes(); return n >= messages })
				ids := s.pending()
				s.mail.Stop() // so that nothing is moved meanwhile
				begun := time.Now()
				s.confirm(ids, clients)
				b.ReportMetric(float64(messages)/time.Since(begun).Seconds(), "confirmations/s")
			}
		})
	}
}

func (s *bed) pending() (ids []string) {
	s.b.Helper()
	for cursor := ""; ; {
		var page struct {
			Items []struct{ ID string }
			Next  string
		}
		if err := s.call(http.MethodGet, book+"/pending?limit=500&cursor="+cursor, "", &page); err != nil {
			s.b.Fatal(err)
		}
		for _, p := range page.Items {
			ids = append(ids, p.ID)
		}
		if cursor = page.Next; cursor == "" {
			return ids
		}
	}
}

func (s *bed) confirm(ids []string, clients int) {
	s.b.Helper()
	work := make(chan string, len(ids))
	for _, id := range ids {
		work <- id
	}
	close(work)
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for id := range work {
				var entry struct{ Number string }
				body := `{"classification":"1.1","subject":"Prova","parties":[{"name":"Mario Rossi","role":"sender"}]}`
				if err := s.call(http.MethodPost, "/api/v1/pending/"+id+"/confirm", body, &entry); err != nil {
					s.b.Error(err)
				}
			}
		})
	}
	all.Wait()
}

// BenchmarkIdleMailbox: resident memory of the process for one more mailbox
// that it watches over TLS.
func BenchmarkIdleMailbox(b *testing.B) {
	const many = 300
	for b.Loop() {
		one, all := resident(b, 1), resident(b, many)
		b.ReportMetric(float64(all-one)/(many-1), "KiB/mailbox")
		b.ReportMetric(float64(one), "KiB-with-one")
	}
}

// resident is the memory of a daemon that watches so many mailboxes, half a
// minute after the last of them was reached.
func resident(b *testing.B, mailboxes int) (kib int) {
	b.Helper()
	s := newBed(b, mailboxes, false)
	s.start()
	until(func() bool { n, _ := s.mailboxes(); return n == mailboxes })
	time.Sleep(30 * time.Second)
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.daemon.Process.Pid))
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if _, err := fmt.Sscanf(line, "VmRSS: %d kB", &kib); err == nil {
			return kib
		}
	}
	b.Fatal("the process does not tell its memory")
	return 0
}
