package store_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/protodaemon/protodaemon/store"
)

// entry is a record about as large as that of a registered message.
func entry(n int) store.Record {
	e := event(n)
	e.Data = json.RawMessage(`{"subject":"` + strings.Repeat("oggetto ", 60) + `"}`)
	return e
}

// BenchmarkAppend measures durable commits: one record each on journals of
// their own in one file, and 64 records in each commit of one journal.
func BenchmarkAppend(b *testing.B) {
	for _, c := range []struct{ appenders, records int }{{1, 1}, {64, 1}, {1, 64}} {
		b.Run(fmt.Sprintf("appenders=%d/records=%d", c.appenders, c.records), func(b *testing.B) {
			s := open(b, store.Options{Dir: b.TempDir()})
			var left atomic.Int64
			left.Store(int64(b.N))
			var wg sync.WaitGroup
			b.ResetTimer()
			for i := range c.appenders {
				j := journal(b, s, fmt.Sprintf("org/r%d", i))
				wg.Go(func() {
					h := store.Head{}
					for left.Add(-1) >= 0 {
						var records []store.Record
						for n := range c.records {
							records = append(records, entry(int(h.Seq)+n+1))
						}
						next, err := j.Append(b.Context(), store.Commit{Prev: h, Records: records})
						if err != nil {
							b.Error(err)
							return
						}
						h = next
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			b.ReportMetric(float64(b.N*c.records)/b.Elapsed().Seconds(), "records/s")
		})
	}
}

// BenchmarkBlobs measures durable blobs of 20 KB.
func BenchmarkBlobs(b *testing.B) {
	for _, writers := range []int{1, 16} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			s := open(b, store.Options{Dir: b.TempDir()})
			var left atomic.Int64
			left.Store(int64(b.N))
			var wg sync.WaitGroup
			b.ResetTimer()
			for i := range writers {
				wg.Go(func() {
					r := rand.NewChaCha8([32]byte{byte(i)})
					data := make([]byte, 20000)
					for left.Add(-1) >= 0 {
						_, _ = r.Read(data)
						putBlob(b, s, data)
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "blobs/s")
		})
	}
}
