package configs

import (
	"fmt"
	"os"
	"reflect"
	"strings"
)

const envPrefix = "PROTODAEMON"

// variable is an environment variable and the field it overrides.
type variable struct {
	name, path string
	kind       reflect.Type
}

// variables lists one variable for every field of t, at any depth, that is
// not a struct.
func variables(t reflect.Type, path string) []variable {
	var all []variable
	for f := range t.Fields() {
		at := join(path, keyOf(f))
		if f.Type.Kind() == reflect.Struct {
			all = append(all, variables(f.Type, at)...)
			continue
		}
		name := envPrefix + "_" + strings.ToUpper(strings.ReplaceAll(at, ".", "_"))
		all = append(all, variable{name, at, f.Type})
	}
	return all
}

// checkEnvironment finds overrides that cannot be applied: values that do not
// fit, lists, and names that are nearly but not quite those of a key. Other
// names with our prefix are left alone: Kubernetes sets such for a service
// called protodaemon.
func checkEnvironment() []Problem {
	known := variables(reflect.TypeFor[Config](), "")
	byName := make(map[string]variable, len(known))
	names := make([]string, len(known))
	for i, v := range known {
		byName[v.name] = v
		names[i] = strings.ToLower(v.name)
	}
	var problems []Problem
	for _, entry := range os.Environ() {
		name, text, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, envPrefix+"_") {
			continue
		}
		v, ok := byName[name]
		switch {
		case !ok:
			if best, d := nearest(name, names); d <= 2 {
				problems = append(problems, Problem{Key: name, Text: "unknown variable", Remedy: "did you mean " + strings.ToUpper(best) + "?"})
			}
		case v.kind.Kind() == reflect.Slice:
			problems = append(problems, Problem{Key: name, Text: "a list cannot be set from the environment", Remedy: "set " + v.path + " in the file"})
		default:
			if why := misfit(v.kind, text); why != "" {
				problems = append(problems, Problem{Key: name, Text: fmt.Sprintf("%s (for %s)", why, v.path)})
			}
		}
	}
	return problems
}
