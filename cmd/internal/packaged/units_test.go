package packaged_test

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/heimdraht/heimdraht/internal/testneed"
)

// TestUnitsAreConfined: no unit is exposed by more than 3.0 of 10, as systemd reckons it.
func TestUnitsAreConfined(t *testing.T) {
	t.Parallel()
	analyze := testneed.Program(t, "systemd-analyze")
	units, err := filepath.Glob(filepath.Join(repository, "deploy", "*.service"))
	check(t, err)
	if len(units) < 5 {
		t.Errorf("these are too few: %v", units)
	}
	for _, unit := range units {
		path, err := filepath.Abs(unit)
		check(t, err)
		out, err := exec.CommandContext(t.Context(), analyze, "security", "--offline=true", "--threshold=30", "--no-pager", path).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", filepath.Base(unit), err, out)
		}
	}
}
