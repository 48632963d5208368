package register_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/protodaemon/protodaemon/register"
	"github.com/protodaemon/protodaemon/store"
)

// TestVerifyFinds tells lies about single rows and heads, and looks at what is
// said of them. Everything was sound before and is afterwards.
func TestVerifyFinds(t *testing.T) {
	d, j := openFaulty(t)
	for _, text := range []string{"one", "two", "three"} {
		d.confirmed(text)
	}
	p := d.arrive(box, "waiting")
	d.done(d.confirmed("moved"), register.Moved)
	d.arrive(box, "moved")
	d.sound()
	// replace changes the JSON of the rows of a kind whose key has the suffix.
	replace := func(kind, suffix, old, new string) func(store.Row) (store.Row, bool) {
		return func(r store.Row) (store.Row, bool) {
			if r.Kind == kind && strings.HasSuffix(r.Key, suffix) {
				r.Value = json.RawMessage(strings.Replace(string(r.Value), old, new, 1))
			}
			return r, true
		}
	}
	without := func(kind, suffix string) func(store.Row) (store.Row, bool) {
		return func(r store.Row) (store.Row, bool) { return r, r.Kind != kind || !strings.HasSuffix(r.Key, suffix) }
	}
	for name, tc := range map[string]struct {
		change func(store.Row) (store.Row, bool)
		heads  func(store.Head) store.Head
		want   string
	}{
		"another number":    {change: replace("entry", "/0000000002", `"0000002"`, `"0000007"`), want: "entry-altered"},
		"another day":       {change: replace("entry", "/0000000002", `"day":"2`, `"day":"1`), want: "entry-altered"},
		"another time":      {change: replace("entry", "/0000000003", `"registered_at":"2`, `"registered_at":"1`), want: "entry-time"},
		"not JSON":          {change: replace("entry", "/0000000002", `{`, `[`), want: "entry-altered"},
		"another message":   {change: replace("entry", "/0000000002", `"message":"`, `"message":"0000000000000000000000000000000000000000000000000000000000000000","x":"`), want: "pending-altered"},
		"no first entry":    {change: without("entry", "/0000000001"), want: "number-gap"},
		"no middle entry":   {change: without("entry", "/0000000002"), want: "number-gap"},
		"no last entry":     {change: without("entry", "/0000000004"), want: "entry-missing"},
		"no pending":        {change: without("pending", p.ID), want: "index-stray"},
		"pending undecided": {change: replace("pending", "", `"state":"confirmed"`, `"state":"pending"`), want: "pending-altered"},
		"another digest":    {change: replace("pending", p.ID, p.Message.String()[:8], "00000000"), want: "pending-altered"},
		"not in its list":   {change: without("state", p.ID), want: "index-missing"},
		"not expected":      {change: without("waiting", p.ID), want: "index-missing"},
		"no longer due":     {change: without("due", ""), want: "index-missing"},
		"forgotten":         {change: without("identity", ""), want: "index-missing"},
		"wrong occurrence":  {change: replace("identity", "", `"n":2`, `"n":3`), want: "index-stray"},
		"counter too high":  {heads: count(+1), want: "counter-differs"},
		"counter too low":   {heads: count(-1), want: "counter-differs"},
		"no counter":        {heads: func(h store.Head) store.Head { h.Counters = nil; return h }, want: "counter-differs"},
	} {
		t.Run(name, func(t *testing.T) {
			j.set(func() { j.change, j.heads = tc.change, tc.heads })
			defer j.set(func() { j.change, j.heads = nil, nil })
			v := d.verdict()
			if v.OK || !slices.Contains(codes(v), tc.want) {
				t.Errorf("found %+v, want %s", v.Problems, tc.want)
			}
		})
	}
	d.sound()
}

func count(by int) func(store.Head) store.Head {
	return func(h store.Head) store.Head {
		changed := map[string]uint64{}
		for name, n := range h.Counters {
			changed[name] = uint64(int(n) + by)
		}
		h.Counters = changed
		return h
	}
}

// TestVerifyFiles damages and removes the files of messages on disk.
func TestVerifyFiles(t *testing.T) {
	d := open(t)
	d.confirmed("the bytes of one")
	d.arrive(box, "the bytes of two")
	v := d.sound()
	if v.Blobs != 2 || v.Entries != 1 {
		t.Errorf("%+v", v)
	}
	found := 0
	err := filepath.WalkDir(filepath.Join(d.dir, "blobs"), func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		switch {
		case bytes.HasSuffix(b, []byte("one")):
			found++
			b[0] ^= 1
			if err := os.Chmod(path, 0o600); err != nil {
				return err
			}
			return os.WriteFile(path, b, 0o600)
		case bytes.HasSuffix(b, []byte("two")):
			found++
			return os.Remove(path)
		}
		return nil
	})
	if err != nil || found != 2 {
		t.Fatalf("found %d files, %v", found, err)
	}
	if got := codes(d.verdict()); !slices.Equal(got, []string{"blob-damaged", "blob-missing"}) {
		t.Errorf("found %v", got)
	}
}

// TestVerifyWhileServing: nothing false is found while entries are made.
func TestVerifyWhileServing(t *testing.T) {
	d := open(t)
	var ids []string
	for id := range closed(d.arriveMany(100)) {
		ids = append(ids, id)
	}
	var all sync.WaitGroup
	for c := range 4 {
		all.Go(func() {
			for i := c; i < len(ids); i += 4 {
				d.confirm(ids[i])
				d.done(ids[i], register.Moved)
			}
		})
	}
	for range 5 {
		d.sound()
	}
	all.Wait()
	d.sound()
}
