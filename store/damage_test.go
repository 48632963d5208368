package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/protodaemon/protodaemon/store"
)

// history writes a journal with everything in it and closes the store.
func history(t testing.TB, dir string) {
	t.Helper()
	b := open(t, store.Options{Dir: dir})
	appendEvents(t, journal(t, b, "org/reg"), 1, 9)
	appendEvents(t, journal(t, b, "calm/reg"), 1, 3)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
}

// flip changes one byte of the file: the one that stands n bytes behind where.
// bbolt leaves old copies of a page behind; all of them get it, since only one
// is in use.
func flip(t *testing.T, path, where string, n int) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for from := 0; ; found = true {
		i := bytes.Index(b[from:], []byte(where))
		if i < 0 {
			break
		}
		b[from+i+n] ^= 1
		from += i + len(where)
	}
	if !found {
		t.Fatalf("%q is not in %s", where, path)
	}
	write(t, path, string(b))
}

func TestOneFlippedByteIsFound(t *testing.T) {
	const database, witness = "organizations/org.db", "witness/org.jsonl"
	for _, c := range []struct {
		name, file, where string
		at                int
		want              []string // one of these codes
		says              string   // in one of the details
	}{
		{"data of a record", database, `"data":{"n":5}`, 12, []string{store.CodeRecordChain}, "record 5"},
		{"syntax of a record", database, `"data":{"n":5}`, 7, []string{store.CodeRecordUnreadable}, "record 5"},
		{"row in a record", database, `"key":"0005","value":{"event":5}`, 8, []string{store.CodeRecordChain}, "record 5"},
		{"last record", database, `"data":{"n":9}`, 12, []string{store.CodeHeadDiffers}, ""},
		{"value of a row", database, "event\x000005{\"event\":5}", 20, []string{store.CodeRowDiffers}, `"event" "0005"`},
		{"value of a payload", database, "payload\x000005{\"payload\":5}", 22, []string{store.CodeRowDiffers}, `"payload" "0005"`},
		{"key of a row", database, "event\x000005{\"event\":5}", 9, []string{store.CodeRowMissing}, `"event" "0005"`},
		{"hash of the head", database, `head{"seq":9,"hash":"`, 30, []string{store.CodeHeadDiffers}, "head"},
		{"sequence of the head", database, `head{"seq":9,"hash":"`, 11, []string{store.CodeHeadDiffers}, "head"},
		{"counter of the head", database, `"counters":{"2026":9}}records`, 19, []string{store.CodeHeadDiffers}, "2026"},
		{"hash in the witness", witness, `"seq":5,"hash":"`, 20, []string{store.CodeWitnessDamaged}, "line 5"},
		{"sequence in the witness", witness, `"seq":9,"hash":"`, 6, []string{store.CodeWitnessDamaged}, "line 9"},
		{"note in the witness", witness, `{"number":5}`, 10, []string{store.CodeWitnessDamaged}, "line 5"},
		{"sum in the witness", witness, `"notes":[{"number":9}],"sum":"`, 30, []string{store.CodeWitnessDamaged}, "line 9"},
		{"a line feed in the witness", witness, "\n{\"journal\":\"org/reg\",\"seq\":5", 0, []string{store.CodeWitnessDamaged}, "line 4"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			history(t, dir)
			flip(t, filepath.Join(dir, c.file), c.where, c.at)
			b := open(t, store.Options{Dir: dir})
			found := problems(t, journal(t, b, "org/reg"))
			ok := slices.ContainsFunc(found, func(p string) bool {
				code, _, _ := strings.Cut(p, ":")
				return slices.Contains(c.want, code) && strings.Contains(p, c.says) && strings.Contains(p, "org/reg")
			})
			if !ok {
				t.Errorf("want %s naming %q, got:\n%s", c.want, c.says, strings.Join(found, "\n"))
			}
			whole(t, journal(t, b, "calm/reg"))
			appendEvents(t, journal(t, b, "calm/reg"), 4, 4)
		})
	}
}

// A flipped byte in the head or the last record stops its journal, because the
// next record would follow from something that is not there.
func TestNothingIsAppendedToADamagedEnd(t *testing.T) {
	for _, where := range []string{`"data":{"n":9}`, `head{"seq":9,"hash":"a`} {
		dir := t.TempDir()
		history(t, dir)
		at := 12
		if strings.HasPrefix(where, "head") {
			where, at = `head{"seq":9,"hash":"`, 30
		}
		flip(t, filepath.Join(dir, "organizations/org.db"), where, at)
		b := open(t, store.Options{Dir: dir})
		j := journal(t, b, "org/reg")
		h, err := j.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_, err = j.Append(t.Context(), store.Commit{Prev: h, Records: []store.Record{event(10)}})
		if err == nil || errors.Is(err, store.ErrUnknown) || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("%s: got error %v", where, err)
		}
		if j.Writable() == nil {
			t.Errorf("%s: the journal says that it is writable", where)
		}
		appendEvents(t, journal(t, b, "org/other"), 1, 1)
	}
}

// Whatever byte of the database is flipped: it is found, or everything that
// was stored is still read as it was.
func TestAnyFlippedByteIsFoundOrHarmless(t *testing.T) {
	dir := t.TempDir()
	history(t, dir)
	path := filepath.Join(dir, "organizations/org.db")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	goodWitness, err := os.ReadFile(filepath.Join(dir, "witness/org.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	want := content(t, dir)
	r := rand.New(rand.NewPCG(1, 2))
	found := 0
	const tries = 60
	for range tries {
		at, bit := used(r, good), r.IntN(8)
		put(t, path, int64(at), good[at]^1<<bit)
		got := content(t, dir)
		put(t, path, int64(at), good[at])
		write(t, filepath.Join(dir, "witness/org.jsonl"), string(goodWitness))
		if strings.Contains(got, "problem") {
			found++
		} else if got != want {
			t.Errorf("byte %d, bit %d: nothing is reported, but it reads\n%.2000s\nwant\n%.2000s", at, bit, got, want)
		}
	}
	if found < tries/4 {
		t.Errorf("only %d of %d flipped bytes were found", found, tries)
	}
}

// put writes one byte in place.
func put(t *testing.T, path string, at int64, b byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteAt([]byte{b}, at)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// used picks a byte that lies near others that are not zero.
func used(r *rand.Rand, b []byte) int {
	for {
		at := r.IntN(len(b))
		if !bytes.Equal(b[at&^15:at&^15+16], make([]byte, 16)) {
			return at
		}
	}
}

// content is everything that can be read of org/reg, problems included.
func content(t *testing.T, dir string) string {
	t.Helper()
	var out strings.Builder
	problem := func(err error) { fmt.Fprintf(&out, "problem: %v\n", err) }
	b, err := store.OpenBolt(t.Context(), store.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	j, err := b.Journal(t.Context(), "org/reg")
	if err != nil {
		problem(err)
		return out.String()
	}
	if err := j.Writable(); err != nil {
		problem(err)
	}
	if _, err := j.Check(t.Context(), func(p store.Problem) { problem(errors.New(p.Code)) }); err != nil {
		problem(err)
	}
	h, err := j.Head(t.Context())
	if err != nil {
		problem(err)
	}
	fmt.Fprintf(&out, "%+v\n", h)
	records, err := j.Records(t.Context(), 0, 0)
	if err != nil {
		problem(err)
	}
	for _, r := range records {
		fmt.Fprintf(&out, "%d %s\n", r.Seq, r.Line)
	}
	for _, kind := range []string{"event", "payload"} {
		rows, err := j.List(t.Context(), store.Range{Kind: kind})
		if err != nil {
			problem(err)
		}
		for _, r := range rows {
			again, err := j.Get(t.Context(), kind, r.Key)
			if err != nil {
				problem(err)
			}
			fmt.Fprintf(&out, "%s %s %s %s\n", r.Kind, r.Key, r.Value, again)
		}
	}
	return out.String()
}

func TestADamagedLastLineFeedOfTheWitnessIsFound(t *testing.T) {
	dir := t.TempDir()
	history(t, dir)
	path := filepath.Join(dir, "witness/org.jsonl")
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	put(t, path, st.Size()-1, '\v')
	b := open(t, store.Options{Dir: dir})
	j := journal(t, b, "org/reg")
	if found := problems(t, j); len(found) == 0 || !strings.HasPrefix(found[0], store.CodeWitnessDamaged) {
		t.Errorf("Check reports %q", found)
	}
	appendEvents(t, j, 10, 10)
}

func TestADamagedFileStopsItsOrganizationOnly(t *testing.T) {
	for name, damage := range map[string]func(good []byte) []byte{
		"emptied":  func([]byte) []byte { return nil },
		"cut":      func(good []byte) []byte { return good[:4096] },
		"zeroed":   func(good []byte) []byte { return make([]byte, len(good)) },
		"no pages": func(good []byte) []byte { return append(good[:8192:8192], make([]byte, len(good)-8192)...) },
		"wild page": func(good []byte) []byte {
			return append(good[:8192:8192], bytes.Repeat([]byte{0xa5}, len(good)-8192)...)
		},
		"half": func(good []byte) []byte { return good[:8192] },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			history(t, dir)
			path := filepath.Join(dir, "organizations/org.db")
			good, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			write(t, path, string(damage(good)))
			b := open(t, store.Options{Dir: dir})
			j, err := b.Journal(t.Context(), "org/reg")
			if err == nil {
				err = j.Writable()
			}
			if err == nil {
				t.Error("a damaged file was opened")
			}
			appendEvents(t, journal(t, b, "calm/reg"), 4, 4)
			if err := b.Ping(t.Context()); err != nil {
				t.Errorf("Ping: %v", err)
			}
		})
	}
}

func TestDamagedNotesAreSetAside(t *testing.T) {
	dir := t.TempDir()
	b := open(t, store.Options{Dir: dir})
	n, err := b.Notes(t.Context(), "org")
	if err == nil {
		err = n.Set(t.Context(), map[string][]byte{"a": []byte("1")})
	}
	if err != nil {
		t.Fatal(err)
	}
	b.Close()
	path := filepath.Join(dir, "notes/org.db")
	write(t, path, strings.Repeat("damaged ", 4096))
	b = open(t, store.Options{Dir: dir})
	if n, err = b.Notes(t.Context(), "org"); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Get(t.Context(), "a"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("got error %v, want ErrNotFound", err)
	}
	if aside, _ := filepath.Glob(path + ".damaged-*"); len(aside) != 1 {
		t.Errorf("set aside: %q", aside)
	}
}

func TestABlobsFlippedByteIsFound(t *testing.T) {
	dir := t.TempDir()
	b := open(t, store.Options{Dir: dir})
	d := putBlob(t, b, []byte("a message, byte for byte"))
	blobs, err := b.Blobs(t.Context(), "org")
	if err != nil {
		t.Fatal(err)
	}
	flip(t, blobPath(dir, "org", d), "byte", 1)
	err = blobs.Check(t.Context(), d)
	if err == nil || errors.Is(err, store.ErrNotFound) || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("got error %v", err)
	}
	// Putting the content again makes it whole.
	putBlob(t, b, []byte("a message, byte for byte"))
	if err := blobs.Check(t.Context(), d); err != nil {
		t.Error(err)
	}
}

func TestTornWitnessLineIsCutOff(t *testing.T) {
	for _, cut := range []int{1, 20, 150} {
		dir := t.TempDir()
		history(t, dir)
		path := filepath.Join(dir, "witness/org.jsonl")
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		write(t, path, string(good[:len(good)-cut]))
		b := open(t, store.Options{Dir: dir})
		j := journal(t, b, "org/reg")
		whole(t, j)
		now, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(now, good) {
			t.Errorf("%d bytes cut: the witness is\n%s\nwant\n%s", cut, now, good)
		}
	}
}

func TestMissingWitnessIsBegunAnewAndReported(t *testing.T) {
	dir := t.TempDir()
	history(t, dir)
	path := filepath.Join(dir, "witness/org.jsonl")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	b := open(t, store.Options{Dir: dir})
	j := journal(t, b, "org/reg")
	found := problems(t, j)
	if len(found) != 1 || !strings.HasPrefix(found[0], store.CodeWitnessRestarted) {
		t.Errorf("Check reports %q", found)
	}
	if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, good) {
		t.Errorf("the new witness is\n%s%v\nwant\n%s", now, err, good)
	}
	b.Close()
	b = open(t, store.Options{Dir: dir})
	whole(t, journal(t, b, "org/reg"))
}

// What goes wrong below the store here is a real error of the system.
func TestRealFaultsAreInDoubtAndHeal(t *testing.T) {
	for name, c := range map[string]struct {
		breakIt func(b *store.Bolt) error
		kept    bool
	}{
		"witness cannot be written":  {func(b *store.Bolt) error { return b.BreakWitness("org") }, true},
		"database cannot be written": {func(b *store.Bolt) error { return b.BreakDatabase("org") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			b := open(t, store.Options{Dir: dir})
			j := journal(t, b, "org/reg")
			before := appendEvents(t, j, 1, 3)
			if err := c.breakIt(b); err != nil {
				t.Fatal(err)
			}
			_, err := j.Append(t.Context(), store.Commit{Prev: before, Records: []store.Record{event(4)}})
			if !errors.Is(err, store.ErrUnknown) {
				t.Fatalf("got error %v, want ErrUnknown", err)
			}
			now, err := j.Head(t.Context())
			if err != nil || (now.Seq == 4) != c.kept {
				t.Errorf("the head is at %d, %v; want kept: %v", now.Seq, err, c.kept)
			}
			appendEvents(t, j, 5, 5)
			whole(t, j)
			b.Close()
			b = open(t, store.Options{Dir: dir})
			whole(t, journal(t, b, "org/reg"))
		})
	}
}

// While a file cannot be opened again every call says why; then it heals.
func TestWhatCannotBeReopenedSaysSoAndHeals(t *testing.T) {
	dir := t.TempDir()
	b := open(t, store.Options{Dir: dir})
	j := journal(t, b, "org/reg")
	h := appendEvents(t, j, 1, 3)
	path := filepath.Join(dir, "organizations")
	if err := errors.Join(b.BreakCommit("org", true), os.Rename(path, path+".away")); err != nil {
		t.Fatal(err)
	}
	_, err := j.Append(t.Context(), store.Commit{Prev: h, Records: []store.Record{event(4)}})
	if !errors.Is(err, store.ErrUnknown) {
		t.Errorf("got error %v, want ErrUnknown", err)
	}
	if j.Writable() == nil {
		t.Error("Writable sees no reason")
	}
	if _, err := j.Head(t.Context()); err == nil {
		t.Error("Head answers without a database")
	}
	if _, err := j.Append(t.Context(), store.Commit{Prev: h, Records: []store.Record{event(4)}}); err == nil {
		t.Error("Append answers without a database")
	}
	appendEvents(t, journal(t, b, "installation"), 1, 1)
	if err := errors.Join(os.Rename(path+".away", path), b.Heal("org")); err != nil {
		t.Fatal(err)
	}
	if now, err := j.Head(t.Context()); err != nil || now.Seq != 4 {
		t.Errorf("after healing the head is at %d, %v; want 4", now.Seq, err)
	}
	appendEvents(t, j, 5, 5)
	whole(t, j)
}

// Somebody empties the file of a running store, and puts it back.
func TestAFileEmptiedUnderTheStoreIsAnErrorAndHeals(t *testing.T) {
	dir := t.TempDir()
	b := open(t, store.Options{Dir: dir})
	j := journal(t, b, "org/reg")
	h := appendEvents(t, j, 1, 3)
	path := filepath.Join(dir, "organizations/org.db")
	good, err := os.ReadFile(path)
	if err == nil {
		err = os.Truncate(path, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := j.Get(t.Context(), "event", "0001"); err == nil || errors.Is(err, store.ErrNotFound) {
			t.Errorf("reading from an emptied file: %v", err)
		}
	}
	if _, err := j.Append(t.Context(), store.Commit{Prev: h, Records: []store.Record{event(4)}}); err == nil {
		t.Error("an emptied file took a record")
	}
	appendEvents(t, journal(t, b, "calm/reg"), 1, 1)
	write(t, path, string(good))
	if err := b.Heal("org"); err != nil {
		t.Fatal(err)
	}
	appendEvents(t, j, 4, 4)
	whole(t, j)
}

// Check may run while others write, and must not report what is only new.
func TestCheckWhileAppending(t *testing.T) {
	b := open(t, store.Options{Dir: t.TempDir()})
	j := journal(t, b, "org/reg")
	var records []store.Record
	for n := range 2000 {
		records = append(records, event(n))
	}
	h, err := j.Append(t.Context(), store.Commit{Records: records})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := 0; ctx.Err() == nil && n < 5000; n++ {
			e := event(n % 3000) // old rows change, new ones come, some go
			if n%7 == 0 {
				e.Rows[0].Value = nil
			}
			next, err := j.Append(context.WithoutCancel(ctx), store.Commit{Prev: h, Records: []store.Record{e}})
			if err != nil {
				t.Errorf("appending: %v", err)
				return
			}
			h = next
		}
	}()
	for range 5 {
		whole(t, j)
	}
	stop()
	<-done
	whole(t, j)
}
