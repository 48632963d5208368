package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/protodaemon/protodaemon/cms"
	"github.com/protodaemon/protodaemon/register"
	"github.com/protodaemon/protodaemon/sign"
	"github.com/protodaemon/protodaemon/store"
)

// The codes of what Verify finds.
const (
	codeFileDiffers = "closing-file-differs"      // a file is not what its records give
	codeSignature   = "closing-signature-invalid" // a signature or stamp does not hold
	codeRenewal     = "closing-renewal-invalid"   // a renewal of evidence does not hold
	codeUnproved    = "closing-state-unproved"    // it lacks what proves its state
	codeUnreadable  = "unreadable"
)

// Verify checks every closing offline: the files of the step closed are derived
// again and compared byte for byte, each signed file holds what was to be
// signed, signatures and stamps fit, evidence was renewed before it expired, and
// what proves each step is there: nothing is accepted without its receipt. What
// the register can check of closings (ranges, counts, blobs) is its own Verify.
func (a *Archive) Verify(ctx context.Context) ([]register.Problem, error) {
	problems := []register.Problem{}
	kept := a.kept()
	slices.SortFunc(kept, func(x, y *keeper) int {
		return strings.Compare(x.name.organization+"/"+x.name.register, y.name.organization+"/"+y.name.register)
	})
	for _, k := range kept {
		q := register.ClosingQuery{Limit: 100}
		for {
			page, err := a.office.Closings(ctx, register.System(), k.name.organization, k.name.register, q)
			if errors.Is(err, register.ErrUnavailable) {
				break // the register's own verification tells why
			}
			if err != nil {
				return problems, err
			}
			for _, c := range page.Items {
				for _, p := range k.check(ctx, c) {
					p.Detail = "register " + k.name.organization + "/" + k.name.register + ": closing " + c.ID + ": " + p.Detail
					problems = append(problems, p)
				}
				if ctx.Err() != nil {
					return problems, ctx.Err()
				}
			}
			if q.Cursor = page.Next; q.Cursor == "" {
				break
			}
		}
	}
	return problems, nil
}

// check finds what is wrong with one closing.
func (k *keeper) check(ctx context.Context, c register.Closing) (problems []register.Problem) {
	report := func(code, format string, args ...any) {
		problems = append(problems, register.Problem{Code: code, Detail: fmt.Sprintf(format, args...)})
	}
	if !c.Recovered && c.Format == register.ClosingFormat {
		k.derive(ctx, c, report)
	}
	if err := k.proved(ctx, c); err != nil {
		report(codeUnproved, "%v", err)
	}
	var evidence time.Time // until when the stamps hold
	for _, s := range []struct{ signed, plain string }{
		{register.FilePDFSigned, register.FilePDF}, {register.FilePDFStamped, register.FilePDF},
		{register.FileImprintsSigned, register.FileImprints}, {register.FileImprintsStamped, register.FileImprints},
		{register.FileXMLSigned, register.FileXML},
	} {
		if _, ok := c.File(s.signed); !ok {
			continue
		}
		b, f, err := k.read(ctx, c, s.signed)
		if err != nil {
			report(codeUnreadable, "%s: %v", f.Name, err)
			continue
		}
		plain, _ := c.File(s.plain)
		stamp, err := holds(b, s.signed, plain)
		if err != nil {
			report(codeSignature, "%s: %v", f.Name, err)
		}
		if stamp != nil && (evidence.IsZero() || stamp.Certificate.NotAfter.Before(evidence)) {
			evidence = stamp.Certificate.NotAfter
		}
	}
	if err := k.checkRenewals(ctx, c, evidence); err != nil {
		report(codeRenewal, "%v", err)
	}
	return problems
}

// proofs are the files without which a closing has not reached a state.
var proofs = map[register.ClosingState][]string{
	register.ClosingClosed:    {register.FileXML, register.FilePDF, register.FileImprints},
	register.ClosingSigned:    {register.FilePDFSigned, register.FileImprintsSigned},
	register.ClosingStamped:   {register.FilePDFStamped, register.FileImprintsStamped},
	register.ClosingDelivered: {register.FilePackage},
	register.ClosingAccepted:  {register.FilePackage, register.FileReceipt},
	register.ClosingRejected:  {register.FilePackage, register.FileReceipt},
}

// proved looks for what proves where a closing stands and what it went through.
func (k *keeper) proved(ctx context.Context, c register.Closing) error {
	reached := []register.ClosingState{register.ClosingClosed, c.Reached}
	for _, s := range c.Steps {
		reached = append(reached, s.State)
	}
	for _, state := range reached {
		for _, role := range proofs[state] {
			if _, ok := c.File(role); !ok {
				return fmt.Errorf("it was %s and has no file %s", state, role)
			}
		}
	}
	if c.Reached != register.ClosingAccepted {
		return nil
	}
	for _, f := range c.Files {
		if f.Role != register.FileReceipt {
			continue
		}
		b, err := k.readFile(ctx, f)
		if err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
		if r, err := parseReceipt(b); err == nil && r.Accepted && r.concerns(c) {
			return nil
		}
	}
	return errors.New("it is accepted, and no receipt of it says so")
}

// holds verifies a signed file against the one that was to be signed, and
// returns its time stamp.
func holds(b []byte, role string, plain register.ClosingFile) (*cms.Stamp, error) {
	var v sign.Verified
	var err error
	if role == register.FileXMLSigned {
		v, err = sign.VerifyXAdES(b)
	} else {
		v, err = sign.Verify(b, nil, nil)
	}
	switch {
	case err != nil:
		return nil, err
	case store.Sum(v.Content) != plain.SHA256:
		return v.Stamp, fmt.Errorf("it is a signature round something else than %s", plain.Name)
	case v.Stamp == nil && (role == register.FilePDFStamped || role == register.FileImprintsStamped):
		return nil, errors.New("it has no time stamp")
	}
	return v.Stamp, nil
}

// derive writes the files of the step closed again, without keeping them.
func (k *keeper) derive(ctx context.Context, c register.Closing, report func(string, string, ...any)) {
	plain := c
	plain.Files = nil
	again, err := compose(ctx, plain, k.happenings(ctx, c), discard, k.open)
	if err != nil {
		report(codeUnreadable, "it cannot be written again: %v", err)
		return
	}
	for _, f := range again.Files {
		said, ok := c.File(f.Role)
		if !ok || said.SHA256 != f.SHA256 {
			report(codeFileDiffers, "%s is not what its records give", f.Name)
		}
	}
}

// discard is keep without keeping.
func discard(_ context.Context, name, mediaType, role string, write func(io.Writer) error) (f register.ClosingFile, err error) {
	h := newDigest()
	n := &counter{to: h}
	if err := write(n); err != nil {
		return f, err
	}
	f = register.ClosingFile{Name: name, MediaType: mediaType, Role: role, Size: n.n}
	h.Sum(f.SHA256[:0])
	return f, nil
}

type counter struct {
	to io.Writer
	n  int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.to.Write(b)
	c.n += int64(n)
	return n, err
}

// checkRenewals verifies that each list of a renewal names the files that were
// there, that its stamp is over the list, and that it was made while the stamp
// before it, which holds until evidence, was still good.
func (k *keeper) checkRenewals(ctx context.Context, c register.Closing, evidence time.Time) error {
	known := map[string]bool{}
	for i, f := range c.Files {
		if f.Role != register.FileRenewal {
			known[f.SHA256.String()+"  "+c.Name+"/"+f.Name] = true
			continue
		}
		list, err := k.readFile(ctx, f)
		if err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
		for _, line := range slices.Sorted(maps.Keys(known)) {
			if !bytes.Contains(list, []byte(line+"\n")) {
				return fmt.Errorf("%s does not name %s", f.Name, line[66:])
			}
		}
		if i+1 >= len(c.Files) || c.Files[i+1].Role != register.FileRenewalStamp {
			return fmt.Errorf("%s has no stamp", f.Name)
		}
		token, err := k.readFile(ctx, c.Files[i+1])
		if err != nil {
			return fmt.Errorf("%s: %w", c.Files[i+1].Name, err)
		}
		stamp, err := cms.VerifyStamp(token, f.SHA256[:], nil)
		if err != nil {
			return fmt.Errorf("%s: %w", c.Files[i+1].Name, err)
		}
		if !evidence.IsZero() && stamp.Time.After(evidence) {
			return fmt.Errorf("%s is of %s: the certificate of the stamp before it had expired on %s", c.Files[i+1].Name,
				stamp.Time.Format(time.RFC3339), evidence.Format(time.RFC3339))
		}
		evidence = stamp.Certificate.NotAfter
		known[f.SHA256.String()+"  "+c.Name+"/"+f.Name] = true
	}
	return nil
}

func (k *keeper) readFile(ctx context.Context, f register.ClosingFile) (b []byte, err error) {
	blob, err := k.open(ctx, f)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, blob.Close()) }()
	b, err = readSized(blob, f.Size)
	if err == nil && store.Sum(b) != f.SHA256 {
		err = fmt.Errorf("%s is damaged: it does not hold the bytes it is named after", f.Name)
	}
	return b, err
}
