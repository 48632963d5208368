package archive_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/protodaemon/protodaemon/archive"
	"github.com/protodaemon/protodaemon/register"
	"github.com/protodaemon/protodaemon/store"
)

// BenchmarkCloseDay closes a day of 10,000 entries with three attachments each,
// the whole way: XML, PDF, imprints, CAdES and XAdES, time stamps (of an
// authority in the process), package, delivery to a directory.
func BenchmarkCloseDay(b *testing.B) { benchmarkClosing(b, 1, 1, 10_000) }

// BenchmarkCloseHundredRegisters does the same for the five registers of each
// of 20 organizations, 100 entries each, all at once.
func BenchmarkCloseHundredRegisters(b *testing.B) { benchmarkClosing(b, 20, 5, 100) }

// benchmarkClosing measures from an opened store to delivered packages. The
// store is opened anew after the entries were made, as by a command without a
// daemon: nothing of them is in memory.
func benchmarkClosing(b *testing.B, organizations, registers, entries int) {
	b.StopTimer()
	var peak, mapped, cpu float64
	for range b.N {
		w := newWorks(b, organizations, registers)
		w.fill(entries)
		w.close()
		w.open()
		measured := resetPeak(b)
		begun := cpuSeconds(b)
		b.StartTimer()
		w.closeAll()
		b.StopTimer()
		cpu += cpuSeconds(b) - begun
		p, m := measured()
		peak, mapped = max(peak, p), max(mapped, m)
		w.expect(entries)
		w.close()
	}
	b.ReportMetric(cpu/float64(b.N), "cpu-s/op")
	b.ReportMetric(peak, "peak-MB")
	b.ReportMetric(mapped, "mapped-MB")
}

// cpuSeconds is the CPU time of this process, which tells more than the clock on
// a busy machine.
func cpuSeconds(b *testing.B) float64 {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

// resetPeak begins to measure the memory of the process: the returned function
// tells the most that was resident since (VmHWM of proc(5)), and what of the
// mapped databases and the program is resident now, which is in it and which
// the kernel takes back when it needs room; in units of 10⁶ bytes. What the
// preparation left is given back before.
func resetPeak(b *testing.B) func() (peak, mapped float64) {
	b.Helper()
	debug.FreeOSMemory()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		b.Fatal(err)
	}
	return func() (peak, mapped float64) {
		status, err := os.ReadFile("/proc/self/status")
		if err != nil {
			b.Fatal(err)
		}
		line := func(name string) float64 {
			m := regexp.MustCompile(`(?m)^` + name + `:\s+(\d+) kB$`).FindSubmatch(status)
			if m == nil {
				b.Fatalf("there is no %s in %s", name, status)
			}
			kib, err := strconv.ParseFloat(string(m[1]), 64)
			if err != nil {
				b.Fatal(err)
			}
			return kib * 1024 / 1e6
		}
		return line("VmHWM"), line("RssFile")
	}
}

// works are many registers of many organizations over a real store.
type works struct {
	b       *testing.B
	dir     string
	setup   register.Setup
	confs   []archive.Register
	st      *store.Bolt
	office  *register.Office
	archive *archive.Archive
	closed  []register.Closing // by confs
}

var everywhere = register.Actor{User: "rosa", Name: "Rosa Verdi", Grants: []register.Grant{{Role: register.Manager}}}

// newWorks makes the registers in the likeness of a hall's.
func newWorks(b *testing.B, organizations, registers int) *works {
	b.Helper()
	h := newHall(b, register.ClosingRules{EmptyDays: "none"})
	h.close()
	w := &works{b: b, dir: h.dir, setup: register.Setup{Location: rome}}
	for o := range organizations {
		one := h.setup.Organizations[0]
		one.ID, one.Registers = fmt.Sprintf("%s-%d", org, o), nil
		for r := range registers {
			reg := h.setup.Organizations[0].Registers[0]
			reg.ID, reg.Mailboxes = fmt.Sprintf("registro-%d", r), []register.Mailbox{{ID: fmt.Sprintf("%s-%d", box, r), Kind: "pec", Address: "ordine@pec.example.it"}}
			one.Registers = append(one.Registers, reg)
			conf := h.conf
			conf.Organization, conf.Register = one.ID, reg.ID
			conf.Delivery.Path = filepath.Join(h.dir, "conservazione", one.ID, reg.ID)
			if err := os.MkdirAll(conf.Delivery.Path, 0o700); err != nil {
				b.Fatal(err)
			}
			w.confs = append(w.confs, conf)
		}
		w.setup.Organizations = append(w.setup.Organizations, one)
	}
	w.open()
	return w
}

func (w *works) open() {
	w.b.Helper()
	var err error
	if w.st, err = store.OpenBolt(w.b.Context(), store.Options{Dir: filepath.Join(w.dir, "works"), Reserve: -1}); err != nil {
		w.b.Fatal(err)
	}
	if w.office, err = register.Open(w.b.Context(), w.st, w.setup); err != nil {
		w.b.Fatal(errors.Join(err, w.st.Close()))
	}
	w.archive, err = archive.New(archive.Options{Office: w.office, Location: rome, Software: "protodaemon prova", Registers: w.confs})
	if err != nil {
		w.b.Fatal(err)
	}
}

func (w *works) close() {
	w.b.Helper()
	w.archive.Unregister()
	if err := errors.Join(w.office.Close(), w.st.Close()); err != nil {
		w.b.Fatal(err)
	}
}

// each does something for every register, all at once.
func (w *works) each(do func(i int, conf archive.Register) error) {
	w.b.Helper()
	failed := make([]error, len(w.confs))
	var all sync.WaitGroup
	for i, conf := range w.confs {
		all.Go(func() { failed[i] = do(i, conf) })
	}
	all.Wait()
	if err := errors.Join(failed...); err != nil {
		w.b.Fatal(err)
	}
}

// fill registers n entries in each register.
func (w *works) fill(n int) {
	w.b.Helper()
	w.each(func(i int, conf archive.Register) error {
		books := w.setup.Organizations[0].Registers
		mailbox := books[i%len(books)].Mailboxes[0].ID
		const batch = 100
		for first := 0; first < n; first += batch {
			items := make([]register.Item, min(batch, n-first))
			failed := make([]error, len(items))
			var all sync.WaitGroup
			for j := range items {
				all.Go(func() {
					items[j].Classification = "1.1"
					items[j].ID, failed[j] = w.arrive(conf.Organization, mailbox, first+j)
				})
			}
			all.Wait()
			for _, r := range w.office.ConfirmMany(w.b.Context(), everywhere, items) {
				failed = append(failed, r.Err)
			}
			if err := errors.Join(failed...); err != nil {
				return err
			}
		}
		return nil
	})
}

// arrive takes in the n-th message of a mailbox and returns its pending entry.
func (w *works) arrive(organization, mailbox string, n int) (id string, err error) {
	blob, err := w.office.CreateBlob(w.b.Context(), organization)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, blob.Close()) }()
	if _, err := fmt.Fprintf(blob, "messaggio %d a %s", n, mailbox); err != nil {
		return "", err
	}
	message, size, err := blob.Commit(w.b.Context())
	if err != nil {
		return "", err
	}
	p, err := w.office.Arrive(w.b.Context(), arrival(organization, mailbox, message, size, n))
	return p.ID, err
}

// arrival is the n-th message, with what usually stands in one.
func arrival(organization, mailbox string, message store.Digest, size int64, n int) register.Arrival {
	var files []register.Document
	for i, name := range []string{"istanza-di-iscrizione.pdf.p7m", "documento-di-identità.pdf", "ricevuta-del-versamento.pdf"} {
		files = append(files, register.Document{Part: strconv.Itoa(i + 2), Name: name, MediaType: "application/pdf",
			Size: int64(100_000 + n), SHA256: store.Sum(fmt.Appendf(nil, "%d %d", n, i))})
	}
	certified := time.Now().Add(-time.Minute)
	return register.Arrival{
		Organization: organization, Mailbox: mailbox, Message: message, Size: size, ArrivedAt: time.Now(), State: register.StatePending,
		Analysis: []byte(`{}`),
		Summary: register.Summary{Kind: "pec-transport", Authenticity: "certified",
			Subject:    fmt.Sprintf("Istanza di iscrizione all'albo degli avvocati, pratica n. %d, con allegati", n),
			Identifier: fmt.Sprintf("opec2952.20261123090000.%08d.123.1.1@pec.example.it", n), MessageID: fmt.Sprintf("<%d@pec.example.it>", n),
			Certified:   &certified,
			From:        register.Party{Name: "Mario Rossi", Address: fmt.Sprintf("mario.rossi.%d@pec.example.it", n)},
			Attachments: files},
	}
}

// closeAll closes today in every register and takes its closing as far as its
// delivery.
func (w *works) closeAll() {
	w.b.Helper()
	w.closed = make([]register.Closing, len(w.confs))
	w.each(func(i int, conf archive.Register) error {
		made, err := w.archive.Close(w.b.Context(), everywhere, conf.Organization, conf.Register, time.Now().In(rome).Format(time.DateOnly))
		if err != nil || len(made) == 0 {
			return errors.Join(err, fmt.Errorf("%d closings were made", len(made)))
		}
		w.closed[i] = made[len(made)-1]
		return w.archive.Work(w.b.Context(), conf.Organization, conf.Register)
	})
}

// expect holds what was closed against what was registered: a fast closing of
// something else is no figure.
func (w *works) expect(entries int) {
	w.b.Helper()
	var bytes int64
	for _, made := range w.closed {
		c, err := w.office.Closing(w.b.Context(), everywhere, made.Organization, made.Register, made.ID)
		if err != nil {
			w.b.Fatal(err)
		}
		if c.State != register.ClosingDelivered || c.Entries != entries {
			w.b.Fatalf("closing %s of %s/%s: %s with %d entries, want %d", c.ID, c.Organization, c.Register, c.State, c.Entries, entries)
		}
		p, ok := c.File(register.FilePackage)
		if !ok {
			w.b.Fatalf("closing %s of %s/%s has no package", c.ID, c.Organization, c.Register)
		}
		bytes += p.Size
	}
	w.b.ReportMetric(float64(bytes)/1e6, "delivered-MB")
}
