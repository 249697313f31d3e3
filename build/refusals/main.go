// Command refusals writes docs/refusals.md from the catalogues: what a person on
// the telephone can look up by the code that somebody reads out.
//
// What always holds: the page says what the programs say, because it is made
// from the same words. What the words are is not its business.
package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/endpoint"
	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/app"
	"github.com/heimdraht/heimdraht/provisioner/diagnosis"
)

const head = `# Refusals

Every "no" of the control plane has a code that never changes, a sentence, and a next step. Programs show the code in
brackets; people can read it out on the telephone. A name in braces is filled with what the case is about.

"Kind" groups codes by what a program should make of them.

Then come the causes that ` + "`heimdraht why`" + ` tells the helpdesk, and what laptops find out by themselves, such as a wrong fingerprint or a
clock that is wrong. At the end stands what ` + "`heimdrahtd`" + ` says of its own machine, to the operator and in English.

This page is made from the catalogues in the programs by ` + "`make generate`" + `.
`

const causesHead = `
# Causes

What ` + "`heimdraht why`" + ` finds: why somebody's connection does not work, and who can take the next step (in brackets). The same code
as above means the same, said to whoever helps. Where there is no cause here, the last refusal is told in its own words.
`

const laptopHead = `
# What laptops find out by themselves

What ` + "`heimdraht-agent status`" + ` says without being told by the control plane, and who can take the next step.
`

const setupHead = `
# The control plane's machine

What ` + "`heimdrahtd check`" + ` and the other commands of ` + "`heimdrahtd`" + ` find wrong, by its code.
`

func main() {
	if _, err := os.Stdout.WriteString(page()); err != nil {
		fmt.Fprintln(os.Stderr, "refusals:", err)
		os.Exit(1)
	}
}

func page() string {
	var b strings.Builder
	b.WriteString(head)
	for _, e := range provisioner.Catalogue() {
		fmt.Fprintf(&b, "\n## %s\n\nKind: %v\n\n- %s *%s*\n- %s *%s*\n",
			e.Code, e.Kind, e.German.Sentence, e.German.Next, e.English.Sentence, e.English.Next)
	}
	b.WriteString(causesHead)
	for _, e := range diagnosis.Catalogue() {
		fmt.Fprintf(&b, "\n## %s (%s)\n\n- %s *%s*\n- %s *%s*\n",
			e.Code, whose(string(e.Who)), e.German.Sentence, e.German.Next, e.English.Sentence, e.English.Next)
	}
	b.WriteString(laptopHead)
	for _, p := range slices.Concat(control.Catalogue(), endpoint.Catalogue()) {
		fmt.Fprintf(&b, "\n## %s (%s)\n\n- %s *%s*\n- %s *%s*\n",
			p.Code, whose(string(p.Who)), p.German.Sentence, p.German.Next, p.English.Sentence, p.English.Next)
	}
	b.WriteString(setupHead)
	for _, e := range app.SetupCatalogue() {
		fmt.Fprintf(&b, "\n## %s\n\n%s *%s*\n", e.Code, e.Sentence, e.Next)
	}
	return b.String()
}

// whose names who can take a step.
func whose(who string) string {
	switch who {
	case "tenant_admin":
		return "tenant administrator"
	case "nobody":
		return "nobody: wait"
	default:
		return who
	}
}
