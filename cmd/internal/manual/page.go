package manual

import (
	"fmt"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/heimdraht/heimdraht/cmd/internal/speech"
)

// headings are the words of a page that are not the program's.
type headings struct {
	name, synopsis, commands, flags, status, environment, see, manual string
	command, flag                                                     string
	done, failed, usage, lang, help                                   string
}

func headingsIn(l speech.Language) headings {
	if l == speech.German {
		return headings{
			name: "BEZEICHNUNG", synopsis: "ÜBERSICHT", commands: "BEFEHLE", flags: "SCHALTER", status: "EXIT-STATUS",
			environment: "UMGEBUNGSVARIABLEN", see: "SIEHE AUCH", manual: "Heimdraht", command: "Befehl", flag: "Schalter",
			done: "Erledigt.", failed: "Abgelehnt oder gescheitert; was zu tun ist, steht in der Meldung.", usage: "Falsch aufgerufen.",
			lang: "Sprache der Ausgabe, wenn kein Schalter sie nennt: Deutsch oder Englisch.", help: "Diese Hilfe zeigen.",
		}
	}
	return headings{
		name: "NAME", synopsis: "SYNOPSIS", commands: "COMMANDS", flags: "OPTIONS", status: "EXIT STATUS",
		environment: "ENVIRONMENT", see: "SEE ALSO", manual: "Heimdraht", command: "command", flag: "option",
		done: "Done.", failed: "Refused, or failed; the message says what to do.", usage: "Wrong usage.",
		lang: "Language of what is said, if no flag names it: German or English.", help: "Show this help.",
	}
}

// Page is the page of a program in a section of the manual, for groff's man macros. see are other pages, such
// as "heimdraht(1)". Whoever speaks one language only leaves out which variables choose it.
func Page(parser *kong.Kong, l speech.Language, bilingual bool, section int, see ...string) string {
	h := headingsIn(l)
	model := parser.Model
	p := &page{}
	p.line(`.\" -*- coding: UTF-8 -*-`)
	p.line(`.\" Made from the program's grammar.`)
	p.line(fmt.Sprintf(`.TH %s %d "" "%s"`, strings.ToUpper(model.Name), section, h.manual))
	p.line(".SH " + h.name)
	p.text(model.Name + ` \- ` + escape(firstSentence(model.Help)))
	p.line(".SH " + h.synopsis)
	p.text(fmt.Sprintf(`\fB%s\fR \fI%s\fR [\fI%s\fR...]`, escape(model.Name), h.command, h.flag))
	p.line(".SH " + h.commands)
	for _, leaf := range model.Leaves(true) {
		p.command(model.Name, leaf, h)
	}
	p.line(".SH " + h.flags)
	for _, f := range model.Flags {
		p.flag(f, h)
	}
	p.line(".SH " + h.status)
	for status, meaning := range []string{h.done, h.failed, h.usage} {
		p.item(fmt.Sprint(`\fB`, status, `\fR`), meaning)
	}
	if bilingual {
		p.line(".SH " + h.environment)
		p.item(`\fBLC_ALL\fR, \fBLC_MESSAGES\fR, \fBLANG\fR`, h.lang)
	}
	p.line(".SH " + h.see)
	for i, other := range see {
		name, rest, _ := strings.Cut(other, "(")
		end := ","
		if i == len(see)-1 {
			end = ""
		}
		p.line(fmt.Sprintf(".BR %s (%s%s", escape(name), rest, end))
	}
	return p.String()
}

// firstSentence is the description in a list of pages, where none has a full stop.
func firstSentence(help string) string {
	first, _, _ := strings.Cut(help, ". ")
	return strings.TrimSuffix(first, ".")
}

// page collects lines for troff.
type page struct{ strings.Builder }

func (p *page) line(s string) { p.WriteString(s + "\n") }

// text is a line of text, escaped already. A dot or an apostrophe at its beginning would be a request.
func (p *page) text(s string) {
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	p.line(s)
}

func (p *page) item(term, meaning string) {
	p.line(".TP")
	p.text(term)
	p.text(escape(meaning))
}

func (p *page) command(program string, leaf *kong.Node, h headings) {
	words := []string{`\fB` + escape(program+" "+leaf.Path()) + `\fR`}
	for _, a := range leaf.Positional {
		words = append(words, `\fI`+escape(a.Summary())+`\fR`)
	}
	p.line(".SS " + strings.Join(words, " "))
	p.text(escape(leaf.Help))
	for _, a := range leaf.Positional {
		p.item(`\fI`+escape(a.Summary())+`\fR`, a.Help)
	}
	for node := leaf; node.Parent != nil; node = node.Parent { // what a group of commands shares stands with each of them
		for _, f := range node.Flags {
			p.flag(f, h)
		}
	}
}

func (p *page) flag(f *kong.Flag, h headings) {
	if f.Hidden {
		return
	}
	help := f.Help
	if f.Name == "help" {
		help = h.help
	}
	p.item(`\fB`+escape(f.String())+`\fR`, help)
}

// escape has text stand in a page as it is: a hyphen that somebody copies is one.
func escape(s string) string {
	return strings.NewReplacer(`\`, `\e`, "-", `\-`, "\n", " ").Replace(s)
}
