package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/protodaemon/protodaemon/register"
	"github.com/protodaemon/protodaemon/sign"
	"github.com/protodaemon/protodaemon/store"
)

// Delivery says where packages go and where receipts come from.
type Delivery struct {
	Kind string // directory, sftp or http; empty: closings stay where they are made
	// Path is the directory, here or on the sftp server.
	Path string
	// Receipts is the directory where receipts are laid, beside it; empty: Path
	// and its subdirectory ricevute.
	Receipts string
	URL      string // sftp://host[:port], or https://…
	Username string
	Password func() (string, error) // nil: none
	// KeyFile and KnownHostsFile are for sftp, the others for http.
	KeyFile, KnownHostsFile               string
	CAFile, ClientCertFile, ClientKeyFile string
	Profile                               Profile
	ParER                                 ParER
	// Conservator is to whom the packages go; nil: the organization itself.
	Conservator *register.Recipient
	// Class is where the daily register stands in the filing plan, for the
	// metadata; its zero value: they do not say.
	Class Class
}

// Class is an entry of a filing plan (piano di classificazione).
type Class struct{ Index, Description, Plan string }

// parcel is a package on its way.
type parcel struct {
	closing register.Closing
	file    register.ClosingFile
	// files are what is in it, for who takes them one by one.
	files []register.ClosingFile
	open  open
}

// carrier brings packages to conservation. Bringing one twice is harmless.
type carrier interface {
	// send returns what the other side calls it, and its receipt when that is
	// the answer.
	send(ctx context.Context, p parcel) (sent string, receipt []byte, err error)
	// receipts shows what may have come back for a package, also what was shown
	// before, one after the other, until look has seen enough.
	receipts(ctx context.Context, p parcel, look func(answer) (enough bool)) error
}

// answer is a file that may be a package's receipt. sure: where it lay or how
// it is called says that it is.
type answer struct {
	content []byte
	sure    bool
}

// deliveryError is a failure with its stable code.
type deliveryError struct {
	code   string
	err    error
	after  time.Duration // when the other side wants to be asked again; 0: it does not say
	shared bool          // it stands in the way of every package
}

func (e *deliveryError) Error() string { return e.err.Error() }
func (e *deliveryError) Unwrap() error { return e.err }

// RetryAfter is what the keeper asks of a failure.
func (e *deliveryError) RetryAfter() time.Duration { return e.after }

func failure(code, format string, args ...any) error {
	return &deliveryError{code: code, err: fmt.Errorf(format, args...), shared: ofDestination[code]}
}

// ofDestination are the codes of what is the matter with a destination, whatever
// is to be brought there.
var ofDestination = map[string]bool{
	codeDestinationMissing: true, codeDestinationFull: true, codeHostUnknown: true, codeHostChanged: true,
	codeLogin: true, codeUnreachable: true, codeCrowded: true,
}

// The codes of a step's trouble beside those of signing.
const (
	codeDestinationMissing = "destination-missing"
	codeDestinationFull    = "destination-full"
	codeDestination        = "destination-unwritable"
	codeDifferent          = "another-file-there"
	codeHostUnknown        = "host-key-unknown"
	codeHostChanged        = "host-key-changed"
	codeLogin              = "login-refused"
	codeUnreachable        = "unreachable"
	codeRefused            = "refused"
	codeReceipt            = "receipt-malformed"
	codeCrowded            = "receipts-too-many"
	codeFailed             = "failed"
)

// troubleCode is the stable code of a failed step.
func troubleCode(err error) string {
	var d *deliveryError
	if errors.As(err, &d) {
		return d.code
	}
	for _, c := range []struct {
		err  error
		code string
	}{
		{sign.ErrExpired, "certificate-expired"}, {sign.ErrPIN, "pin-wrong"}, {sign.ErrLocked, "key-locked"},
		{sign.ErrUnreachable, codeUnreachable}, {context.DeadlineExceeded, codeUnreachable},
		{sign.ErrRefused, codeRefused}, {sign.ErrUnusable, "key-unusable"}, {errReceipt, codeReceipt},
	} {
		if errors.Is(err, c.err) {
			return c.code
		}
	}
	return codeFailed
}

// carriers make what brings packages, by kind.
var carriers = map[string]func(Delivery) (carrier, error){
	"directory": newFolder, "sftp": newSFTP, "http": newPoster,
}

func newCarrier(d Delivery) (carrier, error) {
	if carriers[d.Kind] == nil {
		return nil, fmt.Errorf("there is no delivery of kind %q", d.Kind)
	}
	return carriers[d.Kind](d)
}

// readReceipt reads a receipt, and of one that is too large so much that it is
// refused as a receipt: it must not hide the others that lie beside it.
func readReceipt(r io.Reader) ([]byte, error) { return io.ReadAll(io.LimitReader(r, maxReceipt+1)) }

// clocksApart is how far the clock of a destination may be behind ours.
const clocksApart = 24 * time.Hour

// mayConcern tells whether a file is worth a look as a package's receipt. It is
// sure of one whose name holds that of the daily register. One with another
// name may be, because conservators call them as they like, but none that names
// another daily register of this register.
func mayConcern(name string, mode fs.FileMode, p parcel) (look, sure bool) {
	if !mode.IsRegular() || name == p.file.Name || strings.HasPrefix(name, ".") || strings.HasSuffix(name, ".zip") || strings.HasSuffix(name, ".part") {
		return false, false
	}
	if strings.Contains(name, p.closing.Name) {
		return true, true
	}
	series, _, _ := strings.Cut(p.closing.Name, strings.ReplaceAll(p.closing.Day, "-", ""))
	return !strings.Contains(name, series), false
}

// lookedFrom is the time from which on a file may be a receipt of the package.
func lookedFrom(p parcel) time.Time {
	sent := p.closing.ClosedAt
	if c := p.closing.Parcel; c != nil && c.SentAt != nil {
		sent = *c.SentAt
	}
	return sent.Add(-clocksApart)
}

func digestOf(r io.Reader) (d store.Digest, err error) {
	h := newDigest()
	if _, err = io.Copy(h, r); err == nil {
		h.Sum(d[:0])
	}
	return d, err
}
