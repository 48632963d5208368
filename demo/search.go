package demo

import (
	"bufio"
	"bytes"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	gomessage "github.com/emersion/go-message"
	"github.com/emersion/go-message/mail"
	"github.com/emersion/go-message/textproto"
)

// Search answers SEARCH (RFC 3501 6.4.4). BODY and TEXT look at the bytes as
// they are on the wire, which is enough to find a word in a demonstration.
func (s *session) Search(kind imapserver.NumKind, c *imap.SearchCriteria, _ *imap.SearchOptions) (*imap.SearchData, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	data := &imap.SearchData{}
	var seqs imap.SeqSet
	var uids imap.UIDSet
	for i, m := range s.open.Messages {
		n := s.tracker.EncodeSeqNum(uint32(i) + 1)
		if n == 0 {
			continue // this client does not know of it yet
		}
		ok, err := s.matches(n, m, c)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		seqs.AddNum(n)
		uids.AddNum(m.UID)
		if kind == imapserver.NumKindUID {
			n = uint32(m.UID)
		}
		if data.Count++; data.Min == 0 {
			data.Min = n
		}
		data.Max = n
	}
	data.All = seqs
	if kind == imapserver.NumKindUID {
		data.All = uids
	}
	return data, nil
}

func (s *session) matches(seq uint32, m *message, c *imap.SearchCriteria) (bool, error) {
	switch {
	case slices.ContainsFunc(c.SeqNum, func(set imap.SeqSet) bool { return !s.member(set)(seq, m) }),
		slices.ContainsFunc(c.UID, func(set imap.UIDSet) bool { return !s.member(set)(seq, m) }),
		slices.ContainsFunc(c.Flag, func(f imap.Flag) bool { return !m.has(f) }),
		slices.ContainsFunc(c.NotFlag, m.has),
		c.Larger != 0 && m.Size <= c.Larger,
		c.Smaller != 0 && m.Size >= c.Smaller,
		!onDay(m.Date, c.Since, c.Before):
		return false, nil
	}
	ok, err := s.matchesText(m, c)
	if !ok || err != nil {
		return false, err
	}
	for i := range c.Not {
		if ok, err := s.matches(seq, m, &c.Not[i]); ok || err != nil {
			return false, err
		}
	}
	for i := range c.Or {
		a, err := s.matches(seq, m, &c.Or[i][0])
		if err != nil {
			return false, err
		}
		b, err := s.matches(seq, m, &c.Or[i][1])
		if !a && !b || err != nil {
			return false, err
		}
	}
	return true, nil
}

// onDay compares dates without time and zone, as RFC 3501 wants.
func onDay(t, since, before time.Time) bool {
	day := time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
	return (since.IsZero() || !day.Before(since)) && (before.IsZero() || day.Before(before))
}

func (s *session) matchesText(m *message, c *imap.SearchCriteria) (bool, error) {
	if len(c.Header)+len(c.Body)+len(c.Text) == 0 && c.SentSince.IsZero() && c.SentBefore.IsZero() {
		return true, nil
	}
	raw, err := s.body(m, true)
	if err != nil {
		return false, err
	}
	th, _ := textproto.ReadHeader(bufio.NewReader(bytes.NewReader(raw)))
	header := mail.Header{Header: gomessage.Header{Header: th}}
	for _, h := range c.Header {
		if !hasField(&header, h.Key, h.Value) {
			return false, nil
		}
	}
	if !c.SentSince.IsZero() || !c.SentBefore.IsZero() {
		if sent, err := header.Date(); err != nil || !onDay(sent, c.SentSince, c.SentBefore) {
			return false, nil
		}
	}
	lower := bytes.ToLower(raw)
	for _, word := range append(slices.Clone(c.Text), c.Body...) {
		if !bytes.Contains(lower, bytes.ToLower([]byte(word))) {
			return false, nil
		}
	}
	return true, nil
}

func hasField(h *mail.Header, key, value string) bool {
	fields := h.FieldsByKey(key)
	for fields.Next() {
		text, err := fields.Text()
		if err != nil {
			text = fields.Value()
		}
		if strings.Contains(strings.ToLower(text), strings.ToLower(value)) {
			return true
		}
	}
	return false
}
