package store

import (
	"context"
	"errors"
	"os"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
)

// SetFree makes the disk look as if it had so many bytes free.
func (b *Bolt) SetFree(free uint64) {
	b.space.free = func(string) (uint64, error) { return free, nil }
}

// errSet rolls the transaction back in which a test changed the writer.
var errSet = errors.New("set")

// onWriter runs fn in the goroutine that owns the organization's file.
func (b *Bolt) onWriter(org string, fn func(f *file)) error {
	f, err := b.file(org)
	if err != nil {
		return err
	}
	err = f.do(context.Background(), &request{apply: func(*bolt.Tx) error {
		fn(f)
		return errSet
	}})
	if errors.Is(err, errSet) {
		return nil
	}
	return err
}

// BreakCommit makes the next commit of the organization's database fail.
func (b *Bolt) BreakCommit(org string, kept bool) error {
	return b.onWriter(org, func(f *file) {
		f.commit = func(tx *bolt.Tx) error {
			f.commit = (*bolt.Tx).Commit
			if kept {
				return errors.Join(tx.Commit(), syscall.EIO)
			}
			return errors.Join(tx.Rollback(), syscall.EIO)
		}
	})
}

// BreakWitness closes the witness's file under the writer.
func (b *Bolt) BreakWitness(org string) error {
	return b.onWriter(org, func(f *file) { f.witness.f.Close() })
}

// BreakDatabase puts a descriptor that cannot be written in the place of the
// database's own, so that every write to it fails.
func (b *Bolt) BreakDatabase(org string) (err error) {
	return errors.Join(b.onWriter(org, func(f *file) {
		var null *os.File
		if null, err = os.Open(f.path); err == nil {
			err = errors.Join(syscall.Dup3(int(null.Fd()), int(f.db.fd.Fd()), syscall.O_CLOEXEC), null.Close())
		}
	}), err)
}

// Heal uses a failed file until it can be used again.
func (b *Bolt) Heal(org string) error {
	f, err := b.file(org)
	if err != nil {
		return err
	}
	for range 10000 {
		if err = f.do(context.Background(), &request{}); err == nil {
			return nil
		}
		time.Sleep(time.Millisecond) // the file's own pause between two tries
	}
	return err
}

// SetDatabaseFormat makes a database look like one of another version.
func (b *Bolt) SetDatabaseFormat(org, version string) error {
	f, err := b.file(org)
	if err != nil {
		return err
	}
	return f.do(context.Background(), &request{apply: func(tx *bolt.Tx) error {
		return tx.Bucket(bucketMeta).Put(keyFormat, []byte(version))
	}})
}
