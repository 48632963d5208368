package document

import (
	"cmp"
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/protodaemon/protodaemon/cms"
)

// passes bound how often the bytes of the outermost file are read for digests,
// all depths and signatures together.
const passes = 16

// heldMax bounds what is held in memory of unpacked files. What is larger is
// unpacked again each time it is read from its beginning, rereads times the
// bound of what may be unpacked at most.
const (
	heldMax = 16 << 20
	rereads = 8
)

// ErrNoFile: a path leads to no file.
var ErrNoFile = errors.New("there is no file at this place")

// Inspect says what a file is and what lies in it. It never fails: what could
// not be read, or is beyond a bound, is a warning.
func Inspect(ctx context.Context, in Input, o Options) Facts {
	i := newInspector(ctx, in, o)
	return i.inspect(in, func() *Input { return o.Beside }, "", 0)
}

// Open gives a file in a file by its path. The File has no digest and no facts;
// reading may fail where the outer file is damaged. With the same Limits as
// Inspect, a path leads to the same file.
func Open(ctx context.Context, in Input, path string, o Options) (File, io.Reader, error) {
	i := newInspector(ctx, in, o)
	places := strings.Split(path, "~")
	for depth, place := range places {
		n, err := strconv.Atoi(place)
		children := i.read(in, func() *Input { return nil }).children
		if err != nil || n < 1 || n > len(children) || depth >= i.o.Limits.Depth {
			return File{}, nil, fmt.Errorf("opening %q in %s: %w", path, in.Name, ErrNoFile)
		}
		c := &children[n-1]
		if depth == len(places)-1 {
			c.Path = path
			return c.File, c.reader(), nil
		}
		if in, err = i.within(c); err != nil {
			return File{}, nil, fmt.Errorf("opening %q in %s: %w", path, c.Name, err)
		}
	}
	return File{}, nil, ErrNoFile
}

// inspector is one inspection: what it may still do.
type inspector struct {
	ctx      context.Context
	o        Options
	files    int   // may still be listed
	signers  int   // … verified
	digested int64 // … hashed
	inflated int64 // … unpacked
	reread   int64 // … unpacked again
	held     int64 // … held in memory
	chains   *cms.Chains
}

func newInspector(ctx context.Context, in Input, o Options) *inspector {
	o.Limits = o.Limits.withDefaults()
	l := o.Limits
	return &inspector{ctx: ctx, o: o, files: l.Files, signers: l.Signers, inflated: l.Inflated,
		digested: passes * (in.Size + l.Inflated), reread: rereads * l.Inflated, held: heldMax, chains: cms.NewChains()}
}

func (l Limits) withDefaults() Limits {
	d := DefaultLimits
	return Limits{bound(l.Depth, d.Depth), bound(l.Files, d.Files), bound(l.Inflated, d.Inflated), bound(l.Ratio, d.Ratio),
		bound(l.Parsed, d.Parsed), bound(l.Signers, d.Signers)}
}

// bound is a limit: 0 means the default, what is less means none at all.
func bound[T int | int64](limit, fallback T) T { return max(cmp.Or(limit, fallback), 0) }

// reading is what was read of one file, before the files in it are.
type reading struct {
	Facts
	children []child
	// verify adds the signatures, once the children are hashed; nil: there are
	// none.
	verify func(*reading)
}

func (r *reading) warn(code, format string, args ...any) {
	r.Warnings = append(r.Warnings, Warning{code, fmt.Sprintf(format, args...)})
}

// warnOnce leaves out a code that is there already.
func (r *reading) warnOnce(code, format string, args ...any) {
	if !slices.ContainsFunc(r.Warnings, func(w Warning) bool { return w.Code == code }) {
		r.warn(code, format, args...)
	}
}

// child is a file in a file.
type child struct {
	member
	sums *cms.Digester // taken of it; nil until it was read
	more []crypto.Hash // to be taken beside SHA-256
}

// sum is a digest of the child, nil when it could not be read.
func (c *child) sum(h crypto.Hash) []byte {
	if c.sums == nil {
		return nil
	}
	return c.sums.Sum(h)
}

// reader reads it from its beginning, or fails and says why.
func (c *child) reader() io.Reader {
	switch {
	case c.at != nil:
		return io.NewSectionReader(c.at, 0, c.Size)
	case c.unpack != nil:
		return c.unpack()
	}
	return failing{fmt.Errorf("%s cannot be read: %s", c.Name, warningsOf(c.Warnings))}
}

// inspect says what a file is; beside gives what a detached signature is about.
func (i *inspector) inspect(in Input, beside func() *Input, path string, depth int) Facts {
	r := i.read(in, beside)
	if len(r.children) > 0 && depth >= i.o.Limits.Depth {
		r.warn(TooDeep, "%d files in it are not looked into: they are %d files deep", len(r.children), depth+1)
		r.children, r.verify = nil, nil
	}
	if len(r.children) > i.files {
		r.warn(TooMany, "%d files in it are not listed", len(r.children)-i.files)
		r.children = r.children[:i.files]
	}
	i.files -= len(r.children)
	for n := range r.children {
		if err := i.ctx.Err(); err != nil {
			r.warn(Interrupted, "the inspection was stopped before the end")
			r.children = r.children[:n]
			break
		}
		r.children[n].Path = strings.TrimPrefix(path+"~"+strconv.Itoa(n+1), "~")
		r.Files = append(r.Files, i.child(r.children, n, depth+1))
	}
	if r.verify != nil {
		r.verify(&r)
	}
	return r.Facts
}

// child hashes a file in a file and says what it is.
func (i *inspector) child(all []child, n, depth int) File {
	c := &all[n]
	held := i.held
	defer func() { i.held = held }()
	in, err := i.hashed(c)
	if err != nil {
		if w, ok := warningOf(err); ok {
			c.Warnings = append(c.Warnings, w)
		} else if len(c.Warnings) == 0 {
			c.Warnings = []Warning{{NotUnpacked, "it is packed in a way that is not read"}}
		}
		return c.File
	}
	facts := i.inspect(in, func() *Input { return i.beside(all, n) }, c.Path, depth)
	facts.Warnings = append(c.Warnings, facts.Warnings...)
	c.Facts = facts
	return c.File
}

// hashed takes the digests of a file in a file, and gives it as one that can be
// looked into.
func (i *inspector) hashed(c *child) (Input, error) {
	in, err := i.within(c)
	if err != nil {
		return in, err
	}
	sums := cms.NewDigester(append(slices.Clone(c.more), crypto.SHA256)...)
	if err := i.digest(sums, in.Content, 0, in.Size); err != nil {
		return in, err
	}
	c.sums = sums
	c.SHA256 = fmt.Sprintf("%x", sums.Sum(crypto.SHA256))
	return in, nil
}

// beside is the file in the same folder that the signature n is about: the one
// that has its name without the extension.
func (i *inspector) beside(all []child, n int) *Input {
	name := strings.TrimSuffix(all[n].Name, extension(all[n].Name))
	for k := range all {
		if c := &all[k]; k != n && c.Name == name && c.Folder == all[n].Folder {
			if in, err := i.within(c); err == nil {
				return &in
			}
		}
	}
	return nil
}

// section are bytes of a file.
type section struct{ from, to int64 }

// sums are digests of a prefix and of some bytes of a file; nil, and a warning,
// when these cannot be read.
func (i *inspector) sums(r *reading, hashes []crypto.Hash, prefix []byte, in Input, sections ...section) stamped {
	sums := cms.NewDigester(hashes...)
	_, err := sums.Write(prefix)
	for _, s := range sections {
		if err == nil {
			err = i.digest(sums, in.Content, s.from, s.to-s.from)
		}
	}
	if err != nil {
		if w, ok := warningOf(err); ok {
			r.warnOnce(w.Code, "%s", w.Detail)
		}
		return nil
	}
	return sums.Sum
}

// digest writes bytes of a file to a digester.
func (i *inspector) digest(to io.Writer, at io.ReaderAt, from, size int64) error {
	if size > i.digested {
		return problem(NotRead, "its %d bytes are more than are still read here", size)
	}
	i.digested -= size
	buf := make([]byte, min(size, 64<<10))
	for size > 0 {
		if i.ctx.Err() != nil {
			return problem(Interrupted, "the inspection was stopped before the end")
		}
		n, err := at.ReadAt(buf[:min(size, int64(len(buf)))], from)
		if n == 0 {
			return unreadable(err)
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return err
		}
		from, size = from+int64(n), size-int64(n)
	}
	return nil
}
