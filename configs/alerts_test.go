package configs_test

import (
	"os/exec"
	"testing"
)

// The shipped rules are rules, and fire when configs/alerts_test.yaml says so.
func TestAlertRules(t *testing.T) {
	for _, args := range [][]string{{"check", "rules", "alerts.yaml"}, {"test", "rules", "alerts_test.yaml"}} {
		if out, err := exec.Command("promtool", args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v (./dev test installs it)\n%s", args, err, out)
		}
	}
}
