package terminal_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/heimdraht/heimdraht/cmd/internal/terminal"
)

func TestHarmless(t *testing.T) {
	for in, want := range map[string]string{
		"Eva Müller-Łukasz 東":      "Eva Müller-Łukasz 東",
		"a\x1b[2Jb":                "a\ufffd[2Jb",
		"one\ntwo\r\t":             "one\ufffdtwo\ufffd\ufffd",
		"\u202egnp.exe":            "\ufffdgnp.exe", // turned around
		"a\u2028b\u200bc\u009b1md": "a\ufffdb\ufffdc\ufffd1md",
		"broken \xff":              "broken \ufffd",
	} {
		if got := terminal.Harmless(in); got != want {
			t.Errorf("Harmless(%q) = %q, want %q", in, got, want)
		}
	}
	if got, want := terminal.HarmlessLines("one\ntwo\x1b\n"), "one\ntwo\ufffd\n"; got != want {
		t.Errorf("HarmlessLines gives %q, want %q", got, want)
	}
}

// The questions themselves are tested where they are asked, by the programs, on pseudo-terminals.
func TestNoTerminal(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "no-terminal"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var out strings.Builder
	if _, err := terminal.Line(t.Context(), file, &out, "Name: "); !errors.Is(err, terminal.ErrNone) {
		t.Errorf("Line gives %v", err)
	}
	if _, err := terminal.Secret(t.Context(), file, &out, "Password: "); !errors.Is(err, terminal.ErrNone) {
		t.Errorf("Secret gives %v", err)
	}
	if out.Len() > 0 {
		t.Errorf("asked all the same: %q", out.String())
	}
}
