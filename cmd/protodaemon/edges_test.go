package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/protodaemon/protodaemon"

// edges says what each package may import of ours: the direction in which the
// program is built. A new package is entered here deliberately.
var edges = map[string][]string{
	"archive":          {"cms", "pdfa", "register", "sign", "store"},
	"cms":              {},
	"configs":          {},
	"demo":             {"cms", "pec/sample"},
	"document":         {"cms", "xmldsig"},
	"ingest":           {"pec", "register", "store"},
	"internal/dovecot": {},
	"pdfa":             {},
	"pec":              {"cms", "document", "xmldsig"},
	"pec/sample":       {"pec", "sign"},
	"register":         {"store"},
	"sign":             {"cms"},
	"store":            {},
	"store/storetest":  {"store"},
	"web":              {"document", "pec", "register", "store"},
	"xmldsig":          {},
}

// everything are the packages that put the others together.
var everything = []string{"cmd/protodaemon", "bench"}

func TestPackagesImportOnlyInTheDirectionOfTheDesign(t *testing.T) {
	seen := 0
	for _, p := range listPackages(t) {
		name := strings.TrimPrefix(p.ImportPath, module+"/")
		if slices.Contains(everything, name) {
			continue
		}
		allowed, known := edges[name]
		if !known {
			t.Errorf("%s is not in the table of edges", name)
			continue
		}
		seen++
		for _, imported := range p.Imports {
			ours, ok := strings.CutPrefix(imported, module+"/")
			if ok && !slices.Contains(allowed, ours) {
				t.Errorf("%s imports %s, which the design does not allow", name, ours)
			}
		}
	}
	if seen == 0 {
		t.Error("no package was looked at")
	}
}

type listed struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
}

func listPackages(t *testing.T) []listed {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports,TestImports,XTestImports", module+"/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var packages []listed
	d := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p listed
		err := d.Decode(&p)
		if errors.Is(err, io.EOF) {
			return packages
		}
		if err != nil {
			t.Fatalf("reading go list: %v", err)
		}
		packages = append(packages, p)
	}
}
