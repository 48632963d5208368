package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// What docs/formats.md tells people to type really checks a witness, and finds
// a changed byte.
func TestWitnessIsCheckedByHand(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/formats.md")
	if err != nil {
		t.Fatal(err)
	}
	recipe := regexp.MustCompile("(?s)```sh\n(# WITNESS.*?)```").FindSubmatch(text)
	if recipe == nil {
		t.Fatal("docs/formats.md shows no recipe")
	}
	config := nowhere(t)
	for _, name := range []string{"anna", "bruno"} {
		mustRun(t, "user", "add", "--config", config, "--user", name, "--role", "operator")
	}
	witness := filepath.Join(filepath.Dir(config), "data", "witness", "installation.jsonl")
	check := func() []string {
		t.Helper()
		sh := exec.Command("sh", "-c", string(recipe[1]))
		sh.Env = append(os.Environ(), "WITNESS="+witness)
		out, err := sh.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return strings.Split(strings.TrimSpace(string(out)), "\n")
	}
	whole := check()
	if len(whole) != 1 || whole[0] == "0 lines fit" || !strings.HasSuffix(whole[0], " lines fit") {
		t.Errorf("the recipe prints %q", whole)
	}
	edit(t, witness, `"seq":2,`, `"seq":3,`)
	if changed := check(); len(changed) != 2 || !strings.Contains(changed[0], `"seq":3,`) {
		t.Errorf("of a changed line the recipe prints %q", changed)
	}
}
