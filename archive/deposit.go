package archive

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/protodaemon/protodaemon/register"
	"github.com/protodaemon/protodaemon/store"
)

// packUp writes the deposit package. It is recorded before it is sent, so that
// what goes out twice is the same.
func (k *keeper) packUp(ctx context.Context, c register.Closing) (register.Closing, error) {
	p := register.Parcel{Identity: "PdV-" + c.Name, Version: 1}
	if c.Parcel != nil {
		p = *c.Parcel
	}
	p.File = p.Identity + ".zip"
	if p.Version > 1 {
		p.File = fmt.Sprintf("%s-%d.zip", p.Identity, p.Version)
	}
	now, err := k.archive.office.ClosingToday(c)
	if err != nil {
		return c, err
	}
	now.Parcel, now.Recipient = &p, k.conf.Delivery.Conservator
	f, err := k.keep(ctx, p.File, "application/zip", register.FilePackage, func(w io.Writer) error {
		return pack(ctx, w, k.conf.Delivery, now, k.open)
	})
	if err != nil {
		return c, fmt.Errorf("making the package %s: %w", p.Identity, err)
	}
	return k.record(ctx, c, register.Advance{From: c.Reached, Files: []register.ClosingFile{f}, Parcel: &p})
}

func (k *keeper) parcel(c register.Closing) (parcel, error) {
	for _, f := range c.Files {
		if f.Name == c.Parcel.File {
			return parcel{closing: c, file: f, files: filesToDeposit(c), open: k.open}, nil
		}
	}
	return parcel{}, fmt.Errorf("closing %s has no file %s", c.ID, c.Parcel.File)
}

// deliver brings the package to conservation.
func (k *keeper) deliver(ctx context.Context, c register.Closing) (register.Closing, error) {
	p, err := k.parcel(c)
	if err != nil {
		return c, err
	}
	sent, receipt, err := k.carrier.send(ctx, p)
	if err != nil {
		return c, fmt.Errorf("delivering %s: %w", p.file.Name, err)
	}
	now := time.Now().UTC().Truncate(time.Microsecond)
	on := *c.Parcel
	on.Sent, on.SentAt = sent, &now
	after, err := k.record(ctx, c, register.Advance{
		From: c.Reached, To: register.ClosingDelivered, Parcel: &on,
		Detail: map[string]string{"destination": sent, "package": p.file.Name},
	})
	if err != nil || receipt == nil {
		return after, err
	}
	return k.take(ctx, after, receipt)
}

// receipt looks for what has come back. When there is nothing new the closing
// stays as it is.
func (k *keeper) receipt(ctx context.Context, c register.Closing) (register.Closing, error) {
	p, err := k.parcel(c)
	if err != nil {
		return c, err
	}
	after := c
	var refused error // the first: there may be many
	err = k.carrier.receipts(ctx, p, func(a answer) (enough bool) {
		if k.taken(c, a.content) || !a.sure && !isReceiptOf(a.content, c) {
			return false
		}
		taken, err := k.take(ctx, c, a.content)
		switch {
		case err == nil:
			after, refused = taken, nil
			return true
		case refused == nil:
			refused = err
		}
		return false
	})
	switch {
	case after.Reached != c.Reached:
		return after, nil
	case refused != nil:
		return c, refused
	case err != nil:
		return c, fmt.Errorf("looking for the receipt of %s: %w", p.file.Name, err)
	case c.Overdue(time.Now(), k.conf.Overdue):
		return c, failure(register.TroubleOverdue, "%s was delivered on %s, and no receipt has come; ask the conservator, and hand in what he sends",
			p.file.Name, c.Parcel.SentAt.In(k.archive.location).Format(time.RFC3339))
	}
	return c, nil
}

// isReceiptOf tells whether a file is the receipt of a closing's package.
func isReceiptOf(b []byte, c register.Closing) bool {
	r, err := parseReceipt(b)
	return err == nil && r.concerns(c)
}

// taken tells whether a receipt was taken before: that of a package that was
// rejected may still lie there.
func (k *keeper) taken(c register.Closing, b []byte) bool {
	digest := store.Sum(b)
	for _, f := range c.Files {
		if f.Role == register.FileReceipt && f.SHA256 == digest {
			return true
		}
	}
	return false
}
