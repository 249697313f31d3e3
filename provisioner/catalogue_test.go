package provisioner_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/heimdraht/heimdraht/provisioner"
)

var placeholder = regexp.MustCompile(`\{([^{}]*)\}`)

// placeholders are the {names} in a text.
func placeholders(t provisioner.Text) []string {
	names := make(map[string]bool)
	for _, m := range placeholder.FindAllStringSubmatch(t.Sentence+t.Next, -1) {
		names[m[1]] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// TestCatalogue holds every text to what people need: what happened and what to
// do, as sentences, in both languages, in the words that the documents use.
func TestCatalogue(t *testing.T) {
	code := regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`)
	seen := make(map[provisioner.Code]bool)
	for _, e := range provisioner.Catalogue() {
		if seen[e.Code] {
			t.Errorf("%s stands twice", e.Code)
		}
		seen[e.Code] = true
		if !code.MatchString(string(e.Code)) {
			t.Errorf("%q is no code", e.Code)
		}
		if diff := cmp.Diff(placeholders(e.German), placeholders(e.English)); diff != "" {
			t.Errorf("%s: the languages have different placeholders:\n%s", e.Code, diff)
		}
		for language, text := range map[string]provisioner.Text{"German": e.German, "English": e.English} {
			for what, s := range map[string]string{"sentence": text.Sentence, "next step": text.Next} {
				// A next step may end with a command, which has no stop of its own.
				if s != strings.TrimSpace(s) || len(s) < 10 || !strings.HasSuffix(s, ".") {
					t.Errorf("%s: the %s %s is no sentence: %q", e.Code, language, what, s)
				}
			}
		}
		for _, jargon := range []string{"Session", "Gateway ", "Token", "Peer", "Tunnel", "Lease", "enrol", "Client", "ungültige Eingabe"} {
			text := strings.ReplaceAll(e.German.Sentence+" "+e.German.Next, "heimdraht-agent enrol", "")
			if strings.Contains(text, jargon) {
				t.Errorf("%s: %q is no German that employees know: %s", e.Code, jargon, text)
			}
		}
	}
}

// TestRefusals reads the sources: every code is in the catalogue and in use, and
// whoever refuses fills every placeholder of its texts, and no other.
func TestRefusals(t *testing.T) {
	want := make(map[string][]string) // by the constant's name
	byCode := make(map[provisioner.Code][]string)
	for _, e := range provisioner.Catalogue() {
		byCode[e.Code] = placeholders(e.German)
	}
	for name, code := range codeConstants(t) {
		names, listed := byCode[code]
		if !listed {
			t.Errorf("%s (%s) is not in the catalogue", name, code)
		}
		want[name] = names
		delete(byCode, code)
	}
	for code := range byCode {
		t.Errorf("%s is in the catalogue, and no constant", code)
	}
	used := make(map[string]bool)
	for file, parsed := range sources(t) {
		for _, r := range refusalsIn(parsed.file) {
			at := parsed.fset.Position(r.pos)
			used[r.code] = true
			filled := slices.Sorted(slices.Values(r.filled))
			if diff := cmp.Diff(want[r.code], filled, emptyIsNil); diff != "" {
				t.Errorf("%s:%d: the placeholders of %s (-) and what fills them (+):\n%s", file, at.Line, r.code, diff)
			}
		}
	}
	for name := range want {
		if !used[name] {
			t.Errorf("nothing refuses with %s", name)
		}
	}
}

var emptyIsNil = cmp.Transformer("emptyIsNil", func(s []string) []string { return append([]string{}, s...) })

// codeConstants are the constants of type Code, with their values.
func codeConstants(t *testing.T) map[string]provisioner.Code {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "catalogue.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	codes := make(map[string]provisioner.Code)
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if typ, ok := spec.Type.(*ast.Ident); !ok || typ.Name != "Code" {
			return true
		}
		value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		codes[spec.Names[0].Name] = provisioner.Code(value)
		return true
	})
	return codes
}

type source struct {
	fset *token.FileSet
	file *ast.File
}

// sources are the control plane's own, without tests, the catalogue and what
// defines refusals.
func sources(t *testing.T) map[string]source {
	t.Helper()
	list := make(map[string]source)
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == "testdata", d.IsDir() && d.Name() == "provisionertest":
			return fs.SkipDir
		case d.IsDir(), !strings.HasSuffix(path, ".go"), strings.HasSuffix(path, "_test.go"), path == "catalogue.go", path == "refusal.go":
			return nil
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, path, nil, 0)
		list[path] = source{fset, file}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// refused is one use of a code: in Refuse, or where a code is handed on as the
// reason of a refusal to come.
type refused struct {
	code   string
	filled []string
	pos    token.Pos
}

// refusalsIn finds every code that is given to a function, with the placeholders
// that Refuse and the calls of With behind it fill. A code that is compared is
// not used.
func refusalsIn(file *ast.File) (list []refused) {
	with := make(map[*ast.CallExpr][]string) // by the call of Refuse
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		var names []string
		for inner := call; ; {
			selector, ok := inner.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if selector.Sel.Name == "With" {
				names = append(names, text(inner.Args[0]))
			}
			next, ok := selector.X.(*ast.CallExpr)
			if !ok {
				return true
			}
			if nameOf(next.Fun) == "Refuse" {
				if len(names) > len(with[next]) {
					with[next] = names
				}
				return true
			}
			inner = next
		}
	})
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		for _, argument := range call.Args {
			code := nameOf(argument)
			if !strings.HasPrefix(code, "Code") {
				continue
			}
			r := refused{code: code, pos: argument.Pos()}
			if nameOf(call.Fun) == "Refuse" {
				r.filled = slices.Clone(with[call])
				for i := 1; i+1 < len(call.Args); i += 2 {
					name := text(call.Args[i])
					if _, words := call.Args[i+1].(*ast.BasicLit); words {
						name += " (in one language only: use With)"
					}
					r.filled = append(r.filled, name)
				}
			}
			list = append(list, r)
		}
		return true
	})
	return list
}

// nameOf is the last part of a name.
func nameOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}

// text is a constant text.
func text(e ast.Expr) string {
	if literal, ok := e.(*ast.BasicLit); ok {
		if s, err := strconv.Unquote(literal.Value); err == nil {
			return s
		}
	}
	return "(not a constant)"
}

func TestRefusalText(t *testing.T) {
	r := provisioner.Refuse(provisioner.CodeNotFound, "name", "a{what}").With("what", "Dieses Gerät", "device")
	for language, want := range map[string]string{
		"de": "Dieses Gerät gibt es nicht: a{what}.",
		"":   "Dieses Gerät gibt es nicht: a{what}.",
		"en": "There is no such device: a{what}.",
	} {
		if got, _ := r.Text(language); got != want {
			t.Errorf("in %q: %q, want %q", language, got, want)
		}
	}
	if !strings.HasPrefix(r.Error(), "not-found: There is no such device") {
		t.Errorf("a log would say %q", r.Error())
	}
}

// Who can do the next step is the one whom the next step names.
func TestWhoActs(t *testing.T) {
	for code, want := range map[provisioner.Code]provisioner.Who{
		provisioner.CodeFactorMissing: provisioner.WhoTenantAdmin, provisioner.CodeFactorThrottled: provisioner.WhoNobody, provisioner.CodeFourEyes: provisioner.WhoTenantAdmin,
		provisioner.CodeTooLarge: provisioner.WhoEmployee, provisioner.CodeFactorWrong: provisioner.WhoEmployee, provisioner.CodeDeviceSuspended: provisioner.WhoHelpdesk,
		provisioner.CodeNoLicence: provisioner.WhoTenantAdmin, provisioner.CodeNoSeat: provisioner.WhoNobody, provisioner.CodeDatabaseUnavailable: provisioner.WhoOperator,
	} {
		if got := provisioner.Refuse(code).Who(); got != want {
			t.Errorf("%s: %s, want %s", code, got, want)
		}
	}
}
