package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What the README tells a newcomer to write is a configuration that holds.
func TestConfigurationOfTheReadmeHolds(t *testing.T) {
	t.Parallel()
	text := readDoc(t, "../../README.md")
	block := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindStringSubmatch(text)
	if block == nil {
		t.Fatal("README.md shows no configuration")
	}
	config := filepath.Join(t.TempDir(), "protodaemon.yaml")
	writeFile(t, config, regexp.MustCompile("(?m)^   ").ReplaceAllString(block[1], ""))
	out := mustRun(t, "config", "--config", config)
	if !strings.Contains(out, "host: imaps.example.it") || !strings.Contains(out, "port: 993") {
		t.Errorf("the effective configuration:\n%s", out)
	}
}

// Every module that a package of ours imports stands in docs/dependencies.md,
// and nothing stands there that is not required.
func TestEveryDependencyIsExplained(t *testing.T) {
	t.Parallel()
	text := readDoc(t, "../../docs/dependencies.md")
	required := requiredModules(t)
	for _, p := range listPackages(t) {
		for _, imported := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
			m := moduleOf(imported, required)
			if m != "" && !strings.Contains(text, "| `"+m+"` |") {
				t.Errorf("%s imports %s, which is not explained in docs/dependencies.md", p.ImportPath, m)
			}
		}
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(text, -1) {
		if !slices.Contains(required, m[1]) {
			t.Errorf("docs/dependencies.md explains %s, which is not required", m[1])
		}
	}
}

func requiredModules(t *testing.T) []string {
	t.Helper()
	out, err := exec.Command("go", "mod", "edit", "-json").Output()
	if err != nil {
		t.Fatalf("go mod edit: %v", err)
	}
	var mod struct {
		Require []struct{ Path string }
	}
	if err := json.Unmarshal(out, &mod); err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, r := range mod.Require {
		paths = append(paths, r.Path)
	}
	return paths
}

// moduleOf is the module that a package is in; empty: the standard library's
// or our own.
func moduleOf(imported string, modules []string) string {
	for _, m := range modules {
		if imported == m || strings.HasPrefix(imported, m+"/") {
			return m
		}
	}
	return ""
}

// The documents refer to files that are there.
func TestDocumentsReferToFilesThatExist(t *testing.T) {
	t.Parallel()
	link := regexp.MustCompile(`\]\(([^)#]+)[^)]*\)`)
	documents, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	decisions, err := filepath.Glob("../../docs/decisions/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(append(documents, decisions...), "../../README.md") {
		for _, m := range link.FindAllStringSubmatch(readDoc(t, name), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(name), m[1])); err != nil {
				t.Errorf("%s refers to %s, which is not there", name, m[1])
			}
		}
	}
}

func readDoc(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// Whoever branches on a code of an analysis finds it in docs/formats.md.
func TestEveryCodeOfAnAnalysisIsDocumented(t *testing.T) {
	t.Parallel()
	text := readDoc(t, "../../docs/formats.md")
	for _, file := range []string{"pec/warnings.go", "document/warnings.go", "document/problems.go"} {
		source, err := os.ReadFile("../../" + file)
		if err != nil {
			t.Fatal(err)
		}
		codes := regexp.MustCompile(`(?m)^\t[A-Z]\w+ += "([a-z-]+)"`).FindAllSubmatch(source, -1)
		if len(codes) < 10 {
			t.Fatalf("%s: only %d codes were found", file, len(codes))
		}
		for _, c := range codes {
			if !strings.Contains(text, "`"+string(c[1])+"`") {
				t.Errorf("docs/formats.md says nothing of %s (%s)", c[1], file)
			}
		}
	}
}
