package web

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/protodaemon/protodaemon/pec"
	"github.com/protodaemon/protodaemon/register"
)

// raw answers with the exact bytes of a message.
func (s *Server) raw(w http.ResponseWriter, r *http.Request, a register.Actor) error {
	p, err := s.office.Pending(r.Context(), a, r.PathValue("id"))
	if err != nil {
		return err
	}
	m, err := s.office.OpenMessage(r.Context(), a, p.ID)
	if err != nil {
		return err
	}
	defer m.Close()
	downloadHeaders(w.Header(), p.ID+".eml", "message/rfc822", p.Message.String())
	http.ServeContent(w, r, "", time.Time{}, m)
	return nil
}

func (s *Server) pendingAttachment(w http.ResponseWriter, r *http.Request, a register.Actor) error {
	d, err := s.office.Pending(r.Context(), a, r.PathValue("id"))
	if err != nil {
		return err
	}
	analysis, err := analysisOf(d)
	if err != nil {
		return err
	}
	part := r.PathValue("part")
	if !analysis.HasPart(part) {
		return problem(http.StatusNotFound, "not-found", "the message has no such attachment")
	}
	m, err := s.office.OpenMessage(r.Context(), a, d.ID)
	if err != nil {
		return err
	}
	defer m.Close()
	return s.sendPart(w, r, m, m.Size(), part)
}

// entryAttachment answers with the nth attachment of an entry, from 1: a part
// of its message, or a file of its own.
func (s *Server) entryAttachment(w http.ResponseWriter, r *http.Request, a register.Actor) error {
	e, err := s.readEntry(r, a)
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(r.PathValue("n"))
	if err != nil || n < 1 || n > len(e.Attachments) {
		return problem(http.StatusNotFound, "not-found", fmt.Sprintf("the entry has %d attachments, counted from 1", len(e.Attachments)))
	}
	d := e.Attachments[n-1]
	digest := d.SHA256
	if d.Part != "" {
		digest = e.Message
	}
	b, err := s.office.OpenBlob(r.Context(), e.Organization, digest)
	if err != nil {
		return err
	}
	defer b.Close()
	if d.Part != "" {
		return s.sendPart(w, r, b, b.Size(), d.Part)
	}
	downloadHeaders(w.Header(), d.Name, d.MediaType, d.SHA256.String())
	http.ServeContent(w, r, "", time.Time{}, b)
	return nil
}

// sendPart sends one attachment out of the message in m, or a file in one,
// decoding as it goes. When sending fails half-way the connection is cut, so
// that nobody takes a piece for the whole.
func (s *Server) sendPart(w http.ResponseWriter, r *http.Request, m io.ReaderAt, size int64, part string) error {
	a, body, err := pec.OpenPart(r.Context(), m, size, part)
	if err != nil {
		return fmt.Errorf("taking part %s out of its message: %w", part, err)
	}
	downloadHeaders(w.Header(), a.Name, a.MediaType, a.SHA256)
	if hasTag(r, w.Header().Get("ETag")) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	w.Header().Set("Content-Length", strconv.FormatInt(a.Size, 10))
	if r.Method == http.MethodHead {
		return nil
	}
	if _, err := io.Copy(w, body); err != nil {
		return fmt.Errorf("sending part %s: %w", part, err)
	}
	return nil
}

// hasTag tells whether the caller has what the tag names (RFC 9110 §13.1.2).
func hasTag(r *http.Request, tag string) bool {
	for known := range strings.SplitSeq(r.Header.Get("If-None-Match"), ",") {
		if known = strings.TrimPrefix(strings.TrimSpace(known), "W/"); tag != "" && known == tag {
			return true
		}
	}
	return false
}

// downloadHeaders make an answer a file that is saved, never shown.
func downloadHeaders(h http.Header, name, mediaType, digest string) {
	h.Set("Content-Type", inert(mediaType))
	h.Set("Content-Disposition", disposition(name))
	// The bytes of a digest never change, but who may read them can.
	h.Set("Cache-Control", "private, no-cache")
	if digest != "" {
		h.Set("ETag", `"`+digest+`"`)
	}
}

// inertTypes are those that are named as what they are: no browser runs them.
// Everything else, HTML, SVG and XML above all, is a row of bytes.
var inertTypes = []string{
	"application/pdf", "application/zip", "application/pkcs7-mime", "application/x-pkcs7-mime",
	"application/msword", "application/vnd.ms-excel",
	"application/vnd.openxmlformats-officedocument.wordprocessingml.document",
	"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
	"application/vnd.oasis.opendocument.text", "application/vnd.oasis.opendocument.spreadsheet",
	"image/jpeg", "image/png", "image/tiff", "message/rfc822",
}

func inert(mediaType string) string {
	if t := strings.ToLower(mediaType); slices.Contains(inertTypes, t) {
		return t
	}
	return "application/octet-stream"
}

// disposition names a download (RFC 6266): in ASCII for everybody, and in
// UTF-8 (RFC 8187) where that says more.
func disposition(name string) string {
	name = safeName(name)
	ascii := strings.Map(func(c rune) rune {
		if c > '~' || c == '%' {
			return '_'
		}
		return c
	}, name)
	d := `attachment; filename="` + ascii + `"`
	if ascii != name {
		d += "; filename*=UTF-8''" + strings.ReplaceAll(url.QueryEscape(name), "+", "%20")
	}
	return d
}

// longestName is in bytes, of the name without its ending.
const longestName = 120

// safeName is what is left of a sender's file name when everything is gone
// that means something to a header, a shell, a file system, or that makes a
// name look like another (bidirectional controls).
func safeName(name string) string {
	name = strings.ToValidUTF8(name, "_")
	name = strings.Map(func(c rune) rune {
		switch {
		case unicode.Is(unicode.Cc, c), unicode.Is(unicode.Cf, c), unicode.Is(unicode.Zl, c), unicode.Is(unicode.Zp, c):
			return -1
		case strings.ContainsRune(`"\/:*?<>|;`, c):
			return '_'
		}
		return c
	}, name)
	name = strings.Trim(strings.TrimSpace(name), ". ")
	ending := path.Ext(name)
	if len(ending) > 16 {
		ending = ""
	}
	stem := shorten(strings.TrimSuffix(name, ending))
	if stem == "" {
		stem = "allegato"
	}
	return stem + ending
}

// shorten cuts between characters.
func shorten(s string) string {
	if len(s) <= longestName {
		return s
	}
	n := longestName
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
