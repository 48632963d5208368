package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"
)

// storedLease is a lease in its organization's file, under its name.
type storedLease struct {
	Holder string    `json:"holder"`
	Token  uint64    `json:"token"`
	Until  time.Time `json:"until"`
}

// Acquire takes a free or expired lease with a new token, or renews the
// holder's own. Held by another it answers ErrLease. A ttl of zero or less
// gives the lease back.
func (b *Bolt) Acquire(ctx context.Context, org, name, holder string, ttl time.Duration) (Lease, error) {
	if err := checkOrg(org); err != nil {
		return Lease{}, err
	}
	if name == "" || holder == "" || len(name) > MaxKey {
		return Lease{}, errors.New("a lease has a name and a holder")
	}
	f, err := b.file(org)
	if err != nil {
		return Lease{}, err
	}
	var s storedLease
	r := &request{apply: func(tx *bolt.Tx) (err error) {
		s, err = takeLease(tx, name, holder, ttl)
		return err
	}}
	if err := f.do(ctx, r); err != nil {
		return Lease{}, fmt.Errorf("lease %s of %s: %w", name, org, err)
	}
	return Lease{Org: org, Name: name, Holder: s.Holder, Token: s.Token, Until: s.Until}, nil
}

func takeLease(tx *bolt.Tx, name, holder string, ttl time.Duration) (storedLease, error) {
	s, err := loadLease(tx, name)
	if err != nil {
		return s, err
	}
	now := time.Now().UTC()
	switch valid := now.Before(s.Until); {
	case valid && s.Holder != holder:
		return s, fmt.Errorf("%w: %s has it until %s", ErrLease, s.Holder, s.Until.Format(time.RFC3339))
	case !valid:
		s.Holder, s.Token = holder, s.Token+1
	}
	s.Until = now.Add(max(ttl, 0)).Round(0)
	raw, err := encode(s)
	if err != nil {
		return s, err
	}
	if err := tx.Bucket(bucketLeases).Put([]byte(name), raw); err != nil {
		return s, fmt.Errorf("%w: %w", errPut, err)
	}
	return s, nil
}

func loadLease(tx *bolt.Tx, name string) (s storedLease, err error) {
	raw := tx.Bucket(bucketLeases).Get([]byte(name))
	if raw == nil {
		return s, nil
	}
	if err := json.Unmarshal(raw, &s); err != nil {
		return s, fmt.Errorf("lease %s: %w", name, errDamaged)
	}
	return s, nil
}

// checkLease refuses a commit whose lease has been taken over or has run out.
func checkLease(tx *bolt.Tx, org string, l Lease) error {
	if l == (Lease{}) {
		return nil
	}
	s, err := loadLease(tx, l.Name)
	if err != nil {
		return err
	}
	if l.Org != org || s.Holder != l.Holder || s.Token != l.Token || !time.Now().Before(s.Until) {
		return fmt.Errorf("%w: %s, token %d of %s", ErrLease, l.Name, l.Token, l.Holder)
	}
	return nil
}
