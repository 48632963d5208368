package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/protodaemon/protodaemon/register"
)

// maxItems is how many confirmations one call may hold, and longestKey how
// long an Idempotency-Key may be.
const (
	maxItems   = 500
	longestKey = 200
)

// confirm gives one message its number. A message that has one already is
// answered with it, and nothing of the body is used.
func (s *Server) confirm(w http.ResponseWriter, r *http.Request, a register.Actor) error {
	var c register.Confirmation
	if err := readJSON(r, &c); err != nil {
		return err
	}
	var err error
	if c.Key, err = idempotencyKey(r); err != nil {
		return err
	}
	result, err := s.office.Confirm(r.Context(), a, r.PathValue("id"), c)
	if err != nil {
		return refused(err, c)
	}
	w.Header().Set("Location", location(result.Entry))
	return writeJSON(w, confirmStatus(result), s.confirmed(r.Context(), a, result))
}

// refused gives a class that the filing plan lacks a code of its own, because
// a program can offer the plan.
func refused(err error, c register.Confirmation) error {
	var field *register.FieldError
	if !errors.As(err, &field) || field.Field != "classification" || strings.TrimSpace(c.Classification) == "" {
		return err
	}
	p := fieldProblem(field, http.MethodPost)
	p.Code = "unknown-class"
	return p
}

// confirmed is the entry that a confirmation made or found.
func (s *Server) confirmed(ctx context.Context, a register.Actor, r register.Result) entry {
	e := s.entryOf(r.Entry)
	if e.Already = r.Already; !e.Already {
		e.Moved = "no"
		return e
	}
	// Where its message is by now is worth a look, but not a failure: the
	// entry is there.
	if d, err := s.office.Entry(ctx, a, e.Organization, e.Register, e.Year, e.Number); err == nil {
		e.Moved, e.Blocked = d.Moved, d.Blocked
	}
	return e
}

func confirmStatus(r register.Result) int {
	if r.Already {
		return http.StatusOK
	}
	return http.StatusCreated
}

// location is the path of an entry.
func location(e register.Entry) string {
	p := strings.NewReplacer("{org}", url.PathEscape(e.Organization), "{register}", url.PathEscape(e.Register)).Replace(inRegister)
	return p + "/entries/" + strconv.Itoa(e.Year) + "/" + url.PathEscape(e.Number)
}

// idempotencyKey reads the header of that name. A confirmation is idempotent
// by its message; the key is kept with it.
func idempotencyKey(r *http.Request) (string, error) {
	key := r.Header.Get("Idempotency-Key")
	if len(key) > longestKey || strings.ContainsFunc(key, func(c rune) bool { return c < ' ' || c > '~' }) {
		return "", invalidParameter("Idempotency-Key", fmt.Sprintf("at most %d printable ASCII characters are allowed", longestKey))
	}
	return key, nil
}

type bulk struct {
	Items []register.Item `json:"items"`
}

// itemResult is what became of one item: an entry, or a problem.
type itemResult struct {
	ID      string   `json:"id"`
	Status  int      `json:"status"`
	Entry   *entry   `json:"entry,omitempty"`
	Problem *Problem `json:"problem,omitempty"`
}

// confirmMany gives several messages their numbers. An item that cannot have
// one fails alone, so that the answer is 200 and says so item by item.
func (s *Server) confirmMany(w http.ResponseWriter, r *http.Request, a register.Actor) error {
	var body bulk
	if err := readJSON(r, &body); err != nil {
		return err
	}
	key, err := idempotencyKey(r)
	if err != nil {
		return err
	}
	if err := checkItems(body.Items); err != nil {
		return err
	}
	for i := range body.Items {
		body.Items[i].Key = key
	}
	results := s.office.ConfirmMany(r.Context(), a, body.Items)
	answer := struct {
		Results []itemResult `json:"results"`
	}{make([]itemResult, 0, len(results))}
	for i, result := range results {
		result.Err = refused(result.Err, body.Items[i].Confirmation)
		answer.Results = append(answer.Results, s.itemResult(r.Context(), a, result))
	}
	return writeJSON(w, http.StatusOK, answer)
}

// checkItems refuses a call as a whole for what no item can be meant by.
func checkItems(items []register.Item) error {
	if len(items) == 0 || len(items) > maxItems {
		return &register.FieldError{Field: "items", Detail: fmt.Sprintf("1 to %d are wanted, not %d", maxItems, len(items))}
	}
	seen := make(map[string]bool, len(items))
	for i, item := range items {
		if item.ID == "" || seen[item.ID] {
			return &register.FieldError{Field: fmt.Sprintf("items[%d].id", i), Detail: "missing, or there already"}
		}
		seen[item.ID] = true
	}
	return nil
}

func (s *Server) itemResult(ctx context.Context, a register.Actor, r register.Result) itemResult {
	if r.Err != nil {
		p := s.problemOf(r.Err, http.MethodPost)
		return itemResult{ID: r.ID, Status: p.Status, Problem: p}
	}
	e := s.confirmed(ctx, a, r)
	return itemResult{ID: r.ID, Status: confirmStatus(r), Entry: &e}
}

// reject sends a message back to the inbox.
func (s *Server) reject(w http.ResponseWriter, r *http.Request, a register.Actor) error {
	var body struct {
		Reason string `json:"reason"`
	}
	if err := readJSON(r, &body); err != nil {
		return err
	}
	p, err := s.office.Reject(r.Context(), a, r.PathValue("id"), body.Reason)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, s.pendingItem(p))
}
