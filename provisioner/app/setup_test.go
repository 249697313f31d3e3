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
)

// TestSetupErrorsAreWhole reads the sources: what the operator is told has a
// code to look up, what happened, and what to do.
func TestSetupErrorsAreWhole(t *testing.T) {
	code := regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`)
	found := 0
	for _, pattern := range []string{"*.go", "../../cmd/heimdrahtd/*.go"} {
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
				literal, ok := n.(*ast.CompositeLit)
				if !ok || !isSetupError(literal.Type) {
					return true
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
					return true
				}
				if s, err := strconv.Unquote(value.Value); err != nil || !code.MatchString(s) {
					t.Errorf("%v: %s is no code", at, value.Value)
				}
				return true
			})
		}
	}
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
