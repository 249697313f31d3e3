package testneed_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/heimdraht/heimdraht/internal/testneed"
)

// probe notes how a test would have ended.
type probe struct {
	skipped string
	failed  string
}

func (p *probe) Helper()           {}
func (p *probe) Name() string      { return "TestProbe" }
func (p *probe) Skip(args ...any)  { p.skipped = fmt.Sprint(args...) }
func (p *probe) Fatal(args ...any) { p.failed = fmt.Sprint(args...) }

// alone clears what the surrounding test run has set.
func alone(t *testing.T) {
	t.Helper()
	for _, name := range []string{"CI", "HEIMDRAHT_NO_SKIP", "HEIMDRAHT_SKIP_LOG"} {
		t.Setenv(name, "")
	}
}

func TestMissingSkipsAndRecords(t *testing.T) {
	alone(t)
	log := filepath.Join(t.TempDir(), "skips")
	t.Setenv("HEIMDRAHT_SKIP_LOG", log)

	p := &probe{}
	testneed.Missing(p, "no such\nthing")
	testneed.Missing(p, "nor this")

	if p.failed != "" || p.skipped != "nor this" {
		t.Errorf("failed %q, skipped %q; want only a skip", p.failed, p.skipped)
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	want := "no such thing\t" + dir + "\tTestProbe\nnor this\t" + dir + "\tTestProbe\n"
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("the record (-want +got):\n%s", diff)
	}
}

func TestMissingFailsWhereNothingMayBeSkipped(t *testing.T) {
	for _, tt := range []struct {
		name, value string
		fails       bool
	}{
		{"CI", "true", true},
		{"CI", "1", true},
		{"CI", "false", false},
		{"CI", "0", false},
		{"HEIMDRAHT_NO_SKIP", "1", true},
	} {
		t.Run(tt.name+"="+tt.value, func(t *testing.T) {
			alone(t)
			t.Setenv(tt.name, tt.value)
			p := &probe{}
			testneed.Missing(p, "no such thing")
			if got := strings.Contains(p.failed, "no such thing"); got != tt.fails {
				t.Errorf("failed is %v (%q), want %v", got, p.failed, tt.fails)
			}
			if got := p.skipped != ""; got == tt.fails {
				t.Errorf("skipped is %v, want %v", got, !tt.fails)
			}
		})
	}
}

func TestMissingFailsWhenItCannotRecord(t *testing.T) {
	alone(t)
	t.Setenv("HEIMDRAHT_SKIP_LOG", filepath.Join(t.TempDir(), "no", "such", "directory"))
	p := &probe{}
	testneed.Missing(p, "no such thing")
	if p.failed == "" || p.skipped != "" {
		t.Errorf("failed %q, skipped %q; want only a failure", p.failed, p.skipped)
	}
}

func TestNeeds(t *testing.T) {
	alone(t)
	dir := t.TempDir()
	program := filepath.Join(dir, "heimdraht-test-program")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)

	p := &probe{}
	if got := testneed.Program(p, "heimdraht-test-program"); got != program || p.skipped != "" {
		t.Errorf("Program = %q, skipped %q; want %q", got, p.skipped, program)
	}
	if got := testneed.File(p, program); got != program || p.skipped != "" {
		t.Errorf("File = %q, skipped %q; want %q", got, p.skipped, program)
	}

	p = &probe{}
	testneed.Program(p, "heimdraht-no-such-program")
	if want := "the program heimdraht-no-such-program is not installed"; p.skipped != want {
		t.Errorf("skipped %q, want %q", p.skipped, want)
	}

	p = &probe{}
	testneed.File(p, filepath.Join(dir, "missing"))
	if !strings.Contains(p.skipped, "missing") {
		t.Errorf("skipped %q, want the file's name in it", p.skipped)
	}

	p = &probe{}
	testneed.Root(p)
	if root := os.Geteuid() == 0; (p.skipped == "") != root {
		t.Errorf("root %v, skipped %q", root, p.skipped)
	}
}
