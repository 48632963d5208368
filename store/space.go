package store

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// DefaultReserve is what stays free of a disk unless Options say otherwise:
// enough for a person to look around, and for the files to be closed in order.
const DefaultReserve = 256 << 20

// witnessShare is the part of the reserve that the witness's own disk keeps: a
// line is small beside the message it testifies to.
const witnessShare = 16

// space watches the reserve of the two disks an engine writes to. It asks
// every time, so that it recovers by itself.
type space struct {
	dir, witness string
	reserve      uint64
	free         func(path string) (uint64, error)
}

// check returns ErrNoSpace with the figures when a reserve is touched.
func (s *space) check() error {
	if err := s.checkOne(s.dir, s.reserve); err != nil {
		return err
	}
	return s.checkOne(s.witness, s.reserve/witnessShare)
}

func (s *space) checkOne(path string, reserve uint64) error {
	if reserve == 0 {
		return nil
	}
	free, err := s.free(path)
	if err != nil {
		return fmt.Errorf("asking for the free space of %s: %w", path, err)
	}
	if free < reserve {
		return fmt.Errorf("%w: %d MiB free at %s, %d MiB are kept back; free some space, it is looked at again by itself",
			ErrNoSpace, free>>20, path, reserve>>20)
	}
	return nil
}

// statfs returns the bytes that an unprivileged process may still write.
func statfs(path string) (uint64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return 0, err
	}
	return st.Bavail * uint64(st.Bsize), nil
}
