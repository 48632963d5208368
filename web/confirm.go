package web

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/protodaemon/protodaemon/register"
)

// maxItems is how many confirmations one call may hold.
const maxItems = 500

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
		return err
	}
	w.Header().Set("Location", location(result.Entry))
	return writeJSON(w, confirmStatus(result), s.confirmed(result))
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
	if len(key) > 255 || strings.ContainsFunc(key, func(c rune) bool { return c < ' ' || c > '~' }) {
		return "", invalidParameter("Idempotency-Key", "at most 255 printable ASCII characters are allowed")
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
	for _, result := range results {
		answer.Results = append(answer.Results, s.itemResult(result, r.Method))
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
			return &register.FieldError{Field: fmt.Sprintf("items.%d.id", i), Detail: "missing, or there already"}
		}
		seen[item.ID] = true
	}
	return nil
}

func (s *Server) itemResult(r register.Result, method string) itemResult {
	if r.Err != nil {
		p := s.problemOf(r.Err, method)
		return itemResult{ID: r.ID, Status: p.Status, Problem: p}
	}
	e := s.confirmed(r)
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
