package demo

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
)

// delimiter separates the levels of folder names.
const delimiter = '/'

// account is the mail of one user: bodies are files named by their SHA-256,
// everything else is one JSON file that is replaced at each change.
type account struct {
	dir, password string

	mu       sync.Mutex
	state    accountState
	watchers map[chan struct{}]bool // of sessions in IDLE; each has room for one
}

type accountState struct {
	LastUIDValidity uint32    `json:"last_uid_validity"`
	Folders         []*folder `json:"folders"`
}

// folder is one mailbox in the sense of IMAP.
type folder struct {
	Name        string     `json:"name"`
	UIDValidity uint32     `json:"uid_validity"`
	UIDNext     imap.UID   `json:"uid_next"`
	Subscribed  bool       `json:"subscribed"`
	Messages    []*message `json:"messages"`

	tracker *imapserver.MailboxTracker
}

type message struct {
	UID    imap.UID    `json:"uid"`
	SHA256 string      `json:"sha256"`
	Size   int64       `json:"size"`
	Date   time.Time   `json:"date"`
	Flags  []imap.Flag `json:"flags"`
}

func openAccount(dir string, who Account) (*account, error) {
	if err := os.MkdirAll(filepath.Join(dir, "messages"), 0o700); err != nil {
		return nil, err
	}
	a := &account{dir: dir, password: who.Password, watchers: map[chan struct{}]bool{}}
	data, err := os.ReadFile(a.stateFile())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		a.addFolder("INBOX").Subscribed = true
		return a, a.save()
	case err != nil:
		return nil, err
	}
	if err := json.Unmarshal(data, &a.state); err != nil {
		return nil, err
	}
	for _, f := range a.state.Folders {
		f.tracker = imapserver.NewMailboxTracker(uint32(len(f.Messages)))
	}
	return a, a.sweep()
}

// sweep removes the bodies of messages that are gone, and what a killed
// process left half written.
func (a *account) sweep() error {
	used := map[string]bool{}
	for _, f := range a.state.Folders {
		for _, m := range f.Messages {
			used[filepath.Base(a.bodyFile(m.SHA256))] = true
		}
	}
	bodies, err := os.ReadDir(filepath.Join(a.dir, "messages"))
	for _, b := range bodies {
		if !used[b.Name()] {
			err = errors.Join(err, os.Remove(filepath.Join(a.dir, "messages", b.Name())))
		}
	}
	return err
}

func (a *account) stateFile() string { return filepath.Join(a.dir, "state.json") }

func (a *account) bodyFile(sum string) string { return filepath.Join(a.dir, "messages", sum+".eml") }

// save writes the state and wakes the sessions that wait for news; the caller
// holds mu, or is alone. After a failed write the change is still seen, and is
// written with the next one.
func (a *account) save() error {
	for w := range a.watchers {
		select {
		case w <- struct{}{}:
		default: // it has to wake up already
		}
	}
	data, err := json.Marshal(a.state)
	if err != nil {
		return err
	}
	return writeFile(a.stateFile(), data)
}

// watch returns a channel that receives after each change until stop is called.
func (a *account) watch() (news <-chan struct{}, stop func()) {
	w := make(chan struct{}, 1)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.watchers[w] = true
	return w, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.watchers, w)
	}
}

// addFolder makes a folder; UIDVALIDITY is never used twice (RFC 3501 2.3.1.1).
func (a *account) addFolder(name string) *folder {
	a.state.LastUIDValidity = max(a.state.LastUIDValidity+1, uint32(time.Now().Unix()))
	f := &folder{
		Name: name, UIDValidity: a.state.LastUIDValidity, UIDNext: 1,
		tracker: imapserver.NewMailboxTracker(0),
	}
	a.state.Folders = append(a.state.Folders, f)
	return f
}

func (a *account) folder(name string) *folder {
	for _, f := range a.state.Folders {
		if f.Name == name {
			return f
		}
	}
	return nil
}

// keep stores a body and returns its name.
func (a *account) keep(raw []byte) (string, error) {
	d := sha256.Sum256(raw)
	sum := hex.EncodeToString(d[:])
	return sum, writeFile(a.bodyFile(sum), raw)
}

func (a *account) deliver(name string, raw []byte, date time.Time) error {
	sum, err := a.keep(raw)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.made(name).add(message{SHA256: sum, Size: int64(len(raw)), Date: date})
	return a.save()
}

// made returns the folder, new and subscribed when there was none.
func (a *account) made(name string) *folder {
	if f := a.folder(name); f != nil {
		return f
	}
	f := a.addFolder(name)
	f.Subscribed = true
	return f
}

func (a *account) count(name string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	if f := a.folder(name); f != nil {
		return len(f.Messages)
	}
	return 0
}

func (a *account) drag(from, to string) (bool, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	src := a.folder(from)
	if src == nil || len(src.Messages) == 0 {
		return false, nil
	}
	oldest := src.Messages[0]
	a.made(to).add(*oldest)
	src.remove(func(m *message) bool { return m == oldest })
	return true, a.save()
}

// add appends a copy of m under a new UID and tells the watching sessions.
func (f *folder) add(m message) imap.UID {
	m.UID = f.UIDNext
	m.Flags = slices.Clone(m.Flags)
	f.UIDNext++
	f.Messages = append(f.Messages, &m)
	f.tracker.QueueNumMessages(uint32(len(f.Messages)))
	return m.UID
}

// remove drops the messages that gone names, last first, so that the sequence
// numbers told to the sessions are right.
func (f *folder) remove(gone func(*message) bool) {
	doomed := map[*message]bool{}
	for _, m := range f.Messages {
		doomed[m] = gone(m)
	}
	for i, m := range slices.Backward(f.Messages) {
		if doomed[m] {
			f.tracker.QueueExpunge(uint32(i) + 1)
		}
	}
	f.Messages = slices.DeleteFunc(f.Messages, func(m *message) bool { return doomed[m] })
}

// has tells whether the message carries the flag, in any case of letters.
func (m *message) has(flag imap.Flag) bool {
	return slices.ContainsFunc(m.Flags, func(f imap.Flag) bool { return equalFlag(f, flag) })
}

// store changes the flags as STORE asks (RFC 3501 6.4.6).
func (m *message) store(s *imap.StoreFlags) {
	if s.Op == imap.StoreFlagsSet {
		m.Flags = nil
	}
	// A new slice: sessions still hold the old one to tell their clients.
	kept := slices.DeleteFunc(slices.Clone(m.Flags), func(f imap.Flag) bool {
		return slices.ContainsFunc(s.Flags, func(g imap.Flag) bool { return equalFlag(f, g) })
	})
	if s.Op != imap.StoreFlagsDel {
		kept = append(kept, settable(s.Flags)...)
	}
	m.Flags = kept
}

// settable leaves out \Recent, which a client cannot set (RFC 3501 2.3.2), and
// what is said twice.
func settable(flags []imap.Flag) []imap.Flag {
	var out []imap.Flag
	for _, f := range flags {
		said := slices.ContainsFunc(out, func(g imap.Flag) bool { return equalFlag(f, g) })
		if !said && !equalFlag(f, `\Recent`) {
			out = append(out, f)
		}
	}
	return out
}
