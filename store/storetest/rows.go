package storetest

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/protodaemon/protodaemon/store"
)

var rowTests = []test{
	{"rows/get, change, delete", func(f *fixture) {
		j := f.journal("org/reg")
		set := func(v string) {
			f.append(j, store.Record{Type: "set", Time: start, Rows: []store.Row{{Kind: "k", Key: "a", Value: json.RawMessage(v)}}})
		}
		_, err := j.Get(f.Context(), "k", "a")
		f.is(err, store.ErrNotFound)
		for _, v := range []string{`{"a":"<&>"}`, `null`, `""`, `[1,2.50,1e3]`} {
			set(v)
			got, err := j.Get(f.Context(), "k", "a")
			f.ok(err)
			if string(got) != v {
				f.Errorf("the row is %s, want %s", got, v)
			}
		}
		f.append(j, store.Record{Type: "delete", Time: start, Rows: []store.Row{{Kind: "k", Key: "a"}, {Kind: "k", Key: "never was"}}})
		_, err = j.Get(f.Context(), "k", "a")
		f.is(err, store.ErrNotFound)
		f.whole(j, 5)
	}},
	{"rows/the last change of a commit holds", func(f *fixture) {
		j := f.journal("org/reg")
		row := func(key, v string) store.Row {
			return store.Row{Kind: "k", Key: key, Value: json.RawMessage(v)}
		}
		f.append(j,
			store.Record{Type: "x", Time: start, Rows: []store.Row{row("a", `1`), row("a", `2`), row("b", `1`)}},
			store.Record{Type: "x", Time: start, Rows: []store.Row{row("a", `3`), {Kind: "k", Key: "b"}}})
		got, err := j.Get(f.Context(), "k", "a")
		f.ok(err)
		if string(got) != `3` {
			f.Errorf("the row is %s, want 3", got)
		}
		_, err = j.Get(f.Context(), "k", "b")
		f.is(err, store.ErrNotFound)
		f.whole(j, 1+1)
	}},
	{"rows/a payload stays out of the chain and can be erased", testPayload},
	{"rows/ranges", testRanges},
}

func testPayload(f *fixture) {
	j := f.journal("org/reg")
	f.append(j, store.Record{Type: "x", Time: start, Rows: []store.Row{
		{Kind: "analysis", Key: "a", Value: json.RawMessage(`{"secret": "segreto"}`), Payload: true}}})
	got, err := j.Get(f.Context(), "analysis", "a")
	f.ok(err)
	if string(got) != `{"secret":"segreto"}` {
		f.Errorf("the payload is %s", got)
	}
	records, err := j.Records(f.Context(), 0, 0)
	f.ok(err)
	if strings.Contains(string(records[0].Line), "segreto") || !strings.Contains(string(records[0].Line), store.Sum(got).String()) {
		f.Errorf("the record should hold only the digest: %s", records[0].Line)
	}
	f.whole(j, 1)
	f.append(j, store.Record{Type: "erase", Time: start, Rows: []store.Row{{Kind: "analysis", Key: "a"}}})
	_, err = j.Get(f.Context(), "analysis", "a")
	f.is(err, store.ErrNotFound)
	f.whole(j, 2)
}

func testRanges(f *fixture) {
	j := f.journal("org/reg")
	var rows []store.Row
	for _, kind := range []string{"a", "b", "bb", "c"} {
		for _, key := range []string{"", "x", "x1", "x2", "x\xff", "y", "y/1", "z"} {
			rows = append(rows, store.Row{Kind: kind, Key: key, Value: json.RawMessage(`1`)})
		}
	}
	f.append(j, store.Record{Type: "x", Time: start, Rows: rows})
	for _, c := range []struct {
		r    store.Range
		want string
	}{
		{store.Range{Kind: "b"}, ",x,x1,x2,x\xff,y,y/1,z"},
		{store.Range{Kind: "b", Limit: 3}, ",x,x1"},
		{store.Range{Kind: "b", After: "x1"}, "x2,x\xff,y,y/1,z"},
		{store.Range{Kind: "b", After: "x11", Limit: 1}, "x2"},
		{store.Range{Kind: "b", After: "z"}, "-"},
		{store.Range{Kind: "b", Prefix: "x"}, "x,x1,x2,x\xff"},
		{store.Range{Kind: "b", Prefix: "x", After: "x1"}, "x2,x\xff"},
		{store.Range{Kind: "b", Prefix: "x", After: "a"}, "x,x1,x2,x\xff"},
		{store.Range{Kind: "b", Prefix: "x", After: "y"}, "-"},
		{store.Range{Kind: "b", Reverse: true}, "z,y/1,y,x\xff,x2,x1,x,"},
		{store.Range{Kind: "b", Reverse: true, Limit: 2}, "z,y/1"},
		{store.Range{Kind: "b", Reverse: true, After: "y"}, "x\xff,x2,x1,x,"},
		{store.Range{Kind: "b", Reverse: true, Prefix: "x"}, "x\xff,x2,x1,x"},
		{store.Range{Kind: "b", Reverse: true, Prefix: "x", After: "x2"}, "x1,x"},
		{store.Range{Kind: "b", Reverse: true, Prefix: "x", After: "zz"}, "x\xff,x2,x1,x"},
		{store.Range{Kind: "b", Reverse: true, Prefix: "y", After: "x"}, "-"},
		{store.Range{Kind: "c", Reverse: true, Limit: 1}, "z"},
		{store.Range{Kind: "nothing"}, "-"},
		{store.Range{Kind: "nothing", Reverse: true}, "-"},
	} {
		got, err := j.List(f.Context(), c.r)
		f.ok(err)
		keys := []string{}
		for _, r := range got {
			if r.Kind != c.r.Kind || string(r.Value) != `1` {
				f.Errorf("%+v: got row %+v", c.r, r)
			}
			keys = append(keys, r.Key)
		}
		want := strings.Split(c.want, ",")
		if c.want == "-" {
			want = []string{}
		}
		if !slices.Equal(keys, want) {
			f.Errorf("%+v: got %q, want %q", c.r, keys, want)
		}
	}
	if rows, err := f.journal("org/empty").List(f.Context(), store.Range{Kind: "b"}); err != nil || len(rows) != 0 {
		f.Errorf("an empty journal lists %v, %v", rows, err)
	}
	f.walk(j, 5)
}

// walk pages through one kind in both directions and must meet each row once.
func (f *fixture) walk(j store.Journal, limit int) {
	f.Helper()
	for _, reverse := range []bool{false, true} {
		seen, after := map[string]bool{}, ""
		for page := 0; ; page++ {
			rows, err := j.List(f.Context(), store.Range{Kind: "a", Prefix: "x", After: after, Limit: limit - 3, Reverse: reverse})
			f.ok(err)
			if len(rows) == 0 {
				break
			}
			for _, r := range rows {
				if seen[r.Key] {
					f.Fatalf("row %q came twice", r.Key)
				}
				seen[r.Key] = true
			}
			after = rows[len(rows)-1].Key
		}
		if len(seen) != 4 {
			f.Errorf("reverse %v: paging met %d rows, want 4", reverse, len(seen))
		}
	}
}
