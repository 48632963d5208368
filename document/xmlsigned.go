package document

import (
	"crypto"
	"errors"
	"io"

	"github.com/protodaemon/protodaemon/xmldsig"
)

// xmlElements bounds an XML whose signatures are verified; its tree takes
// memory for each element. Invoices have some 15 for a line.
const xmlElements = 120_000

// readXML reads a record, and the signatures in it: records are signed in XAdES.
func (i *inspector) readXML(s source) reading {
	return reading{Facts: inspectXML(s.Input, i.o.Limits), verify: func(r *reading) { i.xmlSignatures(r, s.Input) }}
}

func (i *inspector) xmlSignatures(r *reading, in Input) {
	signed := false
	err := i.occurrences(in, []byte("http://www.w3.org/2000/09/xmldsig#"), func(int64) bool { signed = true; return false })
	if w, ok := warningOf(err); ok {
		r.Warnings = append(r.Warnings, w)
	}
	if !signed {
		return
	}
	if in.Size > i.o.Limits.Parsed {
		r.warn(SignaturesUnread, "signatures in it are not verified: it has %d bytes", in.Size)
		return
	}
	data, err := io.ReadAll(io.NewSectionReader(in.Content, 0, in.Size))
	if err != nil {
		return
	}
	doc, err := xmldsig.Parse(data, xmldsig.Limits{Bytes: len(data), Elements: xmlElements})
	if err != nil {
		r.warn(SignaturesUnread, "signatures in it are not verified: %s", lineOf(err.Error(), 300))
		return
	}
	signatures, err := doc.Verify()
	if err != nil {
		r.warn(TooMany, "not all signatures in it are verified: %s", lineOf(err.Error(), 300))
	}
	for n := range signatures {
		if !i.another(r) {
			return
		}
		r.Signatures = append(r.Signatures, i.xmlSignature(doc, &signatures[n]))
	}
}

func (i *inspector) xmlSignature(doc *xmldsig.Document, s *xmldsig.Signature) Signature {
	e := evidence{kind: "xmldsig", err: s.Err, certificate: s.Certificate, others: s.Certificates, algorithm: s.Algorithm,
		weak: s.Weak, bound: s.Bound, said: s.SigningTime, token: s.Stamp}
	if s.XAdES {
		e.kind = "xades"
	}
	if !s.Fits && e.err == nil {
		e.err = errors.New("it does not fit")
	}
	e.stamped = func(h crypto.Hash) []byte { return digestOf(h, s.Stamped) }
	out := i.judge(e)
	if s.Fits {
		out.Covers = "part"
		if s.Covers(doc.Root) {
			out.Covers = "whole"
		}
	}
	return out
}
