package register

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/protodaemon/protodaemon/store"
)

// dayCount counts the legal days of a register that have entries. It reads each
// entry once and remembers how far it has come. Its zero value works.
type dayCount struct {
	mu    sync.Mutex
	after string // key of the last entry read
	day   string // of that entry
	days  int
}

// unclosed is the number of legal days before today that have entries and no
// closing; no day can be closed yet, so it is all of them.
func (b *book) unclosed(ctx context.Context) (int, error) {
	c := &b.daysSeen
	c.mu.Lock()
	defer c.mu.Unlock()
	err := eachRow(ctx, b.journal, store.Range{Kind: rowEntry, After: c.after}, func(row store.Row) (bool, error) {
		var e struct {
			Day string `json:"day"`
		}
		if err := json.Unmarshal(row.Value, &e); err != nil {
			return false, fmt.Errorf("decoding entry %s: %w", row.Key, err)
		}
		if e.Day != c.day { // entries are in the order of their days
			c.day, c.days = e.Day, c.days+1
		}
		c.after = row.Key
		return true, nil
	})
	if c.day == time.Now().In(b.loc).Format(time.DateOnly) {
		return c.days - 1, err
	}
	return c.days, err
}
