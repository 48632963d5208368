package pec

import (
	"strings"

	"github.com/protodaemon/protodaemon/cms"
)

// envelope is what stands where in a message, before anything is believed:
// its kind, the signed part, and in it the provider's own parts. Read and
// OpenPart share it, so that a part has the same name in both.
type envelope struct {
	kind Kind
	top  *part
	sign signedBy // of an opaque signature; a detached one is verified later
	// detached tells that top is a multipart/signed, content its first part.
	detached bool
	opaque   bool
	content  *part // nil when nothing is signed

	daticert  *part
	evidence  *part // of a REM
	postacert *part // root of the original message, opened
	original  []byte
	// body is where the text stands that this message shows, files where its
	// attachments are: the original of an envelope, the receipt's own text but
	// the original's files of a receipt, the whole of ordinary mail.
	body, files *part
}

// locate decides the kind by the top-level headers and the structure (RFC 6109
// §2.2.2): without an S/MIME structure it is ordinary mail whatever it says.
func (r *reader) locate(doc *document) *envelope {
	e := &envelope{kind: Email, top: doc.root, body: doc.root, files: doc.root}
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
	case opaqueMedia[e.top.media]:
		var inner []byte
		e.opaque = true
		e.sign, inner = openOpaque(e.top)
		if inner != nil {
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
	evidence *part
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
		case found.evidence == nil && xmlMedia(p) && !daticertNames[name]:
			if data, err := readBounded(p.decoded(), r.limits.XML); err == nil && isEvidence(data) {
				found.evidence = p
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
	h := &e.top.header
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
	if parts.evidence != nil {
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
	if p.message != nil {
		e.postacert, e.original = p.message, p.content()
	} else { // encoded against RFC 2046 §5.2.1, or not called message/rfc822
		raw, err := readBounded(p.decoded(), int64(len(p.doc.raw)))
		if err != nil {
			return
		}
		e.original = raw
		e.postacert = r.walk(raw).root
	}
	e.files = r.unwrapOpaque(e.postacert)
	if e.kind != PECReceipt {
		e.body = e.files
	}
}

// unwrapOpaque opens a message that its writer signed with the content inside.
func (r *reader) unwrapOpaque(root *part) *part {
	if !opaqueMedia[root.media] {
		return root
	}
	if _, inner := openOpaque(root); inner != nil {
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
