package documented_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/heimdraht/heimdraht/cmd/internal/documented"
)

// tools is a grammar as the programs have them.
type tools struct {
	Give struct {
		Back struct {
			What   string `arg:""`
			Reason string
			Dry    bool `short:"n"`
		} `cmd:""`
	} `cmd:""`
	Look  struct{} `cmd:""`
	Count struct {
		All struct {
			Of   string
			What string `arg:"" optional:""`
		} `cmd:"" default:"withargs"`
		One struct{} `cmd:""`
	} `cmd:""`
	Where string
}

// What a document shows is found wherever it stands, and what is wrong in it.
func TestWhatIsShown(t *testing.T) {
	for document, wrong := range map[string]bool{
		"`tools give back ID --reason '--no such flag'`":          false,
		"`runuser -u tools -- tools give back ID -n --reason x`":  false,
		"```sh\ntools give back ID --reason=x >out\n```":          false,
		"    ```text\n    $ tools look | head --lines 3\n    ```": false,
		"`tools look --where here`":                               false,
		"`other look at this`":                                    false,
		"`tools give away ID`":                                    true,
		"`tools give back ID --reasons x`":                        true,
		"```sh\ntools look --reason x\n```":                       true,
		"`tools look around`":                                     true,
		"`tools give back ID TWO`":                                true,
		"`tools count --of x things`":                             false,
		"`tools count one`":                                       false,
		"`tools count --off x`":                                   true,
		"`tools count these things`":                              true,
	} {
		root := t.TempDir()
		if err := os.Mkdir(filepath.Join(root, "docs"), 0o700); err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string]string{"README.md": "", "docs/use.md": "Say " + document + " and go on.\n"} {
			if strings.HasPrefix(strings.TrimSpace(document), "```") && text != "" {
				text = document
			}
			if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		parser, err := kong.New(&tools{}, kong.Name("tools"))
		if err != nil {
			t.Fatal(err)
		}
		if problems, err := documented.Wrong(root, parser); err != nil || (len(problems) > 0) != wrong {
			t.Errorf("%q: %v, %v", document, problems, err)
		}
	}
}
