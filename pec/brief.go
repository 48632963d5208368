package pec

import (
	"context"
	"crypto/sha1" //nolint:gosec // RFC 6109 §3.3.2.2 prescribes it
	"encoding/hex"
	"fmt"
	"io"
	"strings"
)

// BriefPart is a part of the original that a short delivery receipt (ricevuta
// breve, RFC 6109 §3.3.2.2) replaces by its SHA-1.
type BriefPart struct {
	Name   string `json:"name"` // of the file, without .hash
	SHA1   string `json:"sha1"` // over the encoded part, 40 hexadecimal digits
	Status string `json:"status"`
	// Part is the original's, as its own analysis counts; "" without one.
	Part string `json:"part,omitempty"`
}

// The states of a BriefPart.
const (
	BriefSame    = "same"    // the original has this part
	BriefDiffers = "differs" // it has a part of that name with another content
	BriefMissing = "missing" // it has no such part
)

// sha1Digits is how long a digest is in a receipt.
const sha1Digits = 2 * sha1.Size

// MatchBrief compares what a short receipt tells of the original's parts with
// the original, as its sender keeps it. It does not say that the receipt is
// genuine: Read does. An error says which of the two cannot be read, or that the
// receipt has no part that stands for another.
func MatchBrief(ctx context.Context, receipt io.ReaderAt, receiptSize int64, original io.ReaderAt, originalSize int64) ([]BriefPart, error) {
	e, err := open(ctx, receipt, receiptSize)
	if err != nil {
		return nil, fmt.Errorf("the receipt: %w", err)
	}
	o, err := open(ctx, original, originalSize)
	if err != nil {
		return nil, fmt.Errorf("the original: %w", err)
	}
	var told []BriefPart
	if e.postacert != nil {
		told = briefParts(e.postacert)
	}
	if len(told) == 0 {
		return nil, fmt.Errorf("the receipt: %w that stands for a part of the original", errNoPart)
	}
	sent := o.top
	if o.postacert != nil { // the envelope as the recipient's provider saw it
		sent = o.postacert
	}
	have, err := sentParts(ctx, sent)
	if err != nil {
		return nil, fmt.Errorf("reading the original: %w", err)
	}
	for i := range told {
		told[i].match(have)
	}
	return told, nil
}

// briefParts are the parts of a receipt's original that hold a digest.
func briefParts(root *part) (told []BriefPart) {
	for l := range leaves(root, false) {
		name, ok := strings.CutSuffix(fileName(l.part), ".hash")
		if !ok || l.end-l.body > 8*sha1Digits {
			continue
		}
		text, err := readBounded(l.decoded(), 8*sha1Digits)
		sum := strings.ToLower(strings.TrimSpace(string(text)))
		if _, bad := hex.DecodeString(sum); err == nil && bad == nil && len(sum) == sha1Digits {
			told = append(told, BriefPart{Name: name, SHA1: sum})
		}
	}
	return told
}

// sentPart is a part of the original with the two digests that occur: without
// the line end before the delimiter, and with it.
type sentPart struct{ path, name, sum, sumWithEnd string }

func sentParts(ctx context.Context, root *part) (all []sentPart, err error) {
	var p passing
	var done []func()
	for l := range leaves(root, false) {
		name := fileName(l.part)
		if name == "" && l.message == nil {
			continue
		}
		h := sha1.New()
		p.add(l.doc, l.body, l.end, h)
		one := sentPart{path: l.path, name: name}
		done = append(done, func() {
			one.sum = hex.EncodeToString(h.Sum(nil))
			h.Write(crlf)
			one.sumWithEnd = hex.EncodeToString(h.Sum(nil))
			all = append(all, one)
		})
	}
	if err := p.run(ctx); err != nil {
		return nil, err
	}
	for _, f := range done {
		f()
	}
	return all, nil
}

// match finds the part: by its content first, because names are rewritten on the
// way.
func (b *BriefPart) match(have []sentPart) {
	b.Status = BriefMissing
	for _, h := range have {
		switch {
		case h.sum == b.SHA1 || h.sumWithEnd == b.SHA1:
			b.Status, b.Part = BriefSame, h.path
			return
		case h.name == b.Name && b.Status == BriefMissing:
			b.Status, b.Part = BriefDiffers, h.path
		}
	}
}
