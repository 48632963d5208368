package configs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// maxFile bounds a configuration file: thousands of mailboxes fit.
const maxFile = 16 << 20

// included is what an included file may hold.
type included struct {
	Organizations []Organization `yaml:"organizations"`
}

// reader turns files into maps of texts that fit the type they will be
// decoded into, collecting what does not fit.
type reader struct {
	problems []Problem
	lines    map[string]int // file + "\n" + path → line
}

// read returns the file as nested maps, lists and texts, without anything that
// does not fit t.
func (r *reader) read(file string, t reflect.Type) map[string]any {
	root, err := parse(file)
	if err != nil {
		r.report(file, 0, "", err.Error(), "")
		return nil
	}
	if root == nil {
		return nil
	}
	w := walker{reader: r, file: file}
	m, _ := w.value(root, t, "").(map[string]any)
	return m
}

// parse returns the root of the only document of a file, or nil when it is
// empty.
func parse(file string) (*yaml.Node, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, errors.Unwrap(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("cannot be read: %w", errors.Unwrap(err))
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("larger than %d MiB", maxFile>>20)
	}
	var doc, more yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(data))
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("is not YAML: %s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, errors.New("holds more than one YAML document")
	}
	return doc.Content[0], nil
}

func (r *reader) report(file string, line int, key, text, remedy string) {
	r.problems = append(r.problems, Problem{file, line, key, text, remedy})
}

// line is where path stands in file, or the nearest thing round it.
func (r *reader) line(file, path string) int {
	for path != "" {
		if n := r.lines[file+"\n"+path]; n > 0 {
			return n
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
	return 0
}

// walker reads one file.
type walker struct {
	*reader
	file string
}

func (w walker) report(n *yaml.Node, path, text, remedy string) {
	w.reader.report(w.file, n.Line, path, text, remedy)
}

// value returns what n says for a field of type t, or nil when it says
// nothing that fits.
func (w walker) value(n *yaml.Node, t reflect.Type, path string) any {
	if w.lines[w.file+"\n"+path] == 0 {
		w.lines[w.file+"\n"+path] = n.Line
	}
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		w.report(n, path, "anchors and aliases are not supported", "write the value out")
		return nil
	case n.Kind == yaml.ScalarNode && n.Tag == "!!null":
		return nil // a key without a value says nothing
	}
	switch t.Kind() {
	case reflect.Struct:
		return w.mapping(n, t, path)
	case reflect.Slice:
		return w.list(n, t, path)
	}
	if n.Kind != yaml.ScalarNode {
		w.report(n, path, "must be a single value", "")
		return nil
	}
	if text := misfit(t, n.Value); text != "" {
		w.report(n, path, text, "")
		return nil
	}
	return n.Value
}

func (w walker) mapping(n *yaml.Node, t reflect.Type, path string) any {
	if n.Kind != yaml.MappingNode {
		w.report(n, path, "must hold keys and values", "valid keys: "+strings.Join(keysOf(t), ", "))
		return nil
	}
	m := make(map[string]any)
	seen := make(map[string]int)
	for i := 0; i < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := join(path, key.Value)
		if first, twice := seen[key.Value]; twice {
			w.report(key, at, fmt.Sprintf("stands here a second time (first on line %d)", first), "keep one of the two")
			continue
		}
		seen[key.Value] = key.Line
		field, ok := fieldOf(t, key.Value)
		if !ok {
			w.unknown(key, t, at)
			continue
		}
		w.lines[w.file+"\n"+at] = key.Line
		if v := w.value(value, field.Type, at); v != nil {
			m[key.Value] = v
		}
	}
	return m
}

func (w walker) unknown(key *yaml.Node, t reflect.Type, path string) {
	if _, main := fieldOf(reflect.TypeFor[Config](), key.Value); main && t == reflect.TypeFor[included]() {
		w.report(key, path, "cannot stand in an included file", "move it to the main file; an included file holds organizations only")
		return
	}
	w.report(key, path, "unknown key", nearestRemedy(key.Value, keysOf(t)))
}

func (w walker) list(n *yaml.Node, t reflect.Type, path string) any {
	if n.Kind != yaml.SequenceNode {
		w.report(n, path, "must be a list", "write each item on a line of its own, after a dash")
		return nil
	}
	items := make([]any, 0, len(n.Content))
	for i, item := range n.Content {
		at := path + "[" + label(item, i) + "]"
		v := w.value(item, t.Elem(), at)
		if v == nil {
			if item.Tag == "!!null" {
				w.report(item, at, "is empty", "write a value or remove the dash")
			}
			continue
		}
		items = append(items, v)
	}
	return items
}

// label names an item of a list by its id, or else by its place from 0.
func label(n *yaml.Node, i int) string {
	if n.Kind == yaml.MappingNode {
		for k := 0; k < len(n.Content); k += 2 {
			if id := n.Content[k+1]; n.Content[k].Value == "id" && id.Kind == yaml.ScalarNode && id.Value != "" {
				return id.Value
			}
		}
	}
	return strconv.Itoa(i)
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// misfit says why text cannot be a value of type t, or nothing.
func misfit(t reflect.Type, text string) string {
	var err error
	switch {
	case t == reflect.TypeFor[time.Duration]():
		if _, err = time.ParseDuration(text); err != nil {
			return fmt.Sprintf("%q is not a duration like 30s, 5m or 1h30m", text)
		}
	case t == reflect.TypeFor[Size]():
		if err = new(Size).UnmarshalText([]byte(text)); err != nil {
			return err.Error()
		}
	case t.Kind() == reflect.Bool:
		if text != "true" && text != "false" {
			return fmt.Sprintf("%q is neither true nor false", text)
		}
	case t.Kind() == reflect.Int:
		if n, err := strconv.Atoi(text); err != nil || strconv.Itoa(n) != text {
			return fmt.Sprintf("%q is not a whole number", text)
		}
	}
	return ""
}
