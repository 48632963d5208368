package web

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// page is one page of a list; Next is the cursor of the following one, or
// empty at the end.
type page[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next"`
}

// pageOf converts the items of a page of the register.
func pageOf[From, To any](items []From, next string, convert func(From) To) page[To] {
	p := page[To]{Items: make([]To, 0, len(items)), Next: next}
	for _, i := range items {
		p.Items = append(p.Items, convert(i))
	}
	return p
}

// maxLimit is what one page holds at most, and what a short list has anyway.
const maxLimit = 500

// cut takes a page out of a list that is read whole. The cursor is the key of
// the last item before it; keys grow along the list.
func cut[T any](all []T, q query, key func(T) string) page[T] {
	slices.SortStableFunc(all, func(a, b T) int { return strings.Compare(key(a), key(b)) })
	first := 0
	if q.cursor != "" {
		first, _ = slices.BinarySearchFunc(all, q.cursor, func(t T, c string) int {
			// An item equal to the cursor was the last of the page before.
			if key(t) <= c {
				return -1
			}
			return 1
		})
	}
	limit := q.limit
	if limit == 0 {
		limit = maxLimit
	}
	p := page[T]{Items: append([]T{}, all[first:min(first+limit, len(all))]...)}
	if first+limit < len(all) {
		p.Next = key(p.Items[len(p.Items)-1])
	}
	return p
}

// query is the query string of a list: limit, cursor, and filters by name.
type query struct {
	limit  int // 0: not said
	cursor string
	filter map[string]string
}

// readQuery accepts limit, cursor and the named filters, once each; a filter
// that is misspelt must not be taken for none.
func readQuery(r *http.Request, filters ...string) (query, error) {
	q := query{filter: make(map[string]string)}
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return q, problem(http.StatusBadRequest, "bad-query", "the query string cannot be read")
	}
	for name, v := range values {
		switch {
		case len(v) > 1:
			return q, invalidParameter(name, "given more than once")
		case name == "limit":
			q.limit, err = strconv.Atoi(v[0])
			if err != nil || q.limit < 1 || q.limit > maxLimit {
				return q, invalidParameter(name, fmt.Sprintf("a number from 1 to %d is wanted", maxLimit))
			}
		case name == "cursor":
			q.cursor = v[0]
		case slices.Contains(filters, name):
			q.filter[name] = v[0]
		default:
			return q, invalidParameter(name, "not a parameter of this list")
		}
	}
	return q, nil
}

// oneOf returns the filter's value if it is one of the allowed, or empty.
func oneOf[T ~string](q query, name string, allowed ...T) (T, error) {
	v := T(q.filter[name])
	if v != "" && !slices.Contains(allowed, v) {
		return "", invalidParameter(name, fmt.Sprintf("one of %v is wanted", allowed))
	}
	return v, nil
}
