package main

import (
	"flag"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/heimdraht/heimdraht/cmd/internal/documented"
	"github.com/heimdraht/heimdraht/cmd/internal/manual"
	"github.com/heimdraht/heimdraht/cmd/internal/speech"
)

var update = flag.Bool("update", false, "write the pages of the manual as the grammar makes them")

// What the documents tell people to type is understood.
func TestDocumentedCommands(t *testing.T) {
	parser, err := kong.New(&commands{}, grammarIn(speech.English))
	if err != nil {
		t.Fatal(err)
	}
	wrong, err := documented.Wrong("../..", parser)
	if err != nil || len(wrong) > 0 {
		t.Error(strings.Join(wrong, "\n"), err)
	}
}

// The pages for man and the completion for bash are those of the grammar.
func TestManual(t *testing.T) {
	program := manual.Program{Section: 8, See: []string{"heimdrahtd(8)", "heimdraht(1)"}, Parser: func(l speech.Language) *kong.Kong {
		parser, err := kong.New(&commands{}, grammarIn(l))
		if err != nil {
			t.Fatal(err)
		}
		return parser
	}}
	if differ, err := program.Kept("../../deploy", *update); err != nil || len(differ) > 0 {
		t.Errorf("not as the grammar makes them (make generate): %q, %v", differ, err)
	}
}
