// Package documented holds the command lines that the documents show against the
// programs' grammars: the command exists, and knows each flag that is named.
//
// Its tests are those of the programs, each of which has a grammar of its own.
package documented

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// line is a command line of a document, or the beginning of one.
type line struct {
	place string
	words []string
	// loose: it stands in a sentence, so a word may be the sentence's.
	loose bool
}

// Wrong finds every command line of a program in docs/ and README.md below root, and
// says what is wrong with those that its grammar does not know.
func Wrong(root string, parser *kong.Kong) (problems []string, err error) {
	lines, err := linesOf(root, parser.Model.Name)
	if err != nil {
		return nil, err
	}
	for _, l := range lines {
		if err := l.fits(parser.Model.Node); err != nil {
			problems = append(problems, fmt.Sprintf("%s: %s %s: %v", l.place, parser.Model.Name, strings.Join(l.words, " "), err))
		}
	}
	return problems, nil
}

func linesOf(root, program string) (list []line, err error) {
	files, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		return nil, err
	}
	for _, file := range append(files, filepath.Join(root, "README.md")) {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		fence := "" // with the language behind it; empty: outside of any
		for n, row := range strings.Split(string(text), "\n") {
			place := fmt.Sprintf("%s:%d", filepath.Base(file), n+1)
			if mark := strings.TrimSpace(row); strings.HasPrefix(mark, "```") {
				if fence != "" {
					mark = ""
				}
				fence = mark
				continue
			}
			if fence == "```" { // a drawing
				continue
			}
			for _, shown := range shownIn(row, fence != "", filepath.Base(file) == "refusals.md") {
				if words := wordsOf(shown, program); len(words) > 0 {
					list = append(list, line{place, words, filepath.Base(file) == "refusals.md"})
				}
			}
		}
	}
	return list, nil
}

// shownIn are the commands of a row: itself in a fenced block, what stands between
// backticks else, and in sentences whatever begins with a program's name.
func shownIn(row string, fenced, loose bool) (list []string) {
	switch {
	case fenced:
		return []string{strings.TrimPrefix(strings.TrimSpace(row), "$ ")}
	case loose:
		return regexp.MustCompile("heimdraht[a-z-]* [^.,;:*()`]*").FindAllString(row, -1)
	}
	for i, part := range strings.Split(row, "`") {
		if i%2 == 1 {
			list = append(list, part)
		}
	}
	return list
}

// wordsOf are the words behind a program's name; none if it is another one's command.
func wordsOf(shown, program string) []string {
	words := strings.Fields(regexp.MustCompile(`'[^']*'|"[^"]*"`).ReplaceAllString(shown, "X"))
	if i := slices.Index(words, "--"); i > 0 && words[0] == "runuser" {
		words = words[i+1:]
	}
	if len(words) == 0 || words[0] != program {
		return nil
	}
	words = words[1:]
	if end := slices.IndexFunc(words, func(w string) bool { return strings.ContainsAny(w[:1], "|><&;#") }); end >= 0 {
		words = words[:end]
	}
	for i, w := range words {
		words[i] = strings.Trim(w, "[];")
	}
	return words
}

// fits follows the words through the grammar.
func (l line) fits(node *kong.Node) error {
	flags := slices.Clone(node.Flags)
	places := 0
	for i := 0; i < len(l.words); i++ {
		word := l.words[i]
		if name, value, ok := flagOf(word); ok {
			f := slices.IndexFunc(flags, func(f *kong.Flag) bool {
				return f.Name == name || slices.Contains(f.Aliases, name) || f.Short != 0 && string(f.Short) == name || f.Tag.Negatable != "" && "no-"+f.Name == name
			})
			switch {
			case f < 0 && node.DefaultCmd != nil:
				node, flags, i = node.DefaultCmd, append(flags, node.DefaultCmd.Flags...), i-1 // the word again
			case f < 0:
				return fmt.Errorf("it has no flag %s", word)
			case !flags[f].IsBool() && value == "":
				i++ // its value
			}
			continue
		}
		child := slices.IndexFunc(node.Children, func(c *kong.Node) bool { return c.Name == word })
		switch {
		case child >= 0:
			node = node.Children[child]
			flags = append(flags, node.Flags...)
		case l.loose && node.Type == kong.ApplicationNode && node.Name == "heimdrahtd": // "heimdrahtd says why"
			return nil
		case node.DefaultCmd != nil:
			node, flags, i = node.DefaultCmd, append(flags, node.DefaultCmd.Flags...), i-1
		case len(node.Children) > 0:
			return fmt.Errorf("there is no command %s", word)
		case l.loose: // the sentence goes on
			return nil
		case places >= len(node.Positional) && !slices.ContainsFunc(node.Positional, func(p *kong.Positional) bool { return p.IsCumulative() }):
			return fmt.Errorf("it takes no %s", word)
		default:
			places++
		}
	}
	return nil
}

func flagOf(word string) (name, value string, ok bool) {
	if len(word) < 2 || word[0] != '-' {
		return "", "", false
	}
	name, value, _ = strings.Cut(strings.TrimLeft(word, "-"), "=")
	return name, value, true
}
