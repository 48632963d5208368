package sample

import (
	"bytes"
	"crypto/sha1" // RFC 6109 §3.3.2.2 prescribes it
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/textproto"
	"strings"

	"golang.org/x/text/encoding/htmlindex"
)

// brief is the original as a short delivery receipt carries it (RFC 6109
// §3.3.2.2): each named part replaced by the SHA-1 of its encoded content.
func brief(original []byte) ([]byte, error) {
	head, body, _ := bytes.Cut(original, []byte("\r\n\r\n"))
	short, err := briefBody(contentType(head), body)
	if err != nil {
		return nil, fmt.Errorf("shortening the original: %w", err)
	}
	return append(append(bytes.Clone(head), "\r\n\r\n"...), short...), nil
}

// contentType picks the field of a header, unfolded.
func contentType(head []byte) string {
	if value := headerField(head, "Content-Type"); value != "" {
		return value
	}
	return "text/plain"
}

// headerField is the first field of that name in a message or its header,
// unfolded; "" without one.
func headerField(raw []byte, name string) string {
	head, _, _ := bytes.Cut(raw, []byte("\r\n\r\n"))
	text := strings.NewReplacer("\r\n\t", " ", "\r\n ", " ").Replace(string(head))
	for l := range strings.SplitSeq(text, "\r\n") {
		if n, value, ok := strings.Cut(l, ":"); ok && strings.EqualFold(n, name) {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// briefBody rewrites a multipart with its own boundary; anything else stays.
func briefBody(contentType string, body []byte) ([]byte, error) {
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil || !strings.HasPrefix(media, "multipart/") {
		return body, nil
	}
	var out bytes.Buffer
	r := multipart.NewReader(bytes.NewReader(body), params["boundary"])
	for {
		part, err := r.NextRawPart()
		if errors.Is(err, io.EOF) {
			fmt.Fprintf(&out, "--%s--\r\n", params["boundary"])
			return out.Bytes(), nil
		}
		if err != nil {
			return nil, err
		}
		content, err := io.ReadAll(part)
		if err != nil {
			return nil, err
		}
		header, short, err := briefPart(part, content)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&out, "--%s\r\n", params["boundary"])
		for _, name := range []string{"Content-Type", "Content-Transfer-Encoding", "Content-Disposition", "Content-Id"} {
			if value := header.Get(name); value != "" {
				fmt.Fprintf(&out, "%s: %s\r\n", name, value)
			}
		}
		fmt.Fprintf(&out, "\r\n%s\r\n", short)
	}
}

// keptWhole are the parts that a short receipt carries as they are.
var keptWhole = map[string]bool{"application/pkcs7-mime": true, "application/x-pkcs7-mime": true}

// briefFile is what a short receipt holds instead of a file.
func briefFile(f File) known {
	if keptWhole[f.MediaType] {
		return knownFile(f.Name, f.Data)
	}
	content := base64Lines(f.Data)
	if f.MediaType == "message/rfc822" {
		content = f.Data
	}
	return knownFile(f.Name+".hash", fmt.Appendf(nil, "%x", sha1.Sum(content)))
}

func briefPart(part *multipart.Part, content []byte) (textproto.MIMEHeader, []byte, error) {
	name := part.FileName()
	media, _, _ := strings.Cut(strings.ToLower(part.Header.Get("Content-Type")), ";")
	if name == "" || keptWhole[media] {
		short, err := briefBody(part.Header.Get("Content-Type"), content)
		return part.Header, short, err
	}
	header := textproto.MIMEHeader{}
	header.Set("Content-Type", mime.FormatMediaType("text/plain", map[string]string{"name": name + ".hash"}))
	header.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": name + ".hash"}))
	return header, fmt.Appendf(nil, "%x", sha1.Sum(content)), nil
}

// decodeSubject is a subject as text.
func decodeSubject(s string) string {
	d := mime.WordDecoder{CharsetReader: func(charset string, in io.Reader) (io.Reader, error) {
		e, err := htmlindex.Get(charset)
		if err != nil {
			return nil, err
		}
		return e.NewDecoder().Reader(in), nil
	}}
	if text, err := d.DecodeHeader(s); err == nil {
		return text
	}
	return s
}
