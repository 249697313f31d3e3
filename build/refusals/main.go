// Command refusals writes docs/refusals.md from the catalogues: what a person on
// the telephone can look up by the code that somebody reads out.
//
// What always holds: the page says what the programs say, because it is made
// from the same words. What the words are is not its business.
package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/app"
)

const head = `# Refusals

Every "no" of the control plane has a code that never changes, a sentence, and a next step. Programs show the code in
brackets; people can read it out on the telephone. A name in braces is filled with what the case is about.

"Kind" groups codes by what a program should make of them. What laptops and gateways find out by themselves, such as a wrong
fingerprint or a clock that is wrong, they say in the same form with codes of their own.

At the end stands what ` + "`heimdrahtd`" + ` says of its own machine, to the operator and in English.

This page is made from the catalogues in the programs by ` + "`make generate`" + `.
`

const setupHead = `
# The control plane's machine

What ` + "`heimdrahtd check`" + ` and the other commands of ` + "`heimdrahtd`" + ` find wrong, by its code.
`

func main() {
	if _, err := os.Stdout.WriteString(page(provisioner.Catalogue(), app.SetupCatalogue())); err != nil {
		fmt.Fprintln(os.Stderr, "refusals:", err)
		os.Exit(1)
	}
}

func page(entries []provisioner.Entry, setup []app.SetupEntry) string {
	var b strings.Builder
	b.WriteString(head)
	for _, e := range entries {
		fmt.Fprintf(&b, "\n## %s\n\nKind: %v\n\n- %s *%s*\n- %s *%s*\n",
			e.Code, e.Kind, e.German.Sentence, e.German.Next, e.English.Sentence, e.English.Next)
	}
	b.WriteString(setupHead)
	for _, e := range setup {
		fmt.Fprintf(&b, "\n## %s\n\n%s *%s*\n", e.Code, e.Sentence, e.Next)
	}
	return b.String()
}
