package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"
)

// writeJSON answers with v.
func writeJSON(w http.ResponseWriter, status int, v any) error {
	writeJSONAs(w, "application/json", status, v)
	return nil
}

// writeJSONAs encodes before it answers: half an answer is worse than none.
func writeJSONAs(w http.ResponseWriter, mediaType string, status int, v any) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(true)
	if err := e.Encode(v); err != nil {
		panic(fmt.Sprintf("encoding an answer: %v", err))
	}
	w.Header().Set("Content-Type", mediaType)
	w.WriteHeader(status)
	// A caller who has gone does not get the answer; there is nobody to tell.
	_, _ = w.Write(b.Bytes())
}

// readJSON reads the body into v: one JSON value of UTF-8, of at most 1 MiB,
// in which every member is known.
func readJSON(r *http.Request, v any) error {
	if err := wantJSON(r); err != nil {
		return err
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return bodyProblem(err)
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return badJSON(0, "the body is empty")
	}
	if !utf8.Valid(body) {
		return badJSON(invalidAt(body), "not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return decodeProblem(err, int64(len(body)))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return badJSON(d.InputOffset(), "something follows the JSON value")
	}
	return nil
}

// wantJSON refuses a body that says to be something else. A body that says
// nothing is taken for JSON.
func wantJSON(r *http.Request) error {
	h := r.Header.Get("Content-Type")
	if h == "" {
		return nil
	}
	t, _, err := mime.ParseMediaType(h)
	if err == nil && (t == "application/json" || strings.HasSuffix(t, "+json")) {
		return nil
	}
	return problem(http.StatusUnsupportedMediaType, "unsupported-media-type", "the body has to be application/json")
}

func bodyProblem(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return problem(http.StatusRequestEntityTooLarge, "too-large",
			fmt.Sprintf("the body may have at most %d bytes", tooLarge.Limit))
	}
	return problem(http.StatusBadRequest, "incomplete", "the body did not arrive whole")
}

func badJSON(offset int64, detail string) *Problem {
	p := problem(http.StatusBadRequest, "bad-json", fmt.Sprintf("at byte %d: %s", offset, detail))
	p.Offset = &offset
	return p
}

// decodeProblem says what encoding/json found.
func decodeProblem(err error, size int64) error {
	var (
		syntax *json.SyntaxError
		kind   *json.UnmarshalTypeError
	)
	switch {
	case errors.As(err, &syntax):
		return badJSON(syntax.Offset, syntax.Error())
	case errors.Is(err, io.ErrUnexpectedEOF):
		return badJSON(size, "the value ends too early")
	case errors.As(err, &kind):
		p := problem(http.StatusBadRequest, "invalid", kind.Field+": a JSON "+kind.Value+" does not fit here")
		p.Field, p.Offset = kind.Field, &kind.Offset
		return p
	}
	// The standard decoder has no type for this error.
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		name = strings.Trim(name, `"`)
		p := problem(http.StatusBadRequest, "unknown-field", "there is no field "+name)
		p.Field = name
		return p
	}
	return problem(http.StatusBadRequest, "invalid", err.Error())
}

// invalidAt returns the offset of the first byte that is not UTF-8.
func invalidAt(b []byte) int64 {
	for i := 0; i < len(b); {
		c, n := utf8.DecodeRune(b[i:])
		if c == utf8.RuneError && n == 1 {
			return int64(i)
		}
		i += n
	}
	return int64(len(b))
}
