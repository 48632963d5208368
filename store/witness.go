package store

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// testimony is one line of the witness file: where a journal stood after a
// commit, and what its records wanted to be remembered.
type testimony struct {
	Journal string            `json:"journal"`
	Seq     uint64            `json:"seq"`
	Hash    Digest            `json:"hash"`
	Time    time.Time         `json:"time"`
	Notes   []json.RawMessage `json:"notes,omitempty"`
	Resumed *resumption       `json:"resumed,omitempty"`
}

// resumption says that a journal went on from an older state: what the witness
// knew above After is no longer in the chain.
type resumption struct {
	After    uint64 `json:"after"`
	LostSeq  uint64 `json:"lost_seq"`
	LostHash Digest `json:"lost_hash"`
}

// Each line ends with a short sum of itself, so that a flipped byte is not
// taken for a lost commit: ,"sum":"16 hexadecimal digits"}
const sumTail = len(`,"sum":"0123456789abcdef"}`)

func (t testimony) encode() ([]byte, error) {
	b, err := encode(t)
	if err != nil {
		return nil, err
	}
	sum := Sum(b)
	b = append(b[:len(b)-1], `,"sum":"`...)
	b = hex.AppendEncode(b, sum[:8])
	return append(b, `"}`...), nil
}

// decodeTestimony reads a line without its line feed; false: it is damaged.
func decodeTestimony(b []byte) (t testimony, ok bool) {
	if len(b) <= sumTail {
		return t, false
	}
	d := json.NewDecoder(bytes.NewReader(append(b[:len(b)-sumTail:len(b)-sumTail], '}')))
	d.DisallowUnknownFields()
	if err := d.Decode(&t); err != nil {
		return testimony{}, false
	}
	again, err := t.encode()
	if err != nil || !bytes.Equal(again, b) {
		return testimony{}, false
	}
	return t, true
}

// witnessPath is the file of an organization.
func (b *Bolt) witnessPath(org string) string {
	return filepath.Join(b.witnessDir, org+".jsonl")
}

// readWitness calls yield for each complete line; n counts from 1 and ok is
// false for a damaged one. It returns where the complete lines end and what
// follows them: the torn line of a crash, or one that is being written.
func readWitness(path string, yield func(n int, t testimony, ok bool) error) (end int64, rest []byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, nil, err
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, 1<<18)
	for n := 1; ; n++ {
		line, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return end, line, nil
		}
		if err != nil {
			return end, nil, err
		}
		end += int64(len(line))
		t, ok := decodeTestimony(line[:len(line)-1])
		if err := yield(n, t, ok); err != nil {
			return end, nil, err
		}
	}
}

// witness appends to an organization's file; its owner is the file's writer.
type witness struct {
	f *os.File
}

// openWitnessFile opens the file behind its complete lines. created says that
// there was none.
func openWitnessFile(path string, end int64, rest []byte) (w *witness, created bool, err error) {
	_, err = os.Lstat(path)
	created = errors.Is(err, fs.ErrNotExist)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, created, err
	}
	w = &witness{f: f}
	switch {
	case created:
		err = syncDir(filepath.Dir(path))
	case wholeButItsEnd(rest):
		// Not torn: the line feed itself was damaged. Keep the evidence.
		_, err = f.Write([]byte{'\n'})
	case len(rest) > 0:
		if err = f.Truncate(end); err == nil {
			err = f.Sync()
		}
	}
	if err != nil {
		return nil, created, errors.Join(err, f.Close())
	}
	return w, created, nil
}

func wholeButItsEnd(rest []byte) bool {
	if len(rest) == 0 {
		return false
	}
	_, ok := decodeTestimony(rest[:len(rest)-1])
	return ok
}

// add writes the lines and syncs once.
func (w *witness) add(lines []testimony) error {
	var b []byte
	for _, t := range lines {
		line, err := t.encode()
		if err != nil {
			return fmt.Errorf("encoding a line of the witness: %w", err)
		}
		b = append(append(b, line...), '\n')
	}
	if _, err := w.f.Write(b); err != nil {
		return fmt.Errorf("writing the witness: %w", err)
	}
	if err := w.f.Sync(); err != nil {
		return fmt.Errorf("syncing the witness: %w", err)
	}
	return nil
}

func (w *witness) close() error {
	if w == nil {
		return nil
	}
	return w.f.Close()
}

// position is what one line of the witness says about its journal's head.
type position struct {
	Seq  uint64
	Hash Digest
}

// openWitness compares the witness with the database, decides for each journal
// whether it may be appended to, and catches the witness up.
func (f *file) openWitness() error {
	if f.witness != nil {
		return nil
	}
	path := f.b.witnessPath(f.org)
	known, damaged := map[string]position{}, 0
	end, rest, err := readWitness(path, func(_ int, t testimony, ok bool) error {
		if ok {
			known[t.Journal] = position{t.Seq, t.Hash}
		} else {
			damaged++
		}
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reading the witness %s: %w", path, err)
	}
	if damaged > 0 || len(rest) > 0 {
		f.log.Warn("the witness is damaged", "file", path, "lines", damaged, "torn_bytes", len(rest))
	}
	if err := f.compare(known); err != nil {
		return err
	}
	w, created, err := openWitnessFile(path, end, rest)
	if err != nil {
		return fmt.Errorf("opening the witness %s: %w", path, err)
	}
	if err := f.catchUp(w, known, created); err != nil {
		return errors.Join(err, w.close())
	}
	f.witness = w
	return nil
}

// compare sets for each journal what keeps it from being appended to.
func (f *file) compare(known map[string]position) error {
	heads := f.heads()
	for name := range known {
		if _, ok := heads[name]; !ok {
			heads[name] = Head{}
		}
	}
	for name, h := range heads {
		refused, lost, err := f.judge(name, h, known[name])
		if err != nil {
			return err
		}
		if refused != nil {
			f.log.Error("a journal takes no records", "journal", name, "err", refused)
		}
		f.refuse(name, refused, lost)
	}
	return nil
}

// judge compares one journal's head with its own last record and with what the
// witness knows.
func (f *file) judge(name string, h Head, w position) (refused error, lost *loss, err error) {
	if h.Seq > 0 {
		last, err := f.record(name, h.Seq)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return nil, nil, err
		}
		if last == nil || Sum(last) != h.Hash {
			return fmt.Errorf("journal %s: %w (its head does not fit its last record)", name, errDamaged), nil, nil
		}
	}
	if w.Seq == 0 {
		return nil, nil, nil
	}
	same, err := f.inChain(name, h, w)
	if err != nil || same {
		return nil, nil, err
	}
	agreed, err := f.agreement(name, h)
	if err != nil {
		return nil, nil, err
	}
	lost = &loss{witness: w, agreed: agreed}
	return fmt.Errorf("%w: journal %s ends at %d (%.12s…), its witness at %d (%.12s…); it was put back to an older state, run recover",
		ErrRolledBack, name, h.Seq, h.Hash, w.Seq, w.Hash), lost, nil
}

// inChain tells whether the chain that ends in h passes through w. The hash of
// a record is taken from its successor: a damaged record is Check's business.
func (f *file) inChain(name string, h Head, w position) (bool, error) {
	if w.Seq >= h.Seq {
		return w == position{h.Seq, h.Hash}, nil
	}
	b, err := f.record(name, w.Seq+1)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	l, err := decodeLine(b)
	if err != nil {
		return false, fmt.Errorf("journal %s, record %d: %w", name, w.Seq+1, errDamaged)
	}
	return l.Prev == w.Hash, nil
}

// agreement finds the last sequence that witness and store have in common.
func (f *file) agreement(name string, h Head) (uint64, error) {
	lines, err := f.testimonies(name, 0)
	if err != nil {
		return 0, err
	}
	for i := len(lines) - 1; i >= 0; i-- {
		same, err := f.inChain(name, h, position{lines[i].Seq, lines[i].Hash})
		if err != nil {
			return 0, err
		}
		if same {
			return lines[i].Seq, nil
		}
	}
	return 0, nil
}

// testimonies returns what the witness holds to be true of a journal above
// after: a resumption takes back the lines of what it gave up.
func (f *file) testimonies(name string, after uint64) ([]Testimony, error) {
	var out []Testimony
	path := f.b.witnessPath(f.org)
	_, _, err := readWitness(path, func(_ int, t testimony, ok bool) error {
		if !ok || t.Journal != name {
			return nil
		}
		if t.Resumed != nil {
			for len(out) > 0 && out[len(out)-1].Seq > t.Resumed.After {
				out = out[:len(out)-1]
			}
		}
		if t.Seq > after {
			out = append(out, Testimony{Seq: t.Seq, Hash: t.Hash, Time: t.Time, Notes: t.Notes})
		}
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading the witness %s: %w", path, err)
	}
	return out, nil
}

// catchUp writes the lines that the witness lacks, one for each record.
func (f *file) catchUp(w *witness, known map[string]position, created bool) error {
	caught := 0
	for name, h := range f.heads() {
		if f.refusal(name) != nil {
			continue
		}
		for seq := known[name].Seq; seq < h.Seq; {
			lines, err := f.linesAfter(name, seq)
			if err != nil {
				return err
			}
			if err := w.add(lines); err != nil {
				return err
			}
			seq = lines[len(lines)-1].Seq
			caught += len(lines)
		}
	}
	if created && caught > 0 {
		f.restarted.Store(true)
		f.log.Warn("the witness was missing and was begun anew from the records: it cannot tell whether the store was put back before now",
			"file", w.f.Name(), "lines", caught)
	}
	return nil
}

// linesAfter makes the witness's lines for the next records behind after.
func (f *file) linesAfter(name string, after uint64) ([]testimony, error) {
	var lines []testimony
	records, err := f.records(name, after, 256)
	if err != nil {
		return nil, err
	}
	for _, b := range records {
		l, err := decodeLine(b.line)
		if err != nil {
			return nil, fmt.Errorf("journal %s, record %d: %w", name, b.seq, errDamaged)
		}
		t := testimony{Journal: name, Seq: b.seq, Hash: Sum(b.line), Time: l.Time}
		if l.Witness != nil {
			t.Notes = []json.RawMessage{l.Witness}
		}
		lines = append(lines, t)
	}
	if len(lines) == 0 {
		return nil, fmt.Errorf("journal %s has no record behind %d: %w", name, after, errDamaged)
	}
	return lines, nil
}
