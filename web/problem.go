package web

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/protodaemon/protodaemon/register"
)

// Problem is a refusal as RFC 9457 writes it, of type about:blank. Code is
// stable and what programs branch on; Detail is for people. The other members
// are there when they apply.
type Problem struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Code   string `json:"code"`
	// Field is the member of the body, or the parameter, that does not hold.
	Field string `json:"field,omitempty"`
	// Offset is the byte of the body at which reading it failed.
	Offset *int64 `json:"offset,omitempty"`
	// State, DecidedBy and DecidedAt say where a pending entry stands.
	State     register.State `json:"state,omitempty"`
	DecidedBy string         `json:"decided_by,omitempty"`
	DecidedAt *time.Time     `json:"decided_at,omitempty"`
	// Incident names the line of the log that tells more.
	Incident string `json:"incident,omitempty"`
	// RetryAfter is the header of that name, in seconds.
	RetryAfter int `json:"-"`
}

func (p *Problem) Error() string { return p.Code + ": " + p.Detail }

func problem(status int, code, detail string) *Problem {
	return &Problem{Title: http.StatusText(status), Status: status, Code: code, Detail: detail}
}

// invalidParameter is the refusal of a query parameter.
func invalidParameter(name, detail string) *Problem {
	p := problem(http.StatusBadRequest, "invalid", name+": "+detail)
	p.Field = name
	return p
}

// refusals are the register's errors that need nothing but a status and code.
var refusals = []struct {
	err    error
	status int
	code   string
	retry  int // seconds
}{
	{register.ErrNotFound, http.StatusNotFound, "not-found", 0},
	{register.ErrForbidden, http.StatusForbidden, "forbidden", 0},
	{register.ErrCredentials, http.StatusUnauthorized, "unauthenticated", 0},
	{register.ErrNoManager, http.StatusConflict, "manager-missing", 0},
	{register.ErrClosedDay, http.StatusConflict, "day-closed", 0},
	{register.ErrState, http.StatusConflict, "wrong-state", 0},
	{register.ErrInvalid, http.StatusUnprocessableEntity, "invalid", 0},
	{register.ErrClock, http.StatusServiceUnavailable, "clock-behind", 60},
	{register.ErrUnavailable, http.StatusServiceUnavailable, "register-unavailable", 30},
	{context.DeadlineExceeded, http.StatusServiceUnavailable, "too-slow", 5},
}

// conflicts are the codes of the states that do not allow what was asked.
var conflicts = map[register.State]string{
	register.StatePending:     "pending",
	register.StateConfirming:  "confirming",
	register.StateConfirmed:   "already-confirmed",
	register.StateRejected:    "rejected",
	register.StateWithdrawn:   "withdrawn",
	register.StateQuarantined: "quarantined",
	register.StateOversized:   "oversized",
}

// toProblem says how err is told to the caller of a request with the method.
// An error that is not in the table is "internal", and its text stays here.
func toProblem(err error, method string) *Problem {
	var (
		p     *Problem
		state *register.StateError
		field *register.FieldError
	)
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &state):
		return stateProblem(state, err)
	case errors.As(err, &field):
		return fieldProblem(field, method)
	}
	for _, r := range refusals {
		if errors.Is(err, r.err) {
			p := problem(r.status, r.code, err.Error())
			p.RetryAfter = r.retry
			return p
		}
	}
	return problem(http.StatusInternalServerError, "internal", "")
}

// problemOf is toProblem for an answer: with times in the legal zone, and with
// what nobody foresaw in the log under a name that the caller is told.
func (s *Server) problemOf(err error, method string) *Problem {
	p := toProblem(err, method)
	p.DecidedAt = s.momentOf(p.DecidedAt)
	if p.Code == "internal" && p.Incident == "" {
		p.Incident = strings.ToLower(rand.Text()[:10])
		p.Detail = "the request failed; the log names it as incident " + p.Incident
		s.log.Error("request failed", "incident", p.Incident, "err", err)
	}
	return p
}

func stateProblem(e *register.StateError, err error) *Problem {
	code, ok := conflicts[e.State]
	if !ok {
		code = "wrong-state"
	}
	p := problem(http.StatusConflict, code, err.Error())
	p.State = e.State
	if e.Decided != nil {
		p.DecidedBy, p.DecidedAt = e.Decided.By, &e.Decided.At
	}
	return p
}

// fieldProblem is a 422 for what a body says and a 400 for what an address
// says.
func fieldProblem(e *register.FieldError, method string) *Problem {
	if method == http.MethodGet || method == http.MethodHead {
		return invalidParameter(e.Field, e.Detail)
	}
	p := problem(http.StatusUnprocessableEntity, "invalid", e.Error())
	p.Field = e.Field
	return p
}
