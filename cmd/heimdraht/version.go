package main

import (
	"runtime"
	"runtime/debug"
)

type versionCommand struct{}

// Run shows which program this is.
func (versionCommand) Run(a *app) error {
	return card(a.printer, []column[string]{
		{"version", words{"heimdraht", "heimdraht"}, func(v string) any { return v }},
		{"go", words{"Go", "Go"}, func(string) any { return runtime.Version() }},
		{"system", words{"System", "system"}, func(string) any { return runtime.GOOS + "/" + runtime.GOARCH }},
	}, version())
}

// version is what the Go toolchain recorded of the source.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}
