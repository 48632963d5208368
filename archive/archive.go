// Package archive closes days: it writes the daily register (registro
// giornaliero di protocollo, DPR 445/2000 art. 53 c. 2), signs it, stamps it,
// delivers it for conservation and takes the receipt.
//
// What it promises:
//
//   - A closing's files are a function of the closing and the records it tells
//     of, and of nothing else: they can be derived again byte for byte. The
//     stored file is the closing.
//   - Each step (closed, signed, stamped, delivered, accepted) is recorded in
//     the register before the next is tried. One act outside stands between two
//     records and may be repeated after a kill; what is recorded first counts.
//     Files are kept before a record names them, and never change.
//   - Days are closed in their order. What the daemon missed while it was down
//     is closed at the start.
//   - A step that fails is recorded with its reason and tried again, later each
//     time. A wrong PIN is not tried again by itself, because tokens lock. One
//     register's trouble stops no other, and one closing's no later one.
//   - Nothing is called accepted without a receipt (rapporto di versamento)
//     that names the package.
//
// One goroutine keeps each register (keeper.go). It asks the register what is
// due, so a start after a kill is nothing special.
package archive

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/protodaemon/protodaemon/register"
	"github.com/protodaemon/protodaemon/sign"
)

// Options say whose days are closed and how.
type Options struct {
	Office    *register.Office
	Location  *time.Location // of the legal day
	Software  string         // name and version, written into the files
	Registers []Register
	Log       *slog.Logger
	Metrics   prometheus.Registerer // nil: none
}

// Register is how the days of one register are closed.
type Register struct {
	Organization, Register string
	// AutoAt is the local time, HH:MM, at which the day before is closed;
	// empty: only when somebody orders it.
	AutoAt string
	Signing
	// Authorities stamp the signatures, tried in order; none: no stamp.
	Authorities []Authority
	Delivery    Delivery
	// Test: it is no real register, and its files say so.
	Test bool
	// Overdue is how long after a delivery a receipt is missed.
	Overdue time.Duration
}

// Signing says with what key the closings are signed.
type Signing struct {
	// OpenKey opens the key for one use; nil: closings are not signed.
	OpenKey func(context.Context) (sign.Key, error)
	// Lock names what wrong PINs lock, a token or credential: registers with the
	// same one share it. Empty: nothing does.
	Lock string
	// XAdES: the XML gets a signature of its own.
	XAdES bool
}

// Authority is a time stamping authority with the lot of stamps bought from it.
type Authority struct {
	// Open reads what is needed to ask it, passwords too.
	Open func() (sign.Authority, error)
	Name string
	// Lot is how many stamps were bought on LotFrom (a day); 0: not counted.
	Lot     int
	LotFrom string
}

// Archive keeps the closings of an installation. Its methods are safe for
// concurrent use.
type Archive struct {
	office   *register.Office
	location *time.Location
	software string
	log      *slog.Logger
	metrics  *metrics
	// composing bounds how many days are written at a time: each takes memory.
	composing chan struct{}
	looking   chan struct{} // at evidence that may expire

	vault vault

	mu      sync.Mutex
	keepers map[name]*keeper
	changed chan struct{} // the set of keepers is another
}

type name struct{ organization, register string }

// atOnce is how many daily registers are written at a time.
const atOnce = 2

// New returns an archive that does nothing until Run or an order.
func New(o Options) (*Archive, error) {
	a := &Archive{
		office: o.Office, location: o.Location, software: o.Software, log: o.Log,
		composing: make(chan struct{}, atOnce), looking: make(chan struct{}, 1),
		changed: make(chan struct{}, 1),
	}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	var err error
	if a.metrics, err = newMetrics(a, o.Metrics); err != nil {
		return nil, err
	}
	a.keepers, err = a.newKeepers(o.Registers)
	return a, err
}

// Unregister takes the metrics back.
func (a *Archive) Unregister() { a.metrics.close() }

// Check refuses what New and Reload would refuse.
func Check(registers []Register) error {
	a := Archive{log: slog.New(slog.DiscardHandler)}
	_, err := a.newKeepers(registers)
	return err
}

func (a *Archive) newKeepers(registers []Register) (map[name]*keeper, error) {
	all := map[name]*keeper{}
	for _, r := range registers {
		k, err := a.newKeeper(r)
		if err != nil {
			return nil, fmt.Errorf("closings of %s/%s: %w", r.Organization, r.Register, err)
		}
		all[k.name] = k
	}
	return all, nil
}

// Reload takes over a changed configuration. Steps that failed are tried again
// at once. On an error the former configuration stays.
func (a *Archive) Reload(registers []Register) error {
	next, err := a.newKeepers(registers)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for n, k := range next {
		if before := a.keepers[n]; before != nil {
			// Whoever is at work goes on, nobody beside, and is heard when it is done.
			k.closing, k.stepping, k.bell = before.closing, before.stepping, before.bell
		}
	}
	a.keepers = next
	a.vault.forgive("")
	select {
	case a.changed <- struct{}{}:
	default:
	}
	return nil
}

// Run keeps every register until ctx ends.
func (a *Archive) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := a.runKeepers(ctx); err != nil {
			return err
		}
	}
	return nil
}

// runKeepers runs the keepers there are, until ctx ends or there are others.
func (a *Archive) runKeepers(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	for _, k := range a.kept() {
		all.Go(func() { k.run(ctx) })
	}
	select {
	case <-ctx.Done():
	case <-a.changed:
	}
	return nil
}

func (a *Archive) kept() []*keeper {
	a.mu.Lock()
	defer a.mu.Unlock()
	var all []*keeper
	for _, k := range a.keepers {
		all = append(all, k)
	}
	return all
}

func (a *Archive) keeper(org, reg string) (*keeper, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if k := a.keepers[name{org, reg}]; k != nil {
		return k, nil
	}
	return nil, fmt.Errorf("register %q of %s: %w", reg, org, register.ErrNotFound)
}

// Close closes the days up to and including through, or to yesterday when
// it is empty, in the actor's name, and returns the closings it made. They are
// signed and delivered by Run, or by Work.
func (a *Archive) Close(ctx context.Context, by register.Actor, org, reg, through string) ([]register.Closing, error) {
	k, err := a.keeper(org, reg)
	if err != nil {
		return nil, err
	}
	return k.closeDays(ctx, by, through)
}

// Work does what is due now for a register's closings, once, and returns the
// first failure: for a command without a daemon.
func (a *Archive) Work(ctx context.Context, org, reg string) error {
	k, err := a.keeper(org, reg)
	if err != nil {
		return err
	}
	_, err = k.work(ctx)
	return err
}

// Way is how a register's closings go: the states they pass, in order, and the
// local time at which the day before is closed, empty when only a person
// closes.
func (a *Archive) Way(org, reg string) (states []register.ClosingState, autoAt string) {
	k, err := a.keeper(org, reg)
	if err != nil {
		return nil, ""
	}
	states = []register.ClosingState{register.ClosingClosed}
	if k.conf.OpenKey != nil {
		states = append(states, register.ClosingSigned)
		if len(k.conf.Authorities) > 0 {
			states = append(states, register.ClosingStamped)
		}
	}
	if k.carrier != nil {
		states = append(states, register.ClosingDelivered, register.ClosingAccepted)
	}
	return states, k.conf.AutoAt
}

// Retry has the next step of a closing tried again now; a package that was
// rejected is made again and sent under the same identity.
func (a *Archive) Retry(ctx context.Context, by register.Actor, org, reg, id, reason string) (register.Closing, error) {
	k, err := a.keeper(org, reg)
	if err != nil {
		return register.Closing{}, err
	}
	c, err := a.office.RetryClosing(ctx, by, org, reg, id, reason)
	if err != nil {
		return register.Closing{}, err
	}
	a.vault.forgive(k.conf.Lock)
	for _, other := range a.kept() {
		if other == k || k.conf.Lock != "" && other.conf.Lock == k.conf.Lock {
			other.forgive()
			other.ring()
		}
	}
	return c, nil
}

// errNotDelivered: a receipt came for what was never sent.
var errNotDelivered = fmt.Errorf("%w: it has not been delivered", register.ErrState)

// Receive takes a receipt that a person hands in.
func (a *Archive) Receive(ctx context.Context, by register.Actor, org, reg, id string, rdv []byte) (register.Closing, error) {
	k, err := a.keeper(org, reg)
	if err != nil {
		return register.Closing{}, err
	}
	if !by.Can(register.Manage, org, reg) {
		return register.Closing{}, fmt.Errorf("%w: %s in %s/%s", register.ErrForbidden, register.Manage, org, reg)
	}
	c, err := a.office.Closing(ctx, by, org, reg, id)
	switch {
	case err != nil:
		return c, err
	case c.Reached != register.ClosingDelivered:
		return c, errNotDelivered
	}
	if c, err = k.take(ctx, c, rdv); errors.Is(err, errReceipt) {
		err = &register.FieldError{Field: "receipt", Detail: err.Error()}
	}
	return c, err
}
