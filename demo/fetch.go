package demo

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"slices"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-message/textproto"
)

// listed is a message as it was at one moment, under the sequence number by
// which this client knows it.
type listed struct {
	message
	seq uint32
}

// Fetch answers FETCH (RFC 3501 6.4.5). The answer is written when the account
// is free again: a client that reads slowly holds up nobody else.
func (s *session) Fetch(w *imapserver.FetchWriter, set imap.NumSet, o *imap.FetchOptions) error {
	found, err := s.look(set, o)
	if err != nil {
		return err
	}
	for _, m := range found {
		if err := s.write(w, m, o); err != nil {
			return err
		}
	}
	return nil
}

// look lists the messages of a set, and marks them as seen if their text is
// asked for without PEEK.
func (s *session) look(set imap.NumSet, o *imap.FetchOptions) ([]listed, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	marks := !s.readOnly && (slices.ContainsFunc(o.BodySection, func(b *imap.FetchItemBodySection) bool { return !b.Peek }) ||
		slices.ContainsFunc(o.BinarySection, func(b *imap.FetchItemBinarySection) bool { return !b.Peek }))
	changed := false
	found := s.find(set, func(place uint32, m *message) {
		if marks && !m.has(imap.FlagSeen) {
			m.store(&imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagSeen}})
			s.open.tracker.QueueMessageFlags(place, m.UID, m.Flags, nil)
			changed = true
		}
	})
	if !changed {
		return found, nil
	}
	return found, s.save()
}

func (s *session) write(fw *imapserver.FetchWriter, m listed, o *imap.FetchOptions) error {
	raw, err := s.body(&m.message, o.Envelope || o.BodyStructure != nil || len(o.BodySection)+len(o.BinarySection)+len(o.BinarySectionSize) > 0)
	if err != nil {
		return err
	}
	w := fw.CreateMessage(m.seq)
	w.WriteUID(m.UID)
	if o.Flags {
		w.WriteFlags(m.Flags)
	}
	if o.InternalDate {
		w.WriteInternalDate(m.Date)
	}
	if o.RFC822Size {
		w.WriteRFC822Size(m.Size)
	}
	if o.Envelope {
		h, _ := textproto.ReadHeader(bufio.NewReader(bytes.NewReader(raw)))
		w.WriteEnvelope(imapserver.ExtractEnvelope(h))
	}
	if o.BodyStructure != nil {
		w.WriteBodyStructure(imapserver.ExtractBodyStructure(bytes.NewReader(raw)))
	}
	for _, b := range o.BodySection {
		if err := writeLiteral(w.WriteBodySection, b, imapserver.ExtractBodySection(bytes.NewReader(raw), b)); err != nil {
			return err
		}
	}
	for _, b := range o.BinarySection {
		if err := writeLiteral(w.WriteBinarySection, b, imapserver.ExtractBinarySection(bytes.NewReader(raw), b)); err != nil {
			return err
		}
	}
	for _, b := range o.BinarySectionSize {
		w.WriteBinarySectionSize(b, imapserver.ExtractBinarySectionSize(bytes.NewReader(raw), b))
	}
	return w.Close()
}

func writeLiteral[S any](open func(S, int64) io.WriteCloser, section S, data []byte) error {
	w := open(section, int64(len(data)))
	if _, err := w.Write(data); err != nil {
		return err
	}
	return w.Close()
}

// body reads the bytes of a message when they are wanted.
func (a *account) body(m *message, wanted bool) ([]byte, error) {
	if !wanted {
		return nil, nil
	}
	return os.ReadFile(a.bodyFile(m.SHA256))
}
