package app_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/heimdraht/heimdraht/provisioner/app"
)

// TestSetupErrorsAreWhole reads the sources: what the operator is told has a
// code to look up, what happened, and what to do.
func TestSetupErrorsAreWhole(t *testing.T) {
	code := regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`)
	found := 0
	inSources(t, func(fset *token.FileSet, n ast.Node) {
		literal, ok := n.(*ast.CompositeLit)
		if !ok || !isSetupError(literal.Type) {
			return
		}
		found++
		fields := make(map[string]ast.Expr)
		for _, e := range literal.Elts {
			pair := e.(*ast.KeyValueExpr)
			fields[pair.Key.(*ast.Ident).Name] = pair.Value
		}
		at := fset.Position(literal.Pos())
		if fields["What"] == nil || fields["Next"] == nil {
			t.Errorf("%v: it does not say what happened, or what to do", at)
		}
		value, ok := fields["Code"].(*ast.BasicLit)
		if !ok {
			t.Errorf("%v: it has no code", at)
			return
		}
		if s, err := strconv.Unquote(value.Value); err != nil || !code.MatchString(s) {
			t.Errorf("%v: %s is no code", at, value.Value)
		}
	})
	if found < 20 {
		t.Errorf("only %d were found", found)
	}
}

func isSetupError(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name == "SetupError"
	case *ast.SelectorExpr:
		return e.Sel.Name == "SetupError"
	}
	return false
}

// TestSetupCatalogueIsWhole holds the catalogue against the sources: every code
// that is said stands in it, and no other.
func TestSetupCatalogueIsWhole(t *testing.T) {
	said := map[string]bool{}
	inSources(t, func(_ *token.FileSet, n ast.Node) {
		for _, code := range codesIn(n) {
			said[code] = true
		}
	})
	listed := map[string]bool{}
	for _, e := range app.SetupCatalogue() {
		if listed[e.Code] || e.Sentence == "" || e.Next == "" {
			t.Errorf("%s stands there twice, or lacks a sentence or a next step", e.Code)
		}
		listed[e.Code] = true
	}
	if diff := cmp.Diff(listed, said); diff != "" {
		t.Errorf("codes (-in the catalogue +in the sources):\n%s", diff)
	}
}

// inSources visits everything in the sources that say codes to the operator.
func inSources(t *testing.T, visit func(*token.FileSet, ast.Node)) {
	t.Helper()
	for _, pattern := range []string{"*.go", "../../cmd/heimdrahtd/*.go", "../directory/ldap/check.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			fset := token.NewFileSet()
			parsed, err := parser.ParseFile(fset, file, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(parsed, func(n ast.Node) bool {
				visit(fset, n)
				return true
			})
		}
	}
}

// codesIn finds codes as the sources write them: a field Code, an assignment to
// one, and "(code)" at the end of what is printed.
func codesIn(n ast.Node) (codes []string) {
	literal := func(e ast.Expr) {
		if value, ok := e.(*ast.BasicLit); ok {
			if s, err := strconv.Unquote(value.Value); err == nil && s != "" {
				codes = append(codes, s)
			}
		}
	}
	switch n := n.(type) {
	case *ast.KeyValueExpr:
		if key, ok := n.Key.(*ast.Ident); ok && key.Name == "Code" {
			literal(n.Value)
		}
	case *ast.AssignStmt:
		for i, left := range n.Lhs {
			if field, ok := left.(*ast.SelectorExpr); ok && field.Sel.Name == "Code" && len(n.Rhs) == len(n.Lhs) {
				literal(n.Rhs[i])
			}
		}
	case *ast.BasicLit:
		if found := regexp.MustCompile(`\(([a-z-]+)\)\\n"$`).FindStringSubmatch(n.Value); found != nil {
			codes = append(codes, found[1])
		}
	}
	return codes
}
