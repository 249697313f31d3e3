package archtest_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Tests wait for the event itself. Sleeping is allowed where time is virtual,
// in files that use testing/synctest, or with a comment behind it that says
// what is waited for and why nothing tells of it ("// real: …").
func TestNoTestSleepsForReal(t *testing.T) {
	root := filepath.Join("..", "..")
	files := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && strings.HasPrefix(d.Name(), ".") && d.Name() != ".." {
			if err == nil {
				err = filepath.SkipDir
			}
			return err
		}
		if d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		files++
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, line := range realSleeps(t, path, content) {
			t.Errorf("%s:%d: a test sleeps for real", path, line)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 20 {
		t.Errorf("only %d test files were found", files)
	}
}

func TestRealSleepsAreFound(t *testing.T) {
	const head, tail = "package a\nimport (\"time\"", ")\nfunc f() {\n\ttime.Sleep(1)\n\ttime.Sleep(2) // real: a process tells nobody\n}\n"
	if got := realSleeps(t, "a_test.go", []byte(head+tail)); len(got) != 1 || got[0] != 4 {
		t.Errorf("found lines %v, want 4", got)
	}
	if got := realSleeps(t, "a_test.go", []byte(head+"; \"testing/synctest\""+tail)); len(got) != 0 {
		t.Errorf("found lines %v where time is virtual", got)
	}
}

// realSleeps lists the lines that sleep where time is not virtual.
func realSleeps(t *testing.T, path string, content []byte) (lines []int) {
	t.Helper()
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, content, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range file.Imports {
		if i.Path.Value == `"testing/synctest"` {
			return nil
		}
	}
	text := bytes.Split(content, []byte("\n"))
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.SelectorExpr)
		if !ok || call.Sel.Name != "Sleep" {
			return true
		}
		if pkg, ok := call.X.(*ast.Ident); ok && pkg.Name == "time" {
			if line := set.Position(call.Pos()).Line; !bytes.Contains(text[line-1], []byte("// real: ")) {
				lines = append(lines, line)
			}
		}
		return true
	})
	return lines
}
