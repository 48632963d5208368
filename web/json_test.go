package web

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/protodaemon/protodaemon/register"
)

func TestABodyIsReadStrictly(t *testing.T) {
	for _, c := range []struct {
		name, body, mediaType string
		status                int
		code, field           string
		offset                int64 // -1: none
	}{
		{"good", `{"classification":"1.1"}`, "application/json; charset=utf-8", 0, "", "", -1},
		{"no type", `{"classification":"1.1"}`, "", 0, "", "", -1},
		{"a form", `a=b`, "application/x-www-form-urlencoded", 415, "unsupported-media-type", "", -1},
		{"empty", ` `, "", 400, "bad-json", "", 0},
		{"broken", `{"classification":}`, "", 400, "bad-json", "", 19},
		{"cut", `{"classification":"1`, "", 400, "bad-json", "", 20},
		{"two values", `{} {}`, "", 400, "bad-json", "", 4},
		{"not UTF-8", "{\"notes\":\"\xff\"}", "", 400, "bad-json", "", 10},
		{"unknown member", `{"classificazione":"1.1"}`, "", 400, "unknown-field", "classificazione", -1},
		{"wrong kind", `{"classification":11}`, "", 400, "invalid", "classification", 20},
		{"too large", `{"notes":"` + strings.Repeat("x", maxBody) + `"}`, "", 413, "too-large", "", -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest("POST", "/", strings.NewReader(c.body))
			if c.mediaType != "" {
				r.Header.Set("Content-Type", c.mediaType)
			}
			r.Body = http.MaxBytesReader(httptest.NewRecorder(), r.Body, maxBody)
			var v register.Confirmation
			err := readJSON(r, &v)
			if c.code == "" {
				if err != nil || v.Classification != "1.1" {
					t.Fatalf("%+v, %v", v, err)
				}
				return
			}
			var p *Problem
			if !errors.As(err, &p) {
				t.Fatalf("error %v", err)
			}
			if p.Status != c.status || p.Code != c.code || p.Field != c.field {
				t.Errorf("%d %s %q: %s", p.Status, p.Code, p.Field, p.Detail)
			}
			if c.offset >= 0 && (p.Offset == nil || *p.Offset != c.offset) {
				t.Errorf("offset is not %d: %s", c.offset, p.Detail)
			}
		})
	}
}

func TestWhatAnErrorOfTheRegisterBecomes(t *testing.T) {
	by := &register.Decision{By: "anna"}
	for _, c := range []struct {
		err    error
		method string
		status int
		code   string
		field  string
	}{
		{fmt.Errorf("pending x: %w", register.ErrNotFound), "GET", 404, "not-found", ""},
		{register.ErrForbidden, "POST", 403, "forbidden", ""},
		{register.ErrClock, "POST", 503, "clock-behind", ""},
		{register.ErrUnavailable, "POST", 503, "register-unavailable", ""},
		{&register.StateError{ID: "x", State: register.StateWithdrawn}, "POST", 409, "withdrawn", ""},
		{&register.StateError{ID: "x", State: register.StateRejected, Decided: by}, "POST", 409, "rejected", ""},
		{&register.StateError{ID: "x", State: register.StateConfirming}, "POST", 409, "confirming", ""},
		{&register.StateError{ID: "x", State: register.StateConfirmed, Decided: by}, "POST", 409, "already-confirmed", ""},
		{&register.FieldError{Field: "subject", Detail: "empty"}, "POST", 422, "invalid", "subject"},
		{refused(&register.FieldError{Field: "classification", Detail: "no class 9.9"}, register.Confirmation{Classification: "9.9"}), "POST", 422, "unknown-class", "classification"},
		{refused(&register.FieldError{Field: "classification", Detail: "missing"}, register.Confirmation{}), "POST", 422, "invalid", "classification"},
		{&register.FieldError{Field: "cursor", Detail: "unknown"}, "GET", 400, "invalid", "cursor"},
		{errors.New("disk on fire"), "POST", 500, "internal", ""},
	} {
		p := toProblem(c.err, c.method)
		if p.Status != c.status || p.Code != c.code || p.Field != c.field {
			t.Errorf("%v: %d %s %q", c.err, p.Status, p.Code, p.Field)
		}
		if strings.Contains(p.Detail, "fire") {
			t.Error("an internal error is told to the caller")
		}
	}
}
