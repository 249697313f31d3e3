// Package archtest holds the house's rules: which room may import which, and what every package has.
//
// What always holds: all Go files of the module count, for every operating system and build tag, tests
// included; nothing is built for it, the sources are only read. Each rule stands in rules.go with its
// reason, and the package's own test breaks each one on a sample.
//
// Style is not its business: .golangci.yml has those rules. When a rule turns out to be wrong, the rule and
// docs/architecture.md change together.
package archtest

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// File is what the rules look at in one Go file.
type File struct {
	Path      string   // slash-separated, relative to the module's root
	Package   string   // the name in the package clause
	Doc       string   // the comment above the package clause; "" if there is none
	Imports   []string // import paths, those of our own packages as "./provisioner/store"
	Test      bool     // its name ends in _test.go
	Generated bool     // it says so, in Go's standard words
}

// Dir is the package's directory as rules name it: "./provisioner/store", or "." for the module's root.
func (f File) Dir() string {
	if dir := path.Dir(f.Path); dir != "." {
		return "./" + dir
	}
	return "."
}

// Load reads all Go files of the module whose root is given. Like the go command it leaves out directories
// called testdata or vendor, those that begin with a dot or an underscore, and nested modules.
func Load(root fs.FS) ([]File, error) {
	module, err := modulePath(root)
	if err != nil {
		return nil, err
	}
	var files []File
	err = fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			// Others may be building in the tree: what has gone since is no part of it.
			if errors.Is(err, fs.ErrNotExist) && name != "." {
				return nil
			}
			return err
		}
		if entry.IsDir() {
			if name != "." && (leftOut(entry.Name()) || exists(root, path.Join(name, "go.mod"))) {
				return fs.SkipDir
			}
			return nil
		}
		if path.Ext(name) != ".go" || leftOut(entry.Name()) {
			return nil
		}
		file, err := read(root, name, module)
		if err != nil {
			return err
		}
		files = append(files, file)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the module's sources: %w", err)
	}
	return files, nil
}

func leftOut(base string) bool {
	return base == "testdata" || base == "vendor" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_")
}

func exists(root fs.FS, name string) bool {
	_, err := fs.Stat(root, name)
	return err == nil
}

func modulePath(root fs.FS) (string, error) {
	text, err := fs.ReadFile(root, "go.mod")
	if err != nil {
		return "", fmt.Errorf("finding the module: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if module, ok := strings.CutPrefix(strings.TrimSpace(line), "module "); ok {
			return strings.TrimSpace(module), nil
		}
	}
	return "", errors.New("finding the module: go.mod names none")
}

func read(root fs.FS, name, module string) (File, error) {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return File{}, err
	}
	tree, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ImportsOnly|parser.ParseComments)
	if err != nil {
		return File{}, err
	}
	file := File{
		Path:      name,
		Package:   tree.Name.Name,
		Doc:       tree.Doc.Text(),
		Test:      strings.HasSuffix(name, "_test.go"),
		Generated: ast.IsGenerated(tree),
	}
	for _, spec := range tree.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return File{}, fmt.Errorf("%s: import %s: %w", name, spec.Path.Value, err)
		}
		if own, ok := strings.CutPrefix(imported, module+"/"); ok {
			imported = "./" + own
		}
		file.Imports = append(file.Imports, imported)
	}
	return file, nil
}

// matches tells whether a package fits one of the patterns: "./agent" is that package alone, "./agent/..." it
// and all below it.
func matches(pkg string, patterns []string) bool {
	for _, pattern := range patterns {
		below, tree := strings.CutSuffix(pattern, "/...")
		if pkg == below || tree && strings.HasPrefix(pkg, below+"/") {
			return true
		}
	}
	return false
}
