package demo

import (
	"cmp"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
)

// session is one client's connection. Its methods are called one at a time, but
// for Idle, which may still be ending when the connection is closed.
type session struct {
	mail     *Mailserver
	*account // nil: not logged in
	open     *folder
	readOnly bool // opened by EXAMINE
	tracker  *imapserver.SessionTracker
}

var _ imapserver.SessionIMAP4rev2 = (*session)(nil)

func refuse(code imap.ResponseCode, text string) error {
	return &imap.Error{Type: imap.StatusResponseTypeNo, Code: code, Text: text}
}

func (s *session) Login(username, password string) (err error) {
	s.account, err = s.mail.login(username, password)
	return err
}

func (s *session) Close() error {
	defer s.mail.sessions.Done()
	return s.Unselect()
}

func (s *session) Unselect() error {
	if s.account == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leave()
	return nil
}

// leave closes the open folder; the caller holds mu.
func (s *session) leave() {
	if s.open != nil {
		s.tracker.Close()
		s.open, s.tracker = nil, nil
	}
}

// existing returns the folder by its name; code is what IMAP wants the answer
// to say when there is none. The caller holds mu.
func (s *session) existing(name string, code imap.ResponseCode) (*folder, error) {
	if f := s.folder(canonical(name)); f != nil {
		return f, nil
	}
	return nil, refuse(code, "No such mailbox")
}

// canonical writes INBOX in capitals, the one name whose case does not matter,
// also above others.
func canonical(name string) string {
	name = strings.TrimRight(name, string(delimiter))
	if strings.EqualFold(name, inbox) {
		return inbox
	}
	if len(name) > len(inbox) && name[len(inbox)] == delimiter && strings.EqualFold(name[:len(inbox)], inbox) {
		return inbox + name[len(inbox):]
	}
	return name
}

func equalFlag(a, b imap.Flag) bool { return strings.EqualFold(string(a), string(b)) }

// errReadOnly refuses changes of a folder opened by EXAMINE (RFC 3501 6.3.2).
var errReadOnly = refuse("", "The mailbox is open for reading only")

func (s *session) Select(name string, o *imap.SelectOptions) (*imap.SelectData, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, err := s.existing(name, imap.ResponseCodeNonExistent)
	if err != nil {
		return nil, err
	}
	s.leave()
	s.open, s.tracker, s.readOnly = f, f.tracker.NewSession(), o.ReadOnly
	flags := []imap.Flag{imap.FlagAnswered, imap.FlagFlagged, imap.FlagDeleted, imap.FlagSeen, imap.FlagDraft}
	permanent := append(flags[:len(flags):len(flags)], imap.FlagWildcard)
	if s.readOnly {
		permanent = nil
	}
	return &imap.SelectData{
		Flags: flags, PermanentFlags: permanent,
		NumMessages: uint32(len(f.Messages)), UIDNext: f.UIDNext, UIDValidity: f.UIDValidity,
	}, nil
}

// Create makes a folder and those above it (RFC 3501 6.3.3).
func (s *session) Create(name string, _ *imap.CreateOptions) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	name = canonical(name)
	if err := s.free(name); err != nil {
		return err
	}
	for i, r := range name {
		if above := name[:i]; r == delimiter && s.folder(above) == nil {
			s.addFolder(above)
		}
	}
	s.addFolder(name)
	return s.save()
}

// free tells whether a new folder may have the name; the caller holds mu.
func (s *session) free(name string) error {
	switch {
	case slices.Contains(strings.Split(name, string(delimiter)), ""):
		return refuse(imap.ResponseCodeCannot, "A level of the name is empty")
	case s.folder(name) != nil:
		return refuse(imap.ResponseCodeAlreadyExists, "Mailbox already exists")
	}
	return nil
}

func (s *session) Delete(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, err := s.existing(name, imap.ResponseCodeNonExistent)
	if err != nil {
		return err
	}
	if f.Name == inbox || s.hasChildren(f) {
		return refuse(imap.ResponseCodeCannot, "INBOX, and a mailbox with others inside, cannot be deleted")
	}
	s.state.Folders = slices.DeleteFunc(s.state.Folders, func(g *folder) bool { return g == f })
	return s.save()
}

func (s *session) Rename(name, to string, _ *imap.RenameOptions) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, err := s.existing(name, imap.ResponseCodeNonExistent)
	if err != nil {
		return err
	}
	if f.Name == inbox {
		return refuse(imap.ResponseCodeCannot, "INBOX cannot be renamed")
	}
	to = canonical(to)
	renamed := map[*folder]string{f: to}
	for _, g := range s.state.Folders {
		if rest, ok := strings.CutPrefix(g.Name, f.Name+string(delimiter)); ok {
			renamed[g] = to + string(delimiter) + rest
		}
	}
	for _, name := range renamed {
		if err := s.free(name); err != nil {
			return err
		}
	}
	for g, name := range renamed {
		g.Name = name
	}
	return s.save()
}

func (s *session) hasChildren(f *folder) bool {
	return slices.ContainsFunc(s.state.Folders, func(g *folder) bool {
		return strings.HasPrefix(g.Name, f.Name+string(delimiter))
	})
}

func (s *session) Subscribe(name string) error   { return s.subscribe(name, true) }
func (s *session) Unsubscribe(name string) error { return s.subscribe(name, false) }

func (s *session) subscribe(name string, yes bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, err := s.existing(name, imap.ResponseCodeNonExistent)
	if err != nil {
		return err
	}
	f.Subscribed = yes
	return s.save()
}

func (s *session) List(w *imapserver.ListWriter, ref string, patterns []string, o *imap.ListOptions) error {
	if len(patterns) == 0 {
		return w.WriteList(&imap.ListData{Attrs: []imap.MailboxAttr{imap.MailboxAttrNoSelect}, Delim: delimiter})
	}
	for _, data := range s.listing(ref, patterns, o) {
		if err := w.WriteList(data); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) listing(ref string, patterns []string, o *imap.ListOptions) []*imap.ListData {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []*imap.ListData
	for _, f := range slices.SortedFunc(slices.Values(s.state.Folders), func(f, g *folder) int { return cmp.Compare(f.Name, g.Name) }) {
		matches := slices.ContainsFunc(patterns, func(p string) bool {
			return imapserver.MatchList(f.Name, delimiter, ref, p)
		})
		if !matches || (o.SelectSubscribed && !f.Subscribed) {
			continue
		}
		data := &imap.ListData{Mailbox: f.Name, Delim: delimiter, Attrs: []imap.MailboxAttr{imap.MailboxAttrHasNoChildren}}
		if s.hasChildren(f) {
			data.Attrs[0] = imap.MailboxAttrHasChildren
		}
		if f.Subscribed {
			data.Attrs = append(data.Attrs, imap.MailboxAttrSubscribed)
		}
		if o.ReturnStatus != nil {
			data.Status = f.status(o.ReturnStatus)
		}
		list = append(list, data)
	}
	return list
}

func (s *session) Namespace() (*imap.NamespaceData, error) {
	return &imap.NamespaceData{Personal: []imap.NamespaceDescriptor{{Delim: delimiter}}}, nil
}

func (s *session) Status(name string, o *imap.StatusOptions) (*imap.StatusData, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, err := s.existing(name, imap.ResponseCodeNonExistent)
	if err != nil {
		return nil, err
	}
	return f.status(o), nil
}

func (f *folder) status(o *imap.StatusOptions) *imap.StatusData {
	count := func(wanted bool, is func(*message) bool) *uint32 {
		if !wanted {
			return nil
		}
		var n uint32
		for _, m := range f.Messages {
			if is(m) {
				n++
			}
		}
		return &n
	}
	d := &imap.StatusData{
		Mailbox: f.Name, UIDNext: f.UIDNext, UIDValidity: f.UIDValidity,
		NumMessages: count(o.NumMessages, func(*message) bool { return true }),
		NumUnseen:   count(o.NumUnseen, func(m *message) bool { return !m.has(imap.FlagSeen) }),
		NumDeleted:  count(o.NumDeleted, func(m *message) bool { return m.has(imap.FlagDeleted) }),
		NumRecent:   count(o.NumRecent, func(*message) bool { return false }),
	}
	if o.Size {
		var size int64
		for _, m := range f.Messages {
			size += m.Size
		}
		d.Size = &size
	}
	return d
}

func (s *session) Append(name string, r imap.LiteralReader, o *imap.AppendOptions) (*imap.AppendData, error) {
	raw, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	sum, err := s.keep(raw)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f, err := s.existing(name, imap.ResponseCodeTryCreate)
	if err != nil {
		return nil, err
	}
	m := message{SHA256: sum, Size: int64(len(raw)), Date: o.Time, Flags: settable(o.Flags)}
	if m.Date.IsZero() {
		m.Date = time.Now()
	}
	uid := f.add(m)
	return &imap.AppendData{UIDValidity: f.UIDValidity, UID: uid}, s.save()
}

func (s *session) Poll(w *imapserver.UpdateWriter, allowExpunge bool) error {
	if s.open == nil {
		return nil
	}
	return s.tracker.Poll(w, allowExpunge)
}

// Idle tells of news as they come (RFC 2177), also of those that came after the
// last command: the tracker's own Idle would keep these back until the next.
func (s *session) Idle(w *imapserver.UpdateWriter, stop <-chan struct{}) error {
	news, end := s.watch()
	defer end()
	s.mu.Lock()
	tracker := s.tracker
	s.mu.Unlock()
	for {
		if tracker != nil {
			if err := tracker.Poll(w, true); err != nil {
				return err
			}
		}
		select {
		case <-news:
		case <-stop:
			return nil
		}
	}
}

// find lists the messages of the open folder that set names and this client
// knows of; before, if not nil, is called for each with its place in the folder
// (from 1). The caller holds mu.
func (s *session) find(set imap.NumSet, before func(place uint32, m *message)) []listed {
	var found []listed
	in := s.member(set)
	for i, m := range s.open.Messages {
		place := uint32(i) + 1
		seq := s.tracker.EncodeSeqNum(place)
		if seq == 0 || !in(seq, m) {
			continue
		}
		if before != nil {
			before(place, m)
		}
		found = append(found, listed{*m, seq})
	}
	return found
}

// member tells which messages a set names, with * as the last one. The caller
// holds mu.
func (s *session) member(set imap.NumSet) func(seq uint32, m *message) bool {
	switch set := set.(type) {
	case imap.UIDSet:
		var last imap.UID
		if n := len(s.open.Messages); n > 0 {
			last = s.open.Messages[n-1].UID
		}
		return func(_ uint32, m *message) bool {
			return slices.ContainsFunc(set, func(r imap.UIDRange) bool { return within(m.UID, r.Start, r.Stop, last) })
		}
	case imap.SeqSet:
		var last uint32
		for i := range s.open.Messages {
			last = max(last, s.tracker.EncodeSeqNum(uint32(i)+1))
		}
		return func(seq uint32, _ *message) bool {
			return slices.ContainsFunc(set, func(r imap.SeqRange) bool { return within(seq, r.Start, r.Stop, last) })
		}
	}
	return func(uint32, *message) bool { return false }
}

// within tells whether n lies in a range whose ends may be 0 for * (RFC 3501
// section 9: seq-range may be given in either order).
func within[N imap.UID | uint32](n, start, stop, last N) bool {
	if start == 0 {
		start = last
	}
	if stop == 0 {
		stop = last
	}
	return n >= min(start, stop) && n <= max(start, stop)
}

// Expunge also serves CLOSE, which leaves a folder opened by EXAMINE as it is
// and says nothing (RFC 3501 6.4.2).
func (s *session) Expunge(_ *imapserver.ExpungeWriter, uids *imap.UIDSet) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.readOnly {
		return nil
	}
	s.open.remove(func(m *message) bool {
		return m.has(imap.FlagDeleted) && (uids == nil || uids.Contains(m.UID))
	})
	return s.save()
}

func (s *session) Store(w *imapserver.FetchWriter, set imap.NumSet, flags *imap.StoreFlags, _ *imap.StoreOptions) error {
	changed, err := s.change(set, flags)
	if err != nil || flags.Silent {
		return err
	}
	for _, m := range changed {
		if err := s.write(w, m, &imap.FetchOptions{Flags: true}); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) change(set imap.NumSet, flags *imap.StoreFlags) ([]listed, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.readOnly {
		return nil, errReadOnly
	}
	changed := s.find(set, func(place uint32, m *message) {
		m.store(flags)
		s.open.tracker.QueueMessageFlags(place, m.UID, m.Flags, s.tracker)
	})
	return changed, s.save()
}

// transfer copies messages to another folder and returns the COPYUID data, nil
// when the set names none. The caller holds mu.
func (s *session) transfer(set imap.NumSet, to string) (*imap.CopyData, error) {
	dst, err := s.existing(to, imap.ResponseCodeTryCreate)
	if err != nil {
		return nil, err
	}
	found := s.find(set, nil)
	if len(found) == 0 {
		return nil, nil
	}
	data := &imap.CopyData{UIDValidity: dst.UIDValidity}
	for _, m := range found {
		data.SourceUIDs.AddNum(m.UID)
		data.DestUIDs.AddNum(dst.add(m.message))
	}
	return data, nil
}

func (s *session) Copy(set imap.NumSet, to string) (*imap.CopyData, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	data, err := s.transfer(set, to)
	if err != nil {
		return nil, err
	}
	return data, s.save()
}

func (s *session) Move(w *imapserver.MoveWriter, set imap.NumSet, to string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.readOnly {
		return errReadOnly
	}
	data, err := s.transfer(set, to)
	if err != nil || data == nil {
		return err
	}
	s.open.remove(func(m *message) bool { return data.SourceUIDs.Contains(m.UID) })
	if err := s.save(); err != nil {
		return err
	}
	return w.WriteCopyData(data)
}
