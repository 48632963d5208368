package pec

import (
	"hash"
	"strings"

	"github.com/protodaemon/protodaemon/cms"
)

// envelope is what stands where in a message, before anything is believed:
// its kind, the signed part, and in it the provider's own parts. Read and
// OpenPart share it, so that a part has the same name in both.
type envelope struct {
	kind Kind
	top  *part
	// head is the header of the message: top's, or that of the message whose
	// part top is, where a mailing list put something round it.
	head *header
	sign signedBy
	// detached tells that top is a multipart/signed, content its first part;
	// waits is its signature until the content has passed by.
	detached bool
	waits    *detached
	opaque   bool
	content  *part // nil when nothing is signed

	daticert  *part
	evidence  []*part // of a REM
	read      []*evidence
	shown     *evidence // what a.PEC is about
	postacert *part     // root of the original message, opened

	// originalPart holds it; original is its digest, taken in passing.
	originalPart *part
	originalSink *decodedSink
	original     hash.Hash
	// body is where the text stands that this message shows, files where its
	// attachments are: the original of an envelope, the receipt's own text but
	// the original's files of a receipt, the whole of ordinary mail.
	body, files *part
	// wrapped tells that a part of it is a certified message.
	wrapped bool
}

// locate decides the kind by the top-level headers and the structure (RFC 6109
// §2.2.2): without an S/MIME structure it is ordinary mail whatever it says.
func (r *reader) locate(top *part, head *header) *envelope {
	e := &envelope{kind: Email, top: top, head: head, body: top, files: top}
	r.openSigned(e)
	if e.content == nil {
		return e
	}
	parts := r.providerParts(e)
	e.kind = r.classify(e, parts)
	switch e.kind {
	case Email:
		if e.opaque {
			e.body, e.files = e.content, e.content
		}
		return e
	case PECAnomaly: // no daticert of its own; one further in is another message's
		parts.daticert = nil
	}
	r.choose(e, parts)
	r.openOriginal(e, parts)
	return e
}

// openSigned finds the part that a signature covers.
func (r *reader) openSigned(e *envelope) {
	switch {
	case e.top.media == "multipart/signed" && len(e.top.children) > 0:
		e.detached, e.content = true, e.top.children[0]
		e.waits, e.sign = readDetached(e.top)
	case opaqueMedia[e.top.media]:
		var inner *source
		e.opaque = true
		e.sign, inner = openOpaque(r.ctx, e.top)
		if inner != nil && r.enter(inner) {
			e.content = r.walk(inner).root
		}
		if e.sign.err == cms.ErrEncrypted {
			r.warn(Encrypted, "the message is encrypted and cannot be read here")
		}
	}
}

// providerParts are the parts in the signed multipart that are the envelope's.
type providerParts struct {
	daticert []*part // anywhere in the signed part but inside another message
	direct   map[*part]bool
	message  []*part
	evidence []*part
}

var daticertNames = map[string]bool{"daticert.xml": true, "certdata.xml": true} // the latter as RFC 6109 §4.3.3 has it

func (r *reader) providerParts(e *envelope) providerParts {
	found := providerParts{direct: map[*part]bool{}}
	var named []*part
	for _, p := range e.content.children {
		found.direct[p] = true
		name := strings.ToLower(fileName(p))
		switch {
		case p.message != nil || name == "postacert.eml" || p.media == "message/rfc822":
			found.message = append(found.message, p)
			if name == "postacert.eml" {
				named = append(named, p)
			}
		case len(found.evidence) < evidencesMax && xmlMedia(p) && !daticertNames[name]:
			if data, err := readBounded(p.decoded(), r.limits.XML); err == nil && isEvidence(data) {
				found.evidence = append(found.evidence, p)
			}
		}
	}
	if len(named) > 0 {
		found.message = named // other messages beside it are the provider's extra parts
	}
	for l := range leaves(e.content, false) {
		if daticertNames[strings.ToLower(fileName(l.part))] {
			found.daticert = append(found.daticert, l.part)
		}
	}
	return found
}

func xmlMedia(p *part) bool {
	return p.media == "application/xml" || p.media == "text/xml" || strings.HasSuffix(p.media, "+xml")
}

// classify: X-Trasporto first, because a transport envelope may carry the
// sender's headers as well.
func (r *reader) classify(e *envelope, parts providerParts) Kind {
	h := e.head
	switch value := h.word("x-trasporto"); value {
	case "posta-certificata":
		return PECTransport
	case "errore":
		return PECAnomaly
	case "":
	default:
		r.warn(UnknownType, "X-Trasporto has an unknown value: "+line(value))
	}
	if h.has("x-ricevuta") {
		return PECReceipt
	}
	if len(parts.evidence) > 0 {
		return REM
	}
	if len(parts.daticert) == 1 && parts.direct[parts.daticert[0]] {
		r.warn(TypeHeaderMissing, "X-Trasporto and X-Ricevuta are missing; daticert.xml tells the kind")
		if c, _ := r.readDaticert(parts.daticert[0]); c.Type != transportType {
			return PECReceipt
		}
		return PECTransport
	}
	return Email
}

// choose takes daticert.xml at the right level, if it is the only one.
func (r *reader) choose(e *envelope, parts providerParts) {
	if e.kind == REM {
		e.evidence = parts.evidence
		return
	}
	switch {
	case len(parts.daticert) == 1 && parts.direct[parts.daticert[0]]:
		e.daticert = parts.daticert[0]
	case len(parts.daticert) > 1:
		r.warn(DaticertSeveral, "the signed part holds more than one daticert.xml; none is believed")
	case e.kind != PECAnomaly:
		r.warn(DaticertMissing, "the signed part holds no daticert.xml where it has to be")
	}
}

// openOriginal opens the message that the envelope carries.
func (r *reader) openOriginal(e *envelope, parts providerParts) {
	e.body, e.files = e.content, nil
	required := e.kind == PECTransport || e.kind == PECAnomaly
	switch {
	case len(parts.message) > 1:
		r.warn(PostacertSeveral, "the signed part holds more than one original message; none is shown")
		return
	case len(parts.message) == 0:
		if required {
			r.warn(PostacertMissing, "the envelope holds no original message")
		}
		return
	}
	p := parts.message[0]
	e.originalPart = p
	if e.postacert = r.inside(p); e.postacert == nil {
		return
	}
	e.files = r.unwrapOpaque(e.postacert)
	if e.kind != PECReceipt {
		e.body = e.files
	}
}

// inside is the root of the message in a part. One that is encoded against RFC
// 2046 §5.2.1, or not called message/rfc822, is walked now.
func (r *reader) inside(p *part) *part {
	if p.message != nil {
		return p.message
	}
	src, size, _, err := p.unpack(r.ctx)
	if err != nil {
		return nil
	}
	inner := &source{src: src, size: size, layers: p.doc.layers + 1}
	if !r.enter(inner) {
		return nil
	}
	return r.walk(inner).root
}

// layersMax bounds the encodings round an encoding: each is undone again
// whenever what lies in it is read.
const layersMax = 4

// enter tells whether a document in a document is still read.
func (r *reader) enter(d *source) bool {
	if d.layers > layersMax {
		r.warn(TooDeep, "the message is encoded in too many layers; what lies deeper is one closed part")
		return false
	}
	return true
}

// unwrapOpaque opens a message that its writer signed with the content inside.
func (r *reader) unwrapOpaque(root *part) *part {
	if !opaqueMedia[root.media] {
		return root
	}
	if _, inner := openOpaque(r.ctx, root); inner != nil && r.enter(inner) {
		return r.walk(inner).root
	}
	return root
}

const transportType = "posta-certificata"

// readDaticert reads a daticert.xml part under its bound.
func (r *reader) readDaticert(p *part) (*Certificate, error) {
	data, err := readBounded(p.decoded(), r.limits.XML)
	if err != nil {
		return &Certificate{Recipients: []Recipient{}}, errXMLTooLarge
	}
	return parseDaticert(data)
}
