package archtest_test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/heimdraht/heimdraht/internal/archtest"
)

// TestHouse holds the rules over the whole module.
func TestHouse(t *testing.T) {
	files, err := archtest.Load(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	// A walk that finds nothing would find nothing wrong either.
	for _, room := range []string{"./provisioner", "./internal/archtest", "./proto/heimdraht/v1"} {
		if !slices.ContainsFunc(files, func(f archtest.File) bool { return f.Dir() == room }) {
			t.Errorf("the walk did not come by %s", room)
		}
	}
	for _, broken := range [][]string{
		archtest.Imports(files, archtest.Rules()),
		archtest.Names(files),
		archtest.Comments(files),
	} {
		for _, sentence := range broken {
			t.Error(sentence)
		}
	}
}

// sample is a module with the given files. The keys are paths; the values are package clauses and imports.
func sample(t *testing.T, sources map[string]string) []archtest.File {
	t.Helper()
	tree := fstest.MapFS{"go.mod": {Data: []byte("// Ours.\nmodule example.org/house\n\ngo 1.26\n")}}
	for name, source := range sources {
		tree[name] = &fstest.MapFile{Data: []byte(source)}
	}
	files, err := archtest.Load(tree)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// source is a file that imports the given packages.
func source(imports ...string) string {
	var b strings.Builder
	b.WriteString("package p\n")
	for _, i := range imports {
		b.WriteString("import _ \"" + strings.Replace(i, "./", "example.org/house/", 1) + "\"\n")
	}
	return b.String()
}

// imports are what a file may and may not import. Every rule must be broken by one of them at least.
var imports = []struct {
	file, imports string
	breaks        string // the rule's text; "" if it breaks none
}{
	{"provisioner/a.go", "./provisioner/store", "provisioner, the root package, imports none of our other packages"},
	{"provisioner/a.go", "net/netip", ""},
	{"provisioner/a_test.go", "./provisioner", ""},

	{"provisioner/session/a.go", "./proto/heimdraht/v1", "only rpc, provisionertest, agent and cmd import proto"},
	{"provisioner/session/a_test.go", "./proto/heimdraht/v1", "only rpc, provisionertest, agent and cmd import proto"},
	{"provisioner/rpc/a.go", "./proto/heimdraht/v1", ""},
	{"agent/gateway/a.go", "./proto/heimdraht/v1", ""},

	{"provisioner/session/a.go", "google.golang.org/grpc/codes", "in provisioner only rpc knows gRPC codes"},
	{"provisioner/app/a.go", "google.golang.org/grpc", ""},
	{"agent/control/a.go", "google.golang.org/grpc/status", ""},

	{"provisioner/seat/a.go", "database/sql", "database/sql and the drivers only in store"},
	{"provisioner/app/a_test.go", "modernc.org/sqlite", "database/sql and the drivers only in store"},
	{"provisioner/store/a.go", "database/sql/driver", ""},
	{"provisioner/storehouse/a.go", "database/sql", "database/sql and the drivers only in store"},

	{"provisioner/enrolment/a.go", "github.com/go-ldap/ldap/v3", "go-ldap only in directory/ldap"},
	{"provisioner/directory/memory/a.go", "github.com/go-ldap/ldap/v3", "go-ldap only in directory/ldap"},
	{"provisioner/directory/memory/a.go", "github.com/go-ldap/ldif", ""},
	{"provisioner/directory/ldap/a.go", "github.com/go-ldap/ldap/v3", ""},
	{"provisioner/directory/slapdtest/a.go", "github.com/go-ldap/ldap/v3", ""},

	{"agent/gateway/a_windows.go", "golang.zx2c4.com/wireguard/wgctrl", "wgctrl, wireguard-go and its netstack only in agent/wireguard"},
	{"agent/wireguard/a.go", "golang.zx2c4.com/wireguard/wgctrl/wgtypes", ""},

	{"provisioner/web/a.go", "./provisioner/store", "rpc and web never import store"},
	{"provisioner/session/a.go", "./provisioner/store", ""},

	{"agent/gateway/a.go", "./provisioner", "agent imports nothing of provisioner"},
	{"agent/gateway/a_test.go", "./provisioner/session", "agent imports nothing of provisioner"},
	{"agent/gateway/a_test.go", "./provisioner/provisionertest", ""},

	{"provisioner/watch/a.go", "./agent/wireguard", "provisioner imports nothing of agent"},
	{"cmd/heimdraht-demo/main.go", "./agent/wireguard", ""},

	{"provisioner/session/a.go", "./provisioner/config", "only cmd and app import config"},
	{"provisioner/app/a.go", "./provisioner/config", ""},
	{"provisioner/config/a_test.go", "./provisioner/config", ""},

	{"provisioner/app/a.go", "./cmd/heimdrahtd", "nobody imports cmd but cmd"},
	{"cmd/heimdraht/main.go", "./cmd/internal/table", ""},

	{"internal/build/a.go", "./agent/state", "proto and internal import nothing of provisioner, agent and cmd"},
	{"agent/state/a.go", "./internal/build", ""},

	{"provisioner/session/a.go", "testing", "what is made for tests stays in tests"},
	{"cmd/heimdraht-demo/main.go", "./provisioner/provisionertest", "what is made for tests stays in tests"},
	{"provisioner/session/a_test.go", "testing/synctest", ""},
	{"provisioner/provisionertest/a.go", "testing", ""},
	{"provisioner/provisionertest/a.go", "./internal/testneed", ""},

	{"agent/hostnet/a_darwin.go", "C", "no cgo"},
}

func TestImports(t *testing.T) {
	for _, tt := range imports {
		t.Run(tt.file+" imports "+tt.imports, func(t *testing.T) {
			got := archtest.Imports(sample(t, map[string]string{tt.file: source(tt.imports)}), archtest.Rules())
			switch {
			case tt.breaks == "" && len(got) > 0:
				t.Errorf("breaks a rule: %q", got)
			case tt.breaks == "":
			case len(got) != 1 || !strings.HasPrefix(got[0], tt.file+" imports "+tt.imports+": "+tt.breaks+" ("):
				t.Errorf("found %q, want only the rule %q", got, tt.breaks)
			}
		})
	}
}

func TestEveryRuleHasItsReasonAndIsBrokenOnce(t *testing.T) {
	for _, rule := range archtest.Rules() {
		if rule.Reason == "" {
			t.Errorf("%s: no reason", rule.Text)
		}
		broken := false
		for _, tt := range imports {
			broken = broken || tt.breaks == rule.Text
		}
		if !broken {
			t.Errorf("%s: no sample breaks it, so nobody knows that it holds", rule.Text)
		}
	}
}

func TestNames(t *testing.T) {
	files := sample(t, map[string]string{
		"agent/util/a.go":            "package util",
		"agent/mocks/inner/a.go":     "package inner",
		"provisioner/names/a.go":     "package common",
		"provisioner/only/a_test.go": "package helpers_test",
		"provisioner/basement/a.go":  "package basement",
	})
	var got []string
	for _, sentence := range archtest.Names(files) {
		dir, _, _ := strings.Cut(sentence, " ")
		got = append(got, dir)
	}
	want := []string{"./agent/mocks/inner", "./agent/util", "./provisioner/names", "./provisioner/only"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("packages with bad names (-want +got):\n%s", diff)
	}
}

func TestComments(t *testing.T) {
	files := sample(t, map[string]string{
		"good/a.go":             "// Package good is one.\npackage good",
		"good/b.go":             "package good",
		"cmd/good/main.go":      "// Command good runs.\npackage main",
		"gen/a.go":              "// Code generated by hand. DO NOT EDIT.\n\npackage gen",
		"tests/a_test.go":       "// Package tests only tests.\npackage tests_test",
		"bad/a.go":              "package bad",
		"apart/a.go":            "// Package apart has a blank line below.\n\npackage apart",
		"other/a.go":            "// Package another is somewhere else.\npackage other",
		"intest/a.go":           "package intest",
		"intest/a_test.go":      "// Package intest has it in the wrong file.\npackage intest",
		"cmd/bad/main.go":       "// Package main runs.\npackage main",
		"half/a.go":             "// Code generated by hand. DO NOT EDIT.\n\npackage half",
		"half/b.go":             "package half",
		"testdata/skipped/a.go": "package skipped",
	})
	var got []string
	for _, sentence := range archtest.Comments(files) {
		dir, _, _ := strings.Cut(sentence, ":")
		got = append(got, dir)
	}
	want := []string{"./apart", "./bad", "./cmd/bad", "./half", "./intest", "./other"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("packages without a comment (-want +got):\n%s", diff)
	}
}

func TestLoad(t *testing.T) {
	got := sample(t, map[string]string{
		"a.go":              source("./b", "fmt"),
		"b/b_test.go":       source("example.org/houseboat"),
		"b/c_linux.go":      "//go:build never\n\n" + source("os"),
		"b/README.md":       "no Go",
		"nested/go.mod":     "module example.org/nested\n",
		"nested/a.go":       source("os"),
		"vendor/x/a.go":     source("os"),
		".hidden/a.go":      source("os"),
		"b/_ignored.go":     "no Go either",
		"b/testdata/bad.go": "no Go either",
	})
	want := []archtest.File{
		{Path: "a.go", Package: "p", Imports: []string{"./b", "fmt"}},
		{Path: "b/b_test.go", Package: "p", Imports: []string{"example.org/houseboat"}, Test: true},
		{Path: "b/c_linux.go", Package: "p", Imports: []string{"os"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestLoadFails(t *testing.T) {
	for name, tree := range map[string]fstest.MapFS{
		"no go.mod": {},
		"no module": {"go.mod": {Data: []byte("go 1.26\n")}},
		"no Go":     {"go.mod": {Data: []byte("module m\n")}, "a.go": {Data: []byte("package")}},
	} {
		if _, err := archtest.Load(tree); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
