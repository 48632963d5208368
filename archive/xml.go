package archive

import (
	"bufio"
	"errors"
	"io"
	"strconv"
	"strings"
)

// xmlWriter writes XML that is in canonical form (Exclusive XML
// Canonicalization 1.0) but for its declaration: elements without attributes,
// each with an end tag, text escaped as C14N has it, nothing behind the root.
type xmlWriter struct {
	out   *bufio.Writer
	depth int
	err   error
}

func newXML(w io.Writer, root, namespace string) *xmlWriter {
	x := &xmlWriter{out: bufio.NewWriterSize(w, 32<<10)}
	if namespace != "" {
		namespace = ` xmlns="` + namespace + `"`
	}
	x.raw(`<?xml version="1.0" encoding="UTF-8"?>` + "\n<" + root + namespace + ">")
	x.depth = 1
	return x
}

func (x *xmlWriter) raw(s string) {
	if x.err == nil {
		_, x.err = x.out.WriteString(s)
	}
}

func (x *xmlWriter) indent() {
	x.raw("\n")
	for range x.depth {
		x.raw(" ")
	}
}

// in writes an element with what f writes in it.
func (x *xmlWriter) in(name string, f func()) {
	x.indent()
	x.raw("<" + name + ">")
	x.depth++
	f()
	x.depth--
	x.indent()
	x.raw("</" + name + ">")
}

// put writes an element with a text.
func (x *xmlWriter) put(name, text string) {
	x.indent()
	x.raw("<" + name + ">")
	x.raw(escape(text))
	x.raw("</" + name + ">")
}

// some is put for a text that is not empty.
func (x *xmlWriter) some(name, text string) {
	if text != "" {
		x.put(name, text)
	}
}

func (x *xmlWriter) num(name string, n int64) { x.put(name, strconv.FormatInt(n, 10)) }

func (x *xmlWriter) end(root string) error {
	x.raw("\n</" + root + ">")
	return errors.Join(x.err, x.out.Flush())
}

var escapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "\r", "&#xD;")

// escape makes a text fit for XML 1.0: what is no character of it becomes
// U+FFFD.
func escape(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0xfffe || r == 0xffff {
			return 0xfffd
		}
		return r
	}, strings.ToValidUTF8(s, "\ufffd"))
	return escapes.Replace(s)
}
