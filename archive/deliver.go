package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
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
}

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
	// receipts returns what may have come back for a package; also what was
	// returned before.
	receipts(ctx context.Context, p parcel) ([]answer, error)
}

// answer is a file that may be a package's receipt. sure: where it lay or how
// it is called says that it is.
type answer struct {
	content []byte
	sure    bool
}

// deliveryError is a failure with its stable code.
type deliveryError struct {
	code  string
	err   error
	after time.Duration // when the other side wants to be asked again; 0: it does not say
}

func (e *deliveryError) Error() string { return e.err.Error() }
func (e *deliveryError) Unwrap() error { return e.err }

// RetryAfter is what the keeper asks of a failure.
func (e *deliveryError) RetryAfter() time.Duration { return e.after }

func failure(code, format string, args ...any) error {
	return &deliveryError{code: code, err: fmt.Errorf(format, args...)}
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

// folder delivers into a directory of this machine.
type folder struct{ path, receiptsPath string }

func newFolder(d Delivery) (carrier, error) {
	if d.Path == "" {
		return nil, errors.New("deliver.path names no directory")
	}
	f := folder{d.Path, d.Receipts}
	if f.receiptsPath == "" {
		f.receiptsPath = filepath.Join(d.Path, "ricevute")
	}
	return f, nil
}

func (f folder) send(ctx context.Context, p parcel) (string, []byte, error) {
	target := filepath.Join(f.path, p.file.Name)
	switch same, err := f.there(target, p.file); {
	case err != nil:
		return "", nil, folderError(f.path, err)
	case same:
		return target, nil, nil
	}
	if err := f.write(ctx, target, p); err != nil {
		return "", nil, folderError(f.path, err)
	}
	return target, nil, nil
}

// there tells whether the package lies there already; another file of its name
// is an error.
func (f folder) there(target string, file register.ClosingFile) (bool, error) {
	in, err := os.Open(target)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer in.Close()
	digest, err := digestOf(in)
	if err == nil && digest != file.SHA256 {
		err = failure(codeDifferent, "%s is there and is another file; look at it and move it away", target)
	}
	return err == nil, err
}

func (f folder) write(ctx context.Context, target string, p parcel) (err error) {
	info, err := os.Stat(f.path)
	if err == nil && !info.IsDir() {
		err = syscall.ENOTDIR
	}
	if err != nil {
		return err
	}
	part := filepath.Join(f.path, "."+p.file.Name+".part")
	// A link that somebody laid there would lead to another file.
	out, err := os.OpenFile(part, os.O_CREATE|os.O_TRUNC|os.O_WRONLY|syscall.O_NOFOLLOW, 0o640)
	if err != nil {
		return err
	}
	err = errors.Join(copyFile(ctx, out, p.file, p.open), out.Sync(), out.Close())
	if err == nil {
		err = os.Rename(part, target)
	}
	if err != nil {
		return errors.Join(err, os.Remove(part))
	}
	dir, err := os.Open(f.path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func folderError(path string, err error) error {
	var d *deliveryError
	switch {
	case errors.As(err, &d):
		return err
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return failure(codeDestinationMissing, "the directory %s is not there; is its disk mounted? %w", path, err)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return failure(codeDestinationFull, "there is no room in %s: %w", path, err)
	}
	return failure(codeDestination, "delivering into %s: %w", path, err)
}

// The bounds of one look for receipts.
const maxReceiptFiles = 50_000

func (f folder) receipts(_ context.Context, p parcel) (all []answer, err error) {
	entries, err := os.ReadDir(f.receiptsPath)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, folderError(f.receiptsPath, err)
	}
	for _, e := range entries[:min(len(entries), maxReceiptFiles)] {
		look, sure := mayConcern(e.Name(), e.Type(), p)
		if !look {
			continue
		}
		if info, err := e.Info(); !sure && (err != nil || !info.ModTime().After(lookedFrom(p))) {
			continue
		}
		b, err := readReceiptFile(filepath.Join(f.receiptsPath, e.Name()))
		if err != nil {
			return nil, folderError(f.receiptsPath, err)
		}
		all = append(all, answer{b, sure})
	}
	return all, nil
}

func readReceiptFile(name string) (b []byte, err error) {
	in, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	return readReceipt(in)
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
