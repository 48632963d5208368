package archive

import (
	"context"
	"fmt"
	"sync"
)

// vault stands before the keys that lock after some wrong PINs. Registers that
// sign with the same one use it one after the other, and what one of them was
// refused no other tries: five registers would be five wrong PINs.
type vault struct {
	mu   sync.Mutex
	keys map[string]*guarded // by Signing.Lock
}

// guarded is one such key.
type guarded struct {
	turn    chan struct{}
	refused error // guarded by vault.mu
}

func (v *vault) key(lock string) *guarded {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.keys == nil {
		v.keys = map[string]*guarded{}
	}
	g := v.keys[lock]
	if g == nil {
		g = &guarded{turn: make(chan struct{}, 1)}
		v.keys[lock] = g
	}
	return g
}

// use runs what opens the key and signs with it; an empty lock is nobody's.
func (v *vault) use(ctx context.Context, lock string, act func() error) error {
	if lock == "" {
		return act()
	}
	g := v.key(lock)
	release, err := hold(ctx, g.turn)
	if err != nil {
		return fmt.Errorf("waiting for the signing key: %w", err)
	}
	defer release()
	if err := v.refusal(g); err != nil {
		return fmt.Errorf("another register tried it, and it is not tried again before a person orders it: %w", err)
	}
	err = act()
	if !byItself(err) {
		v.mu.Lock()
		defer v.mu.Unlock()
		g.refused = err
	}
	return err
}

func (v *vault) refusal(g *guarded) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return g.refused
}

// forgive lets a key be tried again; with "" all of them.
func (v *vault) forgive(lock string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for name, g := range v.keys {
		if lock == "" || name == lock {
			g.refused = nil
		}
	}
}
