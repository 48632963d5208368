package register

import "context"

// Verdict is the outcome of Verify, as `protodaemon verify --json` prints it.
type Verdict struct {
	OK       bool      `json:"ok"`
	Entries  uint64    `json:"entries"`
	Events   uint64    `json:"events"`
	Blobs    uint64    `json:"blobs"`
	Closings uint64    `json:"closings"`
	Problems []Problem `json:"problems"`
}

// Problem is one thing that Verify found; Code is stable.
type Problem struct {
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// Verify re-reads everything kept: chains, rows, heads, witness, numbering
// without gap or repeat, blobs against their digests.
func (o *Office) Verify(ctx context.Context) (Verdict, error) { panic("not built") }
