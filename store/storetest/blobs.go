package storetest

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/protodaemon/protodaemon/store"
)

var blobTests = []test{
	{"blobs/kept under their digest", testBlob},
	{"blobs/survive closing", func(f *fixture) {
		data := noise(1, 100000)
		d := f.put(f.blobs("org"), data)
		f.reopen()
		f.holds(f.blobs("org"), d, data)
	}},
	{"blobs/an organization sees its own", func(f *fixture) {
		d := f.put(f.blobs("org"), []byte("hers"))
		_, err := f.blobs("org2").Open(f.Context(), d)
		f.is(err, store.ErrNotFound)
		f.is(f.blobs("org2").Check(f.Context(), d), store.ErrNotFound)
	}},
	{"blobs/what is not committed is not there", func(f *fixture) {
		b := f.blobs("org")
		w, err := b.Create(f.Context())
		f.ok(err)
		_, err = w.Write([]byte("draft"))
		f.ok(err)
		_, err = b.Open(f.Context(), store.Sum([]byte("draft")))
		f.is(err, store.ErrNotFound)
		f.ok(w.Close())
		f.only(b)
		if _, err := w.Write([]byte("more")); err == nil {
			f.Error("a closed writer takes bytes")
		}
		if _, _, err := w.Commit(f.Context()); err == nil {
			f.Error("a closed writer commits")
		}
		f.only(b)
	}},
	{"blobs/the same content many times at once", testSameBlob},
	{"blobs/collect", testCollect},
	{"blobs/collect and renew at once lose nothing", testCollectRace},
}

// noise is incompressible and the same for the same seed.
func noise(seed uint64, size int) []byte {
	b := make([]byte, size)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	_, _ = r.Read(b)
	return b
}

func (f *fixture) blobs(org string) store.Blobs {
	f.Helper()
	if f.store == nil {
		f.open()
	}
	b, err := f.store.Blobs(f.Context(), org)
	if err != nil {
		f.Fatalf("opening the blobs of %s: %v", org, err)
	}
	return b
}

// put is also called by other goroutines of a test, hence no Fatal.
func (f *fixture) put(b store.Blobs, data []byte) store.Digest {
	d, err := put(f.Context(), b, data)
	if err != nil || d != store.Sum(data) {
		f.Errorf("putting a blob: %s, %v", d, err)
	}
	return d
}

func put(ctx context.Context, b store.Blobs, data []byte) (d store.Digest, err error) {
	w, err := b.Create(ctx)
	if err != nil {
		return d, err
	}
	defer w.Close()
	for len(data) > 0 {
		n, err := w.Write(data[:min(len(data), 30000)])
		if err != nil {
			return d, err
		}
		data = data[n:]
	}
	d, _, err = w.Commit(ctx)
	return d, err
}

func (f *fixture) holds(b store.Blobs, d store.Digest, data []byte) {
	f.Helper()
	r, err := b.Open(f.Context(), d)
	if err != nil {
		f.Errorf("opening blob %s: %v", d, err)
		return
	}
	defer r.Close()
	got, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(got, data) || r.Size() != int64(len(data)) {
		f.Errorf("blob %s has %d bytes (says %d), %v; want %d", d, len(got), r.Size(), err, len(data))
	}
	f.ok(b.Check(f.Context(), d))
}

// only expects the scan to meet exactly these blobs.
func (f *fixture) only(b store.Blobs, want ...store.Digest) {
	f.Helper()
	left := map[store.Digest]bool{}
	for _, d := range want {
		left[d] = true
	}
	f.ok(b.Scan(f.Context(), func(d store.Digest, _ int64) bool {
		if !left[d] {
			f.Errorf("the scan meets %s, which is not expected or came twice", d)
		}
		delete(left, d)
		return true
	}))
	for d := range left {
		f.Errorf("the scan does not meet %s", d)
	}
}

func testBlob(f *fixture) {
	b := f.blobs("org")
	for _, data := range [][]byte{{}, []byte("a"), noise(2, 200000)} {
		w, err := b.Create(f.Context())
		f.ok(err)
		_, err = w.Write(data)
		f.ok(err)
		again := make([]byte, len(data))
		if _, err := w.ReadAt(again, 0); len(data) > 0 && (err != nil || !bytes.Equal(again, data)) {
			f.Errorf("reading what was written: %v", err)
		}
		d, size, err := w.Commit(f.Context())
		f.ok(err)
		if d != store.Sum(data) || size != int64(len(data)) {
			f.Errorf("committed %s with %d bytes", d, size)
		}
		if _, err := w.ReadAt(again, 0); len(data) > 0 && (err != nil || !bytes.Equal(again, data)) {
			f.Errorf("reading after the commit: %v", err)
		}
		f.ok(w.Close())
		f.holds(b, d, data)

		r, err := b.Open(f.Context(), d)
		f.ok(err)
		if n, err := r.Seek(-int64(len(data)/2), io.SeekEnd); err != nil || n != int64(len(data)-len(data)/2) {
			f.Errorf("seeking: %d, %v", n, err)
		}
		rest, err := io.ReadAll(r)
		f.ok(err)
		if !bytes.Equal(rest, data[len(data)-len(data)/2:]) {
			f.Error("other bytes after seeking")
		}
		f.ok(r.Close())
	}
}

func testSameBlob(f *fixture) {
	b := f.blobs("org")
	same := noise(3, 50000)
	want := []store.Digest{store.Sum(same)}
	var wg sync.WaitGroup
	for i := range 8 {
		own := noise(uint64(100+i), 1000)
		want = append(want, store.Sum(own))
		wg.Go(func() { f.put(b, same) })
		wg.Go(func() { f.put(b, own) })
	}
	wg.Wait()
	f.only(b, want...)
	f.holds(b, store.Sum(same), same)
}

func testCollect(f *fixture) {
	b := f.blobs("org")
	named, orphan, young, renewed := noise(4, 10), noise(5, 10), noise(6, 10), noise(7, 10)
	for _, data := range [][]byte{named, orphan, young, renewed} {
		f.put(b, data)
	}
	for _, data := range [][]byte{named, orphan, renewed} {
		f.engine.Age(f.T, "org", store.Sum(data), 8*24*time.Hour)
	}
	f.put(b, renewed)
	week := time.Now().Add(-7 * 24 * time.Hour)
	n, err := b.Collect(f.Context(), week, func(d store.Digest) bool {
		if d == store.Sum(young) || d == store.Sum(renewed) {
			f.Errorf("asked whether to keep a young blob")
		}
		return d == store.Sum(named)
	})
	if err != nil || n != 1 {
		f.Errorf("collected %d, %v; want 1", n, err)
	}
	f.only(b, store.Sum(named), store.Sum(young), store.Sum(renewed))
	f.holds(b, store.Sum(renewed), renewed)
}

// testCollectRace renews a blob while the collector has already asked whether
// it is still wanted.
func testCollectRace(f *fixture) {
	b := f.blobs("org")
	data := noise(8, 1000)
	d := f.put(b, data)
	f.engine.Age(f.T, "org", d, 8*24*time.Hour)
	n, err := b.Collect(f.Context(), time.Now().Add(-7*24*time.Hour), func(store.Digest) bool {
		f.put(b, data)
		return false
	})
	if err != nil || n != 0 {
		f.Errorf("collected %d, %v; want nothing", n, err)
	}
	f.holds(b, d, data)
}
