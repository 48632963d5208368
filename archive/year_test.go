package archive_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/protodaemon/protodaemon/register"
	"github.com/protodaemon/protodaemon/sign"
)

// TestYear runs the daemon's loop through a year: both clock changes, holidays,
// failures of every step, 20 restarts in the middle of things and a week away.
// At the end every entry and every record is in exactly one closing.
func TestYear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, register.ClosingRules{EmptyDays: "none", SameDay: "supplement"})
		h.conf.XAdES = false // signing takes most of the test's time
		h.close()
		h.open()
		random := rand.New(rand.NewPCG(1, 2))
		folder := filepath.Join(h.dir, "conservazione")
		stop := h.run()
		numbers, restarts := 0, 0
		for day := at(1, 3, 9); day.Year() == 2000; day = day.AddDate(0, 0, 1+random.IntN(4)) {
			until(day)
			h.trouble(random, folder)
			var last register.Entry
			for range 1 + random.IntN(3) {
				last = h.enter(fmt.Sprint("Istanza del ", day.Format(time.DateOnly)))
				numbers++
			}
			if random.IntN(5) == 0 {
				h.annul(last)
			}
			if random.IntN(10) == 0 { // the manager closes the same day
				h.closeDays(day.Format(time.DateOnly))
			}
			if random.IntN(2) == 0 {
				h.receipts(random, folder)
			}
			if day.YearDay()/17 > restarts {
				restarts++
				stop()
				h.close()
				if restarts == 10 {
					time.Sleep(7 * 24 * time.Hour)
					day = time.Now().In(rome)
				}
				h.open()
				stop = h.run()
			}
		}
		h.trouble(nil, folder)
		until(time.Date(2001, 1, 3, 16, 0, 0, 0, rome))
		h.receipts(nil, folder)
		time.Sleep(2 * time.Hour)
		h.receipts(nil, folder) // sends the rejected ones again
		time.Sleep(time.Minute)
		h.receipts(nil, folder) // of those that had been rejected
		time.Sleep(2 * time.Hour)
		stop()
		if restarts < 20 || h.rejected < 5 {
			t.Errorf("there were only %d restarts and %d rejected packages", restarts, h.rejected)
		}
		h.coveredOnce(numbers)
		h.sound()
	})
}

// run runs the archive until the returned function is called.
func (h *hall) run() (stop func()) {
	ctx, cancel := context.WithCancel(h.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- h.archive.Run(ctx) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			h.t.Error(err)
		}
	}
}

// trouble breaks one thing or mends all; nil mends all.
func (h *hall) trouble(random *rand.Rand, folder string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tsa.mu.Lock()
	defer h.tsa.mu.Unlock()
	h.keyErr, h.tsa.fail = nil, nil
	if _, err := os.Stat(folder + ".away"); err == nil {
		if err := os.Rename(folder+".away", folder); err != nil {
			h.t.Fatal(err)
		}
	}
	if random == nil {
		return
	}
	switch random.IntN(8) {
	case 0:
		h.keyErr = fmt.Errorf("firma remota: %w", sign.ErrUnreachable)
	case 1:
		h.tsa.fail = errors.New("connection refused")
	case 2:
		if err := os.Rename(folder, folder+".away"); err != nil {
			h.t.Fatal(err)
		}
	}
}

// receipts lays a receipt for every package that lies in the folder, and has
// the rejected ones sent again. With random, some are rejected.
func (h *hall) receipts(random *rand.Rand, folder string) {
	h.t.Helper()
	if _, err := os.Stat(folder); err != nil {
		return
	}
	closings, err := h.office.UnfinishedClosings(h.t.Context(), org, book)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, c := range closings {
		switch {
		case c.Reached == register.ClosingRejected:
			if _, err := h.archive.Retry(h.t.Context(), manager, org, book, c.ID, "corretto"); err != nil {
				h.t.Fatal(err)
			}
		case c.Reached != register.ClosingDelivered:
		case random != nil && random.IntN(8) == 0:
			h.receipt(c, "rifiutato", "indice non leggibile")
			h.rejected++
		default:
			h.receipt(c, "accettato", "")
		}
	}
}

// coveredOnce reads the daily registers and looks for each number in exactly
// one of them.
func (h *hall) coveredOnce(numbers int) {
	h.t.Helper()
	seen := map[string]int{}
	states := map[register.ClosingState]int{}
	q := register.ClosingQuery{Limit: 500}
	page, err := h.office.Closings(h.t.Context(), manager, org, book, q)
	if err != nil || page.Next != "" {
		h.t.Fatal("more closings than were looked at", err)
	}
	for _, c := range page.Items {
		states[c.State]++
		for _, part := range strings.Split(string(h.read(c, register.FileXML)), "<Registrazione>")[1:] {
			if _, n, ok := strings.Cut(part, "<Numero>"); ok {
				seen[n[:7]]++
			}
		}
	}
	for n := 1; n <= numbers; n++ {
		if seen[fmt.Sprintf("%07d", n)] != 1 {
			h.t.Errorf("number %d is in %d daily registers", n, seen[fmt.Sprintf("%07d", n)])
		}
	}
	if len(seen) != numbers {
		h.t.Errorf("the daily registers have %d numbers, %d were given", len(seen), numbers)
	}
	if states[register.ClosingAccepted] == 0 || len(states) != 1 {
		h.t.Errorf("the closings stand at %v", states)
	}
}
