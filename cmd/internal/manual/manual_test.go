package manual_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/heimdraht/heimdraht/cmd/internal/manual"
	"github.com/heimdraht/heimdraht/cmd/internal/speech"
)

// grammar is one like our programs have.
type grammar struct {
	Person struct {
		Show struct {
			ID string `arg:"" help:".id of the person"`
		} `cmd:"" help:"Show 'somebody'."`
		History struct {
			Purpose string `enum:"law,error" default:"law" help:"Why."`
			File    string `help:"A file."`
			Secret  string `hidden:"" help:"nobody's business"`
		} `cmd:"" help:"What she did."`
	} `cmd:"" help:"People."`
	Personal struct{} `cmd:"" help:"Something else."`
	Inner    struct{} `cmd:"" hidden:"" help:"nobody's business"`
	Output   string   `short:"o" enum:"table,json" default:"table" help:"How, back\\slash."`
	Quiet    bool     `help:"Say less."`
}

func parser(t *testing.T) *kong.Kong {
	t.Helper()
	p, err := kong.New(&grammar{}, kong.Name("heim-draht"), kong.Description("Do things. And others."))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPage(t *testing.T) {
	got := manual.Page(parser(t), speech.German, true, 8, "other(1)", "last(5)")
	for _, want := range []string{
		`.TH HEIM-DRAHT 8 `, `heim-draht \- Do things`, "\n.SH BEFEHLE\n", `.SS \fBheim\-draht person show\fR \fI<id>\fR`, "Show 'somebody'.",
		"\n\\&.id of the person\n", `\fB\-\-purpose=`, "\n.SH SCHALTER\n", `How, back\eslash.`, "\nDiese Hilfe zeigen.\n", ".BR other (1),\n.BR last (5)\n",
		`\fBLANG\fR`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
	if strings.Contains(got, "nobody's") || strings.Contains(got, "inner") {
		t.Error("it tells what is hidden")
	}
	if manual.Page(parser(t), speech.German, true, 8, "other(1)", "last(5)") != got {
		t.Error("twice the same grammar, two pages")
	}
}

// Bash itself completes, as it does after the tabulator.
func TestCompletion(t *testing.T) {
	file := filepath.Join(t.TempDir(), "completion")
	if err := os.WriteFile(file, []byte(manual.Completion(parser(t))), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		typed []string // the last one is being typed
		want  string
	}{
		{[]string{""}, "person personal --help --output --quiet"},
		{[]string{"pers"}, "person personal"},
		{[]string{"person", ""}, "show history --help --output --quiet"},
		{[]string{"person", "h"}, "history"},
		{[]string{"person", "history", "--p"}, "--purpose"},
		{[]string{"--quiet", "person", "history", "--"}, "--file --help --output --purpose --quiet"},
		{[]string{"--output", ""}, "table json"},
		{[]string{"-o", "j"}, "json"},
		{[]string{"--output", "=", "t"}, "table"},
		{[]string{"--output", "="}, "table json"},
		{[]string{"person", "history", "--file", ""}, ""},
		{[]string{"personal", "s"}, ""},
		{[]string{"nothing", "person", "sh"}, "show"},
	} {
		cmd := exec.CommandContext(t.Context(), "bash", append([]string{"--norc", "-euc", `source "$0"; COMP_WORDS=(heim-draht "$@"); COMP_CWORD=$#; _heim_draht; echo "${COMPREPLY[*]}"`, file}, c.typed...)...)
		out, err := cmd.CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || got != c.want {
			t.Errorf("%q: %q, %v; want %q", c.typed, got, err, c.want)
		}
	}
}
