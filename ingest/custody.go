package ingest

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/protodaemon/protodaemon/pec"
	"github.com/protodaemon/protodaemon/register"
	"github.com/protodaemon/protodaemon/store"
)

// parcel is a message that has been received whole, on its way into custody.
type parcel struct {
	item
	blob    store.BlobWriter
	noticed time.Time
	digest  store.Digest // once the blob is committed
	doubt   string       // why a person has to look, whatever the analysis says
}

// outcome is what became of a parcel.
type outcome struct {
	uid    imap.UID
	size   int64
	known  known
	err    error
	reason string // of failure, for the metric
}

// keep makes the bytes durable and then gives the message into the register's
// custody. It runs beside the connection, several at a time, so that they
// share the syncs of the store.
func (o *owner) keep(ctx context.Context, p parcel) outcome {
	out := outcome{uid: p.uid, size: p.size}
	defer p.blob.Close()
	analysis, quarantine, err := o.analyse(ctx, p)
	if err != nil {
		out.err = err
		return out
	}
	if p.digest == (store.Digest{}) {
		if p.digest, _, err = p.blob.Commit(ctx); err != nil {
			out.err, out.reason = &registerError{fmt.Errorf("keeping the bytes of uid %d: %w", p.uid, err)}, failStore
			return out
		}
	}
	a := o.arrival(p.item, p.digest, p.noticed)
	a.State = register.StatePending
	if why := cmp.Or(p.doubt, quarantine); why != "" {
		a.State, a.Reason = register.StateQuarantined, why
	}
	analysis.SHA256, analysis.Size = p.digest.String(), p.size
	if analysis.ContentSHA256 == "" {
		analysis.ContentSHA256 = analysis.SHA256
	}
	a.Summary = summarize(analysis, p.digest)
	if a.Analysis, err = json.Marshal(analysis); err != nil {
		out.err = fmt.Errorf("writing down the analysis of uid %d: %w", p.uid, err)
		return out
	}
	out.known, out.err = o.arrive(ctx, a)
	out.reason = failRegister
	return out
}

func (o *owner) arrival(it item, digest store.Digest, noticed time.Time) register.Arrival {
	return register.Arrival{
		Organization: o.m.Organization, Mailbox: o.m.ID, Message: digest, Size: it.size,
		ArrivedAt: it.date, Noticed: noticed,
	}
}

func (o *owner) arrive(ctx context.Context, a register.Arrival) (known, error) {
	p, err := o.in.opt.Office.Arrive(ctx, a)
	if err != nil {
		return known{}, &registerError{fmt.Errorf("taking a message into custody: %w", err)}
	}
	return known{ID: p.ID, Message: a.Message}, nil
}

// analyse reads the message. Whatever happens to the analysis, the message is
// taken: a panic or a reading that takes too long leaves it quarantined.
func (o *owner) analyse(ctx context.Context, p parcel) (a *pec.Analysis, quarantine string, err error) {
	select {
	case o.in.reading <- struct{}{}:
		defer func() { <-o.in.reading }()
	case <-ctx.Done():
		return nil, "", context.Cause(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, o.in.opt.Timing.Analysis)
	defer cancel()
	defer func() {
		if v := recover(); v != nil {
			o.log.Error("the analysis of a message failed", "uid", p.uid, "err", fmt.Sprint(v), "stack", string(debug.Stack()))
			a, quarantine, err = emptyAnalysis(), "the analysis failed: this is a defect of the program", nil
		}
	}()
	a = pec.Read(ctx, p.blob, p.size, pec.Options{Trust: o.trust.Load(), Limits: o.in.opt.Limits, Digested: true})
	if errors.Is(ctx.Err(), context.Canceled) {
		return nil, "", ctx.Err() // shutting down: what was read is not to be kept
	}
	return a, beyondBounds(a), nil
}

// partial are the warnings after which a person has to look: the analysis
// does not cover the whole message.
var partial = []string{
	pec.TooManyParts, pec.TooDeep, pec.HeaderTooLong, pec.MessageTooLarge, pec.MessageTruncated,
	pec.DaticertTooLarge, pec.SignatureTooLarge, pec.Unhashed, pec.Interrupted,
}

func beyondBounds(a *pec.Analysis) string {
	for _, w := range a.Warnings {
		if slices.Contains(partial, w.Code) {
			return "the analysis is incomplete: " + w.Code
		}
	}
	return ""
}

// emptyAnalysis is that of a message about which nothing can be said.
func emptyAnalysis() *pec.Analysis {
	return &pec.Analysis{
		Kind: pec.Email, Authenticity: pec.Unsigned, Signature: pec.Signature{Status: pec.SignatureError, Problems: []string{}},
		To: []pec.Address{}, Cc: []pec.Address{}, Attachments: []pec.Attachment{},
		Warnings: []pec.Warning{{Code: "analysis-failed", Detail: "the message could not be analysed"}},
	}
}

// summarize picks from an analysis what the register itself needs.
func summarize(a *pec.Analysis, whole store.Digest) register.Summary {
	s := register.Summary{
		Kind: string(a.Kind), Authenticity: string(a.Authenticity), Subject: a.Subject,
		From:      register.Party{Name: a.From.Name, Address: a.From.Address, Role: "sender"},
		MessageID: a.MessageID, Content: whole, Warnings: len(a.Warnings),
	}
	var content store.Digest
	if content.UnmarshalText([]byte(a.ContentSHA256)) == nil {
		s.Content = content
	}
	for _, l := range []struct {
		role string
		list []pec.Address
	}{{"recipient", a.To}, {"copy", a.Cc}} {
		for _, to := range l.list {
			s.To = append(s.To, register.Party{Name: to.Name, Address: to.Address, Role: l.role})
		}
	}
	if a.PEC != nil {
		s.Certified, s.Identifier = a.PEC.Time, a.PEC.Identifier
	}
	for _, at := range a.Attachments {
		d := register.Document{Part: at.Part, Name: at.Name, MediaType: at.MediaType, Size: at.Size}
		if d.SHA256.UnmarshalText([]byte(at.SHA256)) == nil {
			s.Attachments = append(s.Attachments, d)
		}
	}
	for _, w := range a.Warnings {
		s.LookAlike = s.LookAlike || w.Code == pec.PECLookalike
	}
	return s
}

// registerError is trouble on our side: the connection is well.
type registerError struct{ err error }

func (e *registerError) Error() string { return e.err.Error() }
func (e *registerError) Unwrap() error { return e.err }

// failed counts a failure of one message and decides when to try again.
func (o *owner) failed(uid imap.UID, reason string, err error) {
	r := o.failing[uid]
	if r == nil {
		r = &retry{}
		o.failing[uid] = r
	}
	// Two attempts follow at once; after the third it is reported, and the
	// others go on without it.
	r.tries++
	if r.tries < 3 {
		return
	}
	r.later(o.in.opt.Timing.MoveRetry, r.tries-3)
	if r.tries == 3 {
		o.in.metrics.fail(o.m, reason)
	}
	o.log.LogAttrs(context.Background(), slog.LevelWarn, "a message cannot be taken yet",
		slog.Uint64("uid", uint64(uid)), slog.String("reason", reason), slog.Int("attempts", r.tries),
		slog.Time("again", r.after), slog.String("err", oneLine(err)))
}

// retry is when something that failed may be tried again.
type retry struct {
	tries int
	after time.Time
}

func (r *retry) waiting() bool { return time.Now().Before(r.after) }

// later puts the next attempt off: base, doubled n times, an hour at most.
func (r *retry) later(base time.Duration, n int) {
	r.after = time.Now().Add(min(base<<min(n, 20), time.Hour))
}
