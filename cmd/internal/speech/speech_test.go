package speech_test

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"github.com/heimdraht/heimdraht/cmd/internal/speech"
)

func TestOf(t *testing.T) {
	for _, c := range []struct {
		args []string
		env  map[string]string
		want speech.Language
	}{
		{nil, nil, speech.English},
		{nil, map[string]string{"LANG": "de_DE.UTF-8"}, speech.German},
		{nil, map[string]string{"LANG": "de.UTF-8"}, speech.German},
		{nil, map[string]string{"LANG": "den"}, speech.English},
		{nil, map[string]string{"LANG": "de_DE", "LC_ALL": "C"}, speech.English},
		{nil, map[string]string{"LANG": "C", "LC_MESSAGES": "de_AT"}, speech.German},
		{[]string{"find", "--lang=de"}, map[string]string{"LC_ALL": "C"}, speech.German},
		{[]string{"--lang", "DE", "find"}, nil, speech.German},
		{[]string{"--lang"}, nil, speech.English},
		{[]string{"find", "--", "--lang=de"}, nil, speech.English},
	} {
		if got := speech.Of(c.args, func(name string) string { return c.env[name] }); got != c.want {
			t.Errorf("Of(%q, %v) = %q, want %q", c.args, c.env, got, c.want)
		}
	}
}

// grammar is one like our programs have.
type grammar struct {
	Find struct {
		Query []string `arg:""`
		Limit uint32   `placeholder:"N"`
	} `cmd:"" help:"Suchen."`
	Revoke struct {
		ID     string        `arg:""`
		Reason string        `required:""`
		Wait   time.Duration `default:"5s"`
	} `cmd:"" help:"Sperren."`
	Output string `enum:"table,json" default:"table"`
}

func parser(t *testing.T, help io.Writer) *kong.Kong {
	t.Helper()
	p, err := kong.New(&grammar{}, kong.Name("prog"), kong.Writers(help, io.Discard), kong.Exit(func(int) {}))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// The sentences are Kong's own, made by Kong: a new version that words them anew is noticed here.
func TestUsage(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"", `es fehlt der Befehl, einer von "find", "revoke"`},
		{"fnd", `"fnd" gehört nicht hierher. Meinten Sie "find"?`},
		{"find", `es fehlt <query> ...`},
		{"find a --limt 3", `den Schalter --limt gibt es nicht. Meinten Sie "--limit"?`},
		{"find a --qqqqqqqq", `den Schalter --qqqqqqqq gibt es nicht`},
		{"find a --limit x", `--limit: "x" ist keine Zahl, die hier möglich ist`},
		{"find a --limit=-1", `--limit: "-1" ist keine Zahl, die hier möglich ist`},
		{"find a --limit", `--limit: der Wert fehlt`},
		{"revoke a", `es fehlt --reason=STRING`},
		{"revoke a --reason r --wait bald", `--wait: "bald" ist keine Dauer; so geht es: 5s`},
		{"revoke a b --reason r", `"b" gehört nicht hierher`},
		{"find a --output xml", `--output ist eines von "table","json", nicht "xml"`},
	} {
		_, err := parser(t, io.Discard).Parse(strings.Fields(c.args))
		if err == nil {
			t.Errorf("%q: Kong takes it", c.args)
			continue
		}
		if got := speech.Usage(err.Error(), speech.German); got != c.want {
			t.Errorf("%q: %q becomes %q, want %q", c.args, err, got, c.want)
		}
		if got := speech.Usage(err.Error(), speech.English); got != err.Error() {
			t.Errorf("%q: %q becomes %q in English", c.args, err, got)
		}
	}
	if got := speech.Usage("nobody has heard this", speech.German); got != "nobody has heard this" {
		t.Errorf("an unknown sentence becomes %q", got)
	}
}

func TestHelp(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"find", "--help"}} {
		var help bytes.Buffer
		_, _ = parser(t, &help).Parse(args)
		german := speech.Help(help.String(), "prog", speech.German)
		for _, english := range []string{"Usage", "Flags", "flags", "Commands", "command>", "Arguments", "Show", "Run \""} {
			if strings.Contains(german, english) {
				t.Errorf("%q: %q is left in:\n%s", args, english, german)
			}
		}
		if got := speech.Help(help.String(), "prog", speech.English); strings.Contains(got, "context-sensitive") || strings.Contains(got, "Run \"") {
			t.Errorf("%q: the English help is not plain:\n%s", args, got)
		}
	}
}
