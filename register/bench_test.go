package register_test

import (
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/protodaemon/protodaemon/register"
)

// BenchmarkConfirm measures durable confirmations on the real engine, with 1
// and 64 clients, and how many commits they took.
func BenchmarkConfirm(b *testing.B) {
	for _, clients := range []int{1, 64} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			d, j := openFaulty(b)
			ids := closed(d.arriveMany(b.N))
			j.set(func() { j.batch = nil })
			var failed atomic.Int64
			b.ResetTimer()
			var all sync.WaitGroup
			for range clients {
				all.Go(func() {
					for id := range ids {
						if _, err := d.Confirm(b.Context(), operator, id, register.Confirmation{Classification: "1.1"}); err != nil {
							failed.Add(1)
						}
					}
				})
			}
			all.Wait()
			b.StopTimer()
			if failed.Load() > 0 {
				b.Fatalf("%d confirmations failed", failed.Load())
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "confirmations/s")
			b.ReportMetric(float64(b.N)/float64(len(j.batch)), "confirmations/commit")
		})
	}
}

// arriveMany takes n small messages into custody, 32 at once.
func (d *desk) arriveMany(n int) chan string {
	ids := make(chan string, n)
	var all sync.WaitGroup
	for c := range 32 {
		all.Go(func() {
			for i := c; i < n; i += 32 {
				ids <- d.arrive(box, strconv.Itoa(i)).ID
			}
		})
	}
	all.Wait()
	return ids
}

func closed(ids chan string) <-chan string {
	close(ids)
	return ids
}
