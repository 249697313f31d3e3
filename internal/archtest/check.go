package archtest

import (
	"fmt"
	"slices"
	"strings"
)

// Imports tells which files break which of the rules, one sentence each, with the rule and its reason.
func Imports(files []File, rules []Rule) []string {
	var found []string
	for _, file := range files {
		for _, imported := range file.Imports {
			if imported == file.Dir() { // an external test imports its own package
				continue
			}
			for _, rule := range rules {
				if rule.forbids(file, imported) {
					found = append(found, fmt.Sprintf("%s imports %s: %s (%s)", file.Path, imported, rule.Text, rule.Reason))
				}
			}
		}
	}
	return found
}

func (r Rule) forbids(file File, imported string) bool {
	if r.TestsFree && file.Test {
		return false
	}
	if len(r.By) > 0 && !matches(file.Dir(), r.By) || !matches(imported, r.Never) {
		return false
	}
	for _, e := range r.Except {
		if e.Tests && !file.Test {
			continue
		}
		if matches(file.Dir(), e.By) && (len(e.What) == 0 || matches(imported, e.What)) {
			return false
		}
	}
	return true
}

// Names tells which packages, or their directories, have a name that says nothing.
func Names(files []File) []string {
	var found []string
	for dir, in := range packages(files) {
		name := strings.TrimSuffix(in[0].Package, "_test")
		bad := slices.Contains(badNames(), name)
		for part := range strings.SplitSeq(dir, "/") {
			bad = bad || slices.Contains(badNames(), part)
		}
		if bad {
			found = append(found, fmt.Sprintf("%s (package %s): a name says what is inside; util, common, helpers, types, models and mocks do not", dir, name))
		}
	}
	slices.Sort(found)
	return found
}

// Comments tells which packages have no comment that begins as Go's do: "Package name ...", or "Command
// name ..." for a program. A package of generated files has its comments where it is generated from, and a
// package of tests alone has it in one of them.
func Comments(files []File) []string {
	var found []string
	for dir, in := range packages(files) {
		if !slices.ContainsFunc(in, func(f File) bool { return !f.Generated }) {
			continue
		}
		onlyTests := !slices.ContainsFunc(in, func(f File) bool { return !f.Test })
		commented := slices.ContainsFunc(in, func(f File) bool {
			begins := "Package " + strings.TrimSuffix(f.Package, "_test") + " "
			if f.Package == "main" {
				begins = "Command "
			}
			return (onlyTests || !f.Test) && strings.HasPrefix(f.Doc, begins)
		})
		if !commented {
			found = append(found, dir+": no package comment (what it is, what always holds in it, what is not its business)")
		}
	}
	slices.Sort(found)
	return found
}

// packages sorts files by directory. None is empty.
func packages(files []File) map[string][]File {
	in := map[string][]File{}
	for _, file := range files {
		in[file.Dir()] = append(in[file.Dir()], file)
	}
	return in
}
