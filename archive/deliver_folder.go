package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/protodaemon/protodaemon/register"
)

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
	in, err := openFile(target, os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if errors.Is(err, errNoFile) {
		return false, failure(codeDifferent, "%s is there and is no file; look at it and move it away", target)
	}
	if err != nil {
		return false, err
	}
	defer in.Close()
	digest, err := digestOf(io.LimitReader(in, file.Size+1))
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
	out, err := openFile(part, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o640)
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

var errNoFile = errors.New("it is no regular file")

// openFile opens a regular file where others may write too: a link that somebody
// laid there would lead to another file, and a pipe would hold up who opens it.
func openFile(name string, flag int, mode fs.FileMode) (*os.File, error) {
	f, err := os.OpenFile(name, flag|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, mode)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s: %w", name, errNoFile)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// The bounds of one look for receipts in a directory, which is read in pieces.
const (
	maxListed   = 500_000
	listedChunk = 1000
)

func (f folder) receipts(ctx context.Context, p parcel, look func(answer) bool) (err error) {
	dir, err := os.OpenFile(f.receiptsPath, os.O_RDONLY|syscall.O_DIRECTORY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return folderError(f.receiptsPath, err)
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	for listed := 0; listed < maxListed; {
		entries, err := dir.ReadDir(listedChunk)
		for _, e := range entries {
			enough, err := f.receipt(e, p, look)
			if enough || err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return folderError(f.receiptsPath, err)
		case ctx.Err() != nil:
			return context.Cause(ctx)
		}
		listed += len(entries)
	}
	return failure(codeCrowded, "there are more than %d files in %s; move old receipts away", maxListed, f.receiptsPath)
}

// receipt shows one file of the directory, if it may be a receipt.
func (f folder) receipt(e fs.DirEntry, p parcel, look func(answer) bool) (enough bool, err error) {
	may, sure := mayConcern(e.Name(), e.Type(), p)
	if !may {
		return false, nil
	}
	if info, err := e.Info(); !sure && (err != nil || !info.ModTime().After(lookedFrom(p))) {
		return false, nil
	}
	b, err := readReceiptFile(filepath.Join(f.receiptsPath, e.Name()))
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, errNoFile), errors.Is(err, syscall.ELOOP):
		return false, nil // it was there, or a file, when the directory was read
	case err != nil:
		return false, folderError(f.receiptsPath, err)
	}
	return look(answer{b, sure}), nil
}

func readReceiptFile(name string) (b []byte, err error) {
	in, err := openFile(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	return readReceipt(in)
}
