// Command dataprotection writes the table of what is kept of people into
// docs/data-protection.md and docs/datenschutz.md, between two marks.
//
// What always holds: the table names each table and column of the schema, because it
// is made from what the store and its tests go by. What the words are is not its
// business.
package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/heimdraht/heimdraht/provisioner/privacy"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

const (
	begin = "<!-- made by make generate: begin -->\n"
	end   = "<!-- end -->\n"
)

func main() {
	for path, language := range pages("docs/") {
		if err := rewrite(path, language); err != nil {
			fmt.Fprintln(os.Stderr, "dataprotection:", err)
			os.Exit(1)
		}
	}
}

// pages are the documents, each with its language.
func pages(dir string) map[string]string {
	return map[string]string{dir + "data-protection.md": "en", dir + "datenschutz.md": "de"}
}

func rewrite(path, language string) error {
	old, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	page, err := filled(string(old), language)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, []byte(page), 0o600) // it is there, and keeps its mode
}

// filled is a page with what stands between the marks made anew.
func filled(page, language string) (string, error) {
	before, rest, ok := strings.Cut(page, begin)
	_, after, there := strings.Cut(rest, end)
	if !ok || !there {
		return "", errors.New("the marks are not there")
	}
	return before + begin + table(language) + end + after, nil
}

func table(language string) string {
	heads := map[string][]string{
		"en": {"table and columns", "what it holds of a person", "why", "until when", "who sees it", "when she is forgotten"},
		"de": {"Tabelle und Spalten", "was dort über einen Menschen steht", "wozu", "bis wann", "wer es sieht", "wenn er vergessen wird"},
	}[language]
	var b strings.Builder
	line := func(cells ...string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	line(heads...)
	line(slices.Repeat([]string{"---"}, len(heads))...)
	keepings := privacy.Keepings()
	list := store.PersonalTables()
	slices.SortFunc(list, func(a, b store.Personal) int { return strings.Compare(a.Table, b.Table) })
	for _, p := range list {
		k := keepings[p.Table]
		line("`"+p.Table+"`: "+columns(p.Columns), k.What.In(language), k.Why.In(language), k.Until.In(language), k.Seen.In(language), k.End.In(language))
	}
	b.WriteString(map[string]string{
		"en": "\nWithout anything of people, by table and columns:\n\n",
		"de": "\nOhne etwas über Menschen, nach Tabelle und Spalten:\n\n",
	}[language])
	impersonal := store.ImpersonalTables()
	for _, name := range slices.Sorted(maps.Keys(impersonal)) {
		fmt.Fprintf(&b, "- `%s`: %s\n", name, columns(impersonal[name]))
	}
	return b.String()
}

func columns(list string) string { return strings.Join(strings.Fields(list), ", ") }
