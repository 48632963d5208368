package register

import (
	"context"

	"github.com/protodaemon/protodaemon/store"
)

// Recovery is what the manager orders for a register whose store was put back
// to an older state. Without Reason and Authority nothing is changed.
type Recovery struct {
	Reason, Authority string
	// Find looks for the bytes of a message elsewhere (registered folder,
	// backups), puts them into a blob and tells whether it did.
	Find func(ctx context.Context, mailbox string, message store.Digest) (bool, error)
}

// Recovered tells what Recover found and did.
type Recovered struct {
	Organization string          `json:"organization"`
	Register     string          `json:"register"`
	Applied      bool            `json:"applied"`
	Numbers      []RecoveredItem `json:"numbers"`
}

// RecoveredItem is one number that the witness knows and the store lost.
// Outcome is entered, lost (perduta), or due when nothing was applied yet.
type RecoveredItem struct {
	Year    int    `json:"year"`
	Number  string `json:"number"`
	Outcome string `json:"outcome"`
	Detail  string `json:"detail,omitempty"`
}

// Recover names the numbers that the witness knows and the store lost and,
// when ordered, re-enters them or marks them perduta, so that the register
// can go on.
func (o *Office) Recover(ctx context.Context, a Actor, org, register string, r Recovery) (Recovered, error) {
	panic("not built")
}
