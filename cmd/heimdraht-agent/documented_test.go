package main

import (
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/heimdraht/heimdraht/cmd/internal/documented"
	"github.com/heimdraht/heimdraht/cmd/internal/speech"
)

// What the documents tell people to type is understood.
func TestDocumentedCommands(t *testing.T) {
	parser, err := kong.New(&commands{}, kong.Name("heimdraht-agent"), helpTexts(speech.English))
	if err != nil {
		t.Fatal(err)
	}
	wrong, err := documented.Wrong("../..", parser)
	if err != nil || len(wrong) > 0 {
		t.Error(strings.Join(wrong, "\n"), err)
	}
}
