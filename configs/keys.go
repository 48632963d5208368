package configs

import (
	"reflect"
	"slices"
	"strings"
)

// keyOf is the name of a field in the file.
func keyOf(f reflect.StructField) string { return f.Tag.Get("yaml") }

// keysOf lists the keys of a struct in the order of its fields.
func keysOf(t reflect.Type) []string {
	keys := make([]string, 0, t.NumField())
	for f := range t.Fields() {
		keys = append(keys, keyOf(f))
	}
	return keys
}

func fieldOf(t reflect.Type, key string) (reflect.StructField, bool) {
	for f := range t.Fields() {
		if keyOf(f) == key {
			return f, true
		}
	}
	return reflect.StructField{}, false
}

// nearestRemedy proposes the key that was probably meant, or lists all.
func nearestRemedy(key string, valid []string) string {
	if slices.Contains(valid, key+"_file") {
		return "a secret is never written here: put it in a file and name that in " + key + "_file"
	}
	if best, d := nearest(key, valid); d <= max(2, len(key)/3) {
		return "did you mean " + best + "?"
	}
	return "valid keys: " + strings.Join(valid, ", ")
}

// nearest returns the word with the fewest edits from word, and their number.
func nearest(word string, words []string) (string, int) {
	best, least := "", len(word)+1
	for _, w := range words {
		if d := distance(strings.ToLower(word), w); d < least || best == "" {
			best, least = w, d
		}
	}
	return best, least
}

// distance counts the letters to insert, remove, change or swap with their
// neighbour to get from a to b (optimal string alignment).
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before, last, row = last, row, before
		row[0] = i + 1
		for j := range len(b) {
			change := 1
			if a[i] == b[j] {
				change = 0
			}
			row[j+1] = min(last[j]+change, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
	}
	return row[len(b)]
}
