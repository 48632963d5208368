package archive

import (
	"context"
	"io"
	"time"

	"github.com/protodaemon/protodaemon/register"
	"github.com/protodaemon/protodaemon/store"
)

// What the tests, which stand outside the package, need of its inside.

// ParseReceipt is parseReceipt.
func ParseReceipt(b []byte) (Receipt, error) { return parseReceipt(b) }

// Concerns is concerns.
func (r Receipt) Concerns(c register.Closing) bool { return r.concerns(c) }

// FolderCode is the code of an error of the file system in a destination.
func FolderCode(err error) string { return troubleCode(folderError("d", err)) }

// Due is when the next step of a register is due again by itself.
func (a *Archive) Due(ctx context.Context, org, reg string) (time.Time, error) {
	k, err := a.keeper(org, reg)
	if err != nil {
		return time.Time{}, err
	}
	return k.work(ctx)
}

// Compose writes the files of the step closed; keep takes each of them.
func Compose(ctx context.Context, c register.Closing, happenings []register.Happening, keep func(name string) io.Writer, open func(name string) store.Blob) (register.Closing, error) {
	walk := func(yield func(register.Happening) error) error {
		for _, h := range happenings {
			if err := yield(h); err != nil {
				return err
			}
		}
		return nil
	}
	return compose(ctx, c, walk,
		func(ctx context.Context, name, mediaType, role string, write func(io.Writer) error) (register.ClosingFile, error) {
			to := keep(name)
			return discard(ctx, name, mediaType, role, func(w io.Writer) error { return write(io.MultiWriter(w, to)) })
		},
		func(_ context.Context, f register.ClosingFile) (store.Blob, error) { return open(f.Name), nil })
}

// Pack writes the deposit package.
func Pack(ctx context.Context, to io.Writer, profile Profile, p ParER, c register.Closing, open func(name string) store.Blob) error {
	return PackFor(ctx, to, Delivery{Profile: profile, ParER: p}, c, open)
}

// PackFor writes the deposit package for a delivery.
func PackFor(ctx context.Context, to io.Writer, d Delivery, c register.Closing, open func(name string) store.Blob) error {
	return pack(ctx, to, d, c, func(_ context.Context, f register.ClosingFile) (store.Blob, error) { return open(f.Name), nil })
}

// RootFrom is the root to which an event of a proof leads.
func RootFrom(e ProofEvent) string {
	root, err := rootFrom(leafOf(e.Record, e.Entry), e.Index, e.Size, e.Path)
	if err != nil {
		panic(err)
	}
	return root.String()
}
