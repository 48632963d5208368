package ingest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/protodaemon/protodaemon/pec"
	"github.com/protodaemon/protodaemon/register"
)

// owner is the one goroutine that watches a mailbox. What is not marked
// otherwise is touched by it alone.
type owner struct {
	in  *Ingest
	m   Mailbox
	log *slog.Logger

	// Replaced by Reload.
	password atomic.Pointer[func() (string, error)]
	trust    atomic.Pointer[pec.Trust]

	// Set by the client's reader goroutine.
	news    chan struct{} // holds at most one
	noticed atomic.Int64  // when the first news came that was not looked at yet
	pushed  atomic.Bool   // news came while we waited in IDLE
	idling  atomic.Bool

	office <-chan struct{} // the register's news

	s      *session
	places places
	pos    *position

	// Kept from one connection to the next.
	valid      uint32               // UIDVALIDITY that the maps are about
	failing    map[imap.UID]*retry  // messages that could not be taken
	odd        map[imap.UID]oddBody // bodies whose size was not the listed one
	unexpected map[imap.UID]string  // taken again for the register's sake
	askedDue   bool

	// mustCompare: something may have left the folder; marked: how many known
	// messages had the mark \Deleted at the last pass.
	mustCompare bool
	marked      int
	found       int // messages taken so far
	strikes     int // cross-checks in a row that found what was not announced
	lastSeen    time.Time
	status      register.MailboxStatus // as last reported
	tried       [sha256.Size]byte      // the password of the last login
}

func newOwner(in *Ingest, m Mailbox) *owner {
	o := &owner{
		in: in, m: m,
		log:    in.opt.Log.With("organization", m.Organization, "mailbox", m.ID),
		news:   make(chan struct{}, 1),
		office: in.opt.Office.News(m.Organization, m.ID),
	}
	o.password.Store(&m.IMAP.Password)
	o.trust.Store(m.Trust)
	in.metrics.begin(m)
	o.forgetMessages(0)
	return o
}

func (o *owner) forgetMessages(valid uint32) {
	o.valid = valid
	o.failing, o.odd = map[imap.UID]*retry{}, map[imap.UID]oddBody{}
	o.unexpected = map[imap.UID]string{}
}

// run connects again and again until ctx ends.
func (o *owner) run(ctx context.Context, delay time.Duration) {
	o.report(register.Connecting, "")
	t := o.in.opt.Timing
	failures := 0
	for wait(ctx, delay, nil) {
		watched, err := o.connection(ctx)
		if ctx.Err() != nil {
			return
		}
		if watched {
			failures = 0
		}
		why := explain(err, o.m)
		var login *loginError
		first, most := t.Retry, t.RetryMax
		if errors.As(err, &login) {
			first, most = t.LoginRetry, 30*t.LoginRetry
		}
		delay = jitter(min(first<<min(failures, 20), most))
		failures++
		state := register.Backoff
		if why.lasting {
			state = register.Failed
		}
		if o.status.LastError != why.String() || failures == 1 {
			o.log.Warn("the mailbox is not watched", "code", why.Code, "err", why.Text, "retry_in", delay)
		}
		o.report(state, why.String())
		if login != nil {
			o.untilNewPassword(ctx, delay)
			delay = 0
			continue
		}
		// Somebody who asks for a look does not have to wait.
		wait(ctx, delay, o.office)
		delay = jitter(t.Retry)
	}
}

func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }

// wait waits, unless woken before, and tells whether ctx still runs.
func wait(ctx context.Context, d time.Duration, wake <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-wake:
	case <-timer.C:
	}
	return ctx.Err() == nil
}

// untilNewPassword waits out a refused login, unless the password changes: a
// corrected secret should not have to wait for half an hour.
func (o *owner) untilNewPassword(ctx context.Context, d time.Duration) {
	end := time.Now().Add(d)
	for time.Now().Before(end) && wait(ctx, min(o.in.opt.Timing.QuickPoll, time.Until(end)), nil) {
		p, err := (*o.password.Load())()
		if err == nil && sha256.Sum256([]byte(p)) != o.tried {
			return
		}
	}
}

// loginTo connects and logs in with the password as it is now.
func loginTo(ctx context.Context, m Mailbox, t Timing, maxBody int64, news func()) (*session, error) {
	password, err := m.IMAP.Password()
	if err != nil {
		return nil, &secretError{err}
	}
	return connect(ctx, m.IMAP, password, t, maxBody, news)
}

// connection is one connection from the login to its end. watched tells that
// the folder was compared at least once.
func (o *owner) connection(ctx context.Context) (watched bool, err error) {
	if err := o.login(ctx); err != nil {
		return false, err
	}
	defer func() {
		if ctx.Err() != nil {
			o.s.logout(ctx)
		} else {
			o.s.close()
		}
	}()
	byClock := false
	for {
		err := o.look(ctx, byClock)
		var ours *registerError
		switch {
		case err == nil:
			watched = true
		case ctx.Err() == nil && errors.As(err, &ours):
			o.registerTrouble(err)
		default:
			return watched, err
		}
		if byClock, err = o.waitForNews(ctx, ours != nil); err != nil {
			return watched, err
		}
	}
}

// login connects, finds the folders, opens the watched one and reads what is
// remembered of it.
func (o *owner) login(ctx context.Context) error {
	select {
	case o.in.logins <- struct{}{}:
		defer func() { <-o.in.logins }()
	case <-ctx.Done():
		return ctx.Err()
	}
	m := o.m
	m.IMAP.Password = func() (string, error) {
		p, err := (*o.password.Load())()
		o.tried = sha256.Sum256([]byte(p))
		return p, err
	}
	s, err := loginTo(ctx, m, o.in.opt.Timing, o.in.opt.MaxMessage, o.noteNews)
	if err != nil {
		return err
	}
	o.s = s
	if err := o.openFolder(ctx); err != nil {
		s.close()
		return err
	}
	return nil
}

func (o *owner) openFolder(ctx context.Context) error {
	p, err := o.s.resolve(ctx, o.m.Folders, true)
	if err != nil {
		return err
	}
	data, err := o.s.open(ctx, p.pending, false)
	if err != nil {
		return err
	}
	notes, err := o.in.opt.Office.Notes(ctx, o.m.Organization)
	if err != nil {
		return &registerError{fmt.Errorf("opening the notes: %w", err)}
	}
	acts := map[string]*act(nil)
	if o.pos != nil {
		acts = o.pos.acts
	}
	o.places, o.mustCompare = p, true
	if o.pos, err = openPosition(ctx, notes, o.m, p.pending, data.UIDValidity); err != nil {
		return &registerError{err}
	}
	o.pos.keepActs(acts)
	if o.valid != data.UIDValidity {
		o.forgetMessages(data.UIDValidity)
	}
	return nil
}

// noteNews is called from the client's reader.
func (o *owner) noteNews() {
	if o.idling.Load() {
		o.pushed.Store(true)
	}
	o.noticed.CompareAndSwap(0, time.Now().UnixNano())
	select {
	case o.news <- struct{}{}:
	default:
	}
}

// maxPasses bounds one look at a folder that never comes to rest.
const maxPasses = 1000

// look makes passes until there is nothing left to do. byClock: nobody has
// announced anything, this is the cross-check.
func (o *owner) look(ctx context.Context, byClock bool) error {
	if byClock {
		// SELECT opens the folder by its name; STATUS of the open folder would
		// answer from the session's own view (RFC 9051 section 6.3.11), which
		// may be of one that somebody has replaced.
		data, err := o.s.open(ctx, o.places.pending, false)
		if answered(err) || err == nil && data.UIDValidity != o.pos.valid {
			return errReset
		}
		if err != nil {
			return err
		}
	}
	o.mustCompare = o.mustCompare || byClock
	found := o.found
	for again, n := true, 0; again && n < maxPasses; n++ {
		select {
		case <-o.news:
		default:
		}
		var err error
		if again, err = o.pass(ctx); err != nil {
			return err
		}
		o.seen()
	}
	o.judgePush(byClock && o.found > found)
	o.seen()
	return nil
}

// judgePush watches whether the server announces what happens: after two
// cross-checks in a row that found messages in silence it is polled quickly,
// until it announces something again.
func (o *owner) judgePush(silent bool) {
	switch {
	case o.pushed.Swap(false):
		o.strikes = 0
	case silent:
		o.strikes++
	}
}

// quick tells that the server is polled.
func (o *owner) quick() bool { return o.strikes >= 2 || !o.canIdle() }

func (o *owner) canIdle() bool { return o.s.caps.Has(imap.CapIdle) && !o.s.noIdle }

// seen reports that the folder has just been compared.
func (o *owner) seen() {
	o.lastSeen = time.Now()
	o.in.metrics.saw(o.m, o.lastSeen)
	state := register.Watching
	if o.quick() {
		state = register.Polling
	}
	o.report(state, "")
}

func (o *owner) registerTrouble(err error) {
	text := "register: messages cannot be taken into custody or moved now: " + oneLine(err)
	if o.status.LastError != text {
		o.log.Error("the register does not take messages", "err", err)
	}
	o.report(register.Backoff, text)
}

func (o *owner) report(state register.MailboxState, lastError string) {
	o.in.metrics.setUp(o.m, state == register.Watching || state == register.Polling)
	o.status = register.MailboxStatus{
		Mailbox: register.Mailbox{
			Organization: o.m.Organization, Register: o.m.Register, ID: o.m.ID, Kind: o.m.Kind, Address: o.m.Address,
		},
		State: state, LastSeen: o.lastSeen, LastError: lastError,
	}
	o.in.opt.Office.Report(o.status)
}

// waitForNews waits for the server, the register or the clock. It waits in
// IDLE where the server has it; that ends at every poll, so that a router does
// not forget the connection and a dead one is noticed.
func (o *owner) waitForNews(ctx context.Context, trouble bool) (byClock bool, err error) {
	t := o.in.opt.Timing
	d := min(t.Poll, t.IdleRenew, o.nextRetry())
	if o.quick() {
		d = min(d, t.QuickPoll)
	}
	if trouble {
		d = min(d, t.MoveRetry)
	}
	idle, err := o.idle(ctx)
	if err != nil {
		return false, err
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-o.s.c.Closed():
	case <-timer.C:
		byClock = true
	case <-o.news:
	case <-o.office:
		o.retryMoves()
	}
	o.idling.Store(false)
	if idle == nil {
		return byClock, ctx.Err()
	}
	err = o.s.do(ctx, t.Command, func() error { return errors.Join(idle.Close(), idle.Wait()) })
	if err != nil {
		return false, fmt.Errorf("ending IDLE: %w", err)
	}
	return byClock, nil
}

// idle enters IDLE, or returns nil where that cannot be done.
func (o *owner) idle(ctx context.Context) (cmd *imapclient.IdleCommand, err error) {
	if !o.canIdle() {
		return nil, ctx.Err()
	}
	err = o.s.do(ctx, o.in.opt.Timing.Command, func() (err error) {
		cmd, err = o.s.c.Idle()
		return err
	})
	if answered(err) {
		o.s.noIdle = true
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("entering IDLE: %w", err)
	}
	o.idling.Store(true)
	return cmd, nil
}

// nextRetry is when the earliest attempt is due that had been put off.
func (o *owner) nextRetry() time.Duration {
	next := time.Hour
	for _, r := range o.failing {
		next = min(next, time.Until(r.after))
	}
	for _, a := range o.pos.acts {
		if !a.after.IsZero() {
			next = min(next, time.Until(a.after))
		}
	}
	return max(next, 100*time.Millisecond)
}

// retryMoves lets everything be tried at once: somebody asked us to look.
func (o *owner) retryMoves() {
	for _, a := range o.pos.acts {
		a.after = time.Time{}
	}
}
