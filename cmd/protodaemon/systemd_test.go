package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// systemd understands the unit and finds it hardened, and what it starts is a
// command that exists.
func TestSystemdUnit(t *testing.T) {
	t.Parallel()
	const unit = "../../systemd/protodaemon.service"
	text, err := os.ReadFile(unit)
	if err != nil {
		t.Fatal(err)
	}
	// At most 2.0: the threshold is in tenths.
	out, err := exec.Command("systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=20", unit).CombinedOutput()
	if err != nil {
		t.Errorf("systemd-analyze security: %v (./dev test installs it)\n%s", err, out)
	}
	const installed = "/usr/local/bin/protodaemon"
	if !strings.Contains(string(text), "\nExecStart="+installed+" serve --config ") {
		t.Errorf("the unit does not start %s serve", installed)
	}
	here := filepath.Join(t.TempDir(), "protodaemon.service")
	writeFile(t, here, strings.ReplaceAll(string(text), installed, binary))
	if out, err := exec.Command("systemd-analyze", "verify", here).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}
