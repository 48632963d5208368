package web

import (
	"errors"
	"net/http/httptest"
	"slices"
	"testing"
)

func TestAListReadWholeIsPagedByKey(t *testing.T) {
	var seen []string
	q := query{limit: 2}
	for range 4 {
		p := cut([]string{"d", "a", "c", "e", "b"}, q, func(s string) string { return s })
		seen = append(seen, p.Items...)
		if q.cursor = p.Next; p.Next == "" {
			break
		}
	}
	if !slices.Equal(seen, []string{"a", "b", "c", "d", "e"}) {
		t.Errorf("the pages together are %v", seen)
	}
	if p := cut([]string{"a", "c"}, query{cursor: "b"}, func(s string) string { return s }); !slices.Equal(p.Items, []string{"c"}) {
		t.Errorf("after an item that has gone: %v", p.Items)
	}
	if p := cut(nil, query{}, func(s string) string { return s }); p.Items == nil || p.Next != "" {
		t.Errorf("an empty list: %#v", p)
	}
}

func TestClassesSortByTheirNumbers(t *testing.T) {
	if classKey("1.2") >= classKey("1.10") || classKey("1") >= classKey("1.1") || classKey("2") >= classKey("10") {
		t.Error("classes do not sort by their numbers")
	}
}

func TestAQueryIsReadStrictly(t *testing.T) {
	for target, field := range map[string]string{
		"/?limit=0": "limit", "/?limit=501": "limit", "/?limit=x": "limit", "/?limit=1&limit=2": "limit",
		"/?stat=pending": "stat", "/?state=a&state=b": "state", "/?limit=10&state=x&cursor=y": "",
	} {
		q, err := readQuery(httptest.NewRequest("GET", target, nil), "state")
		if field == "" {
			if err != nil || q.limit != 10 || q.cursor != "y" || q.filter["state"] != "x" {
				t.Errorf("%s: %+v, %v", target, q, err)
			}
			continue
		}
		var p *Problem
		if !errors.As(err, &p) || p.Status != 400 || p.Field != field {
			t.Errorf("%s: %v", target, err)
		}
	}
}
