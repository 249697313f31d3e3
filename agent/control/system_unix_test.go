//go:build unix

package control

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/heimdraht/heimdraht/agent/state"
)

// The state directory of an agent that others can look into is an everyday
// mistake: the German must say the command too.
func TestStateUnusableSaysHowToMend(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	check(t, os.Mkdir(path, 0o700))
	check(t, os.Chmod(path, 0o755))
	_, err := state.Open(path)
	p := StateUnusable(path, err)
	for _, text := range []string{p.German.Sentence, p.English.Sentence} {
		if !strings.Contains(text, "chmod 700 "+path) {
			t.Errorf("it does not say what to do: %s", text)
		}
	}
	if strings.Contains(p.German.Sentence, "private") {
		t.Errorf("no German: %s", p.German.Sentence)
	}
}
