package document

import (
	"crypto"
	"errors"
	"io"
	"strings"

	"github.com/protodaemon/protodaemon/cms"
)

// readCMS reads what is in CMS (RFC 5652): a signature round its content
// (.p7m), one beside it (.p7s), a time stamp (.tst), a file with its time stamps
// (.tsd).
func (i *inspector) readCMS(s source) reading {
	switch kind, _ := cms.KindOf(s.head); kind {
	case cms.Encrypted:
		r := reading{Facts: Facts{Format: "p7m"}}
		r.warn(Encrypted, "it cannot be read without a key")
		return r
	case cms.TimeStamped:
		return i.readTimeStamped(s)
	}
	sd, err := cms.Open(s.Content, s.Size)
	if err != nil {
		r := reading{Facts: Facts{Format: "p7m"}}
		r.warn(cmsWarning(err), "the signature is not read: %s", lineOf(err.Error(), 300))
		return r
	}
	r := reading{}
	switch content := sd.Encapsulated(); {
	case sd.IsStamp():
		r = i.readToken(s, "tst")
	case content == nil:
		r.Format = "p7s"
		r.verify = func(r *reading) { i.detached(r, sd, s.beside()) }
	default:
		r.Format = "p7m"
		file := named(s.Name, content, ".p7m", ".p7s", ".p7", ".p7b")
		file.Size = content.Size()
		r.children = []child{{member: member{File: file, at: content}, more: sd.Digests()}}
		content := &r.children[0]
		r.verify = func(r *reading) { i.signed(r, sd, content.sum) }
	}
	if trailing(s.Input, sd.Length) {
		r.warn(TrailingData, "%d bytes stand behind the signature, which does not cover them", s.Size-sd.Length)
	}
	return r
}

func cmsWarning(err error) string {
	if errors.Is(err, cms.ErrBounds) {
		return TooLarge
	}
	return Malformed
}

// trailing tells that there is more behind a structure than padding. What
// begins with a page of it is taken for padding.
func trailing(in Input, length int64) bool {
	b := make([]byte, min(in.Size-length, 4096))
	n, _ := in.Content.ReadAt(b, length)
	return strings.Trim(string(b[:n]), "\x00 \t\r\n") != ""
}

// detached verifies a signature over the file beside it.
func (i *inspector) detached(r *reading, sd *cms.SignedData, beside *Input) {
	var sum stamped
	if beside != nil {
		sum = i.sums(r, sd.Digests(), nil, *beside, section{0, beside.Size})
	}
	i.signed(r, sd, sum)
}

// signed verifies all signers of one SignedData; sum gives the digests of the
// content, and is nil, or gives nil, when there is no content.
func (i *inspector) signed(r *reading, sd *cms.SignedData, sum stamped) {
	for n := range sd.Signers {
		if !i.another(r) {
			return
		}
		r.Signatures = append(r.Signatures, i.judge(signerOf(sd, n, sum)))
	}
}

// another tells that one more signature may be verified.
func (i *inspector) another(r *reading) bool {
	if i.ctx.Err() != nil {
		return false
	}
	if i.signers--; i.signers < 0 {
		r.warnOnce(TooMany, "not all signatures are verified: there are more than %d", i.o.Limits.Signers)
	}
	return i.signers >= 0
}

// signerOf verifies a signer, without the content as far as that goes.
func signerOf(sd *cms.SignedData, n int, sum stamped) evidence {
	missing := sum == nil
	for _, h := range sd.Digests() {
		missing = missing || sum(h) == nil
	}
	if missing {
		sum = func(crypto.Hash) []byte { return nil }
	}
	s, err := sd.VerifyDigest(n, sum)
	if missing && s.Certificate != nil {
		err = errNoContent
	}
	e := evidence{kind: "cms", err: err, certificate: s.Certificate, others: sd.Certificates, algorithm: s.Algorithm,
		weak: s.Weak, bound: s.Bound, said: s.Time, token: s.Token, counters: s.Counters}
	if s.Bound {
		e.kind = "cades"
	}
	value := s.Signature
	e.stamped = func(h crypto.Hash) []byte { return digestOf(h, value) }
	return e
}

var errNoContent = errors.New("what was signed is not there")

func digestOf(h crypto.Hash, b []byte) []byte {
	d := cms.NewDigester(h)
	if _, err := d.Write(b); err != nil {
		return nil
	}
	return d.Sum(h)
}

// readTimeStamped reads a .tsd (RFC 5544): the file in it and the time stamp
// over it.
func (i *inspector) readTimeStamped(s source) reading {
	r := reading{Facts: Facts{Format: "tsd"}}
	t, err := cms.OpenTimeStamped(s.Content, s.Size)
	if err != nil {
		r.warn(cmsWarning(err), "the time-stamped file is not read: %s", lineOf(err.Error(), 300))
		return r
	}
	if trailing(s.Input, t.Length) {
		r.warn(TrailingData, "%d bytes stand behind the time-stamped file", s.Size-t.Length)
	}
	content := t.Encapsulated()
	if content == nil {
		r.verify = func(r *reading) { i.stampBeside(r, t.Tokens[0], t.Prefix, s.beside()) }
		return r
	}
	name := s.Name
	if t.FileName != "" && len(t.Prefix) > 0 { // a name that the stamp covers
		name = t.FileName
	}
	file := named(name, content, ".tsd")
	file.Size = content.Size()
	r.children = []child{{member: member{File: file, at: content}}}
	one := &r.children[0]
	r.verify = func(r *reading) {
		over := &Input{Content: content, Size: content.Size()}
		if one.sums == nil { // it could not be read
			over = nil
		}
		i.stampBeside(r, t.Tokens[0], t.Prefix, over)
	}
	return r
}

// readToken reads a time stamp that is a file of its own.
func (i *inspector) readToken(s source, format string) reading {
	r := reading{Facts: Facts{Format: format}}
	b, err := io.ReadAll(io.NewSectionReader(s.Content, 0, min(s.Size, tokenMax)))
	if err == nil && format == "tsr" {
		b, err = cms.ResponseToken(b)
	}
	if err != nil {
		r.warn(Malformed, "the time stamp is not read: %s", lineOf(err.Error(), 300))
		return r
	}
	r.verify = func(r *reading) { i.stampBeside(r, b, nil, s.beside()) }
	return r
}

// tokenMax bounds a time stamp, which has some kilobytes.
const tokenMax = 1 << 20

// looksResponse tells the answer of a time stamping authority (RFC 3161 §2.4.2): a
// sequence that begins with a sequence that begins with a status.
func looksResponse(head []byte) bool {
	rest := string(head)
	for range 2 {
		inside, ok := strings.CutPrefix(rest, "\x30")
		if !ok || inside == "" {
			return false
		}
		skip := 1
		if inside[0] > 0x80 && inside[0] < 0x85 {
			skip += int(inside[0] & 0x7f)
		}
		rest = inside[min(skip, len(inside)):]
	}
	return strings.HasPrefix(rest, "\x02\x01") && len(rest) > 2 && rest[2] <= 5
}

func (i *inspector) readResponse(s source) reading { return i.readToken(s, "tsr") }
