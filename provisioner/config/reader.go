package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// The largest file that is read: ten times the declaration of 500 tenants.
const maxFile = 8 << 20

// The longest key or text that is repeated in a message.
const maxQuoted = 60

// source is one file and what is wrong with it. Nodes are walked by hand
// instead of decoded into structs: only so can every message, also about
// meaning, name its line.
type source struct {
	name     string
	problems *Problems
}

func (s source) fail(line int, format string, args ...any) {
	*s.problems = append(*s.problems, Problem{File: s.name, Line: line, Message: fmt.Sprintf(format, args...)})
}

// readFile reads a file that must be small.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	return content, nil
}

// parse gives the file's outermost mapping; nil: there is none, and why is
// among the problems.
func (s source) parse(content []byte) *mapping {
	if len(content) > maxFile {
		s.fail(0, "the file is larger than %d bytes: split it", maxFile)
		return nil
	}
	if line, what := unreadable(content); what != "" {
		s.fail(line, "%s", what)
		return nil
	}
	var document yaml.Node
	if err := yaml.Load(content, &document); err != nil {
		s.failYAML(err, content)
		return nil
	}
	if document.Kind != yaml.DocumentNode || len(document.Content) != 1 {
		s.fail(0, "the file is empty")
		return nil
	}
	v := value{source: s, node: document.Content[0], path: "the file"}
	return v.mapping("the file")
}

// unreadable finds what is no text at all, which the YAML library reports
// without a line.
func unreadable(content []byte) (line int, what string) {
	line = 1
	for len(content) > 0 {
		r, size := utf8.DecodeRune(content)
		switch {
		case r == utf8.RuneError && size == 1:
			return line, "not valid UTF-8: save the file as UTF-8"
		case r == '\n':
			line++
		case unicode.IsControl(r) && r != '\r' && r != '\t' && r != '\u0085':
			return line, fmt.Sprintf("the control character %U does not belong here", r)
		}
		content = content[size:]
	}
	return 0, ""
}

func (s source) failYAML(err error, content []byte) {
	var e *yaml.LoadError
	if !errors.As(err, &e) {
		s.fail(0, "not valid YAML: %s", err)
		return
	}
	switch {
	case strings.Contains(e.Message, "no documents"):
		s.fail(0, "the file is empty")
	case strings.Contains(e.Message, "found multiple"):
		s.fail(secondDocument(content), "a second document begins here: write one document a file")
	default:
		s.fail(e.Mark.Line, "not valid YAML: %s", e.Message)
	}
}

// secondDocument finds the line of the "---" that ends the first document.
func secondDocument(content []byte) int {
	begun := false
	for i, line := range bytes.Split(content, []byte("\n")) {
		text := bytes.TrimRight(line, " \t\r")
		if bytes.HasPrefix(text, []byte("---")) && begun {
			return i + 1
		}
		if len(text) > 0 && text[0] != '#' {
			begun = true
		}
	}
	return 0
}

// value is one node with what it is called in messages.
type value struct {
	source
	node *yaml.Node
	path string
}

func (v value) failf(format string, args ...any) {
	v.fail(v.node.Line, "%s: %s", v.path, fmt.Sprintf(format, args...))
}

// isNull reports a key without a value.
func (v value) isNull() bool {
	return v.node.Kind == yaml.ScalarNode && v.node.ShortTag() == "!!null"
}

// wanted says that the node is of another kind than it should be.
func (v value) wanted(what string) {
	switch {
	case v.isNull():
		v.failf("has no value: wanted %s", what)
	case v.node.Kind == yaml.AliasNode:
		v.failf("aliases (*%s) are not supported: write the value out", quoted(v.node.Value))
	default:
		v.failf("wanted %s, not %s", what, v.describe())
	}
}

func (v value) describe() string {
	switch v.node.Kind {
	case yaml.MappingNode:
		return "keys and values"
	case yaml.SequenceNode:
		return "a list"
	}
	text := quoted(v.node.Value)
	switch v.node.ShortTag() {
	case "!!str":
		return fmt.Sprintf("the text %q", text)
	case "!!int", "!!float":
		return "the number " + text
	case "!!bool":
		return text
	case "!!timestamp":
		return "the date " + text
	default:
		return fmt.Sprintf("%q with the tag %s", text, quoted(v.node.ShortTag()))
	}
}

func (v value) scalar(tags ...string) (string, bool) {
	if v.node.Kind != yaml.ScalarNode || !slices.Contains(tags, v.node.ShortTag()) {
		return "", false
	}
	return v.node.Value, true
}

// text reads a text of one line that is not empty.
func (v value) text() (string, bool) {
	s, ok := v.scalar("!!str")
	if !ok {
		if v.node.Kind == yaml.ScalarNode && !v.isNull() {
			v.failf("wanted a text, not %s: put it in quotes", v.describe())
			return "", false
		}
		v.wanted("a text")
		return "", false
	}
	if strings.TrimSpace(s) == "" {
		v.failf("is empty")
		return "", false
	}
	if strings.ContainsFunc(s, unicode.IsControl) {
		v.failf("must be one line without control characters")
		return "", false
	}
	if s != strings.TrimSpace(s) {
		v.failf("begins or ends with a blank")
		return "", false
	}
	return s, true
}

// whole reads a whole number in [least, most].
func (v value) whole(least, most int64) (int64, bool) {
	s, ok := v.scalar("!!int", "!!float")
	digits := strings.TrimPrefix(s, "-")
	if v.node.ShortTag() == "!!float" && strings.Trim(digits, "0123456789") != "" {
		ok = false // whole numbers beyond 64 bits are floats to YAML
	}
	// Octal, hexadecimal and grouped numbers mean different things to
	// different people: 010 is eight in YAML 1.1.
	if ok && (strings.Trim(digits, "0123456789") != "" || len(digits) > 1 && digits[0] == '0') {
		v.failf("write %s as a plain decimal number", quoted(s))
		return 0, false
	}
	if !ok {
		v.wanted("a whole number")
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < least || n > most {
		v.failf("%s is out of range: from %d to %d", quoted(s), least, most)
		return 0, false
	}
	return n, true
}

func (v value) boolean() bool {
	s, ok := v.scalar("!!bool")
	if !ok {
		v.wanted("true or false")
		return false
	}
	return strings.EqualFold(s, "true")
}

// list gives the items of a list.
func (v value) list(of string) []value {
	if v.node.Kind != yaml.SequenceNode {
		v.wanted("a list of " + of)
		return nil
	}
	var items []value
	for _, n := range v.node.Content {
		items = append(items, value{source: v.source, node: n, path: v.path})
	}
	return items
}

// texts reads a list of texts, none of them twice.
func (v value) texts(of string, read func(value) (string, bool)) []string {
	var all []string
	for _, item := range v.list(of) {
		s, ok := read(item)
		if !ok {
			continue
		}
		if slices.Contains(all, s) {
			item.failf("%q is listed twice", s)
			continue
		}
		all = append(all, s)
	}
	return all
}

// quoted shortens what is repeated in a message.
func quoted(s string) string {
	if utf8.RuneCountInString(s) <= maxQuoted {
		return s
	}
	return string([]rune(s)[:maxQuoted]) + "..."
}
